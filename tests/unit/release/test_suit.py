"""One release, one encoding: what is written is read, by the CDDL too, and whatever differs by an octet is refused."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import cbor2
import pycddl
import pyhsslms
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_host import suit
from spot_host.profile import definition as d

IMAGE = bytes(range(256)) * 300
DOC = (Path(__file__).resolve().parents[3] / "docs" / "updates.md").read_text()
PRIVATE = pyhsslms.LmsPrivateKey(lms_type=pyhsslms.lms_sha256_m32_h5, lmots_type=pyhsslms.lmots_sha256_n32_w4)
KEY = b"\0\0\0\1" + PRIVATE.publicKey().serialize()


def manifest(image=IMAGE, **fields):
    values = {"sequence": 7, "version": "1.2.0", "board": "pico", "march": "armv6m", "base": 1, **fields}
    return suit.Manifest.of(image, **values)


def signed(m=None, image=IMAGE):
    m = m or manifest(image)
    return suit.write(m, image, b"\0\0\0\0" + PRIVATE.sign(suit.to_sign(suit.manifest_digest(m.encoded()))))


SIGNED = signed()
UNSIGNED = suit.write(manifest(), IMAGE)
HEAD = suit.read(SIGNED).head


@pytest.mark.parametrize(("octets", "signature"), [(SIGNED, 2352), (UNSIGNED, 0)], ids=["signed", "unsigned"])
def test_what_is_written_is_read(octets, signature):
    release = suit.read(octets)
    assert release.manifest == manifest()
    assert release.image == IMAGE == octets[release.head:]
    assert len(release.signature) == signature
    assert release.head == len(octets) - len(IMAGE) <= suit.HEAD_OCTETS
    # SUIT: the digest is over the manifest's byte string, its head included
    body = manifest().encoded()
    assert release.digest == hashlib.sha256(b"\x58" + bytes((len(body),)) + body).digest()


def _conforms(rule, octets):
    """Whether octets are what the document's rule says; one level at a time, since pycddl loses its way in .cbor."""
    (text,) = re.findall(r"```cddl\n(.*?)```", DOC, re.S)
    try:
        pycddl.Schema(f"root = {rule}\n" + re.sub(r" \.cbor [\w-]+", "", text)).validate_cbor(octets)
    except pycddl.ValidationError:
        return False
    return True


def test_it_is_the_cddl_of_the_document():
    for octets, blocks in ((SIGNED, 2), (UNSIGNED, 1)):
        whole = cbor2.loads(octets)
        auth, body = cbor2.loads(whole[2]), cbor2.loads(whole[3])
        common = cbor2.loads(body[3])
        shared = cbor2.loads(common[4])
        assert len(auth) == blocks
        for rule, part in (("release", octets), ("authentication", whole[2]), ("sha256-digest", auth[0]),
                           ("manifest", whole[3]), ("validate", body[7]), ("install", body[20]), ("common", body[3]),
                           ("shared", common[4]), ("parameters", cbor2.dumps(shared[1])),
                           ("sha256-digest", shared[1][3]), *([("sign1", auth[1])] if blocks > 1 else [])):
            assert _conforms(rule, part), rule
            assert not _conforms(rule, b"\x00"), rule
        assert not _conforms("install", body[7]) and not _conforms("parameters", cbor2.dumps({**shared[1], -5: 1}))


def test_the_octets_of_the_document():
    """What stands there octet for octet is what a chip compares."""
    assert SIGNED[:4] == b"\xa3\x02\x59" + SIGNED[3:4] and SIGNED[5:12].hex() == "825824822f5820"
    auth_n = int.from_bytes(SIGNED[3:5], "big")
    assert SIGNED[44:47].hex() == "59093c" and SIGNED[47:59].hex() == "d28444a101382da0f6590930"
    at = 5 + auth_n
    assert SIGNED[at:at + 2] == b"\x03\x58"
    assert SIGNED[HEAD - 12:HEAD - 5].hex() == "6623696d616765" and SIGNED[HEAD - 5] == 0x5A
    assert UNSIGNED[:12].hex() == "a302582781" + "5824822f5820" + UNSIGNED[11:12].hex()
    assert suit.to_sign(bytes(32)).hex() == "846a5369676e61747572653144a101382d405824822f5820" + "00" * 32
    for text in ("846a5369676e61747572653144a101382d405824822f5820", "h'a101382d'", "2,352", "4190208"):
        assert text in DOC


def test_both_verifiers_verify():
    suit.verify(suit.read(SIGNED), KEY)


@pytest.mark.parametrize("height", [10, 15])
def test_the_head_of_higher_trees_is_within_a_sector(height):
    signature = bytes(4 + 44 + 32 * (67 + height))
    m = manifest(version="v" * 16, board="b" * 24, march="m" * 12, sequence=d.MAX_INT, base=255)
    release = suit.read(suit.write(m, IMAGE, signature))
    assert len(release.signature) == {10: 2512, 15: 2672}[height] and release.head <= suit.HEAD_OCTETS


@pytest.mark.parametrize("at", [*range(0, 60), *range(HEAD - 190, HEAD), HEAD, len(SIGNED) - 1])
def test_no_octet_may_differ(at):
    """Every octet of the head but the signature's own is checked by reading, those by verifying."""
    octets = bytearray(SIGNED)
    octets[at] ^= 1
    with pytest.raises(suit.SuitError):
        suit.verify(suit.read(bytes(octets)), KEY)


