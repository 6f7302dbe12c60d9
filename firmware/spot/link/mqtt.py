"""The asynchronous pump between a session and a TLS socket: connect, read, write, wait, reconnect. MicroPython only."""

from ..port import asyncio, const, network, ticks_diff, ticks_ms
from . import tls
from .base import Link
from .errors import LinkError
from .mqtt_packets import Packets
from .mqtt_session import CLOSED, CONNECTING, UP, Session
from .resolve import Resolver
from .stream import Stream
from .topics import Topics
from .wifi import name_servers

_PACKET = const(1024 + 160)  # MAX_BODY, topic, header
_BLOCKED_MS = const(20)  # how often a socket that takes nothing is tried again


class MqttLink(Link):
    """One device's link to its broker; docs/architecture.md has the place of each call.

    Config: `host`, `port`, `ca`, `cert`, `key` (paths), `client_id`, `utility`, `class`, `device`; optional `groups`,
    `keepalive` (s), `server_name` (of the certificate, when not `host`), `resolver`, `will` (body for the link channel,
    bytes), `tcp_ms`, `handshake_ms`, and what base.Link and mqtt_session.Session read. ValueError for names that make
    no good topic.
    """

    def __init__(self, config, on_message, on_up, on_down, log):
        super().__init__(config, on_up, on_down, log)
        topics = Topics(config["utility"], config["class"], config["device"], config.get("groups", ()))
        packets = Packets(config["client_id"].encode(), config.get("keepalive", 60), _PACKET)
        self.session = Session(packets, topics, config, on_message, self._came_up, log)
        self._tape = packets.tape
        self._tape_view = memoryview(packets.tape.buf)
        self._at = 0  # octets of the tape that were written
        self._resolver = config.get("resolver") or Resolver(name_servers if network else None)
        self._context = self._stream = None
        self._blocked_ms = 0
        self._blocked = False

    # --- what the application calls

    @property
    def is_up(self):
        return self.session.state == UP

    def send(self, channel, buf, n, urgent=False):
        """Accept `n` octets of `buf` (copied) for an up channel; False: not now (not up, or the window is full).
        urgent: with QoS 0, and on the socket when this returns, unless that takes nothing: then behind the packet under
        way."""
        if self._closing or not self.session.offer(channel, buf, n, urgent):
            return False
        self._wake.set()
        if urgent and self._stream:
            try:
                self._write(self._stream)
            except LinkError:  # the pump meets it as well
                return False
        return True

    # --- inside

    def _failed(self, error):
        super()._failed(error)
        if error.cause.startswith("tls"):
            self._context = None  # certificates may have been replaced: read them again

    async def _connection(self):
        config, stream, watch = self._config, Stream(), None
        try:
            address = await self._resolver.resolve(config["host"])
            await stream.connect(address, config["port"], config.get("tcp_ms", 10000))
            if self._context is None:
                self._context = tls.context(config)
            stream.wrap(self._context, config.get("server_name") or config["host"])
            self.session.begin(ticks_ms())
            self._tape.n = self._at = 0
            self._blocked = False
            await stream.shake(lambda: self._write(stream), config.get("handshake_ms", 10000))
            watch = asyncio.create_task(self._watch(stream.raw))
            self._stream = stream
            await self._pump(stream)
        finally:
            self._stream = None
            if watch:
                watch.cancel()
            stream.close()

    def _write(self, stream):
        """Write what the session has, packet by packet; False when the socket takes no more for now."""
        tape = self._tape
        while True:
            if self._at >= tape.n:
                tape.n = self._at = 0
                if not self.session.next_packet(ticks_ms()):
                    return True
            n = stream.write(self._tape_view[self._at : tape.n])
            if not n:
                return False
            self._at += n

    async def _pump(self, stream):
        session = self.session
        stall_ms = self._config.get("stall_ms", 10000)
        while True:
            now = ticks_ms()
            wait = session.step(now)
            if self._closing:
                await self._farewell(stream)
                return
            self._settle(now)
            if self._write(stream):
                self._blocked = False
            elif not self._blocked:
                self._blocked = True
                self._blocked_ms = now
            elif ticks_diff(now, self._blocked_ms) >= stall_ms:
                raise LinkError("write_stall")
            session.parse(now)  # what waited for acknowledgements to be written
            room = session.room()
            if len(room):
                n = stream.readinto(room, session.state == CONNECTING)
                if n:
                    session.fed(n, ticks_ms())
                    await asyncio.sleep_ms(0)  # a broker that never pauses must not stop the other tasks
                    continue
                self._drained.set()
            if self._blocked:
                wait = min(wait, _BLOCKED_MS)
            if wait:
                await self._sleep(wait)
            else:
                await asyncio.sleep_ms(0)

    async def _farewell(self, stream):
        """What is queued, then DISCONNECT, as far as the socket takes it at once."""
        self._write(stream)
        if self._at >= self._tape.n:
            self.session.packets.make_disconnect()
            self._at = 0
            self.session.state = CLOSED
            self._write(stream)
