"""Observers of a CoAP server's resources (RFC 7641, section 4): a bounded table, and the notifications to them."""

from spot.port import const, ticks_diff
from spot.wire.coap_numbers import CON, NON

_OBSERVERS = const(12)  # an EMD for each of the six readable resources, of two associations
_CON_EVERY_MS = const(300000)  # a notification as CON, so that an observer that has gone is forgotten (section 4.5)


class Observer:
    """Who observes `path`: the request that registered it; `exchange`: a CON notification that is on the way."""

    def __init__(self, q, now):
        self.q = q
        self.confirmed = now
        self.exchange = None
        self.missed = False  # there is a newer state than that on the way
        self.table = None

    def settled(self, now, how):
        """The message layer's word on a CON notification."""
        self.exchange = None
        if how:
            self.table.remove(self)
        else:
            self.confirmed = now
            if self.missed:
                self.table.tell(now, self)


class Observers:
    """The observers of one server."""

    def __init__(self, server, config):
        self.server = server
        self.ep = server.ep
        self.list = []
        self._max = config.get("observers", _OBSERVERS)
        self._sequence = 0

    def _next(self):
        self._sequence = self._sequence + 1 & 0xFFFFFF
        return self._sequence

    def _same(self, o, q):
        """Whether q comes from the same endpoint, with the same token: under security wherever it is now."""
        return o.q.token == q.token and (o.q.context or o.q.peer) == (q.context or q.peer)

    def add(self, now, q):
        """Register the sender of q; returns the value for its Observe option, -1 where there is no room."""
        self.remove_of(q)
        if len(self.list) >= self._max:
            for o in self.list:  # one that has lost its memory registers again under another token
                if o.q.path == q.path and (o.q.context or o.q.peer) == (q.context or q.peer):
                    self.remove(o)
                    break
            else:
                return -1
        o = Observer(q, now)
        o.table = self
        self.list.append(o)
        return self._next()

    def remove_of(self, q):
        for o in self.list[:]:
            if self._same(o, q):
                self.remove(o)

    def remove(self, o):
        if o in self.list:
            self.list.remove(o)
        if o.exchange:
            o.exchange.owner = None  # it goes on alone: its turn is over when it is answered, or given up

    def reset(self, peer, mid):
        """RST came for a message without an exchange: a notification that nobody wants (section 3.6)."""
        for o in self.list:
            if o.q.mid == mid and o.q.peer == peer:
                self.remove(o)
                return

    def gone(self, peer):
        for o in self.list[:]:
            if o.q.peer == peer:
                self.remove(o)

    def notify(self, now, path):
        """Tell the observers of `path` that it has changed; while a CON is on the way, the latest state waits."""
        if not isinstance(path, bytes):
            path = path.strip("/").encode()
        for o in self.list[:]:
            if o.q.path == path and o in self.list:
                if o.exchange:
                    o.missed = True
                else:
                    self.tell(now, o)

    def tell(self, now, o):
        """Send one notification; the observer goes with one that is an error (section 4.2)."""
        ep = self.ep
        q = o.q
        o.missed = False
        code = self.server.run(now, q, self.server.resources[q.path])
        con = not q.reliable and ticks_diff(now, o.confirmed) >= _CON_EVERY_MS
        q.observe = self._next() if code >> 5 == 2 else -1
        q.mid = ep.next_mid()
        data = self.server.build(q, code, CON if con else NON)
        sent = data and ep.transmit(now, q.peer, data, len(data), o)
        if code >> 5 != 2 or not data:  # an error, or its context is no more
            self.remove(o)
        elif con and sent:
            o.exchange = sent
