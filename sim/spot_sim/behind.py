"""What is behind the pins of a device that is a process: its load, its meter chip, its contacts. The other end of boards/unix/stdio.py."""

from .chips.bl0942 import BL0942Chip
from .chips.contacts import RelayContact, SgReadyContacts
from .hardware import Hardware

_RELAY, _SG_FIRST, _SG_SECOND = 2, 2, 3  # pins of the boards unix and unix_heat_pump


class _Behind:
    """`inputs(t_s)`: what its sensors say, for a grant; `output(t_s, name, value)`: what its pins did."""

    def __init__(self, load, mains=None):
        self.load = load
        self.hardware = Hardware()
        self.chip = BL0942Chip(self.hardware, load, mains)

    def inputs(self, t_s):
        self.hardware.now_s = t_s
        return {"uart0": self.chip.frame().hex()}

    def output(self, t_s, name, value):
        self.hardware.now_s = t_s
        if name.startswith("pin"):
            self.hardware.line(int(name[3:])).drive(value)

    def power_w(self, t_s):
        """What the load draws, W."""
        return self.load.power_w(t_s)

    def next_change(self):
        """The next second at which it draws something else by itself."""
        return self.load.next_change()


class BehindPlug(_Behind):
    """A load behind a plug's relay; the device moves the contact."""

    def __init__(self, load, mains=None):
        super().__init__(load, mains)
        self.contact = RelayContact(self.hardware.line(_RELAY), load)

    @property
    def switches(self):
        """Operations of the contact."""
        return self.contact.operations


class BehindHeatPump(_Behind):
    """A house's heat pump with SG-Ready contacts, a power limit, an offset, and temperatures."""

    def __init__(self, house, mains=None):
        super().__init__(house, mains)
        line = self.hardware.line
        self.contacts = SgReadyContacts(line(_SG_FIRST), line(_SG_SECOND), house.set_sg_state)

    @property
    def switches(self):
        """States that the SG-Ready contacts showed."""
        return len(self.contacts.seen) - 1

    def inputs(self, t_s):
        values = super().inputs(t_s)
        house = self.load
        values["room"] = round(100 * house.room_c(t_s))
        values["outdoor"] = round(100 * house.outdoor_c(t_s))
        values["flow"] = round(100 * house.flow_c)
        return values

    def output(self, t_s, name, value):
        if name == "limit_w":
            self.load.set_limit_w(t_s, value)
        elif name == "offset":
            self.load.set_offset_k(t_s, 0 if value is None else value / 100)
        else:
            super().output(t_s, name, value)

    def room(self, t_s):
        """Room temperature in 0.01 °C."""
        return round(100 * self.load.room_c(t_s))
