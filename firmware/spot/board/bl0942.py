"""The BL0942 energy meter on a UART.

Source: Shanghai Belling, BL0942 data sheet V1.06, sections 3 (formulas, registers) and 5 (UART): 4800 baud 8N1; the
host sends 0x58 | address and 0xAA and gets 23 octets: 0x55, I_RMS 3, V_RMS 3, I_FAST_RMS 3, WATT 3 (signed), CF_CNT 3,
FREQ 2 and a zero, STATUS 1 and two zeros, checksum. All little-endian; the checksum is the complement of the sum of the
read command and the 22 octets before it, modulo 256.

With V and I the pins' voltages in mV and Vref = 1.218 V:
    V_RMS = 73989 V / Vref        I_RMS = 305978 I / Vref        WATT = 3537 V I cos(phi) / Vref^2
    one count of CF_CNT takes 1638.4 * 256 / WATT s              FREQ = 1,000,000 / f (f in Hz)
so what a count is worth depends on divider and shunt. For 5 x 390 kOhm over 510 Ohm and 1 mOhm: 15883 counts/V, 251213
counts/A, 623373 counts/kW: the defaults here, replaced by calibration in the board's description or the device's
configuration.

CF_CNT counts up both ways (MODE after power-on is 0x87: CF_CNT_ADD_SEL 1, absolute accumulation), so what it counted
between two frames is taken as imported or exported by the sign of WATT; where that turned in between, at most one
period's energy is on the wrong side. Nothing is written to the chip, so nothing is lost when it restarts.
"""

from ..codes import ABSENT
from ..port import const
from .calibration import Meter

FRAME = const(23)
COUNTS_PER_V = const(15883)
COUNTS_PER_A = const(251213)
COUNTS_PER_KW = const(623373)

_READ = const(0x58)
_PACKET = const(0xAA)
_HEADER = const(0x55)
_WH_MJ = const(3600000)
_CF_MWS = const(419430400)  # 1638.4 * 256 s in ms
_CF_MASK = const(0xFFFFFF)
_CF_JUMP = const(0x10000)  # counts between two samples beyond which it was a restart of the chip: 12 kWh
_CF_STILL = const(64)  # counts that should have come and did not: the registers stand still
_FREQ_LOW = const(14000)  # FREQ register: 71 Hz
_FREQ_HIGH = const(25000)  # 40 Hz
_VOLTAGE_MAX = const(450)  # V


