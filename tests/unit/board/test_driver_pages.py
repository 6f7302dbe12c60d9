"""The index of the drivers names every one, and a page every field of its driver."""

import re
from pathlib import Path

from spot.board.board import _DRIVERS
from spot.board.fields import _FIELDS

DOCS = Path(__file__).resolve().parents[3] / "docs" / "drivers"


def test_the_index_names_every_driver():
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    assert [word for word in _DRIVERS if word != "no_meter" and not re.search(rf"\b{word}\b", text)] == []


def test_every_field_of_a_driver_is_on_its_page():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    for word, load in _FIELDS.items():
        page = re.search(rf"\[[^\]]*\b{word}\b[^\]]*\]\((\w+\.md)\)", index)
        if page is None or not (DOCS / page.group(1)).exists():
            continue  # the simulator's own, or not written yet
        text = (DOCS / page.group(1)).read_text(encoding="utf-8")
        assert [name for name in load()[1] if name and not re.search(rf"[`\"]{name}[`\"]", text)] == [], word


def test_what_builds_a_part_and_what_checks_it_know_the_same_drivers():
    assert set(_DRIVERS) == set(_FIELDS)
