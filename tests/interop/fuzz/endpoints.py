"""A whole endpoint: datagrams of several peers over time."""

from spot.log import Log
from spot.wire.coap import Message
from spot.wire.coap_endpoint import Endpoint
from tests.interop.fuzz.messages import REQUEST, sample

_again = Message()


def _random(n):
    return bytes(range(n))


class _Out:
    def __init__(self):
        self.sent = 0

    def datagram(self, peer, buf, n):
        _again.parse(bytes(buf[:n]), n)
        self.sent += 1
        return True

    def reliable(self, peer):
        return peer == 2

    def trusted(self, peer):
        return peer == 1


def _handler(now, request):
    request.reply(bytes(600) if request.code == 1 else b"", etag=b"\x01")
    return 0x45 if request.code == 1 else 0x44


def endpoint(data: bytes):
    """Datagrams of three peers (a stranger, a trusted one, one on a stream) raise nothing, grow no table beyond its
    bound, and leave an endpoint that answers."""
    out = _Out()
    ep = Endpoint(out, _random, Log(8), None, None, {})
    ep.resource("r", _handler, "rt=x", observable=True)
    ep.resource("open", _handler, open=True)
    ep.request(0, 1, 1, "value", observe=True)
    now = at = 0
    while at + 3 <= len(data):
        peer, size, wait = data[at] % 3, data[at + 1], data[at + 2]
        datagram = data[at + 3 : at + 3 + size]
        at += 3 + size
        ep.received(now, peer, datagram, len(datagram), bool(wait & 1))
        now += wait * wait * 8  # up to nine minutes
        assert ep.step(now) >= 0
        assert len(ep.exchanges) <= 8 and len(ep._seen) <= 32 and len(ep._delayed) <= 2
        assert len(ep.server.transfers) <= 2 and len(ep.server.observers.list) <= 12 and len(ep.client.requests) <= 12
    before = out.sent
    ep.received(now, 0, _OPEN, len(_OPEN))
    assert out.sent > before


_REQUEST = sample([(11, b"cmd"), (15, b"ep=0200000000000001"), (258, b"\x1a")], b"\x84\x01\x02\x03\x04")


_OPEN = b"\x40\x01\xff\xfe\xb4open"


def _steps(*steps):
    return b"".join(bytes([peer, len(data), wait]) + data for peer, data, wait in steps)


_GET = sample([(6, b""), (11, b"r")], code=1)
_PUT = sample([(11, b"r"), (27, b"\x08")], bytes(16), 3)


def _flood(make):
    """40 messages, each with a message id of its own."""
    made = [make(i) for i in range(40)]
    return _steps(*((1, data[:2] + bytes([1, i]) + data[4:], 0) for i, data in enumerate(made)))


TARGETS = {"endpoint": endpoint}
SEEDS = {
    "endpoint": [
        _steps((1, _GET, 3), (1, b"\x70\x00\x12\x34", 40), (0, REQUEST, 0)),
        _flood(lambda i: sample([(11, b"r")], b"x", 3)),
        _flood(lambda i: sample([(11, b"r"), (27, b"\x08"), (292, bytes([i]))], bytes(16), 3)),
        _flood(lambda i: sample([(6, b""), (11, b"r")], code=1, token=bytes([i, 1]))),
        _steps((1, _PUT, 0), (1, _PUT, 9), (2, _GET, 200), (0, b"\x40\x00\x00\x01", 1)),
    ],
}
