"""The guards' mechanism: effects, precedence, bars, and the time of the next change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.device.guards import FORBID_OFF, FORBID_ON, FORCE_OFF, FORCE_ON, Guards

R1, R2 = 101, 102


@pytest.mark.parametrize(
    ("effect", "on", "wanted", "result"),
    [
        (FORCE_OFF, True, True, False),
        (FORCE_OFF, False, True, False),
        (FORCE_ON, False, False, True),
        (FORCE_ON, True, False, True),
        (FORBID_ON, False, True, False),
        (FORBID_ON, True, True, True),
        (FORBID_ON, True, False, False),
        (FORBID_OFF, True, False, True),
        (FORBID_OFF, False, False, False),
        (FORBID_OFF, False, True, True),
    ],
)
def test_each_effect_in_its_span_and_none_outside(effect, on, wanted, result):
    guards = Guards((("a", effect, R1),))
    guards.arm(0, 10, 20)
    assert guards.decide(9, on, wanted) == wanted and guards.row == -1
    assert guards.decide(10, on, wanted) == result
    assert guards.decide(19, on, wanted) == result
    if result != wanted:
        assert (guards.row, guards.reason, guards.until_s) == (0, R1, 20)
    assert guards.decide(20, on, wanted) == wanted and guards.row == -1


@pytest.mark.parametrize(
    ("sentence", "first", "second", "on", "wanted", "result", "reason"),
    [
        ("the first force wins", FORCE_OFF, FORCE_ON, True, True, False, R1),
        ("the first force wins, the other way", FORCE_ON, FORCE_OFF, True, True, True, R1),
        ("a bar above a force holds it", FORBID_ON, FORCE_ON, False, False, False, R1),
        ("a bar does not hold what is on already", FORBID_ON, FORCE_ON, True, False, True, R2),
        ("a bar below a force does not hold it", FORCE_ON, FORBID_ON, False, False, True, R1),
        ("minimum run above an ordinary force off holds it", FORBID_OFF, FORCE_OFF, True, True, True, R1),
        ("a trip above minimum run does not wait", FORCE_OFF, FORBID_OFF, True, True, False, R1),
    ],
)
def test_precedence_is_the_order_of_the_rows(sentence, first, second, on, wanted, result, reason):
    guards = Guards((("a", first, R1), ("b", second, R2)))
    guards.arm(0, 0, 10)
    guards.arm(1, 0, 10)
    assert guards.decide(5, on, wanted) == result
    assert guards.reason == reason


def test_the_next_change_is_the_nearest_beginning_or_end():
    guards = Guards((("a", FORCE_ON, R1), ("b", FORCE_OFF, R2)))
    assert guards.wait(0, 60) == 60
    guards.arm(0, 30, 100)
    guards.arm(1, 0, 50)
    assert [guards.wait(now, 60) for now in (0, 29, 30, 50, 99, 100)] == [30, 1, 20, 50, 1, 60]


def test_an_empty_span_disarms():
    guards = Guards((("a", FORCE_OFF, R1),))
    guards.arm(0, 5, 50)
    guards.arm(0, 5, 5)
    assert guards.decide(5, True, True) and not guards.armed(0, 5) and guards.remaining(0, 5) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=6),
       st.integers(0, 20), st.booleans(), st.booleans())
def test_nothing_changes_between_two_changes(spans, now, on, wanted):
    guards = Guards(tuple((str(i), span[0], i) for i, span in enumerate(spans)))
    for i, (_, begin, length) in enumerate(spans):
        guards.arm(i, begin, begin + length)
    wait = guards.wait(now, 40)
    first = guards.decide(now, on, wanted)
    for later in range(now, now + wait):
        assert guards.decide(later, on, wanted) == first
