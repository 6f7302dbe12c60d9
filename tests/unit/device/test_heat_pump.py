"""The heat pump's rules, each with a sentence, on simulated SG-Ready contacts, meter and sensors."""

import pytest

from spot.codes import (
    ABSENT,
    ALARM_SENSOR_FAULT,
    DECIDER_DEFAULT,
    DECIDER_FAILSAFE,
    DECIDER_GUARD,
    DECIDER_LIMIT,
    DECIDER_OVERRIDE,
    DECIDER_SET_POINT,
    KIND_BAND,
    KIND_BOOST,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_OFF,
    KIND_OFFSET,
    KIND_ON,
    KIND_SCHEDULE,
    KIND_SG_READY,
    KIND_SHUTDOWN,
    OBJ_COMFORT_HIGH,
    OBJ_COMFORT_LOW,
    OBJ_COMPRESSOR,
    OBJ_POWER,
    OBJ_RELAY,
    OBJ_ROOM_TEMPERATURE,
    OBJ_SETPOINT_OFFSET,
    OBJ_SG_STATE,
    OBJ_STARTS,
    R_FLOW_TEMPERATURE,
    R_OUTDOOR_TEMPERATURE,
    R_ROOM_TEMPERATURE,
    R_SG_STATE,
    R_STATE,
    REASON_BELOW_MINIMUM,
    REASON_COMFORT,
    REASON_DIRECTION,
    REASON_FROST,
    REASON_MAX_BLOCK,
    REASON_MIN_PAUSE,
    REASON_MIN_RUN,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_ON_OFF_ONLY,
    REASON_OUT_OF_RANGE,
    REASON_OVERRIDE,
    REASON_STARTS,
    SERVICE_BAND,
    SERVICE_OFFSET,
    SWITCH_CLOSED,
    SWITCH_OVERRIDE,
    SWITCH_RUNNING,
)
from tests.unit.device.rig import pump

FREE = {"min_run_s": 0, "min_pause_s": 0, "sg_hold_s": 0}  # guards that are not what a test is about


def state(bench):
    return bench.contacts.state


# --- set-points -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "sg_state", "sentence"),
    [
        (KIND_OFF, ABSENT, 1, "off locks"),
        (KIND_SHUTDOWN, ABSENT, 1, "shutdown locks"),
        (KIND_ON, ABSENT, 2, "on releases; the pump knows when to run"),
        (KIND_BOOST, ABSENT, 4, "boost forces"),
        (KIND_SG_READY, 1, 1, "SG-Ready states are taken over"),
        (KIND_SG_READY, 2, 2, "SG-Ready states are taken over"),
        (KIND_SG_READY, 3, 3, "SG-Ready states are taken over"),
        (KIND_SG_READY, 4, 4, "SG-Ready states are taken over"),
        (ABSENT, ABSENT, 2, "nothing asked: normal operation"),
    ],
)
def test_set_points_become_sg_ready_states(kind, value, sg_state, sentence):
    bench = pump(FREE)
    bench.ask(kind, value)
    assert state(bench) == sg_state, sentence
    assert bench.device.readings[R_SG_STATE] == sg_state and bench.device.read(OBJ_SG_STATE) == sg_state
    assert bench.device.read(OBJ_RELAY) == (sg_state != 1)
    assert bench.device.reason == REASON_NONE
    bench.ask()
    assert state(bench) == 2 and bench.device.decider == DECIDER_DEFAULT


@pytest.mark.parametrize("start", [1, 2, 3, 4])
@pytest.mark.parametrize("end", [1, 2, 3, 4])
def test_no_change_shows_the_pump_a_state_that_was_not_meant(start, end):
    bench = pump(FREE)
    bench.ask(KIND_SG_READY, start)
    bench.contacts.seen.clear()
    bench.ask(KIND_SG_READY, end)
    through = {(2, 4): [3], (4, 2): [3], (1, 3): [2], (3, 1): [2]}
    expected = [] if start == end else [*through.get((start, end), []), end]
    assert bench.contacts.seen == expected


