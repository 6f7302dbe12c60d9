"""Writes what is made from the boards' descriptions: pictures, tables of the pages, MicroPython's board definitions and
the JSON Schema. `python -m spot_host.board_pages` writes all of it, `… --check` says what is stale (exit code 1).

A page keeps its own words; between `<!-- made: NAME -->` and `<!-- end -->` stands what is made.
"""

import json
import re
import sys
from pathlib import Path

from . import board_image, board_schema, wiring
from . import board_tables as tables
from .boards import FOLDER, ROOT, Board, all_boards, check_partitions, each_part, pins_of

SCHEMA = ROOT / "docs" / "boards" / "board.schema.json"
_BLOCK = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.S)

_METERS = {
    "bl0942": "BL0942 (V, A, W, Hz)", "hlw8012": "{chip} (W, V, A)", "cse7766": "CSE7766 (V, A, W)",
    "ade7953": "ADE7953 (V, A, W, Hz)", "s0_meter": "S0 pulses (W, Wh)", "modbus_meter": "Modbus, {map}",
    "direct_meter": "numbers",
}
_BLIND = ("hlw8012", "cse7766", "s0_meter")  # meters that see no frequency and no direction

# --- words ----------------------------------------------------------------------------------------------------------

_OPEN = """\
**Mains voltage kills.** The metering module sits *on the mains*: its ground is the live or the neutral wire, and so
is everything connected to it, the controller and its USB socket too. In `board.json` `isolated` is false, and `spot
slipmux` and tests on a bench refuse this board. Put the firmware on the controller before the module is connected,
never plug a cable in while the mains is on, and calibrate over the network. Fuse, cut-out and housing stay what
they are: the firmware replaces none of them, and is not for medical loads. Who wires this must be allowed to work
on the mains where they live.
"""
_PRODUCT = """\
**Mains voltage kills.** Nothing in here is isolated from the mains: while it is plugged in, its serial pads, its
button's inner side and everything connected to them can be live. In `board.json` `isolated` is false. Open it only
unplugged, power it from the serial adapter's 3.3 V alone, and close it before it goes back to the wall; from then
on everything goes over the network. Opening it ends the maker's warranty and conformity: what you have then is
yours to answer for. Its fuse and its housing stay what they are; the firmware replaces neither, and is not for
medical loads.
"""
_PUMP = """\
**Mains voltage kills.** The controller is isolated only if it is built so: a supply with safe extra-low voltage
(SELV), relays with reinforced insulation between coil and contact, an isolated RS-485 transceiver, sensors in
sleeves. Then `isolated` may be true, and a cable may be connected while everything runs. Supply and meter belong in
the distribution board and are an electrician's work. SG-Ready terminals of most pumps take potential-free contacts;
where a maker wants 230 V there, contacts and wiring must be fit for it: its manual says. The firmware replaces no
protection of the machine.
"""
_CABLE = """\
**Mains voltage kills.** This board is isolated only if it is built so: the BL0942 module behind a digital isolator,
on an isolated supply of its own, and a relay with reinforced insulation between coil and contact. Then `isolated`
may be true, and the cable may stay in. With the module wired straight to the Pico everything is at mains voltage:
that is another board ([pico_w_plug](../pico_w_plug)). Fuse and cut-out stay what they are: the firmware replaces
neither.
"""

_BILL = {  # driver: what to buy for a board that somebody wires
    "gpio_relay": "relay module, 5 V, contact for 250 V AC and the rated current, with driver and flyback diode; 10 kΩ "
                  "from IN to ground, so that it stays open while the controller boots",
    "sg_ready": "module with two relays, 5 V, potential-free contacts, reinforced insulation between coil and contact; "
                "10 kΩ from each IN to ground",
    "modbus_rtu": "RS-485 transceiver for 3.3 V, isolated, with DE and /RE; 120 Ω at both ends of the line",
    "modbus_meter": "energy meter with Modbus RTU ({map}), set to address {address}",
    "onewire": "4.7 kΩ from DQ to 3.3 V",
    "ds18b20": "DS18B20 in a sleeve: {name}",
    "button": "push button, insulated for the voltage that the board has",
    "led": "lamp (LED) and 470 Ω",
    "power_fail": "comparator with an open collector (LM393 or alike) that falls when the 12 V rail is below 11 V; "
                  "10,000 µF / 25 V at that rail; a converter to 5 V that works down to 7 V",
}
_METER_BILL = {True: "BL0942 module, 3.3 V; digital isolator with two channels; isolated supply for the module's side",
               False: "BL0942 module for 3.3 V with a shunt of 1 mΩ"}
