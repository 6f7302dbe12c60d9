"""The machine's own controller: its budget of writes, its silence, SG-Ready over the bus, safe mode, the end."""

import pytest

from spot.codes import (
    ABSENT,
    ALARM_MACHINE_FAULT,
    ALARM_WRITES,
    DECIDER_FAILSAFE,
    DECIDER_GUARD,
    DECIDER_LIMIT,
    DECIDER_OVERRIDE,
    KIND_BOOST,
    KIND_LIMIT,
    KIND_OFF,
    KIND_OFFSET,
    KIND_ON,
    KIND_SG_READY,
    OBJ_HOT_WATER_SETPOINT,
    OBJ_MACHINE_WRITES,
    OBJ_POWER,
    REASON_COMFORT,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_OVERRIDE,
    REASON_SAFE_MODE,
    REASON_SENSOR,
    REASON_WRITES,
    SERVICE_BAND,
    SERVICE_BOOST,
    SERVICE_FORECAST,
    SERVICE_LIMIT,
    SERVICE_OFFSET,
    SERVICE_ON_OFF,
    SERVICE_SG_READY,
)
from tests.unit.device.pump_rig import DAY, FREE, talking
from tests.unit.device.test_heat_pump import Button

BUDGET = {**FREE, "machine_writes_per_day": 10, "machine_interval_s": 0, "machine_band_w": 0}
NOON = 300 * DAY + DAY // 2


def state(bench):
    return bench.contacts.state


def offsets(bench, count, step=20):
    """Moves the offset so often; the last one is answered."""
    for i in range(count):
        bench.ask(KIND_OFFSET, -200 + i % 2 * step)
        bench.run(1)


# --- the budget of writes -------------------------------------------------------------------------------------------


def test_a_machine_without_wear_has_no_budget():
    bench = talking(BUDGET)
    offsets(bench, 40)
    assert bench.machine.writes == 40 and bench.device.read(OBJ_MACHINE_WRITES) == ABSENT
    assert bench.device.reason == REASON_NONE and not bench.alarms


def test_what_the_budget_refuses_is_said_and_the_way_back_is_kept():
    bench = talking(BUDGET, wears=True)
    assert bench.device.read(OBJ_MACHINE_WRITES) == 10
    offsets(bench, 9)
    assert bench.machine.writes == 9 and bench.device.read(OBJ_MACHINE_WRITES) == 1
    assert bench.device.reason == REASON_NONE and not bench.alarms
    offsets(bench, 2)
    assert bench.machine.writes == 9, "the tenth is for the way back"
    assert bench.device.reason == REASON_WRITES
    assert bench.alarms == [(ALARM_WRITES, 1, 9, ABSENT)]
    assert bench.device.check(KIND_OFFSET, 100, ABSENT) == REASON_WRITES
    assert bench.device.write(bench.now_s, OBJ_HOT_WATER_SETPOINT, 5000) == REASON_WRITES
    bench.ask()
    bench.run(1)
    assert bench.machine.normal and bench.device.read(OBJ_MACHINE_WRITES) == 0
    assert bench.device.reason == REASON_NONE


def test_each_register_that_is_away_keeps_its_own_way_back():
    bench = talking(BUDGET, wears=True)
    assert bench.device.write(0, OBJ_HOT_WATER_SETPOINT, 5000) == REASON_NONE
    bench.ask(KIND_OFFSET, 100, limit_w=4500)
    bench.run(1)
    assert bench.machine.writes == 3
    for limit_w in (3000, 4500) * 10:
        bench.ask(KIND_OFFSET, 100, limit_w=limit_w)
        bench.run(1)
    assert bench.machine.writes == 7 and bench.device.read(OBJ_MACHINE_WRITES) == 3
    bench.device.close()
    assert bench.machine.normal and bench.machine.writes == 10


def test_a_limit_that_cannot_be_written_any_more_is_kept_by_a_lock():
    bench = talking(BUDGET, wears=True)
    for limit_w in (4500, 3000) * 6:
        bench.ask(limit_w=limit_w, decider=DECIDER_LIMIT)
        bench.run(1)
    assert bench.machine.limit_w == 4500, "the ninth"
    assert state(bench) == 1 and bench.device.reason == REASON_WRITES
    bench.ask(limit_w=5000, decider=DECIDER_LIMIT)
    bench.run(1)
    assert state(bench) == 2 and bench.machine.limit_w == 4500 and bench.device.reason == REASON_NONE
    bench = talking({**BUDGET, "lock_below": False}, wears=True)
    for limit_w in (4500, 3000) * 6:
        bench.ask(limit_w=limit_w, decider=DECIDER_LIMIT)
        bench.run(1)
    assert state(bench) == 2 and bench.device.reason == REASON_WRITES, "where it must not be locked it says so"