def test_an_offset_goes_to_the_machine_and_back():
    bench = pump(FREE)
    bench.ask(KIND_OFFSET, -150)
    bench.run(5)
    assert bench.machine.offsets == [-150] and bench.device.read(OBJ_SETPOINT_OFFSET) == -150 and state(bench) == 2
    bench.ask()
    assert bench.machine.offsets == [-150, 0]


def test_a_band_recommends_below_locks_above_and_is_normal_within():
    bench = pump(FREE)
    bench.ask(KIND_BAND, 2050, 2200)
    seen = []
    for room in (2100, 2049, 2070, 2080, 2200, 2201, 2180, 2170):
        bench.room.value = room
        bench.run(1)
        seen.append(state(bench))
    assert seen == [2, 3, 3, 2, 2, 1, 1, 2]
    bench.room.value = ABSENT
    bench.run(1)
    assert state(bench) == 2, "no reading: normal"


def test_a_new_band_starts_from_normal():
    bench = pump(FREE)
    bench.ask(KIND_BAND, 2150, 2300)
    assert state(bench) == 3
    bench.ask()
    bench.room.value = 2160
    bench.run(1)
    bench.ask(KIND_BAND, 2150, 2300)
    assert state(bench) == 2


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit_w", "step", "sg_state", "reason", "power_w"),
    [
        (7000, ABSENT, 2, REASON_NONE, 2000),
        (6000, ABSENT, 2, REASON_NONE, 2000),
        (5999, 4500, 2, REASON_NONE, 2000),
        (3000, 3000, 2, REASON_NONE, 2000),
        (2999, 1500, 2, REASON_NONE, 1500),
        (1500, 1500, 2, REASON_NONE, 1500),
        (1499, 1500, 1, REASON_BELOW_MINIMUM, 10),
        (0, 1500, 1, REASON_BELOW_MINIMUM, 10),
    ],
)
def test_a_limit_takes_the_largest_step_under_it_and_locks_below_the_smallest(limit_w, step, sg_state, reason, power_w):
    bench = pump(FREE)
    bench.run(2)
    bench.ask(limit_w=limit_w, decider=DECIDER_LIMIT)
    assert bench.device.port.values[0] == step and state(bench) == sg_state
    assert bench.machine.limits == ([] if step == ABSENT else [step])
    assert (bench.device.reason, bench.device.power_w, bench.device.decider) == (reason, power_w, DECIDER_LIMIT)
    bench.ask()
    assert bench.machine.limits[-1:] == ([] if step == ABSENT else [ABSENT]) and state(bench) == 2


def test_a_pump_that_is_not_to_be_locked_goes_to_its_smallest_step():
    bench = pump({**FREE, "lock_below": False})
    bench.ask(limit_w=100, decider=DECIDER_FAILSAFE)
    assert state(bench) == 2 and bench.machine.limits == [1500]
    assert bench.device.reason == REASON_BELOW_MINIMUM and bench.device.decider == DECIDER_FAILSAFE


def test_sg_ready_alone_cannot_express_watts_and_locks():
    bench = pump(FREE, machine=False)
    description = bench.device.description()
    assert description["limit_min"] == 6000 and "steps" not in description
    assert not description["services"] & SERVICE_OFFSET
    bench.ask(limit_w=4200, decider=DECIDER_LIMIT)
    assert state(bench) == 1 and bench.device.reason == REASON_ON_OFF_ONLY
    assert bench.device.check(KIND_OFFSET, 100, ABSENT) == REASON_NOT_SUPPORTED


def test_a_set_point_is_capped_by_the_limit():
    bench = pump(FREE)
    bench.ask(KIND_BOOST, limit_w=3000, decider=DECIDER_SET_POINT)
    assert state(bench) == 4 and bench.machine.limits == [3000] and bench.device.decider == DECIDER_LIMIT
    assert bench.device.power_w <= 3000


