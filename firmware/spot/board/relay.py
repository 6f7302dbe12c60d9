"""Relays on GPIO pins: a monostable one on a pin, and a latching one on two coils."""

from ..port import const, ticks_diff

_PULSE_MS = const(60)  # to move a latching relay; data sheets ask for 20 to 50
_REST_MS = const(200)  # between two pulses: the coil is not made for continuous duty


class GpioRelay:
    """`set(closed)`, `trip()`; `closed`, `switches` (since boot), `held` (it was found closed).

    hold: the pin keeps its level over a reset, so it is read before it is driven, and nothing clicks.
    """

    def __init__(self, hardware, pin, active=1, hold=False):
        self._active = active
        self.switches = 0
        self.closed = False
        self.held = False
        if hold:
            found = hardware.Pin(pin)  # mode untouched: only look
            self.held = self.closed = found.value() == active
        self._pin = hardware.Pin(pin, hardware.Pin.OUT, value=active if self.closed else 1 - active)

    def set(self, closed):
        if closed == self.closed:
            return
        self.closed = closed
        self.switches += 1
        self._pin.value(self._active if closed else 1 - self._active)

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


class LatchingRelay:
    """Two coils, a pulse each; the same interface. Ends its pulses in `poll`, so nothing blocks.

    sense: pin that reads 1 while the contact is closed (None: unknown after a reset, so it is opened).
    """

    def __init__(self, hardware, ticks_ms, set_pin, reset_pin, active=1, sense=None):
        self._ticks_ms = ticks_ms
        self._active = active
        self._coils = (
            hardware.Pin(reset_pin, hardware.Pin.OUT, value=1 - active),
            hardware.Pin(set_pin, hardware.Pin.OUT, value=1 - active),
        )
        self._pulse = -1  # coil under power
        self._since = ticks_ms() - _REST_MS
        self._due = -1  # coil to be pulsed when the rest is over
        self.switches = 0
        self.closed = False
        self.held = False
        if sense is not None:
            self.closed = self.held = hardware.Pin(sense, hardware.Pin.IN).value() == 1
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


_PIN = (0, 255, True)
_LEVEL = (0, 1, False)
GPIO_FIELDS = {"pin": _PIN, "active": _LEVEL}
LATCHING_FIELDS = {"set_pin": _PIN, "reset_pin": _PIN, "active": _LEVEL, "sense": (0, 255, False)}


def make_gpio(part, hardware, board, ticks_ms, name):
    # after a power-on the level of a pin that nobody has driven says nothing, and the contact is open
    return GpioRelay(hardware, part["pin"], part.get("active", 1), board.relay_hold and board.warm)


def make_latching(part, hardware, board, ticks_ms, name):
    return LatchingRelay(
        hardware, ticks_ms, part["set_pin"], part["reset_pin"], part.get("active", 1), part.get("sense")
    )
