"""The panel: a button and a lamp. Which light means what: docs/drivers/panel.md."""

from ..codes import SWITCH_CLOSED, SWITCH_OVERRIDE, SWITCH_TRIPPED
from ..port import const, ticks_diff

SHORT = const(1)
LONG = const(2)
HELD = const(3)

_DEBOUNCE_MS = const(20)
_LONG_MS = const(3000)
_WINDOW_MS = const(6000)
_HELD_MS = const(10000)
_STUCK_MS = const(30000)

# what Led.mode takes
NORMAL = const(0)
NO_LINK = const(1)
PROVISIONING = const(2)
UPDATING = const(3)
SAFE_MODE = const(4)

_BEAT_MS = const(125)  # a pattern has 16 beats, the lowest bit first
_OFF = const(0x0000)
_ON = const(0xFFFF)
_TRIPPED = const(0x5555)  # fast
_OVERRIDE_ON = const(0xFFFA)  # on, with a double wink
_OVERRIDE_OFF = const(0x0005)  # off, with a double flash
_ARMED = (0x0F0F, 0x7777)  # provisioning's; on, with four winks
_IDENTIFY = const(0x3333)
_WINK = const(0x8000)  # without a link a steady light has one wink, none has one flash
_MODES = (0, 0, 0x0F0F, 0x00FF, 0x0015)  # from PROVISIONING on: half seconds, seconds, three flashes
_IDENTIFY_MS = const(10000)


class Button:
    """A push button: `poll()` often (50 ms), `take()` → 0, SHORT, LONG (3 s and more) or HELD (10 s: the factory
    reset), said when it is let go. 6 to 10 s are no event: `on_window()` is called instead, where it is set.

    `armed`: 1, held for 6 s, so that letting go calls that; 2, held for 10 s, so that letting go resets. `fault`: held
    for 30 s and still, it is stuck, or something leans on it: no event. One that was down at power-on says nothing
    until it has been let go.
    """

    on_window = None

    def __init__(self, hardware, ticks_ms, pin, active=0, pull="up"):
        kind = hardware.Pin
        self._pin = kind(pin, kind.IN, kind.PULL_UP if pull == "up" else None)
        self._active = active
        self._ticks_ms = ticks_ms
        self._raw = self._down = self._mute = self._pin.value() == active
        self._edge = self._since = ticks_ms()
        self._event = self.armed = 0
        self.fault = False
        self._pin.irq(self._moved, kind.IRQ_RISING | kind.IRQ_FALLING)

    def _moved(self, pin):
        raw = self._pin.value() == self._active
        if raw != self._raw:
            self._raw = raw
            self._edge = self._ticks_ms()

    def poll(self):
        """True when an event waits to be taken."""
        self._moved(None)  # also where no interrupt comes
        now = self._ticks_ms()
        held = ticks_diff(self._edge if self._raw != self._down else now, self._since)
        if self._raw != self._down:
            if ticks_diff(now, self._edge) >= _DEBOUNCE_MS:
                if self._down and not (self._mute or self.fault):
                    if _WINDOW_MS <= held < _HELD_MS:
                        if self.on_window is not None:
                            self.on_window()
                    else:
                        self._event = HELD if held >= _HELD_MS else LONG if held >= _LONG_MS else SHORT
                self._down = self._raw
                self._since = self._edge
                self._mute = self.fault = False
                self.armed = 0
        elif self._down and not self.fault:
            self.fault = held >= _STUCK_MS
            if self.fault or self._mute:
                self.armed = 0
            else:
                self.armed = 2 if held >= _HELD_MS else 1 if held >= _WINDOW_MS and self.on_window is not None else 0
        return self._event != 0

    def take(self):
        self.poll()
        event = self._event
        self._event = 0
        return event


class Led:
    """A lamp that shows the SWITCH_… flags of a reading (`show`), above them what the device is busy with (`mode`), and
    above all that the button is armed. button: whose `armed` it shows, or None.
    """

    def __init__(self, hardware, ticks_ms, pin, active=1, button=None):
        self._active = active
        self._pin = hardware.Pin(pin, hardware.Pin.OUT, value=1 - active)
        self._ticks_ms = ticks_ms
        self._button = button
        self._lit = 0
        self._state = 0
        self._mode = NORMAL
        self._identify = False
        self._since = 0

    def show(self, state):
        self._state = state
        self.poll()

    def mode(self, code):
        """NORMAL, NO_LINK, PROVISIONING, UPDATING or SAFE_MODE, until the next one."""
        self._mode = code

    def identify(self, on):
        """Blinks for ten seconds, or stops doing so."""
        self._identify = bool(on)
        self._since = self._ticks_ms()

    def poll(self):
        """Shows the beat that is due; wants to be called every 50 ms."""
        now = self._ticks_ms()
        state = self._state
        mode = self._mode
        if self._identify and ticks_diff(now, self._since) > _IDENTIFY_MS:
            self._identify = False
        if self._button is not None and self._button.armed:
            pattern = _ARMED[self._button.armed - 1]
        elif self._identify:
            pattern = _IDENTIFY
        elif state & SWITCH_TRIPPED:
            pattern = _TRIPPED
        elif mode >= PROVISIONING:
            pattern = _MODES[mode]
        elif state & SWITCH_OVERRIDE:
            pattern = _OVERRIDE_ON if state & SWITCH_CLOSED else _OVERRIDE_OFF
        else:
            pattern = _ON if state & SWITCH_CLOSED else _OFF
            if mode:
                pattern ^= _WINK
        lit = pattern >> now // _BEAT_MS % 16 & 1
        if lit != self._lit:
            self._lit = lit
            self._pin.value(self._active if lit else 1 - self._active)


_PIN = (0, 255, True)
BUTTON_FIELDS = {"pin": _PIN, "active": (0, 1, False), "pull": ("up", "none")}
LED_FIELDS = {"pin": _PIN, "active": (0, 1, False)}


def make_button(part, hardware, board, ticks_ms, name):
    return Button(hardware, ticks_ms, part["pin"], part.get("active", 0), part.get("pull", "up"))


def make_led(part, hardware, board, ticks_ms, name):
    return Led(hardware, ticks_ms, part["pin"], part.get("active", 1), board.button)
