"""The CSE7766 energy meter (and HLW8032, which speaks the same) on a UART.

Source: Chipsea, CSE7766 data sheet, "UART interface"; HiLiwei, HLW8032 data sheet 1.5, section 2.4. 4800 baud 8E1, the
chip alone talks: a frame of 24 octets about every 50 ms, big-endian.

     0     state: 0x55 in order; 0xAA not calibrated; 0xFx: bits 3, 2, 1: the cycle of voltage, current, power is beyond
           its register (too little to measure: zero), bit 0: the coefficients are damaged
     1     0x5A
     2-4   voltage coefficient      5-7   voltage cycle     V = coefficient / cycle
     8-10  current coefficient     11-13  current cycle     A = coefficient / cycle
    14-16  power coefficient       17-19  power cycle       W = coefficient / cycle
    20     bits 6, 5, 4: cycle of voltage, current, power is complete; bit 7 turns over when CF overflows
    21-22  CF, pulses of active energy: one is worth (power coefficient) µJ
    23     sum of octets 2 to 22, modulo 256

The coefficients are the chip's factory calibration for 1 mOhm and the data sheet's divider; `scale_v`, `scale_a`,
`scale_w` are 10,000 there and what 1 V, 1 A, 1 W is shown as, in 0.0001, on another board (HLW8032 with 4 x 470 kOhm
over 1 kOhm: 5319, 10000, 5319). The sum covers neither the state nor the order of frames, so a frame is believed only
with the coefficients of the frame before it, and a state other than 0x55 only when it comes twice.
"""

from ..codes import ABSENT
from ..port import const
from .calibration import Meter

FRAME = const(24)
CALIBRATED = ("scale_v", "scale_a", "scale_w")
NOMINAL = (10000, 10000, 10000)

_GOOD = const(0x55)
_SECOND = const(0x5A)
_VOLTAGE = const(8)  # state 0xFx
_CURRENT = const(4)
_POWER = const(2)
_DAMAGED = const(1)
_DONE_CURRENT = const(0x20)
_DONE_VOLTAGE = const(0x40)
_DONE_POWER = const(0x10)
_SIGNATURE = (2, 3, 4, 8, 9, 10, 14, 15, 16)
_WH = const(225000000)  # of 16 µJ
_LEAST_MA = const(100)  # what is shown below that without power is noise: chips say 60 to 70 mA at no load
_ZERO_S = const(30)  # without a pulse, while the chip measures on: no power
_STILL = const(64)  # pulses that should have come and did not: the registers stand still
_RATE = const(1500)  # pulses a second beyond which it was no counting: 7.8 kW
_SHORT_S = const(5)  # between two looks at CF, within which power says what may have been counted
_VOLTAGE_MAX = const(45000)  # 10 mV


