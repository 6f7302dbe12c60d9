"""CoAP over TCP and over TLS (RFC 8323): the device dials out, and both ends send requests over the one connection."""

from ..port import const, network, ticks_add, ticks_diff, ticks_ms
from ..wire.coap import CoapError, Message
from ..wire.coap_numbers import (
    COAP_ABORT,
    COAP_CSM,
    COAP_PING,
    COAP_PONG,
    COAP_RELEASE,
    CSM_BLOCK_WISE,
    CSM_MAX_MESSAGE_SIZE,
)
from ..wire.coap_stream import StreamParser, csm, signal, to_stream, unknown_critical
from . import tls
from .errors import LinkError
from .resolve import Resolver
from .stream import Stream
from .wifi import name_servers

_SIGNALS = const(0xE0)
_SHORT = const(128)  # octets of a message that has room also behind long ones: what is urgent is short
_TURN = const(512)  # octets of one turn, before others have theirs
_KNOWN = {COAP_CSM: (CSM_MAX_MESSAGE_SIZE, CSM_BLOCK_WISE)}  # critical or not: what is understood


class Transport:
    """`coap+tcp://host:port` or `coaps+tcp://host:port`.

    Config: `host`, `port`, `tcp_ms`, `handshake_ms` (up to the peer's CSM), `stall_ms` (in the middle of a message, and
    for what the peer does not take); coaps+tcp: `ca`, `cert`, `key`, `server_name`; `resolver`.
    """

    peer = "stream"

    def __init__(self, config, size, log=None):
        self.secure = config["uri"].startswith("coaps")
        self._config = config
        self._resolver = config.get("resolver") or Resolver(name_servers if network else None)
        self._context = None
        self._parser = StreamParser(size)
        self._message = Message()
        self._in = memoryview(bytearray(_TURN))
        self._out = bytearray(2 * size + _SHORT)  # a whole message, and what is still unwritten of the one before
        self._view = memoryview(self._out)
        self._small = bytearray(32)
        self._size = size
        self._stream = None
        self._at = self._end = self._tried = 0
        self._since = self._half = None  # ticks since nothing was taken, since half a message is here
        self._settled = False  # the peer's CSM is here
        self.peer_size = 1152  # the peer's Max-Message-Size (RFC 8323 section 5.3.1)
        self.on_pong = None

    def raws(self):
        """What to wait for."""
        return (self._stream.raw,)

    async def open(self):
        """Connect, shake hands, and say what this side can."""
        config = self._config
        self._at = self._end = self._tried = 0
        self._since = self._half = None
        self._settled = False
        self.peer_size = 1152
        self._parser.reset()
        address = await self._resolver.resolve(config["host"])
        self._stream = stream = Stream()
        await stream.connect(address, config["port"], config.get("tcp_ms", 10000))
        if self.secure:
            try:
                self._context = self._context or tls.context(config)
                stream.wrap(self._context, config.get("server_name") or config["host"])
                self._say(csm(self._small, self._size))
                await stream.shake(self.flush, config.get("handshake_ms", 15000))
            except LinkError:
                self._context = None  # certificates may have been replaced: read them again
                raise
        else:
            self._say(csm(self._small, self._size))
        self._half = ticks_ms()  # the CSM is due

    def reliable(self, peer):
        return True

    def ping(self):
        """Ask the peer for a sign of life: `on_pong` is called."""
        return self._say(signal(self._small, COAP_PING))

    def _say(self, n):
        return self.datagram(self.peer, self._small, n)

    def datagram(self, peer, buf, n):
        """Queue a message; False when there is no room for it, or the peer takes none of this size."""
        if self._stream is None or n > self.peer_size:
            return False
        if self._at:
            self._out[: self._end - self._at] = self._out[self._at : self._end]
            self._end -= self._at
            self._tried -= self._at
            self._at = 0
        if self._end + n + 2 > len(self._out) - (_SHORT if n > _SHORT else 0):
            return False
        self._end += to_stream(buf, n, self._view[self._end :])
        return True

    def flush(self):
        """Write what waits; True when nothing does any more. LinkError("write_stall") when nothing goes for long."""
        while self._at < self._end:
            if self._tried <= self._at:
                self._tried = self._end
            # the same octets again until they have gone: mbedTLS has encrypted them, and takes more for written as well
            n = self._stream.write(self._view[self._at : self._tried])
            if not n:
                self._since = self._overdue(self._since, "write_stall")
                return False
            self._since = None
            self._at += n
        self._at = self._end = self._tried = 0
        return True

    def _overdue(self, since, cause):
        now = ticks_ms()
        if since is None:
            return now
        if ticks_diff(now, ticks_add(since, self._config.get("stall_ms", 10000))) >= 0:
            raise LinkError(cause)
        return since

    def take(self, now, received):
        """Hand over what came, a little at a time; True when there may be more."""
        n = self._stream.readinto(self._in, not self._settled)
        if not n:
            if self._half is not None:
                self._overdue(self._half, "read_stall")
            return False
        parser, at, whole = self._parser, 0, False
        try:
            while at < n:
                at = parser.take(self._in, at, n)
                if parser.n:
                    self._one(now, received)
                    whole = True
        except CoapError as error:
            self._abort(error.text)
        if parser.n:
            self._half = None
        elif whole or self._half is None:
            self._half = ticks_ms()
        return n == _TURN

    def _one(self, now, received):
        buf, n = self._parser.buf, self._parser.n
        code = buf[1]
        if code < _SIGNALS:
            if not self._settled:
                raise CoapError(0, "CSM first")
            received(now, self.peer, buf, n)
            return
        message = self._message
        message.parse(buf, n)
        if unknown_critical(message, _KNOWN.get(code, ())):
            raise CoapError(0, "option")
        if code == COAP_CSM:
            self._settled = True
            index = message.find(CSM_MAX_MESSAGE_SIZE)
            if index >= 0:
                self.peer_size = message.uint(index)
        elif code == COAP_PING:
            buf[1] = COAP_PONG  # the same token
            self.datagram(self.peer, buf, 4 + message.token_n)
        elif code == COAP_PONG and self.on_pong:
            self.on_pong(now)
        elif code == COAP_RELEASE:
            raise LinkError("released")
        elif code == COAP_ABORT:
            raise LinkError("aborted")

    def _abort(self, text):
        self._say(signal(self._small, COAP_ABORT, text=text))
        self.flush()
        raise LinkError("protocol", self._parser.buf[1])

    def leave(self):
        """Say Release, as far as the socket takes it at once."""
        self._say(signal(self._small, COAP_RELEASE))
        self.flush()

    def close(self):
        if self._stream:
            self._stream.close()
            self._stream = None
