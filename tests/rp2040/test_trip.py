"""An over-current frame of a BL0942 at the chip's UART, the parts of a whole plug, and the moment at which the relay's
pin falls, by the emulator's clock.
"""

import pytest

from tests.bench.bounds import BOUNDS
from tests.rp2040 import trips

_TURN_MS = 5


@pytest.mark.parametrize("how", ["soft", "poll"])
def test_the_relay_opens(plug_board, how):
    """By the interrupt 32 bits of silence after the frame's last octet, and what Python takes; without it at the loop's
    next look. The driver never waits for octets that are still on the line."""
    latencies, out = trips.run(plug_board, how, "idle")
    assert out["errors"] == 0 and out["longest_ms"] < _TURN_MS
    assert max(latencies) < (9 if how == "soft" else 30)


def test_the_relay_opens_while_flash_is_written(plug_board):
    """The loop does nothing but write: the bound holds, and an erase on top of it where the interrupts wait for one."""
    latencies, out = trips.run(plug_board, "soft", "write", 14)
    assert out["errors"] == 0
    assert max(latencies) < BOUNDS["rp2040.trip.ms"].high + trips.ERASE_MS
