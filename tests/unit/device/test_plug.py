"""The plug's rules, each with a sentence, on simulated relay, meter, button and mains."""

import pytest

from spot.codes import (
    ABSENT,
    ALARM_OVER_CURRENT,
    ALARM_OVER_POWER,
    ALARM_OVER_VOLTAGE,
    ALARM_RELAY_STUCK,
    ALARM_SENSOR_FAULT,
    ALARM_STORE_FAULT,
    ALARM_UNDER_VOLTAGE,
    DECIDER_DEFAULT,
    DECIDER_FAILSAFE,
    DECIDER_GUARD,
    DECIDER_LIMIT,
    DECIDER_OVERRIDE,
    DECIDER_SET_POINT,
    DECIDER_TRIP,
    KIND_BAND,
    KIND_BOOST,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_OFF,
    KIND_OFFSET,
    KIND_ON,
    KIND_SG_READY,
    KIND_UNLIMITED,
    OBJ_AUTO_OFF,
    OBJ_ENERGY_IMPORT,
    OBJ_IDENTIFY,
    OBJ_POWER,
    OBJ_POWER_LIMIT,
    OBJ_RELAY,
    OBJ_RELAY_WEAR,
    OBJ_ROOM_TEMPERATURE,
    OBJ_STARTS,
    R_CURRENT,
    R_ENERGY_IMPORT,
    R_FREQUENCY,
    R_POWER,
    R_STATE,
    R_VOLTAGE,
    REASON_DIRECTION,
    REASON_MAX_BLOCK,
    REASON_MIN_PAUSE,
    REASON_MIN_RUN,
    REASON_NONE,
    REASON_NOT_ENABLED,
    REASON_NOT_SUPPORTED,
    REASON_ON_OFF_ONLY,
    REASON_OUT_OF_RANGE,
    REASON_OVERRIDE,
    REASON_PROTECTION,
    REASON_READ_ONLY,
    REASON_STORE_FULL,
    REASON_UNKNOWN_ID,
    SERVICE_REMOTE_CLOSE,
    SWITCH_CLOSED,
    SWITCH_OVERRIDE,
    SWITCH_RUNNING,
    SWITCH_TRIPPED,
)
from spot.config import load_board
from tests.unit.device import rig
from tests.unit.device.rig import plug


def closed(bench):
    return bench.contact.closed


# --- commands -------------------------------------------------------------------------------------------------------


def test_nobody_asks_and_the_household_never_chose_it_is_closed_and_read():
    bench = plug()
    bench.run(2)
    readings = bench.device.readings
    assert closed(bench) and readings[R_STATE] == SWITCH_CLOSED | SWITCH_RUNNING
    assert readings[R_POWER] == 1000 and abs(readings[R_VOLTAGE] - 23000) <= 2 and abs(readings[R_CURRENT] - 4348) <= 5
    assert readings[R_FREQUENCY] == 50000
    assert (bench.device.power_w, bench.device.reason, bench.device.decider) == (1000, REASON_NONE, DECIDER_DEFAULT)


def test_off_opens_at_once_and_its_end_restores_the_choice():
    bench = plug()
    bench.run(2)
    bench.ask(KIND_OFF)
    assert not closed(bench) and bench.device.power_w == 0 and bench.device.decider == DECIDER_SET_POINT
    assert bench.device.estimate_w() == 1000, "what it would draw without the command"
    bench.run(5)
    bench.ask()
    assert closed(bench)


def test_the_end_of_a_command_does_not_close_what_the_household_switched_off():
    bench = plug()
    bench.press()
    assert not closed(bench)
    bench.ask(KIND_OFF)
    bench.run(2)
    bench.ask()
    assert not closed(bench) and bench.device.estimate_w() == 0


@pytest.mark.parametrize("enabled", [False, True])
def test_a_command_closes_only_where_remote_closing_is_enabled(enabled):
    bench = plug({"remote_close": enabled})
    bench.press()
    assert bench.device.check(KIND_ON, ABSENT, ABSENT) == (REASON_NONE if enabled else REASON_NOT_ENABLED)
    bench.ask(KIND_ON)
    assert closed(bench) is enabled
    assert bool(bench.device.description()["services"] & SERVICE_REMOTE_CLOSE) is enabled
    assert bench.device.write(0, OBJ_RELAY, 1) == (REASON_NONE if enabled else REASON_NOT_ENABLED)


