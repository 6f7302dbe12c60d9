"""The household's plug: override policies and their end, flip-back, power-on, latching relays, safe mode, factory
reset."""

import pytest

from spot.codes import (
    ABSENT,
    DECIDER_AUTONOMOUS,
    DECIDER_FAILSAFE,
    DECIDER_LIMIT,
    DECIDER_OVERRIDE,
    DECIDER_SET_POINT,
    DECIDER_TRIP,
    KIND_OFF,
    KIND_ON,
    OBJ_AUTO_ON,
    REASON_MIN_PAUSE,
    REASON_NONE,
    REASON_NOT_ENABLED,
    REASON_OUT_OF_RANGE,
    REASON_OVERRIDE,
    REASON_SAFE_MODE,
)
from tests.unit.device.rig import plug


def closed(bench):
    return bench.contact.closed


# --- override -------------------------------------------------------------------------------------------------------

OFF, LIMIT, SAFE, ALONE = "off", DECIDER_LIMIT, DECIDER_FAILSAFE, DECIDER_AUTONOMOUS


@pytest.mark.parametrize(("policy", "asked", "closes", "sentence"), [
    ("not_limits", OFF, True, "a set-point is overridden"),
    ("yes", OFF, True, "a set-point is overridden"),
    ("no", OFF, False, "the household may not close against a set-point"),
    ("not_limits", LIMIT, False, "a limit is not: it opens again"),
    ("yes", LIMIT, True, "a limit of the EMD is"),
    ("no", LIMIT, False, "no limit is, not for a moment"),
    ("yes", SAFE, False, "the failsafe limit is not"),
    ("yes", ALONE, False, "nor is the cap of a device that is alone"),
])
def test_what_the_button_overrides(policy, asked, closes, sentence):
    bench = plug({"override": policy, "limit_grace_s": 10})
    bench.run(2)
    if asked == OFF:
        bench.ask(KIND_OFF)
    else:
        bench.ask(limit_w=500, decider=asked)
    bench.run(15)
    assert not closed(bench)
    operations = bench.contact.operations
    bench.press()
    bench.run(60)
    assert closed(bench) is closes, sentence
    if policy == "no":
        assert bench.contact.operations == operations
    assert (bench.device.decider == DECIDER_OVERRIDE) is closes
    assert bench.overrides == ([True] if closes else []), "and said to be one"


def test_under_a_policy_of_no_the_household_may_still_open_and_its_choice_holds_afterwards():
    bench = plug({"override": "no", "remote_close": True})
    bench.ask(KIND_ON)
    bench.press()
    bench.run(5)
    assert not closed(bench) and bench.device.decider == DECIDER_OVERRIDE
    bench = plug({"override": "no"})
    bench.press()
    bench.ask(KIND_OFF)
    bench.press()
    bench.run(5)
    assert not closed(bench)
    bench.ask()
    assert closed(bench), "what was chosen meanwhile"


def test_an_override_ends_after_its_time_and_the_command_holds_again():
    bench = plug({"override_s": 600})
    bench.ask(KIND_OFF)
    bench.press()
    bench.run(599)
    assert closed(bench) and bench.overrides == [True]
    bench.run(2)
    assert not closed(bench) and bench.overrides == [True, False]
    assert (bench.device.reason, bench.device.decider) == (REASON_NONE, DECIDER_SET_POINT)


def test_an_override_of_a_limit_ends_with_the_limit():
    bench = plug({"override": "yes", "limit_grace_s": 10})
    bench.ask(limit_w=500, decider=DECIDER_LIMIT)
    bench.run(15)
    bench.press()
    bench.ask(limit_w=400, decider=DECIDER_LIMIT)
    bench.run(30)
    assert closed(bench) and bench.device.reason == REASON_OVERRIDE
    bench.ask()
    bench.run(1)
    assert bench.overrides == [True, False]
    bench.ask(limit_w=500, decider=DECIDER_LIMIT)
    bench.run(15)
    assert not closed(bench), "the next limit is another one"


@pytest.mark.parametrize("cut", [True, False])
def test_an_override_is_kept_over_a_restart(cut):
    bench = plug()
    bench.ask(KIND_OFF)
    bench.press()
    bench.hardware.power_cut() if cut else bench.hardware.restart()
    bench.hardware.line(3).level = 1
    bench.boot()
    bench.step()
    bench.ask(KIND_OFF)
    bench.run(10)
    assert closed(bench) and bench.device.decider == DECIDER_OVERRIDE and bench.overrides == [True, True]
    bench.ask()
    bench.boot()
    bench.step()
    bench.ask(KIND_OFF)
    bench.run(5)
    assert not closed(bench), "it was against a command that is over"


