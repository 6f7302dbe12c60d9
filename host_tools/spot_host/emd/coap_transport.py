"""aiocoap's transports with the bounds that a server in a house needs: what strangers send is not remembered.

aiocoap keeps every message id for 247 s with a timer of its own, compares each acknowledgement with all exchanges,
takes 1 MiB from any TCP connection, and shares its ports with whoever asks; none of that is so here.
"""

import collections
import gc
import ipaddress
import socket
import time
import weakref

from aiocoap import Message
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.codes import EMPTY
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import CON, NON, RST
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.tcp import TcpConnection, TCPServer
from aiocoap.transports.tls import _TLSMixIn
from aiocoap.transports.udp6 import MessageInterfaceUDP6, UDP6EndpointAddress

from spot.wire.coap import CoapError
from spot.wire.coap import Message as Form
from spot_host.errors import UserError

_REMEMBERED = 20_000  # message ids of each kind: 80 requests a second for as long as a device may repeat one
# on each of two ports; with 100 that are being accepted there stays room below 1,024 files, which often is all that a
# process may have, and all that paho's select can wait for
_MOST_CONNECTIONS = 300
_MOST_OPENING = 200  # in the middle of TLS's handshake
_PROVE_S = 30.0  # a connection that brought nothing authentic in so long is closed
_DEAD_S = 60  # octets without an acknowledgement: the peer is gone
_HANDSHAKE_S = 10.0
_LIFETIME_S = TransportTuning().EXCHANGE_LIFETIME


class Messages(MessageManager):
    """RFC 7252's message layer. Answers are kept for who has proven who it is, and no stranger evicts them."""

    def __init__(self, token_manager):
        super().__init__(token_manager)
        self._answers, self._answered = {}, collections.deque()
        self._ages = collections.deque()

    def _deduplicate_message(self, message):
        key, recent = (message.remote, message.mid), self._recent_messages
        if key in self._answers:
            if message.mtype is CON:
                self._send_initially(self._answers[key])
            return True
        if key in recent:
            return True
        now = _trim(self._ages, recent)
        self._ages.append((now + _LIFETIME_S, key))
        recent[key] = None
        return False

    def _store_response_for_duplicates(self, message):
        key = message.remote, message.mid
        if key in self._recent_messages:
            del self._recent_messages[key]
            if getattr(getattr(message, "request", None), "proven", False):
                now = _trim(self._answered, self._answers)
                self._answered.append((now + _LIFETIME_S, key))
                self._answers[key] = message

    def send_message(self, message, messageerror_monitor):
        super().send_message(message, messageerror_monitor)
        request = getattr(message, "request", None)
        if request is not None and request.mtype is NON and not getattr(request, "proven", False):
            # nothing was done, and whose address it bore may use the message id himself
            self._recent_messages.pop((request.remote, request.mid), None)

    def _continue_backlog(self, remote):
        backlog = self._backlogs[remote]  # a remote has one exchange at a time (NSTART), and it has just ended
        while backlog:
            message, monitor = backlog.pop(0)
            self._send_initially(message, monitor)
            if message.mtype is CON:
                return
        del self._backlogs[remote]


def _trim(ages, held):
    """Make room for one more: drop what is past its time, and the oldest of too many. The time now."""
    now = time.monotonic()
    while ages and (ages[0][0] < now or len(ages) >= _REMEMBERED):
        held.pop(ages.popleft()[1], None)
    return now


class _Connection(TcpConnection):
    _my_max_message_size = 2304

    proven = False  # something authentic came

    def connection_made(self, transport):
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_S * 1000)
        self._ctx.opened(self)
        super().connection_made(transport)
        self._proof = self.loop.call_later(_PROVE_S, self._unproven)

    def _unproven(self):
        if not self.proven:
            self.abort("nothing authentic came")

    def connection_lost(self, exc):
        if getattr(self, "_proof", None) is not None:
            self._proof.cancel()
        super().connection_lost(exc)
        self._ctx.lost(self)