class CSE7766(Meter):
    """`sample(now_s)` → True when a frame came since the latest one; then the values (`Meter`; no frequency, no sign:
    what flows out is measured as if it flowed in). Each frame goes to the trip when `poll` takes it in. Five samples
    without a good frame, or power without pulses, are a `fault`. uart: `readinto(buf, n)`, `any()`.
    """

    def __init__(self, uart, trip, period_s=1, calibration=NOMINAL):
        self._known = bytearray(10)  # state and coefficients of the latest frame, believed or not
        self._known[0] = _GOOD
        Meter.__init__(self, trip, period_s, calibration)
        self._uart = uart
        self._buf = bytearray(FRAME)
        view = memoryview(self._buf)
        self._tail = tuple(view[i:] for i in range(FRAME))
        self._n = 0
        self._now_s = 0
        self._asked_s = ABSENT
        self._fresh = False
        self._cf = -1  # CF at the latest good frame, and its overflow as bit 16
        self._cf_s = 0  # when it last moved
        self._counted_s = 0  # when it was last looked at

    def _scale(self, per_v, per_a, per_w):
        known = self._known
        # numerators over the chip's cycles: 10 mV, mA, 0.1 W; 16 µJ that a pulse is worth
        self._v = _three(known, 1) * 1000000 // per_v
        self._a = _three(known, 4) * 10000000 // per_a
        power = _three(known, 7) * 10000 // per_w
        self._w = power * 10
        self._pulse = power >> 4

    def poll(self):
        """Takes in what has arrived, and lets the trip look at it. False: frames are many, a step is due each
        period."""
        uart = self._uart
        while True:
            n = uart.any()
            if not n:
                break
            # no more than is there: a chip's UART would wait for the rest of the frame
            got = uart.readinto(self._tail[self._n], min(n, FRAME - self._n))
            if not got:
                break
            self._n += got
            while self._n and not self._begins():
                self._resync()
            if self._n == FRAME:
                if self._frame():
                    self._n = 0
                else:
                    self.errors += 1
                    self._resync()
        return False

    def _begins(self):
        """Whether what is in the buffer could be the beginning of a frame."""
        buf = self._buf
        state = buf[0]
        return (state == _GOOD or state >= 0xF0 or state == 0xAA) and (self._n < 2 or buf[1] == _SECOND)

    def _resync(self):
        """Drops the first octet, and those after it that cannot be a state."""
        buf = self._buf
        n = self._n
        at = 1
        while at < n and buf[at] != _GOOD and buf[at] < 0xF0 and buf[at] != 0xAA:
            at += 1
        for i in range(at, n):
            buf[i - at] = buf[i]
        self._n = n - at

    def sample(self, now_s):
        """Takes in what arrived. True when the values are new."""
        self._now_s = now_s
        self.poll()
        fresh = self._fresh
        if self._asked_s == ABSENT or now_s - self._asked_s >= self.period_s:
            if not fresh and self._asked_s != ABSENT:
                self._missed()
            self._asked_s = now_s
        self._fresh = False
        return fresh

    def _frame(self):
        """Checks the frame in the buffer and takes its values over. False: not to be believed."""
        b = self._buf
        total = 0
        for i in range(2, FRAME - 1):
            total += b[i]
        state = b[0]
        if total & 0xFF != b[FRAME - 1] or state == 0xAA:
            return False
        if not self._same(state) or state != _GOOD and state & _DAMAGED:
            return False
        over = 0 if state == _GOOD else state
        done = b[20]
        cycle = _three(b, 5)
        voltage_10mv = self.voltage_10mv
        if over & _VOLTAGE:
            voltage_10mv = 0
        elif done & _DONE_VOLTAGE and cycle:
            voltage_10mv = self._v // cycle
            if voltage_10mv > _VOLTAGE_MAX:
                return False
        cycle = _three(b, 11)
        current_ma = self.current_ma
        if over & _CURRENT:
            current_ma = 0
        elif done & _DONE_CURRENT and cycle:
            current_ma = self._a // cycle
        cycle = _three(b, 17)
        power_dw = self.power_dw
        if over & _POWER:
            power_dw = 0
        elif done & _DONE_POWER:
            if cycle:
                power_dw = (self._w + cycle // 2) // cycle
        elif cycle:  # the pulse that should end it has not come yet: at most that much
            power_dw = min(power_dw, self._w // cycle)
        power_dw = self._counted(b[21] << 8 | b[22] | (done & 0x80) << 9, power_dw, done & _DONE_POWER)
        if power_dw < 0:
            return False
        if not power_dw and 0 < current_ma < _LEAST_MA:
            current_ma = 0
        self._measured(power_dw, current_ma, voltage_10mv)
        self._fresh = True
        return True

    def _same(self, state):
        """Whether this frame has the coefficients of the frame before it, and its state or 0x55."""
        b = self._buf
        known = self._known
        same = True
        for i in range(9):
            octet = b[_SIGNATURE[i]]
            if known[i + 1] != octet:
                known[i + 1] = octet
                same = False
        if not same:
            self._scale(*self._calibration)
        if state != _GOOD and state != known[0]:
            same = False
        known[0] = state
        return same

    def _counted(self, cf, power_dw, done):
        """Adds the pulses since the latest frame to the energy; → the power, not more than pulses allow; -1 when there
        is power and no pulse: the chip hangs."""
        now_s = self._now_s
        still_s = now_s - self._cf_s
        most_dw = self._pulse // 6250 + 1  # times 16 µJ: power at one pulse a second
        if cf == self._cf:
            if done:
                if still_s * power_dw > _STILL * most_dw + power_dw * self.period_s:
                    return -1
            elif still_s >= _ZERO_S:
                power_dw = 0
            elif still_s > 1:
                power_dw = min(power_dw, most_dw // (still_s - 1))
        else:
            if self._cf >= 0:
                since_s = now_s - self._counted_s
                rate = _RATE
                if since_s < _SHORT_S:  # twice what the power before and after it makes
                    rate = min(rate, max(power_dw, self.power_dw) * 2 // most_dw + 5)
                most = (since_s + self.period_s + 1) * rate
                delta = (cf - self._cf) & (0xFFFF if most < 0x10000 else 0x1FFFF)
                if delta > most:  # it started afresh, from zero
                    delta = cf & 0xFFFF if cf & 0xFFFF <= most else 0
                while delta:
                    part = delta if delta < 500 else 500
                    delta -= part
                    self._count(part * self._pulse, _WH)
            self._cf = cf
            self._cf_s = now_s
        self._counted_s = now_s
        return power_dw


def _three(buf, at):
    return buf[at] << 16 | buf[at + 1] << 8 | buf[at + 2]


FIELDS = {
    "uart": (0, 9, True),
    "tx": (0, 255, False),
    "rx": (0, 255, False),
    "period_s": (1, 60, False),
    "scale_v": (1000, 40000, False),
    "scale_a": (1000, 40000, False),
    "scale_w": (1000, 40000, False),
}


def make(part, hardware, board, ticks_ms, name):
    options = {"baudrate": 4800, "bits": 8, "parity": 0, "stop": 1}
    for line in ("tx", "rx"):
        if line in part:
            options[line] = hardware.Pin(part[line])
    return CSE7766(
        hardware.UART(part["uart"], **options),
        board.trip,
        part.get("period_s", 1),
        tuple([part.get(CALIBRATED[i], NOMINAL[i]) for i in range(3)]),
    )
