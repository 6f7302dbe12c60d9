"""What the tests of CoAP share: two endpoints in a network, a peer made of raw octets, messages written as a table."""

from spot.log import Log
from spot.wire.coap import Builder, CoapError, Message
from spot.wire.coap_endpoint import Endpoint
from spot.wire.context import Context
from spot.wire.oscore import Oscore
from spot_sim.datagrams import Datagrams

CON, NON, ACK, RST = range(4)
GET, POST, PUT = 1, 2, 3
SECRET = bytes(range(16))


def make(type, code, mid, token=b"", options=(), payload=b""):
    """The octets of a message; options (number, bytes or int) in any order."""
    buf = bytearray(4096)
    builder = Builder(buf)
    builder.start(type, code, mid, token)
    for number, value in sorted(options, key=lambda row: row[0]):
        if isinstance(value, int):
            builder.uint(number, value)
        else:
            builder.option(number, value)
    builder.payload(payload)
    return bytes(buf[: builder.n])


class Read:
    """A message taken apart: type, code ("2.05"), mid, token, options {number: [values]}, payload."""

    def __init__(self, data):
        m = Message()
        m.parse(data, len(data))
        self.type, self.mid, self.token = m.type, m.mid, m.token()
        self.code = "%d.%02d" % (m.code >> 5, m.code & 31)
        self.options = {}
        for i in range(m.count):
            self.options.setdefault(m.numbers[i], []).append(m.octets(i))
        self.payload = data[m.payload_at :]

    def uint(self, number):
        return int.from_bytes(self.options[number][0], "big")

    def __repr__(self):
        return "%s %s %d %s %r %r" % (("CON", "NON", "ACK", "RST")[self.type], self.code, self.mid, self.token.hex(),
                                      self.options, self.payload)


class Raw:
    """A peer made of octets: what it is sent stands in `got`, as Read."""

    def __init__(self, network, address):
        self.port = network.port(address)
        self.network = network
        self.got = []
        network.attach(self.port, self)

    def received(self, now, peer, buf, n):
        self.got.append(Read(buf[:n]))

    def step(self, now):
        return 60_000

    def send(self, target, *message):
        """make(*message) to target; returns what had come back a second later."""
        self.got.clear()
        self.port.datagram(target, data := make(*message), len(data))
        self.network.run(1000)
        return self.got[:]


class Replies:
    """An on_reply that keeps what it is told: (code "2.05", payload, fresh)."""

    def __init__(self):
        self.all = []

    def __call__(self, now, code, buf, at, n, fresh):
        self.all.append(("%d.%02d" % (code >> 5, code & 31), bytes(buf[at : at + n]), fresh))

    @property
    def codes(self):
        return [row[0] for row in self.all]


def endpoint(network, address, trust=True, reliable=False, security=None, context_for=None, **config):
    """An endpoint at an address of the network."""
    port = network.port(address, trust, reliable)
    ep = Endpoint(port, network.octets, Log(), security, context_for, config)
    network.attach(port, ep)
    ep.port = port
    return ep


def pair(seed=1, secure=False, config=None, **network):
    """(network, client, server), secure: with an OSCORE context between them, where nobody else is trusted."""
    net = Datagrams(seed, **network)
    config = config or {}
    if not secure:
        return net, endpoint(net, "client", **config), endpoint(net, "server", **config)
    ends = []
    for address, ids in (("client", (b"\x01", b"\x00")), ("server", (b"\x00", b"\x01"))):
        context = Context(SECRET, b"", *ids)
        security = Oscore(Log(), net.octets)
        security.add(context)
        ep = endpoint(net, address, trust=False, security=security, context_for=lambda peer, c=context: c, **config)
        ep.context = context
        ends.append(ep)
    return (net, *ends)


def echo(calls):
    """A handler that keeps what it is called with and answers 2.04 with it."""

    def handler(now, q):
        calls.append(bytes(q.buf[q.at : q.at + q.n]))
        q.reply(calls[-1])
        return 0x44

    return handler


def text(body, code=0x45, **more):
    """A handler that replies a text, body() or body."""

    def handler(now, q):
        q.reply(body() if callable(body) else body, **more)
        return code

    return handler


__all__ = ("ACK", "CON", "GET", "NON", "POST", "PUT", "RST", "CoapError", "Raw", "Read", "Replies", "echo", "endpoint",
           "make", "pair", "text")
