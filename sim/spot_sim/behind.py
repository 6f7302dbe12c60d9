"""What is behind the pins of a device that is a process: the other end of boards/unix/stdio.py, around a Body."""

from .chips.bl0942 import BL0942Chip
from .chips.contacts import SgReadyContacts
from .hardware import Hardware

_RELAY_PIN, _SG_PINS = 2, (2, 3)  # of the boards unix and unix_heat_pump
BOARDS = {"plug": "unix", "heat_pump": "unix_heat_pump"}


class Behind:
    """`inputs(t_s)`: what the sensors say, for a grant; `output(t_s, name, value)`: what the pins did, into the
    body."""

    def __init__(self, body, mains):
        self.body = body
        hardware = self.hardware = Hardware()
        self._chip = BL0942Chip(hardware, body.load, mains)
        if body.device_class == "plug":
            line = hardware.line(_RELAY_PIN)
            line.level = int(body.relay)
            line.watch(body.set_relay)
        else:
            SgReadyContacts(*(hardware.line(pin) for pin in _SG_PINS), body.set_sg_state)

    def inputs(self, t_s):
        self.hardware.now_s = t_s
        values = {"uart0": self._chip.frame().hex()}
        values.update(self.body.sensors(t_s))
        return values

    def output(self, t_s, name, value):
        self.hardware.now_s = t_s
        if name == "limit_w":
            self.body.set_power_limit(t_s, value)
        elif name == "offset":
            self.body.set_offset(t_s, value)
        elif name.startswith("pin"):
            self.hardware.line(int(name[3:])).drive(value)
