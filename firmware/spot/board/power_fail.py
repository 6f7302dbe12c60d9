"""The power-fail input: a pin that says, while the supply's capacitors still hold, that the mains is gone.

What drives it is a comparator on the supply's input side or an optocoupler at the mains; how long is left from its edge
on is the description's `hold_up_ms`.
"""

from ..port import const, ticks_diff

_SPIKE_MS = const(2)  # shorter is none
_BACK_MS = const(500)  # the mains is back when it was there for so long


class PowerFail:
    """`failed`: latched from 2 ms after the edge, until the input was inactive for half a second; `since_ms`: ticks_ms
    of that edge.

    The edge is timed by the pin's interrupt: a spike that is over is none, and the `poll()` that comes at any time
    later knows at once. ticks_ms as the port's.
    """

    def __init__(self, pin, ticks_ms, active=0, irq=None):
        self._pin = pin
        self._ticks_ms = ticks_ms
        self._active = active
        self._low = False  # the input is active
        self._edge_ms = ticks_ms()
        self.failed = False
        self.since_ms = 0
        if irq is not None:
            pin.irq(self._edge, irq)
        self._edge(pin)

    def _edge(self, pin):
        low = pin.value() == self._active
        if low != self._low:
            self._low = low
            self._edge_ms = self._ticks_ms()

    def poll(self):
        self._edge(self._pin)  # also where no interrupt comes
        if self._low != self.failed:
            edge_ms = self._edge_ms
            if ticks_diff(self._ticks_ms(), edge_ms) >= (_SPIKE_MS if self._low else _BACK_MS):
                self.failed = self._low
                self.since_ms = edge_ms


FIELDS = {"pin": (0, 255, True), "active": (0, 1, False), "pull": ("up", "none")}


def make(part, hardware, board, ticks_ms, name):
    kind = hardware.Pin
    pin = kind(part["pin"], kind.IN, kind.PULL_UP if part.get("pull", "up") == "up" else None)
    return PowerFail(pin, ticks_ms, part.get("active", 0), kind.IRQ_RISING | kind.IRQ_FALLING)
