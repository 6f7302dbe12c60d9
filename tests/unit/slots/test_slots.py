"""The two slots and what chooses between them: every choice, every cut of the power, heads that are none."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from spot import boot
from spot.codes import ABSENT
from spot.slots import FROZEN, SECTOR, Slots, read_state
from spot.store import Store, StoreError
from spot_host import romfs, suit
from spot_sim.flash import MemoryFs, PowerCut

ROOT = Path(__file__).resolve().parents[3]
SIZE = 8 * SECTOR


class Region:
    """Slots in memory, as flash: only an erase sets bits. After `cut_after` operations the power goes."""

    def __init__(self, views=False):
        self.size = SIZE
        self.octets = bytearray(b"\xff" * 2 * SIZE)
        self.views = views

    def erase(self, at):
        self.octets[at:at + SECTOR] = b"\xff" * SECTOR

    def write(self, at, buf):
        for i, value in enumerate(bytes(buf)):
            self.octets[at + i] &= value

    def readinto(self, at, buf):
        buf[:] = self.octets[at:at + len(buf)]

    def view(self, at, n):
        return memoryview(self.octets)[at:at + n] if self.views else None

    def fill(self, slot, octets):
        self.octets[slot * SIZE:(slot + 1) * SIZE] = octets.ljust(SIZE, b"\xff")


def release(sequence, text=b"hello", octets=9000):
    """A release file, not signed, with an image of ROMFS's shape."""
    image = romfs.pack({"release.json": text, "noise": random.Random(sequence).randbytes(octets)})
    return suit.write(suit.Manifest.of(image, sequence=sequence, version="1.0", board="pico", march="armv6m", base=1),
                      image)


def slot(sequence):
    return romfs.in_slot(release(sequence))


@pytest.fixture
def store():
    return Store(MemoryFs(), "store")


@pytest.fixture(params=[False, True], ids=["read", "viewed"])
def region(request):
    return Region(request.param)


def start(region, store):
    """What a start does: (slot, trial), and the Slots of what then runs."""
    at, trial, octets = boot.choose(region, store)
    if at < FROZEN:
        assert bytes(region.octets[at * SIZE + SECTOR:][:octets])[:3] == b"\xd2\xcd\x31"
    sequence = boot.head(bytes(region.octets[at * SIZE:][:SECTOR]))[0] if at < FROZEN else 0
    return at, trial, Slots(region, store, at, trial, {"sequence": sequence})


def install(slots, octets):
    for at in range(0, len(octets), SECTOR):
        slots.erase(at)
        for page in range(at, min(at + SECTOR, len(octets)), 256):
            slots.write(page, octets[page:page + 256])
    slots.activate()


def test_nothing_there_is_the_frozen_release(region, store):
    assert start(region, store)[:2] == (FROZEN, False)
    assert store.get("slots") is None and store.writes == 0


def test_an_update_is_tried_and_confirmed(region, store):
    region.fill(0, slot(1))
    assert start(region, store)[:2] == (0, False)
    _, _, slots = start(region, store)
    assert slots.active == 0 and slots.spare == 1
    install(slots, slot(2))
    at, trial, slots = start(region, store)
    assert (at, trial) == (1, True)
    slots.confirm()
    assert start(region, store)[:2] == (1, False)
    assert Slots(region, store, 1).rolled_back == ABSENT
    writes = store.writes
    start(region, store)
    assert store.writes == writes  # an ordinary start writes nothing


def test_a_trial_has_three_starts_and_then_the_old_one_comes_back(region, store):
    region.fill(0, slot(1))
    start(region, store)
    install(start(region, store)[2], slot(2))
    assert [start(region, store)[:2] for _ in range(5)] == [(1, True)] * 3 + [(0, False)] * 2
    slots = start(region, store)[2]
    assert slots.rolled_back == 2
    slots.seen()
    assert slots.rolled_back == ABSENT and start(region, store)[2].rolled_back == ABSENT
    assert start(region, store)[:2] == (0, False)


def test_a_trial_that_refuses_itself_goes_back_at_once(region, store):
    region.fill(0, slot(1))
    start(region, store)
    install(start(region, store)[2], slot(7))
    start(region, store)[2].refuse()
    at, trial, slots = start(region, store)
    assert (at, trial, slots.rolled_back) == (0, False, 7)


def test_the_first_release_goes_back_to_the_frozen_one(region, store):
    slots = start(region, store)[2]
    install(slots, slot(5))
    assert [start(region, store)[:2] for _ in range(5)] == [(0, True)] * 3 + [(FROZEN, False)] * 2
    assert start(region, store)[2].rolled_back == 5
    start(region, store)[2].seen()
    assert start(region, store)[0] == FROZEN  # and what failed is not started for want of another


