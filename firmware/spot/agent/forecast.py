"""What a device expects to use, told once an hour and when it has changed: only of devices that can say (loaded on
demand, spot_host.build.PARTS)."""

from spot.agent.times import NEVER
from spot.codes import ABSENT, CH_REGISTER, MAX_INT, T_FORECAST
from spot.port import const
from spot.wire import profile

_HOUR_S = const(3600)
_LOOK_S = const(900)
_LEAST_WH = const(500)  # a change of the day's energy that is told at once: so much, and a tenth


class Forecast:
    """device.forecast(now_s, utc) -> array('h') of hourly W from the hour of utc on, or None. due_s: when step() has
    something to do."""

    def __init__(self, device, clock, out, tx):
        self._device = device
        self._clock = clock
        self._out = out
        self._tx = tx
        self._hour = ABSENT
        self._total_wh = 0
        self._revision = 0
        self.due_s = NEVER

    def step(self, now_s):
        self.due_s = now_s + _LOOK_S
        utc = self._clock.utc(now_s)
        if utc == ABSENT:
            return
        to_hour = _HOUR_S - utc % _HOUR_S
        self.due_s = now_s + min(_LOOK_S, to_hour)
        series = self._device.forecast(now_s, utc)
        if series is None or not len(series):
            return
        start = utc - utc % _HOUR_S
        total = sum(series)
        change = total - self._total_wh
        if start == self._hour and -_LEAST_WH < change < _LEAST_WH or (
            start == self._hour and abs(change) * 10 < abs(self._total_wh)
        ):
            return
        revision = self._revision + 1 if self._revision < MAX_INT else 0
        n = profile.encode(T_FORECAST, [revision, start, 60, 0, series], self._tx)
        if self._out.send(CH_REGISTER, self._tx, n, False):
            self._revision, self._hour, self._total_wh = revision, start, total
