"""Where a person could be hurt, or a machine worn: each test is a way that was found to get there."""

import pytest

from spot.codes import (
    ABSENT,
    ALARM_OVER_CURRENT,
    ALARM_OVER_TEMPERATURE,
    ALARM_RELAY_STUCK,
    ALARM_SENSOR_FAULT,
    ALARM_TAMPER,
    DECIDER_LIMIT,
    OBJ_AUTO_OFF,
    OBJ_COMFORT_HIGH,
    OBJ_COMFORT_LOW,
    OBJ_RELAY,
    R_POWER,
    REASON_NONE,
    REASON_NOT_ENABLED,
    REASON_OUT_OF_RANGE,
)
from tests.unit.device.rig import plug, pump
from tests.unit.device.test_household import closed, latching, pulse
from tests.unit.device.test_protection import mains_bench, odd, sensor


def test_a_welded_relay_that_feeds_into_the_house_is_no_open_one():
    bench, source = odd(power_w=1000)
    bench.run(2)
    bench.press()
    assert not closed(bench)
    bench.run(5)
    source.power_w = -300
    bench.run(5)
    assert bench.alarms[-1][:2] == (ALARM_RELAY_STUCK, 1) and bench.device.read(OBJ_RELAY) == 1
    bench.press()
    assert bench.board.trip.latch, "the button does not take it back while current flows either way"


def test_a_household_that_lifts_a_limit_does_not_lift_what_the_missing_temperature_allows():
    bench = plug({"override": "yes", "limit_grace_s": 5}, watts=3000, temperature=4000)
    bench.ask(limit_w=1000, decider=DECIDER_LIMIT)
    bench.run(3)
    bench.press()  # against the limit: lifts it
    if not closed(bench):
        bench.press()
    bench.run(60)
    assert closed(bench)
    sensor(bench).value = ABSENT
    bench.run(70)
    assert not closed(bench), "3,000 W are more than 70 % of 3,680"


def test_too_hot_is_not_taken_back_when_the_heat_has_taken_the_sensor():
    bench = plug({"over_temperature": 8000}, temperature=5000)
    bench.run(2)
    sensor(bench).value = 9000
    bench.run(3)
    sensor(bench).value = ABSENT
    bench.run(3)
    bench.press()
    assert bench.board.trip.latch == ALARM_OVER_TEMPERATURE
    sensor(bench).value = 3000
    bench.run(2)
    bench.press()
    assert not bench.board.trip.latch


def test_a_mains_that_flickers_within_the_hold_up_does_not_chatter():
    bench = mains_bench(False)
    operations = bench.contact.operations
    for _ in range(60):  # fails for a second, is back for two
        bench.board.power_fail.failed = True
        bench.device.power_failed(bench.now_s)
        bench.run(1)
        bench.board.power_fail.failed = False
        bench.run(2)
    assert bench.contact.operations - operations <= 2
    bench.run(6)
    assert closed(bench)


@pytest.mark.parametrize("config", [{"power_on_s": 20}, {"min_off_s": 20}])
def test_a_latching_relay_waits_after_a_power_cut_as_any_other_does(config):
    bench = latching(config)
    pulse(bench, 25)
    assert closed(bench)
    bench.hardware.power_cut()
    bench.hardware.line(6).level = bench.hardware.line(3).level = 1
    bench.boot()
    bench.ask()
    pulse(bench, 15)
    assert not closed(bench)
    pulse(bench, 8)
    assert closed(bench), "as the household left it"


def test_a_night_of_feeding_in_is_no_peak_that_cannot_be_kept():
    bench, source = odd(power_w=-800)
    bench.run(2)
    assert bench.device.take_peak(bench.now_s) >= 0
    bench.run(3)
    assert bench.device.take_peak(bench.now_s) == 0 and bench.device.readings[R_POWER] == -800
    bench.run(1)
    bench.device.close()
    bench.reboot()
    assert bench.device.peak_w == 0


