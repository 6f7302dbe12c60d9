"""Messages: what is refused and why, by the device and by the host alike; extensions, versions, digest, jitter."""

import hashlib
import struct
from array import array

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot import codes
from spot.wire import cbor_objects as cbor
from spot.wire import profile
from spot_host.profile import codec
from spot_host.profile import definition as d
from spot_host.profile.cddl import validator
from spot_host.profile.examples import every

EXAMPLES = {name: (kind, values) for name, kind, _, values in every()}
BODIES = {name: codec.encode(kind, values) for name, (kind, values) in EXAMPLES.items()}
COMMAND = cbor2.loads(BODIES["command_limit"])
TELEMETRY = cbor2.loads(BODIES["telemetry6"])
REASON = {code: name for code, name, _ in d.enum("Reason").rows}


def body(*elements):
    return cbor2.dumps(list(elements), canonical=True)


def with_field(elements, position, value):
    return body(*elements[:position + 1], value, *elements[position + 2:])


def device_verdicts(data):
    """(reason name or None, type, position, ref) by each of the device's ways to decode `data`."""
    out = []
    number = profile.head(data, len(data))
    kind = number & 31 if number >= 0 else codes.T_COMMAND
    ways = [lambda: profile.decode(kind, data, len(data))]
    if kind < len(profile.INFO) and profile.INFO[kind]:
        ways.append(lambda: profile.decode_hot(kind, data, len(data), array("i", [0] * 20)))
    for way in ways:
        try:
            way()
            out.append((None, kind, -1, None))
        except profile.ProfileError as error:
            ref = None if error.ref == codes.ABSENT else error.ref
            out.append((REASON[error.reason], error.type, error.position, ref))
    return out


def host_verdict(data):
    try:
        return None, codec.decode(data)
    except codec.ProfileError as error:
        return error.reason, error


