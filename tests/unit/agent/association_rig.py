"""One agent with two associations on a bench: a house, and the hand of each EMD (agent_rig.Rig) at its own link.

A plain module that runs on CPython and on MicroPython.
"""

from agent_rig import PLAN, UTC0, FakeDevice, Identity, MemFs, Rig

from spot.agent.agent import Agent
from spot.clock import Clock
from spot.codes import RESET_SOFT
from spot.log import Log
from spot.store import Store


class At:
    """The agent as one hand sees it."""

    def __init__(self, agent, at):
        self.agent, self.at = agent, at
        self.seat = agent.seats[at]

    def receive(self, now_s, channel, buf, n):
        self.agent.receive(now_s, channel, buf, n, self.at)

    def link_up(self, now_s):
        self.agent.link_up(now_s, self.at)

    def link_down(self, now_s):
        self.agent.link_down(now_s, self.at)

    def step(self, now_s):
        return self.agent.step(now_s)


class Hand(Rig):
    """One EMD's. skew: seconds that its clock is ahead of the true time."""

    def __init__(self, house, at, plan, epoch):
        self.house = house
        self.at = at
        self.auto_ack = True
        self.events = {}
        self.intervals = {}
        self.gaps = []
        self.plan = dict(PLAN)
        self.plan.update(plan)
        self.link = False
        self.beat_back = 0
        self.epoch = epoch
        self.skew = 0
        self.silent = False  # sends no heartbeats

    def fresh(self):
        """A new life of the device."""
        self.sent = []
        self.refuse_sending = self.link = False
        self.agent = At(self.house.agent, self.at)

    @property
    def now(self):
        return self.house.now

    @property
    def wall(self):
        return self.house.wall

    @property
    def boot_count(self):
        return self.house.boot_count

    @property
    def seat(self):
        return self.agent.seat

    @property
    def digest(self):
        return self.seat.ledger.digest

    @property
    def utc(self):
        return UTC0 + self.house.wall + self.skew


class House:
    """A device with two associations. configs: of both; plans: what each EMD's `registered` says beside PLAN."""

    def __init__(self, plans=({}, {}), configs=({}, {}), device=None, reset=RESET_SOFT, only=2, epochs=(77, 87)):
        self.fs = MemFs()
        self.device = device or FakeDevice()
        self.configs = configs
        self.boot_count = 0
        self.wall = 0
        self.only = only  # associations that the configuration has
        self.hands = [Hand(self, at, plans[at], epochs[at]) for at in range(2)]
        self.home, self.utility = self.hands
        self.boot(reset)

    def boot(self, reset=RESET_SOFT):
        """Power cut and start: only flash and the device's hardware remain."""
        self.boot_count += 1
        self.now = 0
        self.log = Log(64)
        self.store = Store(self.fs, "s", self.log)
        self.clock = Clock(self.store, self.log)
        self.agent = Agent(
            Identity(self.boot_count, reset), self.device, self.clock, self.store, self.hands[: self.only], self.log,
            list(self.configs[: self.only]),
        )
        for hand in self.hands[: self.only]:
            hand.fresh()

    def step(self):
        wait = self.agent.step(self.now)
        assert wait >= 1, wait
        return wait

    def run(self, seconds):
        """Lets time pass, following the device's own wishes for waking; each EMD that beats answers once a minute."""
        end = self.now + seconds
        wait = self.step()
        while self.now < end:
            advance = min(wait, end - self.now, 60 - self.wall % 60)
            self.now += advance
            self.wall += advance
            wait = self.step()
            if self.wall % 60 == 0:
                for hand in self.hands[: self.only]:
                    if hand.link and not hand.silent:
                        hand.heartbeat()
                        if hand.auto_ack:
                            hand.ack_all()
                wait = self.step()

    def join(self):
        """Both are associated, mode init."""
        for hand in self.hands[: self.only]:
            hand.join()
        for hand in self.hands[: self.only]:
            hand.take()
        return self
