"""After a roll back: the old firmware finds what a newer one has left in the store, and starts all the same.

Values of other lengths and with anything in them, rightly checksummed; journals whose records have another size.
"""

import random
import re
from pathlib import Path

import pytest

from spot.codes import ALARM_OVER_CURRENT, RESET_SOFT
from spot.store import Store
from tests.conftest import ROOT
from tests.unit.app.test_guard import PLUG, PUMP, Home

CONFIGS = {
    "plug": (PLUG, {"device": {"over_power_w": 3000}}),
    "pump": (PUMP, {}),
    "two EMDs": (PLUG, {"associations": [
        {"name": "a", "coap": {"uri": "coap://a", "insecure": True}, "agent": {"data": ["control", "service"]}},
        {"name": "b", "coap": {"uri": "coap://b", "insecure": True}, "agent": {"data": ["monitoring"]}}]}),
}


def lived(kind):
    """A device that has been on for a while, with all that it keeps by then."""
    description, config = CONFIGS[kind]
    config = {name: value for name, value in config.items() if name != "associations"}
    home = Home(description, **config)
    home.start(lasts_s=5)
    home.join()
    home.run(home.now_s, 4000)
    home.app.device.close()
    home.app.agent.flush(home.now_s)
    return home


def names():
    """What any module of the firmware keeps: names of values in its source, and those that a life has left."""
    found = {"slots", "update", "wear", "boot", "crash", "keys_k", "keys", "association", "interv", "events"}
    for path in Path(ROOT / "firmware" / "spot").rglob("*.py"):
        text = path.read_text()
        if "store" in text:
            found |= set(re.findall(r'^_?NAME = "([a-z0-9_]{1,20})"', text, re.M))
    return found


def others(raw, drawn):
    """What may be there in place of `raw`."""
    yield b""
    yield raw + drawn.randbytes(4)
    yield raw[: len(raw) // 2]
    for value in (0, 0xFF, 0x7F):
        yield bytes((value,)) * len(raw)
    for _ in range(4):
        yield drawn.randbytes(len(raw))
        yield drawn.randbytes(drawn.randrange(1, 300))
    yield b'{"some": "json", "at": [1, 2, {}]}'
    yield b"[]"


def starts(home, files, what):
    home.fs.files.clear()
    home.fs.files.update({name: bytearray(octets) for name, octets in files.items()})
    try:
        home.start(RESET_SOFT, lasts_s=3)
        home.join()
        home.run(home.now_s, 400)
        home.app.device.close()
        home.app.agent.flush(home.now_s)
    except Exception as error:
        raise AssertionError(f"{what}: {error!r}") from error
    assert home.app.starts.safe == 0, what


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_value_of_another_firmware_keeps_a_device_from_its_work(kind):
    home = lived(kind)
    files = {name: bytes(octets) for name, octets in home.fs.files.items()}
    drawn = random.Random(5)
    values = {name.split("/")[1] for name in files if "." not in name} | names()
    values -= {"wipe", "boot"}  # a wanted reset; the guard's own count, whose tests are test_guard.py's
    assert len(values) > 15
    for name in sorted(values):
        path = "s/" + name
        raw = files[path][8:] if path in files else drawn.randbytes(24)
        for octets in others(raw, drawn):
            home.fs.files.clear()
            home.fs.files.update({at: bytearray(data) for at, data in files.items()})
            Store(home.fs, "s").put(name, octets)
            starts(home, dict(home.fs.files), f"{name} = {octets.hex()}")


@pytest.mark.parametrize("kind", CONFIGS)
def test_journals_of_another_record_size(kind):
    home = lived(kind)
    files = {name: bytes(octets) for name, octets in home.fs.files.items()}
    journals = {name.split("/")[1].split(".")[0] for name in files if re.fullmatch(r"s/\w+\.\d+", name)}
    assert journals
    for name in journals:
        for octets in (9, 40, 300):
            kept = {path: data for path, data in files.items() if not path.startswith(f"s/{name}.")}
            home.fs.files.clear()
            home.fs.files.update({at: bytearray(data) for at, data in kept.items()})
            journal = Store(home.fs, "s").journal(name, octets, 64)
            for i in range(20):
                journal.append(bytes((i,)) * octets)
            starts(home, dict(home.fs.files), f"journal {name} of {octets}")


def test_a_latch_that_only_another_firmware_knows_holds():
    """What protects is not taken back by a firmware that does not know why it was."""
    home = lived("plug")
    for value in (10, 99, 255):
        Store(home.fs, "s").put("latch", bytes((value,)))
        app = home.start(RESET_SOFT)
        assert app.board.trip.latch == ALARM_OVER_CURRENT and not app.board.relay.closed
