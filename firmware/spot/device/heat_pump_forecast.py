"""What the pump will draw in the next 24 hours, learnt on the device in integers.

For each hour of the day (of UTC) the mean power and the mean outdoor temperature of about the latest eight days, and
one slope, W for each K that an hour was colder or warmer than its own mean. The forecast is the mean of the hour, plus
the slope times what the same hour of the latest day was off by: tomorrow's weather is taken to be today's. An hour in
which the pump was locked or limited for more than ten minutes teaches nothing, unless nothing is known of it yet.

300 octets of RAM, one write a day.
"""

from array import array

from ..codes import ABSENT
from ..port import const, struct

_NAME = "load"
_HOURS = const(24)
_HOUR_S = const(3600)
_SCALE = const(16)
_DAYS = const(8)  # over which a mean goes
_SLOPE_HOURS = const(128)  # over which the slope goes
_HELD_S = const(600)
_LATE_S = const(120)  # an hour is whole when its ends were seen so soon
_MAX_W = const(32767)


class Forecast:
    """`step` once a step of the device; `next(utc)` gives the forecast."""

    def __init__(self, store, log):
        self._store = store
        self._log = log
        self._mean = array("i", [0] * _HOURS)  # W, scaled
        self._warm = array("i", [0] * _HOURS)  # mean outdoor temperature, 0.1 K, scaled
        self._latest = array("h", [0] * _HOURS)  # of the latest day, 0.1 K
        self._days = bytearray(_HOURS)  # how many are in the mean, at most _DAYS
        self._xx = self._xy = 0
        self._out = array("h", [0] * _HOURS)
        self._hour = ABSENT  # since 2025; the one that runs
        self._whole = False
        self._from_wh = 0
        self._sum = self._count = 0
        self._held_s = 0
        self._at_s = 0
        raw = store.get(_NAME)
        if raw is not None and len(raw) == struct.calcsize("<ii") + _HOURS * 11:
            self._xx, self._xy = struct.unpack_from("<ii", raw)
            for hour in range(_HOURS):
                self._mean[hour], self._warm[hour], self._latest[hour], self._days[hour] = struct.unpack(
                    "<iihB", raw[8 + hour * 11 : 19 + hour * 11]
                )

    def step(self, now_s, utc, energy_wh, outdoor, held):
        """energy_wh: counted so far; outdoor: 0.01 °C or ABSENT; held: it is locked or limited."""
        if utc == ABSENT:
            return
        hour = utc // _HOUR_S
        if hour != self._hour:
            if hour == self._hour + 1 and self._whole and utc % _HOUR_S <= _LATE_S:
                self._learn(self._hour % _HOURS, energy_wh - self._from_wh)
                if hour % _HOURS == 0:
                    self._keep()
            self._hour = hour
            self._whole = utc % _HOUR_S <= _LATE_S
            self._from_wh = energy_wh
            self._sum = self._count = self._held_s = 0
        elif held:
            self._held_s += now_s - self._at_s
        self._at_s = now_s
        if outdoor != ABSENT:
            self._sum += outdoor
            self._count += 1

    def _learn(self, hour, power_w):
        days = self._days[hour]
        if self._held_s > _HELD_S and days or not 0 <= power_w <= _MAX_W:
            return
        mean, warm = self._mean, self._warm
        if days < _DAYS:
            days += 1
            self._days[hour] = days
        if self._count:
            latest = self._sum // self._count // 10
        else:
            latest = (warm[hour] + _SCALE // 2) // _SCALE  # not known: as usual
        self._latest[hour] = latest
        if days > 1:
            x = latest - warm[hour] // _SCALE
            y = power_w - mean[hour] // _SCALE
            self._xx += x * x - self._xx // _SLOPE_HOURS
            self._xy += x * y - self._xy // _SLOPE_HOURS
        mean[hour] += (power_w * _SCALE - mean[hour]) // days
        warm[hour] += (latest * _SCALE - warm[hour]) // days

    def next(self, utc):
        """array('h') of 24 mean powers in W, the first of the hour that `utc` lies in, the others of those that follow;
        None until each hour of a day is known. The array is the forecast's own."""
        days, out = self._days, self._out
        for hour in range(_HOURS):
            if not days[hour]:
                return None
        slope = min(0, self._xy) * _SCALE // max(self._xx, 1)
        for i in range(_HOURS):
            hour = (utc // _HOUR_S + i) % _HOURS
            off = self._latest[hour] - self._warm[hour] // _SCALE
            power_w = (self._mean[hour] + off * slope) // _SCALE
            out[i] = max(0, min(_MAX_W, power_w))
        return out

    def _keep(self):
        raw = bytearray(struct.pack("<ii", self._xx, self._xy))
        for hour in range(_HOURS):
            raw.extend(struct.pack("<iihB", self._mean[hour], self._warm[hour], self._latest[hour], self._days[hour]))
        try:
            self._store.put(_NAME, raw)
        except OSError:
            self._log.error("pump.not_kept")
