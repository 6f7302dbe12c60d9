"""The CoAP codec against RFC 7252, sections 3 and 4: what is read, refused and built; RFC 8323's frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.wire.coap import MAX_OPTIONS, Builder, CoapError, Message
from spot.wire.coap_stream import StreamParser, csm, signal, to_stream, unknown_critical


def options(message):
    return [(message.numbers[i], message.octets(i)) for i in range(message.count)]


def parsed(data):
    message = Message()
    message.parse(data, len(data))
    return message


GOOD = [
    ("section 3: an empty CON, CoAP ping", "40 00 12 34", (0, 0, 0x1234, "", [], "")),
    ("section 3: RST", "70 00 12 34", (3, 0, 0x1234, "", [], "")),
    ("appendix A: GET /temperature", "40 01 7d 34 bb 74656d7065726174757265",
     (0, 1, 0x7D34, "", [(11, b"temperature")], "")),
    ("appendix A: 2.05 with payload", "60 45 7d 34 ff 32322e332043", (2, 0x45, 0x7D34, "", [], "32322e332043")),
    ("appendix A: with a token", "41 01 7d 35 20 bb 74656d7065726174757265",
     (0, 1, 0x7D35, "20", [(11, b"temperature")], "")),
    ("a token of eight", "48 01 00 01 0102030405060708", (0, 1, 1, "0102030405060708", [], "")),
    ("3.1: delta 13 and a zero length", "50 01 00 00 d0 00", (1, 1, 0, "", [(13, b"")], "")),
    ("3.1: delta 14", "50 01 00 00 e0 0000", (1, 1, 0, "", [(269, b"")], "")),
    ("3.1: the largest option number", "50 01 00 00 e0 fef2", (1, 1, 0, "", [(65535, b"")], "")),
    ("3.1: length 13", "50 01 00 00 1d 00" + "61" * 13, (1, 1, 0, "", [(1, b"a" * 13)], "")),
    ("3.1: length 14", "50 01 00 00 1e 0000" + "61" * 269, (1, 1, 0, "", [(1, b"a" * 269)], "")),
    ("3.1: delta 0 repeats", "50 01 00 00 b1 61 01 62", (1, 1, 0, "", [(11, b"a"), (11, b"b")], "")),
    ("a marker octet inside a value is no marker", "50 01 00 00 b1 ff", (1, 1, 0, "", [(11, b"\xff")], "")),
]

BAD = [
    ("nothing", ""), ("three octets", "40 01 00"), ("version 0", "00 01 00 00"), ("version 2", "80 01 00 00"),
    ("token length 9", "49 01 00 00" + "00" * 9), ("token length 15", "4f 01 00 00" + "00" * 15),
    ("token cut", "44 01 00 00 01 02 03"), ("4.1: an empty message with a token", "41 00 00 00 01"),
    ("4.1: an empty message with more", "40 00 00 00 ff 00"), ("3: a marker and no payload", "40 01 00 00 ff"),
    ("3.1: delta 15", "40 01 00 00 f0"), ("3.1: length 15", "40 01 00 00 0f"), ("delta 13 cut", "40 01 00 00 d0"),
    ("delta 14 cut", "40 01 00 00 e0 00"), ("length 13 cut", "40 01 00 00 0d"), ("length 14 cut", "40 01 00 00 0e 01"),
    ("value cut", "40 01 00 00 b2 61"), ("number over 65535", "40 01 00 00 e0 fef3"),
    ("more options than the table holds", "40 01 00 00" + "00" * (MAX_OPTIONS + 1)),
]


@pytest.mark.parametrize("sentence, data, expected", GOOD, ids=[row[0] for row in GOOD])
def test_reads(sentence, data, expected):
    message = parsed(bytes.fromhex(data))
    payload = bytes(message.buf[message.payload_at : message.payload_at + message.payload_n])
    got = (message.type, message.code, message.mid, message.token().hex(), options(message), payload.hex())
    assert got == expected


@pytest.mark.parametrize("sentence, data", BAD, ids=[row[0] for row in BAD])
def test_refuses(sentence, data):
    with pytest.raises(CoapError) as error:
        parsed(bytes.fromhex(data))
    assert error.value.code == 0


def test_reads_no_octet_behind_the_message():
    for _, data, _ in GOOD:
        whole = bytes.fromhex(data)
        for n in range(len(whole)):
            outcomes = []
            for offered in (whole, whole[:n]):
                message = Message()
                try:
                    message.parse(offered, n)
                    outcomes.append((options(message), message.payload_n))
                except CoapError:
                    outcomes.append(None)
            assert outcomes[0] == outcomes[1]


def build(buf, type, code, mid, token, opts, payload):
    builder = Builder(buf)
    builder.start(type, code, mid, token)
    for number, value in opts:
        builder.option(number, value)
    builder.payload(payload)
    return builder.n


@pytest.mark.parametrize("sentence, data, expected", GOOD, ids=[row[0] for row in GOOD])
def test_builds_the_same_octets(sentence, data, expected):
    type, code, mid, token, opts, payload = expected
    buf = bytearray(512)
    n = build(buf, type, code, mid, bytes.fromhex(token), opts, bytes.fromhex(payload))
    assert bytes(buf[:n]).hex() == data.replace(" ", "")


NUMBERS = st.one_of(st.integers(0, 300), st.integers(0, 65535))
OPTIONS = st.lists(st.tuples(NUMBERS, st.binary(max_size=300)), max_size=12)


@given(st.integers(0, 3), st.integers(1, 255), st.integers(0, 65535), st.binary(max_size=8), OPTIONS,
       st.binary(max_size=200))
def test_there_and_back(type, code, mid, token, opts, payload):
    opts.sort(key=lambda row: row[0])
    buf = bytearray(8192)
    n = build(buf, type, code, mid, token, opts, payload)
    message = parsed(bytes(buf[:n]))
    assert (message.type, message.code, message.mid, message.token()) == (type, code, mid, token)
    assert options(message) == opts
    assert bytes(message.buf[message.payload_at : message.payload_at + message.payload_n]) == payload
    # RFC 8323: the same through a stream, whole and octet by octet
    out = bytearray(8200)
    size = to_stream(buf, n, out)
    expected = bytes([buf[0] & 0x4F, buf[1], 0, 0]) + bytes(buf[4:n])
    parser = StreamParser(n)
    assert parser.take(out, 0, size) == size
    assert bytes(parser.buf[: parser.n]) == expected
    for at in range(size):
        assert parser.n == 0 or at == 0
        parser.take(out, at, at + 1)
    assert bytes(parser.buf[: parser.n]) == expected


@given(st.binary(max_size=80))
def test_any_octets_are_read_or_refused(data):
    try:
        message = parsed(data)
    except CoapError:
        return
    assert message.payload_at + message.payload_n == len(data)
    buf = bytearray(400)
    n = build(buf, message.type, message.code, message.mid, message.token(), options(message),
              data[message.payload_at :])
    again = parsed(bytes(buf[:n]))
    assert options(again) == options(message)


@pytest.mark.parametrize("value, octets", [(0, ""), (1, "01"), (255, "ff"), (256, "0100"), (0xFFFFFF, "ffffff"),
                                           (2**32 - 1, "ffffffff")])
def test_an_unsigned_integer_takes_as_few_octets_as_it_needs(value, octets):
    buf = bytearray(32)
    builder = Builder(buf)
    builder.start(1, 1, 0, b"")
    builder.uint(6, value)
    message = parsed(bytes(buf[: builder.n]))
    assert message.octets(0).hex() == octets
    assert message.uint(0) == value


def test_leading_zeros_of_an_integer_are_taken():
    assert parsed(bytes.fromhex("50010000 63 000001")).uint(0) == 1


def test_find_knows_repeated_options():
    message = parsed(bytes.fromhex("50010000 b161 0162 1163"))
    assert [message.find(11, i) for i in range(3)] == [0, 1, -1]
    assert message.find(12) == 2 and message.find(13) == -1


def test_the_builder_refuses_what_is_out_of_order_or_does_not_fit():
    buf = bytearray(24)
    builder = Builder(buf)
    builder.start(0, 1, 1, b"abcd")
    builder.option(11, b"a")
    for call in (lambda: builder.option(10, b""), lambda: builder.option(12, bytes(20)),
                 lambda: builder.payload(bytes(14)), lambda: builder.start(0, 1, 1, bytes(9)),
                 lambda: Builder(bytearray(6)).start(0, 1, 1, b"abcd"),
                 lambda: builder.option(65536, b"")):
        with pytest.raises(CoapError):
            call()


STREAM = [
    ("section 3.2, figure 6: nothing but a code", "00 43", "40 43 00 00"),
    ("figure 7: Len 0, token of one", "01 43 7f", "41 43 00 00 7f"),
    ("Len 13 in one more octet", "d0 00 45" + "ff" + "61" * 12, "40 45 00 00 ff" + "61" * 12),
    ("Len 269 in two more", "e0 0000 45 ff" + "61" * 268, "40 45 00 00 ff" + "61" * 268),
]


@pytest.mark.parametrize("sentence, stream, datagram", STREAM, ids=[row[0] for row in STREAM])
def test_frames_of_a_stream(sentence, stream, datagram):
    stream, datagram = bytes.fromhex(stream), bytes.fromhex(datagram)
    out = bytearray(400)
    assert bytes(out[: to_stream(datagram, len(datagram), out)]) == stream
    parser = StreamParser(400)
    assert parser.take(stream + stream, 0, 2 * len(stream)) == len(stream)
    assert bytes(parser.buf[: parser.n]) == datagram


def test_a_length_of_four_octets_is_read():
    datagram = bytes.fromhex("40450000ff") + bytes(65805)
    stream = bytearray(66000)
    n = to_stream(datagram, len(datagram), stream)
    assert stream[:6].hex() == "f00000000145"
    parser = StreamParser(70000)
    assert parser.take(stream, 0, n) == n and bytes(parser.buf[: parser.n]) == datagram


@pytest.mark.parametrize("stream", ["f0 ffffffff 45", "e0 ffff 45", "d0 ff 45", "09 45", "0f"])
def test_a_stream_is_refused_before_room_is_taken(stream):
    parser = StreamParser(64)
    data = bytes.fromhex(stream)
    with pytest.raises(CoapError):
        parser.take(data, 0, len(data))
    assert len(parser.buf) == 64


def test_signals():
    buf = bytearray(64)
    message = Message()
    message.parse(buf, csm(buf, 1152))
    assert (message.code, options(message)) == (0xE1, [(2, b"\x04\x80"), (4, b"")])
    message.parse(buf, signal(buf, 0xE5, 2, 7, "why"))
    assert (message.code, options(message)) == (0xE5, [(2, b"\x07")])
    assert bytes(buf[message.payload_at : message.payload_at + message.payload_n]) == b"why"
    message.parse(buf, signal(buf, 0xE2, 0))
    assert unknown_critical(message) == 0
    message.parse(buf, signal(buf, 0xE2, 9, 1))
    assert unknown_critical(message) == 9 and unknown_critical(message, (9,)) == 0
