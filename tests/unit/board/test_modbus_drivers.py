"""Meter, machine and sensor on Modbus, by their register maps, against slaves over physics; the maps themselves."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from modbus_rig import Rig  # noqa: E402

from spot.board.board import build  # noqa: E402
from spot.board.modbus import Modbus  # noqa: E402
from spot.board.modbus_check import check_map  # noqa: E402
from spot.board.modbus_machine import ModbusMachine  # noqa: E402
from spot.board.modbus_meter import ModbusMeter  # noqa: E402
from spot.board.modbus_sensor import ModbusSensor  # noqa: E402
from spot.codes import ABSENT  # noqa: E402
from spot.config import ConfigError, load_board  # noqa: E402
from spot.log import Log  # noqa: E402
from spot_sim.chips.modbus_devices import MAPS, HeatPumpSlave, MapSlave, MeterSlave, load_map  # noqa: E402
from spot_sim.chips.modbus_slave import ADDRESS, VALUE, Line, settle  # noqa: E402
from spot_sim.hardware import Hardware  # noqa: E402
from spot_sim.local_time import LocalCalendar  # noqa: E402
from spot_sim.physics.house import House  # noqa: E402
from spot_sim.physics.weather import Weather  # noqa: E402
from spot_sim.seeds import Seeds  # noqa: E402
from tests.unit.device.rig import Appliance, Mains  # noqa: E402

NAMES = sorted(path.stem for path in MAPS.glob("*.json"))
MACHINES = [name for name in NAMES if load_map(name)["kind"] == "machine"]
METERS = [name for name in NAMES if load_map(name)["kind"] == "meter"]


class Trip:
    def __init__(self):
        self.seen = []

    def check(self, *sample):
        self.seen.append(sample)


class Life:
    """Steps of a second each, polls every 50 ms in between, as on a chip."""

    def __init__(self, **options):
        self.rig = Rig(**options)
        self.now_s = 0
        self.drivers = []

    def run(self, seconds):
        fresh = 0
        for _ in range(seconds):
            self.now_s += 1
            for driver in self.drivers:
                fresh += bool(driver.sample(self.now_s))
            self.rig.run(1000, self.poll)
        return fresh

    def poll(self):
        for driver in self.drivers:
            driver.poll()


# --- the meter ------------------------------------------------------------------------------------------------------


def metered(name="sdm120", watts=1234.5, period_s=5, **options):
    life = Life(**options)
    load, mains, trip = Appliance(watts), Mains(), Trip()
    slave = life.rig.line.add(MeterSlave(7, name, life.rig.clock, load, mains))
    meter = ModbusMeter(life.rig.bus, trip, period_s, 7, load_map(name))
    life.drivers.append(meter)
    return life, load, mains, slave, meter, trip


@pytest.mark.parametrize("name", METERS)
def test_a_meter_says_what_the_load_draws(name):
    life, load, mains, slave, meter, trip = metered(name)
    mains.volts_10mv, mains.mhz = 23123, 49987
    assert life.run(12) == 3  # a round each period
    assert (meter.power_dw, meter.power_w) == (12345, 1235)
    assert meter.voltage_10mv == 23123 and abs(meter.frequency_mhz - 49987) <= 2
    assert abs(meter.current_ma - round(1234.5 * 100_000 / 23123)) <= 1
    assert trip.seen[-1] == (meter.current_ma, 1235, 23123)
    assert not meter.fault and meter.errors == 0
    assert meter.energy_export_wh == 0


def test_of_three_phases_the_largest_current_counts():
    life, load, mains, slave, meter, trip = metered("sdm630")
    rows = [row for row in slave.map["registers"] if row["name"] == "current_ma"]
    assert len(rows) == 3
    words, amps = slave._words, {rows[0]["address"]: 3000, rows[1]["address"]: 11000, rows[2]["address"]: 500}
    slave._words = lambda row, value: words(row, amps.get(row["address"], value))
    life.run(3)
    assert meter.current_ma == 11000


def test_a_meter_counts_energy_from_its_own_registers_since_boot():
    life, load, mains, slave, meter, trip = metered(watts=3600)
    life.run(4)
    assert meter.energy_wh == 0  # it counted 123456 Wh before
    life.run(602)
    assert abs(meter.energy_wh - 605) <= 1  # 1 Wh a second, the latest round at 606 s
    load.draw(life.rig.clock.now_s, 0)
    life.run(10)
    before = meter.energy_wh
    slave.base_wh -= 500  # a meter never goes back: it is another one
    life.run(10)
    slave.base_wh += 5_000_000  # and does not leap
    life.run(10)
    assert meter.energy_wh == before
    slave.base_wh += 700
    life.run(10)
    assert abs(meter.energy_wh - before - 700) <= 1


def test_a_silent_meter_is_faulty_and_comes_back():
    life, load, mains, slave, meter, trip = metered()
    life.run(6)
    slave.dead = True
    life.run(15)
    assert not meter.fault and meter.power_w == 1235  # a few rounds do not matter
    life.run(40)
    assert meter.fault and meter.voltage_10mv == ABSENT and meter.power_w == 1235
    samples = len(trip.seen)
    life.run(10)
    assert len(trip.seen) == samples  # the trip sees measurements only
    slave.dead = False
    life.run(20)
    assert not meter.fault and meter.voltage_10mv == 23000


def test_values_outside_the_map_s_range_are_absent():
    life, load, mains, slave, meter, trip = metered()
    mains.volts_10mv = 60000
    life.run(6)
    assert meter.voltage_10mv == ABSENT and meter.errors == 2 and meter.power_w == 1235
    load.draw(life.rig.clock.now_s, 50_000_000)
    life.run(5)
    assert meter.power_w == 1235 and meter.errors >= 4


def test_a_meter_through_noise():
    life, load, mains, slave, meter, trip = metered(period_s=2)
    fresh = 0
    for n in range(100):
        slave.corrupt, slave.double, slave.late, slave.noise = n % 3 == 0, n % 5 == 0, n % 7 == 0, bytes(n % 4)
        if n % 6 == 0:
            life.rig.line.babble(bytes(range(n % 9)))
        fresh += life.run(2)
        assert meter.power_dw in (0, 12345) and meter.voltage_10mv in (ABSENT, 23000)
    assert fresh > 70 and not meter.fault


# --- the machine ----------------------------------------------------------------------------------------------------


class Pump(MapSlave):
    """A heat pump that keeps what it is told in `told`."""

    def __init__(self, address, name, hardware):
        super().__init__(address, name, hardware)
        self.values = {"power_w": 1500, "compressor": 1, "defrost": 0, "hot_water_active": 0, "flow": 3500,
                       "return_flow": 3000, "hot_water": 4800, "outdoor": -700, "room": 2050, "error": 0}
        self.told = []

    def value(self, name):
        return self.values[name]

    def wrote(self, name, value):
        self.told.append((name, value))


def machine(name, **options):
    life = Life(**options)
    slave = life.rig.line.add(Pump(2, name, life.rig.clock))
    driver = ModbusMachine(life.rig.bus, 10, 2, load_map(name), life.rig.clock.ticks_ms)
    life.drivers.append(driver)
    return life, slave, driver


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_says_how_it_is(name):
    life, slave, driver = machine(name)
    assert driver.power_w == driver.compressor == driver.flow == ABSENT
    life.run(5)
    rows = {row["name"] for row in load_map(name)["registers"]}
    for quantity in ("power_w", "compressor", "defrost", "hot_water_active", "flow", "hot_water", "outdoor", "error"):
        assert getattr(driver, quantity) == (slave.values[quantity] if quantity in rows else ABSENT), quantity
    slave.values.update(compressor=0, defrost=1, hot_water_active=1, power_w=40, error=1)
    life.run(12)
    assert (driver.compressor, driver.defrost, driver.hot_water_active, driver.error) == (0, 1, 1, 1)


@pytest.mark.parametrize("name", MACHINES)
def test_a_fresh_machine_in_normal_operation_is_not_written(name):
    life, slave, driver = machine(name)
    life.run(60)
    wears = [row for row in load_map(name)["writes"] if row["wears"]]
    assert driver.wears == bool(wears)
    if wears:
        assert slave.written == 0 and driver.writes == 0
    life.run(3600)
    assert slave.written <= len(slave.writes)  # volatile ones at most once


def last(slave):
    return dict(slave.told)


@pytest.mark.parametrize("name", MACHINES)
def test_what_is_set_is_written_once_and_released(name):
    life, slave, driver = machine(name)
    life.run(5)
    driver.set_power_limit(2050)
    driver.set_offset(-200)
    driver.set_sg(3)
    driver.set_hot_water(5500)
    life.run(10)
    told = last(slave)
    want = {"lg_therma_v": None, "lg_therma_v_r290": 2000}.get(name, 2050)  # never above what was asked
    assert told.get("power_limit") == want
    assert told["offset"] == -200 and told["sg"] == 3
    assert told.get("power_limit_on", 1) == 1 and told.get("hot_water_set", 5500) == 5500
    assert driver.takes_hot_water == ("hot_water_set" in slave.writes)
    assert driver.limits_power == (want is not None) and driver.takes_offset and driver.takes_sg
    written = slave.written
    if driver.wears:
        assert driver.writes == written
        life.run(3600)
        assert slave.written == written  # kept: not written again
    driver.release()
    life.run(10)
    assert all(value == slave.writes[key]["normal"] for key, value in last(slave).items())
    assert driver.refusals == 0


@pytest.mark.parametrize("name", MACHINES)
def test_values_are_held_within_the_map_s_range(name):
    life, slave, driver = machine(name)
    life.run(5)
    driver.set_power_limit(1_000_000)
    driver.set_offset(-5000)
    life.run(10)
    for key, at in (("power_limit", 1), ("offset", 0)):
        row = slave.writes.get(key)
        assert row is None or slave.ours(row, slave.raw[key]) == row["range"][at]


def test_a_value_that_times_out_is_refreshed_and_falls_back_without_the_controller():
    life, slave, driver = machine("spot_sg")
    life.run(5)
    driver.set_power_limit(1800)
    for _ in range(60):
        life.run(60)
        slave.fall_back()
        assert last(slave)["power_limit"] == 1800 and slave.told.count(("power_limit", 1800)) <= 45
    life.drivers.clear()  # the controller dies
    life.run(299)
    slave.fall_back()
    life.run(2)
    slave.fall_back()
    assert last(slave)["power_limit"] == 65535 and slave.raw["power_limit"] == 65535


@pytest.mark.parametrize("name", MACHINES)
def test_after_a_silence_everything_is_asserted_again(name):
    life, slave, driver = machine(name)
    life.run(5)
    driver.set_power_limit(2000)
    driver.set_sg(4)
    life.run(10)
    slave.dead = True
    life.run(80)
    assert driver.fault and driver.power_w == driver.compressor == ABSENT
    driver.set_sg(3)  # decided meanwhile
    slave.raw.update({key: slave._normal(row) for key, row in slave.writes.items()})  # it was replaced, or reset
    slave.told.clear()
    slave.dead = False
    life.run(60)
    assert not driver.fault and driver.compressor == 1
    assert last(slave)["sg"] == 3
    if driver.limits_power:
        assert last(slave)["power_limit"] == 2000


def test_after_a_silence_what_still_stands_is_not_written():
    life, slave, driver = machine("daikin_homehub")
    life.run(5)
    driver.set_power_limit(2000)
    life.run(10)
    written = slave.written
    slave.dead = True
    life.run(120)
    slave.dead = False
    life.run(120)
    assert not driver.fault and slave.written == written == driver.writes == 1


def test_a_machine_that_forgot_unseen_is_told_again_but_not_for_ever():
    life, slave, driver = machine("lg_therma_v")
    life.run(5)
    driver.set_sg(1)
    life.run(10)
    assert driver.writes == 1
    for _ in range(60):  # somebody sets it back every minute, for an hour
        slave._reset("sg", slave.writes["sg"])
        life.run(60)
    assert 5 <= driver.writes <= 8
    life.run(700)
    assert last(slave)["sg"] == 1


def test_a_new_command_does_not_wait_for_that():
    life, slave, driver = machine("lg_therma_v")
    life.run(5)
    driver.set_sg(1)
    life.run(10)
    slave._reset("sg", slave.writes["sg"])
    life.run(70)
    driver.set_sg(4)
    life.run(3)
    assert last(slave)["sg"] == 4


def test_a_register_that_the_machine_does_not_have_is_refused_and_seldom_tried_again():
    life, slave, driver = machine("lg_therma_v_r290")
    take = slave.write

    def without_limit(function, register, values):
        if register in (24, 6):
            raise modbus_slave_refuse(ADDRESS)
        take(function, register, values)

    from spot_sim.chips.modbus_slave import Refuse as modbus_slave_refuse

    slave.write = without_limit
    read = slave.read

    def without_limit_read(function, register, count):
        if function in (1, 3) and register in (24, 6):
            raise modbus_slave_refuse(ADDRESS)
        return read(function, register, count)

    slave.read = without_limit_read
    life.run(5)
    driver.set_power_limit(2000)
    driver.set_sg(3)
    life.run(600)
    assert last(slave) == {"sg": 3}  # the others go on
    assert 2 <= driver.refusals <= 30 and driver.writes == 1


def test_writes_that_nobody_confirmed_count_too():
    life, slave, driver = machine("daikin_homehub", retries=2)
    life.run(5)
    slave.drop = 0
    driver.set_sg(3)
    answer = slave._spoil
    slave._spoil = lambda data: [] if data[1] == 6 else answer(data)
    life.run(3)
    assert slave.written == driver.writes >= 2  # each of the repetitions


@pytest.mark.parametrize("fault", ["corrupt", "drop", "late", "double", "strange", "short"])
def test_a_machine_through_faults(fault):
    life, slave, driver = machine("spot_sg")
    life.run(5)
    for n in range(40):
        setattr(slave, fault, 1)
        driver.set_power_limit(1000 + 50 * n)
        driver.set_sg(1 + n % 4)
        life.run(25)
        assert slave.raw["power_limit"] == 1000 + 50 * n and slave.raw["sg"] == 1 + n % 4
        assert driver.flow == 3500 and driver.outdoor == -700
    assert not driver.fault


def test_a_stuck_machine_keeps_its_values_and_a_brown_out_resets_it():
    life, slave, driver = machine("spot_sg")
    life.run(5)
    driver.set_sg(4)
    life.run(5)
    slave.stuck = True
    slave.values["power_w"] = 99
    life.run(20)
    assert driver.power_w == 1500
    slave.stuck = False
    slave.brown_out()
    assert slave.raw["sg"] == 2
    life.run(110)  # a refresh every 100 s
    assert slave.raw["sg"] == 4 and driver.power_w == 99


# --- the sensor -----------------------------------------------------------------------------------------------------


def test_a_sensor_is_one_register_of_a_machine():
    life = Life()
    slave = life.rig.line.add(Pump(2, "lg_therma_v", life.rig.clock))
    sensor = ModbusSensor(life.rig.bus, 30, 2, load_map("lg_therma_v"), "room")
    tank = ModbusSensor(life.rig.bus, 30, 2, load_map("lg_therma_v"), "hot_water")
    life.drivers += [sensor, tank]
    slave.values["hot_water"] = -6490  # what it says without a tank
    life.run(3)
    assert sensor.value == 2050 and tank.value == ABSENT
    life.run(90)
    assert not sensor.fault and tank.fault and tank.errors >= 3
    slave.dead = True
    life.run(45)
    assert sensor.value == 2050
    life.run(60)
    assert sensor.value == ABSENT and sensor.fault
    slave.dead = False
    life.run(40)
    assert sensor.value == 2050 and not sensor.fault


# --- the board ------------------------------------------------------------------------------------------------------


def test_a_board_with_everything_on_one_bus():
    hardware = Hardware()
    line = hardware.uarts[1] = Line(hardware)
    load = Appliance(900)
    line.add(MeterSlave(1, "sdm120", hardware, load))
    pump = line.add(Pump(2, "spot_sg", hardware))
    board = build(load_board("sim_modbus"), {}, hardware, Log(20))
    for now_s in range(1, 130):
        hardware.advance(now_s)
        board.meter.sample(now_s)
        board.machine.sample(now_s)
        for sensor in (board.sensors.room, board.sensors.outdoor, board.sensors.flow):
            sensor.sample(now_s)
        assert settle(hardware, board.buses["heating"], board.poll) < 900
        if now_s == 60:
            board.machine.set_sg(3)
    assert (board.meter.power_w, board.machine.power_w, board.sensors.room.value) == (900, 1500, 2050)
    assert board.sensors.outdoor.value == -700 and board.sensors.flow.value == 3500 and last(pump)["sg"] == 3
    board.close()


def test_closing_writes_normal_values_where_the_clock_is_real(monkeypatch):
    from spot.board import modbus_machine

    life, slave, driver = machine("lg_therma_v_r290")
    life.run(5)
    driver.set_sg(1)
    driver.set_power_limit(1000)
    life.run(10)
    assert slave.raw["sg"] == 1 and slave.raw["power_limit_on"] == 1
    monkeypatch.setattr(modbus_machine, "port_ticks_ms", driver._ticks_ms)
    monkeypatch.setattr(modbus_machine, "sleep_ms", lambda ms: life.rig.run(ms, lambda: None))
    life.rig.bus.close()
    assert slave.raw["sg"] == 2 and slave.raw["power_limit_on"] == 0


# --- maps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_map_is_right_and_says_where_it_is_from(name):
    found = load_map(name)
    assert check_map(found, name) is None
    assert found["title"] and all(found["source"].values())


def broken(change, name="spot_sg"):
    found = load_map(name)
    change(found)
    return check_map(found, name)


BAD = [
    (lambda m: m.pop("title"), "title"),
    (lambda m: m.update(name="other"), "name"),
    (lambda m: m.update(kind="car"), "kind"),
    (lambda m: m.update(colour=1), "colour"),
    (lambda m: m["source"].pop("published"), "source.published"),
    (lambda m: m["source"].update(version=""), "source.version"),
    (lambda m: m["serial"].update(baudrate=75), "serial.baudrate"),
    (lambda m: m.update(word_order="middle"), "word_order"),
    (lambda m: m.update(most=0), "most"),
    (lambda m: m.update(registers={}), "registers"),
    (lambda m: m.update(registers=[]), "registers"),
    (lambda m: m["registers"].append([]), "registers.10"),
    (lambda m: m["registers"][3].pop("name"), "registers.3.name"),
    (lambda m: m["registers"][3].update(name="colour"), "registers.3.name"),
    (lambda m: m["registers"][3].update(function=6), "registers.3.function"),
    (lambda m: m["registers"][3].update(address=65536), "registers.3.address"),
    (lambda m: m["registers"][3].update(type="float16"), "registers.3.type"),
    (lambda m: m["registers"][3].update(type="bit"), "registers.3.type"),
    (lambda m: m["registers"][3].update(scale=[0, 1]), "registers.3.scale"),
    (lambda m: m["registers"][3].update(scale=10), "registers.3.scale"),
    (lambda m: m["registers"][3].update(range=[5, 1]), "registers.3.range"),
    (lambda m: m["registers"][3].pop("range"), "registers.3.range"),
    (lambda m: m["registers"][3].update(absent=7), "registers.3.absent"),
    (lambda m: m["registers"][0].update(bit=16), "registers.0.bit"),
    (lambda m: m["registers"][0].update(values={"on": 1}), "registers.0.values"),
    (lambda m: m["writes"][1].update(function=4), "writes.1.function"),
    (lambda m: m["writes"][1].update(type="float32"), "writes.1.type"),
    (lambda m: m["writes"][1].pop("wears"), "writes.1.wears"),
    (lambda m: m["writes"][1].update(wears=1), "writes.1.wears"),
    (lambda m: m["writes"][1].pop("normal"), "writes.1.normal"),
    (lambda m: m["writes"][1].update(wears=True), "writes.1.timeout_s"),
    (lambda m: m["writes"][1].update(timeout_s=1), "writes.1.timeout_s"),
    (lambda m: m["writes"][1].update(range=[0, 70000]), "writes.1.range"),
    (lambda m: m["writes"][1].pop("range"), "writes.1.range"),
    (lambda m: m["writes"][1].update(values={}), "writes.1.values"),
    (lambda m: m["writes"][0].pop("values"), "writes.0.values"),
    (lambda m: m["writes"][0]["values"].pop("4"), "writes.0.values"),
    (lambda m: m["writes"][0].update(normal=3), "writes.0.normal"),
    (lambda m: m["writes"].append(m["writes"][0]), "writes"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_a_bad_map_is_refused_by_its_field(number):
    change, field = BAD[number]
    wrong = broken(change)
    assert wrong is not None and wrong[0] == field and wrong[1], wrong


def test_a_meter_s_map_measures_power_and_writes_nothing():
    assert broken(lambda m: m["registers"].pop(2), "sdm120")[0] == "registers"
    assert broken(lambda m: m.update(writes=[]), "sdm120")[0] == "writes"


def place(tmp_path, change):
    folder = tmp_path / "boards"
    (folder / "maps").mkdir(parents=True)
    (folder / "sim_modbus").mkdir()
    for path in MAPS.glob("*.json"):
        (folder / "maps" / path.name).write_text(path.read_text())
    description = json.loads((MAPS.parent / "sim_modbus" / "board.json").read_text())
    change(description["parts"], folder)
    (folder / "sim_modbus" / "board.json").write_text(json.dumps(description))
    return str(folder)


def torn(parts, folder):
    path = folder / "maps" / "spot_sg.json"
    path.write_text(path.read_text()[:-9])


def wrong_range(parts, folder):
    path = folder / "maps" / "spot_sg.json"
    found = json.loads(path.read_text())
    found["registers"][3]["range"] = [5, 1]
    path.write_text(json.dumps(found))


@pytest.mark.parametrize(("change", "file", "field"), [
    (lambda p, f: p["machine"].update(map="nobody"), "board.json", "parts.machine.map"),
    (lambda p, f: p["machine"].update(map="sdm120"), "board.json", "parts.machine.map"),
    (lambda p, f: p["meter"].update(map="spot_sg"), "board.json", "parts.meter.map"),
    (lambda p, f: p["sensors"]["room"].update(register="error"), "board.json", "parts.sensors.room.register"),
    (lambda p, f: p["sensors"]["room"].pop("register"), "board.json", "parts.sensors.room.register"),
    (lambda p, f: p["machine"].update(bus="cooling"), "board.json", "parts.machine.bus"),
    (lambda p, f: p["machine"].update(address=0), "board.json", "parts.machine.address"),
    (lambda p, f: p["buses"]["heating"].update(parity="mark"), "board.json", "parts.buses.heating.parity"),
    (lambda p, f: p["buses"]["heating"].update(tx=4, de_pin=4), "board.json", None),
    (torn, "maps/spot_sg.json", ""),
    (wrong_range, "maps/spot_sg.json", "registers.3.range"),
])
def test_a_board_that_names_a_wrong_map_is_refused(tmp_path, change, file, field):
    with pytest.raises(ConfigError) as refused:
        load_board("sim_modbus", place(tmp_path, change))
    assert refused.value.file.endswith(file) and (field is None or refused.value.field == field), refused.value


def test_a_value_that_a_machine_does_not_take_is_refused_there():
    life, slave, driver = machine("spot_sg")
    with pytest.raises(Exception, match=str(VALUE)):
        slave.write(6, 0, [9])


def test_two_parts_of_one_bus_share_what_is_known_of_a_slave():
    life, slave, driver = machine("spot_sg")
    assert life.rig.bus.slave(2) is life.rig.bus.slave(2)


# --- a heat pump over the physics of a house ------------------------------------------------------------------------


@pytest.mark.parametrize("name", MACHINES)
def test_a_house_does_what_its_heat_pump_is_told_over_modbus(name):
    calendar = LocalCalendar("2024-01-15")
    house = House(Seeds(4).child("house", 1), calendar, Weather(calendar))
    hardware = Hardware()
    line = Line(hardware)
    slave = line.add(HeatPumpSlave(9, name, hardware, house))
    bus = Modbus(line, hardware.ticks_ms, line.char_us)
    driver = ModbusMachine(bus, 10, 9, load_map(name), hardware.ticks_ms)

    def live(minutes):
        seen = []
        for _ in range(minutes * 6):
            now_s = hardware.now_s + 10
            hardware.advance(now_s)
            driver.sample(now_s)
            settle(hardware, bus, driver.poll, 5000, 20)
            driver.sample(hardware.now_s)
            settle(hardware, bus, driver.poll, 4000, 20)
            seen.append((driver.compressor, driver.power_w, house.power_w(hardware.now_s)))
        return seen

    seen = live(240)
    assert 1 in [row[0] for row in seen] and abs(driver.outdoor - house.outdoor_c(hardware.now_s) * 100) <= 10
    if "power_w" in {row["name"] for row in load_map(name)["registers"]}:
        assert all(abs(told - real) < 200 or told == ABSENT for _, told, real in seen[-30:])
    assert driver.flow != ABSENT and abs(driver.hot_water - house.hot_water_c(hardware.now_s) * 100) <= 20
    driver.set_sg(1)
    live(5)
    assert not house.compressor and max(row[2] for row in live(60)) < 100
    driver.release()
    assert max(row[2] for row in live(240)) > 500
    assert slave.raw["sg"] == slave.writes["sg"]["values"]["2"] and not driver.fault
