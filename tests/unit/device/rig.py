"""A plug and a heat pump on simulated hardware, at any second: what the tests of the devices stand on."""

from spot.board.board import build
from spot.codes import ABSENT, DECIDER_DEFAULT, DECIDER_SET_POINT
from spot.config import load_board
from spot.device.heat_pump import HeatPump
from spot.device.plug import Plug
from spot.log import Log
from spot.store import Store
from spot_sim.chips.bl0942 import BL0942Chip
from spot_sim.chips.contacts import RelayContact, SgReadyContacts
from spot_sim.flash import MemoryFs
from spot_sim.hardware import Hardware, LoadMeter, Sensor


class Mains:
    def __init__(self):
        self.volts_10mv = 23000
        self.mhz = 50000

    def voltage_10mv(self, now_s):
        return self.volts_10mv

    def frequency_mhz(self, now_s):
        return self.mhz


class Appliance:
    """A load of `watts` while it is supplied."""

    power_factor = 1.0

    def __init__(self, watts):
        self.watts = watts
        self.closed = True
        self._mj = 0.0
        self._at_s = 0

    def _settle(self, now_s):
        self._mj += self.power_w(now_s) * 1000 * (now_s - self._at_s)
        self._at_s = now_s

    def power_w(self, now_s):
        return float(self.watts) if self.closed else 0.0

    def energy_mj(self, now_s):
        self._settle(now_s)
        return int(self._mj)

    def set_supply(self, now_s, closed):
        self._settle(now_s)
        self.closed = closed

    def draw(self, now_s, watts):
        self._settle(now_s)
        self.watts = watts


class Bench:
    """One device that is stepped second by second; `alarms`, `overrides`, `calibrated` and `resets` are what it told
    the agent and the App. changes: fields of the board's description; its parts are added to the board's.
    """

    def __init__(self, kind, board, config, hardware, fs=None, changes=None):
        self.kind, self.board_name, self.config, self.hardware = kind, board, config, hardware
        self.fs = fs or MemoryFs()
        self.now_s = hardware.now_s
        self.alarms = []
        self.overrides = []
        self.calibrated = []
        self.resets = []
        self.changes = changes or {}
        self.safe_mode = False
        self.boot()

    def boot(self):
        self.log = Log(200)
        self.store = Store(self.fs, "s", self.log)
        description = load_board(self.board_name)
        description = {**description, **self.changes,
                       "parts": {**description["parts"], **self.changes.get("parts", {})}}
        self.board = build(description, {}, self.hardware, self.log)
        self.device = self.kind(self.board, self.config, self.store, self.log)
        self.device.on_alarm = lambda now_s, *row: self.alarms.append(row)
        self.device.on_override = lambda now_s, active: self.overrides.append(active)
        self.device.on_calibrated = lambda now_s, ref, reason: self.calibrated.append((ref, reason))
        self.device.on_factory_reset = lambda now_s: self.resets.append(now_s)
        if self.safe_mode:
            self.device.safe(0)

    def reboot(self, power_cut=False):
        if power_cut:
            self.hardware.power_cut()
            self.hardware.line(3).level = 1  # nobody holds the button
        else:
            self.hardware.restart()
        self.boot()
        self.ask()

    def step(self):
        self.hardware.advance(self.now_s)
        return self.device.step(self.now_s)

    def run(self, seconds):
        """Steps once a second, as a board with a fast meter does; the last step is at now_s."""
        for _ in range(seconds):
            self.now_s += 1
            self.step()

    def jump(self, seconds):
        """Lets time pass as an event-driven simulator does: steps only when the device asked for it."""
        end = self.now_s + seconds
        while self.now_s < end:
            self.now_s = min(end, self.now_s + self.step())
        self.step()

    def ask(self, kind=ABSENT, value=ABSENT, value2=ABSENT, limit_w=ABSENT, decider=None):
        if decider is None:
            decider = DECIDER_DEFAULT if kind == ABSENT and limit_w == ABSENT else DECIDER_SET_POINT
        self.hardware.advance(self.now_s)
        self.device.apply(self.now_s, kind, value, value2, limit_w, decider)

    def press(self, held_ms=200):
        """Presses and releases the button between two seconds, then steps."""
        line = self.hardware.line(3)
        line.drive(0)
        self.hardware.now_ms += 20
        self.device.poll(self.now_s)
        self.hardware.now_ms += held_ms
        line.drive(1)
        self.hardware.now_ms += 20
        self.device.poll(self.now_s)
        self.device.step(self.now_s)


def plug(config=None, watts=1000, board="unix", start_s=0, changes=None, sense=None, temperature=None):
    """sense: pin of an auxiliary contact; temperature: of the device, in 0.01 °C, where it has a sensor."""
    hardware = Hardware(start_s)
    changes = dict(changes or {})
    parts = changes["parts"] = dict(changes.get("parts", {}))
    if sense is not None:
        parts["relay"] = {"driver": "gpio_relay", "pin": 2, "sense": sense}
    if temperature is not None:
        parts["sensors"] = {"device": {"driver": "direct_sensor"}}
        hardware.sensors["device"] = Sensor(temperature)
    load, mains = Appliance(watts), Mains()
    hardware.uarts[0] = BL0942Chip(hardware, load, mains)
    hardware.meter = LoadMeter(load, mains)
    contact = RelayContact(hardware.line(2), load, sense=None if sense is None else hardware.line(sense))
    bench = Bench(Plug, board, config or {}, hardware, changes=changes)
    bench.load, bench.mains, bench.contact, bench.chip = load, mains, contact, hardware.uarts[0]
    bench.ask()  # the agent's first word: nothing
    bench.step()
    return bench


class Machine:
    """What a heat pump's own controller was told."""

    def __init__(self):
        self.limits = []
        self.offsets = []

    def set_power_limit(self, limit_w):
        self.limits.append(limit_w)

    def set_offset(self, offset):
        self.offsets.append(offset)


def pump(config=None, watts=2000, machine=True, start_s=0, board="unix_heat_pump"):
    hardware = Hardware(start_s)
    load = Appliance(watts)
    hardware.uarts[0] = BL0942Chip(hardware, load)
    hardware.meter = LoadMeter(load)
    hardware.machine = Machine() if machine else None
    hardware.sensors = {"room": Sensor(2100), "outdoor": Sensor(200), "flow": Sensor(3500)}
    settings = {"power_max_w": 6000, "steps": [1500, 3000, 4500]} if machine else {"power_max_w": 6000}
    settings.update(config or {})
    bench = Bench(HeatPump, board, settings, hardware)
    bench.load, bench.room, bench.flow = load, hardware.sensors["room"], hardware.sensors["flow"]
    bench.machine = hardware.machine
    bench.contacts = SgReadyContacts(hardware.line(2), hardware.line(3))
    bench.step()
    return bench
