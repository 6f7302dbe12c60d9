"""The control loop's worst gap beyond its 20 ms while the link meets each fault, on the MicroPython unix port.

`link.loop_gap.ms` is the worst over the list; `link.loop_gap.<fault>.ms` what each cost. The faults are those of
tests/unix/link.
"""

import datetime
import tempfile
from pathlib import Path

from spot_host.acl import DeviceAccess
from spot_host.broker import Broker
from spot_host.pki import Pki
from tests.unix.link.harness import (
    DEVICE,
    TOPIC,
    UTILITY,
    Device,
    Emd,
    FakeBroker,
    Proxy,
    config,
    publish_packet,
    silent_udp,
)

STATUS = 1


class Rig:
    """One authority and broker, a fresh device and proxy for each fault."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.pki = Pki(self.folder / "pki")
        self.pki.device(DEVICE)
        self.pki.emd()
        devices = [DeviceAccess(DEVICE, "plug", ("area1",))]
        self.broker = Broker(self.pki, UTILITY, devices, folder=self.folder / "broker")

    def device(self, port=None, **more):
        return Device(config(self.broker, port, **more), self.folder)


def steady(rig):
    """No fault: connect, 300 messages each way, close."""
    with rig.device() as one, Emd(rig.broker) as emd:
        one.expect("up")
        for _ in range(300):
            one.send(STATUS, b"\\x01" * 100)
            emd.client.publish(f"{TOPIC}/cmd", b"\\x02" * 30, 1)
        emd.wait(lambda got: len(got) >= 300)
        return one.ask("gap")


def killed(rig):
    with rig.device() as one:
        one.expect("up")
        rig.broker.kill()
        one.expect("down")
        one.expect("log", "link.tcp")
        rig.broker.start()
        one.expect("up")
        return one.ask("gap")


def restarted(rig, forget):
    with rig.device() as one:
        one.expect("up")
        rig.broker.restart(forget)
        one.expect("down")
        one.expect("up")
        return one.ask("gap")


def half_open(rig):
    """Accepted and silent, then silent after a while."""
    with Proxy(rig.broker.port) as proxy:
        proxy.mode = "silent"
        with rig.device(proxy.port) as one:
            one.expect("log", "link.tls_timeout")
            proxy.mode = "pass"
            proxy.cut()
            one.expect("up")
            proxy.mode = "silent"
            one.expect("log", "link.ping_timeout")
            return one.ask("gap")


def stopped_in_handshake(rig):
    worst = 0
    for octets in (60, 400):
        with Proxy(rig.broker.port) as proxy:
            proxy.stall(octets)
            with rig.device(proxy.port) as one:
                one.expect("log", "link.tls_timeout")
                proxy.mode = "pass"
                proxy.cut()
                one.expect("up")
                worst = max(worst, one.ask("gap"))
    return worst


def stopped_in_packet(rig):
    with FakeBroker(rig.pki) as fake:
        with rig.device(fake.port) as one:
            one.expect("up")
            fake.say(publish_packet(f"{TOPIC}/cmd", b"\x01" * 100, 3)[:60])
            one.expect("log", "link.read_stall")
            one.expect("up")
            return one.ask("gap")


def puback_never_comes(rig):
    with FakeBroker(rig.pki) as fake:
        with rig.device(fake.port) as one:
            one.expect("up")
            fake.acks = False
            one.send(STATUS, b"precious")
            one.expect("log", "link.puback_timeout", timeout=30)
            one.expect("up")
            return one.ask("gap")


def takes_nothing(rig):
    with Proxy(rig.broker.port) as proxy, rig.device(proxy.port, keepalive=600, ack_ms=60000) as one:
        one.expect("up")
        proxy.mode = "deaf"
        one.tell("flood", 0x55)
        one.expect("log", "link.write_stall", timeout=60)
        return one.ask("gap")


def silent_dns(rig):
    with silent_udp() as port, rig.device(host="broker.example", dns=[("127.0.0.1", port)]) as one:
        one.expect("log", "link.dns")
        one.expect("log", "link.dns")
        return one.ask("gap")


def wrong_certificate(rig, cause, **options):
    right = rig.broker.identity
    rig.broker.stop()
    rig.broker.identity = rig.pki.broker(name="wrong", **options)
    rig.broker.start()
    try:
        with rig.device() as one:
            one.expect("log", f"link.{cause}")
            one.expect("log", f"link.{cause}")
            return one.ask("gap")
    finally:
        rig.broker.stop()
        rig.broker.identity = right
        rig.broker.start()


def other_authority(rig):
    other = Pki(rig.folder / "other", name="impostor")
    with Broker(other, UTILITY, folder=rig.folder / "impostor") as impostor, rig.device(impostor.port) as one:
        one.expect("log", "link.tls_ca")
        one.expect("log", "link.tls_ca")
        return one.ask("gap")


def revoked(rig):
    """Live, then reconnecting; the last of the list, since this device does not come back."""
    with rig.device() as one:
        one.expect("up")
        rig.broker.revoke(DEVICE)
        one.expect("down")
        one.expect("log", "link.tls_refused")
        one.expect("log", "link.tls_refused")
        return one.ask("gap")


NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
FAULTS = (
    ("none", steady),
    ("killed", killed),
    ("restarted", lambda rig: restarted(rig, False)),
    ("forgot", lambda rig: restarted(rig, True)),
    ("half_open", half_open),
    ("in_handshake", stopped_in_handshake),
    ("in_packet", stopped_in_packet),
    ("no_puback", puback_never_comes),
    ("takes_nothing", takes_nothing),
    ("silent_dns", silent_dns),
    ("expired", lambda rig: wrong_certificate(rig, "tls_expired", not_before=NOW - 30 * DAY, not_after=NOW - DAY)),
    ("not_yet", lambda rig: wrong_certificate(rig, "tls_future", not_before=NOW + DAY, not_after=NOW + 30 * DAY)),
    ("other_host", lambda rig: wrong_certificate(rig, "tls_host", hosts=("other.example",))),
    ("other_ca", other_authority),
    ("revoked", revoked),
)


def run(emit):
    """Emit `link.loop_gap.ms`, and the gap of each fault."""
    with tempfile.TemporaryDirectory(prefix="spot-bench-") as folder:
        rig = Rig(folder)
        with rig.broker:
            gaps = {name: fault(rig) for name, fault in FAULTS}
    emit("link.loop_gap.ms", max(gaps.values()), "ms")
    for name, gap_ms in gaps.items():
        emit(f"link.loop_gap.{name}.ms", gap_ms, "ms")
