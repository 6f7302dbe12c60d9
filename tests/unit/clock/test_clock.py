"""Time that never jumps, UTC that says how good it is, and a floor that only trusted, settled time moves."""

import struct

import pytest

from spot.clock import Clock
from spot.codes import ABSENT, CLOCK_EMD, CLOCK_FLOOR, CLOCK_HOLDOVER, CLOCK_NETWORK, CLOCK_UNSET
from spot.log import Log
from spot.store import Store
from spot_sim.flash import MemoryFs

DAY = 86400


@pytest.mark.parametrize("period", [1 << 30, 1 << 32])
def test_seconds_run_on_over_the_wrap_of_the_counter(period):
    clock = Clock(period=period)
    start = period - 3 * 60_000 - 777
    assert clock.tick(start) == 0
    for ms in range(0, 400_000, 333):
        assert clock.tick((start + ms) % period) == ms // 1000


@pytest.mark.parametrize("period", [1 << 30, 1 << 32])
def test_a_pause_of_nearly_a_whole_period_is_counted(period):
    clock = Clock(period=period)
    clock.tick(5)
    assert clock.tick((5 + period - 2000) % period) == (period - 2000) // 1000


def test_the_fractions_of_a_second_are_not_lost():
    clock = Clock(period=1 << 30)
    clock.tick(0)
    for ms in range(999, 999 * 1001, 999):
        clock.tick(ms)
    assert clock.now_s == 999


def test_without_a_time_there_is_none_and_with_a_floor_only_a_least():
    store = Store(MemoryFs(), "s")
    clock = Clock(store)
    assert (clock.utc(5), clock.best(5), clock.quality(5)) == (ABSENT, ABSENT, CLOCK_UNSET)
    store.put("clock", struct.pack("<i", 1000))
    clock = Clock(store)
    assert (clock.utc(5), clock.best(5), clock.quality(5)) == (ABSENT, 1005, CLOCK_FLOOR)


def test_utc_runs_with_the_monotonic_seconds_and_its_quality_falls_to_holdover_after_a_day():
    clock = Clock()
    assert clock.set_utc(100, 50_000_000, CLOCK_EMD)
    assert clock.utc(160) == 50_000_060
    assert clock.quality(100 + DAY) == CLOCK_EMD
    assert clock.quality(101 + DAY) == CLOCK_HOLDOVER
    assert clock.set_utc(101 + DAY, 50_000_000 + DAY, CLOCK_NETWORK), "in holdover the network will do"
    assert clock.quality(101 + DAY) == CLOCK_NETWORK


@pytest.mark.parametrize(
    ("jump_s", "event"),
    [(0, None), (2, None), (-2, None), (3, "info"), (-30, "info"), (5 * 3600, "warn"), (-9 * 3600, "warn")],
)
def test_jumps_that_the_emd_says_are_taken_and_logged_and_now_does_not_move(jump_s, event):
    log = Log()
    clock = Clock(log=log, period=1 << 30)
    clock.tick(0)
    clock.tick(10_000)
    clock.set_utc(10, 50_000_000, CLOCK_EMD)
    assert clock.set_utc(20, 50_000_010 + jump_s, CLOCK_EMD)
    assert clock.utc(20) == 50_000_010 + jump_s and clock.jump_s == jump_s
    assert clock.tick(20_000) == 20
    assert [("info", "warn")[row[1] - 1] for row in log.recent()] == ([event] if event else [])


@pytest.mark.parametrize(
    ("what", "utc", "quality", "taken"),
    [
        ("the network above the floor", 2000, CLOCK_NETWORK, True),
        ("the network below the floor", 999, CLOCK_NETWORK, False),
        ("the EMD below the floor", 999, CLOCK_EMD, True),
        ("a day of 2024, replayed", -86400, CLOCK_EMD, True),
        ("a time before 2024", -31622401, CLOCK_EMD, False),
        ("a time beyond the range", 1 << 30, CLOCK_EMD, False),
        ("a source of no standing", 2000, CLOCK_HOLDOVER, False),
    ],
)
def test_who_is_believed(what, utc, quality, taken):
    store = Store(MemoryFs(), "s")
    store.put("clock", struct.pack("<i", 1000))
    clock = Clock(store, Log())
    assert clock.set_utc(1, utc, quality) is taken
    assert clock.utc(1) == (utc if taken else ABSENT)
    assert clock.floor == (utc if utc < 1000 and taken else 1000)


def test_the_network_does_not_overrule_a_fresh_emd():
    clock = Clock()
    clock.set_utc(0, 5000, CLOCK_EMD)
    assert not clock.set_utc(10, 9000, CLOCK_NETWORK)
    assert clock.utc(10) == 5010


def test_the_floor_is_kept_only_when_the_time_has_settled_and_rarely():
    store = Store(MemoryFs(), "s")
    clock = Clock(store)
    for now in range(0, 3600, 60):
        clock.set_utc(now, 10_000_000 + now, CLOCK_EMD)
    assert clock.floor == ABSENT, "an hour of it is not over"
    for now in range(3600, 10 * DAY, 60):
        clock.set_utc(now, 10_000_000 + now, CLOCK_EMD)
    assert 40 <= store.writes <= 41, "four a day"
    assert 10_000_000 + 10 * DAY - Clock(store).floor <= 21600 + 60


def test_a_wrong_day_that_is_corrected_within_the_hour_leaves_no_floor():
    store = Store(MemoryFs(), "s")
    clock = Clock(store)
    clock.set_utc(0, 900_000_000, CLOCK_EMD)
    clock.set_utc(3000, 10_003_000, CLOCK_EMD)
    clock.set_utc(4000, 10_004_000, CLOCK_EMD)
    assert clock.floor == ABSENT
    clock.set_utc(7000, 10_007_000, CLOCK_EMD)
    assert clock.floor == 10_007_000


def test_a_full_flash_costs_the_floor_and_nothing_else():
    log = Log()
    clock = Clock(Store(MemoryFs(capacity=0), "s"), log)
    clock.set_utc(0, 1000, CLOCK_EMD)
    assert clock.set_utc(4000, 5000, CLOCK_EMD)
    assert clock.utc(4000) == 5000 and log.counts["clock.floor_not_kept"] == 1


def test_a_chip_s_own_clock_is_told_the_first_time_every_jump_and_once_a_day():
    clock = Clock()
    told = []
    clock.on_set = told.append
    said = ((5, 1005), (65, 1066), (125, 5000), (185, 5060), (125 + DAY, 5000 + DAY), (200 + DAY, 5075 + DAY))
    for now_s, utc in said:
        assert clock.set_utc(now_s, utc, CLOCK_EMD)
    assert told == [1005, 5000, 5000 + DAY]
    clock.set_utc(9, 1 << 30, CLOCK_EMD)
    assert len(told) == 3, "what is refused is not passed on"
