"""Reading a slave by its register map: groups of adjacent registers, integers, values that are not to be believed.

A map is data (boards/maps, checked by modbus_check.py). Here it becomes rows, and the rows groups, each one request.
Registers come in big-endian order; a 32-bit value has its high word first unless the map says otherwise. float32 (IEEE
754) is taken apart into exponent and mantissa: floats on chips have 32 bits and live on the heap.
"""

from array import array

from ..codes import ABSENT
from ..port import const
from .modbus import TIMEOUT, Request

_BIT, _INT16, _UINT16, _INT32, _UINT32, _FLOAT32 = const(0), const(1), const(2), const(3), const(4), const(5)
TYPES = ("bit", "int16", "uint16", "int32", "uint32", "float32")
# Names that a map's registers may have, and its written ones, by the kind of the map
METER = ("power_dw", "voltage_10mv", "current_ma", "frequency_mhz", "energy_wh", "energy_export_wh")
MACHINE = ("power_w", "compressor", "defrost", "hot_water_active", "flow", "hot_water", "outdoor", "error")
TEMPERATURES = ("flow", "hot_water", "outdoor", "room", "return_flow", "device")  # what a modbus_sensor may be
WRITES = ("power_limit", "power_limit_on", "offset", "hot_water_set", "sg")

_MOST = const(60)  # registers in one request: 125 octets, which a UART's buffer holds
_GONE = const(3)  # silences in a row after which a round is given up
_FINE = const(19)  # bits of a fraction; times a scale of 1000 that is still a small int on a 32-bit chip


def float_scaled(high, low, mul):
    """A float32 in two words, times `mul` (1 to 1000), as an integer, rounded; ABSENT for what is no number or beyond
    2^30."""
    exponent = high >> 7 & 255
    if not exponent:
        return 0
    mantissa = (high & 0x7F | 0x80) << 16 | low
    shift = 150 - exponent  # value = mantissa / 2^shift
    if shift <= 0:
        if shift < -6:
            return ABSENT  # infinite, no number, or beyond
        whole, fraction = mantissa << -shift, 0
    elif shift > 44:
        return 0
    else:
        whole = mantissa >> shift
        fraction = mantissa - (whole << shift)
        if shift > _FINE:
            fraction >>= shift - _FINE
            shift = _FINE
    if whole > 0x3FFFFFFF // mul:
        return ABSENT
    value = whole * mul
    if fraction:
        value += (fraction * mul + (1 << (shift - 1))) >> shift
    return -value if high & 0x8000 else value


def width(kind):
    """Registers (or bits) of a type."""
    return 2 if kind >= _INT32 else 1


