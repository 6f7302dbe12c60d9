"""Protection of the plug: what opens it, how that recovers, the contact's supervision, its temperature, odd samples."""

import pytest

from spot.codes import (
    ABSENT,
    ALARM_OVER_TEMPERATURE,
    ALARM_RELAY_STUCK,
    ALARM_SENSOR_FAULT,
    DECIDER_GUARD,
    DECIDER_TRIP,
    KIND_OFF,
    KIND_ON,
    OBJ_DEVICE_TEMPERATURE,
    OBJ_POWER,
    OBJ_RELAY,
    R_DEVICE_TEMPERATURE,
    R_POWER,
    R_STATE,
    R_VOLTAGE,
    REASON_NONE,
    REASON_PROTECTION,
    REASON_SENSOR,
    SWITCH_CLOSED,
    SWITCH_TRIPPED,
)
from tests.unit.device.rig import plug

SENSE = 9


def closed(bench):
    return bench.contact.closed


def sensor(bench):
    return bench.hardware.sensors["device"]


# --- temperature ----------------------------------------------------------------------------------------------------


def test_too_hot_opens_on_the_second_look_and_latches_until_the_button():
    bench = plug({"over_temperature": 8000}, temperature=5000)
    bench.run(2)
    assert closed(bench) and bench.device.read(OBJ_DEVICE_TEMPERATURE) == 5000
    sensor(bench).value = 8001
    bench.run(1)
    assert closed(bench), "one look is none"
    bench.run(1)
    assert not closed(bench) and bench.alarms == [(ALARM_OVER_TEMPERATURE, 1, 8001, 8000)]
    assert bench.device.decider == DECIDER_TRIP and bench.device.readings[R_STATE] & SWITCH_TRIPPED
    bench.press()
    assert bench.device.decider == DECIDER_TRIP, "the button does not take it back while it is hot"
    sensor(bench).value = 4000
    bench.run(1000)
    assert not closed(bench)
    bench.press()
    assert bench.alarms[-1] == (ALARM_OVER_TEMPERATURE, 0, ABSENT, ABSENT) and not closed(bench)
    bench.press()
    assert closed(bench)


def test_it_works_with_a_meter_that_is_silent():
    bench = plug(temperature=5000)
    bench.run(2)
    bench.chip.dead = True
    sensor(bench).value = 9900
    bench.run(3)
    assert not closed(bench) and bench.device.decider == DECIDER_TRIP


@pytest.mark.parametrize("nonsense", [-5501, 15001, 1_000_000])
def test_a_temperature_outside_physics_is_no_temperature(nonsense):
    bench = plug(temperature=5000)
    bench.run(2)
    sensor(bench).value = nonsense
    bench.run(5)
    assert closed(bench) and bench.device.readings[R_DEVICE_TEMPERATURE] == ABSENT and bench.board.trip.implausible
    assert ALARM_OVER_TEMPERATURE not in [row[0] for row in bench.alarms]


def test_without_its_temperature_a_board_that_has_a_sensor_carries_seventy_percent():
    bench = plug({"limit_grace_s": 30}, watts=3000, temperature=5000)
    bench.run(10)
    sensor(bench).value = ABSENT
    bench.run(59)
    assert not bench.alarms, "a moment is none"
    bench.run(2)
    assert bench.alarms == [(ALARM_SENSOR_FAULT, True, OBJ_DEVICE_TEMPERATURE, ABSENT)]
    assert closed(bench) and bench.device.reason
    bench.run(32)
    assert not closed(bench) and (bench.device.reason, bench.device.decider) == (REASON_SENSOR, DECIDER_GUARD)
    bench.run(600)
    assert not closed(bench)
    sensor(bench).value = 5000
    bench.run(59)
    assert not closed(bench)
    bench.run(3)
    assert closed(bench) and bench.alarms[-1][:2] == (ALARM_SENSOR_FAULT, False), "the sensor is back: so is the load"


def test_a_load_under_the_derated_power_is_left_alone():
    bench = plug(watts=2500, temperature=5000)
    sensor(bench).value = ABSENT
    bench.run(600)
    assert closed(bench) and bench.device.reason == REASON_NONE


def test_a_board_without_a_sensor_is_not_derated():
    bench = plug(watts=3600)
    bench.run(600)
    assert closed(bench) and bench.device.readings[R_DEVICE_TEMPERATURE] == ABSENT


def test_an_over_temperature_is_kept_over_a_restart():
    bench = plug(temperature=5000)
    sensor(bench).value = 9900
    bench.run(3)
    bench.alarms.clear()
    sensor(bench).value = 3000
    bench.reboot(power_cut=True)
    bench.run(10)
    assert not closed(bench) and bench.alarms == [(ALARM_OVER_TEMPERATURE, 1, ABSENT, ABSENT)]


# --- the contact ----------------------------------------------------------------------------------------------------


def test_a_welded_contact_shows_in_the_read_back_where_no_current_does():
    bench = plug(watts=0, sense=SENSE)
    bench.run(3)
    bench.contact.welded = True
    bench.ask(KIND_OFF)
    bench.run(6)
    assert bench.alarms == [(ALARM_RELAY_STUCK, 1, 0, 10)] and bench.device.read(OBJ_RELAY) == 1
    assert bench.device.readings[R_STATE] & SWITCH_CLOSED
    bench.press()
    assert bench.alarms[-1][1] == 1 and bench.device.readings[R_STATE] & SWITCH_CLOSED, "still welded"
    bench.contact.welded = False
    bench.run(3)
    bench.press()
    assert bench.alarms[-1][:2] == (ALARM_RELAY_STUCK, 0) and bench.device.read(OBJ_RELAY) == 0


