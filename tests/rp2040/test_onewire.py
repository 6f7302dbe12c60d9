"""A DS18B20 at a pin of the emulated chip: the driver, MicroPython's `_onewire`, the chip's pads, and the times of the
bus.
"""

from pathlib import Path

import pytest

from tests.rp2040 import board as boards

_NEEDED = (
    "spot/__init__", "spot/port", "spot/codes", "spot/board/__init__", "spot/board/onewire", "spot/board/ds18b20"
)
_SCRIPT = Path(__file__).with_name("onewire_on_device.py")
A, B = "28ab907856341224", "2801000000000029"


@pytest.fixture(scope="module")
def board(rp2040_rig, tmp_path_factory):
    with boards.Board(rp2040_rig, tmp_path_factory.mktemp("onewire")) as board:
        board.load(boards.wire(_SCRIPT, names=_NEEDED))
        yield board


def outcome(board, chips, roms, bits=12, ms=5000):
    """(lines of the log, sensors found, {id: value}, the longest turn in µs) with {id: °C} at the pin. Wired
    for each start: a board without a configuration may begin anew until mpremote has it."""
    board.wire(*({"do": "ds18b20", "pin": 9, "rom": rom, "celsius": celsius} for rom, celsius in chips.items()))
    board.power_cycle()
    *log, found, worst = board.run(_SCRIPT, bits, ms, *roms, timeout=120).splitlines()
    words = found.split()
    return log, int(words[1]), dict(zip(roms, map(int, words[3:]), strict=True)), int(worst.split()[1])


def test_a_sensor_is_found_and_read(board):
    log, found, values, worst_us = outcome(board, {A: -10.125}, [A])
    assert found == 1 and values == {A: -1012}
    assert log == ["onewire.found 7901355 1193046"]
    assert worst_us < 25_000, "a turn is one transaction"


def test_nobody_there_is_no_temperature(board):
    _, found, values, _ = outcome(board, {}, [A])
    assert found == 0 and values == {A: -(2**30 - 1)}


def test_another_sensor_is_not_used(board):
    log, found, values, _ = outcome(board, {B: 30.0}, [A])
    assert found == 1 and values == {A: -(2**30 - 1)}
    assert log[0].startswith("onewire.unknown")


def test_the_resolution_is_written_over_the_bus(board):
    _, _, values, _ = outcome(board, {A: 21.9375}, [A], bits=9, ms=7000)
    assert values == {A: 2150}
