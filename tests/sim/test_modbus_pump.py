"""A heat pump behind its Modbus controller, from the EMD's command to the simulated machine: the master, its line with
its faults, the machine's registers and the house behind them. What is asserted is the machine's.
"""

import pytest

from spot.codes import ABSENT, KIND_OFFSET, KIND_SG_READY, OBJ_HOT_WATER_SETPOINT, OBJ_LEGIONELLA, REASON_NONE
from spot.device.heat_pump import HeatPump
from spot_sim.chips.modbus_devices import HeatPumpSlave, MeterSlave, load_map
from spot_sim.chips.modbus_slave import Line, settle
from spot_sim.hardware import Hardware
from spot_sim.local_time import LocalCalendar
from spot_sim.physics.house import House
from spot_sim.physics.weather import Weather
from spot_sim.seeds import Seeds
from tests.sim.lab import HOUR, Lab, build
from tests.unit.device.rig import Bench

FAULTS = ("corrupt", "drop", "short", "double", "late", "refuse", "strange")


class Day:
    """A world of one pump on board sim_modbus, in which one answer a minute is spoiled, each time another way."""

    def __init__(self):
        device = {"legionella_days": 2, "legionella_hour": 6, "sg_hold_s": 60, "min_run_s": 300, "min_pause_s": 300}
        row = {"kind": "heat_pump", "board": "sim_modbus", "device": device, "load": {"defrosts": True},
               "price_control": False}
        self.world = Lab(build([row], weather_offset_k=-2.0))
        self.body = next(iter(self.world.bodies.values()))
        self.name, self.house = self.body.name, self.body.house
        self.device = self.world.devices[self.body.eui]
        self.spoilt = 0
        self.most_w = 0  # since `most_w` was set to 0

    @property
    def machine(self):
        return self.device.wiring.pump

    @property
    def now_s(self):
        return self.world.now_s

    def run(self, seconds, until=None):
        """Until then, or until(): a minute a step."""
        end_s = self.now_s + seconds
        while self.now_s < end_s and not (until and until()):
            setattr(self.machine, FAULTS[self.spoilt % len(FAULTS)], 1)
            self.spoilt += 1
            self.world.run_until(min(end_s, self.now_s + 60))
            self.most_w = max(self.most_w, self.house.power_w(self.now_s))

    def command(self, kind, minutes, **values):
        return self.world.command(self.name, kind, duration=minutes * 60, **values)

    def raw(self, name):
        if self.device.app is None:  # the machine has its own clock
            self.device.hardware.advance(self.now_s)
        self.machine.fall_back()
        return self.machine.raw[name]


def test_a_day_of_commands_over_a_bad_line_at_a_machine_that_browns_out_and_falls_silent():
    day = Day()
    house = day.house
    day.run(1200)

    # a lock, refreshed for as long as it is asked for and no longer: the machine forgets it after 300 s
    lock = day.command("off", 60)
    day.run(420)
    for _ in range(9):
        assert day.raw("sg") == 1 and not house.compressor
        day.run(300)
    day.run(900)
    assert day.raw("sg") == 2
    assert day.world.states(day.name, lock.id)[-1][1] == "completed"

    # a limit: measured at the house; the machine browns out, and then the controller dies
    day.command("limit", 70, value=1600)
    day.run(300)
    day.most_w = 0
    day.run(600)
    assert day.raw("power_limit") == 1600 and day.most_w <= 1600
    day.machine.brown_out()
    assert day.raw("power_limit") == 65535
    day.run(180)
    assert day.raw("power_limit") == 1600, "told anew"
    day.device.reboot(off_s=900, power=False)
    day.run(240)
    assert day.raw("power_limit") == 1600, "for the machine's time"
    day.run(120)
    assert day.raw("power_limit") == 65535, "a controller that is dead limits nothing"
    day.run(840)
    assert day.raw("power_limit") == 1600, "back, what is still to be done is done"
    day.run(50 * 60)
    assert day.raw("power_limit") == 65535

    # set-points
    day.command("offset", 20, value=-150)
    day.run(180)
    assert day.raw("offset") == 0x10000 - 150 and day.body.offset_k100 == -150
    day.run(1200)
    assert day.raw("offset") == 0
    device = day.device.app.device
    assert device.write(day.now_s - day.device._boot_s, OBJ_HOT_WATER_SETPOINT, 5200) == REASON_NONE
    day.run(120)
    assert day.raw("hot_water_set") == 520
    day.command("sg_ready", 10, value=3)
    day.run(180)
    assert day.raw("sg") == 3 and day.raw("hot_water_set") == 630, "a boost brings the run forward"
    day.run(660)
    assert day.raw("sg") == 2

    # a silence in a lock
    day.command("off", 60)
    day.run(600)
    assert day.raw("sg") == 1 and day.raw("hot_water_set") == 520, "it gives way"
    day.body.machine_silent = True
    day.run(420)
    assert day.raw("sg") == 2, "nobody refreshes it"
    day.body.machine_silent = False
    day.run(600)
    assert day.raw("sg") == 1, "and then it is told again"
    day.run(HOUR)
    assert day.raw("sg") == 2 and day.raw("hot_water_set") == 520

    # the run against legionella in its hours, measured in the tank
    tank, above_s = house.hot_water, 0
    end_s = 11 * HOUR
    while day.now_s < end_s and above_s < 1800:
        day.run(60)
        above_s = above_s + 60 if tank.temperature_c >= 59 else 0
    assert above_s >= 1800
    day.run(1200, lambda: day.raw("hot_water_set") == 520)
    assert day.raw("hot_water_set") == 520 and device.read(OBJ_LEGIONELLA) < 900

    # a lock that is asked for in the midst of a defrost comes after it
    day.run(10 * HOUR, lambda: house.defrosting)
    day.run(60)  # it is asked every ten seconds
    assert house.defrosting
    day.command("off", 40)
    day.run(1200, lambda: not house.defrosting)
    assert day.raw("sg") == 2
    day.run(900)
    assert day.raw("sg") == 1 and not house.compressor
    assert house.broken_defrosts == 0 and house.defrost_count > 0
    bus = day.device.app.board.buses["heating"]
    assert bus.garbled > 20 and bus.timeouts > 20 and bus.refused > 10, "the line was bad"
    assert day.world.devices[day.body.eui].boots == 2


