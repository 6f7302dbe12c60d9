"""What is made from the descriptions is as it would be made now; the schema and the check agree; `spot boards`."""

import json
import re

import pytest
from typer.testing import CliRunner

from spot.config import ConfigError
from spot_host import board_pages, board_schema
from spot_host.boards import FOLDER, ROOT, Board, all_boards, check
from spot_host.commands import boards as commands
from tests.unit.boards.test_boards import BAD, change

BOARDS = all_boards()


def test_nothing_that_is_made_is_stale():
    stale = [path.relative_to(ROOT).as_posix() for path, text in board_pages.made(BOARDS).items()
             if not path.exists() or path.read_text(encoding="utf-8") != text]
    assert stale == [], "python -m spot_host.board_pages"


def test_something_is_made(monkeypatch, capsys):
    made = board_pages.made(BOARDS)
    chips = [board.name for board in BOARDS if board.is_chip]
    assert all(FOLDER / name / "wiring.svg" in made and FOLDER / name / "README.md" in made for name in chips)
    page = made[FOLDER / "README.md"]
    assert all(f"[{board.name}]({board.name})" in page for board in BOARDS)
    path = FOLDER / "pico" / "README.md"
    monkeypatch.setattr(board_pages, "made", lambda boards: {path: "other"})
    assert board_pages.main(["--check"]) == 1 and capsys.readouterr().out == "boards/pico/README.md\n"
    assert path.read_text(encoding="utf-8") != "other", "--check writes nothing"


def test_a_board_without_a_page_gets_one(tmp_path):
    for name in ("mine", "maps"):
        (tmp_path / name).mkdir()
    for path in (FOLDER / "maps").glob("*.json"):
        (tmp_path / "maps" / path.name).write_text(path.read_text())
    (tmp_path / "mine" / "board.json").write_text(json.dumps(change("esp32_heat_pump", "name", "mine")))
    board = Board.load("mine", tmp_path)
    made = board_pages.made([board])
    page = made[tmp_path / "mine" / "README.md"]
    assert page.startswith("# mine\n") and "Mains voltage kills" in page and "| IO25 | sg_ready" in page
    assert {path.name for path in made if path.parent == tmp_path / "mine"} == {
        "README.md", "wiring.svg", "manifest.py", "mpconfigboard.h", "mpconfigboard.cmake", "sdkconfig.board",
        "partitions.csv"}


@pytest.mark.parametrize("board", [board for board in BOARDS if board.is_chip], ids=lambda board: board.name)
def test_a_page_has_all_that_a_stranger_needs(board):
    page = (board.folder / "README.md").read_text(encoding="utf-8")
    assert "Mains voltage kills" in page and "](wiring.svg)" in page
    blocks = set(re.findall(r"<!-- made: (\w+) -->", page))
    product = "hardware" not in board.description["image"]
    assert {"safety", "pins", "limits"} | (set() if product else {"bill"}) <= blocks
    for part in ("watchdog", "worst gap of the loop", "heap", "flash"):
        assert f"| {part} |" in page
    if product:
        assert "Not verified by us" in page and "| source" in page
    assert ("`isolated` is false" in " ".join(page.split())) == (not board.isolated)


# --- the schema -------------------------------------------------------------------------------------------------------


def fits(value, schema):
    """Whether a value is one of the schema: the words of JSON Schema that ours uses, no others."""
    unknown = set(schema) - {"$schema", "title", "description", "type", "properties", "additionalProperties",
                             "required", "oneOf", "enum", "const", "pattern", "minLength", "maxLength", "minimum",
                             "maximum", "items", "minItems", "maxItems", "uniqueItems"}
    assert not unknown, unknown
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if "type" in schema:
        kind = kinds[schema["type"]]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            return False
    if "enum" in schema and value not in schema["enum"] or "const" in schema and value != schema["const"]:
        return False
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            return False
        if "pattern" in schema and not re.search(schema["pattern"], value):
            return False
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            return False
        if not all(fits(one, schema.get("items", {})) for one in value):
            return False
    if isinstance(value, dict):
        known, more = schema.get("properties", {}), schema.get("additionalProperties", {})
        if not set(schema.get("required", ())) <= set(value):
            return False
        for name, one in value.items():
            if name not in known and more is False or not fits(one, known.get(name, more or {})):
                return False
    return "oneOf" not in schema or sum(fits(value, one) for one in schema["oneOf"]) == 1


SCHEMA = board_schema.schema()


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_schema_takes_every_board(board):
    assert fits(board.description, SCHEMA)


_BEYOND = ("march", "links", "image", "watchdog_ms", "image.romfs_bytes", "image.storage_bytes", "image.board")


@pytest.mark.parametrize("name, where, value, says", BAD, ids=[f"{row[0]} {row[1]} {row[2]}" for row in BAD])
def test_what_the_schema_refuses_the_check_refuses_too(name, where, value, says):
    description = change(name, where, value)
    with pytest.raises(ConfigError):
        check(description)
    goes_with_others = where in _BEYOND or where.startswith("parts.")
    assert goes_with_others or not fits(description, SCHEMA)


@pytest.mark.parametrize("where, value", [
    ("mcu", "esp8266"), ("march", "riscv"), ("device", "fridge"), ("ratings", {}), ("parts.relay", {"driver": "none"}),
    ("parts.relay", {"driver": "gpio_relay"}), ("parts.relay.pin", "15"), ("parts.relay.pin", 256),
    ("parts.meter.baudrate", 300), ("parts.meter.speed", 4800), ("parts.fridge", {"driver": "gpio_relay"}),
    ("image.base", "1"), ("links", ["http"]),
])
def test_the_schema_refuses(where, value):
    assert not fits(change("pico", where, value), SCHEMA)


def test_the_schema_has_words_for_an_editor():
    assert SCHEMA["properties"]["isolated"]["description"].startswith("true only if no conductor")
    committed = json.loads(board_pages.SCHEMA.read_text(encoding="utf-8"))
    assert committed == SCHEMA


# --- spot boards ------------------------------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(commands.app, arguments)


def test_spot_boards_lists_them():
    for arguments in ((), ("list",)):
        out = run(*arguments)
        assert out.exit_code == 0
        lines = out.stdout.splitlines()
        assert [line.split()[0] for line in lines[:-1]] == [board.name for board in BOARDS]
        assert "NOT isolated" in next(line for line in lines if line.startswith("esp32_plug "))
    found = json.loads(run("list", "--json").stdout)
    assert [board["name"] for board in found] == [board.name for board in BOARDS]


@pytest.mark.parametrize("name, words", [
    ("pico_w_plug", ("NOT ISOLATED", "2,500 ms",
                     "make flash BOARD=pico_w_plug PORT=… CONFIG=house/devices/0200000000000001 "
                     "ARGS=--mains-off   # unp",
                     "spot emd enroll house 0200000000000001 --board pico_w_plug", "boards/pico_w_plug/README.md")),
    ("pico", ("spot slipmux PORT --board pico --emd 127.0.0.1:5683", "HOUSE=home", "RP2040")),
    ("unix", ("spot device house/devices/0200000000000001/config.json",)),
    ("sim", ("spot sim --help",)),
    ("sonoff_powr316", ("no shedding by frequency", "CSE7766")),
])
def test_spot_boards_shows_one(name, words):
    out = run("show", name)
    assert out.exit_code == 0
    for word in words:
        assert word in out.stdout
    assert json.loads(run("show", name, "--json").stdout)["name"] == name


def test_an_unknown_board_is_one_line():
    out = run("show", "nowhere")
    assert out.exit_code != 0 and "no board 'nowhere'" in str(out.exception)
