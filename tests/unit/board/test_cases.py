"""The drivers' cases on CPython; tests/unix/board runs the same ones on MicroPython."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

TABLES = ("contact_cases", "ntc_cases", "onewire_cases", "panel_cases", "power_fail_cases", "pulse_cases")


def cases():
    for table in TABLES:
        module = __import__(table)
        for name in sorted(vars(module)):
            if name.startswith("test_"):
                yield pytest.param(getattr(module, name), id="%s: %s" % (table[:-6], name[5:].replace("_", " ")))


@pytest.mark.parametrize("case", list(cases()))
def test_case(case):
    case()


def test_the_documented_patterns_are_those_of_the_lamp():
    from panel_cases import PATTERNS

    text = (Path(__file__).resolve().parents[3] / "docs" / "drivers" / "panel.md").read_text(encoding="utf-8")
    documented = {line.split("`")[1] for line in text.splitlines() if line.startswith(("| `#", "| `."))}
    assert documented == {beats for _, _, beats in PATTERNS} | {"###.###.###.###.", "##..##..##..##.."}