def test_remote_closing_is_enabled_by_holding_the_button_and_survives_a_restart():
    bench = plug()
    bench.press(held_ms=3500)
    assert bench.device.remote_close and closed(bench), "a long press does not switch"
    bench.reboot()
    assert bench.device.remote_close
    bench.press(held_ms=3500)
    assert not bench.device.remote_close


@pytest.mark.parametrize(
    ("kind", "value", "value2", "reason"),
    [
        (KIND_OFF, ABSENT, ABSENT, REASON_NONE),
        (KIND_UNLIMITED, ABSENT, ABSENT, REASON_NONE),
        (KIND_LIMIT, 0, ABSENT, REASON_NONE),
        (KIND_LIMIT, 500, 0, REASON_NONE),
        (KIND_LIMIT, 500, 1, REASON_DIRECTION),
        (KIND_LIMIT, -1, 0, REASON_OUT_OF_RANGE),
        (KIND_LIMIT, ABSENT, 0, REASON_OUT_OF_RANGE),
        (KIND_LIMIT_PERCENT, 100, 0, REASON_NONE),
        (KIND_LIMIT_PERCENT, 101, 0, REASON_OUT_OF_RANGE),
        (KIND_BAND, 1900, 2100, REASON_NOT_SUPPORTED),
        (KIND_OFFSET, 100, ABSENT, REASON_NOT_SUPPORTED),
        (KIND_SG_READY, 1, ABSENT, REASON_NOT_SUPPORTED),
        (KIND_BOOST, ABSENT, ABSENT, REASON_NOT_SUPPORTED),
        (99, ABSENT, ABSENT, REASON_NOT_SUPPORTED),
    ],
)
def test_what_a_plug_can_be_asked(kind, value, value2, reason):
    assert plug().device.check(kind, value, value2) == reason


# --- limits ---------------------------------------------------------------------------------------------------------


def test_a_limit_above_the_power_changes_nothing():
    bench = plug()
    bench.ask(limit_w=1000, decider=DECIDER_LIMIT)
    bench.run(100)
    assert closed(bench) and bench.device.reason == REASON_NONE and bench.device.power_w == 1000


def test_above_the_limit_it_opens_after_the_grace_time_and_stays_open_for_the_lease():
    bench = plug({"limit_grace_s": 30})
    bench.run(1)
    bench.ask(limit_w=500, decider=DECIDER_LIMIT)
    assert bench.device.reason == REASON_ON_OFF_ONLY and bench.device.power_w == 0, "said at once: partly"
    bench.run(30)
    assert closed(bench)
    bench.run(1)
    assert not closed(bench) and bench.device.decider == DECIDER_LIMIT
    switches = bench.board.relay.switches
    bench.load.draw(bench.now_s, 100)
    bench.run(3600)
    assert not closed(bench) and bench.board.relay.switches == switches, "it does not flap"
    bench.ask(limit_w=900, decider=DECIDER_LIMIT)
    bench.run(10)
    assert not closed(bench), "a limit still under what it drew"
    bench.ask(limit_w=1000, decider=DECIDER_LIMIT)
    bench.run(10)
    assert closed(bench)


def test_a_short_excess_within_the_grace_time_is_forgiven():
    bench = plug({"limit_grace_s": 30})
    bench.ask(limit_w=1200, decider=DECIDER_LIMIT)
    for _ in range(3):
        bench.load.draw(bench.now_s, 2000)
        bench.run(20)
        bench.load.draw(bench.now_s, 1000)
        bench.run(20)
    assert closed(bench) and bench.board.relay.switches == 1


def test_a_limit_of_zero_opens_at_once_and_names_failsafe_when_it_is_failsafe():
    bench = plug()
    bench.ask(limit_w=0, decider=DECIDER_FAILSAFE)
    assert not closed(bench) and bench.device.decider == DECIDER_FAILSAFE
    bench.ask()
    assert closed(bench)


