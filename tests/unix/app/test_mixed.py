"""One scenario twice over: devices as MicroPython processes over real sockets in lock-step, and the same simulated."""

import pytest

from spot_sim import scenario
from spot_sim.fleet import World
from spot_sim.mixed import MixedRun

_END_S = 2 * 3600
_START_S = 300  # a process starts cold and its relay falls first; a simulated device starts warm
_HOME = {
    "day": "2024-12-12",
    "seed": 3,
    "devices": [
        {"kind": "fridge", "name": "fridge", "runs": "micropython"},
        {"kind": "heat_pump", "name": "heating", "runs": "micropython", "link": "coap"},
        {"kind": "fridge", "name": "neighbour", "site": "street"},
    ],
    "base_loads": [{"site": "home"}],
    "limits": [{"site": "home", "start": "00:30", "end": "01:30", "limit_w": 600}],
}


def _processes(folder, link=None):
    home = scenario.from_dict(_HOME)
    world = World(scenario.linked(home, link) if link else home)
    with MixedRun(world, folder) as run:
        run.connect()
        run.run_until(_START_S)
        world.started = _edges(world)
        run.run_until(_END_S)
        members = run.lockstep.members.values()
        assert sum(m.lost_up + m.lost_down for m in members) == 0
        assert all(m.last.sent > 100 for m in members)
        # no group stands in their configuration: they listen to the one that the EMD named
        assert all(any("price.taken" in line for line in m.process.text) for m in members)
    world.finish()
    return world


def _simulated():
    world = World(scenario.from_dict(_HOME), all_simulated=True)
    world.run_until(_START_S)
    world.started = _edges(world)
    world.run_until(_END_S)
    world.finish()
    return world


def _edges(world):
    return {body.name: body.edges for body in world.bodies.values()}


@pytest.mark.parametrize("link", ["mqtt", "coap", None])
def test_a_history_over_real_sockets_repeats_to_the_octet(tmp_path, link):
    one, other = _processes(tmp_path / "one", link), _processes(tmp_path / "other", link)
    assert one.result.digest == other.result.digest
    assert one.results["home"].energy_j == other.results["home"].energy_j


@pytest.mark.parametrize("link", ["mqtt", "coap"])
def test_processes_do_what_simulated_devices_do(tmp_path, link):
    real, simulated = _processes(tmp_path / "home", link), _simulated()
    for site in ("home", "all"):
        here, there = real.results[site], simulated.results[site]
        assert abs(here.energy_kwh - there.energy_kwh) < 0.02 * there.energy_kwh
        assert here.commands == there.commands and here.alarms == there.alarms
    (limit,) = real.results["home"].limits
    assert limit.kept and simulated.results["home"].limits[0].kept
    here, there = ({n: c - w.started[n] for n, c in _edges(w).items()} for w in (real, simulated))
    assert here["heating-1"] > 0, "the limit never reached the heat pump"
    assert here == there
