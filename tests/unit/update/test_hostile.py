"""What an EMD that means harm, another firmware's record or flash that rots can do to updates: a bounded bit."""

import random

import pytest
from rig import ID

from spot import update
from spot.codes import REASON_BUSY, REASON_NONE, REASON_ROLLED_BACK, STATE_ABORTED
from spot.slots import IMAGE

MOST = 12  # updates begun: see update._MOST


def a_record(**other):
    record = update.Record(0, 5, ID, 2, 9000, b"d" * 32, "r2")
    for name, value in other.items():
        setattr(record, name, value)
    return record.pack()


OTHERS = {
    "no text": a_record() + b"\xff\xfe", "no name": a_record()[:-2], "long": a_record() + b"x" * 200,
    "phase": a_record(phase=9), "nothing": b"", "one octet": b"\1", "of no size": a_record(size=0),
    "noise": random.Random(7).randbytes(60), "another": b"\2\0\0" + b"\xff" * 60, "short": a_record()[:40],
    "longer by four": b"\1" + bytes(4) + a_record()[1:],
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_record_of_another_firmware_keeps_no_update_off(life, name):
    one = life()
    one.store.put(update.NAME, OTHERS[name])
    one.boot()
    one.run(5)
    assert one.offer(2) in (REASON_NONE, REASON_BUSY)
    one.run(1500, lambda: one.settled() and one.sequence == 2)
    if one.sequence != 2:  # what it took for an update under way has given way by now
        assert one.offer(2, id=ID + 1) == REASON_NONE
        one.run(1500, lambda: one.settled() and one.sequence == 2)
    assert one.sequence == 2, one.told


def test_no_octets_make_a_record_that_cannot_be_worked_on():
    drawn = random.Random(1)
    whole = a_record()
    for _ in range(3000):
        raw = bytearray(whole + drawn.randbytes(drawn.randrange(4)))
        for _ in range(drawn.randrange(1, 6)):
            raw[drawn.randrange(len(raw))] = drawn.randrange(256)
        record = update.unpack(bytes(raw[: drawn.randrange(len(raw) + 1)] if drawn.random() < 0.2 else raw))
        assert record is None or record.phase <= update.FETCHING and record.size
        if record is not None:
            assert update.unpack(record.pack()).pack() == record.pack()


def test_a_restart_gives_no_more_updates_for_the_day(life):
    """An EMD may restart a device: each update erases a slot, and flash has an end."""
    one = life()
    begun = 0
    for id in range(ID, ID + 40):
        one.boot()
        begun += one.offer(2, id=id) == REASON_NONE
        one.run(40)
        one.updater.gone(one.now_s, 0, id)
    assert begun <= MOST, begun
    one.now_s += 7300
    assert one.offer(2, id=500) == REASON_NONE, "it gets one each two hours"
    one.updater.gone(one.now_s, 0, 500)
    assert one.offer(2, id=501) == REASON_BUSY


def test_ever_new_ids_for_the_release_that_is_fetched_cost_a_bounded_number_of_writes(life):
    one = life()
    one.offer(2)
    one.run(20)
    writes, told = one.store.writes, len(one.told)
    answers = [one.offer(2, id=ID + 1 + i % 2, epoch=5 + i) for i in range(200)]
    answers += [one.updater.offer(one.now_s, 0, 5, ID, 2, 9000, one.releases[2][2], "r%d" % i) for i in range(200)]
    assert REASON_BUSY in answers
    assert one.store.writes - writes <= MOST and len(one.told) - told <= 2 * MOST


def test_a_release_that_rots_before_its_first_start_is_not_installed_again_and_again(life):
    one = life()
    one.offer(2)
    assert one.run(300, lambda: one.ending)
    slot = (1 - one.slots.active) * one.region.size
    one.fs.files["rom"][slot + IMAGE + 100] ^= 1
    assert one.run(100, lambda: one.starts == 2) and one.run(20)
    assert (one.sequence, one.settled()) == (1, True)
    assert one.told[-1] == (ID, STATE_ABORTED, REASON_ROLLED_BACK)
    erases = one.region.erases
    one.run(300)
    assert one.region.erases == erases and one.starts == 2
    assert one.offer(2, id=ID + 1) == REASON_NONE and one.run(900, one.settled) and one.sequence == 2


@pytest.mark.parametrize("name", ["Manifest", "extent"])
def test_want_of_heap_costs_a_minute_and_no_update(life, monkeypatch, name):
    one = life()
    whole, wanting = getattr(update.suit, name), [1, 1]

    def short(*arguments):
        if wanting:
            wanting.pop()
            raise MemoryError
        return whole(*arguments)

    one.offer(2)
    one.run(3)
    monkeypatch.setattr(update.suit, name, short)
    assert one.run(900, lambda: one.settled() and one.sequence == 2), one.told
    assert not wanting and one.now_s >= 60
