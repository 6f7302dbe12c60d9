"""Alarms for voltage, frequency, current, temperature: limit, delay, hysteresis; how they go with the trips."""

from array import array

import pytest

from spot.codes import (
    ABSENT,
    ALARM_FREQUENCY,
    ALARM_OVER_CURRENT,
    ALARM_OVER_TEMPERATURE,
    ALARM_OVER_VOLTAGE,
    ALARM_UNDER_VOLTAGE,
    ALARM_WEAR,
    OBJ_FLASH_WEAR,
    OBJ_RELAY_WEAR,
    R_COUNT,
    R_CURRENT,
    R_DEVICE_TEMPERATURE,
    R_FREQUENCY,
    R_VOLTAGE,
)
from spot.device.limits_watch import LimitsWatch
from tests.unit.device.rig import plug

# reading, usual value, alarm, default limit, sign, hysteresis
ROWS = [
    (R_VOLTAGE, 23000, ALARM_OVER_VOLTAGE, 25300, 1, 200),
    (R_VOLTAGE, 23000, ALARM_UNDER_VOLTAGE, 20700, -1, 200),
    (R_FREQUENCY, 50000, ALARM_FREQUENCY, 50500, 1, 50),
    (R_FREQUENCY, 50000, ALARM_FREQUENCY, 49500, -1, 50),
    (R_CURRENT, 4000, ALARM_OVER_CURRENT, 14400, 1, 300),
    (R_DEVICE_TEMPERATURE, 3000, ALARM_OVER_TEMPERATURE, 7000, 1, 500),
]


class Watched:
    def __init__(self, config=None, current_ma=16000):
        self.said = []
        self.watch = LimitsWatch(lambda now_s, *row: self.said.append((now_s, *row)), config or {}, current_ma)
        self.readings = array("i", [ABSENT] * R_COUNT)
        self.now_s = 0

    def run(self, seconds):
        for _ in range(seconds):
            self.watch.step(self.now_s, self.readings)
            self.now_s += 1


@pytest.mark.parametrize(("slot", "usual", "alarm", "limit", "sign", "hysteresis"), ROWS)
def test_each_has_its_limit_its_delay_and_its_hysteresis(slot, usual, alarm, limit, sign, hysteresis):
    it = Watched()
    for value, seconds in ((usual, 100), (limit, 100), (limit + sign, 10), (limit, 1), (limit + sign, 10)):
        it.readings[slot] = value
        it.run(seconds)
    assert it.said == [], "at the limit, and beyond it for less than the delay"
    it.run(1)
    assert it.said == [(it.now_s - 1, alarm, True, limit + sign, limit)]
    for value in (limit, limit - sign * (hysteresis - 1)):
        it.readings[slot] = value
        it.run(1000)
    assert len(it.said) == 1, "within the hysteresis it stays"
    it.readings[slot] = limit - sign * hysteresis
    it.run(10)
    assert len(it.said) == 1
    it.run(1)
    assert it.said[1][1:4] == (alarm, False, limit - sign * hysteresis)


def test_flickering_around_a_limit_says_nothing():
    it = Watched()
    for n in range(1000):
        it.readings[R_VOLTAGE] = 25400 if n % 5 else 25200
        it.run(2)
    assert it.said == []


def test_what_is_not_known_changes_nothing():
    it = Watched()
    it.readings[R_VOLTAGE] = 26000
    it.run(5)
    it.readings[R_VOLTAGE] = ABSENT
    it.run(100)
    assert it.said == []
    it.readings[R_VOLTAGE] = 26000
    it.run(11)
    it.readings[R_VOLTAGE] = ABSENT
    it.run(1000)
    assert len(it.said) == 1


@pytest.mark.parametrize(("config", "current_ma", "value", "raised"), [
    ({"alarm_over_voltage_10mv": 0}, 16000, 60000, []),
    ({"alarm_over_voltage_10mv": 24000}, 16000, 24100, [ALARM_OVER_VOLTAGE]),
    ({"alarm_delay_s": 200}, 16000, 26000, []),
    ({"alarm_delay_s": 1}, 16000, 26000, [ALARM_OVER_VOLTAGE]),
])
def test_settings(config, current_ma, value, raised):
    it = Watched(config, current_ma)
    it.readings[R_VOLTAGE] = value
    it.run(100)
    assert [row[1] for row in it.said] == raised


