"""The update's state machine: what is offered, fetched, tried, confirmed and rolled back. What is refused:
test_bad_input.py, with the rows of docs/bad-input.md."""

import pytest
from rig import ID, cut_everywhere

from spot.codes import (
    REASON_BUSY,
    REASON_DIGEST,
    REASON_ENDED,
    REASON_NONE,
    REASON_ROLLED_BACK,
    REASON_SEQUENCE,
    REASON_SIGNATURE,
    REASON_STORE_FULL,
    STATE_ABORTED,
    STATE_COMPLETED,
    STATE_RECEIVED,
    STATE_REJECTED,
    STATE_STARTED,
    STATE_SUPERSEDED,
)
from tests.sim.bad_input.update_table import changed, stranger

WHOLE = [STATE_RECEIVED, STATE_STARTED, STATE_COMPLETED]
BIG = 150_000  # octets: over more than two records of how far it is
BIG_SLOT = 40 * 4096
STRANGER = stranger()


def test_an_update_from_the_offer_to_its_confirmation(life):
    one = life()
    assert one.offer(2) == REASON_NONE
    assert one.run(600, one.settled)
    assert (one.sequence, one.slots.active, one.slots.trial) == (2, 1, False)
    assert one.states() == WHOLE
    assert one.starts == 2 and not one.lamp
    one.boot()
    assert one.run(100) and one.sequence == 2
    assert one.states() == WHOLE, "told once"
    assert one.offer(2) == REASON_NONE and one.states() == WHOLE, "the same offer again, also after a start"
    assert one.offer(3, id=ID + 1) == REASON_NONE and one.run(600, one.settled)
    assert (one.sequence, one.slots.active) == (3, 0) and one.states(ID + 1) == WHOLE


@pytest.mark.parametrize("piece", [16, 64, 256])
def test_smaller_pieces(life, piece):
    one = life()
    one.piece = piece
    one.offer(2)
    assert one.run(900, one.settled) and one.sequence == 2


# --- refused ----------------------------------------------------------------------------------------------------------


def test_a_device_without_a_key_takes_nothing(life):
    one = life(keys=[])
    assert one.offer(2) == REASON_NONE and one.run(100, one.settled)
    assert one.told[-1] == (ID, STATE_REJECTED, REASON_SIGNATURE)


def test_any_of_the_keys_may_have_signed(life, maker):
    one = life(keys=[bytes(56), STRANGER.key, b"", maker.key])
    assert one.offer(2) == REASON_NONE and one.run(600, one.settled) and one.sequence == 2


def test_an_image_that_is_not_what_its_manifest_says(life, maker):
    made = maker.release(2)
    one = life({2: changed(made, made[1] + 5000)})
    one.offer(2)
    assert one.run(600, one.settled)
    assert one.told[-1] == (ID, STATE_ABORTED, REASON_DIGEST)
    assert one.states() == [STATE_RECEIVED, STATE_STARTED, STATE_ABORTED]
    assert one.fs.files["rom"][one.region.size] == 0xFF, "no head: no release"
    one.boot()
    one.releases[2] = made
    assert one.sequence == 1 and one.offer(2, id=ID + 1) == REASON_NONE
    assert one.run(600, one.settled) and one.sequence == 2


def test_flash_that_does_not_keep_the_head(life):
    one = life()
    write = one.region.write
    one.region.write = lambda at, buf: write(at, bytes(len(buf)) if at == one.region.size else buf)
    one.offer(2)
    assert one.run(600, one.settled)
    assert one.told[-1] == (ID, STATE_ABORTED, REASON_STORE_FULL) and one.starts == 1


def test_a_full_store_ends_it_and_the_old_one_runs(life):
    one = life()
    one.fs.capacity = sum(map(len, one.fs.files.values()))
    assert one.offer(2) == REASON_STORE_FULL
    assert one.told[-1] == (ID, STATE_REJECTED, REASON_STORE_FULL)
    one.fs.capacity = None
    assert one.offer(2, id=ID + 1) == REASON_NONE
    assert one.run(20, lambda: one.states(ID + 1)[-1:] == [STATE_STARTED])
    one.fs.capacity = sum(map(len, one.fs.files.values())) - 1
    assert one.run(600, one.settled)
    assert one.told[-1] == (ID + 1, STATE_ABORTED, REASON_STORE_FULL) and one.starts == 1
    one.fs.capacity = None
    one.boot()
    assert one.sequence == 1


# --- the pieces -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [64, 512, 2048])
def test_the_rate_is_bounded(life, rate):
    one = life(rate=rate)
    one.offer(2)
    start = one.now_s
    assert one.run(3000, lambda: one.ending)
    seconds = one.now_s - start
    octets = one.pieces * 512
    assert octets <= rate * seconds + 2048, (octets, seconds)
    if rate < 2048:
        assert seconds < octets // rate + 60, "and used"


