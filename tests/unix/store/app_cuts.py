"""Runs on MicroPython: the life of a whole App on littlefs whose power fails at every write and erase, in turn.

For each row of OPERATIONS the power is cut at its 1st, 2nd, … operation on the flash, until it gets through. What is
on the disk then must be, name by name, what was there before or one of the values that were written meanwhile; every
journal must hold what it held, or what was appended, and nothing in between. Then a new App starts from it, is
registered, takes a command, and its flash takes a value. Prints one line a row.

sys.argv: boards folder, file of JSON with bodies in hex by name.
"""

import gc
import json
import sys

import vfs
from cutrig import Disk, Fs

sys.path.insert(1, sys.argv[1] + "/unix")
import stdio

from spot import guard
from spot.app import App
from spot.codes import CH_CMD, CH_PRICE, CLOCK_EMD, OBJ_AUTO_OFF, RESET_POWER_ON, RESET_WATCHDOG
from spot.config import keep_good, load_board
from spot.log import Log
from spot.store import Store
from spot.wire.keyring import Keyring

with open(sys.argv[2]) as file:
    BODIES = {name: bytes(int(digits[i : i + 2], 16) for i in range(0, len(digits), 2))
              for name, digits in json.load(file).items()}
BOARD = load_board("sim", sys.argv[1])
CONFIG = {"eui64": "0200000000000001", "store": "s"}
PAIRING = {"secret": "00" * 16, "salt": "11" * 8, "id": "01", "emd": "00"}
UTC = 30000000 // 900 * 900  # at a quarter-hour
BLOCKS = 160
COUNTS = ("boot", "wear")  # written at every start


class FastDisk(Disk):
    """As Disk, larger, and without going over each octet of an erased block."""

    def __init__(self, data=None):
        self.data = bytearray(data) if data is not None else bytearray(b"\xff" * (512 * BLOCKS))
        self.left = -1
        self.dead = False

    def ioctl(self, op, arg):
        return BLOCKS if op == 4 else Disk.ioctl(self, op, arg)

    def writeblocks(self, block, buf, off=None):
        at = block * 512 + (off or 0)
        n = len(buf)
        if self.left and not self.dead and off is not None and self.data[at : at + n] == b"\xff" * n:
            self.left -= 1
            self.data[at : at + n] = buf
            return None
        return Disk.writeblocks(self, block, buf, off)


class Meter:
    power_w, voltage_10mv, current_ma, frequency_mhz, energy_wh = 800, 23000, 3500, 50000, 0

    def sample(self, now_s):
        self.energy_wh = now_s * 2 // 9
        return True


class Life:
    """One start of the device on `disk`."""

    def __init__(self, disk, reset=RESET_WATCHDOG, safe=0):
        self.fs = Fs(disk)
        hardware = stdio.Hardware(immediate=False)
        hardware.meter = Meter()
        self.app = App(BOARD, CONFIG, hardware, self.fs, lambda channel, buf, n: True, reset, Log(16), safe)
        self.now_s = 0
        self.app.link_up(0, False)
        self.app.step(0)

    def run(self, until_s):
        while self.now_s < until_s and not current[0].dead:
            self.now_s = min(until_s, self.now_s + self.app.step(self.now_s))
        self.app.step(self.now_s)

    def give(self, *names):
        for name in names:
            body = BODIES[name]
            self.app.receive(self.now_s, CH_PRICE if name == "price" else CH_CMD, body, len(body))
        self.app.step(self.now_s)

    def clock(self, later_s=0):
        self.app.agent.set_time(self.now_s, UTC + self.now_s + later_s, CLOCK_EMD)

    def ring(self):
        return Keyring(PAIRING, self.app.store, "keys", self.app.log)


