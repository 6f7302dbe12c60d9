"""What each benchmark must reach: one row a name, with the place that asks for it.

A bound is a pure function of the measured value and its peers, so that a ratio to a peer is a bound too.
"""

from typing import NamedTuple


class Bound(NamedTuple):
    """At most `high`, at least `low`, and the same with a factor of a peer's value; None: no such bound."""

    why: str
    high: float | None = None
    low: float | None = None
    peer: str | None = None
    peer_high: float | None = None  # value <= peer * peer_high
    peer_low: float | None = None  # value >= peer * peer_low

    def missed(self, value: float, peers: dict) -> str:
        """What is missed, in words; "" if the bound is kept. A ratio without its peer's figure is missed."""
        if self.high is not None and value > self.high:
            return f"over {self.high:,g}"
        if self.low is not None and value < self.low:
            return f"under {self.low:,g}"
        if self.peer is not None:
            if self.peer not in peers:
                return f"no figure for {self.peer}"
            if self.peer_high is not None and value > peers[self.peer] * self.peer_high:
                return f"over {self.peer_high:g} × {self.peer}"
            if self.peer_low is not None and value < peers[self.peer] * self.peer_low:
                return f"under {self.peer_low:g} × {self.peer}"
        return ""

    def text(self) -> str:
        """The bound as it stands in the table."""
        parts = []
        if self.high is not None:
            parts.append(f"≤ {self.high:,g}")
        if self.low is not None:
            parts.append(f"≥ {self.low:,g}")
        if self.peer_high is not None:
            parts.append(f"≤ {self.peer_high:g} × {self.peer}")
        if self.peer_low is not None:
            parts.append(f"≥ {self.peer_low:g} × {self.peer}")
        return ", ".join(parts)


_SIZE = "size budget of the profile"

