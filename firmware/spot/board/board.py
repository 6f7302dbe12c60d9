"""Builds a board: parts from a declarative description, drivers from the table here, pins and buses from the hardware
provider.

A driver is a file of its own with its FIELDS, what a description may say of it (a row in fields.py), and `make(part,
hardware, board, ticks_ms, name)`, which builds it from a checked part (`name`: its role, or its name among buses and
sensors); here it has a row in `_DRIVERS`. The provider is `machine` on a chip; see docs/architecture.md, "The hardware
provider".
"""

from ..codes import ABSENT
from ..port import ticks_ms as port_ticks_ms
from .trip import Trip

ROLES = ("relay", "meter", "button", "led", "sg_ready", "machine", "power_fail")
SENSORS = ("room", "outdoor", "flow", "hot_water", "device")


class Sensors:
    """Temperature sensors by what they measure: each None, or with `.value` in 0.01 °C (ABSENT: no reading)."""

    __slots__ = SENSORS

    def __init__(self):
        for name in SENSORS:
            setattr(self, name, None)


class Board:
    """The parts: `relay, meter, trip, button, led, sg_ready, machine, power_fail, sensors` (None where there is none;
    `meter` and `trip` always are), `buses` by name, `turns` (what poll calls), `warm` (this start was no power-on, as
    far as the provider can tell), and the ratings `power_w, current_ma, relay_cycles` (ABSENT where unknown), `name,
    model, isolated`.
    """

    def __init__(self, log):
        self.relay = self.button = self.led = self.sg_ready = self.machine = None
        self.meter = self.trip = self.power_fail = None
        self.sensors = Sensors()
        self.buses = {}
        self.turns = ()
        self.log = log
        self.maps = {}  # of Modbus registers, by name

    def poll(self):
        """Gives the parts their turn, every 50 ms or so. True when a sample or the button waits for `step`."""
        fresh = False
        for part in self.turns:
            if part.poll():
                fresh = True
        return fresh

    def close(self):
        """The program ends: a heat pump goes back to normal operation, a plug stays as it is."""
        if self.sg_ready is not None:
            self.sg_ready.close()
        for bus in self.buses.values():
            if hasattr(bus, "close"):
                bus.close()
        if self.relay is not None:
            self.relay.close()


# Drivers by the word in a description; each gives its `make`.
# Loaded on demand, so that a board's image holds its own only (spot_host.build).
def _gpio_relay():
    from .relay import make

    return make


def _latching_relay():
    from .latching_relay import make

    return make


def _zero_cross_relay():
    from .zero_cross import make

    return make


def _s0_meter():
    from .pulse import make

    return make


def _onewire():
    from .onewire import make

    return make


def _ds18b20():
    from .ds18b20 import make

    return make


def _ntc():
    from .ntc import make

    return make


def _ntc_table():
    from .ntc import make

    return make


def _power_fail():
    from .power_fail import make

    return make


def _bl0942():
    from .bl0942 import make

    return make


def _hlw8012():
    from .hlw8012 import make

    return make


def _cse7766():
    from .cse7766 import make

    return make


def _ade7953():
    from .ade7953 import make

    return make


def _direct_meter():
    from .direct import make_meter

    return make_meter


def _no_meter():
    from .direct import make_none

    return make_none


def _button():
    from .panel import make_button

    return make_button


def _led():
    from .panel import make_led

    return make_led


def _sg_ready():
    from .sg_ready import make

    return make


def _direct_machine():
    from .direct_machine import make

    return make


def _direct_sensor():
    from .direct import make_sensor

    return make_sensor


def _modbus_rtu():
    from .modbus import make

    return make


def _modbus_meter():
    from .modbus_meter import make

    return make


def _modbus_machine():
    from .modbus_machine import make

    return make


def _modbus_sensor():
    from .modbus_sensor import make

    return make


_DRIVERS = {
    "gpio_relay": _gpio_relay,
    "latching_relay": _latching_relay,
    "zero_cross_relay": _zero_cross_relay,
    "s0_meter": _s0_meter,
    "onewire": _onewire,
    "ds18b20": _ds18b20,
    "ntc": _ntc,
    "ntc_table": _ntc_table,
    "power_fail": _power_fail,
    "bl0942": _bl0942,
    "hlw8012": _hlw8012,
    "cse7766": _cse7766,
    "ade7953": _ade7953,
    "direct_meter": _direct_meter,
    "no_meter": _no_meter,  # where a description names none
    "button": _button,
    "led": _led,
    "sg_ready": _sg_ready,
    "direct_machine": _direct_machine,
    "direct_sensor": _direct_sensor,
    "modbus_rtu": _modbus_rtu,
    "modbus_meter": _modbus_meter,
    "modbus_machine": _modbus_machine,
    "modbus_sensor": _modbus_sensor,
}


def _modbus_maps():
    from .modbus_check import load_maps

    return load_maps


_BRING = {"modbus_rtu": _modbus_maps}


def bring(description, folder, load):
    """Has the drivers of the buses bring what a description names beside itself, from `folder` (register maps):
    load(path) → an object. None, or (file or None, field, what would be right) of the first thing that is wrong."""
    for part in description["parts"].get("buses", {}).values():
        load_maps = _BRING.get(part["driver"])
        wrong = load_maps()(description, folder, load) if load_maps else None
        if wrong:
            return wrong
    return None


def build(description, config, hardware, log):
    """The board of `description` (a checked board.json), with the device's `config["parts"]` over its parts
    (calibration).

    hardware: provider of `Pin`, `UART`, `Timer`, and of `meter`, `machine`, `sensor(name)` where a direct driver asks
    for one; its `ticks_ms`, if it has one, replaces the port's.
    """
    board = Board(log)
    ratings = description.get("ratings", {})
    board.name = description["name"]
    board.model = description.get("model", description["name"])
    board.isolated = description.get("isolated", False)
    board.relay_hold = description.get("relay_hold", False)
    board.warm = hasattr(hardware, "reset_cause") and hardware.reset_cause() != hardware.PWRON_RESET
    board.power_w = ratings.get("power_w", ABSENT)
    board.current_ma = ratings.get("current_ma", ABSENT)
    board.relay_cycles = ratings.get("relay_cycles", ABSENT)
    ticks_ms = getattr(hardware, "ticks_ms", port_ticks_ms)
    changes = config.get("parts", {})
    parts = description["parts"]
    board.maps = description.get("maps", board.maps)
    for name, part in parts.get("buses", {}).items():
        board.buses[name] = _make(part, hardware, board, ticks_ms, name)
    for name, part in parts.get("sensors", {}).items():
        setattr(board.sensors, name, _make(part, hardware, board, ticks_ms, name))
    for role in ROLES:  # in this order: the trip needs the relay, the meter the trip
        if role == "meter":
            board.trip = Trip(board.relay)
        part = parts.get(role)
        if part is None:
            continue
        if role in changes:
            part = dict(part)
            part.update(changes[role])
        setattr(board, role, _make(part, hardware, board, ticks_ms, role))
    if board.meter is None:
        board.meter = _make({"driver": "no_meter"}, hardware, board, ticks_ms, "meter")
    # the power's end comes before what can wait, a bus before a meter that hangs at it
    turns = [board.power_fail] + list(board.buses.values()) + [board.meter, board.relay, board.button, board.led]
    board.turns = tuple([part for part in turns if part is not None])
    log.info("board.built", len(parts))
    return board


def _make(part, hardware, board, ticks_ms, name):
    return _DRIVERS[part["driver"]]()(part, hardware, board, ticks_ms, name)
