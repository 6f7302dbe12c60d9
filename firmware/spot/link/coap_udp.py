"""CoAP over UDP. The socket never blocks (a blocking `readinto` on UDP hung on the unix port), and is not connected: it
answers whoever asks.
"""

from ..port import const, network, socket
from .errors import LinkError
from .resolve import Resolver
from .wifi import address as own_address
from .wifi import name_servers

_AGAIN = (11, 35, 110, 116, 10035)  # EAGAIN, and what ports say for it when nothing is there
_ADD_MEMBERSHIP = const(35)  # Linux, where MicroPython gives no names to options of IP
_MULTICAST_ALL = const(49)
_TURN = const(4)  # datagrams of one turn, before others have theirs
_ALL_NODES = b"\xe0\x00\x01\xbb"  # 224.0.1.187, "all CoAP nodes" (RFC 7252 section 12.8)


def _bind(sock, address, port):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(socket.getaddrinfo(address, port, 0, socket.SOCK_DGRAM)[0][-1])


class Transport:
    """`coap://host:port`.

    Config: `host`, `port`, `listen` (local port, 0: any), `multicast` (answer discovery at 224.0.1.187:`listen` as
    well, where the port's socket can join; the log says `link.no_multicast` where it cannot); `resolver`.
    """

    secure = False

    def __init__(self, config, size, log=None):
        self._config = config
        self._log = log
        self._resolver = config.get("resolver") or Resolver(name_servers if network else None)
        self._size = size
        self.raw = self.peer = self._group = None

    async def open(self):
        config = self._config
        address = await self._resolver.resolve(config["host"])
        try:
            info = socket.getaddrinfo(address, config["port"], 0, socket.SOCK_DGRAM)[0]  # numeric: no waiting
            self.raw = sock = socket.socket(info[0], socket.SOCK_DGRAM)
            sock.setblocking(False)
            if config.get("listen"):
                # lwIP gives what is sent to a group to sockets of any address as well, so this one has its own
                _bind(sock, own_address() if network else "0.0.0.0", config["listen"])
                if config.get("multicast"):
                    self._join()
            self.peer = info[-1]
        except OSError as error:
            raise LinkError("udp", error.errno or 0) from None

    def _join(self):
        """A second socket for the group: it tells a request to all from one to this device, as nothing else does."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            _bind(sock, "224.0.1.187", self._config["listen"])
            sock.setsockopt(0, getattr(socket, "IP_ADD_MEMBERSHIP", _ADD_MEMBERSHIP), _ALL_NODES + bytes(4))
            if network is None:
                self.raw.setsockopt(0, _MULTICAST_ALL, 0)  # so does Linux, unless it is told not to
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
            return self.raw.sendto(memoryview(buf)[:n], peer) == n
        except OSError:
            return False

    def flush(self):
        return True

    def take(self, now, received):
        """Hand over what came, a few datagrams at a time; True when there may be more."""
        if self._group is not None:
            self._receive(self._group, now, received, True)
        for _ in range(_TURN):
            if not self._receive(self.raw, now, received, False):
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
        for sock in (self._group, self.raw):
            if sock is not None:
                sock.close()
        self._group = self.raw = None
