"""A simulated NTC thermistor in a divider, as a converter of so many bits reads it."""

from math import exp, log


class NtcDivider:
    """`read_u16()`: what goes into `Hardware.adcs[pin]`. `celsius`: a number or a function () -> number.

    The thermistor follows the B equation, or a table [(°C, Ohm), …] with ln R linear in between; to_supply: it lies on
    the supply's side. Faults: `open`, `shorted`, `noise` (a function () -> counts of 65535 that are added), `stuck` (a
    reading that stays).
    """

    def __init__(self, celsius, r25=10000, beta=3977, series=10000, to_supply=False, table=None, bits=12):
        self.celsius = celsius
        self._r25, self._beta, self._series, self._to_supply = r25, beta, series, to_supply
        self._table, self._bits = table, bits
        self.open = self.shorted = False
        self.noise = None
        self.stuck = None
        self.reads = 0

    def ohms(self, celsius):
        if self._table:
            pairs = self._table
            for (c0, r0), (c1, r1) in zip(pairs, pairs[1:]):  # noqa: B905 - MicroPython has no strict
                if c0 <= celsius <= c1:
                    return exp(log(r0) + (log(r1) - log(r0)) * (celsius - c0) / (c1 - c0))
            raise ValueError(celsius)
        return self._r25 * exp(self._beta * (1 / (celsius + 273.15) - 1 / 298.15))

    def read_u16(self):
        self.reads += 1
        if self.stuck is not None:
            return self.stuck
        if self.open or self.shorted:
            share = float(self.open != self._to_supply)
        else:
            ohm = self.ohms(self.celsius() if callable(self.celsius) else self.celsius)
            share = (self._series if self._to_supply else ohm) / (ohm + self._series)
        value = share * 65535 + (self.noise() if self.noise is not None else 0)
        top = (1 << self._bits) - 1
        code = min(top, max(0, int(value / 65536 * (top + 1))))
        return code << (16 - self._bits) | code >> (2 * self._bits - 16)
