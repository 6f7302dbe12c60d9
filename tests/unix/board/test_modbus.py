"""Modbus on MicroPython: the cases of tests/unit/board/modbus_cases.py, and a heap that nothing touches."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from spot_host import build

ROOT = Path(__file__).resolve().parents[3]
BOARD = Path(__file__).with_name("modbus_board.py")


def test_the_cases_hold_on_micropython(mpy):
    unit = ROOT / "tests" / "unit" / "board"
    names = re.findall(r"^@case\ndef (\w+)", (unit / "modbus_cases.py").read_text(), re.MULTILINE)
    code = "import sys\nsys.path[:0] = sys.argv[1:]\nimport modbus_cases\nmodbus_cases.main()\n"
    assert mpy(code, unit, ROOT / "sim", heap="4m").split() == names


def test_rounds_writes_and_silences_touch_no_heap(mpy):
    out = mpy(Path(__file__).with_name("modbus_heap.py"), ROOT / "boards" / "maps")
    answered, timeouts = re.match(r"answered (\d+) timeouts (\d+) False False\n$", out).groups()
    assert int(answered) > 200 and int(timeouts) > 10


@pytest.fixture(scope="session")
def flashed(tmp_path_factory):
    """The firmware as it is flashed for board sim_modbus, and the script that goes with it."""
    folder = tmp_path_factory.mktemp("image")
    script = BOARD.read_text()
    image = build.Image(build.sources("sim_modbus"), [script])
    image.compile("x64", folder)
    (folder / "guest.py").write_text(image.guest(script, "guest"))
    return folder


@pytest.mark.parametrize("how", ["source", "flashed"])
def test_a_board_with_a_bus_runs(how, request, micropython_path, tmp_path):
    path, script = ROOT / "firmware", BOARD
    if how == "flashed":
        path = request.getfixturevalue("flashed")
        script = path / "guest.py"
    (tmp_path / "store").mkdir()
    got = subprocess.run([micropython_path, script, ROOT / "boards", tmp_path / "store"], capture_output=True,
                         text=True, timeout=60, env={**os.environ, "MICROPYPATH": f"{path}:.frozen"})
    assert got.returncode == 0, got.stdout + got.stderr
    # the limit at register 1 of the machine; what is volatile is told at the first contact (65535, 2, 0, 0)
    assert got.stdout == "1000 23000 1 10 10 [(0, 2), (1, 1500), (1, 65535), (2, 0), (3, 0)]\n"
