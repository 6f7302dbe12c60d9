"""What a board remembers of its life: the ring that its firmware prints when it is interrupted, and its crash
record."""

import re
import struct
import zlib

from .errors import RemoteError

_MAGIC_HEAD = struct.Struct("<HHI")  # magic, octets, CRC-32: as spot/store.py writes a value
_LINE = re.compile(r"^\d+ [diwe] [a-z][a-z0-9_.]* -?\d+ -?\d+$")


def ring(text):
    """The lines of the log in what a board printed: "seconds level event a b"."""
    return [line.strip() for line in text.splitlines() if _LINE.match(line.strip())]


def value(raw):
    """The content of a file that spot/store.py has written; None when it is damaged."""
    if len(raw) < _MAGIC_HEAD.size:
        return None
    _, n, check = _MAGIC_HEAD.unpack_from(raw)
    data = raw[_MAGIC_HEAD.size : _MAGIC_HEAD.size + n]
    return data if len(data) == n and zlib.crc32(data) == check else None


def record(port, store="store"):
    """(failing starts in a row, text of the latest crash) in the board's store; None when there is none."""
    for name in (f"{store}/crash", f"{store}/crash.new"):
        try:
            data = value(port.get(name))
        except RemoteError:
            continue
        if data:
            return data[0], data[1:].decode(errors="replace")
    return None
