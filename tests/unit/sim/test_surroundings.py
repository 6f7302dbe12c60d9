"""Weather, household and mains: the data sets read right, the rest seeded and bounded."""

import statistics
import subprocess
import sys
from datetime import date

import pytest

from spot_sim.local_time import LocalCalendar
from spot_sim.physics import datasets
from spot_sim.physics.household import BaseLoad, profile_w
from spot_sim.physics.mains import Mains, MainsEvent
from spot_sim.physics.weather import Weather, reference_year
from spot_sim.seeds import Seeds

DAY = 86400


def test_a_reference_year_is_a_german_one():
    temperatures, irradiances = reference_year(4)
    assert len(temperatures) == len(irradiances) == 8760
    assert 8 < statistics.fmean(temperatures) < 11
    assert 900 < sum(irradiances) / 1000 < 1200  # kWh/m2 a year
    assert statistics.fmean(temperatures[:744]) < 3 < 16 < statistics.fmean(temperatures[4344:5088])


def test_the_weather_agrees_with_demandlibs_reader():
    """The same file through demandlib's own reader: hour 12 of 12 December, Central European Time."""
    reader = pytest.importorskip("demandlib.vdi.dwd_try")
    table = reader.read_dwd_weather_file(datasets.path("demandlib", "vdi", "resources_weather", "TRY2010_04_Jahr.dat"))
    weather = Weather(LocalCalendar("2024-12-12"))
    for hour in (1, 12, 24):
        expected = table.loc[(12, 12, hour), "TAMB"]
        assert weather.temperature_c((hour - 1) * 3600 + 1800) == pytest.approx(expected)


def test_the_sun_is_highest_at_noon_also_in_summer_time():
    for day, noon in (("2024-12-12", 12), ("2024-06-20", 13)):
        weather = Weather(LocalCalendar(day), region=13)
        by_hour = [0.0] * 24
        for shift in range(0, 20 * DAY, 3600):
            by_hour[shift // 3600 % 24] += weather.irradiance_w_m2(shift)
        assert abs(by_hour.index(max(by_hour)) - noon) <= 1
        assert weather.irradiance_w_m2(1800) == 0


def test_weather_is_continuous_and_goes_round_the_year():
    weather = Weather(LocalCalendar("2024-12-30"))
    values = [weather.temperature_c(t) for t in range(0, 4 * DAY, 600)]
    assert max(abs(a - b) for a, b in zip(values, values[1:], strict=False)) < 2.0
    leap = Weather(LocalCalendar("2024-02-28"))
    assert leap.temperature_c(43200) == pytest.approx(leap.temperature_c(43200 + DAY))
    assert weather.mean_temperature_c(-DAY, 0) == pytest.approx(
        statistics.fmean(weather.at(t)[0] for t in range(-DAY, 0, 600))
    )


def test_an_unknown_region_and_a_missing_file_are_refused():
    with pytest.raises(ValueError, match="1 to 15"):
        reference_year(16)
    with pytest.raises(datasets.DatasetError, match="not installed"):
        datasets.path("no_such_package_here")
    with pytest.raises(datasets.DatasetError, match="nothing.csv"):
        datasets.path("hplib", "nothing.csv")


@pytest.mark.parametrize("year", [2023, 2024])
def test_the_profile_is_demandlibs_dynamic_h0(year):
    bdew = pytest.importorskip("demandlib.bdew")
    frame = bdew.ElecSlp(year).get_profiles("h0_dyn")["h0_dyn"]
    for day in (date(year, 1, 3), date(year, 5, 12), date(year, 7, 6), date(year, 12, 12)):
        theirs = frame[day.isoformat()].to_numpy() * 1_000_000 * 4
        assert profile_w(day, 1000.0) == pytest.approx(theirs, rel=1e-6)


def test_many_households_are_the_profile_and_one_is_not():
    calendar = LocalCalendar("2024-12-12")
    homes = [BaseLoad(Seeds(1).child(n), calendar, annual_kwh=3500) for n in range(60)]
    mean_wh = statistics.fmean(home.energy_wh(DAY) for home in homes)
    assert mean_wh == pytest.approx(sum(profile_w(calendar.date(0), 3500)) / 4, rel=0.03)
    assert statistics.pstdev(home.energy_wh(DAY) for home in homes) > 100


def test_a_household_has_23_and_25_hours_when_its_clock_has():
    for day, hours in (("2024-03-31", 23), ("2024-10-27", 25)):
        calendar = LocalCalendar(day)
        home = BaseLoad(Seeds(1), calendar, scatter=0.0)
        powers = [home.power_w(t) for t in range(0, hours * 3600, 900)]
        profile = profile_w(calendar.date(0), 3500.0)
        assert powers[-1] == pytest.approx(profile[-1], abs=0.01)
        assert powers[0] == pytest.approx(profile[0], abs=0.01)


def test_the_mains_stay_in_their_bounds_and_repeat():
    mains = Mains(Seeds(1), LocalCalendar("2024-12-12"))
    seconds = range(0, DAY, 7)
    frequencies = [mains.frequency_mhz(t) for t in seconds]
    voltages = [mains.voltage_10mv(t) for t in seconds]
    assert 49_960 < min(frequencies) < 49_985 and 50_015 < max(frequencies) < 50_040
    assert 22_500 < min(voltages) < 22_900 and 23_100 < max(voltages) < 23_500
    again = Mains(Seeds(1), LocalCalendar("2024-12-12"))
    assert [again.frequency_mhz(t) for t in reversed(seconds)] == frequencies[::-1]
    assert [Mains(Seeds(2), LocalCalendar("2024-12-12")).frequency_mhz(t) for t in (0, 70)] != frequencies[:11:10]


def test_events_of_the_mains_come_and_go():
    events = (MainsEvent(100, 50, frequency_shift_mhz=-300), MainsEvent(200, 10, outage=True), MainsEvent(300, 5, 0.8))
    mains = Mains(Seeds(1), LocalCalendar("2024-12-12"), events=events)
    assert mains.frequency_mhz(99) > 49_900 > 49_800 > mains.frequency_mhz(100)
    assert mains.frequency_mhz(149) < 49_800 and mains.frequency_mhz(150) > 49_900
    assert (mains.voltage_10mv(200), mains.frequency_mhz(200)) == (0, 0)
    assert mains.voltage_10mv(210) > 22_000
    assert 17_500 < mains.voltage_10mv(300) < 19_000


def test_no_slow_library_is_imported_for_the_data(tmp_path):
    """pandas takes seconds to import: every process of a fleet would pay for it."""
    code = (
        "import sys; sys.path[:] = %r\n"
        "from spot_sim.local_time import LocalCalendar\nfrom spot_sim.seeds import Seeds\n"
        "from spot_sim.physics import appliances, house, household, mains, weather\n"
        "calendar = LocalCalendar('2024-12-12')\n"
        "house.House(Seeds(1), calendar, weather.Weather(calendar)); household.BaseLoad(Seeds(1), calendar)\n"
        "print([name for name in ('pandas', 'numpy', 'hplib', 'demandlib') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code % sys.path], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert (run.stdout.strip(), run.stderr) == ("[]", "")
