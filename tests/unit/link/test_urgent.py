"""What is urgent, on CPython; tests/unix/link runs the same cases on MicroPython."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import urgent_cases


@pytest.mark.parametrize("case", [name for name in sorted(vars(urgent_cases)) if name.startswith("test_")])
def test_case(case):
    getattr(urgent_cases, case)()
