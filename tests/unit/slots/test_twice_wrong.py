"""Two things wrong at once, reads that come out wrong, and state that another firmware has left."""

import struct

import pytest

from spot import boot
from spot.codes import ABSENT
from spot.slots import FROZEN, SECTOR, Slots, put_state, read_state
from spot.store import Store
from spot_sim.flash import MemoryFs
from tests.unit.slots.test_slots import SIZE, Region, install, slot, start


class Shaky(Region):
    """Reads of the slots in `wrong` come out wrong so many times: {slot: times}."""

    def __init__(self):
        super().__init__()
        self.wrong = {}

    def readinto(self, at, buf):
        super().readinto(at, buf)
        n = at // SIZE
        if at % SIZE == SECTOR and self.wrong.get(n):
            self.wrong[n] -= 1
            buf[0] ^= 1


@pytest.fixture
def store():
    return Store(MemoryFs(), "store")


@pytest.fixture
def region(store):
    """Slot 0 runs and is confirmed, slot 1 is the release before it."""
    region = Shaky()
    region.fill(1, slot(1))
    start(region, store)
    install(start(region, store)[2], slot(2))
    start(region, store)[2].confirm()
    assert start(region, store)[:2] == (0, False)
    return region


def test_one_wrong_read_changes_nothing(region, store):
    for n in (0, 1):
        region.wrong = {n: 1}
        assert start(region, store)[:2] == (0, False)
    assert read_state(store)[:2] == [0, 0]


def test_a_trial_and_its_way_back_survive_a_wrong_read(region, store):
    install(start(region, store)[2], slot(3))
    for _ in range(3):
        region.wrong = {1: 1}
        assert start(region, store)[:2] == (1, True)
    region.wrong = {0: 1, 1: 1}
    at, trial, slots = start(region, store)
    assert (at, trial, slots.rolled_back) == (0, False, 3)


def test_reads_that_stay_wrong_for_a_start_do_not_lead_to_the_frozen_release_for_ever(region, store):
    region.wrong = {0: 9, 1: 9}
    assert start(region, store)[:2] == (FROZEN, False)
    region.wrong = {}
    assert start(region, store)[:2] == (0, False)


def test_with_both_slots_damaged_the_frozen_release_takes_an_update(region, store):
    for n in (0, 1):
        region.octets[n * SIZE + SECTOR + 50] ^= 1
    at, trial, slots = start(region, store)
    assert (at, trial, slots.active, slots.rolled_back) == (FROZEN, False, FROZEN, ABSENT)
    install(slots, slot(9))
    at, trial, slots = start(region, store)
    assert (at, trial) == (0, True)
    slots.confirm()
    assert start(region, store)[:2] == (0, False)


def test_what_runs_rots_while_the_next_one_is_on_trial(region, store):
    install(start(region, store)[2], slot(3))
    start(region, store)
    region.octets[SECTOR + 50] ^= 1
    assert [start(region, store)[:2] for _ in range(3)] == [(1, True)] * 2 + [(FROZEN, False)]


def test_state_and_a_slot_lost_at_once(region, store):
    store.delete("slots")
    region.octets[SECTOR + 50] ^= 1
    assert start(region, store)[:2] == (1, False)


@pytest.mark.parametrize("state", [(7, 7, 0, ABSENT), (0, 9, 1, ABSENT), (255, 0, 0, 5), (3, 1, 200, 0)])
def test_a_state_that_names_no_slot_is_none(region, store, state):
    store.put("slots", struct.pack(">BBBi", *state))
    assert read_state(store) is None
    assert start(region, store)[:2] == (0, True)


def test_the_loader_leaves_a_factory_reset_to_the_release(region, store):
    """The loader is never updated: what a factory reset keeps, the release knows."""
    store.put("later", b"of a newer firmware")
    store.put("wipe", b"meter")
    fs = store._fs
    boot.Bare(fs, "store")
    assert Store(fs, "store").get("later") is None, "the release does it"
    for name in ("later", "wipe"):
        fs.files["store/" + name] = bytearray(fs.files["store/slots"])
    bare = boot.Bare(fs, "store")
    assert bare.get("later") is not None and read_state(bare)[:2] == [0, 0]


def test_a_factory_reset_on_a_full_flash_keeps_no_start_off(store):
    store.put("slots", b"1234567")
    store.put("wipe", b"meter")
    store._fs.capacity = 0
    again = Store(store._fs, "store")
    assert again.get("slots") == b"1234567" and again.get("wipe") == b"meter", "it goes on with the next start"


def test_the_base_is_that_of_the_image_and_else_what_the_release_needs():
    region, store = Region(), Store(MemoryFs(), "store")
    assert Slots(region, store, 0, False, {"sequence": 1, "base": 3}).base == 3
    assert Slots(region, store, 0, False, {"sequence": 1, "base": 3}, 5).base == 5
    assert Slots(region, store).base == 0


def test_a_state_is_kept_in_the_seven_octets_that_every_loader_reads(store):
    put_state(store, 1, 0, 2, ABSENT)
    assert store.get("slots") == b"\1\0\2" + struct.pack(">i", ABSENT)


def test_a_release_that_loses_the_state_at_each_start_gives_way(region, store):
    """A new firmware that empties the store: nobody else could count its starts."""
    install(start(region, store)[2], slot(3))
    seen = []
    for _ in range(5):
        seen.append(start(region, store)[:2])
        if seen[-1][0] == 1:
            store.delete("slots")
    assert seen == [(1, True)] * 4 + [(0, True)], "one from the state, three that the slot itself has counted"
    start(region, store)[2].confirm()
    assert start(region, store)[:2] == (0, False)
    slots = start(region, store)[2]
    install(slots, slot(4))
    store.delete("slots")
    assert start(region, store)[:2] == (1, True), "another release begins anew"


def test_a_state_that_was_lost_now_and_then_changes_nothing(region, store):
    install(start(region, store)[2], slot(3))
    for _ in range(3):
        store.delete("slots")
        at, trial, slots = start(region, store)
        assert (at, trial) == (1, True)
        slots.confirm()
        assert start(region, store)[:2] == (1, False)
    assert boot.found(region, 1)[0] == 3, "what counts is not part of the release"


def test_a_head_that_fills_its_sector_is_not_written_over(region, store):
    octets = bytearray(slot(3))
    octets[SECTOR - 256:SECTOR] = bytes(range(255, -1, -1))
    region.fill(0, octets)
    store.delete("slots")
    start(region, store)
    assert bytes(region.octets[SECTOR - 256:SECTOR]) == bytes(octets[SECTOR - 256:SECTOR])
