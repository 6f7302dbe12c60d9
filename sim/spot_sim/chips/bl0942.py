"""A simulated BL0942 on a UART: answers the packet request with the 23 octets of its registers, as they are when they
are read.

Written from the data sheet (see firmware/spot/board/bl0942.py for the source), not from the driver: floating point, and
the formulas the other way round.
"""

V_REF = 1.218
DIVIDER = 510 / (5 * 390_000 + 510)  # of the mains voltage at the V pins
SHUNT_OHM = 0.001
READ, PACKET = 0x58, 0xAA


class BL0942Chip:
    """`write(buf)`, `any()`, `readinto(buf, n)` as a UART; behind it `source`, with power_w(now_s), energy_mj(now_s),
    power_factor.

    clock: object with `now_s`. Faults: `dead` (no answer), `chunk` (at most so many octets a read: short reads), `flip`
    (index of an octet of the next frame that is damaged), `lose` (so many octets of the next frame never come), `noise`
    (octets put before it), `stuck` (the registers stand still), `dc` (no mains zero crossings). `restart()` clears the
    pulse counter, as a chip that lost its supply.

    CF_CNT counts energy whichever way it flows, as MODE has it after power-on (0x87: bit 7, absolute accumulation).
    """

    def __init__(self, clock, source, mains=None, address=0):
        self._clock = clock
        self._source = source
        self._mains = mains
        self._read = READ | address
        self._asked = b""
        self._out = b""
        self._counted_mj = 0.0  # since power-on, both ways
        self._seen_mj = source.energy_mj(clock.now_s)
        self._stood = b""
        self.requests = 0
        self.dead = self.dc = self.stuck = False
        self.chunk = 0
        self.flip = None
        self.lose = 0
        self.noise = b""

    def restart(self):
        self._accumulate(self._clock.now_s)
        self._counted_mj = 0.0

    def _accumulate(self, now_s):
        mj = self._source.energy_mj(now_s)
        self._counted_mj += abs(mj - self._seen_mj)
        self._seen_mj = mj

    # --- the UART ---------------------------------------------------------------------------------------------------

    def write(self, data):
        self._asked = (self._asked + bytes(data))[-2:]
        if self._asked == bytes((self._read, PACKET)):
            self._asked = b""
            self.requests += 1
            if not self.dead:
                self._out += b"\x00"  # answered when it is read: the frame is that of now
        return len(data)

    def _answer(self):
        if self._out[-1:] == b"\x00" and len(self._out) == 1:
            frame = bytearray(self.frame())
            if self.flip is not None:
                frame[self.flip] ^= 0x10
                self.flip = None
            cut, self.lose = len(frame) - self.lose, 0
            self._out = self.noise + bytes(frame[:cut])
            self.noise = b""

    def any(self):
        self._answer()
        return len(self._out)

    def readinto(self, buf, n=None):
        """Octets put into `buf`, None when there are none, as MicroPython's UART does."""
        self._answer()
        n = len(buf) if n is None else min(n, len(buf))
        if self.chunk:
            n = min(n, self.chunk)
        got, self._out = self._out[:n], self._out[n:]
        if not got:
            return None
        buf[: len(got)] = got
        return len(got)

    # --- the registers ----------------------------------------------------------------------------------------------

    def frame(self):
        """The packet of this moment."""
        if not (self.stuck and self._stood):
            self._stood = self._frame()
        return self._stood

    def _frame(self):
        now_s = self._clock.now_s
        self._accumulate(now_s)
        power_w = self._source.power_w(now_s)
        volts = self._mains.voltage_10mv(now_s) / 100 if self._mains else 230.0
        hertz = self._mains.frequency_mhz(now_s) / 1000 if self._mains else 50.0
        amps = abs(power_w) / (volts * self._source.power_factor) if volts else 0.0
        v_mv, i_mv = volts * DIVIDER * 1000, amps * SHUNT_OHM * 1000
        v_rms = round(73989 * v_mv / V_REF)
        i_rms = round(305978 * i_mv / V_REF)
        watt_per_w = 3537 * DIVIDER * 1000 * SHUNT_OHM * 1000 / V_REF**2
        watt = round(power_w * watt_per_w)
        cf_cnt = int(self._counted_mj / 1000 * watt_per_w / (1638.4 * 256)) & 0xFFFFFF
        freq = 0xFFFF if self.dc or not volts else round(1_000_000 / hertz)
        registers = b"".join(
            (value & 0xFFFFFF).to_bytes(3, "little") for value in (i_rms, v_rms, round(i_rms * 0.363), watt, cf_cnt)
        )
        body = b"\x55" + registers + (freq & 0xFFFF).to_bytes(2, "little") + b"\x00" + b"\x00\x00\x00"
        return body + bytes(((sum(body) + self._read) & 0xFF ^ 0xFF,))
