"""The boards of boards/: `Board.load(name)` for every host tool, and the whole check of a board.json.

A device checks what it reads itself (spot.board_check). `check` does that and goes on with what only host tools
read, and with what the chip can do: pins that it has, UARTs, timers, flash that must hold image, slots and store.
"""

from dataclasses import dataclass, field
from pathlib import Path

from spot.board.fields import fields_of
from spot.board_check import check_board
from spot.config import ConfigError, load_board, load_json
from spot.config_check import Wrong, check_field

from . import board_tables as tables
from .board_tables import CHIPS, REGIONS, SECTOR
from .errors import UserError
from .toolchain.paths import ROOT

FOLDER = ROOT / "boards"


@dataclass(frozen=True)
class Image:
    """What a board's own image is made of; board and storage_bytes are None where no chip is."""

    micropython: str
    base: int
    romfs_bytes: int
    board: str | None = None
    variant: str | None = None
    hardware: str | None = None
    storage_bytes: int | None = None

    @property
    def slot_bytes(self) -> int:
        """Octets of one slot: a head of one sector, then the ROMFS image."""
        return self.romfs_bytes // REGIONS


@dataclass(frozen=True)
class Board:
    """One board of boards/, checked. `description` is its board.json as it stands."""

    name: str
    folder: Path
    model: str
    device: str
    notes: str
    mcu: str
    march: str
    isolated: bool
    relay_hold: bool
    wifi: bool
    links: tuple
    flash_bytes: int
    heap_bytes: int
    image: Image
    worst_gap_ms: int | None
    hold_up_ms: int | None
    watchdog_ms: int | None
    description: dict = field(repr=False, hash=False, compare=False)

    @classmethod
    def load(cls, name: str, folder: Path = FOLDER) -> "Board":
        """The board `name` of `folder`. UserError (one line) where there is none, or where something is wrong."""
        path = Path(folder) / str(name) / "board.json"
        if name not in names(folder):
            raise UserError(f"no board {name!r} in {Path(folder).name}/; there are {', '.join(names(folder))}")
        try:
            found = check(load_json(str(path)), shown(path))
            load_board(name, str(folder))  # the register maps that it names, too
        except ConfigError as error:
            raise UserError(str(error)) from None
        return cls(
            name, path.parent, found.get("model", name), found["device"], found["notes"], found["mcu"], found["march"],
            found["isolated"], found.get("relay_hold", False), found["wifi"], tuple(found["links"]),
            found["flash_bytes"], found["heap_bytes"], Image(**found["image"]), found.get("worst_gap_ms"),
            found.get("hold_up_ms"), found.get("watchdog_ms"), found)

    @property
    def is_chip(self) -> bool:
        """Whether an image can be flashed to it."""
        return self.mcu in CHIPS

    @property
    def chip(self) -> tables.Chip | None:
        """What its chip can do; None of unix and sim."""
        return CHIPS.get(self.mcu)

    @property
    def code_bytes(self) -> int | None:
        """Flash that is left for the interpreter with the frozen safe mode."""
        if not self.is_chip:
            return None
        return self.flash_bytes - self.image.romfs_bytes - self.image.storage_bytes - _LOADER.get(self.mcu, 0)


_LOADER = {"esp32": 0x10000, "esp32s3": 0x10000}  # boot loader, partition table, NVS


def shown(path: Path) -> str:
    """A path as messages have it: below the checkout where it is there."""
    try:
        return path.resolve().relative_to(ROOT).as_posix()
    except ValueError:
        return str(path)


def names(folder: Path = FOLDER) -> list[str]:
    """Names of all boards, sorted."""
    return sorted(path.parent.name for path in Path(folder).glob("*/board.json"))


def all_boards(folder: Path = FOLDER) -> list[Board]:
    """Every board, checked."""
    return [Board.load(name, folder) for name in names(folder)]


# --- the check --------------------------------------------------------------------------------------------------------


