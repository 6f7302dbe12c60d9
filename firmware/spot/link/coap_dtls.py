"""CoAP over DTLS with certificates (RFC 7252, section 9): one connection with the EMD, over its own socket."""

from . import coap_udp, tls
from .errors import LinkError
from .stream import Stream

_PING = b"\x40\x00\x00\x00"  # the write that a handshake goes on by: an empty CON, which is answered by RST
_TURN = 4  # datagrams of one turn, before others have theirs


class Transport(coap_udp.Transport):
    """`coaps://host:port`. Config: as UDP's, and `ca`, `cert`, `key`, `server_name`, `handshake_ms`."""

    secure = True
    _stream = None

    async def open(self):
        await super().open()
        config = self._config
        try:
            self.raw.connect(self.peer)
            self._stream = stream = Stream(self.raw)
            stream.wrap(tls.context(config, True), config.get("server_name") or config["host"])
            await stream.shake(lambda: stream.write(_PING), config.get("handshake_ms", 15000))
        except OSError as error:
            raise LinkError("udp", error.errno or 0) from None
        except LinkError as error:
            if error.cause == "tcp":
                raise LinkError("udp", error.detail) from None
            raise

    def datagram(self, peer, buf, n):
        """Send a datagram; False when it did not go: CoAP takes that as a loss."""
        try:
            return bool(self._stream.write(memoryview(buf)[:n]))
        except LinkError:
            return False  # a connection that is gone says so when it is read

    def take(self, now, received):
        """Hand over what came, a few datagrams at a time; True when there may be more."""
        for _ in range(_TURN):
            data = self._stream.receive(self._size)
            if not data:
                return False
            received(now, self.peer, data, len(data))
        return True

    def close(self):
        if self._stream is not None:
            self._stream.close()
            self._stream = self.raw = None
        super().close()
