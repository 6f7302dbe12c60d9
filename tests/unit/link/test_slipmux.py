"""Slipmux framing: what a good frame is, and what noise costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.link.slipmux import Frames, fcs16, write_message, write_text

END, ESC = 0xC0, 0xDB
PING = bytes([0x40, 0x00, 0x12, 0x34])


def frames(octets, size=64):
    """What comes out: each a CoAP message, or (first octet, rest)."""
    taker, found = Frames(size), []
    for octet in octets:
        if taker.take(octet):
            n = taker.message()
            found.append(bytes(taker.buf[1 : 1 + n]) if n else (taker.buf[0], bytes(taker.buf[1 : taker.n])))
    return found, taker


def framed(message):
    out = bytearray(2 * len(message) + 8)
    return bytes(out[: write_message(message, len(message), out)])


def test_the_check_sequence_is_that_of_ppp():
    assert fcs16(b"123456789", 9) ^ 0xFFFF == 0x906E  # CRC-16/X-25, the catalogue's check value


def test_a_ping_frame_octet_by_octet():
    fcs = fcs16(b"\xa9" + PING, 5) ^ 0xFFFF
    assert framed(PING) == bytes([END, 0xA9, *PING, fcs & 0xFF, fcs >> 8, END])


@given(st.binary(min_size=4, max_size=60), st.binary(max_size=20).filter(lambda noise: END not in noise))
def test_a_message_comes_out_as_it_went_in_whatever_was_printed_before(message, noise):
    found, _ = frames(noise + framed(message))
    assert found[-1] == message


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_octets_cost_at_most_what_they_damage(chunks):
    for chunk in chunks:
        found, taker = frames(chunk)
        assert all(not isinstance(one, tuple) or len(one[1]) < 64 for one in found)
        assert len(taker.buf) == 64


def test_text_beside_messages():
    out = bytearray(64)
    text = bytes(out[: write_text(b"relay closed", out)])
    found, _ = frames(text + framed(PING) + b"panic!\n" + framed(PING))
    assert found == [(0x0A, b"relay closed"), PING, (ord("p"), b"anic!\n"), PING]


@pytest.mark.parametrize(("octets", "damaged"), [
    (bytes([END, END, END]), 0),
    (bytes([0xA9, *PING, 0, 0, END]), 1),  # a check sequence that is wrong
    (bytes([0xA9, 1, 2, END]), 0),  # too short for a message: a frame nobody knows
    (bytes([0xA9, ESC, 0x41, 1, 2, END]), 1),  # an escape of nothing
    (bytes([0xA9, *PING, ESC, END]), 1),  # given up by the sender
    (bytes(200) + bytes([END]), 1),  # longer than there is room for
    (bytes([0x45, *bytes(20), END]), 0),  # an IPv4 packet
])
def test_what_is_no_message_is_passed_over_and_the_next_frame_is_good(octets, damaged):
    found, taker = frames(octets + framed(PING))
    assert found[-1] == PING and taker.damaged == damaged
    assert PING not in found[:-1]


def test_one_flipped_bit_anywhere_is_no_message():
    good = framed(PING)
    for i in range(1, len(good) - 1):
        for bit in range(8):
            bad = bytearray(good)
            bad[i] ^= 1 << bit
            found, _ = frames(bytes(bad) + framed(PING))
            assert [one for one in found if one == PING] == [PING], (i, bit)
            assert not any(isinstance(one, bytes) and one != PING for one in found), (i, bit)
