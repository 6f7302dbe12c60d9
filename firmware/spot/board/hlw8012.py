"""The HLW8012 and BL0937 energy meters: pulses whose frequency is the power (CF), and the current or the voltage (CF1).

Sources: HLW Technology, HLW8012 data sheet 1.3, section 3 (formulas), with V1 the voltage at the shunt, V2 at the
divider, Vref = 2.43 V and fosc = 3.579 MHz:
    CF = 48 V1 V2 / Vref^2 x fosc / 128    CF1 = 24 V1 / Vref x fosc / 512 (current), 2 V2 / Vref x fosc / 512 (voltage)
Shanghai Belling, BL0937 data sheet 1.02, section 2.4, with Vref = 1.218 V:
    CF = 1721506 V1 V2 / Vref^2            CF1 = 94638 V1 / Vref (current), 15397 V2 / Vref (voltage)
NOMINAL is that for 1 mOhm and 5 x 470 kOhm over 1 kOhm. SEL high is the current with an HLW8012, the voltage with a
BL0937 (as the boards that carry them are driven); `sel_current` says otherwise.

An interrupt takes the time of each rising edge. A value is edges over the time between the first and the last of them,
so it is as fine at 5 W as at 3 kW. Where no edge comes, it is at most what one edge since the latest would make: it
falls as 1 / time, and is 0 after 20 s (below 0.6 W with an HLW8012, 0.1 W with a BL0937). Energy is the edges
themselves, whatever the power shows.
"""

from ..codes import ABSENT
from ..port import const, ticks_diff
from ..port import ticks_us as port_ticks_us
from .calibration import Meter

CALIBRATED = ("uhz_per_v", "mhz_per_a", "pulses_per_kwh")
NOMINAL = {"hlw8012": (2447163, 69039, 348041), "bl0937": (5376952, 77700, 1776903)}

_MASK = const(0x3FFFFFFF)
_ZERO_US = const(20000000)  # without an edge: the value is 0
_QUICK_US = const(100000)  # of edges that the trip's values are made of, at least
_SETTLE_US = const(500000)  # after SEL turned, CF1 is neither the one nor the other
_VOLTAGE_US = const(1000000)  # then it is looked at for so long
_CURRENT_US = const(4000000)
_LEAST_MA = const(15)  # an edge a second; less of it, without power, is the time that CF1 was looked at
_MOST = (45000, 80000, 180000)  # 10 mV, mA, 0.1 W: more is noise on the line
_DEAD = const(2)  # turns of the voltage in a row without an edge: the chip does not measure


