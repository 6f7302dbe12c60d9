"""Bad configuration, once: what is wrong with it, and the one line that the device says before it ends with exit
code 2.

tests/unix/app/test_start.py runs ROWS as processes of MicroPython, and WHOLE in one; test_whole.py runs WHOLE on
CPython.
"""

import json
import shutil
from dataclasses import dataclass

from spot_sim.chips.onewire import rom_of
from tests.conftest import ROOT

OUTPUTS = ("relay", "pin")


class Place:
    """A configuration that is right, in `folder`, with everything that it names; a row spoils it before it is
    written."""

    def __init__(self, folder):
        self.folder, self.raw = folder, None
        self.boards = folder / "boards"
        shutil.copytree(ROOT / "boards", self.boards, ignore=shutil.ignore_patterns("*.md", "*.svg"))
        files = {name: folder / (name + ".der") for name in ("ca", "cert", "key")}
        for path in files.values():
            path.write_bytes(b"0")
        self.config = {
            "board": "unix", "boards": str(self.boards), "eui64": "0200000000000001", "store": str(folder / "store"),
            "mqtt": {"host": "127.0.0.1", "port": 1, "utility": "home", **{name: str(path) for name, path
            in files.items()}},
            "device": {}, "agent": {},
        }
        self.path = folder / "config.json"

    def write(self):
        """The configuration file, as it was spoiled."""
        if self.raw is None:
            self.path.write_text(json.dumps(self.config))
        elif self.raw is not False:
            self.path.write_bytes(self.raw)
        return self.path

    def text(self):
        return json.dumps(self.config).encode()

    def short(self, line):
        """`line` with the names of this place left out."""
        return line.replace(str(self.path), "config.json").replace(str(self.folder) + "/", "")


@dataclass
class Start:
    """what: the sentence; spoil(place); line: what is printed, by Place.short."""

    what: str
    spoil: object
    line: str


def _raw(make):
    def spoil(place):
        place.raw = make(place)
    return spoil


def _with(*path_and_value):
    *path, value = path_and_value

    def spoil(place):
        at = place.config
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = value
    return spoil


def _without(name):
    return lambda place: place.config.pop(name)


def _remove(name):
    return lambda place: (place.folder / name).unlink()


def _empty(name):
    return lambda place: (place.folder / name).write_bytes(b"")


def _torn_board(place):
    path = place.boards / "unix" / "board.json"
    path.write_bytes(path.read_bytes()[:100])


def _board(change, name="unix"):
    def spoil(place):
        place.config["board"] = name
        path = place.boards / name / "board.json"
        board = json.loads(path.read_text())
        change(board)
        path.write_text(json.dumps(board))
    return spoil


def _part(role, board="unix", **fields):
    """Another part, or other fields of one."""
    def change(description):
        parts = description["parts"]
        parts[role] = dict(fields) if "driver" in fields else {**parts[role], **fields}
    return _board(change, board)


def _bus(sensors, board="unix_heat_pump", **buses):
    return _board(lambda b: b["parts"].update(buses=buses, sensors=sensors), board)


def _map(change):
    """The meter's register map of board sim_modbus, spoiled."""
    def spoil(place):
        place.config["board"] = "sim_modbus"
        path = place.boards / "maps" / "sdm120.json"
        found = json.loads(path.read_text())
        other = change(found)
        path.write_text(other if isinstance(other, str) else json.dumps(found))
    return spoil


def _set(board="unix", **settings):
    def spoil(place):
        place.config["board"] = board
        place.config["device"] = settings
    return spoil


def _configured(role, board="unix", **fields):
    """Fields over the board's own, from the device's configuration."""
    def spoil(place):
        place.config["board"] = board
        place.config["parts"] = {role: fields}
    return spoil


