"""Domestic hot water: its floor, its set-point, and the run against legionella, which outlives restarts."""

import pytest

from spot.codes import (
    ABSENT,
    ALARM_LEGIONELLA,
    DECIDER_GUARD,
    KIND_BOOST,
    KIND_OFF,
    KIND_OFFSET,
    KIND_SG_READY,
    OBJ_HOT_WATER_ACTIVE,
    OBJ_HOT_WATER_SETPOINT,
    OBJ_HOT_WATER_TEMPERATURE,
    OBJ_LEGIONELLA,
    REASON_HOT_WATER,
    REASON_LEGIONELLA,
    REASON_NONE,
    REASON_OUT_OF_RANGE,
    REASON_UNKNOWN_ID,
    REASON_WRITES,
)
from tests.unit.device.pump_rig import DAY, FREE, talking
from tests.unit.device.rig import pump

MIDNIGHT = 300 * DAY  # UTC at second 0
WEEK = {**FREE, "legionella_days": 7, "legionella_hour": 13, "legionella_window_h": 2, "legionella_max_s": 7200}


def state(bench):
    return bench.contacts.state


def tank(config=None, value=4500, utc_s=MIDNIGHT, **more):
    bench = talking(config or FREE, utc_s=utc_s, **more)
    bench.machine.hot_water = value
    bench.run(1)
    return bench


# --- floor and set-point --------------------------------------------------------------------------------------------


def test_hot_water_below_its_floor_goes_before_what_is_asked():
    bench = tank({**FREE, "hot_water_low": 4000})
    bench.ask(KIND_OFF, limit_w=3000)
    assert state(bench) == 1
    bench.machine.hot_water = 3999
    bench.run(1)
    assert state(bench) == 2 and bench.machine.limit_w == ABSENT
    assert bench.device.reason == REASON_HOT_WATER and bench.device.decider == DECIDER_GUARD
    bench.machine.hot_water = 4199
    bench.run(1)
    assert state(bench) == 2, "until it is 2 K above"
    bench.machine.hot_water = 4200
    bench.run(1)
    assert state(bench) == 1


@pytest.mark.parametrize(("low", "value"), [(0, 1500), (4000, ABSENT), (4000, 12000)])
def test_no_floor_or_no_value_lifts_nothing(low, value):
    bench = tank({**FREE, "hot_water_low": low}, value)
    bench.ask(KIND_OFF)
    bench.run(5)
    assert state(bench) == 1


def test_hot_water_does_not_start_a_compressor_in_its_minimum_pause():
    bench = tank({"min_run_s": 0, "min_pause_s": 300, "sg_hold_s": 0})
    bench.run(10)
    bench.ask(KIND_OFF)
    bench.load.draw(bench.now_s, 0)
    bench.machine.hot_water = 3000
    bench.run(10)
    assert state(bench) == 1
    bench.run(300)
    assert state(bench) == 2 and bench.device.reason == REASON_HOT_WATER


def test_the_set_point_is_written_checked_kept_and_told():
    bench = tank()
    assert bench.device.read(OBJ_HOT_WATER_SETPOINT) == ABSENT and bench.machine.water == ABSENT, "the machine's own"
    assert bench.device.write(bench.now_s, OBJ_HOT_WATER_SETPOINT, 5000) == REASON_NONE
    bench.run(1)
    assert bench.machine.water == 5000 and bench.device.read(OBJ_HOT_WATER_SETPOINT) == 5000
    for wrong in (2999, 6501, 3800, -1):
        assert bench.device.write(bench.now_s, OBJ_HOT_WATER_SETPOINT, wrong) == REASON_OUT_OF_RANGE, wrong
    bench.reboot(power_cut=True)
    bench.step()
    assert bench.device.read(OBJ_HOT_WATER_SETPOINT) == 5000 and bench.machine.water == 5000
    assert talking({"hot_water_set": 4700}).device.read(OBJ_HOT_WATER_SETPOINT) == 4700


def test_a_machine_that_takes_none_has_no_such_object():
    bench = pump(FREE)
    assert bench.device.read(OBJ_HOT_WATER_SETPOINT) == ABSENT
    assert bench.device.write(bench.now_s, OBJ_HOT_WATER_SETPOINT, 5000) == REASON_UNKNOWN_ID


def test_what_the_machine_says_of_its_tank():
    bench = tank()
    bench.machine.hot_water_active = 1
    bench.run(1)
    assert bench.device.read(OBJ_HOT_WATER_ACTIVE) == 1 and bench.device.read(OBJ_HOT_WATER_TEMPERATURE) == 4500


# --- legionella -----------------------------------------------------------------------------------------------------