def test_a_meter_that_is_silent_cannot_show_that_the_limit_is_kept():
    bench = plug()
    bench.ask(limit_w=2000, decider=DECIDER_LIMIT)
    bench.run(10)
    bench.chip.dead = True
    bench.run(60)
    assert (ALARM_SENSOR_FAULT, 1, OBJ_POWER, ABSENT) in bench.alarms and not closed(bench)
    bench.chip.dead = False
    bench.run(3)
    assert bench.alarms[-1] == (ALARM_SENSOR_FAULT, 0, OBJ_POWER, ABSENT)


def test_the_limit_works_with_an_event_driven_meter_of_60_s():
    bench = plug(board="sim")
    bench.ask(limit_w=500, decider=DECIDER_LIMIT)
    bench.jump(100)
    assert not closed(bench)


# --- guards ---------------------------------------------------------------------------------------------------------


def test_minimum_on_and_off_time_hold_and_say_how_long():
    bench = plug({"min_on_s": 60, "min_off_s": 120}, start_s=1000)
    assert not closed(bench) and bench.device.reason == REASON_MIN_PAUSE, "the reset was a switch-off"
    bench.run(119)
    assert not closed(bench)
    bench.run(1)
    assert closed(bench)
    bench.run(10)
    bench.ask(KIND_OFF)
    assert closed(bench)
    assert (bench.device.reason, bench.device.decider, bench.device.hold_s) == (REASON_MIN_RUN, DECIDER_GUARD, 50)
    bench.run(50)
    assert not closed(bench) and bench.device.reason == REASON_NONE
    bench.ask()
    assert not closed(bench) and bench.device.hold_s == 120 and bench.device.reason == REASON_MIN_PAUSE
    assert bench.step() <= 120
    bench.run(120)
    assert closed(bench)


def test_auto_off_opens_until_somebody_asks_to_close_again():
    bench = plug({"auto_off_s": 100, "remote_close": True})
    bench.run(99)
    assert closed(bench)
    bench.run(1)
    assert not closed(bench) and bench.device.reason == REASON_MAX_BLOCK
    bench.run(1000)
    assert not closed(bench)
    bench.press()
    assert closed(bench)
    bench.run(101)
    assert not closed(bench)
    bench.ask(KIND_ON)
    assert closed(bench)
    bench.run(101)
    assert not closed(bench)


def test_auto_off_can_be_written_kept_and_taken_away():
    bench = plug()
    assert bench.device.write(0, OBJ_AUTO_OFF, 50) == REASON_NONE and bench.device.read(OBJ_AUTO_OFF) == 50
    assert bench.device.write(0, OBJ_AUTO_OFF, -1) == REASON_OUT_OF_RANGE
    bench.reboot()
    assert bench.device.read(OBJ_AUTO_OFF) == 50
    bench.run(60)
    assert not closed(bench)
    assert bench.device.write(bench.now_s, OBJ_AUTO_OFF, 0) == REASON_NONE
    assert not closed(bench), "taking it away switches nothing on"
    bench.press()
    bench.run(100)
    assert closed(bench)


def test_a_power_cut_does_not_bring_back_what_auto_off_switched_off():
    bench = plug({"auto_off_s": 10})
    bench.run(11)
    bench.reboot(power_cut=True)
    bench.run(10)
    assert not closed(bench)


# --- trips ----------------------------------------------------------------------------------------------------------


def test_over_current_opens_on_the_first_sample_and_latches_until_the_button():
    bench = plug()
    bench.run(2)
    bench.load.draw(bench.now_s, 4000)
    bench.run(1)
    assert not closed(bench) and bench.alarms[0][:2] == (ALARM_OVER_CURRENT, 1)
    assert bench.alarms[0][2] > bench.alarms[0][3] == 16000
    assert bench.device.readings[R_STATE] & SWITCH_TRIPPED and bench.device.decider == DECIDER_TRIP
    assert bench.device.reason == REASON_PROTECTION
    bench.load.draw(bench.now_s, 1000)
    bench.ask(KIND_ON)
    bench.run(500)
    assert not closed(bench)
    bench.press()
    assert not closed(bench) and bench.alarms[1][:2] == (ALARM_OVER_CURRENT, 0), "taken back, and still open"
    bench.press()
    assert closed(bench) and len(bench.alarms) == 2