def check(description: dict, file: str = "board.json") -> dict:
    """The description, when all of it is right; ConfigError (file, field, what would be right) for what is not."""
    check_board(description, file)

    def wrong(where, want):
        raise ConfigError(file, where, want)

    name = description["name"]
    if name != name.lower() or len(name) > tables.NAME_MOST:
        wrong("name", f"lower-case, of at most {tables.NAME_MOST} characters (a release carries it), not {name!r}")
    for name in tables.NEEDED:
        if name not in description:
            wrong(name, f"given: {_plain(tables.MEANING[name])}")
    for name, rule in tables.FIELDS.items():
        _follow(wrong, name, description[name], rule)
    image = description["image"]
    for name in image:
        if name not in tables.IMAGE:
            wrong(f"image.{name}", "left out: it is none of " + ", ".join(sorted(tables.IMAGE)))
    chip = CHIPS.get(description["mcu"])
    for name in (*tables.IMAGE_NEEDED, *(tables.CHIP_IMAGE_NEEDED if chip else ())):
        if name not in image:
            wrong(f"image.{name}", f"given: {_plain(tables.MEANING[f'image.{name}'])}")
    for name, value in image.items():
        _follow(wrong, f"image.{name}", value, tables.IMAGE[name])
    if image["romfs_bytes"] % (REGIONS * SECTOR):
        wrong("image.romfs_bytes", f"a multiple of {REGIONS * SECTOR} (three regions of whole sectors), "
                                   f"not {image['romfs_bytes']}")
    if "slipmux" in description["links"] and not description["isolated"]:
        wrong("links", "without slipmux: the board is not isolated, and no cable may be connected to it")
    marches = (chip.march,) if chip else tables.MARCHES[description["mcu"]]
    if description["march"] not in marches:
        wrong("march", f"{' or '.join(marches)} with mcu {description['mcu']}, not {description['march']!r}")
    if chip:
        _check_chip(wrong, description, chip)
    return description


def _plain(text):
    return text.replace("`", "")


def _follow(wrong, name, value, rule):
    """`value` must follow `rule`; "links" is a list of words, "version" is 1.25 or the like."""
    if name == "links":
        if not isinstance(value, list) or not value or any(one not in rule for one in value):
            wrong(name, f"a list of {', '.join(rule)}, not {value!r}")
    elif rule == "version":
        parts = value.split(".") if isinstance(value, str) else []
        if len(parts) not in (2, 3) or not all(part.isdigit() for part in parts):
            wrong(name, f"a version of MicroPython such as \"1.25\", not {value!r}")
    else:
        try:
            check_field(name, value, rule)
        except Wrong as error:
            wrong(*error.args)


def _check_chip(wrong, description, chip):
    image = description["image"]
    for name in tables.CHIP_NEEDED:
        if name not in description:
            wrong(name, f"given: {_plain(tables.MEANING[name])}")
    if image["board"] not in chip.boards:
        wrong("image.board", f"one of {', '.join(chip.boards)} with mcu {description['mcu']}, not {image['board']!r}")
    if image["storage_bytes"] % SECTOR:
        wrong("image.storage_bytes", f"a multiple of {SECTOR}, not {image['storage_bytes']}")
    left = (description["flash_bytes"] - image["romfs_bytes"] - image["storage_bytes"]
            - _LOADER.get(description["mcu"], 0))
    if left < chip.code_least:
        wrong("image", f"smaller: romfs_bytes and storage_bytes leave {left} of {description['flash_bytes']} octets "
                       f"of flash for the interpreter, which takes {chip.code_least}")
    networks = {"mqtt", "coap"} & set(description["links"])
    if networks and not description["wifi"]:
        wrong("links", f"slipmux alone: without wifi there is no {' and no '.join(sorted(networks))}")
    for where, part in each_part(description):
        _check_part(wrong, where, part, chip)
    taken = tables.UART_TIMER.get(description["mcu"])
    by = [where for where, part in each_part(description) if "uart" in part and part.get("irq")]
    for where, part in each_part(description):
        if by and part.get("timer") == taken is not None:
            wrong(f"{where}.timer", f"another than {taken}: the interrupt of {by[0]} takes that one on {chip.title}")


def each_part(description: dict):
    """(field, part) of all parts, buses and sensors: ("parts.sensors.room", {"driver": …})."""
    for role, part in description["parts"].items():
        if role in ("buses", "sensors"):
            for name, one in part.items():
                yield f"parts.{role}.{name}", one
        else:
            yield f"parts.{role}", part


def pins_of(part: dict):
    """(name of the field, GPIO) of a part, those of "pins" as pins.0 and pins.1."""
    for name, value in part.items():
        if name in ("pin", "tx", "rx", "sense") or name.endswith("_pin"):
            yield name, value
        elif name == "pins":
            yield from ((f"pins.{i}", pin) for i, pin in enumerate(value))


# fields whose pin the chip drives, by driver; None: of all drivers
_DRIVEN = {None: {"tx", "de_pin", "sel_pin", "set_pin", "reset_pin", "pins.0", "pins.1", "scl_pin", "sda_pin"},
           "gpio_relay": {"pin"}, "zero_cross_relay": {"pin"}, "led": {"pin"}, "onewire": {"pin"}}
