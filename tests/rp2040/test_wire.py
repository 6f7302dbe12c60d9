"""The wire modules as the chip runs them, compiled to viper code for armv6m: the same octets as everywhere else.

The scripts are those of the unix port (tests/unix/wire); only the vectors go over in portions, for the chip's heap.
"""

import json
from pathlib import Path

import pytest

from spot_host.profile import definition
from tests.rp2040 import board as boards

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "unit" / "wire"
SCRIPTS = ROOT / "tests" / "unix" / "wire"
PORTION = 31
ROWS = json.loads((VECTORS / "golden.json").read_text())


def _golden(board, rows, mutations=0, cuts=1000):
    board.put({"golden.json": json.dumps(rows).encode()})
    return board.run(SCRIPTS / "golden_on_device.py", "golden.json", mutations, cuts, timeout=300)


def test_the_modules_are_compiled_for_the_chip(rp2040):
    """What runs is the .mpy with machine code for armv6m: there is no source on the board."""
    out = rp2040.exec(rp2040.prelude + "import os, spot\nprint(spot.__file__, os.listdir('/image/spot'))")
    assert out == "/image/spot/__init__.mpy ['__init__.mpy']\n"


@pytest.mark.parametrize("first", range(0, len(ROWS), PORTION))
def test_golden_vectors(rp2040, first):
    """Octet for octet, by the general and the hot way; cut here and there; damaged: only the two errors come out."""
    rows = ROWS[first:first + PORTION]
    assert _golden(rp2040, rows, mutations=20, cuts=37) == f"vectors {len(rows)} mutations 20\n"


def test_golden_vectors_are_of_every_message():
    assert {row["type"] for row in ROWS} == {message.code for message in definition.MESSAGES}


@pytest.mark.parametrize("hot", [True, False])
def test_a_wrong_vector_is_noticed(rp2040, hot):
    row = next(row for row in ROWS if row["hot"] is hot and len(row["hex"]) > 20)
    values = list(row["values"])
    place = next(i for i, value in enumerate(values) if isinstance(value, int) and value > 1)
    values[place] -= 1
    with pytest.raises(boards.BoardError, match="AssertionError: " + row["name"]):
        _golden(rp2040, [{**row, "values": values}])


def test_rfc8949_vectors(rp2040):
    """Appendix A and appendix F of RFC 8949; doubles at the precision of the chip."""
    rp2040.put({"rfc8949.json": VECTORS / "rfc8949.json"})
    out = rp2040.run(SCRIPTS / "rfc8949_on_device.py", "rfc8949.json")
    vectors = json.loads((VECTORS / "rfc8949.json").read_text())
    accepted = sum(deterministic for _, deterministic in vectors["appendix_a"])
    assert out == (f"accepted {accepted} refused {len(vectors['appendix_a']) - accepted} "
                   f"malformed {len(vectors['appendix_f'])}\n")


def test_hot_messages_allocate_nothing(rp2040):
    """encode_hot and decode_hot of every hot vector with the heap locked."""
    rp2040.put({"golden.json": VECTORS / "golden.json"})
    hot = sum(row["hot"] and "slots" not in row for row in ROWS)
    assert rp2040.run(SCRIPTS / "heap_on_device.py", "golden.json") == f"locked {hot}\n"
