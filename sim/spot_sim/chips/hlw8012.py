"""A simulated HLW8012 or BL0937: pulses on CF and CF1 at the moment they are due, SEL as the firmware drives it.

Written from the data sheets (see firmware/spot/board/hlw8012.py for the sources), not from the driver: floating point,
and the formulas as they stand there.
"""

SHUNT_OHM, DIVIDER = 0.001, 1 / 2351
_TURN_US = 20_000  # how often it looks at the load while no pulse is due
_SETTLE_US = 300_000  # after SEL turned, CF1 goes over from the one to the other


class PulseChip:
    """On the lines `cf`, `cf1` and `sel` (numbers) of `hardware`, in front of `source` with power_w(now_s) and
    power_factor; model "hlw8012" or "bl0937". `advance` of the hardware lets the pulses come.

    Faults: `dead` (no pulse), `lose` (so many pulses of CF that do not come), `jitter_us` (each comes late by 0 to so
    much, of the generator `random`), `restart()` (the supply dips: 100 ms without pulses, and the phases begin anew);
    `glitch(cf, n)`: n pulses that mean nothing.
    """

    def __init__(self, hardware, source, mains, cf, cf1, sel, model="hlw8012", random=None):
        self._hardware = hardware
        self._source = source
        self._mains = mains
        self._lines = hardware.line(cf), hardware.line(cf1)
        self._sel = hardware.line(sel)
        self._current_level = 1 if model == "hlw8012" else 0
        self._model = model
        self._random = random
        self._phase = [0.0, 0.0]
        self._at_us = hardware.now_us()
        self._quiet_us = 0
        self._turned_us = -_SETTLE_US
        self._rates = 0.0, 0.0
        self.pulses = [0, 0]
        self.dead = False
        self.lose = self.jitter_us = 0
        self._sel.watch(self._on_sel)
        hardware.call_in_us(_TURN_US, self._turn)

    def _on_sel(self, now_s, level):
        self._turned_us = self._hardware.now_us()

    def restart(self):
        self._phase = [0.0, 0.0]
        self._quiet_us = self._hardware.now_us() + 100_000

    def glitch(self, cf, n):
        for _ in range(n):
            self._pulse(0 if cf else 1)

    def rates(self):
        """(CF, CF1) in Hz, of now."""
        now_s = self._hardware.now_s
        watts = abs(self._source.power_w(now_s))
        volts = self._mains.voltage_10mv(now_s) / 100
        amps = watts / (volts * self._source.power_factor) if volts else 0.0
        shunt, divided = amps * SHUNT_OHM, volts * DIVIDER
        product = watts * SHUNT_OHM * DIVIDER  # of shunt and divider, in phase
        if self._model == "hlw8012":
            power = product * 48 / 2.43**2 * 3_579_000 / 128
            current, voltage = shunt * 24 / 2.43 * 3_579_000 / 512, divided * 2 / 2.43 * 3_579_000 / 512
        else:
            power = product * 1_721_506 / 1.218**2
            current, voltage = shunt * 94_638 / 1.218, divided * 15_397 / 1.218
        chosen, other = (current, voltage) if self._sel.level == self._current_level else (voltage, current)
        settled = (self._hardware.now_us() - self._turned_us) / _SETTLE_US
        return power, chosen if settled >= 1 else other + (chosen - other) * settled

    def _turn(self):
        hardware = self._hardware
        now = hardware.now_us()
        live = not self.dead and now >= self._quiet_us
        for i in (0, 1):
            self._phase[i] += self._rates[i] * (now - self._at_us) / 1e6
            while self._phase[i] >= 1 - 1e-9:
                self._phase[i] -= 1
                if live:
                    self._due(i)
        self._at_us = now
        self._rates = self.rates() if live else (0.0, 0.0)
        wait = _TURN_US
        for i in (0, 1):
            if self._rates[i]:
                wait = min(wait, (1 - self._phase[i]) / self._rates[i] * 1e6)
        hardware.call_in_us(max(1, round(wait)), self._turn)

    def _due(self, i):
        if i == 0 and self.lose:
            self.lose -= 1
            return
        if self.jitter_us:
            self._hardware.call_in_us(self._random.randrange(self.jitter_us), lambda: self._pulse(i))
        else:
            self._pulse(i)

    def _pulse(self, i):
        self.pulses[i] += 1
        line = self._lines[i]
        line.drive(1)
        line.drive(0)
