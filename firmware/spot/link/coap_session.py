"""One device's CoAP link without I/O or a clock: an endpoint, client and server at once, and what it keeps up with its
EMD. Messages and ticks in, messages and a next deadline out; coap.py is the asynchronous pump around it.

Every message of the device is `POST /{channel}` at its EMD, the EMD's are `POST /cmd` here. The latest body of each
channel can be read and observed here, broadcasts of groups are observed there (docs/coap.md). `now` is always
`port.ticks_ms()`.
"""

from ..codes import CH_TELEMETRY, CHANNELS
from ..port import const, random_bytes, sha256, ticks_add, ticks_diff
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
from ..wire.coap_options import block
from ..wire.linkformat import core
from .errors import LinkError, call

_NOTHING = const(26)  # No-Response: none of any class (RFC 7967)
_AGAIN_MS = const(10000)  # before a registration that was refused, or found no room, is tried again
_ROOM_MS = const(1000)  # before another request that found no room is
_GROUPS = const(6)  # an observation each, of the client's requests at once


def _bounds(transport, security):
    """Those of its endpoint: bodies over datagrams go, and are asked for, in blocks; behind a replay window fewer of
    the requests that came have to be remembered."""
    bounds = {} if transport.reliable(None) else {"sent": 256}
    if security:
        bounds["seen"] = 16
    return bounds


def _channel(name):
    return [row[0] for row in CHANNELS].index(name)


def _proves(request):
    """Whether the response was protected, if the request was: an error that is not may be anybody's."""
    binding = request.binding
    return request.context is None or binding is not None and (binding.answered or binding.number >= 0)