def test_over_power_needs_two_samples():
    bench = plug({"over_power_w": 1500, "over_current_ma": 16000})
    bench.run(1)
    bench.load.draw(bench.now_s, 1600)
    bench.run(1)
    assert closed(bench)
    bench.run(1)
    assert not closed(bench) and bench.alarms == [(ALARM_OVER_POWER, 1, 1600, 1500)]


@pytest.mark.parametrize(("volts", "alarm"), [(27000, ALARM_OVER_VOLTAGE), (17000, ALARM_UNDER_VOLTAGE)])
def test_a_voltage_trip_recovers_three_times_and_then_latches(volts, alarm):
    bench = plug({"voltage_recover_s": 60})
    bench.run(1)
    for n in range(3):
        bench.mains.volts_10mv = volts
        bench.run(2)
        assert not closed(bench) and bench.alarms[-1][:2] == (alarm, 1)
        bench.run(300)
        bench.mains.volts_10mv = 23000
        bench.run(59)
        assert not closed(bench), n
        bench.run(2)
        assert closed(bench) and bench.alarms[-1][:2] == (alarm, 0)
        bench.run(10)
    bench.mains.volts_10mv = volts
    bench.run(2)
    bench.mains.volts_10mv = 23000
    bench.run(1000)
    assert not closed(bench)
    bench.press()
    bench.press()
    assert closed(bench)


def test_voltage_trips_of_another_day_do_not_count():
    bench = plug({"voltage_recover_s": 1})
    bench.run(1)
    for _ in range(6):
        bench.mains.volts_10mv = 27000
        bench.run(3)
        bench.mains.volts_10mv = 23000
        bench.run(5)
        assert closed(bench)
        bench.now_s += 90000
        bench.run(1)


def test_a_welded_relay_is_never_reported_off():
    bench = plug()
    bench.run(2)
    bench.contact.welded = True
    bench.ask(KIND_OFF)
    bench.run(5)
    assert bench.alarms == [(ALARM_RELAY_STUCK, 1, 1000, 10)]
    assert bench.device.readings[R_STATE] & SWITCH_CLOSED and bench.device.read(OBJ_RELAY) == 1
    assert bench.device.decider == DECIDER_TRIP
    bench.load.draw(bench.now_s, 0)
    bench.run(10)
    assert bench.device.readings[R_STATE] & SWITCH_CLOSED, "no current now does not make it open"
    bench.contact.welded = False
    bench.press()
    assert bench.alarms[-1][:2] == (ALARM_RELAY_STUCK, 0) and not bench.device.readings[R_STATE] & SWITCH_CLOSED


def test_a_load_that_runs_down_after_opening_is_not_taken_for_welding():
    bench = plug()
    bench.run(2)
    bench.contact.welded = True  # stands for current that goes on for a moment
    bench.ask(KIND_OFF)
    bench.run(2)
    bench.contact.welded = False
    bench.run(10)
    assert bench.alarms == []


@pytest.mark.parametrize("sentence", ["a command", "the relay object", "auto-off"])
def test_nothing_closes_what_a_trip_opened_before_the_next_step(sentence):
    """The sample that trips comes in between two steps, and so does what asks to close."""
    bench = plug({"remote_close": True})
    bench.run(2)
    bench.load.draw(bench.now_s, 4000)
    bench.now_s += 1
    bench.hardware.advance(bench.now_s)
    bench.board.meter.sample(bench.now_s)
    assert not closed(bench) and bench.board.trip.latch
    operations = bench.contact.operations
    if sentence == "a command":
        bench.ask(KIND_ON)
    elif sentence == "auto-off":
        bench.device.write(bench.now_s, OBJ_AUTO_OFF, 600)
    else:
        bench.device.write(bench.now_s, OBJ_RELAY, 1)
    assert bench.contact.operations == operations and bench.device.decider == DECIDER_TRIP
    assert bench.alarms == [], "alarms are said from step alone"
    bench.step()
    assert bench.alarms[0][:2] == (ALARM_OVER_CURRENT, 1) and len(bench.alarms) == 1


def test_poll_asks_for_a_step_once_and_not_for_as_long_as_a_trip_lasts():
    bench = plug()
    bench.run(2)
    bench.mains.volts_10mv = 27000
    bench.run(2)
    assert not closed(bench) and not bench.device.poll(bench.now_s)


