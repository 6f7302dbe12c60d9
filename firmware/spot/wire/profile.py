"""The profile's messages (docs/profile.md): bodies from and to integers, against the generated tables of `fields`.

Hot messages are arrays of integers and go through two leaf loops in viper that check and write, or read and check, a
whole message without touching the heap. Rare ones, with text and series in them, go through the CBOR writer and
reader. UTC is seconds since 2025 on this side and since 1970 in the body.
"""

from array import array

from spot.codes import (
    ABSENT,
    MAX_BODY,
    MAX_INT,
    REASON_MALFORMED,
    REASON_MISSING_FIELD,
    REASON_OUT_OF_RANGE,
    REASON_UNKNOWN_CRITICAL,
    REASON_UNKNOWN_TYPE,
    REASON_UNSUPPORTED_VERSION,
    T_COMMAND,
    VERSION,
)
from spot.port import const, micropython, ptr8, ptr32, sha256
from spot.wire.cbor import BYTES, MAP, CBORError, Reader, Writer
from spot.wire.fields import EXTENSION_SLOTS, FIELDS, INFO, KINDS, RANGES, REF, SLOTS_MAX, TYPES

_UTC = const(1)
_BYTES = const(2)
_TEXT = const(3)
_INTS = const(4)
_IDS = const(12)
_I16 = const(5)
_NEED = const(1)
_ROW = const(0xFE)
_UTC_ROW = const(4)
_TAG_I16 = const(73)  # RFC 8746: sint16, big endian
_TAG_U16 = const(65)  # RFC 8746: uint16, big endian
_DEPTH = const(4)
_ITEMS = const(300)


class ProfileError(ValueError):
    """A body that is not a valid message, or values that make none.

    reason: REASON_…; type: message type or -1; position: index of the field in its table or -1; ref: the message's
    id when it was readable, else ABSENT.
    """

    def __init__(self, reason, type=-1, position=-1, ref=ABSENT):
        super().__init__(reason, type, position)
        self.reason = reason
        self.type = type
        self.position = position
        self.ref = ref


def head(buf, n):
    """Head number, 32 * (version - 1) + type, from the first octets; -1 when they are not those of a message."""
    if n < 2:
        return -1
    at = 1
    if buf[0] == 0x98:
        if n < 3 or buf[1] < 24:
            return -1
        at = 2
    elif buf[0] < 0x81 or buf[0] > 0x97:
        return -1
    value = buf[at]
    if value < 24:
        return value
    if value == 0x18 and n > at + 1 and buf[at + 1] > 23:
        return buf[at + 1]
    return -1


# In the loops a word is what 32 bits hold. Where integers have more (64-bit ports, CPython) it is never negative, so
# what comes of calculating is cut to `mask`; on the chips integers have 32 bits, and the mask -1 changes nothing.
# They read no name of this module, so that the flash of a base can have them (spot_host.natives).


@micropython.viper
def _pack(s: ptr32, t: ptr8, b: ptr8, info: int, ranges: ptr32) -> int:
    """Write the message of type info & 31 with info >> 8 slots; octets written, or -(64 * (slot + 1) + reason).

    s: slots, t: table, b: buffer, ranges: RANGES. The first three come first because viper keeps the first three locals
    in registers.
    """
    r = ptr32(ranges)
    absent = r[0]
    mask = r[2]
    end = info >> 8
    while end > 0 and s[end - 1] == absent:  # absent slots at the end are not written
        end -= 1
    i = end
    while i < info >> 8:
        if t[i] & 1:
            return -(64 * i + 69)  # missing field
        i += 1
    n = 0
    i = -2  # the head of the array and the type come first
    while i < end:
        kind = 0
        if i < 0:
            v = info & 31
            if i != -1:
                v = end + 1
                kind = 0x80
        else:
            v = s[i]
            row = t[i]
            if v == absent:
                if row & 1:
                    return -(64 * i + 69)
                v = 0
                kind = 0xF6
            else:
                row &= 254
                over = (v - r[row]) & mask
                if over < 0 or over > r[row + 1]:  # negative: 31 bits or more above the smallest
                    return -(64 * i + 70)  # out of range
                if row == _UTC_ROW:  # seconds since 1970
                    v = (v + r[1]) & mask
                elif (v >> 30) & 1:
                    v = mask - v  # -1 - v
                    kind = 0x20
        if v >> 8:
            if v >> 16:
                b[n] = kind + 26
                b[n + 1] = (v >> 24) & 0xFF
                b[n + 2] = (v >> 16) & 0xFF
                n += 2
            else:
                b[n] = kind + 25
            b[n + 1] = (v >> 8) & 0xFF
            b[n + 2] = v & 0xFF
            n += 3
        elif v > 23:
            b[n] = kind + 24
            b[n + 1] = v
            n += 2
        else:
            b[n] = kind + v
            n += 1
        i += 1
    return n