class Tank:
    """Heats 12 K an hour towards what the machine was told while it is released, and cools 0.5 K an hour."""

    def __init__(self, bench, own=4800, most=7000):
        self.bench, self.own, self.most = bench, own, most

    def minutes(self, count):
        bench, machine = self.bench, self.bench.machine
        for _ in range(count):
            told = machine.water if machine.water != ABSENT else self.own
            value = machine.hot_water
            if value < min(told, self.most) and state(bench) != 1 and not machine.silent:
                value += 20
            else:
                value -= 1
            machine.hot_water = value
            bench.now_s += 60
            bench.step()

    def hour(self):
        return (self.bench.now_s // 3600) % 24


def fresh(config=None, own=4800, most=7000, **more):
    """A tank whose latest run ended a moment ago, at midnight UTC of day 0."""
    bench = tank({**WEEK, **(config or {})}, **more)
    bench.machine.hot_water = 6100
    bench.run(1860)
    bench.machine.hot_water = own
    bench.run(1)
    assert bench.device.read(OBJ_LEGIONELLA) < 100
    return bench, Tank(bench, own, most)


def run_begins(bench, tank, minutes):
    for minute in range(minutes):
        tank.minutes(1)
        if bench.device.water.running:
            return minute
    return -1


def test_the_run_comes_in_its_hour_within_its_week_and_is_held_as_measured():
    bench, store = fresh()
    minute = run_begins(bench, store, 8 * 1440)
    assert 6 * 1440 - 120 <= minute <= 7 * 1440 - 120 and store.hour() == 13
    assert bench.machine.water == 6300 and bench.device.reason == REASON_NONE
    above = 0
    while bench.device.water.running:
        store.minutes(1)
        above = above + 1 if bench.machine.hot_water >= 5900 else 0
    assert 30 <= above <= 36, "30 minutes, and what it takes from 59 °C to 60"
    assert bench.machine.water == ABSENT, "its own set-point again"
    assert bench.device.read(OBJ_LEGIONELLA) <= 120 and not bench.alarms


@pytest.mark.parametrize(("zone_s", "hour"), [(0, 13), (3600, 12), (-18000, 18), (19800, 8)])
def test_the_hour_is_that_of_the_wall_clock(zone_s, hour):
    bench, store = fresh()
    bench.zone_s = zone_s
    assert run_begins(bench, store, 8 * 1440) > 0
    assert (bench.now_s - zone_s + zone_s) // 3600 % 24 in (hour, hour - 1)


def test_a_boost_brings_it_forward_within_its_day_and_not_before():
    bench, store = fresh()
    bench.ask(KIND_BOOST)
    minute = run_begins(bench, store, 8 * 1440)
    assert 6 * 1440 - 200 <= minute <= 6 * 1440 - 60


def test_a_limit_moves_it_within_its_day():
    bench, store = fresh()
    minute = run_begins(bench, store, 8 * 1440)
    bench.ask(limit_w=3000)
    store.minutes(2)
    assert not bench.device.water.running and bench.machine.water == ABSENT and bench.machine.limit_w == 3000
    bench.ask()
    again = run_begins(bench, store, 1440)
    assert again > 55, "not at once: each costs a write"
    assert minute + again < 7 * 1440


@pytest.mark.parametrize(
    ("kind", "value", "limit_w"), [(KIND_OFF, ABSENT, ABSENT), (KIND_SG_READY, 1, ABSENT), (ABSENT, ABSENT, 0)]
)
def test_no_command_blocks_it_beyond_its_deadline(kind, value, limit_w):
    bench, store = fresh({"comfort_low": 500, "hot_water_low": 0})
    bench.ask(kind, value, limit_w=limit_w)
    reasons = set()
    for _ in range(8 * 1440):
        store.minutes(1)
        if bench.device.water.running:
            reasons.add(bench.device.reason)
            assert state(bench) == 2 or bench.device.guards.reason, "released but for a minimum pause"
        assert bench.device.read(OBJ_LEGIONELLA) <= 7 * DAY
    assert REASON_LEGIONELLA in reasons and not bench.alarms


def test_a_run_that_does_not_get_there_raises_the_alarm_and_comes_again():
    bench, store = fresh(most=5500)
    minute = run_begins(bench, store, 8 * 1440)
    store.minutes(121)
    assert not bench.device.water.running and bench.machine.water == ABSENT
    assert [row[:2] for row in bench.alarms] == [(ALARM_LEGIONELLA, 1)] and bench.alarms[0][2] < 5600
    again = run_begins(bench, store, 1440)
    assert 700 <= again <= 1440 and minute > 0, "after half a day at the soonest"
    store.most = 7000
    store.minutes(150)
    assert bench.alarms[-1][:2] == (ALARM_LEGIONELLA, 0) and bench.device.read(OBJ_LEGIONELLA) < 7200


def test_whoever_heats_the_tank_counts():
    bench, store = fresh()
    store.minutes(5 * 1440)
    bench.machine.hot_water = 6000
    bench.minutes(31)
    assert bench.device.read(OBJ_LEGIONELLA) <= 60
    bench.machine.hot_water = 4800
    assert run_begins(bench, store, 5 * 1440) == -1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([6000] * 29 + [5899] + [6000] * 29, "a dip below the slack starts it afresh"),
        ([5999] * 100, "below the temperature nothing counts"),
        ([6000] * 20 + [ABSENT] * 2 + [6000] * 20, "what was not measured was not held"),
    ],
)
def test_what_does_not_count(values, sentence):
    bench, store = fresh()
    store.minutes(1440)
    for value in values:
        bench.machine.hot_water = value
        bench.minutes(1)
    assert bench.device.read(OBJ_LEGIONELLA) > DAY, sentence


