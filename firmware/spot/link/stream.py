"""A TCP connection that never blocks, with TLS over it or not. MicroPython only."""

from ..port import asyncio, const, gc, socket, ticks_add, ticks_diff, ticks_ms
from . import tls
from .errors import LinkError
from .waiting import readable, writable

_EINPROGRESS = (115, 119, 36)  # Linux, lwIP (newlib), BSD
_SHAKE_MS = const(250)  # a handshake over datagrams repeats by itself, but only when it is asked to go on


class Stream:
    """`connect`, maybe `wrap`, `shake`; then `write` and `readinto` at any time, which raise LinkError. `raw` is what
    to wait for."""

    def __init__(self, raw=None):
        self.raw = self._sock = raw  # a connected UDP socket, for DTLS
        self._shaking = False

    async def connect(self, address, port, ms):
        """Connect to a numeric address within `ms`."""
        try:
            info = socket.getaddrinfo(address, port, 0, socket.SOCK_STREAM)[0]  # numeric: no waiting
            self.raw = self._sock = sock = socket.socket(info[0], socket.SOCK_STREAM)
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
            await asyncio.wait_for_ms(writable(sock), ms)
        except asyncio.TimeoutError:
            raise LinkError("tcp_timeout") from None
        except OSError as error:
            raise LinkError("tcp", error.errno or 0) from None
        self._shaking = True

    def wrap(self, context, name):
        """TLS from here on: the peer's certificate must be `name`'s."""
        gc.collect()  # on some chips mbedTLS allocates from this heap
        try:
            self._sock = context.wrap_socket(self.raw, server_hostname=name, do_handshake_on_connect=False)
            self._sock.setblocking(False)
        except (OSError, ValueError) as error:
            raise tls.explain(error, True) from None
        self._shaking = True

    async def shake(self, push, ms):
        """Call `push`, which writes something, until it says True: a write makes no progress until TLS is up."""
        until = ticks_add(ticks_ms(), ms)
        while not push():
            left = ticks_diff(until, ticks_ms())
            if left <= 0:
                raise LinkError("tls_timeout")
            try:
                # What a handshake waits for is the peer; asyncio tells a waiting writer nothing of what can be read.
                await asyncio.wait_for_ms(readable(self.raw), min(left, _SHAKE_MS))
            except asyncio.TimeoutError:
                pass
        self._shaking = False

    def write(self, view):
        """Octets of `view` that went; None or 0: not now."""
        try:
            return self._sock.write(view)
        except (OSError, ValueError) as error:
            raise tls.explain(error, self._shaking) from None

    def readinto(self, room, unsure=False):
        """Octets that came into `room`; None: not now. unsure: the peer may still refuse this side's certificate."""
        try:
            n = self._sock.readinto(room)
        except (OSError, ValueError) as error:
            raise tls.explain(error, unsure) from None
        if n == 0:
            raise LinkError("peer_closed")
        return n

    def receive(self, size):
        """One datagram of at most `size` octets; None: not now. readinto and recv_into would join several."""
        try:
            data = self._sock.recv(size)
        except (OSError, ValueError) as error:
            raise tls.explain(error, False) from None
        if data == b"":
            raise LinkError("peer_closed")
        return data

    def close(self):
        for sock in (self._sock, self.raw):  # a failed handshake leaves the raw one open
            if sock:
                try:
                    sock.close()
                except (OSError, ValueError):
                    pass
        self._sock = self.raw = None
