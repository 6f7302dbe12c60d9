"""Devices of a scenario whose boards have real drivers, with simulated chips behind them: `board` of [[devices]]."""

import pytest

from spot_host.errors import UserError
from tests.sim.lab import ALARMS, ALWAYS_CHARGING, HOUR, Lab, build

PUMP = {"kind": "heat_pump", "board": "sim_modbus"}
CAR = {"kind": "ev", "board": "unix", "load": ALWAYS_CHARGING}
EVENT = {"site": "home", "start": "01:00", "end": "01:30", "limit_w": 1600, "base": False}


def test_a_modbus_pump_and_a_bl0942_plug_do_what_the_grid_asks_and_count_what_they_use():
    """A limit, a machine that falls silent, a power cut: what the EMD stores is what physics used."""
    world = Lab(build([PUMP, CAR], limits=[EVENT]))
    pump, car = (world.bodies[spec.eui] for spec in world.scenario.devices)
    world.run_until(HOUR + 300)
    for at_s in range(HOUR + 300, HOUR + 1500, 300):
        world.run_until(at_s)
        assert pump.power_w(at_s) + car.power_w(at_s) <= 1600
    assert {edge[2] for edge in world.edges if edge[1] == pump.name} >= {"limit"}, "through the machine's register"
    world.run_until(HOUR + 2400)
    pump.machine_silent = True
    world.run_until(HOUR + 3300)
    pump.machine_silent = False
    world.run_until(2 * HOUR + 600)
    said = [(ALARMS[m.values["code"]], m.values["raised"]) for _, what, _, m in world.said
            if what == "up" and m.name == "alarm"]
    assert ("machine_fault", 1) in said and ("machine_fault", 0) in said
    world.devices[pump.eui].reboot(off_s=5)
    world.devices[car.eui].reboot(off_s=5)
    end_s = 2 * HOUR + 1200
    world.run_until(end_s)
    for body in (pump, car):
        device = world.devices[body.eui].app.device
        assert device.counters.energy_wh == pytest.approx(body.energy_mj(end_s) / 3_600_000, abs=300)
        assert abs(device.readings[0] - body.power_w(end_s)) <= 60


@pytest.mark.parametrize(("row", "sentence"), [
    ({"kind": "ev", "board": "sim_modbus"}, "one of sim, unix"),
    ({"kind": "heat_pump", "board": "pico"}, "one of sim_heat_pump"),
    ({"kind": "ev", "board": "unix", "runs": "micropython"}, "left out"),
])
def test_a_board_that_cannot_be_is_refused(row, sentence):
    with pytest.raises(UserError, match="devices 1.board: " + sentence):
        build([row])
