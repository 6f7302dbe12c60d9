"""A simulated CSE7766 (HLW8032) on a UART: sends 24 octets every 50 ms by itself, whether they are read or not.

Written from the data sheet (see firmware/spot/board/cse7766.py for the source), not from the driver: floating point,
and the formulas the other way round.
"""

VOLTAGE, CURRENT, POWER = 188_800, 16_040, 5_217_000  # factory coefficients, as chips have them
FRAME_MS = 50
REGISTER = (1 << 24) - 1  # µs; a cycle that is longer is beyond the register


class CSE7766Chip:
    """`any()`, `readinto(buf, n)` as a UART with a receive buffer of `rxbuf` octets, in which what comes while it is
    full is lost; behind it `source`, with power_w(now_s), energy_mj(now_s), power_factor.

    clock: object with `now_s`, and `now_ms` where frames within a second matter. Faults: `dead`; `chunk` (at most so
    many octets a read); `flip` ((octet, bit) of the next frame that is damaged); `lose` (so many octets of the next
    frame, from octet 7 on, never come); `noise` (octets put before it); `stuck` (all registers stand still);
    `uncalibrated` (state 0xAA); `state` (what the next frames say, where it is set). `restart()`: CF is 0 again, and
    nothing measured yet for two frames.
    """

    def __init__(self, clock, source, mains=None, rxbuf=256):
        self._clock = clock
        self._source = source
        self._mains = mains
        self._rxbuf = rxbuf
        self._waiting = b""
        self._sent_ms = self._now_ms() - FRAME_MS
        self._seen_mj = source.energy_mj(clock.now_s)
        self._pulses = 0.0
        self._since_ms = 0  # how long the power has been what it is, without a pulse
        self._pulse_ms = self._now_ms()
        self._cycle_us = None  # of the latest complete power cycle
        self._fresh_frames = 2
        self._stood = None
        self.frames = 0
        self.dead = self.stuck = self.uncalibrated = False
        self.chunk = 0
        self.flip = None
        self.lose = 0
        self.noise = b""
        self.state = None

    def _now_ms(self):
        return max(getattr(self._clock, "now_ms", 0), self._clock.now_s * 1000)

    def restart(self):
        self._count()
        self._pulses = 0.0
        self._cycle_us = None
        self._fresh_frames = 2

    def write(self, data):
        return len(data)

    def _talk(self):
        """Sends the frames that are due, all of them as of now."""
        due = (self._now_ms() - self._sent_ms) // FRAME_MS
        if due <= 0:
            return
        self._sent_ms += due * FRAME_MS
        for _ in range(min(due, self._rxbuf // 24 + 2)):
            if self.dead:
                continue
            frame = bytearray(self.frame())
            self.frames += 1
            if self.flip is not None:
                frame[self.flip[0]] ^= 1 << self.flip[1]
                self.flip = None
            if self.lose:
                del frame[7 : 7 + self.lose]
                self.lose = 0
            octets, self.noise = self.noise + bytes(frame), b""
            self._waiting += octets[: self._rxbuf - len(self._waiting)]

    def any(self):
        self._talk()
        return len(self._waiting)

    def readinto(self, buf, n=None):
        """Octets put into `buf`, None when there are none, as MicroPython's UART does."""
        self._talk()
        n = len(buf) if n is None else min(n, len(buf))
        if self.chunk:
            n = min(n, self.chunk)
        got, self._waiting = self._waiting[:n], self._waiting[n:]
        if not got:
            return None
        buf[: len(got)] = got
        return len(got)

    # --- the registers ----------------------------------------------------------------------------------------------

    def _count(self):
        mj = self._source.energy_mj(self._clock.now_s)
        before = int(self._pulses)
        self._pulses += abs(mj - self._seen_mj) * 1000 / POWER
        self._seen_mj = mj
        return int(self._pulses) - before

    def frame(self):
        """The frame of this moment."""
        if self.stuck and self._stood is not None:
            return self._stood
        now_s = self._clock.now_s
        power_w = abs(self._source.power_w(now_s))
        volts = self._mains.voltage_10mv(now_s) / 100 if self._mains else 230.0
        amps = power_w / (volts * self._source.power_factor) if volts else 0.0
        if self._count():
            self._pulse_ms = self._now_ms()
        state, done = 0, 0x60
        v_cycle = _cycle(VOLTAGE, volts)
        if v_cycle > REGISTER:
            state, done = state | 8, done & ~0x40
        i_cycle = _cycle(CURRENT, amps)
        if i_cycle > REGISTER:
            state, done = state | 4, done & ~0x20
        period = _cycle(POWER, power_w)
        if period <= REGISTER:
            self._cycle_us = p_cycle = period
            done |= 0x10
        else:  # no pulse ends it: the register runs on from the latest one
            p_cycle = max(self._cycle_us or 0, (self._now_ms() - self._pulse_ms) * 1000)
            if p_cycle > REGISTER:
                state |= 2
        if self._fresh_frames:
            self._fresh_frames -= 1
            done, v_cycle, i_cycle, p_cycle = 0, 0, 0, 0
        done |= 1 | (int(self._pulses) >> 16 & 1) << 7
        head = 0xF0 | state if state else 0x55
        if self.uncalibrated:
            head = 0xAA
        if self.state is not None:
            head = self.state
        body = b"".join(
            min(value, REGISTER).to_bytes(3, "big")
            for value in (VOLTAGE, v_cycle, CURRENT, i_cycle, POWER, p_cycle)
        )
        body += bytes((done,)) + (int(self._pulses) & 0xFFFF).to_bytes(2, "big")
        self._stood = bytes((head, 0x5A)) + body + bytes((sum(body) & 0xFF,))
        return self._stood


def _cycle(coefficient, value):
    return round(coefficient / value) if value * REGISTER > coefficient else REGISTER + 1
