"""LMS verification: the signatures of RFC 8554 appendix F, ones that pyhsslms makes, and everything that is none.

lms.json holds the four single-level signatures in the two test cases of the appendix: in each the upper tree signs the
lower tree's public key, and the lower one the text.
"""

import json
from pathlib import Path

import pyhsslms
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.wire import lms

ROWS = json.loads((Path(__file__).parent / "lms.json").read_text())
VECTORS = [tuple(bytes.fromhex(row[part]) for part in ("key", "message", "signature")) for row in ROWS]
W4, W8 = pyhsslms.lmots_sha256_n32_w4, pyhsslms.lmots_sha256_n32_w8
H5, H10 = pyhsslms.lms_sha256_m32_h5, pyhsslms.lms_sha256_m32_h10
MESSAGE = bytes(range(256)) * 2


def ok(key, message, signature):
    return lms.verify(key, message, len(message), signature)


@pytest.fixture(scope="module", params=[(H5, W4), (H5, W8), (H10, W4)], ids=["H5 W4", "H5 W8", "H10 W4"])
def signed(request):
    """(public key, its private key of pyhsslms)."""
    private = pyhsslms.LmsPrivateKey(lms_type=request.param[0], lmots_type=request.param[1])
    return private.publicKey().serialize(), private


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS, ids=[row["name"] for row in ROWS])
def test_rfc8554_appendix_f(key, message, signature):
    assert ok(key, message, signature)
    assert len(signature) == lms.signature_octets(key)
    assert not ok(key, message[:-1], signature)
    assert not ok(key, message + b"\0", signature)


def test_the_vectors_hold_both_widths_and_two_heights():
    assert {(row[0][3], row[0][7]) for row in VECTORS} == {(5, 4), (6, 3)}
    assert len(VECTORS) == 4


@pytest.mark.parametrize("n", [0, 1, 55, 64, 300, 512])
def test_signatures_of_pyhsslms(signed, n):
    """Another implementation's signatures, each from another leaf."""
    key, private = signed
    signature = private.sign(MESSAGE[:n])
    assert ok(key, MESSAGE[:n], signature)
    assert lms.verify(key, MESSAGE, n, memoryview(bytearray(signature)))
    assert not ok(key, MESSAGE[:n] + b"\1", signature)


def test_every_octet_of_a_signature_counts():
    """One bit turned in any octet of the signature, any bit of its types, of public key or message: refused, and
    nothing but a ValueError for the key."""
    key, message, signature = VECTORS[2]
    types = 8 * 8  # leaf and type of the one-time signature: all of their bits
    for place in (*range(types), *(8 * at + at * 5 % 8 for at in range(8, len(signature)))):
        spoilt = bytearray(signature)
        spoilt[place >> 3] ^= 1 << (place & 7)
        assert not ok(key, message, bytes(spoilt)), place
    for place in range(8 * len(message)):
        spoilt = bytearray(message)
        spoilt[place >> 3] ^= 1 << (place & 7)
        assert not ok(key, spoilt, signature), place
    for place in range(8 * len(key)):
        spoilt = bytearray(key)
        spoilt[place >> 3] ^= 1 << (place & 7)
        try:
            assert not ok(bytes(spoilt), message, signature), place
        except ValueError:
            assert place < 64  # a type that is not verified


def test_a_signature_of_another_leaf_or_key_is_none(signed):
    key, private = signed
    one, two = private.sign(b"one"), private.sign(b"two")
    assert not ok(key, b"one", two)
    assert not ok(key, b"one", one[:3] + bytes([one[3] ^ 1]) + one[4:])
    other = pyhsslms.LmsPrivateKey(lms_type=H5, lmots_type=W4)
    assert not ok(other.publicKey().serialize(), b"one", one)
    assert not ok(key, b"two", one[:-32] + two[-32:])


def test_a_chain_of_the_signature_carried_on_is_refused():
    """Who has a signature can go on along its chains, not back: the checksum digits notice it (section 4.4)."""
    key, message, signature = VECTORS[2]
    verifier = lms.Verifier(key, message, len(message), signature)
    least = [verifier._digit(i) for i in range(67)]
    assert sum(15 - d for d in least[:64]) == least[64] << 8 | least[65] << 4 | least[66]
    assert verifier.left == sum(15 - d for d in least)


@pytest.mark.parametrize(("what", "octets"), [
    ("empty", b""), ("short", bytes(55)), ("long", bytes(57)),
    ("a tree of no known type", bytes([0, 0, 0, 4, 0, 0, 0, 3]) + bytes(48)),
    ("a tree of height 25", bytes([0, 0, 0, 9, 0, 0, 0, 3]) + bytes(48)),
    ("digits of two bits", bytes([0, 0, 0, 5, 0, 0, 0, 2]) + bytes(48)),
    ("a type of 192 bits", bytes([0, 0, 0, 10, 0, 0, 0, 7]) + bytes(48)),
    ("a type above 2^24", bytes([1, 0, 0, 5, 0, 0, 0, 3]) + bytes(48)),
], ids=lambda value: value if isinstance(value, str) else "")
def test_no_public_key(what, octets):
    with pytest.raises(ValueError):
        lms.signature_octets(octets)
    with pytest.raises(ValueError):
        ok(octets, b"", bytes(2348))


@pytest.mark.parametrize("cut", [0, 3, 8, 40, 100, 2187, 2347])
def test_a_signature_of_another_length_is_none(cut):
    key, message, signature = VECTORS[2]
    assert not ok(key, message, signature[:cut])
    assert not ok(key, message, signature + bytes(1 + cut))
    assert lms.Verifier(key, message, len(message), signature[:cut]).left == 0  # and costs no hash


@pytest.mark.parametrize("hashes", [1, 7, 15, 16, 100, 499])
def test_in_slices_it_is_the_same(hashes):
    """As many hashes a slice as asked for, and no more; the verdict is that of one go."""
    for key, message, signature in VECTORS:
        for text, verdict in ((message, True), (message[:-1], False)):
            verifier = lms.Verifier(key, text, len(text), signature)
            left = verifier.left
            slices = 0
            got = None
            while got is None:
                got = verifier.step(hashes)
                slices += 1
                assert left - verifier.left <= hashes
                left = verifier.left
            assert got is verdict
            assert verifier.left == 0
            assert slices >= 3 or hashes > 15


def test_what_is_signed_has_a_label():
    """Label and message are one text: another label is another text, also where the octets only move over."""
    private = pyhsslms.LmsPrivateKey(lms_type=H5, lmots_type=W4)
    key, signature = private.publicKey().serialize(), private.sign(b"SPOT signedabc")

    def verdict(label, message):
        return lms.Verifier(key, message, len(message), signature, label).step()

    assert verdict(b"SPOT signed", b"abc")
    assert not verdict(b"SPOT signeD", b"abc")
    assert not verdict(b"", b"abc")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=2700), st.binary(max_size=64))
def test_any_octets_are_refused_without_an_error(signature, message):
    key = VECTORS[2][0]
    assert not ok(key, message, signature)
    padded = (signature + bytes(2508))[:2508]
    head = bytes(4) + bytes([0, 0, 0, 3]) + padded[8:2184] + bytes([0, 0, 0, 6]) + padded[2188:]
    assert not ok(key, message, head)


def test_the_cost_is_bounded():
    """67 chains of 15 hashes are the most for digits of four bits; the mean is half of it."""
    key, _, signature = VECTORS[2]
    worst = max(lms.Verifier(key, bytes([i]), 1, signature).left for i in range(256))
    assert 400 < worst <= 67 * 15
