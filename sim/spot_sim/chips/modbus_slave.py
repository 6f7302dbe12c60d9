"""Slaves on a simulated RS-485 line, octet by octet: the UART that the master has, the time each character takes, and
what goes wrong on such lines.

Written from the specification (MODBUS over serial line V1.02, MODBUS application protocol V1.1b3), not from the driver:
the CRC here goes bit by bit. Runs on MicroPython as well. What the slaves are is in spot_sim.chips.modbus_devices.
"""

FUNCTION, ADDRESS, VALUE, FAILURE, ACKNOWLEDGE, BUSY = 1, 2, 3, 4, 5, 6


def crc(data):
    """CRC-16 as the specification's appendix B describes it."""
    value = 0xFFFF
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def sealed(data):
    """A frame: `data` with its CRC, low octet first."""
    return bytes(data) + crc(data).to_bytes(2, "little")


class Refuse(Exception):
    """An exception response: (code)."""


class Slave:
    """One device: `read(function, register, count) -> list of ints` (bits for functions 1 and 2), `write(function,
    register, values)`; both raise Refuse.

    Faults: `dead` (never answers), `reaction_ms`. The next answers, a number of each: `drop`, `corrupt` (wrong CRC),
    `late` (each `late_ms` after its time), `double` (sent twice), `refuse` (with code `refusal`), `short` (the last
    octets missing), `strange` (with another address). `noise`: octets before the next answer.
    """

    def __init__(self, address):
        self.address = address
        self.reaction_ms = 2
        self.dead = False
        self.drop = self.corrupt = self.late = self.double = self.refuse = self.short = self.strange = 0
        self.late_ms = 250
        self.refusal = BUSY
        self.noise = b""
        self.requests = self.written = 0

    def read(self, function, register, count):
        raise Refuse(FUNCTION)

    def write(self, function, register, values):
        raise Refuse(FUNCTION)

    def answer(self, frame):
        """The answer's octets without CRC to a request with a right CRC, None for none."""
        self.requests += 1
        if self.dead:
            return None
        function = frame[1]
        try:
            if self.refuse:
                self.refuse -= 1
                raise Refuse(self.refusal)
            return bytes((self.address, function)) + self._serve(function, frame)
        except Refuse as refused:
            return bytes((self.address, function | 0x80, refused.args[0]))

    def _serve(self, function, frame):
        register, count = frame[2] << 8 | frame[3], frame[4] << 8 | frame[5]
        if function in (1, 2):
            if not 1 <= count <= 2000:
                raise Refuse(VALUE)
            bits = self.read(function, register, count)
            octets = bytearray((count + 7) // 8)
            for at, bit in enumerate(bits):
                octets[at >> 3] |= bit << (at & 7)
            return bytes((len(octets),)) + bytes(octets)
        if function in (3, 4):
            if not 1 <= count <= 125:
                raise Refuse(VALUE)
            words = self.read(function, register, count)
            return bytes((2 * count,)) + b"".join(word.to_bytes(2, "big") for word in words)
        if function == 5:
            if count not in (0, 0xFF00):
                raise Refuse(VALUE)
            self._store(function, register, [int(count != 0)])
            return frame[2:6]
        if function == 6:
            self._store(function, register, [count])
            return frame[2:6]
        if function == 16:
            if not 1 <= count <= 123 or frame[6] != 2 * count or len(frame) != 9 + 2 * count:
                raise Refuse(VALUE)
            self._store(function, register, [frame[i] << 8 | frame[i + 1] for i in range(7, 7 + 2 * count, 2)])
            return frame[2:6]
        raise Refuse(FUNCTION)

    def _store(self, function, register, values):
        self.write(function, register, values)
        self.written += 1

    def _spoil(self, data):
        """[(delay in ms, octets)]: what really goes out for an answer."""
        if self.drop:
            self.drop -= 1
            return []
        if self.strange:
            self.strange -= 1
            data = bytes((self.address % 247 + 1,)) + data[1:]
        frame = sealed(data)
        if self.corrupt:
            self.corrupt -= 1
            frame = frame[:-3] + bytes((frame[-3] ^ 0x10,)) + frame[-2:]
        if self.short:
            self.short -= 1
            frame = frame[:-2]
        frame, self.noise = self.noise + frame, b""
        delay_ms = 0
        if self.late:
            self.late -= 1
            delay_ms = self.late_ms
        out = [(delay_ms, frame)]
        if self.double:
            self.double -= 1
            out.append((delay_ms + 8, frame))
        return out


class Line:
    """The wire pair, and at its end the master's UART: `write`, `any`, `readinto`, `txdone`.

    hardware: `now_us()` is the time. add(slave) puts a device on it. `echo`: the master's receiver hears what it sends.
    `direction(line, active)`: the transceiver sends only while that pin is at `active`, and then hears nothing.
    `collisions` counts characters that met another.
    """

    def __init__(self, hardware, baudrate=9600, bits=10, echo=False):
        self._hardware = hardware
        self.char_us = bits * 1_000_000 // baudrate
        self.silence_us = 1750 if baudrate > 19200 else self.char_us * 7 // 2  # that ends a frame
        self.echo = echo
        self.slaves = {}
        self._pin = None
        self._active = 1
        self._switched_us = [(0, 0)]  # (when, whether the transceiver sends)
        self._sent = []  # (begins at, octet) of the frame that the slaves are hearing
        self._end_us = 0
        self._coming = []  # (complete at, octet), by time
        self.frames = []  # every frame the slaves heard whole, for tests
        self.collisions = 0

    def add(self, slave):
        self.slaves[slave.address] = slave
        return slave

    def direction(self, line, active=1):
        self._pin, self._active = line, active
        line.watch(self._turned)

    def _turned(self, _now_s, level):
        self._switched_us.append((self._now_us(), int(level == self._active)))

    def _sends(self, at_us):
        """Whether the transceiver drives the line at that time."""
        state = 0
        for when, sends in self._switched_us[-8:]:
            if when <= at_us:
                state = sends
        return state

    def _now_us(self):
        return self._hardware.now_us()

    # --- the UART ---------------------------------------------------------------------------------------------------

    def write(self, data):
        now_us = self._now_us()
        self._hear(now_us)
        at_us = max(now_us, self._end_us)
        for octet in bytes(data):
            self._sent.append((at_us, octet))
            at_us += self.char_us
            if self.echo:
                self._put(at_us, octet)
        self._end_us = at_us
        return len(data)

    def txdone(self):
        return self._now_us() >= self._end_us

    def any(self):
        now_us = self._now_us()
        self._hear(now_us)
        n = 0
        for at_us, _ in self._coming:
            if at_us > now_us:
                break
            n += 1
        return n

    def readinto(self, buf, n=None):
        n = min(len(buf) if n is None else n, self.any())
        if not n:
            return None
        for i in range(n):
            buf[i] = self._coming[i][1]
        self._coming = self._coming[n:]
        return n

    # --- the line ---------------------------------------------------------------------------------------------------

    def babble(self, data, delay_ms=0):
        """Somebody else's octets arrive, from `delay_ms` on."""
        self._speak(self._now_us() + delay_ms * 1000, data)

    def _put(self, at_us, octet):
        for other in self._coming:
            if abs(other[0] - at_us) < self.char_us:
                self.collisions += 1
                octet ^= 0x5A
        at = len(self._coming)
        while at and self._coming[at - 1][0] > at_us:
            at -= 1
        self._coming.insert(at, (at_us, octet))

    def _speak(self, at_us, data):
        for octet in data:
            at_us += self.char_us
            if self._pin is not None and self._sends(at_us - self.char_us // 2):
                self.collisions += 1  # the master's driver holds the line
            else:
                self._put(at_us, octet)

    def _hear(self, now_us):
        """The slaves take the frame that has ended and answer."""
        silence_us = self.silence_us
        if not self._sent or now_us < self._end_us + silence_us:
            return
        if self._pin is None:
            frame = bytes(octet for _, octet in self._sent)
        else:  # octets that began and ended while the driver was on
            frame = bytes(octet for at_us, octet in self._sent
                          if self._sends(at_us) and self._sends(at_us + self.char_us - 1))
        self._sent = []
        self.frames.append(frame)
        self.frames, self._switched_us = self.frames[-1000:], self._switched_us[-100:]
        if len(frame) < 4 or crc(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
            return
        slave = self.slaves.get(frame[0])
        if slave is None:
            return
        data = slave.answer(frame)
        if data is not None:
            for delay_ms, octets in slave._spoil(data):
                self._speak(self._end_us + silence_us + (slave.reaction_ms + delay_ms) * 1000, octets)


def settle(hardware, bus, poll, most_ms=900, step_ms=10):
    """Lets a simulation that goes by seconds have the milliseconds that its bus needs: moves `hardware` on within its
    second, calling poll(), until the bus has nothing more to do. Returns the milliseconds that it took."""
    spent_ms = 0
    start_ms = hardware.now_ms
    while bus.busy and spent_ms < most_ms:
        spent_ms += step_ms
        at_ms = start_ms + spent_ms
        hardware.advance(at_ms // 1000, at_ms % 1000)
        poll()
    return spent_ms
