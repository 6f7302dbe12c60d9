"""Devices on MicroPython: their steady state takes nothing from the heap, and 20,000 steps leave nothing behind."""

import re
from pathlib import Path


def test_a_step_takes_nothing_from_the_heap(mpy):
    out = mpy(Path(__file__).with_name("heaprig.py"), heap="1m", timeout=120)
    rows = re.findall(r"^(.*): (-?\d+) bytes in 780 steps, (-?\d+) more after 20000$", out, re.M)
    assert [row[0] for row in rows] == [
        "plug", "plug welded", "plug limited", "plug full", "plug shed", "heat pump", "heat pump limited",
        "heat pump off", "heat pump talks",
    ], out
    assert all(int(used) == 0 for _, used, _ in rows), out
    assert all(int(grown) <= 256 for _, _, grown in rows), out
    assert "trip: latch 7, closed False" in out
