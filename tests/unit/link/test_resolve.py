"""The DNS query and the bounded parser of its answer (RFC 1035)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.link.errors import LinkError
from spot.link.resolve import answer, is_address, query, servers_of

ASKED = query("broker.example", b"\x12\x34")
POINTER = b"\xc0\x0c"


def record(kind, data, ttl=300, owner=POINTER, internet=1):
    return (owner + kind.to_bytes(2, "big") + internet.to_bytes(2, "big") + ttl.to_bytes(4, "big")
            + len(data).to_bytes(2, "big") + data)


def reply(*records, code=0, flags=0x81, count=None, ident=ASKED[:2], question=ASKED[12:]):
    count = len(records) if count is None else count
    return ident + bytes([flags, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]) + question + b"".join(records)


ADDRESS = record(1, b"\xc0\x00\x02\x07")


def test_query():
    assert ASKED == b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06broker\x07example\x00\x00\x01\x00\x01"
    assert query("broker.example.", b"\x12\x34") == ASKED


@pytest.mark.parametrize("host", ["", ".", "a..b", "x" * 64 + ".example", ".".join(["abcdefgh"] * 30)])
def test_no_host_name(host):
    with pytest.raises(ValueError, match="host name"):
        query(host, b"\0\0")


@pytest.mark.parametrize(("packet", "expected"), [
    (reply(ADDRESS), ("192.0.2.7", 300)),
    (reply(record(5, b"\x05other" + POINTER), ADDRESS), ("192.0.2.7", 300)),
    (reply(record(1, b"\x7f\0\0\1", ttl=0)), ("127.0.0.1", 30)),
    (reply(record(1, b"\x7f\0\0\1", ttl=0xFFFFFFFF)), ("127.0.0.1", 3600)),
    (reply(record(1, b"\x7f\0\0\1", ttl=90000)), ("127.0.0.1", 3600)),
    (reply(record(1, b"\x01\x02\x03\x04", owner=b"\x06broker\x07example\x00")), ("1.2.3.4", 300)),
    (reply(record(28, bytes(16)), ADDRESS), ("192.0.2.7", 300)),
    (reply(ADDRESS, question=ASKED[12:].upper()), ("192.0.2.7", 300)),
], ids=["plain", "CNAME first", "ttl 0", "ttl largest", "ttl of a day", "owner spelt out", "AAAA first", "other case"])
def test_answers(packet, expected):
    assert answer(packet, ASKED) == expected


@pytest.mark.parametrize("packet", [
    b"", b"\x12\x34", reply(ADDRESS, ident=b"\x12\x35"), reply(ADDRESS, flags=1),
    reply(ADDRESS, question=query("other.example1", b"\0\0")[12:]), reply(ADDRESS) + bytes(600),
], ids=["empty", "short", "other id", "a query", "other question", "too long"])
def test_not_our_answer(packet):
    """Ignored: the real answer may still come."""
    assert answer(packet, ASKED) is None


@pytest.mark.parametrize(("packet", "code"), [
    (reply(code=3), 3), (reply(code=2), 2), (reply(), 0), (reply(record(28, bytes(16))), 0),
    (reply(count=1), 1), (reply(ADDRESS[:-1]), 1), (reply(record(1, b"abc")), 0), (reply(b"\x80\x01", count=1), 1),
    (reply(ADDRESS[:5], count=1), 1), (reply(record(1, b"abcd", internet=3)), 0),
    (reply(*[record(28, b"")] * 17, ADDRESS), 0),
], ids=["no such name", "server failed", "no record", "AAAA only", "record missing", "record cut", "A of three octets",
        "bad label", "header cut", "other class", "beyond the sixteenth record"])
def test_no_address(packet, code):
    with pytest.raises(LinkError) as caught:
        answer(packet, ASKED)
    assert (caught.value.cause, caught.value.detail) == ("dns", code)


@given(st.binary(max_size=500), st.integers(0, 60))
def test_hostile_answers(junk, keep):
    """An answer, None or LinkError, whatever comes."""
    for packet in (junk, reply(junk, count=20), reply(ADDRESS)[:keep] + junk):
        try:
            got = answer(packet, ASKED)
        except LinkError:
            continue
        assert got is None or is_address(got[0]) and 30 <= got[1] <= 3600


def test_addresses():
    assert all(map(is_address, ["127.0.0.1", "255.255.255.255", "::1", "fe80::1"]))
    assert not any(map(is_address, ["", "localhost", "1.2.3", "1.2.3.256", "a.b.c.d", "1.2.3.4.5", "broker.example"]))


def test_resolv_conf():
    text = "# comment\nnameserver 192.0.2.1\nsearch x\nnameserver\nnameserver bad\nnameserver ::1\n"
    text += "nameserver 1.1.1.1\n" * 5
    assert servers_of(text) == [("192.0.2.1", 53), ("::1", 53), ("1.1.1.1", 53)]
