"""What the planner asks of each kind of device on a scarce winter day and on a day of negative prices."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot_host.emd.ledger import KIND_NAMES
from spot_host.emd.planner import Rules, cheap_run, dear_blocks, negative_runs, plan
from spot_host.emd.registry import Capability
from spot_host.emd.tariff import PriceSeries
from tests.unit.emd.helpers import METHOD, SERVICE, SPRING, WINTER, plug_values, pump_values

MIDNIGHT = 1765494000  # local midnight of 2025-12-12
RULES = Rules(jitter_s=0)


def hours(actions):
    """[(kind, first hour, end hour, value)], local."""
    return [(KIND_NAMES[a.kind], (a.begin - MIDNIGHT) / 3600, (a.end - MIDNIGHT) / 3600, a.value) for a in actions]


def planned(values, prices, rules=RULES):
    return hours(plan(Capability(values), PriceSeries(MIDNIGHT, 3600, prices), MIDNIGHT, rules))


CASES = [
    # (device, prices, expected, sentence)
    (
        plug_values(),
        WINTER,
        [("off", 9, 11, None), ("off", 17, 19, None)],
        "off before prices fall, two hours at a time",
    ),
    (plug_values(max_block=10800), WINTER, [("off", 8, 11, None), ("off", 17, 20, None)], "three hours where it may"),
    (
        plug_values(max_block=None),
        WINTER,
        [("off", 7, 11, None), ("off", 16, 20, None)],
        "four hours where it states none",
    ),
    (plug_values(services=SERVICE["limit"]), WINTER, [], "who cannot be switched and does not reduce is left alone"),
    (
        plug_values(methods=METHOD["reduce"], services=SERVICE["limit"], limit_min=300),
        WINTER,
        [("limit", 9, 11, 300), ("limit", 17, 19, 300)],
        "who reduces gets its smallest limit",
    ),
    (plug_values(max_block=1800), WINTER, [], "who can be held for half an hour only has no use for hourly prices"),
    (plug_values(), (100.0,) * 24, [], "a flat day asks for nothing"),
    (
        plug_values(),
        WINTER[:18],
        [("off", 9, 11, None)],
        "no block at the end of what is known: nothing says it gets cheaper",
    ),
    (
        plug_values(services=SERVICE["on_off"] | SERVICE["remote_close"]),
        SPRING,
        [("off", 4, 6, None), ("on", 9, 18, None), ("off", 20, 22, None)],
        "negative prices: what can be moved runs",
    ),
    (
        plug_values(services=SERVICE["on_off"]),
        SPRING,
        [("off", 4, 6, None), ("off", 20, 22, None)],
        "but is not closed from afar unless enabled",
    ),
    (
        pump_values(services=SERVICE["offset"]),
        SPRING,
        [("offset", 6, 9, -100), ("offset", 9, 18, 100), ("offset", 19, 22, -100)],
        "negative prices: store heat, by half the comfort band",
    ),
    (
        pump_values(services=SERVICE["offset"], comfort_low=2000, comfort_high=2000, methods=METHOD["set_point"]),
        WINTER,
        [],
        "no comfort band, no shift",
    ),
    (
        pump_values(services=SERVICE["sg_ready"]),
        WINTER,
        [("sg_ready", 4, 6, 3), ("sg_ready", 9, 11, 1), ("sg_ready", 12, 14, 3), ("sg_ready", 17, 19, 1)],
        "SG-Ready locks for two hours at most, and is recommended before",
    ),
    (
        pump_values(services=SERVICE["boost"], methods=METHOD["set_point"]),
        SPRING,
        [("boost", 9, 18, None)],
        "boost where it can",
    ),
]


def _name(value):
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize("values, prices, expected, sentence", CASES, ids=_name)
def test_table(values, prices, expected, sentence):
    assert planned(values, prices) == expected


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-200, 1000), min_size=4, max_size=48),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 12),
)
def test_blocks_are_never_too_long_too_short_or_too_near(prices, longest, shortest, recover, total):
    blocks = dear_blocks(tuple(prices), longest, shortest, recover, total, 20.0, 12)
    assert sum(end - first for first, end in blocks) <= total
    for first, end in blocks:
        assert shortest <= end - first <= longest
        assert min(prices[first:end]) > 0
    for (_, before), (after, _) in zip(blocks, blocks[1:], strict=False):
        assert after - before >= recover


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-200, 1000), min_size=24, max_size=96), st.booleans(), st.integers(1, 6), st.integers(0, 900)
)
def test_nothing_beyond_what_was_registered(prices, pump, hours_, jitter):
    values = (pump_values if pump else plug_values)(max_block=hours_ * 3600)
    for action in plan(Capability(values), PriceSeries(MIDNIGHT, 900, tuple(prices)), MIDNIGHT, Rules(jitter_s=jitter)):
        assert action.end > action.begin
        if ":save:" in action.purpose:
            assert action.end - action.begin + jitter <= hours_ * 3600
        if KIND_NAMES[action.kind] == "offset":
            assert abs(action.value) <= 100


def test_what_has_ended_is_not_planned_and_the_rest_keeps_its_name():
    capability, series = Capability(plug_values()), PriceSeries(MIDNIGHT, 3600, WINTER)
    whole = plan(capability, series, MIDNIGHT, RULES)
    later = plan(capability, series, MIDNIGHT + 12 * 3600, RULES)
    assert [a.purpose for a in later] == [a.purpose for a in whole][1:]


def test_cheap_run_takes_the_latest_of_equals_and_nothing_above_the_bound():
    assert cheap_run((5, 5, 5, 9), 0, 4, 2, 6) == (1, 3)
    assert cheap_run((5, 5, 5, 9), 0, 4, 2, 5) is None
    assert cheap_run((5, 5), 2, 2, 2, 9) is None


def test_negative_runs():
    assert negative_runs((1, -1, -2, 0, -3), 0) == ((1, 3), (4, 5))
