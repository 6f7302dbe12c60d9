"""Keys whose signatures are numbered and made once: LMS (RFC 8554), and the state that keeps a leaf from signing twice.

A leaf that signs two texts gives forgeries away, so the state is what matters. It is kept three times: in the key's
folder as `key.json` (replaced, with the secret) and `journal` (appended, a hash chain), and beside no copy of that
folder, in the user's own state folder, as the key's *anchor* (the head of the chain). All three say that a leaf is
used, on disk, before its signature exists. A crash between them is healed; any of them that was put back from a copy,
the whole folder included, is noticed, and nothing is signed any more.

Not to be noticed from within is a machine put back with all that is on it. For that, no leaf is used before its time
(`pace_s` each), so that a key that signs at most once in that time meets no leaf twice even then.
"""

import hashlib
import json
import os
import secrets
import time
from contextlib import ExitStack
from pathlib import Path

import pyhsslms
from filelock import FileLock, Timeout

from spot.wire import lms
from spot_host.errors import UserError

TREES = {5: pyhsslms.lms_sha256_m32_h5, 10: pyhsslms.lms_sha256_m32_h10, 15: pyhsslms.lms_sha256_m32_h15}
_NEW = "Make a new key"


class SigningError(UserError):
    """No signature was made, or this is none; the text says why."""


