"""The ADE7953 energy meter on I2C: one of its two current channels, as the board's description names it.

Source: Analog Devices, ADE7953 data sheet rev. C. I2C (page 53): address 0x38, a 16-bit register address, octets MSB
first. Required register setting (page 18): 0x30 into 0x120, which 0xAD in 0xFE unlocks. Registers (page 60): VRMS,
IRMS, WATT (signed), AENERGY (signed, whatever flows out is subtracted), Period (page 36: f = 223.75 kHz / (Period +
1)). Full scale (pages 24 to 26): 9,032,007 of RMS, 4,862,401 of WATT, at which AENERGY counts with 206.9 kHz; so a
count of AENERGY is worth 23.5 Ws of one count of WATT. Communication verification (page 57): LAST_ADD and LAST_RWDATA
say what the chip has understood and given.

NOMINAL is 26,000 counts of VRMS for 1 V, 100,000 of IRMS for 1 A, 154,000 of WATT for 1 kW: 1 MOhm over 1 kOhm, 2 mOhm
(and gains of 1). I2C has no checksum: a value is believed only if the chip says that it gave just that.
"""

from ..codes import ABSENT
from ..port import const
from .calibration import Meter

CALIBRATED = ("counts_per_v", "counts_per_a", "counts_per_kw")
NOMINAL = (26000, 100000, 154000)
ADDRESS = const(0x38)

_UNLOCK = const(0x0FE)
_REQUIRED = const(0x120)
_CONFIG = const(0x102)
_LCYCMODE = const(0x004)
_LAST_ADD = const(0x1FE)
_LAST_DATA = const(0x0FF)  # plus 0x100, 0x200 for registers of 16 and 24 bits
_PERIOD = const(0x10E)
_VRMS = const(0x21C)
_WATT = const(0x212)  # of channel A; B is one on
_IRMS = const(0x21A)
_AENERGY = const(0x21E)
_WORTH = const(12033)  # a count of AENERGY in Ws of WATT, in 1/512: 4,862,401 / 206,900
_RATE = const(206900)  # counts of AENERGY a second at full scale
_SURE_S = const(30)  # AENERGY may turn over after 40 s at full scale
_STILL = const(100000)  # Ws of WATT, while AENERGY stood still: the registers do
_STILL_DW = const(50)  # with so much power; below 1.6 W the chip counts nothing (AP_NOLOAD)
_FREQ = const(223750000)  # mHz
_PERIOD_LOW = const(3150)  # 71 Hz
_PERIOD_HIGH = const(5590)  # 40 Hz
_PART = const(40000)  # counts that are added in one go: small ints on 32-bit chips
_VOLTAGE_MAX = const(450)  # V


