"""The head of a release is one sentence: the host's words are understood, and nothing else is."""

import hashlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.wire import suit
from spot_host import suit as host
from spot_sim.firmware import release

SIGNATURE = b"\0\0\0\0" + bytes(2348)
SIZES = [1, 23, 24, 255, 256, 65535, 65536, 100000]


def made(octets, signature=b"", **more):
    values = {"sequence": 7, "version": "1.2.0", "board": "sim", "march": "bytecode", "base": 1, **more}
    body = bytes(octets)
    return host.write(host.Manifest.of(body, **values), body, signature)


def parsed(octets):
    return suit.Manifest(bytearray(octets), len(octets))


def head_of(octets):
    return octets[: host.read(octets).head]


@pytest.mark.parametrize("octets", SIZES)
@pytest.mark.parametrize("signature", [b"", SIGNATURE])
def test_what_the_host_writes_is_read(octets, signature):
    whole = made(octets, signature)
    known = host.read(whole)
    buf, n = bytearray(4096), 0
    while (needed := suit.extent(buf, n)) > n:  # as it comes, octet by octet where it must be
        buf[n:needed] = whole[n:needed]
        n = needed
    assert needed == known.head
    manifest = suit.Manifest(buf, n)
    for name in ("sequence", "version", "board", "march", "base", "digest", "size", "vendor", "class_id"):
        assert getattr(manifest, name) == getattr(known.manifest, name), name
    assert manifest.own_digest == known.digest and manifest.head_n == known.head
    assert (manifest.signature is None) == (not signature)
    if signature:
        assert bytes(manifest.signature) == signature[4:]
        assert suit.SIGNED + manifest.own_digest == known.to_sign


@pytest.mark.parametrize("octets", [1, 300, 70000])
def test_no_other_octets_are_a_head(octets):
    head = head_of(made(octets))
    parsed(head)
    for at in range(len(head)):
        for bit in range(8):
            other = bytearray(head)
            other[at] ^= 1 << bit
            with pytest.raises(suit.SuitError):
                suit.Manifest(other, len(other))
    for n in range(len(head)):
        with pytest.raises(suit.SuitError):
            suit.Manifest(bytearray(head), n)


def test_of_a_signed_one_the_signature_alone_may_differ():
    head = head_of(made(300, SIGNATURE))
    first = head.index(SIGNATURE) + 4  # behind the level of HSS, which is 0
    for at in range(0, len(head)):
        other = bytearray(head)
        other[at] ^= 1
        if first <= at < first + 2348:
            suit.Manifest(other, len(other))
        else:
            with pytest.raises(suit.SuitError):
                suit.Manifest(other, len(other))


def redigested(octets, change):
    """A head whose manifest was changed and rightly digested: no signature would save it."""
    envelope = cbor2.loads(octets)
    manifest = cbor2.loads(envelope[3])
    manifest = change(manifest) or manifest
    envelope[3] = cbor2.dumps(manifest)
    digest = hashlib.sha256(cbor2.dumps(envelope[3])).digest()
    envelope[2] = cbor2.dumps([cbor2.dumps([-16, digest])])
    whole = cbor2.dumps(envelope)
    return whole[: len(whole) - len(envelope["#image"])]


def parameters(change):
    def changed(manifest):
        common = cbor2.loads(manifest[3])
        sequence = cbor2.loads(common[4])
        change(sequence[1], sequence)
        common[4] = cbor2.dumps(sequence)
        manifest[3] = cbor2.dumps(common)

    return changed


def common(change):
    def changed(manifest):
        inner = cbor2.loads(manifest[3])
        change(inner)
        manifest[3] = cbor2.dumps(inner)

    return changed


@pytest.mark.parametrize("change", [
    lambda m: m.update({1: 2}), lambda m: m.update({2: 0}), lambda m: m.update({2: 1 << 30}),
    lambda m: m.update({4: b""}), lambda m: m.update({2: -1}), lambda m: m.pop(7),
    lambda m: m.update({7: cbor2.dumps([3, 14])}),
    lambda m: m.update({20: cbor2.dumps([20, {21: "#image"}, 21, 2, 3, 15])}), lambda m: dict(reversed(m.items())),
    common(lambda c: c.update({2: [[b"\1"]]})), common(lambda c: c.update({2: [[b"\0"], [b"\1"]]})),
    common(lambda c: c.update({5: b""})),
    parameters(lambda p, s: p.update({1: bytes(15)})), parameters(lambda p, s: p.update({14: 0})),
    parameters(lambda p, s: p.update({14: 301})), parameters(lambda p, s: p.update({-1: 0})),
    parameters(lambda p, s: p.update({-1: 256})), parameters(lambda p, s: p.update({-2: ""})),
    parameters(lambda p, s: p.update({-2: "x" * 25})), parameters(lambda p, s: p.update({-4: "1.2\n"})),
    parameters(lambda p, s: p.update({-4: "1.2ü"})), parameters(lambda p, s: p.update({-5: 1})),
    parameters(lambda p, s: p.update({3: bytes(36)})), parameters(lambda p, s: s.pop()),
    parameters(lambda p, s: s.append(15)), parameters(lambda p, s: s.__setitem__(slice(2, 4), [])),
])
def test_another_sentence_is_none(change):
    octets = made(300)
    parsed(redigested(octets, lambda m: None))
    with pytest.raises(suit.SuitError) as error:
        parsed(redigested(octets, change))
    assert not isinstance(error.value, suit.DigestError)


def test_lengths_that_lie_about_each_other():
    head = bytearray(head_of(made(300)))
    inner = head.index(b"\xa2\x02\x81\x81\x41\x00\x04\x58")
    for at in (inner - 1, inner + 8):  # of the common section, and of the sequence in it: into what follows
        head[at] += 1
    start = head.index(b"\x03\x58", 40) + 1
    end = head.index(b"\x66#image", head.index(b"\x66#image") + 1)
    head[11:43] = hashlib.sha256(head[start:end]).digest()
    with pytest.raises(suit.SuitError) as error:
        parsed(head)
    assert not isinstance(error.value, suit.DigestError)


def test_a_manifest_that_was_not_digested_is_told_from_one_that_is_none():
    head = bytearray(head_of(made(300)))
    head[head.index(b"1.2.0")] = ord("2")
    with pytest.raises(suit.DigestError):
        parsed(head)


@given(st.binary(max_size=200))
def test_any_octets_raise_nothing_else(octets):
    for prefix in (b"", b"\xa3\x02", b"\xa3\x02\x58\x27\x81\x58\x24\x82\x2f\x58\x20" + bytes(32) + b"\x03"):
        buf = bytearray(prefix + octets)
        for call in (suit.extent, suit.Manifest):
            try:
                call(buf, len(buf))
            except suit.SuitError:
                pass


def test_the_simulators_releases_are_releases():
    assert parsed(head_of(release("sim", 3, "1.3.0"))).sequence == 3
