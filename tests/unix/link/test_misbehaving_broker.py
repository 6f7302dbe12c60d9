"""A broker that breaks the rules of MQTT 3.1.1: named, the connection ended or the packet passed over, nothing lost."""

import pytest

from tests.unix.link.harness import DEVICE, TOPIC, UTILITY, FakeBroker, config, publish_packet

STATUS, COMMAND = 1, 6


@pytest.fixture
def fake(pki, micropython_path):
    with FakeBroker(pki) as running:
        yield running


@pytest.fixture
def one(fake, pki, device):
    """A device that is connected to it."""
    fake.pki = pki
    started = device(config(fake))
    started.expect("up")
    return started


def test_subscriptions_and_will(fake, one):
    """What a device says first: CONNECT with a last will and a kept session, then its two filters."""
    kind, connect = fake.packets[0]
    assert kind == 0x10
    will = f"{TOPIC}/link".encode()
    assert connect == (b"\x00\x04MQTT\x04\x2c\x00\x02" + bytes([0, len(DEVICE)]) + DEVICE.encode()
                       + bytes([0, len(will)]) + will + b"\x00\x04gone")
    filters = [rest[4:-1].decode() for kind, rest in fake.packets if kind == 0x82]
    assert filters == [f"{TOPIC}/cmd", f"der/{UTILITY}/group/area1/+"]


def test_session_is_present(fake, pki, device):
    """CONNACK with "session present": nothing is subscribed again."""
    fake.pki = pki
    fake.connack = b"\x20\x02\x01\x00"
    one = device(config(fake))
    assert one.expect("up")["up"] is True
    assert [kind for kind, _ in fake.packets] == [0x10]


def test_puback_never_comes(fake, one):
    """Sent three times with DUP, then over a new connection, until somebody acknowledges it."""
    fake.acks = False
    one.send(STATUS, b"precious")
    one.expect("log", "link.puback_timeout", timeout=30)
    one.expect("up")
    fake.wait(lambda _: len(fake.publishes()) > 3)
    kinds = [kind for kind, *_ in fake.publishes()]
    assert kinds[0] == 0x32 and set(kinds[1:4]) == {0x3A}
    assert len({pid for _, pid, *_ in fake.publishes()}) == 1
    fake.acks = True
    fake.wait(lambda _: len(fake.publishes()) > 4)
    fake.say(publish_packet(f"{TOPIC}/cmd", b"\x01", 7))
    one.expect("message")
    assert one.ask("pending") == 0


def test_window_is_bounded(fake, one):
    """Nine messages without acknowledgement: eight are accepted, the ninth when one was acknowledged."""
    fake.acks = False
    for number in range(9):
        one.send(STATUS, bytes([number]))
    one.expect("accepted", 7)
    assert one.ask("pending") == 8
    fake.wait(lambda _: len(fake.publishes()) >= 8)
    pid = fake.publishes()[2][1]
    assert not [event for event in one.seen if event.get("accepted") == 8]
    fake.say(b"\x40\x02" + pid.to_bytes(2, "big"))
    one.expect("accepted", 8)


def test_puback_follows_the_message(fake, one):
    """Inbound QoS 1: PUBACK with its id after the application had it, also when the application fails."""
    fake.say(publish_packet(f"{TOPIC}/cmd", b"\x01\x02", 0xABCD))
    one.expect("message")
    fake.wait(lambda got: (0x40, b"\xab\xcd") in got)


def test_application_fails(fake, pki, device):
    """A message that the application trips over is acknowledged and does not come back for ever."""
    fake.pki = pki
    one = device(config(fake, fail=True))
    one.expect("up")
    fake.say(publish_packet(f"{TOPIC}/cmd", b"\x01", 5) + publish_packet(f"{TOPIC}/cmd", b"\x02", 6))
    one.expect("log", "link.callback")
    one.expect("log", "link.callback")
    fake.wait(lambda got: (0x40, b"\x00\x06") in got)


def test_broker_stops_in_the_middle_of_a_packet(fake, one):
    """Half a PUBLISH, then nothing: a deadline ends it."""
    fake.say(publish_packet(f"{TOPIC}/cmd", b"\x01" * 100, 3)[:60])
    one.expect("log", "link.read_stall")
    one.expect("up")


@pytest.mark.parametrize("octets", [
    b"\x36\x00", b"\x30\x02\x00\x05", b"\x32\x05\x00\x01a\x00\x00", b"\x38\x03\x00\x01a", b"\x00\x00", b"\xf0\x00",
    b"\x40\x03\x00\x01\x00", b"\x20\x02\x00\x00", b"\x30\xff\xff\xff\xff\x7f",
    b"\x82\x05\x00\x01\x00\x01a", b"\xd0\x01\x00",
], ids=["qos3", "topic longer than the packet", "id 0", "DUP without QoS", "type 0", "type 15", "long PUBACK",
        "second CONNACK", "length of five octets", "SUBSCRIBE", "PINGRESP with content"])
def test_not_mqtt(fake, one, octets):
    """What MQTT 3.1.1 does not allow ends the connection; the link comes back."""
    fake.say(octets)
    one.expect("log", "link.protocol")
    one.expect("up")


def test_long_packets(fake, one):
    """Too long for the buffer: passed over and acknowledged, what follows is read. Beyond 64 KiB: the end."""
    fake.say(publish_packet(f"{TOPIC}/cmd", b"\x01" * 20000, 9) + publish_packet(f"{TOPIC}/cmd", b"\x02", 10))
    one.expect("log", "link.passed_over")
    assert one.expect("message") == {"message": COMMAND, "body": "02"}
    fake.wait(lambda got: (0x40, b"\x00\x09") in got and (0x40, b"\x00\x0a") in got)
    fake.say(publish_packet(f"{TOPIC}/cmd", b"\x01" * 70000, 11))
    one.expect("log", "link.too_long")
    one.expect("up")


def test_unknown_topics(fake, one):
    """A topic that was not asked for is ignored (and acknowledged)."""
    fake.say(publish_packet(f"der/{UTILITY}/plug/{DEVICE}/status", b"\x01", 1)
             + publish_packet(f"der/{UTILITY}/group/area1/cmd", b"\x02", 2)
             + publish_packet(f"{TOPIC}/cmd", b"\x03", 3))
    assert one.expect("message")["body"] == "03"
    fake.wait(lambda got: (0x40, b"\x00\x02") in got)


@pytest.mark.parametrize(("connack", "cause", "detail"), [
    (b"\x20\x02\x00\x05", "connack_refused", 5), (b"\x20\x02\x02\x00", "protocol", 0x20),
    (b"\x30\x02\x00\x00", "protocol", 0x30),
    (None, "connack_timeout", 0), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol", 0x48),
])
def test_connack(fake, pki, device, connack, cause, detail):
    """Refused, malformed, something else, nothing: named, and tried again."""
    fake.pki = pki
    fake.connack = connack
    one = device(config(fake))
    assert one.expect("log", f"link.{cause}")["a"] == detail
    fake.connack = b"\x20\x02\x00\x00"
    one.expect("up")


def test_subscription_refused(fake, pki, device):
    """SUBACK with 0x80: named; the link is not up without its commands."""
    fake.pki = pki
    fake.subacks = 0x80
    one = device(config(fake))
    one.expect("log", "link.suback_refused")
    assert not [event for event in one.seen if "up" in event]
