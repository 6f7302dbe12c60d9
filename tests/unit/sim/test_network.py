"""The link in memory keeps what a broker keeps and loses what a broker loses."""

import hashlib
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.log import Log
from spot_host.profile.definition import CHANNELS
from spot_sim.clock import VirtualClock
from spot_sim.faults import EMD, LinkFaults, Window
from spot_sim.network import MemoryNetwork
from spot_sim.seeds import Seeds

CODES = {name: code for code, name, *_ in CHANNELS}
STATUS, TELEMETRY, LINK, CMD, PRICE, ALARM = (
    CODES[name] for name in ("status", "telemetry", "link", "cmd", "price", "alarm"))


class Device:
    """Records what reaches a device."""

    def __init__(self, net, name, **options):
        self.got, self.ups, self.downs, self.clock = [], [], 0, net.clock
        self.port = net.attach(name, self.message, self.up, self.down, **options)

    def message(self, channel, body, n):
        assert n == len(body)
        self.got.append((self.clock.now_s, channel, body))

    def up(self, present):
        self.ups.append((self.clock.now_s, present))

    def down(self):
        self.downs += 1

    @property
    def bodies(self):
        return [body for _, _, body in self.got]


def build(faults=None, seed=1, **options):
    clock = VirtualClock()
    net = MemoryNetwork(clock, Seeds(seed), faults or LinkFaults(), **options)
    heard = []
    emd = net.attach_emd(lambda device, channel, body: heard.append((clock.now_s, device, channel, body)))
    return clock, net, emd, heard


def test_messages_pass_both_ways_in_order_and_never_inside_the_senders_call():
    clock, net, emd, heard = build()
    one = Device(net, "one")
    one.port.connect()
    clock.run_until(0)
    assert one.ups == [(0, False)]
    buf = bytearray(b"abcdef")
    assert one.port.send(TELEMETRY, buf, 3)
    buf[:3] = b"xyz"  # the device reuses its buffer
    assert one.port.send(STATUS, buf, 3)
    emd.send("one", CMD, b"go")
    assert heard == [] and one.got == []
    clock.run_until(1)
    assert heard == [(0, "one", TELEMETRY, b"abc"), (0, "one", STATUS, b"xyz")]
    assert one.got == [(0, CMD, b"go")]


def test_nothing_is_accepted_while_the_link_is_down():
    clock, net, emd, heard = build()
    one = Device(net, "one")
    assert one.port.send(TELEMETRY, b"x", 1) is False
    assert emd.send("nobody", CMD, b"x") is True  # a broker takes it, and nobody hears it
    clock.run_until(1)
    assert heard == []


def test_qos_1_waits_in_the_session_and_qos_0_is_dropped_while_the_device_is_away():
    clock, net, emd, heard = build()
    one = Device(net, "one", groups=("all",))
    one.port.connect()
    clock.run_until(1)
    one.port.disconnect()
    emd.send("one", CMD, b"kept")
    emd.publish("all", PRICE, b"price")
    clock.run_until(2)
    assert one.got == []
    one.port.connect()
    clock.run_until(3)
    assert one.ups[-1] == (2, True)
    assert one.bodies == [b"kept", b"price"]  # from the session: a retained copy greets only a new session


def test_the_session_holds_so_many_and_counts_the_rest():
    clock, net, emd, heard = build(queue=3)
    one = Device(net, "one")
    one.port.connect()
    clock.run_until(1)
    one.port.disconnect()
    for n in range(5):
        emd.send("one", CMD, bytes([n]))
    one.port.connect()
    clock.run_until(2)
    assert one.bodies == [b"\0", b"\1", b"\2"]
    assert net.totals["overflowed"] == 2


