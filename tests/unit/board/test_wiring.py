"""The wiring picture is made from the description, and the one that is committed is not stale."""

import json
from pathlib import Path
from xml.etree import ElementTree

from spot_host.wiring import draw, wires

PICO = Path(__file__).resolve().parents[3] / "boards" / "pico_w_plug"


def test_the_committed_picture_is_that_of_the_description():
    description = json.loads((PICO / "board.json").read_text())
    assert (PICO / "wiring.svg").read_text() == draw(description), "python -m spot_host.wiring boards/pico_w_plug > …"


def test_every_pin_is_in_it_and_the_warning():
    description = json.loads((PICO / "board.json").read_text())
    assert sorted(pin for _, pins, _ in wires(description) for pin, _ in pins) == [0, 1, 13, 14, 15]
    text = " ".join(ElementTree.fromstring(draw(description)).itertext())
    assert all(f"GP{pin}" in text for pin in (0, 1, 13, 14, 15)) and "Not isolated" in text
    assert "Not isolated" not in draw({**description, "isolated": True})


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
    assert [pin for _, pins, _ in rows for pin, _ in pins] == [2, 3, 6, 9, 26]
    assert [title for title, _, _ in rows] == ["relay module", "another", "1-Wire sensors", "thermistor"]


def test_the_metering_chips_have_their_pins_in_it():
    for part, pins in (
        ({"driver": "hlw8012", "cf_pin": 4, "cf1_pin": 5, "sel_pin": 6}, [(4, "CF"), (5, "CF1"), (6, "SEL")]),
        ({"driver": "cse7766", "uart": 0, "rx": 1}, [(1, "TX")]),
        ({"driver": "ade7953", "i2c": 0, "scl_pin": 9, "sda_pin": 8}, [(9, "SCL"), (8, "SDA")]),
    ):
        description = {"name": "x", "parts": {"meter": part}}
        assert [row[1] for row in wires(description)] == [pins]
        assert part["driver"].upper() in draw(description)
