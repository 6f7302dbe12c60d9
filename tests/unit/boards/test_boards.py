"""Every board of boards/ is right as a whole: its description, its chip, its firmware, its flash. A bad one is refused
in one line that names the file, the field, and what would be right.
"""

import json
import shutil

import pytest

from spot.app import _DEVICES
from spot.board.board import _DRIVERS
from spot.config import ConfigError, load_board
from spot.config_check import check_fit
from spot_host import board_image, build, romfs
from spot_host import board_tables as tables
from spot_host.boards import FOLDER, Board, all_boards, check, check_partitions, each_part, names, pins_of
from spot_host.errors import UserError
from tests.sim.bad_input.board_table import BAD, PARTITIONS

BOARDS = {board.name: board for board in all_boards()}
CHIPS = [board for board in BOARDS.values() if board.is_chip]
HEAD = tables.SECTOR  # of a slot, before the image
COMPILED = {}  # (instruction set, path, source): octets; most files are the same for every board


def chip_board(name):
    return json.loads((FOLDER / name / "board.json").read_text())


def test_the_boards_that_the_issue_asks_for_are_here():
    assert {"pico", "pico_w_plug", "pico_w_heat_pump", "pico2_w_heat_pump", "esp32_plug", "esp32_heat_pump",
            "esp32s3_heat_pump", "shelly_plus_plug_s", "sonoff_powr316", "unix", "unix_heat_pump", "sim",
            "sim_heat_pump", "sim_modbus"} <= set(BOARDS)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_board_goes_with_the_default_configuration_and_its_drivers_exist(board):
    check_fit(load_board(board.name, str(FOLDER)), {"device": {}})
    assert board.device in _DEVICES
    assert {part["driver"] for _, part in each_part(board.description)} <= set(_DRIVERS)
    assert len(board.model) <= 24 and board.notes.endswith(".")


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_its_firmware_compiles_for_its_chip_and_fits_a_slot(board, tmp_path):
    """As it stands, before modules are bundled and names are short: that makes it smaller by more than a quarter."""
    march = {"bytecode": "x64"}.get(board.march, board.march)
    texts = build.sources(board.name)
    new = {path: text for path, text in texts.items() if (march, path, text) not in COMPILED}
    for path, octets in build.compile_all(march, tmp_path, new):
        path = path.removesuffix(".mpy") + ".py"
        COMPILED[march, path, new[path]] = octets
    assert "main.py" in texts
    if board.is_chip:
        octets = sum(COMPILED[march, path, text] for path, text in texts.items())
        assert octets * 3 // 4 < board.image.slot_bytes - HEAD


def test_a_release_fits_its_slot_and_has_the_board_in_it():
    board = BOARDS["pico"]
    image = romfs.build(board.name, "1.0", 1)
    assert 100_000 < len(image) < board.image.slot_bytes - HEAD
    inside = romfs.files(image)
    assert json.loads(bytes(inside["boards/pico/board.json"]))["name"] == "pico"


@pytest.mark.parametrize("board", CHIPS, ids=lambda board: board.name)
def test_the_flash_holds_interpreter_slots_and_files(board):
    assert board.code_bytes >= board.chip.code_least
    assert board.image.slot_bytes % tables.SECTOR == 0
    assert board.worst_gap_ms < board.watchdog_ms
    assert not (board.wifi is False and {"mqtt", "coap"} & set(board.links))


@pytest.mark.parametrize("board", [b for b in CHIPS if b.mcu.startswith("esp")], ids=lambda board: board.name)
def test_its_partition_table_is_right(board):
    rows = check_partitions(board, (board.folder / "partitions.csv").read_text())
    assert [row.name for row in rows] == ["nvs", "phy_init", "factory", "romfs", "vfs"]
    assert max(row.offset + row.size for row in rows) == board.flash_bytes
    assert next(row.size for row in rows if row.name == "factory") >= board.chip.code_least
    assert 'partitions.csv' in (board.folder / "mpconfigboard.cmake").read_text()


