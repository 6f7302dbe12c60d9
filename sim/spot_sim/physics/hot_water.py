"""The hot-water tank of a heat pump: one well-mixed store, its losses, and a family that draws from it."""

from bisect import insort

from .load import poisson

_WATER_J = 4186.0  # per litre and K
_COLD_C, _ROOM_C = 10.0, 20.0
_USE = (
    (0.35, 6.9, 0.8),
    (0.5, 12.3, 1.0),
    (0.7, 18.3, 0.8),
    (1.0, 20.8, 1.1),
)  # cumulative share, mean and deviation in hours


class HotWater:
    """Temperatures in degC. litres: of the tank; litres_a_day: of mixed water at 40 degC; setpoint_c: where heating
    ends.

    Advanced by the house in its ticks: `step` lets the tank live, and takes out what was drawn in the meantime.
    """

    def __init__(self, seeds, calendar, litres=200, litres_a_day=130, setpoint_c=48.0, hysteresis_k=5.0, loss_w_k=1.8):
        self._rng, self._calendar, self._litres_a_day, self._loss_w_k = (
            seeds.stream("hot water"),
            calendar,
            litres_a_day,
            loss_w_k,
        )
        self.capacity_j_k = litres * _WATER_J
        self.setpoint_c, self.hysteresis_k = setpoint_c, hysteresis_k
        self.temperature_c = setpoint_c - hysteresis_k * self._rng.random()
        self.drawn_j = self.lost_j = 0.0
        self._day, self._draws = -1, []

    def step(self, from_s, until_s, heat_w):
        """Live from one second to another under a constant heat flow."""
        seconds = until_s - from_s
        lost_j = self._loss_w_k * (self.temperature_c - _ROOM_C) * seconds
        taken_j = 0.0
        while self._next_draw() < until_s:
            litres = self._draws.pop(0)[1]
            # what goes down the drain at 40 degC; a tank that is colder gives all it has
            taken_j += litres * _WATER_J * max(0.0, min(40.0, self.temperature_c) - _COLD_C)
        self.lost_j += lost_j
        self.drawn_j += taken_j
        self.temperature_c += (heat_w * seconds - lost_j - taken_j) / self.capacity_j_k

    def _next_draw(self):
        while not self._draws:
            self._day += 1
            start, rng = self._calendar.day_start(self._day), self._rng
            count = max(1, poisson(rng, 9))
            for _ in range(count):
                pick = rng.random()
                mean, deviation = next((m, d) for share, m, d in _USE if pick <= share)
                at_s = start + int(3600 * min(max(rng.gauss(mean, deviation), 0.0), 23.9))
                insort(self._draws, (at_s, self._litres_a_day / count * (0.5 + rng.random())))
        return self._draws[0][0]
