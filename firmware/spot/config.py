"""Configuration from files: read, and refused with one sentence that says what would be right.

What a file may say is checked by config_check.py and board_check.py, which are loaded only for that: not for a
configuration that has passed, as it stands and in this release (`seal`), nor for the description in a release, which
passed when that was built.
"""

import json

from .board.board import bring
from .port import const, os, sha256_object


class ConfigError(ValueError):
    """`file`, `field` ("device.min_run_s") and `want` ("an integer from 0 to 86400, not 'ten'")."""

    def __init__(self, file, field, want):
        super().__init__("%s: %s: must be %s" % (file, field, want) if field else "%s: %s" % (file, want))
        self.file = file
        self.field = field
        self.want = want


def load_json(path, open=open):
    """The JSON object in the file at `path`; ConfigError when it is not there, torn, or not an object."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError as error:
        number = error.args[0] if error.args else 0
        raise ConfigError(path, "", "cannot be read (errno %s)" % number) from None
    try:
        if not _whole(raw):
            raise ValueError
        found = json.loads(raw)
    except (ValueError, UnicodeError):
        raise ConfigError(path, "", "is not JSON: torn or mistyped") from None
    if not isinstance(found, dict):
        raise ConfigError(path, "", "is not a JSON object")
    return found


def keep_good(path, open=open, rename=os.rename):
    """Keeps a copy of the configuration at `path`, which has proved good, where the same is not kept already."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
        try:
            with open(path + ".good", "rb") as file:
                if file.read() == raw:
                    return
        except OSError:
            pass  # there is none yet
        with open(path + ".new", "wb") as file:
            file.write(raw)
        rename(path + ".new", path + ".good")
    except OSError:
        pass  # full flash is told by the store


def _whole(raw):
    """Whether every bracket is closed: MicroPython's json takes a file that ends in the middle, less what is gone."""
    depth = 0
    quoted = False
    i = 0
    while i < len(raw):
        c = raw[i]
        if quoted:
            if c == 0x5C:  # backslash
                i += 1
            elif c == 0x22:
                quoted = False
        elif c == 0x22:
            quoted = True
        elif c == 0x7B or c == 0x5B:
            depth += 1
        elif c == 0x7D or c == 0x5D:
            depth -= 1
        i += 1
    return depth == 0 and not quoted


def load_board(name, folder="boards", open=open, file="config", trusted=False):
    """The description of board `name`, from `folder`/`name`/board.json. file: what names the board, for errors;
    trusted: it was checked when it was put there."""
    if not trusted:
        from .board_check import check_board, check_name

        check_name(name, file)
    path = "%s/%s/board.json" % (folder, name)
    try:
        description = load_json(path, open)
    except ConfigError as error:
        if "errno 2" in error.want:
            raise ConfigError(file, "board", "a board in %s/, not %r" % (folder, name)) from None
        raise
    if not trusted:
        check_board(description, path)

    def load(path):
        try:
            return load_json(path, open)
        except ConfigError as error:
            if "errno 2" in error.want:
                return None  # who names it says so
            raise

    wrong = bring(description, folder, load)
    if wrong:
        raise ConfigError(wrong[0] or path, wrong[1], wrong[2])
    return description


def associations(config):
    """The associations of a checked configuration, in order; the one of a configuration without that word is "": a list
    of objects with `name`, `mqtt` or `coap`, maybe `agent` and `data`."""
    if "associations" in config:
        return config["associations"]
    one = {"name": ""}
    for field in ("mqtt", "coap", "agent", "data"):
        if field in config:
            one[field] = config[field]
    return [one]


_FILES = ("ca", "cert", "key", "pairing")
_SEAL = ".checked"
_PIECE = const(512)


def named_files(config):
    """[(where it is named, path)] of the certificates, keys and pairing files of a configuration."""
    found = []
    for at, one in enumerate(associations(config)):
        for kind in ("mqtt", "coap"):
            for name in _FILES:
                path = one.get(kind, {}).get(name)
                if isinstance(path, str):
                    field = "%s.%s" % (kind, name)
                    if "associations" in config:
                        field = "associations.%d.%s" % (at, field)
                    found.append((field, path))
    return found


def seal(path, config, release):
    """SHA-256 over the configuration at `path`, the files that it names, and the file `release`, which says what
    firmware this is: all that its check depends on. None where one cannot be read."""
    try:
        mixed = sha256_object(b"spot")
        for name in [path, release] + [found[1] for found in named_files(config)]:
            with open(name, "rb") as file:
                raw = b"."
                while raw:
                    mixed.update(raw)
                    raw = file.read(_PIECE)
        return mixed.digest()
    except (OSError, TypeError, AttributeError):
        return None


def is_sealed(path, found):
    """Whether the configuration at `path` had the seal `found` when it passed its check."""
    try:
        with open(path + _SEAL, "rb") as file:
            return file.read() == found
    except OSError:
        return False


def keep_seal(path, found):
    """The configuration at `path` has passed its check with the seal `found`."""
    try:
        with open(path + _SEAL, "wb") as file:
            file.write(found)
    except OSError:
        pass  # it is checked at the next start, too
