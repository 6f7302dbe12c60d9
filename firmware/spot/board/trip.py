"""The trip comparator: runs where a sample arrives, and opens the relay there and then. A latch and one pin write, no
allocation.
"""

from ..codes import ABSENT, ALARM_OVER_CURRENT, ALARM_OVER_POWER, ALARM_OVER_VOLTAGE, ALARM_UNDER_VOLTAGE
from ..port import const

_UNLIMITED = const(0x3FFFFFFE)
_SAMPLES = const(2)  # in a row above the power limit or outside the voltage band; over-current acts on the first


class Trip:
    """`latch`: 0, or the ALARM_… that opened the relay, with the measured `value` and its `limit`; `clear` takes it
    back.

    relay: anything with `trip()`, which opens at once (None: there is nothing to open, the latch still tells).
    """

    def __init__(self, relay):
        self._relay = relay
        self._current_ma = _UNLIMITED
        self._power_w = _UNLIMITED
        self._over_10mv = _UNLIMITED
        self._under_10mv = 0
        self._power_count = 0
        self._voltage_count = 0
        self.latch = 0
        self.value = 0
        self.limit = 0

    def arm(self, current_ma, power_w, over_10mv, under_10mv):
        """Limits: what exceeds one trips. None or 0: no such limit."""
        self._current_ma = current_ma or _UNLIMITED
        self._power_w = power_w or _UNLIMITED
        self._over_10mv = over_10mv or _UNLIMITED
        self._under_10mv = under_10mv or 0

    def outside(self, voltage_10mv):
        """Whether a voltage is outside the band; one that is not known is."""
        return voltage_10mv > self._over_10mv or voltage_10mv < self._under_10mv

    def check(self, current_ma, power_w, voltage_10mv):
        """Called by the meter's driver with each valid sample (from an interrupt where the port allows)."""
        if current_ma > self._current_ma:
            self._open(ALARM_OVER_CURRENT, current_ma, self._current_ma)
            return
        if power_w > self._power_w:
            self._power_count += 1
            if self._power_count >= _SAMPLES:
                self._open(ALARM_OVER_POWER, power_w, self._power_w)
            return
        self._power_count = 0
        if voltage_10mv != ABSENT and self.outside(voltage_10mv):
            self._voltage_count += 1
            if self._voltage_count >= _SAMPLES:
                if voltage_10mv > self._over_10mv:
                    self._open(ALARM_OVER_VOLTAGE, voltage_10mv, self._over_10mv)
                else:
                    self._open(ALARM_UNDER_VOLTAGE, voltage_10mv, self._under_10mv)
            return
        self._voltage_count = 0

    def _open(self, alarm, value, limit):
        relay = self._relay
        if self.latch:
            if relay is not None and relay.closed:
                relay.trip()  # whoever closed it again did not know: it does not stay closed for a step
            return
        if relay is not None:
            relay.trip()
        self.latch = alarm
        self.value = value
        self.limit = limit

    def clear(self):
        self.latch = 0
        self._power_count = 0
        self._voltage_count = 0
