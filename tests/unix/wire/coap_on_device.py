"""Runs on a device, and on CPython beside it: two CoAP endpoints with OSCORE on a bad network under virtual time.

Arguments: histories, octets of garbage after them. Prints one line: a digest over every datagram that was sent and
every outcome, so that two runtimes can be compared; then the heap that a flood of garbage, forged requests and
half-open uploads has left in use (0 on CPython).
"""

import binascii
import gc
import sys

from spot.log import Log
from spot.port import TICKS_PERIOD, sha256
from spot.wire.coap import Builder
from spot.wire.coap_endpoint import Endpoint
from spot.wire.context import Context
from spot.wire.oscore import Oscore

SECRET = bytes(range(16))
START = 5000  # before the wrap of the ticks: the periods differ, the differences do not


class Net:
    """Loses three in ten, doubles one in ten, delays up to ten seconds; the numbers come from one seed."""

    def __init__(self, seed, loss=3):
        self.state = seed * 7919 + 1
        self.loss = loss
        self.now = 0
        self.queue = []
        self.nodes = {}
        self.count = 0
        self.digest = b""

    def number(self, below):
        self.state = (self.state * 1103 + 12345) & 0x3FFFFF
        return (self.state >> 6) % below

    def octets(self, n):
        return bytes([self.number(256) for _ in range(n)])

    def ticks(self):
        return (TICKS_PERIOD - START + self.now) % TICKS_PERIOD

    def carry(self, source, target, data):
        self.digest = sha256(self.digest + data)
        for _ in range(2 if self.number(10) == 0 else 1):
            if self.number(10) >= self.loss:
                self.count += 1
                self.queue.append((self.now + 5 + self.number(10000), self.count, source, target, data))

    def run(self, until):
        while self.now < until:
            wait = until - self.now
            for node in self.nodes.values():
                wait = min(wait, max(node.step(self.ticks()), 1))
            for row in self.queue:
                wait = min(wait, row[0] - self.now)
            self.now += wait
            due = sorted([row for row in self.queue if row[0] <= self.now], key=lambda row: row[1])
            self.queue = [row for row in self.queue if row[0] > self.now]
            for row in due:
                self.nodes[row[3]].received(self.ticks(), row[2], row[4], len(row[4]))


class Out:
    def __init__(self, net, name):
        self.net = net
        self.name = name

    def datagram(self, peer, buf, n):
        self.net.carry(self.name, peer, bytes(buf[:n]))
        return True

    def reliable(self, peer):
        return False

    def trusted(self, peer):
        return False


def history(seed):
    """One exchange of commands, reports, uploads and observations; returns the digest."""
    net = Net(seed)
    contexts = Context(SECRET, b"", b"\x00", b"\x01"), Context(SECRET, b"", b"\x01", b"\x00")
    ends = []
    done = []
    outcome = []
    state = [b"state 0"]

    def command(now, q):
        done.append(bytes(q.buf[q.at : q.at + q.n]))
        return 0x44

    def price(now, q):
        q.reply(state[0], etag=state[0][-2:], max_age_s=60)
        return 0x45

    for name, context in (("emd", contexts[0]), ("device", contexts[1])):
        security = Oscore(Log(), net.octets)
        security.add(context)
        ep = Endpoint(Out(net, name), net.octets, Log(), security, lambda peer, c=context: c)
        ep.resource("cmd", command)
        ep.resource("price", price, observable=True)
        net.nodes[name] = ep
        ends.append(ep)
    emd, device = ends

    def heard(now, code, buf, at, n, fresh):
        outcome.append((code, bytes(buf[at : at + n])))

    device.request(net.ticks(), "emd", 1, "price", observe=True, on_reply=heard)
    for i in range(6):
        emd.request(net.ticks(), "device", 2, "cmd", b"command %d " % i * (1 + 30 * (i % 3)), on_reply=heard)
        device.request(net.ticks(), "emd", 2, "cmd", b"report %d" % i, con=bool(i & 1), on_reply=heard)
        state[0] = b"state %02d" % i * (1 + 50 * (i & 1))
        emd.notify(net.ticks(), "price")
        net.run(net.now + 40000)
    net.run(net.now + 400000)
    assert len(done) == len(set(done)) and (0x45, state[0]) in outcome, (seed, outcome)
    for ep in ends:
        assert len(ep.exchanges) <= 8 and len(ep._seen) <= 32 and len(ep.server.transfers) <= 2
    for row in outcome:
        net.digest = sha256(net.digest + bytes([row[0]]) + row[1])
    return net.digest


def flood(count):
    """Octets of heap in use after a flood, more than before it."""
    net = Net(3, 10)
    security = Oscore(Log(), net.octets)
    security.add(Context(SECRET, b"", b"\x01", b"\x00"))
    ep = Endpoint(Out(net, "device"), net.octets, Log(), security)
    ep.resource("cmd", lambda now, q: 0x44)
    buf = bytearray(400)
    b = Builder(buf)

    def one(i):
        n = net.number(60)
        kind = i % 5
        buf[:n] = net.octets(n)
        if kind:
            b.start(0, 2, net.number(65536), net.octets(4))
            if kind == 1:
                b.option(9, net.octets(3))
            b.text(11, "cmd" if kind < 4 else ".well-known")
            if kind == 4:
                b.text(11, "core")
                buf[1] = 1
            if kind == 2:
                b.option(27, b"\x0c")
            b.payload(bytes(256 if kind == 2 else 20))
            n = b.n
        ep.received(net.ticks(), "spoofed %d" % i, buf, n)
        if i % 20 == 0:
            net.run(net.now + 10)

    net.nodes["device"] = ep
    for i in range(200):
        one(i)
    gc.collect()
    before = gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0
    for i in range(200, 200 + count):
        one(i)
    gc.collect()
    return (gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0) - before


def main():
    digest = b""
    for seed in range(int(sys.argv[1])):
        digest = sha256(digest + history(seed))
    print(binascii.hexlify(digest).decode(), flood(int(sys.argv[2])))


main()