def test_an_emd_that_stays_silent(life):
    one = life()
    one.offer(2)
    one.run(30, lambda: one.states()[-1] == STATE_STARTED)
    one.silent = True
    asked = []
    ask = one.ask
    one.ask = lambda *what: asked.append(one.now_s) or ask(*what)
    assert one.run(300_000, one.settled)
    assert one.told[-1] == (ID, STATE_ABORTED, REASON_ENDED)
    assert 250_000 < one.now_s < 262_000 and len(asked) < 900, "less and less often, and not for ever"


def test_a_link_that_comes_and_goes(life, maker):
    one = life({2: maker.release(2, octets=20000)})
    one.offer(2)
    for second in range(3000):
        one.up = second % 20 < 9
        one.second()
        if one.settled():
            break
    one.up = True
    assert one.run(600, one.settled) and one.sequence == 2 and one.states() == WHOLE


@pytest.mark.parametrize("every_s", [40, 61, 97])
def test_a_device_that_restarts_again_and_again_goes_on_where_it_was(life, maker, every_s):
    one = life({2: maker.release(2, octets=BIG)}, size=BIG_SLOT)
    assert one.offer(2) == REASON_NONE
    for _ in range(40):
        if one.run(every_s, lambda: one.ending or one.sequence == 2):
            break
        one.boot()
    assert one.run(900, one.settled) and one.sequence == 2 and one.states() == WHOLE
    whole = BIG // 512 + 10
    assert one.pieces < whole + one.starts * (128 + 16), "16 sectors and a head at most come again"


def test_a_resumed_update_verifies_the_signature_again(life, maker):
    made = maker.release(2, octets=BIG)
    one = life({2: made}, size=BIG_SLOT)
    one.offer(2)
    assert one.run(200, lambda: one.updater.record.sectors)
    one.releases[2] = (STRANGER.release(2, octets=BIG)[0],) + made[1:]
    one.boot()
    assert one.run(600, one.settled)
    assert one.told[-1][1] == STATE_REJECTED and one.sequence == 1


def test_what_somebody_else_wrote_into_the_slot_meanwhile_is_found(life, maker):
    one = life({2: maker.release(2, octets=BIG)}, size=BIG_SLOT)
    one.offer(2)
    assert one.run(200, lambda: one.updater.record.sectors)
    one.fs.files["rom"][BIG_SLOT + 4096 + 100] ^= 1
    one.boot()
    assert one.run(900, one.settled)
    assert one.told[-1] == (ID, STATE_ABORTED, REASON_DIGEST) and one.sequence == 1


def test_nothing_is_erased_while_the_device_is_not_quiet(life):
    one = life()
    one.still = False
    one.offer(2)
    one.run(120)
    assert one.states() == [STATE_RECEIVED, STATE_STARTED] and one.region.erases == 0
    assert one.lamp and one.updater.progress < 500
    one.still = True
    assert one.run(600, lambda: one.updater.progress == 1000)
    one.still = False
    erases = one.region.erases
    one.run(100)
    assert one.region.erases == erases and not one.ending, "nor at the end of it"
    one.still = True
    assert one.run(600, one.settled) and one.sequence == 2


# --- several offers ---------------------------------------------------------------------------------------------------


def test_a_newer_release_takes_the_place_of_one_under_way(life):
    one = life(rate=512)
    one.offer(2)
    one.run(20)
    assert one.offer(3, id=ID + 1) == REASON_NONE
    assert one.states() == [STATE_RECEIVED, STATE_STARTED, STATE_SUPERSEDED]
    assert one.run(600, one.settled) and one.sequence == 3 and one.states(ID + 1) == WHOLE


def test_an_older_one_waits_unless_nothing_comes_any_more(life):
    one = life(rate=512)
    one.offer(3)
    one.run(20)
    assert one.offer(2, id=ID + 1) == REASON_BUSY
    one.silent = True
    one.run(700)
    one.silent = False
    assert one.offer(2, id=ID + 2) == REASON_NONE and one.run(600, one.settled) and one.sequence == 2


def test_an_emd_that_began_anew_offers_the_same_under_another_id(life):
    one = life(rate=512)
    one.offer(2)
    one.run(20)
    assert one.offer(2, id=3, epoch=6) == REASON_NONE
    assert one.run(900, one.settled) and one.sequence == 2
    assert one.states() == [STATE_RECEIVED, STATE_STARTED, STATE_SUPERSEDED]
    assert one.states(3) == [STATE_RECEIVED, STATE_COMPLETED]