class Session:
    """The state of one link, over any number of connections.

    Config: `device` (EUI-64, 16 hex digits); optional `groups`, `broadcasts` (names of the groups' channels that are
    observed), `keepalive` (s), `lifetime` (s, of the registration at the EMD's resource directory), `window` (bodies
    that wait), `ping_ms`, `unix` (a function: Unix seconds, or None), `insecure`. transport: `peer`, `secure`,
    `reliable(peer)`, `datagram(peer, buf, n) -> bool`, and where it is reliable `ping()`. keyring: wire.keyring.Keyring
    for OSCORE; without one only a secure transport protects, and another one serves only where `insecure` is set.
    on_message(channel, buf, n): buf is valid during the call only. on_up(session_present).
    """

    def __init__(self, config, transport, on_message, on_up, log, keyring=None, random=random_bytes):
        self._config = config
        self._transport = transport
        self._on_message = on_message
        self._on_up = on_up
        self._log = log
        self._keyring = keyring
        self._open = keyring is None and not transport.secure and config.get("insecure")
        security = None
        if keyring is not None:
            from ..wire.oscore import Oscore

            security = Oscore(log, random)
            security.contexts = keyring.contexts  # the very list: keys come and go there
        self.endpoint = Endpoint(self, random, log, security, config=_bounds(transport, security))
        self._query = ("ep=" + config["device"],) if self._open else ()
        self._latest = [None] * len(CHANNELS)
        self._groups = []
        self._watched = {}  # (group, channel): the observation
        self._queue = []  # (channel, body), oldest first
        self._came = []  # the same, for the application
        self._news = 0  # channels of which observers have to be told, a bit each
        self._rose = False  # it is up, and the application has to be told
        self._window = config.get("window", 4)
        self._active = self._lease = None  # requests: of the queue's first, of the directory
        self._fetched = self._asked = None  # whose block of a resource is on its way, and the request
        self._begun = self.is_up = False
        self._error = None
        self._heard = self._pinged = self._renewal = 0
        self._asking = False  # a ping is on its way
        self.sent = 0  # messages that are done since the start: answered, or sent where no answer is wanted
        self.received = 0  # messages handed to the application
        serve = self._serve  # one for all: it takes heap
        for name, way, _, _ in CHANNELS:
            up = way == "up"
            self.endpoint.resource(name, serve, 'rt="spot.%s";ct=60' if up else 'rt="spot.%s"', up)
        for group in config.get("groups", ()):
            self.subscribe_group(group)

    # --- the connection

    def check(self):
        """LinkError("expired") where the pairing must not be used any more."""
        clock = self._config.get("unix")
        if self._keyring is not None and clock and self._keyring.expired(clock() or 0):
            raise LinkError("expired")

    def begin(self, now):
        """The transport is open: register."""
        self._begun = True
        self._heard, self._asking = now, False
        self._register(now)

    def end(self, now):
        """The connection is over. Nothing is on its way any more; bodies that wait are sent again on the next
        connection, but for telemetry."""
        self._begun = self.is_up = False
        self.endpoint.gone(now, self._transport.peer)
        self._active = self._lease = self._fetched = self._error = None
        self._watched.clear()
        self._queue = [one for one in self._queue if one[0] != CH_TELEMETRY]

    def farewell(self, now):
        """Out of the directory, as far as the transport takes it at once."""
        place = self._place()
        if place:
            self._request(now, COAP_DELETE, place, con=False, no_response=_NOTHING)

    def receive(self, now, peer, buf, n, multicast=False):
        """One whole message came in. The application gets its body when the endpoint is through with it: on a chip
        there is not stack enough for both on top of each other. So 2.04 says that it is here, not what comes of it."""
        self.endpoint.received(now, peer, buf, n, multicast)
        if self._rose:
            self._rose = False
            call(self._log, self._on_up, False)
        while self._came:
            channel, body = self._came.pop(0)
            if channel is None:
                taken, self._fetched = self._fetched, None
                if body is not None:
                    call(self._log, taken, body)
                continue
            self.received += 1
            call(self._log, self._on_message, channel, body, len(body))

    # --- what the application calls

    @property
    def pending(self):
        """Messages accepted by `offer` that are not done yet."""
        return len(self._queue)

    def offer(self, now, channel, buf, n, urgent=False):
        """Accept `n` octets of `buf` (copied) for an up channel; False: not now (not up, or the window is full). The
        next step, or flush(), sends them: who offers stands deep in the stack already. urgent: sent here and now, past
        all that waits, once."""
        body = bytes(memoryview(buf)[:n])
        if not self.is_up:
            return False
        if urgent:
            if self._post(now, channel, body, con=False, no_response=_NOTHING) is None:
                return False
            self.sent += 1
        elif (channel, body) in self._queue:  # a repetition of what still waits would only make all wait longer
            return True
        elif len(self._queue) >= self._window:
            return False
        else:
            self._queue.append((channel, body))
        self._latest[channel] = body
        self._news |= 1 << channel
        return True

    def flush(self, now):
        """Send what was offered, as far as its turn has come, and tell the observers. False: there was no room."""
        news, self._news = self._news, 0
        channel = 0
        done = self._push(now)
        while news:
            if news & 1:
                self.endpoint.notify(now, CHANNELS[channel][0])
            news >>= 1
            channel += 1
        return done

    def fetch(self, now, path, at, n, taken):
        """Ask the EMD for the octets of a resource that begin at `at`, a multiple of a block's size, which is the
        smallest that holds n. taken(octets) follows, unless there are none. False: not now, or one is on its way."""
        if not self.is_up or self._fetched is not None:
            return False
        szx = 0
        while 16 << szx < n:
            szx += 1
        self._fetched = taken
        asked = self._request(now, COAP_GET, path, query=self._query, block=block(at, False, szx), on_reply=self._piece)
        if asked is None:
            self._fetched = None
        self._asked = asked
        return asked is not None

    def _piece(self, now, code, buf, at, n, fresh):
        if self._fetched is not None and self._alive(now, code, self._asked):
            self._came.append((None, bytes(memoryview(buf)[at : at + n]) if code == COAP_CONTENT else None))

    def subscribe_group(self, group):
        """Observe a group's broadcasts as well, `_GROUPS` at most."""
        if group not in self._groups:
            if len(self._groups) == _GROUPS:
                self._log.warn("link.groups", _GROUPS)
                return
            self._groups.append(group)

    # --- what the endpoint calls

    def datagram(self, peer, buf, n):
        return self._begun and self._transport.datagram(peer, buf, n)

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
        self._came.append((channel, bytes(memoryview(buf)[at : at + n])))

    # --- requests to the EMD

    def _request(self, now, code, path, *rest, **more):
        """As Endpoint.request, to the EMD; None as well when it cannot be protected, which ends the connection."""
        try:
            return self.endpoint.request(now, self._transport.peer, code, path, *rest, context=self._context(), **more)
        except CoapError:
            self._error = LinkError("keys")
            return None

    def _context(self):
        return self._keyring.current if self._keyring is not None else None

    def _post(self, now, channel, body, **more):
        return self._request(now, COAP_POST, CHANNELS[channel][0], body, query=self._query, **more)

    def _push(self, now):
        """Give the endpoint the first of the queue: one at a time, so that they arrive in order. Telemetry is done with
        when it is sent, and does not overtake either. False: there was no room for it."""
        while self._queue and self._active is None and self.is_up:
            channel, body = self._queue[0]
            if channel == CH_TELEMETRY:
                if self._post(now, channel, body, con=False, no_response=_NOTHING) is None:
                    return False
                self._done()
            else:
                self._active = self._post(now, channel, body, on_reply=self._posted)
                return self._active is not None
        return True

    def _done(self):
        self.sent += 1
        return self._queue.pop(0)[0]

    def _posted(self, now, code, buf, at, n, fresh):
        request, self._active = self._active, None
        if self._alive(now, code, request):
            channel = self._done()
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
            if self._keyring is not None:
                self._keyring.turn()
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
            if self.is_up:  # it has forgotten us
                self._lease = None
                self._renewal = ticks_add(now, _AGAIN_MS)
        if not self.is_up:
            self.is_up = self._rose = True

    def _observe(self, now):
        """Observe what is not observed yet; False: there was no room for it."""
        for group in self._groups:
            for name in self._config.get("broadcasts", ("price",)):
                key = (group, name)
                if key not in self._watched:
                    watch = self._request(
                        now, COAP_GET, "group/%s/%s" % (group, name), query=self._query, observe=True,
                        on_reply=self._hearer(key),
                    )
                    if watch is None:
                        return False
                    self._watched[key] = watch
        return True

    def _hearer(self, key):
        channel = _channel(key[1])

        def hear(now, code, buf, at, n, fresh):
            if self._alive(now, code, self._watched[key]) and code == COAP_CONTENT and fresh and n:
                self._deliver(channel, buf, at, n)

        return hear

    # --- time

    def step(self, now):
        """Lease, queue, observations, and whether the EMD is there. Returns the milliseconds until something is due;
        LinkError when the connection is at its end."""
        if ticks_diff(now, self._renewal) >= 0:
            self._register(now)
        wait = ticks_diff(self._renewal, now)
        if self.is_up and not (self.flush(now) and self._observe(now)):
            wait = min(wait, _ROOM_MS)
        config = self._config
        peer = self._transport.peer
        reliable = self.reliable(peer)
        if self._asking:
            left = ticks_diff(ticks_add(self._pinged, config.get("ping_ms", 10000)), now)
            if reliable and left < 0:
                raise LinkError("ping_timeout")
        else:
            left = ticks_diff(ticks_add(self._heard, config.get("keepalive", 60) * 1000), now)
            if left <= 0:
                self._asking = True
                self._pinged = now
                if reliable:
                    self._transport.ping()
                else:
                    self._asking = self.endpoint.ping(now, peer, self.ponged)
        wait = min(wait, self.endpoint.step(now), left if left > 0 else _ROOM_MS)
        if self._error:
            raise self._error
        return wait

    def ponged(self, now, there=True):
        """The EMD's sign of life, or that there was none."""
        self._asking = False
        self._heard = now
        if not there:
            self._error = LinkError("ping_timeout")

    def reserve(self):
        """In a quiet moment: sequence numbers ahead of need. True when that took a write to flash."""
        return self._keyring is not None and self._keyring.current.reserve()