@micropython.viper
def _unpack(b: ptr8, t: ptr8, s: ptr32, info: int, ranges: ptr32) -> int:
    """Read the body b of info & 0xFFFF octets into the info >> 16 slots of s, by the table t.

    Returns octets read + 65536 * elements not read (unknown fields, extensions), or -(64 * (field + 1) + reason).
    The type has been looked at already: the head is passed over.
    """
    r = ptr32(ranges)
    absent = r[0]
    mask = r[2]
    n = info & 0xFFFF
    left = b[0] - 0x81
    at = 2
    if left == 0x17:
        left = b[1] - 1
        at = 3
    if b[at - 1] == 0x18:
        at += 1
    end = info >> 16
    i = 0
    reason = 0
    while i < end and left > 0:
        reason = 68  # malformed: 64 + 4
        if at >= n:
            break
        head = b[at]
        at += 1
        if head > 0x3B:
            if head >= 0xA0 and head < 0xC0 and left == 1:  # a map at the end: the extensions
                at -= 1
                reason = 0
                break
            if head != 0xF6:
                break
            if t[i] & 1:
                reason = 69  # missing field
                break
            if left == 1 or (left == 2 and at < n and b[at] >= 0xA0 and b[at] < 0xC0):
                break  # a null at the end is left out
            v = absent
        else:
            v = head & 0x1F
            if v > 23:
                k = v - 24
                if k > 3 or at + (1 << k) > n:
                    break
                stop = at + (1 << k)
                if k == 3:
                    stop -= 4  # the upper half says enough
                v = 0
                while at < stop:
                    v = v << 8 | b[at]
                    at += 1
                if k == 0:
                    if v < 24:
                        break
                elif k == 3:
                    if v:
                        reason = 70  # well-formed, but no field is that wide
                    break
                elif v >> (k << 3) == 0:
                    break
            reason = 70  # out of range
            row = t[i] & 254
            if row == _UTC_ROW:
                if head != 0x1A:
                    break
                v -= r[1]
            else:
                if (v >> 31) & 1:
                    break
                if head > 0x1F:
                    v = mask - v  # -1 - v
            over = (v - r[row]) & mask
            if over < 0 or over > r[row + 1]:
                break
        s[i] = v & mask
        left -= 1
        i += 1
        reason = 0
    if reason:
        return -(64 * i + reason)
    while i < end:  # what was left out
        if t[i] & 1:
            return -(64 * i + 69)
        s[i] = absent
        i += 1
    return left << 16 | at


@micropython.viper
def encode_hot(type, slots, buf) -> int:
    """Write the hot message `type` from `slots`, an array('i') in the order of its table; returns the octets written.

    `buf` must have 5 octets for each field and 4 more. Allocates nothing. Raises ProfileError with the position.
    """
    info = int(INFO[type])
    if int(len(slots)) < info >> 8 or int(len(buf)) < 5 * (info >> 8) + 4 or info == 0:
        _refuse(type, 4)
    n = int(_pack(slots, FIELDS[type], buf, info, RANGES))
    if n < 0:
        _refuse(type, -n)
    return n


def _refuse(type, code):
    raise ProfileError(code & 63, type, (code >> 6) - 1)


