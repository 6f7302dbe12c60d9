"""Outage and restore: the last gasp while the hold-up time runs, and the word that the mains is back.

The last gasp leaves before anything is written, under the number of the next event, and is kept after that. Power may
go in between, and nobody knows then whether the EMD heard it. So on a board that can tell, a life that ended without a
kept "outage" gets one at the next boot, under that very number: the EMD has one of the two, whichever came first.
"""

from spot.agent.association import DATA_ALARM
from spot.agent.times import NEVER, four
from spot.codes import ABSENT, ALARM_OUTAGE, ALARM_RESTORE, RESET_BROWNOUT, RESET_POWER_ON
from spot.port import const
from spot.wire import profile

_PATIENCE_S = const(120)  # for the time of day, before a restore is told without it
_TRY_S = const(5)
_DAY_S = const(86400)
_MOST = const(50)  # outages that are told in a day: a mains that flickers all day must not wear the flash


class Outage:
    """gasps: the board has a power-fail input. due_s: when step() has a restore to tell."""

    def __init__(self, agent):
        self._agent = agent
        self.gasps = False
        self._since_s = 0
        self._day_s = 0
        self._count = 0
        self._waiting = []  # (when, seat, UTC of the outage or 0, its length in s or ABSENT)
        self.due_s = NEVER

    def last_gasp(self, now_s):
        """The mains has failed: straight to the link, the shortest message, nothing written."""
        self._since_s = now_s
        if now_s - self._day_s >= _DAY_S:
            self._day_s = now_s
            self._count = 0
        self._count += 1
        if self._count > _MOST:
            return
        for seat in self._agent.seats:
            if seat.plan.data & DATA_ALARM:
                seat.events.gasp(now_s, self._agent.identity.boot, seat.up)

    def back(self, now_s):
        """The mains is back within the hold-up time."""
        self._agent.flush(now_s)
        if self._count > _MOST:
            return
        for seat in self._agent.seats:
            self._plan(now_s, seat, 0, now_s - self._since_s)

    def begin(self, now_s):
        """First step after boot, before any other event: was this the end of an outage?"""
        identity = self._agent.identity
        if identity.reset not in (RESET_POWER_ON, RESET_BROWNOUT) or identity.boot < 2:
            return
        for seat in self._agent.seats:
            utc = seat.events.outage(identity.boot - 1)
            if utc == ABSENT:
                utc = 0
                if self.gasps:
                    seat.alarm(now_s, ALARM_OUTAGE, True, identity.boot - 1)
            self._plan(now_s, seat, utc, ABSENT)

    def _plan(self, now_s, seat, utc, length_s):
        if seat.plan.data & DATA_ALARM:
            key = four(self._agent.identity.boot) + b"o"
            at = now_s + profile.jitter(self._agent.identity.eui64, key, seat.plan.jitter)
            self._waiting.append((at, seat, utc, length_s))
            self.due_s = min(self.due_s, at)

    def step(self, now_s):
        """Tells what is due: with the length of the outage where the clock knows it."""
        utc = self._agent.clock.utc(now_s)
        rest = []
        self.due_s = NEVER
        for row in self._waiting:
            at, seat, since, length_s = row
            if now_s < at or utc == ABSENT and now_s < at + _PATIENCE_S:
                rest.append(row)
                self.due_s = min(self.due_s, max(at, now_s + _TRY_S))
            else:
                if length_s == ABSENT and since and utc != ABSENT and utc >= since:
                    length_s = utc - since
                seat.alarm(now_s, ALARM_RESTORE, True, length_s)
        self._waiting = rest
