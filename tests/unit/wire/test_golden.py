"""The golden vectors of every message: device and host give the same octets, and pycddl takes them."""

import json
from array import array
from pathlib import Path

import pytest

from spot import codes
from spot.wire import profile
from spot.wire.fields import FIELDS
from spot_host.profile import definition as d
from spot_host.profile import generate
from spot_host.profile.cddl import validator
from spot_host.profile.codec import decode, encode
from spot_host.profile.examples import every

ROWS = json.loads(Path(__file__).with_name("golden.json").read_text())
EXAMPLES = {name: (kind, values) for name, kind, _, values in every()}


def device_values(row):
    """The row's values in the device's types."""
    out = []
    for value, field in zip(row["values"], d.message(row["type"]).fields, strict=True):
        out.append(bytes.fromhex(value) if value is not None and field.kind == "bytes" else value)
    return out


def plain(values):
    return [v.tolist() if isinstance(v, array) else v for v in values]


def test_nothing_generated_is_stale():
    """`make gen` would change nothing."""
    assert generate.stale() == []


def test_every_type_has_vectors():
    """24 types, each with its mandatory fields only, all lowest, all highest, and at least one from life."""
    for m in d.MESSAGES:
        assert sum(row["type"] == m.code for row in ROWS) >= 4


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_vector(row):
    """Host and device, hot loop and general writer, encode to the same octets and decode to the same values."""
    body = bytes.fromhex(row["hex"])
    kind, values = EXAMPLES[row["name"]]
    assert encode(kind, values) == body
    message = decode(body)
    assert (message.name, message.version, message.unknown) == (kind, 1, 0)
    assert message.values == values
    validator().check(body)
    buf = bytearray(1024)
    assert profile.head(body, len(body)) == row["type"]
    assert plain(profile.decode(row["type"], body, len(body))) == plain(device_values(row))
    plain_body = body
    if "slots" in row:
        assert profile.command_slots(body, len(body)) == row["slots"]
        plain_body = encode(kind, {name: v for name, v in values.items() if name != "slots"})
    n = profile.encode(row["type"], device_values(row), buf)
    assert bytes(buf[:n]) == plain_body
    if row["hot"]:
        slots = array("i", [codes.ABSENT if v is None else v for v in row["values"]])
        n = profile.encode_hot(row["type"], slots, buf)
        assert bytes(buf[:n]) == plain_body
        again = array("i", [77] * len(slots))
        profile.decode_hot(row["type"], body, len(body), again)
        assert again == slots


@pytest.mark.parametrize("name, most", [
    ("register_plug", 90), ("register_heat_pump", 110), ("telemetry6", 32), ("power", 14), ("command_limit", 34),
    ("status", 24), ("price24", 72), ("price96", 216)])
def test_size_budget(name, most):
    """The budgets of the profile's section on sizes."""
    assert len(encode(*EXAMPLES[name])) <= most


def test_command_limit_has_every_field():
    kind, values = EXAMPLES["command_limit"]
    assert set(values) == {f.name for f in d.message(kind).fields}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_what_a_device_sends_fits_one_payload(row):
    """At most 256 octets, but interval back-fill."""
    m = d.message(row["type"])
    given = m.name == "piece" and row["name"] != "piece_asked"  # the EMD gives octets, a device asks for them
    if m.way in ("up", "both") and m.name != "interval" and not given:
        assert len(row["hex"]) // 2 <= d.MAX_DEVICE_BODY
    assert len(row["hex"]) // 2 <= d.MAX_BODY


def test_tables_cover_all_fields():
    for m in d.MESSAGES:
        assert len(FIELDS[m.code]) == len(m.fields)
