"""The rows of docs/bad-input.md on offers, heads and pieces of a release, against the updater."""

import pytest
from rig import ID

from spot.codes import STATE_RECEIVED, STATE_REJECTED
from spot_host.profile import definition as d
from tests.sim.bad_input import update_table

STATE = {code: name for code, name, _ in d.enum("State").rows}
REASON = {name: code for code, name, _ in d.enum("Reason").rows}
REASONS = {code: name for name, code in REASON.items()}
GOOD = ("update.offered", "update.verified", "update.installed", "update.confirmed", "update.over", "update.resumed")


def rows(table):
    return pytest.mark.parametrize("row", table, ids=[row.what for row in table])


def said(told):
    return tuple(f"{STATE[state]}: {REASONS[reason]}" for _, state, reason in told)


@rows(update_table.HEADS)
def test_a_head_that_is_refused(life, maker, row):
    reason = REASON[row.reason]
    one = life({2: row.make(maker)})
    before = bytes(one.fs.files["rom"])
    assert one.offer(2) == 0
    assert one.run(600, one.settled)
    assert one.told == [(ID, STATE_RECEIVED, 0), (ID, STATE_REJECTED, reason)]
    assert one.log.counts["update.over"] == 1
    assert (bytes(one.fs.files["rom"]), one.region.erases, one.sequence) == (before, 0, 1)
    assert one.pieces <= row.pieces, "the head, and no more"
    assert one.offer(2) == reason and len(one.told) == 2, "the same again is answered, and not begun"
    one.boot()
    assert one.sequence == 1 and one.offer(2) == reason and len(one.told) == 2
    assert one.offer(3, id=ID + 1) == 0 and one.run(600, one.settled)
    assert one.sequence == 3, "a good one is taken after it"


@rows(update_table.OFFERS)
def test_an_offer_that_is_refused_at_once(life, row):
    one = life()
    reason = REASON[row.reason]
    for _ in range(50):
        assert one.offer(2, **row.said) == reason
        one.second()
    assert one.told == [(ID, STATE_REJECTED, reason)], "told once, answered each time"
    assert one.pieces == one.region.erases == 0 and one.updater.record is None
    assert one.log.counts["update.refused"] == 50


@rows(update_table.COURSES)
def test_the_course_of_an_update(life, maker, row):
    one = life({2: row.release(maker)} if row.release else None)
    faults = set()
    boot = one.boot

    def note():  # of the life that ends
        faults.update(name for name in one.log.counts if name.startswith("update.") and name not in GOOD)
        return boot()

    one.boot = note
    row.do(one, maker)
    note()
    one.run(100)
    assert said(one.told) == row.told
    assert faults == set(row.log)
    assert one.sequence == row.runs and not one.slots.trial
    if row.runs < 3:  # and a good one is taken after it, the next day at the latest
        one.fs.capacity = one.mangle = None
        one.silent = False
        one.region = one.slots._region = type(one.region)(one.fs, one.region.size)
        one.now_s += 86400
        assert one.offer(3, id=500) == 0 and one.run(900, one.settled) and one.sequence == 3