@pytest.mark.parametrize(("config", "rating", "current", "raised"), [
    ({}, 10000, 9001, True), ({}, 10000, 9000, False), ({}, ABSENT, 99999, False),
    ({"alarm_current_ma": 5000}, ABSENT, 5001, True), ({"alarm_current_ma": 0}, 10000, 9999, False),
])
def test_the_limit_of_current_is_nine_tenths_of_the_rating(config, rating, current, raised):
    it = Watched(config, rating)
    it.readings[R_CURRENT] = current
    it.run(50)
    assert bool(it.said) is raised


# --- with the trips -------------------------------------------------------------------------------------------------


def alarms(bench, alarm):
    return [row[1] for row in bench.alarms if row[0] == alarm]


def test_an_alarm_before_the_trip_is_said_again_by_the_trip_and_cleared_once():
    bench = plug({"voltage_recover_s": 60})
    bench.run(2)
    bench.mains.volts_10mv = 25800
    bench.run(15)
    assert alarms(bench, ALARM_OVER_VOLTAGE) == [1] and bench.contact.closed
    bench.mains.volts_10mv = 27000
    bench.run(5)
    assert alarms(bench, ALARM_OVER_VOLTAGE) == [1, 1] and not bench.contact.closed
    assert bench.alarms[-1][3] == 26500, "the limit of the trip"
    bench.mains.volts_10mv = 23000
    bench.run(30)
    assert alarms(bench, ALARM_OVER_VOLTAGE) == [1, 1], "the trip holds it"
    bench.run(60)
    assert alarms(bench, ALARM_OVER_VOLTAGE) == [1, 1, 0] and bench.contact.closed


def test_what_is_beyond_the_alarm_s_limit_still_when_the_trip_recovers_is_said_anew():
    bench = plug({"voltage_recover_s": 30})
    bench.run(2)
    bench.mains.volts_10mv = 27000
    bench.run(20)
    bench.mains.volts_10mv = 25800
    bench.run(32)
    assert bench.contact.closed and alarms(bench, ALARM_OVER_VOLTAGE) == [1, 0]
    bench.run(15)
    assert alarms(bench, ALARM_OVER_VOLTAGE) == [1, 0, 1]


def test_a_latched_over_current_is_not_cleared_because_the_current_is_gone():
    bench = plug()
    bench.run(2)
    bench.load.draw(bench.now_s, 3400)
    bench.run(20)
    assert alarms(bench, ALARM_OVER_CURRENT) == [1]
    bench.load.draw(bench.now_s, 4000)
    bench.run(100)
    assert alarms(bench, ALARM_OVER_CURRENT) == [1, 1]
    bench.press()
    bench.run(30)
    assert alarms(bench, ALARM_OVER_CURRENT) == [1, 1, 0]


# --- wear -----------------------------------------------------------------------------------------------------------


def worn(bench, cycles):
    bench.device.counters._base_switches = cycles
    bench.run(901)


def test_wear_of_the_relay_is_an_alarm_below_its_share_and_a_new_relay_clears_it():
    bench = plug()
    worn(bench, 89998)
    assert bench.alarms == []
    worn(bench, 90000)
    left = bench.device.relay_wear()
    assert left < 10000 and bench.alarms == [(ALARM_WEAR, 1, OBJ_RELAY_WEAR, left)]
    worn(bench, 86000)
    assert len(bench.alarms) == 1, "hysteresis"
    worn(bench, 0)
    assert bench.alarms[1][:2] == (ALARM_WEAR, 0)


@pytest.mark.parametrize(("share", "cycles", "raised"), [(0, 100000, False), (500, 49000, False), (500, 51000, True)])
def test_the_share_is_a_setting(share, cycles, raised):
    bench = plug({"wear_left": share})
    worn(bench, cycles)
    assert bool(bench.alarms) is raised


def test_wear_of_the_flash_is_one_too(monkeypatch):
    bench = plug()
    monkeypatch.setattr(type(bench.store), "wear", lambda self: 99)
    bench.run(901)
    assert bench.alarms == [(ALARM_WEAR, 1, OBJ_FLASH_WEAR, 99)]
