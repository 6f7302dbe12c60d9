"""The drivers' cases of tests/unit/board, on MicroPython."""

import re
from pathlib import Path

import pytest

from tests.unit.board.test_cases import TABLES

_UNIT = Path(__file__).resolve().parents[2] / "unit" / "board"


@pytest.mark.parametrize("table", TABLES)
def test_table(mpy, table):
    count = len(re.findall(r"^def test_", (_UNIT / (table + ".py")).read_text(), re.MULTILINE))
    script = Path(__file__).with_name("cases_on_device.py")
    assert mpy(script, _UNIT, table, heap="8m", timeout=120).split() == [str(count), "of", str(count)]


def test_a_thousand_turns_of_each_driver_touch_no_heap(mpy):
    lines = mpy(Path(__file__).with_name("heap_on_device.py")).splitlines()
    assert len(lines) == 7 and all(line.endswith(" no heap") for line in lines)
