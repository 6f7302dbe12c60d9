"""Devices with real drivers in front of simulated chips, in the house of the other tables: `SensorHouse(kit)`.

A kit is a board and what hangs at it; behind the chips are a load of 2,000 W at 230 V and 50 Hz, or a heat pump that
keeps its temperatures.
"""

from spot.board_check import check_board
from spot.codes import ABSENT
from spot.config import load_board
from spot_host.profile import definition as d
from spot_sim.chips.ade7953 import ADE7953Chip
from spot_sim.chips.bl0942 import BL0942Chip
from spot_sim.chips.cse7766 import CSE7766Chip
from spot_sim.chips.modbus_devices import HeatPumpSlave, MeterSlave
from spot_sim.chips.modbus_slave import Line, settle
from spot_sim.chips.ntc import NtcDivider
from spot_sim.chips.onewire import Bus, DS18B20Chip, rom_of
from spot_sim.chips.pulse import S0Output
from spot_sim.hardware import LoadMeter
from tests.conftest import ROOT
from tests.sim.bad_input.house import PLUG, PUMP, House, Plug, names

_ALARMS = names("Alarm")
_OBJECTS = {row[0]: row[2] for row in d.OBJECTS}
_FREE = {"min_run_s": 0, "min_pause_s": 0, "sg_hold_s": 0}
TEMPERATURES = {"room": 21.0, "flow": 35.0, "outdoor": 1.0, "hot_water": 48.0}


class Mains:
    """`spikes`: {second: (10 mV, mHz)} of single seconds."""

    def __init__(self):
        self.volts_10mv, self.mhz, self.spikes = 23000, 50000, {}

    def voltage_10mv(self, now_s):
        return self.spikes.get(now_s, (self.volts_10mv, self.mhz))[0]

    def frequency_mhz(self, now_s):
        return self.spikes.get(now_s, (self.volts_10mv, self.mhz))[1]


class Odd:
    """A direct meter's source over another: what is in `lie` is said instead."""

    def __init__(self, source):
        self._source, self.lie = source, {}

    def sample(self, now_s):
        return self._source.sample(now_s)

    def __getattr__(self, name):
        return self.lie.get(name, getattr(self._source, name))


class Machine:
    """A heat pump that draws 2,000 W unless it is locked, for HeatPumpSlave."""

    hot_water = None
    heating_water = False
    power_factor = 1.0

    def __init__(self, edges):
        self.edges, self.state = edges, 2

    def power_w(self, now_s):
        return 0.0 if self.state == 1 else 2000.0

    def energy_mj(self, now_s):
        return int(self.power_w(now_s)) * 1000 * now_s

    @property
    def compressor(self):
        return self.state != 1

    flow_c = TEMPERATURES["flow"]

    def return_c(self):
        return 30.0

    def room_c(self, now_s):
        return TEMPERATURES["room"]

    def outdoor_c(self, now_s):
        return TEMPERATURES["outdoor"]

    def hot_water_c(self, now_s):
        return TEMPERATURES["hot_water"]

    def set_sg_state(self, now_s, state):
        if state != self.state:
            self.state = state
            self.edges.append((now_s, "SG-Ready %d" % state))

    def set_offset_k(self, now_s, kelvin):
        pass

    def set_limit_w(self, now_s, watts):
        pass


class Sensed(Plug):
    """A device of a kit. `chips`: what hangs at the board, by name; steps every `every_s`, at the least."""

    every_s = 1
    lazy = False  # it may miss what it asked to be woken for

    def __init__(self, house, eui, kit, **settings):
        self.chips, self.mains, self.bus = {}, Mains(), None
        board, fit = KITS[kit]
        super().__init__(house, eui, "sim_heat_pump" if kit.endswith("pump") else "sim", **settings)
        self.description = load_board(board, str(ROOT / "boards"))
        fit(self, self.description["parts"])
        maps = self.description.pop("maps", {})
        check_board(self.description)
        if maps:
            self.description["maps"] = maps

    def _milliseconds(self):
        self.hardware.advance(self.house.t)
        if self.app is not None:
            self.app.poll(self.now)
            if self.bus:
                settle(self.hardware, self.app.board.buses[self.bus], lambda: self.app.poll(self.now), step_ms=25)

    def step(self):
        self._milliseconds()
        if "machine" in self.chips:
            self.chips["machine"].fall_back()
        due_s = self.app.step(self.now)
        self.due = self.house.t + (self.every_s if self.lazy else min(self.every_s, due_s))

    def reading(self, name):
        """A reading by its name; None for none."""
        value = self.app.agent.device.readings[SLOTS[name]]
        return None if value == ABSENT else value


def _slots():
    from spot import codes

    return {name[2:].lower(): getattr(codes, name) for name in dir(codes) if name.startswith("R_")}


SLOTS = _slots()


# --- kits ------------------------------------------------------------------------------------------------------------


def _with_heat(plug, parts):
    """And the plug's own temperature, from a thermistor."""
    plug.hardware.adcs[26] = plug.chips["ntc"] = NtcDivider(40.0)
    parts["sensors"] = {"device": {"driver": "ntc", "pin": 26, "series": 10000, "r25": 10000, "beta": 3977}}


def _bl0942(plug, parts):
    plug.hardware.uarts[0] = plug.chips["meter"] = BL0942Chip(plug.hardware, plug.load, plug.mains)
    _with_heat(plug, parts)


