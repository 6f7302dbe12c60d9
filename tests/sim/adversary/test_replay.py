"""A history is one history: drawn twice, replayed from a file, or shrunken, it runs the same; and the judge sees what
is wrong.
"""

import pytest

from spot.agent import lease
from spot_sim.adversary import draw, history, soak
from spot_sim.adversary.arena import Arena
from spot_sim.adversary.invariants import INVARIANTS, Violation
from spot_sim.adversary.shrink import failure, shrink

SHORT = 12 * 3600


def _played(one):
    arena = Arena(one)
    arena.play(SHORT)
    return arena._digest.hexdigest()


@pytest.mark.parametrize("seed", [0, 4])
def test_a_seed_is_one_history(tmp_path, seed):
    one = draw.draw(seed)
    assert one == draw.draw(seed)
    one.save(tmp_path / "one.json")
    again = history.load(tmp_path / "one.json")
    assert again == one
    assert _played(one) == _played(again)
    assert _played(one) != _played(one.without(one.events[5:]))


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"format": 9}')
    with pytest.raises(ValueError, match="not a history"):
        history.load(tmp_path / "x.json")


def _broken(monkeypatch):
    """A firmware that never falls into failsafe."""
    monkeypatch.delitem(lease.TABLE, lease.MODE_CONTROLLED | lease.EV_SILENT)


def test_a_failing_history_shrinks_to_what_makes_it_fail(monkeypatch):
    _broken(monkeypatch)
    for seed in range(20):
        one = draw.draw(seed, "dense")
        found = failure(one)
        if found is not None and found.name == "failsafe":
            break
    else:
        pytest.fail("nobody missed the failsafe")
    small, still = shrink(one, found, tries=60)
    assert still.name == "failsafe"
    assert 0 < len(small.events) < len(one.events) // 5
    assert failure(small).name == "failsafe"
    outcome = soak.run(small)
    assert outcome.violation[0] == "failsafe"
    assert str(small.seed) in soak.command_of(outcome)


def test_every_invariant_is_a_sentence_in_the_documentation():
    from pathlib import Path

    text = " ".join((Path(__file__).parents[3] / "docs" / "invariants.md").read_text().split())
    for name, sentence in INVARIANTS.items():
        assert f"`{name}`" in text and " ".join(sentence.split()) in text, name


def test_a_violation_says_when_where_and_what():
    found = Violation("nonce", 1500, "ev-1", "twice")
    assert str(found) == "nonce: ev-1 at 1.500 s: twice"
