"""SG-Ready: two relay contacts that tell a heat pump one of four states (bwp regulation for SG-Ready, version 2.0).

State 1 is 1:0 (lock), 2 is 0:0 (normal), 3 is 0:1 (recommended), 4 is 1:1 (forced). The contacts move one after the
other, in an order that never shows the pump a state that was not meant: 0:0 and 1:1 change through 0:1, 1:0 and 0:1
through 0:0.
"""

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
    """

    def __init__(self, hardware, pins, active=1, timer=None):
        self._active = active
        self._pins = tuple(hardware.Pin(pin, hardware.Pin.OUT, value=1 - active) for pin in pins)
        self.state = NORMAL
        self.switches = 0
        self.lost = 0  # times the deadman let go
        self._fed = True
        if timer is not None:
            timer.init(period=_DEADMAN_MS, mode=timer.PERIODIC, callback=self._deadman)

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
        # opening the first contact and closing the second lead through 0:0 or 0:1; opening the second while
        # the first closes must
        # come before it, else 1:1 would show
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


FIELDS = {"pins": "pins", "active": (0, 1, False), "timer": (-1, 15, False)}


def make(part, hardware, board, ticks_ms, name):
    timer = hardware.Timer(part["timer"]) if "timer" in part else None
    return SgReady(hardware, part["pins"], part.get("active", 1), timer)
