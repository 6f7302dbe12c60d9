"""The two slots of flash that hold releases of the firmware: one runs, the other one takes the next.

A slot is a head (its first sector: what the release file has before its image) and, from octet 4,096 on, the ROMFS
image. Which slot is started, and whether on trial, is the value `slots` of the store; spot/boot.py reads it at each
start and says on the command line what it has started.

A region is the flash below: `size` (octets of one slot), `erase(at)` (one sector), `write(at, buf)`, `readinto(at,
buf)`, `view(at, n)` (octets where they lie, or None); `at` counts from the begin of slot 0. `Chip` is that of a chip;
boards/unix/slot_files.py that of a computer.
"""

from .codes import ABSENT
from .port import const, struct, vfs

SECTOR = const(4096)
NAME = "slots"  # in the store
IMAGE = const(4096)  # where the image begins in a slot
FROZEN = const(2)  # in place of a slot's number: the release in the chip's own image, which no update changes
_FORMAT = ">BBBi"  # as read_state says
_PAGE = const(256)


class Chip:
    """The region of a chip whose image has one; `dev`: as vfs.rom_ioctl gives it. Its first third is the release of the
    image itself: at negative positions, and read only."""

    def __init__(self, dev):
        self._dev = dev
        self.size = dev.ioctl(4, 0) // 3 * SECTOR

    def erase(self, at):
        self._dev.ioctl(6, (at + self.size) // SECTOR)

    def write(self, at, buf):
        at += self.size
        whole = len(buf) // _PAGE * _PAGE
        if whole:
            self._dev.writeblocks(at // SECTOR, memoryview(buf)[:whole], at % SECTOR)
        if whole < len(buf):  # the RP2 programs whole pages
            page = bytearray(b"\xff" * _PAGE)
            page[: len(buf) - whole] = memoryview(buf)[whole:]
            self._dev.writeblocks((at + whole) // SECTOR, page, (at + whole) % SECTOR)

    def readinto(self, at, buf):
        self._dev.readblocks((at + self.size) // SECTOR, buf, at % SECTOR)

    def view(self, at, n):
        return memoryview(self._dev)[at + self.size : at + self.size + n]


def chip():
    """The region of this chip, or None where its image has none (a stock one)."""
    if vfs is None or not hasattr(vfs, "rom_ioctl"):
        return None
    dev = vfs.rom_ioctl(2, 0)
    return None if isinstance(dev, int) else Chip(dev)


def read_state(store):
    """[slot to start, where to go back to, starts of the trial, sequence that failed or ABSENT], None when it is lost.
    The first two are equal where nothing is on trial. For ever of this form: no update changes the loader."""
    raw = store.get(NAME) or b""
    return list(struct.unpack(_FORMAT, raw)) if len(raw) == 7 and raw[0] <= FROZEN and raw[1] <= FROZEN else None


def put_state(store, *state):
    """Keeps it, all or nothing. StoreError when flash does not take it."""
    store.put(NAME, struct.pack(_FORMAT, *state))


class Slots:
    """The slots as the running firmware sees them.

    region, store: see above. active: the slot that was started (FROZEN: none of them); trial: whether this start is one
    of a trial; running: what release.json of the running release says, None in a development copy; base: of the image
    on this board; 0: the loader has not said it, then it is at least what the running release needs.

    size: octets of one slot. spare: the slot that may be written. rolled_back: sequence of a release that was tried in
    vain, or ABSENT. All positions are octets within the spare slot.
    """

    def __init__(self, region, store, active=FROZEN, trial=False, running=None, base=0):
        self._region = region
        self._store = store
        self.active = active
        self.trial = trial
        self.running = running
        self.base = base or (running or {}).get("base", 0)
        self.size = region.size
        self.spare = 1 if active == 0 else 0
        state = read_state(store)
        self.rolled_back = state[3] if state else ABSENT
        self._closed = trial  # on trial the other slot is what is gone back to

    def _at(self, at, n):
        if self._closed or at < 0 or at + n > self.size:
            raise ValueError("slot")
        return self.spare * self.size + at

    def erase(self, at):
        """Erase the sector that `at` is in. ValueError outside of the slot, on trial, and after `activate`."""
        self._region.erase(self._at(at - at % SECTOR, SECTOR))

    def write(self, at, buf):
        """Write octets that are erased: from a multiple of 256 on, a multiple of 256 of them but at the end. ValueError
        as of `erase`."""
        self._region.write(self._at(at, len(buf)), buf)

    def read(self, at, buf):
        """Fill `buf` from `at` on."""
        self._region.readinto(self.spare * self.size + at, buf)

    def view(self):
        """The octets of the spare slot where they lie; None where that cannot be."""
        return self._region.view(self.spare * self.size, self.size)

    def activate(self):
        """The spare slot is tried at the next start. StoreError, and nothing changes, when flash does not take it."""
        if self._closed:
            raise ValueError("slot")
        put_state(self._store, self.spare, self.active, 0, ABSENT)
        self._closed = True

    def confirm(self):
        """The trial is good. StoreError when that cannot be kept: the trial goes on."""
        if self.trial:
            put_state(self._store, self.active, self.active, 0, ABSENT)
            self.trial = self._closed = False

    def refuse(self):
        """The trial is not good: the next start is that of the slot before it."""
        state = read_state(self._store)
        if self.trial and state:
            put_state(self._store, state[1], state[1], 0, self.running["sequence"] if self.running else 0)

    def seen(self):
        """What `rolled_back` says has been told."""
        state = read_state(self._store)
        if state and state[3] != ABSENT:
            put_state(self._store, state[0], state[1], state[2], ABSENT)
        self.rolled_back = ABSENT
