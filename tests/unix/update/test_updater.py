"""The update's state machine on MicroPython: power cuts, refusals, the way back, and the heap that it takes."""

import json
import sys
from pathlib import Path

import pytest

from spot.codes import (
    REASON_BASE,
    REASON_DIGEST,
    REASON_MALFORMED,
    REASON_OTHER_BOARD,
    REASON_ROLLED_BACK,
    REASON_SEQUENCE,
    REASON_SIGNATURE,
    REASON_SIZE,
    STATE_ABORTED,
    STATE_REJECTED,
)
from spot_host import suit
from tests.conftest import ROOT

UNIT = ROOT / "tests" / "unit" / "update"
sys.path.insert(0, str(UNIT))
from maker import Maker, row  # noqa: E402 - needs the path above

from spot_sim.firmware import release  # noqa: E402

SCRIPT = Path(__file__).with_name("cuts_on_device.py")


@pytest.fixture(scope="module")
def given():
    """JSON for the script: releases 1 and 2, and some that are refused, by the sequence number they are offered as."""
    maker, stranger = Maker(), Maker()
    two = maker.release(2)

    def offered(made, digest=None):
        return made[0], made[1], digest or made[2]

    def turned(made, at):
        octets = bytearray(made[0])
        octets[at] ^= 1
        return bytes(octets), made[1], made[2]

    rows = {
        1: maker.release(1), 2: two, 3: stranger.release(3), 4: row(release("sim", 4, "1.4.0")),
        5: maker.release(5, "sim_heat_pump"), 6: offered(maker.release(1)), 7: maker.release(7, base=2),
        8: maker.release(8, octets=6 * 4096), 9: turned(maker.release(9), maker.release(9)[1] + 100),
        10: (b"\0" * 5000, 0, bytes(32)), 11: offered(maker.release(11), two[2]),
    }
    return json.dumps({
        "key": maker.key.hex(), "vendor": suit.VENDOR.hex, "class": suit.class_id("sim").hex,
        "releases": {n: [one[0].hex(), one[1], one[2].hex()] for n, one in rows.items()},
    })


@pytest.fixture
def run(mpy, given, tmp_path):
    path = tmp_path / "given.json"
    path.write_text(given)

    def started(*words):
        text = f"import sys\nsys.path[:0] = [{str(UNIT)!r}, {str(ROOT / 'sim')!r}]\n" + SCRIPT.read_text()
        return mpy(text, str(path), *words, timeout=120)

    return started


def test_power_cut_at_every_write_and_erase(run):
    counts = [int(line.split()[1]) for line in run("cuts").splitlines()]
    assert len(counts) == 2 and all(count >= 40 for count in counts), counts


def test_what_is_refused_and_why(run):
    lines = [tuple(map(int, line.split()[1:])) for line in run("refused").splitlines()]
    rejected = {3: REASON_SIGNATURE, 4: REASON_SIGNATURE, 5: REASON_OTHER_BOARD, 6: REASON_SEQUENCE, 7: REASON_BASE,
                8: REASON_SIZE, 10: REASON_MALFORMED, 11: REASON_DIGEST}
    expected = [(n, STATE_REJECTED, rejected[n], 1) if n in rejected else (n, STATE_ABORTED, REASON_DIGEST, 1)
                for n in range(3, 12)]
    assert lines == expected


def test_the_way_back(run):
    assert run("rolled_back").split() == ["rolled_back", str(STATE_ABORTED), str(REASON_ROLLED_BACK), "[(1,", "2)]"]


def test_an_update_takes_little_of_the_heap_and_gives_it_back(run):
    most, left = map(int, run("heap").split()[1:])
    assert most < 14_000, most  # of it 4,096 octets of head, 512 of page; octets on a computer, twice a chip's
    assert left < 4_000, left
