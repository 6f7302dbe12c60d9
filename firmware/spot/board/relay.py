"""A relay on a GPIO pin. (The one with two coils: latching_relay.py; one that waits for the mains: zero_cross.py.)

Each relay has `set(closed)` and `trip()` (opens at once); `closed`, as it was told; `switches` since boot; `held` (a
warm restart found it closed); `settle_ms`, after which the contact has moved and come to rest; `position`, what an
auxiliary contact says where one is wired (pin `sense` reads 1 while it is closed): 1, 0 or ABSENT.
"""

from ..codes import ABSENT

_SETTLE_MS = 20  # data sheets of 16 A relays: 10 to 15 to operate, and up to 5 of bounce


class Contact:
    """What all relays have in common."""

    def __init__(self, hardware, settle_ms, sense):
        self.settle_ms = settle_ms or _SETTLE_MS
        self.switches = 0
        self.closed = self.held = False
        self._sense = None if sense is None else hardware.Pin(sense, hardware.Pin.IN)

    @property
    def position(self):
        sense = self._sense
        return ABSENT if sense is None else sense.value()


class GpioRelay(Contact):
    """hold: the pin keeps its level over a reset, so it is read before it is driven, and nothing clicks."""

    def __init__(self, hardware, pin, active=1, hold=False, settle_ms=0, sense=None):
        super().__init__(hardware, settle_ms, sense)
        self._active = active
        if hold:
            found = hardware.Pin(pin)  # mode untouched: only look
            self.held = self.closed = found.value() == active
        self._pin = hardware.Pin(pin, hardware.Pin.OUT, value=active if self.closed else 1 - active)

    def set(self, closed):
        if closed == self.closed:
            return
        self.closed = closed
        self.switches += 1
        self._write()

    def _write(self):
        self._pin.value(self._active if self.closed else 1 - self._active)

    def trip(self):
        """Opens at once: one pin write, no allocation."""
        self._pin.value(1 - self._active)
        if self.closed:
            self.closed = False
            self.switches += 1

    def poll(self):
        pass

    def close(self):
        """The relay stays as it is: the end of a program is no reason to switch somebody's load."""


FIELDS = {
    "pin": (0, 255, True),
    "active": (0, 1, False),
    "settle_ms": (1, 1000, False),
    "sense": (0, 255, False),
}


def make(part, hardware, board, ticks_ms, name):
    # after a power-on the level of a pin that nobody has driven says nothing, and the contact is open
    return GpioRelay(
        hardware, part["pin"], part.get("active", 1), board.relay_hold and board.warm, part.get("settle_ms"),
        part.get("sense"),
    )
