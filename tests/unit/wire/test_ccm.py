"""AES-CCM against the RFC's and COSE's numbers, and against another implementation."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.wire import ccm

VECTORS = json.loads(Path(__file__).with_name("security.json").read_text())
KEYS = [bytes([k]) * 16 for k in (1, 2)]


@pytest.mark.parametrize("row", VECTORS["ccm"], ids=lambda row: row[0])
def test_vectors(row):
    """RFC 3610 section 8, packet vectors 1 to 6 (tags of 8), and the COSE examples; three times on one object."""
    key, nonce, aad, text, sealed = (bytes.fromhex(x) for x in row[1:])
    cipher = ccm.CCM(key)
    for _ in range(3):
        buf = bytearray(text + bytes(8))
        cipher.seal(nonce, aad, len(aad), buf, 0, len(text))
        assert buf == sealed
        assert cipher.open(nonce, aad, len(aad), buf, 0, len(text))
        assert buf[:-8] == text


TEXT = st.one_of(st.binary(max_size=100), st.integers(0, 1160).map(lambda n: (bytes(range(256)) * 5)[:n]))
ACT = st.tuples(st.booleans(), st.integers(0, 1), st.binary(min_size=13, max_size=13), st.binary(max_size=40), TEXT)


@settings(deadline=None, max_examples=150)
@given(st.lists(ACT, max_size=6))
def test_two_keys_in_turn_are_as_the_other_implementation_has_it(acts):
    """Any sequence of messages under two keys, sealed by one side and opened by the other: no state leaks between
    messages or keys."""
    ours = [ccm.CCM(key) for key in KEYS]
    theirs = [AESCCM(key, tag_length=8) for key in KEYS]
    for seals, which, nonce, aad, text in acts:
        buf = bytearray(b"<<<" + text + bytes(8) + b">>>")
        if seals:
            ours[which].seal(nonce, aad, len(aad), buf, 3, len(text))
            assert theirs[which].decrypt(nonce, bytes(buf[3:-3]), aad) == text
        else:
            buf[3:-3] = theirs[which].encrypt(nonce, text, aad)
            assert ours[which].open(nonce, aad, len(aad), buf, 3, len(text))
            assert buf[3:-11] == text
        assert buf[:3] == b"<<<" and buf[-3:] == b">>>"


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60), st.binary(max_size=30), st.data())
def test_one_wrong_bit_anywhere_opens_nothing(text, aad, data):
    """Ciphertext, tag, additional data, nonce: the buffer stays as it was, and the next message opens."""
    cipher = ccm.CCM(KEYS[0])
    nonce = bytes(range(13))
    buf = bytearray(text + bytes(8))
    cipher.seal(nonce, aad, len(aad), buf, 0, len(text))
    whole = bytes(buf)
    parts = [bytearray(buf), bytearray(aad), bytearray(nonce)]
    bit = data.draw(st.integers(0, 8 * sum(map(len, parts)) - 1))
    for part in parts:
        if 0 <= bit < 8 * len(part):
            part[bit >> 3] ^= 1 << (bit & 7)
        bit -= 8 * len(part)
    spoiled = bytes(parts[0])
    assert not cipher.open(parts[2], parts[1], len(aad), parts[0], 0, len(text))
    assert parts[0] == spoiled
    buf[:] = whole
    assert cipher.open(nonce, aad, len(aad), buf, 0, len(text)) and buf[:-8] == text


@pytest.mark.parametrize("nonce, aad_n, at, n, room", [
    (12, 0, 0, 8, 16), (14, 0, 0, 8, 16), (13, 9, 0, 8, 16), (13, 0, 0, 9, 16), (13, 0, -1, 8, 16), (13, 0, 0, -1, 16),
    (13, -1, 0, 8, 16), (13, 201, 0, 8, 300), (13, 0, 0, 1201, 1300), (13, 1, 0, 1200, 1300), (13, 0, 9, 0, 16),
])
@pytest.mark.parametrize("call", ["seal", "open"])
def test_what_does_not_fit_is_refused(call, nonce, aad_n, at, n, room):
    with pytest.raises(ValueError):
        getattr(ccm.CCM(KEYS[0]), call)(bytes(nonce), bytes(8 if aad_n < 10 else aad_n), aad_n, bytearray(room), at, n)


@pytest.mark.parametrize("aad_n", range(0, 201, 8))
def test_the_longest_message(aad_n):
    """1,200 octets of text and additional data together, of which 200 may be additional data."""
    text, aad, nonce = bytes(range(250)) * 5, bytes(range(250)) * 5, bytes(13)
    n = 1200 - aad_n
    buf = bytearray(text[:n] + bytes(8))
    cipher = ccm.CCM(KEYS[0])
    cipher.seal(nonce, aad, aad_n, buf, 0, n)
    assert buf == AESCCM(KEYS[0], tag_length=8).encrypt(nonce, text[:n], aad[:aad_n])
    assert cipher.open(nonce, aad, aad_n, buf, 0, n) and buf[:n] == text[:n]


@pytest.mark.parametrize("n", [end + d for end in (192, 208, 224, 240, 256, 448, 464, 480, 496, 512, 1136)
                               for d in (-1, 0, 1)])
@pytest.mark.parametrize("aad_n", [0, 14, 15, 40])
def test_where_pieces_meet(n, aad_n):
    """Texts that end at the end of a piece and beside it; with a wrong bit in the first piece or the last they stay as
    they were."""
    text, aad, nonce = (bytes(range(250)) * 5)[:n], bytes(range(aad_n)), bytes(range(13))
    cipher, other = ccm.CCM(KEYS[0]), AESCCM(KEYS[0], tag_length=8)
    buf = bytearray(text + bytes(8))
    cipher.seal(nonce, aad, aad_n, buf, 0, n)
    assert buf == other.encrypt(nonce, text, aad)
    for place in (0, n - 1, n + 7):
        buf[place] ^= 1
        before = bytes(buf)
        assert not cipher.open(nonce, aad, aad_n, buf, 0, n) and buf == before
        buf[place] ^= 1
    assert cipher.open(nonce, aad, aad_n, buf, 0, n) and buf[:n] == text
