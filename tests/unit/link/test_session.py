"""The MQTT session without I/O: window, packet ids, deadlines, parser, against MQTT 3.1.1."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.codes import MAX_BODY
from spot.link.errors import CAUSES, LinkError
from spot.link.mqtt_session import CLOSED, UP
from spot.port import TICKS_PERIOD

from .session_rig import CH, CMD, CONNACK_PRESENT, DEVICE, Rig, pid_of, publish


def cause(call, *args):
    with pytest.raises(LinkError) as caught:
        call(*args)
    assert caught.value.cause in set(CAUSES)
    return caught.value.cause


def test_nothing_is_accepted_before_it_is_up():
    rig = Rig(up=False)
    assert not rig.send()
    rig.session.begin(rig.now)
    assert not rig.send()
    assert [kind for kind, _ in rig.flush()] == [0x10]
    assert rig.flush() == []


def test_session_that_is_present_is_not_subscribed_again():
    rig = Rig()
    assert [kind for kind, _ in rig.written] == [0x10, 0x82, 0x82] and rig.ups == [False]
    rig.session.end()
    rig.written.clear()
    rig.connect(CONNACK_PRESENT)
    assert [kind for kind, _ in rig.written] == [0x10] and rig.ups == [False, True]
    rig.session.end()
    rig.written.clear()
    rig.connect()
    assert [kind for kind, _ in rig.written] == [0x10, 0x82, 0x82]


def test_qos_and_retain_by_channel():
    rig = Rig()
    for channel, first in (("telemetry", 0x30), ("status", 0x32), ("link", 0x33)):
        assert rig.send(channel)
        (kind, rest), = rig.flush()
        assert kind == first
        assert rest[2:].startswith(f"der/utility/plug/{DEVICE}/{channel}".encode()) and rest.endswith(b"body")
    assert rig.session.pending == 2  # telemetry is done when written


@pytest.mark.parametrize("channel", ["cmd", "price", "grid"])
def test_channels_that_devices_do_not_write(channel):
    with pytest.raises(ValueError, match="not to be sent"):
        Rig().send(channel)


def test_body_too_long_is_the_callers_mistake():
    rig = Rig()
    assert rig.send("interval", bytes(MAX_BODY))
    with pytest.raises(ValueError, match="not to be sent"):
        rig.send("interval", bytes(MAX_BODY + 1))
    (_, rest), = rig.flush()
    assert rest.endswith(bytes(MAX_BODY))


def test_window_is_full_until_an_acknowledgement():
    rig = Rig(window=2)
    assert rig.send() and rig.send() and not rig.send() and not rig.send("telemetry")
    pid = pid_of(rig.flush()[0][1])
    rig.feed(b"\x40\x02" + pid.to_bytes(2, "big"))
    assert rig.send() and not rig.send()


def test_body_is_copied():
    rig = Rig()
    body = bytearray(b"first")
    rig.session.offer(CH["status"], body, 5)
    body[:] = b"other"
    assert rig.flush()[0][1].endswith(b"first")


def test_only_n_octets_are_sent():
    rig = Rig()
    rig.session.offer(CH["status"], bytearray(b"first, and more"), 5)
    assert rig.flush()[0][1].endswith(b"first")


def test_retransmission_with_dup_then_a_new_connection():
    """Three sendings with the same id, then the deadline; the next connection sends it at once, with DUP."""
    rig = Rig(ack_ms=1000, ping_ms=9000)
    rig.send()
    kinds, ids = [], set()
    for _ in range(3):
        rig.step()
        (kind, rest), = [packet for packet in rig.flush() if packet[0] != 0xC0]
        kinds.append(kind)
        ids.add(pid_of(rest))
        rig.now += 1000
    assert kinds == [0x32, 0x3A, 0x3A] and len(ids) == 1
    assert cause(rig.step) == "puback_timeout"
    rig.session.end()
    rig.connect(CONNACK_PRESENT)
    assert rig.written[-2][0] == 0x10
    assert (rig.written[-1][0], pid_of(rig.written[-1][1])) == (0x3A, ids.pop())
    assert rig.session.pending == 1


def test_order_is_kept_over_a_reconnect():
    rig = Rig()
    bodies = [b"a", b"b", b"c", b"d"]
    for body in bodies[:3]:
        rig.send("status", body)
    rig.flush()
    rig.session.end()
    rig.connect(CONNACK_PRESENT)
    rig.send("status", b"d")
    rig.flush()
    assert [rest[-1:] for _, rest in rig.written[-4:]] == bodies


def test_qos_0_is_dropped_with_the_connection():
    rig = Rig()
    rig.send("telemetry")
    rig.send("status")
    rig.session.end()
    assert rig.session.pending == 1 and rig.session.state == CLOSED


def test_ids_wrap_and_step_over_what_is_in_flight():
    """65,535 is followed by 1, never 0; an id in flight is not given twice."""
    rig = Rig(first_pid=65531)  # two go to the subscriptions
    seen = []
    for _ in range(4):
        rig.send()
        seen.append(pid_of(rig.flush()[0][1]))
    assert seen == [65533, 65534, 65535, 1]
    rig.session._pid = 65534
    rig.send()
    assert pid_of(rig.flush()[0][1]) == 2


@given(st.lists(st.one_of(st.just("send"), st.integers(0, 7)), max_size=200), st.integers(1, 65535))
@settings(max_examples=60, deadline=None)
def test_ids_never_collide(events, first):
    """Whatever is sent and acknowledged in whatever order: ids in flight are distinct and between 1 and 65535."""
    rig = Rig(first_pid=first)
    flying = []
    for event in events:
        if event == "send":
            if rig.send():
                flying += [pid_of(rest) for _, rest in rig.flush()]
        elif event < len(flying):
            rig.feed(b"\x40\x02" + flying.pop(event).to_bytes(2, "big"))
        assert len(set(flying)) == len(flying) == rig.session.pending
        assert all(0 < pid < 65536 for pid in flying)


def test_stray_and_repeated_acknowledgements_change_nothing():
    rig = Rig()
    rig.send()
    pid = pid_of(rig.flush()[0][1])
    rig.feed(b"\x40\x02\x7f\x7f" + b"\x40\x02\x00\x00")
    assert rig.session.pending == 1
    rig.feed((b"\x40\x02" + pid.to_bytes(2, "big")) * 3)
    assert rig.session.pending == 0 and rig.session.sent == 1


def test_ping_when_idle_and_its_deadline():
    rig = Rig(keepalive=10, ping_ms=3000)
    assert rig.step() == 5000
    assert rig.step(5000) == 0
    assert rig.flush() == [(0xC0, b"")]
    rig.now += 1000
    rig.feed(b"\xd0\x00")
    assert rig.step() == 5000 - 1000
    rig.step(4000)
    assert rig.flush() == [(0xC0, b"")]
    assert rig.step(2999) == 1
    assert cause(rig.step, 1) == "ping_timeout"


def test_ping_although_messages_come():
    """Reading alone is not enough: the broker closes on a client that says nothing for its keepalive."""
    rig = Rig(keepalive=10)
    for _ in range(5):
        rig.now += 1000
        rig.feed(publish(CMD, b"x"))
    rig.step()
    assert rig.flush() == [(0xC0, b"")]


def test_deadlines_before_up():
    rig = Rig(up=False, connack_ms=2000, ack_ms=1000)
    rig.session.begin(rig.now)
    rig.flush()
    assert rig.step(1999) == 1
    assert cause(rig.step, 1) == "connack_timeout"
    rig.session.begin(rig.now)
    rig.flush()
    rig.feed(b"\x20\x02\x00\x00")
    for _ in range(3):
        assert {kind for kind, _ in rig.flush()} == {0x82}
        with contextlib.suppress(LinkError):
            rig.step(1000)
    assert cause(rig.step) == "suback_timeout"


def test_deadline_of_a_packet_that_drips():
    """An octet now and then does not keep a packet alive for ever."""
    rig = Rig(stall_ms=1000)
    octets = publish(CMD, b"12345678")
    for at in range(9):
        rig.feed(octets[at : at + 1])
        rig.step(110)
    rig.feed(octets[9:10])
    assert cause(rig.step, 110) == "read_stall"


def test_progress_between_packets_is_no_stall():
    rig = Rig(stall_ms=1000)
    octets = publish(CMD, b"12345678")
    stream = octets * 4
    cut = len(octets) // 2 + 1
    for at in range(0, len(stream), cut):
        rig.feed(stream[at : at + cut])
        rig.step(450)
    assert len(rig.messages) == 4


@pytest.mark.parametrize("ahead", [1, 500, 20000])
def test_deadlines_over_a_wrap_of_the_ticks(ahead):
    """ticks_ms wraps after 12.4 days: nothing times out early or never because of it."""
    rig = Rig(now=TICKS_PERIOD - ahead, ack_ms=1000)
    rig.send()
    rig.flush()
    rig.now = (rig.now + 999) % TICKS_PERIOD
    assert rig.session.step(rig.now) == 1
    rig.now = (rig.now + 1) % TICKS_PERIOD
    assert rig.session.step(rig.now) == 0
    assert [kind for kind, _ in rig.flush()] == [0x3A]


def test_puback_after_the_message():
    rig = Rig()
    rig.feed(publish(CMD, b"go", 0x1234))
    assert rig.messages == [(CH["cmd"], b"go")]
    assert rig.flush() == [(0x40, b"\x12\x34")]
    rig.feed(publish("der/utility/group/area1/price", b"cheap"))
    assert rig.messages[1:] == [(CH["price"], b"cheap")] and rig.flush() == []


def test_many_messages_at_once():
    """More than the acknowledgements that can wait: reading stops until they are written; none is lost."""
    rig = Rig()
    rig.feed(b"".join(publish(CMD, b"%d" % number, number) for number in range(1, 101)))
    rig.flush()
    assert [body for _, body in rig.messages] == [b"%d" % number for number in range(1, 101)]
    acks = [int.from_bytes(rest, "big") for kind, rest in rig.written if kind == 0x40]
    assert acks == list(range(1, 101))


def test_longest_body():
    rig = Rig()
    rig.feed(publish(CMD, bytes(MAX_BODY), 1), piece=100)
    assert rig.messages == [(CH["cmd"], bytes(MAX_BODY))]


@pytest.mark.parametrize("size", [MAX_BODY + 1, 2000, 65000])
@pytest.mark.parametrize("piece", [None, 7])
def test_too_long_is_passed_over(size, piece):
    rig = Rig()
    rig.feed(publish(CMD, bytes(size), 5) + publish(CMD, b"next", 6), piece)
    rig.flush()
    assert rig.messages == [(CH["cmd"], b"next")]
    assert [rest for kind, rest in rig.written if kind == 0x40] == [b"\x00\x05", b"\x00\x06"]
    assert rig.log.counts["link.passed_over"] == 1


@pytest.mark.parametrize(("octets", "named"), [
    (publish(CMD, bytes(65600), 5), "too_long"),
    (b"\x30\xff\xff\xff\x7f\x00\x01", "too_long"),
    (b"\x32\x90\x20\xff\xff" + bytes(1200), "protocol"),
    (b"\x32\x80\x80\x03\xbb\x80" + bytes(1200), "too_long"),
])
def test_too_long_to_pass_over(octets, named):
    assert cause(Rig().feed, octets[:1150]) == named


@given(st.lists(st.tuples(st.binary(max_size=1100), st.integers(0, 65535)), max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_pieces_do_not_matter(messages, data):
    """A stream cut anywhere gives the same messages."""
    rig = Rig()
    stream = b"".join(publish(CMD, body, pid) for body, pid in messages)
    while stream:
        n = data.draw(st.integers(1, len(stream)))
        rig.feed(stream[:n])
        rig.flush()
        stream = stream[n:]
    assert [body for _, body in rig.messages] == [body for body, _ in messages if len(body) <= MAX_BODY]


@given(st.binary(max_size=400), st.booleans())
@settings(max_examples=300, deadline=None)
def test_hostile_octets(octets, connected):
    """Whatever comes: LinkError or nothing, and what was accepted stays."""
    rig = Rig(up=connected)
    if connected:
        rig.send()
    else:
        rig.session.begin(rig.now)
    rig.flush()
    try:
        rig.feed(octets, 13)
        rig.flush()
        rig.step()
    except LinkError as error:
        assert error.cause in set(CAUSES)
    if connected and rig.session.pending == 0:
        assert b"\x40\x02" in octets  # only a PUBACK ends it


@given(st.integers(0, 255), st.integers(0, 40), st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
def test_hostile_packets(kind, length, rest):
    """The same, with a plausible header."""
    rig = Rig()
    with contextlib.suppress(LinkError):
        rig.feed(bytes([kind, length]) + rest[:length])
        rig.flush()
        assert rig.session.state == UP


def test_callbacks_that_fail(capfd):
    """A message or an "up" over which the application fails ends nothing, and is counted."""
    rig = Rig(up=False)

    def fail(*args):
        raise RuntimeError("application")

    rig.session._on_message = rig.session._on_up = fail
    rig.connect()
    rig.feed(publish(CMD, b"x", 3))
    assert rig.flush() == [(0x40, b"\x00\x03")]
    assert rig.log.counts["link.callback"] == 2
    assert "application" in capfd.readouterr().err


def test_group_joined_while_up():
    rig = Rig()
    rig.session.subscribe_group("circuit7")
    (kind, rest), = rig.flush()
    assert kind == 0x82 and rest[4:-1] == b"der/utility/group/circuit7/+"
    assert rig.send()
    rig.feed(b"\x90\x03" + rest[:2] + b"\x01" + publish("der/utility/group/circuit7/grid", b"1"))
    assert rig.messages == [(CH["grid"], b"1")] and rig.ups == [False]
    rig.session.subscribe_group("circuit7")
    assert [kind for kind, _ in rig.flush()] == [0x32]


def test_group_that_was_joined_just_before_the_connection_broke():
    """The broker's session is present and does not hold it: it is asked for again, and once only."""
    rig = Rig()
    rig.session.subscribe_group("7")
    (kind, rest), = rig.flush()
    assert kind == 0x82
    rig.session.end()
    for asked in (1, 0):
        rig.session.begin(rig.now)
        rig.flush()
        rig.feed(b"\x20\x02\x01\x00")
        found = [body for kind, body in rig.flush() if kind == 0x82]
        assert [body[4:-1] for body in found] == [b"der/utility/group/7/+"] * asked
        for body in found:
            rig.feed(b"\x90\x03" + body[:2] + b"\x01")
        assert rig.session.state == 3
        rig.session.end()


def test_group_that_is_refused_costs_the_group_and_not_the_link():
    rig = Rig()
    rig.session.subscribe_group("7")
    (_, rest), = rig.flush()
    rig.feed(b"\x90\x03" + rest[:2] + b"\x80")
    assert rig.session.state == 3 and rig.log.counts["link.group_refused"] == 1
    assert rig.send()


def test_command_that_was_retained_is_acknowledged_and_not_handed_on():
    rig = Rig()
    rig.feed(publish(CMD, b"old", 3, kind=0x33))
    assert rig.messages == [] and rig.flush() == [(0x40, b"\x00\x03")]
    assert rig.log.counts["link.retained_command"] == 1
    rig.feed(publish(CMD, b"new", 4))
    assert rig.messages == [(CH["cmd"], b"new")]