class Edges:
    """Edges of a pin, and the value that their frequency stands for. `edge` is the interrupt's handler: it allocates
    nothing.
    """

    def __init__(self, ticks_us, most):
        self._ticks_us = ticks_us
        self._most = most
        self.worth = (1, 1, 1)  # of `worth()`
        self.n = 0  # edges, modulo 2^30
        self._mark = self._quick_n = self._taken = 0  # how many when a window began, and at `take`
        self.first = self.last = self.value = self.count = 0
        self.restart(ticks_us())

    def edge(self, pin):
        n = self.n
        self.last = now = self._ticks_us()
        if n == self._mark:
            self.first = now
        self.n = (n + 1) & _MASK

    def restart(self, now):
        """What came before says nothing about what comes."""
        self._window()
        self._before = now
        self._whole = False  # `_before` is no edge
        self._quick_n = self._taken = self._mark
        self._quick_us = -1

    def _window(self):
        """A new window begins with the next edge."""
        while True:
            n = self._mark = self.n
            if self.n == n:  # else one came in between and did not see the mark: it is counted, but not timed
                return

    def _over(self, count, span):
        _, num, k = self.worth
        period = max(1, span * k // count)
        return (num + period // 2) // period

    def take(self, now):
        """The value over the edges since the latest call, kept in `value`; `count` of them, 0 if they are refused.
        False: there were more than there can be."""
        while True:
            n, first, last = self.n, self.first, self.last
            if n == self.n:
                break
        self.count = (n - self._taken) & _MASK
        self._taken = n
        count = (n - self._mark) & _MASK  # since the window began
        good = True
        if count:
            self._window()
            span = ticks_diff(last, first) if count > 1 else ticks_diff(last, self._before) if self._whole else 0
            self._before = last
            self._whole = True
            if span > 0:
                value = self._over(count - 1 if count > 1 else 1, span)
                good = value <= self._most
                if good:
                    self.value = value
            elif count > 1:
                good = False
            if not good:
                self.count = 0
        idle = ticks_diff(now, self._before)
        if idle >= _ZERO_US:
            self.value = 0
            self._before = now
            self._whole = False
        elif idle > 0 and self.value:
            self.value = min(self.value, self.worth[0] // idle)
        return good

    def quick(self):
        """The value over the edges since the latest call that had enough of them; -1: not yet enough."""
        n, last = self.n, self.last
        if n != self.n or n == self._quick_n:
            return -1
        if self._quick_us >= 0:
            span = ticks_diff(last, self._quick_us)
            if 0 <= span < _QUICK_US:
                return -1
            value = self._over((n - self._quick_n) & _MASK, span) if 0 < span < _ZERO_US else -1
        else:
            value = -1
        self._quick_n, self._quick_us = n, last
        return value if value <= self._most else -1


def worth(unit):
    """What Edges divide: value x µs between two edges, and that k times: small ints on 32-bit chips, up to 30 s
    between two edges."""
    k = 32
    while unit * k > _MASK >> 1:
        k >>= 1
    return unit, unit * k, k


class HLW8012(Meter):
    """`sample(now_s)` → True each period while the chip measures; then the values (`Meter`; no frequency, no sign: what
    flows out is measured as if it flowed in). The trip sees values over 100 ms at each `poll`, and while CF1 is the
    voltage, at least the current that the power needs. Edges that are more than there can be count in `errors`, and not
    as energy. Two turns of the voltage without an edge are a `fault`.

    cf, cf1: pins with `irq`; sel: a pin; sel_current: its level for the current.
    """

    def __init__(self, cf, cf1, sel, rising, ticks_us, trip, period_s=1, calibration=NOMINAL["hlw8012"], sel_current=1,
                 hard=False):
        self._ticks_us = ticks_us
        self._cf = Edges(ticks_us, _MOST[2])
        self._cf1 = Edges(ticks_us, 0)
        self._amps = True  # CF1 is the current; turned at once, the voltage is wanted first
        self._measures = self._again = True
        Meter.__init__(self, trip, period_s, calibration)
        self._sel = sel
        self._sel_current = sel_current
        self._dead = 0
        self._asked_s = ABSENT
        self._turn(ticks_us())
        if hard:  # at once, also while the loop runs Python: where the port has that
            cf.irq(self._cf.edge, rising, hard=True)
            cf1.irq(self._cf1.edge, rising, hard=True)
        else:
            cf.irq(self._cf.edge, rising)
            cf1.irq(self._cf1.edge, rising)

    def _scale(self, per_v, per_a, per_kwh):
        self._worth = worth(10**14 // per_v), worth(10**12 // per_a)
        self._cf.worth = worth(36 * 10**12 // per_kwh)
        self._cf1.worth = self._worth[self._amps]

    def _turn(self, now):
        """CF1 is the other one from now on."""
        amps = self._amps = not self._amps
        self._sel.value(self._sel_current if amps else 1 - self._sel_current)
        self._measures = False
        self._since_us = now
        self._cf1._most = _MOST[amps]
        self._cf1.value = 0 if not amps else max(0, self.current_ma)
        self._cf1.worth = self._worth[amps]

    def poll(self):
        """Lets the trip look, and turns SEL when it is time. False: a step is due each period, not before."""
        now = self._ticks_us()
        power_dw = self._cf.quick()
        current_ma = self._cf1.quick() if self._amps and self._measures else -1
        if power_dw >= 0 or current_ma >= 0:
            power_w = ABSENT
            if power_dw < 0:
                power_dw = self.power_dw
            else:
                power_w = (power_dw + 5) // 10
            self._trip.check(
                self._least(power_dw, self.current_ma if current_ma < 0 else current_ma), power_w, ABSENT
            )
        since = ticks_diff(now, self._since_us)
        if not self._measures:
            if since >= _SETTLE_US:
                self._cf1.restart(now)
                self._measures = True
                self._since_us = now
        elif since >= (_CURRENT_US if self._amps else _VOLTAGE_US):
            self._look(now)
            if self._again and not self._amps and self._trip.outside(self.voltage_10mv) and not self._dead:
                self._again = False  # the trip wants a second sample, not a turn later
                self._since_us = now
            else:
                self._again = True
                self._turn(now)
        return False

    def _least(self, power_dw, current_ma):
        """The current, not less than the power needs at this voltage."""
        if self.voltage_10mv > 0:
            return max(current_ma, power_dw * 10000 // self.voltage_10mv)
        return current_ma

    def _look(self, now):
        """Takes CF1's value as what it is."""
        edges = self._cf1
        if not edges.take(now):
            self.errors += 1
        elif self._amps:
            self.current_ma = edges.value
        elif edges.count > 1:
            self.voltage_10mv = edges.value
            self._dead = 0
            self._trip.check(ABSENT, ABSENT, edges.value)
        else:
            self.voltage_10mv = ABSENT  # a board without mains would not run
            self._dead += 1

    def sample(self, now_s):
        """Takes the values of the period. True when they are new."""
        self.poll()
        if self._asked_s != ABSENT and now_s - self._asked_s < self.period_s:
            return False
        self._asked_s = now_s
        now = self._ticks_us()
        edges = self._cf
        if not edges.take(now):
            self.errors += 1
        self._count(edges.count * 1000, self._calibration[2])
        if self._amps and self._measures and (
            self._cf1.n != self._cf1._taken or ticks_diff(now, self._since_us) >= _VOLTAGE_US
        ):
            self._look(now)
        if self._dead >= _DEAD:
            self.fault = True
            self._forget()
            return False
        current_ma = self.current_ma
        if not self._amps or not self._measures:
            least_ma = self._least(edges.value, current_ma)
            if least_ma - least_ma // 8 > current_ma:  # the load has changed since CF1 was the current
                current_ma = least_ma
        if not edges.value and 0 < current_ma < _LEAST_MA:
            current_ma = 0
        voltage_10mv = self.voltage_10mv
        self._measured(edges.value, current_ma, ABSENT)  # the trip has had this voltage, once
        self.voltage_10mv = voltage_10mv
        return True


FIELDS = {
    "cf_pin": (0, 255, True),
    "cf1_pin": (0, 255, True),
    "sel_pin": (0, 255, True),
    "chip": ("hlw8012", "bl0937"),
    "sel_current": (0, 1, False),
    "hard": (0, 1, False),
    "period_s": (1, 60, False),
    "uhz_per_v": (100000, 100000000, False),
    "mhz_per_a": (1000, 10000000, False),
    "pulses_per_kwh": (10000, 100000000, False),
}


def make(part, hardware, board, ticks_ms, name):
    chip = part.get("chip", "hlw8012")
    pin = hardware.Pin
    return HLW8012(
        pin(part["cf_pin"], pin.IN),
        pin(part["cf1_pin"], pin.IN),
        pin(part["sel_pin"], pin.OUT, value=0),
        pin.IRQ_RISING,
        getattr(hardware, "ticks_us", port_ticks_us),
        board.trip,
        part.get("period_s", 1),
        tuple([part.get(CALIBRATED[i], NOMINAL[chip][i]) for i in range(3)]),
        part.get("sel_current", 1 if chip == "hlw8012" else 0),
        part.get("hard", 0) == 1,
    )
