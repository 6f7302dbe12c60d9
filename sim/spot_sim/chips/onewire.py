"""Simulated DS18B20 sensors on a 1-Wire bus, bit by bit: each follows the time slots by itself, and the bus is the
wired AND of what they answer.

Written from the data sheet (see firmware/spot/board/ds18b20.py for the source), not from the driver.
"""

SEARCH, READ_ROM, MATCH, SKIP, ALARM = 0xF0, 0x33, 0x55, 0xCC, 0xEC
CONVERT, READ, WRITE, COPY, RECALL, POWER = 0x44, 0xBE, 0x4E, 0x48, 0xB8, 0xB4
CONVERSION_MS = {9: 94, 10: 188, 11: 375, 12: 750}


def crc8(octets):
    """Maxim's checksum, x^8 + x^5 + x^4 + 1, bit by bit as the data sheet's shift register does it."""
    register = 0
    for octet in octets:
        for i in range(8):
            feedback = (register & 1) ^ (octet >> i & 1)
            register >>= 1
            if feedback:
                register ^= 0b10001100
    return register


def rom_of(serial, family=0x28):
    """A ROM id with its checksum: 8 octets."""
    octets = bytes((family,)) + serial.to_bytes(6, "little")
    return octets + bytes((crc8(octets),))


class Bus:
    """What hangs at a pin: `Hardware.onewires[pin] = Bus()`; `sensors` is a list that may change at any time.

    Faults: `shorted` (to ground: every slot reads 0, a presence too), `cut` (nothing answers), `flips` (how many of the
    bits read next are wrong, from the `flip_after`-th on), `noise` (a function () -> bool, asked for each bit read).
    """

    def __init__(self, *sensors):
        self.sensors = list(sensors)
        self.shorted = self.cut = False
        self.flip_after = 0
        self.flips = 0
        self.noise = None
        self.resets = 0
        self.slots = 0

    def _present(self):
        return () if self.cut or self.shorted else [sensor for sensor in self.sensors if not sensor.missing]

    def reset(self):
        self.resets += 1
        present = self._present()
        for sensor in present:
            sensor.reset()
        return self.shorted or bool(present)

    def writebit(self, bit):
        self.slots += 1
        for sensor in self._present():
            sensor.write(0 if self.shorted else bit)

    def readbit(self):
        self.slots += 1
        bit = 0 if self.shorted else 1
        for sensor in self._present():
            bit &= sensor.read()
        if self.flips:
            if self.flip_after:
                self.flip_after -= 1
            else:
                self.flips -= 1
                bit ^= 1
        if self.noise is not None and self.noise():
            bit ^= 1
        return bit


class DS18B20Chip:
    """One sensor. clock: object with `now_ms` (a Hardware). `celsius`: a number, or a function of now_s.

    `eeprom`: TH, TL and the configuration that it wakes up with. Faults: `missing`, `parasitic` (supplied from the data
    line, which this bus does not feed strongly: a conversion ends in a brown-out), `stuck` (does not convert any more),
    `brown_out()` (lost its supply: 85 °C until the next conversion, registers as in the EEPROM).
    """

    def __init__(self, clock, rom, celsius=20.0, parasitic=False, eeprom=b"\x4b\x46\x7f"):
        self._clock = clock
        self.rom = rom
        self.celsius = celsius
        self.parasitic = parasitic
        self.eeprom = eeprom
        self.missing = self.stuck = False
        self.conversions = 0
        self.brown_out()

    def brown_out(self):
        self.scratch = bytearray(b"\x50\x05" + self.eeprom + b"\xff\x0c\x10")
        self._done_ms = None
        self._next = None
        self._quiet()

    def _quiet(self):
        self._mode = "quiet"
        self._octet = self._bits = 0

    @property
    def bits(self):
        """Resolution: 9 to 12."""
        return 9 + (self.scratch[4] >> 5 & 3)

    def _settle(self):
        """Ends a conversion whose time is over."""
        if self._done_ms is None or self._clock.now_ms < self._done_ms:
            return
        self._done_ms = None
        self.conversions += 1
        if self.parasitic:
            self.brown_out()
        elif not self.stuck:
            self.scratch[0:2] = self._next

    # --- slots ------------------------------------------------------------------------------------------------------

    def reset(self):
        self._settle()
        self._mode = "rom"
        self._octet = self._bits = 0

    def write(self, bit):
        mode = self._mode
        if mode == "match":
            if self.rom[self._bits >> 3] >> (self._bits & 7) & 1 != bit:
                self._quiet()
                return
            self._bits += 1
            if self._bits == 64:
                self._mode, self._bits = "function", 0
            return
        if mode == "search":
            if self._bits % 3 != 2 or self.rom[self._bits // 24] >> (self._bits // 3 & 7) & 1 != bit:
                self._quiet()
                return
            self._bits += 1
            if self._bits == 192:
                self._mode, self._bits = "function", 0
            return
        if mode not in ("rom", "function", "write"):
            return
        self._octet |= bit << (self._bits & 7)
        self._bits += 1
        if self._bits & 7:
            return
        octet, self._octet = self._octet, 0
        if mode == "write":
            at = self._bits // 8 - 1
            self.scratch[2 + at] = octet & 0x60 | 0x1F if at == 2 else octet
            if at == 2:
                self._quiet()
            return
        self._bits = 0
        (self._rom_command if mode == "rom" else self._command)(octet)

    def read(self):
        self._settle()
        mode = self._mode
        if mode == "search":
            place = self._bits % 3
            if place == 2:
                return 1
            bit = self.rom[self._bits // 24] >> (self._bits // 3 & 7) & 1
            self._bits += 1
            return 1 - bit if place else bit
        if mode == "send":
            if self._bits >= 8 * len(self._out):
                return 1
            bit = self._out[self._bits >> 3] >> (self._bits & 7) & 1
            self._bits += 1
            return bit
        if mode == "power":
            return 0 if self.parasitic else 1
        if mode == "busy":
            return 0 if self._done_ms is not None and not self.parasitic else 1
        return 1

    # --- commands ---------------------------------------------------------------------------------------------------

    def _rom_command(self, octet):
        if octet == SKIP:
            self._mode = "function"
        elif octet == MATCH:
            self._mode = "match"
        elif octet == SEARCH:
            self._mode = "search"
        elif octet == READ_ROM:
            self._mode, self._out = "send", self.rom
        else:
            self._quiet()

    def _command(self, octet):
        if octet == CONVERT:
            celsius = self.celsius(self._clock.now_s) if callable(self.celsius) else self.celsius
            raw = round(celsius * 16) & ~((1 << (12 - self.bits)) - 1)
            self._next = (raw & 0xFFFF).to_bytes(2, "little")
            self._done_ms = self._clock.now_ms + CONVERSION_MS[self.bits]
            self._mode = "busy"
        elif octet == READ:
            self._mode, self._out = "send", bytes(self.scratch) + bytes((crc8(self.scratch),))
        elif octet == WRITE:
            self._mode = "write"
        elif octet == POWER:
            self._mode = "power"
        else:
            self._quiet()
