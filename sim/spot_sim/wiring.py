"""The simulated chips that a board's description asks for, around a body: metering chip, Modbus meter and machine. A
board that has none of these has direct parts, which cost nothing (device.py).
"""

from spot_sim.chips.bl0942 import BL0942Chip
from spot_sim.chips.modbus_devices import HeatPumpSlave, MeterSlave
from spot_sim.chips.modbus_slave import Line, settle


class _Pump:
    """A house for its Modbus slave, moved through the body, which counts the edges."""

    def __init__(self, body):
        self._body = body
        self.set_sg_state = body.set_sg_state
        self.set_limit_w = body.set_power_limit
        self.set_hot_water_c = lambda now_s, c: body.set_hot_water(now_s, None if c is None else round(c * 100))

    def set_offset_k(self, now_s, kelvin):
        self._body.set_offset(now_s, round(kelvin * 100) or None)

    def __getattr__(self, name):
        return getattr(self._body.house, name)


class Wiring:
    """`step(app, now_s)` after each step of the firmware: what a bus needs within the second; True when the firmware
    wants another step at once."""

    def __init__(self, hardware, parts, body):
        self._hardware, self._body = hardware, body
        self.pump = self._bus = None
        lines = {}
        for name, bus in parts.get("buses", {}).items():
            lines[name] = hardware.uarts[bus["uart"]] = Line(hardware, bus["baudrate"])
            self._bus = name
        meter, machine = parts["meter"], parts.get("machine", {})
        if meter["driver"] == "bl0942":
            self.chip = hardware.uarts[meter["uart"]] = BL0942Chip(hardware, body.load, body)
        elif meter["driver"] == "modbus_meter":
            self.chip = lines[meter["bus"]].add(MeterSlave(meter["address"], meter["map"], hardware, body.load, body))
        if machine.get("driver") == "modbus_machine":
            slave = HeatPumpSlave(machine["address"], machine["map"], hardware, _Pump(body))
            self.pump = lines[machine["bus"]].add(slave)
        self._button = parts.get("button", {}).get("pin")
        self.power_on()

    def power_on(self):
        """Nobody presses the button; the machine has restarted with the mains."""
        if self._button is not None:
            self._hardware.line(self._button).level = 1
        if self.pump is not None:
            self.pump.brown_out()

    def advance(self, now_s):
        """Time goes on to the second, but never back: a bus has had its milliseconds."""
        if now_s * 1000 > self._hardware.now_ms:
            self._hardware.advance(now_s)

    def step(self, app, now_s):
        due = False
        if self.pump is not None:
            self.pump.dead = self._body.machine_silent
            self.pump.fall_back()
        if self._bus is not None and app.board.buses:
            def poll():
                nonlocal due
                due = app.poll(now_s) or due

            settle(self._hardware, app.board.buses[self._bus], poll)
        return due


def wire(hardware, description, body):
    """A Wiring for a board with chips, None where its parts are direct."""
    parts = description["parts"]
    if parts["meter"]["driver"] == "direct_meter":
        return None
    return Wiring(hardware, parts, body)
