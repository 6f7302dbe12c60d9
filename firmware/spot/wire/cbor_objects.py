"""Any CBOR data item as an object, there and back, by the strict reader and the writer of cbor.py: for tests and host
tools. A device reads and writes messages, and never an object of which it does not know what it is.
"""

from spot.port import const, struct

from .cbor import (
    ARRAY,
    BYTES,
    MAP,
    MAX_DEPTH,
    MAX_ITEMS,
    NEGATIVE,
    SPECIAL,
    TAG,
    TEXT,
    UINT,
    CBORError,
    narrow_double,
    narrow_single,
)
from .cbor import Reader as _Reader
from .cbor import Writer as _Writer

__all__ = ["MAX_DEPTH", "MAX_ITEMS", "CBORError", "Reader", "Simple", "Tag", "Writer", "decode", "encode"]

_FALSE = const(20)
_TRUE = const(21)
_NULL = const(22)


class Tag:
    """A tagged value: `number` and `value`."""

    def __init__(self, number, value):
        self.number = number
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Tag) and self.number == other.number and self.value == other.value

    def __repr__(self):
        return "Tag(%d, %r)" % (self.number, self.value)


class Simple:
    """A simple value other than false, true and null, by its number; 23 is undefined."""

    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return isinstance(other, Simple) and self.number == other.number

    def __hash__(self):
        return self.number

    def __repr__(self):
        return "Simple(%d)" % self.number


def _half(bits):
    """The float that a half's `bits` stand for."""
    exponent = bits >> 10 & 0x1F
    mantissa = bits & 0x3FF
    if exponent == 31:
        value = float("nan") if mantissa else float("inf")
    elif exponent:
        value = (mantissa | 0x400) * 2.0 ** (exponent - 25)
    else:
        value = mantissa * 2.0 ** -24
    return -value if bits & 0x8000 else value


class Writer(_Writer):
    """A Writer of maps, simple values and floats, too."""

    def map(self, count):
        """A map of `count` pairs, which follow."""
        self.head(MAP, count)

    def simple(self, number):
        """A simple value: 0 to 23, 32 to 255 (20 false, 21 true, 22 null, 23 undefined)."""
        if not (0 <= number < 24 or 31 < number < 256):
            raise CBORError("no such simple value", self.n)
        self.head(SPECIAL, number)

    def bool(self, value):
        """true or false."""
        self.head(SPECIAL, _TRUE if value else _FALSE)

    def float(self, value):
        """A float in the shortest form that holds it; NaN is f97e00."""
        if value != value:
            self.raw(b"\xf9\x7e\x00")
            return
        data = struct.pack(">d", value)
        single = narrow_double(int.from_bytes(data, "big"))
        if single < 0:
            self.raw(b"\xfb" + data)
            return
        half = narrow_single(single)
        if half < 0:
            self.raw(b"\xfa" + single.to_bytes(4, "big"))
        else:
            self.raw(b"\xf9" + half.to_bytes(2, "big"))


class Reader(_Reader):
    """A Reader that gives objects."""

    def read(self, depth=None):
        """One item as an object: int, bytes, str, list, dict, Tag, bool, None, Simple, float."""
        depth = self.depth if depth is None else depth
        start = self.at
        major = self.head()
        arg = self.arg
        if major == UINT:
            return arg
        if major == NEGATIVE:
            return -1 - arg
        if major == BYTES or major == TEXT:
            self.at = start
            self.items += 1
            return self.read_bytes() if major == BYTES else self.read_text()
        if major == SPECIAL:
            return self._special(arg)
        if depth <= 0:
            raise CBORError("too deep", start)
        if major == ARRAY:
            out = []
            for _ in range(arg):
                out.append(self.read(depth - 1))
            return out
        if major == TAG:
            self._check_bignum(arg)
            return Tag(arg, self.read(depth - 1))
        out = {}
        previous = size = 0
        for i in range(arg):
            at = self.at
            self._check_key()
            key = self.read(depth - 1)
            if i:
                self.key_order(previous, size, at)
            previous = at
            size = self.at - at
            if key in out:  # 1 and true are two keys in CBOR and one in Python
                raise CBORError("map key twice", at)
            out[key] = self.read(depth - 1)
        return out

    def _special(self, arg):
        info = self.info
        if info == 25:
            return _half(arg)
        if info == 26:
            return struct.unpack(">f", arg.to_bytes(4, "big"))[0]
        if info == 27:
            return struct.unpack(">d", arg.to_bytes(8, "big"))[0]
        if arg == _FALSE or arg == _TRUE:
            return arg == _TRUE
        return None if arg == _NULL else Simple(arg)


def decode(buf, n=None):
    """The one data item that the first `n` octets of `buf` are."""
    reader = Reader(buf, n)
    value = reader.read()
    reader.finish()
    return value


def encode(value, buf):
    """Write `value` (what decode gives; tuples too) into `buf` in deterministic encoding; returns the octets
    written."""
    writer = Writer(buf)
    _write(writer, value, MAX_DEPTH)
    return writer.n


def _write(writer, value, depth):
    if depth < 0:
        raise CBORError("too deep", writer.n)
    if value is None:
        writer.null()
    elif isinstance(value, bool):
        writer.bool(value)
    elif isinstance(value, int):
        writer.int(value)
    elif isinstance(value, float):
        writer.float(value)
    elif isinstance(value, str):
        writer.text(value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        writer.bytes(value)
    elif isinstance(value, (list, tuple)):
        writer.array(len(value))
        for item in value:
            _write(writer, item, depth - 1)
    elif isinstance(value, dict):
        pairs = []
        scratch = bytearray(len(writer.buf) - writer.n)
        for key in value:
            pairs.append((bytes(scratch[:encode(key, scratch)]), value[key]))
        pairs.sort(key=lambda pair: pair[0])  # never the dict's own order: MicroPython's has none
        writer.map(len(pairs))
        for key, item in pairs:
            writer.raw(key)
            _write(writer, item, depth - 1)
    elif isinstance(value, Tag):
        writer.tag(value.number)
        _write(writer, value.value, depth - 1)
    elif isinstance(value, Simple):
        writer.simple(value.number)
    else:
        raise CBORError("no CBOR for " + type(value).__name__, writer.n)
