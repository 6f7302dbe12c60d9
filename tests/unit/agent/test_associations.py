"""The rules across associations, one case a sentence (association_cases.py; MicroPython runs the same table)."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import association_cases  # noqa: E402


@pytest.mark.parametrize(
    "number", range(len(association_cases.CASES)), ids=[f.__name__ for _, f in association_cases.CASES]
)
def test_rule(number):
    association_cases.CASES[number][1]()