@pytest.mark.parametrize("cut", [True, False])
def test_what_latches_until_the_button_latches_over_a_restart(cut):
    bench = plug({"power_on": "on"})
    bench.run(2)
    bench.load.draw(bench.now_s, 4000)
    bench.run(2)
    bench.load.draw(bench.now_s, 100)
    bench.alarms.clear()
    bench.reboot(power_cut=cut)
    bench.run(100)
    assert not closed(bench) and bench.alarms[0][:2] == (ALARM_OVER_CURRENT, 1), "said again"
    assert bench.device.readings[R_STATE] & SWITCH_TRIPPED and bench.device.decider == DECIDER_TRIP
    bench.press()
    bench.reboot(power_cut=cut)
    bench.run(10)
    assert bench.alarms[1:] == [(ALARM_OVER_CURRENT, 0, ABSENT, ABSENT)], "the button took it back for good"
    assert closed(bench) is cut, "after a power-on its policy, after a warm restart as it was"


def test_the_minimum_off_time_holds_after_a_voltage_trip():
    bench = plug({"min_off_s": 300, "voltage_recover_s": 60})
    bench.run(301)
    assert closed(bench)
    bench.mains.volts_10mv = 17000
    bench.run(2)
    assert not closed(bench)
    opened = bench.now_s
    bench.mains.volts_10mv = 23000
    while not closed(bench):
        bench.run(1)
    assert bench.now_s - opened == 300, "a compressor behind it needs its pause whatever opened it"


def test_the_least_times_count_from_a_warm_restart():
    bench = plug({"min_on_s": 50, "min_off_s": 100})
    bench.run(101)
    bench.run(50)
    assert closed(bench)
    bench.reboot()
    bench.run(1)
    bench.ask(KIND_OFF)
    bench.run(40)
    assert closed(bench) and bench.device.reason == REASON_MIN_RUN
    bench.run(10)
    assert not closed(bench)
    bench.run(90)
    bench.reboot()
    bench.run(99)
    assert not closed(bench)
    bench.run(2)
    assert closed(bench)


def test_a_limit_that_opened_it_keeps_it_open_over_a_restart():
    bench = plug({"limit_grace_s": 30})
    bench.ask(limit_w=500, decider=DECIDER_LIMIT)
    bench.run(40)
    assert not closed(bench)
    for cut in (True, False):
        bench.hardware.power_cut() if cut else bench.hardware.restart()
        bench.boot()
        bench.step()
        bench.ask(limit_w=500, decider=DECIDER_LIMIT)
        operations = bench.contact.operations
        bench.run(100)
        assert bench.contact.operations == operations, "it does not try again within the lease"
    bench.ask()
    bench.run(2)
    assert closed(bench)
    bench.reboot()
    bench.ask(limit_w=500, decider=DECIDER_LIMIT)
    bench.run(20)
    assert closed(bench), "the next limit has its own grace time"


def test_a_welded_relay_is_not_off_before_the_alarm_nor_after_the_button():
    bench = plug()
    bench.run(2)
    bench.contact.welded = True
    bench.ask(KIND_OFF)
    bench.run(2)
    assert bench.alarms == []
    assert bench.device.readings[R_STATE] & SWITCH_CLOSED, "the first sample with current is not reported off"
    assert bench.device.power_w == 1000, "what flows is what is said"
    bench.run(3)
    assert len(bench.alarms) == 1
    bench.press()
    assert bench.device.readings[R_STATE] & SWITCH_CLOSED and bench.device.read(OBJ_RELAY) == 1
    assert len(bench.alarms) == 1, "taken back when current no longer flows, not before"
    bench.reboot()
    bench.step()
    assert bench.device.readings[R_STATE] & SWITCH_CLOSED and bench.alarms[-1][:2] == (ALARM_RELAY_STUCK, 1)


def test_a_silent_meter_does_not_matter_to_a_limit_that_cannot_be_exceeded():
    bench = plug({"limit_grace_s": 30})
    bench.run(2)
    bench.chip.dead = True
    bench.ask(limit_w=3680, decider=DECIDER_LIMIT)
    bench.run(100)
    assert closed(bench) and (ALARM_SENSOR_FAULT, 1) == bench.alarms[0][:2]


