"""Appliances behind plugs: kettle, fridge, washing machine, electric car. Each with its habits, its start and its reaction to the switch.

Habits (when somebody wants tea) come from one random stream and details (how the mains voltage scatters the power) are drawn together
with them, day by day, never in answer to the switch: two runs of one seed differ only by what the control did.
"""

from bisect import insort
from dataclasses import dataclass
from math import ceil, exp, log

from .load import Load, around, poisson

_HOUR = 3600
_WATER = 4186  # J/(kg K)


class Kettle(Load):
    """Boils water in bursts. A cut interrupts it; its switch stays down, so it goes on with the supply, until nobody waits any longer.

    boils_per_day: mean number. rated_w: power of the heater.
    """

    __slots__ = ("boils", "given_up", "_calendar", "_habits", "_share", "_planned_day", "_plan", "_boils_per_day", "_need_mj", "_patience_s",
                 "_counted_s")  # fmt: skip

    _TIMES = ((0.3, 7.0, 0.6), (0.5, 10.5, 1.0), (0.75, 15.5, 1.0), (1.0, 20.0, 1.2))  # cumulative share, mean and deviation in hours
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


class Fridge(Load):
    """A compressor that a thermostat switches, and the cold that it stores. Warms up while it is cut, and catches up afterwards.

    Temperatures in degC, ua_w_k (loss to the kitchen) in W/K, heat_capacity_j_k in J/K.
    """

    __slots__ = (
        "low_c", "high_c", "kitchen_c", "starts", "_cop", "_tau_s", "_ua", "_capacity", "_temperature", "_at_s", "_aim_c", "_calling",
        "_running", "_stopped_s", "_doors", "_door_s", "_calendar", "_surge_power_mw",
    )  # fmt: skip

    _PAUSE_S = 180  # until the pressures are even and the compressor can start again
    _STANDBY_MW = 500
    _DOORS_PER_DAY = 16
    _DOOR_J = 8_000

    def __init__(self, seeds, calendar, rated_w=85, low_c=3.5, high_c=6.5, ua_w_k=2.0, heat_capacity_j_k=32_000, cop=1.6):
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


@dataclass(frozen=True)
class Job:
    """A run that can be moved. Times in simulated seconds; energy in Wh."""

    ready_s: int
    deadline_s: int
    duration_s: int
    energy_wh: float


