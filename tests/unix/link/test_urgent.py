"""What is urgent, on MicroPython: the cases of tests/unit/link, and against a broker and an EMD that hold things up."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_cases(mpy):
    folder = ROOT / "tests" / "unit" / "link"
    count = len(re.findall(r"^def test_", (folder / "urgent_cases.py").read_text(), re.MULTILINE))
    script = ROOT / "tests" / "unix" / "board" / "cases_on_device.py"
    assert mpy(script, folder, "urgent_cases", heap="8m").split() == [str(count), "of", str(count)]
