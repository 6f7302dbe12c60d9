"""The product on an emulated board as a person brings it there: its own image, the configuration by the real mpremote,
a signed release by `spot flash`. The flash image that this leaves is what other boards begin with.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from spot_host import release as releases
from tests.rp2040 import board as boards
from tests.rp2040 import build, cable

VERSION = "1.0"
SEQUENCE = 2  # what a cable brings without a key is 1
_KEY_HEIGHT = 5  # 32 signatures
_FLASH_S = 300
_KEPT = 4  # folders of runs: one that is under way has its own
_RATE = 8192  # octets a second of an update: as many as an EMD gives


def make(rig: build.Rig, folder: Path) -> Path:
    """The flash image; beside it in `folder`: the key that signs (`key`), the release (`release.spotfw`) and what
    `spot flash` said (`flash.txt`). BoardError when something on the way fails."""
    with _own_state(folder):
        key = releases.generate(folder / "key", _KEY_HEIGHT)
    release = folder / "release.spotfw"
    release.write_bytes(sign(folder, VERSION))
    with boards.Board(rig, folder) as board:
        board.put(cable.files(update={"keys": [key.hss.hex()], "rate": _RATE}))
        (folder / "flash.txt").write_text(flash(board, "--release", release))
        board.wait_for_reset()
        return board.save(folder / "product.bin")


def sign(folder: Path, version: str, image_of=None) -> bytes:
    """The next release by the key that `make` has left in `folder`."""
    with _own_state(folder):
        return releases.build(cable.BOARD, version, folder / "key", image_of=image_of)


@contextlib.contextmanager
def _own_state(folder):
    """What a key leaves with its user lies beside it: the worker that signs is not always the one that made it."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    try:
        yield
    finally:
        if before is None:
            del os.environ["XDG_STATE_HOME"]
        else:
            os.environ["XDG_STATE_HOME"] = before


def shared(rig: build.Rig) -> Path:
    """`make`, once for all workers and suites of this run; those of the latest runs stay."""
    every = rig.emulator.parents[3] / "products"
    folder = every / os.environ.get("PYTEST_XDIST_TESTRUNUID", f"process-{os.getpid()}")
    every.mkdir(exist_ok=True)
    with FileLock(every / "lock"):
        if not folder.exists():
            for old in sorted((path for path in every.iterdir() if path.is_dir()),
                              key=lambda path: path.stat().st_mtime)[:-_KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        if not (folder / "product.bin").exists():
            shutil.rmtree(folder, ignore_errors=True)  # what a failure has left
            folder.mkdir()
            make(rig, folder)
    return folder / "product.bin"


def flash(board: boards.Board, *arguments) -> str:
    """`spot flash` onto that board, at its pseudo-terminal; what it says. BoardError when it fails."""
    command = [sys.executable, "-c", "from spot_host.cli import main; main()", "flash", "--board", cable.BOARD,
               "--port", board.pty, "--wait", "0", *map(str, arguments)]
    got = subprocess.run(command, capture_output=True, text=True, timeout=_FLASH_S, stdin=subprocess.DEVNULL)
    if got.returncode:
        raise boards.BoardError(f"spot flash ended with {got.returncode}: {got.stdout}{got.stderr}")
    return got.stdout
