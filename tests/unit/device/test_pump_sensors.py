"""Sensors that are missing or say what cannot be: what it means, by role."""

import pytest

from spot.codes import (
    ABSENT,
    ALARM_FROST,
    ALARM_SENSOR_FAULT,
    DECIDER_GUARD,
    KIND_BAND,
    KIND_OFF,
    OBJ_FLOW_TEMPERATURE,
    OBJ_OUTDOOR_TEMPERATURE,
    OBJ_ROOM_TEMPERATURE,
    REASON_NONE,
    REASON_SENSOR,
)
from tests.unit.device.pump_rig import FREE, talking

GRACE = {**FREE, "sensor_grace_s": 300}


def state(bench):
    return bench.contacts.state


@pytest.mark.parametrize(
    ("role", "value", "outdoor", "locked", "sentence"),
    [
        ("room", ABSENT, 1000, False, "nobody watches the comfort floor"),
        ("room", 5001, 1000, False, "a room of 50 °C is none"),
        ("room", -1001, 1000, False, "nor one of -10"),
        ("flow", ABSENT, 299, False, "nobody watches the pipes in the cold"),
        ("flow", 10001, ABSENT, False, "cold, as long as it is not known"),
        ("flow", ABSENT, 300, True, "it is mild"),
        ("outdoor", ABSENT, ABSENT, True, "taken for cold: the flow is there"),
    ],
)
def test_what_a_missing_sensor_means_for_a_lock(role, value, outdoor, locked, sentence):
    bench = talking(GRACE)
    bench.outdoor.value = outdoor
    bench.ask(KIND_OFF)
    bench.run(10)
    assert state(bench) == 1
    getattr(bench, role).value = value
    bench.run(299)
    assert state(bench) == 1, "a reading that fails now and then is no reason"
    bench.run(3)
    assert state(bench) == (1 if locked else 2), sentence
    if not locked:
        assert bench.device.reason == REASON_SENSOR and bench.device.decider == DECIDER_GUARD
        getattr(bench, role).value = 2100
        bench.run(1)
        assert state(bench) == 1 and bench.device.reason == REASON_NONE


@pytest.mark.parametrize(
    ("role", "known", "odd"),
    [
        ("room", OBJ_ROOM_TEMPERATURE, 8500),
        ("room", OBJ_ROOM_TEMPERATURE, -12700),
        ("outdoor", OBJ_OUTDOOR_TEMPERATURE, 6001),
        ("flow", OBJ_FLOW_TEMPERATURE, -2001),
    ],
)
def test_what_cannot_be_is_no_reading_and_an_alarm_once(role, known, odd):
    bench = talking(FREE)
    getattr(bench, role).value = odd
    bench.run(20)
    assert bench.device.read(known) == ABSENT
    assert bench.alarms == [(ALARM_SENSOR_FAULT, 1, known, ABSENT)]
    getattr(bench, role).value = 1500
    bench.run(2)
    assert bench.alarms[1:] == [(ALARM_SENSOR_FAULT, 0, known, ABSENT)] and bench.device.read(known) == 1500


def test_no_band_without_the_room():
    bench = talking(FREE)
    bench.ask(KIND_BAND, 2150, 2300)
    assert state(bench) == 3
    bench.room.value = 8500
    bench.run(1)
    assert state(bench) == 2


def test_a_limit_stays_with_a_missing_sensor_where_the_machine_can_keep_it():
    bench = talking(GRACE)
    bench.room.value = ABSENT
    bench.ask(limit_w=3000)
    bench.run(400)
    assert state(bench) == 2 and bench.machine.limit_w == 3000
    bench.ask(limit_w=100)
    bench.run(5)
    assert state(bench) == 2 and bench.machine.limit_w == 1500, "its smallest step, since it must not be locked"
    assert bench.device.reason == REASON_SENSOR


def test_the_machine_s_own_sensors_stand_in():
    bench = talking(FREE)
    bench.changes = {"parts": {"sensors": {"room": {"driver": "direct_sensor"}}}}
    bench.machine.flow, bench.machine.outdoor = 3100, -300
    bench.boot()
    bench.run(1)
    assert bench.device.read(OBJ_FLOW_TEMPERATURE) == 3100 and bench.device.read(OBJ_OUTDOOR_TEMPERATURE) == -300
    bench.machine.flow = ABSENT
    bench.run(5)
    assert bench.device.read(OBJ_FLOW_TEMPERATURE) == ABSENT and not bench.alarms, "it need not have one"


@pytest.mark.parametrize(("role", "value"), [("room", 650), ("flow", 450)])
def test_frost_is_an_alarm(role, value):
    bench = talking(FREE)
    getattr(bench, role).value = value
    bench.run(2)
    assert [row[:2] for row in bench.alarms] == [(ALARM_FROST, 1)]
    getattr(bench, role).value = 2100
    bench.run(2)
    assert bench.alarms[-1][:2] == (ALARM_FROST, 0)
