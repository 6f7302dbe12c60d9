"""docs/coap.md says what the firmware does: its table of timers and bounds, its options and its resources."""

import importlib
import re
from pathlib import Path

import pytest

from spot import codes
from spot.wire import coap_numbers
from spot.wire.coap_options import _KNOWN

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "coap.md").read_text(encoding="utf-8")
MODULES = [importlib.import_module(name) for name in (
    "spot.codes", "spot.wire.coap", "spot.wire.coap_numbers", "spot.wire.coap_endpoint", "spot.wire.coap_client",
    "spot.wire.coap_server", "spot.wire.coap_observe")]
ROWS = re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE, re.M)


@pytest.mark.parametrize("name, value", ROWS)
def test_timers_and_bounds(name, value):
    assert {vars(module)[name] for module in MODULES if name in vars(module)} == {int(value)}


def test_every_bound_of_the_endpoint_is_in_the_table():
    files = Path(MODULES[3].__file__).parent.glob("coap_*.py")
    found = set()
    for path in files:
        if path.name not in ("coap_numbers.py", "coap_stream.py", "coap_options.py"):
            found |= set(re.findall(r"^(_[A-Z_]+) = const\(", path.read_text(encoding="utf-8"), re.M))
    assert found == {name for name, _ in ROWS if name.startswith("_")}


def test_every_option_that_is_understood_is_in_the_table():
    numbers = set()
    for cell in re.findall(r"^\| [A-Z][\w, -]+ \| ([\d, ]+) \|", PAGE, re.M):
        numbers |= {int(number) for number in cell.split(", ")}
    named = {value for name, value in vars(coap_numbers).items() if name.startswith("OPT_")}
    assert named - {20} == numbers  # Location-Query is understood, and nobody asks
    assert {_KNOWN[at] for at in range(0, len(_KNOWN), 4)} - {20} == {n for n in numbers if n < 256} - {9, 35, 39}


@pytest.mark.parametrize("name", [row[0] for row in codes.CHANNELS])
def test_every_channel_is_in_the_table_of_resources(name):
    assert re.search("`/?%s`" % name, PAGE)
