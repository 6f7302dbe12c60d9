"""The wiring picture is made from the description: every pin, what is beyond a part, and the warning."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from spot_host.wiring import draw, main, wires

BOARDS = Path(__file__).resolve().parents[3] / "boards"


def description(name):
    return json.loads((BOARDS / name / "board.json").read_text())


def words(picture):
    return [text.strip() for text in ElementTree.fromstring(picture).itertext() if text.strip()]


def test_every_pin_is_in_it_with_its_place_on_the_header_and_the_warning():
    board = description("pico_w_plug")
    assert sorted(pin for row in wires(board) for pin, _ in row.pins) == [0, 1, 13, 14, 15]
    seen = words(draw(board))
    assert {"GP0", "GP1", "GP13", "GP14", "GP15", "pin 1", "pin 20", "L to the load", "N"} <= set(seen)
    assert any(text.startswith("Not isolated") for text in seen)
    seen = words(draw({**board, "isolated": True}))
    assert not any(text.startswith("Not isolated") for text in seen) and "isolator, BL0942 meter" in seen


def test_a_heat_pump_shows_who_speaks_on_its_buses():
    seen = words(draw(description("esp32_heat_pump")))
    assert {"IO25", "IO26", "SG-Ready 1", "SG-Ready 2", "meter sdm120 at 1", "room: DS18B20", "DE, /RE"} <= set(seen)


def test_a_product_comes_wired_and_has_no_rails_to_connect():
    assert not {"5 V", "3V3", "GND"} & set(words(draw(description("shelly_plus_plug_s"))))
    assert {"5 V", "3V3", "GND"} <= set(words(draw(description("esp32_plug"))))


def test_buses_sensors_and_parts_that_it_has_no_words_for_are_drawn_too():
    parts = {
        "relay": {"driver": "zero_cross_relay", "pin": 2, "zero_cross_pin": 3, "close_delay_ms": 9, "open_delay_ms": 4},
        "meter": {"driver": "another", "pin": 6},
        "buses": {"heating": {"driver": "onewire", "pin": 9}},
        "sensors": {
            "flow": {"driver": "ds18b20", "bus": "heating", "rom": "0" * 16}, "room": {"driver": "ntc", "pin": 26}
        },
    }
    rows = wires({"parts": parts})
    assert [pin for row in rows for pin, _ in row.pins] == [2, 3, 6, 9, 26]
    assert [row.title for row in rows] == ["relay module", "another", "1-Wire sensors", "thermistor"]
    assert "another" in words(draw({"name": "mine", "parts": parts}))


@pytest.mark.parametrize("part, pins, title", [
    ({"driver": "hlw8012", "cf_pin": 4, "cf1_pin": 5, "sel_pin": 6}, [(4, "CF"), (5, "CF1"), (6, "SEL")], "HLW8012"),
    ({"driver": "hlw8012", "chip": "bl0937", "cf_pin": 4, "cf1_pin": 5, "sel_pin": 6},
     [(4, "CF"), (5, "CF1"), (6, "SEL")], "BL0937"),
    ({"driver": "cse7766", "uart": 0, "rx": 1}, [(1, "TX")], "CSE7766"),
    ({"driver": "ade7953", "i2c": 0, "scl_pin": 9, "sda_pin": 8}, [(9, "SCL"), (8, "SDA")], "ADE7953"),
])
def test_the_metering_chips_have_their_pins_in_it(part, pins, title):
    board = {"name": "x", "parts": {"meter": part}}
    assert [row.pins for row in wires(board)] == [pins]
    assert f"{title} meter" in words(draw(board))


def test_nothing_is_written_outside_its_box():
    """Titles and pills fit: about 8 px a letter, as wide as any font's at that size."""
    for path in BOARDS.glob("*/board.json"):
        for row in wires(json.loads(path.read_text())):
            assert len(row.title) * 8.5 < 210, row.title
            assert not row.beyond or len(row.beyond[0]) < 50
            assert all(len(rail) < 24 for rail in row.power)


def test_the_tool_writes_the_picture(tmp_path, capsys):
    (tmp_path / "board.json").write_text(json.dumps(description("pico")))
    assert main([str(tmp_path)]) == 0
    assert (tmp_path / "wiring.svg").read_text() == (BOARDS / "pico" / "wiring.svg").read_text()
    assert main([]) == 2 and "usage" in capsys.readouterr().err
