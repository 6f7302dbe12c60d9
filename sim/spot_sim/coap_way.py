"""What both ends of CoAP in memory stand on: a way for one device's datagrams, as bad as LinkFaults says, the ticks
that they see, and being called when something is due.
"""

from spot.port import TICKS_PERIOD

_BEFORE_WRAP_MS = 6 * 3_600_000  # the ticks wrap on the first morning of every run
_BASE = TICKS_PERIOD - _BEFORE_WRAP_MS
_CON, _KIND = 0x40, 0x70  # of the first octet: version 1 and confirmable


def ticks(clock):
    """The milliseconds that wrap, of firmware in this clock's time."""
    return (_BASE + clock.now_ms) % TICKS_PERIOD


class Wakes:
    """Calls `function()` when it is due; one event of the clock at a time, but for those that are overtaken."""

    def __init__(self, clock, function):
        self._clock, self._function = clock, function
        self._due_ms = self._planned_ms = -1

    def within(self, wait_ms):
        """Be called in wait_ms (1 at least), and not before."""
        self._plan(self._clock.now_ms + max(wait_ms, 1))

    def _plan(self, due_ms):
        self._due_ms = due_ms
        if self._planned_ms < 0 or due_ms < self._planned_ms:
            self._planned_ms = due_ms
            self._clock.call_at_ms(due_ms, self._wake)

    def stop(self):
        """Be called no more, until `within`."""
        self._due_ms = -1

    def _wake(self):
        now_ms = self._clock.now_ms
        if now_ms == self._planned_ms:
            self._planned_ms = -1
        due_ms = self._due_ms
        if due_ms < 0:
            return
        if due_ms <= now_ms:
            self._function()
        elif self._planned_ms < 0:
            self._plan(due_ms)


class Way:
    """One direction between a device and the EMD.

    open(): whether anything passes at the moment; random: the device's stream for faults; totals: the net's counts.
    Of LinkFaults each datagram has loss and loss_for_good (both are loss here), duplication, reordering and a delay of
    its own, so that a delay alone turns datagrams round as well.
    """

    def __init__(self, net, random, open, deliver):
        self._net, self._random, self._open, self._deliver = net, random, open, deliver
        self._last = None  # message id of the latest confirmable one
        self.octets = self.datagrams = 0

    def carry(self, address, octets):
        """Take a datagram; deliver(address, octets) is called when and as often as it arrives."""
        net = self._net
        faults, totals, clock = net.faults, net.totals, net.clock
        self.octets += len(octets)
        self.datagrams += 1
        if octets[0] & _KIND == _CON:
            if octets[2:4] == self._last:
                totals["retried"] += 1
            self._last = octets[2:4]
        if not self._open():
            totals["dropped"] += 1
            return
        now_ms = clock.now_ms
        if not faults.per_message or not faults.from_s * 1000 <= now_ms < faults.until_s * 1000:
            clock.call_at_ms(now_ms, self._arrive, address, octets)
            return
        draw = self._random().random
        if draw() < faults.loss or draw() < faults.loss_for_good:
            totals["dropped"] += 1
            return
        at_ms = now_ms + _within(faults.delay_ms, draw)
        if draw() < faults.reordering:
            totals["reordered"] += 1
            at_ms += _within(faults.reorder_ms, draw)
        clock.call_at_ms(at_ms, self._arrive, address, octets)
        if draw() < faults.duplication:
            totals["duplicated"] += 1
            clock.call_at_ms(at_ms + faults.retry_s * 1000, self._arrive, address, octets)

    def _arrive(self, address, octets):
        if self._open():
            self._deliver(address, octets)
        else:
            self._net.totals["dropped"] += 1


def _within(bounds, draw):
    least, most = bounds
    return least + int((most - least + 1) * draw())