def first_life(disk):
    """What every operation begins with: registered, with a command that runs, prices, a value of each kind."""
    life = Life(disk, RESET_POWER_ON)
    life.clock()
    life.give("registered1", "price", "limit1")
    life.run(950)  # a checkpoint, an interval
    life.ring()
    life.app.store.put("calib", b"1234")
    guard.keep_crash(life.app, life.now_s, "first", 1)
    with life.fs.open("config.json", "wb") as file:
        file.write(b'{"a": 1}')
    keep_good("config.json", life.fs.open, life.fs.rename)
    life.app.close()


# --- the operations: what, how ---------------------------------------------------------------------------------------


def nothing(life):
    pass


def with_time(life):
    life.clock(2000)


def register(life):
    life.give("registered2")


def command(life):
    life.clock(2000)
    life.give("limit2")


def revoke(life):
    life.clock(2000)
    life.give("revoke1")


def configure(life):
    life.clock(2000)
    life.give("configure")


def price(life):
    life.clock(2000)
    life.give("price2")


def quarter(life):
    life.clock(2000)
    life.run(900)


def lasted(life):
    life.run(301)


def floor(life):
    for now_s, later_s in ((0, 2000), (3700, 2000), (7400, 30000), (11200, 30000)):
        life.now_s = now_s
        life.clock(later_s)


def events(life):
    life.app.agent.alarm(life.now_s, 3, 1, 26000, 25300)
    life.app.agent.alarm(life.now_s, 3, 0, 23000, 25300)
    life.run(2)


def acknowledge(life):
    life.give("ack")
    events(life)


def keys(life):
    ring = life.ring()
    for _ in range(300):
        ring.current.take_piv()
    ring.offer(1, b"n" * 16)
    ring.used(ring.contexts[-1])


def calibrate(life):
    life.app.store.put("calib", b"5678")


def crash(life):
    guard.keep_crash(life.app, life.now_s, "second", 2)


def switch(life):
    life.app.device.write(life.now_s, OBJ_AUTO_OFF, 600)
    life.run(2)


def wear(life):
    life.app.store.budget(100000)


def good(life):
    with life.fs.open("config.json", "wb") as file:
        file.write(b'{"a": 2}')
    keep_good("config.json", life.fs.open, life.fs.rename)


def end(life):
    life.run(60)
    life.app.restart(life.now_s)
    life.app.close()


def reset(life):
    life.app.factory_reset(life.now_s)
    life.app.close()


OPERATIONS = (
    ("a start", nothing), ("time", with_time), ("registration", register), ("command", command), ("revoke", revoke),
    ("configure", configure), ("price", price), ("quarter-hour", quarter), ("lasted", lasted), ("floor", floor),
    ("events", events), ("acknowledgement", acknowledge), ("keys", keys), ("calibration", calibrate), ("crash", crash),
    ("settings", switch), ("wear", wear), ("good configuration", good), ("orderly end", end), ("factory reset", reset),
)


# --- what must be there ----------------------------------------------------------------------------------------------

history = {}  # name → values that were put
current = [None]  # the disk
put, delete = Store.put, Store.delete


def watched_put(self, name, data):
    if not current[0].dead:  # what comes later reaches no flash
        history.setdefault(name, set()).add(bytes(data))
    return put(self, name, data)


def watched_delete(self, name):
    if not current[0].dead:
        history.setdefault(name, set()).add(None)
    return delete(self, name)


Store.put, Store.delete = watched_put, watched_delete


def values(fs):
    """What is on the disk, but for what every start writes: {name: value}, and {journal: (first, [records])}."""
    store = Store(fs, "s")
    found = {}
    for name in store.names():
        if name not in COUNTS:
            found[name] = store.get(name)
    journals = {}
    for file in store._fs.listdir("s"):
        name, _, rest = file.partition(".")
        if rest.isdigit():
            with fs.open("s/" + file, "rb") as open_file:
                journals.setdefault(name, {})[int(rest)] = open_file.read()
    return found, journals


