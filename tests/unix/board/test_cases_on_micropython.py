"""The drivers' cases of tests/unit/board, on MicroPython."""

import re
from pathlib import Path

import pytest

from spot_host import build
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


def test_the_drivers_run_as_they_are_built(mpy, tmp_path):
    """Constants in place, one module, short names: no name of the hardware's may be among them."""
    script = Path(__file__).with_name("heap_on_device.py").read_text()
    modules = ("codes", "port", *("board/" + name for name in (
        "__init__", "ds18b20", "ntc", "onewire", "panel", "power_fail", "pulse", "relay", "sg_ready", "trip",
        "zero_cross")))
    texts = {path: text for path, text in build.sources().items()
             if path == "spot/__init__.py" or path[5:-3] in modules}
    image = build.Image(texts, [script])
    image.compile("x64", tmp_path)
    found = mpy("import sys\nsys.path.insert(0, %r)\n" % str(tmp_path) + image.guest(script))
    assert found.count(" no heap\n") == 7