# --- the household --------------------------------------------------------------------------------------------------


def test_the_button_overrides_a_command_and_pressing_again_takes_it_back():
    bench = plug()
    bench.run(1)
    bench.ask(KIND_OFF)
    bench.press()
    assert closed(bench) and bench.overrides == [True]
    assert (bench.device.reason, bench.device.decider) == (REASON_OVERRIDE, DECIDER_OVERRIDE)
    assert bench.device.readings[R_STATE] & SWITCH_OVERRIDE
    bench.press()
    assert not closed(bench) and bench.overrides == [True, False]
    assert bench.device.decider == DECIDER_SET_POINT


def test_an_override_ends_with_the_command_and_the_choice_stands():
    bench = plug()
    bench.ask(KIND_OFF)
    bench.press()
    bench.ask()
    bench.run(1)
    assert closed(bench) and bench.overrides == [True, False]


def test_an_override_does_not_lift_a_limit():
    bench = plug()
    bench.run(2)
    bench.ask(KIND_OFF, limit_w=500)
    bench.press()
    bench.run(40)
    assert not closed(bench) and bench.device.reason == REASON_ON_OFF_ONLY


def test_pressing_after_a_limit_opened_it_gives_the_household_another_grace_time():
    bench = plug({"limit_grace_s": 30})
    bench.ask(limit_w=500, decider=DECIDER_LIMIT)
    bench.run(40)
    assert not closed(bench)
    bench.load.draw(bench.now_s, 100)  # another appliance
    bench.press()
    bench.run(100)
    assert closed(bench)
    bench.load.draw(bench.now_s, 600)
    bench.run(31)
    assert not closed(bench)


def test_a_press_without_a_command_is_a_choice_not_an_override():
    bench = plug()
    bench.press()
    assert not closed(bench) and bench.overrides == []
    bench.reboot()
    bench.step()
    assert not closed(bench), "kept over a restart"


# --- power-on -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "chosen", "cut", "is_closed", "sentence"),
    [
        ("last", True, True, True, "mains back: as the household left it"),
        ("last", False, True, False, "mains back: as the household left it"),
        ("off", True, True, False, "mains back: off"),
        ("on", False, True, True, "mains back: on"),
        ("off", True, False, True, "a warm restart is no reason to switch"),
        ("on", False, False, False, "a warm restart does not turn on what the household turned off"),
    ],
)
def test_power_on_policy(policy, chosen, cut, is_closed, sentence):
    bench = plug({"power_on": policy})
    bench.step()
    if closed(bench) != chosen:
        bench.press()
    assert closed(bench) == chosen
    bench.reboot(power_cut=cut)
    bench.run(1)
    assert closed(bench) is is_closed, sentence


def test_a_warm_restart_after_a_power_on_does_not_bring_back_what_stood_before_the_cut():
    bench = plug({"power_on": "off"})
    bench.press()
    assert closed(bench)
    bench.reboot(power_cut=True)
    bench.run(10)
    assert not closed(bench)
    bench.reboot()
    bench.run(10)
    assert not closed(bench)


def test_a_warm_restart_that_drops_the_relay_restores_the_choice_not_the_power_on_policy(monkeypatch):
    """Without relay_hold every reset is a switch-off, with its minimum off time; it is no power cut."""
    monkeypatch.setattr(rig, "load_board", lambda name: {**load_board(name), "relay_hold": False})
    bench = plug({"power_on": "off", "min_off_s": 60})
    bench.press()  # the household wants it on
    bench.run(70)
    assert closed(bench)
    bench.hardware.line(2).drive(0)  # the pads fall
    bench.reboot()
    bench.run(59)
    assert not closed(bench)
    bench.run(2)
    assert closed(bench)


def test_a_warm_restart_does_not_click_a_relay_that_holds():
    bench = plug({"min_off_s": 100})
    bench.run(101)
    assert closed(bench)
    operations = bench.contact.operations
    bench.reboot()
    bench.run(5)
    assert closed(bench) and bench.contact.operations == operations and bench.board.relay.switches == 0