def decode_hot(type, buf, n, slots):
    """Read the hot message `type` from the first `n` octets of `buf` into `slots`; absent fields become ABSENT.

    The caller has taken `type` from head(). Unknown fields and even extensions are ignored, but must be strict CBOR.
    Allocates nothing for a message without them. Raises ProfileError, and `slots` is then undefined.
    """
    info = INFO[type] if 0 <= type <= TYPES else 0
    if info == 0 or len(slots) < info >> 8 or n > len(buf) or n > MAX_BODY or head(buf, n) != type:
        _refuse_head(type, buf, n)
    at = _unpack(buf, FIELDS[type], slots, (info >> 8) << 16 | n, RANGES)
    if at != n:
        _rest(type, buf, n, slots, at)


def _refuse_head(type, buf, n):
    """Say why a body is not one of `type`."""
    number = head(buf, n) if n <= len(buf) and n <= MAX_BODY else -1
    if number >= 32 * VERSION:
        raise ProfileError(REASON_UNSUPPORTED_VERSION, number & 31)
    if number >= 0 and (number != type or number > TYPES or not FIELDS[number]):
        raise ProfileError(REASON_UNKNOWN_TYPE, number)
    raise ProfileError(REASON_MALFORMED, type)


def _rest(type, buf, n, slots, at):
    """What follows the known fields of a hot message, or what was wrong in them."""
    ref = ABSENT
    if at < 0:
        position = (-at >> 6) - 1
        if 0 <= REF[type] < position:
            ref = slots[REF[type]]
        raise ProfileError(-at & 63, type, position, ref)
    if REF[type] >= 0:
        ref = slots[REF[type]]
    reader = Reader(buf, n, _DEPTH, _ITEMS)
    reader.at = at & 0xFFFF
    _tail(reader, at >> 16, type, ref)


def _tail(reader, left, type, ref):
    """Pass over `left` elements after the known fields: unknown fields, and extensions in a map at the end."""
    try:
        null = False
        while left > 0:
            if left == 1 and reader.peek() == MAP:
                if null:
                    raise CBORError("null at the end", reader.at)
                _extensions(reader, type, ref)
            else:
                null = reader.at < reader.end and reader.buf[reader.at] == 0xF6
                reader.skip()
                if left == 1 and null:
                    raise CBORError("null at the end", reader.at)
            left -= 1
        reader.finish()
    except CBORError:
        raise ProfileError(REASON_MALFORMED, type, -1, ref)  # noqa: B904 - MicroPython has no `from`


def _extensions(reader, type, ref, slots=None):
    """Read the extension map: known ones into `slots`, even unknown ones past, an odd unknown one is refused."""
    start = reader.at
    count = reader.read_map()
    if count == 0:
        raise CBORError("empty extensions", start)
    previous = -1
    critical = False
    for _ in range(count):
        at = reader.at
        key = reader.read_uint()
        if key <= previous:
            raise CBORError("map keys out of order", at)
        previous = key
        if type == T_COMMAND and key == EXTENSION_SLOTS:
            _read_slots(reader, type, ref, slots)
        else:
            critical = critical or key & 1
            reader.skip(_DEPTH - 2)
    if critical:
        reader.finish()  # a body that is malformed as well is malformed
        raise ProfileError(REASON_UNKNOWN_CRITICAL, type, -1, ref)


def _read_slots(reader, type, ref, out):
    position = len(FIELDS[type])
    count = reader.read_array()
    if not 3 <= count <= SLOTS_MAX or count % 3:
        raise ProfileError(REASON_OUT_OF_RANGE, type, position, ref)
    for _ in range(count):
        value = reader.read_int()
        if not -MAX_INT <= value <= MAX_INT:
            raise ProfileError(REASON_OUT_OF_RANGE, type, position, ref)
        if out is not None:
            out.append(value)


