"""The broker's access rules, tried with valid certificates: what is not allowed arrives nowhere."""

import socket
import ssl

import pytest

from tests.unix.link.harness import DEVICE, OTHER, TOPIC, UTILITY, Emd, config

FOREIGN = f"der/{UTILITY}/plug/{OTHER}"
GROUP = f"der/{UTILITY}/group/area1"


@pytest.mark.parametrize("topic", [
    f"{FOREIGN}/status", f"{FOREIGN}/cmd", f"{TOPIC}/cmd", f"{GROUP}/price", f"{GROUP}/cmd", f"{TOPIC}/other",
    f"{TOPIC}/status/x", f"der/{UTILITY}/heat_pump/{DEVICE}/status", f"der/another/plug/{DEVICE}/status",
    "$CONTROL/dynamic-security/v1", "der/x",
])
def test_device_writes_what_is_not_its_own(broker, topic):
    """Another's topics, commands, groups, unknown channels: the allowed message after it is all that arrives."""
    with Emd(broker, OTHER, ("#",)) as other, Emd(broker, topics=("#",)) as emd, Emd(broker, DEVICE, ("#",)) as device:
        device.publish(topic, b"forged", retain=True)
        device.publish(f"{TOPIC}/status", b"own")
        emd.wait(lambda got: got)
        emd.publish(f"{FOREIGN}/cmd", b"real")
        other.wait(lambda got: got)
        assert emd.received == [(f"{TOPIC}/status", b"own")]
        assert other.received == [(f"{FOREIGN}/cmd", b"real")]
        assert device.received == []


def test_device_reads_what_is_not_its_own(broker):
    """Subscribed to everything, a device gets its commands and its groups, and nothing of anybody else."""
    with Emd(broker) as emd, Emd(broker, OTHER, ("#",)) as other, Emd(broker, DEVICE, ("#", f"{FOREIGN}/#")) as device:
        other.publish(f"{FOREIGN}/status", b"private")
        emd.publish(f"{FOREIGN}/cmd", b"for the other")
        emd.publish(f"der/{UTILITY}/group/elsewhere/price", b"another group")
        emd.publish(f"{GROUP}/price", b"for the group")
        emd.publish(f"{TOPIC}/cmd", b"own")
        device.wait(lambda got: (f"{TOPIC}/cmd", b"own") in got)
        assert set(device.received) == {(f"{GROUP}/price", b"for the group"), (f"{TOPIC}/cmd", b"own")}


def test_emd_writes_for_no_device(broker):
    """The EMD writes commands and group topics only: it cannot speak as a device."""
    with Emd(broker) as emd:
        emd.publish(f"{TOPIC}/status", b"forged")
        with Emd(broker, DEVICE) as device:
            device.publish(f"{TOPIC}/status", b"own")
            emd.wait(lambda got: (f"{TOPIC}/status", b"own") in got)
        assert emd.received == [(f"{TOPIC}/status", b"own")]


def test_no_session_is_taken_over(broker, device):
    """Another device that gives this one's client id gets its own session, and this one stays connected."""
    one = device(config(broker))
    one.expect("up")
    other = device(config(broker, name=OTHER) | {"client_id": DEVICE})
    other.expect("up")
    with Emd(broker) as emd:
        emd.publish(f"{TOPIC}/cmd", b"\x01")
        one.expect("message")
    assert not [event for event in one.seen if "down" in event]


def test_nobody_without_a_certificate(broker):
    """TLS alone is not enough: without a client certificate the handshake fails."""
    context = ssl.create_default_context(cafile=broker.pki.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("localhost", broker.port)) as raw, pytest.raises(ssl.SSLError, match="alert"):
        context.wrap_socket(raw, server_hostname="localhost")


def test_state_of_key_files(broker):
    """Keys are readable by their owner alone, and so are the access rules."""
    keys = [*broker.pki.folder.glob("*.key"), *broker.pki.folder.glob("*.key.der"), broker.folder / "acl"]
    assert len(keys) >= 8
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