def test_a_welded_contact_is_told_to_open_again_and_never_to_close():
    bench = plug()
    bench.run(3)
    bench.contact.welded = True
    told = []
    bench.hardware.line(2).watch(lambda now_s, level: told.append(level))
    bench.ask(KIND_OFF)
    bench.run(100)
    assert told == [0]


def test_a_contact_that_stays_open_gets_three_more_attempts_and_is_said_to_be_open():
    bench = plug(sense=SENSE)
    bench.run(3)
    bench.press()
    bench.run(3)
    bench.contact.stuck_open = True
    tries = []
    bench.hardware.line(2).watch(lambda now_s, level: tries.append(level))
    bench.press()
    bench.run(3)
    assert bench.device.read(OBJ_RELAY) == 0 and not bench.device.readings[R_STATE] & SWITCH_CLOSED
    bench.run(60)
    assert tries.count(1) == 4, "the first, and three more"
    assert bench.alarms == [(ALARM_RELAY_STUCK, 1, 0, 0)] and bench.device.decider == DECIDER_TRIP
    assert not bench.board.relay.closed, "what closes some day by itself must not surprise"
    bench.contact.stuck_open = False
    bench.press()
    bench.press()
    bench.run(5)
    assert closed(bench) and bench.alarms[-1][:2] == (ALARM_RELAY_STUCK, 0)


def test_an_attempt_that_succeeds_is_enough():
    bench = plug(sense=SENSE)
    bench.run(3)
    bench.press()
    bench.contact.stuck_open = True
    bench.press()
    bench.run(3)
    bench.contact.stuck_open = False
    bench.run(30)
    assert closed(bench) and bench.device.read(OBJ_RELAY) == 1 and bench.alarms == []


def test_without_a_read_back_a_load_that_draws_nothing_says_nothing_about_the_contact():
    bench = plug()
    bench.run(3)
    bench.contact.stuck_open = True
    bench.run(300)
    assert bench.alarms == [] and bench.device.read(OBJ_RELAY) == 1


# --- samples outside physics ----------------------------------------------------------------------------------------


class Odd:
    """A direct meter's source that says what it is told."""

    def __init__(self):
        self.power_w, self.current_ma, self.voltage_10mv = 1000, 4348, 23000
        self.frequency_mhz, self.energy_wh = 50000, 0

    def sample(self, now_s):
        return True


def odd(**values):
    bench = plug(changes={"parts": {"meter": {"driver": "direct_meter", "period_s": 1}}})
    source = Odd()
    bench.board.meter._source = source
    bench.run(2)
    for name, value in values.items():
        setattr(source, name, value)
    return bench, source


@pytest.mark.parametrize("values", [
    {"power_w": 150001}, {"power_w": -150001}, {"power_w": ABSENT}, {"current_ma": 400001}, {"current_ma": -5},
    {"voltage_10mv": 60001}, {"voltage_10mv": -1},
])
def test_what_cannot_be_is_not_used_and_three_in_a_row_are_an_alarm(values):
    bench, source = odd(**values)
    bench.run(2)
    assert bench.device.readings[R_POWER] == 1000 and bench.alarms == []
    assert bench.board.trip.implausible == (0 if ABSENT in values.values() else 2)  # the trip is told ABSENT on purpose
    bench.run(1)
    assert bench.alarms == [(ALARM_SENSOR_FAULT, 1, OBJ_POWER, ABSENT)] and closed(bench)
    assert bench.device.readings[R_VOLTAGE] == ABSENT, "the latest good ones get old"
    source.power_w, source.current_ma, source.voltage_10mv = 900, 4000, 23000
    bench.run(1)
    assert bench.alarms[-1][:2] == (ALARM_SENSOR_FAULT, 0) and bench.device.readings[R_POWER] == 900


def test_what_a_fault_of_the_mains_can_cause_does_trip():
    bench, _ = odd(current_ma=399999)
    bench.run(1)
    assert not closed(bench) and bench.device.reason == REASON_PROTECTION


def test_a_meter_that_says_what_cannot_be_cannot_show_that_a_limit_is_kept():
    bench, source = odd(power_w=999999)
    bench.ask(limit_w=2000)
    bench.run(60)
    assert not closed(bench)


# --- the mains ------------------------------------------------------------------------------------------------------


def mains_bench(hold, **config):
    bench = plug(config, changes={"relay_hold": hold, "parts": {"power_fail": {"driver": "power_fail", "pin": 11}}})
    bench.hardware.line(11).drive(1)
    bench.run(3)
    return bench


@pytest.mark.parametrize("hold", [False, True])
def test_a_relay_that_burns_the_hold_up_is_let_go_and_comes_back_after_its_least_time_off(hold):
    bench = mains_bench(hold, min_off_s=30)
    bench.run(30)
    assert closed(bench)
    bench.board.power_fail.failed = True
    bench.device.power_failed(bench.now_s)
    assert closed(bench) is hold
    bench.run(3)
    assert closed(bench) is hold and (hold or bench.device.decider == DECIDER_GUARD)
    bench.board.power_fail.failed = False
    bench.run(29)
    assert closed(bench) is hold
    bench.run(3)
    assert closed(bench)
    assert bench.device.reason == REASON_NONE


def test_a_command_does_not_close_while_the_mains_is_away():
    bench = mains_bench(False, remote_close=True)
    bench.board.power_fail.failed = True
    bench.device.power_failed(bench.now_s)
    bench.ask(KIND_ON)
    bench.run(10)
    assert not closed(bench)
