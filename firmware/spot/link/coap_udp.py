"""CoAP over UDP, and over DTLS with certificates. MicroPython only: its sockets and `tls`.

The socket never blocks (a blocking `readinto` on UDP hung on the unix port). Plain UDP answers whoever asks, so its
socket is not connected; DTLS is one connection with the EMD.
"""

from ..port import const, network, socket
from . import tls
from .errors import LinkError
from .resolve import Resolver
from .wifi import name_servers

_AGAIN = (11, 35, 110, 116, 10035)  # EAGAIN, and what ports say for it when nothing is there
_ADD_MEMBERSHIP = const(35)  # Linux, where MicroPython gives no name to IP_ADD_MEMBERSHIP
_TURN = const(4)  # datagrams of one turn, before others have theirs
_PING = b"\x40\x00\x00\x00"  # the write that a handshake goes on by: an empty CON, which is answered by RST
_ALL_NODES = b"\xe0\x00\x01\xbb"  # 224.0.1.187, "all CoAP nodes" (RFC 7252 section 12.8)


def _bind(sock, address, port):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(socket.getaddrinfo(address, port, 0, socket.SOCK_DGRAM)[0][-1])


class Transport:
    """`coap://host:port` or `coaps://host:port`.

    Config: `host`, `port`, `listen` (local port, 0: any), `multicast` (answer discovery at 224.0.1.187:`listen` as
    well, where the port's socket can join; the log says `link.no_multicast` where it cannot); coaps: `ca`, `cert`,
    `key`, `server_name`, `handshake_ms`; `resolver`.
    """

    def __init__(self, config, size, log=None):
        self.secure = config["uri"].startswith("coaps")
        self._config = config
        self._log = log
        self._resolver = config.get("resolver") or Resolver(name_servers if network else None)
        self._size = size
        self._stream = None
        self.raw = self.peer = self._group = None

    async def open(self):
        config = self._config
        address = await self._resolver.resolve(config["host"])
        try:
            info = socket.getaddrinfo(address, config["port"], 0, socket.SOCK_DGRAM)[0]  # numeric: no waiting
            self.raw = sock = socket.socket(info[0], socket.SOCK_DGRAM)
            sock.setblocking(False)
            if config.get("listen"):
                _bind(sock, "0.0.0.0", config["listen"])
                if config.get("multicast"):
                    self._join()
            self.peer = info[-1]
            if self.secure:
                sock.connect(info[-1])
        except OSError as error:
            raise LinkError("udp", error.errno or 0) from None
        if self.secure:
            from .stream import Stream

            self._stream = stream = Stream(sock)
            stream.wrap(tls.context(config, True), config.get("server_name") or config["host"])
            try:
                await stream.shake(lambda: stream.write(_PING), config.get("handshake_ms", 15000))
            except LinkError as error:
                if error.cause == "tcp":
                    raise LinkError("udp", error.detail) from None
                raise

    def _join(self):
        """A second socket for the group: it tells a request to all from one to this device, as nothing else does."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            _bind(sock, "224.0.1.187", self._config["listen"])
            sock.setsockopt(0, getattr(socket, "IP_ADD_MEMBERSHIP", _ADD_MEMBERSHIP), _ALL_NODES + bytes(4))
            self._group = sock
        except OSError as error:
            sock.close()
            self._log.warn("link.no_multicast", error.errno or 0)

    def raws(self):
        """What to wait for."""
        return (self.raw,) if self._group is None else (self.raw, self._group)

    def reliable(self, peer):
        return False

    def leave(self):
        pass

    def datagram(self, peer, buf, n):
        """Send a datagram; False when it did not go: CoAP takes that as a loss."""
        try:
            view = memoryview(buf)[:n]
            if self._stream:
                return bool(self._stream.write(view))
            return self.raw.sendto(view, peer) == n
        except (OSError, LinkError):
            return False  # a connection that is gone says so when it is read

    def flush(self):
        return True

    def take(self, now, received):
        """Hand over what came, a few datagrams at a time; True when there may be more."""
        if self._group is not None:
            self._receive(self._group, now, received, True)
        for _ in range(_TURN):
            if self._stream:
                data = self._stream.receive(self._size)
                if not data:
                    return False
                received(now, self.peer, data, len(data))
            elif not self._receive(self.raw, now, received, False):
                return False
        return True

    def _receive(self, sock, now, received, multicast):
        try:
            data, peer = sock.recvfrom(self._size + 1)
        except OSError as error:
            if error.errno in _AGAIN:
                return False
            raise LinkError("udp", error.errno or 0) from None
        if len(data) <= self._size:  # no message of ours is longer: a flood costs nothing more
            received(now, peer, data, len(data), multicast)
        return True

    def close(self):
        if self._group is not None:
            self._group.close()
            self._group = None
        if self._stream:
            self._stream.close()
        elif self.raw:
            self.raw.close()
        self.raw = self._stream = None