_PULLED = {"button": "pull", "power_fail": "pull", "s0_meter": "pull"}  # driver: field that may say "none"


def _check_part(wrong, where, part, chip):
    word = part["driver"]
    driven = _DRIVEN[None] | _DRIVEN.get(word, set())
    for name, pin in pins_of(part):
        at = f"{where}.{name}"
        if pin not in chip.pins:
            wrong(at, f"a GPIO that a part may have on {chip.title} ({_ranges(chip.pins)}), not {pin}")
        if pin in chip.inputs and name in driven:
            wrong(at, f"a GPIO that can drive: {pin} is an input only ({_ranges(chip.inputs)} are)")
        if pin in chip.inputs and word in _PULLED and part.get(_PULLED[word], "up") != "none":
            wrong(at, f"a GPIO with a pull-up, or {_PULLED[word]} \"none\": {pin} has none")
        if word.startswith("ntc") and pin not in chip.analog:
            wrong(at, f"an analog input ({_ranges(chip.analog)}), not {pin}")
    if "uart" in part:
        if part["uart"] not in chip.uarts:
            wrong(f"{where}.uart", f"one of {', '.join(map(str, sorted(chip.uarts)))} on {chip.title}, "
                                   f"not {part['uart']}")
        lines = chip.uarts[part["uart"]]
        for line in ("tx", "rx"):
            able = lines[line == "rx"] if lines else chip.pins
            if line in part and part[line] not in able:
                wrong(f"{where}.{line}", f"one of {_ranges(able)}: {part[line]} is no {line.upper()} of UART "
                                         f"{part['uart']}")
    if "timer" in part and part["timer"] not in chip.timers:
        wrong(f"{where}.timer", f"one of {_ranges(chip.timers)} on {chip.title}, not {part['timer']}")
    if "timer" in (fields_of("buses", word) or ()) and "de_pin" in part and -1 not in chip.timers \
            and "timer" not in part:
        wrong(f"{where}.timer", f"given: {chip.title} has no virtual timer to release de_pin")


def _ranges(numbers):
    """ "0-22, 26-28" of numbers."""
    rows = []
    for number in sorted(numbers):
        if rows and rows[-1][1] == number - 1:
            rows[-1][1] = number
        else:
            rows.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in rows)


# --- partition tables -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Partition:
    """A row of partitions.csv."""

    name: str
    type: str
    subtype: str
    offset: int
    size: int


def partitions(text: str, file: str = "partitions.csv") -> list[Partition]:
    """The rows of an ESP32's partition table. ConfigError names file, row and what would be right."""
    rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("#")[0].split(",")]
        if cells == [""]:
            continue
        try:
            rows.append(Partition(*cells[:3], int(cells[3], 0), int(cells[4], 0)))
        except (IndexError, ValueError):
            raise ConfigError(file, cells[0], "name, type, subtype, offset, size") from None
    return rows


def check_partitions(board: Board, text: str, file: str = "partitions.csv") -> list[Partition]:
    """The rows, when they are right for this board: aligned, none over another, all in the flash, one application,
    the ROMFS region and the file system as large as board.json says."""
    rows = partitions(text, file)
    end = 0x9000  # boot loader and the table itself
    for row in sorted(rows, key=lambda row: row.offset):
        step = 0x10000 if row.type == "app" else SECTOR
        if row.offset % step or row.size % SECTOR or row.size <= 0:
            raise ConfigError(file, row.name, f"aligned: offset to {step:#x}, size to {SECTOR:#x}, not "
                                              f"{row.offset:#x} and {row.size:#x}")
        if row.offset < end:
            raise ConfigError(file, row.name, f"from {end:#x} on, where the one before it ends, not {row.offset:#x}")
        end = row.offset + row.size
    if end > board.flash_bytes:
        raise ConfigError(file, "", f"its end, {end:#x}, is beyond the flash, {board.flash_bytes:#x}")
    found = {row.name: row for row in rows}
    for name, kind, size in (("romfs", ("data", "0x8f"), board.image.romfs_bytes),
                             ("vfs", ("data", "fat"), board.image.storage_bytes)):
        row = found.get(name)
        if row is None or (row.type, row.subtype) != kind or row.size != size:
            raise ConfigError(file, name, f"{', '.join(kind)} of {size:#x} octets, as board.json says")
    if [row.type for row in rows].count("app") != 1:
        raise ConfigError(file, "", "one application: releases are in the slots of romfs")
    return rows