@pytest.mark.parametrize("known", [True, False])
def test_when_it_was_last_done_outlives_restarts(known):
    bench, store = fresh()
    store.minutes(3 * 1440)
    bench.utc_s = MIDNIGHT if known else ABSENT
    for _ in range(3):
        bench.now_s += 6 * 3600  # without power
        bench.reboot(power_cut=True)
        store.minutes(5)
    age = bench.device.read(OBJ_LEGIONELLA)
    if known:
        assert age == pytest.approx(3 * DAY + 18 * 3600 + 900, abs=130)
    else:
        assert 2.6 * DAY < age <= 3 * DAY + 18 * 3600, "what it was without power is not known, and not more"
    bench.utc_s = MIDNIGHT
    store.minutes(1)
    assert bench.device.read(OBJ_LEGIONELLA) == pytest.approx(3 * DAY + 18 * 3600 + 900, abs=200)


def test_without_a_clock_it_comes_before_its_deadline():
    bench = talking({**WEEK, "legionella_days": 2})
    bench.machine.hot_water = 4800
    store = Tank(bench)
    assert 0 <= run_begins(bench, store, 2 * 1440) <= 1440
    store.minutes(180)
    assert bench.device.read(OBJ_LEGIONELLA) < 3 * 3600
    assert run_begins(bench, store, 3 * 1440) > 0
    assert 2 * DAY - 7200 <= bench.device.read(OBJ_LEGIONELLA) <= 2 * DAY - 7200 + 60
    assert not bench.alarms


def test_a_sensor_that_is_missing_starts_nothing_and_the_alarm_comes_at_the_deadline():
    bench, store = fresh()
    bench.machine.hot_water = ABSENT
    bench.minutes(7 * 1440 - 60)
    assert not bench.alarms and bench.machine.water == ABSENT
    bench.minutes(70)
    assert bench.alarms == [(ALARM_LEGIONELLA, 1, ABSENT, ABSENT)]


def test_days_of_0_are_none_and_a_week_is_the_default_where_it_can_be_done():
    bench = tank({**FREE, "legionella_days": 0})
    assert bench.device.read(OBJ_LEGIONELLA) == ABSENT
    bench = tank({**FREE, "legionella_days": None})
    assert bench.device.read(OBJ_LEGIONELLA) == 7 * DAY - 14400 - DAY + 1, "due within the day: nothing is known of it"
    assert pump(FREE).device.read(OBJ_LEGIONELLA) == ABSENT
    bench = talking({**FREE, "legionella_days": None})
    bench.minutes(15 * 1440)
    assert bench.device.read(OBJ_LEGIONELLA) == ABSENT and not bench.alarms, "nobody has ever measured a tank"


def test_it_costs_few_writes():
    bench, store = fresh()
    writes = bench.store.writes
    store.minutes(3 * 1440)
    assert bench.store.writes - writes <= 3 * (3 + 6 + 1 + 2) + 3 * 96


def test_no_set_point_takes_the_writes_of_the_run():
    bench, store = fresh({"machine_writes_per_day": 8, "machine_interval_s": 0}, wears=True)
    minute = run_begins(bench, store, 7 * 1440 - 300)
    assert minute > 0
    bench.ask(limit_w=3000)  # it gives way
    store.minutes(1)
    for i in range(20):
        bench.ask(KIND_OFFSET, -200 + i % 2 * 100)
        bench.run(1)
    assert bench.device.port.left() >= 2 and bench.device.check(KIND_OFFSET, -200, ABSENT) == REASON_WRITES
    bench.ask()
    store.minutes(1440)
    assert bench.device.read(OBJ_LEGIONELLA) < DAY and not bench.device.water.late


def test_its_age_is_kept_as_soon_as_the_time_is_known():
    bench, store = fresh({"legionella_days": 2}, utc_s=ABSENT)
    store.minutes(8 * 60 + 5)  # kept, without a time
    bench.utc_s = MIDNIGHT
    store.minutes(5 * 60)
    for _ in range(5):
        bench.now_s += 1800
        bench.reboot(power_cut=True)
        store.minutes(200)
    assert bench.device.read(OBJ_LEGIONELLA) >= (13 * 60 + 5 * 230) * 60


def test_a_run_each_day_is_one_a_day():
    bench, store = fresh({"legionella_days": 1, "legionella_window_h": 8})
    runs, before = 0, False
    for _ in range(3 * 1440):
        store.minutes(1)
        runs += bench.device.water.running and not before
        before = bench.device.water.running
    assert runs == 3


def test_a_run_does_not_lower_a_set_point():
    bench, store = fresh({"legionella_c": 5500})
    assert bench.device.write(bench.now_s, OBJ_HOT_WATER_SETPOINT, 6500) == REASON_NONE
    store.most = 5000
    assert run_begins(bench, store, 8 * 1440) > 0
    assert bench.machine.water == 6500
