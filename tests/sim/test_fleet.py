"""A fleet in virtual time: one seed is one history, the accounts are those of the physics, and the baseline is the
same household without control.
"""

import pytest

from spot_host.profile import codec
from spot_sim import fleet
from tests.sim.lab import DAY, HOUR, Lab, build, kinds

CARS = {"kind": "ev", "count": 2, "load": {"at_home_share": 1.0, "need_kwh": [8, 14]}}
STREET = [CARS, ("washing_machine", 2), ("fridge", 1), ("kettle", 1), ("heat_pump", 2)]
EVENT = {"site": "home", "start": "17:00", "end": "19:00", "limit_w": 4200}
BAD_LINK = {"loss": 0.2, "duplication": 0.1, "reordering": 0.1, "delay_ms": [10, 3000], "disconnects_per_day": 20}


def digest(seed, hours=5, **tables):
    world = fleet.World(build(STREET, seed=seed, **tables))
    world.run_until(hours * HOUR)
    return world.finish().digest


@pytest.mark.parametrize("tables", [{}, {"link": BAD_LINK, "reboots_per_day": 20}], ids=["good link", "bad link"])
def test_a_seed_is_a_history(tables):
    first = digest(5, **tables)
    assert digest(5, **tables) == first
    assert digest(6, **tables) != first


def test_every_octet_is_in_the_digest():
    digests = set()
    for octet in b"ab":
        world = fleet.World(build(STREET))
        world.receive(world.scenario.devices[0].eui, "telemetry", bytes((octet,)))
        digests.add(world.finish().digest)
    assert len(digests) == 2


def test_looking_changes_nothing():
    whole = fleet.World(build(STREET, seed=2))
    whole.run_until(8 * HOUR)
    steps = fleet.World(build(STREET, seed=2))
    while steps.next_s() <= 8 * HOUR:
        at_s = steps.next_s()
        steps.run_until(at_s)
        steps.run_until(at_s)  # a second time: nothing is left
    steps.run_until(8 * HOUR)
    assert steps.finish().digest == whole.finish().digest


@pytest.fixture(scope="module")
def day():
    """A day of a home under a limit, with every message held against the CDDL."""
    world = Lab(build(STREET, base_loads=[{}], limits=[EVENT]))
    world.run()
    return world


def test_energy_of_the_accounts_is_that_of_the_meters(day):
    metered_mj = sum(body.energy_mj(DAY) for body in day.bodies.values())
    based_mj = sum(base.load.energy_mj(DAY) for base in day._base)
    result = day.results["home"]
    assert sum(result.energy_j) * 1000 == pytest.approx(metered_mj + based_mj, rel=1e-9)
    assert sum(result.base_j) * 1000 == pytest.approx(based_mj, rel=1e-9)
    assert result.energy_j == day.result.energy_j  # all that there is, is the home


def test_the_emd_has_every_interval_of_every_device_and_they_add_up(day):
    start = fleet.Surroundings(day.scenario)
    for eui in sorted(day.bodies, key=lambda eui: day.devices[eui]._boot_s):
        body = day.bodies[eui]
        start.run_until(day.devices[eui]._boot_s)
        before_mj = start.bodies[eui].energy_mj(start.now_s)
        key = day.core.devices[eui].key
        rows = {seq: row for (k, _, seq), row in day.storage.intervals.items() if k == key}
        assert sorted(rows) == list(range(96))
        assert [row[0] for _, row in sorted(rows.items())] == [day.clock.start_utc + 900 * i for i in range(96)]
        sum_wh = sum(row[2] for row in rows.values())
        assert sum_wh == pytest.approx((body.energy_mj(DAY) - before_mj) / 3.6e6, abs=1.5)


def test_every_number_of_a_stream_came_once(day):
    for body in day.bodies.values():
        events, intervals = day.exactly_once(body.name)
        assert events == list(range(len(events)))
        assert intervals == list(range(96))


