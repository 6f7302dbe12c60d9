"""The inventory: a TOML file of the boards on a bench, and what is wired to each of them. docs/hil.md shows one."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from spot_host.errors import UserError

from . import instruments, spec

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_REAL = ("serial", "ip")


@dataclass
class BoardOnBench:
    """One board: `name`, `target` (spec.Spec), `home` (folder of `spot emd init`), `eui64` ("" where the home has one
    device only), `features` (more that it has), `load_w` (what its load draws while the contact is closed, or None),
    `baudrate`, `patience` (its times may be so much longer), `wired`: {feature: settings of the instrument}."""

    name: str
    target: spec.Spec
    home: Path
    eui64: str = ""
    features: tuple = ()
    load_w: int | None = None
    baudrate: int = 115200
    patience: float = 1.0
    wired: dict = field(default_factory=dict)

    def instruments(self) -> dict:
        """{feature: instrument}, opened. Raises UserError for one that is not there."""
        made = {}
        try:
            for feature, settings in self.wired.items():
                made[feature] = instruments.make(feature, settings)
        except BaseException:
            for one in made.values():
                one.close()
            raise
        return made


def load(path) -> dict:
    """{name: BoardOnBench} of the file at `path`. Raises UserError that names file and field."""
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_bytes().decode())
    except OSError as exc:
        raise UserError(f"{path}: cannot be read: {exc.strerror}") from exc
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise UserError(f"{path}: not TOML: {exc}") from exc
    return from_dict(raw, str(path), path.parent)


def from_dict(raw: dict, file: str = "inventory", folder=Path()) -> dict:
    """As `load`, from the content of a file."""
    unknown = set(raw) - {"board"}
    if unknown:
        raise UserError(f"{file}: {sorted(unknown)[0]}: no such table; boards are [board.NAME]")
    boards = raw.get("board")
    if not isinstance(boards, dict) or not boards:
        raise UserError(f"{file}: board: at least one board, as [board.NAME]")
    out = {}
    for name, table in boards.items():
        where = f"{file}: board.{name}"
        if not _NAME.fullmatch(name) or name in spec.ARGUMENT or name in ("bench", "rp2040"):
            raise UserError(f"{where}: a name of a-z, 0-9, - and _ that is no target's word")
        if not isinstance(table, dict):
            raise UserError(f"{where}: a table, not {table!r}")
        out[name] = _board(where, name, table, Path(folder))
    return out


_FIELDS = {  # name: (types, least, most, what would be right)
    "target": (str, None, None, '"serial:PORT" or "ip:ADDRESS"'),
    "home": (str, None, None, "the folder that `spot emd init` made, as text"),
    "eui64": (str, None, None, "16 hex digits"),
    "features": (list, None, None, "a list of words"),
    "load_w": (int, 1, 100_000, "what its load draws, W, 1 … 100000"),
    "baudrate": (int, 300, 4_000_000, "300 … 4000000"),
    "patience": ((int, float), 1, 100, "1 … 100"),
}


def _board(where, name, table, folder):
    wired = {}
    for key, value in table.items():
        if key in instruments.DRIVERS:
            wired[key] = instruments.check(f"{where}.{key}", key, value)
        elif key not in _FIELDS:
            known = ", ".join(sorted([*_FIELDS, *instruments.DRIVERS]))
            raise UserError(f"{where}.{key}: no such field; there are {known}")
        else:
            types, least, most, right = _FIELDS[key]
            fits = isinstance(value, types) and not isinstance(value, bool)
            if not fits or (least is not None and not least <= value <= most):
                raise UserError(f"{where}.{key}: {value!r}: must be {right}")
    for key in ("target", "home"):
        if key not in table:
            raise UserError(f"{where}.{key}: missing: {_FIELDS[key][3]}")
    try:
        target = spec.parse(table["target"], {word: spec.ARGUMENT[word] for word in _REAL})
    except UserError:
        raise UserError(f"{where}.target: {table['target']!r}: must be {_FIELDS['target'][3]}") from None
    eui = table.get("eui64", "").lower()
    if eui and not re.fullmatch("[0-9a-f]{16}", eui):
        raise UserError(f"{where}.eui64: {table['eui64']!r}: must be {_FIELDS['eui64'][3]}")
    if not all(isinstance(word, str) for word in table.get("features", ())):
        raise UserError(f"{where}.features: must be {_FIELDS['features'][3]}")
    return BoardOnBench(
        name, target, folder / table["home"], eui, tuple(table.get("features", ())), table.get("load_w"),
        table.get("baudrate", 115200), float(table.get("patience", 1)), wired,
    )