BOUNDS = {
    "wire.register_plug.bytes": Bound(_SIZE, high=90),
    "wire.register_heat_pump.bytes": Bound(_SIZE, high=110),
    "wire.telemetry6.bytes": Bound(_SIZE, high=32),
    "wire.power.bytes": Bound(_SIZE, high=14),
    "wire.command_limit.bytes": Bound(_SIZE, high=34),
    "wire.status.bytes": Bound(_SIZE, high=24),
    "wire.price24.bytes": Bound(_SIZE, high=72),
    "wire.price96.bytes": Bound(_SIZE, high=216),
    "codec.telemetry_encode.us": Bound("ten times faster than C json", peer="json", peer_high=0.1),
    "codec.command_decode.us": Bound("as fast as C json", peer="json", peer_high=1),
    "codec.telemetry_encode.heap_bytes": Bound("a step allocates nothing", high=0),
    "codec.command_decode.heap_bytes": Bound("bounded by the message: 34 octets in blocks of 32", high=64),
    "coap.build.us": Bound("as one would write it first, in half the time", peer="naive", peer_high=0.5),
    "coap.parse.us": Bound("as one would write it first, in half the time", peer="naive", peer_high=0.5),
    "coap.build.heap_bytes": Bound("a request allocates nothing", high=0),
    "coap.parse.heap_bytes": Bound("a request allocates nothing", high=0),
    "rp2040.telemetry_encode.us": Bound("five times faster than C json on the chip", peer="json", peer_high=0.2),
    "rp2040.command_decode.us": Bound("half a millisecond and C json", high=500, peer="json", peer_high=1),
    "rp2040.command_to_relay.ms": Bound("from a command's body to the relay's edge", high=20),
    "rp2040.oscore_command_to_relay.ms": Bound("from its protected datagram to the relay's edge", high=30),
    "rp2040.trip.ms": Bound("the last octet of an over-current frame to the relay's edge", high=50),
    "rp2040.heap_free.percent": Bound("the product in its steady state, its code in ROMFS", low=60),
    "rp2040.cable_command_to_relay.ms": Bound("as a slipmux cable brings it, USB and the loop included: reported"),
    "rp2040.boot_to_registered.ms": Bound("from power-on to the registration at the EMD: reported"),
    "link.loop_gap.ms": Bound("the control loop keeps its period through every fault", high=100),
    "command.latency.ms": Bound("reported beside a paho round trip"),
    "command.latency_p99.ms": Bound("reported beside a paho round trip"),
    "coap.command.latency.ms": Bound("reported beside aiocoap's round trip to libcoap"),
    "coap.command.latency_p99.ms": Bound("reported beside aiocoap's round trip to libcoap"),
    "coap.command.latency_oscore.ms": Bound("reported beside aiocoap's round trip to libcoap"),
    "coap.command.latency_oscore_p99.ms": Bound("reported beside aiocoap's round trip to libcoap"),
    "coap.command.latency_tls.ms": Bound("reported beside aiocoap's round trip to libcoap"),
    "coap.command.latency_tls_p99.ms": Bound("reported beside aiocoap's round trip to libcoap"),
    "sim.device_speed": Bound("the fleet of make run", low=300_000),
    "sim.device_years_per_hour": Bound("histories under faults, every invariant checked", low=30),
    "sim.fleet_realtime_factor": Bound("10,000 devices that report every second, on one core", low=1),
    "emd.telemetry_rate.per_s": Bound("checked and stored", peer="paho", peer_low=0.5),
    "group.signed_price96.bytes": Bound("four parts of a body each", high=4096),
    "group.verify.us": Bound("a few times the bare hashes", peer="bare_hashes", peer_high=4),
    "rp2040.lms_verify.ms": Bound("a signature on the chip", high=200),
    "rp2040.lms_slice.ms": Bound("a turn of the loop while it verifies", high=20),
    "ccm.seal.us": Bound("a body of 40 octets", high=1.5),
    "ccm.open.us": Bound("a body of 40 octets", high=1.5),
    "ccm.seal.heap_bytes": Bound("no heap", high=0),
    "ccm.open.heap_bytes": Bound("no heap", high=0),
    "oscore.protect.us": Bound("a tenth of a millisecond is nothing beside the network", high=100),
    "oscore.unprotect.us": Bound("a tenth of a millisecond is nothing beside the network", high=100),
    "oscore.protect.heap_bytes": Bound("the hot path takes no heap", high=0),
    "oscore.unprotect.heap_bytes": Bound("the hot path takes no heap", high=0),
    "oscore.overhead.bytes": Bound("the limit command, also after a rotation", high=20),
    "oscore.overhead_response.bytes": Bound("its answer", high=20),
    "cose.overhead.bytes": Bound("what the headers take: docs/security.md", high=21),
    "store.write.us": Bound("a value replaced, littlefs and its block device in RAM on the unix port", high=2000),
    "store.flash_bytes_per_day": Bound("848 KiB of 100,000 cycles last 20 years at half of perfect levelling",
                                       high=848 * 1024 * 100_000 // 2 // (20 * 365)),
    "control.step.us": Bound("a turn of device and agent, unix port", high=1000),
    "control.step.heap_bytes": Bound("a turn without anything to say allocates nothing", high=0),
    "trip.latency.ms": Bound("the last octet of an over-current frame to the relay, at the worst moment, unix port",
                             high=50),
    "outage.gasp.us": Bound("from finding the mains gone to the octets at the socket, unix port", high=2000),
    "outage.gasp.heap_bytes": Bound("a collection is not due for it: a hundredth of a Pico's heap, twice as wide",
                                    high=5000),
    "outage.edge.ms": Bound("debounce, a slice of the loop and the gasp: the worst phase", high=50),
    "outage.kept.ms": Bound("and a turn for the links, and the writes", high=100),
    "rp2040.gasp.ms": Bound("the last gasp with OSCORE, on the chip", high=25),
    "firmware.mpy.bytes": Bound("the compiled plug firmware", high=120_000),
}