# --- machines that keep what they are told in flash -----------------------------------------------------------------


class Home:
    """A controller on a bench with a machine of another map. `run(seconds)` steps when the controller asks for it."""

    def __init__(self, map, writes):
        calendar = LocalCalendar("2024-01-15")
        self.hardware = Hardware()
        self.line = self.hardware.uarts[1] = Line(self.hardware)
        self.house = House(Seeds(4).child("house", 1), calendar, Weather(calendar))
        self.line.add(MeterSlave(1, "sdm120", self.hardware, self.house))
        self.pump = self.line.add(HeatPumpSlave(2, map, self.hardware, self.house))
        parts = {"machine": {"driver": "modbus_machine", "bus": "heating", "address": 2, "map": map, "period_s": 30},
                 "sensors": {}}
        config = {"min_run_s": 0, "min_pause_s": 0, "sg_hold_s": 0, "machine_writes_per_day": writes,
                  "machine_interval_s": 0}
        self.bench = Bench(HeatPump, "sim_modbus", config, self.hardware,
                           changes={"parts": parts, "maps": {name: load_map(name) for name in ("sdm120", map)}})
        self._clock()
        self.bench.ask()

    def _clock(self):
        self.bench.device.utc = lambda now_s: 300 * 86400 + now_s

    def run(self, seconds):
        bench = self.bench
        end_s = bench.now_s + seconds
        while bench.now_s < end_s:
            wait_s = min(10, bench.step())
            settle(self.hardware, bench.board.buses["heating"], lambda: bench.device.poll(bench.now_s))
            bench.now_s = min(end_s, bench.now_s + wait_s)
            if bench.now_s * 1000 > self.hardware.now_ms:
                self.hardware.advance(bench.now_s)

    def dies(self, seconds):
        """The controller is dead for a while; then it starts anew, and nobody has told it anything yet."""
        self.hardware.restart()
        self.bench.now_s += seconds
        self.hardware.advance(self.bench.now_s)
        self.bench.boot()
        self._clock()
        self.bench.ask()


WEARS = ("lg_therma_v_r290", "daikin_homehub")


@pytest.mark.parametrize("map", WEARS)
def test_a_day_writes_no_more_than_its_budget_whoever_asks_and_the_way_back_is_kept(map):
    home = Home(map, 12)
    home.run(300)
    told = home.pump.written
    for i in range(30):
        home.bench.ask(KIND_OFFSET, -300 + i % 2 * 500)
        home.pump.corrupt = i == 2
        home.run(60)
    home.bench.ask(KIND_SG_READY, 3, limit_w=2000)
    home.run(120)
    home.bench.ask()
    home.run(180)
    rows = home.pump.writes
    assert all(home.pump.raw[name] == home.pump._normal(rows[name]) for name in rows), home.pump.raw
    assert told == 0, "what stands there already is not written"
    assert 6 <= home.pump.written <= 12


@pytest.mark.parametrize("map", WEARS)
def test_what_a_dead_controller_leaves_behind_the_next_start_takes_back(map):
    home = Home(map, 50)
    home.run(60)
    home.bench.ask(KIND_OFFSET, -300, limit_w=3000)
    home.run(120)
    limit = home.pump.raw["power_limit"]
    assert home.pump.raw["offset"] != 0 and limit != home.pump._normal(home.pump.writes["power_limit"])
    home.dies(1800)
    assert home.pump.raw["offset"] != 0 and home.pump.raw["power_limit"] == limit, "these have no time-out"
    home.run(120)
    rows = home.pump.writes
    assert all(home.pump.raw[name] == home.pump._normal(rows[name]) for name in rows), home.pump.raw
    assert home.bench.device.read(OBJ_HOT_WATER_SETPOINT) == ABSENT
