"""Telemetry: by interval, by dead-band, on demand; numbered, best effort, nothing of it on flash."""

from array import array

from spot.agent.times import NEVER
from spot.codes import ABSENT, CH_TELEMETRY, MAX_INT, R_COUNT, R_POWER, T_TELEMETRY
from spot.port import const
from spot.wire import profile
from spot.wire.fields import TEL_CLOCK, TEL_COUNT, TEL_DECIDER, TEL_POWER, TEL_SEQ, TEL_TIME

SPACING_S = const(5)  # between two reports because of the dead-band or another decider, at least


class Telemetry:
    """plan: the Association (telemetry_interval, deadband). due_s: when the interval is over."""

    def __init__(self, plan, clock, device, out, tx):
        self._plan = plan
        self._clock = clock
        self._device = device
        self._out = out
        self._tx = tx
        self._slots = array("i", [ABSENT] * TEL_COUNT)
        self._power_w = 0
        self._decider = ABSENT
        self._sent_s = -NEVER
        self.seq = 0
        self.due_s = NEVER

    def moved(self, now_s):
        """True when the power left the dead-band, or someone else decides: worth a report before its time."""
        if now_s - self._sent_s < SPACING_S:
            return False
        deadband = self._plan.deadband
        if deadband != ABSENT:
            power = self._device.readings[R_POWER]
            if power != ABSENT and not -deadband <= power - self._power_w <= deadband:
                return True
        return self._device.decider != self._decider

    def send(self, now_s):
        """One report now. Allocates nothing."""
        slots = self._slots
        readings = self._device.readings
        for i in range(R_COUNT):
            slots[TEL_POWER + i] = readings[i]
        power = readings[R_POWER]
        if power == ABSENT:
            power = slots[TEL_POWER] = 0
        utc = self._clock.best(now_s)
        slots[TEL_TIME] = 0 if utc == ABSENT else utc
        slots[TEL_CLOCK] = self._clock.quality(now_s)
        decider = self._device.decider
        slots[TEL_DECIDER] = decider
        slots[TEL_SEQ] = self.seq
        self.seq = self.seq + 1 if self.seq < MAX_INT else 0
        self._power_w = power
        self._decider = decider
        self._sent_s = now_s
        self.due_s = now_s + self._plan.telemetry_interval
        self._out.send(CH_TELEMETRY, self._tx, profile.encode_hot(T_TELEMETRY, slots, self._tx), False)
