"""What lies in the heap of an emulated board: its memory, read and walked as the collector would walk it.

    .venv/bin/python -m tests.rp2040.census [LINES]      # the product on its cable, registered and commanded

Nothing runs on the chip for this, so that nothing but the product is counted. A block is what MicroPython's collector
gives out (16 octets, or several); live is what can be reached from its roots. Layouts are those of MicroPython 1.25 on
32 bits (py/gc.c, obj.h, objfun.h, qstr.h).
"""

import collections
import re
import struct
import sys
import tempfile
from pathlib import Path

from spot_host import image
from tests.rp2040 import board as boards
from tests.rp2040 import build, cable, product

_RAM, _FLASH = 0x20000000, 0x10000000
_BLOCK = 16
_COMMANDS = 4


class Heap:
    """The heap of a chip whose memory is `ram` and whose flash begins with `flash`; symbols: {name: address}.

    total: octets that blocks can have. live: {address: octets} of what can be reached. free: octets that a collection
    leaves. owner: {address: that of what leads to it}.
    """

    def __init__(self, ram: bytes, flash: bytes, symbols: dict):
        self._ram, self._flash = ram, flash
        self._names = {address: name.removeprefix("mp_type_") for name, address in symbols.items()
                       if name.startswith(("mp_type_", "machine_"))}
        self._state, start = symbols["mp_state_ctx"], symbols["__GcHeapStart"]
        end = next(at for at in range(self._state, start, 4) if self.word(at) == start)
        tables, pool, last = self.word(end), self.word(end + 12), self.word(end + 16)
        self._pool = pool
        count = (last - pool) // _BLOCK
        self.total = count * _BLOCK
        self._heads = {}
        head = None
        for i in range(count):
            kind = self._ram[tables - _RAM + i // 4] >> (i % 4) * 2 & 3
            if kind == 1:
                head = pool + i * _BLOCK
                self._heads[head] = _BLOCK
            elif kind == 2:
                self._heads[head] += _BLOCK
            else:
                head = None
        self.live, self.owner = {}, {}
        roots = [self.word(at) for at in range(self._state, end, 4)]
        roots += [self.word(at) for at in range(symbols["__GcHeapEnd"], _RAM + len(ram), 4)]
        self._walk(roots)
        self.free = self.total - sum(self.live.values())
        self._strings = self._interned()

    def word(self, at: int) -> int:
        """The 32-bit word at that address; 0 outside of memory and flash."""
        for first, octets in ((_RAM, self._ram), (_FLASH, self._flash)):
            if first <= at <= first + len(octets) - 4:
                return struct.unpack_from("<I", octets, at - first)[0]
        return 0

    def octets(self, at: int, n: int) -> bytes:
        """What lies there."""
        octets, first = (self._ram, _RAM) if at >= _RAM else (self._flash, _FLASH)
        return octets[at - first:at - first + n]

    def _walk(self, roots):
        waiting = collections.deque((word, None) for word in roots if word in self._heads)
        while waiting:
            at, owner = waiting.popleft()
            if at in self.live:
                continue
            self.live[at], self.owner[at] = self._heads[at], owner
            words = struct.unpack(f"<{self.live[at] // 4}I", self.octets(at, self.live[at]))
            waiting.extend((word, at) for word in words if word in self._heads)

    def _interned(self):
        """{number: text}, of the pools of names, the latest first."""
        out = {}
        for at in range(self._state, self._pool, 4):
            pool, chain = self.word(at), []
            while pool and len(chain) < 60:
                chain.append(pool)
                pool = self.word(pool)
            if len(chain) < 3 or self.word(chain[-1] + 4) & 0x7FFFFFFF or not 0 < self.word(chain[-1] + 12) < 2000:
                continue
            for pool in chain:
                first, count = self.word(pool + 4) & 0x7FFFFFFF, self.word(pool + 12)
                lengths = self.octets(self.word(pool + 20), count)
                for i in range(min(count, len(lengths))):
                    text = self.octets(self.word(pool + 24 + 4 * i), lengths[i])
                    out[first + i] = text.decode(errors="replace")
            if "append" in out.values():
                return out
            out = {}
        return out

    def kind(self, at: int) -> str:
        """What a block is: a type's name, "class of ours", "Name()" of an instance of ours, or "" for bare memory."""
        of = self.word(at)
        if of in self._names:
            return self._names[of]
        if of in self.live and self._names.get(self.word(of)) == "type":
            return self.name(of) + "()"
        return ""

    def name(self, at: int) -> str:
        """The name of a class."""
        return self._strings.get(self.word(at + 4) >> 16, "?")

    def text(self, word: int) -> str:
        """A key as text."""
        if word & 7 == 2:
            return self._strings.get(word >> 3, "?")
        return str(word >> 1) if word & 1 else hex(word)

    def path(self, at: int) -> str:
        """How it is reached, in names where there are some."""
        out = []
        while at is not None and len(out) < 12:
            owner = self.owner[at]
            kind = self.kind(at)
            if kind:
                out.append(kind if kind != "type" else "class " + self.name(at))
            elif owner is not None:
                pass
            if owner is not None and not self.kind(owner):  # a table: the key that is before it
                for i in range(owner, owner + self.live[owner], 4):
                    if self.word(i) == at and i > owner and self.word(i - 4) & 7 == 2:
                        out[-1:] = [(out[-1] if out else "") + "=" + self.text(self.word(i - 4))]
                        break
            at = owner
        return " < ".join(out)


def symbols(map_file: Path) -> dict:
    """{name: address} of a linker's map."""
    out = {}
    for address, name in re.findall(r"^ +0x([0-9a-f]+) +(\w+)(?: = .*)?$", map_file.read_text(), re.M):
        out[name] = int(address, 16)
    text = map_file.read_text()  # static functions' types have sections alone
    for name, address in re.findall(r"^ \.(?:rodata|data)\.(\w+)\n? +0x([0-9a-f]+)", text, re.M):
        out.setdefault(name, int(address, 16))
    return out


def heap_of(board: boards.Board) -> Heap:
    """The heap of a held board, as it is now."""
    base = image.base(build.BOARD)
    board.save()
    return Heap(bytes.fromhex(board.command("ram")["hex"]), board.flash.read_bytes(),
                symbols(base.with_name("firmware.map")))


def steady(rig: build.Rig, folder: Path) -> Heap:
    """That of the product on its cable, which has registered and served some commands."""
    flash = product.make(rig, folder)
    with boards.Board(rig, folder, flash=flash, held=True) as board:
        board.wire(*cable.wiring())
        cabled = cable.Cable(board)
        cabled.join()
        for number in range(_COMMANDS):
            cabled.run(2)
            cabled.command("on" if number % 2 else "off")
            cabled.moved()
        cabled.run(30)
        return heap_of(board)


def say(heap: Heap, lines: int) -> None:
    """Prints sums by kind, and the largest."""
    print(f"{heap.total:,} octets, {heap.free:,} free: {100 * heap.free / heap.total:.1f} %")
    sums = collections.defaultdict(lambda: [0, 0])
    for at, n in heap.live.items():
        kind = heap.kind(at)
        owner = heap.owner[at]
        if not kind:
            kind = f"  of {heap.kind(owner) if owner is not None else 'root'}"
        sums[kind][0] += n
        sums[kind][1] += 1
    for kind, (n, count) in sorted(sums.items(), key=lambda row: -row[1][0])[:lines]:
        print(f"{n:8,} {count:6,} {kind}")
    print()
    for at, n in sorted(heap.live.items(), key=lambda row: -row[1])[:lines]:
        print(f"{n:8,} {at:x} {heap.kind(at) or '-'}: {heap.path(at)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        say(steady(build.set_up(), Path(name)), int(sys.argv[1]) if len(sys.argv) > 1 else 40)