def test_retained_group_messages_greet_a_new_session_and_an_empty_one_clears_them():
    clock, net, emd, heard = build()
    emd.publish("all", PRICE, b"old")
    emd.publish("all", PRICE, b"new")
    emd.publish("others", PRICE, b"not for it")
    one = Device(net, "one", groups=("all",))
    one.port.connect()
    clock.run_until(1)
    assert one.bodies == [b"new"]
    emd.publish("all", PRICE, b"")
    two = Device(net, "two", groups=("all",))
    two.port.connect()
    clock.run_until(2)
    assert two.got == []


def test_a_device_that_vanishes_leaves_its_will_and_one_that_says_goodbye_does_not():
    faults = LinkFaults(windows=(Window(10, 200, "one"),), will_s=60)
    clock, net, emd, heard = build(faults)
    one, two = Device(net, "one", will=b"lost"), Device(net, "two", will=b"lost")
    one.port.connect(), two.port.connect()
    clock.call_at(10, two.port.disconnect)
    clock.run_until(300)
    assert heard == [(70, "one", LINK, b"lost")]
    assert one.downs == 1 and one.ups == [(0, False), (210, True)]


def test_a_device_that_returns_sooner_leaves_its_will_then():
    clock, net, emd, heard = build(LinkFaults(windows=(Window(10, 20, "one"),), will_s=60))
    one = Device(net, "one", will=b"lost")
    one.port.connect()
    clock.run_until(300)
    assert heard == [(30, "one", LINK, b"lost")]


def test_the_emd_finds_the_link_state_and_its_queue_when_it_returns():
    clock, net, emd, heard = build(LinkFaults(windows=(Window(10, 20, EMD),)))
    one = Device(net, "one")
    one.port.connect()
    clock.call_at(5, one.port.send, LINK, b"online", 6)
    clock.call_at(15, one.port.send, STATUS, b"kept", 4)
    clock.call_at(15, one.port.send, TELEMETRY, b"gone", 4)
    clock.call_at(15, lambda: heard.append(emd.send("one", CMD, b"x")))
    clock.run_until(60)
    assert heard == [
        (5, "one", LINK, b"online"),
        False,
        (30, "one", LINK, b"online"),
        (30, "one", STATUS, b"kept"),
    ]
    assert net.totals["dropped"] == 1


def test_the_emd_stays_away_as_long_as_any_of_its_windows_is_open():
    clock, net, emd, heard = build(LinkFaults(windows=(Window(10, 20, EMD), Window(15, 100, EMD, forget=True))))
    one = Device(net, "one")
    one.port.connect()
    clock.call_at(12, one.port.send, STATUS, b"forgotten", 9)
    clock.call_at(40, one.port.send, STATUS, b"kept", 4)
    clock.run_until(200)
    assert heard == [(115, "one", STATUS, b"kept")]


@pytest.mark.parametrize("forget", [False, True])
def test_a_broker_that_restarts_keeps_or_forgets_its_sessions(forget):
    clock, net, emd, heard = build(LinkFaults(windows=(Window(10, 20, forget=forget),)))
    one = Device(net, "one", groups=("all",), will=b"lost")
    one.port.connect()
    emd.publish("all", PRICE, b"p")
    clock.run_until(1)
    one.port.disconnect()
    emd.send("one", CMD, b"queued")
    one.port.connect()
    clock.call_at(9, one.port.disconnect)
    clock.call_at(9, emd.send, "one", CMD, b"in the session")
    clock.call_at(25, one.port.connect)
    clock.run_until(60)
    assert one.ups[-1] == (30, not forget)
    after = [body for at_s, _, body in one.got if at_s >= 10]
    assert after == ([] if forget else [b"in the session"])
    assert heard == []  # a broker that dies publishes no wills


def test_what_was_on_its_way_at_a_cut_is_sent_again_unless_the_device_restarted():
    faults = LinkFaults(delay_ms=(5000, 5000))
    for restart, expected in ((False, [b"status"]), (True, [])):
        clock, net, emd, heard = build(faults)
        one = Device(net, "one")
        one.port.connect()
        clock.run_until(10)
        one.port.send(STATUS, b"status", 6)
        one.port.send(TELEMETRY, b"reading", 7)
        (one.port.reset if restart else one.port.disconnect)()
        clock.run_until(20)
        one.port.connect()
        clock.run_until(40)
        assert [body for *_, body in heard] == expected


