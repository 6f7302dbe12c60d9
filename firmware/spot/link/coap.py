"""The link over CoAP: an endpoint, client and server at once, on one transport. MicroPython only.

Every message of the device is `POST /{channel}` at its EMD, the EMD's are `POST /cmd` here. The latest body of each
channel can be read and observed here, broadcasts of groups are observed there (docs/coap.md).
"""

from ..codes import CH_TELEMETRY, CHANNELS, MAX_BODY
from ..port import asyncio, const, gc, random_bytes, sha256, ticks_add, ticks_diff, ticks_ms
from ..wire.coap import CoapError
from ..wire.coap_endpoint import Endpoint
from ..wire.coap_numbers import (
    COAP_CHANGED,
    COAP_CONTENT,
    COAP_DELETE,
    COAP_FORBIDDEN,
    COAP_GET,
    COAP_METHOD_NOT_ALLOWED,
    COAP_NOT_FOUND,
    COAP_POST,
    COAP_UNAUTHORIZED,
    CT_LINK,
)
from ..wire.linkformat import core
from .base import Link
from .errors import LinkError
from .settings import split_uri

_SIZE = MAX_BODY + 160  # a body, its options, tag and token
_NOTHING = const(26)  # No-Response: none of any class (RFC 7967)
_TURN_MS = const(1000)  # the longest sleep: stalls are looked for
_AGAIN_MS = const(10000)  # before a registration that was refused, or found no room, is tried again
_BLOCKED_MS = const(20)  # how often a transport that takes nothing is tried again
_GROUPS = const(6)  # an observation each, of the client's requests at once


def _udp():
    from .coap_udp import Transport

    return Transport


def _dtls():
    from .coap_dtls import Transport

    return Transport


def _tcp():
    from .coap_tcp import Transport

    return Transport


def _slipmux():
    from .slipmux import Transport

    return Transport


# by the URI's scheme; loaded on demand, so that an image holds its own only (spot_host.build)
_TRANSPORTS = {"coap": _udp, "coaps": _dtls, "coap+tcp": _tcp, "coaps+tcp": _tcp, "slipmux": _slipmux}


def _channel(name):
    return [row[0] for row in CHANNELS].index(name)


def _proves(request):
    """Whether the response was protected, if the request was: an error that is not may be anybody's."""
    binding = request.binding
    return request.context is None or binding is not None and (binding.answered or binding.number >= 0)


