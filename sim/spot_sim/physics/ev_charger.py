"""An electric car at a socket: home in the evening, full by the morning if it may charge."""

from math import ceil

from .load import Load, around

_HOUR = 3600


class EvCharger(Load):
    """A car at a socket: comes home in the evening, wants its energy until it leaves. A cut stops it, it resumes by
    itself.

    rated_w: 2300 for a socket at 10 A. need_kwh: (least, most) of a night. The last twentieth is charged at half the
    power.
    """

    def __init__(self, seeds, calendar, rated_w=2300, need_kwh=(4.0, 14.0), at_home_share=0.85):
        super().__init__(rated_w, power_factor=0.99, surge_ma=32_000)
        self.state = "away"  # away, waiting (no supply), settling (talks to the car), charging, taper, full
        self.missed_wh = 0.0  # of all nights
        self.sessions = 0
        self.arrival_s = self.departure_s = self.need_mj = self._left_mj = 0
        self._calendar, self._habits = calendar, seeds.stream("habits")
        self._need_kwh, self._at_home_share = need_kwh, at_home_share
        self._day = -1
        self._share, self._settling_s, self._counted_s = 1.0, 0, 0
        self._standby_mw = 3_000
        self.power_mw = self._standby_mw
        self._look_ahead(0)

    def remaining_wh(self, now_s):
        """What the car still wants, in Wh; 0 when it is away or full."""
        self.advance(now_s)
        left = self._left_mj - (self.power_mw * (now_s - self._since_s) if self.state in ("charging", "taper") else 0)
        return max(0, left) / 3_600_000

    def _look_ahead(self, at_s):
        rng = self._habits
        while True:
            self._day += 1
            home = rng.random() < self._at_home_share
            arrival = self._calendar.day_start(self._day) + int(_HOUR * min(max(rng.gauss(17.6, 1.2), 13.0), 22.5))
            departure = self._calendar.day_start(self._day + 1) + int(_HOUR * min(max(rng.gauss(7.3, 0.6), 5.0), 11.0))
            least, most = self._need_kwh
            need_kwh = least + (most - least) * rng.random()
            share, settling_s = around(rng, 1.0, 0.015), 8 + int(25 * rng.random())
            if home and arrival > at_s:
                break
        self.arrival_s, self.departure_s, self.need_mj = arrival, departure, int(need_kwh * 3.6e9)
        self._share, self._settling_s = share, settling_s
        self._next_s = arrival

    def _change(self, at_s):
        if self.state == "away":
            self.sessions += 1
            self._left_mj = self.need_mj
            self._plug_in(at_s)
        elif at_s >= self.departure_s:
            self._count(at_s)
            self.missed_wh += max(0, self._left_mj) / 3_600_000
            self._left_mj = 0
            self.state = "away"
            self.power_mw = self._standby_mw if self.closed else 0
            self._look_ahead(at_s)
        elif self.state == "settling":
            self._surge_s = self._counted_s = at_s
            self._charge(at_s)
        else:
            self._count(at_s)
            self._charge(at_s)

    def _count(self, at_s):
        """Take off what was charged since it was counted last."""
        if self.state in ("charging", "taper"):
            self._left_mj -= self.power_mw * (at_s - self._counted_s)
        self._counted_s = at_s

    def _plug_in(self, at_s):
        if not self.closed:
            self.state, self.power_mw, self._next_s = "waiting", 0, self.departure_s
            return
        self.state, self.power_mw = "settling", self._standby_mw
        self._next_s = min(self.departure_s, at_s + self._settling_s)

    def _charge(self, at_s):
        full_mw = int(self.rated_w * self._share * 1000)
        taper_mj = self.need_mj // 20
        if self._left_mj <= 0:
            self.state, self.power_mw, self._next_s = "full", self._standby_mw, self.departure_s
            return
        if self._left_mj > taper_mj:
            self.state, self.power_mw, todo_mj = "charging", full_mw, self._left_mj - taper_mj
        else:
            self.state, self.power_mw, todo_mj = "taper", full_mw // 2, self._left_mj
        self._next_s = min(self.departure_s, at_s + max(1, ceil(todo_mj / self.power_mw)))

    def _supply(self, at_s):
        if self.state == "away":
            self.power_mw = self._standby_mw if self.closed else 0
            return
        self._count(at_s)
        if not self.closed and self._left_mj <= 0:
            self.state, self.power_mw, self._next_s = "full", 0, self.departure_s
        else:
            self._plug_in(at_s)
