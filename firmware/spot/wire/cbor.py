"""CBOR (RFC 8949) in core deterministic encoding (section 4.2.1): a writer into a reused buffer, a strict reader.

Whatever octets come in, the reader answers with a value or with CBORError. It refuses what is not deterministic
(integers, lengths and floats that are not shortest, indefinite lengths, map keys unsorted or twice), text that is not
UTF-8, and what exceeds its limits on nesting and on the number of items. A length that the octets cannot hold is
refused before anything is allocated for it. What makes objects of any data item is cbor_objects.py: no device does.
"""

from spot.port import const

MAX_DEPTH = const(8)  # nesting of arrays, maps and tags
MAX_ITEMS = const(1024)  # data items in one body, all levels together

UINT = const(0)
NEGATIVE = const(1)
BYTES = const(2)
TEXT = const(3)
ARRAY = const(4)
MAP = const(5)
TAG = const(6)
SPECIAL = const(7)  # simple values and floats: Reader.info tells which

_NULL = const(22)


_EXPECTED = ("an unsigned integer", "", "a byte string", "a text string", "an array", "a map", "a tag")


class CBORError(ValueError):
    """Octets that are not strict CBOR, or something that cannot be written. `offset`: octet at which it was found."""

    def __init__(self, text, offset=-1):
        super().__init__(text)
        self.offset = offset


def narrow_double(bits):
    """The single's bits that hold the same number as the double's `bits`; -1 when none does."""
    sign = bits >> 63 << 31
    exponent = bits >> 52 & 0x7FF
    mantissa = bits & 0xFFFFFFFFFFFFF
    if exponent == 0x7FF:
        return sign | 0x7F800000 | mantissa >> 29 if not mantissa & 0x1FFFFFFF else -1
    if exponent == 0:
        return sign if mantissa == 0 else -1
    exponent -= 896
    if exponent >= 255:
        return -1
    if exponent > 0:
        return sign | exponent << 23 | mantissa >> 29 if not mantissa & 0x1FFFFFFF else -1
    drop = 30 - exponent
    mantissa |= 1 << 52
    if drop > 53 or mantissa & ((1 << drop) - 1):
        return -1
    return sign | mantissa >> drop


def narrow_single(bits):
    """The half's bits that hold the same number as the single's `bits`; -1 when none does."""
    sign = bits >> 31 << 15
    exponent = bits >> 23 & 0xFF
    mantissa = bits & 0x7FFFFF
    if exponent == 0xFF:
        return sign | 0x7C00 | mantissa >> 13 if not mantissa & 0x1FFF else -1
    if exponent == 0:
        return sign if mantissa == 0 else -1
    exponent -= 112
    if exponent >= 31:
        return -1
    if exponent > 0:
        return sign | exponent << 10 | mantissa >> 13 if not mantissa & 0x1FFF else -1
    drop = 14 - exponent
    mantissa |= 1 << 23
    if drop > 24 or mantissa & ((1 << drop) - 1):
        return -1
    return sign | mantissa >> drop


def check_utf8(buf, at, end):
    """-1 when buf[at:end] is UTF-8 (RFC 3629: no overlong forms, no surrogates), else the offset of the fault."""
    while at < end:
        c = buf[at]
        if c < 0x80:
            at += 1
            continue
        if 0xC2 <= c <= 0xDF:
            more, low, high = 1, 0x80, 0xBF
        elif 0xE0 <= c <= 0xEF:
            more, low, high = 2, 0xA0 if c == 0xE0 else 0x80, 0x9F if c == 0xED else 0xBF
        elif 0xF0 <= c <= 0xF4:
            more, low, high = 3, 0x90 if c == 0xF0 else 0x80, 0x8F if c == 0xF4 else 0xBF
        else:
            return at
        if at + more >= end or not low <= buf[at + 1] <= high:
            return at
        for i in range(at + 2, at + more + 1):
            if not 0x80 <= buf[i] <= 0xBF:
                return at
        at += more + 1
    return -1