def anchors() -> Path:
    """The folder of the anchors, the user's own: $XDG_STATE_HOME/spot/keys, ~/.local/state/spot/keys."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "spot" / "keys"


def make(folder: Path, height: int, use: str, pace_s: int, now: float | None = None) -> None:
    """A new key for 2^height signatures in a new folder. use: a word for what it may sign. Raises SigningError."""
    folder = Path(folder)
    if height not in TREES:
        raise SigningError(f"height: one of {', '.join(map(str, TREES))}")
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise SigningError(f"{folder} is there already: a key is never written over") from None
    except OSError as error:
        raise SigningError(f"{folder}: {error.strerror}") from error
    seed, identifier = secrets.token_bytes(32), secrets.token_bytes(16)
    public = _private(height, seed, identifier).publicKey().serialize()
    chain = _genesis(public)
    _anchor(public, chain)
    replace(folder / "journal", b"", 0o600)
    replace(folder / "key.json", json.dumps({
        "use": use, "height": height, "pace_s": pace_s, "seed": seed.hex(), "identifier": identifier.hex(),
        "public": public.hex(), "born": int(time.time() if now is None else now), "chain": chain},
        indent=1).encode(), 0o600)


class OneTimeKey:
    """The key in `folder`. public: its 56 octets; next: the lowest leaf that is free; number: of the latest signature.

    Raises SigningError where the folder holds no key for this use, or one that was put back from a copy.
    """

    def __init__(self, folder: Path, use: str, moved: bool = False):
        self.folder, self._use, self._moved = Path(folder), use, moved
        self._read()

    def _read(self):
        try:
            key = json.loads((self.folder / "key.json").read_text())
            journal = (self.folder / "journal").read_bytes()
            self.height, self.born, self._pace_s = key["height"], key["born"], key.get("pace_s", 86400)
            self._seed, self._identifier = bytes.fromhex(key["seed"]), bytes.fromhex(key["identifier"])
            self.public = bytes.fromhex(key["public"])
            chain, use = key["chain"], key.get("use", self._use)
        except (OSError, ValueError, KeyError, TypeError) as error:
            words = getattr(error, "strerror", None) or error
            raise SigningError(f"{self.folder}: no signing key: key.json: {words}") from error
        if use != self._use:
            raise SigningError(f"{self.folder}: a key for {use}, not for {self._use}")
        self._key = key
        self.next, self.number = 0, 0
        heads = [_genesis(self.public)]
        lines = journal.split(b"\n")
        self._torn = len(lines[-1])  # a crash in the middle of a line: its leaf signed nothing
        for number, line in enumerate(lines[:-1], 1):
            try:
                leaf, signed, _, _, head = line.decode().split()
                leaf, signed = int(leaf), int(signed)
            except ValueError:
                raise SigningError(f"{self.folder}/journal: line {number} is damaged") from None
            if head != _link(heads[-1], line.rsplit(b" ", 1)[0]) or leaf < self.next or signed <= self.number:
                raise SigningError(f"{self.folder}/journal: line {number} was changed")
            heads.append(head)
            self.next, self.number = leaf + 1, signed
        if chain not in heads:
            raise SigningError(f"{self.folder}: the journal was cut or put back from a copy: a leaf might be used "
                               f"twice. {_NEW}")
        if chain not in heads[-2:]:
            raise SigningError(f"{self.folder}: key.json was put back from a copy: who has it may have signed. {_NEW}")
        self._head = heads[-1]
        if not self._moved:
            self._meet_anchor(heads)

    def _meet_anchor(self, heads):
        try:
            anchor = _anchor_path(self.public).read_text().strip()
        except FileNotFoundError:
            raise SigningError(f"{self.folder}: this user of this machine does not know the key. Where it is no copy "
                               f"of one that still signs: spot release keys {self.folder} --adopt, or a new key"
                               ) from None
        except (OSError, ValueError) as error:
            raise SigningError(f"{_anchor_path(self.public)}: {error}") from error
        if anchor not in heads:  # later than the folder; an anchor that was put back itself is among them
            raise SigningError(f"{self.folder} was put back from a copy, or is one: another folder of this key has "
                               f"signed since. {_NEW}")

    @property
    def all(self) -> int:
        """Signatures that a new key of this height makes."""
        return 1 << self.height

    def left(self, now: float | None = None) -> int:
        """Signatures left; time uses them up, too."""
        return max(0, self.all - self._free(time.time() if now is None else now))

    def _free(self, now):
        return max(self.next, int(now - self.born) // self._pace_s)

    def sign_text(self, make_text, number: int | None = None, now: float | None = None, first: int = 1):
        """(number, what make_text gave, LMS signature) of the text `make_text(number)[0]`, with a leaf that is used
        from then on, come what may. number: the latest plus one, `first` at least, or a higher one that is given.

        make_text may take its time: no other process signs meanwhile; what it raises uses up nothing. Raises
        SigningError: used up, another process signs, or the state is not to trust.
        """
        now = time.time() if now is None else now
        with ExitStack() as stack:
            self._alone(stack)
            self._read()
            if number is None:
                number = max(self.number + 1, first)
            if number <= self.number:
                raise SigningError(f"{self.folder}: number {number} was used; the latest is {self.number}")
            leaf = self._free(now)
            if leaf >= self.all:
                raise SigningError(f"{self.folder}: all {self.all} signatures are used up")
            made = make_text(number)
            private = _private(self.height, self._seed, self._identifier, leaf)
            self._reserve(leaf, number, made[0], now)
        signature = private.sign(made[0])
        if not lms.verify(self.public, made[0], len(made[0]), signature):
            raise SigningError(f"{self.folder}: the signature does not fit its own key: key.json is damaged")
        return number, made, signature

    def adopt(self, skip: int) -> None:
        """Sign with this folder here, though this user does not know the key, or knows a later state of it. skip: so
        many leaves, and numbers, are passed over: at least as many as the other place may have used since."""
        if not 0 <= skip < self.all - self.next:
            raise SigningError(f"--skip: 0 to {self.all - self.next - 1}")
        with ExitStack() as stack:
            self._alone(stack)
            self._read()
            if skip:
                self._reserve(self.next + skip - 1, self.number + skip, b"adopted", time.time())
            _anchor(self.public, self._head)

    def _alone(self, stack):
        try:
            _anchor_path(self.public).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (self.folder / "lock", _anchor_path(self.public).with_suffix(".lock")):
                stack.enter_context(FileLock(path, timeout=0))
        except Timeout:
            raise SigningError(f"{self.folder}: another process is signing") from None
        except OSError as error:
            raise SigningError(f"{self.folder}: {error}") from error

    def _reserve(self, leaf, number, text, now):
        """All three say that the leaf is used; on disk when this returns."""
        entry = f"{leaf} {number} {int(now)} {hashlib.sha256(text).hexdigest()}".encode()
        head = _link(self._head, entry)
        try:
            with open(self.folder / "journal", "r+b") as file:
                file.seek(-self._torn, os.SEEK_END)
                file.truncate()
                file.write(entry + b" " + head.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            self._key["chain"] = head
            replace(self.folder / "key.json", json.dumps(self._key, indent=1).encode(), 0o600)
            _anchor(self.public, head)
        except OSError as error:
            raise SigningError(f"{self.folder}: {error}: nothing was signed") from error
        self.next, self.number, self._head, self._torn = leaf + 1, number, head, 0


def public_key(text: str, hss: bool = False) -> bytes:
    """The public key that is given in hex, as a file with hex, or as a key's folder: 56 octets of LMS, or with `hss`
    60 with the number of levels before them. Raises SigningError."""
    path = Path(text)
    try:
        if path.is_dir():
            text = (path / "public.hex").read_text()
        elif path.is_file():
            text = path.read_text()
        key = bytes.fromhex(text.strip())
        if hss and key[:4] != b"\0\0\0\1":
            raise ValueError
        lms.signature_octets(key[4:] if hss else key)
    except (OSError, ValueError) as error:
        raise SigningError(f"{path}: no {'HSS' if hss else 'LMS'} public key") from error
    return key


def _private(height, seed, identifier, leaf=0):
    return pyhsslms.LmsPrivateKey(lms_type=TREES[height], lmots_type=pyhsslms.lmots_sha256_n32_w4, SEED=seed,
                                  I=identifier, q=leaf)


def _genesis(public):
    return hashlib.sha256(public).hexdigest()


def _link(head, entry):
    return hashlib.sha256(head.encode() + b" " + entry).hexdigest()


def _anchor_path(public):
    return anchors() / public[8:24].hex()


def _anchor(public, head):
    path = _anchor_path(public)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(path, head.encode() + b"\n", 0o600)


def replace(path, data, mode):
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
