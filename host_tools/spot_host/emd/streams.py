"""The two guaranteed streams of a device (events, intervals): exactly once in, cumulative acknowledgement out."""

MAX_AHEAD = 4096  # numbers kept beyond a hole; what is further ahead waits for the device to send it again
SETTLE_S = 2000  # an unknown stream begins at the lowest number seen in so long: a device resends every 900 s at least
PATIENCE_S = 3600  # a hole that the device, being there, has not filled after so long is one it cannot fill


class Cursor:
    """Which numbers of one stream have arrived.

    `upto`: every number up to it has arrived (None: nothing is known yet). `ahead`: numbers beyond a hole.
    A stream begins at 0; that of a device that was acknowledged by an EMD before this one begins later.
    """

    __slots__ = ("upto", "ahead", "hole_since", "skipped")

    def __init__(self, upto=None):
        self.upto, self.ahead, self.hole_since, self.skipped = upto, set(), None, 0

    def take(self, now: int, seq: int, count: int = 1) -> list:
        """Numbers of `seq` … `seq + count - 1` that are new; they count as arrived from now on."""
        upto, ahead = self.upto, self.ahead
        if count == 1 and upto is not None and seq == upto + 1:  # the usual case
            self.upto = seq
            if ahead:
                self._advance(now)
            return [seq]
        first = seq if upto is None else max(seq, upto + 1)
        new = [n for n in range(first, seq + count) if n not in ahead]
        if upto is None and seq == 0:
            upto = -1
        if upto is not None and seq <= upto + 1:
            self.upto = max(upto, seq + count - 1)
            self._advance(now)
            return new
        room = MAX_AHEAD - len(ahead)
        new = new[: max(0, room)]
        ahead.update(new)
        if self.hole_since is None:
            self.hole_since = now
        return new

    def lost(self, now: int, seq: int, count: int) -> None:
        """The device says that `count` numbers from `seq` on are lost for good."""
        if seq <= (0 if self.upto is None else self.upto + 1):
            self.upto = max(self.upto if self.upto is not None else -1, seq + count - 1)
            self._advance(now)
        else:
            self.ahead.update(range(seq, min(seq + count, seq + MAX_AHEAD - len(self.ahead))))
            if self.hole_since is None:
                self.hole_since = now

    def wait(self, now: int) -> None:
        """The device is away: the patience with a hole begins anew, since nobody could fill it."""
        if self.hole_since is not None:
            self.hole_since = now

    def settle(self, now: int) -> bool:
        """Give up on a hole that has been open for too long. True when the cursor moved."""
        if self.hole_since is None or not self.ahead:
            return False
        if now - self.hole_since < (SETTLE_S if self.upto is None else PATIENCE_S):
            return False
        lowest = min(self.ahead)
        if self.upto is not None:
            self.skipped += lowest - self.upto - 1
        self.upto = lowest - 1
        self._advance(now)
        return True

    def _advance(self, now):
        ahead, upto = self.ahead, self.upto
        while upto + 1 in ahead:
            upto += 1
            ahead.discard(upto)
        self.upto = upto
        if ahead:
            if min(ahead) <= upto:
                self.ahead = ahead = {n for n in ahead if n > upto}
            self.hole_since = now if ahead else None
        else:
            self.hole_since = None
