"""Releases: one file is one SUIT envelope with the image inside it, written and read here (docs/updates.md).

SUIT (draft-ietf-suit-manifest) is a language; a release uses one sentence of it, so that a chip compares octets instead
of interpreting commands. Whatever differs from the template is refused, here as there.
"""

import hashlib
import hmac
import re
import uuid
from dataclasses import dataclass

import cbor2
import pyhsslms

from spot.wire import lms
from spot_host.errors import UserError
from spot_host.profile import definition as d

VENDOR = uuid.uuid5(uuid.NAMESPACE_DNS, "spot-grid")
IMAGE = "#image"
HEAD_OCTETS = 4096  # all before the image's first octet, at most: one sector of a slot
LARGEST = (4 << 20) - HEAD_OCTETS  # octets of an image
_BEGIN = b"\xa3\x02"  # a map of three, whose first key is that of the authentication
_SHA256, _HSS_LMS = -16, -46  # COSE: RFC 9054, RFC 8778
_BASE, _BOARD, _MARCH, _VERSION = -1, -2, -3, -4  # private parameters, and the condition on the first of them
_PROTECTED = cbor2.dumps({1: _HSS_LMS})
_REPORT = 15  # reporting policy: every kind of record
_NAME = re.compile(r"[a-z0-9_]{1,24}")
_TEXT = re.compile(r"[ -~]{1,16}")
_MARCH_NAME = re.compile(r"[a-z0-9]{1,12}")


class SuitError(UserError):
    """These octets are no release, or not one that this key signed; the text says what is wrong."""


def class_id(board: str) -> uuid.UUID:
    """The class identifier of a board: UUIDv5 of its name under the vendor."""
    return uuid.uuid5(VENDOR, board)


@dataclass(frozen=True)
class Manifest:
    """What a release says of itself. sequence: which is newer; base: the least base image that it runs on; board: its
    folder's name below boards/; march: what mpy-cross compiled for; digest (SHA-256) and size: of the image."""

    sequence: int
    version: str
    board: str
    march: str
    base: int
    digest: bytes
    size: int
    vendor: bytes = VENDOR.bytes
    class_id: bytes = b""

    def check(self) -> "Manifest":
        """Itself. Raises SuitError where a field is out of its range."""
        for name, good, right in (
            ("sequence", 1 <= self.sequence <= d.MAX_INT, f"1 to {d.MAX_INT}"),
            ("base", 1 <= self.base <= 255, "1 to 255"),
            ("size", 1 <= self.size <= LARGEST, f"1 to {LARGEST} octets"),
            ("version", _TEXT.fullmatch(self.version), "1 to 16 printable ASCII characters"),
            ("board", _NAME.fullmatch(self.board), "1 to 24 of a-z, 0-9 and _"),
            ("march", _MARCH_NAME.fullmatch(self.march), "1 to 12 of a-z and 0-9"),
            ("digest", len(self.digest) == 32, "32 octets"),
            ("vendor", len(self.vendor) == 16, "a UUID"), ("class", len(self.class_id) == 16, "a UUID"),
        ):
            if not good:
                raise SuitError(f"{name} {getattr(self, name, '')!r}: {right}")
        return self

    def encoded(self) -> bytes:
        """Its octets: the one template with these values."""
        shared = [20, {1: self.vendor, 2: self.class_id, 3: cbor2.dumps([_SHA256, self.digest]), 14: self.size,
                       _BASE: self.base, _BOARD: self.board, _MARCH: self.march, _VERSION: self.version},
                  1, _REPORT, 2, _REPORT]
        return cbor2.dumps({
            1: 1, 2: self.sequence, 3: cbor2.dumps({2: [[b"\0"]], 4: cbor2.dumps(shared)}),
            7: cbor2.dumps([3, _REPORT]),
            20: cbor2.dumps([_BASE, _REPORT, 20, {21: IMAGE}, 21, 2, 3, _REPORT])})

    @classmethod
    def of(cls, image: bytes, *, sequence: int, version: str, board: str, march: str, base: int) -> "Manifest":
        """The manifest of `image`. Raises SuitError."""
        return cls(sequence, version, board, march, base, hashlib.sha256(image).digest(), len(image),
                   class_id=class_id(board).bytes).check()


@dataclass(frozen=True)
class Release:
    """An envelope. signature: an HSS signature, empty where there is none; head: octets before the image."""

    manifest: Manifest
    signature: bytes
    image: bytes
    head: int
    digest: bytes  # SHA-256 of the manifest as SUIT takes it: what the offer to a device names

    @property
    def to_sign(self) -> bytes:
        """The octets that the signature is over."""
        return to_sign(self.digest)


def manifest_digest(manifest: bytes) -> bytes:
    """SHA-256 of a manifest with the head of its byte string, as SUIT wants it."""
    return hashlib.sha256(cbor2.dumps(manifest)).digest()


def to_sign(digest: bytes) -> bytes:
    """COSE's Sig_structure (RFC 9052, section 4.4) over a manifest's digest: 56 octets, the last 32 are the digest."""
    return cbor2.dumps(["Signature1", _PROTECTED, b"", cbor2.dumps([_SHA256, digest])])