def test_an_alarm_that_comes_and_goes_all_day_costs_few_writes():
    bench = plug()
    bench.run(2)
    bench.alarms.clear()
    for minute in range(8 * 60):
        bench.chip.dead = minute % 2 == 0
        bench.jump(60)
    said = [row[1] for row in bench.alarms if row[0] == ALARM_SENSOR_FAULT]
    assert 10 < len(said) <= 36 and said == [1, 0] * (len(said) // 2) + [1] * (len(said) % 2)
    bench.chip.dead = False
    bench.jump(7200)
    assert [row[1] for row in bench.alarms if row[0] == ALARM_SENSOR_FAULT][-1] == 0, "what is over is said at last"


def test_a_limit_that_is_crossed_all_day_costs_few_writes():
    bench = plug({"alarm_delay_s": 1})
    for turn in range(21600 // 4):
        bench.mains.volts_10mv = 25800 if turn % 2 else 23000
        bench.run(4)
    assert 10 < len(bench.alarms) <= 36
    bench.mains.volts_10mv = 23000
    bench.run(3700)
    assert bench.alarms[-1][1] == 0


def test_neither_a_factory_reset_nor_safe_mode_takes_a_trip_back():
    bench = plug()
    bench.run(2)
    bench.load.draw(bench.now_s, 5000)
    bench.run(2)
    assert bench.board.trip.latch == ALARM_OVER_CURRENT
    bench.store.put("wipe", bench.device.counters.products())
    bench.reboot()
    assert bench.store.get("plug") is None
    bench.run(10)
    assert not closed(bench) and bench.board.trip.latch == ALARM_OVER_CURRENT
    bench.load.draw(bench.now_s, 500)
    bench.press()
    bench.press()
    assert closed(bench)
    bench.reboot(power_cut=True)
    bench.run(10)
    assert closed(bench), "it was taken back for good"


def test_a_button_that_is_stuck_is_said():
    bench = plug()
    line = bench.hardware.line(3)
    line.drive(0)
    bench.run(29)
    assert bench.alarms == []
    bench.run(4)
    assert bench.alarms == [(ALARM_TAMPER, 1, ABSENT, ABSENT)] and bench.resets == []
    line.drive(1)
    bench.run(3)
    assert bench.alarms[1:] == [(ALARM_TAMPER, 0, ABSENT, ABSENT)] and bench.resets == []


def test_an_emd_does_not_lengthen_an_auto_off_that_was_set_at_the_device():
    bench = plug({"auto_off_s": 600})
    for value, reason in ((0, REASON_NOT_ENABLED), (601, REASON_NOT_ENABLED), (300, REASON_NONE), (600, REASON_NONE)):
        assert bench.device.write(bench.now_s, OBJ_AUTO_OFF, value) == reason, value
    bench.press(held_ms=3500)  # remote closing
    assert bench.device.write(bench.now_s, OBJ_AUTO_OFF, 0) == REASON_NONE


def test_a_sensor_that_comes_and_goes_all_day_costs_few_writes():
    bench = pump()
    bench.run(90)
    for turn in range(480):
        bench.flow.value = 3500 if turn % 2 else ABSENT
        bench.run(3)
        bench.now_s += 57
    said = [row[1] for row in bench.alarms if row[0] == ALARM_SENSOR_FAULT]
    assert 10 < len(said) <= 36
    bench.now_s += 3700
    bench.flow.value = 3500
    bench.run(3)
    assert not [row[1] for row in bench.alarms if row[0] == ALARM_SENSOR_FAULT][-1]


def test_a_comfort_floor_beyond_its_range_is_refused_over_the_wire():
    bench = pump()
    assert bench.device.write(bench.now_s, OBJ_COMFORT_HIGH, 3500) == REASON_NONE
    assert bench.device.write(bench.now_s, OBJ_COMFORT_LOW, 3001) == REASON_OUT_OF_RANGE, "it would never be locked"
    assert bench.device.write(bench.now_s, OBJ_COMFORT_LOW, 3000) == REASON_NONE


def test_a_power_fail_input_that_is_broken_does_not_keep_the_load_off_for_good():
    bench = mains_bench(False)
    bench.board.power_fail.failed = True
    bench.device.power_failed(bench.now_s)
    bench.run(59)
    assert not closed(bench)
    bench.run(2)
    assert closed(bench)
