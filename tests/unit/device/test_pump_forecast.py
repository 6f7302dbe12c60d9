"""The load forecast, against the simulated house: what it is off by, and what it takes."""

import pytest

from spot.codes import ABSENT, KIND_OFF
from spot.device.heat_pump_forecast import Forecast
from spot.log import Log
from spot.store import Store
from spot_sim.flash import MemoryFs
from spot_sim.local_time import LocalCalendar
from spot_sim.physics.house import House
from spot_sim.physics.weather import Weather
from spot_sim.seeds import Seeds
from tests.unit.device.pump_rig import DAY, FREE, talking

HOUR = 3600
UTC = 300 * DAY


def learner(fs=None):
    log = Log(20)
    store = Store(fs or MemoryFs(), "s", log)
    return Forecast(store, log), store


def off_by(day, days=28):
    """Mean absolute errors in W over the days after the first week: of the forecast, of the flat mean of all that was
    before, of the same hour a day ago; and the mean power."""
    calendar = LocalCalendar(day)
    house = House(Seeds(1).child("house", 1), calendar, Weather(calendar), defrosts=True)
    forecast, _ = learner()
    hours, said, before_wh = [], [], 0
    for now_s in range(0, days * DAY, 600):
        energy_wh = house.energy_mj(now_s) // 3_600_000
        forecast.step(now_s, UTC + now_s, energy_wh, round(house.outdoor_c(now_s) * 100), False)
        if now_s % HOUR == 0 and now_s:
            hours.append(energy_wh - before_wh)
            before_wh = energy_wh
        if now_s % DAY == 0 and now_s >= 7 * DAY:
            said.append((now_s // HOUR, list(forecast.next(UTC + now_s)), sum(hours) / len(hours)))
    errors = [(0, 0, 0)]
    for at, series, mean in said[:-1]:
        for i, told in enumerate(series):
            real = hours[at + i]
            errors.append((abs(real - told), abs(real - mean), abs(real - hours[at + i - 24])))
    return [sum(column) / (len(errors) - 1) for column in zip(*errors, strict=True)] + [sum(hours) / len(hours)]


@pytest.mark.parametrize(
    ("day", "worst_w", "share"),
    [("2024-01-10", 250, 0.7), ("2024-04-01", 165, 0.7), ("2024-07-01", 70, 0.95), ("2024-10-10", 165, 0.6)],
)
def test_it_is_better_than_a_flat_mean_and_than_yesterday(day, worst_w, share):
    """230 W off at a mean of 805 in January (flat mean 370), 147 at 308 in April (255), 62 at 53 in July (71), 148 at
    469 in October (270)."""
    error, flat, yesterday, mean = off_by(day)
    print(f"{day}: off by {error:.0f} W at {mean:.0f} W; flat mean {flat:.0f}, yesterday {yesterday:.0f}")
    assert error < worst_w and error < share * flat and error < yesterday


def fed(forecast, hours, power_of, outdoor=500, start=0, held=False, step=60):
    """Hours of a constant power each."""
    energy = getattr(forecast, "fed_wh", 0)
    for hour in range(start, start + hours):
        for second in range(0, HOUR, step):
            now_s = hour * HOUR + second
            energy_wh = int(energy + power_of(hour) * second / 3600)
            forecast.step(now_s, UTC + now_s, energy_wh, outdoor, held)
        energy += power_of(hour)
    forecast.fed_wh = energy
    return (start + hours) * HOUR


def test_it_says_nothing_before_it_knows_a_day_and_then_begins_with_the_running_hour():
    forecast, _ = learner()
    now_s = fed(forecast, 24, lambda hour: 100 * (hour % 24))
    assert forecast.next(UTC + now_s) is None, "the last hour is not over"
    now_s = fed(forecast, 2, lambda hour: 100 * (hour % 24), start=24)
    for hour in (0, 5, 23):
        series = forecast.next(UTC + hour * HOUR + 1800)
        assert list(series) == [100 * ((hour + i) % 24) for i in range(24)] and series.typecode == "h"


def test_a_colder_day_is_followed_by_more():
    forecast, _ = learner()
    for day in range(10):
        cold = day % 2
        fed(forecast, 24, lambda hour: 1000 + 500 * (hour // 24 % 2), outdoor=500 - 500 * cold, start=day * 24)
    fed(forecast, 1, lambda hour: 1000, outdoor=500, start=240)
    assert 1350 <= forecast.next(UTC + 240 * HOUR)[3] <= 1550, "100 W for each K, tomorrow as today"


@pytest.mark.parametrize("what", ["held", "gap", "jump", "late"])
def test_what_teaches_nothing(what):
    forecast, _ = learner()
    fed(forecast, 49, lambda hour: 1000)
    before = list(forecast.next(UTC))
    if what == "held":
        fed(forecast, 10, lambda hour: 0, start=49, held=True)
    elif what == "gap":
        forecast.step(60 * HOUR, UTC + 60 * HOUR, 10**6, 500, False)
    elif what == "jump":
        forecast.step(49 * HOUR + 100, UTC + 55 * HOUR, 10**6, 500, False)
        forecast.step(49 * HOUR + 200, UTC + 40 * HOUR, 2 * 10**6, 500, False)
    else:
        forecast.step(50 * HOUR, UTC + 50 * HOUR + 121, 10**6, 500, False)
    assert list(forecast.next(UTC)) == before


def test_what_is_held_all_day_teaches_once():
    forecast, _ = learner()
    fed(forecast, 25, lambda hour: 300, held=True)
    assert set(forecast.next(UTC)) == {300}


def test_a_day_costs_one_write_and_a_restart_at_most_a_day():
    fs = MemoryFs()
    forecast, store = learner(fs)
    fed(forecast, 24 * 5 + 1, lambda hour: 100 * (hour % 24))
    assert store.writes == 5
    again, _ = learner(fs)
    assert list(again.next(UTC)) == list(forecast.next(UTC))


def test_a_sensor_that_is_missing_leaves_the_weather_as_usual():
    forecast, _ = learner()
    fed(forecast, 49, lambda hour: 1000, outdoor=ABSENT)
    assert set(forecast.next(UTC)) == {1000}


def test_the_device_learns_it_in_its_steps():
    bench = talking(FREE, watts=800, utc_s=UTC)
    assert bench.device.forecast(bench.now_s, UTC) is None
    bench.minutes(25 * 60 + 5)
    series = bench.device.forecast(bench.now_s, UTC + bench.now_s)
    assert len(series) == 24 and all(795 <= power_w <= 805 for power_w in series)
    bench.ask(KIND_OFF)
    bench.load.draw(bench.now_s, 0)
    bench.minutes(25 * 60)
    held = bench.device.forecast(bench.now_s, UTC + bench.now_s)
    assert sum(held) > 0.5 * 24 * 800, "what it was not allowed to draw is not what it would"
