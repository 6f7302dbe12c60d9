"""What every electric load has in common: power that is constant between events, and energy that is exact."""

from math import exp

NEVER_S = 1 << 40  # later than any run


class Load:
    """A load behind a switch.

    Time is whole simulated seconds and never goes back. Between two events the power is constant, so that a load can be
    advanced in jumps of any size: the result does not depend on how often anybody looked. Energy is an integer in
    millijoules (mW times s).

    A subclass sets `power_mw` and `_next_s` in `_change` (an event of its own is due) and in `_supply` (the switch
    moved); both are called with the energy settled up to `at_s`. `_next_s` must lie after `at_s`.
    """

    __slots__ = (
        "power_mw",
        "closed",
        "power_factor",
        "rated_w",
        "surge_ma",
        "_energy_mj",
        "_since_s",
        "_next_s",
        "_surge_s",
    )

    def __init__(self, rated_w, power_factor=1.0, surge_ma=0):
        self.power_mw = 0  # mean power of the running second; current after `advance`
        self.closed = True
        self.rated_w = rated_w
        self.power_factor = power_factor
        self.surge_ma = surge_ma  # largest current of a half-wave in the first second after a start
        self._energy_mj = 0
        self._since_s = 0
        self._next_s = NEVER_S
        self._surge_s = -1

    def advance(self, now_s):
        """Live up to `now_s`."""
        while self._next_s <= now_s:
            at_s = self._next_s
            self._energy_mj += self.power_mw * (at_s - self._since_s)
            self._since_s = at_s
            self._change(at_s)

    def set_supply(self, now_s, closed):
        """The switch before the load closes or opens."""
        if self._next_s <= now_s:
            self.advance(now_s)
        if closed == self.closed:
            return
        self._settle(now_s)
        self.closed = closed
        self._supply(now_s)

    def power_w(self, now_s):
        """Power in W (a float), mean of the running second."""
        if self._next_s <= now_s:
            self.advance(now_s)
        return self.power_mw / 1000

    def energy_mj(self, now_s):
        """Energy since second 0 in millijoules, exact."""
        if self._next_s <= now_s:
            self.advance(now_s)
        return self._energy_mj + self.power_mw * (now_s - self._since_s)

    def energy_wh(self, now_s):
        """Energy since second 0 in Wh (a float)."""
        return self.energy_mj(now_s) / 3_600_000

    def surge_current_ma(self, now_s):
        """Largest half-wave current of this second in mA if the load has just started, otherwise 0."""
        if self._next_s <= now_s:
            self.advance(now_s)
        return self.surge_ma if now_s == self._surge_s else 0

    def current_ma(self, now_s, voltage_10mv):
        """RMS current in mA at a voltage in 10 mV, 0 without one."""
        if self._next_s <= now_s:
            self.advance(now_s)
        return round(self.power_mw * 100 / (voltage_10mv * self.power_factor)) if voltage_10mv else 0

    def next_change(self):
        """The second of the next event by itself, NEVER_S for none. The power cannot change before unless the switch
        moves.
        """
        return self._next_s

    def _settle(self, at_s):
        self._energy_mj += self.power_mw * (at_s - self._since_s)
        self._since_s = at_s

    def _change(self, at_s):
        raise NotImplementedError

    def _supply(self, at_s):
        raise NotImplementedError


def around(rng, value, share):
    """`value`, off by up to `share` of it."""
    return value * (1 + share * (2 * rng.random() - 1))


def poisson(rng, mean):
    """A Poisson count, by Knuth's product of uniform numbers (for small means)."""
    bound, count, product = exp(-mean), 0, rng.random()
    while product > bound:
        count += 1
        product *= rng.random()
    return count
