"""The EMD's end of CoAP in memory, as far as one device is concerned: server and client with OSCORE, on the firmware's
own endpoint.

It does what spot_host.emd.coap does with aiocoap: the device's channels, the groups' latest bodies to be observed, the
resource directory's lease; commands as confirmable requests, one after the other, to where the device was last proven
to be. The directory gives no location, so devices register anew instead of renewing.
"""

from collections import deque

from spot.log import WARN, Log
from spot.port import sha256
from spot.wire.coap_endpoint import Endpoint
from spot.wire.coap_numbers import (
    COAP_CHANGED,
    COAP_CONTENT,
    COAP_CREATED,
    COAP_GET,
    COAP_METHOD_NOT_ALLOWED,
    COAP_POST,
    CT_LINK,
)
from spot.wire.context import Context
from spot.wire.oscore import Oscore
from spot_host.profile import codec
from spot_host.profile.definition import CHANNELS, MESSAGES

from .coap_way import Wakes, ticks

_UP = {name: code for code, name, way, *_ in CHANNELS if way == "up"}
_GROUP = {name: code for code, name, way, *_ in CHANNELS if way == "group"}
_NAMES = {code: name for code, name, *_ in CHANNELS}
_BEST_EFFORT = frozenset(m.code for m in MESSAGES if m.delivery == "best effort")
_LINK = _UP["link"]
_LOST = codec.encode("link", {"online": 0})
_NOTHING = 26  # No-Response: none of any class
_QUEUE = 32  # messages for a device that does not answer; the core repeats what it has no word of
_FRESH_S = 300  # Max-Age of a group's body: a device asks again, also when the EMD has lost its observation
_ROOM_MS = 1000
_GRACE_S = 15  # of a lease in the directory


class _Proving(Oscore):
    """Says who was proven, before the request has any effect."""

    proven = None

    def unprotect_request(self, message, out, binding):
        n = super().unprotect_request(message, out, binding)
        self.proven()
        return n


class _Numbers(dict):
    """The EMD's database, where sequence numbers outlive its process."""

    put = dict.__setitem__