_SUPPLY = {"plug": "supply 230 V AC to 5 V DC, 1 A, for building in",
           "heat_pump": "supply for a DIN rail, 12 V DC, 10 W, SELV"}


def safety(board: Board) -> str:
    """The words about mains voltage."""
    if not board.isolated:
        return _OPEN if wiring.is_kit(board.description) else _PRODUCT
    return _PUMP if board.device == "heat_pump" else _CABLE


def bill(board: Board) -> str:
    """The bill of materials as a table."""
    rows = [board.image.hardware, _SUPPLY[board.device] if board.wifi else "USB cable: power and link"]
    for where, part in each_part(board.description):
        driver = part["driver"]
        text = _METER_BILL[board.isolated] if driver == "bl0942" else _BILL.get(driver)
        if text:
            rows.append(text.format(name=where.rsplit(".", 1)[1], **{k: part.get(k) for k in ("map", "address")}))
    return "| what |\n|---|\n" + "".join(f"| {row} |\n" for row in rows)


def pins(board: Board) -> str:
    """The table of pins."""
    numbered = wiring.header_pin(board.description, 0) is not None
    out = [f"| GPIO |{' header |' if numbered else ''} part | there | mind |",
           f"|---|{'---|' if numbered else ''}---|---|---|"]
    ends = {pin: end for row in wiring.wires(board.description) for pin, end in row.pins}
    for where, part in each_part(board.description):
        for name, pin in pins_of(part):
            header = f" {wiring.header_pin(board.description, pin)} |" if numbered else ""
            level = "low" if part.get("active", 1) == 0 else "high"
            does = {"gpio_relay": f"{level} closes", "sg_ready": f"{level} closes", "led": f"{level} lights",
                    "button": "low: pressed; internal pull-up",
                    "power_fail": "low: the mains is gone; internal pull-up"}.get(part["driver"], "")
            mind = "; ".join(filter(None, (does, board.chip.minds.get(pin, ""))))
            out.append(f"| {wiring.gpio(board.description, pin)} |{header} {part['driver']} "
                       f"({where.removeprefix('parts.')}.{name}) | {ends[pin]} | {mind} |")
    return "\n".join(out) + "\n"


def limit_rows(board: Board) -> list[tuple]:
    """(what, words) of what the board has."""
    image, chip = board.image, board.chip
    slot = image.slot_bytes >> 10
    gap = "estimated: mbedTLS computes a handshake in one piece" if board.wifi else "a sector's erase at its worst"
    power = "no power-fail input: no last gasp; energy since the latest checkpoint, at most 15 minutes, is estimated"
    if board.hold_up_ms:
        power = f"its input gives {board.hold_up_ms} ms (calculated for the bill of materials, not measured)"
    reset = "opens the relay, which counts as a switch-off"
    if board.device == "heat_pump":
        reset = "opens both contacts: the pump is in normal operation"
    elif board.relay_hold:
        reset = "leaves the relay as it is"
    return [
        ("chip", f"{chip.title}, `{board.march}`; MicroPython {image.micropython} or later"),
        ("links", ", ".join(board.links)),
        ("heap", f"about {board.heap_bytes:,} octets"),
        ("flash", f"{board.flash_bytes >> 10:,} KiB: interpreter {board.code_bytes >> 10:,}, ROMFS "
                  f"{image.romfs_bytes >> 10:,} (the image's own release, slot A, slot B: {slot} each), files "
                  f"{image.storage_bytes >> 10:,}"),
        ("watchdog", f"{board.watchdog_ms:,} ms"),
        ("worst gap of the loop", f"{board.worst_gap_ms:,} ms, {gap}"),
        ("power goes", power),
        ("a reset", reset),
    ]


def limit_words(board: Board) -> list[str]:
    """Sentences on what the board cannot do."""
    words = [*board.chip.limits, *(tables.RADIO_LIMITS.get(board.mcu, ()) if board.wifi else ())]
    if board.description["parts"].get("meter", {}).get("driver") in _BLIND:
        words.append("The meter sees no line frequency and no direction: no shedding by frequency, no exported energy.")
    if "led" not in board.description["parts"]:
        words.append("No lamp: what it would show has to be read over the network.")
    return words