class ADE7953(Meter):
    """`sample(now_s)` → True when all registers were read; then the values (`Meter`). What I2C does (OSError) counts in
    `errors`; five samples in a row without a value are a `fault`. A chip that started afresh is set up again, and
    its energy goes on. It takes the loop 3 ms a sample at 400 kHz.

    i2c: `readfrom_mem_into(address, register, buf, addrsize=16)`, `writeto_mem`; channel: 0 for A, 1 for B.
    """

    exports = 0

    def __init__(self, i2c, trip, channel=0, period_s=1, calibration=NOMINAL, address=ADDRESS):
        Meter.__init__(self, trip, period_s, calibration)
        self._i2c = i2c
        self._address = address
        self._channel = channel
        self._one = bytearray(1)
        self._two = bytearray(2)
        self._three = bytearray(3)
        self._asked_s = ABSENT
        self._known = False  # AENERGY at the latest sample is
        self._energy = 0
        self._energy_s = 0
        self._still = 0  # Ws of WATT since AENERGY moved

    def _scale(self, per_v, per_a, per_kw):
        self._v_div = per_v
        self._v_max = _VOLTAGE_MAX * per_v
        self._a_div = (per_a * 64 + 500) // 1000
        self._w_div = (per_kw * 16 + 500) // 1000
        self._wh = per_kw * 18432 // 10  # 1 Wh of AENERGY, in 1/_WORTH

    def poll(self):
        return False

    def sample(self, now_s):
        """Reads the chip when it is time. True when the values are new."""
        if self._asked_s != ABSENT and now_s - self._asked_s < self.period_s:
            return False
        self._asked_s = now_s
        try:
            good = self._read_all(now_s)
        except OSError:
            good = False
        if not good:
            self.errors += 1
            self._missed()
        return good

    def _read(self, register, buf):
        """The register's value; -1 when the chip says that it gave another one, or from another register."""
        i2c = self._i2c
        address = self._address
        last = _LAST_DATA + (register & 0x300)
        i2c.readfrom_mem_into(address, register, buf, addrsize=16)
        value = _number(buf)
        i2c.readfrom_mem_into(address, last, buf, addrsize=16)
        if _number(buf) != value:
            return -1
        buf = self._two
        i2c.readfrom_mem_into(address, _LAST_ADD, buf, addrsize=16)
        asked = _number(buf)
        # `last` where a chip counts the reading of that as well: then its address was right
        return value if asked == register or asked == last else -1

    def _write(self, register, value, buf):
        for i in range(len(buf)):
            buf[-1 - i] = value >> (8 * i) & 0xFF
        self._i2c.writeto_mem(self._address, register, buf, addrsize=16)

    def _set_up(self):
        """After a reset of the chip: its required setting, this interface only, energy that reading does not clear."""
        one, two = self._one, self._two
        self._write(_UNLOCK, 0xAD, one)
        self._write(_REQUIRED, 0x30, two)  # at once after that
        self._write(_CONFIG, 0x0004, two)
        if self._read(_REQUIRED, two) != 0x30 or self._read(_CONFIG, two) != 0x0004:
            return False
        self._write(_LCYCMODE, 0, one)  # the last one: while it is not 0, all is to be done
        self._energy = 0
        return True

    def _read_all(self, now_s):
        mode = self._read(_LCYCMODE, self._one)
        if mode and (mode < 0 or not self._set_up()):
            return False
        buf = self._three
        channel = self._channel
        v_rms = self._read(_VRMS, buf)
        i_rms = self._read(_IRMS + channel, buf)
        watt = self._read(_WATT + channel, buf)
        energy = self._read(_AENERGY + channel, buf)
        period = self._read(_PERIOD, self._two)
        if v_rms < 0 or i_rms < 0 or watt < 0 or energy < 0 or period < 0 or v_rms > self._v_max:
            return False
        if watt & 0x800000:
            watt -= 0x1000000
        div = self._w_div
        power_dw = (watt * 160 + div // 2) // div
        if not self._counted(now_s, energy, watt, power_dw):
            return False
        self.frequency_mhz = _FREQ // (period + 1) if _PERIOD_LOW <= period <= _PERIOD_HIGH else ABSENT
        self._measured(power_dw, i_rms * 64 // self._a_div, v_rms * 100 // self._v_div)
        return True

    def _counted(self, now_s, energy, watt, power_dw):
        """Adds what AENERGY counted since the latest sample. False when it should have moved."""
        delta = (energy - self._energy) & 0xFFFFFF
        if self._known and not delta and abs(power_dw) >= _STILL_DW:
            if self._still > _STILL:
                return False
            self._still += abs(watt) * self.period_s
        else:
            self._still = 0
        if delta & 0x800000:
            delta -= 0x1000000
        since_s = now_s - self._energy_s
        if since_s > _SURE_S:  # it may have turned over: as often as fits the power before and after
            mean = (power_dw + self.power_dw) * self._w_div // 320
            delta += ((mean * since_s // _WORTH * 512 - delta + 0x800000) >> 24) << 24
        if self._known and abs(delta) <= (since_s + 2) * _RATE:
            out = delta < 0
            delta = abs(delta)
            while delta:
                part = min(delta, _PART)
                delta -= part
                self._count(part * _WORTH, self._wh, out)
        self._known = True
        self._energy = energy
        self._energy_s = now_s
        return True


def _number(buf):
    value = 0
    for octet in buf:
        value = value << 8 | octet
    return value


FIELDS = {
    "i2c": (0, 1, True),
    "scl_pin": (0, 255, False),
    "sda_pin": (0, 255, False),
    "freq": (10000, 400000, False),
    "channel": ("a", "b"),
    "address": (8, 119, False),
    "period_s": (1, 60, False),
    "counts_per_v": (1000, 1000000, False),
    "counts_per_a": (1000, 1000000, False),
    "counts_per_kw": (10000, 400000, False),
}


def make(part, hardware, board, ticks_ms, name):
    options = {"freq": part.get("freq", 400000)}
    for line in ("scl", "sda"):
        if line + "_pin" in part:
            options[line] = hardware.Pin(part[line + "_pin"])
    return ADE7953(
        hardware.I2C(part["i2c"], **options),
        board.trip,
        1 if part.get("channel") == "b" else 0,
        part.get("period_s", 1),
        tuple([part.get(CALIBRATED[i], NOMINAL[i]) for i in range(3)]),
        part.get("address", ADDRESS),
    )
