"""CoAP over a byte stream (RFC 8323, section 3.2): its framing to and from that of UDP, and its signals.

The rest of the code sees UDP's framing alone, with type and message id 0.
"""

from spot.port import const
from spot.wire.coap import TOKEN_MAX, Builder, CoapError, copy
from spot.wire.coap_numbers import COAP_CSM, CSM_BLOCK_WISE, CSM_MAX_MESSAGE_SIZE

_HEAD_MAX = const(6)  # length nibble, 4 octets of length, code


def to_stream(buf, n, out):
    """Write the message buf[:n], in UDP's framing, to `out` as TCP's; returns the octets. CoapError if out is short."""
    tkl = buf[0] & 15
    size = n - 4 - tkl
    at = 1
    if size < 13:
        nibble = size
    else:
        nibble = 13 if size < 269 else 14 if size < 65805 else 15
        rest = size - (13 if nibble == 13 else 269 if nibble == 14 else 65805)
        for shift in range(8 * ((1 << (nibble - 13)) - 1), -1, -8):
            out[at] = rest >> shift & 0xFF
            at += 1
    out[0] = nibble << 4 | tkl
    out[at] = buf[1]
    copy(out, at + 1, buf, 4, n - 4)
    return at + n - 3


class StreamParser:
    """Cuts a byte stream into messages of at most `size` octets: after take(), `n` > 0 says that one stands in buf[:n].

    What the stream announces beyond `size` raises CoapError before any room is taken for it, and so does a token that
    is too long: the connection is to be aborted, for the stream has no other way back into step.
    """

    def __init__(self, size):
        self.buf = bytearray(size)
        self.reset()

    def reset(self):
        """Start with a new stream."""
        self.n = 0
        self._have = 0  # octets of the head, then of the message
        self._need = 0  # octets of the whole message; 0 while its head is read
        self._head = bytearray(_HEAD_MAX)

    def take(self, data, at, n):
        """Take octets of data[at:n], up to the end of one message; returns the offset of the first one not taken."""
        self.n = 0
        head = self._head
        while not self._need:
            if at >= n:
                return at
            head[self._have] = data[at]
            self._have += 1
            at += 1
            self._measure()
        size = min(n - at, self._need - self._have)
        copy(self.buf, self._have, data, at, size)
        self._have += size
        if self._have == self._need:
            self.n = self._need
            self._need = self._have = 0
        return at + size

    def _measure(self):
        """When the head is whole, put UDP's in its place."""
        head = self._head
        nibble = head[0] >> 4
        extra = 0 if nibble < 13 else 1 << (nibble - 13)
        if head[0] & 15 > TOKEN_MAX:
            raise CoapError(0, "token")
        if self._have < 2 + extra:
            return
        size = nibble
        if extra:
            size = 0
            for i in range(1, 1 + extra):
                size = size << 8 | head[i]
            size += 13 if nibble == 13 else 269 if nibble == 14 else 65805
        size += 4 + (head[0] & 15)
        if size > len(self.buf):
            raise CoapError(0, "too long")
        buf = self.buf
        buf[0] = 0x40 | head[0] & 15
        buf[1] = head[1 + extra]
        buf[2] = buf[3] = 0
        self._have = 4
        self._need = size


def signal(buf, code, number=0, value=0, text=""):
    """Build a signal (section 5) with at most one option, an unsigned integer, and a diagnostic text; returns n."""
    builder = Builder(buf)
    builder.start(0, code, 0, b"")
    if number:
        builder.uint(number, value)
    builder.payload(text.encode())
    return builder.n


def csm(buf, max_message_size):
    """Build a Capabilities and Settings Message (section 5.3) that says block-wise transfer, with BERT; returns n."""
    builder = Builder(buf)
    builder.start(0, COAP_CSM, 0, b"")
    builder.uint(CSM_MAX_MESSAGE_SIZE, max_message_size)
    builder.option(CSM_BLOCK_WISE, b"")
    return builder.n


def unknown_critical(message, known=()):
    """Number of the first critical option of a signal that is not in `known`, or 0 (section 5.2: abort then)."""
    for i in range(message.count):
        number = message.numbers[i]
        if number & 1 and number not in known:
            return number
    return 0