def test_the_sum_under_a_limit_is_of_those_that_it_is_about():
    """Limits that nothing can keep show what was summed: their worst is the peak of their devices and base load."""
    always = {"start": "00:00", "end": "24:00", "limit_w": 0}
    other = {"kind": "heat_pump", "site": "street"}
    tables = {"base_loads": [{"site": "home"}, {"site": "street"}]}
    limits = [{**always, "site": "home"}, {**always, "devices": ["heat_pump-1"]}, always]
    run = fleet.baseline(build([CARS, ("heat_pump", 1), other], limits=limits, **tables))
    home, pump, everything = run.result.limits
    assert home.worst_w == run.results["home"].peak_w < run.result.peak_w
    assert everything.worst_w == run.result.peak_w
    alone = fleet.baseline(build([{**CARS, "site": "x"}, ("heat_pump", 1), other], **tables | {"base_loads": []}))
    assert pump.worst_w == alone.results["home"].peak_w
    assert run.results["home"].limits == [home, pump] and run.results["street"].limits == []


def test_the_limit_is_kept_with_control_and_broken_without(day):
    kept, = day.results["home"].limits
    before, = fleet.baseline(day.scenario).results["home"].limits
    assert kept.kept and kept.settled_s <= 60
    assert before.over_s > 600 and before.worst_w > 4200


@pytest.mark.parametrize("limit_w", [4200, 6000])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_limit_alone_is_kept_to_the_second(seed, limit_w):
    """Without price plans everybody wants power in the evening: the split over the devices has to hold."""
    event = {**EVENT, "limit_w": limit_w}
    world = Lab(build(STREET, seed=seed, base_loads=[{}], limits=[event], emd={"plan_prices": False}))
    world.run_until(19 * HOUR + 300)
    world.finish()
    kept, = world.results["home"].limits
    assert (kept.over_s, kept.worst_w) == (0, 0) and kept.settled_s <= 60
    charging = [name for name in ("ev-1", "ev-2") if world.moves(name)]
    assert charging  # it was not for lack of demand
    for name in charging:
        assert world.moves(name)[-1][1] == 1 and world.moves(name)[-1][0] >= 19 * HOUR  # and it was given back


def test_the_baseline_is_the_same_household_without_commands(day):
    """The loads alone are what an EMD without prices and limits makes of the fleet, and both are one household."""
    alone = fleet.baseline(day.scenario)
    tame = Lab(day.scenario, control=False)
    tame.run()
    assert set(kinds([(t, m.values) for t, way, _, m in tame.said if m.name == "command"])) == {"unlimited"}
    assert not tame.edges
    assert tame.results["home"].energy_j == alone.results["home"].energy_j
    # the household does not answer control
    assert alone.results["home"].base_j == pytest.approx(day.results["home"].base_j)


def test_control_moves_load_away_from_dear_hours(day):
    before = fleet.baseline(day.scenario).result
    dear = [i for i, price in enumerate(before.prices) if price > 600]
    assert sum(day.result.energy_j[i] for i in dear) < 0.6 * sum(before.energy_j[i] for i in dear)
    assert day.result.cost_eur < before.cost_eur
    assert day.result.comfort_kept


def test_devices_elsewhere_are_routed_and_counted():
    world = Lab(build([{"kind": "ev", "runs": "micropython"}, ("fridge", 1)]))
    eui, = world.process_devices
    assert list(world.devices) == [world.eui("fridge-1")]
    sent, groups = [], []

    class Sender:
        def send(self, device, channel, body):
            sent.append((device, channel, codec.decode(body).name))

        def publish(self, group, channel, body):
            groups.append((group, channel, codec.decode(body).name))

    world.route(eui, Sender())
    world.route_groups(Sender())
    assert groups == [("1", "price", "price")]
    world.run_until(100)
    twin = Lab(build([("ev", 1), ("fridge", 1)]))
    twin.run_until(100)
    _, register = twin.messages("ev-1", "register")[0]
    world.receive(eui, "register", codec.encode("register", register))
    world.run_until(100)
    assert {(device, channel) for device, channel, _ in sent} == {(eui, "cmd")}
    assert [name for _, _, name in sent][:2] == ["registered", "command"]
    body = world.bodies[eui]
    body.set_relay(150, False)
    assert world.moves("ev-1") == [(150, 0)]
    result = world.finish()
    assert result.up_bytes["ev-1"] == len(codec.encode("register", register))
    assert result.messages["ev-1"] == 1 + len(sent)


