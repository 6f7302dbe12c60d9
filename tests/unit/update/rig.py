"""A device's life around its Updater: loader, slots and store in memory, the EMD that serves pieces. Runs on
MicroPython as well, where tests/unix/update uses it.
"""

import json

from spot import update
from spot.boot import choose
from spot.codes import ABSENT
from spot.log import Log
from spot.slots import IMAGE, SECTOR, Slots
from spot.store import Store
from spot_sim.flash import MemoryFs, PowerCut
from spot_sim.rom import Region

ID = 77


class Life:
    """One device over any number of starts. offers: {sequence: (octets of the release, its head's, its digest)}."""

    def __init__(self, releases, keys, board, files=None, size=6 * SECTOR, rate=4096):
        self.releases, self.keys, self.board, self.rate = releases, keys, board, rate
        self.fs = MemoryFs()
        if files is not None:
            for name, octets in files.items():
                self.fs.files[name] = bytearray(octets)
        self.region = Region(self.fs, size)
        self.told = []  # (id, state, reason), over all starts
        self.alarms, self.starts, self.pieces, self.erases = [], 0, 0, []
        self.up = self.silent = False  # silent: pieces are asked for and do not come
        self.proof = 0
        self.still = True  # an erase may be
        self.mangle = None  # f(offset, octets) -> octets of each piece that arrives in place of one
        self.lamp = False
        self.piece = 512

    # what an Updater needs of the device

    def tell(self, now_s, record, state, reason):
        self.told.append((record.id, state, reason))

    def alarm(self, now_s, raised, sequence):
        self.alarms.append((raised, sequence))

    def ask(self, record, offset, count):
        if not self.up:
            return False
        assert self.asked is None and record.resource == "r%d" % record.sequence
        self.asked = (record.sequence, record.id, offset, count, self.now_s + 1)
        return True

    def size(self, record):
        return self.piece

    def quiet(self, now_s):
        return self.still

    def proven(self, now_s, at):
        return self.proof if self.up else ABSENT

    def writing(self, on):
        self.lamp = on

    def restart(self, now_s):
        self.ending = True

    # life

    def boot(self):
        """Starts what the loader chooses."""
        self.starts += 1
        self.now_s = 0
        self.asked = None
        self.ending = False
        self.log = Log(64)
        active, trial, n = choose(self.region, Store(self.fs, "s"))
        self.store = store = Store(self.fs, "s", self.log)
        self.running = None
        if n:
            octets = bytearray(n)
            self.region.readinto(active * self.region.size + IMAGE, octets)
            self.running = json.loads(bytes(octets).split(b"\n")[0])
        self.slots = Slots(self.region, store, active, trial, self.running)
        self.sequence = self.running["sequence"] if self.running else 0
        vendor, class_id = self.board
        self.updater = update.Updater(
            self.slots, store, self.log, self.keys, (self.sequence, vendor, class_id, 1), self, self.rate
        )
        return self

    def offer(self, which, id=ID, at=0, epoch=5, **other):
        octets, _, digest = self.releases[which]
        said = {"sequence": which, "size": len(octets), "digest": digest, "resource": "r%d" % which}
        said.update(other)
        return self.updater.offer(self.now_s, at, epoch, id, **said)

    def second(self):
        """One second of the device's time."""
        if self.ending:
            self.boot()
        self.now_s += 1
        self.log.now_s = self.now_s
        if self.asked is not None and self.asked[4] <= self.now_s:
            sequence, id, offset, count, _ = self.asked
            self.asked = None
            if self.up and not self.silent:
                octets = self.releases[sequence][0][offset : offset + count]
                for one in self.mangle(offset, octets) if self.mangle else (octets,):
                    self.pieces += 1
                    self.updater.piece(self.now_s, 0, id, offset, one)
        if self.now_s >= self.updater.due_s:
            self.updater.step(self.now_s)

    def run(self, seconds, until=None):
        """Lets so much time pass, or until that is true; whether it became true."""
        for _ in range(seconds):
            if until is not None and until():
                return True
            self.second()
        return until is None or until()

    def settled(self):
        """Whether nothing is on trial, and no update under way."""
        record = self.updater.record
        return not (self.ending or self.slots.trial or record is not None and record.phase)

    def states(self, id=ID):
        return [state for one, state, _ in self.told if one == id]

    def files(self):
        return {name: bytes(octets) for name, octets in self.fs.files.items()}


def cut_everywhere(life, offered, runs_new, torn=0):
    """Cuts the power at the 1st, 2nd, … operation on flash of a whole update; life: f(files) -> Life, booted, in the
    state before. After each cut the old or the new release runs, and the update goes on to its end. Returns how many
    cuts there were."""
    cuts = 0
    while True:
        one = life()
        before = one.sequence
        one.fs.torn = torn
        one.fs.cut_after = cuts
        done = False
        try:
            one.offer(offered)
            done = one.run(3000, one.settled)
        except PowerCut:
            pass
        one.fs.cut_after = None
        if done:
            return cuts
        cuts += 1
        one.boot()
        if one.sequence not in (before, offered):
            raise AssertionError("cut %d: %d runs" % (cuts, one.sequence))
        one.up = True
        if one.updater.record is None or not one.updater.record.phase and one.sequence == before:
            one.offer(offered)  # the cut came before the offer was kept: the EMD had no word of it
        if not one.run(3000, one.settled) or one.sequence != offered or not runs_new(one):
            raise AssertionError("cut %d: the update has not ended: %r" % (cuts, one.told))
