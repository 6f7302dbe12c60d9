"""A simulated meter with a pulse output: an open collector that pulls its line down for each so many Wh."""


class S0Output:
    """Follows `source.power_w(now_s)`; a look once a second, pulses at their own microseconds, in `Hardware.advance`.

    `pulses` is what it gave, `start()` begins. Faults: `bounce` (microseconds from edge to edge after each edge),
    `dropped` (so many of the next pulses do not come), `dead`, `stuck` (the line stays active from the next pulse on),
    `spike(us)` (somebody else's pulse). `fast`: how many times too fast an error of the meter makes it.
    """

    def __init__(self, line, source, per_kwh=1000, width_ms=30, active=0):
        self._line, self._hardware = line, line._hardware
        self._source = source
        self._pulse_mj = 3_600_000_000 / per_kwh
        self._width_us = width_ms * 1000
        self._active = active
        self._stored_mj = 0.0
        self.bounce = ()
        self.pulses = self.dropped = 0
        self.dead = self.stuck = False
        line.drive(1 - active)

    def start(self):
        self._second()

    def _second(self):
        """The pulses of the second that begins, at constant power."""
        power_w = self._source.power_w(self._hardware.now_s)
        step_mj = max(0.0, power_w) * 1000
        stored = self._stored_mj
        at_mj = self._pulse_mj - stored
        while step_mj and at_mj <= step_mj:
            self._hardware.call_in_us(int(at_mj / step_mj * 1_000_000), self.pulse)
            at_mj += self._pulse_mj
        self._stored_mj = (stored + step_mj) % self._pulse_mj
        self._hardware.call_in_us(1_000_000, self._second)

    def pulse(self):
        """One pulse, now."""
        if self.dropped:
            self.dropped -= 1
            return
        if self.dead:
            return
        self.pulses += 1
        self._edge(self._active)
        if not self.stuck:
            self._hardware.call_in_us(self._width_us, lambda: self._edge(1 - self._active))

    def _edge(self, level):
        self._line.drive(level)
        at_us = 0
        now = level
        for width_us in self.bounce:
            at_us += width_us
            now = 1 - now
            self._hardware.call_in_us(at_us, lambda to=now: self._line.drive(to))
        if now != level:
            self._hardware.call_in_us(at_us + 50, lambda: self._line.drive(level))

    def spike(self, width_us):
        self._line.drive(self._active)
        self._hardware.call_in_us(width_us, lambda: self._line.drive(1 - self._active))
