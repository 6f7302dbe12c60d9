"""The panel: a button and a lamp."""

from ..codes import SWITCH_CLOSED, SWITCH_OVERRIDE, SWITCH_TRIPPED
from ..port import const, ticks_diff

SHORT = const(1)
LONG = const(2)

_DEBOUNCE_MS = const(30)
_LONG_MS = const(3000)
_BEAT_MS = const(125)  # a pattern has 16 beats

_OFF = const(0x0000)
_ON = const(0xFFFF)
_TRIPPED = const(0x5555)  # fast
_OVERRIDE_ON = const(0xFFFA)  # on, with a double wink
_OVERRIDE_OFF = const(0x0005)  # off, with a double flash
_STEADY = (0x0000, 0xFFFF)
_IDENTIFY = const(0x3333)
_IDENTIFY_MS = const(10000)


class Button:
    """A push button: `poll()` often (50 ms), `take()` → 0, SHORT or LONG (3 s and more, said when it is let go)."""

    def __init__(self, hardware, ticks_ms, pin, active=0, pull="up"):
        up = hardware.Pin.PULL_UP if pull == "up" else None
        self._pin = hardware.Pin(pin, hardware.Pin.IN, up)
        self._active = active
        self._ticks_ms = ticks_ms
        self._down = False
        self._since = 0
        self._event = 0

    def poll(self):
        """True when an event waits to be taken."""
        down = self._pin.value() == self._active
        if down != self._down:
            now = self._ticks_ms()
            held = ticks_diff(now, self._since)
            if down or held >= _DEBOUNCE_MS:
                self._down = down
                self._since = now
                if not down:
                    self._event = LONG if held >= _LONG_MS else SHORT
        return self._event != 0

    def take(self):
        self.poll()
        event = self._event
        self._event = 0
        return event


class Led:
    """A lamp that shows the SWITCH_… flags of a reading: on, off, a wink for an override, fast blinking for a trip."""

    def __init__(self, hardware, ticks_ms, pin, active=1):
        self._active = active
        self._pin = hardware.Pin(pin, hardware.Pin.OUT, value=1 - active)
        self._ticks_ms = ticks_ms
        self._lit = 0
        self._pattern = _OFF
        self._identify = False
        self._since = 0

    def show(self, state):
        if state & SWITCH_TRIPPED:
            self._pattern = _TRIPPED
        elif state & SWITCH_OVERRIDE:
            self._pattern = _OVERRIDE_ON if state & SWITCH_CLOSED else _OVERRIDE_OFF
        else:
            self._pattern = _ON if state & SWITCH_CLOSED else _OFF
        if self._pattern in _STEADY:
            self.poll()

    def identify(self, on):
        """Blinks for ten seconds, or stops doing so."""
        self._identify = bool(on)
        self._since = self._ticks_ms()

    def poll(self):
        """Shows the beat that is due; wants to be called every 50 ms."""
        pattern = self._pattern
        if self._identify or pattern not in _STEADY:
            now = self._ticks_ms()
            if self._identify:
                if ticks_diff(now, self._since) > _IDENTIFY_MS:
                    self._identify = False
                else:
                    pattern = _IDENTIFY
            pattern >>= now // _BEAT_MS % 16
        lit = pattern & 1
        if lit != self._lit:
            self._lit = lit
            self._pin.value(self._active if lit else 1 - self._active)


_PIN = (0, 255, True)
BUTTON_FIELDS = {"pin": _PIN, "active": (0, 1, False), "pull": ("up", "none")}
LED_FIELDS = {"pin": _PIN, "active": (0, 1, False)}


def make_button(part, hardware, board, ticks_ms, name):
    return Button(hardware, ticks_ms, part["pin"], part.get("active", 0), part.get("pull", "up"))


def make_led(part, hardware, board, ticks_ms, name):
    return Led(hardware, ticks_ms, part["pin"], part.get("active", 1))