class CoapLink(Link):
    """One device's link to its EMD; docs/architecture.md has the place of each call.

    Config: `uri`, `device` (EUI-64, 16 hex digits), and what the transport reads; optional `groups`, `broadcasts`
    (names of the groups' channels that are observed), `keepalive` (s), `lifetime` (s, of the registration at the EMD's
    resource directory), `window` (bodies that wait), `ping_ms`, `unix` (a function: Unix seconds, or None), and what
    base.Link reads. keyring: wire.keyring.Keyring of the association, for OSCORE; without one only a TLS or DTLS
    connection protects, and a plain transport serves only where `insecure` is set.
    """

    def __init__(self, config, on_message, on_up, on_down, log, keyring=None):
        super().__init__(config, on_up, on_down, log)
        scheme, config["host"], config["port"] = split_uri(config["uri"])
        self._transport = transport = _TRANSPORTS[scheme]()(config, _SIZE, log)
        self._on_message = on_message
        self._keyring = keyring
        self._open = keyring is None and not transport.secure and config.get("insecure")
        security = None
        if keyring is not None:
            from ..wire.oscore import Oscore

            security = Oscore(log, random_bytes)
            security.contexts = keyring.contexts  # the very list: keys come and go there
        self.endpoint = Endpoint(self, random_bytes, log, security)
        self._query = ("ep=" + config["device"],) if self._open else ()
        self._latest = [None] * len(CHANNELS)
        self._groups = []
        self._watched = {}  # (group, channel): the observation
        self._queue = []  # (channel, body), oldest first
        self._window = config.get("window", 4)
        self._active = self._lease = None  # requests: of the queue's first, of the directory
        self._up = False
        self._error = None
        self._heard = self._pinged = 0
        self._asking = False  # a ping is on its way
        self._ahead = False  # numbers are reserved ahead of need
        self.sent = 0  # messages that are done since the start: answered, or sent where no answer is wanted
        self.received = 0  # messages handed to the application
        for name, way, _, _ in CHANNELS:
            up = way == "up"
            self.endpoint.resource(name, self._serve, 'rt="spot.%s"%s' % (name, ";ct=60" if up else ""), up)
        for group in config.get("groups", ()):
            self.subscribe_group(group)

    # --- what the application calls

    @property
    def is_up(self):
        return self._up

    @property
    def pending(self):
        """Messages accepted by `send` that are not answered yet."""
        return len(self._queue)

    def send(self, channel, buf, n):
        """Accept `n` octets of `buf` (copied) for an up channel; False: not now (not up, or the window is full)."""
        if not self._up or self._closing or len(self._queue) >= self._window:
            return False
        now = ticks_ms()
        body = bytes(memoryview(buf)[:n])
        if channel == CH_TELEMETRY:
            if not self._post(now, channel, body, con=False, no_response=_NOTHING):
                return False
            self.sent += 1
        else:
            self._queue.append((channel, body))
            self._push(now)
        self._latest[channel] = body
        self.endpoint.notify(now, CHANNELS[channel][0])
        self._wake.set()
        return True

    def subscribe_group(self, group):
        """Observe a group's broadcasts as well, `_GROUPS` at most."""
        if group not in self._groups:
            if len(self._groups) == _GROUPS:
                self._log.warn("link.groups", _GROUPS)
                return
            self._groups.append(group)
            self._wake.set()

    def say(self, text):
        """Diagnostic text beside the messages, where the transport has room for such (slipmux)."""
        self._transport.say(text)

    # --- what the endpoint calls

    def datagram(self, peer, buf, n):
        return self._task is not None and self._transport.datagram(peer, buf, n)

    def reliable(self, peer):
        return self._transport.reliable(peer)

    def trusted(self, peer):
        return self._open or (self._transport.secure and peer == self._transport.peer)

    def _serve(self, now, request):
        """Any of the resources: what the device says can be read, what it listens to can be posted to."""
        channel = _channel(str(request.path, "utf-8"))
        self._proven(now, request.context)
        if CHANNELS[channel][1] != "up":
            if request.code == COAP_POST:
                self._deliver(channel, request.buf, request.at, request.n)
                return COAP_CHANGED
        elif request.code == COAP_GET:
            body = self._latest[channel]
            if body is None:
                return COAP_NOT_FOUND
            request.reply(body, etag=sha256(body)[:4])
            return COAP_CONTENT
        return COAP_METHOD_NOT_ALLOWED

    def _proven(self, now, context):
        """The EMD was heard, under this context."""
        self._heard = now
        if context is not None:
            self._keyring.used(context)

    def _deliver(self, channel, buf, at, n):
        self.received += 1
        self._call(self._on_message, channel, memoryview(buf)[at : at + n], n)

    # --- requests to the EMD

    def _request(self, now, code, path, *rest, **more):
        """As Endpoint.request, to the EMD; None as well when it cannot be protected, which ends the connection."""
        try:
            return self.endpoint.request(now, self._transport.peer, code, path, *rest, context=self._context(), **more)
        except CoapError:
            self._error = LinkError("keys")
            self._wake.set()
            return None

    def _context(self):
        return self._keyring.current if self._keyring is not None else None

    def _post(self, now, channel, body, **more):
        return self._request(now, COAP_POST, CHANNELS[channel][0], body, query=self._query, **more)

    def _push(self, now):
        """Give the endpoint the first of the queue: one at a time, so that they arrive in order."""
        if self._queue and self._active is None and self._up:
            self._active = self._post(now, self._queue[0][0], self._queue[0][1], on_reply=self._posted)

    def _posted(self, now, code, buf, at, n, fresh):
        request, self._active = self._active, None
        if self._alive(now, code, request):
            channel = self._queue.pop(0)[0]
            self.sent += 1
            if code >> 5 != 2:
                self._log.warn("link.refused", code, channel)
            self._push(now)

    def _alive(self, now, code, request):
        """Whether the EMD answered; silence, and an answer by which it, or anybody else, disowns us, ends the
        connection."""
        if code == 0:
            self._error = LinkError("timeout")
        elif code == COAP_UNAUTHORIZED or code == COAP_FORBIDDEN or not _proves(request):
            self._error = LinkError("unauthorized", code)
        else:
            self._proven(now, request.context)
            return True
        return False

    def _register(self, now):
        """At the EMD's resource directory (RFC 9176): that its answer can be verified is also what "up" means.

        The registration is renewed where it stands, without the links, as long as the directory knows it.
        """
        lifetime = self._config.get("lifetime", 3600)
        query = ("ep=" + self._config["device"], "lt=%d" % lifetime)
        known = self._place()
        links = b"" if known else core(self.endpoint.server.resources, (), False)
        self._lease = self._request(
            now, COAP_POST, known or "rd", links, query=query, ct=-1 if known else CT_LINK, on_reply=self._registered
        )
        self._renewal = ticks_add(now, lifetime * 750 if self._lease is not None else _AGAIN_MS)

    def _place(self):
        """Path of the registration at the directory, "" when there is none."""
        try:
            return str(self._lease.location, "utf-8") if self._lease is not None else ""
        except ValueError:
            return ""

    def _registered(self, now, code, buf, at, n, fresh):
        if not self._alive(now, code, self._lease):
            return
        if code >> 5 != 2:
            self._log.info("link.no_directory", code)
            if self._up:  # it has forgotten us
                self._lease = None
                self._renewal = ticks_add(now, _AGAIN_MS)
        if not self._up:
            self._up = True
            self._call(self._came_up, False)

    def _observe(self, now):
        for group in self._groups:
            for name in self._config.get("broadcasts", ("price",)):
                key = (group, name)
                if key not in self._watched:
                    watch = self._request(
                        now, COAP_GET, "group/%s/%s" % (group, name), query=self._query, observe=True,
                        on_reply=self._hearer(key),
                    )
                    if watch is None:
                        return
                    self._watched[key] = watch

    def _hearer(self, key):
        channel = _channel(key[1])

        def hear(now, code, buf, at, n, fresh):
            if self._alive(now, code, self._watched[key]) and code == COAP_CONTENT and fresh and n:
                self._deliver(channel, buf, at, n)

        return hear

    # --- the connection

    async def _connection(self):
        transport, watches = self._transport, []
        clock = self._config.get("unix")
        if self._keyring is not None and clock and self._keyring.expired(clock() or 0):
            raise LinkError("expired")
        try:
            await transport.open()
            gc.collect()
            now = ticks_ms()
            self._heard, self._asking, self._ahead = now, False, self._keyring is not None
            transport.on_pong = self._ponged
            watches = [asyncio.create_task(self._watch(raw)) for raw in transport.raws()]
            self._register(now)
            await self._pump()
        finally:
            for watch in watches:
                watch.cancel()
            self._part()
            transport.close()

    def _part(self):
        """Nothing is on its way any more; bodies that wait are sent again on the next connection."""
        self._up = False
        self._active = None
        self.endpoint.gone(ticks_ms(), self._transport.peer)
        self._active = self._lease = self._error = None
        self._watched.clear()

    def _ended(self):
        pass

    async def _pump(self):
        transport, endpoint = self._transport, self.endpoint
        while True:
            now = ticks_ms()
            self._settle(now)
            more = transport.take(now, endpoint.received)
            wait = min(_TURN_MS, endpoint.step(now))
            self._tend(now)
            if self._error:
                raise self._error
            if self._closing:
                return self._farewell(now)
            if not transport.flush():
                wait = min(wait, _BLOCKED_MS)
            if more:
                await asyncio.sleep_ms(0)  # a peer that never pauses must not stop the other tasks
            else:
                self._drained.set()
                if self._ahead and self._reserve():
                    continue
                await self._sleep(wait)

    def _reserve(self):
        """Sequence numbers ahead of need, while nothing else is to be done; True when that took a write to flash."""
        from ..wire.context import ContextError

        try:
            return self._keyring.current.reserve()
        except ContextError:  # flash refuses: not asked again before a message has to go, or on the next connection
            self._ahead = False
            return False

    def _tend(self, now):
        """Lease, observations, the queue, and whether the EMD is there."""
        if ticks_diff(now, self._renewal) >= 0:
            self._register(now)
        if self._up:
            self._push(now)
            self._observe(now)
        config = self._config
        if self._asking:
            if self.reliable(self._transport.peer) and ticks_diff(now, self._pinged) > config.get("ping_ms", 10000):
                raise LinkError("ping_timeout")
        elif ticks_diff(now, self._heard) >= config.get("keepalive", 60) * 1000:
            self._asking = True
            self._pinged = now
            if self.reliable(self._transport.peer):
                self._transport.ping()
            else:
                self._asking = self.endpoint.ping(now, self._transport.peer, self._ponged)

    def _ponged(self, now, there=True):
        self._asking = False
        self._heard = now
        if not there:
            self._error = LinkError("ping_timeout")

    def _farewell(self, now):
        """Out of the directory, and off the stream, as far as the transport takes it at once."""
        place = self._place()
        if place:
            self._request(now, COAP_DELETE, place, con=False, no_response=_NOTHING)
        self._transport.leave()