@pytest.mark.parametrize(
    ("kind", "value", "value2", "reason"),
    [
        (KIND_OFF, ABSENT, ABSENT, REASON_NONE),
        (KIND_SG_READY, 0, ABSENT, REASON_OUT_OF_RANGE),
        (KIND_SG_READY, 5, ABSENT, REASON_OUT_OF_RANGE),
        (KIND_LIMIT, 500, 0, REASON_NONE),
        (KIND_LIMIT, 500, 1, REASON_DIRECTION),
        (KIND_LIMIT, -1, 0, REASON_OUT_OF_RANGE),
        (KIND_LIMIT_PERCENT, 101, 0, REASON_OUT_OF_RANGE),
        (KIND_OFFSET, 301, ABSENT, REASON_OUT_OF_RANGE),
        (KIND_OFFSET, ABSENT, ABSENT, REASON_OUT_OF_RANGE),
        (KIND_BAND, 1900, 2100, REASON_NONE),
        (KIND_BAND, 2100, 1900, REASON_OUT_OF_RANGE),
        (KIND_BAND, 1900, ABSENT, REASON_OUT_OF_RANGE),
        (KIND_SCHEDULE, ABSENT, ABSENT, REASON_NOT_SUPPORTED),
    ],
)
def test_what_a_pump_can_be_asked(kind, value, value2, reason):
    assert pump().device.check(kind, value, value2) == reason


# --- guards ---------------------------------------------------------------------------------------------------------


def test_minimum_run_counts_from_the_measured_start():
    bench = pump({"min_run_s": 600, "min_pause_s": 0, "sg_hold_s": 0}, watts=0)
    bench.run(1000)
    bench.load.draw(bench.now_s, 2000)
    bench.run(100)
    assert bench.device.read(OBJ_COMPRESSOR) == 1
    bench.ask(KIND_OFF)
    assert state(bench) == 2 and bench.device.reason == REASON_MIN_RUN and bench.device.decider == DECIDER_GUARD
    assert bench.device.hold_s == 501, "the start was measured one second after it happened"
    bench.run(500)
    assert state(bench) == 2
    bench.run(1)
    assert state(bench) == 1 and bench.device.reason == REASON_NONE


def test_a_decision_stands_on_a_fresh_sample_where_the_meter_is_slow():
    bench = pump({"min_run_s": 600, "min_pause_s": 0, "sg_hold_s": 0}, watts=0, board="sim_heat_pump")
    bench.jump(6000)
    bench.load.draw(bench.now_s, 2000)
    bench.now_s += 10  # no step in between: the meter wants one a minute
    bench.ask(KIND_OFF)
    assert state(bench) == 2 and bench.device.reason == REASON_MIN_RUN


def test_minimum_pause_counts_from_the_measured_stop_not_from_the_lock():
    bench = pump({"min_run_s": 0, "min_pause_s": 300, "sg_hold_s": 0})
    bench.run(400)
    bench.ask(KIND_OFF)
    bench.run(60)
    bench.load.draw(bench.now_s, 20)  # the pump took a minute to stop
    bench.run(10)
    bench.ask()
    assert state(bench) == 1 and bench.device.reason == REASON_MIN_PAUSE and bench.device.hold_s == 291
    bench.run(291)
    assert state(bench) == 2


def test_a_pump_that_is_released_is_not_locked_by_its_own_pause():
    bench = pump({"min_pause_s": 300})
    bench.run(10)
    bench.load.draw(bench.now_s, 0)
    bench.run(10)
    assert state(bench) == 2 and bench.device.reason == REASON_NONE


@pytest.mark.parametrize(
    ("watts", "kind", "sg_state", "reason"),
    [
        (2000, KIND_OFF, 2, REASON_MIN_RUN),  # it runs: since when is not known, so the run counts from boot
        (0, KIND_OFF, 1, REASON_NONE),  # it stands: it may be locked
    ],
)
def test_after_a_reset_run_and_pause_count_from_boot(watts, kind, sg_state, reason):
    bench = pump({"min_run_s": 600, "min_pause_s": 600, "sg_hold_s": 0}, watts=watts, start_s=5000)
    bench.run(2)
    bench.ask(kind)
    assert state(bench) == sg_state and bench.device.reason == reason
    if watts:
        assert bench.device.hold_s == 598
    else:
        bench.ask()
        assert state(bench) == 1 and bench.device.reason == REASON_MIN_PAUSE and bench.device.hold_s == 598


