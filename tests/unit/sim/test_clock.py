"""Virtual time: order, cancelling, and the calendar of the household."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_sim.clock import VirtualClock
from spot_sim.local_time import LocalCalendar
from spot_sim.seeds import Seeds


def test_events_run_in_the_order_of_time_then_of_asking():
    clock, seen = VirtualClock(), []
    clock.call_at(5, seen.append, "later")
    clock.call_at(2, seen.append, "first")
    clock.call_at(2, seen.append, "second")
    clock.call_at_ms(1999, seen.append, "before")
    clock.run_until(4)
    assert seen == ["before", "first", "second"]
    assert clock.now_s == 4
    clock.run_until(5)
    assert seen[-1] == "later"
    assert clock.events == 4


def test_an_event_for_the_past_runs_now_and_after_those_that_wait():
    clock, seen = VirtualClock(), []

    def ask():
        clock.call_at(1, seen.append, ("late", clock.now_s))

    clock.call_at(10, ask)
    clock.call_at(10, seen.append, "waited")
    clock.run_until(20)
    assert seen == ["waited", ("late", 10)]


def test_a_cancelled_event_does_not_run_and_cancelling_twice_or_too_late_does_nothing():
    clock, seen = VirtualClock(), []
    handle = clock.call_at(1, seen.append, "no")
    done = clock.call_at(2, seen.append, "yes")
    clock.cancel(handle)
    clock.cancel(handle)
    clock.run_until(3)
    clock.cancel(done)
    assert seen == ["yes"]
    assert clock.next_ms() is None


def test_many_cancelled_events_leave_the_queue():
    clock, seen = VirtualClock(), []
    kept = [clock.call_at(n, seen.append, n) for n in range(100)]
    for n in range(20_000):
        clock.cancel(clock.call_at(1000 + n, seen.append, "never"))
    assert len(clock._heap) < 10_000
    clock.run_until(50_000)
    assert seen == list(range(len(kept)))


@given(st.lists(st.integers(0, 10_000), max_size=60))
def test_whatever_is_asked_comes_in_ascending_time(times):
    clock, seen = VirtualClock(), []
    for number, at_ms in enumerate(times):
        clock.call_at_ms(at_ms, lambda number=number: seen.append((clock.now_ms, number)))
    clock.run_until_ms(10_000)
    assert seen == sorted((at_ms, number) for number, at_ms in enumerate(times))


def test_streams_are_the_same_for_the_same_name_and_others_for_another():
    seeds = Seeds(7)
    first = [seeds.stream("net", 1).random() for _ in range(3)]
    assert len(set(first)) == 1
    assert seeds.stream("net", 2).random() != first[0]
    assert Seeds(8).stream("net", 1).random() != first[0]
    assert seeds.child("net").stream(1).random() == first[0]
    assert Seeds(1).stream("a").getrandbits(32) == 3581348664  # a run must replay on another machine


@pytest.mark.parametrize(
    ("day", "hours"), [("2024-12-12", 24), ("2024-03-31", 23), ("2024-10-27", 25)], ids=["plain", "spring", "autumn"]
)
def test_a_local_day_has_the_hours_that_the_zone_gives_it(day, hours):
    calendar = LocalCalendar(day)
    assert calendar.day_start(1) == hours * 3600
    assert calendar.day_of(hours * 3600 - 1) == 0
    assert calendar.day_of(hours * 3600) == 1
    assert calendar.second_of_day(hours * 3600) == 0
    assert calendar.local(0).isoformat()[:16] == f"{day}T00:00"
    assert calendar.date(1) == date.fromordinal(date.fromisoformat(day).toordinal() + 1)
    assert calendar.day_start(-1) == -86400
