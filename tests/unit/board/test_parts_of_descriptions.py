"""Descriptions with sensors, pulses, contacts and a power-fail input: built as they stand, refused by field; and what
a 1-Wire bus may carry, octet by octet.
"""

import copy
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.board.board import build
from spot.board.ds18b20 import DS18B20
from spot.board.ntc import Ntc, by_beta, by_table
from spot.board_check import check_board
from spot.codes import ABSENT
from spot.config import ConfigError
from spot.log import Log
from spot_sim.chips.onewire import Bus, DS18B20Chip, crc8, rom_of
from spot_sim.hardware import Hardware

sys.path.insert(0, str(Path(__file__).parent))

ROM = rom_of(0x1234567890AB)
PUMP = {
    "name": "lab", "device": "heat_pump", "ratings": {"power_w": 3000},
    "parts": {
        "sg_ready": {"driver": "sg_ready", "pins": [2, 3], "first_sense_pin": 4, "second_sense_pin": 5},
        "meter": {"driver": "s0_meter", "pin": 6, "per_kwh": 1000},
        "power_fail": {"driver": "power_fail", "pin": 7},
        "buses": {"heating": {"driver": "onewire", "pin": 9}},
        "sensors": {
            "flow": {"driver": "ds18b20", "bus": "heating", "rom": ROM.hex()},
            "hot_water": {"driver": "ntc", "pin": 26, "series": 10000, "r25": 10000, "beta": 3977},
            "outdoor": {
                "driver": "ntc_table", "pin": 27, "series": 4700, "table": [[-20, 14000], [0, 5000], [40, 900]]
            },
        },
    },
}
PLUG = {
    "name": "lab", "device": "plug", "ratings": {"power_w": 3000, "current_ma": 16000},
    "parts": {
        "relay": {"driver": "zero_cross_relay", "pin": 2, "zero_cross_pin": 3, "close_delay_ms": 9, "open_delay_ms": 4,
                  "sense": 4, "settle_ms": 30},
        "meter": {"driver": "s0_meter", "pin": 6, "per_kwh": 1000, "irq": 0, "min_pulse_ms": 90, "pull": "none"},
    },
}


def changed(description, path, value):
    found = copy.deepcopy(description)
    place = found
    *folders, name = path.split(".")
    for folder in folders:
        place = place[folder]
    if value is None:
        del place[name]
    else:
        place[name] = value
    return found


def test_both_boards_are_built_as_they_are_described():
    for description in (PUMP, PLUG):
        check_board(description)
        log = Log(20)
        board = build(description, {}, Hardware(), log)
        assert board.log is log and len(board.turns) == (3 if description is PUMP else 2)
        assert not board.poll()
    assert board.relay.settle_ms == 30 and board.relay.position == 0


@pytest.mark.parametrize(
    ("description", "path", "value", "want"),
    [
        (PUMP, "parts.sensors.flow.rom", "28ab9078563412", "16 hexadecimal digits"),
        (PUMP, "parts.sensors.flow.rom", ROM.hex()[:-1] + ("0" if ROM.hex()[-1] != "0" else "1"), "their checksum"),
        (PUMP, "parts.sensors.flow.rom", rom_of(1, family=0x10).hex(), "28 (or 22)"),
        (PUMP, "parts.sensors.flow.rom", None, "given: ds18b20 needs it"),
        (PUMP, "parts.sensors.flow.bus", "cellar", "one of heating"),
        (PUMP, "parts.sensors.flow.resolution", 13, "from 9 to 12"),
        (PUMP, "parts.sensors.hot_water.series", 100000000, "from 100 to 1000000"),
        (PUMP, "parts.sensors.hot_water.beta", None, "given: ntc needs it"),
        (PUMP, "parts.sensors.outdoor.table", [[0, 5000], [-20, 14000]], "ascending"),
        (PUMP, "parts.sensors.outdoor.table", "10k", "pairs"),
        (PUMP, "parts.sensors.outdoor.table", None, "given: ntc_table needs it"),
        (PUMP, "parts.sensors.outdoor.pin", 26, "a pin of its own"),
        (PUMP, "parts.meter.pin", 9, "a pin of its own"),
        (PUMP, "parts.buses.heating.driver", "ntc", "one of"),
        (PUMP, "parts.meter.per_kwh", 0, "from 50 to 100000"),
        (PUMP, "parts.sg_ready.second_sense_pin", None, "given beside first_sense_pin"),
        (PUMP, "parts.power_fail.", 1, "no such field"),
        (PLUG, "parts.relay.close_delay_ms", None, "given: zero_cross_relay needs it"),
        (PLUG, "parts.relay.zero_cross_pin", 2, "a pin of its own"),
        (PLUG, "parts.relay.settle_ms", 0, "from 1 to 1000"),
    ],
)
def test_a_bad_description_is_named(description, path, value, want):
    with pytest.raises(ConfigError) as caught:
        check_board(changed(description, path, value))
    assert want in str(caught.value)
    assert path.rstrip(".").startswith(caught.value.field.rsplit(".", 1)[0])