def test_the_qos_1_window_says_no_when_it_is_full():
    clock, net, emd, heard = build(LinkFaults(delay_ms=(1000, 1000)), window=2)
    one = Device(net, "one")
    one.port.connect()
    clock.run_until(0)
    assert [one.port.send(STATUS, b"s", 1) for _ in range(3)] == [True, True, False]
    assert one.port.send(TELEMETRY, b"t", 1)
    assert one.port.send(STATUS, b"u", 1, True)  # urgent
    clock.run_until(2)
    assert one.port.send(STATUS, b"s", 1)
    assert [body for *_, body in heard] == [b"s", b"s", b"t", b"u"]


def test_what_is_urgent_passes_the_window_of_a_device_on_coap():
    clock, net, emd, heard = build()
    one = Device(net, "0200000000000001", link="coap")
    app = SimpleNamespace(store=Kept(), log=Log(8), join_group=[None], listen=lambda: None,
                          agent=SimpleNamespace(seats=[SimpleNamespace()]))
    one.port.boot(app)
    one.port.connect()
    clock.run_until(5)
    assert one.ups
    assert [one.port.send(STATUS, bytes([n]), 1) for n in range(5)] == [True] * 4 + [False]
    writes = app.store.writes
    assert one.port.send(ALARM, b"gasp", 4, True) and app.store.writes == writes
    clock.run_until(6)
    assert sorted(body for *_, body in heard) == [b"\0", b"\1", b"\2", b"\3", b"gasp"]
    assert [body for *_, body in heard].index(b"gasp") == 1  # behind the one that was on its way


class Kept(dict):
    writes = 0

    def put(self, name, data):
        self.writes += 1
        self[name] = bytes(data)


def many(faults, seed, n=400):
    """Send n of each QoS, one a second, and return what arrived."""
    clock, net, emd, heard = build(faults, seed)
    one = Device(net, "one")
    one.port.connect()
    for t in range(n):
        clock.call_at(t + 1, one.port.send, STATUS, b"s%d" % t, len(b"s%d" % t))
        clock.call_at(t + 1, one.port.send, TELEMETRY, b"t%d" % t, len(b"t%d" % t))
    clock.run_until(n + 2000)
    return heard, net


def bodies(heard, channel):
    return [body for _, _, code, body in heard if code == channel]


def test_loss_drops_qos_0_and_delays_qos_1():
    heard, net = many(LinkFaults(loss=0.2), 3)
    assert len(set(bodies(heard, STATUS))) == 400 == len(bodies(heard, STATUS))
    assert 280 < len(bodies(heard, TELEMETRY)) < 360
    assert net.totals["retried"] > 40


def test_duplication_reordering_and_delay_do_what_they_say():
    heard, _ = many(LinkFaults(duplication=0.2), 3)
    assert len(set(bodies(heard, STATUS))) == 400 and 440 < len(bodies(heard, STATUS)) < 520
    heard, _ = many(LinkFaults(reordering=0.2), 3)
    order = [int(body[1:]) for body in bodies(heard, STATUS)]
    assert sorted(order) == list(range(400)) and order != sorted(order)
    heard, _ = many(LinkFaults(delay_ms=(0, 5000)), 3)
    order = [int(body[1:]) for body in bodies(heard, STATUS)]
    assert order == list(range(400))


def test_lost_for_good_is_lost():
    heard, net = many(LinkFaults(loss_for_good=0.3), 3)
    assert 230 < len(bodies(heard, STATUS)) < 330
    assert net.totals["dropped"] == 800 - len(heard)


