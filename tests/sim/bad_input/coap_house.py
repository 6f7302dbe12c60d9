"""A house whose plug is on CoAP, message by message: the firmware's own link on a transport of the test's, and at the
other end an endpoint with the EMD's keys. What others send is put between, and what it costs is counted.

Time is the house's. Datagrams take none, but they wait for their turn, as an endpoint asks.
"""

import asyncio
import contextlib
import types

from spot.codes import RESET_WATCHDOG
from spot.link import base, coap, coap_tcp, slipmux, tls
from spot.log import Log
from spot.port import TICKS_PERIOD
from spot.wire.ccm import CCM
from spot.wire.coap import CoapError, Message
from spot.wire.coap_endpoint import Endpoint
from spot.wire.coap_numbers import OPT_ECHO, OPT_OSCORE
from spot.wire.coap_stream import StreamParser, csm, to_stream
from spot.wire.context import Context
from spot.wire.keyring import Keyring
from spot.wire.oscore import Oscore, OscoreError
from spot_host.profile import codec
from tests.sim.bad_input.house import KIND, PLUG, House, Plug, valid
from tests.unit.wire.coap_lab import make

EMD, STRANGER = "emd", "stranger"
CON, NON, ACK, RST = range(4)
GET, POST, PUT = 1, 2, 3
SECRET, SALT, NEW = bytes(range(16)), bytes(8), bytes(range(50, 66))
PAIRING = {"secret": SECRET.hex(), "salt": SALT.hex(), "id": "01", "emd": "00"}
PATH, FORMAT, BLOCK1, BLOCK2, OBSERVE, SIZE1, TAG = 11, 12, 27, 23, 6, 60, 292
_BASE = TICKS_PERIOD - 150_000  # the ticks wrap just before a row begins
_MODULES = (base, coap, coap_tcp, slipmux)
# what a row says all about
_EVENTS = ("coap.", "oscore.", "link.", "keys.", "security.", "signed.", "price.", "message.")
SIGNALS = {0xE1: "CSM", 0xE2: "Ping", 0xE3: "Pong", 0xE4: "Release", 0xE5: "Abort"}
_TABLES = (
    ("remembered", lambda ep: len(ep._seen)),
    ("upload", lambda ep: len(ep.server.transfers)),
    ("observer", lambda ep: len(ep.server.observers.list)),
    ("own request", lambda ep: len(ep.client.requests)),
    ("exchange", lambda ep: len(ep.exchanges)),
    ("waiting answer", lambda ep: len(ep._delayed)),
)


def mirrored(secret=SECRET, id_context=None):
    """The EMD's end of the plug's keys."""
    return Context(secret, SALT, b"\x00", b"\x01", id_context)


class Pipe:
    """Both ways of a stream, and `raw` for who waits for it."""

    raw = None

    def __init__(self):
        self.inward, self.outward = bytearray(), bytearray()

    def readinto(self, room, unsure=False):
        n = min(len(room), len(self.inward))
        room[:n] = self.inward[:n]
        del self.inward[:n]
        return n or None

    def write(self, view):
        self.outward += view
        return len(view)

    def close(self):
        del self.inward[:]


class Air:
    """The device's transport on UDP: datagrams to the house's air."""

    peer, on_pong, opened = EMD, None, False

    def __init__(self, config, size, log):
        self.house = _Stream.house
        self.secure = self.house.security == "certificate"

    async def open(self):
        self.opened = True
        self.house.dialled(Pipe())

    def raws(self):
        return ()

    def leave(self):
        pass

    def datagram(self, peer, buf, n):
        self.house.air.append((PLUG, peer, bytes(buf[:n])))
        return True

    def reliable(self, peer):
        return False

    def take(self, now, received):
        return False

    def flush(self):
        return True

    def close(self):
        self.opened = False


@types.coroutine
def _rest(ms):
    yield ms


class _Task:
    """A coroutine that is only looked after by who awaits it."""

    def __init__(self, coroutine):
        self._coroutine = coroutine

    def __await__(self):
        return self._coroutine.__await__()

    def cancel(self):
        self._coroutine.close()


