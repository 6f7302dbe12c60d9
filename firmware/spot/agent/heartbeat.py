"""Heartbeats: when ours go, whether theirs is fresh, and whether both ends hold the same commands live."""

from spot.agent.times import NEVER
from spot.codes import ABSENT
from spot.port import const

TOLERANCE_S = const(10)  # two synchronised clocks may differ by this, transport included
_KEPT = const(4)  # beats whose time of sending is remembered
_RESYNC_S = const(900)  # the same mismatch starts a resynchronisation no sooner again


class Heartbeat:
    """Count and freshness. due_s: when the next of ours goes; beat: the count of the latest."""

    def __init__(self):
        self.beat = 0
        self.due_s = NEVER
        self._sent_s = [-NEVER] * _KEPT
        self._ours = self._theirs = ABSENT  # digests of the latest mismatch
        self._resync_s = -NEVER

    def sent(self, now_s, period_s):
        """Counts the beat that is going now; returns its number."""
        self.beat += 1
        self._sent_s[self.beat % _KEPT] = now_s
        self.due_s = now_s + period_s
        return self.beat

    def proof_age(self, now_s, beat):
        """Seconds since we sent `beat`, or NEVER when that is long ago or not ours."""
        if not 0 < beat <= self.beat or self.beat - beat >= _KEPT:
            return NEVER
        return now_s - self._sent_s[beat % _KEPT]

    def fresh(self, now_s, utc, time, beat, period_s):
        """True when a heartbeat cannot have waited in a queue.

        utc: ours, ABSENT unless synchronised; time and beat: theirs or ABSENT. Either both clocks agree, or it names a
        beat of ours that is no older than one period and the tolerance.
        """
        if utc != ABSENT and time != ABSENT and -TOLERANCE_S <= time - utc <= TOLERANCE_S:
            return True
        return self.proof_age(now_s, beat) <= period_s + TOLERANCE_S

    def mismatch(self, now_s, ours, theirs):
        """True when a fresh heartbeat's digest calls for a resynchronisation now."""
        if ours == theirs:
            self._theirs = ABSENT
            return False
        if ours == self._ours and theirs == self._theirs and now_s - self._resync_s < _RESYNC_S:
            return False
        self._ours, self._theirs, self._resync_s = ours, theirs, now_s
        return True