class CoapEnd:
    """The EMD's end for the device of `port` (CoapPort), which carries its datagrams and knows the net.

    pairing: the device's pairing record. peer: where the device was last, None before it was heard.
    """

    def __init__(self, port, pairing, random):
        self._port, self._random = port, random
        self._keys = [bytes.fromhex(pairing[name]) for name in ("secret", "salt", "emd", "id")]
        self._numbers = _Numbers()
        self._wakes = Wakes(port.net.clock, self._turn)
        self._leases = 0
        self.peer = self.endpoint = None
        self.log = Log(64, WARN)
        self.start()

    # The process

    def start(self):
        """The EMD's process begins, with what it has stored: sequence numbers, and where the device was."""
        if self.endpoint is not None:
            return
        self._context = Context(*self._keys, None, self._numbers, "numbers")
        security = _Proving(self.log, self._random)
        security.add(self._context)
        security.proven = self._proven
        self.endpoint = ep = Endpoint(self, self._random, self.log, security)
        for name in _UP:
            ep.resource(name, self._take)
        ep.resource("rd", self._register, ct=CT_LINK)
        for group in self._port.groups:
            for name in _GROUP:
                ep.resource(f"group/{group}/{name}", self._group, observable=True)
        self._queue, self._active, self._sent = deque(), None, None
        self._from, self._moved = None, False

    def stop(self):
        """The process ends; nothing is said."""
        self.endpoint = None
        self._wakes.stop()

    # The endpoint's way out

    def datagram(self, peer, buf, n):
        self._port.down.carry(peer, bytes(buf[:n]))
        return True

    def reliable(self, peer):
        return False

    def trusted(self, peer):
        return False

    # In

    def received(self, address, octets):
        """A datagram has come from `address`."""
        ep = self.endpoint
        if ep is None:
            return
        self._from, self._moved = address, False
        ep.received(ticks(self._port.net.clock), address, octets, len(octets))
        if self._moved and self._active is not None:  # to where the device no longer is
            self._active.cancel(ticks(self._port.net.clock))
            self._active = None
            self._queue.appendleft(self._sent)
        self._turn()

    def _proven(self):
        if self.peer != self._from:
            self.peer, self._moved = self._from, True

    def _take(self, now, q):
        if q.code != COAP_POST:
            return COAP_METHOD_NOT_ALLOWED
        port = self._port
        port.net.emd.arrive(port.device, _UP[q.path.decode()], bytes(q.buf[q.at : q.at + q.n]), 1)
        return COAP_CHANGED

    def _register(self, now, q):
        if q.code != COAP_POST:
            return COAP_METHOD_NOT_ALLOWED
        self._leases += 1
        seconds = next(int(part[3:]) for part in q.query() if part.startswith("lt="))
        self._port.net.clock.call_in_ms((seconds + _GRACE_S) * 1000, self._lapsed, self._leases)
        return COAP_CREATED

    def _lapsed(self, lease):
        """What the last will says on MQTT."""
        emd = self._port.net.emd
        if lease == self._leases and self.endpoint is not None and emd.connected:
            emd.arrive(self._port.device, _LINK, _LOST, 1)

    def _group(self, now, q):
        if q.code != COAP_GET:
            return COAP_METHOD_NOT_ALLOWED
        observers = self.endpoint.server.observers
        for one in observers.list[:]:  # one of each, as the EMD has it: the device has restarted since
            if one.q.path == q.path and one.q.token != q.token:
                observers.remove(one)
        _, group, name = q.path.decode().split("/")
        body = self._port.net.retained(group, _GROUP[name])
        q.reply(body, etag=sha256(body)[:4], max_age_s=_FRESH_S)
        return COAP_CONTENT

    # Out

    def send(self, channel, body):
        """A message of the core's to the device, or to all groups that it may observe."""
        ep, net = self.endpoint, self._port.net
        if ep is None:
            net.totals["dropped"] += 1
            return
        now = ticks(net.clock)
        name = _NAMES[channel]
        if name in _GROUP:
            for group in self._port.groups:
                ep.notify(now, f"group/{group}/{name}")
        elif self.peer is None:
            net.totals["dropped"] += 1
        elif body[1] in _BEST_EFFORT and not self._queue:
            self._fire(now, name, body)
        else:
            self._queue.append((name, body))
            if len(self._queue) > _QUEUE:
                self._queue.popleft()
                net.totals["overflowed"] += 1
            self._work(now)
        self._wakes.within(1)

    def _fire(self, now, name, body):
        """Best effort: sent and forgotten."""
        self.endpoint.request(
            now, self.peer, COAP_POST, name, body, con=False, no_response=_NOTHING, context=self._context
        )

    def _work(self, now):
        """Send what is next, so that it leaves in order: what asks for an answer one at a time; behind it nothing that
        says how the ledger stands (a heartbeat) may overtake what still waits."""
        while self._active is None and self._queue and self.peer is not None:
            name, body = self._queue[0]
            if body[1] in _BEST_EFFORT:
                self._fire(now, name, body)
            else:
                self._active = self.endpoint.request(
                    now, self.peer, COAP_POST, name, body, context=self._context, on_reply=self._replied
                )
                if self._active is None:
                    return
                self._sent = name, body
            self._queue.popleft()

    def _replied(self, now, code, buf, at, n, fresh):
        self._active = None
        if not code:  # the rest is old by now as well; the core has them and sends what still holds
            self._port.net.totals["dropped"] += 1 + len(self._queue)
            self._queue.clear()

    def _turn(self):
        ep = self.endpoint
        if ep is None:
            return
        now = ticks(self._port.net.clock)
        self._work(now)
        wait = ep.step(now)
        if self._active is None and self._queue:  # no room among the exchanges
            wait = min(wait, _ROOM_MS)
        self._wakes.within(wait)