@pytest.mark.parametrize("change, says", PARTITIONS)
def test_a_wrong_partition_table_is_refused(change, says):
    board = BOARDS["esp32_plug"]
    text = (board.folder / "partitions.csv").read_text()
    assert change[0] in text
    with pytest.raises(ConfigError) as caught:
        check_partitions(board, text.replace(*change), "p.csv")
    assert str(caught.value).startswith("p.csv: " + says)


@pytest.mark.parametrize("board", [b for b in CHIPS if b.mcu.startswith("rp2") and b.name not in board_image.WITHOUT],
                         ids=lambda board: board.name)
def test_the_definition_for_micropython_says_the_same_sizes(board):
    text = board_image.files(board)["mpconfigboard.h"]
    for name, octets in (("ROMFS_BYTES", board.image.romfs_bytes), ("FLASH_STORAGE_BYTES", board.image.storage_bytes)):
        line = next(line for line in text.splitlines() if f"MICROPY_HW_{name} " in line)
        value = line.split(f"MICROPY_HW_{name}", 1)[1].split("//")[0]
        assert eval(value, {"__builtins__": {}}) == octets, line


# --- what is wrong is said --------------------------------------------------------------------------------------------


def change(name, where, value):
    """The description of `name` with the field `where` ("image.base") set, or taken out where value is None."""
    description = chip_board(name)
    at = description
    *way, last = where.split(".")
    for step in way:
        at = at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return description


@pytest.mark.parametrize("name, where, value, says", BAD, ids=[f"{row[0]} {row[1]} {row[2]}" for row in BAD])
def test_what_is_wrong_is_named_by_file_and_field(name, where, value, says):
    with pytest.raises(ConfigError) as caught:
        check(change(name, where, value), "my.json")
    assert str(caught.value).startswith("my.json: " + says)


def test_a_timer_that_the_interrupt_of_a_uart_takes_is_nobody_elses():
    description = chip_board("esp32_plug")
    description["parts"]["relay"].update(driver="zero_cross_relay", zero_cross_pin=33, close_delay_ms=9,
                                         open_delay_ms=4, timer=1)
    description["parts"]["relay"].pop("active")
    check(description)
    description["parts"]["relay"]["timer"] = 0
    with pytest.raises(ConfigError) as caught:
        check(description)
    assert str(caught.value) == ("board.json: parts.relay.timer: must be another than 0: the interrupt of parts.meter "
                                 "takes that one on ESP32")
    description["parts"]["meter"]["irq"] = 0
    check(description)


def test_a_board_that_is_none_and_one_that_is_wrong_are_one_line(tmp_path):
    with pytest.raises(UserError, match="no board 'nowhere' in boards/; there are esp32_heat_pump, .*unix"):
        Board.load("nowhere")
    with pytest.raises(UserError, match="no board '../boards/pico'"):
        Board.load("../boards/pico")
    shutil.copytree(FOLDER / "maps", tmp_path / "maps")
    (tmp_path / "pico").mkdir()
    path = tmp_path / "pico" / "board.json"
    path.write_text(json.dumps(change("pico", "mcu", None)))
    with pytest.raises(UserError, match="pico/board.json: mcu: must be given"):
        Board.load("pico", tmp_path)
    path.write_text("{")
    with pytest.raises(UserError, match="pico/board.json: is not JSON"):
        Board.load("pico", tmp_path)
    assert names(tmp_path) == ["pico"]


def test_what_others_read_of_a_board():
    board = Board.load("pico_w_plug")
    assert (board.mcu, board.march, board.isolated, board.links) == ("rp2040", "armv6m", False, ("mqtt", "coap"))
    assert board.image.board == "RPI_PICO_W" and board.image.slot_bytes * 3 == board.image.romfs_bytes
    assert [pin for _, part in each_part(board.description) for _, pin in pins_of(part)] == [15, 0, 1, 14, 13]
    assert Board.load("unix").chip is None and Board.load("pico").isolated
    assert not any(BOARDS[name].isolated for name in ("esp32_plug", "shelly_plus_plug_s", "sonoff_powr316"))
