"""A bad configuration ends the process with exit code 2 and the one line of the table; nothing has moved before."""

import os
import subprocess

import pytest

from spot_host.toolchain import runtimes
from tests.conftest import ROOT
from tests.sim.bad_input.start import ROWS, WHOLE, Place


def run(micropython, place, stdin=""):
    env = {**os.environ, "MICROPYPATH": f"{ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"}
    command = [
        str(micropython),
        "-X",
        "heapsize=4m",
        str(ROOT / "firmware" / "main.py"),
        str(place.write()),
        "--lockstep",
    ]
    return subprocess.run(command, env=env, capture_output=True, text=True, input=stdin, timeout=30)


@pytest.mark.parametrize("row", ROWS, ids=[row.what for row in ROWS])
def test_one_line(micropython_path, tmp_path, row):
    place = Place(tmp_path)
    row.spoil(place)
    got = run(micropython_path, place)
    assert (got.returncode, place.short(got.stdout), got.stderr) == (2, row.line + "\n", "")


def test_wrong_as_a_whole(mpy, tmp_path):
    """One process: main() of each, one line, exit code 2, and the hardware is not even looked for."""
    places = []
    for n, row in enumerate(WHOLE):
        folder = tmp_path / str(n)
        folder.mkdir()
        places.append(Place(folder))
        row.spoil(places[-1])
    out = mpy(f"""
import sys
import main
for path in {[str(place.write()) for place in places]!r}:
    print(main.main([path, "--lockstep"]))
assert "stdio" not in sys.modules
""")
    lines = out.split("\n")
    for row, place, line, code in zip(WHOLE, places, lines[::2], lines[1::2], strict=False):
        assert (place.short(line), code) == (row.line, "2")
    assert len(lines) >= 2 * len(WHOLE)


def test_what_is_right_starts(micropython_path, tmp_path):
    """The place that the rows spoil is right: it answers a grant, and ends with its stdin."""
    got = run(micropython_path, Place(tmp_path), '{"t": 0, "rx": 0, "in": {}}\n')
    assert (got.returncode, got.stderr) == (0, "")
    assert got.stdout.startswith('>{"') and (tmp_path / "store" / "boot").exists()


def test_torn_at_every_octet(mpy, tmp_path):
    """A configuration that ends anywhere before its end is refused; MicroPython's own json takes most of those."""
    place = Place(tmp_path)
    place.config["device"] = {"min_off_s": 300, "power_on": "off"}
    place.config["agent"] = {"heartbeat": 60}
    whole = place.write()
    code = f"""
import io, json
from spot.config import ConfigError
from spot.config_check import load_config
raw = open({str(whole)!r}, "rb").read()
taken = lenient = 0
for n in range(len(raw) + 1):
    try:
        load_config("config.json", lambda path, mode: io.BytesIO(raw[:n]))
        taken += 1
    except ConfigError as error:
        assert str(error) == "config.json: is not JSON: torn or mistyped", error
    try:
        json.loads(raw[:n])
        lenient += 1
    except ValueError:
        pass
print(len(raw), taken, lenient > 1)
"""
    size, taken, lenient = mpy(code).split()
    assert int(size) > 300 and (taken, lenient) == ("1", "True")