class _Stream(TCPServer):
    @classmethod
    async def open(cls, manager, log, loop, host, port, tls, lost):
        self = cls()
        self._tokenmanager, self.log, self.lost = manager, log, lost
        self._opening, self._swept = weakref.WeakSet(), 0.0  # nobody tells of a handshake that fails

        def connection():
            if len(self._opening) >= _MOST_OPENING:
                self.sweep()
            if len(self._opening) >= _MOST_OPENING:
                raise ConnectionRefusedError("too many handshakes")  # asyncio closes the socket
            made = _Connection(self, log, loop, is_server=True)
            self._opening.add(made)
            return made

        options = {"ssl": tls, "ssl_handshake_timeout": _HANDSHAKE_S} if tls is not None else {}
        self.server = await loop.create_server(connection, host or None, port, **options)
        return self

    def sweep(self):
        """Let go of what asyncio has in cycles of failed handshakes; a second apart at least."""
        if time.monotonic() > self._swept + 1:
            gc.collect()
            self._swept = time.monotonic()

    def opened(self, connection):
        """Count it in; where there are too many, the oldest stranger has to go, who had his time."""
        self._opening.discard(connection)
        if len(self._pool) >= _MOST_CONNECTIONS:
            strangers = [one for one in self._pool if not one.proven]
            if strangers:
                oldest = min(strangers, key=lambda one: one.since)
                self._pool.remove(oldest)
                oldest._transport.abort()
        connection.since = time.monotonic()
        self._pool.add(connection)


class _TlsStream(_TLSMixIn, _Stream):
    pass


class _Udp(MessageInterfaceUDP6):
    """Holds messages to the form of RFC 7252: aiocoap lets long tokens and empty payloads pass, and rejects nothing."""

    _form = Form()

    def datagram_msg_received(self, data, ancdata, flags, address):
        try:
            self._form.parse(data, len(data))
        except CoapError:
            self.log.warning("Ignoring unparsable message")
            if len(data) > 3 and data[0] & 0xF0 == 0x40:  # confirmable: section 4.2
                self._reset(data[2] << 8 | data[3], ancdata, address)
            return
        try:
            super().datagram_msg_received(data, ancdata, flags, address)
        except ValueError:  # aiocoap lets text that is no UTF-8 fall through
            self.log.warning("Ignoring a message with text that is not UTF-8")

    def _reset(self, mid, ancdata, address):
        info = next((data for level, kind, data in ancdata if kind == socket.IPV6_PKTINFO), None)
        message = Message(code=EMPTY)
        message.mtype, message.mid, message.token = RST, mid, b""
        message.remote = UDP6EndpointAddress(address, self, pktinfo=info)
        self.send(message)


async def open_udp(context, host, port) -> Messages:
    """Listen to UDP at host and port for aiocoap's `context`. Raises UserError when that cannot be."""
    manager = TokenManager(context)
    messages = Messages(manager)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # hundreds of devices after a blackout
        sock.bind((_mapped(host), port))
        transport = await _Udp._create_transport_endpoint(sock, messages, context.log, context.loop)
    except (OSError, ValueError) as exc:
        sock.close()
        raise UserError(f"[coap] udp_port: UDP {host}:{port} cannot be used: {exc}") from exc
    messages.message_interface, manager.token_interface = transport, messages
    context.request_interfaces.append(manager)
    return messages


async def open_stream(context, host, port, tls, lost) -> _Stream:
    """Listen to TCP, or TLS when an SSLContext is given; lost(connection) hears of ends. Raises UserError."""
    manager = TokenManager(context)
    kind = _Stream if tls is None else _TlsStream
    try:
        stream = await kind.open(manager, context.log, context.loop, host, port, tls, lost)
    except OSError as exc:
        name = "tcp_port" if tls is None else "tls_port"
        raise UserError(f"[coap] {name}: TCP {host}:{port} cannot be used: {exc.strerror or exc}") from exc
    manager.token_interface = stream
    context.request_interfaces.append(manager)
    return stream


def _mapped(host):
    """The address for an IPv6 socket that serves IPv4 as well."""
    if host in ("", "0.0.0.0", "::"):
        return "::"
    if host == "localhost":
        host = "127.0.0.1"
    address = ipaddress.ip_address(host)
    return f"::ffff:{address}" if address.version == 4 else str(address)