def check_journals(what, before, seen):
    """A segment is gone whole, or begins with what it held; a torn end has no effect on it."""
    for name, segments in before.items():
        for start, octets in segments.items():
            now = seen.get(name, {}).get(start)
            if now is not None and now[: len(octets)] != octets:
                raise AssertionError("%s: %s.%d was changed" % (what, name, start))


PRODUCT = {"calib", "meter", "keys_0"}  # what a factory reset leaves, beside the counts


def every_cut(what, act, image, erasing=False):
    """erasing: the image is that of a device which has to finish a factory reset."""
    before, journals = values(Fs(FastDisk(image)))
    at = 0
    outcomes = set()
    disk = current[0] = FastDisk(image)
    while True:
        history.clear()
        gc.collect()
        disk.data[:] = image
        disk.left = at
        through = False
        try:
            life = Life(disk)
            act(life)
            through = not disk.dead
        except Exception:  # OSError, or ContextError for numbers that cannot be kept
            if not disk.dead:
                raise
        disk.left, disk.dead = -1, False  # the power is back
        seen, segments = values(Fs(disk))
        if set(seen) <= PRODUCT and (act is reset or erasing):
            if segments or seen["meter"][:9] != bytes(8) + b"\2" or seen["calib"] != b"1234" or "keys_0" not in seen:
                raise AssertionError("%s, cut %d: left %r" % (what, at, seen))
            outcomes.add("wiped")
        else:
            for name in set(before) | set(seen):
                value = seen.get(name)
                if erasing or value != before.get(name) and value not in history.get(name, ()):
                    raise AssertionError("%s, cut %d: %s is %r" % (what, at, name, value))
            check_journals("%s, cut %d" % (what, at), journals, segments)
        outcomes.add(str(sorted(seen.items())))
        works_on(what, at, disk, before, set(seen) <= PRODUCT)
        if through:
            break
        at += 1
    print("%s: %d cuts, %d outcomes" % (what, at, len(outcomes)))


def works_on(what, at, disk, before, wiped):
    """The next start is right, whatever the cut left: boots, counts on, and takes what it took before."""
    life = Life(disk)
    app = life.app
    if not 2 <= app.identity.boot <= 4 or not app.counted:
        raise AssertionError("%s, cut %d: boot %d" % (what, at, app.identity.boot))
    if app.starts.safe:
        raise AssertionError("safe mode")
    wh = int.from_bytes(before["meter"][:4], "little") if not wiped else 0
    if app.device.counters.energy_wh < wh:
        raise AssertionError("%s, cut %d: energy went back: %d" % (what, at, app.device.counters.energy_wh))
    life.clock(4000)
    life.give("registered%d" % app.identity.boot, "limit3")
    if app.agent.plan.epoch != 5 or app.log.counts.get("store.damaged"):
        raise AssertionError("%s, cut %d: %r" % (what, at, app.log.counts))
    app.store.put("probe", b"x")
    if Store(Fs(disk), "s").get("probe") != b"x":
        raise AssertionError("%s, cut %d: takes nothing more" % (what, at))
    with life.fs.open("config.json", "rb") as file:
        raw = file.read()
    with life.fs.open("config.json.good", "rb") as file:
        if file.read() not in (b'{"a": 1}', b'{"a": 2}') or raw not in (b'{"a": 1}', b'{"a": 2}', b""):
            raise AssertionError("%s, cut %d: configuration" % (what, at))


def main():
    disk = FastDisk()
    current[0] = disk
    vfs.VfsLfs2.mkfs(disk, progsize=32, readsize=32, lookahead=32)
    first_life(disk)
    image = bytes(disk.data)
    wanted = sys.argv[3:]
    for what, act in OPERATIONS:
        if not wanted or what in wanted:
            every_cut(what, act, image)
    disk = current[0] = FastDisk(image)
    reset(Life(disk))
    every_cut("erasing", nothing, bytes(disk.data), True)


main()
