"""Flash images with releases in their slots, and a board whose firmware runs from there."""

import tempfile
from pathlib import Path

from spot_host import build as firmware
from spot_host import romfs, suit
from spot_host.boards import Board as Description
from tests.rp2040 import board as boards
from tests.rp2040 import build

_MOUNT = """
import gc, sys
from spot import boot
boot.prepare("config.json", "/rom")
for name in list(sys.modules):
    if name.split(".")[0] == "spot":
        del sys.modules[name]
del boot, name
sys.path.remove("/own/boot")
sys.path.insert(0, "/rom")
for _ in range(4):
    gc.collect()
"""  # what firmware/boot.py does


def release(content: dict, sequence: int = 1) -> bytes:
    """A release file, not signed, of these files."""
    image = romfs.pack({"release.json": b'{"sequence":%d}' % sequence, **content})
    return suit.write(suit.Manifest.of(image, sequence=sequence, version="1.0", board=build.BOARD,
                                       march=boards.ARCHITECTURE, base=1), image)


def compiled(image: firmware.Image) -> dict:
    """{path: octets} of a firmware."""
    with tempfile.TemporaryDirectory() as name:
        rows = image.compile(boards.ARCHITECTURE, name)
        return {path: (Path(name) / path).read_bytes() for path, _ in rows}


def flash(folder: Path, *releases: bytes) -> Path:
    """A file for Board(flash=…): these releases in slots A and B, nothing else."""
    board = Description.load(build.BOARD)
    slot = board.image.slot_bytes
    start = board.flash_bytes - board.image.storage_bytes - board.image.romfs_bytes + slot
    octets = bytearray(b"\xff" * board.flash_bytes)
    for one in releases:
        content = romfs.in_slot(one)
        octets[start:start + len(content)] = content
        start += slot
    (folder / "slots.bin").write_bytes(octets)
    return folder / "slots.bin"


class RomBoard(boards.Board):
    """A board with `image` in slot A: what `run` runs has it from there, executed in place."""

    def __init__(self, rig, folder: Path, image: firmware.Image):
        super().__init__(rig, folder, flash(folder, release(compiled(image))))
        self.image = image

    def run(self, script: Path, *arguments, timeout: float = 60) -> str:
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name) / script.name
            argv = [script.name, *(str(argument) for argument in arguments)]
            copy.write_text(f"{_MOUNT}sys.argv[:] = {argv!r}\n{self.image.guest(script.read_text(), script.stem)}")
            return self.mpremote("run", str(copy), timeout=timeout)
