"""An energy meter's pulse output (S0): impulses per kWh.

Source: IEC 62053-31:1998 (before it DIN 43864): outputs of class A and B, a pulse and the pause behind it of at least
30 ms each, edges within 5 ms.

A pulse counts when its line was active for `min_pulse_ms`; gaps in it shorter than 5 ms are bounce, shorter pulses are
noise, counted in `errors`. Power is the energy of a pulse over the time between two; while the next one is not there it
cannot be more than that energy over the time since the latest, so it falls to 0 as 1/t. Energy is exact: nothing is
rounded away.

With the pin's interrupt both edges are timed as they come. Without one (irq 0) `poll` looks at the pin: then the
meter's pulses and pauses must be longer than the longest gap between two polls (docs/drivers/s0_meter.md).
"""

from ..codes import ABSENT
from ..port import const, ticks_add, ticks_diff

_BOUNCE_MS = const(5)
_LONG_MS = const(3600000)  # an hour: a line that is active that long is stuck


class PulseMeter:
    """A meter: `sample(now_s)` → True with new values every `period_s` and after a pulse; `power_w`, `power_dw`,
    `energy_wh` imported since boot; voltage, current, frequency and export are ABSENT. `fault`: the line is stuck.

    The power is 0 until two pulses came.
    """

    voltage_10mv = ABSENT
    current_ma = ABSENT
    frequency_mhz = ABSENT
    energy_export_wh = ABSENT

    def __init__(self, pin, trip, ticks_ms, per_kwh, period_s=10, min_pulse_ms=25, active=0, irq=None):
        self._pin = pin
        self._trip = trip
        self._ticks_ms = ticks_ms
        self._per_kwh = per_kwh
        # a pulse's energy in 0.1 W times ms: below 2^30, and so is every step on the way
        self._pulse_dw_ms = 36000000 // per_kwh * 1000 + 36000000 % per_kwh * 1000 // per_kwh
        self._min_ms = min_pulse_ms
        self._active = active
        self._on = pin.value() == active
        now = ticks_ms()
        self._edge_ms = ticks_add(now, -_BOUNCE_MS)  # the latest edge to inactive
        self._start_ms = now  # of the present pulse
        self._taken = True  # whether it counted, or was there before this start
        self._latest_ms = now  # start of the pulse that counted last
        self._interval_ms = 0  # between the latest two; 0: not known
        self._seen = False  # whether a pulse came
        self._count = 0  # in the handler
        self._done = 0  # in sample
        self._rest = 0
        self._sampled_s = ABSENT
        self._irq = irq is not None
        self.period_s = period_s
        self.fault = False
        self.errors = 0
        self.power_w = 0
        self.power_dw = 0
        self.energy_wh = 0
        if irq is not None:
            pin.irq(self._edge, irq)

    def _edge(self, pin):
        """An edge: takes the time. Allocates nothing; may run as an interrupt."""
        on = pin.value() == self._active
        if on == self._on:
            return  # two edges in one: too short to be anything
        self._on = on
        now = self._ticks_ms()
        if on:
            if ticks_diff(now, self._edge_ms) >= _BOUNCE_MS:
                if not self._taken:
                    self.errors += 1  # the one before was too short
                self._start_ms = now
                self._taken = False
            return
        self._edge_ms = now
        if not self._taken and ticks_diff(now, self._start_ms) >= self._min_ms:
            self._taken = True
            if self._seen:
                self._interval_ms = max(1, ticks_diff(self._start_ms, self._latest_ms))
            self._seen = True
            self._latest_ms = self._start_ms
            self._count += 1

    def poll(self):
        """True when a pulse counted since the latest `sample`."""
        if not self._irq:
            self._edge(self._pin)
        return self._count != self._done

    def sample(self, now_s):
        fresh = self.poll()
        if not fresh and self._sampled_s != ABSENT and now_s - self._sampled_s < self.period_s:
            return False
        self._sampled_s = now_s
        count = self._count
        self._rest += (count - self._done) * 1000
        self._done = count
        self.energy_wh += self._rest // self._per_kwh
        self._rest %= self._per_kwh
        now = self._ticks_ms()
        power_dw = 0
        if self._interval_ms:
            since_ms = ticks_diff(now, self._latest_ms)
            if 0 <= since_ms < _LONG_MS * 100:
                power_dw = self._pulse_dw_ms // max(since_ms, self._interval_ms)
            else:  # four days without one: before the clock wraps
                self._seen = False
                self._interval_ms = 0
        self.power_dw = power_dw
        self.power_w = (power_dw + 5) // 10
        if not self._on and ticks_diff(now, self._edge_ms) > _LONG_MS:
            self._edge_ms = ticks_add(now, -_LONG_MS)  # long ago stays long ago when the clock wraps
        stuck = self._on and ticks_diff(now, self._start_ms) >= _LONG_MS
        if stuck or not self._on:
            self.fault = stuck
        self._trip.check(ABSENT, self.power_w, ABSENT)
        return True

    def calibration(self):
        """Nothing to calibrate: a pulse is worth what the meter's plate says."""
        return ()

    def use(self, calibration):
        pass

    def adjust(self, shown, true):
        return None


CALIBRATED = ()
FIELDS = {
    "pin": (0, 255, True),
    "per_kwh": (50, 100000, True),
    "active": (0, 1, False),
    "pull": ("up", "down", "none"),
    "min_pulse_ms": (5, 1000, False),
    "period_s": (1, 60, False),
    "irq": (0, 1, False),
}


def make(part, hardware, board, ticks_ms, name):
    kind = hardware.Pin
    pull = part.get("pull", "up")
    pin = kind(part["pin"], kind.IN, kind.PULL_UP if pull == "up" else kind.PULL_DOWN if pull == "down" else None)
    irq = kind.IRQ_RISING | kind.IRQ_FALLING if part.get("irq", 1) else None
    return PulseMeter(pin, board.trip, ticks_ms, part["per_kwh"], part.get("period_s", 10),
                      part.get("min_pulse_ms", 25), part.get("active", 0), irq)
