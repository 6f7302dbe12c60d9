"""The wiring picture is made from the description, and the one that is committed is not stale."""

import json
from pathlib import Path
from xml.etree import ElementTree

from spot_host.wiring import draw, wires

PICO = Path(__file__).resolve().parents[3] / "boards" / "pico"


def test_the_committed_picture_is_that_of_the_description():
    description = json.loads((PICO / "board.json").read_text())
    assert (PICO / "wiring.svg").read_text() == draw(description), "python -m spot_host.wiring boards/pico > …"


def test_every_pin_is_in_it_and_the_warning():
    description = json.loads((PICO / "board.json").read_text())
    assert sorted(pin for _, pins, _ in wires(description) for pin, _ in pins) == [0, 1, 13, 14, 15]
    text = " ".join(ElementTree.fromstring(draw(description)).itertext())
    assert all(f"GP{pin}" in text for pin in (0, 1, 13, 14, 15)) and "Not isolated" in text
    assert "Not isolated" not in draw({**description, "isolated": True})
