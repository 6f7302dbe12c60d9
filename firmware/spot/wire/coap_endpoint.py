"""A CoAP endpoint without I/O, client and server at once: this file is its message layer (RFC 7252, section 4).

Whole messages come in by received(), time by step(), and messages leave through `out`. Requests are in coap_client.py,
resources in coap_server.py and coap_observe.py. Time is milliseconds that wrap, as the port's ticks do.
"""

from spot.codes import MAX_BODY
from spot.port import const, ticks_add, ticks_diff
from spot.wire.coap import Builder, CoapError, Message
from spot.wire.coap_client import Client
from spot.wire.coap_numbers import (
    ACK,
    ACK_TIMEOUT_MAX_MS,
    ACK_TIMEOUT_MS,
    COAP_CONTINUE,
    COAP_UNAVAILABLE,
    CON,
    EXCHANGE_LIFETIME_MS,
    MAX_RETRANSMIT,
    NON,
    NON_LIFETIME_MS,
    OPT_OSCORE,
    RST,
)
from spot.wire.coap_server import Server

ACKED = const(0)
RESET = const(1)
TIMED_OUT = const(2)

_EXCHANGES = const(8)  # CON on the way or waiting their turn: each is a copy of a message, up to a kilobyte
_SEEN = const(32)  # requests remembered: an EMD's commands and heartbeats of EXCHANGE_LIFETIME, about 100 octets each
_SPAN_MS = const(60000)
_DELAYED = const(2)  # answers to multicast that wait out their leisure
_SHORT = const(576)  # octets of a message that takes no heap over datagrams: a piece of an update is one
_HEADROOM = const(160)  # around a body: token, path, query, the other options, OSCORE's option and tag
_IDLE_MS = const(60000)  # the longest that step() asks to be left alone


class Exchange:
    """A CON message that waits for its ACK, or (tries < 0) for its turn: NSTART is 1. `owner`.settled hears the end."""

    def __init__(self, peer, mid, data, owner):
        self.peer = peer
        self.mid = mid
        self.data = data
        self.owner = owner
        self.tries = -1
        self.due = self.timeout = 0


class _Seen:
    """A request that was carried out: `key` and `mid` tell it, `answer` is what its duplicates get (None: nothing)."""

    answer = None  # in the class, as what is so for most: there are many of them on a small heap
    safe = True  # a replay window catches it also when this entry has gone

    def __init__(self, key, mid, until, safe):
        self.key = key
        self.mid = mid
        self.until = until
        if not safe:
            self.safe = False


class _Ping:
    """CoAP ping: an empty CON that is answered by RST (section 4.3)."""

    def __init__(self, on_reply):
        self.on_reply = on_reply

    def settled(self, now, how):
        self.on_reply(now, how != TIMED_OUT)


