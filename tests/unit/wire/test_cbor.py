"""The CBOR codec: RFC 8949's own vectors, its limits, and cbor2 as an independent opinion."""

import json
import math
import struct
from pathlib import Path

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.wire.cbor_objects import MAX_DEPTH, MAX_ITEMS, CBORError, Reader, Simple, Tag, Writer, decode, encode

VECTORS = json.loads(Path(__file__).with_name("rfc8949.json").read_text())


def encoded(value, size=4096):
    buf = bytearray(size)
    return bytes(buf[:encode(value, buf)])


def as_cbor2(value):
    """Our values in cbor2's types."""
    if isinstance(value, Tag):
        return cbor2.CBORTag(value.number, as_cbor2(value.value))
    if isinstance(value, Simple):
        return cbor2.undefined if value.number == 23 else cbor2.CBORSimpleValue(value.number)
    if isinstance(value, list):
        return [as_cbor2(v) for v in value]
    if isinstance(value, dict):
        return {as_cbor2(k): as_cbor2(v) for k, v in value.items()}
    return value


def same(a, b):
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


@pytest.mark.parametrize("text", [t for t, deterministic in VECTORS["appendix_a"] if deterministic])
def test_appendix_a_deterministic(text):
    """Read as cbor2 reads it, written again to the same octets, refused when cut at any octet."""
    body = bytes.fromhex(text)
    value = decode(body)
    if not (isinstance(value, Tag) and value.number in (0, 1, 2, 3)):  # cbor2 makes dates and big integers of these
        assert same(as_cbor2(value), cbor2.loads(body))
    assert encoded(value) == body
    for n in range(len(body)):
        with pytest.raises(CBORError):
            decode(body[:n])
        with pytest.raises(CBORError):
            decode(body, n)
        skipper = Reader(body, n)
        with pytest.raises(CBORError):
            skipper.skip()
    skipper = Reader(body)
    skipper.skip()
    skipper.finish()


@pytest.mark.parametrize("text", [t for t, deterministic in VECTORS["appendix_a"] if not deterministic])
def test_appendix_a_not_deterministic(text):
    """Indefinite lengths, floats that are not shortest, and f818, which RFC 8949 appendix F lists as malformed."""
    refused_by_both(bytes.fromhex(text))


@pytest.mark.parametrize("text", VECTORS["appendix_f"])
def test_appendix_f_malformed(text):
    refused_by_both(bytes.fromhex(text))


def test_counts():
    """82 vectors: 64 deterministic, 17 not, and f818, which is malformed; 94 malformed ones."""
    deterministic = sum(good for _, good in VECTORS["appendix_a"])
    assert (deterministic, len(VECTORS["appendix_a"]), len(VECTORS["appendix_f"])) == (64, 82, 94)
    assert "f818" in VECTORS["appendix_f"]


def refused_by_both(body):
    with pytest.raises(CBORError):
        decode(body)
    reader = Reader(body)
    with pytest.raises(CBORError):
        reader.skip()
        reader.finish()


@pytest.mark.parametrize("text, why", [
    ("1817", "23 in two octets"), ("190017", "23 in three"), ("1900ff", "255 in three"),
    ("1a0000ffff", "65,535 in five"),
    ("1b00000000ffffffff", "2^32 - 1 in nine"), ("3817", "-24 in two"), ("5800", "length 0 in two"),
    ("7801ff", "not UTF-8"),
    ("981700", "array length in two"), ("b80100", "map length in two"), ("d80100", "tag number in two"),
    ("a2010001 00", "a key twice"), ("a2020001 00", "keys out of order"), ("a2613061000101", "keys not bytewise"),
    ("a1810000", "an array as a key"), ("a1f9000000", "a float as a key"), ("a1c00000", "a tag as a key"),
    ("a201 00 f5 00 00", "octets left over"), ("0000", "two items"), ("", "nothing"), ("f97e01", "another NaN"),
    ("fa7fc00001", "a NaN of four octets"), ("61ff", "ff is no UTF-8"), ("62c080", "overlong"),
    ("63eda080", "a surrogate"),
    ("64f4908080", "over U+10FFFF"), ("62c320", "cut sequence"), ("61c3", "cut at the end"), ("64f0808080", "overlong"),
    ("c24101", "a bignum that a head holds"), ("c349000000000000000001", "a bignum with leading zeros"),
    ("9bffffffffffffffff", "2^64 - 1 items"), ("9a7fffffff", "2^31 - 1 items"), ("bb8000000000000000", "2^63 pairs"),
    ("5bffffffffffffffff", "a string of 2^64 - 1"), ("7b8000000000000000", "a text of 2^63"),
    ("ba00010000", "65,536 pairs"),
])
def test_refused(text, why):
    refused_by_both(bytes.fromhex(text))


@pytest.mark.parametrize("open_one", ["81", "a100", "c1"], ids=["arrays", "maps", "tags"])
def test_depth(open_one):
    """MAX_DEPTH containers in each other, not one more."""
    assert decode(bytes.fromhex(open_one * MAX_DEPTH + "00")) is not None
    refused_by_both(bytes.fromhex(open_one * (MAX_DEPTH + 1) + "00"))
    refused_by_both(bytes.fromhex(open_one * 5000 + "00"))


def test_items():
    """MAX_ITEMS data items in all, not one more, also spread over levels."""
    assert len(decode(b"\x99" + (MAX_ITEMS - 1).to_bytes(2, "big") + bytes(MAX_ITEMS - 1))) == MAX_ITEMS - 1
    refused_by_both(b"\x99" + MAX_ITEMS.to_bytes(2, "big") + bytes(MAX_ITEMS))
    refused_by_both(b"\x98\x64" + (b"\x8a" + bytes(10)) * 100)


