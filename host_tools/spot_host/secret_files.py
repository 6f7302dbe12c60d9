"""Files that hold secrets: written for their owner alone, checked for that at each start; and passphrases from where
they are not seen."""

import os
import stat
import sys
from pathlib import Path

from .errors import UserError

PASSPHRASE = "SPOT_CA_PASSPHRASE"  # environment variable: the passphrase itself
PASSPHRASE_FILE = "SPOT_CA_PASSPHRASE_FILE"  # or the file whose first line it is
_LEAST = 8  # characters of a new passphrase


def write(path: Path, data: bytes, secret=False, durable=False) -> None:
    """Replace `path` whole or not at all; a secret is never readable by others, not even for a moment."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644), "wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    part.replace(path)


def check_private(*paths) -> None:
    """UserError with the line that mends it for the first of `paths` that others than its owner may read or write.

    Absent ones are nobody's. Where there are no such rights (Windows) nothing is checked.
    """
    if os.name != "posix":
        return
    wide = []
    for path in paths:
        try:
            state = os.lstat(path)
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(state.st_mode):
            state = os.stat(path)
        if state.st_mode & 0o077:
            wide.append((path, state.st_mode))
    if wide:
        path, mode = wide[0]
        more = f" ({len(wide) - 1} more like it: chmod -R go= {Path(path).parent})" if len(wide) > 1 else ""
        line = f"chmod {'700' if stat.S_ISDIR(mode) else '600'} {path}"
        raise UserError(f"{path}: others can read or write it ({stat.S_IMODE(mode):03o}), and it holds keys. "
                        f"If nobody did: {line}{more}")


def first_line(path, what) -> str:
    """The first line of the file `path` ("-": standard input); UserError names `what` it should hold."""
    if str(path) == "-":
        text = sys.stdin.readline()
    else:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.readline()
        except (OSError, UnicodeError) as exc:
            raise UserError(f"{path}: {what}: cannot be read: {getattr(exc, 'strerror', None) or 'no UTF-8'}") from exc
    text = text.rstrip("\r\n")
    if not text:
        raise UserError(f"{path}: {what}: its first line is empty")
    return text


def ask(prompt: str, twice=False) -> str:
    """What somebody types, unseen. UserError where nobody can."""
    import getpass

    if not sys.stdin.isatty():
        raise UserError(f"{prompt}: nobody can be asked here: there is no terminal")
    text = getpass.getpass(f"{prompt}: ")
    if twice and getpass.getpass("again: ") != text:
        raise UserError(f"{prompt}: these were two different ones")
    return text


class Passphrase:
    """Where the authority's passphrase comes from: a file, the environment, or a question; looked for when needed.

    Called with what it is for, it gives octets; UserError where there is none. `fresh`: for a key that is made."""

    def __init__(self, file=None):
        self._file = file
        self._known = None

    @property
    def given(self) -> bool:
        """Whether there is one without asking anybody."""
        return bool(self._file or os.environ.get(PASSPHRASE) or os.environ.get(PASSPHRASE_FILE))

    def __call__(self, what: str, fresh=False) -> bytes:
        if self._known is None:
            file = self._file or (None if os.environ.get(PASSPHRASE) else os.environ.get(PASSPHRASE_FILE))
            if file:
                said = first_line(file, "a passphrase")
            elif os.environ.get(PASSPHRASE):
                said = os.environ[PASSPHRASE]
            elif sys.stdin.isatty():
                said = ask(f"passphrase of {what}", twice=fresh)
            else:
                raise UserError(f"{what}: has a passphrase: --passphrase-file FILE, or {PASSPHRASE} in the environment")
            self._known = said.encode()
        if fresh and len(self._known) < _LEAST:
            raise UserError(f"{what}: a passphrase has at least {_LEAST} characters")
        return self._known
