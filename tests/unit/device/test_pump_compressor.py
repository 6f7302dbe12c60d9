"""The compressor as it is seen, its starts and hours over restarts, and its defrosts: a sentence a case."""

import pytest

from spot.codes import (
    ABSENT,
    DECIDER_GUARD,
    KIND_BOOST,
    KIND_OFF,
    KIND_OFFSET,
    OBJ_COMPRESSOR,
    OBJ_DEFROST,
    OBJ_RUNNING_HOURS,
    OBJ_STARTS,
    REASON_DEFROST,
    REASON_MAX_BLOCK,
    REASON_MIN_PAUSE,
    REASON_MIN_RUN,
    REASON_NONE,
    REASON_STARTS,
)
from tests.unit.device.pump_rig import FREE, talking


def state(bench):
    return bench.contacts.state


# --- run and stop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("powers", "running", "starts", "sentence"),
    [
        ([(0, 20), (2000, 20)], 1, 1, "what lasts is a start"),
        ([(0, 20), (2000, 9), (0, 20)], 0, 0, "a pulse of nine seconds is none"),
        ([(0, 20), (2000, 20), (0, 9), (2000, 20)], 1, 1, "a dip of nine seconds is no stop"),
        ([(0, 20), (2000, 20), (0, 20)], 0, 1, "what lasts is a stop"),
        ([(0, 20), (149, 20)], 0, 0, "below running_w nothing starts"),
        ([(0, 20), (150, 20), (110, 20)], 1, 1, "above two thirds of it what runs still runs"),
        ([(0, 20), (150, 20), (99, 20)], 0, 1, "below them it stands"),
    ],
)
def test_starts_and_stops_from_the_power(powers, running, starts, sentence):
    bench = talking(FREE, watts=0)
    for watts, seconds in powers:
        bench.load.draw(bench.now_s, watts)
        bench.run(seconds)
    assert bench.device.read(OBJ_COMPRESSOR) == running, sentence
    assert bench.device.read(OBJ_STARTS) == starts, sentence


def test_the_machine_s_word_goes_before_the_power():
    bench = talking({"min_run_s": 600, "min_pause_s": 0, "sg_hold_s": 0}, watts=0)
    bench.machine.compressor = 0
    bench.run(700)
    bench.load.draw(bench.now_s, 3000)  # its heating rod
    bench.run(60)
    assert bench.device.read(OBJ_COMPRESSOR) == 0
    bench.machine.compressor = 1
    bench.run(10)
    assert bench.device.read(OBJ_COMPRESSOR) == 1 and bench.device.read(OBJ_STARTS) == 1
    bench.ask(KIND_OFF)
    assert state(bench) == 2 and bench.device.reason == REASON_MIN_RUN
    assert bench.device.hold_s == 591


def test_a_pulse_of_power_does_not_shorten_a_minimum_run_or_pause():
    bench = talking({"min_run_s": 600, "min_pause_s": 300, "sg_hold_s": 0}, watts=0)
    bench.run(700)
    bench.load.draw(bench.now_s, 2000)
    bench.run(100)
    bench.load.draw(bench.now_s, 0)
    bench.run(5)
    bench.load.draw(bench.now_s, 2000)
    bench.run(5)
    bench.ask(KIND_OFF)
    assert bench.device.reason == REASON_MIN_RUN and bench.device.hold_s == 600 - 109
    bench.run(491)
    assert state(bench) == 1
    bench.load.draw(bench.now_s, 0)
    bench.run(100)
    bench.load.draw(bench.now_s, 2000)
    bench.run(5)
    bench.load.draw(bench.now_s, 0)
    bench.run(1)
    bench.ask()
    assert state(bench) == 1 and bench.device.reason == REASON_MIN_PAUSE and bench.device.hold_s == 195


def test_where_nothing_shows_the_compressor_release_and_lock_stand_for_start_and_stop():
    bench = talking({"min_run_s": 600, "min_pause_s": 300, "sg_hold_s": 0, "starts_per_hour": 2})
    bench.hardware.uarts[0].dead = True
    bench.reboot()
    bench.run(601)
    bench.ask(KIND_OFF)
    assert state(bench) == 1
    bench.run(10)
    bench.ask()
    assert state(bench) == 1 and bench.device.reason == REASON_MIN_PAUSE
    bench.run(290)
    assert state(bench) == 2
    bench.run(10)
    bench.ask(KIND_OFF)
    assert state(bench) == 2 and bench.device.reason == REASON_MIN_RUN and bench.device.hold_s == 590


# --- starts per hour ------------------------------------------------------------------------------------------------


