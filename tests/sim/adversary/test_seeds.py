"""The adversary's histories: every seed of seeds.SEEDS keeps every invariant, in at least three device-years."""

from pathlib import Path

import pytest

from spot_sim.adversary import draw, history, soak
from tests.sim.adversary.seeds import LEAST_YEARS, SEEDS

FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))


def _said(outcome):
    name, at_ms, device, text, event = outcome.violation
    return (
        f"seed {outcome.seed} ({outcome.shape}): {name}: {device} at {at_ms / 1000:.3f} s: {text}\n"
        f"latest event: {event}\nreplay: {soak.command_of(outcome)}"
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_keeps_every_invariant(seed):
    outcome = soak.run_seed(seed)
    assert outcome.violation is None, _said(outcome)
    assert outcome.steps > 100


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_was_found_once_stays_found(path):
    """Shrunken histories of faults that were mended."""
    outcome = soak.run(history.load(path))
    assert outcome.violation is None, _said(outcome)


def test_the_seeds_are_three_device_years_of_every_shape():
    drawn = [draw.draw(seed) for seed in SEEDS]
    assert sum(one.device_years for one in drawn) >= LEAST_YEARS
    assert {one.shape for one in drawn} == set(draw.SHAPES)
