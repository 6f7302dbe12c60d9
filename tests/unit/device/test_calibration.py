"""The calibration run: a reference load, the new factors, what is refused, what is kept and what is damaged."""

import struct

import pytest

from spot.board.direct import NoMeter
from spot.codes import (
    ABSENT,
    R_CURRENT,
    R_POWER,
    R_VOLTAGE,
    REASON_BUSY,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_OUT_OF_RANGE,
    REASON_SENSOR,
    REASON_STORE_FULL,
)
from tests.unit.device.rig import plug


def off_by(percent, watts=2000):
    """A plug whose description is `percent` off its chip: it shows that much too much."""
    meter = {"driver": "bl0942", "uart": 0, "period_s": 1}
    for name, counts in (("counts_per_v", 15883), ("counts_per_a", 251213), ("counts_per_kw", 623211)):
        meter[name] = counts * 100 // (100 + percent)
    bench = plug(watts=watts, changes={"parts": {"meter": meter}})
    bench.run(3)
    return bench


def shown(bench):
    return [bench.device.readings[slot] for slot in (R_VOLTAGE, R_CURRENT, R_POWER)]


TRUTH = (23000, 8696, 20000)  # 2,000 W at 230 V


@pytest.mark.parametrize("percent", [-20, -3, 3, 12])
def test_after_a_run_it_shows_the_truth_and_goes_on_doing_so_after_a_restart(percent):
    bench = off_by(percent)
    before = shown(bench)
    assert abs(before[2] - 2000) > 40
    assert bench.device.calibrate(bench.now_s, 77, *TRUTH, 10) == REASON_NONE
    bench.run(9)
    assert bench.calibrated == [] and shown(bench) == before
    bench.run(2)
    assert bench.calibrated == [(77, REASON_NONE)]
    for _ in range(2):
        bench.run(3)
        for value, truth in zip(shown(bench), (23000, 8696, 2000), strict=True):
            assert abs(value - truth) <= max(2, truth // 500)
        bench.reboot(power_cut=True)
    assert len(bench.calibrated) == 1


def test_one_quantity_alone():
    bench = off_by(10)
    voltage, current, power = shown(bench)
    assert bench.device.calibrate(bench.now_s, 1, ABSENT, ABSENT, 20000, 5) == REASON_NONE
    bench.run(8)
    after = shown(bench)
    assert abs(after[2] - 2000) <= 3 and abs(after[0] - voltage) <= 2 and abs(after[1] - current) <= 5


@pytest.mark.parametrize(("truth", "seconds", "sentence"), [
    ((ABSENT, ABSENT, ABSENT), 10, "nothing to compare with"),
    ((0, ABSENT, ABSENT), 10, "no mains"),
    ((ABSENT, ABSENT, -5), 10, "a negative load"),
    (TRUTH, 2, "too short"),
    (TRUTH, 301, "too long"),
])
def test_what_is_refused_at_once(truth, seconds, sentence):
    bench = off_by(3)
    assert bench.device.calibrate(bench.now_s, 1, *truth, seconds) == REASON_OUT_OF_RANGE, sentence
    bench.run(400)
    assert bench.calibrated == []


def finished(bench, truth=TRUTH):
    before = bench.board.meter.calibration()
    bench.run(12)
    assert bench.board.meter.calibration() == before and bench.store.get("calib") is None
    return bench.calibrated


def test_more_than_thirty_percent_off_is_a_fault_and_no_calibration():
    bench = off_by(0)
    assert bench.device.calibrate(bench.now_s, 5, ABSENT, ABSENT, 30000, 10) == REASON_NONE
    assert finished(bench) == [(5, REASON_OUT_OF_RANGE)]


def test_a_load_that_is_not_steady_is_no_reference():
    bench = off_by(3)
    bench.device.calibrate(bench.now_s, 5, *TRUTH, 10)
    bench.run(3)
    bench.load.draw(bench.now_s, 1700)
    assert finished(bench) == [(5, REASON_OUT_OF_RANGE)]


def test_a_meter_that_says_nothing():
    bench = off_by(3)
    bench.chip.dead = True
    bench.device.calibrate(bench.now_s, 5, *TRUTH, 10)
    assert finished(bench) == [(5, REASON_SENSOR)]


def test_a_full_flash_changes_nothing():
    bench = off_by(3)
    bench.device.calibrate(bench.now_s, 5, *TRUTH, 10)
    bench.fs.capacity = 0
    assert finished(bench) == [(5, REASON_STORE_FULL)]


def test_one_at_a_time():
    bench = off_by(3)
    assert bench.device.calibrate(bench.now_s, 5, *TRUTH, 10) == REASON_NONE
    assert bench.device.calibrate(bench.now_s, 6, *TRUTH, 10) == REASON_BUSY
    bench.run(12)
    assert bench.device.calibrate(bench.now_s, 6, *TRUTH, 10) == REASON_NONE


def test_a_meter_without_factors_cannot_be_calibrated():
    bench = plug()
    bench.board.meter = NoMeter()
    assert bench.device.calibrate(0, 1, *TRUTH, 10) == REASON_NOT_SUPPORTED


@pytest.mark.parametrize("raw", [
    b"", b"\1\2\3", struct.pack("<2i", 15883, 251213), struct.pack("<3i", 15883, 251213, 0),
    struct.pack("<3i", 15883 * 2, 251213, 623211), struct.pack("<4i", 1, 2, 3, 4), b"\xff" * 12,
])
def test_a_damaged_record_is_logged_and_the_factory_s_factors_hold(raw):
    bench = off_by(0)
    factory = bench.board.meter.calibration()
    bench.store.put("calib", raw)
    bench.reboot()
    assert bench.board.meter.calibration() == factory and "calib.not_used" in [row[2] for row in bench.log.recent()]