def command_slots(buf, n):
    """The schedule in a command that decode_hot has accepted: [seconds after the start, kind, value, ...], or []."""
    reader = Reader(buf, n, _DEPTH, _ITEMS)
    out = []
    try:
        left = reader.read_array()
        while left > 0:
            if left == 1 and reader.peek() == MAP:
                _extensions(reader, T_COMMAND, ABSENT, out)
            else:
                reader.skip()
            left -= 1
    except CBORError:
        raise ProfileError(REASON_MALFORMED, T_COMMAND)  # noqa: B904
    return out


def encode(type, values, buf):
    """Write the message `type` (hot ones too) from `values`, one for each field of its table.

    None is absent, and so are values left out at the end. int, bytes, str, list of int, array('h') or array('H') (a
    list will do) by field. Returns the octets written into `buf`. Raises ProfileError with the position; a full
    buffer is REASON_MALFORMED.
    """
    if not (0 <= type <= TYPES and FIELDS[type]):
        raise ProfileError(REASON_UNKNOWN_TYPE, type)
    table = FIELDS[type]
    fields = len(table)
    count = len(values)
    if count > fields:
        raise ProfileError(REASON_MALFORMED, type, fields)
    while count and values[count - 1] is None:
        count -= 1
    for i in range(count, fields):
        if table[i] & _NEED:
            raise ProfileError(REASON_MISSING_FIELD, type, i)
    writer = Writer(buf)
    i = -1
    try:
        writer.array(count + 1)
        writer.uint(type)
        for i in range(count):
            value = values[i]
            if value is None:
                if table[i] & _NEED:
                    raise ProfileError(REASON_MISSING_FIELD, type, i)
                writer.null()
            else:
                _write_field(writer, table[i], value, type, i)
    except CBORError:
        raise ProfileError(REASON_MALFORMED, type, i)  # noqa: B904
    return writer.n


def limits(octet):
    """(kind, smallest, largest) of a field by its octet in FIELDS."""
    row = octet & _ROW
    smallest = RANGES[row]
    return KINDS[octet >> 1], smallest, smallest + RANGES[row + 1]


def _write_field(writer, octet, value, type, position):
    kind, lo, hi = limits(octet)
    if kind <= _UTC:
        if not isinstance(value, int) or not lo <= value <= hi:
            raise ProfileError(REASON_OUT_OF_RANGE, type, position)
        writer.int(value + RANGES[1] if kind == _UTC else value)
        return
    if kind == _TEXT:
        value = value.encode()
    if not lo <= len(value) <= hi:
        raise ProfileError(REASON_OUT_OF_RANGE, type, position)
    if kind == _BYTES:
        writer.bytes(value)
    elif kind == _TEXT:
        writer.text(str(value, "utf-8"))
    elif kind == _INTS or kind == _IDS:
        low, high = (-MAX_INT, MAX_INT) if kind == _INTS else (0, 255)
        writer.array(len(value))
        for item in value:
            if not low <= item <= high:
                raise ProfileError(REASON_OUT_OF_RANGE, type, position)
            writer.int(item)
    else:
        low, high = (-32768, 32767) if kind == _I16 else (0, 65535)
        writer.tag(_TAG_I16 if kind == _I16 else _TAG_U16)
        writer.head(BYTES, 2 * len(value))
        at = writer.n
        buf = writer.buf
        if at + 2 * len(value) > len(buf):
            raise CBORError("buffer full", at)
        for item in value:
            if not low <= item <= high:
                raise ProfileError(REASON_OUT_OF_RANGE, type, position)
            buf[at] = item >> 8 & 0xFF
            buf[at + 1] = item & 0xFF
            at += 2
        writer.n = at


