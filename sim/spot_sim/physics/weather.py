"""Outdoor temperature and sunshine from the German test reference years (DWD, 2010) that demandlib carries.

A test reference year is a typical year, put together from measured hours of 1988 to 2007, for one of 15 regions. A
simulated date takes the day of the same month and day; 29 February takes the 28th.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from . import datasets

REGIONS = range(1, 16)
POTSDAM = 4
_CET_S = 3600  # the files count hours in Central European Time, all year
_HOURS = 8760


@lru_cache(maxsize=4)
def reference_year(region):
    """The 8,760 hours of a region as (temperatures in degC, global irradiances on a horizontal plane in W/m2), hour 1
    first.
    """
    if region not in REGIONS:
        raise ValueError(f"there are test reference years for regions 1 to 15, not {region}")
    file = datasets.path("demandlib", "vdi", "resources_weather", f"TRY2010_{region:02d}_Jahr.dat")
    temperatures, irradiances = [], []
    lines = iter(file.read_text(encoding="latin-1").splitlines())
    columns = None
    for line in lines:
        if line.startswith("***"):
            break
        columns = line.split()
    for line in lines:
        cells = line.split()
        if cells:
            temperatures.append(float(cells[columns.index("t")]))
            irradiances.append(float(cells[columns.index("B")]) + float(cells[columns.index("D")]))
    if len(temperatures) != _HOURS:
        raise datasets.DatasetError(f"{file.name} has {len(temperatures)} hours instead of {_HOURS}")
    return temperatures, irradiances


class Weather:
    """Weather over simulated seconds: hourly means in the middle of their hours, straight lines between them.

    calendar: LocalCalendar. region: 1 to 15 (4, Potsdam, is north-east Germany). offset_k: added to the temperature.
    """

    def __init__(self, calendar, region=POTSDAM, offset_k=0.0):
        self._utc = calendar.start_utc
        self._temperatures, self._irradiances = reference_year(region)
        self._offset_k = offset_k
        self._hours = []  # (second in the middle, temperature, irradiance), consecutive
        self._first = (self._utc + _CET_S) // 3600 - 49  # hour count of self._hours[0]: two days before the start
        self._at_s = -1
        self._value = (0.0, 0.0)

    def _hour(self, index):
        """The mean values of the `index`th hour of the series."""
        hours = self._hours
        while len(hours) <= index:
            moment = datetime.fromtimestamp((self._first + len(hours)) * 3600, UTC)
            day = moment - timedelta(days=1) if (moment.month, moment.day) == (2, 29) else moment
            row = (datetime(2010, day.month, day.day) - datetime(2010, 1, 1)).days * 24 + day.hour
            hours.append((self._temperatures[row] + self._offset_k, self._irradiances[row]))
        return hours[index]

    def at(self, now_s):
        """(temperature in degC, global irradiance on a horizontal plane in W/m2) at second `now_s`."""
        if now_s == self._at_s:
            return self._value
        seconds = self._utc + _CET_S - self._first * 3600 + now_s - 1800
        index, rest = divmod(seconds, 3600)
        after, before, share = self._hour(index + 1), self._hours[index], rest / 3600
        value = (before[0] + (after[0] - before[0]) * share, before[1] + (after[1] - before[1]) * share)
        self._at_s, self._value = now_s, value
        return value

    def temperature_c(self, now_s):
        """Outdoor temperature in degC."""
        return self.at(now_s)[0]

    def irradiance_w_m2(self, now_s):
        """Global irradiance on a horizontal plane in W/m2."""
        return self.at(now_s)[1]

    def mean_temperature_c(self, from_s, until_s, step_s=600):
        """Mean outdoor temperature of a stretch of time in degC."""
        samples = [self.at(at_s)[0] for at_s in range(from_s, until_s, step_s)]
        return sum(samples) / len(samples)