def test_before_the_first_measurement_after_a_reset_a_running_pump_is_assumed():
    bench = pump({"min_run_s": 600, "sg_hold_s": 0})
    bench.boot()
    bench.ask(KIND_OFF)
    assert state(bench) == 2 and bench.device.reason == REASON_MIN_RUN


def test_starts_per_hour_are_not_exceeded_by_releasing_a_lock():
    bench = pump({**FREE, "starts_per_hour": 2}, watts=0)
    bench.run(1)
    for _ in range(2):
        bench.load.draw(bench.now_s, 2000)
        bench.run(60)
        bench.load.draw(bench.now_s, 0)
        bench.run(60)
    assert bench.device.read(OBJ_STARTS) == 2
    bench.ask(KIND_OFF)
    bench.run(10)
    bench.ask()
    assert state(bench) == 1 and bench.device.reason == REASON_STARTS
    first_start_s = 2
    assert bench.now_s + bench.device.hold_s == first_start_s + 3600
    bench.run(bench.device.hold_s)
    assert state(bench) == 2


def test_a_lock_lasts_two_hours_at_most_then_says_so_and_rests():
    bench = pump({**FREE, "block_pause_s": 1800})
    bench.ask(KIND_OFF)
    start = bench.now_s
    bench.run(7199)
    assert state(bench) == 1
    bench.run(1)
    assert state(bench) == 2 and bench.device.reason == REASON_MAX_BLOCK and bench.device.decider == DECIDER_GUARD
    bench.run(1799)
    assert state(bench) == 2
    bench.run(1)
    assert state(bench) == 1 and bench.now_s - start == 9000
    bench.run(7199)
    assert state(bench) == 1, "rested: it counts anew"


def test_a_short_release_does_not_renew_the_two_hours():
    bench = pump({**FREE, "block_pause_s": 1800})
    bench.ask(KIND_OFF)
    start = bench.now_s
    bench.run(3600)
    bench.ask()
    bench.run(600)
    bench.ask(KIND_OFF)
    bench.run(7200 - 4200 - 1)
    assert state(bench) == 1
    bench.run(1)
    assert state(bench) == 2 and bench.now_s - start == 7200


@pytest.mark.parametrize("cut", [True, False])
def test_a_restart_does_not_renew_the_two_hours(cut):
    """Nor do many: a lock is known to within the quarter of an hour that is kept."""
    bench = pump({"min_run_s": 0, "min_pause_s": 0, "sg_hold_s": 0}, watts=0)
    bench.run(2)
    bench.ask(KIND_OFF)
    begun = bench.now_s
    while bench.now_s - begun < 6900:
        bench.run(1000)
        assert bench.contacts.state == 1, bench.now_s - begun
        bench.hardware.power_cut() if cut else bench.hardware.restart()
        bench.boot()
        bench.step()
        bench.ask(KIND_OFF)
        bench.step()
    locked = 0
    while bench.contacts.state == 1:
        bench.run(1)
        locked += 1
    assert bench.now_s - begun <= 8000 and bench.device.reason == REASON_MAX_BLOCK
    released = bench.now_s
    bench.reboot(power_cut=cut)
    bench.ask(KIND_OFF)
    bench.step()
    assert bench.contacts.state == 2, "nor is the rest cut short"
    while bench.contacts.state != 1:
        bench.run(1)
    assert 1800 <= bench.now_s - released <= 1805
    assert bench.store.writes < 5


def test_a_lock_costs_few_writes():
    bench = pump({"min_run_s": 0, "min_pause_s": 0, "sg_hold_s": 0}, watts=0)
    bench.run(2)
    writes = bench.store.writes
    bench.ask(KIND_OFF)
    bench.run(7100)
    bench.ask()
    bench.run(2000)
    assert bench.store.get("lock") is None
    assert bench.store.writes - writes <= 7100 // 900 + 3 + 9100 // 900


def test_a_long_release_renews_the_two_hours():
    bench = pump({**FREE, "block_pause_s": 1800})
    bench.ask(KIND_OFF)
    bench.run(3600)
    bench.ask()
    bench.run(1800)
    bench.ask(KIND_OFF)
    bench.run(7199)
    assert state(bench) == 1


