"""CoAP messages in the framing of UDP (RFC 7252, section 3): a parser that copies nothing, a builder into one's buffer.

Neither touches the heap but for errors. On TCP and TLS the same octets stand in another frame: wire/coap_stream.py.
"""

from array import array

from spot.port import const, micropython, ptr8

MAX_OPTIONS = const(24)  # in one message: a path of 4, a query of 3, each other one once, and as many again
TOKEN_MAX = const(8)


class CoapError(ValueError):
    """A message that cannot be read, or a fault in writing one.

    `code`: the response that it asks for; 0: none, the message is rejected (RST for CON) or ignored. `text`: why.
    """

    protected = False  # whether the response to it is, and the Echo option that it carries: wire/oscore.py says
    echo = None

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code
        self.text = text


@micropython.viper
def _copy(to: ptr8, source: ptr8, ats: int, n: int):
    # ats: offset in `to` | offset in `source` << 15
    at = ats & 0x7FFF
    end = at + n
    ats >>= 15
    while at < end:
        to[at] = source[ats]
        at += 1
        ats += 1


def copy(to, at, source, source_at, n):
    """Copy n octets between buffers without the heap; offsets under 32,768. CoapError where they do not fit."""
    if n < 0 or at + n > len(to) or source_at + n > len(source) or at > 0x7FFF or source_at > 0x7FFF:
        raise CoapError(0, "no room")
    _copy(to, source, at | source_at << 15, n)


def _extended(buf, at, n, nibble):
    """Value of an option's delta or length whose nibble is 13 or 14; it takes nibble - 12 octets at `at`."""
    if nibble == 15 or at + nibble - 12 > n:
        raise CoapError(0, "option head")
    return buf[at] + 13 if nibble == 13 else (buf[at] << 8 | buf[at + 1]) + 269


def _nibble(value):
    return value if value < 13 else 13 if value < 269 else 14


def _extend(buf, at, value):
    """Write what of an option's delta or length is not in its nibble; returns the offset behind it."""
    if value < 13:
        return at
    if value < 269:
        buf[at] = value - 13
        return at + 1
    buf[at] = value - 269 >> 8
    buf[at + 1] = value - 269 & 0xFF
    return at + 2


class Message:
    """A parsed message. It refers to the buffer given, and is used again for the next one.

    type, code, mid; token_at, token_n; payload_at, payload_n; count options in arrays: numbers[i], ats[i], lens[i].
    """

    def __init__(self):
        empty = bytes(2 * MAX_OPTIONS)
        self.numbers = array("H", empty)
        self.ats = array("H", empty)
        self.lens = array("H", empty)
        self.buf = b""
        self.type = self.code = self.mid = self.token_n = self.count = self.payload_at = self.payload_n = 0
        self.token_at = 4

    def parse(self, buf, n):
        """Read the message in the first n octets of buf. CoapError with code 0 for one that is malformed (RFC 7252,
        sections 3, 4.1 and 4.2); its first four octets are the sender's to reject it by."""
        if n < 4 or buf[0] >> 6 != 1:
            raise CoapError(0, "not CoAP 1")
        tkl = buf[0] & 15
        at = 4 + tkl
        code = buf[1]
        if tkl > TOKEN_MAX or at > n or (code == 0 and n > 4):
            raise CoapError(0, "token")
        self.buf = buf
        self.type = buf[0] >> 4 & 3
        self.code = code
        self.mid = buf[2] << 8 | buf[3]
        self.token_n = tkl
        numbers = self.numbers
        number = 0
        count = 0
        payload_at = n
        while at < n:
            length = buf[at]
            at += 1
            if length == 0xFF:
                if at == n:
                    raise CoapError(0, "no payload")
                payload_at = at
                break
            delta = length >> 4
            if delta > 12:
                size = delta - 12
                delta = _extended(buf, at, n, delta)
                at += size
            length &= 15
            if length > 12:
                size = length - 12
                length = _extended(buf, at, n, length)
                at += size
            number += delta
            if number > 0xFFFF or at + length > n or count == MAX_OPTIONS:
                raise CoapError(0, "option")
            numbers[count] = number
            self.ats[count] = at
            self.lens[count] = length
            count += 1
            at += length
        self.count = count
        self.payload_at = payload_at
        self.payload_n = n - payload_at

    def find(self, number, nth=0):
        """Index of the nth option of that number, or -1."""
        numbers = self.numbers
        for i in range(self.count):
            if numbers[i] == number:
                if nth == 0:
                    return i
                nth -= 1
        return -1

    def uint(self, index):
        """The option's value as an unsigned integer (section 3.2): the empty one is 0."""
        at = self.ats[index]
        value = 0
        for i in range(at, at + self.lens[index]):
            value = value << 8 | self.buf[i]
        return value

    def value(self, number, default=-1):
        """The first option of that number as an unsigned integer; `default` where there is none."""
        i = self.find(number)
        return default if i < 0 else self.uint(i)

    def octets(self, index):
        """The option's value as bytes (a copy)."""
        at = self.ats[index]
        return bytes(self.buf[at : at + self.lens[index]])

    def token(self):
        """The token as bytes (a copy)."""
        return bytes(self.buf[4 : 4 + self.token_n])


