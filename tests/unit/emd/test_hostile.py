"""Hostile and broken input: it is counted on the sender's row, answered now and then, and changes nothing else."""

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot_host.emd import intake
from spot_host.profile import codec
from spot_host.profile import definition as d
from tests.unit.emd.helpers import NOON, PLUG, PUMP, REASON, Bench, of, plug_values, pump_values

UP = {
    "register": plug_values(),
    "update": {"eui64": bytes.fromhex(PLUG), "boot": 1, "power_max": 100},
    "unregister": {"eui64": bytes.fromhex(PLUG), "boot": 1, "reason": 0},
    "heartbeat": {"epoch": 1, "time": NOON, "digest": 7, "clock": 4, "mode": 1, "beat": 3},
    "status": {"seq": 1, "id": 1, "revision": 0, "state": 2, "reason": 0, "start": NOON, "power": 5, "duration": 60},
    "telemetry": {"seq": 3, "time": NOON, "power": 2300, "clock": 4, "decider": 0, "state": 3, "voltage": 23012},
    "interval": {"seq": 1, "start": NOON, "length": 15, "scale": 0, "import_series": [1, 2, 3], "quality": b"\0\0\0"},
    "read_response": {"seq": 1, "id": 1, "time": NOON, "clock": 4, "values": [2, 100]},
    "alarm": {"seq": 1, "time": NOON, "code": 6, "raised": 1, "value": 17000, "limit": 16000},
    "time": {"nonce": 9},
    "forecast": {"revision": 1, "start": NOON, "interval_min": 60, "scale": 0, "series": [1, 2]},
    "offer": {"id": 1, "earliest": NOON, "latest": NOON + 7200, "slices": [60, 0, 2000]},
    "answer": {"about": 6, "reason": 23, "ref": 1},
    "link": {"online": 1, "boot": 1, "time": NOON},
    "log": {"id": 1, "record": 0, "boot": 1, "first": 0, "next": 1, "text": "0 w alarm 3 1\n"},
    "registers": {"seq": 1, "time": NOON, "energy_import": 1234, "peak": 2300, "peak_time": NOON - 60},
    "piece": {"id": 1, "offset": 4096, "count": 512},
}


def ready():
    """A bench with a plug and a heat pump; what must not change is `state`."""
    bench = Bench()
    bench.register(plug_values())
    bench.register(pump_values())
    return bench


def state(bench, without_counters=True):
    """All that the core and its storage know, but for the counters that a bad body may move."""
    rows = {}
    for eui, row in bench.core.devices.items():
        record = row.record()
        if without_counters:
            for name in ("hostile", "last_error", "messages_in", "messages_out", "bytes_in", "bytes_out"):
                del record["state"][name]
        rows[eui] = (record, [c.record() for c in row.ledger.commands.values()], sorted(row.events.ahead))
    s = bench.storage
    return rows, len(s.telemetry), dict(s.intervals), len(s.statuses), len(s.alarms), len(s.reads), len(s.registers)


def test_the_table_has_every_message_that_a_device_may_send():
    assert set(UP) == {m.name for m in d.MESSAGES if m.way in ("up", "both")}


def assert_refused(bench, channel, body):
    before, hostile = state(bench), bench.core.devices[PLUG].hostile
    other = bench.core.devices[PUMP].record()
    bench.core.receive(bench.now, PLUG, channel, body)
    assert state(bench) == before
    assert bench.core.devices[PLUG].hostile == hostile + 1
    assert bench.core.devices[PUMP].record() == other


@pytest.mark.parametrize("name", UP)
def test_truncated_at_every_byte(name):
    bench, body = ready(), codec.encode(name, UP[name])
    for n in range(len(body)):
        assert_refused(bench, d.message(name).channel, body[:n])


@pytest.mark.parametrize("name", UP)
def test_with_a_byte_too_many(name):
    assert_refused(ready(), d.message(name).channel, codec.encode(name, UP[name]) + b"\0")


@pytest.mark.parametrize("name", UP)
def test_on_another_channel(name):
    body = codec.encode(name, UP[name])
    bench = ready()
    for channel in {row[1] for row in d.CHANNELS} - {d.message(name).channel} | {"nonsense"}:
        assert_refused(bench, channel, body)


@pytest.mark.parametrize("name", UP)
def test_another_version_and_a_critical_extension(name):
    bench, channel = ready(), d.message(name).channel
    elements = cbor2.loads(codec.encode(name, UP[name]))
    assert_refused(bench, channel, cbor2.dumps([32 + elements[0], *elements[1:]]))
    assert_refused(bench, channel, cbor2.dumps([*elements, {9: 1}]))


@pytest.mark.parametrize("name", UP)
def test_integers_that_are_not_shortest(name):
    body = codec.encode(name, UP[name])
    assert_refused(ready(), d.message(name).channel, bytes([body[0], 0x18]) + body[1:])


WRONG = [
    ("telemetry", [8, 1, NOON, 2**40], "power beyond every range"),
    ("telemetry", [8, 1, NOON, 5.0], "a float"),
    ("telemetry", [8, 1, NOON, True], "a boolean"),
    ("telemetry", [8, 1, NOON, "5"], "a text"),
    ("telemetry", [8, 1, NOON], "power is missing"),
    ("telemetry", [8, 1, None, 5], "time is null"),
    ("telemetry", [8, 1, NOON, 5, None], "a null at the end"),
    ("telemetry", [8, -1, NOON, 5], "a negative number"),
    ("telemetry", [8, 1, 5, 5], "time before the profile's time"),
    ("heartbeat", [5, 1, NOON, 1, 9], "an unknown clock"),
    ("status", [7, 1, 1, 0, 77, 0], "an unknown state"),
    ("alarm", [11, 1, NOON, 6, 2], "raised is neither"),
    ("telemetry", {8: 1}, "a map"),
    ("telemetry", 8, "a number"),
    ("telemetry", [], "nothing"),
    ("telemetry", [[8], 1, NOON, 5], "a list for a head"),
    ("telemetry", [31, 1], "an unknown type"),
    ("telemetry", [6, 1, 1, 0, 1, 1, NOON, 0, 60], "a command, which is not for an EMD"),
]