class Writer:
    """Writes data items one after the other into `buf`, a bytearray; `n` octets are written so far.

    Every method raises CBORError when the buffer is full or the value cannot be written. An array, a map or a tag is
    only announced: its items follow. The keys of a map must be written in ascending order of their encoding.
    """

    def __init__(self, buf):
        self.buf = buf
        self.n = 0

    def reset(self):
        """Start over at the beginning of the buffer."""
        self.n = 0

    def head(self, major, arg):
        """A head: major type 0 to 7 and argument 0 to 2^64 - 1, shortest form."""
        buf = self.buf
        n = self.n
        major <<= 5
        if arg < 0:
            raise CBORError("negative", n)
        if arg < 24:
            size = 0
        elif arg < 256:
            size = 1
        elif arg < 65536:
            size = 2
        elif arg >> 32 == 0:
            size = 4
        elif arg >> 64 == 0:
            size = 8
        else:
            raise CBORError("over 64 bits", n)
        if n + size >= len(buf):
            raise CBORError("buffer full", n)
        if size == 0:
            buf[n] = major | arg
        else:
            buf[n] = major | (24 if size == 1 else 25 if size == 2 else 26 if size == 4 else 27)
            for i in range(n + size, n, -1):
                buf[i] = arg & 0xFF
                arg >>= 8
        self.n = n + size + 1

    def raw(self, data):
        """Octets that are CBOR already, or the content of a string."""
        n = self.n
        end = n + len(data)
        if end > len(self.buf):
            raise CBORError("buffer full", n)
        self.buf[n:end] = data
        self.n = end

    def uint(self, value):
        """An integer from 0 to 2^64 - 1."""
        self.head(UINT, value)

    def int(self, value):
        """An integer from -2^64 to 2^64 - 1."""
        if value >= 0:
            self.head(UINT, value)
        else:
            self.head(NEGATIVE, -1 - value)

    def bytes(self, data):
        """A byte string."""
        n = self.n
        self.head(BYTES, len(data))
        try:
            self.raw(data)
        except CBORError:
            self.n = n
            raise

    def text(self, string):
        """A text string, given as str."""
        data = string.encode()
        fault = check_utf8(data, 0, len(data))
        if fault >= 0:
            raise CBORError("not UTF-8", self.n)
        n = self.n
        self.head(TEXT, len(data))
        try:
            self.raw(data)
        except CBORError:
            self.n = n
            raise

    def array(self, count):
        """An array of `count` items, which follow."""
        self.head(ARRAY, count)

    def tag(self, number):
        """A tag on the item that follows."""
        self.head(TAG, number)

    def null(self):
        """null."""
        self.head(SPECIAL, _NULL)