class Builder:
    """Writes a message into `buf`: start, options in ascending order, payload; `n` octets stand there.

    CoapError(0) for what does not fit (an option's head is taken for 5 octets), or for an option out of order.
    """

    def __init__(self, buf):
        self.buf = buf
        self.n = 0
        self._last = 0

    def start(self, type, code, mid, token, tkl=-1):
        """Head and token: the first tkl octets of `token`, all of them without."""
        if tkl < 0:
            tkl = len(token)
        buf = self.buf
        if tkl > TOKEN_MAX or len(buf) < 4 + tkl:
            raise CoapError(0, "no room")
        buf[0] = 0x40 | type << 4 | tkl
        buf[1] = code
        buf[2] = mid >> 8
        buf[3] = mid & 0xFF
        copy(buf, 4, token, 0, tkl)
        self.n = 4 + tkl
        self._last = 0

    def _head(self, number, n):
        """An option's head; returns where its n octets of value go."""
        delta = number - self._last
        first = self.n
        buf = self.buf
        if delta < 0 or number > 0xFFFF or n > 0xFFFF or first + 5 + n > len(buf):
            raise CoapError(0, "no room or order")
        at = _extend(buf, first + 1, delta)
        head = _nibble(delta) << 4 | _nibble(n)
        at = _extend(buf, at, n)
        buf[first] = head
        self._last = number
        self.n = at + n
        return at

    def option(self, number, data, at=0, n=-1):
        """An option with n octets of data from `at`; all of it without."""
        if n < 0:
            n = len(data) - at
        copy(self.buf, self._head(number, n), data, at, n)

    def uint(self, number, value):
        """An option that is an unsigned integer, in as few octets as it needs (section 3.2); none for one under 0."""
        if value < 0:
            return
        n = 0
        while value >> (n << 3):
            n += 1
        at = self._head(number, n)
        while n:
            n -= 1
            self.buf[at + n] = value & 0xFF
            value >>= 8

    def text(self, number, string):
        """An option that is text, given as str."""
        self.option(number, string.encode())

    def payload(self, data, at=0, n=-1):
        """The payload, n octets of data from `at`; nothing is written for none."""
        if n < 0:
            n = len(data) - at
        if n:
            if self.n >= len(self.buf):
                raise CoapError(0, "no room")
            copy(self.buf, self.n + 1, data, at, n)
            self.buf[self.n] = 0xFF
            self.n += 1 + n

    def inside(self, code):
        """What follows, code, options and payload, is the payload: of OSCORE's messages. Returns where it begins."""
        at = self.n + 1
        if at >= len(self.buf):
            raise CoapError(0, "no room")
        self.buf[at - 1] = 0xFF
        self.buf[at] = code
        self.n = at + 1
        self._last = 0
        return at
