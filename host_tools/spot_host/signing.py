"""Broadcasts signed offline, one object a day: what is signed, its parts, and the key (signing_key.py) that does it."""

from pathlib import Path

import cbor2

from spot.wire import lms
from spot_host import signing_key
from spot_host.profile import definition as d
from spot_host.profile.codec import ProfileError, decode, encode
from spot_host.signing_key import OneTimeKey, SigningError, public_key, replace

__all__ = ["SigningError", "Signer", "generate", "join", "load", "public_key", "save", "verify"]

LABEL = b"SPOT signed"
INSIDE = ("price", "carbon", "weather", "grid_state")
_DAY_S = 86400
_USE = "broadcasts"
SOON = 60  # signatures left, or days: time to hand out the next key


def signed_text(revision: int, body: bytes) -> bytes:
    """What a signature of this revision of `body` is over (docs/profile.md, 10.6)."""
    return LABEL + revision.to_bytes(4, "big") + body


def split(public: bytes, revision: int, body: bytes, signature: bytes) -> list[bytes]:
    """The `signed` messages that carry body and signature. Raises SigningError when there would be too many."""
    octets = body + signature
    cuts = range(0, len(octets), d.SIGNED_OCTETS)
    if len(cuts) > d.SIGNED_PARTS:
        raise SigningError(f"{len(octets)} octets are more than {d.SIGNED_PARTS} parts of {d.SIGNED_OCTETS}")
    return [encode("signed", {"key": public[8:16], "revision": revision, "part": i, "parts": len(cuts),
                              "octets": octets[at:at + d.SIGNED_OCTETS]}) for i, at in enumerate(cuts)]


def join(bodies: list[bytes]) -> tuple[bytes, int, bytes]:
    """(key id, revision, body and signature) of one object's messages, in any order. Raises SigningError."""
    try:
        parts = sorted((decode(body).values for body in bodies), key=lambda values: values.get("part", 0))
    except ProfileError as error:
        raise SigningError(f"no message: {error}") from error
    heads = {(p.get("key"), p.get("revision"), p.get("parts")) for p in parts}
    if len(heads) != 1 or None in next(iter(heads)):
        raise SigningError("these are not the parts of one object")
    key, revision, count = heads.pop()
    if [p["part"] for p in parts] != list(range(count)):
        raise SigningError(f"not all of {count} parts are there, each once")
    if any(len(p["octets"]) != d.SIGNED_OCTETS for p in parts[:-1]):
        raise SigningError(f"only the last part may be shorter than {d.SIGNED_OCTETS} octets")
    return key, revision, b"".join(p["octets"] for p in parts)


def verify(public: bytes, bodies: list[bytes]) -> tuple[int, bytes]:
    """(revision, body) of an object under this public key. Raises SigningError when it is not."""
    key, revision, octets = join(bodies)
    n = len(octets) - lms.signature_octets(public)
    if key != public[8:16]:
        raise SigningError(f"signed by the key {key.hex()}, not {public[8:16].hex()}")
    text = signed_text(revision, octets[:max(0, n)])
    if n < 2 or not lms.verify(public, text, len(text), octets[n:]):
        raise SigningError("the signature does not fit")
    return revision, octets[:n]


def save(path: Path, bodies: list[bytes]) -> None:
    """Write an object's messages to a file: a CBOR array of byte strings."""
    replace(path, cbor2.dumps(bodies), 0o644)


def load(path: Path) -> list[bytes]:
    """The messages in such a file, all of one object. Raises SigningError."""
    try:
        bodies = cbor2.loads(Path(path).read_bytes())
        if not isinstance(bodies, list) or not 1 <= len(bodies) <= d.SIGNED_PARTS or not all(
                isinstance(body, bytes) for body in bodies):
            raise SigningError("not the parts of a signed object")
        join(bodies)
    except OSError as error:
        raise SigningError(f"{path}: {error.strerror}") from error
    except (ValueError, cbor2.CBORDecodeError, SigningError) as error:
        raise SigningError(f"{path}: not what `spot group sign` wrote: {error}") from error
    return bodies


def generate(folder: Path, height: int = 10, now: float | None = None) -> "Signer":
    """A new key for 2^height signatures, at least one a day, in a new folder. Raises SigningError."""
    signing_key.make(folder, height, _USE, _DAY_S, now)
    signer = Signer(folder)
    replace(signer.folder / "public.hex", signer.public.hex().encode() + b"\n", 0o644)
    return signer


class Signer(OneTimeKey):
    """The key in `folder`. public: its 56 octets; next: the lowest leaf that is free; revision: the latest signed.

    Raises SigningError where the folder holds no key, or one that was put back from a copy.
    """

    def __init__(self, folder: Path):
        super().__init__(folder, _USE)

    @property
    def revision(self) -> int:
        return self.number

    def sign(self, body: bytes, now: float | None = None) -> tuple[int, list[bytes]]:
        """(revision, messages) of a broadcast's body, signed with a leaf that is used from then on, come what may.

        Raises SigningError: not a broadcast, too long, used up, another process signs, or the state is not to trust.
        """
        try:
            message = decode(body)
        except ProfileError as error:
            raise SigningError(f"not a message: {error}") from error
        if message.name not in INSIDE:
            raise SigningError(f"a {message.name} is no broadcast: one of {', '.join(INSIDE)}")
        if len(body) + lms.signature_octets(self.public) > d.SIGNED_PARTS * d.SIGNED_OCTETS:
            raise SigningError(f"{len(body)} octets and the signature are too long for {d.SIGNED_PARTS} parts")
        revision, _, signature = self.sign_text(lambda number: (signed_text(number, body),), None, now)
        return revision, split(self.public, revision, body, signature)