def decode(type, buf, n):
    """Read the message `type` (hot ones too) from the first `n` octets of `buf`: a list, one value a field of its
    table.

    None is absent; UTC in seconds since 2025, ints as list, series as array('h') or array('H'). Raises ProfileError.
    """
    if not (0 <= type <= TYPES and FIELDS[type]) or n > len(buf) or n > MAX_BODY or head(buf, n) != type:
        _refuse_head(type, buf, n)
    table = FIELDS[type]
    fields = len(table)
    values = [None] * fields
    ref = ABSENT
    reader = Reader(buf, n, _DEPTH, _ITEMS)
    i = -1
    try:
        left = reader.read_array() - 1
        reader.read_uint()
        known = min(left, fields)
        i = 0
        while i < known:
            if left == 1 and reader.peek() == MAP:
                break
            left -= 1
            if reader.read_null():
                if table[i] & _NEED:
                    raise ProfileError(REASON_MISSING_FIELD, type, i, ref)
                if left == 0 or (left == 1 and reader.peek() == MAP):
                    raise CBORError("null at the end", reader.at)
            else:
                values[i] = _read_field(reader, table[i], type, i, ref)
                if i == REF[type]:
                    ref = values[i]
            i += 1
        while i < fields:
            if table[i] & _NEED:
                raise ProfileError(REASON_MISSING_FIELD, type, i, ref)
            i += 1
    except CBORError:
        raise ProfileError(REASON_MALFORMED, type, i, ref)  # noqa: B904
    _tail(reader, left, type, ref)
    return values


def _read_field(reader, octet, type, position, ref):
    kind, lo, hi = limits(octet)
    if kind <= _UTC:
        value = reader.read_int()
        if kind == _UTC:
            value -= RANGES[1]
        if not lo <= value <= hi:
            raise ProfileError(REASON_OUT_OF_RANGE, type, position, ref)
        return value
    if kind == _BYTES or kind == _TEXT:
        value = reader.read_bytes() if kind == _BYTES else reader.read_text()
        if not lo <= reader.arg <= hi:
            raise ProfileError(REASON_OUT_OF_RANGE, type, position, ref)
        return value
    if kind == _INTS or kind == _IDS:
        low, high = (-MAX_INT, MAX_INT) if kind == _INTS else (0, 255)
        count = reader.read_array()
        if not lo <= count <= hi:
            raise ProfileError(REASON_OUT_OF_RANGE, type, position, ref)
        out = []
        for _ in range(count):
            value = reader.read_int()
            if not low <= value <= high:
                raise ProfileError(REASON_OUT_OF_RANGE, type, position, ref)
            out.append(value)
        return out
    at = reader.at
    if reader.read_tag() != (_TAG_I16 if kind == _I16 else _TAG_U16):
        raise CBORError("expected a typed array", at)
    if reader.head() != BYTES or reader.arg & 1:
        raise CBORError("expected the octets of a typed array", at)
    count = reader.arg >> 1
    if not lo <= count <= hi:
        raise ProfileError(REASON_OUT_OF_RANGE, type, position, ref)
    out = array("h" if kind == _I16 else "H", bytes(2 * count))
    buf = reader.buf
    at = reader.at
    for i in range(count):
        value = buf[at] << 8 | buf[at + 1]
        out[i] = value - 65536 if kind == _I16 and value > 32767 else value
        at += 2
    reader.at = at
    return out


def digest(pairs):
    """The ledger's digest from (id, revision) of each live command in ascending id: 0 to MAX_INT, 0 when there is none.

    First four octets of SHA-256 over id (4 octets) and revision (1 octet) of each, the upper two bits cleared.
    """
    data = bytearray()
    for number, revision in pairs:
        data.extend(bytes((number >> 24 & 0xFF, number >> 16 & 0xFF, number >> 8 & 0xFF, number & 0xFF, revision)))
    if not data:
        return 0
    d = sha256(data)
    return min((d[0] & 0x3F) << 24 | d[1] << 16 | d[2] << 8 | d[3], MAX_INT)


def jitter(eui64, key, window_s):
    """Seconds of delay from 0 to window_s: first four octets of SHA-256(eui64 || key) mod (window_s + 1)."""
    d = sha256(eui64 + key)
    upper = d[0] << 8 | d[1]  # by halves, so that no big integer arises on a 32-bit chip
    lower = d[2] << 8 | d[3]
    m = window_s + 1
    if m > 1 << 14:
        return (upper << 16 | lower) % m
    return (((upper % m) << 16) + lower) % m