# --- flip-back ------------------------------------------------------------------------------------------------------


def test_flip_back_closes_by_itself_where_closing_is_enabled():
    bench = plug({"auto_on_s": 100, "remote_close": True})
    bench.run(500)
    bench.press()
    assert not closed(bench)
    bench.run(99)
    assert not closed(bench)
    bench.run(2)
    assert closed(bench) and bench.device.choice
    bench.reboot(power_cut=True)
    bench.run(1)
    assert closed(bench)


@pytest.mark.parametrize("settings", [{"auto_on_s": 100}, {"remote_close": True}])
def test_nothing_closes_by_itself_where_it_is_not_enabled_or_not_asked_for(settings):
    bench = plug(settings)
    bench.press()
    bench.run(1000)
    assert not closed(bench)


def test_flip_back_waits_for_the_button_after_a_trip_and_for_the_end_of_a_command():
    bench = plug({"auto_on_s": 50, "remote_close": True})
    bench.run(2)
    bench.load.draw(bench.now_s, 4000)
    bench.run(2)
    bench.load.draw(bench.now_s, 1000)
    bench.run(500)
    assert not closed(bench) and bench.device.decider == DECIDER_TRIP
    bench.press()
    bench.run(52)
    assert closed(bench), "50 s after the household took the trip back"
    bench.press()
    bench.ask(KIND_OFF)
    bench.run(200)
    assert not closed(bench)
    bench.ask()
    assert closed(bench)


def test_auto_off_and_flip_back_take_turns():
    bench = plug({"auto_off_s": 20, "auto_on_s": 30, "remote_close": True})
    edges = []
    bench.hardware.line(2).watch(lambda now_s, level: edges.append((now_s, level)))
    bench.run(160)
    spans = [later[0] - now[0] for now, later in zip(edges, edges[1:], strict=False)]
    assert spans and set(spans) <= {20, 30, 31} and len(spans) >= 4


@pytest.mark.parametrize(("enabled", "value", "reason"), [
    (True, 60, REASON_NONE), (False, 60, REASON_NOT_ENABLED), (False, 0, REASON_NONE),
    (True, -1, REASON_OUT_OF_RANGE), (True, 604801, REASON_OUT_OF_RANGE),
])
def test_flip_back_as_an_object(enabled, value, reason):
    bench = plug({"remote_close": enabled})
    assert bench.device.write(0, OBJ_AUTO_ON, value) == reason
    bench.reboot()
    assert bench.device.read(OBJ_AUTO_ON) == (0 if reason else value)


def test_flip_back_in_an_event_driven_device():
    bench = plug({"auto_on_s": 7, "remote_close": True}, board="sim")
    bench.jump(3)
    bench.device._pressed(bench.now_s, 1)
    bench.step()
    assert not closed(bench)
    bench.jump(8)
    assert closed(bench)


# --- power-on -------------------------------------------------------------------------------------------------------


def test_after_the_mains_came_back_it_waits_as_long_as_it_is_told():
    bench = plug({"power_on_s": 120})
    bench.run(119)
    assert not closed(bench) and bench.device.reason == REASON_MIN_PAUSE
    bench.run(1)
    assert closed(bench)
    bench.reboot()
    bench.run(1)
    assert closed(bench), "a warm restart is no return of the mains"


def test_the_return_of_power_is_spread_by_the_agent_and_nothing_clicks_meanwhile():
    bench = plug()
    bench.hardware.power_cut()
    bench.boot()
    operations = bench.contact.operations
    for _ in range(4):
        bench.run(1)
    bench.ask(KIND_OFF)
    bench.run(300)
    assert bench.contact.operations == operations
    bench.ask()
    assert closed(bench)


class Latch:
    """The contact of a relay with two coils: moves with a pulse, stays without power."""

    def __init__(self, hardware, load):
        self.closed, self.operations = False, 0
        self._hardware, self._load = hardware, load
        hardware.line(4).watch(lambda now_s, level: level and self._move(True))
        hardware.line(5).watch(lambda now_s, level: level and self._move(False))
        load.set_supply(0, False)

    def _move(self, closed):
        if closed != self.closed:
            self.closed = closed
            self.operations += 1
            self._load.set_supply(self._hardware.now_s, closed)
            self._hardware.line(6).level = 1 if closed else 0


