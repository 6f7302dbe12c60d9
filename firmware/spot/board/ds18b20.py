"""The DS18B20 temperature sensor (and the DS1822, which differs in accuracy only) on a 1-Wire bus.

Source: Analog Devices (Maxim), DS18B20 data sheet 19-7487 rev 6: scratchpad (figure 8), temperature register (figure
4), configuration register (figure 10), power-on value 85 °C (table 1). Octets of the scratchpad: temperature (little
endian, signed, 1/16 °C), TH, TL, configuration 0RR11111, three reserved, checksum.

A role is bound to a ROM id ("rom": 16 hexadecimal digits in the order of transmission: family, serial number,
checksum); 16 zeros stand for the one sensor of its bus, whatever its id, which has no value while the search finds two.
Another sensor's value is never used for a role.

A value is dropped, and counted in `errors`, when its checksum or its configuration octet is wrong (a bus shorted to
ground reads as zeros, whose checksum is right), or it is outside -55 to 125 °C. Exactly 85.00 °C is what a sensor says
that has lost its supply and not converted since: it is believed only when the value before it was taken no longer than
5 conversions ago and no more than 5 °C away. After a start at 85.00 °C that means: from the first 84.94 or 85.06 on.
"""

from ..codes import ABSENT
from ..port import const

_SCRATCH_READ = const(0xBE)
_SCRATCH_WRITE = const(0x4E)
_FAMILIES = (0x28, 0x22)
_MISSES = const(3)  # conversions in a row without a value, then there is none
_POWER_ON = const(8500)
_NEAR = const(500)
_FRESH = const(5)


class DS18B20:
    """`.value` in 0.01 °C or ABSENT, `.fault`: no value for three conversions; `errors`: readings that were refused.

    rom: 8 octets, or None for the only sensor of the bus. resolution: 9 to 12 bits, written where the sensor has
    another one (not to its EEPROM).
    """

    def __init__(self, bus, rom=None, resolution=12):
        self._bus = bus
        self.rom = rom
        self.bound = rom  # whom to ask: for "only" the bus says
        self._config = (resolution - 9) << 5 | 0x1F
        self._buf = bytearray(9)
        self._misses = 0
        self._age = _FRESH  # conversions since `_before` was taken
        self._before = ABSENT
        self.value = ABSENT
        self.fault = False
        self.errors = 0
        bus.add(self)

    def sample(self, now_s):
        """Has the bus begin what is due. Nothing waits: the value comes with a later call."""
        self._bus.sample(now_s)

    def poll(self):
        self._bus.poll()

    def missed(self):
        """A conversion that brought no value."""
        self._misses += 1
        self._age += 1
        if self._misses >= _MISSES:
            self.value = ABSENT
            self.fault = True

    def read(self, bus):
        """Reads the scratchpad; for the bus, when the conversion is over. False: no value."""
        rom = self.bound
        if rom is None or not bus.select(rom):
            return False
        bus.command(_SCRATCH_READ)
        if bus.take(self._buf) and self._take(bus, rom):
            return True
        self.errors += 1
        return False

    def _take(self, bus, rom):
        buf = self._buf
        config = buf[4]
        if config & 0x9F != 0x1F:
            return False
        raw = buf[0] | buf[1] << 8
        if raw & 0x8000:
            raw -= 0x10000
        raw &= ~((1 << (3 - (config >> 5))) - 1)  # bits that this resolution does not define
        value = (raw * 25 + 2) // 4
        if not -5500 <= value <= 12500:
            return False
        if config != self._config:
            # the sensor was changed, or fell back to its EEPROM: as it stands its value is a good one still
            if bus.select(rom):
                bus.command(_SCRATCH_WRITE)
                bus.command(buf[2])
                bus.command(buf[3])
                bus.command(self._config)
        if value == _POWER_ON and (self._age >= _FRESH or not -_NEAR <= self._before - value <= _NEAR):
            return False
        self._before = self.value = value
        self._age = self._misses = 0
        self.fault = False
        return True


def _wrong(part):
    """What is wrong with a part of the right fields: (field, what would be right), or None."""
    rom = _octets(part["rom"])
    crc = 0
    for octet in rom:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
    if crc or rom[0] and rom[0] not in _FAMILIES:
        return "rom", "28 (or 22), six octets and their checksum, or zeros for the only one, not %r" % part["rom"]
    return None


FIELDS = {"bus": "word", "rom": "eui64", "resolution": (9, 12, False), "": _wrong}


def _octets(text):
    return bytes([int(text[i : i + 2], 16) for i in range(0, 16, 2)])


def make(part, hardware, board, ticks_ms, name):
    rom = _octets(part["rom"])
    return DS18B20(board.buses[part["bus"]], rom if rom[0] else None, part.get("resolution", 12))
