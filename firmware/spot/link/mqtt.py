"""The asynchronous pump between a session and a TLS socket: connect, read, write, wait, reconnect. MicroPython only."""

from ..port import asyncio, const, gc, network, random_bytes, socket, ticks_add, ticks_diff, ticks_ms
from . import tls
from .backoff import Backoff
from .errors import LinkError
from .mqtt_packets import Packets
from .mqtt_session import CLOSED, CONNECTING, UP, Session
from .resolve import Resolver
from .topics import Topics
from .waiting import readable, writable
from .wifi import name_servers

_EINPROGRESS = (115, 119, 36)  # Linux, lwIP (newlib), BSD
_PACKET = const(1024 + 160)  # MAX_BODY, topic, header
_BLOCKED_MS = const(20)  # how often a socket that takes nothing is tried again


class MqttLink:
    """One device's link to its broker; docs/architecture.md has the place of each call.

    Config: `host`, `port`, `ca`, `cert`, `key` (paths), `client_id`, `utility`, `class`, `device`; optional `groups`,
    `keepalive` (s), `server_name` (of the certificate, when not `host`), `resolver`, `will` (body for the link channel,
    bytes), `tcp_ms`, `handshake_ms`, `backoff_ms` (first, most), `stable_ms` (of connection, after which the back-off
    starts afresh), and what mqtt_session.Session reads. ValueError for names that make no good topic.

    Every failure is one `log.warn("link.<cause>", detail)`, the causes of errors.CAUSES; `last_error` keeps the latest.
    """

    def __init__(self, config, on_message, on_up, on_down, log):
        self._config = config
        self._log = log
        self._on_up = on_up
        self._on_down = on_down
        topics = Topics(config["utility"], config["class"], config["device"], config.get("groups", ()))
        packets = Packets(config["client_id"].encode(), config.get("keepalive", 60), _PACKET)
        self.session = Session(packets, topics, config, on_message, self._came_up, log)
        self._tape = packets.tape
        self._tape_view = memoryview(packets.tape.buf)
        self._at = 0  # octets of the tape that were written
        self._resolver = config.get("resolver") or Resolver(name_servers if network else None)
        self._backoff = Backoff(*config.get("backoff_ms", (1000, 60000)))
        self._task = None
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._context = None
        self._closing = False
        self._was_up = False
        self._up_ms = 0
        self._blocked_ms = 0
        self._blocked = False
        self.last_error = None
        self.turns = 0  # grows as long as the link's task is alive, at least once a keepalive: for a watchdog

    # --- what the application calls

    @property
    def is_up(self):
        return self.session.state == UP

    @property
    def received(self):
        """Messages handed to the application so far."""
        return self.session.received

    @property
    def pending(self):
        """Messages accepted by `send` that are neither written (QoS 0) nor acknowledged (QoS 1)."""
        return self.session.pending

    def send(self, channel, buf, n):
        """Accept `n` octets of `buf` (copied) for an up channel; False: not now (not up, or the window is full)."""
        if self._closing or not self.session.offer(channel, buf, n):
            return False
        self._wake.set()
        return True

    def subscribe_group(self, group):
        """Listen to a group's broadcasts as well."""
        self.session.subscribe_group(group)
        self._wake.set()

    def close(self):
        """Say DISCONNECT (so that the last will stays unsaid) and let `run` end."""
        self._closing = True
        self._wake.set()
        if self._task and not self.is_up:
            self._task.cancel()  # nobody to say it to

    async def run(self):
        """Keep the link up until `close`."""
        while not self._closing:
            try:
                self._task = asyncio.create_task(self._connection())
                await self._task
            except asyncio.CancelledError:
                if not self._closing:
                    raise
            except LinkError as error:
                self._failed(error)
            except MemoryError:
                self._failed(LinkError("memory"))
            finally:
                self._task = None
                self.session.end()
                if self._was_up:
                    self._was_up = False
                    self._call(self._on_down)
            if not self._closing:
                await self._pause()

    # --- inside

    def _came_up(self, session_present):
        self._was_up = True
        self._up_ms = ticks_ms()
        self._log.info("link.up", session_present)
        self._on_up(session_present)

    def _failed(self, error):
        self.last_error = error
        if error.cause.startswith("tls"):
            self._context = None  # certificates may have been replaced: read them again
        self._log.warn("link." + error.cause, error.detail)

    def _call(self, callback):
        try:
            callback()
        except Exception as error:
            self.session.failed(error)

    async def _pause(self):
        until = ticks_add(ticks_ms(), self._backoff.next(int.from_bytes(random_bytes(2), "little")))
        while not self._closing and ticks_diff(until, ticks_ms()) > 0:
            await self._sleep(ticks_diff(until, ticks_ms()))

    async def _sleep(self, ms):
        """Until woken, at most `ms`."""
        self.turns += 1
        try:
            await asyncio.wait_for_ms(self._wake.wait(), ms)
        except asyncio.TimeoutError:
            pass
        self._wake.clear()

    async def _connection(self):
        raw = secure = watch = None
        try:
            address = await self._resolver.resolve(self._config["host"])
            raw = await self._tcp(address)
            gc.collect()  # on some chips mbedTLS allocates from this heap
            if self._context is None:
                self._context = tls.context(self._config)
            name = self._config.get("server_name") or self._config["host"]
            try:
                secure = self._context.wrap_socket(raw, server_hostname=name, do_handshake_on_connect=False)
                secure.setblocking(False)
            except (OSError, ValueError) as error:
                raise tls.explain(error, True) from None
            await self._handshake(secure)
            watch = asyncio.create_task(self._watch(raw))
            await self._pump(secure)
        finally:
            if watch:
                watch.cancel()
            for sock in (secure, raw):  # a failed handshake leaves the raw one open
                if sock:
                    try:
                        sock.close()
                    except (OSError, ValueError):
                        pass

    async def _tcp(self, address):
        sock = None
        try:
            info = socket.getaddrinfo(address, self._config["port"], 0, socket.SOCK_STREAM)[0]  # numeric: no waiting
            sock = socket.socket(info[0], socket.SOCK_STREAM)
            sock.setblocking(False)
            try:
                sock.setsockopt(6, 1, 1)  # TCP_NODELAY: a status must not wait 40 ms for the ACK of a reading
            except OSError:
                pass  # lwIP on some ports has no such option
            try:
                sock.connect(info[-1])
            except OSError as error:
                if error.errno not in _EINPROGRESS:
                    raise
            await asyncio.wait_for_ms(writable(sock), self._config.get("tcp_ms", 10000))
            connected, sock = sock, None
            return connected
        except asyncio.TimeoutError:
            raise LinkError("tcp_timeout") from None
        except OSError as error:
            raise LinkError("tcp", error.errno or 0) from None
        finally:
            if sock:
                sock.close()

    async def _handshake(self, secure):
        """Handshake by writing CONNECT: a write makes no progress until TLS is up."""
        now = ticks_ms()
        self.session.begin(now)
        until = ticks_add(now, self._config.get("handshake_ms", 10000))
        self._tape.n = self._at = 0
        self._blocked = False
        while not self._write(secure, True):
            left = ticks_diff(until, ticks_ms())
            if left <= 0:
                raise LinkError("tls_timeout")
            try:
                await asyncio.wait_for_ms(writable(secure), left)
            except asyncio.TimeoutError:
                raise LinkError("tls_timeout") from None

    def _write(self, secure, handshaking=False):
        """Write what the session has, packet by packet; False when the socket takes no more for now."""
        tape = self._tape
        while True:
            if self._at >= tape.n:
                tape.n = self._at = 0
                if not self.session.next_packet(ticks_ms()):
                    return True
            try:
                n = secure.write(self._tape_view[self._at : tape.n])
            except (OSError, ValueError) as error:
                raise tls.explain(error, handshaking) from None
            if not n:
                return False
            self._at += n

    async def _watch(self, raw):
        """Wake the pump when the raw socket has something (a TLS object would be polled every millisecond)."""
        while True:
            await readable(raw)
            self._wake.set()
            await self._drained.wait()
            self._drained.clear()

    async def _pump(self, secure):
        session = self.session
        stall_ms = self._config.get("stall_ms", 10000)
        stable_ms = self._config.get("stable_ms", 30000)
        while True:
            now = ticks_ms()
            wait = session.step(now)
            if self._closing:
                await self._farewell(secure)
                return
            if self._was_up and not self._backoff.is_fresh and ticks_diff(now, self._up_ms) >= stable_ms:
                self._backoff.reset()
            if self._write(secure):
                self._blocked = False
            elif not self._blocked:
                self._blocked = True
                self._blocked_ms = now
            elif ticks_diff(now, self._blocked_ms) >= stall_ms:
                raise LinkError("write_stall")
            session.parse(now)  # what waited for acknowledgements to be written
            room = session.room()
            if len(room):
                try:
                    n = secure.readinto(room)
                except (OSError, ValueError) as error:
                    raise tls.explain(error, session.state == CONNECTING) from None
                if n:
                    session.fed(n, ticks_ms())
                    await asyncio.sleep_ms(0)  # a broker that never pauses must not stop the other tasks
                    continue
                if n == 0:
                    raise LinkError("peer_closed")
                self._drained.set()
            if self._blocked:
                wait = min(wait, _BLOCKED_MS)
            if wait:
                await self._sleep(wait)
            else:
                await asyncio.sleep_ms(0)

    async def _farewell(self, secure):
        """What is queued, then DISCONNECT, as far as the socket takes it at once."""
        self._write(secure)
        if self._at >= self._tape.n:
            self.session.packets.make_disconnect()
            self._at = 0
            self.session.state = CLOSED
            self._write(secure)
