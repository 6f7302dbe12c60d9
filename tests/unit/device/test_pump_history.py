"""Random histories of a heat pump, drawn from fixed seeds, against a plant that measures what becomes of it
(pump_plant.py): episodes that lead where guards meet, one upon another, with whatever else may happen between.
"""

import os
import random

import pytest

from spot.codes import ABSENT, REASON_BELOW_MINIMUM, REASON_OVERRIDE, REASON_WRITES
from spot.device.heat_pump_rows import ROWS
from tests.unit.device.pump_plant import ASKED, LOCK, NOTHING, OFF, Plant

SEEDS = int(os.environ.get("PUMP_SEEDS", "24"))
LIMITS = [ABSENT, ABSENT, ABSENT, 0, 1000, 1500, 3100, 4600, 9000]


class History:
    """One seed: a plant and what happens to it in `days`."""

    def __init__(self, seed):
        self.rng = rng = random.Random(seed)
        wears = rng.random() < 0.7
        self.plant = Plant(
            speaks=rng.random() < 0.75, wears=wears, clock=rng.random() < 0.7, hold_s=rng.choice([0, 0, 300]),
            block_s=rng.choice([7200, 7200, 5400]), pause_s=rng.choice([420, 420, 420, 3600]),
            budget=rng.choice([8, 12, 40]),
        )

    def run(self, days):
        plant, rng = self.plant, self.rng
        end_s = plant.now_s + days * 86400
        while plant.now_s < end_s:
            rng.choice(self.EPISODES)(self)
            for name, usual in (("room", 2100), ("flow", 3500), ("word", None), ("sensor", True), ("disobeys", False)):
                if rng.random() < 0.8:
                    setattr(plant, name, usual)
            if rng.random() < 0.8:
                plant.machine.silent = False
                plant.cools = 1
            if rng.random() < 0.5:
                plant.demand = rng.random() < 0.6
                plant.ices = rng.random() < 0.3
            if rng.random() < 0.5:
                plant.ask()
            if rng.random() < 0.2:
                plant.press()
            self.minutes(rng.choice([1, 5, 20, 60, 150]))
        return plant.met

    def minutes(self, count):
        """Time passes, and now and then a bit is added to it."""
        for _ in range(count):
            self.plant.run(self.rng.choice([60, 60, 60, 23]))

    # --- episodes ---------------------------------------------------------------------------------------------------

    def anything(self):
        """An EMD without a plan."""
        for _ in range(self.rng.randrange(1, 6)):
            self.plant.ask(self.rng.choice(ASKED), self.rng.choice(LIMITS))
            self.minutes(self.rng.randrange(1, 40))

    def hasty(self):
        """Locks and releases as fast as the guards allow, until the starts of the hour are used up."""
        self.plant.demand = True
        for cycle in range(self.rng.randrange(4, 10)):
            self.plant.ask(NOTHING if cycle % 2 else OFF)
            self.minutes(self.rng.randrange(7, 14))

    def at_once(self):
        """Changes its mind within the minute."""
        self.plant.demand = True
        for _ in range(self.rng.randrange(2, 6)):
            self.plant.ask(self.rng.choice([OFF, NOTHING, ASKED[3], ASKED[6]]))
            if self.rng.random() < 0.5:
                self.plant.run(self.rng.randrange(1, 60))

    def thermostat(self):
        """The house starts and stops the compressor by itself, in the midst of commands."""
        for _ in range(self.rng.randrange(2, 7)):
            self.plant.demand = not self.plant.demand
            self.minutes(self.rng.randrange(1, 12))
            if self.rng.random() < 0.5:
                self.plant.ask(self.rng.choice([OFF, NOTHING]))

    def long_lock(self):
        """Locked for as long as it goes, and asked for again at once; a machine may run all the same."""
        plant, rng = self.plant, self.rng
        plant.ask(*rng.choice([(OFF, ABSENT), (NOTHING, 0), (NOTHING, 1000), (ASKED[5], 3100)]))
        stubborn = rng.random() < 0.5
        for _ in range(rng.randrange(60, 160)):
            if stubborn and plant.state == LOCK:
                plant.disobeys = rng.random() < 0.8 if plant.disobeys else rng.random() < 0.2
            self.minutes(1)
            if rng.random() < 0.02:
                plant.ask()
                self.minutes(rng.randrange(1, 15))
                plant.ask(OFF)

    def cold_in_a_lock(self):
        """Frost, comfort, hot water, a sensor that goes missing: in a lock, in its pause, with all starts used up."""
        plant, rng = self.plant, self.rng
        if rng.random() < 0.6:
            self.hasty()
        plant.ask(*rng.choice([(OFF, ABSENT), (NOTHING, 1500), (NOTHING, 0), (ASKED[7], ABSENT), (ASKED[7], 3100)]))
        self.minutes(rng.randrange(1, 20))
        what = rng.randrange(6)
        if what == 0:
            plant.room = rng.choice([650, 1850])
        elif what == 1:
            plant.flow = 400
        elif what == 2:
            plant.cools = 80
        elif what == 3:
            plant.room = rng.choice([ABSENT, 9900 if rng.random() < 0.3 else ABSENT])
        elif what == 4:
            plant.room = 1850
            plant.cools = 80
        else:
            plant.machine.silent = True
        self.minutes(rng.randrange(5, 100))

    def defrost(self):
        """A command in the midst of a defrost, and the machine's word that is stuck, flaps, or comes in a lock."""
        plant, rng = self.plant, self.rng
        plant.demand = plant.ices = True
        plant.ice_s = rng.randrange(2000, 3200)
        if rng.random() < 0.5:
            plant.ask(NOTHING, rng.choice(LIMITS))
        self.minutes(rng.randrange(5, 25))
        for _ in range(rng.randrange(1, 4)):
            plant.ask(rng.choice([OFF, NOTHING, ASKED[3], ASKED[7], ASKED[8]]), rng.choice(LIMITS))
            self.minutes(rng.randrange(1, 5))
        kind = rng.randrange(4)
        if kind == 0:
            plant.word = True
            self.minutes(rng.randrange(5, 30))
        elif kind == 1:
            for _ in range(rng.randrange(2, 8)):
                plant.word = not plant.word
                self.minutes(rng.randrange(1, 12))
        elif kind == 2:
            plant.room = rng.choice([650, 1850])
            self.minutes(10)

    def silence(self):
        """The machine's bus is cut, in whatever state it is, and comes back."""
        plant, rng = self.plant, self.rng
        plant.ask(rng.choice([OFF, ASKED[3], ASKED[7], NOTHING]), rng.choice(LIMITS))
        self.minutes(rng.randrange(1, 20))
        plant.machine.silent = True
        for _ in range(rng.randrange(1, 4)):
            self.minutes(rng.randrange(1, 15))
            plant.ask(rng.choice(ASKED), rng.choice(LIMITS))
        plant.machine.silent = rng.random() < 0.2
        self.minutes(rng.randrange(1, 15))

    def restarts(self):
        """The controller restarts, in a lock, in a run, with its mains cut for a while, again and again."""
        plant, rng = self.plant, self.rng
        plant.ask(*rng.choice([(OFF, ABSENT), (NOTHING, 1500), (NOTHING, ABSENT), (ASKED[7], ABSENT)]))
        for _ in range(rng.choice([1, 1, 2, 5])):
            self.minutes(rng.choice([1, 3, 15, 45]))
            plant.restart(cut=rng.random() < 0.5, off_s=rng.choice([0, 0, 60, 600, 7200]))
        self.minutes(rng.choice([15, 90, 150]))

    def many_writes(self):
        """Set-points to and fro until the machine's flash has had enough, then a limit, then nothing."""
        plant, rng = self.plant, self.rng
        for i in range(rng.randrange(4, 14)):
            plant.ask(ASKED[7 + i % 2], rng.choice([ABSENT, 3100, 4600]))
            self.minutes(1)
        plant.ask(NOTHING, rng.choice([1500, 3100, 0]))
        self.minutes(rng.choice([2, 30]))
        plant.ask()
        self.minutes(10)

    def legionella(self):
        """Something else is asked for all day."""
        plant, rng = self.plant, self.rng
        plant.ask(rng.choice([OFF, OFF, ASKED[5], NOTHING, ASKED[3]]), rng.choice([ABSENT, 0, 1500]))
        if rng.random() < 0.2:
            plant.sensor = False
        self.minutes(rng.randrange(200, 700))

    def presses(self):
        plant, rng = self.plant, self.rng
        plant.ask(rng.choice(ASKED), rng.choice(LIMITS))
        for _ in range(rng.randrange(1, 4)):
            plant.press()
            self.minutes(rng.randrange(1, 50))

    EPISODES = (anything, hasty, at_once, thermostat, long_lock, cold_in_a_lock, cold_in_a_lock, defrost, defrost,
                silence, restarts, many_writes, legionella, presses)


MET = {}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_becomes_of_the_pump(seed):
    MET[seed] = History(seed).run(3)


def test_they_reach_each_guard_and_each_corner():
    """A run of all seeds must have been where it means to look."""
    if len(MET) < SEEDS or SEEDS < 24:
        pytest.skip("only with all histories")
    met = sum(MET.values(), start=type(next(iter(MET.values())))())
    corners = [name for name, _, _ in ROWS] + ["reason %d" % reason for reason in {row[2] for row in ROWS}]
    corners += ["reason %d" % reason for reason in (REASON_BELOW_MINIMUM, REASON_OVERRIDE, REASON_WRITES)]
    corners += ["restart in a lock", "restart in a run", "restart in a rest", "starts used up in a lock", "barred",
                "silent in a lock", "left alone", "defrost begins in a lock", "limit below the minimum", "poor", "duty",
                "legionella under a lock", "released by the longest lock alone", "refused"]
    assert not [corner for corner in corners if met[corner] < 3], met
    assert met["duty"] > 5000, "most of what is asked has nothing in its way"
