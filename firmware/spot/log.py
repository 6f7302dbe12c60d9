"""A bounded log: the latest events in a ring, and how often each event happened. No text is built on the device, but
for whoever reads the log, and for an exception that nobody expected: its traceback is kept, the latest one.
"""

from array import array

from .port import const, report, traceback_text

DEBUG = const(0)
INFO = const(1)
WARN = const(2)
ERROR = const(3)
LEVELS = ("debug", "info", "warn", "error")

_TRACE = const(600)  # characters of a traceback that are kept: its end says most
_MAX_NAMES = const(96)  # distinct events that are counted; more go under "other"


class Log:
    """Ring of the latest `capacity` events at `level` and above.

    An event is a short constant name ("store.full") with two integers; what they mean stands where it is logged.
    `counts` maps a name to how often it came, at any level. `sink(level, event, a, b)`, when set, sees every event
    that the ring takes. `level` may be changed at any time; `now_s` is what the App says it is.
    """

    def __init__(self, capacity=64, level=INFO, sink=None):
        self.capacity = capacity
        self.level = level
        self.sink = sink
        self.counts = {}
        self.total = 0
        self.trace = ""
        self.now_s = 0
        self._times = array("i", [0] * capacity)
        self._levels = bytearray(capacity)
        self._events = [None] * capacity
        self._a = [0] * capacity
        self._b = [0] * capacity

    def _add(self, level, event, a, b):
        counts = self.counts
        if event in counts:
            counts[event] += 1
        elif len(counts) < _MAX_NAMES:
            counts[event] = 1
        else:
            counts["other"] = counts.get("other", 0) + 1
        if level < self.level:
            return
        at = self.total % self.capacity
        self._times[at] = self.now_s
        self._levels[at] = level
        self._events[at] = event
        self._a[at] = a
        self._b[at] = b
        self.total += 1
        if self.sink is not None:
            self.sink(level, event, a, b)

    def debug(self, event, a=0, b=0):
        self._add(DEBUG, event, a, b)

    def info(self, event, a=0, b=0):
        self._add(INFO, event, a, b)

    def warn(self, event, a=0, b=0):
        self._add(WARN, event, a, b)

    def error(self, event, a=0, b=0):
        self._add(ERROR, event, a, b)

    def failure(self, event, error, a=0):
        """An exception that nobody expected: an error with its traceback, which goes to the error stream, too."""
        self.error(event, a)
        try:
            report(error)
            self.trace = traceback_text(error)[-_TRACE:]
        except MemoryError:
            self.trace = type(error).__name__

    def recent(self):
        """The ring, oldest first: tuples (number, level, event, a, b)."""
        first = max(0, self.total - self.capacity)
        for number in range(first, self.total):
            at = number % self.capacity
            yield number, self._levels[at], self._events[at], self._a[at], self._b[at]

    def lines(self, first, most_octets):
        """Text of the entries from number `first` on, as many as `most_octets` take: (first, next, bytes). An entry is
        a line: seconds since boot, level (d, i, w, e), event, its two integers. The `first` that comes back is larger
        than the one asked for where the ring does not hold that any more; next == first: there is nothing further."""
        at = first = max(first, self.total - self.capacity, 0)
        out = b""
        while at < self.total:
            i = at % self.capacity
            line = b"%d %s %s %d %d\n" % (
                self._times[i], LEVELS[self._levels[i]][:1].encode(), self._events[i].encode(), self._a[i], self._b[i]
            )
            if len(out) + len(line) > most_octets:
                break
            out += line
            at += 1
        return first, at, out
