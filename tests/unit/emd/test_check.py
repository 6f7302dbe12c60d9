"""`spot check`: what a device would say of its files, on the computer where they are written."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT

MINE = {
    "name": "mine", "device": "plug", "ratings": {"power_w": 3680, "current_ma": 16000},
    "parts": {"relay": {"driver": "gpio_relay", "pin": 12}, "meter": {"driver": "bl0942", "uart": 0}},
}


def check(*paths):
    command = [sys.executable, "-m", "spot_host.cli", "check", *paths]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_every_board_of_ours_is_as_it_should_be():
    boards = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "boards").glob("*/board.json"))
    done = check(*boards)
    assert done.returncode == 0 and done.stdout.splitlines() == [f"{path}: as it should be" for path in boards]


@pytest.mark.parametrize(("name", "given", "words"), [
    ("mine/board.json", {**MINE, "name": "yours"}, "name: must be that of its folder"),
    ("mine/board.json", {**MINE, "parts": {**MINE["parts"], "led": {"driver": "led", "pin": 12}}}, "a pin of its own"),
    ("config.json", {"board": "unix", "device": {"over_current_ma": 20000}}, "over_current_ma: must be at most 16000"),
    ("config.json", {"board": "nowhere"}, "board: must be a board in"),
    ("config.json", [], "is not a JSON object"),
])
def test_what_is_wrong_is_one_line_with_file_and_field(tmp_path, name, given, words):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if isinstance(given, dict) and "parts" not in given:
        given = {"eui64": "0200000000000001", "store": "s", "boards": str(ROOT / "boards"), **given}
    path.write_text(json.dumps(given))
    good = ROOT / "boards" / "unix" / "board.json"
    done = check(path, good)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert str(path) in done.stderr and words in done.stderr
    assert done.stdout == f"{good}: as it should be\n"


def test_the_board_that_the_page_shows_is_one(tmp_path):
    text = (ROOT / "boards" / "README.md").read_text(encoding="utf-8")
    path = tmp_path / "mine" / "board.json"
    path.parent.mkdir()
    path.write_text(text.split("```json\n", 1)[1].split("```", 1)[0])
    assert check(path).stdout == f"{path}: as it should be\n"
