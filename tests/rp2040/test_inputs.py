"""What comes in at the pins and UARTs of the emulated chip, through its own interrupts: pulses of a metering chip and
of an energy meter, a Modbus meter, the power-fail input.
"""

import json
import struct
from pathlib import Path

import pytest

from tests.rp2040 import board as boards

_NEEDED = ("spot/__init__", "spot/port", "spot/codes", *(f"spot/board/{name}" for name in (
    "__init__", "trip", "calibration", "hlw8012", "modbus", "modbus_map", "modbus_meter", "power_fail", "pulse")))
_SCRIPT = Path(__file__).with_name("inputs_on_device.py")
_MAP = Path(__file__).resolve().parents[2] / "boards" / "maps" / "sdm120.json"
_GATE, _PIN, _CF1 = 22, 2, 3
_HZ = 1_800  # a BL0937 at 3.6 kW
_W = _HZ * 3_600_000 / 1_776_903
_ERASE_S = 0.045
_TURN_MS = 5  # what a driver may take of a loop's turn


@pytest.fixture(scope="module")
def board(rp2040_rig, tmp_path_factory):
    with boards.Board(rp2040_rig, tmp_path_factory.mktemp("inputs")) as board:
        board.load(boards.wire(_SCRIPT, names=_NEEDED))
        yield board


def run(board, which, ms, load="idle", *more):
    out = json.loads(board.run(_SCRIPT, which, ms, load, *more, timeout=200))
    assert out["longest_ms"] < _TURN_MS
    return out


@pytest.mark.parametrize("which", ["hlw", "hlw-hard"])
@pytest.mark.parametrize("load", ["collect", "write"])
def test_pulses_of_a_metering_chip(board, which, load):
    """1.8 and 1.2 kHz at once. A collection of garbage loses none; an erase, which stops interrupts, what comes while
    it lasts: the power reads low for that second, by less than a tenth."""
    board.power_cycle()
    board.command("pulses", gate=_GATE, pin=_PIN, period_us=1e6 / _HZ, high_us=200, count=5 * _HZ)
    board.command("pulses", gate=_GATE, pin=_CF1, period_us=1e6 / (230 * 5.376952), high_us=300, count=6000)
    before = board.status()["flash_writes"]
    out = run(board, which, 6000, load)
    assert board.command("inputs")["pulses"][str(_PIN)] == 5 * _HZ
    lost = 5 * _HZ - out["counted"]
    if load == "collect":
        assert lost == 0 and out["voltage_10mv"] == pytest.approx(23000, rel=0.005)
    else:
        assert board.status()["flash_writes"] > before
        assert 0 < lost <= 5 * 3 * _ERASE_S * _HZ  # at most three sectors a second: file, its copy, the directory
    assert out["power_w"] == pytest.approx(_W, rel=0.005 if load == "collect" else 0.1)
    assert out["errors"] == 0


def test_pulses_of_an_energy_meter(board):
    """1,000 a kWh, 60 ms long, one each 720 ms."""
    board.power_cycle()
    board.command("pulses", gate=_GATE, pin=_PIN, period_us=720_000, high_us=60_000, count=10)
    out = run(board, "s0", 9000)
    assert out["energy_wh"] == 10 and out["errors"] == 0
    assert out["power_w"] == pytest.approx(5000, rel=0.002)


def test_a_meter_on_modbus(board):
    """Each request is answered, no octet is lost; the transceiver's direction is given up in time for the answer."""
    board.power_cycle()
    registers = {}
    for at, value in ((0, 230.0), (6, 4.0), (12, 900.0), (70, 50.0), (72, 12.5), (74, 0.0)):
        registers[at], registers[at + 1] = struct.unpack(">HH", struct.pack(">f", value))
    board.command("modbus", uart=1, address=1, registers=registers, after_us=4000)
    board.command("watch", pin=6)
    out = run(board, "modbus", 5000, "idle", _MAP.read_text())
    assert (out["voltage_10mv"], out["current_ma"], out["power_w"]) == (23000, 4000, 900)
    inputs = board.command("inputs")
    answered, *wrong = out["bus"]
    assert answered == len(inputs["heard"]) >= 8 and wrong == [0, 0, 0]
    rows = inputs["edges"]["6"]
    driven = [down - up for (up, level), (down, _) in zip(rows, rows[1:], strict=False) if level]
    frame_us = 8 * 10 / 9600 * 1e6
    assert driven and all(frame_us < us < frame_us + 3000 for us in driven)


def test_the_mains_fails(board):
    """Known within two looks of the loop; a spike of a millisecond is none."""
    board.power_cycle()
    board.command("level", gate=_GATE, pin=_PIN, level=0, after_us=1_000_000)
    out = run(board, "power_fail", 1500)
    edge_us = board.command("inputs")["levels"][str(_PIN)]
    assert 2_000 <= out["failed_us"] - edge_us <= 55_000
    board.power_cycle()
    board.command("level", gate=_GATE, pin=_PIN, level=0, after_us=1_000_000, for_us=1_000)
    assert run(board, "power_fail", 1500)["failed_us"] == 0