def test_faults_end_when_they_are_told_to():
    heard, _ = many(LinkFaults(loss_for_good=0.9, until_s=101), 3)
    late = {b"t%d" % t for t in range(100, 400)}
    assert late <= set(bodies(heard, TELEMETRY))
    assert len(bodies(heard, TELEMETRY)) < 340


SHARE = st.sampled_from([0.0, 0.05, 0.3])
WINDOWS = st.builds(Window, st.integers(0, 300), st.integers(1, 200), st.sampled_from([None, EMD, "one"]))


@settings(max_examples=60, deadline=None)
@given(
    faults=st.builds(
        LinkFaults,
        loss=SHARE,
        duplication=SHARE,
        reordering=SHARE,
        delay_ms=st.sampled_from([(0, 0), (0, 4000), (2000, 2000)]),
        disconnects_per_day=st.sampled_from([0.0, 1000.0]),
        disconnect_s=st.just((1, 60)),
        reconnect_s=st.sampled_from([(0, 0), (1, 20)]),
        until_s=st.just(400),
        windows=st.lists(WINDOWS, max_size=4).map(tuple),
    ),
    seed=st.integers(0, 1000),
)
def test_what_was_accepted_with_qos_1_arrives_whatever_happens_but_a_memory_lost(faults, seed):
    clock, net, emd, heard = build(faults, seed)
    one = Device(net, "one", groups=("all",), will=b"lost")
    one.port.connect()
    up, down = set(), set()

    def speak(t):
        if one.port.send(STATUS, b"u%d" % t, len(b"u%d" % t)):
            up.add(b"u%d" % t)
        if one.ups and emd.send("one", CMD, b"d%d" % t):
            down.add(b"d%d" % t)
        if one.ups and emd.publish("all", PRICE, b"p%d" % t):
            down.add(b"p%d" % t)

    for t in range(400):
        clock.call_at(t, speak, t)
    clock.run_until(4000)
    assert set(bodies(heard, STATUS)) == up
    assert set(one.bodies) == down
    assert one.port.connected


def history(seed):
    faults = LinkFaults(0.1, 0.05, 0.1, 0.1, (0, 3000), disconnects_per_day=200, reconnect_s=(1, 30))
    heard, net = many(faults, seed)
    assert net.totals["disconnects"] > 0
    return hashlib.sha256(repr((heard, net.totals)).encode()).hexdigest()


def test_one_seed_is_one_history():
    assert history(5) == history(5)
    assert history(5) != history(6)


def test_taps_see_each_message_once_and_counters_count_bodies_and_packets():
    clock, net, emd, heard = build(LinkFaults(duplication=0.5))
    seen = []
    net.taps.append(lambda *what: seen.append(what))
    one = Device(net, "0011223344556677", groups=("all",))
    one.port.connect()
    clock.run_until(0)
    one.port.send(TELEMETRY, b"12345", 5)
    emd.send("0011223344556677", CMD, b"123")
    emd.publish("all", PRICE, b"1234")
    clock.run_until(100)
    assert seen == [
        ("up", "0011223344556677", TELEMETRY, b"12345"),
        ("down", "0011223344556677", CMD, b"123"),
        ("group", "all", PRICE, b"1234"),
    ]
    counters = one.port.counters
    assert (counters.up_messages, counters.up_bytes) == (1, 5)
    topic = len("der/home/plug/0011223344556677/telemetry")
    assert counters.up_packet_bytes == 2 + 2 + topic + 5  # PUBLISH of QoS 0: two octets of header, topic and its length
    assert counters.down_messages >= 2


def test_two_devices_of_one_name_and_faults_out_of_bounds_are_refused():
    _, net, _, _ = build()
    net.attach("one", None)
    with pytest.raises(ValueError, match="attached already"):
        net.attach("one", None)
    with pytest.raises(ValueError, match="loss"):
        LinkFaults(loss=1.0)
    with pytest.raises(ValueError, match="delay_ms"):
        LinkFaults(delay_ms=(5, 1))
