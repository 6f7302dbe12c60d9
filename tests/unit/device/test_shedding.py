"""Under-frequency shedding: consent, threshold, delay, restoring with its spread, precedence, nonsense, restarts."""

import pytest

from spot.codes import (
    ABSENT,
    ALARM_SHEDDING,
    DECIDER_GUARD,
    DECIDER_OVERRIDE,
    DECIDER_SET_POINT,
    DECIDER_SHEDDING,
    DECIDER_TRIP,
    KIND_OFF,
    KIND_ON,
    OBJ_SHED_DELAY,
    OBJ_SHED_FREQUENCY,
    REASON_FREQUENCY,
    REASON_MIN_RUN,
    REASON_NONE,
    REASON_NOT_ENABLED,
    REASON_OUT_OF_RANGE,
    REASON_STORE_FULL,
    SERVICE_SHEDDING,
)
from spot.device.shedding import Shedding
from spot.log import Log
from spot.store import Store
from spot_sim.flash import MemoryFs
from tests.unit.device.rig import plug

SETTINGS = {"shed_consent": True, "shed_mhz": 49800, "shed_delay_s": 5, "shed_restore_mhz": 49950,
            "shed_restore_s": 60, "shed_spread_s": 300}


def bench_of(spread_s=0, **config):
    bench = plug({**SETTINGS, **config})
    bench.device.spread = lambda window_s: min(window_s, spread_s)
    bench.run(2)
    return bench


def shed(**config):
    bench = bench_of(**config)
    bench.mains.mhz = 49700
    bench.run(10)
    assert not bench.contact.closed
    return bench


# --- by itself ------------------------------------------------------------------------------------------------------


def test_below_the_threshold_for_the_delay_the_load_goes_off_and_says_why():
    bench = bench_of()
    bench.mains.mhz = 49799
    bench.run(5)
    assert bench.contact.closed and bench.alarms == []
    bench.run(1)
    assert not bench.contact.closed
    assert (bench.device.reason, bench.device.decider) == (REASON_FREQUENCY, DECIDER_SHEDDING)
    assert len(bench.alarms) == 1 and bench.alarms[0][:2] == (ALARM_SHEDDING, 1) and bench.alarms[0][3] == 49800
    assert abs(bench.alarms[0][2] - 49799) <= 2


@pytest.mark.parametrize(("spread_s", "sentence"), [(0, "at once"), (123, "in its own time"), (999, "in the window")])
def test_it_comes_back_when_the_frequency_was_right_for_long_enough_and_its_own_spread(spread_s, sentence):
    bench = shed(spread_s=spread_s)
    bench.mains.mhz = 49940
    bench.run(500)
    assert not bench.contact.closed, "between threshold and restoring it stays off"
    bench.mains.mhz = 49960
    bench.run(60 + min(spread_s, 300))
    assert not bench.contact.closed, sentence
    bench.run(2)
    assert bench.contact.closed and bench.alarms[-1][:2] == (ALARM_SHEDDING, 0)


def test_another_dip_while_it_waits_begins_the_wait_again():
    bench = shed()
    for _ in range(4):
        bench.mains.mhz = 50000
        bench.run(50)
        bench.mains.mhz = 49900
        bench.run(2)
    assert not bench.contact.closed and len(bench.alarms) == 1
    bench.mains.mhz = 50000
    bench.run(63)
    assert bench.contact.closed


@pytest.mark.parametrize("glitch", [[49000], [49000, 49000], [49000, 50000] * 20, [30000] * 20, [80000] * 20, [0] * 20])
def test_nothing_is_shed_on_nonsense_or_on_fewer_than_three_samples(glitch):
    bench = bench_of(shed_delay_s=0)
    for mhz in glitch:
        bench.mains.mhz = mhz or 1
        bench.run(1)
    assert bench.contact.closed and bench.alarms == []


def test_a_silent_meter_sheds_nothing_and_brings_back_what_was_shed():
    bench = bench_of()
    bench.chip.dead = True
    bench.run(600)
    assert bench.contact.closed
    bench = shed()
    bench.chip.dead = True
    bench.run(75)
    assert bench.contact.closed, "it is not known that the frequency is low"


@pytest.mark.parametrize("cut", [True, False])
def test_what_is_shed_stays_so_over_a_restart(cut):
    bench = shed()
    operations = bench.contact.operations
    bench.alarms.clear()
    bench.reboot(power_cut=cut)
    bench.device.spread = lambda window_s: 0
    bench.run(30)
    assert bench.contact.operations == operations and bench.alarms[0][:2] == (ALARM_SHEDDING, 1)
    bench.mains.mhz = 50000
    bench.run(65)
    assert bench.contact.closed
    bench.reboot(power_cut=cut)
    bench.run(5)
    assert bench.contact.closed, "and that it is over, too"


