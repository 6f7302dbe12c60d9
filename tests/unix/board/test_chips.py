"""The drivers of the metering chips on MicroPython: the histories of CPython, to the last value, and no heap."""

import json
import re
from pathlib import Path

from tests.unit.board.histories import all_histories


def test_the_drivers_show_what_they_show_on_cpython_and_take_nothing_from_the_heap(mpy, tmp_path):
    path = tmp_path / "histories.json"
    histories = all_histories()
    path.write_text(json.dumps(histories))
    out = mpy(Path(__file__).with_name("chips_on_device.py"), path, heap="256m", timeout=120)
    rows = re.findall(r"^(\w+): (\d+) steps, (-?\d+) bytes$", out, re.M)
    assert [row[0] for row in rows] == [history["driver"] for history in histories], out
    assert all(int(steps) >= 800 and int(used) == 0 for _, steps, used in rows), out
