"""An NTC thermistor at an analog input: cases that run on CPython and on MicroPython."""

from board_rig import Seeded

from spot.board.ntc import BETA_FIELDS, TABLE_FIELDS, make
from spot.codes import ABSENT
from spot_sim.chips.ntc import NtcDivider
from spot_sim.hardware import Hardware

# resistances of a 10 kOhm curve, from a B equation of another author than the driver's: R25 10,000, B(25/85) 3,977
TEN_K = [[-40, 402000], [-20, 105300], [0, 34000], [10, 20300], [25, 10000], [40, 5240], [60, 2410], [85, 1040],
         [110, 500]]


def bench(celsius, chip=None, **part):
    """(sensor, chip) of a divider at pin 26; part: over the default of 10 kOhm at 25 °C, B 3977, 10 kOhm in series."""
    found = {"pin": 26, "series": 10000}
    if "table" not in part:
        found.update({"r25": 10000, "beta": 3977})
    found.update(part)
    hardware = Hardware()
    options = {"series": found["series"], "to_supply": found.get("side") == "supply"}
    if "table" in found:
        options["table"] = found["table"]
    else:
        options.update({"r25": found["r25"], "beta": found["beta"]})
    options.update(chip or {})
    hardware.adcs[26] = NtcDivider(celsius, **options)
    return make(found, hardware, None, None, "flow"), hardware.adcs[26]


def measured(celsius, chip=None, **part):
    sensor, _ = bench(celsius, chip, **part)
    sensor.sample(0)
    return sensor.value


def close(value, celsius, k100):
    return value != ABSENT and abs(value - celsius * 100) <= k100


def test_it_measures_within_half_a_degree_where_it_is_used():
    for side in ("ground", "supply"):
        for celsius in range(-30, 111):
            assert close(measured(celsius, side=side), celsius, 50 if -15 <= celsius <= 90 else 100), (side, celsius)


def test_with_a_good_converter_it_is_the_table_that_limits_to_a_fifth():
    for celsius in range(-20, 90):
        assert close(measured(celsius + 0.5, {"bits": 16}), celsius + 0.5, 20), celsius


def test_a_table_of_resistances_instead_of_beta():
    for celsius in (-30, -10, 5, 25, 47, 77, 100):
        assert close(measured(celsius, {"bits": 16}, table=TEN_K), celsius, 60), celsius


def test_other_thermistors_and_dividers():
    for r25, beta, series, low, high in (
        (5000, 3435, 4700, -20, 90), (50000, 3950, 47000, -20, 90), (10000, 3380, 2200, 10, 110)
    ):
        for celsius in range(low, high, 7):
            assert close(measured(celsius, r25=r25, beta=beta, series=series), celsius, 60), (r25, celsius)


def test_a_broken_wire_and_a_short_circuit_have_no_value_and_say_which():
    for side in ("ground", "supply"):
        sensor, chip = bench(21, side=side)
        sensor.sample(0)
        assert not sensor.fault and sensor.broken == 0
        chip.open = True
        sensor.sample(1)
        assert (sensor.value, sensor.fault, sensor.broken) == (ABSENT, True, 1)
        chip.open, chip.shorted = False, True
        sensor.sample(2)
        assert (sensor.value, sensor.fault, sensor.broken) == (ABSENT, True, 2)
        chip.shorted = False
        sensor.sample(3)
        assert close(sensor.value, 21, 50) and not sensor.fault


def test_beyond_what_the_divider_can_tell_there_is_no_value():
    assert measured(-55) == ABSENT
    assert measured(125, series=100000) == ABSENT, "almost a short, for such a divider"
    assert measured(124, {"bits": 16}, series=1000) != ABSENT


def test_noise_averages_out_and_single_readings_do_not_count():
    rng = Seeded(3)
    sensor, chip = bench(45)
    chip.noise = lambda: rng.below(600) - 300
    seen = []
    for now_s in range(50):
        sensor.sample(now_s)
        seen.append(sensor.value)
    assert all(close(value, 45, 60) for value in seen)
    chip.noise = None
    for wrong in ((5, 6, 7, 8, 9), (0, 1, 2, 3), (7,), (2, 7, 8, 14)):  # which of the 15
        for way in (60000, -60000):
            first = chip.reads + 1
            chip.noise = lambda first=first, wrong=wrong, way=way: way if chip.reads - first in wrong else 0
            sensor.sample(99)
            assert close(sensor.value, 45, 50) and not sensor.fault, wrong
    chip.noise = lambda: 60000
    sensor.sample(100)
    assert sensor.value == ABSENT


def test_a_measurement_is_fifteen_readings():
    sensor, chip = bench(20)
    sensor.sample(0)
    assert chip.reads == 15


def test_the_offset_moves_the_value():
    assert measured(30, offset=-150) == measured(30) - 150


def test_whatever_is_read_the_value_is_within_its_range_or_absent():
    sensor, chip = bench(20)
    before = None
    for code in range(0, 65536, 37):
        chip.stuck = code
        sensor.sample(0)
        if sensor.value != ABSENT:
            assert -5500 <= sensor.value <= 12500
            assert before is None or sensor.value <= before, "more resistance is colder, everywhere"
            before = sensor.value
        else:
            assert sensor.fault


def test_descriptions_that_cannot_be_right_are_refused_with_the_field():
    beta, table = BETA_FIELDS[""], TABLE_FIELDS[""]
    assert beta({"pin": 26, "series": 10000, "r25": 10000, "beta": 3977}) is None
    assert beta({"pin": 26, "series": 100, "r25": 1000000, "beta": 1000})[0] == "series"
    assert table({"pin": 26, "series": 10000, "table": TEN_K}) is None
    for wrong in ([], [[25, 10000]], [[25, 10000], [20, 12000]], [[20, 10000], [25, 12000]], [[20, 10000], [25, 0]],
                  [20, 25], "x", [[20, "a"], [25, "b"]], [[1, 2, 3], [4, 5, 6]], 7, None, [[20], [25]]):
        assert table({"pin": 26, "series": 10000, "table": wrong})[0] == "table", wrong
