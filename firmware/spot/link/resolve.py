"""Names to addresses without `getaddrinfo`, which blocks: a bounded, cached, asynchronous UDP query (RFC 1035, A)."""

from ..port import asyncio, const, random_bytes, socket, ticks_add, ticks_diff, ticks_ms
from .errors import LinkError
from .waiting import readable

_PORT = const(53)
_MAX_ANSWER = const(512)  # RFC 1035 section 4.2.1: no longer without EDNS
_MAX_RECORDS = const(16)
_MAX_CACHE = const(4)
_MIN_TTL_S = const(30)
_MAX_TTL_S = const(3600)
_SILENT = const(-1)


def is_address(host):
    """Whether `host` is a numeric IPv4 or IPv6 address, which nobody needs to be asked for."""
    if ":" in host:
        return True
    parts = host.split(".")
    return len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts)


def query(host, ident):
    """The octets of a recursive query for `host`'s A records; `ident` is 2 octets. ValueError: not a host name."""
    packet = bytearray(ident)
    packet.extend(b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    name = host[:-1] if host.endswith(".") else host
    labels = name.encode().split(b".")
    for label in labels:
        if not 0 < len(label) < 64:
            raise ValueError("host name %r" % host)
        packet.append(len(label))
        packet.extend(label)
    packet.extend(b"\x00\x00\x01\x00\x01")
    if len(packet) - 12 - 4 > 255:
        raise ValueError("host name %r" % host)
    return bytes(packet)


def answer(packet, asked):
    """(address, ttl_s) from `packet`, an answer to the query `asked`; None when it is an answer to something else.

    LinkError("dns", code) when the server says there is no such name (3), fails (2), or says nothing of use; also for
    any malformed packet (code 1). CNAMEs are followed as far as they are in the same packet: the first A record counts.
    """
    size = len(packet)
    if size < len(asked) or size > _MAX_ANSWER or packet[:2] != asked[:2] or not packet[2] & 0x80:
        return None
    if packet[12 : len(asked)].lower() != asked[12:].lower():
        return None  # not our question
    code = packet[3] & 15
    if code:
        raise LinkError("dns", code)
    count = packet[6] << 8 | packet[7]
    at = len(asked)
    for _ in range(min(count, _MAX_RECORDS)):
        while True:  # skip the owner's name: labels, then a zero or a pointer
            if at >= size:
                raise LinkError("dns", 1)
            length = packet[at]
            if length >= 0xC0:
                at += 2
                break
            if length > 63:
                raise LinkError("dns", 1)
            at += 1 + length
            if not length:
                break
        if at + 10 > size:
            raise LinkError("dns", 1)
        kind = packet[at] << 8 | packet[at + 1]
        internet = packet[at + 2] << 8 | packet[at + 3]
        high = packet[at + 4]
        ttl_s = _MAX_TTL_S if high else packet[at + 5] << 16 | packet[at + 6] << 8 | packet[at + 7]
        length = packet[at + 8] << 8 | packet[at + 9]
        at += 10
        if at + length > size:
            raise LinkError("dns", 1)
        if kind == 1 and internet == 1 and length == 4:
            return "%d.%d.%d.%d" % tuple(packet[at : at + 4]), min(max(ttl_s, _MIN_TTL_S), _MAX_TTL_S)
        at += length
    raise LinkError("dns", 0)


def servers_of(text):
    """Name servers of a resolv.conf's text, at most three, as (address, port)."""
    found = []
    for line in text.split("\n"):
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and is_address(words[1]) and len(found) < 3:
            found.append((words[1], _PORT))
    return found


class Resolver:
    """Asks `servers`, a list of addresses or (address, port), or a function that returns one (as wifi.name_servers).

    Without servers it reads `resolv_conf`. Each server is asked `tries` times with `timeout_ms`; an answer is kept for
    its time to live, 30 s to an hour, and a stale one serves when nobody answers.
    """

    def __init__(self, servers=None, resolv_conf="/etc/resolv.conf", timeout_ms=2000, tries=2):
        self._servers = servers
        self._resolv_conf = resolv_conf
        self._timeout_ms = timeout_ms
        self._tries = tries
        self._cache = {}  # host: [address, expires at (ticks), still fresh]

    def servers(self):
        """(address, port) of each name server as known now."""
        servers = self._servers() if callable(self._servers) else self._servers
        if servers is None:
            try:
                with open(self._resolv_conf) as file:
                    return servers_of(file.read(4096))
            except OSError:
                return []
        return [(server, _PORT) if isinstance(server, str) else (server[0], server[1]) for server in servers]

    async def resolve(self, host):
        """Numeric address of `host`; LinkError("dns", response code, or -1 for silence)."""
        if is_address(host):
            return host
        if host == "localhost":  # RFC 6761 section 6.3
            return "127.0.0.1"
        kept = self._cache.get(host)
        if kept:
            if kept[2] and ticks_diff(kept[1], ticks_ms()) > 0:
                return kept[0]
            kept[2] = False  # so that a wrap of the ticks cannot make it fresh again
        problem = LinkError("dns", _SILENT)
        for _ in range(self._tries):
            for server in self.servers():
                try:
                    address, ttl_s = await self._ask(server, host)
                except LinkError as error:
                    problem = error
                    continue
                if host not in self._cache and len(self._cache) >= _MAX_CACHE:
                    self._cache.clear()
                self._cache[host] = [address, ticks_add(ticks_ms(), ttl_s * 1000), True]
                return address
        if kept and problem.detail == _SILENT:
            return kept[0]
        raise problem

    async def _ask(self, server, host):
        sock = None
        try:
            asked = query(host, random_bytes(2))
            info = socket.getaddrinfo(server[0], server[1], 0, socket.SOCK_DGRAM)[0]  # numeric: does not block
            sock = socket.socket(info[0], socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.connect(info[-1])  # so that only this server's datagrams come in
            sock.send(asked)
            return await asyncio.wait_for_ms(self._answer(sock, asked), self._timeout_ms)
        except asyncio.TimeoutError:
            raise LinkError("dns", _SILENT) from None
        except OSError:
            raise LinkError("dns", _SILENT) from None
        except ValueError:
            raise LinkError("dns", 1) from None
        finally:
            if sock:
                sock.close()

    async def _answer(self, sock, asked):
        while True:
            await readable(sock)
            got = answer(sock.recv(_MAX_ANSWER + 1), asked)
            if got:
                return got