class _Row:
    """One value: where it stands in its group's answer, and what makes it ours."""

    def __init__(self, slot, found, swap):
        self.slot = slot
        self.function = found["function"]
        self.address = found["address"]
        self.kind = TYPES.index(found["type"])
        self.at = 0
        self.swap = swap
        self.mul, self.div = found.get("scale", (1, 1))
        self.low, self.high = found.get("range", (-0x3FFFFFFE, 0x3FFFFFFE))
        self.absent = found.get("absent", ())
        self.bit = found.get("bit", -1)
        self.above = found.get("above", ABSENT)
        values = found.get("values")
        self.values = None if values is None else {int(raw): ours for raw, ours in values.items()}

    def value(self, request):
        """Its value, or ABSENT; None when it is not to be believed."""
        at, kind = self.at, self.kind
        if kind == _BIT:
            raw = request.bit(at)
        else:
            raw = request.word(at)
            if kind == _INT16:
                if raw & 0x8000:
                    raw -= 0x10000
            elif kind != _UINT16:
                low = request.word(at + 1)
                if self.swap:
                    raw, low = low, raw
                if kind == _FLOAT32:
                    raw = float_scaled(raw, low, self.mul)
                    if raw == ABSENT:
                        return None
                    value = (raw + self.div // 2) // self.div
                    return value if self.low <= value <= self.high else None
                if kind == _INT32 and raw & 0x8000:
                    raw -= 0x10000
                raw = raw << 16 | low
        if raw in self.absent:
            return ABSENT
        if self.bit >= 0:
            raw = raw >> self.bit & 1
        if self.above != ABSENT:
            raw = 1 if raw > self.above else 0
        if self.values is not None:
            return self.values.get(raw)
        value = (raw * self.mul + self.div // 2) // self.div
        return value if self.low <= value <= self.high else None


class _Group:
    """Rows that one request reads."""

    def __init__(self, first):
        self.function = first.function
        self.begin = self.end = first.address
        self.rows = []
        self.request = None
        self.missed = 0


class Reader:
    """Reads what `wanted` names, group after group: `values[i]` belongs to wanted[i], ABSENT where the map has no such
    register, the machine says it has no value, or it was not to be believed (counted in `implausible`). Where several
    registers have one name the largest counts (the current of three phases).

    `start()` begins a round; when the last group has come or failed, `rounds` is one more and done() is called. A
    group that fails `misses` times in a row loses its values. `silent`: rounds in a row in which no group came;
    `refused`: exceptions and wrong frames.
    """

    def __init__(self, bus, address, map, wanted, done, misses=3):
        self._bus = bus
        self.slave = bus.slave(address)
        self._done = done
        self._misses = misses
        self.values = array("i", [ABSENT] * len(wanted))
        self._fresh = array("i", self.values)
        self.rounds = self.silent = self.refused = self.implausible = 0
        self._at = -1
        self._came = False
        swap = map.get("word_order") == "little"
        most = min(map.get("most", _MOST), _MOST)
        gap = map.get("gap", 0)
        rows = [_Row(wanted.index(one["name"]), one, swap) for one in map["registers"] if one["name"] in wanted]
        rows.sort(key=_place)
        slots = [row.slot for row in rows]
        self.has = tuple([i in slots for i in range(len(wanted))])
        self._groups = groups = []
        for row in rows:
            end = row.address + width(row.kind)
            group = groups[-1] if groups else None
            if (group is None or group.function != row.function or row.address > group.end + gap
                    or end - group.begin > most):
                group = _Group(row)
                groups.append(group)
            group.end = max(end, group.end)
            row.at = row.address - group.begin
            group.rows.append(row)
        answered = self._answered
        for group in groups:
            group.request = Request(self.slave, group.function, group.begin, group.end - group.begin, answered)
        self.octets = sum([group.request.octets for group in groups])

    def poll(self):
        self._bus.poll()

    def start(self):
        """Begins a round; False when the one before still runs."""
        if self._at >= 0:
            return False
        self._at = 0
        self._came = False
        for i in range(len(self._fresh)):
            self._fresh[i] = ABSENT
        self._next()
        return True

    def _next(self):
        groups = self._groups
        while self._at < len(groups):
            if self._bus.submit(groups[self._at].request):
                return
            self._missed(groups[self._at])  # the queue is full
            self._at += 1
        self._at = -1
        self.rounds += 1
        self.silent = 0 if self._came else self.silent + 1
        for i in range(len(self._fresh)):
            self.values[i] = self._fresh[i]
        self._done()

    def _answered(self, request):
        group = self._groups[self._at]
        if request.error:
            if request.error != TIMEOUT:  # silence is one thing, a wrong word another
                self.refused += 1
            self._missed(group)
        else:
            self._came = True
            group.missed = 0
            fresh = self._fresh
            for row in group.rows:
                value = row.value(request)
                if value is None:
                    self.implausible += 1
                elif value > fresh[row.slot]:
                    fresh[row.slot] = value
        self._at += 1
        if self.slave.silent >= _GONE:  # the other groups would only keep the line from others
            while self._at < len(self._groups):
                self._missed(self._groups[self._at])
                self._at += 1
        self._next()

    def _missed(self, group):
        """What it read before stands for a while."""
        group.missed += 1
        if group.missed < self._misses:
            for row in group.rows:
                self._fresh[row.slot] = self.values[row.slot]


def _place(row):
    return row.function << 16 | row.address