def limits(board: Board) -> str:
    """What the board has, and what does not fit on it."""
    rows = "".join(f"| {name} | {words} |\n" for name, words in limit_rows(board))
    return f"| | |\n|---|---|\n{rows}\n" + "".join(f"- {line}\n" for line in limit_words(board))


def meter(board: Board) -> str:
    """The meter in a few words."""
    part = board.description["parts"].get("meter")
    if part is None:
        return "none"
    return _METERS[part["driver"]].format(map=part.get("map"), chip=part.get("chip", "hlw8012").upper())


def overview(boards: list[Board]) -> str:
    """The table from which somebody picks a board."""
    out = ["| board | what it is | chip | meter | isolated | links | flash, heap |", "|---|---|---|---|---|---|---|"]
    for device, title in (("plug", "plugs"), ("heat_pump", "heat pumps")):
        out.append(f"| **{title}** | | | | | | |")
        for board in sorted(boards, key=lambda one: (not one.is_chip, one.name)):
            if board.device == device:
                size = f"{board.flash_bytes >> 20} MiB, {board.heap_bytes // 1000} kB" if board.is_chip else ""
                chip = board.chip.title if board.chip else board.mcu
                isolated = "yes" if board.isolated else "**no**"
                out.append(f"| [{board.name}]({board.name}) | {board.notes} | {chip} | {meter(board)} | {isolated} | "
                           f"{', '.join(board.links)} | {size} |")
    return "\n".join(out) + "\n"


def fields() -> str:
    """The table of the fields of a board.json."""
    needed = {*tables.NEEDED, "name", "device", "ratings", "parts"}
    chips = set(tables.CHIP_NEEDED)
    image = set(tables.IMAGE_NEEDED)
    out = ["| field | must be there | meaning |", "|---|---|---|"]
    for name, meaning in tables.MEANING.items():
        short = name.removeprefix("image.")
        if name.startswith("image."):
            must = "yes" if short in image else "chip" if short in tables.CHIP_IMAGE_NEEDED else ""
        else:
            must = "yes" if name in needed else "chip" if name in chips else ""
        out.append(f"| `{name}` | {must} | {meaning} |")
    return "\n".join(out) + "\n"


# --- writing --------------------------------------------------------------------------------------------------------


def made(boards: list[Board]) -> dict[Path, str]:
    """{file: text} of everything that is made. KeyError: a page asks for a block that there is not."""
    out = {SCHEMA: json.dumps(board_schema.schema(), indent=1, ensure_ascii=False) + "\n"}
    for board in boards:
        if board.is_chip:
            out[board.folder / "wiring.svg"] = wiring.draw(board.description)
            blocks = {"safety": safety, "pins": pins, "limits": limits, "bill": bill}
            out[board.folder / "README.md"] = _filled(board.folder / "README.md", blocks, board)
        for name, text in board_image.files(board).items():
            if name == "partitions.csv":
                check_partitions(board, text)
            out[board.folder / name] = text
    page = FOLDER / "README.md"
    out[page] = _filled(page, {"overview": overview, "fields": lambda _: fields()}, boards)
    return out


def _filled(page, blocks, about):
    text = page.read_text(encoding="utf-8") if page.exists() else _skeleton(page.parent.name, blocks)
    return _BLOCK.sub(lambda m: f"{m[1]}{blocks[m[2]](about)}{m[3]}", text)


def _skeleton(name, blocks):
    """The page of a board that has none yet: everything that is made, for words to be put around it."""
    made = "\n".join(f"## {block.capitalize()}\n\n<!-- made: {block} -->\n<!-- end -->\n" for block in blocks)
    return f"# {name}\n\n![wiring](wiring.svg)\n\n{made}"


def main(arguments) -> int:
    """Writes, or with --check says which files are not as they would be made; the exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m spot_host.board_pages [--check]", file=sys.stderr)
        return 2
    stale = [(path, text) for path, text in made(all_boards()).items()
             if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path, text in stale:
        print(path.relative_to(ROOT).as_posix())
        if not arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
