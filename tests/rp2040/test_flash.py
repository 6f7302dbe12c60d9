"""`spot flash` onto an emulated Pico, as a person does it: an empty board, a house, one command; then a second one,
while the device runs and has the cable for itself; what the board remembers; and another board.
"""

import json
import re
import subprocess
import sys

import pytest

from spot_host.home_folder import HomeFolder
from tests.rp2040 import board as boards
from tests.rp2040 import cable

_WAIT_S = 400  # in which an emulated board is on the wall's clock, and this machine may be busy


def spot(*arguments, code=0):
    """What `spot ARGUMENTS` says; it has to end with `code`."""
    command = [sys.executable, "-c", "from spot_host.cli import main; main()", *map(str, arguments)]
    got = subprocess.run(command, capture_output=True, text=True, timeout=2 * _WAIT_S, stdin=subprocess.DEVNULL)
    assert got.returncode == code, got.stdout + got.stderr
    return got.stderr + got.stdout


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("house") / "home"
    HomeFolder.create(folder, "127.0.0.1", 28883, "home", coap_port=25683)
    settings = folder / "emd.toml"
    text = re.sub(r"\[mqtt\].*?(?=\n\[)", "", settings.read_text(), flags=re.DOTALL)  # no broker here
    settings.write_text(text)
    return folder


@pytest.fixture(scope="module")
def pico(rp2040_rig, tmp_path_factory):
    with boards.Board(rp2040_rig, tmp_path_factory.mktemp("pico")) as board:
        for one in cable.wiring():
            board.command(one.pop("do"), **one)
        yield board


def test_from_an_empty_board_to_a_registered_device_with_one_command(pico, house):
    said = spot("flash", "--board", "pico", "--port", pico.pty, "--home", house, "--wait", _WAIT_S)
    (eui,) = HomeFolder(house).orders
    assert f"{eui}: enrolled in" in said and "slipmux:stdio instead of" in said
    assert f"{eui} has registered: SPOT plug, Pico on cable" in said


def test_again_while_it_runs_sends_nothing(pico, house):
    """The device speaks CoAP on this very port, where Ctrl-C is an octet like any other."""
    said = spot("flash", "--board", "pico", "--port", pico.pty, "--home", house, "--wait", _WAIT_S, "--json")
    told = json.loads(said.splitlines()[-1])
    assert told["sent"] == 0 and told["mode"] == "slot" and told["found"]["own"]["board"] == "pico"
    assert told["registered"]["registered"] and told["registered"]["boot"] > 1


def test_what_it_remembers(pico):
    """The ring of the life that was just interrupted."""
    said = spot("log", "--port", pico.pty)
    assert re.search(r"^\d+ i link\.up 0 0$", said, re.MULTILINE) and "no crash record" in said


def test_the_doctor_finds_it_well(pico):
    said = spot("doctor", "--port", pico.pty)
    assert "SPOT's own, base 1, of pico" in said and "WRONG" not in said


def test_another_board_is_refused(pico):
    said = spot("flash", "--board", "pico_w_plug", "--port", pico.pty, code=3)
    assert "nothing was written" in said and "picotool" in said
    said = spot("flash", "--board", "esp32_plug", "--port", pico.pty, code=3)
    assert "rp2040" in said
