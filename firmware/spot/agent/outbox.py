"""A guaranteed stream: kept on flash until the EMD acknowledges it, sent in order, a few at a time, and again."""

from spot.agent.times import NEVER
from spot.port import const

WINDOW = const(8)  # messages in flight
RESEND_S = const(15)  # without an acknowledgement; doubled with each repetition
RESEND_MOST_S = const(900)  # an EMD that is away is not told everything again and again
_BUSY_S = const(5)  # the link took nothing: tried again
_RAM = const(24)  # records kept in RAM while flash refuses them


class Stream:
    """One stream of numbered records of a fixed size, over a journal.

    compose(seq, end) -> (records taken, sent): builds one message from `seq` on and hands it to the link; (0, False):
    the record is damaged and counts as lost. gap(seq, count) -> sent: says that `count` records from wire number `seq`
    on are lost. The number on the wire is the journal's plus `base`. batch: records that one message may carry. due_s:
    when pump() is due. lost: records given up since boot. holding: what is in RAM waits for a write that is to come,
    and does not leave before it: after a power cut its numbers mean something else.
    """

    batch = 1

    def __init__(self, journal, size, base, log, compose, gap):
        self._journal = journal
        self._log = log
        self._compose = compose
        self._gap = gap
        self._ram = []
        self._scratch = bytearray(size)
        self.base = base
        self.first_rebased = 0  # records below were numbered with another base
        self._cursor = journal.first  # next to send
        self._wait_s = RESEND_S
        self._resend_s = NEVER
        self._missing = 0  # records before `first` that are lost, and the EMD may not know yet
        self.lost = 0
        self.up = False
        self.holding = False
        self.due_s = NEVER

    @property
    def first(self):
        """Number (journal's) of the oldest that is not acknowledged."""
        return self._journal.first

    @property
    def end(self):
        """Number that the next record gets, with those in RAM."""
        return self._journal.next + len(self._ram)

    def __len__(self):
        return self.end - self.first

    def append(self, now_s, record):
        """Keeps one record, with those that wait; False when flash refused it and it waits in RAM (or is lost when that
        is full, too)."""
        if len(self._ram) >= _RAM and not self.flush():  # the alarm "store fault" says how many got no number
            self.lost += 1
            self._log.warn("outbox.dropped", self.end)
            return False
        self._ram.append(record)
        kept = self.flush()
        if not kept:
            self._ram[-1] = bytes(record)
        self.due_s = now_s
        return kept

    def hold(self, record):
        """Takes a record, that very buffer, which the next append() or flush() writes. False: no room."""
        if len(self._ram) < _RAM:
            self.holding = True
            self._ram.append(record)
            return True
        return False

    def _count_lost(self):
        lost = self._journal.lost
        if lost:
            self._journal.lost = 0
            self._missing += lost
            self.lost += lost
            if self._cursor < self.first:
                self._cursor = self.first

    def flush(self):
        """Writes what waits in RAM; True when nothing is left there."""
        self.holding = False
        journal = self._journal
        if self._ram:
            before = journal.next
            try:
                journal.extend(self._ram)
            except OSError:  # StoreError
                pass
            del self._ram[: journal.next - before]
            self._count_lost()
        return not self._ram

    def read(self, seq):
        """Record `seq` in a buffer that the next read overwrites, or None when it is damaged."""
        at = seq - self._journal.next
        if at >= 0:
            return self._ram[at] if at < len(self._ram) else None
        return self._scratch if self._journal.read(seq, self._scratch) else None

    def ack(self, now_s, upto):
        """The EMD has everything up to number `upto` of the wire. False when it cannot."""
        seq = upto - self.base
        if seq >= self.end:
            return False
        if seq < self.first:
            return True
        self._journal.ack(seq)
        if seq >= self._journal.next:
            self.flush()
            self._journal.ack(seq)
            in_ram = seq - self._journal.next + 1
            if in_ram > 0:  # flash takes nothing: what is delivered must not keep what comes later out of RAM
                del self._ram[:in_ram]
                self.base += in_ram
                self._cursor -= in_ram
        self._missing = 0
        if self._cursor < self.first:
            self._cursor = self.first
        self._wait_s = RESEND_S
        self._resend_s = now_s + RESEND_S if self._cursor > self.first else NEVER
        self.due_s = now_s
        return True

    def rebase(self, upto):
        """The EMD has more than was ever written here: the journal was lost. Numbers go on after the EMD's."""
        self.base = upto + 1 - self.first
        self.first_rebased = self.end
        self._cursor = self.first

    def link_up(self, now_s):
        self.up = True
        self._cursor = self.first
        self._wait_s = RESEND_S
        self.due_s = now_s

    def link_down(self):
        self.up = False
        self.due_s = NEVER

    def pump(self, now_s):
        """Sends what the window allows, and again what was not acknowledged in time."""
        self.due_s = NEVER
        if not self.up:
            return
        self._count_lost()
        first, end = self.first, self._journal.next if self.holding else self.end
        if now_s >= self._resend_s and self._cursor > first:
            self._cursor = first
            self._wait_s = min(self._wait_s * 2, RESEND_MOST_S)
            self._resend_s = now_s + self._wait_s  # also where the link takes less than the window: it goes on there
        if self._missing and self._cursor == first:  # the oldest were given up for want of room
            if not self._gap(first - self._missing + self.base, self._missing):
                self.due_s = now_s + _BUSY_S
                return
        sent = 0
        while self._cursor < end and sent < WINDOW and self._cursor - first < WINDOW * self.batch:
            taken, accepted = self._compose(self._cursor, end)
            if taken == 0:
                if not self._gap(self._cursor + self.base, 1):
                    self.due_s = now_s + _BUSY_S
                    return
                taken = 1
            elif not accepted:
                self.due_s = now_s + _BUSY_S
                return
            self._cursor += taken
            sent += 1
        if self._cursor > first:
            self._resend_s = now_s + self._wait_s
            self.due_s = self._resend_s
