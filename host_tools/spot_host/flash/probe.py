"""What is on a board, told by the board itself, and whether it is the board that was meant."""

import ast
from dataclasses import dataclass

from . import base
from .errors import MisfitError
from .port import Port

MINIMUM = (1, 25)
_MPY = 6  # the .mpy format's version since MicroPython 1.19; native code: sub-version 3 since 1.23
_SUB = 3
_ARCHITECTURES = ("bytecode", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa",
                  "xtensawin", "rv32imc", "rv64imc")
_CHIPS = {  # mcu of a board's description: (sys.platform, what its _machine ends with, in capitals and without "-")
    "rp2040": (("rp2",), "RP2040"),
    "rp2350": (("rp2",), "RP2350"),
    "esp32": (("esp32",), "ESP32"),
    "esp32s3": (("esp32",), "ESP32S3"),
    "unix": (("linux", "darwin"), ""),
}

_ASK = """\
import sys, os, gc
_i = sys.implementation
_d = {"platform": sys.platform, "version": tuple(_i.version[:3])}
_d["machine"], _d["mpy"] = getattr(_i, "_machine", ""), getattr(_i, "_mpy", 0)
try:
    import machine
    _d["uid"] = machine.unique_id().hex()
except (ImportError, AttributeError):
    pass
try:
    _s = os.statvfs("/" if sys.platform not in ("linux", "darwin") else ".")
    _d["size"] = _s[1] * _s[2]
    _d["free"] = _s[0] * _s[3]
except OSError:
    pass
gc.collect()
_d["heap_free"] = gc.mem_free()
_d["heap"] = gc.mem_free() + gc.mem_alloc()
try:
    import json
    with open("/own/release.json") as _f:
        _d["own"] = json.load(_f)
except (OSError, ValueError):
    pass
_d["files"] = os.listdir()
print(_d)
"""


@dataclass(frozen=True)
class Found:
    """What answered on the port. size, free: octets of its file system; heap, heap_free: octets; own: what our own
    image says of the release that is a part of it, None on a stock one; files: names at the top.
    """

    platform: str
    version: tuple
    machine: str
    mpy: int
    uid: str = ""
    size: int = 0
    free: int = 0
    heap: int = 0
    heap_free: int = 0
    own: dict | None = None
    files: tuple = ()

    @property
    def march(self):
        """Instruction set that the board takes .mpy files for."""
        at = self.mpy >> 10 & 15
        return _ARCHITECTURES[at] if at < len(_ARCHITECTURES) else f"architecture {at}"

    @property
    def ours(self):
        """Whether it runs our own image, with slots."""
        return self.own is not None

    @property
    def base(self):
        """Version of our own image, 0 on a stock one."""
        return self.own.get("base", 0) if self.own else 0

    def chip(self):
        """The mcu, as boards/ names them; empty when it is none of them."""
        told = self.machine.upper().replace("-", "")
        fitting = [mcu for mcu, (platforms, ending) in _CHIPS.items()
                   if self.platform in platforms and told.endswith(ending)]
        return max(fitting, key=len, default="")

    def words(self):
        """One line for a person."""
        image = f"SPOT's image, base {self.base}" if self.ours else "a stock image"
        uid = f", id {self.uid}" if self.uid else ""
        return f"{self.machine}, MicroPython {'.'.join(map(str, self.version[:3]))}, {image}{uid}"


def look(port: Port) -> Found:
    """Ask the board on `port`."""
    said = ast.literal_eval(port.exec(_ASK))
    return Found(**{**said, "files": tuple(said["files"])})


def check(board, found, port_name):
    """MisfitError (exit code 3), with the way out, unless `found` is such a board with a MicroPython that will do."""
    chip = found.chip()
    if chip != board.mcu:
        raise MisfitError(f"{port_name}: this is {found.machine}{f' ({chip})' if chip else ''}, and {board.name} is "
                          f"made for "
                          f"{board.mcu}: take another --board; nothing was written")
    if board.wifi and "Pico" in found.machine and " W " not in found.machine:
        raise MisfitError(f"{port_name}: {found.machine} has no Wi-Fi, or an image without it, and {board.name} needs "
                          f"it; "
                          f"nothing was written.\n{base.way_out(board, port_name)}")
    if found.ours and found.own.get("board") != board.name:
        raise MisfitError(f"{port_name}: its image is the one of {found.own.get('board')}, not of {board.name}: take "
                          f"another "
                          f"--board, or another image; nothing was written.\n{base.way_out(board, port_name)}")
    wanted = minimum(board)
    if found.version[:2] < wanted:
        raise MisfitError(f"{port_name}: MicroPython {'.'.join(map(str, found.version[:3]))} is too old, {board.name} "
                          f"wants "
                          f"{'.'.join(map(str, wanted))} or later; nothing was "
                          f"written.\n{base.way_out(board, port_name)}")
    if found.mpy & 0xFF != _MPY or found.mpy >> 8 & 3 != _SUB:
        raise MisfitError(f"{port_name}: this MicroPython takes .mpy files of version "
                          f"{found.mpy & 0xFF}.{found.mpy >> 8 & 3}, and {_MPY}.{_SUB} is what is built "
                          f"here; nothing was written.\n{base.way_out(board, port_name)}")
    if board.march not in ("bytecode", found.march):
        raise MisfitError(f"{port_name}: .mpy files for {board.march} (boards/{board.name}) do not run on a board for "
                          f"{found.march}; nothing was written")
    least = board.image.base
    if found.ours and found.base < least:
        raise MisfitError(f"{port_name}: base image {found.base} is too old, {board.name} wants {least}; nothing was "
                          f"written.\n{base.way_out(board, port_name)}")


def minimum(board):
    """The least MicroPython version for a board, (major, minor)."""
    said = str(board.image.micropython)
    parts = tuple(int(part) for part in said.split(".")[:2] if part.isdigit())
    return max(MINIMUM, parts) if len(parts) == 2 else MINIMUM
