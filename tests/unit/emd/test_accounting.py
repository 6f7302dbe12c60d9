"""Sums that money depends on: energy between prices, peaks, time above a limit, prices on the wire."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot_host.emd.accounting import SiteMeter
from spot_host.emd.tariff import PriceSeries, Tariff
from spot_host.profile import codec
from tests.unit.emd.helpers import SPRING, VALID, WINTER

START = 1765537200

METER = [
    # (powers as (second, W), limit, (seconds above, worst, Wh above, mean peak), sentence)
    ([(0, 1000), (900, 0), (1800, 0)], 4200, (0, 0, 0, 1000), "under the limit"),
    ([(0, 5000), (90, 0), (1800, 0)], 4200, (90, 800, 20, 500), "above it for a minute and a half"),
    ([(0, 4200), (1800, 0)], 4200, (0, 0, 0, 4200), "at the limit is not above"),
    ([(0, 3000), (450, 6000), (1350, 3000), (2700, 0)], 4200, (900, 1800, 450, 4500), "across two windows"),
    ([(0, 0), (90000, 100), (90900, 0)], None, (0, 0, 0, 100), "no limit, a day of nothing"),
]


@pytest.mark.parametrize("powers, limit, expected, sentence", METER, ids=[m[3] for m in METER])
def test_meter(powers, limit, expected, sentence):
    meter, before = SiteMeter(START, limit), 0
    for second, power in powers:
        meter.add(START + second, power - before)
        before = power
    assert (meter.violated_s, meter.worst_w, round(meter.over_wh, 6), round(meter.mean_peak_w)) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(0, 9000)), min_size=1, max_size=30))
def test_energy_is_power_by_time(steps):
    meter, now, power, energy = SiteMeter(START, 4200), START, 0, 0
    for seconds, new in steps:
        meter.add(now, new - power)
        power, now = new, now + seconds
        energy += power * seconds
    meter.close(now)
    assert meter.energy_wh == pytest.approx(energy / 3600)
    assert meter.peak_w == max(p for _, p in steps)
    assert meter.mean_peak_w <= meter.peak_w + 1e-6


def test_cost_is_shared_out_by_time():
    tariff = Tariff()
    tariff.add(PriceSeries(START, 3600, (100.0, 300.0)))
    assert tariff.cost(START + 1800, START + 5400, 2000) == pytest.approx(2000 * 200e-6)
    assert tariff.cost(START + 60, START + 120, 1000) == pytest.approx(0.1)
    assert tariff.cost(START + 9000, START + 9600, 1000) == 0
    tariff.add(PriceSeries(START + 3600, 900, (-50.0,) * 4))
    assert tariff.price(START + 3600) == -50.0 and tariff.price(START + 3599) == 100.0
    assert tariff.window(START, START + 7200).interval_s == 900
    tariff.forget(START + 3600)
    assert tariff.price(START) is None


@pytest.mark.parametrize("prices, scale", [(SPRING, -2), (WINTER, -1), ((9999.5, -10000.0), 0), (WINTER * 4, -1)])
def test_prices_go_out_at_the_finest_scale_that_holds_them(prices, scale):
    values = PriceSeries(START, 900, prices, 3).message()
    assert values["scale"] == scale
    body = codec.encode("price", values)
    VALID.check(body)
    back = PriceSeries.from_message(codec.decode(body).values)
    assert back.values == pytest.approx(prices, abs=0.501 * 10**scale)
    assert (back.start, back.interval_s, back.revision) == (START, 900, 3)


def test_a_series_that_is_too_long_begins_now():
    series = PriceSeries(START, 900, tuple(float(n) for n in range(300)))
    values = series.message(START + 100 * 900 + 5)
    assert values["start"] == START + 90000
    assert values["series"][0] == 10000 and len(values["series"]) == 192
    codec.encode("price", values)