class _Asyncio:
    """What the link asks of asyncio, for a loop that is the house: whoever waits says for how long."""

    CancelledError, TimeoutError, Event = asyncio.CancelledError, asyncio.TimeoutError, asyncio.Event
    create_task = _Task

    @staticmethod
    def sleep_ms(ms):
        return _rest(ms)

    @staticmethod
    def wait_for_ms(waits, ms):
        waits.close()
        return _rest(ms)


class _Stream(Pipe):
    """In place of link.stream.Stream."""

    house = None

    def __init__(self):
        super().__init__()
        _Stream.house.dialled(self)

    async def connect(self, address, port, ms):
        pass

    def wrap(self, context, name):
        """TLS, with what mbedTLS would say of the peer's certificate."""

    async def shake(self, push, ms):
        if self.house.certificate:
            raise tls.explain(self.house.certificate, True)
        push()


class _Resolver:
    async def resolve(self, host):
        return host


@contextlib.contextmanager
def patched():
    """The firmware's links run in a house: its time, its random octets, its streams."""
    saved = []
    names = {"asyncio": _Asyncio, "ticks_ms": lambda: _Stream.house.ticks, "Stream": _Stream}
    for module in _MODULES:
        for name, value in names.items():
            if hasattr(module, name):
                saved.append((module, name, getattr(module, name)))
                setattr(module, name, value)
    saved.append((coap, "_TURN_MS", coap._TURN_MS))
    coap._TURN_MS = 60_000  # the house wakes it when something has come: only streams are looked at every second
    saved.append((base, "random_bytes", base.random_bytes))
    base.random_bytes = lambda n: b"\x80" * n  # the pauses between connections
    saved.append((coap_tcp, "tls", coap_tcp.tls))
    coap_tcp.tls = types.SimpleNamespace(context=lambda config: config)
    saved.append((coap, "_TRANSPORTS", coap._TRANSPORTS))
    coap._TRANSPORTS = {"coap": lambda: Air, "coap+tcp": lambda: coap_tcp.Transport,
                        "coaps+tcp": lambda: coap_tcp.Transport, "slipmux": lambda: Cable}
    try:
        yield
    finally:
        for module, name, value in saved:
            setattr(module, name, value)


class Cable(slipmux.Transport):
    """The serial line, without one."""

    async def open(self):
        self._at = self._end = 0
        self.raw = self._stream = Pipe()
        _Stream.house.dialled(self._stream)
        self.raw = None

    def raws(self):
        return ()

    def close(self):
        pass