ROWS = (
    Start("no configuration at all", _raw(lambda p: False),
          "config.json: cannot be read (errno 2)"),
    Start("an empty file", _raw(lambda p: b""),
          "config.json: is not JSON: torn or mistyped"),
    Start("a torn file", _raw(lambda p: p.text()[:150]),
          "config.json: is not JSON: torn or mistyped"),
    Start("a file of zeros, as a power cut leaves them", _raw(lambda p: bytes(300)),
          "config.json: is not JSON: torn or mistyped"),
    Start("octets that are no text", _raw(lambda p: b'{"eui64": "\xff\xfe"}'),
          "config.json: is not JSON: torn or mistyped"),
    Start("a list instead of an object", _raw(lambda p: b"[1, 2]"),
          "config.json: is not a JSON object"),
    Start("an unknown board", _with("board", "esp99"),
          "config.json: board: must be a board in boards/, not 'esp99'"),
    Start("a board whose name is a path", _with("board", "../unix"),
          "config.json: board: must be a name of letters, digits and _ (at most 32), not '../unix'"),
    Start("a torn board description", _torn_board,
          "boards/unix/board.json: is not JSON: torn or mistyped"),
    Start("a board with two parts on one pin", _board(lambda b: b["parts"]["led"].update(pin=2)),
          "boards/unix/board.json: parts.relay.pin: must be a pin of its own, not 2, which parts.led.pin has"),
    Start("a board without a meter", _board(lambda b: b["parts"].pop("meter")),
          "boards/unix/board.json: parts.meter: must be given: a plug has one"),
    Start("an EUI-64 that is too short", _with("eui64", "02000001"),
          "config.json: eui64: must be 16 hexadecimal digits, not '02000001'"),
    Start("no link", _without("mqtt"),
          "config.json: coap: must be given, or mqtt: where the EMD is, and what proves who it is"),
    Start("a missing key file", _remove("key.der"),
          "config.json: mqtt.key: must be a file that can be read: key.der is not"),
    Start("an empty key file", _empty("key.der"),
          "config.json: mqtt.key: must be a certificate or key: key.der is empty"),
    Start("a port that is none", _with("mqtt", "port", 70000),
          "config.json: mqtt.port: must be an integer from 1 to 65535, not 70000"),
    Start("a number in words", _with("device", "min_off_s", "ten"),
          "config.json: device.min_off_s: must be an integer from 0 to 86400, not 'ten'"),
    Start("a number out of its range", _with("device", "limit_grace_s", 0),
          "config.json: device.limit_grace_s: must be an integer from 1 to 600, not 0"),
    Start("true where a number belongs", _with("device", "min_on_s", True),
          "config.json: device.min_on_s: must be an integer from 0 to 86400, not True"),
    Start("a setting that does not exist", _with("device", "min_of_s", 10),
          "config.json: device.min_of_s: must be left out: no such setting"),
    Start("a field that does not exist", _with("agnet", {}),
          "config.json: agnet: must be left out: it is none of agent, associations, board, boards, coap, device, "
          "eui64, log, model, mqtt, parts, slots, store, update, watchdog, wifi"),
    Start("a bad number in the plan's defaults", _with("agent", "heartbeat_timeout", "two minutes"),
          "config.json: agent.heartbeat_timeout: must be an integer from 10 to 7200, not 'two minutes'"),
    Start("a default of the plan that does not exist", _with("agent", "heartbeat_tiemout", 120),
          "config.json: agent.heartbeat_tiemout: must be left out: it is none of lease, heartbeat, "
          "heartbeat_timeout, telemetry_interval, deadband, interval_length, failsafe_limit, failsafe_min, "
          "jitter, policy, policy_value, autonomous_cap, priority_ceiling, zone, zone_change, zone_next"),
    Start("a bad calibration", _with("parts", "meter", {"counts_per_v": "a lot"}),
          "config.json: parts.meter.counts_per_v: must be an integer from 1000 to 1000000, not 'a lot'"),
    Start("a calibration of a part that the board does not have", _with("parts", "metre", {"counts_per_v": 15000}),
          "config.json: parts.metre: must be left out: the board has no such part"),
    Start("a store that cannot be written", lambda p: _with("store", str(p.folder / "config.json/store"))(p),
          "config.json: store: must be a folder that can be made: config.json/store is not"),
)

