"""The rules of control, one case a sentence (agent_cases.py; MicroPython runs the same table)."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the tables are plain modules, for both runtimes

import agent_cases  # noqa: E402


@pytest.mark.parametrize("number", range(len(agent_cases.CASES)), ids=[
    f"{function.__name__}" for _, function in agent_cases.CASES
])
def test_rule(number):
    agent_cases.CASES[number][1]()
