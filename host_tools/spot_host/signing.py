"""Broadcasts signed offline, one object a day: LMS keys (RFC 8554) whose leaves are never used twice, and the parts.

A leaf that signs two texts gives forgeries away, so the state is what matters. It is kept twice in the key's folder:
`key.json` (replaced, with the secret) and `journal` (appended, a hash chain). Both say that a leaf is used, on disk,
before its signature exists. A crash between them is healed; a key or a journal that was put back from a copy is
noticed, and refused. Both put back together (a snapshot of the machine), or a copy that signs elsewhere, cannot be
noticed from within: for that, no leaf is used before its day, so that such a copy can only meet leaves of the same day.
"""

import hashlib
import json
import os
import secrets
import time
from pathlib import Path

import cbor2
import pyhsslms
from filelock import FileLock, Timeout

from spot.wire import lms
from spot_host.errors import UserError
from spot_host.profile import definition as d
from spot_host.profile.codec import ProfileError, decode, encode

LABEL = b"SPOT signed"
INSIDE = ("price", "carbon", "weather", "grid_state")
_TREES = {5: pyhsslms.lms_sha256_m32_h5, 10: pyhsslms.lms_sha256_m32_h10, 15: pyhsslms.lms_sha256_m32_h15}
_DAY_S = 86400
SOON = 60  # signatures left, or days: time to hand out the next key


class SigningError(UserError):
    """No signature was made, or this is none; the text says why."""


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
    _replace(path, cbor2.dumps(bodies), 0o644)


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


def public_key(text: str) -> bytes:
    """The public key that is given in hex, as a file with hex, or as a key's folder. Raises SigningError."""
    path = Path(text)
    try:
        if path.is_dir():
            text = (path / "public.hex").read_text()
        elif path.is_file():
            text = path.read_text()
        key = bytes.fromhex(text.strip())
        lms.signature_octets(key)
    except (OSError, ValueError) as error:
        raise SigningError(f"{path}: no LMS public key") from error
    return key


def generate(folder: Path, height: int = 10, now: float | None = None) -> "Signer":
    """A new key for 2^height signatures, at least one a day, in a new folder. Raises SigningError."""
    folder = Path(folder)
    if height not in _TREES:
        raise SigningError(f"height: one of {', '.join(map(str, _TREES))}")
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise SigningError(f"{folder} is there already: a key is never written over") from None
    seed, identifier = secrets.token_bytes(32), secrets.token_bytes(16)
    public = _private(height, seed, identifier).publicKey().serialize()
    _replace(folder / "public.hex", public.hex().encode() + b"\n", 0o644)
    _replace(folder / "journal", b"", 0o600)
    _replace(folder / "key.json", json.dumps({
        "height": height, "seed": seed.hex(), "identifier": identifier.hex(), "public": public.hex(),
        "born": int(time.time() if now is None else now), "chain": _genesis(public)}, indent=1).encode(), 0o600)
    return Signer(folder)


class Signer:
    """The key in `folder`. public: its 56 octets; next: the lowest leaf that is free; revision: the latest signed.

    Raises SigningError where the folder holds no key, or one that was put back from a copy.
    """

    def __init__(self, folder: Path):
        self._folder = Path(folder)
        self._read()

    def _read(self):
        try:
            key = json.loads((self._folder / "key.json").read_text())
            journal = (self._folder / "journal").read_bytes()
            self.height, self.born = key["height"], key["born"]
            self._seed, self._identifier = bytes.fromhex(key["seed"]), bytes.fromhex(key["identifier"])
            self.public = bytes.fromhex(key["public"])
            chain = key["chain"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SigningError(f"{self._folder}: no signing key: {error}") from error
        self._key = key
        self.next, self.revision = 0, 0
        heads = [_genesis(self.public)]
        lines = journal.split(b"\n")
        self._torn = len(lines[-1])  # a crash in the middle of a line: its leaf signed nothing
        for number, line in enumerate(lines[:-1], 1):
            try:
                leaf, revision, _, _, head = line.decode().split()
                leaf, revision = int(leaf), int(revision)
            except ValueError:
                raise SigningError(f"{self._folder}/journal: line {number} is damaged") from None
            if head != _link(heads[-1], line.rsplit(b" ", 1)[0]) or leaf < self.next or revision <= self.revision:
                raise SigningError(f"{self._folder}/journal: line {number} was changed")
            heads.append(head)
            self.next, self.revision = leaf + 1, revision
        if chain not in heads:
            raise SigningError(f"{self._folder}: the journal was cut or put back from a copy: a leaf might be used "
                               "twice. Make a new key")
        if chain not in heads[-2:]:
            raise SigningError(f"{self._folder}: key.json was put back from a copy: who has it may have signed. "
                               "Make a new key")
        self._head = heads[-1]

    def left(self, now: float | None = None) -> int:
        """Signatures left; a day uses up at least one."""
        return max(0, (1 << self.height) - self._free(time.time() if now is None else now))

    def _free(self, now):
        return max(self.next, int(now - self.born) // _DAY_S)

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
        now = time.time() if now is None else now
        try:
            with FileLock(self._folder / "lock", timeout=0):
                self._read()
                leaf, revision = self._free(now), self.revision + 1
                if leaf >= 1 << self.height:
                    raise SigningError(f"{self._folder}: all {1 << self.height} signatures are used up")
                private = _private(self.height, self._seed, self._identifier, leaf)
                text = signed_text(revision, body)
                self._reserve(leaf, revision, text, now)
        except Timeout:
            raise SigningError(f"{self._folder}: another process is signing") from None
        signature = private.sign(text)
        if not lms.verify(self.public, text, len(text), signature):
            raise SigningError(f"{self._folder}: the signature does not fit its own key: key.json is damaged")
        return revision, split(self.public, revision, body, signature)

    def _reserve(self, leaf, revision, text, now):
        """Both files say that the leaf is used; on disk when this returns."""
        entry = f"{leaf} {revision} {int(now)} {hashlib.sha256(text).hexdigest()}".encode()
        head = _link(self._head, entry)
        with open(self._folder / "journal", "r+b") as file:
            file.seek(-self._torn, os.SEEK_END)
            file.truncate()
            file.write(entry + b" " + head.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._key["chain"] = head
        _replace(self._folder / "key.json", json.dumps(self._key, indent=1).encode(), 0o600)
        self.next, self.revision, self._head, self._torn = leaf + 1, revision, head, 0


def _private(height, seed, identifier, leaf=0):
    return pyhsslms.LmsPrivateKey(lms_type=_TREES[height], lmots_type=pyhsslms.lmots_sha256_n32_w4, SEED=seed,
                                  I=identifier, q=leaf)


def _genesis(public):
    return hashlib.sha256(public).hexdigest()


def _link(head, entry):
    return hashlib.sha256(head.encode() + b" " + entry).hexdigest()


def _replace(path, data, mode):
    """Replace a file at once; it and its name are on disk when this returns."""
    fresh = path.with_name(path.name + ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