class Reader:
    """Pulls data items out of the first `n` octets of `buf`; `at` is the octet to be read next.

    After head(): `major`, `info` (low five bits of the first octet) and `arg` (value, length, count or tag number; of a
    float its bits). depth and items: limits for skip(), items counts down over the life of the reader.
    """

    def __init__(self, buf, n=None, depth=MAX_DEPTH, items=MAX_ITEMS):
        self.buf = buf
        self.end = len(buf) if n is None else n
        self.depth = depth
        self.items = items
        self.at = 0
        self.major = -1
        self.info = 0
        self.arg = 0
        if not 0 <= self.end <= len(buf):
            raise CBORError("no such length", 0)

    def peek(self):
        """Major type of the next item without reading it; -1 at the end."""
        return self.buf[self.at] >> 5 if self.at < self.end else -1

    def head(self):
        """Read one head, refuse what is not deterministic, and return its major type."""
        buf = self.buf
        start = at = self.at
        end = self.end
        if at >= end:
            raise CBORError("truncated", at)
        if self.items <= 0:
            raise CBORError("too many items", at)
        first = buf[at]
        at += 1
        major = first >> 5
        info = first & 0x1F
        if info < 24:
            arg = info
        elif info > 27:
            raise CBORError("indefinite length or break" if info == 31 else "reserved head", start)
        else:
            size = 1 << (info - 24)
            if at + size > end:
                raise CBORError("truncated", start)
            arg = 0
            for i in range(at, at + size):
                arg = arg << 8 | buf[i]
            at += size
            if major == SPECIAL:
                self._check_special(info, arg, start)
            elif arg < 24 or (info > 24 and arg >> (size << 2) == 0):
                raise CBORError("not the shortest form", start)
        if major == BYTES or major == TEXT or major == ARRAY:
            if arg > end - at:
                raise CBORError("truncated", start)
        elif major == MAP:
            if arg > (end - at) >> 1:
                raise CBORError("truncated", start)
        elif major == TAG and at >= end:
            raise CBORError("truncated", start)
        self.items -= 1
        self.at = at
        self.major = major
        self.info = info
        self.arg = arg
        return major

    def _check_special(self, info, arg, start):
        """Refuse simple values under 32 in two octets, and floats that a shorter one holds."""
        if info == 24:
            if arg < 32:
                raise CBORError("not the shortest form", start)
        elif info == 25:
            if arg & 0x7C00 == 0x7C00 and arg & 0x3FF and arg != 0x7E00:
                raise CBORError("not the one NaN", start)
        elif info == 26:
            if narrow_single(arg) >= 0 or (arg & 0x7F800000 == 0x7F800000 and arg & 0x7FFFFF):
                raise CBORError("not the shortest form", start)
        elif narrow_double(arg) >= 0 or (arg >> 52 & 0x7FF == 0x7FF and arg & 0xFFFFFFFFFFFFF):
            raise CBORError("not the shortest form", start)

    def _expect(self, major):
        at = self.at
        if self.head() != major:
            self.at = at
            raise CBORError("expected " + _EXPECTED[major], at)
        return self.arg

    def read_uint(self):
        """An unsigned integer."""
        return self._expect(UINT)

    def read_int(self):
        """An integer."""
        at = self.at
        major = self.head()
        if major == UINT:
            return self.arg
        if major == NEGATIVE:
            return -1 - self.arg
        self.at = at
        raise CBORError("expected an integer", at)

    def read_bytes(self):
        """A byte string, copied."""
        n = self._expect(BYTES)
        self.at += n
        return bytes(self.buf[self.at - n:self.at])

    def read_text(self):
        """A text string as str."""
        start = self.at
        n = self._expect(TEXT)
        self._check_text(n)
        data = bytes(self.buf[self.at - n:self.at])
        try:
            return str(data, "utf-8")
        except ValueError:
            raise CBORError("not UTF-8", start)  # noqa: B904 - MicroPython has no `from`

    def _check_text(self, n):
        fault = check_utf8(self.buf, self.at, self.at + n)
        if fault >= 0:
            raise CBORError("not UTF-8", fault)
        self.at += n

    def read_array(self):
        """Number of items of an array, which follow."""
        return self._expect(ARRAY)

    def read_map(self):
        """Number of pairs of a map, which follow."""
        return self._expect(MAP)

    def read_tag(self):
        """Number of a tag, whose content follows."""
        return self._expect(TAG)

    def read_null(self):
        """True when the next item is null, which is then read; else False and nothing is read."""
        if self.at < self.end and self.buf[self.at] == 0xF6:
            self.head()
            return True
        return False

    def key_order(self, previous, size, start):
        """Refuse the map key buf[start:at] unless it comes after the key buf[previous:previous + size], bytewise."""
        buf = self.buf
        length = self.at - start
        for i in range(min(size, length)):
            if buf[start + i] != buf[previous + i]:
                if buf[start + i] > buf[previous + i]:
                    return
                raise CBORError("map keys out of order", start)
        if length <= size:  # of two heads that agree in all octets none is the longer: the same key
            raise CBORError("map key twice" if length == size else "map keys out of order", start)

    def skip(self, depth=None):
        """Pass over one item, as strictly as if it were read. Nothing is kept of it."""
        depth = self.depth if depth is None else depth
        start = self.at
        major = self.head()
        arg = self.arg
        if major == BYTES:
            self.at += arg
        elif major == TEXT:
            self._check_text(arg)
        elif major == ARRAY or major == MAP or major == TAG:
            if depth <= 0:
                raise CBORError("too deep", start)
            if major == ARRAY:
                for _ in range(arg):
                    self.skip(depth - 1)
            elif major == TAG:
                self._check_bignum(arg)
                self.skip(depth - 1)
            else:
                previous = size = 0
                for i in range(arg):
                    at = self.at
                    self._check_key()
                    self.skip(depth - 1)
                    if i:
                        self.key_order(previous, size, at)
                    previous = at
                    size = self.at - at
                    self.skip(depth - 1)

    def _check_key(self):
        """Map keys are integers, strings or simple values: containers, tags and floats are no keys here."""
        if self.at < self.end and (ARRAY <= self.buf[self.at] >> 5 <= TAG or 0xF9 <= self.buf[self.at] <= 0xFB):
            raise CBORError("not a map key", self.at)

    def _check_bignum(self, number):
        """Tags 2 and 3 on a byte string: none that 64 bits hold, no leading zeros (RFC 8949 section 3.4.3)."""
        if (number == 2 or number == 3) and self.peek() == BYTES:
            at = self.at
            length = self.head()
            length = self.arg
            if length <= 8 or self.buf[self.at] == 0:
                raise CBORError("not the shortest form", at)
            self.items += 1
            self.at = at

    def finish(self):
        """Refuse octets that nobody read."""
        if self.at != self.end:
            raise CBORError("octets left over", self.at)
