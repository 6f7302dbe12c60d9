"""Builds a board: parts from a declarative description, drivers from the table here, pins and buses from the hardware
provider.

A further driver is a class in a file of its own, a row in `_DRIVERS` and its fields in `FIELDS` (a pulse counter as
`meter`, 1-Wire under `sensors`, Modbus as `machine`). The provider is `machine` on a chip; see docs/architecture.md,
"The hardware provider".
"""

from ..codes import ABSENT
from ..port import ticks_ms as port_ticks_ms
from .trip import Trip

ROLES = ("relay", "meter", "button", "led", "sg_ready", "machine", "sensors")
SENSORS = ("room", "outdoor", "flow", "hot_water", "device")

_PIN = (0, 255, True)

# driver → fields: name → (smallest, largest, must be there); a tuple of words stands for a choice, "pins" for a pair
# of pins
FIELDS = {
    "gpio_relay": {"pin": _PIN, "active": (0, 1, False)},
    "latching_relay": {"set_pin": _PIN, "reset_pin": _PIN, "active": (0, 1, False), "sense": (0, 255, False)},
    "bl0942": {
        "uart": (0, 9, True),
        "tx": (0, 255, False),
        "rx": (0, 255, False),
        "baudrate": (4800, 38400, False),
        "address": (0, 3, False),
        "period_s": (1, 60, False),
        "counts_per_v": (1000, 1000000, False),
        "counts_per_a": (10000, 10000000, False),
        "counts_per_kw": (10000, 10000000, False),
        "irq": (0, 1, False),  # take frames in the UART's idle interrupt, where the port has one
    },
    "button": {"pin": _PIN, "active": (0, 1, False), "pull": ("up", "none")},
    "led": {"pin": _PIN, "active": (0, 1, False)},
    "sg_ready": {"pins": "pins", "active": (0, 1, False), "timer": (-1, 15, False)},
    "direct_meter": {"period_s": (1, 900, False)},
    "direct_sensor": {},
    "direct_machine": {},
}
# role → drivers that can play it
DRIVERS_OF = {
    "relay": ("gpio_relay", "latching_relay"),
    "meter": ("bl0942", "direct_meter"),
    "button": ("button",),
    "led": ("led",),
    "sg_ready": ("sg_ready",),
    "machine": ("direct_machine",),
    "sensors": ("direct_sensor",),
}


class Sensors:
    """Temperature sensors by what they measure: each None, or with `.value` in 0.01 °C (ABSENT: no reading)."""

    __slots__ = SENSORS

    def __init__(self):
        for name in SENSORS:
            setattr(self, name, None)


class Board:
    """The parts: `relay, meter, trip, button, led, sg_ready, machine, sensors` (None where there is none; `meter` and
    `trip` always are),
    `warm` (this start was no power-on, as far as the provider can tell), and the ratings `power_w, current_ma,
    relay_cycles` (ABSENT where unknown), `name, model, isolated`."""

    def __init__(self):
        self.relay = self.button = self.led = self.sg_ready = self.machine = None
        self.meter = self.trip = None
        self.sensors = Sensors()

    def poll(self):
        """Gives the parts their turn, every 50 ms or so. True when a sample or the button waits for `step`."""
        fresh = self.meter.poll()
        if self.relay is not None:
            self.relay.poll()
        if self.button is not None and self.button.poll():
            fresh = True
        if self.led is not None:
            self.led.poll()
        return fresh

    def close(self):
        """The program ends: a heat pump goes back to normal operation, a plug stays as it is."""
        if self.sg_ready is not None:
            self.sg_ready.close()
        if self.relay is not None:
            self.relay.close()


def _relay(part, hardware, board, ticks_ms):
    from .relay import GpioRelay

    # after a power-on the level of a pin that nobody has driven says nothing, and the contact is open
    return GpioRelay(hardware, part["pin"], part.get("active", 1), board.relay_hold and board.warm)


def _latching_relay(part, hardware, board, ticks_ms):
    from .relay import LatchingRelay

    return LatchingRelay(
        hardware, ticks_ms, part["set_pin"], part["reset_pin"], part.get("active", 1), part.get("sense")
    )


def _bl0942(part, hardware, board, ticks_ms):
    from . import bl0942

    options = {"baudrate": part.get("baudrate", 4800)}
    for name in ("tx", "rx"):
        if name in part:
            options[name] = hardware.Pin(part[name])
    return bl0942.BL0942(
        hardware.UART(part["uart"], **options),
        board.trip,
        part.get("period_s", 1),
        part.get("address", 0),
        part.get("counts_per_v", bl0942.COUNTS_PER_V),
        part.get("counts_per_a", bl0942.COUNTS_PER_A),
        part.get("counts_per_kw", bl0942.COUNTS_PER_KW),
        part.get("irq", 0) == 1,
    )


def _direct_meter(part, hardware, board, ticks_ms):
    from .direct import DirectMeter

    return DirectMeter(hardware.meter, board.trip, part.get("period_s", 60))


def _no_meter(part, hardware, board, ticks_ms):
    from .direct import NoMeter

    return NoMeter()


def _button(part, hardware, board, ticks_ms):
    from .panel import Button

    return Button(hardware, ticks_ms, part["pin"], part.get("active", 0), part.get("pull", "up"))


def _led(part, hardware, board, ticks_ms):
    from .panel import Led

    return Led(hardware, ticks_ms, part["pin"], part.get("active", 1))


def _sg_ready(part, hardware, board, ticks_ms):
    from .sg_ready import SgReady

    timer = hardware.Timer(part["timer"]) if "timer" in part else None
    return SgReady(hardware, part["pins"], part.get("active", 1), timer)


def _direct_machine(part, hardware, board, ticks_ms):
    return hardware.machine


_DRIVERS = {
    "gpio_relay": _relay,
    "latching_relay": _latching_relay,
    "bl0942": _bl0942,
    "direct_meter": _direct_meter,
    "no_meter": _no_meter,  # where a description names none
    "button": _button,
    "led": _led,
    "sg_ready": _sg_ready,
    "direct_machine": _direct_machine,
}


def build(description, config, hardware, log):
    """The board of `description` (a checked board.json), with the device's `config["parts"]` over its parts
    (calibration).

    hardware: provider of `Pin`, `UART`, `Timer`, and of `meter`, `machine`, `sensor(name)` where a direct driver asks
    for one; its `ticks_ms`, if it has one, replaces the port's.
    """
    board = Board()
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
    for role in ROLES:  # in this order: the trip needs the relay, the meter the trip
        if role == "meter":
            board.trip = Trip(board.relay)
        part = parts.get(role)
        if part is None:
            continue
        if role == "sensors":
            for name in part:
                setattr(board.sensors, name, hardware.sensor(name))
            continue
        if role in changes:
            part = dict(part)
            part.update(changes[role])
        setattr(board, role, _DRIVERS[part["driver"]](part, hardware, board, ticks_ms))
    if board.meter is None:
        board.meter = _DRIVERS["no_meter"](None, hardware, board, ticks_ms)
    log.info("board.built", len(parts))
    return board