def test_what_is_left_of_an_old_lock_does_not_shorten_a_new_one():
    bench = pump({**FREE, "block_pause_s": 1800})
    bench.ask(KIND_OFF)
    bench.run(100)
    bench.ask()
    bench.run(7200)
    bench.ask(KIND_OFF)
    assert state(bench) == 1
    bench.run(7199)
    assert state(bench) == 1


def test_a_longest_block_of_the_machine_is_kept_too():
    bench = pump({**FREE, "max_block_s": 600})
    assert bench.device.description()["max_block"] == 600
    bench.ask(KIND_SG_READY, 1)
    bench.run(600)
    assert state(bench) == 2 and bench.device.reason == REASON_MAX_BLOCK


def test_an_sg_ready_state_is_held_for_its_minimum():
    bench = pump({**FREE, "sg_hold_s": 600})
    bench.ask(KIND_SG_READY, 3)
    assert state(bench) == 3, "normal operation since boot need not be held"
    bench.run(10)
    bench.ask(KIND_SG_READY, 4)
    assert state(bench) == 3 and bench.device.hold_s == 590 and bench.device.decider == DECIDER_GUARD
    bench.run(590)
    assert state(bench) == 4


@pytest.mark.parametrize(
    ("sensor", "value", "back", "reason"),
    [("room", 1899, 1930, REASON_COMFORT), ("flow", 499, 530, REASON_FROST), ("room", 699, 1930, REASON_FROST)],
)
def test_comfort_floor_and_frost_lift_whatever_is_asked(sensor, value, back, reason):
    bench = pump({"min_run_s": 0, "min_pause_s": 0, "sg_hold_s": 600, "defrost_flow": 0})
    bench.ask(KIND_OFF, limit_w=2000)
    bench.run(60)
    assert state(bench) == 1
    getattr(bench, sensor).value = value
    bench.run(1)
    assert state(bench) == 2 and bench.device.reason == reason and bench.device.decider == DECIDER_GUARD
    assert bench.machine.limits[-1:] in ([], [ABSENT]), "no power limit either"
    getattr(bench, sensor).value = back - 1
    bench.run(700)
    assert state(bench) == 2, "until it is left behind by the hysteresis"
    getattr(bench, sensor).value = back
    bench.run(1)
    assert state(bench) == 1


def test_a_power_limit_and_a_lower_set_point_are_lifted_by_the_comfort_floor():
    bench = pump(FREE)
    bench.ask(KIND_OFFSET, -200, limit_w=3000)
    bench.run(1)
    assert bench.machine.limits == [3000] and bench.machine.offsets == [-200]
    bench.room.value = 1800
    bench.run(1)
    assert bench.machine.limits == [3000, ABSENT] and bench.machine.offsets == [-200, 0]
    assert bench.device.reason == REASON_COMFORT


def test_comfort_does_not_start_a_compressor_in_its_minimum_pause():
    bench = pump({"min_run_s": 0, "min_pause_s": 300, "sg_hold_s": 0})
    bench.run(10)
    bench.ask(KIND_OFF)
    bench.load.draw(bench.now_s, 0)
    bench.run(10)
    bench.room.value = 1800
    bench.run(1)
    assert state(bench) == 1
    bench.run(289)
    assert state(bench) == 1
    bench.run(1)
    assert state(bench) == 2 and bench.device.reason == REASON_COMFORT


def test_a_cold_room_in_normal_operation_is_no_guard_s_business():
    bench = pump(FREE)
    bench.room.value = 1500
    bench.run(5)
    assert state(bench) == 2 and bench.device.reason == REASON_NONE and bench.device.decider == DECIDER_DEFAULT


# --- the household, objects, faults ---------------------------------------------------------------------------------


def test_the_comfort_band_can_be_written_and_is_kept():
    bench = pump(FREE)
    assert bench.device.write(bench.now_s, OBJ_COMFORT_LOW, 2150) == REASON_NONE
    bench.ask(KIND_OFF)
    assert state(bench) == 2 and bench.device.reason == REASON_COMFORT
    assert bench.device.write(bench.now_s, OBJ_COMFORT_LOW, 2300) == REASON_OUT_OF_RANGE, "not above the upper end"
    assert bench.device.write(bench.now_s, OBJ_COMFORT_HIGH, 4000) == REASON_OUT_OF_RANGE
    bench.reboot()
    assert bench.device.read(OBJ_COMFORT_LOW) == 2150 and bench.device.description()["comfort_low"] == 2150


