"""Registration, delivery, readings, prices and bad input, one case a sentence (delivery_cases.py)."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import delivery_cases  # noqa: E402


@pytest.mark.parametrize("number", range(len(delivery_cases.CASES)), ids=[f.__name__ for _, f in delivery_cases.CASES])
def test_delivery(number):
    delivery_cases.CASES[number][1]()