def started(bench, times, each_s=400):
    for _ in range(times):
        bench.load.draw(bench.now_s, 0)
        bench.run(each_s // 2)
        bench.load.draw(bench.now_s, 2000)
        bench.run(each_s // 2)


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("off_s", [0, 900])
def test_the_starts_of_the_hour_outlive_a_restart(cut, off_s):
    bench = talking({**FREE, "starts_per_hour": 3}, watts=0)
    started(bench, 3)  # in seconds 200, 600 and 1000
    bench.now_s += off_s
    bench.hardware.advance(bench.now_s)
    bench.reboot(power_cut=cut)
    boot_s = bench.now_s
    bench.step()
    bench.ask(KIND_OFF)
    bench.load.draw(bench.now_s, 0)
    bench.run(60)
    bench.ask()
    assert state(bench) == 1 and bench.device.reason == REASON_STARTS and bench.device.decider == DECIDER_GUARD
    while state(bench) == 1:
        bench.run(1)
    # the oldest was 801 s old when the latest was kept, and is taken to be so at boot: never too young
    assert bench.now_s - boot_s == pytest.approx(3600 - 801, abs=20)
    assert bench.now_s >= 200 + 3600, "not before its hour"


def test_starts_and_hours_are_counted_and_kept():
    bench = talking(FREE, watts=0)
    for _ in range(3):
        bench.load.draw(bench.now_s, 2000)
        bench.minutes(120)
        bench.load.draw(bench.now_s, 0)
        bench.minutes(60)
    assert bench.device.read(OBJ_STARTS) == 3 and bench.device.read(OBJ_RUNNING_HOURS) == 6
    bench.device.close()
    bench.reboot()
    assert bench.device.read(OBJ_STARTS) == 3 and bench.device.read(OBJ_RUNNING_HOURS) == 6


def test_a_long_run_is_kept_now_and_then():
    bench = talking(FREE)
    bench.minutes(9 * 60)
    writes = bench.store.writes
    bench.reboot(power_cut=True)
    assert 8 <= bench.device.read(OBJ_RUNNING_HOURS) <= 9
    assert writes < 9 * 4 + 12


# --- defrost --------------------------------------------------------------------------------------------------------


def defrosting(word, config=None):
    """A pump that runs, with a limit in force, and begins to defrost."""
    bench = talking({**FREE, **(config or {})})
    bench.run(400)
    bench.ask(KIND_OFFSET, -100, limit_w=4500)
    bench.run(60)
    assert bench.machine.limit_w == 4500 and bench.machine.offset == -100
    if word:
        bench.machine.defrost = 1
    else:
        bench.flow.value = 2000
    bench.run(1)
    return bench


@pytest.mark.parametrize("word", [True, False], ids=["word", "flow"])
@pytest.mark.parametrize(
    ("kind", "value", "limit_w", "sentence"),
    [
        (KIND_OFF, ABSENT, ABSENT, "not locked"),
        (KIND_BOOST, ABSENT, 4500, "not forced"),
        (KIND_OFFSET, -100, 1500, "no other limit"),
        (KIND_OFFSET, 200, 4500, "no other offset"),
        (KIND_OFFSET, -100, ABSENT, "not even unlimited"),
    ],
)
def test_a_defrost_is_left_alone(word, kind, value, limit_w, sentence):
    bench = defrosting(word)
    assert bench.device.read(OBJ_DEFROST) == 1
    told = len(bench.machine.told)
    bench.ask(kind, value, limit_w=limit_w)
    bench.run(200)
    assert state(bench) == 2 and len(bench.machine.told) == told, sentence
    assert bench.device.reason == REASON_DEFROST and bench.device.decider == DECIDER_GUARD
    bench.machine.defrost = 0 if word else ABSENT
    bench.flow.value = 3000
    bench.run(1)
    assert bench.device.read(OBJ_DEFROST) == 0
    bench.run(298)
    assert state(bench) == 2 and len(bench.machine.told) == told, "nor for five minutes after it"
    assert 0 < bench.device.hold_s <= 2
    bench.run(3)
    assert bench.device.reason != REASON_DEFROST
    assert state(bench) == {KIND_OFF: 1, KIND_BOOST: 4}.get(kind, 2)
    if kind == KIND_OFFSET:
        assert (bench.machine.limit_w, bench.machine.offset) == (limit_w, value)


def test_what_changes_nothing_in_a_defrost_is_no_guard_s_business():
    bench = defrosting(True)
    assert bench.device.reason == REASON_NONE


def test_a_bit_that_is_stuck_blocks_the_guards_for_its_longest_time_only():
    bench = defrosting(True, {"defrost_max_s": 600, "defrost_after_s": 60})
    bench.ask(KIND_OFF)
    bench.run(655)
    assert state(bench) == 2
    bench.run(10)
    assert state(bench) == 1
    bench.ask()
    bench.run(3600)
    bench.ask(KIND_OFF)
    assert state(bench) == 1, "and is believed again when it was taken back only"
    bench.ask()
    bench.machine.defrost = 0
    bench.run(60)
    bench.machine.defrost = 1
    bench.run(1)
    bench.ask(KIND_OFF)
    assert state(bench) == 2


def test_a_bit_that_flaps_leaves_a_gap():
    """At most 600 s and 60 s after, then 1,200 s in which the guards are free."""
    bench = talking({**FREE, "defrost_max_s": 600, "defrost_after_s": 60, "defrost_gap_s": 1200})
    bench.ask(KIND_OFF)
    bench.ask()
    bench.ask(KIND_OFF, limit_w=ABSENT)
    bench.ask()
    held = free = 0
    for second in range(6000):
        bench.machine.defrost = second // 7 % 2
        bench.run(1)
        if bench.device.guards.armed(10, bench.now_s):
            held += 1
        else:
            free += 1
    assert held <= 6000 * 660 // 1860 + 660 and free > 3000


@pytest.mark.parametrize(
    ("flow", "outdoor", "watts", "sentence"),
    [
        (2600, 200, 2000, "the flow stays above 25 °C: hot water is over, say"),
        (2000, 900, 2000, "too warm outside"),
        (2000, ABSENT, 2000, "outdoor temperature unknown"),
        (2000, 200, 20, "it stands"),
        (ABSENT, 200, 2000, "no flow sensor"),
    ],
)
def test_what_is_no_defrost_by_the_flow(flow, outdoor, watts, sentence):
    bench = talking({**FREE, "sensor_grace_s": 3600})
    bench.run(400)
    bench.outdoor.value = outdoor
    bench.load.draw(bench.now_s, watts)
    bench.run(20)
    bench.flow.value = flow
    bench.run(20)
    bench.ask(KIND_OFF)
    assert state(bench) == 1, sentence


def test_a_flow_that_cools_slowly_is_no_defrost():
    bench = talking(FREE)
    bench.run(400)
    for flow in range(3500, 2000, -10):
        bench.flow.value = flow
        bench.run(30)  # 2 K in ten minutes
    bench.ask(KIND_OFF)
    assert state(bench) == 1


def test_a_lock_of_two_hours_ends_in_a_defrost_too():
    """Some report one while they are locked: it does not prolong the lock."""
    bench = talking({**FREE, "max_block_s": 600})
    bench.ask(KIND_OFF)
    bench.run(300)
    bench.machine.defrost = 1
    bench.run(310)
    assert state(bench) == 2 and bench.device.reason == REASON_MAX_BLOCK


def test_a_machine_that_runs_in_a_lock_does_not_prolong_it_beyond_two_hours():
    bench = talking({"min_run_s": 0, "min_pause_s": 600, "sg_hold_s": 0}, watts=0)
    bench.run(700)
    bench.ask(KIND_OFF)
    begun_s = bench.now_s
    bench.run(7000)
    bench.load.draw(bench.now_s, 2000)  # it does not obey
    bench.run(100)
    bench.load.draw(bench.now_s, 0)
    bench.run(100)
    assert state(bench) == 2 and bench.now_s - begun_s == 7200 and bench.device.reason == REASON_MAX_BLOCK


def test_a_pulse_between_two_samples_of_a_slow_meter_counts_as_a_start():
    bench = talking({"min_run_s": 0, "min_pause_s": 300, "sg_hold_s": 0}, watts=0)
    bench.minutes(10)
    bench.ask(KIND_OFF)
    bench.load.draw(bench.now_s, 2000)
    bench.minutes(1)
    bench.load.draw(bench.now_s, 0)
    bench.now_s += 10
    bench.step()
    assert bench.device.read(OBJ_STARTS) == 1
    bench.ask()
    bench.minutes(4)
    assert bench.contacts.state == 1, "its pause counts from there"
    bench.minutes(2)
    assert bench.contacts.state == 2


@pytest.mark.parametrize(("kind", "starts"), [(KIND_OFF, 1), (KIND_BOOST, 0)])
def test_a_restart_in_a_lock_is_a_start(kind, starts):
    bench = talking({"min_run_s": 0, "min_pause_s": 0, "sg_hold_s": 0}, watts=0)
    bench.minutes(5)
    bench.ask(kind)
    bench.minutes(5)
    bench.hardware.power_cut()
    bench.boot()
    bench.load.draw(bench.now_s, 2000)
    bench.minutes(2)
    assert bench.device.read(OBJ_STARTS) == starts
