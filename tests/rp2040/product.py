"""The product on an emulated board as a person brings it there: its own image, the configuration by the real mpremote,
a signed release by `spot flash`. The flash image that this leaves is what other boards begin with.
"""

import subprocess
import sys
from pathlib import Path

from spot_host import release as releases
from tests.rp2040 import board as boards
from tests.rp2040 import build, cable

VERSION = "1.0"
SEQUENCE = 2  # what a cable brings without a key is 1
_KEY_HEIGHT = 5  # 32 signatures
_FLASH_S = 300
_RATE = 8192  # octets a second of an update: as many as an EMD gives


def make(rig: build.Rig, folder: Path) -> Path:
    """The flash image; beside it in `folder`: the key that signs (`key`), the release (`release.spotfw`) and what
    `spot flash` said (`flash.txt`). BoardError when something on the way fails."""
    key = releases.generate(folder / "key", _KEY_HEIGHT)
    release = folder / "release.spotfw"
    release.write_bytes(releases.build(cable.BOARD, VERSION, key.folder))
    with boards.Board(rig, folder) as board:
        board.put(cable.files(update={"keys": [key.hss.hex()], "rate": _RATE}))
        (folder / "flash.txt").write_text(flash(board, "--release", release))
        board.wait_for_reset()
        return board.save(folder / "product.bin")


def flash(board: boards.Board, *arguments) -> str:
    """`spot flash` onto that board, at its pseudo-terminal; what it says. BoardError when it fails."""
    command = [sys.executable, "-c", "from spot_host.cli import main; main()", "flash", "--board", cable.BOARD,
               "--port", board.pty, "--wait", "0", *map(str, arguments)]
    got = subprocess.run(command, capture_output=True, text=True, timeout=_FLASH_S, stdin=subprocess.DEVNULL)
    if got.returncode:
        raise boards.BoardError(f"spot flash ended with {got.returncode}: {got.stdout}{got.stderr}")
    return got.stdout
