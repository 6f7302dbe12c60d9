"""What a household uses beside the simulated devices: the BDEW standard load profile H0, from the table that demandlib
carries.

The profile gives quarter-hours for three seasons and three kinds of day; a polynomial of the day of the year smooths
the seasons' edges ("dynamic H0", Fuenfgeld and Tiedemann, BTU Cottbus 2000).
"""

import csv
from datetime import date
from functools import lru_cache

from . import datasets
from .load import Load

QUARTER_S = 900
_WORKDAY, _SATURDAY, _SUNDAY = "1", "6", "7"


@lru_cache(maxsize=1)
def _table():
    """{(season, kind of day): 96 values}"""
    table = {}
    with open(datasets.path("demandlib", "bdew", "bdew_data", "selp_series.csv"), newline="") as file:
        for row in csv.DictReader(file):
            if row["weekday"] in (_WORKDAY, _SATURDAY, _SUNDAY):
                table.setdefault((row["period"], row["weekday"]), []).append(float(row["h0"]))
    if len(table) != 9 or any(len(values) != 96 for values in table.values()):
        raise datasets.DatasetError("selp_series.csv does not hold nine days of 96 quarter-hours")
    return table


def season(day):
    """BDEW's season of a date: winter, summer or transition."""
    mark = (day.month, day.day)
    if mark >= (11, 1) or mark <= (3, 20):
        return "winter"
    return "summer" if (5, 15) <= mark <= (9, 14) else "transition"


def _raw(day):
    kind = _SUNDAY if day.isoweekday() == 7 else _SATURDAY if day.isoweekday() == 6 else _WORKDAY
    return _table()[season(day), kind]


def _smoothing(t):
    """Factor at `t`, the day of the year with its fraction."""
    return -3.916649251e-10 * t**4 + 3.2e-7 * t**3 - 7.02e-5 * t**2 + 0.0021 * t + 1.24


@lru_cache(maxsize=8)
def _year_sum(year):
    first = date(year, 1, 1).toordinal()
    return sum(sum(_raw(date.fromordinal(n))) for n in range(first, date(year + 1, 1, 1).toordinal()))


@lru_cache(maxsize=800)
def profile_w(day, annual_kwh=1000.0):
    """Mean power of the 96 quarter-hours of `day` in W, for a household that uses `annual_kwh` in a year."""
    watts = annual_kwh * 1000 * 4 / _year_sum(day.year)
    before = day.timetuple().tm_yday - 1
    return tuple(watts * value * _smoothing(before + (n + 1) / 96) for n, value in enumerate(_raw(day)))


class BaseLoad(Load):
    """The rest of one household: H0 times a factor that is drawn for every quarter-hour, since one home is no average.

    annual_kwh: yearly use. scatter: standard deviation of the factor (its mean is 1).
    """

    __slots__ = ("_calendar", "_rng", "_annual_kwh", "_scatter", "_day", "_values", "_day_s")

    def __init__(self, seeds, calendar, annual_kwh=3500.0, scatter=0.35):
        super().__init__(rated_w=5000, power_factor=0.93)
        self._calendar, self._rng, self._annual_kwh, self._scatter = (
            calendar,
            seeds.stream("habits"),
            annual_kwh,
            scatter,
        )
        self._day = -1
        self._day_s, self._values = 0, ()
        self._change(0)

    def _change(self, at_s):
        day = self._calendar.day_of(at_s)
        if day != self._day:
            self._day, self._day_s = day, self._calendar.day_start(day)
            self._values = profile_w(self._calendar.date(day), self._annual_kwh)
        quarter = (at_s - self._day_s) // QUARTER_S
        # 23 and 25 hours: the table has 96 quarters, the clock's own hand says which one
        if self._calendar.day_start(day + 1) - self._day_s != 86400:
            local = self._calendar.local(at_s)
            value = self._values[local.hour * 4 + local.minute // 15]
        else:
            value = self._values[quarter]
        shape = 1 / self._scatter**2 if self._scatter else 0
        factor = self._rng.gammavariate(shape, 1 / shape) if shape else 1.0
        self.power_mw = int(value * factor * 1000) if self.closed else 0
        self._next_s = at_s - (at_s - self._day_s) % QUARTER_S + QUARTER_S

    def _supply(self, at_s):
        if not self.closed:
            self.power_mw = 0
