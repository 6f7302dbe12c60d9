"""Runs on MicroPython: the store on littlefs on a RAM disk whose power fails at every write and erase, in turn.

Flash is modelled as NOR: an erase sets a block to 0xFF, a program clears bits only; the operation during which the
power goes is done half. After each cut the disk is mounted again and must hold the old state or the new one. Prints one
line a scenario.
"""

import vfs

from spot.store import Store, StoreError

ERASE = 512
BLOCKS = 48


_EIO = -5


class Disk:
    """The extended block protocol, with a count of operations left until the power goes."""

    def __init__(self, data=None):
        self.data = bytearray(data) if data is not None else bytearray(b"\xff" * (ERASE * BLOCKS))
        self.left = -1
        self.dead = False  # the power is gone: nothing gets through any more

    def _operate(self):
        """True when the power goes in this operation."""
        if self.left == 0:
            self.dead = True
        self.left -= 1
        return self.dead

    def readblocks(self, block, buf, off=0):
        if self.dead:
            return _EIO
        at = block * ERASE + off
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, block, buf, off=None):
        if self.dead:
            return _EIO
        if off is None:
            self.ioctl(6, block)
            off = 0
        at = block * ERASE + off
        n = len(buf)
        if self._operate():
            n //= 2  # torn in the middle
            for i in range(n):
                self.data[at + i] &= buf[i]
            return _EIO
        data = self.data
        for i in range(n):
            data[at + i] &= buf[i]

    def ioctl(self, op, arg):
        if op == 4:
            return BLOCKS
        if op == 5:
            return ERASE
        if op == 6:
            if self.dead:
                return _EIO
            at = arg * ERASE
            if self._operate():
                self.data[at : at + ERASE // 2] = b"\xff" * (ERASE // 2)
                return _EIO
            self.data[at : at + ERASE] = b"\xff" * ERASE
            return 0
        return 0


class Fs:
    """A mounted littlefs in the shape of `os`."""

    def __init__(self, disk):
        self.lfs = vfs.VfsLfs2(disk, progsize=32, readsize=32, lookahead=32)
        self.open = self.lfs.open
        self.rename = self.lfs.rename
        self.remove = self.lfs.remove
        self.mkdir = self.lfs.mkdir

    def listdir(self, path):
        return [row[0] for row in self.lfs.ilistdir(path)]


def fresh():
    disk = Disk()
    vfs.VfsLfs2.mkfs(disk, progsize=32, readsize=32, lookahead=32)
    return disk


def every_cut(name, prepare, act, check):
    """`prepare(store)` once; then `act(store)` with the power cut at its 1st, 2nd, … operation until it gets through.
    """
    disk = fresh()
    prepare(Store(Fs(disk), "s"))
    image = bytes(disk.data)
    at = 0
    outcomes = {}
    while True:
        disk = Disk(image)
        store = Store(Fs(disk), "s")
        disk.left = at
        try:
            act(store)
        except StoreError:
            if not disk.dead:
                raise
        through = not disk.dead
        seen = check(Store(Fs(Disk(disk.data)), "s"), through)
        outcomes[seen] = outcomes.get(seen, 0) + 1
        if through:
            break
        at += 1
    if at == 0:
        raise AssertionError("%s: no operation was cut" % name)
    print("%s: %d cuts, %s" % (name, at, " ".join("%s %d" % row for row in sorted(outcomes.items()))))


def value(old, new):
    def check(store, through):
        got = store.get("v")
        seen = "new" if got == new else "old" if got == old else None
        if seen is None or through and seen != "new":
            raise AssertionError("torn: %r" % got)
        if old != new and store.get("other") != b"untouched":
            raise AssertionError("a neighbour was hurt")
        store.put("v", b"works on")  # what a cut leaves behind must not hinder the next write
        if store.get("v") != b"works on":
            raise AssertionError("not writable after a cut")
        return seen

    return check


CAPACITY = 12
size = 6  # octets of a record: within littlefs' inline files, or not


def record(n):
    return b"%06d" % n + bytes(size - 6)


def fill(count):
    def prepare(store):
        journal = store.journal("ev", size, CAPACITY)
        for n in range(count):
            journal.append(record(n))

    return prepare


def consistent(store, low, high, acked=0):
    """The journal ends at low..high, all it holds is whole, nothing unacknowledged is lost unseen, and it goes on."""
    journal = store.journal("ev", size, CAPACITY)
    if not low <= journal.next <= high:
        raise AssertionError("next %d not in %d..%d" % (journal.next, low, high))
    if journal.first > max(acked, journal.lost):
        raise AssertionError("first %d, acknowledged %d, lost %d" % (journal.first, acked, journal.lost))
    if journal.next - journal.first < min(journal.next - max(acked, 0), CAPACITY):
        raise AssertionError("holds %d" % (journal.next - journal.first))
    buf = bytearray(size)
    for seq in range(journal.first, journal.next):
        if journal.read(seq, buf) != size or bytes(buf) != record(seq):
            raise AssertionError("record %d: %r" % (seq, bytes(buf)))
    seen = "next=%d" % journal.next
    n = journal.next
    if journal.append(record(n)) != n:
        raise AssertionError("numbers do not run on")
    again = store.journal("ev", size, CAPACITY)
    if again.next != n + 1 or again.read(n, buf) != size:
        raise AssertionError("append after a cut is not kept")
    return seen


def append_one(store):
    journal = store.journal("ev", size, CAPACITY)
    journal.append(record(journal.next))


def put_small(store):
    store.put("v", b"old")
    store.put("other", b"untouched")


def put_large(store):
    store.put("v", bytes(range(256)) * 4)
    store.put("other", b"untouched")


def main():
    every_cut("put small", put_small, lambda s: s.put("v", b"new!"), value(b"old", b"new!"))
    big = bytes(range(255, -1, -1)) * 5
    every_cut("put large", put_large, lambda s: s.put("v", big), value(bytes(range(256)) * 4, big))
    every_cut("put first", lambda s: s.put("other", b"untouched"), lambda s: s.put("v", b"new"), value(None, b"new"))
    every_cut("delete", put_small, lambda s: s.delete("v"), value(b"old", None))

    global size
    for octets in (6, 150):
        size = octets
        journal_cuts()

    full_flash()


def journal_cuts():
    for count in (0, 1, 2, 3, 11, 12, 13, 14, 15, 16, 17, 18):
        every_cut(
            "append %d after %d" % (size, count), fill(count), append_one,
            lambda s, through, c=count: consistent(s, c + 1 if through else c, c + 1),
        )

    def ack_and_append(store):
        journal = store.journal("ev", size, CAPACITY)
        journal.ack(7)
        journal.append(record(journal.next))
        journal.ack(8)
        journal.append(record(journal.next))

    every_cut("ack %d" % size, fill(10), ack_and_append, lambda s, t: consistent(s, 12 if t else 10, 12, 9))


def full_flash():
    """StoreError, and the old state is there."""
    store = Store(Fs(fresh()), "s")
    store.put("v", b"old")
    journal = store.journal("ev", size, CAPACITY)
    journal.append(record(0))
    n = 0
    try:
        while True:
            store.put("fill%d" % n, bytes(2000))
            n += 1
    except StoreError:
        pass
    try:
        store.put("v", bytes(3000))
        raise AssertionError("no StoreError")
    except StoreError:
        pass
    if store.get("v") != b"old" or journal.next != 1 or store.get("fill0") != bytes(2000):
        raise AssertionError("a full flash changed something")
    for i in range(n):
        store.delete("fill%d" % i)
    store.put("v", b"new")
    journal.append(record(1))
    print("full: after %d values, refused and unhurt" % n)


if __name__ == "__main__":
    main()
