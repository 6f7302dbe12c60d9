"""A relay whose contact is moved at a zero crossing of the mains: less inrush, less wear.

A contact moves some milliseconds after its coil: the description states both delays, as measured, and the pin of a
zero-crossing detector with an edge at each crossing. The pin is written so long before a crossing as the delay is. The
wait is shorter than a half-wave, 10 ms; without recent edges (no mains, no detector) there is none. `trip` never waits.
"""

from ..port import const, ticks_diff
from ..port import ticks_us as port_ticks_us
from .relay import FIELDS as PLAIN
from .relay import GpioRelay

_RECENT_MS = const(25)
_LEAST_US = const(8000)  # half-waves of 45 to 62 Hz: other edges are noise
_MOST_US = const(11200)
_WRITE_MS = const(20)  # poll writes what a timer has not by then


class ZeroCrossRelay(GpioRelay):
    """As GpioRelay; `set` writes the pin up to 10 ms later, from a one-shot timer with a resolution of 1 ms.

    zero: the detector's pin. delays_ms: of opening and of closing.
    """

    def __init__(self, hardware, ticks_ms, ticks_us, zero, timer, delays_ms, pin, active=1, hold=False, settle_ms=0,
                 sense=None):
        super().__init__(hardware, pin, active, hold, settle_ms, sense)
        self._ticks_ms = ticks_ms
        self._ticks_us = ticks_us
        self._timer = timer
        self._delays_ms = delays_ms
        self._edge_us = 0
        self._half_us = 10000
        self._crossed_ms = ticks_ms()
        self._crossed = False
        self._due = False
        self._since_ms = 0
        self._callback = self._fire  # made once: switching allocates nothing
        zero.irq(self._zero, hardware.Pin.IRQ_RISING | hardware.Pin.IRQ_FALLING)

    def _zero(self, pin):
        """A crossing. Allocates nothing; runs as an interrupt."""
        now = self._ticks_us()
        half = ticks_diff(now, self._edge_us)
        if _LEAST_US <= half <= _MOST_US:
            self._half_us += (half - self._half_us) // 8
            self._crossed = True
        self._edge_us = now
        self._crossed_ms = self._ticks_ms()

    def set(self, closed):
        if closed == self.closed:
            return
        self.closed = closed
        self.switches += 1
        now_ms = self._ticks_ms()
        if not self._crossed or ticks_diff(now_ms, self._crossed_ms) > _RECENT_MS:
            self._crossed = False
            self._write()
            return
        since_us = ticks_diff(self._ticks_us(), self._edge_us) + self._delays_ms[1 if closed else 0] * 1000
        wait_ms = (self._half_us - since_us % self._half_us) // 1000  # floor: a little early bounces at low voltage
        if not wait_ms:
            self._write()
            return
        self._due = True
        self._since_ms = now_ms
        self._timer.init(period=wait_ms, mode=self._timer.ONE_SHOT, callback=self._callback)

    def _fire(self, timer):
        if self._due:
            self._write()

    def _write(self):
        self._due = False
        super()._write()

    def trip(self):
        self._due = False
        super().trip()

    def poll(self):
        if self._due and ticks_diff(self._ticks_ms(), self._since_ms) >= _WRITE_MS:
            self._write()

    def close(self):
        if self._due:
            self._write()


FIELDS = dict(PLAIN)
FIELDS.update({
    "zero_cross_pin": (0, 255, True),
    "close_delay_ms": (0, 50, True),
    "open_delay_ms": (0, 50, True),
    "timer": (-1, 15, False),
})


def make(part, hardware, board, ticks_ms, name):
    return ZeroCrossRelay(
        hardware, ticks_ms, getattr(hardware, "ticks_us", port_ticks_us),
        hardware.Pin(part["zero_cross_pin"], hardware.Pin.IN), hardware.Timer(part.get("timer", -1)),
        (part["open_delay_ms"], part["close_delay_ms"]), part["pin"], part.get("active", 1),
        board.relay_hold and board.warm, part.get("settle_ms"), part.get("sense"),
    )
