"""Lives of a device on the chip that do not end well: a loop that hangs is bitten by the chip's watchdog, a driver that
raises at each start ends in safe mode. What counts them outlives the resets, in littlefs on the chip's flash.
"""

import json
from pathlib import Path

import pytest

from spot.codes import RESET_POWER_ON, RESET_WATCHDOG
from spot_host.profile import codec
from tests.rp2040 import board as boards
from tests.rp2040.conftest import LIFE

ROOT = Path(__file__).resolve().parents[2]
PICO = json.loads((ROOT / "boards" / "pico" / "board.json").read_text())
TIMER = 1  # the watchdog's reason register: it ran out
BITE_MS = 2000


@pytest.fixture
def board(plug_board):
    """With an empty store, just switched on."""
    plug_board.exec("""
import os
if "store" in os.listdir():
    for name in os.listdir("/store"):
        os.remove("/store/" + name)
""")
    plug_board.power_cycle()
    return plug_board


def life(board, description, then="ends"):
    """The words of its lines by their first one; {} and nothing else when it ended in a reset."""
    try:
        out = board.run(LIFE, json.dumps(description), then, timeout=100)
    except boards.BoardError:
        return {"reason": board.wait_for_reset()}
    return {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in out.splitlines() if " " in line}


def registered(told):
    return codec.decode(bytes.fromhex(told["register"])).values


def test_a_loop_that_hangs_is_bitten_and_the_next_life_tells(board):
    description = {**PICO, "watchdog_ms": BITE_MS}
    first = life(board, description)
    assert first["life"] == f"1 {RESET_POWER_ON} 0 0" and registered(first)["reset"] == RESET_POWER_ON
    assert life(board, description, "hangs") == {"reason": TIMER}
    after = life(board, description)
    assert after["life"] == f"3 {RESET_WATCHDOG} 1 0" and registered(after)["reset"] == RESET_WATCHDOG


def test_a_driver_that_raises_at_each_start_ends_in_safe_mode(board):
    """UART 0 has no TX at pin 3. Five starts in a row lead to safe mode; where that raises as well, two more to one
    without drivers, which registers."""
    broken = json.loads(json.dumps(PICO))
    broken["parts"]["meter"]["tx"] = 3
    lives = 0
    while "reason" in (told := life(board, broken)):
        lives += 1
        assert lives < 12, told
    assert lives == 7 and told["life"].split()[3] == "2"
    assert "bad TX pin" in told["crash"] and registered(told)["boot"] == 8