class WashingMachine(Load):
    """Runs a programme of phases when it is loaded and supplied. A cut pauses it; after a long one it heats again what has cooled.

    runs_per_week: mean number. Behind an open switch a loaded machine waits: that is how its run is moved.
    """

    __slots__ = ("state", "finished", "late", "_calendar", "_habits", "_runs_per_week", "_day", "_planned", "_job", "_steps", "_step_end_s",
                 "_paused_s")  # fmt: skip

    _STANDBY_MW = 800
    _PHASES = (  # name, seconds, W, seconds of one piece, scatter of the power
        ("fill", 120, 35, 120, 0.1), ("heat", 840, 2000, 840, 0.01), ("wash", 2400, 130, 120, 0.35), ("drain", 90, 45, 90, 0.1),
        ("rinse", 1200, 90, 120, 0.35), ("spin", 240, 320, 60, 0.3), ("spin", 360, 480, 120, 0.1),
    )  # fmt: skip
    _COOLING_S = 7200.0

    def __init__(self, seeds, calendar, runs_per_week=4.0, rated_w=2100):
        super().__init__(rated_w, power_factor=0.95, surge_ma=14_000)
        self.state = "empty"  # empty, ready (loaded, waiting for the supply), running, paused
        self.finished = self.late = 0
        self._calendar, self._habits, self._runs_per_week = calendar, seeds.stream("habits"), runs_per_week
        self._day = -1
        self._planned = None  # (ready_s, job, steps)
        self._job = None
        self._steps = []  # what remains of the programme: [seconds, mW, name], last first
        self._step_end_s = self._paused_s = 0
        self.power_mw = self._STANDBY_MW
        self._look_ahead(0)

    def job(self):
        """The run that waits or is under way, or None."""
        return self._job

    def _look_ahead(self, at_s):
        rng = self._habits
        while self._planned is None or self._planned[0].ready_s <= at_s:
            self._planned = None
            self._day += 1
            wanted, morning = rng.random() < self._runs_per_week / 7, rng.random() < 0.5
            hour = rng.gauss(9.0, 1.0) if morning else rng.gauss(17.5, 1.0)
            hours = 8 + 6 * rng.random()
            steps = []
            for name, seconds, watts, piece, scatter in self._PHASES:
                for _ in range(seconds // piece):
                    steps.append([piece, int(around(rng, watts, scatter) * 1000), name])
            ready_s = self._calendar.day_start(self._day) + int(_HOUR * hour)
            if wanted and ready_s > at_s:
                duration_s = sum(step[0] for step in steps)
                energy_wh = sum(step[0] * step[1] for step in steps) / 3_600_000
                self._planned = (Job(ready_s, ready_s + int(hours * _HOUR), duration_s, energy_wh), steps[::-1])
        self._next_s = self._planned[0].ready_s

    def _change(self, at_s):
        if self.state == "running":
            self._steps.pop()
            if not self._steps:
                self.finished += 1
                self.late += at_s > self._job.deadline_s
                self.state, self._job = "empty", None
                self.power_mw = self._STANDBY_MW
                self._look_ahead(at_s)
                return
            self._run(at_s)
            return
        if self._job is not None:  # the next load comes while the last one still waits
            self._look_ahead(at_s)
            return
        (self._job, self._steps), self._planned = self._planned, None
        self.state = "ready"
        if self.closed:
            self.state = "running"
            self._surge_s = at_s
            self._run(at_s)
        else:
            self._look_ahead(at_s)

    def _run(self, at_s):
        seconds, self.power_mw, _ = self._steps[-1]
        self._next_s = self._step_end_s = at_s + seconds

    def _supply(self, at_s):
        if not self.closed:
            self.power_mw = 0
            if self.state == "running":
                self.state, self._paused_s = "paused", at_s
                self._steps[-1][0] = self._step_end_s - at_s
                self._look_ahead(at_s)
            return
        self.power_mw = self._STANDBY_MW
        if self.state == "paused" and self._steps[-1][2] in ("heat", "wash"):
            heat_s = int(840 * (1 - exp((self._paused_s - at_s) / self._COOLING_S)))
            if heat_s >= 30:
                self._steps.append([heat_s, 2_000_000, "heat"])
        if self.state in ("ready", "paused"):
            self.state = "running"
            self._surge_s = at_s
            self._run(at_s)


class EvCharger(Load):
    """A car at a socket: comes home in the evening, wants its energy until it leaves. A cut stops it, it resumes by itself.

    rated_w: 2300 for a socket at 10 A. need_kwh: (least, most) of a night. The last twentieth is charged at half the power.
    """

    __slots__ = ("state", "missed_wh", "sessions", "arrival_s", "departure_s", "need_mj", "_calendar", "_habits", "_need_kwh", "_day", "_left_mj",
                 "_share", "_settling_s", "_counted_s", "_at_home_share", "_standby_mw")  # fmt: skip

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


APPLIANCES = {"kettle": Kettle, "fridge": Fridge, "washing_machine": WashingMachine, "ev": EvCharger}


def make(kind, seeds, calendar, **parameters):
    """An appliance by its name in a scenario file. Raises ValueError for an unknown kind."""
    try:
        build = APPLIANCES[kind]
    except KeyError:
        raise ValueError(f"unknown appliance {kind!r}: known are {', '.join(sorted(APPLIANCES))}") from None
    return build(seeds, calendar, **parameters)
