"""What a board is to get: the firmware's files, and its configuration with keys.

Nothing that a running board uses is ever overwritten. A version of the firmware has a folder of its own, named after
its content, and so has each key file; what makes them count are two small files, replaced in one step each:
config.json, then main.py.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from spot.config import ConfigError, associations, load_board
from spot.config_check import check_device_config, check_files
from spot_host import build, romfs
from spot_host.errors import UserError
from spot_host.provision.certificates import load_small, wrong_files

PREFIX = "spot-"  # of a firmware's folder on the board
_KEYS = ("ca", "cert", "key", "pairing")
# A chip starts main.py, never main.mpy; and after a SystemExit it would start once more, instead of giving its REPL.
MARK = "# Written by `spot flash`"
_STUB = MARK + """: the firmware is in the folder below, a development copy, which costs heap.
import sys
sys.path.insert(0, "{folder}")
try:
    import main
except SystemExit:
    pass
"""


@dataclass(frozen=True)
class Firmware:
    """One build for one board as files. folder: on the board; files: {path on the board: octets}; stub: main.py there;
    loaded: octets of .mpy that a running device has in its heap at least."""

    folder: str
    files: dict
    stub: bytes
    loaded: int

    @property
    def boards(self):
        """Where its board descriptions are."""
        return f"{self.folder}/boards"


@dataclass
class Device:
    """A configuration on its way to a board. files: {path on the board: octets} of keys; config: what config.json will
    say."""

    config: dict
    files: dict = field(default_factory=dict)

    @property
    def eui(self):
        """Its EUI-64, in small letters."""
        return self.config["eui64"].lower()

    @property
    def links(self):
        """[(association's name, URI or broker)]."""
        rows = []
        for one in associations(self.config):
            where = one["coap"]["uri"] if "coap" in one else f"mqtt://{one['mqtt']['host']}"
            rows.append((one.get("name", ""), where))
        return rows

    def octets(self):
        """config.json."""
        return (json.dumps(self.config, separators=(",", ":"), sort_keys=True) + "\n").encode()


def digest(data):
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def firmware(board):
    """Compile the firmware for `board` (spot_host.boards.Board); UserError when it does not compile."""
    parts = {**romfs.compiled(board.name, board.march), **board_files(board.name)}
    mark = hashlib.sha256()
    for path in sorted(parts):
        mark.update(path.encode() + b"\0" + digest(parts[path]).encode())
    folder = PREFIX + mark.hexdigest()[:8]
    loaded = len(parts.get("spot/__init__.mpy", b""))
    return Firmware(folder, {f"{folder}/{path}": data for path, data in parts.items()},
                    _STUB.format(folder=folder).encode(), loaded)


def board_files(name):
    """{path: octets} of a board's description and of the register maps that it names; UserError when it is wrong."""
    try:
        description = load_board(name, str(build.BOARDS))
    except ConfigError as error:
        raise UserError(str(error)) from None
    paths = [f"{name}/board.json", *(f"maps/{one}.json" for one in sorted(description.get("maps", {})))]
    return {f"boards/{path}": _compact((build.BOARDS / path).read_bytes()) for path in paths}


def _compact(raw):
    return json.dumps(json.loads(raw), separators=(",", ":")).encode()


def device(folder, board, more=None):
    """The configuration in `folder` (config.json and what it names), checked for `board`; UserError says what is wrong.

    more: sections that are added. Key files get names after their content, so that none of a running device is
    overwritten.
    """
    folder = Path(folder)
    path = folder / "config.json" if folder.is_dir() else folder
    if not path.exists():
        raise UserError(f"--config: {path} is not there: `spot emd enroll` or `spot provision` makes it")
    config = {**load_small(path), **(more or {})}
    said = config.get("board")
    if said != board.name:
        raise UserError(f"{path}: board: it is made for {said!r}, and --board says {board.name!r}")
    at = path.parent
    try:
        check_device_config(config, str(path))
        # whose authority signed it is `spot check`'s to say: the broker may have another one
        if found := wrong_files(config, path, at, another_ca=True):
            raise UserError("\n".join(map(str, found)))
        check_files(config, str(path), lambda name, mode="r": open(at / name, mode))  # noqa: SIM115 - handed on
    except ConfigError as error:
        raise UserError(str(error)) from None
    files = {}
    config = json.loads(json.dumps(config))
    for one in config.get("associations", [config]):
        for kind in ("mqtt", "coap"):
            section = one.get(kind)
            if section is None:
                continue
            for name in _KEYS:
                if name in section:
                    data = (at / section[name]).read_bytes()
                    section[name] = key_name(section[name], data)
                    files[section[name]] = data
    if str(config.get("store", "store")).startswith(str(at.resolve())):
        raise UserError(f"{path}: store: {config['store']} is a folder of this computer: enrol it for a chip's board")
    return Device(config, files)


def key_name(path, data):
    """"cert-1a2b3c4d.der" for "…/cert.der"."""
    name = Path(path)
    stem = re.sub(r"-[0-9a-f]{8}$", "", name.stem)
    return f"{stem}-{digest(data)[:8]}{name.suffix}"


def named_files(config):
    """The files that a configuration names; whatever is not understood names none."""
    out = set()
    try:
        for one in config.get("associations", [config]):
            for kind in ("mqtt", "coap"):
                out |= {section for name, section in one.get(kind, {}).items() if name in _KEYS}
    except (AttributeError, TypeError):
        pass
    return out
