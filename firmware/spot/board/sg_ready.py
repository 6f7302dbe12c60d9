"""SG-Ready: two relay contacts that tell a heat pump one of four states (bwp regulation for SG-Ready, version 2.0).

State 1 is 1:0 (lock), 2 is 0:0 (normal), 3 is 0:1 (recommended), 4 is 1:1 (forced). The contacts move one after the
other, in an order that never shows the pump a state that was not meant: 0:0 and 1:1 change through 0:1, 1:0 and 0:1
through 0:0.
"""

from ..codes import ABSENT
from ..port import const

NORMAL = const(2)
_FIRST_OF = (0, 1, 0, 0, 1)  # by state
_SECOND_OF = (0, 0, 0, 1, 1)
_DEADMAN_MS = const(30000)


class SgReady:
    """`set(state)`, `state` 1 to 4, `switches` (of both contacts, since boot). Boot and `close` give state 2, normal
    operation.

    timer: a machine.Timer or None. With one, the pump falls to normal operation when `feed` was not called for 30 to 60
    s: the controller's own loop is gone. A dead chip does the same, since its pins fall.

    senses: two pins that read 1 while an auxiliary contact of the relay says closed, or None. `position`: the state
    that they show, ABSENT where none are wired.

    How long a state is held is not decided here: the device's guard does, by its setting sg_hold_s.
    """

    def __init__(self, hardware, pins, active=1, timer=None, senses=None):
        self._senses = senses
        self._active = active
        self._pins = tuple(hardware.Pin(pin, hardware.Pin.OUT, value=1 - active) for pin in pins)
        self.state = NORMAL
        self.switches = 0
        self.lost = 0  # times the deadman let go
        self._fed = True
        if timer is not None:
            timer.init(period=_DEADMAN_MS, mode=timer.PERIODIC, callback=self._deadman)

    @property
    def position(self):
        senses = self._senses
        if senses is None:
            return ABSENT
        first, second = senses[0].value(), senses[1].value()
        return 4 if first and second else 1 if first else 3 if second else NORMAL

    def feed(self):
        self._fed = True

    def _deadman(self, timer):
        if not self._fed and self.state != NORMAL:
            self.lost += 1
            self.set(NORMAL)
        self._fed = False

    def _write(self, contact, closed):
        self._pins[contact].value(self._active if closed else 1 - self._active)
        self.switches += 1

    def set(self, state):
        """Raises ValueError for anything but 1 to 4."""
        if not 1 <= state <= 4:
            raise ValueError("SG-Ready state 1 to 4")
        first, second = _FIRST_OF[self.state], _SECOND_OF[self.state]
        to_first, to_second = _FIRST_OF[state], _SECOND_OF[state]
        # opening the first contact and closing the second lead through 0:0 or 0:1; opening the second while the first
        # closes must come before it, else 1:1 would show
        if first and not to_first:
            self._write(0, False)
            first = 0
        if second != to_second:
            self._write(1, to_second)
        if first != to_first:
            self._write(0, True)
        self.state = state

    def close(self):
        self.set(NORMAL)


def _wrong(part):
    """What is wrong with a part of the right fields: (field, what would be right), or None."""
    for name, other in (("first_sense_pin", "second_sense_pin"), ("second_sense_pin", "first_sense_pin")):
        if name in part and other not in part:
            return other, "given beside " + name
    return None


FIELDS = {
    "pins": "pins",
    "active": (0, 1, False),
    "timer": (-1, 15, False),
    "first_sense_pin": (0, 255, False),
    "second_sense_pin": (0, 255, False),
    "": _wrong,
}


def make(part, hardware, board, ticks_ms, name):
    timer = hardware.Timer(part["timer"]) if "timer" in part else None
    senses = None
    if "first_sense_pin" in part:
        kind = hardware.Pin
        senses = (kind(part["first_sense_pin"], kind.IN), kind(part["second_sense_pin"], kind.IN))
    return SgReady(hardware, part["pins"], part.get("active", 1), timer, senses)