def test_an_override_returns_to_normal_keeps_the_limit_and_runs_out():
    bench = pump({**FREE, "override_s": 3600})
    bench.board.button = Button()
    bench.ask(KIND_OFF, limit_w=3000)
    bench.board.button.event = 1
    bench.run(1)
    assert state(bench) == 2 and bench.device.reason == REASON_OVERRIDE and bench.machine.limits[-1] == 3000
    assert bench.device.readings[R_STATE] & SWITCH_OVERRIDE and bench.overrides == [True]
    bench.run(3600)
    assert state(bench) == 1 and bench.overrides == [True, False]
    bench.ask()
    bench.board.button.event = 1
    bench.run(1)
    assert bench.overrides == [True, False], "nothing to override"
    assert bench.device.decider == DECIDER_DEFAULT != DECIDER_OVERRIDE


class Button:
    fault = False
    event = 0

    def poll(self):
        return self.event != 0

    def take(self):
        event, self.event = self.event, 0
        return event


def test_readings_and_sensors_that_fail():
    bench = pump(FREE)
    bench.run(2)
    readings = bench.device.readings
    slots = (R_ROOM_TEMPERATURE, R_OUTDOOR_TEMPERATURE, R_FLOW_TEMPERATURE)
    assert [readings[slot] for slot in slots] == [2100, 200, 3500]
    assert readings[R_STATE] == SWITCH_CLOSED | SWITCH_RUNNING
    bench.room.value = ABSENT
    bench.run(1)
    assert bench.device.read(OBJ_ROOM_TEMPERATURE) == ABSENT
    assert (ALARM_SENSOR_FAULT, 1, OBJ_ROOM_TEMPERATURE, ABSENT) in bench.alarms
    bench.room.value = 2100
    bench.run(1)
    assert bench.alarms[-1] == (ALARM_SENSOR_FAULT, 0, OBJ_ROOM_TEMPERATURE, ABSENT)
    bench.hardware.uarts[0].dead = True
    bench.run(10)
    assert bench.alarms[-1] == (ALARM_SENSOR_FAULT, 1, OBJ_POWER, ABSENT)


def test_the_estimate_without_a_command_is_the_mean_of_the_time_without_one():
    bench = pump(FREE, watts=1000)
    bench.run(3600)
    bench.ask(KIND_OFF)
    bench.load.draw(bench.now_s, 20)
    bench.run(600)
    assert abs(bench.device.estimate_w() - 1000) <= 2 and bench.device.power_w == 10
    bench.ask()
    bench.load.draw(bench.now_s, 3000)
    bench.run(900)
    bench.ask(KIND_OFF)
    assert 2200 <= bench.device.estimate_w() <= 2400, "900 s of time constant: 63 % of the way"


def test_the_end_of_the_controller_is_normal_operation():
    bench = pump(FREE)
    bench.ask(KIND_OFF)
    assert state(bench) == 1
    bench.board.close()
    assert state(bench) == 2
    bench.ask(KIND_BOOST)
    bench.ask(KIND_OFF)
    bench.boot()
    assert state(bench) == 2, "boot is normal operation, too"


def test_services_say_what_it_can():
    assert pump().device.description()["services"] & SERVICE_BAND
    bench = pump()
    bench.board.sensors.room = None
    assert not bench.device.description()["services"] & SERVICE_BAND
    assert bench.device.check(KIND_BAND, 1900, 2100) == REASON_NOT_SUPPORTED


def test_a_state_is_held_while_frost_has_released_it_long_ago():
    bench = pump({**FREE, "sg_hold_s": 300})
    bench.room.value = 600
    bench.run(10)
    bench.ask(KIND_BOOST)
    assert bench.contacts.state == 4
    bench.run(60)
    bench.ask()
    bench.run(60)
    assert bench.contacts.state == 4
    bench.run(200)
    assert bench.contacts.state == 2
