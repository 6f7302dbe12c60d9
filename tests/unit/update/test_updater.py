"""The update's state machine: what is offered, refused, fetched, tried, confirmed and rolled back."""

from rig import ID, cut_everywhere

from spot.codes import STATE_COMPLETED, STATE_RECEIVED, STATE_STARTED

WHOLE = [STATE_RECEIVED, STATE_STARTED, STATE_COMPLETED]


def test_an_update_from_the_offer_to_its_confirmation(life):
    one = life()
    assert one.offer(2) == 0
    assert one.run(600, one.settled)
    assert (one.sequence, one.slots.active, one.slots.trial) == (2, 1, False)
    assert one.states() == WHOLE
    assert one.starts == 2 and not one.lamp
    one.boot()
    one.up = True
    assert one.run(100) and one.sequence == 2
    assert one.states() == WHOLE, "told once"


def test_power_cut_at_every_write_and_erase(life):
    for torn in (0, 1):
        cuts = cut_everywhere(life, 2, lambda one: one.states()[-1] == STATE_COMPLETED, torn)
        assert cuts > 30, cuts


assert ID