def test_comfort_lifts_a_limit_with_the_last_write():
    bench = talking(BUDGET, wears=True)
    for limit_w in (4500, 3000) * 5:
        bench.ask(limit_w=limit_w, decider=DECIDER_LIMIT)
        bench.run(1)
    bench.room.value = 1800
    bench.run(1)
    assert bench.machine.normal and bench.device.reason == REASON_COMFORT and bench.machine.writes == 10


def test_the_budget_is_a_day_s_and_the_alarm_goes_with_it():
    bench = talking(BUDGET, wears=True, utc_s=NOON)
    offsets(bench, 12)
    bench.ask()
    bench.minutes(12 * 60 + 1)
    assert bench.device.read(OBJ_MACHINE_WRITES) == 10, "midnight of UTC"
    assert bench.alarms[-1][:2] == (ALARM_WRITES, 0)
    offsets(bench, 3)
    assert bench.machine.offset == -200 and bench.device.read(OBJ_MACHINE_WRITES) == 7


def test_without_a_clock_a_day_is_one_of_running_time():
    bench = talking(BUDGET, wears=True)
    offsets(bench, 12)
    bench.ask()
    bench.minutes(23 * 60)
    assert bench.device.read(OBJ_MACHINE_WRITES) == 0
    bench.minutes(61)
    assert bench.device.read(OBJ_MACHINE_WRITES) == 10


@pytest.mark.parametrize("known", [True, False])
def test_restarts_do_not_renew_the_budget(known):
    bench = talking(BUDGET, wears=True, utc_s=NOON if known else ABSENT)
    for i in range(30):
        bench.ask(KIND_OFFSET, 100 + 20 * (i % 2))
        bench.run(1)
        bench.reboot(power_cut=True)
        bench.run(1)
    assert bench.machine.writes <= 11, "and at most the one release too many"
    assert bench.device.read(OBJ_MACHINE_WRITES) == 0


def test_a_clock_that_jumps_to_and_fro_does_not_renew_it():
    bench = talking(BUDGET, wears=True, utc_s=NOON)
    bench.run(1)
    for i in range(40):
        bench.utc_s = NOON + (i % 3) * DAY
        bench.ask(KIND_OFFSET, 100 + 20 * (i % 2))
        bench.run(1)
    assert bench.machine.writes <= 10


def test_a_controller_that_died_leaves_nothing_behind():
    bench = talking(BUDGET, wears=True)
    bench.ask(KIND_OFFSET, -200, limit_w=3000)
    bench.run(1)
    bench.hardware.power_cut()
    bench.boot()
    assert bench.machine.normal, "the first thing of the next start"
    bench.machine.told.clear()
    bench.boot()
    bench.boot()
    assert not bench.machine.told, "and nothing is told where nothing was away"


def test_a_controller_that_dies_within_a_write_leaves_nothing_behind():
    bench = talking(BUDGET, wears=True)
    bench.reboot()
    put = bench.machine.set_offset

    def torn(c100):
        put(c100)
        raise KeyboardInterrupt

    bench.machine.set_offset = torn
    with pytest.raises(KeyboardInterrupt):
        bench.ask(KIND_OFFSET, -200)
    assert not bench.machine.normal
    bench.hardware.power_cut()
    bench.boot()
    assert bench.machine.normal


@pytest.mark.parametrize(
    ("interval_s", "band_w", "limits", "told", "sentence"),
    [
        (0, 50, (3000, 3030, 3049, 3050), [3000, 3050], "a little more is not worth a write"),
        (0, 50, (3000, 2990), [3000, 2990], "less is"),
        (60, 0, (3000, 2900, 2800), [3000], "one at a time"),
    ],
)
def test_dead_band_and_least_interval(interval_s, band_w, limits, told, sentence):
    config = {**FREE, "machine_interval_s": interval_s, "machine_band_w": band_w, "steps": [], "power_min_w": 500}
    bench = talking(config, wears=True)
    for limit_w in limits:
        bench.ask(limit_w=limit_w, decider=DECIDER_LIMIT)
        bench.run(1)
    assert [value for name, value in bench.machine.told if name == "limit_w"] == told, sentence
    if interval_s:
        assert bench.device.reason == REASON_WRITES and 0 < bench.device.hold_s <= 60 and state(bench) == 2
        assert not bench.alarms
        bench.run(60)
        assert bench.machine.limit_w == limits[-1] and bench.device.reason == REASON_NONE
        bench.ask()
        assert bench.machine.normal, "back to normal waits for nothing"


