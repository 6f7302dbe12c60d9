"""Appliances behind plugs: energy that adds up, habits that are plausible, answers to the switch."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot_sim.local_time import LocalCalendar
from spot_sim.physics.appliances import APPLIANCES, EvCharger, Fridge, Kettle, WashingMachine, make
from spot_sim.physics.load import NEVER_S
from spot_sim.seeds import Seeds

DAY = 86400
CALENDAR = LocalCalendar("2024-12-12")


def seeds(number=1):
    return Seeds(4).child("device", number)


def trace(load, until_s, step_s=1):
    """(second, mW) of every `step_s`."""
    return [(now_s, round(load.power_w(now_s) * 1000)) for now_s in range(0, until_s, step_s)]


@pytest.mark.parametrize("kind", sorted(APPLIANCES))
def test_one_seed_is_one_trace(kind):
    def digest(number):
        return hashlib.sha256(repr(trace(make(kind, seeds(number), CALENDAR), 3 * DAY, 30)).encode()).hexdigest()

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


@pytest.mark.parametrize("kind", sorted(APPLIANCES))
def test_energy_is_the_sum_of_power_to_the_millijoule(kind):
    load = make(kind, seeds(), CALENDAR)
    watched = sum(power_mw for _, power_mw in trace(load, 2 * DAY))
    assert watched == load.energy_mj(2 * DAY) > 0


@pytest.mark.parametrize("kind", sorted(APPLIANCES))
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_how_often_one_looks_changes_nothing(kind, data):
    """Two of one seed, switched alike; one is looked at at random times, the other only when it must be."""
    switched = sorted(data.draw(st.lists(st.integers(0, 3 * DAY), max_size=12)))
    looks = data.draw(st.lists(st.integers(0, 3 * DAY), max_size=30))
    lazy, watched = make(kind, seeds(), CALENDAR), make(kind, seeds(), CALENDAR)
    closed = True
    for now_s in sorted(set(switched) | set(looks)):
        if now_s in switched:
            closed = not closed
            lazy.set_supply(now_s, closed)
            watched.set_supply(now_s, closed)
        if now_s in looks:
            watched.power_w(now_s)
            watched.energy_mj(now_s)
            assert now_s < watched.next_change() <= NEVER_S
        if not closed:
            assert watched.power_w(now_s) == 0
    assert lazy.energy_mj(4 * DAY) == watched.energy_mj(4 * DAY)


def test_a_kettle_boils_a_few_times_a_day_and_each_boil_takes_a_tenth_of_a_kilowatt_hour():
    boils = energy_wh = 0
    for number in range(20):
        kettle = Kettle(seeds(number), CALENDAR)
        energy_wh += kettle.energy_wh(10 * DAY)
        boils += kettle.boils
    assert 3.0 < boils / 200 < 5.0
    assert 80 < energy_wh / boils < 180
    assert {round(power / 100_000) for _, power in trace(Kettle(seeds(), CALENDAR), DAY)} == {0, 20}


def first_start(load, above_w=100):
    now_s = 0
    while load.power_w(now_s) < above_w:
        now_s = load.next_change()
    return now_s


def one_boil():
    """A kettle that has one boil on the first day."""
    kettle = Kettle(seeds(), CALENDAR)
    del kettle._plan[1:]
    return kettle


def test_a_boil_that_is_cut_goes_on_with_the_supply_and_takes_the_same_energy():
    plain, cut = one_boil(), one_boil()
    start = first_start(plain)
    end = plain.next_change()
    cut.set_supply(start + 60, False)
    assert cut.power_w(start + 61) == 0
    cut.set_supply(start + 300, True)
    assert cut.power_w(start + 300) > 1900
    assert cut.energy_mj(end + 241) == pytest.approx(plain.energy_mj(end + 241), rel=0.005)
    assert cut.power_w(end + 241) == 0


def test_nobody_waits_for_tea_for_ever():
    kettle = one_boil()
    start = first_start(one_boil())
    kettle.set_supply(start - 10, False)
    kettle.set_supply(start + 1801, True)
    assert kettle.power_w(start + 1801) == 0
    assert kettle.given_up == 1


def test_a_fridge_keeps_its_temperature_with_a_plausible_duty_cycle():
    fridge = Fridge(seeds(), CALENDAR)
    temperatures, on_s = [], 0
    for now_s in range(0, 2 * DAY, 10):
        temperatures.append(fridge.temperature_c(now_s))
        on_s += 10 * (fridge.power_w(now_s) > 20)
    assert 3.3 < min(temperatures) and max(temperatures) < 7.2
    assert 0.15 < on_s / (2 * DAY) < 0.45
    assert 10 < fridge.starts / 2 < 60
    assert 0.25 < fridge.energy_wh(2 * DAY) / 2000 < 0.8


def test_a_fridge_stores_what_it_takes_in_to_a_thousandth():
    """Heat balance by an integration of its own: what came in, less what the compressor took out, is stored."""
    fridge = Fridge(seeds(3), CALENDAR)
    ua, capacity, cop = fridge._ua, fridge._capacity, fridge._cop
    fridge._door_s = NEVER_S  # doors are jumps, and apart
    fridge.advance(0)
    fridge._go(0)
    before, leaked, removed = fridge.temperature_c(0), 0.0, 0.0
    last = before
    for now_s in range(1, 6 * 3600):
        running = fridge._running
        now = fridge.temperature_c(now_s)
        leaked += ua * (fridge.kitchen_c - (last + now) / 2)
        removed += fridge.rated_w * cop * running
        last = now
    stored = capacity * (last - before)
    assert removed > 100_000
    assert abs(leaked - removed - stored) < 0.001 * removed


def test_a_fridge_that_was_cut_warms_up_and_catches_up_after_the_pause_of_its_compressor():
    fridge = Fridge(seeds(), CALENDAR)
    start = first_start(fridge, 50)
    fridge.set_supply(start + 100, False)
    fridge.set_supply(start + 130, True)
    assert fridge.power_w(start + 130) < 1  # the pressures are not even yet
    assert fridge.power_w(start + 100 + 180) > 50
    fridge.set_supply(start + 400, False)
    warm = fridge.temperature_c(start + 400 + 4 * 3600)
    assert 8 < warm < fridge.kitchen_c
    assert fridge.power_w(start + 400 + 4 * 3600) == 0
    fridge.set_supply(start + 400 + 4 * 3600, True)
    assert fridge.surge_current_ma(start + 400 + 4 * 3600) == 9000
    assert fridge.power_w(start + 400 + 4 * 3600) > 3 * fridge.rated_w  # the rotor's first second
    assert fridge.power_w(start + 401 + 4 * 3600) == pytest.approx(fridge.rated_w, rel=0.01)
    assert fridge.temperature_c(start + 12 * 3600) < 7.2


def washing_day(machine):
    now_s = 0
    while machine.job() is None:
        now_s = machine.next_change()
        machine.advance(now_s)
    return now_s, machine.job()


def test_a_wash_takes_its_programme():
    machine = WashingMachine(seeds(), CALENDAR)
    ready, job = washing_day(machine)
    assert machine.state == "running" and job.ready_s == ready
    before = machine.energy_mj(ready)
    after = machine.energy_mj(ready + job.duration_s)
    assert (after - before) / 3.6e6 == pytest.approx(job.energy_wh)
    assert 400 < job.energy_wh < 1200
    assert machine.finished == 1 and machine.late == 0 and machine.state == "empty"
    assert job.deadline_s - job.ready_s >= 8 * 3600 > job.duration_s


def test_a_wash_waits_behind_an_open_switch_and_starts_when_it_closes():
    machine = WashingMachine(seeds(), CALENDAR)
    machine.set_supply(0, False)
    ready, job = washing_day(machine)
    assert machine.state == "ready" and machine.power_w(ready) == 0
    machine.set_supply(ready + 3 * 3600, True)
    assert machine.state == "running"
    before = machine.energy_mj(ready + 3 * 3600)
    used = machine.energy_mj(ready + 3 * 3600 + job.duration_s) - before
    assert used / 3.6e6 == pytest.approx(job.energy_wh)


def test_a_wash_that_is_cut_resumes_and_heats_again_what_has_cooled():
    machine = WashingMachine(seeds(), CALENDAR)
    ready, job = washing_day(machine)
    start_mj = machine.energy_mj(ready)
    machine.set_supply(ready + 1500, False)
    assert machine.state == "paused" and machine.power_w(ready + 1600) == 0
    machine.set_supply(ready + 1500 + 3600, True)
    assert machine.power_w(ready + 1500 + 3600) == pytest.approx(2000)
    machine.advance(ready + 4 * 3600)
    assert machine.finished == 1
    extra_wh = (machine.energy_mj(ready + 4 * 3600) - start_mj) / 3.6e6 - job.energy_wh
    assert 100 < extra_wh < 300


def test_a_car_gets_its_energy_and_leaves():
    car = EvCharger(seeds(), CALENDAR)
    car.advance(DAY)
    nights = 0
    for _ in range(10):
        arrival, departure, need_mj = car.arrival_s, car.departure_s, car.need_mj
        if car.state == "away":
            before = car.energy_mj(arrival)
            assert car.remaining_wh(arrival) == pytest.approx(need_mj / 3.6e6)
            got_mj = car.energy_mj(departure - 1) - before
            standby_mj = 3000 * (departure - arrival)
            assert got_mj == pytest.approx(need_mj + standby_mj, rel=0.02)
            assert car.remaining_wh(departure - 1) == 0
            nights += 1
        car.advance(departure)
    assert nights > 5 and car.missed_wh == 0
    assert 3.9 < need_mj / 3.6e9 < 14.1


def test_a_car_that_is_held_off_misses_what_it_did_not_get():
    car = EvCharger(seeds(), CALENDAR)
    arrival, departure, need_wh = car.arrival_s, car.departure_s, car.need_mj / 3.6e6
    car.advance(arrival + 60)
    assert car.state == "charging" and car.power_w(arrival + 60) == pytest.approx(2300, rel=0.02)
    car.set_supply(arrival + 600, False)
    assert car.state == "waiting"
    missing = car.remaining_wh(arrival + 600)
    assert 0 < missing < need_wh
    car.set_supply(arrival + 4000, True)
    assert car.power_w(arrival + 4000) < 10  # it talks to the car first
    car.set_supply(arrival + 4005, False)
    car.advance(departure)
    assert car.state == "away" and car.missed_wh == pytest.approx(missing)


def test_a_car_that_is_cut_often_gets_its_energy_all_the_same():
    car = EvCharger(seeds(2), CALENDAR)
    arrival, departure, need_mj = car.arrival_s, car.departure_s, car.need_mj
    before = car.energy_mj(arrival)
    for now_s in range(arrival + 100, arrival + 3600, 300):
        car.set_supply(now_s, False)
        car.set_supply(now_s + 60, True)
    car.advance(departure - 1)
    assert car.state == "full"
    assert car.energy_mj(departure - 1) - before == pytest.approx(need_mj, rel=0.03)


def test_control_does_not_change_the_household():
    """The same seed with and without control: the car comes and goes at the same times and wants the same."""
    free, held = EvCharger(seeds(), CALENDAR), EvCharger(seeds(), CALENDAR)
    held.set_supply(0, False)
    for day in range(1, 8):
        free.advance(day * DAY), held.advance(day * DAY)
        assert (free.arrival_s, free.departure_s, free.need_mj) == (held.arrival_s, held.departure_s, held.need_mj)


def test_current_follows_from_power_voltage_and_power_factor():
    fridge = Fridge(seeds(), CALENDAR)
    now_s = first_start(fridge, 50) + 10
    assert fridge.current_ma(now_s, 23000) == pytest.approx(fridge.power_w(now_s) / 230.0 / 0.72 * 1000, abs=1)
    assert fridge.current_ma(now_s, 0) == 0


def test_an_unknown_appliance_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="toaster.*ev, fridge, kettle, washing_machine"):
        make("toaster", seeds(), CALENDAR)