def test_without_consent_nothing_is_shed_nothing_said_and_nothing_may_be_set():
    bench = bench_of(shed_consent=False)
    assert not bench.device.description()["services"] & SERVICE_SHEDDING
    assert bench.device.read(OBJ_SHED_FREQUENCY) == bench.device.read(OBJ_SHED_DELAY) == ABSENT
    assert bench.device.write(0, OBJ_SHED_FREQUENCY, 49800) == REASON_NOT_ENABLED
    bench.mains.mhz = 47000
    bench.run(100)
    assert bench.contact.closed


def test_a_day_at_the_edge_does_not_wear_the_flash():
    bench = bench_of(shed_restore_s=10, shed_spread_s=0)
    before = bench.store.writes
    for n in range(600):
        bench.mains.mhz = 49700 if n % 30 < 10 else 50000
        bench.run(1)
    assert bench.store.writes - before <= 2 * 600 // 30


# --- objects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mhz", "reason"), [
    (0, REASON_NONE), (47000, REASON_NONE), (49900, REASON_NONE), (59700, REASON_NONE), (57000, REASON_NONE),
    (49901, REASON_OUT_OF_RANGE), (46999, REASON_OUT_OF_RANGE), (50000, REASON_OUT_OF_RANGE),
    (56999, REASON_OUT_OF_RANGE), (59901, REASON_OUT_OF_RANGE), (-1, REASON_OUT_OF_RANGE),
])
def test_thresholds_that_an_emd_may_set(mhz, reason):
    bench = bench_of()
    assert bench.device.write(0, OBJ_SHED_FREQUENCY, mhz) == reason
    assert bench.device.read(OBJ_SHED_FREQUENCY) == (49800 if reason else mhz)
    bench.reboot()
    assert bench.device.read(OBJ_SHED_FREQUENCY) == (49800 if reason else mhz), "kept"


def test_the_delay_can_be_set_and_kept_and_is_given_back_when_flash_is_full():
    bench = bench_of()
    assert bench.device.write(0, OBJ_SHED_DELAY, 30) == REASON_NONE
    assert bench.device.write(0, OBJ_SHED_DELAY, 601) == REASON_OUT_OF_RANGE
    bench.fs.capacity = 0
    assert bench.device.write(0, OBJ_SHED_DELAY, 7) == REASON_STORE_FULL and bench.device.read(OBJ_SHED_DELAY) == 30
    bench.fs.capacity = None
    bench.reboot()
    assert bench.device.read(OBJ_SHED_DELAY) == 30 and bench.device.description()["services"] & SERVICE_SHEDDING


def test_a_threshold_of_zero_ends_it():
    bench = shed()
    assert bench.device.write(bench.now_s, OBJ_SHED_FREQUENCY, 0) == REASON_NONE
    bench.run(62)
    assert bench.contact.closed
    bench.run(100)
    assert bench.contact.closed


def test_restoring_is_never_below_the_threshold():
    bench = shed(shed_restore_mhz=0)
    bench.mains.mhz = 49810
    bench.run(200)
    assert not bench.contact.closed, "20 mHz above it at least"


def test_the_threshold_of_a_60_hz_grid():
    fs = MemoryFs()
    it = Shedding({**SETTINGS, "shed_mhz": 59700, "shed_restore_mhz": 59900}, Store(fs, "s"), Log(8))
    for now_s in range(10):
        it.step(now_s, 59600, True, lambda window_s: 0)
    assert it.active


# --- precedence -----------------------------------------------------------------------------------------------------


def test_a_guard_is_above_it():
    bench = bench_of(min_on_s=100)
    bench.mains.mhz = 49700
    bench.run(10)
    assert bench.contact.closed and (bench.device.reason, bench.device.decider) == (REASON_MIN_RUN, DECIDER_GUARD)
    bench.run(100)
    assert not bench.contact.closed and bench.device.decider == DECIDER_SHEDDING


def test_a_trip_is_above_it():
    bench = shed()
    bench.board.trip._open(6, 1, 1)
    bench.run(1)
    assert bench.device.decider == DECIDER_TRIP


def test_it_is_above_the_household_and_what_it_chose_holds_afterwards():
    bench = bench_of(remote_close=True)
    bench.ask(KIND_OFF)
    bench.run(1)
    bench.press()
    assert bench.contact.closed and bench.device.decider == DECIDER_OVERRIDE
    bench.mains.mhz = 49700
    bench.run(10)
    assert not bench.contact.closed and bench.device.decider == DECIDER_SHEDDING
    bench.press()
    bench.run(1)
    assert not bench.contact.closed
    bench.ask(KIND_ON)
    bench.run(1)
    assert not bench.contact.closed and bench.device.decider == DECIDER_SHEDDING
    bench.mains.mhz = 50000
    bench.run(70)
    assert bench.contact.closed


def test_a_command_that_holds_the_load_off_anyway_is_said_to_decide():
    bench = shed()
    bench.ask(KIND_OFF)
    assert (bench.device.reason, bench.device.decider) == (REASON_NONE, DECIDER_SET_POINT)
