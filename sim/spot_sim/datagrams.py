"""A datagram network in memory under virtual time, as bad as one asks: loss, doubles, delay and so reordering, and
addresses that change. One seed replays one history.

Its nodes are CoAP endpoints (spot.wire.coap_endpoint) or anything with received(now, peer, buf, n) and step(now).
"""

import heapq
import random

from spot.port import TICKS_PERIOD


class Port:
    """What a node sends through: the `out` of an endpoint. Its address can change, as behind a NAT."""

    def __init__(self, network, address, trust, reliable):
        self.network = network
        self.address = address
        self.trust = trust
        self.is_reliable = reliable
        self.node = None
        self.wake = 0
        self.sent = 0

    def datagram(self, peer, buf, n):
        self.sent += 1
        self.network.carry(self.address, peer, bytes(buf[:n]))
        return True

    def reliable(self, peer):
        return self.is_reliable

    def trusted(self, peer):
        return self.trust


class Datagrams:
    """loss, duplicate: probabilities; delay_ms: (least, most), of each datagram for itself.

    now() is milliseconds since the start; the nodes see ticks that wrap early, by `start_ms` before the wrap.
    """

    def __init__(self, seed, loss=0.0, duplicate=0.0, delay_ms=(1, 1), start_ms=20_000):
        self.random = random.Random(seed)
        self.loss = loss
        self.duplicate = duplicate
        self.delay_ms = delay_ms
        self.time_ms = 0
        self.base = TICKS_PERIOD - start_ms
        self.ports = {}
        self.history = []  # (time, source, target, octets) of all that was sent
        self._queue = []
        self._count = 0

    def port(self, address, trust=False, reliable=False):
        """A new place in the network; give it a node by attach()."""
        port = self.ports[address] = Port(self, address, trust, reliable)
        return port

    def attach(self, port, node):
        port.node = node

    def octets(self, n):
        """Random octets from the seed: an endpoint's `random`."""
        return self.random.randbytes(n)

    @property
    def ticks(self):
        """The time that nodes see."""
        return (self.base + self.time_ms) % TICKS_PERIOD

    def rebind(self, port, address):
        """The port's address is another one from now on; what is under way to the old one is lost."""
        del self.ports[port.address]
        port.address = address
        self.ports[address] = port

    def carry(self, source, target, octets):
        """Take a datagram: lose it, deliver it late, or twice."""
        self.history.append((self.time_ms, source, target, octets))
        if self.random.random() < self.loss:
            return
        for _ in range(2 if self.random.random() < self.duplicate else 1):
            self.at(self.random.randint(*self.delay_ms), source, target, octets)

    def at(self, delay_ms, source, target, octets):
        """Deliver a datagram in delay_ms, whatever else is lost."""
        self._count += 1
        heapq.heappush(self._queue, (self.time_ms + delay_ms, self._count, source, target, octets))

    def call(self, delay_ms, function):
        """Call function() in delay_ms."""
        self._count += 1
        heapq.heappush(self._queue, (self.time_ms + delay_ms, self._count, None, None, function))

    def run(self, for_ms, until=None):
        """Let virtual time pass: for_ms of it, or less where until() says that it is enough. True if it said so."""
        end = self.time_ms + for_ms
        while True:
            for port in list(self.ports.values()):
                if port.node is not None:
                    port.wake = self.time_ms + max(port.node.step(self.ticks), 1)
            if until is not None and until():
                return True
            nearest = min((port.wake for port in self.ports.values() if port.node is not None), default=end)
            if self._queue:
                nearest = min(nearest, self._queue[0][0])
            if nearest > end:
                self.time_ms = end
                return False
            self.time_ms = max(nearest, self.time_ms)
            while self._queue and self._queue[0][0] <= self.time_ms:
                _, _, source, target, octets = heapq.heappop(self._queue)
                if target is None:
                    octets()
                    continue
                port = self.ports.get(target)
                if port is not None and port.node is not None:
                    port.node.received(self.ticks, source, octets, len(octets))
