"""The meter without a chip: both ways, tenths of a watt, and a calibration like that of the others."""

from spot.board.direct import DirectMeter, NoMeter
from spot.board.trip import Trip
from spot.codes import ABSENT
from tests.unit.board.meters import NoTrip


class Source:
    power_w, voltage_10mv, current_ma, frequency_mhz, energy_wh = 1000, 23000, 4348, 50000, 0

    def sample(self, now_s):
        return True


class BothWays(Source):
    power_dw, energy_export_wh = -5004, 0
    power_w = -500


def test_a_source_without_export_has_none():
    meter = DirectMeter(Source(), Trip(None), 60)
    assert meter.sample(0)
    assert (meter.power_w, meter.power_dw, meter.energy_export_wh) == (1000, 10000, ABSENT)


def test_a_source_that_tells_both_ways_apart_is_counted_so():
    source = BothWays()
    meter = DirectMeter(source, Trip(None), 60)
    shown = []
    for source.energy_wh, source.energy_export_wh in ((7, 100), (7, 130), (8, 130), (0, 5)):
        assert meter.sample(0)
        shown.append((meter.energy_wh, meter.energy_export_wh))
    assert shown == [(0, 0), (0, 30), (1, 30), (1, 35)]
    assert (meter.power_w, meter.power_dw) == (-500, -5004)


def test_a_reference_load_corrects_it_with_its_energy():
    source, trip = Source(), NoTrip()
    meter = DirectMeter(source, trip, 60)
    meter.sample(0)
    assert meter.calibration() == (10000, 10000, 10000)
    found = meter.adjust((23000, 4348, 10000), (22770, ABSENT, 10300))
    assert found == (10101, 10000, 9709) and meter.use(found)
    meter.sample(60)
    assert (meter.voltage_10mv, meter.current_ma, meter.power_w) == (22770, 4348, 1030)
    assert trip.seen[-1] == (4348, 1030, 22770), "the trip sees what is true"
    for _ in range(100):
        source.energy_wh += 7
        meter.sample(0)
    assert meter.energy_wh == 720, "700 by 10000/9709, no hundredth lost on the way"


def test_without_a_meter_there_is_nothing_to_calibrate():
    meter = NoMeter()
    assert not meter.sample(0) and not meter.poll() and not meter.fault
    assert (meter.power_w, meter.voltage_10mv, meter.energy_export_wh) == (0, ABSENT, ABSENT)
    assert meter.adjust((23000, 4348, 10000), (23000, ABSENT, ABSENT)) is None and meter.calibration() == ()
    assert not meter.use((10000, 10000, 10000)) and meter.use(())