# --- silence --------------------------------------------------------------------------------------------------------


def test_a_machine_that_falls_silent_is_left_in_normal_operation():
    bench = talking(FREE)
    bench.ask(KIND_OFF, limit_w=3000)
    bench.run(10)
    assert state(bench) == 1
    bench.machine.silent = True
    bench.machine.error = 7
    bench.run(2)
    assert state(bench) == 2 and bench.device.reason == REASON_SENSOR and bench.device.decider == DECIDER_GUARD
    assert bench.alarms == [(ALARM_MACHINE_FAULT, 1, ABSENT, ABSENT)]
    bench.ask(KIND_BOOST)
    bench.run(5)
    assert state(bench) == 2, "nor is it forced"
    bench.machine.error = 0
    bench.machine.silent = False
    bench.run(2)
    assert bench.alarms[-1][:2] == (ALARM_MACHINE_FAULT, 0)
    assert state(bench) == 4, "what stands is asked again"


def test_it_is_released_when_it_comes_back_and_then_told_anew():
    bench = talking(FREE)
    bench.ask(KIND_OFFSET, -150, limit_w=3000)
    bench.run(5)
    bench.machine.silent = True
    bench.run(30)
    bench.machine.told.clear()
    bench.machine.silent = False
    bench.run(2)
    assert bench.machine.told[0] == "release"
    assert bench.machine.limit_w == 3000 and bench.machine.offset == -150


def test_a_fault_waits_for_the_minimum_pause():
    bench = talking({"min_run_s": 0, "min_pause_s": 300, "sg_hold_s": 600})
    bench.run(10)
    bench.ask(KIND_OFF)
    bench.load.draw(bench.now_s, 0)
    bench.run(10)
    bench.machine.silent = True
    bench.run(200)
    assert state(bench) == 1
    bench.run(100)
    assert state(bench) == 2


def test_an_error_of_the_machine_is_an_alarm_with_its_code():
    bench = talking(FREE)
    bench.machine.error = 42
    bench.run(1)
    assert bench.alarms == [(ALARM_MACHINE_FAULT, 1, 42, ABSENT)]
    bench.machine.error = 0
    bench.run(1)
    assert bench.alarms[-1] == (ALARM_MACHINE_FAULT, 0, 0, ABSENT)


@pytest.mark.parametrize("end", ["close", "safe"])
def test_every_end_is_normal_operation(end):
    bench = talking(FREE)
    bench.ask(KIND_OFFSET, -150, limit_w=3000)
    bench.run(5)
    bench.ask(KIND_OFF)
    bench.run(5)
    assert state(bench) == 1
    if end == "close":
        bench.device.close()
        assert state(bench) == 2 and bench.machine.normal
        return
    bench.device.safe(bench.now_s)
    assert state(bench) == 2 and bench.machine.normal
    for kind in (KIND_OFF, KIND_ON, KIND_LIMIT, KIND_BOOST):
        assert bench.device.check(kind, 100, ABSENT) == REASON_SAFE_MODE
    bench.ask(KIND_OFFSET, -150, limit_w=0)
    bench.run(100)
    assert state(bench) == 2 and bench.machine.normal and bench.device.reason == REASON_SAFE_MODE


def test_safe_mode_from_the_start_on_touches_nothing():
    bench = talking(FREE)
    bench.safe_mode = True
    bench.reboot()
    bench.device.safe(0)
    bench.run(100)
    assert state(bench) == 2 and bench.machine.normal


# --- SG-Ready over the bus, or none ---------------------------------------------------------------------------------


def over_bus(takes_sg, wears=False, config=None):
    bench = talking({**BUDGET, **(config or {})}, wears=wears)
    machine = bench.machine
    machine.sg = 2
    if takes_sg:
        machine.set_sg = lambda value: machine._tell("sg", value)
    bench.changes = {"parts": {"sg_ready": None}}
    bench.boot()
    bench.step()
    bench.machine.told.clear()
    return bench


def test_sg_ready_goes_over_the_bus_where_there_are_no_contacts():
    bench = over_bus(True)
    services = bench.device.description()["services"]
    assert services & SERVICE_SG_READY and services & SERVICE_ON_OFF and services & SERVICE_BOOST
    bench.ask(KIND_OFF)
    assert bench.machine.sg == 1
    bench.ask(KIND_SG_READY, 3)
    assert bench.machine.sg == 3
    bench.ask()
    assert bench.machine.sg == 2
    bench.ask(KIND_OFF)
    bench.run(7200)
    assert bench.machine.sg == 2, "two hours there, too"
    bench.device.power_failed(bench.now_s)


