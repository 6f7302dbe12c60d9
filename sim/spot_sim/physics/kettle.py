"""A kettle: bursts of heat when somebody wants tea."""

from bisect import insort
from math import ceil

from .load import Load, around, poisson

_HOUR = 3600
_WATER = 4186  # J/(kg K)


class Kettle(Load):
    """Boils water in bursts. A cut interrupts it; its switch stays down, so it goes on with the supply, until nobody
    waits any longer.

    boils_per_day: mean number. rated_w: power of the heater.
    """

    # cumulative share, mean and deviation in hours
    _TIMES = ((0.3, 7.0, 0.6), (0.5, 10.5, 1.0), (0.75, 15.5, 1.0), (1.0, 20.0, 1.2))
    _PATIENCE_S = 1800

    def __init__(self, seeds, calendar, boils_per_day=4.0, rated_w=2000):
        super().__init__(rated_w)
        self.boils = self.given_up = 0
        self._calendar, self._habits, self._boils_per_day = calendar, seeds.stream("habits"), boils_per_day
        self._share = around(self._habits, 1.0, 0.03)
        self._planned_day, self._plan = -1, []
        self._need_mj = 0  # energy that the boil in hand still takes
        self._patience_s = self._counted_s = 0
        self._next_s = self._look_ahead(0)

    def _look_ahead(self, at_s):
        """Plan days until there is a boil after `at_s`."""
        while not self._plan:
            self._planned_day += 1
            start = self._calendar.day_start(self._planned_day)
            rng = self._habits
            for _ in range(poisson(rng, self._boils_per_day)):
                pick = rng.random()
                mean, deviation = next((m, d) for share, m, d in self._TIMES if pick <= share)
                when = start + int(_HOUR * min(max(rng.gauss(mean, deviation), 0.0), 23.5))
                litres, cold = 0.7 + 0.8 * rng.random(), 12 + 8 * rng.random()
                need_mj = int(litres * _WATER * (100 - cold) / 0.9 * 1000)  # a tenth warms the kettle and the room
                if when > at_s:
                    insort(self._plan, (when, need_mj))
        return self._plan[0][0]

    def _change(self, at_s):
        if self.power_mw:  # boiled
            self.power_mw = self._need_mj = 0
            self.boils += 1
        elif self._need_mj and at_s >= self._patience_s:
            self._need_mj = 0
            self.given_up += 1
        if self._plan and self._plan[0][0] <= at_s:
            need_mj = self._plan.pop(0)[1]
            if not self._need_mj:  # whoever finds it at work takes from the same water
                self._need_mj, self._patience_s = need_mj, at_s + self._PATIENCE_S
        self._go(at_s)

    def _supply(self, at_s):
        if self.power_mw:  # cut: the next event would have been the end of the boil
            self._need_mj -= self.power_mw * (at_s - self._counted_s)
            self._patience_s = at_s + self._PATIENCE_S
        self._go(at_s)

    def _go(self, at_s):
        if self._need_mj > 0 and self.closed:
            self.power_mw = int(self.rated_w * self._share * 1000)
            self._surge_s = self._counted_s = at_s
            self._next_s = at_s + max(1, ceil(self._need_mj / self.power_mw))
            while self._plan and self._plan[0][0] <= self._next_s:
                self._plan.pop(0)
            return
        self.power_mw = 0
        if self._need_mj < 0:
            self._need_mj = 0
        self._next_s = self._look_ahead(at_s)
        if self._need_mj:
            self._next_s = min(self._next_s, max(self._patience_s, at_s + 1))
