"""Relay, trip comparator, SG-Ready deadman at the level of pins."""

import pytest

from spot.board.direct import DirectMeter
from spot.board.latching_relay import LatchingRelay
from spot.board.relay import GpioRelay
from spot.board.sg_ready import SgReady
from spot.board.trip import Trip
from spot.codes import (
    ABSENT,
    ALARM_OVER_CURRENT,
    ALARM_OVER_POWER,
    ALARM_OVER_VOLTAGE,
    ALARM_UNDER_VOLTAGE,
)
from spot_sim.chips.contacts import SgReadyContacts
from spot_sim.hardware import Hardware


@pytest.mark.parametrize("active", [0, 1])
def test_a_relay_follows_counts_and_does_not_repeat(active):
    hardware = Hardware()
    relay = GpioRelay(hardware, 5, active)
    line = hardware.line(5)
    assert line.level == 1 - active and not relay.closed
    relay.set(True)
    relay.set(True)
    assert line.level == active and relay.closed and relay.switches == 1
    relay.trip()
    relay.trip()
    assert line.level == 1 - active and not relay.closed and relay.switches == 2


def test_a_relay_that_holds_is_found_as_it_was_and_one_that_does_not_is_opened():
    hardware = Hardware()
    GpioRelay(hardware, 5).set(True)
    edges = hardware.line(5).edges
    relay = GpioRelay(hardware, 5, hold=True)
    assert relay.closed and relay.held and hardware.line(5).edges == edges
    relay = GpioRelay(hardware, 5, hold=False)
    assert not relay.closed and not relay.held and hardware.line(5).level == 0


def latching(sense=None):
    hardware = Hardware()
    relay = LatchingRelay(hardware, hardware.ticks_ms, 6, 7, sense=sense)
    log = []
    hardware.line(6).watch(lambda now_s, level: log.append(("set", level, hardware.now_ms)))
    hardware.line(7).watch(lambda now_s, level: log.append(("reset", level, hardware.now_ms)))
    return hardware, relay, log


def test_a_latching_relay_gets_pulses_with_rests_and_never_both_coils():
    hardware, relay, log = latching()
    for at in range(0, 1000, 20):
        hardware.advance(0, at)
        if at == 300:
            relay.set(True)
        if at == 320:
            relay.set(False)
        relay.poll()
        assert not (hardware.line(6).level and hardware.line(7).level)
    assert [row[:2] for row in log] == [("reset", 0), ("set", 1), ("set", 0), ("reset", 1), ("reset", 0)]
    starts = [row[2] for row in log if row[1] == 1]
    ends = [row[2] for row in log if row[1] == 0]
    assert ends[1] - starts[0] == 60 and starts[1] - ends[1] == 200, "pulse of 60 ms, rest of 200"


def test_a_trip_of_a_latching_relay_waits_for_nothing():
    hardware, relay, log = latching()
    hardware.advance(1)
    relay.poll()
    hardware.advance(2)
    relay.set(True)
    assert hardware.line(6).level == 1
    hardware.advance(2, 20)
    relay.trip()
    assert hardware.line(7).level == 1 and hardware.line(6).level == 0 and not relay.closed


def test_a_latching_relay_with_a_sense_contact_is_not_moved_at_boot():
    hardware = Hardware()
    hardware.line(8).level = 1
    relay = LatchingRelay(hardware, hardware.ticks_ms, 6, 7, sense=8)
    assert relay.closed and hardware.line(7).edges == 0


class Spy:
    trips = 0
    closed = True

    def trip(self):
        self.trips += 1
        self.closed = False


@pytest.mark.parametrize(
    ("samples", "latch"),
    [
        ([(16000, 3680, 23000)] * 5, 0),
        ([(16001, 0, 23000)], ALARM_OVER_CURRENT),
        ([(0, 4001, 23000)], 0),
        ([(0, 4001, 23000)] * 2, ALARM_OVER_POWER),
        ([(0, 4001, 23000), (0, 4000, 23000), (0, 4001, 23000)], 0),
        ([(0, 0, 26501)] * 2, ALARM_OVER_VOLTAGE),
        ([(0, 0, 17999)] * 2, ALARM_UNDER_VOLTAGE),
        ([(0, 0, 26501), (0, 0, 23000), (0, 0, 26501)], 0),
        ([(0, 0, 26500), (0, 0, 18000)] * 3, 0),
    ],
)
def test_the_comparator(samples, latch):
    spy = Spy()
    trip = Trip(spy)
    trip.arm(16000, 4000, 26500, 18000)
    for sample in samples:
        trip.check(*sample)
    assert trip.latch == latch and spy.trips == bool(latch)
    trip.check(99999, 0, 23000)
    assert spy.trips == 1 and trip.latch == (latch or ALARM_OVER_CURRENT), "latched: the first cause stays, one write"
    trip.clear()
    assert trip.latch == 0


def test_a_latched_trip_opens_again_what_somebody_closed():
    spy = Spy()
    trip = Trip(spy)
    trip.arm(16000, 4000, 26500, 18000)
    trip.check(16001, 0, 23000)
    spy.closed = True
    trip.check(16002, 0, 23000)
    assert not spy.closed and (trip.latch, trip.value) == (ALARM_OVER_CURRENT, 16001)


def test_a_voltage_that_is_not_known_is_no_under_voltage():
    trip = Trip(Spy())
    trip.arm(16000, 4000, 26500, 18000)
    for _ in range(3):
        trip.check(0, 0, ABSENT)
    assert not trip.latch and trip.outside(ABSENT), "and nothing to recover on"


def test_a_limit_that_is_not_given_does_not_trip():
    trip = Trip(None)
    trip.arm(None, 0, None, None)
    for _ in range(3):
        trip.check(1_000_000, 1_000_000, 0)
    assert trip.latch == 0


def test_the_deadman_lets_the_pump_go_when_the_loop_is_gone():
    hardware = Hardware()
    contacts = SgReadyContacts(hardware.line(2), hardware.line(3))
    sg_ready = SgReady(hardware, (2, 3), timer=hardware.Timer(-1))
    sg_ready.set(1)
    for now in range(1, 121):
        sg_ready.feed()
        hardware.advance(now)
    assert contacts.state == 1
    for now in range(121, 182):
        hardware.advance(now)
    assert contacts.state == 2 and sg_ready.lost == 1 and sg_ready.state == 2


def test_sg_ready_refuses_a_state_that_is_none():
    with pytest.raises(ValueError):
        SgReady(Hardware(), (2, 3)).set(0)


class Source:
    """What a direct meter reads."""

    power_w, voltage_10mv, current_ma, frequency_mhz, energy_wh = 100, 23000, 435, 50000, 0

    def sample(self, now_s):
        return True


def test_energy_never_runs_backward_when_its_source_starts_afresh():
    source = Source()
    meter = DirectMeter(source, Trip(None), 60)
    seen = []
    for source.energy_wh in (5000, 5010, 5010, ABSENT, 5020, 0, 3, 10, 4):
        assert meter.sample(0)
        seen.append(meter.energy_wh)
    assert seen == [0, 10, 10, 10, 20, 20, 23, 30, 34]