@pytest.mark.parametrize("channel, elements, sentence", WRONG, ids=[w[2] for w in WRONG])
def test_wrong_values(channel, elements, sentence):
    channel = {"heartbeat": "telemetry"}.get(channel, channel)
    assert_refused(ready(), channel, cbor2.dumps(elements))


BOMBS = [
    (b"\x9b" + b"\xff" * 8, "an array of 2^64 elements"),
    (b"\x84\x08\x01\x5b" + b"\x7f" + b"\xff" * 7, "a byte string of 2^63 octets"),
    (b"\x81" * 200, "nested 200 deep"),
    (b"\x81" * 1023 + b"\x00", "nested 1023 deep"),
    (b"\x9f\x08\x01\xff", "an indefinite length"),
    (b"\x84\x08\x01\xc2\x41\x01\x05", "a big number"),
    (b"\xd8\x1c\x82\x08\xd8\x1d\x00", "a reference to itself"),
    (b"\x84\x08" * 2000, "longer than any message"),
    (b"", "nothing at all"),
]


@pytest.mark.parametrize("body, sentence", BOMBS, ids=[b[1] for b in BOMBS])
def test_bombs(body, sentence):
    assert_refused(ready(), "telemetry", body)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(UP)), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_a_mutated_body_never_touches_another_row(name, changes):
    bench = ready()
    body = bytearray(codec.encode(name, UP[name]))
    for at, value in changes:
        body[at % len(body)] = value
    other = bench.core.devices[PUMP].record()
    bench.core.receive(bench.now, PLUG, d.message(name).channel, bytes(body))
    bench.run(0)
    assert bench.core.devices[PUMP].record() == other
    assert len(bench.core.devices) == 2


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([row[1] for row in d.CHANNELS]), st.binary(max_size=80))
def test_noise_never_raises(channel, body):
    bench = Bench()
    bench.core.receive(NOON, PLUG, channel, body)
    bench.core.receive_group(NOON, channel, body)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(-(2**33), 2**33), st.booleans(), st.floats()), max_size=22),
    st.sampled_from([5, 7, 8, 11]),
)
def test_the_short_way_accepts_what_the_long_way_accepts(elements, code):
    body = cbor2.dumps([code, *elements], canonical=True)
    channel = intake.CHANNEL_OF[code]
    try:
        short = intake.fields(channel, body)
    except intake.Refused as exc:
        short = exc.reason
    try:
        long = intake._long_way(channel, body)
    except intake.Refused as exc:
        long = exc.reason
    assert short == long


@pytest.mark.parametrize("name", ["heartbeat", "status", "telemetry", "alarm"])
def test_the_short_way_is_taken_for_what_is_frequent(name, monkeypatch):
    monkeypatch.setattr(intake, "_long_way", lambda channel, body: pytest.fail("the long way"))
    got = intake.fields(d.message(name).channel, codec.encode(name, UP[name]))
    assert intake.named(got[0], got) == UP[name]
    assert len(got) == len(d.message(name).fields) + 1


def test_refusals_are_answered_with_the_reason_and_not_for_every_one():
    bench = ready()
    body = cbor2.dumps([8, 1, NOON, 2**40])
    answers = []
    for _ in range(100):
        bench.core.receive(bench.now, PLUG, "telemetry", body)
        answers += of(bench.run(0), "answer")
    assert answers == [{"about": 8, "reason": REASON["out_of_range"], "position": 2}]
    assert bench.core.devices[PLUG].hostile == 100
    bench.run(10)
    bench.core.receive(bench.now, PLUG, "telemetry", body)
    assert len(of(bench.run(0), "answer")) == 1


@pytest.mark.parametrize("name", ["", "0", "zz00000000000001", "0200000000000001/x", "02000000000000011"])
def test_names_that_are_no_eui64_get_no_row(name):
    bench = Bench()
    bench.core.receive(NOON, name, "telemetry", codec.encode("telemetry", UP["telemetry"]))
    assert not bench.core.devices and bench.core.strangers == 1


def test_the_number_of_rows_is_bounded():
    bench = Bench(max_devices=10)
    for n in range(50):
        bench.core.receive(NOON, f"{n:016x}", "telemetry", b"x")
    assert (len(bench.core.devices), bench.core.strangers) == (10, 40)


def test_a_flood_of_good_messages_fills_no_disk():
    bench = Bench(most_per_minute=100)
    bench.register(plug_values())
    for n in range(1000):
        body = codec.encode("telemetry", {"seq": n, "time": NOON, "power": 5})
        bench.core.receive(bench.now, PLUG, "telemetry", body)
    assert len(bench.storage.telemetry) == 99
    assert bench.core.devices[PLUG].hostile == 901
    bench.run(60)
    bench.core.receive(
        bench.now, PLUG, "telemetry", codec.encode("telemetry", {"seq": 5000, "time": bench.now, "power": 5})
    )
    assert len(bench.storage.telemetry) == 100
