"""CoAP's octets: a datagram, a byte stream, a cable's frames."""

from spot.link import slipmux as slip
from spot.wire.coap import Builder, CoapError, Message
from spot.wire.coap_stream import StreamParser, to_stream

_MAX_OPTIONS = 24
_SIZE = 1152

_message, _again = Message(), Message()


def fields(message):
    options = [(message.numbers[i], message.octets(i)) for i in range(message.count)]
    payload = bytes(message.buf[message.payload_at : message.payload_at + message.payload_n])
    return message.type, message.code, message.mid, message.token(), options, payload


def _build(fields, size=2 * _SIZE + 600):
    builder = Builder(bytearray(size))
    kind, code, mid, token, options, payload = fields
    builder.start(kind, code, mid, token)
    for number, value in options:
        builder.option(number, value)
    builder.payload(payload)
    return builder.buf, builder.n


def _reference(data):
    """RFC 7252, section 3, written for reading: what `fields` gives, or None for a message that is malformed."""
    if len(data) < 4 or data[0] >> 6 != 1:
        return None
    token_n = data[0] & 15
    token, rest = data[4 : 4 + token_n], data[4 + token_n :]
    if token_n > 8 or len(token) < token_n or (data[1] == 0 and len(data) > 4):
        return None
    number, options = 0, []
    while rest and rest[0] != 0xFF:
        delta, length, rest = rest[0] >> 4, rest[0] & 15, rest[1:]
        values = []
        for nibble in (delta, length):
            extra = {13: 1, 14: 2}.get(nibble, 0)
            if nibble == 15 or len(rest) < extra:
                return None
            values.append(int.from_bytes(rest[:extra], "big") + (13, 269)[extra - 1] if extra else nibble)
            rest = rest[extra:]
        number += values[0]
        if len(rest) < values[1] or number > 0xFFFF:
            return None
        options.append((number, rest[: values[1]]))
        rest = rest[values[1] :]
    if rest == b"\xff":
        return None
    return data[0] >> 4 & 3, data[1], data[2] << 8 | data[3], token, options, rest[1:]


def sample(options=(), payload=b"", code=2, token=b"\x01\x02"):
    buf, n = _build((0, code, 0x1234, token, list(options), payload))
    return bytes(buf[:n])


def coap(data: bytes):
    """A datagram is read as the RFC reads it or refused with CoapError(0), and its fields build the same again."""
    expected = _reference(data)
    try:
        _message.parse(data, len(data))
    except CoapError as exc:
        assert exc.code == 0
        assert expected is None or len(expected[4]) > _MAX_OPTIONS
        return
    got = fields(_message)
    assert got == expected
    for i in range(_message.count):
        assert _message.uint(i) == int.from_bytes(got[4][i][1], "big")
        assert _message.find(got[4][i][0]) <= i
    buf, n = _build(got)
    _again.parse(buf, n)
    assert fields(_again) == got


def stream(data: bytes):
    """A byte stream gives the same messages however it is cut, refuses with CoapError(0), and frames again alike."""
    if not data:
        return
    cut, data = 1 + data[0] % 7, data[1:]
    whole, parts = [], []
    for out, step in ((whole, len(data) or 1), (parts, cut)):
        parser = StreamParser(_SIZE)
        try:
            for start in range(0, len(data), step):
                piece = data[start : start + step]
                at = 0
                while at < len(piece):
                    before = at
                    at = parser.take(piece, at, len(piece))
                    assert at > before
                    if parser.n:
                        out.append(bytes(parser.buf[: parser.n]))
        except CoapError as exc:
            assert exc.code == 0
            out.append(None)
    assert whole == parts
    framed = bytearray(_SIZE + 8)
    for message in whole:
        if message is not None:
            n = to_stream(message, len(message), framed)
            parser = StreamParser(_SIZE)
            assert parser.take(framed, 0, n) == n and bytes(parser.buf[: parser.n]) == message


def slipmux(data: bytes):
    """A cable's octets give frames within bounds; and a frame that begins after them arrives as it was sent."""
    frames = slip.Frames(_SIZE)
    got = 0
    for octet in data:
        if frames.take(octet):
            assert 0 < frames.n <= _SIZE
            got += 1
            n = frames.message()
            assert 0 <= n <= frames.n
    assert got + frames.damaged <= 2 * data.count(0xC0)
    out = bytearray(2 * len(data) + 8)
    n = slip.write_message(data, len(data), out)
    whole = [bytes(frames.buf[1 : 1 + frames.message()]) for octet in out[:n] if frames.take(octet)]
    assert (whole[-1] if whole else b"") == (data if 4 <= len(data) <= _SIZE - 3 else b"")


REQUEST = sample([(11, b"cmd"), (15, b"ep=0200000000000001"), (258, b"\x1a")], b"\x84\x01\x02\x03\x04")
_BLOCK = sample([(6, b""), (11, b".well-known"), (11, b"core"), (23, b"\x1c"), (60, b"\x01\x00")], bytes(64), 1)

TARGETS = {"coap": coap, "stream": stream, "slipmux": slipmux}
SEEDS = {
    "coap": [REQUEST, _BLOCK, b"\x40\x00\x00\x01", sample([(292, b"x" * 300)], b"y", 0x45, b"")],
    "stream": [b"\x00\x00\xe1", b"\x03\x52\xe1\x23\x04\x80\x31\x02\xaa\xb3cmd", b"\x06\xd0\x08\x01" + bytes(20)],
    "slipmux": [b"\xc0\x0aboot\xdb\xdc\xdb\xdd\xc0", b"\xc0\xa9" + REQUEST + b"\x00\x00\xc0"],
}
