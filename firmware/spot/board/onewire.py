"""A 1-Wire bus on a pin: who is on it, and turns for the sensors behind it. Nothing here waits.

Source: Analog Devices (Maxim), DS18B20 data sheet 19-7487 rev 6, sections "1-Wire Bus System" and "ROM Commands";
application note 187, "1-Wire Search Algorithm"; application note 27 for the checksum. The time slots are made by
MicroPython's C module `_onewire`, interrupts off for at most 80 µs each; the pin needs its own pull-up to the supply
(4.7 kOhm).

A turn is one transaction: a reset and at most 19 octets, about 12 ms, or one step of the search, about 14 ms.
"""

from ..codes import ABSENT
from ..port import const, ticks_diff

_SEARCH = const(0xF0)
_MATCH = const(0x55)
_SKIP = const(0xCC)
_CONVERT = const(0x44)
_POWER = const(0xB4)
_MOST = const(8)  # sensors on one bus that the search goes for
_CONVERT_MS = const(750)  # DS18B20 data sheet, table 2: the longest, at 12 bits
_SEARCH_EVERY = const(60)  # conversions, or when a sensor is missed

_IDLE = const(0)
_LOOK = const(1)
_CONVERTING = const(2)
_READ = const(3)


class OneWireBus:
    """The bus. `poll()` often, `sample(now_s)` with each step (a sensor's own do that): every `period_s` all sensors
    convert at the same time, and are read one a turn.

    `found`: ROM ids of the latest whole search, each 8 octets, family first, checksum last; None before the first. The
    log has them: onewire.found, onewire.unknown (no role is bound to it, none uses it), onewire.missing.
    `parasitic`: a sensor takes its power from the data line, which this bus does not feed: nothing is converted.
    wire: functions reset, readbit, writebit, readbyte, writebyte, crc8, as of `_onewire`. log: info and warn.
    """

    def __init__(self, wire, pin, ticks_ms, log=None, period_s=10):
        self._wire = wire
        self._pin = pin
        self._ticks_ms = ticks_ms
        self._log = log
        self._period_s = period_s
        self._sensors = []
        self._state = _LOOK
        self._begin_search()
        self._since_ms = 0
        self._now_s = 0
        self._started_s = ABSENT
        self._left = 0  # conversions until the next search
        self._next = 0  # sensor to be read
        self._again = True  # whether a reading that failed may be taken once more
        self.found = None
        self.parasitic = False

    def add(self, sensor):
        """sensor: `rom` (8 octets or None: the only one), `read(bus) -> bool` and `missed()`."""
        self._sensors.append(sensor)

    # --- the cycle --------------------------------------------------------------------------------------------------

    def sample(self, now_s):
        """Begins a search or a conversion when it is time."""
        self._now_s = now_s
        self.poll()
        if self._state == _IDLE and (self._started_s == ABSENT or now_s - self._started_s >= self._period_s):
            self._started_s = now_s
            if self._left <= 0:
                self._begin_search()
                self._state = _LOOK
            else:
                self._convert()

    def poll(self):
        """Takes the turn that is due, if any."""
        state = self._state
        if state == _LOOK:
            self._look()
        elif state == _READ:
            self._read()
        elif state == _CONVERTING and (
            ticks_diff(self._ticks_ms(), self._since_ms) >= _CONVERT_MS or self._now_s - self._started_s >= 2
        ):
            self._state = _READ
            self._read()

    def _convert(self):
        """All at once; whether one of them has no supply of its own is asked before."""
        self._left -= 1
        wire = self._wire
        pin = self._pin
        parasitic = False
        if wire.reset(pin):
            wire.writebyte(pin, _SKIP)
            wire.writebyte(pin, _POWER)
            parasitic = not wire.readbit(pin)
        if parasitic != self.parasitic:
            self.parasitic = parasitic
            if parasitic and self._log is not None:
                self._log.warn("onewire.parasitic")
        self._next = 0
        if not parasitic and wire.reset(pin):
            wire.writebyte(pin, _SKIP)
            wire.writebyte(pin, _CONVERT)
            self._since_ms = self._ticks_ms()
            self._started_s = self._now_s
            self._state = _CONVERTING
            return
        self._left = 0  # nobody there, or as good as that: look who is
        for sensor in self._sensors:
            sensor.missed()
        self._state = _IDLE

    def _read(self):
        sensors = self._sensors
        at = self._next
        if at < len(sensors):
            sensor = sensors[at]
            if sensor.read(self):
                self._next = at + 1
            elif self._again:  # once more, with the next turn
                self._again = False
                return
            else:
                sensor.missed()
                self._next = at + 1
                self._left = min(self._left, 2)  # it may be back at once; else look for it
            self._again = True
        if self._next >= len(sensors):
            self._state = _IDLE

    def select(self, rom):
        """Resets and addresses one sensor; False: nobody is there."""
        wire = self._wire
        pin = self._pin
        if not wire.reset(pin):
            return False
        wire.writebyte(pin, _MATCH)
        for i in range(8):
            wire.writebyte(pin, rom[i])
        return True

    def command(self, octet):
        self._wire.writebyte(self._pin, octet)

    def take(self, buf):
        """Fills `buf` from the bus; True when its checksum, in the last octet, is right."""
        wire = self._wire
        pin = self._pin
        for i in range(len(buf)):
            buf[i] = wire.readbyte(pin)
        return wire.crc8(buf) == 0

    # --- the search -------------------------------------------------------------------------------------------------

    def _begin_search(self):
        self._rom = bytearray(8)
        self._split = -1  # bit of the latest junction where 0 was taken
        self._roms = []
        self._tries = 0

    def _look(self):
        """One step: finds one more ROM id, or ends the search."""
        more = self._step()
        if more is None:  # noise: the same step again, three times
            self._tries += 1
            if self._tries <= 3:
                return
            self._roms = self._roms or self.found or []
        if more and len(self._roms) < _MOST:
            return
        self._state = _IDLE
        self._left = _SEARCH_EVERY
        self._started_s = ABSENT  # and convert at the next step
        self._settle(self._roms)

    def _step(self):
        """True: there are more; False: that was all; None: what came was no ROM id."""
        wire = self._wire
        pin = self._pin
        if not wire.reset(pin):
            return False
        wire.writebyte(pin, _SEARCH)
        rom = bytearray(8)
        split = -1
        for bit in range(64):
            at, mask = bit >> 3, 1 << (bit & 7)
            here, there = wire.readbit(pin), wire.readbit(pin)
            if here and there:
                return False if bit == 0 and not self._roms else None  # all left in the middle
            if here == there:  # ids differ here: as before up to the junction, 1 at it, 0 behind it
                take = self._rom[at] & mask if bit < self._split else bit == self._split
                if not take:
                    split = bit
            else:
                take = here
            if take:
                rom[at] |= mask
            wire.writebit(pin, 1 if take else 0)
        if wire.crc8(rom) or not rom[0]:  # a bus shorted to ground reads as zeros, whose checksum is right
            return None
        self._rom = rom
        self._split = split
        self._tries = 0
        self._roms.append(bytes(rom))
        return split >= 0

    def _settle(self, roms):
        """Compares who is there with who was, and with the roles; tells the log what changed."""
        log = self._log
        before = self.found or ()
        self.found = roms
        known = [sensor.rom for sensor in self._sensors]
        only = None in known
        for rom in roms:
            if log is not None and rom not in before:
                # as two halves of the serial number, 24 bits each: docs/drivers/ds18b20.md says how to read them
                log.info("onewire.found" if rom in known or only else "onewire.unknown", *_serial(rom))
        for sensor in self._sensors:
            if sensor.rom is None:
                alone = roms[0] if len(roms) == 1 and len(known) == 1 else None
                if alone is None and roms and log is not None:
                    log.warn("onewire.ambiguous", len(roms))
                sensor.bound = alone
            elif sensor.rom not in roms and log is not None and (sensor.rom in before or not before):
                log.warn("onewire.missing", *_serial(sensor.rom))


def _serial(rom):
    """The serial number as two integers of 24 bits."""
    return rom[1] | rom[2] << 8 | rom[3] << 16, rom[4] | rom[5] << 8 | rom[6] << 16


FIELDS = {"pin": (0, 255, True), "period_s": (2, 900, False)}


def make(part, hardware, board, ticks_ms, name):
    wire = getattr(hardware, "onewire", None)
    if wire is None:
        import _onewire as wire
    kind = hardware.Pin
    pin = kind(part["pin"], kind.OPEN_DRAIN, kind.PULL_UP)
    return OneWireBus(wire, pin, ticks_ms, getattr(board, "log", None), part.get("period_s", 10))