class Endpoint:
    """One endpoint on one link.

    out: `datagram(peer, buf, n) -> bool` sends a whole message in UDP's framing; `reliable(peer)`: a stream, which
        loses and doubles nothing; `trusted(peer)`: the transport has proven who it is, or nobody asks.
    random(n): n octets that nobody can guess. log: spot.log.Log. security: wire.oscore.Oscore or None;
    context_for(peer): the context that protects requests to it, or None.
    config: bounds other than the constants: "body" (octets), "szx" (block size 2^(szx + 4)), "requests", "exchanges",
        "seen", "observers", "transfers"; "sent" (octets of payload in what it sends itself: a block's where all is
        cut, since no peer is reliable).
    """

    def __init__(self, out, random, log, security=None, context_for=None, config={}):  # noqa: B006 - only read
        self.out = out
        self.random = random
        self.log = log
        self.security = security
        self.context_for = context_for
        self.max_body = config.get("body", MAX_BODY)
        self.szx = config.get("szx", 4)
        self.exchanges = []
        self._max_exchanges = config.get("exchanges", _EXCHANGES)
        self._seen = []
        self._max_seen = config.get("seen", _SEEN)
        self._delayed = []  # (due, peer, octets)
        self._mid = self.number(65536)
        size = self.max_body + _HEADROOM
        sent = config.get("sent", 0)
        self.plain = bytearray(sent + _HEADROOM if sent else size)
        self.builder = Builder(self.plain)
        if sent:
            size = min(size, _SHORT)
        self._wire = bytearray(size)
        if security:  # it has been sent before the next one is deciphered
            security.scratch = self._wire
        self._inner = bytearray(size) if security else b""
        self._outside = Message()
        self._inside = Message()
        self.client = Client(self, config)
        self.server = Server(self, config)
        self.request = self.client.request
        self.resource = self.server.resource
        self.answer = self.server.answer
        self.notify = self.server.notify

    def number(self, below):
        """A random integer from 0 to below - 1; below is at most 65,536."""
        octets = self.random(2)
        return (octets[0] << 8 | octets[1]) % below

    def next_mid(self):
        """A message id that this endpoint has not used for 65,535 messages."""
        self._mid = self._mid + 1 & 0xFFFF
        return self._mid

    # --- in ---

    def received(self, now, peer, buf, n, multicast=False):
        """Take the message in the first n octets of buf, in UDP's framing. Never raises for what stands in it."""
        m = self._outside
        reliable = self.out.reliable(peer)
        try:
            m.parse(buf, n)
        except CoapError:
            self.log.debug("coap.malformed", n)
            if n >= 4 and buf[0] & 0xF0 == 0x40 and not multicast and not reliable:
                self._empty(peer, RST, buf[2] << 8 | buf[3])
            return
        type = NON if reliable else m.type
        kind = m.code >> 5
        if type >= ACK:
            if multicast or m.code and (type == RST or kind < 2 or kind > 5):
                return
            for x in self.exchanges:
                if x.mid == m.mid and x.peer == peer and x.tries >= 0:
                    if not m.code:
                        self.finish(now, x, RESET if type == RST else ACKED)
                    else:
                        self.client.response(now, peer, m, x)  # another token: somebody guesses, and it goes on
                    return
            if type == RST:
                self.server.reset(peer, m.mid)
            elif m.code:
                self.client.response(now, peer, m, None)  # its peer has a new address: the token tells
            return
        if multicast and (type != NON or kind):
            return
        if kind == 0 and m.code:
            self._request(now, peer, m, type, multicast)
        elif 2 <= kind <= 5 and self.client.response(now, peer, m, None):
            if type == CON:
                self._empty(peer, ACK, m.mid)
        elif type == CON:  # a ping, a response that nobody waits for, a class that does not exist
            entry = self._known(now, peer, m.mid)
            self._empty(peer, ACK if entry else RST, m.mid)

    def _empty(self, peer, type, mid):
        self.out.datagram(peer, bytes((0x40 | type << 4, 0, mid >> 8, mid & 0xFF)), 4)

    def _request(self, now, peer, m, type, multicast):
        binding = inner = None
        key = peer
        at = m.find(OPT_OSCORE) if self.security else -1
        if at >= 0:
            # The key id and sequence number tell a request also when its sender has got a new address in between.
            key = m.octets(at) + m.token()
        reliable = self.out.reliable(peer)
        entry = None if reliable else self._known(now, key, m.mid)
        if entry:
            self.log.debug("coap.duplicate", m.mid)
            if entry.answer:
                self.out.datagram(peer, entry.answer, len(entry.answer))
            return
        if at >= 0:
            binding = self.security.binding()
            inner, fault = self.open(self.security.unprotect_request, m, binding)
            if fault:
                if not multicast:
                    self.server.refuse(now, peer, m, type, fault, binding)
                return
        if not reliable and (binding or (self.out.trusted(peer) and m.code != 1)):
            entry = self._remember(now, key, m.mid, binding is not None, type)
            if entry is None:
                self.log.warn("coap.busy", len(self._seen))
                return  # unanswered: it comes again
        sent = self.server.request(now, peer, m.mid, type, inner or m, binding, multicast)
        if entry and type == CON and sent:
            entry.answer = sent
            if sent[1] == COAP_CONTINUE:
                entry.safe = True  # the upload itself knows the block

    def open(self, unprotect, m, binding):
        """(the message inside the protected one m, None), or (None, why not)."""
        try:
            n = m.payload_at + m.payload_n
            inner = self._inner if n <= len(self._inner) else bytearray(n)  # a long one has its own, while it is here
            self._inside.parse(inner, unprotect(m, inner, binding))
            return self._inside, None
        except MemoryError:
            self.log.warn("coap.memory", m.payload_n)
            return None, CoapError(COAP_UNAVAILABLE, "")
        except CoapError as fault:
            self.log.debug("coap.unprotect", fault.code)
            return None, fault

    # --- requests that were carried out (section 4.5) ---

    def _known(self, now, key, mid):
        for entry in self._seen:
            if entry.mid == mid and entry.key == key and ticks_diff(entry.until, now) > 0:
                return entry
        return None

    def _remember(self, now, key, mid, safe, type=CON):
        """A new entry, in place of one that has run out, that a replay window stands for, or that no sender repeats any
        more (MAX_TRANSMIT_SPAN, 45 s, and some); None: no room."""
        seen = self._seen
        if len(seen) >= self._max_seen:
            for entry in seen:
                if ticks_diff(entry.until, now) <= 0:
                    break
            else:
                for entry in seen:
                    if entry.safe:
                        break
                else:
                    entry = seen[0]
                    if ticks_diff(entry.until, now) > EXCHANGE_LIFETIME_MS - _SPAN_MS:
                        return None
            seen.remove(entry)
        life = EXCHANGE_LIFETIME_MS if type == CON else NON_LIFETIME_MS
        entry = _Seen(key, mid, ticks_add(now, life), safe)
        seen.append(entry)
        return entry

    def remember_response(self, now, peer, mid):
        """A CON response has been taken: its duplicates get their ACK although nobody waits for them any more."""
        self._remember(now, peer, mid, True)

    # --- out ---

    def protect_request(self, n, context, binding):
        """Protect the request in `plain`; returns the buffer in which it stands now, and its octets."""
        if context is None:
            return self.plain, n
        return self._wire, self.security.protect_request(self.plain, n, self._wire, context, binding)

    def protect_response(self, n, binding):
        """As protect_request, for the response to the request of `binding` (None: an unprotected one)."""
        if binding is None:
            return self.plain, n
        return self._wire, self.security.protect_response(self.plain, n, self._wire, binding)

    def transmit(self, now, peer, buf, n, owner=None):
        """Send a message. A CON is kept, and sent again until it is answered; returns its exchange.

        Others: whether the link took it. A CON without room: False.
        """
        if buf[0] & 0x30 or self.out.reliable(peer):
            return self.out.datagram(peer, buf, n)
        if len(self.exchanges) >= self._max_exchanges:
            return False
        x = Exchange(peer, buf[2] << 8 | buf[3], bytes(memoryview(buf)[:n]), owner)
        self.exchanges.append(x)
        self._next(now, peer)
        return x

    def _next(self, now, peer):
        """Send the CON that waits longest for its turn with `peer`, if the turn is free (NSTART, section 4.7)."""
        first = None
        for x in self.exchanges:
            if x.peer == peer:
                if x.tries >= 0:
                    return
                first = first or x
        if first:
            first.timeout = ACK_TIMEOUT_MS + self.number(ACK_TIMEOUT_MAX_MS - ACK_TIMEOUT_MS + 1)
            self._send(now, first)

    def _send(self, now, x):
        x.tries += 1
        x.due = ticks_add(now, x.timeout << x.tries)
        self.out.datagram(x.peer, x.data, len(x.data))

    def drop(self, now, x):
        """Forget an exchange, and let the next one to its peer go."""
        if x in self.exchanges:
            self.exchanges.remove(x)
            self._next(now, x.peer)

    def finish(self, now, x, how):
        """An exchange is over: ACKED, RESET or TIMED_OUT."""
        self.drop(now, x)
        if x.owner:
            x.owner.settled(now, how)

    def later(self, due, peer, data):
        """Send a message at `due`, to spread the answers to a multicast (section 8.2); dropped where many wait."""
        if len(self._delayed) < _DELAYED:
            self._delayed.append((due, peer, data))

    def ping(self, now, peer, on_reply):
        """Ask whether peer is there (section 4.3); on_reply(now, bool) hears. False: no room. Streams have 7.02."""
        mid = self.next_mid()
        return bool(self.transmit(now, peer, bytes((0x40, 0, mid >> 8, mid & 0xFF)), 4, _Ping(on_reply)))

    # --- time and links ---

    def step(self, now):
        """Do what is due; returns the milliseconds until the next call, at most a minute."""
        for entry in self._seen[:]:
            if ticks_diff(entry.until, now) <= 0:
                self._seen.remove(entry)
        for late in self._delayed[:]:
            if ticks_diff(late[0], now) <= 0:
                self._delayed.remove(late)
                self.out.datagram(late[1], late[2], len(late[2]))
        for x in self.exchanges[:]:
            if x in self.exchanges and x.tries >= 0 and ticks_diff(x.due, now) <= 0:
                if x.tries < MAX_RETRANSMIT:
                    self._send(now, x)
                else:
                    self.log.debug("coap.timeout", x.mid)
                    self.finish(now, x, TIMED_OUT)
        self.server.step(now)
        wait = min(_IDLE_MS, self.client.step(now))
        for x in self.exchanges:
            if x.tries >= 0:
                wait = min(wait, ticks_diff(x.due, now))
        for late in self._delayed:
            wait = min(wait, ticks_diff(late[0], now))
        return max(wait, 0)

    def gone(self, now, peer):
        """The connection to peer is lost: its requests fail with code 0, its observations and transfers end."""
        self.exchanges = [x for x in self.exchanges if x.peer != peer]
        self._delayed = [late for late in self._delayed if late[1] != peer]
        self.server.gone(peer)
        self.client.gone(now, peer)