_WIRE = {"driver": "onewire", "pin": 20}
_ROM = rom_of(1).hex()
_PLUG, _PUMP, _MODBUS = ("boards/%s/board.json: parts." % name for name in ("unix", "unix_heat_pump", "sim_modbus"))


def _probe(bus="wire", **fields):
    return {"driver": "ds18b20", "bus": bus, "rom": _ROM, **fields}


def _thermistor(**fields):
    return _board(lambda b: b["parts"].update(sensors={"device": {
        "driver": "ntc_table", "pin": 26, "series": 10000, **fields}}))


# What goes with what: each file is right by itself, or each field is
WHOLE = (
    # pins, UARTs, buses
    Start("a sensor at the relay's pin", _board(lambda b: b["parts"].update(sensors={"device": {
        "driver": "ntc", "pin": 2, "series": 10000, "r25": 10000, "beta": 3950}})),
        _PLUG + "sensors.device.pin: must be a pin of its own, not 2, which parts.relay.pin has"),
    Start("the two coils of a latching relay at one pin", _part("relay", driver="latching_relay", set_pin=5,
        reset_pin=5), _PLUG + "relay.set_pin: must be a pin of its own, not 5, which parts.relay.reset_pin has"),
    Start("both SG-Ready contacts at one pin", _part("sg_ready", "unix_heat_pump", pins=[2, 2]),
        _PUMP + "sg_ready.pins: must be a pin of its own, not 2, which parts.sg_ready.pins has"),
    Start("a bus's direction at its own TX", _board(lambda b: b["parts"]["buses"]["heating"].update(
        tx=4, rx=5, de_pin=4), "sim_modbus"),
        _MODBUS + "buses.heating.tx: must be a pin of its own, not 4, which parts.buses.heating.de_pin has"),
    Start("TX without RX", _part("meter", tx=4), _PLUG + "meter.rx: must be given: tx and rx go together"),
    Start("a pin as it is printed on the board", _part("relay", pin="GP15"),
        _PLUG + "relay.pin: must be an integer from 0 to 255, not 'GP15'"),
    Start("one UART for two buses, with other settings", _bus({}, a={"driver": "modbus_rtu", "uart": 1},
        b={"driver": "modbus_rtu", "uart": 1, "baudrate": 19200}),
        _PUMP + "buses.b.uart: must be a uart of its own, not 1, which parts.buses.a.uart has"),
    Start("one UART for a bus and a meter", _bus({}, a={"driver": "modbus_rtu", "uart": 0}),
        _PUMP + "meter.uart: must be a uart of its own, not 0, which parts.buses.a.uart has"),
    Start("a bus that is not there", _bus({"flow": _probe("wir")}, wire=_WIRE),
        _PUMP + "sensors.flow.bus: must be one of wire, not 'wir'"),
    Start("a sensor on a bus of another kind", _bus({"flow": _probe("a")}, a={"driver": "modbus_rtu", "uart": 1}),
        _PUMP + "sensors.flow.bus: must be a bus that ds18b20 can speak on, not a, which is modbus_rtu"),
    # drivers
    Start("a driver that does not exist", _part("meter", driver="bl0940"),
        _PLUG + "meter.driver: must be one of ade7953, bl0942, cse7766, direct_meter, hlw8012, modbus_meter, "
        "s0_meter, not 'bl0940'"),
    Start("a driver that is a list", _part("button", driver=["button"]),
        _PLUG + "button.driver: must be one of button, not ['button']"),
    Start("a field of another driver", _part("meter", scale_v=10000),
        _PLUG + "meter.scale_v: must be left out: bl0942 has no such field"),
    Start("a part that the device has no use for", _part("sg_ready", driver="sg_ready", pins=[7, 8]),
        _PLUG + "sg_ready: must be left out: a plug has none"),
    Start("a relay at a heat pump", _part("relay", "unix_heat_pump", driver="gpio_relay", pin=9),
        _PUMP + "relay: must be left out: a heat_pump has none"),
    Start("a room's sensor at a plug", _bus({"room": _probe()}, "unix", wire=_WIRE),
        _PLUG + "sensors.room: must be left out: a plug only uses device, its own temperature"),
    Start("a heat pump that nothing locks", _board(lambda b: (b["parts"].pop("sg_ready"), b["parts"].pop("machine")),
        "unix_heat_pump"), _PUMP + "sg_ready: must be given, or machine is: a heat_pump has one"),
    # sensors
    Start("two sensors bound to one ROM id", _bus({"flow": _probe(), "room": _probe(rom=_ROM.upper(), resolution=9)},
        wire=_WIRE), _PUMP + "sensors.room: must be another sensor than flow, which has this one"),
    Start("the only sensor of a bus, and another", _bus({"flow": _probe(), "room": _probe(rom="0" * 16)}, wire=_WIRE),
        _PUMP + "sensors.room: must be another sensor than flow, which has this one"),
    Start("a ROM id with a digit wrong", _bus({"flow": _probe(rom=_ROM[:-1] + "0")}, wire=_WIRE),
        _PUMP + "sensors.flow.rom: must be 28 (or 22), six octets and their checksum, or zeros for the only one, "
        "not '%s0'" % _ROM[:-1]),
    Start("two sensors at one register", _board(lambda b: b["parts"]["sensors"]["room"].update(
        register="flow", period_s=30), "sim_modbus"),
        _MODBUS + "sensors.room: must be another sensor than flow, which has this one"),
    Start("a register that the map does not have", _board(lambda b: b["parts"]["sensors"]["room"].update(
        register="kitchen"), "sim_modbus"),
        _MODBUS + "sensors.room.register: must be one of flow, return_flow, hot_water, outdoor, room, not 'kitchen'"),
    Start("a thermistor's table that rises", _thermistor(table=[[0, 100], [10, 200]]),
        _PLUG + "sensors.device.table: must be pairs of °C, ascending, and Ohm, falling: see pair 1"),
    Start("a thermistor's table that is none", _thermistor(table={"0": 100, "10": 50}),
        _PLUG + "sensors.device.table: must be a list of pairs, °C and Ohm"),
    # register maps
    Start("a map that does not exist", _part("meter", "sim_modbus", map="sdm121"),
        _MODBUS + "meter.map: must be a map in boards/maps/, not 'sdm121'"),
    Start("a machine's map for a meter", _part("meter", "sim_modbus", map="spot_sg"),
        _MODBUS + "meter.map: must be the map of a meter, not of a machine"),
    Start("a map whose name is a path", _part("meter", "sim_modbus", map="../../config"),
        _MODBUS + "meter.map: must be a name of letters, digits and _ (at most 32), not '../../config'"),
    Start("a torn map", _map(lambda m: "{"), "boards/maps/sdm120.json: is not JSON: torn or mistyped"),
    Start("a map that is no map", _map(lambda m: '{"power": 12}'), "boards/maps/sdm120.json: power: must be left out: "
        "it is none of name, title, kind, source, serial, word_order, most, gap, notes, registers, writes"),
    Start("a map with an address below 0", _map(lambda m: m["registers"][0].update(address=-1)),
        "boards/maps/sdm120.json: registers.0.address: must be an integer from 0 to 65535, not -1"),
    Start("a map that believes everything", _map(lambda m: m["registers"][0].pop("range")),
        "boards/maps/sdm120.json: registers.0.range: must be given: what is outside it is not believed"),
    Start("a meter's map without power", _map(lambda m: m.update(registers=[r for r in m["registers"] if
        r["name"] != "power_dw"])),
        "boards/maps/sdm120.json: registers: must be with power_dw among them: a meter measures power"),
    # times and ratings of the board
    Start("a watchdog shorter than the worst gap", _board(lambda b: b.update(watchdog_ms=2000, worst_gap_ms=2500)),
        _PLUG[:-6] + "watchdog_ms: must be above worst_gap_ms, 2500, not 2000"),
    Start("a watchdog, and no worst gap", _board(lambda b: b.update(watchdog_ms=2000)),
        _PLUG[:-6] + "worst_gap_ms: must be given, below watchdog_ms"),
    Start("a hold-up time without an input that says when", _board(lambda b: b.update(hold_up_ms=80)),
        _PLUG[:-6] + "hold_up_ms: must be left out: the board has no power_fail input to count it from"),
    Start("a rating in ampere", _board(lambda b: b["ratings"].update(current_a=16)),
        _PLUG[:-6] + "ratings.current_a: must be left out: no such setting"),
    Start("a board's calibration out of range", _part("meter", counts_per_v=999),
        _PLUG + "meter.counts_per_v: must be an integer from 1000 to 1000000, not 999"),
    # the device's configuration, with what the board is
    Start("a limit above the relay's rating", _set(over_current_ma=16001),
        "config.json: device.over_current_ma: must be at most 16000, the rating of the board, not 16001"),
    Start("a power above it", _set(over_power_w=3681),
        "config.json: device.over_power_w: must be at most 3680, the rating of the board, not 3681"),
    Start("a trip below its alarm", _set(over_voltage_10mv=25000),
        "config.json: device.over_voltage_10mv: must be above alarm_over_voltage_10mv, 25300, not 25000"),
    Start("a trip in °C", _set(over_temperature=85),
        "config.json: device.over_temperature: must be an integer from 4000 to 12000, not 85"),
    Start("a restore below the shed threshold", _set(shed_mhz=49900, shed_restore_mhz=49850),
        "config.json: device.shed_mhz: must be below shed_restore_mhz, 49850, not 49900"),
    Start("a minimum run longer than the longest block", _set("unix_heat_pump", min_run_s=3600, max_block_s=1800),
        "config.json: device.min_run_s: must be at most max_block_s, 1800, not 3600"),
    Start("a minimum pause longer than it", _set("unix_heat_pump", min_pause_s=3000, max_block_s=1800),
        "config.json: device.min_pause_s: must be at most max_block_s, 1800, not 3000"),
    Start("a minimum pause that no pump needs", _set("unix_heat_pump", min_pause_s=7200),
        "config.json: device.min_pause_s: must be an integer from 0 to 3600, not 7200"),
    Start("a longest block below the minimum run's default", _set("unix_heat_pump", max_block_s=300),
        "config.json: device.max_block_s: must be at least min_run_s, 600, not 300"),
    Start("a comfort band upside down", _set("unix_heat_pump", comfort_low=2400),
        "config.json: device.comfort_low: must be below comfort_high, 2300, not 2400"),
    Start("off by itself before it may", _set(min_on_s=600, auto_off_s=300),
        "config.json: device.min_on_s: must be at most auto_off_s, 300, not 600"),
    Start("a heat pump's setting at a plug", _set(min_run_s=600),
        "config.json: device.min_run_s: must be left out: no such setting"),
    Start("a device's own calibration out of range", _configured("meter", counts_per_kw=1),
        "config.json: parts.meter.counts_per_kw: must be an integer from 10000 to 10000000, not 1"),
    Start("another pin that is taken", _configured("relay", pin=25),
        "config.json: parts.relay.pin: must be a pin of its own, not 25, which parts.led.pin has"),
    Start("another driver than the board's", _configured("meter", driver="hlw8012"),
        "config.json: parts.meter.driver: must be left out: that is for the board's own description to say"),
    Start("a sensor that the configuration moves", _configured("sensors", "sim_modbus", room={"address": 3}),
        "config.json: parts.sensors: must be left out: that is for the board's own description to say"),
    Start("a calibration that the meter has not", _configured("meter", "sim_modbus", counts_per_v=15883),
        "config.json: parts.meter.counts_per_v: must be left out: modbus_meter has no such field"),
)