class Spoken:
    """A bus on which one sensor answers with the octets that it is told."""

    def __init__(self, octets):
        self.octets = bytes(octets)
        self.sent = []

    def add(self, sensor):
        pass

    def select(self, rom):
        return True

    def command(self, octet):
        self.sent.append(octet)

    def take(self, buf):
        buf[:] = self.octets
        return crc8(self.octets) == 0


@given(st.binary(min_size=9, max_size=9), st.booleans())
@settings(max_examples=500, deadline=None)
def test_whatever_a_sensor_answers_the_value_is_a_temperature_or_none(octets, signed):
    if signed:
        octets = octets[:8] + bytes((crc8(octets[:8]),))
    bus = Spoken(octets)
    sensor = DS18B20(bus, ROM)
    taken = sensor.read(bus)
    assert taken == (sensor.value != ABSENT)
    if taken:
        assert crc8(octets) == 0 and octets[4] & 0x9F == 0x1F and octets[:2] != b"\x50\x05"
        assert -5500 <= sensor.value <= 12500
        raw = int.from_bytes(octets[:2], "little", signed=True)
        assert abs(sensor.value - raw * 6.25) <= 50 - 6.25 + 1, "and what it says, to the resolution"
    else:
        assert sensor.errors == 1


@given(st.integers(-55 * 16, 125 * 16).filter(lambda raw: raw != 85 * 16), st.integers(9, 12))
def test_every_temperature_survives_the_bus(raw, bits):
    hardware = Hardware()
    chip = DS18B20Chip(hardware, ROM, raw / 16, eeprom=bytes((0, 0, (bits - 9) << 5 | 0x1F)))
    hardware.onewires[9] = Bus(chip)
    board = build(changed(PUMP, "parts.sensors.flow.resolution", bits), {}, hardware, Log(20))
    for ms in range(0, 6000, 250):
        hardware.advance(ms // 1000, ms % 1000)
        board.sensors.flow.sample(ms // 1000)
    step = 1 << (12 - bits)
    exact = raw // step * step
    assert board.sensors.flow.value == (ABSENT if exact == 85 * 16 else (exact * 25 + 2) // 4)


@given(st.integers(0, 65535), st.integers(1000, 6000), st.integers(100, 200000), st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_reading_of_every_divider_is_a_temperature_or_a_fault(code, beta, series, to_supply):
    class Adc:
        def read_u16(self):
            return code

    try:
        sensor = Ntc(Adc(), by_beta(10000, beta), series, to_supply)
    except ValueError:
        return
    sensor.sample(0)
    assert sensor.fault == (sensor.value == ABSENT)
    assert sensor.fault or -5500 <= sensor.value <= 12500
    if sensor.broken:
        assert code <= 320 or code >= 65215


@given(st.lists(st.tuples(st.integers(-40, 120), st.integers(1, 10**6)), max_size=8))
def test_a_table_is_taken_or_refused_and_never_breaks(pairs):
    try:
        ohms = by_table([list(pair) for pair in pairs])
    except ValueError:
        return
    for c, ohm in pairs:
        assert ohms(c) == pytest.approx(ohm)
    assert ohms(-60) is None and ohms(125) is None