def _small(plug, parts):
    """Of 2,500 W."""
    _bl0942(plug, parts)
    plug.description["ratings"]["power_w"] = 2500


def _cse7766(plug, parts):
    plug.hardware.uarts[0] = plug.chips["meter"] = CSE7766Chip(plug.hardware, plug.load, plug.mains)
    parts["meter"] = {"driver": "cse7766", "uart": 0}


def _ade7953(plug, parts):
    plug.chips["meter"] = ADE7953Chip(plug.hardware, plug.load, plug.mains)
    plug.hardware.i2cs[0].chips[0x38] = plug.chips["meter"]
    parts["meter"] = {"driver": "ade7953", "i2c": 0}


def _modbus_meter(plug, parts):
    line = plug.hardware.uarts[1] = plug.chips["line"] = Line(plug.hardware, 19200)
    plug.chips["meter"] = line.add(MeterSlave(1, "sdm120", plug.hardware, plug.load, plug.mains))
    parts["buses"] = {"meters": {"driver": "modbus_rtu", "uart": 1, "baudrate": 19200}}
    parts["meter"] = {"driver": "modbus_meter", "bus": "meters", "address": 1, "map": "sdm120", "period_s": 5}
    plug.description["maps"] = {"sdm120": plug.chips["meter"].map}
    plug.bus, plug.every_s = "meters", 5


def _direct(plug, parts):
    """And a direct sensor for its temperature."""
    plug.every_s = 5
    parts["meter"]["period_s"] = 5
    plug.hardware.meter = plug.chips["meter"] = Odd(LoadMeter(plug.load, plug.mains))
    parts["sensors"] = {"device": {"driver": "direct_sensor"}}
    plug.chips["device"] = plug.hardware.sensor("device")
    plug.chips["device"].value = 4000


def _direct_pump(pump, parts):
    pump.every_s = 10
    for name, celsius in (*TEMPERATURES.items(), ("device", 40.0)):
        parts["sensors"][name] = {"driver": "direct_sensor"}
        pump.chips[name] = pump.hardware.sensor(name)
        pump.chips[name].value = int(celsius * 100)
    pump.hardware.meter = pump.chips["meter"] = Odd(LoadMeter(pump.load, pump.mains))


def _wired_pump(pump, parts):
    """Its temperatures on 1-Wire, its power from S0 pulses."""
    pump.every_s = 5
    parts["buses"] = {"wire": {"driver": "onewire", "pin": 20, "period_s": 10}}
    parts["sensors"] = {}
    bus = pump.hardware.onewires[20] = pump.chips["bus"] = Bus()
    for n, (name, celsius) in enumerate(TEMPERATURES.items()):
        chip = pump.chips[name] = DS18B20Chip(pump.hardware, rom_of(n + 1), celsius)
        bus.sensors.append(chip)
        parts["sensors"][name] = {"driver": "ds18b20", "bus": "wire", "rom": chip.rom.hex()}
    parts["meter"] = {"driver": "s0_meter", "pin": 21, "per_kwh": 1000}
    pump.chips["meter"] = S0Output(pump.hardware.line(21), pump.load)
    pump.chips["meter"].start()


def _modbus_pump(pump, parts):
    pump.bus, pump.every_s = "heating", 10
    line = pump.hardware.uarts[1] = pump.chips["line"] = Line(pump.hardware)
    house = pump.chips["house"] = Machine(pump.load.edges)
    pump.chips["meter"] = line.add(MeterSlave(1, "sdm120", pump.hardware, house))
    pump.chips["machine"] = line.add(HeatPumpSlave(2, "spot_sg", pump.hardware, house))


KITS = {
    "bl0942": ("unix", _bl0942),
    "small": ("unix", _small),
    "cse7766": ("unix", _cse7766),
    "ade7953": ("unix", _ade7953),
    "modbus_meter": ("unix", _modbus_meter),
    "direct": ("sim", _direct),
    "pump": ("sim_heat_pump", _direct_pump),
    "wired_pump": ("unix_heat_pump", _wired_pump),
    "modbus_pump": ("sim_modbus", _modbus_pump),
}


class SensorHouse(House):
    """`looked`: the device of the kit, `eui` its identity."""

    def __init__(self, kit, **settings):
        pump = kit.endswith("pump")
        if not pump:
            self.kind = lambda house, eui, **more: Sensed(house, eui, kit, **more)
        super().__init__(settings=None if pump else settings)
        self.looked, self.eui = self.plug, PLUG
        if pump:
            self.looked, self.eui = Sensed(self, PUMP, kit, **_FREE, **settings), PUMP
            self.plugs[PUMP] = self.looked
            self.looked.boot()
            self.run(400)
            assert self.words(0) == ()  # who has not measured yet is not at fault
            del self.looked.load.edges[:]

    def quality(self):
        """Of all of its intervals at the EMD."""
        flags = 0
        for key, interval in self.storage.intervals.items():
            if key[0] == self.row(self.eui).key:
                flags |= interval[4]
        return flags

    def words(self, since):
        """What the device said: alarms with the object that they are about."""
        out = []
        for _, device, name, v in self.seen[since:]:
            if device == self.eui and name == "alarm":
                about = ""
                if _ALARMS[v["code"]] == "sensor_fault":
                    about = " of %s" % _OBJECTS[v["value"]]
                out.append("%s%s %s" % (_ALARMS[v["code"]], about, "raised" if v["raised"] else "cleared"))
        return tuple(out)
