"""Modbus on MicroPython: the cases of tests/unit/board/modbus_cases.py, and a heap that nothing touches."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_cases_hold_on_micropython(mpy):
    unit = ROOT / "tests" / "unit" / "board"
    names = re.findall(r"^@case\ndef (\w+)", (unit / "modbus_cases.py").read_text(), re.MULTILINE)
    code = "import sys\nsys.path[:0] = sys.argv[1:]\nimport modbus_cases\nmodbus_cases.main()\n"
    assert mpy(code, unit, ROOT / "sim", heap="4m").split() == names


def test_rounds_writes_and_silences_touch_no_heap(mpy):
    out = mpy(Path(__file__).with_name("modbus_heap.py"), ROOT / "boards" / "maps")
    answered, timeouts = re.match(r"answered (\d+) timeouts (\d+) False False\n$", out).groups()
    assert int(answered) > 200 and int(timeouts) > 10
