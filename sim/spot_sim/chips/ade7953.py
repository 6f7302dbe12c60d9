"""A simulated ADE7953 on I2C: registers of 8, 16, 24 and 32 bits, written and read as the data sheet has it.

Written from the data sheet (see firmware/spot/board/ade7953.py for the source), not from the driver: floating point,
and the full scales the other way round.
"""

ADDRESS = 0x38
FULL_V, FULL_A = 9_032_007 / 26_000, 9_032_007 / 100_000  # at the inputs' full scale, 1 MOhm/1 kOhm and 2 mOhm
FULL_W = 4_862_401 / 154.0
FULL_RMS, FULL_WATT, FULL_RATE = 9_032_007, 4_862_401, 206_900
NO_LOAD_W = FULL_W / 20_000  # AP_NOLOAD as it is after a reset: below that nothing is counted
VRMS, PERIOD, LCYCMODE, CONFIG, UNLOCK, REQUIRED = 0x21C, 0x10E, 0x004, 0x102, 0x0FE, 0x120
IRMS, WATT, ENERGY = (0x21A, 0x21B), (0x212, 0x213), (0x21E, 0x21F)
LAST_OP, LAST_ADD = 0x0FD, 0x1FE
_DEFAULTS = {LCYCMODE: 0x40, CONFIG: 0x8004, REQUIRED: 0x00}


class ADE7953Chip:
    """`write(octets)`, `read(n)` for an I2CBus (spot_sim.hardware); in front of `sources`, one or two of them for the
    channels A and B, with power_w(now_s) (signed), energy_mj(now_s), power_factor.

    Before 0x30 is in the register 0x120 it measures 2 % too much ("to meet the performance specified in Table 1").
    Faults: `nack` (so many transactions are not acknowledged), `dead` (none is), `flip_read` (bit of the next octets
    read that is turned on the wire), `flip_address` (bit of the next register address), `stuck` (registers stand
    still), `hasty` (LAST_ADD and LAST_RWDATA follow their own reading as well), `noise` (W, of the generator
    `random`). `restart()`: all registers at their defaults.
    """

    def __init__(self, clock, sources, mains=None, random=None):
        self._clock = clock
        self._sources = sources if isinstance(sources, (list, tuple)) else [sources]
        self._mains = mains
        self._random = random
        self._seen_mj = [source.energy_mj(clock.now_s) for source in self._sources]
        self.nack = 0
        self.dead = self.stuck = self.hasty = False
        self.flip_read = self.flip_address = None
        self.noise = 0.0
        self.transactions = 0
        self.restart()

    def restart(self):
        self._registers = dict(_DEFAULTS)
        self._counts = [0.0 for _ in self._sources]
        self._pointer = 0
        self._unlocked = False
        self._last = (0, 0)
        self._stood = {}

    def _refuse(self):
        self.transactions += 1
        if self.dead or self.nack:
            self.nack -= bool(self.nack)
            raise OSError(5, "EIO")

    def write(self, octets):
        self._refuse()
        self._pointer = octets[0] << 8 | octets[1]
        if self.flip_address is not None:
            self._pointer ^= 1 << self.flip_address
            self.flip_address = None
        data = octets[2:]
        if not data:
            return
        register, value = self._base(self._pointer), int.from_bytes(data, "big")
        if register == REQUIRED and not self._unlocked:
            return
        self._unlocked = register == UNLOCK and value == 0xAD
        if register == CONFIG and value & 0x80:  # SWRST
            self.restart()
            return
        self._registers[register] = value
        self._last = (self._pointer, value)

    def read(self, n):
        self._refuse()
        register = self._pointer
        value = self._value(self._base(register)) & ((1 << 8 * n) - 1)
        if self.hasty or register & 0xFF not in (0xFD, 0xFE, 0xFF):
            self._last = (register, value)
        if self.flip_read is not None:
            value ^= 1 << self.flip_read % (8 * n)
            self.flip_read = None
        return value.to_bytes(n, "big")

    @staticmethod
    def _base(register):
        return register - 0x100 if 0x300 <= register < 0x400 else register  # 32 bits: the same, sign extended

    # --- the registers ----------------------------------------------------------------------------------------------

    def _value(self, register):
        if register == LAST_ADD:
            return self._last[0]
        if register in (0x0FF, 0x1FF, 0x2FF):
            return self._last[1]
        if self.stuck and register in self._stood:
            return self._stood[register]
        value = self._stood[register] = self._measured(register)
        return value

    def _measured(self, register):
        now_s = self._clock.now_s
        self._count(now_s)
        volts = self._mains.voltage_10mv(now_s) / 100 if self._mains else 230.0
        hertz = self._mains.frequency_mhz(now_s) / 1000 if self._mains else 50.0
        gain = 1.0 if self._registers[REQUIRED] == 0x30 else 1.02
        if register == VRMS:
            return round(volts / FULL_V * FULL_RMS * gain)
        if register == PERIOD:
            return round(223_750 / hertz) - 1 if volts else 0xFFFF
        for channel, source in enumerate(self._sources):
            watts = source.power_w(now_s)
            if register == IRMS[channel]:
                amps = abs(watts) / (volts * source.power_factor) if volts else 0.0
                return round(amps / FULL_A * FULL_RMS * gain)
            if register == WATT[channel]:
                if self.noise:
                    watts += self._random.uniform(-self.noise, self.noise)
                return round(watts / FULL_W * FULL_WATT * gain)
            if register == ENERGY[channel]:
                value = int(self._counts[channel])
                if self._registers[LCYCMODE] & 0x40:  # RSTREAD
                    self._counts[channel] -= value
                return value
        return self._registers.get(register, 0)

    def _count(self, now_s):
        gain = 1.0 if self._registers[REQUIRED] == 0x30 else 1.02
        for channel, source in enumerate(self._sources):
            mj = source.energy_mj(now_s)
            if abs(source.power_w(now_s)) >= NO_LOAD_W:
                self._counts[channel] += (mj - self._seen_mj[channel]) / 1000 / FULL_W * FULL_RATE * gain
            self._seen_mj[channel] = mj