def test_a_start_that_cannot_be_counted_is_no_trial(region, store):
    region.fill(0, slot(1))
    start(region, store)
    install(start(region, store)[2], slot(2))
    store._fs.capacity = 0
    assert start(region, store)[:2] == (0, False)
    store._fs.capacity = None
    assert start(region, store)[:2] == (1, True)


def test_what_was_not_brought_whole_is_not_started(region, store):
    region.fill(0, slot(1))
    start(region, store)
    slots = start(region, store)[2]
    install(slots, slot(2)[:-300])
    at, trial, slots = start(region, store)
    assert (at, trial, slots.rolled_back) == (0, False, 0)


def test_a_slot_that_rots_leads_to_the_other_one_on_trial_and_to_the_frozen_release(region, store):
    region.fill(0, slot(1))
    start(region, store)
    install(start(region, store)[2], slot(2))
    start(region, store)[2].confirm()
    region.octets[SIZE + SECTOR + 5000] ^= 1
    state = store.get("slots")
    assert [start(region, store)[:2] for _ in range(4)] == [(0, True)] * 3 + [(FROZEN, False)]
    store.put("slots", state)
    start(region, store)[2].confirm()
    assert start(region, store)[:2] == (0, False)
    region.octets[SECTOR + 5000] ^= 1
    assert start(region, store)[0] == FROZEN


def test_a_lost_state_leads_to_the_highest_sequence_on_trial(region, store):
    region.fill(0, slot(9))
    region.fill(1, slot(4))
    at, trial, slots = start(region, store)
    assert (at, trial) == (0, True)
    slots.confirm()
    store.put("slots", b"torn")
    assert start(region, store)[:2] == (0, True)
    for _ in range(2):
        start(region, store)
    assert start(region, store)[:2] == (1, False)


def test_a_lost_state_with_one_release_is_that_one(region, store):
    region.fill(1, slot(4))
    assert start(region, store)[:2] == (1, False)


def test_the_state_outlives_a_factory_reset_and_safe_mode(region, store):
    from spot.safe import reduced

    region.fill(0, slot(1))
    install(start(region, store)[2], slot(2))
    state = store.get("slots")
    store.put("wipe", b"")
    again = Store(store._fs, "store")
    assert again.get("slots") == state
    _, _, aside = reduced({}, {}, again, 2)
    assert aside.get("slots") == state
    Slots(region, aside, 1, True, {"sequence": 2}).confirm()
    assert read_state(Store(store._fs, "store"))[:2] == [1, 1]


def test_the_slot_that_runs_and_the_way_back_cannot_be_written(region, store):
    region.fill(0, slot(1))
    slots = start(region, store)[2]
    before = bytes(region.octets[:SIZE])
    for at, n in ((-1, 10), (SIZE, 1), (SIZE - 10, 11)):
        with pytest.raises(ValueError):
            slots.write(at, bytes(n))
    with pytest.raises(ValueError):
        slots.erase(SIZE)
    install(slots, slot(2))
    tried = start(region, store)[2]
    for closed in (slots, tried):  # activated; on trial
        with pytest.raises(ValueError):
            closed.erase(0)
        with pytest.raises(ValueError):
            closed.write(0, b"\0")
        with pytest.raises(ValueError):
            closed.activate()
    tried.confirm()
    assert bytes(region.octets[:SIZE]) == before
    tried.erase(0)
    assert region.octets[0] == 0xFF


def test_read_and_view_are_of_the_spare_slot(region, store):
    region.fill(0, slot(1))
    region.fill(1, b"spare")
    start(region, store)  # the state: slot 0
    slots = Slots(region, store, 0)
    buf = bytearray(5)
    slots.read(0, buf)
    assert buf == b"spare"
    view = slots.view()
    assert view is None if not region.views else bytes(view[:5]) == b"spare" and len(view) == SIZE


