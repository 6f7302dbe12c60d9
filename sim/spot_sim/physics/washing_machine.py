"""A washing machine: a programme of phases that can be moved, paused and resumed."""

from dataclasses import dataclass
from math import exp

from .load import Load, around

_HOUR = 3600


@dataclass(frozen=True)
class Job:
    """A run that can be moved. Times in simulated seconds; energy in Wh."""

    ready_s: int
    deadline_s: int
    duration_s: int
    energy_wh: float


class WashingMachine(Load):
    """Runs a programme of phases when it is loaded and supplied. A cut pauses it; after a long one it heats again what
    has cooled.

    runs_per_week: mean number. Behind an open switch a loaded machine waits: that is how its run is moved.
    """

    _STANDBY_MW = 800
    _PHASES = (  # name, seconds, W, seconds of one piece, scatter of the power
        ("fill", 120, 35, 120, 0.1),
        ("heat", 840, 2000, 840, 0.01),
        ("wash", 2400, 130, 120, 0.35),
        ("drain", 90, 45, 90, 0.1),
        ("rinse", 1200, 90, 120, 0.35),
        ("spin", 240, 320, 60, 0.3),
        ("spin", 360, 480, 120, 0.1),
    )
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
