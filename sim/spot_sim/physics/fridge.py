"""A fridge: a thermostat, a compressor that must pause, and a store of cold that doors warm."""

from math import ceil, exp, log

from .load import Load, around

_HOUR = 3600


class Fridge(Load):
    """A compressor that a thermostat switches, and the cold that it stores. Warms up while it is cut, and catches up
    afterwards.

    Temperatures in degC, ua_w_k (loss to the kitchen) in W/K, heat_capacity_j_k in J/K.
    """

    _PAUSE_S = 180  # until the pressures are even and the compressor can start again
    _STANDBY_MW = 500
    _DOORS_PER_DAY = 16
    _DOOR_J = 8_000

    def __init__(
        self, seeds, calendar, rated_w=85, low_c=3.5, high_c=6.5, ua_w_k=2.0, heat_capacity_j_k=32_000, cop=1.6
    ):
        super().__init__(rated_w, power_factor=0.72, surge_ma=9_000)
        rng = seeds.stream("habits")
        self.rated_w = around(rng, rated_w, 0.1)
        self.low_c, self.high_c = low_c, high_c
        self.kitchen_c = 20 + 3 * rng.random()
        self.starts = 0
        self._cop, self._ua, self._capacity = cop, around(rng, ua_w_k, 0.2), around(rng, heat_capacity_j_k, 0.2)
        self._tau_s = self._capacity / self._ua
        self._surge_power_mw = int(self.rated_w * 4500)  # mean of the first second: a third of it with the rotor still
        self._temperature = low_c + (high_c - low_c) * rng.random()
        self._at_s = 0
        self._calling = self._running = False  # the thermostat's contact; the compressor
        self._stopped_s = -self._PAUSE_S
        self._doors, self._calendar = rng, calendar
        self._door_s = self._next_door(0)
        self._go(0)

    def temperature_c(self, now_s):
        """Temperature inside in degC."""
        self.advance(now_s)
        return self._warmth(now_s)

    def _aim(self):
        return self.kitchen_c - (self.rated_w * self._cop / self._ua if self._running else 0.0)

    def _warmth(self, now_s):
        return self._aim_c + (self._temperature - self._aim_c) * exp((self._at_s - now_s) / self._tau_s)

    def _next_door(self, at_s):
        """Somebody opens the door, between 6 and 23 o'clock."""
        at_s += 1 + int(self._doors.expovariate(self._DOORS_PER_DAY / (17 * _HOUR)))
        hour = self._calendar.second_of_day(at_s) // _HOUR
        if not 6 <= hour < 23:
            at_s += ((30 - hour) % 24) * _HOUR
        return at_s

    def _change(self, at_s):
        self._temperature, self._at_s = self._warmth(at_s), at_s
        if at_s >= self._door_s:
            self._temperature += self._DOOR_J / self._capacity
            self._door_s = self._next_door(at_s)
        self._go(at_s)

    def _supply(self, at_s):
        self._temperature, self._at_s = self._warmth(at_s), at_s
        self._go(at_s)

    def _go(self, at_s):
        inside = self._temperature
        if inside >= self.high_c - 1e-9:
            self._calling = True
        elif inside <= self.low_c + 1e-9:
            self._calling = False
        ready_s = self._stopped_s + self._PAUSE_S
        run = self._calling and self.closed and (self._running or at_s >= ready_s)
        started = run and not self._running
        if self._running and not run:
            self._stopped_s = at_s
            ready_s = at_s + self._PAUSE_S
        self._running = run
        self._aim_c = self._aim()
        if started:
            self.starts += 1
            self._surge_s = at_s
            self.power_mw = self._surge_power_mw
            self._next_s = at_s + 1
            return
        self.power_mw = (int(self.rated_w * 1000) if run else self._STANDBY_MW) if self.closed else 0
        after_s = self._door_s
        mark = self.low_c if run else self.high_c
        reach = (inside - self._aim_c) / (mark - self._aim_c) if mark != self._aim_c else -1.0
        if reach > 1.0:  # it is on the way to the mark
            after_s = min(after_s, at_s + max(1, ceil(self._tau_s * log(reach))))
        if self._calling and self.closed and not run:
            after_s = min(after_s, ready_s)
        self._next_s = max(after_s, at_s + 1)
