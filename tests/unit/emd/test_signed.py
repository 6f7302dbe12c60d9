"""Signed broadcasts through the core: the parts in turns on one channel, on and on, and a device that hears them."""

import pytest

from spot import codes
from spot.agent.signed import Signed
from spot.log import Log
from spot_host import signing
from spot_host.emd.carousel import GAP_S, REPEAT_S, SOON_S
from spot_host.emd.tariff import PriceSeries
from spot_host.profile.codec import encode
from spot_host.profile.examples import EXAMPLES

from .helpers import WINTER, Bench, plug_values
from .test_with_agent import START, Home

PRICE = encode("price", next(values for name, _, _, values in EXAMPLES if name == "price96"))


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    return signing.generate(tmp_path_factory.mktemp("key") / "key", 5)


@pytest.fixture
def bench():
    return Bench(group="7")


def times(bench, seconds):
    """[(second, group, body)] of what is published on the channel signed."""
    start, rows = bench.now, []
    bench.out._broadcast = lambda group, channel, body: channel == "signed" and rows.append(
        (bench.now - start, group, body))
    bench.run(seconds)
    return rows


def test_the_parts_take_turns_round_after_round(bench, signer):
    _, bodies = signer.sign(PRICE)
    bench.core.publish_signed(bench.now, bodies)
    round_s = 2 * GAP_S + REPEAT_S
    expected = [(n * round_s + i * GAP_S, "7", body) for n in range(3) for i, body in enumerate(bodies)]
    assert times(bench, 2 * round_s + 2 * GAP_S) == expected


def test_the_next_object_takes_the_place_of_the_last(bench, signer):
    _, old = signer.sign(PRICE)
    _, new = signer.sign(PRICE)
    bench.core.publish_signed(bench.now, old)
    assert [body for _, _, body in times(bench, GAP_S)] == old[:2]
    bench.core.publish_signed(bench.now, new)
    assert [(at, body) for at, _, body in times(bench, REPEAT_S)] == [(i * GAP_S, body) for i, body in enumerate(new)]


def test_groups_have_their_own(bench, signer):
    _, one = signer.sign(PRICE)
    _, two = signer.sign(PRICE)
    bench.core.publish_signed(bench.now, one)
    bench.core.publish_signed(bench.now, two, "8")
    rows = times(bench, 60)
    assert [body for _, group, body in rows if group == "7"] == one
    assert [body for _, group, body in rows if group == "8"] == two


def test_after_a_registration_a_round_comes_soon_and_not_for_every_one(bench, signer):
    _, bodies = signer.sign(PRICE)
    bench.core.publish_signed(bench.now, bodies)
    times(bench, 600)
    bench.register(plug_values())
    bench.register(plug_values("0200000000000009"))
    assert [(at, body) for at, _, body in times(bench, 1200)] == [
        (SOON_S + i * GAP_S, body) for i, body in enumerate(bodies)]


def test_a_restart_goes_on(bench, signer):
    _, bodies = signer.sign(PRICE)
    bench.core.publish_signed(bench.now, bodies)
    bench.run(10)
    again = Bench(bench.storage, group="7")
    assert [body for _, _, body in times(again, 60)] == bodies


def test_a_clock_that_is_set_back_loses_no_round(bench, signer):
    _, bodies = signer.sign(PRICE)
    bench.core.publish_signed(bench.now, bodies)
    times(bench, 100)
    bench.now -= 86400
    bench.core.step(bench.now)
    assert [body for _, _, body in times(bench, REPEAT_S + 200)] == bodies


def test_a_clock_that_was_set_back_brings_no_round_forward(bench, signer):
    """A round that is closer than SOON_S comes when it was to come, also after the clock was set back."""
    _, bodies = signer.sign(PRICE)
    bench.core.publish_signed(bench.now, bodies)
    times(bench, 2 * GAP_S + REPEAT_S - 30)
    bench.core.step(bench.now)
    bench.now -= 86400
    bench.core.step(bench.now)
    bench.register(plug_values())
    assert times(bench, 120)[0][0] == 30


def test_a_device_that_joins_in_the_middle_has_it_after_a_round(bench, signer):
    """Core to agent: the last part first, a part lost, and the body is the one that was signed."""
    _, bodies = signer.sign(PRICE)
    got = []
    kept = {}

    class Store:
        get, put = staticmethod(kept.get), staticmethod(kept.__setitem__)

    device = Signed(signer.public, Store, Log(16), lambda now_s, buf, n: got.append(bytes(buf[:n])))
    bench.core.publish_signed(bench.now, bodies)
    bench.run(2 * GAP_S - 1)
    heard = []

    def hear(group, channel, body):
        heard.append(body)
        if len(heard) != 3:  # the second of the next round is lost
            device.receive(bench.now, body, len(body))

    bench.out._broadcast = hear
    for _ in range(2 * REPEAT_S + 200):
        bench.run(1)
        if device.due_s <= bench.now:
            device.step(bench.now)
    assert got == [PRICE] and len(heard) == 7


def test_a_home_of_devices_takes_a_signed_price_over_a_bad_link(signer):
    """Agents whole: a fifth of the packets lost, others doubled or late; a price of the EMD's own is refused by all."""

    class Signers(Home):
        association = {"agent": {"signed_key": signer.public.hex()}}  # noqa: RUF012

    revision, bodies = signer.sign(PRICE)
    home = Signers(count=4, loss=0.2, double=0.1, delay_s=20, seed=5)
    home.run(60)
    home.core.set_prices(home.now, PriceSeries(START, 3600, WINTER))
    home.core.publish_signed(home.now, bodies)
    home.run(2 * GAP_S - 1)
    assert [agent.policy.revision for agent in home.agents.values()] == [codes.ABSENT] * 4
    home.run(3 * REPEAT_S + 100)
    for agent in home.agents.values():
        assert agent.policy.revision == 1 and len(agent.policy._series) == 96
        assert agent.seats[0].signed.revision == revision and not agent.seats[0].signed.failures
        assert agent.log.counts["message.refused"] >= 1
