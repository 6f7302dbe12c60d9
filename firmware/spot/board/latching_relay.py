"""A latching relay: two coils, set and reset, moved by pulses; it keeps its position without power."""

from ..port import const, ticks_diff
from .relay import Contact

_PULSE_MS = const(60)  # to move a latching relay; data sheets ask for 20 to 50
_REST_MS = const(200)  # between two pulses: the coil is not made for continuous duty


class LatchingRelay(Contact):
    """Two coils, a pulse each. Ends its pulses in `poll`, so nothing blocks.

    sense: without that pin the position is unknown after a reset, so it is opened.
    """

    def __init__(self, hardware, ticks_ms, set_pin, reset_pin, active=1, sense=None, settle_ms=0):
        super().__init__(hardware, settle_ms or _PULSE_MS, sense)
        self._ticks_ms = ticks_ms
        self._active = active
        self._coils = (
            hardware.Pin(reset_pin, hardware.Pin.OUT, value=1 - active),
            hardware.Pin(set_pin, hardware.Pin.OUT, value=1 - active),
        )
        self._pulse = -1  # coil under power
        self._since = ticks_ms() - _REST_MS
        self._due = -1  # coil to be pulsed when the rest is over
        self.closed = self.held = self.position == 1
        if not self.closed:
            self._due = 0
            self.poll()

    def set(self, closed):
        if closed == self.closed:
            return
        self.closed = closed
        self.switches += 1
        self._due = 1 if closed else 0
        self.poll()

    def trip(self):
        """Opens at once, whatever the coils are doing."""
        self._coils[1].value(1 - self._active)
        self._coils[0].value(self._active)
        self._pulse = 0
        self._due = -1
        self._since = self._ticks_ms()
        if self.closed:
            self.closed = False
            self.switches += 1

    def poll(self):
        """Ends a pulse and begins the next; wants to be called every 50 ms."""
        now = self._ticks_ms()
        if self._pulse >= 0:
            if ticks_diff(now, self._since) < _PULSE_MS:
                return
            self._coils[self._pulse].value(1 - self._active)
            self._pulse = -1
            self._since = now
        if self._due >= 0 and ticks_diff(now, self._since) >= _REST_MS:
            self._coils[self._due].value(self._active)
            self._pulse = self._due
            self._due = -1
            self._since = now

    def close(self):
        for coil in self._coils:
            coil.value(1 - self._active)


FIELDS = {
    "set_pin": (0, 255, True),
    "reset_pin": (0, 255, True),
    "active": (0, 1, False),
    "sense": (0, 255, False),
    "settle_ms": (1, 1000, False),
}


def make(part, hardware, board, ticks_ms, name):
    return LatchingRelay(
        hardware, ticks_ms, part["set_pin"], part["reset_pin"], part.get("active", 1), part.get("sense"),
        part.get("settle_ms"),
    )