@pytest.mark.parametrize("torn", [0, 5, 9, 12])
@pytest.mark.parametrize("replaces", [True, False])
def test_power_cut_at_every_write_of_the_state(torn, replaces):
    """A life of an update, cut at each operation: every start finds a whole release, and never more than three starts
    are of a trial that nobody confirms."""

    def life(fs, region, confirms):
        lives = []
        store = Store(fs, "store")
        at, trial, octets = boot.choose(region, store)
        slots = Slots(region, store, at, trial, {"sequence": at + 1})
        lives.append((at, trial))
        if not trial and at == 0 and slots.rolled_back == ABSENT:
            install(slots, slot(2))
        elif trial and confirms:
            slots.confirm()
        elif not trial:
            slots.seen()
        return lives

    for confirms in (True, False):
        cut = 0
        while True:
            fs = MemoryFs(replaces=replaces)
            region = Region()
            region.fill(0, slot(1))
            boot.choose(region, Store(fs, "store"))
            fs.cut_after, fs.torn = cut, torn
            lives, ended = [], False
            try:
                for _ in range(6):
                    lives += life(fs, region, confirms)
                ended = True
            except PowerCut:
                pass
            fs.cut_after = None
            after = []
            for _ in range(7):
                at, trial, octets = boot.choose(region, Store(fs, "store"))
                assert at < FROZEN
                after.append((at, trial))
                if trial and confirms:
                    Slots(region, Store(fs, "store"), at, True, {"sequence": 2}).confirm()
            tried = sum(trial for _, trial in lives + after)
            if confirms:
                assert after[-1] in ((0, False), (1, False))
            else:
                assert after[-1] == (0, False) and tried <= 7, (cut, lives, after)
            if ended:
                break
            cut += 1
        assert cut > 5


def test_a_head_is_what_the_host_writes():
    octets = release(77)
    read = suit.read(octets)
    assert boot.head(octets[:read.head]) == (77, len(read.image), read.manifest.digest)
    assert boot.head(octets[:read.head].ljust(4096, b"\xff")) is not None


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_head_is_none(seed):
    octets = slot(3)[:SECTOR]
    used = suit.read(release(3)).head
    drawn = random.Random(seed)
    good = boot.head(octets)
    for _ in range(400):
        torn = bytearray(octets)
        for _ in range(drawn.randint(1, 3)):
            torn[drawn.randrange(used)] = drawn.randrange(256)
        assert boot.head(bytes(torn)) in (None, good)
        assert boot.head(drawn.randbytes(64)) is None
    for n in range(used - 10):  # behind the manifest comes the name of the image
        assert boot.head(octets[:n].ljust(SECTOR, b"\xff")) is None
    assert boot.head(b"\x81" * SECTOR) is None and boot.head(b"\xff" * SECTOR) is None and boot.head(b"") is None
    assert boot.head(b"\xbb" + b"\xff" * 100) is None and boot.head(b"\xba" + b"\xff" * 100) is None


def test_an_image_that_would_not_fit_is_not_read(store):
    region = Region()
    octets = bytearray(slot(1))
    region.fill(0, bytes(octets))
    region.size = SECTOR  # as if the slot were smaller than its release
    assert boot.found(region, 0) is None


def test_a_full_flash_leaves_the_release_as_it_is(store):
    region = Region()
    region.fill(0, slot(1))
    slots = start(region, store)[2]
    store._fs.capacity = 0
    with pytest.raises(StoreError):
        slots.activate()
    store._fs.capacity = None
    assert start(region, store)[:2] == (0, False)
    slots.erase(0)  # nothing is closed by what did not happen


FILES_CASE = """
import sys
sys.path.insert(0, sys.argv[1])
from slot_files import Files
from spot import boot
from spot.slots import Slots
from spot.store import Store
region = Files(sys.argv[2], 32768)
store = Store(None, sys.argv[3])
with open(sys.argv[4], "rb") as file:
    data = file.read()
said = [boot.choose(region, store)]
slots = Slots(region, store)
for at in range(0, len(data), 4096):
    slots.erase(at)
    slots.write(at, data[at : at + 4096])
slots.activate()
said += [boot.choose(region, store) for _ in range(4)]
print(said)
"""


@pytest.mark.parametrize("runtime", ["micropython", "cpython"])
def test_slots_in_files(runtime, tmp_path, mpy):
    (tmp_path / "new.slot").write_bytes(slot(6))
    arguments = [str(ROOT / "boards/unix"), *(str(tmp_path / name) for name in ("slots", "store", "new.slot"))]
    if runtime == "micropython":
        said = mpy(FILES_CASE, *arguments)
    else:
        env = {**os.environ, "PYTHONPATH": str(ROOT / "firmware")}
        said = subprocess.run([sys.executable, "-c", FILES_CASE, *arguments], capture_output=True, text=True,
                              check=True, env=env).stdout
    octets = len(slot(6)) - SECTOR
    assert said.strip() == str([(2, False, 0), *[(0, True, octets)] * 3, (2, False, 0)])