def test_the_budget_covers_sg_ready_over_the_bus():
    bench = over_bus(True, wears=True)
    for _ in range(10):
        bench.ask(KIND_BOOST)
        bench.run(1)
        bench.ask()
        bench.run(1)
    assert bench.machine.writes == 10 and bench.machine.sg == 2
    bench.ask(KIND_BOOST)
    bench.run(1)
    assert bench.machine.sg == 2 and bench.device.reason == REASON_WRITES


def test_a_machine_that_cannot_be_locked_says_so_and_keeps_its_smallest_step():
    bench = over_bus(False)
    fields = bench.device.description()
    assert fields["services"] & (SERVICE_SG_READY | SERVICE_ON_OFF | SERVICE_BOOST | SERVICE_BAND) == 0
    assert fields["services"] & SERVICE_LIMIT and fields["services"] & SERVICE_OFFSET
    assert fields["services"] & SERVICE_FORECAST
    for kind in (KIND_OFF, KIND_BOOST, KIND_SG_READY):
        assert bench.device.check(kind, 2, ABSENT) == REASON_NOT_SUPPORTED
    bench.ask(limit_w=100, decider=DECIDER_FAILSAFE)
    bench.run(2)
    assert bench.machine.limit_w == 1500


def test_the_machine_s_own_power_stands_in_for_a_meter():
    bench = talking(FREE)
    bench.changes = {"parts": {"meter": None}}
    bench.machine.power_w = 1234
    bench.boot()
    bench.run(3)
    assert bench.device.read(OBJ_POWER) == 1234 and bench.device.compressor.running


# --- the household --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "decider", "sg_state", "limit_w", "said", "sentence"),
    [
        (None, DECIDER_LIMIT, 2, 3000, [True], "by default set-points, not limits"),
        ("not_limits", DECIDER_LIMIT, 2, 3000, [True], "set-points, not limits"),
        ("yes", DECIDER_LIMIT, 2, ABSENT, [True], "limits too"),
        ("yes", DECIDER_FAILSAFE, 2, 3000, [True], "but not those that hold while the EMD is gone"),
        ("no", DECIDER_LIMIT, 1, ABSENT, [], "nothing"),
    ],
)
def test_what_the_button_overrides(policy, decider, sg_state, limit_w, said, sentence):
    bench = talking({**FREE, **({"override": policy} if policy else {})})
    bench.board.button = Button()
    bench.ask(KIND_OFF, limit_w=3000, decider=decider)
    bench.board.button.event = 1
    bench.run(1)
    assert (state(bench), bench.machine.limit_w, bench.overrides) == (sg_state, limit_w, said), sentence
    if limit_w == ABSENT and said:
        assert bench.device.reason == REASON_OVERRIDE and bench.device.decider == DECIDER_OVERRIDE
        bench.room.value = 1800
        bench.run(1)
        assert state(bench) == 2, "the comfort floor holds as ever"
    bench.board.button.event = 1
    bench.run(1)
    assert bench.overrides == (said and [True, False]) and (state(bench) == 1 or said)


def test_a_button_that_was_held_asks_for_the_factory_reset():
    bench = talking(FREE)
    bench.board.button = Button()
    bench.board.button.event = 3
    bench.run(1)
    assert bench.resets and not bench.overrides


def test_a_restart_after_a_day_does_not_renew_the_budget():
    bench = talking(BUDGET, wears=True, utc_s=NOON)
    bench.now_s += 2 * DAY
    bench.step()
    offsets(bench, 20)
    used = bench.device.port.used
    assert used >= 8
    bench.reboot(power_cut=True)
    bench.run(5)
    assert bench.device.port.used >= used


def test_what_was_told_to_a_machine_that_was_silent_already_is_told_again():
    bench = talking(BUDGET, wears=True)
    bench.ask(limit_w=3000)
    bench.run(5)
    bench.machine.silent = True
    bench.ask()  # nobody has noticed yet
    bench.run(60)
    bench.machine.silent = False
    bench.run(2)
    assert bench.machine.limit_w == ABSENT


def test_a_limit_in_two_registers_costs_two_writes_there_and_back():
    bench = talking(BUDGET, wears=True)
    port = bench.device.port
    port._limit_cost = 2
    offsets(bench, 6)
    bench.ask(limit_w=3000)
    bench.run(1)
    assert bench.machine.limit_w == ABSENT and bench.contacts.state == 1, "four writes are not left"