def test_keys_that_python_takes_for_one():
    """1 and true are two keys in CBOR and one in Python: refused, not silently merged."""
    with pytest.raises(CBORError):
        decode(bytes.fromhex("a20100f500"))


def test_offset_is_where_it_is_wrong():
    for text, offset in (("83010218 17", 3), ("a2010001 00", 3), ("8262c080 00", 2), ("8100ff", 2),
                         ("82 00", 0), ("811c", 1)):
        with pytest.raises(CBORError) as caught:
            decode(bytes.fromhex(text))
        assert caught.value.offset == offset, text


def test_writer_refuses():
    """A full buffer at every size, integers over 64 bits, simple values that are none, lone surrogates, other types."""
    value = {"a": [1, 1000, -70000, 2**40, b"12345", "äö"], "b": 1.1}
    n = len(encoded(value))
    for size in range(n):
        with pytest.raises(CBORError):
            encode(value, bytearray(size))
    assert encoded(value, n) == encoded(value)
    for bad in (2**64, -(2**64) - 1, Simple(24), Simple(31), Simple(256), object(), [set()], float):
        with pytest.raises(CBORError):
            encoded(bad)
    nested = 0
    for _ in range(MAX_DEPTH + 2):
        nested = [nested]
    with pytest.raises(CBORError):
        encoded(nested)


def test_writer_calls():
    """The writer's methods one by one, as firmware uses them."""
    writer = Writer(bytearray(64))
    writer.array(6)
    writer.uint(24)
    writer.int(-500)
    writer.bytes(b"\1\2")
    writer.text("ü")
    writer.null()
    writer.map(1)
    writer.uint(1)
    writer.tag(73)
    writer.bool(True)
    assert bytes(writer.buf[:writer.n]).hex() == "8618183901f342010262c3bcf6a101d849f5"
    writer.reset()
    writer.float(1.5)
    assert bytes(writer.buf[:writer.n]).hex() == "f93e00"


def test_reader_expectations_leave_the_place():
    """A typed read of something else raises, and reads nothing."""
    reader = Reader(bytes.fromhex("01"))
    for read in (reader.read_bytes, reader.read_text, reader.read_array, reader.read_map, reader.read_tag):
        with pytest.raises(CBORError):
            read()
        assert reader.at == 0
    assert reader.read_null() is False
    assert reader.read_uint() == 1
    assert reader.peek() == -1
    with pytest.raises(CBORError):
        Reader(b"", 5)


_SCALARS = (st.integers(-(2**64), 2**64 - 1) | st.text(max_size=20) | st.binary(max_size=40) | st.booleans() | st.none()
            | st.floats() | st.floats(width=32) | st.floats(width=16))
_KEYS = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=8) | st.binary(max_size=8)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(_KEYS, inner, max_size=6),
                       max_leaves=20)


@given(_VALUES)
def test_same_octets_as_cbor2_canonical(value):
    """What we write is what cbor2 writes in canonical mode, and reads back as the same."""
    try:
        ours = encoded(value, 1 << 16)
    except CBORError:
        return  # deeper than the limit
    theirs = cbor2.dumps(value, canonical=True)
    if not has_maps(value):  # cbor2 sorts keys by length first (RFC 7049), we bytewise (RFC 8949)
        assert ours == theirs
    assert same_tree(cbor2.loads(ours), value)
    assert same_tree(as_cbor2(decode(ours)), value)


def has_maps(value):
    return isinstance(value, dict) or (isinstance(value, list) and any(map(has_maps, value)))


def same_tree(a, b):
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_tree, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_tree(a[k], b[k]) for k in a)
    return same(a, b) and isinstance(a, bool) == isinstance(b, bool)


@given(st.binary(max_size=60))
def test_any_octets(body):
    """A value or CBORError, skip() agrees with read(), and what is accepted is deterministic: it encodes to itself."""
    try:
        value = decode(body)
    except CBORError as error:
        assert -1 <= error.offset <= len(body)
        if "twice" not in str(error):
            refused_by_both(body)
        return
    reader = Reader(body)
    reader.skip()
    reader.finish()
    assert encoded(value) == body


@given(_VALUES, st.data())
def test_damaged_octets(value, data):
    """One octet changed, put in or taken out of valid octets."""
    try:
        body = bytearray(encoded(value, 1 << 16))
    except CBORError:
        return
    at = data.draw(st.integers(0, len(body) - 1))
    how = data.draw(st.integers(0, 2))
    octet = data.draw(st.integers(0, 255))
    if how == 0:
        body[at] = octet
    elif how == 1:
        body.insert(at, octet)
    else:
        del body[at]
    test_any_octets.hypothesis.inner_test(bytes(body))


@given(st.integers(0, 0xFFFF))
def test_halves(bits):
    """Every half as the struct module reads it, and none but one NaN."""
    body = b"\xf9" + bits.to_bytes(2, "big")
    value = struct.unpack(">e", body[1:])[0]
    if math.isnan(value) and bits != 0x7E00:
        refused_by_both(body)
        return
    assert same(decode(body), value)
    assert encoded(value) == body


@given(st.floats(width=32), st.floats())
def test_floats_are_shortest(single, double):
    """A float in the shortest of the three forms that holds it; the longer ones are refused."""
    for value in (single, double):
        if math.isnan(value):
            continue
        body = encoded(value)
        assert body == cbor2.dumps(value, canonical=True)
        for code, form in ((b"\xf9", ">e"), (b"\xfa", ">f"), (b"\xfb", ">d")):
            try:
                longer = code + struct.pack(form, value)
            except OverflowError:
                continue
            if len(longer) > len(body):
                refused_by_both(longer)
