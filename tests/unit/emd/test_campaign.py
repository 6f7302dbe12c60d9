"""The state machine of a fleet's update: who comes first, how many at a time, and what stops it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot_host.emd.campaign import UNDER_WAY, Campaign, Pace

RELEASES = [{"sequence": 5, "board": "p"}, {"sequence": 7, "board": "q"}]


class Rig:
    """One campaign, its clock, and who is there."""

    def __init__(self, count=6, releases=1, **pace):
        self.now, self.away, self.offers = 1000, set(), 0
        self.c = Campaign(1, RELEASES[:releases], Pace(**{"soak_s": 600, **pace}).check(), self.now)
        for i in range(count):
            self.c.join(self.now, f"{i:016x}", i % releases)

    def step(self, seconds=10):
        self.now += seconds
        offered = self.c.step(self.now, lambda eui: eui not in self.away)
        for member in offered:
            if member.offer is None:  # as Updates does it
                self.offers += 1
                member.offer = self.offers
        return [m.eui for m in offered]

    def till(self, state, most=2000):
        """Steps until the campaign is in `state`; who was offered meanwhile is done at once."""
        for _ in range(most):
            if self.c.state == state:
                return
            for eui in self.step():
                self.c.status(self.now, eui, "completed", "none")
        raise AssertionError(f"still {self.c.state}")

    def states(self, *which):
        return sorted(m.eui for m in self.c.members.values() if m.state in which)


def test_canaries_soak_and_the_rest():
    rig = Rig(canaries=2, at_once=3)
    canaries = rig.step()
    assert len(canaries) == 2 and rig.step() == []
    for eui in canaries:
        rig.c.status(rig.now, eui, "received", "none")
        rig.c.version(rig.now, eui, 5)
        rig.c.status(rig.now, eui, "completed", "none")
    assert rig.step() == [] and rig.c.state == "soaking"
    assert rig.step(580) == [] and rig.c.state == "soaking"
    assert len(rig.step(20)) == 3 and rig.c.state == "rolling"
    rig.till("rolling")
    for eui in rig.states(*UNDER_WAY):
        rig.c.status(rig.now, eui, "completed", "none")
    rig.till("over")
    assert len(rig.states("done")) == 6


def test_each_release_has_canaries_of_its_own():
    rig = Rig(releases=2, canaries=1)
    assert sorted(rig.c.members[eui].release for eui in rig.step()) == [0, 1]


@pytest.mark.parametrize(("state", "reason"), [
    ("rejected", "signature"), ("rejected", "other_board"), ("rejected", "no_slot"), ("aborted", "digest"),
    ("aborted", "rolled_back"), ("expired", "none"),
])
def test_a_canary_that_fails_halts_it(state, reason):
    rig = Rig(most_failed=5)
    (eui,) = rig.step()
    rig.c.status(rig.now, eui, state, reason)
    assert rig.c.state == "halted" and eui in rig.c.why and (reason in rig.c.why or state in rig.c.why)
    assert all(rig.step(600) == [] for _ in range(20)) and len(rig.states("waiting")) == 5


@pytest.mark.parametrize("alarm", ["crash", "safe_mode", "rolled_back"])
def test_a_canary_that_crashes_while_it_soaks_halts_it(alarm):
    rig = Rig()
    (eui,) = rig.step()
    rig.c.status(rig.now, eui, "completed", "none")
    rig.step()
    assert rig.c.state == "soaking"
    rig.c.alarm(rig.now, eui, "over_voltage")
    assert rig.c.state == "soaking"
    rig.c.alarm(rig.now, eui, alarm, 5 if alarm == "rolled_back" else None)
    assert rig.c.state == "halted"


def test_the_alarm_of_another_sequence_is_not_this_ones():
    rig = Rig()
    (eui,) = rig.step()
    rig.c.alarm(rig.now, eui, "rolled_back", 4)
    assert rig.c.members[eui].state == "offered"


def test_a_canary_that_is_gone_when_it_has_soaked_halts_it():
    rig = Rig(silent_s=900)
    (eui,) = rig.step()
    rig.c.status(rig.now, eui, "completed", "none")
    rig.step()
    rig.away.add(eui)
    assert rig.step(610) == [] and rig.c.state == "soaking"
    assert rig.step(900) == [] and rig.c.state == "halted"


def test_a_canary_that_never_confirms_halts_it():
    """It registers with the new release and works: but its updates do not, or it would have said so."""
    rig = Rig(silent_s=7200)
    (eui,) = rig.step()
    rig.c.version(rig.now, eui, 5)
    rig.step(890)
    assert rig.c.members[eui].state == "trial"
    rig.step()
    assert rig.c.state == "halted" and rig.c.why.endswith("failed: not confirmed")
    rig.c.resume(rig.now)
    assert rig.c.state == "canaries" and len(rig.step()) == 1, "another one takes its place"


def test_behind_the_canaries_who_still_runs_it_is_done():
    rig = Rig(canaries=0, soak_s=0, at_once=1, count=1, silent_s=7200)
    (eui,) = rig.step() or rig.step()
    rig.c.version(rig.now, eui, 5)
    rig.step(600)
    rig.c.members[eui].heard_at = rig.now  # as after a restart of the EMD
    rig.step(890)
    assert rig.c.members[eui].state == "trial"
    rig.step()
    assert rig.c.members[eui].state == "done"


def test_who_is_silent_has_failed():
    rig = Rig(silent_s=900)
    (eui,) = rig.step()
    rig.c.status(rig.now, eui, "received", "none")
    for _ in range(80):
        rig.step()
    rig.c.heard(rig.now, eui)
    for _ in range(80):
        rig.step()
    assert rig.c.state == "canaries"
    rig.step(100)
    assert rig.c.state == "halted" and rig.c.members[eui].state == "silent"


def test_who_went_before_it_knew_waits_again():
    rig = Rig(silent_s=900)
    (eui,) = rig.step()
    rig.away.add(eui)
    rig.step(900)
    assert rig.c.state == "canaries" and rig.c.members[eui].state in ("waiting", "offered")
    assert rig.c.members[eui].state == "waiting" and len(rig.states("offered")) == 1  # another took its place


def test_so_many_failures_are_allowed_and_no_more():
    rig = Rig(8, canaries=0, most_failed=2)
    offered = rig.step()
    assert len(offered) == 8
    for i, eui in enumerate(offered[:3]):
        assert rig.c.state == "rolling", i
        rig.c.status(rig.now, eui, "aborted", "digest")
    assert rig.c.state == "halted" and "3 failed, 2 are allowed" in rig.c.why


def test_resume_forgives_and_begins_with_canaries_again():
    rig = Rig()
    (first,) = rig.step()
    rig.c.status(rig.now, first, "aborted", "rolled_back")
    rig.c.resume(rig.now)
    (second,) = rig.step()
    assert second != first and rig.c.state == "canaries"
    rig.till("over")
    rig.c.status(rig.now, second, "completed", "none")
    assert rig.states("failed") == [first]


def test_resume_with_retry_asks_them_again_under_a_new_offer():
    rig = Rig()
    (first,) = rig.step()
    rig.c.status(rig.now, first, "aborted", "digest")
    rig.c.resume(rig.now, retry=True)
    assert rig.step() == [first] and rig.c.members[first].offer == 2
    with pytest.raises(ValueError, match="not halted"):
        rig.c.resume(rig.now)


def test_a_busy_device_is_asked_later_and_one_with_a_newer_one_has_it():
    rig = Rig(2, canaries=0)
    one, two = rig.step()
    rig.c.status(rig.now, one, "rejected", "busy")
    rig.c.status(rig.now, two, "rejected", "sequence")
    assert rig.c.members[two].state == "done" and rig.step() == []
    assert rig.step(900) == [one]


def test_who_had_it_is_done_and_opens_nothing():
    rig = Rig(3)
    for eui in rig.c.members:
        rig.c.version(rig.now, eui, 5)
    rig.step()
    rig.till("over")
    assert rig.states("done") == sorted(rig.c.members)
    rig.c.join(rig.now, "f" * 16, 0)
    assert rig.c.state == "rolling" and rig.step() == ["f" * 16]


def test_a_trial_that_lasts_is_done_only_where_it_is_heard():
    rig = Rig(1, canaries=0, silent_s=7200)
    (eui,) = rig.step()
    rig.c.version(rig.now, eui, 5)
    rig.away.add(eui)
    rig.step(1000)
    assert rig.c.members[eui].state == "trial"
    rig.away.clear()
    rig.step()
    assert rig.c.members[eui].state == "done"


def test_an_end_is_for_good():
    rig = Rig()
    (eui,) = rig.step()
    rig.c.end(rig.now)
    rig.c.status(rig.now, eui, "aborted", "digest")
    assert rig.c.state == "ended" and rig.step(4000) == []


@pytest.mark.parametrize("field", ["canaries", "soak_s", "at_once", "per_hour", "most_failed", "silent_s"])
def test_a_pace_has_bounds(field):
    for wrong in (-1, 1 << 30, 1.5, None, "1"):
        with pytest.raises(ValueError, match=field):
            Pace(**{field: wrong}).check()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(0, 3), st.integers(1, 5), st.integers(1, 12), st.integers(0, 3),
       st.integers(0, 40), st.booleans())
def test_whatever_happens(seed, canaries, at_once, per_hour, most_failed, percent, restarts):
    """A fleet of two boards with faults, restarts of the EMD in between. In every moment: no more than at_once under
    way, no more than per_hour begun, nobody but canaries before they are done, nobody offered while it is halted."""
    draw = random.Random(seed)
    rig = Rig(14, 2, canaries=canaries, at_once=at_once, per_hour=per_hour, most_failed=most_failed, silent_s=1800)
    begun = []
    for _ in range(400):
        rig.away = {eui for eui in rig.c.members if draw.random() < 0.1}
        was = rig.c.state
        for eui in rig.step(draw.choice((1, 10, 10, 60, 600))):
            member = rig.c.members[eui]
            assert eui not in rig.away and rig.c.live
            if member.tries == 1:
                begun.append(rig.now)
                assert rig.c.state != "canaries" or member.canary
        assert was != "soaking" or rig.c.state != "canaries"
        assert sum(m.state in UNDER_WAY for m in rig.c.members.values()) <= at_once + (was == "halted")
        assert sum(t > rig.now - 3600 for t in begun) <= per_hour
        bad = sum(m.state in ("failed", "silent") and not m.forgiven for m in rig.c.members.values())
        assert rig.c.state == "halted" or bad <= (most_failed if rig.c.state in ("rolling", "over") else 0)
        for eui in [m.eui for m in rig.c.members.values() if m.state in UNDER_WAY]:
            wanted = RELEASES[rig.c.members[eui].release]["sequence"]
            what = draw.random()
            if what < 0.2:
                rig.c.heard(rig.now, eui)
            elif what < 0.4:
                rig.c.status(rig.now, eui, draw.choice(("received", "started")), "none")
            elif what < 0.5:
                rig.c.version(rig.now, eui, wanted)
            elif what < 0.6:
                rig.c.status(rig.now, eui, "completed", "none")
            elif what < 0.6 + percent / 400:
                draw.choice((
                    lambda eui=eui: rig.c.status(rig.now, eui, "aborted", "digest"),
                    lambda eui=eui: rig.c.version(rig.now, eui, 1),
                    lambda eui=eui: rig.c.alarm(rig.now, eui, "crash")))()
        if rig.c.state == "halted" and draw.random() < 0.1:
            rig.c.resume(rig.now, draw.random() < 0.5)
        if restarts and draw.random() < 0.05:
            rig.c = Campaign.from_record(rig.c.record(), [dict(vars(m)) for m in rig.c.members.values()])