def test_an_offer_that_its_emd_does_not_know_any_more_ends(life):
    one = life(rate=512)
    one.offer(2)
    one.run(20)
    one.updater.gone(one.now_s, 0, ID + 1)
    one.updater.gone(one.now_s, 1, ID)
    assert not one.settled()
    one.updater.gone(one.now_s, 0, ID)
    assert one.settled() and one.told[-1] == (ID, STATE_ABORTED, REASON_ENDED)


# --- the trial --------------------------------------------------------------------------------------------------------


def installed(life, **more):
    one = life(**more)
    one.offer(2)
    assert one.run(600, lambda: one.slots.trial)
    return one


def test_a_trial_needs_its_emd_for_a_minute(life):
    one = installed(life)
    one.up = False
    one.run(100)
    assert one.slots.trial
    one.up = True
    one.run(30)
    one.up = False
    one.run(100)
    one.up = True
    one.run(29)
    assert one.slots.trial, "the minute is not over"
    assert one.run(5, one.settled) and one.states() == WHOLE


def test_a_failure_of_the_control_loop_begins_the_minute_anew(life):
    one = installed(life)
    one.run(55)
    one.proof += 1
    one.run(55)
    assert one.slots.trial
    assert one.run(10, one.settled) and one.states() == WHOLE


def test_a_trial_whose_control_loop_fails_is_not_confirmed(life):
    one = installed(life)
    for _ in range(700):
        one.proof += 1
        one.second()
        if one.sequence == 1:
            break
    assert one.sequence == 1 and one.run(2)
    assert one.states() == [STATE_RECEIVED, STATE_STARTED, STATE_ABORTED]


def test_a_trial_that_never_registers_is_rolled_back_and_said_so(life):
    one = installed(life)
    one.up = False
    assert one.offer(3, id=ID + 1) == REASON_BUSY, "one after the other"
    assert one.run(700, lambda: one.sequence == 1)
    one.up = True
    one.run(2)
    assert one.told[-1] == (ID, STATE_ABORTED, REASON_ROLLED_BACK)
    assert one.alarms == [(1, 2)] and not one.slots.trial
    one.boot()
    one.run(2)
    assert one.alarms == [(1, 2)] and one.sequence == 1, "said once"
    assert one.offer(2) == REASON_ROLLED_BACK, "that offer is over"
    assert one.offer(2, id=ID + 2) == REASON_NONE and one.run(900, one.settled) and one.sequence == 2, "asked again"


def test_a_trial_that_dies_three_times_is_rolled_back(life):
    one = installed(life)
    for _ in range(2):
        one.run(20)
        one.boot()
        assert one.slots.trial
    one.run(20)
    one.boot()
    assert one.sequence == 1 and one.run(2)
    assert one.told[-1] == (ID, STATE_ABORTED, REASON_ROLLED_BACK) and one.alarms == [(1, 2)]


def test_after_a_confirmation_the_old_one_is_refused(life):
    one = installed(life)
    assert one.run(600, one.settled)
    assert one.offer(1, id=ID + 1) == REASON_SEQUENCE


def test_a_trial_that_a_cable_brought_is_confirmed_without_an_offer(life, maker):
    one = life()
    one.region.install(1, *maker.release(2)[:2])
    one.slots.activate()
    one.boot()
    assert one.slots.trial and one.run(600, one.settled)
    assert one.sequence == 2 and one.told == []


def test_a_store_that_is_full_in_the_trial_leads_back_when_its_time_is_over(life):
    one = installed(life)
    one.fs.capacity = 0
    assert one.run(700, lambda: one.starts > 2)
    one.fs.capacity = None
    assert one.sequence in (1, 2)
    assert one.run(2000, one.settled)


# --- power cuts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [0, 1])
def test_power_cut_at_every_write_and_erase(life, torn):
    cuts = cut_everywhere(life, 2, lambda one: one.states()[-1] == STATE_COMPLETED, torn)
    assert cuts >= 40, cuts


def test_power_cut_at_every_write_and_erase_of_a_large_one(life, maker):
    """Over records of how far it is: cut at each tenth operation, since there are 700."""
    rows = {2: maker.release(2, octets=BIG)}
    cuts, done = 0, False
    while not done:
        one = life(rows, size=BIG_SLOT, rate=8192)
        one.fs.cut_after, one.fs.torn = 10 * cuts + cuts % 10, cuts % 2
        try:
            one.offer(2)
            done = one.run(900, one.settled)
        except Exception:
            raise
        except BaseException as cut:
            assert type(cut).__name__ == "PowerCut"
        one.fs.cut_after = None
        cuts += 1
        one.boot()
        assert one.sequence in (1, 2)
        if one.updater.record is None:
            one.offer(2)
        assert one.run(900, one.settled) and one.sequence == 2
        assert one.states()[-1] == STATE_COMPLETED
    assert cuts > 30
