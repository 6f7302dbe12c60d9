"""Every row of the table of sensors: what is said, read and done while it lasts, and that all is well after it."""

import pytest

from spot.codes import ABSENT, DECIDER_SHEDDING
from spot.codes import QUALITY_ESTIMATED as ESTIMATED
from spot_host.profile import codec
from tests.sim.bad_input.house import WITNESS
from tests.sim.bad_input.sensor_house import SLOTS, SensorHouse
from tests.sim.bad_input.sensor_table import SECTIONS

ROWS = [pytest.param(row, id=row.what) for _, rows in SECTIONS for row in rows]


def _unordered(words):
    """Alarms that are raised in one step have no order among them."""
    return sorted(words, key=lambda w: (w.endswith("cleared"), w))


@pytest.mark.parametrize("row", ROWS)
def test_row(row):
    house = SensorHouse(row.kit, **(row.settings or {}))
    looked = house.looked
    device, trip = looked.app.agent.device, looked.app.board.trip
    start, seen = house.t, len(house.seen)
    before = {name: looked.reading(name) for name in SLOTS if "temperature" in name or name in _METERED}
    odd, energy = trip.implausible, looked.reading("energy_import")
    end = row.do(house)
    house.run(row.seconds)
    reads = {name: looked.reading(name) for name in row.reads or {}}
    assert reads == (row.reads or {})
    assert trip.latch == 0 and device.decider != DECIDER_SHEDDING
    assert (trip.implausible > odd) == row.odd
    if end is not None:
        end()
    house.run(row.back)
    assert [(at - start, what) for at, what in looked.load.edges] == list(row.load)
    assert _unordered(house.words(seen)) == _unordered(row.said)
    if not row.load:
        assert {name: looked.reading(name) for name in before} == before
    assert trip.latch == 0 and looked.reading("energy_import") >= energy
    assert device.readings[SLOTS["power"]] != ABSENT and house.witness.load.edges == []
    looked.every_s, looked.lazy = 15, True
    house.run(700)  # the quarter-hour's interval leaves
    house.complete(house.eui)
    house.complete(WITNESS)
    blind = any("of power" in alarm for alarm in row.said)  # its energy is not to be taken for measured
    assert (house.quality() & ESTIMATED == ESTIMATED) == blind


_METERED = ("power", "voltage", "current", "frequency")


def test_a_calibration_of_what_has_no_factors_is_refused():
    """Pulses are what they are."""
    house = SensorHouse("wired_pump")
    seen = len(house.seen)
    house.give(codec.encode("calibrate", {
        "epoch": house.core.epoch, "id": 5, "issued": house.utc, "seconds": 10, "power": 20000}), "cmd", house.eui)
    house.run(20)
    assert [w for w in house.said(seen, house.eui) if "calibrate" in w] == ["answer calibrate: not_supported"]


def test_each_row_says_something():
    assert all(row.said or row.reads or row.load for _, rows in SECTIONS for row in rows)
