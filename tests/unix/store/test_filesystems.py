"""The store on the file systems that MicroPython has: the computer's own, and FAT, whose rename replaces nothing."""

BODY = """
import sys
from spot.store import Store

def use(fs, root):
    store = Store(fs, root)
    for n in range(3):
        store.put("a", b"value %d" % n)
    journal = store.journal("ev", 8, 40)
    for n in range(25):
        journal.append(b"%08d" % n)
    journal.ack(9)
    journal.append(b"%08d" % 25)
    again = Store(fs, root)
    journal = again.journal("ev", 8, 40)
    buf = bytearray(8)
    journal.read(17, buf)
    print(again.get("a"), again.names(), journal.first, journal.next, bytes(buf))
    again.delete("a")
    print(again.get("a"), again.names())
"""
EXPECTED = "b'value 2' ['a'] 10 26 b'00000017'\nNone []\n"


def test_on_the_computers_own(mpy, tmp_path):
    assert mpy(BODY + "use(None, sys.argv[1])\n", tmp_path / "deep" / "er") == EXPECTED


def test_on_fat_where_a_rename_replaces_nothing(mpy):
    assert mpy(BODY + """
import vfs

class Disk:
    def __init__(self):
        self.data = bytearray(512 * 128)

    def readblocks(self, n, buf):
        buf[:] = self.data[n * 512 : n * 512 + len(buf)]

    def writeblocks(self, n, buf):
        self.data[n * 512 : n * 512 + len(buf)] = buf

    def ioctl(self, op, arg):
        return {4: 128, 5: 512}.get(op, 0)

class Fs:
    def __init__(self, disk):
        vfs.VfsFat.mkfs(disk)
        fat = vfs.VfsFat(disk)
        fat.mount(False, False)
        self.open, self.rename, self.remove, self.mkdir = fat.open, fat.rename, fat.remove, fat.mkdir
        self.listdir = lambda path: [row[0] for row in fat.ilistdir(path)]

use(Fs(Disk()), "/s")
""") == EXPECTED
