"""The trip comparator: runs where a sample arrives, and opens the relay there and then. A latch and one pin write, no
allocation.
"""

from ..codes import (
    ABSENT,
    ALARM_OVER_CURRENT,
    ALARM_OVER_POWER,
    ALARM_OVER_TEMPERATURE,
    ALARM_OVER_VOLTAGE,
    ALARM_UNDER_VOLTAGE,
)
from ..port import const

_UNLIMITED = const(0x3FFFFFFE)
_SAMPLES = const(2)  # in a row above the power or temperature limit or outside the voltage band; over-current acts on
# the first

# Outside these no meter of ours has measured anything: noise, a stuck register, a chip that browned out
_MOST_W = const(150000)
_MOST_MA = const(400000)
_MOST_10MV = const(60000)
_LEAST_C100 = const(-5500)
_MOST_C100 = const(15000)


class Trip:
    """`latch`: 0, or the ALARM_… that opened the relay, with the measured `value` and its `limit`; `clear` takes it
    back. `implausible` counts the samples outside physics, which are ignored.

    relay: anything with `trip()`, which opens at once (None: there is nothing to open, the latch still tells).
    """

    def __init__(self, relay):
        self._relay = relay
        self._current_ma = _UNLIMITED
        self._power_w = _UNLIMITED
        self._over_10mv = _UNLIMITED
        self._under_10mv = 0
        self._over_c100 = _UNLIMITED
        self.implausible = 0
        self.clear()

    def arm(self, current_ma, power_w, over_10mv, under_10mv, over_c100=None):
        """Limits: what exceeds one trips. None or 0: no such limit."""
        self._current_ma = current_ma or _UNLIMITED
        self._power_w = power_w or _UNLIMITED
        self._over_10mv = over_10mv or _UNLIMITED
        self._under_10mv = under_10mv or 0
        self._over_c100 = over_c100 or _UNLIMITED

    def outside(self, voltage_10mv):
        """Whether a voltage is outside the band; one that is not known is."""
        return voltage_10mv > self._over_10mv or voltage_10mv < self._under_10mv

    def plausible(self, current_ma, power_w, voltage_10mv):
        """Whether a sample can have been measured; ABSENT current and voltage can."""
        return (
            -_MOST_W <= power_w <= _MOST_W
            and (0 <= current_ma <= _MOST_MA or current_ma == ABSENT)
            and (0 <= voltage_10mv <= _MOST_10MV or voltage_10mv == ABSENT)
        )

    def check(self, current_ma, power_w, voltage_10mv):
        """Called by the meter's driver with each valid sample (from an interrupt where the port allows). ABSENT: not
        measured anew, so that it neither counts nor ends a count; power either way counts."""
        known = power_w != ABSENT
        if not known:
            power_w = 0
        elif power_w < 0:
            power_w = -power_w
        if not self.plausible(current_ma, power_w, voltage_10mv):
            self.implausible += 1
            return
        if current_ma > self._current_ma:
            self._open(ALARM_OVER_CURRENT, current_ma, self._current_ma)
            return
        if power_w > self._power_w:
            self._power_count += 1
            if self._power_count >= _SAMPLES:
                self._open(ALARM_OVER_POWER, power_w, self._power_w)
            return
        if known:
            self._power_count = 0
        if voltage_10mv == ABSENT:
            return
        if self.outside(voltage_10mv):
            self._voltage_count += 1
            if self._voltage_count >= _SAMPLES:
                if voltage_10mv > self._over_10mv:
                    self._open(ALARM_OVER_VOLTAGE, voltage_10mv, self._over_10mv)
                else:
                    self._open(ALARM_UNDER_VOLTAGE, voltage_10mv, self._under_10mv)
            return
        self._voltage_count = 0

    def check_temperature(self, c100):
        """Called with each temperature of the device, in 0.01 °C. False: not to be believed (ABSENT, or outside
        physics)."""
        if not _LEAST_C100 <= c100 <= _MOST_C100:
            if c100 != ABSENT:
                self.implausible += 1
            return False
        if c100 <= self._over_c100:
            self._hot_count = 0
        else:
            self._hot_count += 1
            if self._hot_count >= _SAMPLES:
                self._open(ALARM_OVER_TEMPERATURE, c100, self._over_c100)
        return True

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
        self.latch = self.value = self.limit = 0
        self._power_count = self._voltage_count = self._hot_count = 0
