"""The four states of hybrid control: which one holds, and what ends it (docs/profile.md, Failsafe)."""

from spot.agent.times import NEVER
from spot.codes import MODE_AUTONOMOUS, MODE_CONTROLLED, MODE_FAILSAFE, MODE_INIT
from spot.port import const

EV_LIMIT = const(0x00)  # a limit or an "unlimited" was accepted, or said again
EV_ALONE = const(0x10)  # init has lasted for INIT_S
EV_SILENT = const(0x20)  # no fresh heartbeat for the plan's heartbeat_timeout
EV_MINIMUM = const(0x30)  # the minimum of failsafe is over
EV_EPOCH = const(0x40)  # the EMD has a new epoch
EV_LAPSED = const(0x50)  # no fresh heartbeat for the plan's lease

INIT_S = const(120)

_HEARD = const(0x10)  # only after a fresh heartbeat since the state began
_SPREAD = const(0x20)  # spread in time

# state | event: next state, and its conditions
TABLE = {
    MODE_INIT | EV_LIMIT: MODE_CONTROLLED,
    MODE_INIT | EV_ALONE: MODE_AUTONOMOUS,
    MODE_CONTROLLED | EV_SILENT: MODE_FAILSAFE | _SPREAD,
    MODE_FAILSAFE | EV_LIMIT: MODE_CONTROLLED | _HEARD | _SPREAD,
    MODE_FAILSAFE | EV_MINIMUM: MODE_AUTONOMOUS | _SPREAD,
    MODE_AUTONOMOUS | EV_LIMIT: MODE_CONTROLLED | _HEARD,
    MODE_INIT | EV_EPOCH: MODE_INIT,
    MODE_CONTROLLED | EV_EPOCH: MODE_INIT,
    MODE_FAILSAFE | EV_EPOCH: MODE_INIT,
    MODE_AUTONOMOUS | EV_EPOCH: MODE_INIT,
    MODE_INIT | EV_LAPSED: MODE_INIT,
    MODE_CONTROLLED | EV_LAPSED: MODE_INIT,
    MODE_FAILSAFE | EV_LAPSED: MODE_INIT,
    MODE_AUTONOMOUS | EV_LAPSED: MODE_INIT,
}


class Lease:
    """The state machine. plan: the Association; spread() -> seconds of this device's delay.

    mode: MODE_…; due_s: when step() has something to do. `fresh_s` is the latest fresh heartbeat.
    """

    def __init__(self, plan, spread):
        self._plan = plan
        self._spread = spread
        self.mode = MODE_INIT
        self.since_s = 0
        self.fresh_s = 0
        self.heard = False  # a fresh heartbeat came since this state began
        self.confirmed = False  # the association was confirmed since boot
        self._next = -1  # the state that a spread transition leads to; -1: none is under way
        self._next_s = NEVER
        self._cause = -1
        self.due_s = INIT_S

    def heartbeat(self, now_s):
        """A fresh heartbeat came."""
        self.fresh_s = now_s
        self.heard = self.confirmed = True
        if self._cause == EV_SILENT:
            self._next = self._cause = -1
        self.plan_ahead()

    def alive(self, now_s):
        """The EMD answered a registration: its silence counts from here, but this is no heartbeat."""
        self.fresh_s = now_s
        self.confirmed = True
        self.plan_ahead()

    def event(self, now_s, event):
        """Takes EV_…; True when the state changed at once."""
        row = TABLE.get(self.mode | event)
        if row is None:
            return False
        following = row & 0x0F
        if row & _HEARD and not (self.heard and now_s - self.fresh_s < self._plan.heartbeat_timeout):
            return False  # the EMD was there once, and a late copy of its word proves nothing
        delay = self._spread() if row & _SPREAD else 0
        if delay:
            if self._next != following:
                self._next, self._next_s, self._cause = following, now_s + delay, event
            self.plan_ahead()
            return False
        self._enter(now_s, following)
        return True

    def _enter(self, now_s, mode):
        self.mode = mode
        self.since_s = now_s
        self.heard = False
        self._next = self._cause = -1
        self.plan_ahead()

    def step(self, now_s):
        """Does what is due; True when the state changed."""
        if self._next >= 0 and now_s >= self._next_s:
            if self._next == MODE_CONTROLLED and now_s - self.fresh_s >= self._plan.heartbeat_timeout:
                self._next = self._cause = -1  # the EMD went again before the cap was lifted
                self.heard = False
            else:
                self._enter(now_s, self._next)
                return True
        mode = self.mode
        changed = False
        if mode == MODE_INIT:
            if now_s - self.since_s >= INIT_S:
                changed = self.event(now_s, EV_ALONE)
        elif mode == MODE_CONTROLLED:
            if self._next < 0 and now_s - self.fresh_s >= self._plan.heartbeat_timeout:
                changed = self.event(now_s, EV_SILENT)
        elif mode == MODE_FAILSAFE and self._next < 0 and now_s - self.since_s >= self._plan.failsafe_min:
            changed = self.event(now_s, EV_MINIMUM)
        self.plan_ahead()
        return changed

    def plan_ahead(self):
        mode = self.mode
        if self._next >= 0:
            self.due_s = self._next_s
        elif mode == MODE_INIT:
            self.due_s = self.since_s + INIT_S
        elif mode == MODE_CONTROLLED:
            self.due_s = self.fresh_s + self._plan.heartbeat_timeout
        elif mode == MODE_FAILSAFE:
            self.due_s = self.since_s + self._plan.failsafe_min
        else:
            self.due_s = NEVER
