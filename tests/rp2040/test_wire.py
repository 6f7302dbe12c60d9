"""The wire modules as the chip runs them, compiled to viper code for armv6m: the same octets as everywhere else."""

import json
from pathlib import Path

import pytest

from spot_host.profile import definition
from spot_host.profile.codec import decode, encode

ROOT = Path(__file__).resolve().parents[2]
ROWS = json.loads((ROOT / "tests/unit/wire/golden.json").read_text())


def _for_the_chip(row):
    """One golden vector as the chip's script wants it; `encoded`: the body without the schedule extension."""
    message = decode(bytes.fromhex(row["hex"]))
    values = {name: value for name, value in message.values.items() if name != "slots"}
    fields = definition.message(row["type"]).fields
    return {
        **row,
        "slots": row.get("slots"),
        "bytes": [i for i, field in enumerate(fields) if field.kind == "bytes"],
        "encoded": encode(message.name, values).hex() if "slots" in row else row["hex"],
    }


def _run(board, rows):
    text = "".join(json.dumps(_for_the_chip(row)) + "\n" for row in rows)
    board.put({"vectors.txt": text.encode()})
    return board.run(Path(__file__).with_name("vectors_on_device.py"), timeout=120).splitlines()


def test_the_modules_are_compiled_for_the_chip(rp2040):
    """What runs is the .mpy with machine code for armv6m: there is no source on the board."""
    out = rp2040.exec("import os, spot.wire.profile as p\nprint(p.__file__, sorted(os.listdir('/spot/wire')))")
    assert out.startswith("spot/wire/profile.")
    names = json.loads(out[out.index("["):].replace("'", '"'))
    assert "profile.mpy" in names and all(name.endswith(".mpy") for name in names)


def test_golden_vectors_of_every_message(rp2040):
    """Every message of the profile, octet for octet: general writer and reader, and the hot loops."""
    assert {row["type"] for row in ROWS} == {message.code for message in definition.MESSAGES}
    *wrong, last = _run(rp2040, ROWS)
    assert wrong == []
    assert last == f"ran {len(ROWS)} {sum(row['hot'] for row in ROWS)}"


def test_a_wrong_vector_is_noticed(rp2040):
    """The script on the chip can fail: one changed octet in a hot and in a rare message."""
    rows = [next(row for row in ROWS if row["hot"] is hot and len(row["hex"]) > 20) for hot in (True, False)]
    for row in rows:
        changed = {**row, "values": [*row["values"]]}
        place = next(i for i, value in enumerate(row["values"]) if isinstance(value, int) and value > 1)
        changed["values"][place] -= 1
        *wrong, last = _run(rp2040, [changed])
        assert last.startswith("ran 1 ") and len(wrong) == 1 and "decode" in wrong[0], wrong


def test_hot_messages_allocate_nothing(rp2040):
    row = next(row for row in ROWS if row["name"] == "telemetry6")
    out = rp2040.exec(
        "import micropython\nfrom array import array\nfrom spot import codes\nfrom spot.wire import profile\n"
        f"values = {row['values']}\nslots = array('i', [codes.ABSENT if v is None else v for v in values])\n"
        "again = array('i', slots)\nbuf = bytearray(256)\nn = 0\n"
        "def work():\n    global n\n    micropython.heap_lock()\n"
        f"    n = profile.encode_hot({row['type']}, slots, buf)\n"
        f"    profile.decode_hot({row['type']}, buf, n, again)\n    micropython.heap_unlock()\n"
        "work()\nprint(bytes(buf[:n]).hex(), again == slots)")
    assert out == f"{row['hex']} True\n"


@pytest.mark.parametrize("body", ["", "00", "80", "8119", "9818", "840a", "ff", "981b01487"])
def test_bad_bodies_are_refused(rp2040, body):
    octets = bytes.fromhex(body if len(body) % 2 == 0 else body[:-1])
    out = rp2040.exec(
        f"from spot.wire import profile\nbody = {octets!r}\nfor kind in range(32):\n    try:\n"
        "        profile.decode(kind, body, len(body))\n        print('accepted', kind)\n"
        "    except profile.ProfileError:\n        pass\nprint('end')")
    assert out == "end\n"