REFUSED = [
    # what, body, reason, position, ref, offset
    ("command without duration", body(*COMMAND[:8]), "missing_field", 7, 40000, 17),
    ("command with null duration", with_field(COMMAND, 7, None), "missing_field", 7, 40000, 17),
    ("command without id", with_field(COMMAND, 1, None), "missing_field", 1, None, 3),
    ("duration 0", with_field(COMMAND, 7, 0), "out_of_range", 7, 40000, 17),
    ("duration over a week", with_field(COMMAND, 7, 604801), "out_of_range", 7, 40000, 17),
    ("duration of 40 bits", with_field(COMMAND, 7, 1 << 40), "out_of_range", 7, 40000, 17),
    ("duration 2^32", with_field(COMMAND, 7, 1 << 32), "out_of_range", 7, 40000, 17),
    ("a value that 32 bits would take for -500", with_field(COMMAND, 8, (1 << 32) - 500), "out_of_range", 8, 40000, 22),
    ("one that they would take for 500", with_field(COMMAND, 8, 500 - (1 << 32)), "out_of_range", 8, 40000, 22),
    ("duration as text", with_field(COMMAND, 7, "1"), "malformed", 7, 40000, 17),
    ("duration as a float", with_field(COMMAND, 7, 1.5), "malformed", 7, 40000, 17),
    ("duration true", with_field(COMMAND, 7, True), "malformed", 7, 40000, 17),
    ("an unknown kind", with_field(COMMAND, 4, 12), "out_of_range", 4, 40000, 8),
    ("a negative kind", with_field(COMMAND, 4, -1), "out_of_range", 4, 40000, 8),
    ("revision 256", with_field(COMMAND, 2, 256), "out_of_range", 2, 40000, 6),
    ("issued in 2023", with_field(COMMAND, 5, 1700000000), "out_of_range", 5, 40000, 9),
    ("issued in 1970", with_field(COMMAND, 5, 5), "out_of_range", 5, 40000, 9),
    ("issued after 2059", with_field(COMMAND, 5, d.UTC_MAX + 1), "out_of_range", 5, 40000, 9),
    ("issued negative", with_field(COMMAND, 5, -1735689600), "out_of_range", 5, 40000, 9),
    ("value over a megawatt", with_field(COMMAND, 8, 1000001), "out_of_range", 8, 40000, 22),
    ("value under minus a megawatt", with_field(COMMAND, 8, -1000001), "out_of_range", 8, 40000, 22),
    ("id 2^30 - 1", with_field(COMMAND, 1, (1 << 30) - 1), "out_of_range", 1, None, 3),
    ("a null at the end", body(*COMMAND[:9], None), "malformed", None, 40000, 22),
    ("a null before the extensions", body(*COMMAND[:9], None, {2: 0}), "malformed", None, 40000, 22),
    ("extensions empty", body(*COMMAND, {}), "malformed", None, 40000, 33),
    ("an odd extension that is not known", body(*COMMAND, {3: 0}), "unknown_critical", None, 40000, 33),
    ("an odd one among even ones", body(*COMMAND, {2: 0, 5: 1, 6: 2}), "unknown_critical", None, 40000, 33),
    ("a text as extension key", body(*COMMAND, {"a": 0}), "malformed", None, 40000, None),
    ("slots of two", body(*COMMAND, {1: [0, 1]}), "out_of_range", 14, 40000, 33),
    ("slots of four", body(*COMMAND, {1: [0, 1, 2, 3]}), "out_of_range", 14, 40000, 33),
    ("slots of 51", body(*COMMAND, {1: [0, 1, 2] * 17}), "out_of_range", 14, 40000, 33),
    ("slots with text", body(*COMMAND, {1: [0, 1, "2"]}), "malformed", None, 40000, None),
    ("slots as an integer", body(*COMMAND, {1: 7}), "malformed", None, 40000, None),
    ("telemetry that is only a head", body(8), "missing_field", 0, None, 2),
    ("telemetry without time", with_field(TELEMETRY, 1, None), "missing_field", 1, None, 5),
    ("telemetry with a map for power", with_field(TELEMETRY, 2, {1: 2}), "malformed", 2, None, 10),
    ("octets in place of a list", body(13, 1, 1, 1735689600, b"\1"), "malformed", 3, 1, 9),
    ("an empty map in place of a list", body(2, bytes(8), 1, *[None] * 11, {}, 0), "malformed", 13, None, 23),
    ("profile version 2", body(32 + 8, 1, 2), "unsupported_version", None, None, 1),
    ("profile version 8", body(7 * 32 + 8, 1, 2), "unsupported_version", None, None, 1),
    ("type 0", body(0, 1), "unknown_type", None, None, 1),
    ("octets after the message", BODIES["telemetry6"] + b"\0", "malformed", None, None, 30),
    ("a long integer", bytes.fromhex("8408190001" + "1a693c4a10" + "1908fc"), "malformed", 0, None, 2),
    *((f"a sequence number of {head}", bytes.fromhex(f"8408{head}1a693c4a101908fc"), "malformed", 0, None, 2)
      for head in ("1817", "1900ff", "1a0000ffff", "1b00000000ffffffff", "1c", "1f")),
    ("a long array head", b"\x98\x04" + BODIES["power"][1:], "malformed", None, None, 0),
    ("an indefinite array", b"\x9f" + BODIES["power"][1:] + b"\xff", "malformed", None, None, 0),
    ("a long head", b"\x84\x18\x08" + BODIES["power"][2:], "malformed", None, None, 1),
    ("not an array", b"\xa1\x08\x01", "malformed", None, None, 0),
    ("an unknown field that is not strict", b"\x93" + BODIES["telemetry_heat_pump"][1:] + b"\x18\x01", "malformed",
     None, None, None),
    ("an unknown field in a deep nest", body(24, 1, 2, 1735689600, [[[[[1]]]]]), "malformed", None, None, None),
]


