"""Virtual time: one clock, one queue of events, one order in which they happen."""

from heapq import heapify, heappop, heappush

_COMPACT_AT = 4096  # cancelled entries that are tolerated before the queue is rebuilt


class VirtualClock:
    """Time that advances from event to event.

    `now_ms` and `now_s` count from the start of the run; `start_utc` is the Unix time of second 0. Events of the same
    millisecond run in the order in which they were asked for, so a run has one history. Nothing here reads the clock on
    the wall.
    """

    __slots__ = ("now_ms", "start_utc", "events", "_heap", "_sequence", "_cancelled")

    def __init__(self, start_utc=0):
        self.now_ms = 0
        self.start_utc = start_utc
        self.events = 0  # events run so far
        self._heap = []
        self._sequence = 0
        self._cancelled = 0

    @property
    def now_s(self):
        """Whole seconds since the start."""
        return self.now_ms // 1000

    @property
    def utc(self):
        """Unix time in whole seconds."""
        return self.start_utc + self.now_ms // 1000

    def call_at(self, at_s, function, *args):
        """Run `function(*args)` at second `at_s`; what is past runs now, after what already waits. Returns a handle for
        `cancel`.
        """
        return self.call_at_ms(at_s * 1000, function, *args)

    def call_at_ms(self, at_ms, function, *args):
        """As `call_at`, in milliseconds."""
        if at_ms < self.now_ms:
            at_ms = self.now_ms
        self._sequence += 1
        entry = [at_ms, self._sequence, function, args]
        heappush(self._heap, entry)
        return entry

    def call_in_ms(self, delay_ms, function, *args):
        """Run `function(*args)` after `delay_ms` milliseconds."""
        return self.call_at_ms(self.now_ms + delay_ms, function, *args)

    def cancel(self, handle):
        """Forget an event. One that has run, or was cancelled before, is left alone. Costs no search."""
        if handle[2] is None:
            return
        handle[2] = handle[3] = None
        self._cancelled += 1
        if self._cancelled > _COMPACT_AT and self._cancelled * 2 > len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[2] is not None]
            heapify(self._heap)
            self._cancelled = 0

    def next_ms(self):
        """The time of the next event in milliseconds, or None when nothing waits."""
        heap = self._heap
        while heap and heap[0][2] is None:
            heappop(heap)
            self._cancelled -= 1
        return heap[0][0] if heap else None

    def run_until(self, until_s):
        """Run every event up to and including second `until_s`; the clock stands there afterwards."""
        self.run_until_ms(until_s * 1000)

    def run_until_ms(self, until_ms):
        """As `run_until`, in milliseconds. An exception of an event ends the run and leaves the rest of the queue as it
        is.
        """
        heap = self._heap
        while heap and heap[0][0] <= until_ms:
            entry = heappop(heap)
            function = entry[2]
            if function is None:
                self._cancelled -= 1
                continue
            args = entry[3]
            entry[2] = entry[3] = None  # so that a later cancel of this handle does nothing
            self.now_ms = entry[0]
            self.events += 1
            function(*args)
        if until_ms > self.now_ms:
            self.now_ms = until_ms
