"""Metering, outage and restore, log and calibration, one case a sentence (metering_cases.py)."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import metering_cases  # noqa: E402


@pytest.mark.parametrize("number", range(len(metering_cases.CASES)), ids=[f.__name__ for _, f in metering_cases.CASES])
def test_metering(number):
    metering_cases.CASES[number][1]()