def write(manifest: Manifest, image: bytes, signature: bytes = b"") -> bytes:
    """The envelope's octets. Raises SuitError where image and manifest do not belong together."""
    body = manifest.check().encoded()
    if len(image) != manifest.size or hashlib.sha256(image).digest() != manifest.digest:
        raise SuitError("the image is not the one that the manifest names")
    auth = [cbor2.dumps([_SHA256, manifest_digest(body)])]
    if signature:
        auth.append(_sign1(signature))
    octets = cbor2.dumps({2: cbor2.dumps(auth), 3: body, IMAGE: image})
    if len(octets) - len(image) > HEAD_OCTETS:
        raise SuitError(f"the head has {len(octets) - len(image)} octets, {HEAD_OCTETS} are the most")
    return octets


def read(octets: bytes) -> Release:
    """The release in `octets`, its digests checked and its signature not. Raises SuitError."""
    _want(octets, "it is empty")
    _want(octets[: len(_BEGIN)] == _BEGIN, "it does not begin like one")
    envelope = _loads(octets, "the file", dict)
    _want(list(envelope) == [2, 3, IMAGE], "not an envelope of authentication, manifest and image, in this order")
    auth, body, image = envelope[2], envelope[3], envelope[IMAGE]
    _want(all(isinstance(part, bytes) for part in (auth, body, image)), "its members are not byte strings")
    blocks = _loads(auth, "the authentication", list)
    _want(len(blocks) in (1, 2) and all(isinstance(block, bytes) for block in blocks),
          "the authentication is not a digest and at most one signature")
    digest = _loads(blocks[0], "the digest", list)
    _want(len(digest) == 2 and digest[0] == _SHA256 and isinstance(digest[1], bytes) and len(digest[1]) == 32,
          "the digest is not SHA-256")
    _want(hmac.compare_digest(digest[1], manifest_digest(body)), "the manifest is not the one that the digest names")
    manifest = _manifest(body)
    signature = _signature(blocks[1]) if len(blocks) == 2 else b""
    _want(len(image) == manifest.size, f"the image has {len(image)} octets, its manifest says {manifest.size}")
    _want(hashlib.sha256(image).digest() == manifest.digest, "the image is not the one that its manifest names")
    head = len(octets) - len(image)
    _want(head <= HEAD_OCTETS, f"the head has {head} octets, {HEAD_OCTETS} are the most")
    return Release(manifest, signature, image, head, digest[1])


def load(path) -> tuple[bytes, Release]:
    """The octets of a file, and the release in them. Raises SuitError that names the file."""
    try:
        with open(path, "rb") as file:
            octets = file.read(HEAD_OCTETS + LARGEST + 1)
        _want(len(octets) <= HEAD_OCTETS + LARGEST, f"it has over {HEAD_OCTETS + LARGEST} octets")
        return octets, read(octets)
    except OSError as error:
        raise SuitError(f"{path}: {error.strerror}") from error
    except SuitError as error:
        raise SuitError(f"{path}: no release: {error}") from error


def verify(release: Release, key: bytes) -> None:
    """Raises SuitError unless `key`, an HSS public key of one level, signed this release.

    Verified twice, by pyhsslms and by the code that runs on devices: where these differ, one of them is wrong.
    """
    _want(release.signature, "it is not signed")
    _want(len(key) == 4 + lms.KEY_OCTETS and key[:4] == b"\0\0\0\1", "an HSS public key of one level has 60 octets")
    text, bare = release.to_sign, release.signature[4:]
    try:
        library = bool(pyhsslms.HssPublicKey.deserialize(key).verify(text, release.signature))
    except Exception:  # the library indexes into what is too short
        library = False
    try:
        device = release.signature[:4] == b"\0\0\0\0" and lms.verify(key[4:], text, len(text), bare)
    except ValueError as error:
        raise SuitError(f"no {error} of a type that devices verify") from error
    if library != device:
        raise SuitError("pyhsslms and the firmware disagree about the signature: do not use this release")
    _want(device, f"not signed by the key {key_id(key)}")


def key_id(key: bytes) -> str:
    """A short name of an HSS public key: the first half of its LMS identifier."""
    return key[12:20].hex()


def _signature(block):
    parts = getattr(_loads(block, "the signature", cbor2.CBORTag), "value", ())
    signature = parts[3] if isinstance(parts, list | tuple) and len(parts) == 4 else None
    _want(isinstance(signature, bytes) and signature and block == _sign1(signature),
          "the signature is not a COSE_Sign1 with HSS-LMS and a detached payload")
    return signature


def _sign1(signature):
    return cbor2.dumps(cbor2.CBORTag(18, [_PROTECTED, {}, None, signature]))


def _manifest(body):
    try:
        whole = cbor2.loads(body)
        shared = cbor2.loads(cbor2.loads(whole[3])[4])
        values = shared[1]
        manifest = Manifest(whole[2], values[_VERSION], values[_BOARD], values[_MARCH], values[_BASE],
                            cbor2.loads(values[3])[1], values[14], values[1], values[2]).check()
        same = manifest.encoded() == body
    except SuitError:
        raise
    except Exception as error:  # hostile octets fail in many ways
        raise SuitError("the manifest does not follow docs/updates.md") from error
    _want(same, "the manifest does not follow docs/updates.md")
    return manifest


def _loads(octets, what, kind):
    try:
        value = cbor2.loads(octets)
        good = isinstance(value, kind) and cbor2.dumps(value) == octets
    except Exception as error:  # hostile octets fail in many ways
        raise SuitError(f"{what} was cut, or is damaged: no CBOR") from error
    _want(good, f"{what} was changed, or something follows: not in its one encoding")
    return value


def _want(good, text):
    if not good:
        raise SuitError(text)