@pytest.mark.parametrize("what, data, reason, position, ref, offset", REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(what, data, reason, position, ref, offset):
    """The device, by both of its ways, and the host refuse for the same reason, at the same field."""
    for got_reason, _, got_position, got_ref in device_verdicts(data):
        assert got_reason == reason
        if position is not None:
            assert got_position == position
        if reason not in ("malformed",) or position is not None:
            assert got_ref == ref
    got, error = host_verdict(data)
    assert got == reason
    assert error.code == codes.__dict__["REASON_" + reason.upper()]
    if position is not None and error.position >= 0:
        assert error.position == position
    if offset is not None:
        assert error.offset == offset


ACCEPTED = [
    ("an even extension that is not known", body(*COMMAND, {2: {"a": [1]}}), 1),
    ("extensions after a short message", body(*COMMAND[:9], {2: 0, 4: 1}), 2),
    ("extensions and a schedule", body(*COMMAND[:9], {1: [0, 1, 2], 2: 0}), 1),
    ("an unknown field", body(*cbor2.loads(BODIES["alarm_raised"]), "text"), 1),
    ("unknown fields of many types", body(*cbor2.loads(BODIES["alarm_raised"]), None, [1, {2: 3}], b"1", 1.5), 4),
    ("an unknown field with a date", body(*cbor2.loads(BODIES["alarm_raised"]), cbor2.CBORTag(1, 5)), 1),
    ("an unknown field with an unassigned simple value",
     b"\x88" + BODIES["alarm_raised"][1:] + b"\xf8\xff", 1),
    ("unknown fields and extensions", body(*cbor2.loads(BODIES["ack"]), 1, 2, {2: 3}), 3),
]


@pytest.mark.parametrize("what, data, unknown", ACCEPTED, ids=[row[0] for row in ACCEPTED])
def test_ignored(what, data, unknown):
    """What need not be known is passed over by both."""
    assert [verdict[0] for verdict in device_verdicts(data)] == [None, None]
    assert codec.decode(data).unknown == unknown


def test_unknown_flags_are_taken():
    data = with_field(TELEMETRY, 5, 1 << 29 | 3)
    assert device_verdicts(data)[0][0] is None
    assert codec.decode(data)["state"] == 1 << 29 | 3


@pytest.mark.parametrize("name", BODIES)
def test_cut_anywhere(name):
    """Every message, cut at every octet: refused by device and host."""
    data = BODIES[name]
    for n in range(len(data)):
        cut = data[:n]
        assert all(verdict[0] for verdict in device_verdicts(cut)), n
        assert host_verdict(cut)[0], n


@settings(max_examples=500)
@given(st.sampled_from(sorted(BODIES)), st.data())
def test_device_and_host_agree_on_damage(name, data):
    """Octets changed, put in, taken out: both take it or both refuse it; what is taken has the same values."""
    damaged = bytearray(BODIES[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        how = data.draw(st.integers(0, 2))
        if how == 0:
            damaged[at] = data.draw(st.integers(0, 255))
        elif how == 1:
            damaged.insert(at, data.draw(st.integers(0, 255)))
        elif len(damaged) > 1:
            del damaged[at]
    agree(bytes(damaged))


@given(st.binary(min_size=1, max_size=40), st.sampled_from([m.code for m in d.MESSAGES]))
def test_device_and_host_agree_on_anything(data, kind):
    """Any octets behind a head of each type."""
    agree(bytes([0x80 | data[0] % 24]) + (bytes([kind]) if kind < 24 else bytes([24, kind])) + data[1:])


def strict(data):
    try:
        cbor.decode(data)
    except cbor.CBORError:
        return False
    return True


def agree(data):
    verdicts = device_verdicts(data)
    reason, result = host_verdict(data)
    assert {verdict[0] is None for verdict in verdicts} == {reason is None}, (verdicts, reason, data.hex())
    if strict(data):  # of several faults in octets that are no CBOR each may name another
        assert {verdict[0] for verdict in verdicts} == {reason}, (verdicts, reason, data.hex())
    if reason is None:
        kind = result.type
        values = profile.decode(kind, data, len(data))
        for f, value in zip(d.message(kind).fields, values, strict=True):
            expected = result.get(f.name)
            if expected is not None and f.kind == "utc":
                expected -= d.EPOCH_UNIX
            assert (value.tolist() if isinstance(value, array) else value) == expected
        if not result.unknown:
            validator().check(data)


@st.composite
def messages(draw):
    """(type name, values) of any message that is valid."""
    m = draw(st.sampled_from(d.MESSAGES))
    values = {}
    for f in m.fields:
        if not f.need and draw(st.booleans()):
            continue
        lo, hi = d.bounds(f)
        if f.kind in ("int", "enum", "flags", "utc"):
            values[f.name] = draw(st.integers(lo, hi) | st.sampled_from([lo, hi]))
        elif f.kind == "bytes":
            values[f.name] = draw(st.binary(min_size=lo, max_size=hi))
        elif f.kind == "text":
            values[f.name] = draw(st.text("abcäß水 -.", min_size=lo, max_size=hi // 3 or 1))
        else:
            low, high = codec._ELEMENTS[f.kind]
            values[f.name] = draw(st.lists(st.integers(low, high), min_size=lo, max_size=min(hi, lo + 12)))
    return m, values


@given(messages())
def test_device_and_host_encode_alike(case):
    """Any valid values: the same octets by host, general writer and hot loop, taken by the CDDL, and they return."""
    m, values = case
    data = codec.encode(m.name, values)
    validator().check(data)
    assert codec.decode(data).values == values
    on_device = [values.get(f.name) for f in m.fields]
    on_device = [v - d.EPOCH_UNIX if v is not None and f.kind == "utc" else v
                 for f, v in zip(m.fields, on_device, strict=True)]
    buf = bytearray(1024)
    n = profile.encode(m.code, on_device, buf)
    assert bytes(buf[:n]) == data
    if m.hot:
        slots = array("i", [codes.ABSENT if v is None else v for v in on_device])
        n = profile.encode_hot(m.code, slots, buf)
        assert bytes(buf[:n]) == data


HOT = [(m, i) for m in d.MESSAGES if m.hot for i in range(len(m.fields))]


@pytest.mark.parametrize("m, index", HOT, ids=[f"{m.name}.{m.fields[i].name}" for m, i in HOT])
def test_ranges_of_hot_fields(m, index):
    """Both ends of each range pass both loops; one beyond is refused with its position, so is a needed one absent."""
    f = m.fields[index]
    lo, hi = d.bounds(f)
    if f.kind == "utc":
        lo, hi = lo - d.EPOCH_UNIX, hi - d.EPOCH_UNIX
    base = []
    for g in m.fields:
        base.append(d.bounds(g)[0] - (d.EPOCH_UNIX if g.kind == "utc" else 0))
    buf = bytearray(256)
    back = array("i", base)
    edges = {lo, hi, *(v for v in (0, 23, 24, 255, 256, 65535, 65536, -1, -24, -25, -256, -257, -65536, -65537)
                       if lo <= v <= hi)}
    for value in edges:
        slots = array("i", base)
        slots[index] = value
        n = profile.encode_hot(m.code, slots, buf)
        profile.decode_hot(m.code, buf, n, back)
        assert back == slots
        assert profile.decode(m.code, buf, n) == list(slots)
    for value in {lo - 1, hi + 1, (1 << 31) - 1, -(1 << 31)}:
        if value == codes.ABSENT:
            continue
        slots = array("i", base)
        slots[index] = value
        with pytest.raises(profile.ProfileError) as caught:
            profile.encode_hot(m.code, slots, buf)
        assert (caught.value.reason, caught.value.position) == (codes.REASON_OUT_OF_RANGE, index)
        elements = [m.code, *base]
        elements = [v + d.EPOCH_UNIX if i and m.fields[i - 1].kind == "utc" else v for i, v in enumerate(elements)]
        elements[index + 1] = value + d.EPOCH_UNIX if f.kind == "utc" else value
        for reason, _, position, _ in device_verdicts(body(*elements)):
            assert (reason, position) == ("out_of_range", index)
    slots = array("i", base)
    slots[index] = codes.ABSENT
    if f.need:
        with pytest.raises(profile.ProfileError) as caught:
            profile.encode_hot(m.code, slots, buf)
        assert (caught.value.reason, caught.value.position) == (codes.REASON_MISSING_FIELD, index)
    else:
        n = profile.encode_hot(m.code, slots, buf)
        profile.decode_hot(m.code, buf, n, back)
        assert back == slots


def test_small_buffers_and_arrays_are_refused():
    """Too small a buffer or array is an error at once and nothing is written outside."""
    slots = array("i", [1, 5, 3, *[codes.ABSENT] * 15])
    for size in range(5 * 18 + 4):
        with pytest.raises(profile.ProfileError):
            profile.encode_hot(codes.T_TELEMETRY, slots, bytearray(size))
    with pytest.raises(profile.ProfileError):
        profile.encode_hot(codes.T_TELEMETRY, slots[:17], bytearray(256))
    with pytest.raises(profile.ProfileError):
        profile.encode_hot(codes.T_REGISTER, slots, bytearray(256))
    with pytest.raises(profile.ProfileError):
        profile.decode_hot(codes.T_TELEMETRY, BODIES["power"], len(BODIES["power"]), slots[:17])
    with pytest.raises(profile.ProfileError):
        profile.decode_hot(codes.T_TELEMETRY, BODIES["power"], len(BODIES["power"]) + 1, slots)
    row = EXAMPLES["register_plug"][1]
    values = [row.get(f.name) for f in d.message("register").fields]
    for size in range(len(BODIES["register_plug"])):
        with pytest.raises(profile.ProfileError):
            profile.encode(codes.T_REGISTER, values, bytearray(size))


@pytest.mark.parametrize("kind, values, reason", [
    ("nonsense", {}, "unknown_type"), ("ack", {"epoch": 1, "colour": 2}, "malformed"), ("ack", {}, "missing_field"),
    ("ack", {"epoch": -1}, "out_of_range"), ("ack", {"epoch": "1"}, "malformed"), ("ack", {"epoch": True}, "malformed"),
    ("read", {"epoch": 1, "id": 1, "issued": d.UTC_MIN, "objects": [256]}, "out_of_range"),
    ("read", {"epoch": 1, "id": 1, "issued": d.UTC_MIN, "objects": []}, "out_of_range"),
    ("ack", {"epoch": 1, "slots": [0, 1, 2]}, "malformed"),
    ("command", {**EXAMPLES["command_off"][1], "slots": [0, 1]}, "out_of_range"),
])
def test_host_encoder_refuses(kind, values, reason):
    with pytest.raises(codec.ProfileError) as caught:
        codec.encode(kind, values)
    assert caught.value.reason == reason


@pytest.mark.parametrize("data, number", [
    (b"", -1), (b"\x84", -1), (b"\x80\x08", -1), (b"\x84\x08", 8), (b"\x97\x17", 23), (b"\x84\x18\x18", 24),
    (b"\x84\x18\x17", -1), (b"\x84\x18", -1), (b"\x84\x18\xff", 255), (b"\x98\x18\x01", 1), (b"\x98\x17\x01", -1),
    (b"\x98\x18", -1), (b"\x9f\x08", -1), (b"\xa1\x08", -1), (b"\x84\x38\x08", -1), (b"\x84\x19\x00\x08", -1),
    (b"\x98\x1b\x18\x20", 32)])
def test_head(data, number):
    """The head from the first octets, at the device without decoding."""
    assert profile.head(data, len(data)) == number


def test_longest_body():
    assert codec.decode(BODIES["interval_highest"]).name == "interval"
    with pytest.raises(codec.ProfileError) as caught:
        codec.decode(bytes(d.MAX_BODY + 1))
    assert caught.value.reason == "malformed"
    long = BODIES["power"] + bytes(d.MAX_BODY)
    with pytest.raises(profile.ProfileError):
        profile.decode_hot(codes.T_TELEMETRY, long, len(long), array("i", [0] * 18))


def test_digest():
    """Of the empty ledger 0; else from SHA-256 over id and revision, below 2^30 - 1, and sensitive to each."""
    assert profile.digest([]) == 0
    data = struct.pack(">IBIB", 3, 1, 40000, 255)
    expected = int.from_bytes(hashlib.sha256(data).digest()[:4], "big") & 0x3FFFFFFF
    assert profile.digest([(3, 1), (40000, 255)]) == expected
    assert profile.digest([(3, 2), (40000, 255)]) != expected


@given(st.binary(min_size=8, max_size=8), st.binary(max_size=12), st.integers(0, 604800))
def test_jitter(eui64, key, window):
    """First four octets of SHA-256 mod (window + 1)."""
    expected = int.from_bytes(hashlib.sha256(eui64 + key).digest()[:4], "big") % (window + 1)
    assert profile.jitter(eui64, key, window) == expected


def test_enumerations_are_closed_ranges():
    """Ranges stand for enumerations in the device's tables, so a gap in the codes would let a stranger in."""
    for enum in d.ENUMS:
        numbers = [row[0] for row in enum.rows]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), enum.name
        assert len({row[1] for row in enum.rows}) == len(numbers)


def test_definition_is_consistent():
    """Codes and names once; needed fields of the right sort; every object in an application profile exists."""
    assert [m.code for m in d.MESSAGES] == list(range(1, 32))
    names = {o[2] for o in d.OBJECTS}
    for must, may in d.PROFILES.values():
        assert set(must) | set(may) <= names and not set(must) & set(may)
    for m in d.MESSAGES:
        assert len({f.name for f in m.fields}) == len(m.fields)
        if m.hot:
            assert all(f.kind in ("int", "enum", "flags", "utc") for f in m.fields)
            assert m.name in d.SLOT_PREFIX