def latching(config=None):
    bench = plug(config, changes={"relay_hold": True, "parts": {
        "relay": {"driver": "latching_relay", "set_pin": 4, "reset_pin": 5, "sense": 6}}})
    bench.contact = Latch(bench.hardware, bench.load)
    bench.hardware.line(4).drive(0)
    bench.hardware.line(5).drive(0)
    bench.boot()
    bench.ask()
    return bench


def pulse(bench, seconds):
    for _ in range(seconds * 20):
        bench.hardware.now_ms += 50
        bench.now_s = bench.hardware.now_s = bench.hardware.now_ms // 1000
        if bench.device.poll(bench.now_s) or bench.hardware.now_ms % 1000 == 0:
            bench.device.step(bench.now_s)


@pytest.mark.parametrize(("power_cut", "policy", "is_closed", "sentence"), [
    (False, "last", True, "a warm restart leaves it, without a click"),
    (False, "off", True, "whatever the power-on policy is"),
    (True, "last", True, "as the household left it"),
    (True, "off", False, "a power-on has its policy, whatever the contact holds"),
])
def test_a_latching_relay_over_a_restart(power_cut, policy, is_closed, sentence):
    bench = latching({"power_on": policy})
    pulse(bench, 3)
    if not closed(bench):
        bench.device._pressed(bench.now_s, 1)
    pulse(bench, 3)
    assert closed(bench)
    operations = bench.contact.operations
    if power_cut:
        held = bench.hardware.line(6).level
        bench.hardware.power_cut()
        bench.hardware.line(6).level = held  # the contact has no need of power
        bench.hardware.line(3).level = 1
    else:
        bench.hardware.restart()
    bench.boot()
    bench.ask()
    pulse(bench, 10)
    assert closed(bench) is is_closed and bench.contact.operations - operations == (0 if is_closed else 1), sentence
    assert bench.alarms == []


def test_a_latching_relay_that_power_on_finds_closed_has_its_auto_off():
    bench = latching({"auto_off_s": 30})
    pulse(bench, 10)
    assert closed(bench)
    bench.hardware.power_cut()
    bench.hardware.line(6).level = bench.hardware.line(3).level = 1
    bench.boot()
    bench.ask()
    pulse(bench, 29)
    assert closed(bench)
    pulse(bench, 3)
    assert not closed(bench)


# --- safe mode, factory reset ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cut", "was", "sentence"), [
    (False, True, "a relay that holds stays closed"),
    (False, False, "and open"),
    (True, True, "after a power-on it is open"),
])
def test_safe_mode_leaves_the_relay_as_it_is(cut, was, sentence):
    bench = plug({"power_on": "on", "remote_close": True})
    bench.run(2)
    if not was:
        bench.press()
    operations = bench.contact.operations
    bench.safe_mode = True
    bench.reboot(power_cut=cut)
    bench.ask(KIND_ON)
    bench.run(100)
    assert closed(bench) is (was and not cut), sentence
    assert bench.contact.operations - operations == (1 if cut and was else 0)
    assert bench.device.check(KIND_OFF, ABSENT, ABSENT) == bench.device.reason == REASON_SAFE_MODE


def test_in_safe_mode_the_button_and_the_trips_work():
    bench = plug()
    bench.safe_mode = True
    bench.reboot(power_cut=True)
    bench.run(10)
    assert not closed(bench)
    bench.press()
    bench.run(2)
    assert closed(bench)
    bench.load.draw(bench.now_s, 4000)
    bench.run(2)
    assert not closed(bench) and bench.device.decider == DECIDER_TRIP


def test_safe_mode_in_the_middle_of_a_run_keeps_what_is():
    bench = plug()
    bench.run(2)
    bench.ask(KIND_OFF)
    bench.device.safe(bench.now_s)
    bench.run(20)
    assert not closed(bench)


def test_holding_the_button_asks_for_the_factory_reset_and_switches_nothing():
    bench = plug()
    bench.run(2)
    operations, choice, remote = bench.contact.operations, bench.device.choice, bench.device.remote_close
    bench.press(held_ms=10500)
    assert bench.resets == [bench.now_s]
    assert (bench.contact.operations, bench.device.choice, bench.device.remote_close) == (operations, choice, remote)
    bench.press(held_ms=9000)
    assert len(bench.resets) == 1
