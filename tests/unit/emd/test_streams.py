"""Exactly once in, cumulative acknowledgement out: the cursor of one guaranteed stream."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot_host.emd.streams import MAX_AHEAD, PATIENCE_S, SETTLE_S, Cursor

CASES = [
    # (arrivals as (seq, count), acknowledged up to, sentence)
    ([(0, 1), (1, 1), (2, 1)], 2, "in order from 0"),
    ([(1, 1), (0, 1)], 1, "the first two in the wrong order"),
    ([(0, 1), (2, 1)], 0, "a hole holds the acknowledgement back"),
    ([(0, 1), (2, 1), (3, 1), (1, 1)], 3, "the hole is filled"),
    ([(0, 1), (0, 1), (0, 1)], 0, "the same again counts once"),
    ([(0, 4), (2, 4)], 5, "overlapping packs"),
    ([(4, 1)], None, "an unknown stream that begins late waits"),
    ([(0, 2), (7, 3), (2, 5)], 9, "packs out of order"),
]


@pytest.mark.parametrize("arrivals, upto, sentence", CASES, ids=[c[2] for c in CASES])
def test_upto(arrivals, upto, sentence):
    cursor = Cursor()
    for seq, count in arrivals:
        cursor.take(0, seq, count)
    assert cursor.upto == upto


@settings(max_examples=200)
@given(st.integers(0, 9), st.lists(st.integers(1, 5), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_any_order_any_repetition_gives_each_number_once(first, packs, rng):
    spans, at = [], first
    for size in packs:
        spans.append((at, size))
        at += size
    arrivals = spans + [rng.choice(spans) for _ in range(len(spans))]
    rng.shuffle(arrivals)
    cursor, got = Cursor(first - 1 if first else None), []
    for seq, count in arrivals:
        got += cursor.take(0, seq, count)
    assert sorted(got) == list(range(first, at))
    assert cursor.upto == at - 1
    assert not cursor.ahead


def test_acknowledged_is_always_received():
    rng, cursor, got = random.Random(5), Cursor(), set()
    for _ in range(2000):
        got.update(cursor.take(0, rng.randrange(300)))
        if cursor.upto is not None:
            assert got.issuperset(range(cursor.upto + 1))


def test_a_stream_that_another_emd_acknowledged_begins_at_its_lowest_after_a_while():
    cursor = Cursor()
    assert cursor.take(100, 41) == [41]
    cursor.take(101, 40)
    assert not cursor.settle(100 + SETTLE_S - 1)
    assert cursor.settle(100 + SETTLE_S)
    assert cursor.upto == 41


def test_a_hole_that_stays_is_given_up_and_counted():
    cursor = Cursor(9)
    cursor.take(0, 12)
    assert not cursor.settle(PATIENCE_S - 1)
    assert cursor.settle(PATIENCE_S)
    assert (cursor.upto, cursor.skipped) == (12, 2)


def test_a_gap_record_moves_the_cursor():
    cursor = Cursor(4)
    cursor.take(0, 8)
    cursor.lost(0, 5, 3)
    assert cursor.upto == 8


def test_a_hostile_stream_cannot_fill_memory():
    cursor = Cursor(0)
    for n in range(2 * MAX_AHEAD):
        cursor.take(0, 10 + 2 * n)
    cursor.lost(0, 1 << 29, 1 << 29)
    assert len(cursor.ahead) <= MAX_AHEAD
    assert cursor.upto == 0
