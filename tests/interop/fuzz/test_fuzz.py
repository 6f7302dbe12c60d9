"""Fuzzing within a budget, and what was found once as tests of their own (these need no atheris)."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.fuzz import targets

ROOT = Path(__file__).resolve().parents[3]
SECONDS = os.environ.get("SPOT_FUZZ_SECONDS", "3")


def test_what_was_found_once_stays_mended():
    assert targets.found()
    for name, what, data in targets.found():
        try:
            targets.TARGETS[name](data)
        except Exception as exc:
            raise AssertionError(f"{name}: {what}") from exc


@pytest.mark.parametrize("name", targets.TARGETS)
def test_the_seeds_are_good_and_so_are_their_beginnings(name):
    for seed in targets.SEEDS[name]:
        for n in range(0, len(seed) + 1, 1 + len(seed) // 100):
            targets.TARGETS[name](seed[:n])
        targets.TARGETS[name](seed)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_a_fixed_budget_of_coverage_guided_fuzzing_finds_nothing(name):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris (wheels for Linux on x86-64 alone)")
    got = subprocess.run([sys.executable, "-m", "tests.interop.fuzz", name, SECONDS], cwd=ROOT, text=True,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         timeout=60 + float(SECONDS))
    row = "\n".join(line for line in got.stdout.splitlines() if line.startswith('{"target"'))
    assert got.returncode == 0, f"for found.json: {row}\n{got.stdout[-3000:]}"
    runs = re.search(r"number_of_executed_units: (\d+)", got.stdout)
    assert runs and int(runs[1]) > len(targets.SEEDS[name]), got.stdout[-1000:]  # it did run, and beyond its seeds
