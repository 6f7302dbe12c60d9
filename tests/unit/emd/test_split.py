"""A site's limit over its devices: a table of cases, and what holds for any demands."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot_host.emd.split import Demand, split

A_ON_OFF = {"on_off": True}
CASES = [
    # (limit, [(key, need, min, max, options)], shares, sentence)
    (4200, [("a", 1000, 0, 3000, {})], {"a": 3000}, "alone it may have all it can use"),
    (2000, [("a", 3000, 0, 3000, {}), ("b", 3000, 0, 3000, {})], {"a": 1000, "b": 1000}, "equal needs share evenly"),
    (
        2000,
        [("a", 300, 0, 3000, {}), ("b", 3000, 0, 3000, {})],
        {"a": 300, "b": 1700},
        "who needs less gets what it needs",
    ),
    (
        1000,
        [("a", 2000, 600, 2000, {}), ("b", 2000, 600, 2000, {})],
        {"a": 1000, "b": 0},
        "two smallest do not fit: one gets 0",
    ),
    (1000, [("a", 2000, 0, 2000, {}), ("b", 2000, 0, 2000, {"priority": 1})], {"a": 0, "b": 1000}, "priority first"),
    (
        2500,
        [("k", 2000, 2000, 2000, A_ON_OFF), ("p", 2000, 600, 3000, {})],
        {"k": 0, "p": 2500},
        "all or nothing waits for room",
    ),
    (
        2600,
        [("k", 2000, 2000, 2000, A_ON_OFF), ("p", 2000, 600, 3000, {})],
        {"k": 2000, "p": 600},
        "and runs where it fits",
    ),
    (
        2100,
        [("a", 2000, 2000, 2000, A_ON_OFF), ("b", 2000, 2000, 2000, {"on_off": True, "must_run": True})],
        {"a": 0, "b": 2000},
        "who was held long enough goes first",
    ),
    (
        3000,
        [("a", 0, 2000, 2000, A_ON_OFF), ("b", 1000, 1000, 1000, A_ON_OFF)],
        {"a": 2000, "b": 1000},
        "idle ones get what is left",
    ),
    (1700, [("a", 3000, 500, 3000, {"steps": (500, 1000, 1500)})], {"a": 1500}, "down to a step"),
    (0, [("a", 1000, 0, 3000, {})], {"a": 0}, "nothing left"),
    (-500, [("a", 1000, 0, 3000, {})], {"a": 0}, "base load above the limit"),
]


@pytest.mark.parametrize("limit, rows, shares, sentence", CASES, ids=[c[3] for c in CASES])
def test_shares(limit, rows, shares, sentence):
    assert split(limit, [Demand(key, need, least, most, **more) for key, need, least, most, more in rows]) == shares


@st.composite
def demands(draw):
    rows = []
    for i in range(draw(st.integers(0, 12))):
        most = draw(st.integers(0, 5000))
        on_off = draw(st.booleans())
        least = most if on_off else draw(st.integers(0, most))
        steps = () if on_off or draw(st.booleans()) else tuple(sorted(draw(st.lists(st.integers(0, 5000), max_size=4))))
        rows.append(
            Demand(
                f"{i:02}",
                draw(st.integers(0, most)),
                least,
                most,
                on_off,
                draw(st.integers(0, 2)),
                draw(st.booleans()),
                steps,
            )
        )
    return rows


@settings(max_examples=400, deadline=None)
@given(st.integers(-100, 20000), demands(), st.randoms(use_true_random=False))
def test_never_above_the_limit_each_usable_and_the_order_does_not_matter(limit, rows, rng):
    shares = split(limit, rows)
    assert sum(shares.values()) <= max(0, limit)
    for x in rows:
        share = shares[x.key]
        assert share == 0 or x.min_w <= share <= x.max_w
        if x.on_off:
            assert share in (0, x.max_w)
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert split(limit, shuffled) == shares


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 20000), demands())
def test_nothing_is_wasted_on_loads_that_can_be_set(limit, rows):
    rows = [x for x in rows if not x.on_off and not x.steps and x.min_w == 0]
    shares = split(limit, rows)
    assert sum(shares.values()) == min(limit, sum(x.max_w for x in rows))
