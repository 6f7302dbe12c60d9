"""The base image below the firmware: MicroPython itself, which no .mpy can bring. What to type, or doing it."""

import shutil
import subprocess
from pathlib import Path

from .errors import MisfitError, TransferError

_ESP = {"esp32": "0x1000", "esp32s3": "0x0"}  # where the boot loader's image begins
_SECONDS = 600


def commands(board, port, image="IMAGE"):
    """The command lines that put `image` (a path, or a word that stands for it) onto a board: [[word, …]]."""
    if board.mcu in _ESP:
        tool = ["esptool", "--chip", board.mcu, "--port", port]
        return [[*tool, "write_flash", _ESP[board.mcu], str(image)]]
    if board.mcu in ("rp2040", "rp2350"):
        return [["picotool", "load", "-f", "-v", "-x", str(image)]]
    return []


def way_out(board, port):
    """What a person can do to put the right MicroPython there, in lines."""
    lines = [" ".join(words) for words in commands(board, port)]
    if not lines:
        return "Take the MicroPython of `make setup`."
    told = board.image.board
    what = f"IMAGE is ours for {told} (boards/{board.name}/README.md), or MicroPython's for it."
    if board.mcu in _ESP:
        hint = f"With an empty board first: esptool --chip {board.mcu} --port {port} erase_flash"
    else:
        hint = "Without picotool: hold BOOTSEL while you plug it in, then copy the .uf2 onto the drive that appears."
    return "\n".join([*(f"  {line}" for line in lines), f"  {what}", f"  {hint}",
                      "  Or let it be done: spot flash … --base IMAGE"])


def write(board, port, image, say, run=subprocess.run):
    """Put `image` there with esptool or picotool. MisfitError where the tool or the image is not here (nothing was
    written), TransferError when the tool fails."""
    image = Path(image)
    if not image.is_file():
        raise MisfitError(f"--base: {image}: no such file; nothing was written")
    kinds = (".bin",) if board.mcu in _ESP else (".uf2", ".bin", ".elf")
    if image.suffix not in kinds:
        raise MisfitError(f"--base: {image.name}: for {board.mcu} it is a file {' or '.join(kinds)}; nothing was "
                          f"written")
    lines = commands(board, port, image)
    if not lines:
        raise MisfitError(f"--base: {board.name} has no base image of its own; nothing was written")
    for words in lines:
        tool = shutil.which(words[0]) or shutil.which(words[0] + ".py")
        if tool is None:
            raise MisfitError(f"{words[0]} is not here, so do it by hand; nothing was written:\n{way_out(board, port)}")
        say(" ".join(words))
        try:
            done = run([tool, *words[1:]], timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            raise TransferError(f"{words[0]} took more than {_SECONDS} s: the base image is not whole; "
                                "start it anew") from None
        if done.returncode:
            raise TransferError(f"{words[0]} ended with {done.returncode}: the base image may not be whole, so that "
                                f"the board "
                                "starts nothing; its boot loader is in ROM: hold BOOTSEL (BOOT), and start it anew")