@given(st.integers(59, 59 + 2351), st.integers(1, 255))
def test_no_octet_of_the_signature_may_differ(at, change):
    octets = bytearray(SIGNED)
    octets[at] ^= change
    with pytest.raises(suit.SuitError):
        suit.verify(suit.read(bytes(octets)), KEY)


@given(st.binary(max_size=200) | st.integers(0, HEAD + 40).map(lambda n: SIGNED[:n])
       | st.binary(max_size=40).map(lambda more: SIGNED[:HEAD] + more))
def test_hostile_octets_are_refused_in_one_way(octets):
    with pytest.raises(suit.SuitError):
        suit.read(octets)


def test_more_than_a_release_is_none():
    with pytest.raises(suit.SuitError):
        suit.read(SIGNED + b"\0")


def _remade(change, body=None):
    """The release with another manifest, and a digest that fits it."""
    whole = cbor2.loads(manifest().encoded())
    whole = dict(whole)
    change(whole)
    body = cbor2.dumps(whole)
    auth = cbor2.dumps([cbor2.dumps([-16, suit.manifest_digest(body)])])
    return cbor2.dumps({2: auth, 3: body, "#image": IMAGE})


def _common(change):
    def inside(whole):
        common = dict(cbor2.loads(whole[3]))
        shared = cbor2.loads(common[4])
        shared[1] = dict(shared[1])
        change(shared, common)
        common[4] = cbor2.dumps(shared)
        whole[3] = cbor2.dumps(common)
    return inside


@pytest.mark.parametrize("change", [
    lambda w: w.update({1: 2}), lambda w: w.update({2: 0}), lambda w: w.update({2: 1 << 30}),
    lambda w: w.update({2: "7"}),
    lambda w: w.pop(7), lambda w: w.pop(20), lambda w: w.update({7: cbor2.dumps([3, 0])}), lambda w: w.update({9: b""}),
    lambda w: w.update({20: cbor2.dumps([20, {21: "#image"}, 21, 2, 3, 15])}),  # no condition on the base
    lambda w: w.update({20: cbor2.dumps([-1, 15, 20, {21: "coap://elsewhere"}, 21, 2, 3, 15])}),
    _common(lambda s, c: s[1].pop(14)), _common(lambda s, c: s[1].update({14: len(IMAGE) + 1})),
    _common(lambda s, c: s[1].update({3: cbor2.dumps([-16, bytes(32)])})),
    _common(lambda s, c: s[1].update({3: cbor2.dumps([-44, s[1][3]])})),
    _common(lambda s, c: s[1].update({1: b"short"})), _common(lambda s, c: s[1].update({-2: "../pico"})),
    _common(lambda s, c: s[1].update({-4: "1.0\x1b[2J"})), _common(lambda s, c: s[1].update({-1: 0})),
    _common(lambda s, c: s[1].update({-5: 1})), _common(lambda s, c: s.__delitem__(slice(2, None))),
    _common(lambda s, c: s.__delitem__(slice(4, None))), _common(lambda s, c: c.update({2: [[b"\1"]]})),
    _common(lambda s, c: c.update({2: [[b"\0"], [b"\1"]]})), _common(lambda s, c: c.update({1: {}})),
])  # fmt: skip
def test_a_manifest_that_says_anything_else_is_refused(change):
    assert suit.read(_remade(lambda w: None)).manifest == manifest()
    with pytest.raises(suit.SuitError):
        suit.read(_remade(change))


@pytest.mark.parametrize("fields", [
    {"sequence": 0}, {"sequence": d.MAX_INT + 1}, {"version": ""}, {"version": "v" * 17}, {"version": "1\n"},
    {"board": "Pico"}, {"board": ""}, {"board": "b" * 25}, {"march": ""}, {"base": 0}, {"base": 256},
])
def test_what_is_out_of_range_is_not_written(fields):
    with pytest.raises(suit.SuitError, match=next(iter(fields))):
        manifest(**fields)


def test_another_image_is_not_written():
    with pytest.raises(suit.SuitError):
        suit.write(manifest(), IMAGE[:-1])
    with pytest.raises(suit.SuitError, match="size"):
        suit.write(replace(manifest(), size=suit.LARGEST + 1), IMAGE)


@pytest.mark.parametrize("key", [
    b"", KEY[4:], KEY[:-1], b"\0\0\0\2" + KEY[4:], KEY[:4] + b"\0\0\0\x63" + KEY[8:], KEY[:-1] + bytes((KEY[-1] ^ 1,)),
], ids=["none", "LMS alone", "short", "two levels", "another type", "another root"])
def test_another_key_signed_nothing(key):
    with pytest.raises(suit.SuitError):
        suit.verify(suit.read(SIGNED), key)


def test_an_unsigned_one_is_not_verified():
    with pytest.raises(suit.SuitError, match="not signed"):
        suit.verify(suit.read(UNSIGNED), KEY)


def test_a_signature_of_two_levels_is_refused():
    release = suit.read(SIGNED)
    with pytest.raises(suit.SuitError):
        suit.verify(replace(release, signature=b"\0\0\0\1" + release.signature[4:]), KEY)


def test_a_verifier_that_differs_is_noticed(monkeypatch):
    monkeypatch.setattr(suit.lms, "verify", lambda *_: False)
    with pytest.raises(suit.SuitError, match="disagree"):
        suit.verify(suit.read(SIGNED), KEY)