class CoapPlug(Plug):
    """A plug whose messages are CoAP's."""

    connection = keyring = task = None

    def boot(self, reset=RESET_WATCHDOG):
        if self.task is not None:
            self.task.close()
        self.linked = False
        self.connection = self.task = None
        super().boot(reset)

    def link(self, up=True):
        if up == self.linked:
            return
        self.linked, house = up, self.house
        if not up:
            self.task.close()
            return
        self.keyring = None
        if house.security == "oscore":
            self.keyring = Keyring(house.pairing, self.app.store, "keys", self.app.log)
            self.app.agent.seats[0].keys = self.keyring
        scheme = "coaps+tcp" if house.security == "certificate" else "coap+tcp"
        uri = {"udp": "coap://emd", "tcp": scheme + "://emd", "slipmux": "slipmux:cable"}[house.way]
        config = {"uri": uri, "device": self.eui, "groups": ("1",), "resolver": _Resolver(),
                  "insecure": house.security == "none", "unix": lambda: house.utc}
        app = self.app
        self.connection = coap.CoapLink(
            config, self.took, lambda present: app.link_up(self.now, present), lambda: app.link_down(self.now), app.log,
            self.keyring,
        )
        endpoint = self.connection.session.endpoint
        endpoint.random = house.octets
        if endpoint.security is not None:
            endpoint.security._random = house.octets
        self.task = self.connection.run()
        self.due = house.t

    def took(self, channel, buf, n):
        self.hardware.now_s = self.house.t
        self.app.receive(self.now, channel, buf, n)
        self.due = self.house.t

    def _send(self, channel, buf, n):
        valid(bytes(buf[:n]))
        return self.connection is not None and self.connection.send(channel, buf, n)

    def receive(self, body, channel="cmd"):
        """A body for it: the EMD's end sends it."""
        self.house.queue.append((channel, bytes(body)))
        self.due = self.house.t

    def step(self):
        super().step()
        if self.linked:
            wait = self.turn()  # may have brought something for the App, which is then due at once
            self.due = min(self.due, self.house.t + wait)

    def turn(self):
        """What the link does until it waits; for how many seconds, at least one."""
        with self.house.counted():
            wait = self.task.send(None)
            for _ in range(1000):
                if wait:
                    look = self.house.way == "tcp" or self.connection._wake.is_set()  # for what stalls; for the woken
                    return 1 if look else -(-wait // 1000)
                wait = self.task.send(None)
        raise AssertionError("the link does not rest")


class Counted:
    """What a house counts of one piece of input: the answers, the log, and what it cost."""

    start_s = None  # when the input came, where that is not when the row began

    @contextlib.contextmanager
    def counted(self):
        """Decryptions and derivations of keys in here are the device's."""
        opened, derive, house = CCM.open, Context.derive, self

        def count_open(*args):
            house.opens += 1
            return opened(*args)

        def count_derive(*args, **more):
            house.derived += 1
            return derive(*args, **more)

        CCM.open, Context.derive = count_open, count_derive
        try:
            yield
        finally:
            CCM.open, Context.derive = opened, derive

    def begin(self):
        """From here on it counts."""
        self.answered, self.answered_octets, self.words = [], 0, {}
        self.opens = self.derived = 0
        self.flash = self.plug.fs.operations
        self.held_before = self.tables()
        self.logged = self.log()
        self.before = self.memory()

    def tables(self):
        """How full the tables are that input could fill, in the order of _TABLES."""
        return []

    def more(self):
        """Other counts: (how many, of what)."""
        return ()

    def close(self):
        """Nothing is left running."""

    def log(self):
        """How often each event of the wire and the link came."""
        return {k: n for k, n in self.plug.app.log.counts.items() if k.startswith(_EVENTS)}

    def news(self):
        """Those since begin()."""
        return {k: n - self.logged.get(k, 0) for k, n in self.log().items() if n > self.logged.get(k, 0)}

    def cost(self):
        """What it came to since begin(), in words."""
        out = [many(self.answered_octets, "octet")] if self.answered_octets else []
        for (name, _), before, now in zip(_TABLES, self.held_before, self.tables(), strict=False):
            if now > before:
                out.append("%d %s" % (now - before, name) if name == "remembered" else many(now - before, name))
        counts = (
            (self.opens, "decryption"),
            (self.derived, "derivation"),
            (self.plug.fs.operations - self.flash, "flash operation"),
            *self.more(),
        )
        out += [many(n, name) for n, name in counts if n]
        return ", ".join(out)


def many(n, name):
    """`1 octet`, `2 octets`."""
    return "%d %s%s" % (n, name, "" if n == 1 else "s")


class CoapHouse(Counted, House):
    """security: "oscore", "certificate" (the transport has proven who the peer is) or "none"; way: "udp", "tcp" or
    "slipmux"; polite: the EMD says its CSM."""

    kind = CoapPlug

    def __init__(self, security="oscore", way="udp", polite=True, pairing=PAIRING, settings=None):
        self.security, self.way, self.polite, self.pairing = security, way, polite, pairing
        self.air, self.queue, self.pipe = [], [], Pipe()
        self.certificate = None  # the error that it gives
        self.random_n = self.mid = self.dials = 0
        self.post_due = 0
        _Stream.house = self
        self.opens = self.derived = 0
        self.post = self._post()
        self.t = 0
        super().__init__(settings=settings)
        self.begin()

    @property
    def ticks(self):
        return (_BASE + self.t * 1000) % TICKS_PERIOD

    @property
    def endpoint(self):
        return self.plug.connection.session.endpoint

    def octets(self, n):
        """Random octets, the same in each run."""
        self.random_n += 1
        return (self.random_n * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "big")[:n] * (1 if n <= 8 else 2)

    def dialled(self, pipe):
        """The device has made a new connection; the EMD has forgotten what it had on the one before."""
        self.pipe = pipe
        self.dials += 1
        self.parser, self.frames = StreamParser(4096), slipmux.Frames(4096)
        if self.dials > 1:
            self.post.gone(self.ticks, EMD)
        if self.way == "tcp" and self.polite:
            small, out = bytearray(32), bytearray(40)
            pipe.inward += out[: to_stream(small, csm(small, 4096), out)]

    # The EMD's end

    def _post(self):
        self.context, security = None, None
        if self.security == "oscore":
            self.context, security = mirrored(), Oscore(Log(), self.octets)
            security.add(self.context)
        self.active = None
        post = Endpoint(self, self.octets, Log(), security, lambda peer: self.context)
        for name in ("register", "status", "telemetry", "interval", "alarm", "link"):
            post.resource(name, self._taker(name))
        post.resource("rd", lambda now, q: 0x41, ct=40)
        post.resource("group/1/price", lambda now, q: 0x45, observable=True)
        return post

    def _taker(self, name):
        def take(now, q):
            self.up.append((PLUG, name, bytes(q.buf[q.at : q.at + q.n])))
            return 0x44

        return take

    def datagram(self, peer, buf, n):
        octets = bytes(buf[:n])
        if self.way == "udp":
            self.air.append((EMD, PLUG, octets))
        elif self.way == "slipmux" or self.polite:
            out = bytearray(2 * n + 8)
            n = to_stream(octets, n, out) if self.way == "tcp" else slipmux.write_message(octets, n, out)
            self.pipe.inward += out[:n]
        return True

    def reliable(self, peer):
        return self.way == "tcp"

    def trusted(self, peer):
        return self.security != "oscore"

    def _posted(self, now, code, *_):
        self.active = None
        if code:
            self.queue.pop(0)

    # Time

    def settle(self):
        for _ in range(200):
            super().settle()
            if not self._carry():
                return
        raise AssertionError("datagrams go back and forth without end")

    def _carry(self):
        """Whether anything was on its way."""
        if not self.plug.linked:
            return False
        moved = bool(self.air or self.pipe.inward or self.pipe.outward)
        while self.air:
            source, target, octets = self.air.pop(0)
            if target == EMD:
                self.post.received(self.ticks, EMD, octets, len(octets))
            elif target == PLUG and self.plug.connection._transport.opened:
                with self.counted():
                    self.plug.connection.session.receive(self.ticks, source, octets, len(octets))
                self.plug.due = self.t
        if self.pipe.inward:
            self.plug.due = self.t
        outward, self.pipe.outward = bytes(self.pipe.outward), bytearray()
        at = 0
        while at < len(outward) and self.way == "tcp":
            at = self.parser.take(outward, at, len(outward))
            if self.parser.n and self.parser.buf[1] < 0xE0:
                self.post.received(self.ticks, EMD, self.parser.buf, self.parser.n)
            elif self.parser.n and self.parser.buf[1] == 0xE2:
                self.pipe.inward += b"\x00\xe3"
        for octet in outward if self.way == "slipmux" else b"":
            if self.frames.take(octet) and self.frames.message():
                self.post.received(self.ticks, EMD, self.frames.buf[1:], self.frames.message())
        if self.queue and self.active is None:
            channel, body = self.queue[0]
            self.active = self.post.request(self.ticks, EMD, POST, channel, body, on_reply=self._posted)
            moved = True
        self.post_due = self.t - -self.post.step(self.ticks) // 1000
        return moved or bool(self.air)

    def due(self):
        return min(super().due(), self.post_due)

    # What a row does

    def plain(self, code, *options, payload=b"", type=CON, token=b"\x77\x77"):
        """The octets of a message that nobody protects."""
        self.mid += 1
        return make(type, code, 0xF000 + self.mid, token, options, payload)

    def body(self, kind="off", id_=5000, **values):
        """A command that would open the contact for ten minutes."""
        return codec.encode("command", {
            "epoch": self.core.epoch, "id": id_, "revision": 0, "priority": 5, "kind": KIND[kind],
            "issued": self.utc, "delay": 0, "duration": 600, **values})

    def command(self, *options, payload=None, **how):
        """A POST to /cmd, plain."""
        return self.plain(POST, (PATH, b"cmd"), *options, payload=self.body() if payload is None else payload, **how)

    def protected(self, octets, context=None, outer=(), spoil=None):
        """The message under the EMD's keys; outer: options added outside; spoil: a change of its OSCORE option."""
        binding, out = self.post.security.binding(), bytearray(len(octets) + 60)
        n = self.post.security.protect_request(octets, len(octets), out, context or self.context, binding)
        self.binding = binding
        octets = bytes(out[:n])
        if not outer and spoil is None:
            return octets
        m = Message()
        m.parse(octets, n)
        options = [(m.numbers[i], m.octets(i)) for i in range(m.count)] + list(outer)
        if spoil:
            options = [(number, spoil(value) if number == OPT_OSCORE else value) for number, value in options]
        return make(m.type, m.code, m.mid, m.token(), options, octets[m.payload_at :])

    def bring(self, octets, source=EMD, multicast=False):
        """A datagram comes to the device; what it sends back at once is its answer."""
        before = len(self.air)
        with self.counted():
            self.plug.connection.session.receive(self.ticks, source, bytes(octets), len(octets), multicast)
        sent, self.air[before:] = self.air[before:], []
        for one in sent:
            answer = one[2]
            if one[1] != source or answer[0] & 0x20 == 0 and 0 < answer[1] < 0x20:  # a message of its own to the EMD
                self.air.append(one)
                continue
            word = self.words.get(answer)
            self.answered.append(word + ", again" if word and word[0] == "2" else word or self.word(answer))
            self.words.setdefault(answer, self.answered[-1])
            self.answered_octets += len(answer)
        self.plug.due = self.t

    def stream(self, octets):
        """Octets come over the stream or the cable; what comes back is the answer."""
        pipe = self.pipe
        before = len(pipe.outward)
        pipe.inward += octets
        self.plug.turn()
        said = bytes(pipe.outward[before:])
        self.answered_octets += len(said)
        self.answered += self.frames_of(said)
        self.plug.due = self.t

    def frames_of(self, said):
        """The messages of the device's end of the stream, in words."""
        words, parser, frames, at = [], StreamParser(4096), slipmux.Frames(4096), 0
        while self.way == "tcp" and at < len(said):
            at = parser.take(said, at, len(said))
            n, code = parser.n, parser.buf[1]
            if n and code >= 0xE0:
                text = bytes(parser.buf[4:n]).partition(b"\xff")[2].decode()
                words.append((SIGNALS[code] + " " + text).strip())
            elif n:
                words.append(self.word(bytes(parser.buf[:n])))
        for octet in said if self.way == "slipmux" else b"":
            if frames.take(octet) and frames.message():
                words.append(self.word(bytes(frames.buf[1 : 1 + frames.message()])))
        return words

    def word(self, octets):
        """What a message to the other side says: `RST`, `4.01 unauthorized`, `2.04 protected`."""
        m = Message()
        m.parse(octets, len(octets))
        if m.type == RST or not m.code:
            return "RST" if m.type == RST else "ACK"
        protected = m.find(OPT_OSCORE) >= 0
        if protected:
            out = bytearray(len(octets) + 32)
            try:
                n = self.post.security.unprotect_response(m, out, self.binding)
            except (OscoreError, CoapError) as error:
                raise AssertionError("an answer that cannot be opened: %s" % error) from error
            octets = bytes(out[:n])
            m.parse(octets, n)
        word = "%d.%02d" % (m.code >> 5, m.code & 31)
        if m.find(OPT_ECHO) >= 0:
            word += " Echo"
        if m.code >= 0x80 and m.payload_n:
            word += " " + octets[m.payload_at :].decode()
        return word + (", protected" if protected else "")

    def tables(self):
        return [size(self.endpoint) for _, size in _TABLES]

    def close(self):
        """Nothing is left running."""
        self.plug.task.close()
