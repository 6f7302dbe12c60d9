"""A heat-pump controller on board sim_modbus: machine, meter and sensors behind one bus, and a house behind them."""

import pytest

from spot.codes import ABSENT, ALARM_MACHINE_FAULT, KIND_SG_READY, R_OUTDOOR_TEMPERATURE, R_POWER, R_ROOM_TEMPERATURE
from spot.device.heat_pump import HeatPump
from spot_sim.chips.modbus_devices import HeatPumpSlave, MeterSlave
from spot_sim.chips.modbus_slave import Line, settle
from spot_sim.hardware import Hardware
from spot_sim.local_time import LocalCalendar
from spot_sim.physics.house import House
from spot_sim.physics.weather import Weather
from spot_sim.seeds import Seeds
from tests.unit.device.rig import Bench

CALENDAR = LocalCalendar("2024-01-15")


class Home:
    """`run(seconds)` steps every second; `fine`: polls every 10 ms in between, else once a second only."""

    def __init__(self, fine=True):
        self.fine = fine
        self.hardware = Hardware()
        self.line = self.hardware.uarts[1] = Line(self.hardware)
        self.house = House(Seeds(4).child("house", 1), CALENDAR, Weather(CALENDAR))
        self.meter = self.line.add(MeterSlave(1, "sdm120", self.hardware, self.house))
        self.pump = self.line.add(HeatPumpSlave(2, "spot_sg", self.hardware, self.house))
        self.bench = Bench(HeatPump, "sim_modbus", {"min_run_s": 0, "min_pause_s": 0, "sg_hold_s": 0}, self.hardware)
        self.bench.ask()

    def run(self, seconds):
        bench = self.bench
        for _ in range(seconds):
            bench.now_s += 1
            bench.step()
            if self.fine:
                settle(self.hardware, bench.board.buses["heating"], lambda: bench.device.poll(bench.now_s))
            self.pump.fall_back()


@pytest.mark.parametrize("fine", [True, False])
def test_a_command_reaches_the_machine_and_readings_come_back(fine):
    home = Home(fine)
    bench = home.bench
    home.run(300)
    readings = bench.device.readings
    assert abs(readings[R_POWER] - home.house.power_w(bench.now_s)) <= 60
    assert abs(readings[R_ROOM_TEMPERATURE] - home.house.room_c(bench.now_s) * 100) <= 10
    assert abs(readings[R_OUTDOOR_TEMPERATURE] - home.house.outdoor_c(bench.now_s) * 100) <= 10
    bench.ask(KIND_SG_READY, 3)
    home.run(120)
    assert home.pump.raw["sg"] == 3
    bench.ask()
    home.run(60)
    assert home.pump.raw["sg"] == 2
    bench.ask(limit_w=1500)
    home.run(60)
    assert home.pump.raw["power_limit"] == 1500
    home.run(900)
    assert home.house.power_w(bench.now_s) <= 1500 and home.pump.raw["power_limit"] == 1500


def test_a_dead_controller_leaves_a_machine_in_normal_operation():
    home = Home()
    home.run(60)
    home.bench.ask(limit_w=1500)
    home.run(60)
    assert home.pump.raw["power_limit"] == 1500
    for _ in range(310):  # nobody polls any more
        home.hardware.advance(home.hardware.now_s + 1)
    home.pump.fall_back()
    assert home.pump.raw["power_limit"] == 65535


def test_a_cut_bus_is_told_and_everything_is_as_it_was_after_it():
    home = Home()
    bench = home.bench
    home.run(60)
    bench.ask(limit_w=1500)
    home.run(60)
    home.pump.dead = True
    home.run(400)
    said = [row[1] for row in bench.alarms if row[0] == ALARM_MACHINE_FAULT]
    assert said == [True]
    assert home.pump.raw["power_limit"] == 65535  # by its own clock
    assert bench.board.machine.flow == ABSENT and bench.device.readings[R_POWER] != ABSENT  # the meter goes on
    home.pump.dead = False
    home.run(120)
    said = [row[1] for row in bench.alarms if row[0] == ALARM_MACHINE_FAULT]
    assert said == [True, False]
    assert home.pump.raw["power_limit"] == 1500


def test_an_orderly_end_releases_the_machine():
    home = Home()
    bench = home.bench
    home.run(60)
    bench.ask(limit_w=1500)
    home.run(60)
    bench.device.close()
    settle(home.hardware, bench.board.buses["heating"], bench.board.poll)
    assert bench.board.machine._rows[1].want == 65535