class BL0942(Meter):
    """`sample(now_s)` → True when a new frame was taken; then the values (`Meter`). Requests every `period_s` seconds
    and never waits; five requests without a good frame are a `fault`. A frame that says power while CF_CNT stands still
    is refused as well: the chip hangs. uart: `write(buf)`, `readinto(buf, n)`, `any()`.
    """

    exports = 0

    def __init__(self, uart, trip, period_s=1, address=0, calibration=(COUNTS_PER_V, COUNTS_PER_A, COUNTS_PER_KW),
                 irq=False):
        Meter.__init__(self, trip, period_s, calibration)
        self._uart = uart
        self._taking = False
        self._request = bytes((_READ | address, _PACKET))
        self._sum = _READ | address
        self._buf = bytearray(FRAME)
        self._view = memoryview(self._buf)
        self._tail = tuple(self._view[i:] for i in range(FRAME))  # views made once: reading allocates nothing
        self._n = 0
        self._asked_s = ABSENT
        self._pending = False
        self._fresh = False
        self._cf = -1
        self._still = 0  # 0.1 Ws since CF_CNT last moved
        if irq:  # the line went idle: take the frame, and trip, without waiting for the loop's next poll
            uart.irq(self._on_idle, uart.IRQ_RXIDLE)

    def _scale(self, per_v, per_a, per_kw):
        # so that products of 24-bit registers stay small ints on 32-bit chips
        self._v_div = per_v
        self._v_max = _VOLTAGE_MAX * per_v
        self._a_div = per_a * 32 // 1000
        self._kw_div = (per_kw * 16 + 500) // 1000
        self._cf_mj = _CF_MWS * 1000 // per_kw  # mJ that one count of CF_CNT is worth

    def _on_idle(self, uart):
        self.poll()

    def poll(self):
        """Takes in what has arrived. True when a frame was completed since the latest `sample`."""
        if not self._taking:  # an interrupt may come while the loop is in here
            self._taking = True
            try:
                self._take()
            finally:
                self._taking = False
        return self._fresh

    def _take(self):
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
            if self._buf[0] != _HEADER:
                self._resync()
            elif self._n == FRAME:
                if self._frame():
                    self._n = 0
                else:
                    self.errors += 1
                    self._resync()

    def _resync(self):
        """Drops the octets up to the next one that could be a header."""
        buf = self._buf
        n = self._n
        at = 1
        while at < n and buf[at] != _HEADER:
            at += 1
        for i in range(at, n):
            buf[i - at] = buf[i]
        self._n = n - at

    def sample(self, now_s):
        """Takes in what arrived and asks for the next frame when it is time. True when the values are new."""
        fresh = self.poll()
        if self._asked_s == ABSENT or now_s - self._asked_s >= self.period_s:
            if self._pending and not fresh:
                self._missed()
            # Octets left of an answer must never meet the next one: the checksum does not see a frame that is rotated,
            # so the end of one frame and the beginning of another, cut at a data octet of 0x55, would pass.
            self._n = 0
            self._asked_s = now_s
            self._pending = True
            self._uart.write(self._request)
            fresh = self.poll()  # a simulated chip has answered; a real one is still sending
        self._fresh = False
        return fresh

    def _frame(self):
        """Checks the frame in the buffer and takes its values over. False: not to be believed."""
        b = self._buf
        total = self._sum
        for i in range(FRAME - 1):
            total += b[i]
        if (total & 0xFF) ^ 0xFF != b[FRAME - 1] or b[18] or b[20] > 3 or b[21]:
            return False
        v_rms = b[4] | b[5] << 8 | b[6] << 16
        if v_rms > self._v_max:
            return False
        voltage_10mv = v_rms * 100 // self._v_div
        watt = b[10] | b[11] << 8 | b[12] << 16
        if watt & 0x800000:
            watt -= 0x1000000
        div = self._kw_div
        power_dw = (watt * 160 + div // 2) // div
        if not self._counted(b[13] | b[14] << 8 | b[15] << 16, power_dw):
            return False
        freq = b[16] | b[17] << 8
        # without zero crossings the mains is off, or direct current
        self.frequency_mhz = 1000000000 // freq if _FREQ_LOW <= freq <= _FREQ_HIGH else ABSENT
        self._measured(power_dw, (b[1] | b[2] << 8 | b[3] << 16) * 32 // self._a_div, voltage_10mv)
        self._fresh = True
        self._pending = False
        return True

    def _counted(self, cf, power_dw):
        """Adds the counts since the latest frame to the energy; the counter wraps at 24 bits and starts at 0 with the
        chip. False when it should have moved.
        """
        if cf == self._cf:
            if self._still // _CF_STILL * 100 > self._cf_mj:
                return False
            self._still += abs(power_dw) * self.period_s
            return True
        if self._cf >= 0:
            delta = (cf - self._cf) & _CF_MASK
            if delta > _CF_JUMP:
                delta = cf if cf < self._cf and cf <= _CF_JUMP else 0
            while delta:
                part = delta if delta < 1000 else 1000
                delta -= part
                self._count(part * self._cf_mj, _WH_MJ, power_dw < 0)
        self._still = 0
        self._cf = cf
        return True


FIELDS = {
    "uart": (0, 9, True),
    "tx": (0, 255, False),
    "rx": (0, 255, False),
    "baudrate": (4800, 38400, False),
    "address": (0, 3, False),
    "period_s": (1, 60, False),
    "counts_per_v": (1000, 1000000, False),
    "counts_per_a": (10000, 10000000, False),
    "counts_per_kw": (10000, 10000000, False),
    "irq": (0, 1, False),  # take frames in the UART's idle interrupt, where the port has one
}


def make(part, hardware, board, ticks_ms, name):
    options = {"baudrate": part.get("baudrate", 4800)}
    for line in ("tx", "rx"):
        if line in part:
            options[line] = hardware.Pin(part[line])
    return BL0942(
        hardware.UART(part["uart"], **options),
        board.trip,
        part.get("period_s", 1),
        part.get("address", 0),
        (
            part.get("counts_per_v", COUNTS_PER_V),
            part.get("counts_per_a", COUNTS_PER_A),
            part.get("counts_per_kw", COUNTS_PER_KW),
        ),
        part.get("irq", 0) == 1,
    )