@pytest.mark.parametrize(("cut", "sentence"), [(True, "cold"), (False, "warm")])
def test_nothing_clicks_before_the_agent_has_said_what_was_in_force(cut, sentence):
    bench = plug()
    bench.ask(KIND_OFF)
    operations = bench.contact.operations
    bench.hardware.power_cut() if cut else bench.hardware.restart()
    bench.boot()
    assert bench.step() == 1
    bench.ask(KIND_OFF)
    bench.run(60)
    assert not closed(bench) and bench.contact.operations == operations
    bench.boot()
    bench.run(4)
    assert not closed(bench)
    bench.run(3)
    assert closed(bench), "an agent that says nothing is not waited for"


# --- counting -------------------------------------------------------------------------------------------------------


def test_energy_counts_on_over_a_power_cut_and_loses_at_most_a_checkpoint():
    bench = plug(watts=2000, board="sim")
    bench.jump(3600)
    assert bench.device.readings[R_ENERGY_IMPORT] == 2000
    bench.jump(600)
    bench.reboot(power_cut=True)
    assert bench.device.counters.estimated
    bench.step()
    assert 2000 <= bench.device.readings[R_ENERGY_IMPORT] <= 2334
    bench.jump(1000)
    assert not bench.device.counters.estimated
    kept = bench.device.readings[R_ENERGY_IMPORT]
    bench.device.close()
    bench.reboot()
    assert not bench.device.counters.estimated and bench.device.counters.energy_wh == kept
    assert bench.device.read(OBJ_ENERGY_IMPORT) == kept
    bench.reboot(power_cut=True)
    assert bench.device.counters.estimated, "an orderly end counts once"


def test_checkpoints_cost_at_most_96_writes_a_day():
    bench = plug(watts=2000, board="sim")
    before = bench.store.writes
    bench.jump(86400)
    assert 90 <= bench.store.writes - before <= 98


def test_relay_wear_goes_down_and_is_kept():
    bench = plug()
    for _ in range(10):
        bench.press()
    bench.step()
    assert bench.device.read(OBJ_RELAY_WEAR) == 100000 - 11
    bench.device.close()
    bench.reboot()
    bench.step()
    assert bench.device.description()["relay_wear"] == 100000 - 11
    assert bench.device.read(OBJ_STARTS) >= 1


def test_a_full_flash_is_an_alarm_and_the_load_goes_on():
    bench = plug(board="sim")
    bench.fs.capacity = 0
    bench.jump(1800)
    assert bench.alarms[0][:2] == (ALARM_STORE_FAULT, 1) and closed(bench)
    assert bench.device.write(bench.now_s, OBJ_AUTO_OFF, 9) == REASON_STORE_FULL
    assert bench.device.read(OBJ_AUTO_OFF) == 0
    bench.fs.capacity = None
    bench.jump(1800)
    assert bench.alarms[1][:2] == (ALARM_STORE_FAULT, 0)


def test_objects_that_are_not_there_or_only_read():
    device = plug().device
    assert device.read(OBJ_ROOM_TEMPERATURE) == ABSENT and device.read(OBJ_POWER_LIMIT) == ABSENT
    assert device.write(0, OBJ_POWER, 1) == REASON_READ_ONLY
    assert device.write(0, OBJ_ROOM_TEMPERATURE, 1) == REASON_UNKNOWN_ID
    assert device.write(0, OBJ_RELAY, 2) == REASON_OUT_OF_RANGE
    assert device.write(0, OBJ_IDENTIFY, 2) == REASON_OUT_OF_RANGE
    assert device.write(0, OBJ_IDENTIFY, 1) == REASON_NONE


def test_the_lamp_tells_states_apart():
    bench = plug()
    line = bench.hardware.line(25)

    def beats():
        seen = ""
        for n in range(16):
            bench.hardware.now_ms = n * 125
            bench.device.poll(bench.now_s)
            seen += str(line.level)
        return seen

    bench.step()
    assert beats() == "1" * 16
    bench.ask(KIND_OFF)
    assert beats() == "0" * 16
    bench.press()
    assert sorted(beats())[:2] == ["0", "0"] and beats().count("1") == 14, "on, with a wink: an override"
    bench.ask()
    bench.load.draw(bench.now_s, 4000)
    bench.run(2)
    assert beats() in ("10" * 8, "01" * 8), "fast: a trip"
