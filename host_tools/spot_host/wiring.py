"""Draws a board's wiring as SVG from its board.json: the controller, its parts, and what is at their other side.

`python -m spot_host.wiring boards/pico_w_plug` writes boards/pico_w_plug/wiring.svg; `python -m spot_host.board_pages`
those of all boards. Each wire is straight: a part stands where its pins are.
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from .board_tables import CHIPS

# field of a driver → what is written at the part's end of the wire
_ENDS = {
    "tx": "RX", "rx": "TX", "pin": "", "set_pin": "SET", "reset_pin": "RESET", "sense": "SENSE",
    "cf_pin": "CF", "cf1_pin": "CF1", "sel_pin": "SEL", "scl_pin": "SCL", "sda_pin": "SDA", "de_pin": "DE, /RE",
    "zero_cross_pin": "zero crossing", "first_sense_pin": "SENSE 1", "second_sense_pin": "SENSE 2",
}
_PLAIN = {  # the end of "pin", by driver
    "gpio_relay": "IN", "zero_cross_relay": "IN", "led": "anode", "onewire": "DQ", "s0_meter": "S0+",
    "power_fail": "OUT", "button": "contact", "ntc": "divider", "ntc_table": "divider",
}


class _Kind(NamedTuple):
    """How a driver's part is drawn: its title, where its power comes from, and what is beyond it: (title, kind, rows
    of (text, colour of the wire))."""

    title: str
    power: tuple
    beyond: tuple = ()


_L, _N, _LOW = "#8a5a2b", "#2f6fb5", "#64748b"
_LOAD = ("the load", "mains", (("L in", _L), ("L to the load", _L)))
_METERED = ("mains", "mains", (("L, through the shunt", _L), ("N", _N)))
_5V, _3V3, _GND = "5 V", "3V3", "GND"
_KINDS = {
    "gpio_relay": _Kind("relay module", (_5V, _GND), _LOAD),
    "latching_relay": _Kind("latching relay", (_5V, _GND), _LOAD),
    "zero_cross_relay": _Kind("relay module", (_5V, _GND), _LOAD),
    "bl0942": _Kind("BL0942 meter", (_3V3, _GND), _METERED),
    "hlw8012": _Kind("HLW8012 meter", (_5V, _GND), _METERED),
    "cse7766": _Kind("CSE7766 meter", (_5V, _GND), _METERED),
    "ade7953": _Kind("ADE7953 meter", (_3V3, _GND), _METERED),
    "s0_meter": _Kind("pulse output", (_GND,), ("meter", "low", (("S0+", _LOW), ("S0-", _LOW)))),
    "sg_ready": _Kind("SG-Ready relays", (_5V, _GND),
                      ("heat pump", "low", (("SG-Ready 1", _LOW), ("SG-Ready 2", _LOW)))),
    "modbus_rtu": _Kind("RS-485 transceiver", (_3V3, _GND), ("", "low", (("A", _LOW), ("B", _LOW)))),
    "onewire": _Kind("1-Wire sensors", (_3V3 + ", 4.7 kΩ to DQ", _GND)),
    "ntc": _Kind("thermistor", (_3V3, _GND)),
    "ntc_table": _Kind("thermistor", (_3V3, _GND)),
    "power_fail": _Kind("power-fail comparator", (_5V, _GND), ("supply", "low", (("rail that falls", _LOW),))),
    "button": _Kind("button", (_GND,)),
    "led": _Kind("lamp", (_GND + ", over 470 Ω",)),
}
_ISOLATED = {"bl0942": "isolator, BL0942 meter"}  # titles on boards that are isolated

# header pins of boards that have numbers there
_PICO = {0: 1, 1: 2, 2: 4, 3: 5, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12, 10: 14, 11: 15, 12: 16, 13: 17, 14: 19, 15: 20,
         16: 21, 17: 22, 18: 24, 19: 25, 20: 26, 21: 27, 22: 29, 26: 31, 27: 32, 28: 34}
_COLOURS = ("#2563eb", "#059669", "#d97706", "#7c3aed", "#db2777", "#0891b2", "#65a30d", "#dc2626")

_WIDTH, _ROW, _HEAD, _GAP, _TOP = 1000, 26, 40, 20, 96
_CHIP, _PART, _BEYOND = (28, 214), (430, 226), (772, 200)  # left edge and width of the columns


class Row(NamedTuple):
    """A part as it is drawn. pins: (GPIO, end at the part); power: rails; beyond: (title, kind, wires) or None."""

    title: str
    role: str
    pins: list
    power: tuple
    beyond: tuple | None


def wires(description: dict) -> list[Row]:
    """A row for every part with pins, in the order of the description."""
    rows = []
    parts = description["parts"]
    isolated = description.get("isolated", False)
    for role, found in parts.items():
        for name, part in found.items() if role in ("buses", "sensors") else ((role, found),):
            pins = [(part[field], end or _PLAIN.get(part["driver"], ""))
                    for field, end in _ENDS.items() if field in part]
            pins += [(pin, f"IN {n + 1}") for n, pin in enumerate(part.get("pins", ()))]
            if pins:
                driver = part["driver"]
                kind = _KINDS.get(driver, _Kind(driver, (_3V3, _GND)))
                title = _ISOLATED.get(driver, kind.title) if isolated else kind.title
                if part.get("chip"):
                    title = f"{part['chip'].upper()} meter"
                beyond = _beyond(name, part, kind, parts) if kind.beyond or role == "buses" else None
                power = kind.power if is_kit(description) else ()
                rows.append(Row(title, role if role not in ("buses", "sensors") else name, pins, power, beyond))
    return rows


def _beyond(name, part, kind, parts):
    """What is at the other side of a part; of a bus: who speaks on it."""
    if part["driver"] not in ("modbus_rtu", "onewire"):
        return kind.beyond
    others = [(role, one) for role, one in parts.items() if role not in ("buses", "sensors")]
    others += parts.get("sensors", {}).items()
    on_it = [(role, one) for role, one in others if one.get("bus") == name]
    if part["driver"] == "onewire":
        return ("sensors", "low", tuple((f"{role}: {one['driver'].upper()}", _LOW) for role, one in on_it))
    named = ", ".join(f"{role} {one['map']} at {one['address']}" for role, one in on_it if "map" in one)
    return (named or "RS-485", "low", kind.beyond[2])


def is_kit(description: dict) -> bool:
    """Whether somebody wires it; a product comes wired."""
    return description.get("mcu") not in CHIPS or "hardware" in description["image"]


def gpio(description: dict, number: int) -> str:
    """What a GPIO is called on the board: GP15, IO25."""
    return f"{'IO' if str(description.get('mcu', '')).startswith('esp') else 'GP'}{number}"


def header_pin(description: dict, number: int) -> int | None:
    """Number of the header's pin on a Pico; None elsewhere."""
    return _PICO.get(number) if str(description.get("image", {}).get("board", "")).startswith("RPI_PICO") else None


def draw(description: dict) -> str:
    """The picture as SVG text."""
    rows = wires(description)
    isolated = description.get("isolated", False)
    heights = [_HEAD + _ROW * max(len(row.pins) + len(row.power), len(row.beyond[2]) if row.beyond else 0) + 4
               for row in rows]
    bottom = _TOP + sum(heights) + _GAP * (len(rows) - 1 if rows else 0)
    height = bottom + 84
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"',
        ' font-family="Helvetica, Arial, sans-serif" font-size="14">',
        f'<rect width="{_WIDTH}" height="{height}" rx="12" fill="#f8fafc"/>',
        _text(28, 42, description.get("model", description["name"]),
              'font-size="22" font-weight="bold" fill="#0f172a"'),
        _text(28, 66, f"boards/{description['name']}", 'font-size="13" fill="#64748b"'),
    ]
    if not isolated:
        out.append(f'<rect x="14" y="{_TOP - 16}" width="{_WIDTH - 28}" height="{bottom - _TOP + 32}" rx="12" '
                   'fill="#fef2f2" stroke="#dc2626" stroke-width="2" stroke-dasharray="8 5"/>')
    elif any(row.beyond and row.beyond[1] == "mains" for row in rows):
        out += _barrier(rows, heights)
    out += _controller(description, bottom - _TOP)
    y, colour = _TOP, 0
    for row, size in zip(rows, heights, strict=True):
        out += _part(description, row, y, size, colour)
        colour += len(row.pins)
        y += size + _GAP
    out += _foot(isolated, bottom + 28)
    return "\n".join([*out, "</svg>", ""])


def _text(x, y, text, more=""):
    return f'<text x="{x}" y="{y}" {more}>{escape(text)}</text>'


def _barrier(rows, heights):
    """The mains zone of an isolated board: behind what is beyond the parts that have it."""
    out, y = [], _TOP
    for row, size in zip(rows, heights, strict=True):
        if row.beyond and row.beyond[1] == "mains":
            x = _PART[0] + _PART[1] + 40
            out.append(f'<rect x="{x}" y="{y - 8}" width="{_WIDTH - 14 - x}" height="{size + 16}" rx="10" '
                       'fill="#fef2f2"/>')
            out.append(f'<line x1="{x}" y1="{y - 8}" x2="{x}" y2="{y + size + 8}" stroke="#dc2626" stroke-width="2" '
                       'stroke-dasharray="8 5"/>')
        y += size + _GAP
    return out


def _controller(description, height):
    x, width = _CHIP
    chip = CHIPS.get(description.get("mcu"))
    name = description.get("image", {}).get("hardware") or (f"{chip.title} inside" if chip else "controller")
    out = [f'<rect x="{x}" y="{_TOP}" width="{width}" height="{height}" rx="10" fill="#14532d" stroke="#052e16"/>']
    for n, line in enumerate(_lines(name, 12)):
        out.append(_text(x + 18, _TOP + 30 + 18 * n, line, 'font-weight="bold" fill="#ecfdf5"'))
    middle = _TOP + height / 2
    out.append(f'<rect x="{x + 22}" y="{middle - 32:g}" width="64" height="64" rx="6" fill="#111827" stroke="#4ade80" '
               'stroke-opacity="0.35"/>')
    out.append(_text(x + 54, f"{middle + 5:g}", chip.title if chip else "",
                     'font-size="11" fill="#d1d5db" text-anchor="middle"'))
    return out


def _lines(text, most):
    """Words in lines of about `most` characters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _part(description, row, y, size, colour):
    x, width = _PART
    edge = _CHIP[0] + _CHIP[1]
    out = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{size}" rx="10" fill="#ffffff" stroke="#94a3b8"/>',
        _text(x + 16, y + 24, row.title, 'font-weight="bold" fill="#0f172a"'),
    ]
    at = y + _HEAD + 8
    for n, (number, end) in enumerate(row.pins):
        stroke = _COLOURS[(colour + n) % len(_COLOURS)]
        out.append(f'<line x1="{edge}" y1="{at}" x2="{x}" y2="{at}" stroke="{stroke}" stroke-width="3"/>')
        out.append(f'<rect x="{edge - 9}" y="{at - 7}" width="18" height="14" rx="4" fill="#fbbf24" stroke="#92400e"/>')
        out.append(f'<circle cx="{x}" cy="{at}" r="5" fill="#ffffff" stroke="{stroke}" stroke-width="3"/>')
        out.append(_text(edge - 18, at + 5, gpio(description, number),
                         'text-anchor="end" font-weight="bold" fill="#ecfdf5"'))
        pin = header_pin(description, number)
        if pin:
            out.append(_text(edge + 16, at - 6, f"pin {pin}", 'font-size="11" fill="#64748b"'))
        out.append(_text(x + 16, at + 5, end, 'fill="#334155"'))
        at += _ROW
    for rail in row.power:
        dark = rail.startswith(_GND)
        wide = 16 + 7 * len(rail)
        out.append(f'<line x1="{x - 18}" y1="{at}" x2="{x}" y2="{at}" stroke="{"#111827" if dark else "#dc2626"}" '
                   'stroke-width="3"/>')
        out.append(f'<rect x="{x - 18 - wide}" y="{at - 10}" width="{wide}" height="20" rx="10" '
                   f'fill="{"#1f2937" if dark else "#dc2626"}"/>')
        out.append(_text(x - 18 - wide / 2, at + 4, rail, 'font-size="12" text-anchor="middle" fill="#ffffff"'))
        out.append(f'<circle cx="{x}" cy="{at}" r="4" fill="{"#111827" if dark else "#dc2626"}"/>')
        at += _ROW
    if row.beyond:
        out += _other_side(row, y, size)
    return out


def _other_side(row, y, size):
    title, kind, lines = row.beyond
    x, width = _BEYOND
    start = _PART[0] + _PART[1]
    mains = kind == "mains"
    fill, edge = ("#fee2e2", "#dc2626") if mains else ("#f1f5f9", "#94a3b8")
    out = [f'<rect x="{x}" y="{y}" width="{width}" height="{size}" rx="10" fill="{fill}" stroke="{edge}"/>']
    for n, line in enumerate(_lines(title, 25)[:2]):
        out.append(_text(x + 16, y + 24 + 16 * n, line,
                         f'font-weight="bold" font-size="{14 if len(title) < 26 else 12}" fill="#0f172a"'))
    at = y + _HEAD + 8
    for text, colour in lines:
        out.append(f'<line x1="{start}" y1="{at}" x2="{x}" y2="{at}" stroke="{colour}" stroke-width="4"/>')
        out.append(f'<circle cx="{start}" cy="{at}" r="5" fill="{colour}"/>')
        out.append(_text(x + 16, at + 5, text, 'fill="#334155"'))
        at += _ROW
    return out


def _foot(isolated, y):
    if isolated:
        words = "Isolated, built as its page says: the mains is behind the parts, never on the controller."
    else:
        words = "Not isolated: every wire here may be at mains voltage. No cable while it is plugged in."
    colour = "#166534" if isolated else "#b91c1c"
    return [f'<rect x="14" y="{y}" width="{_WIDTH - 28}" height="40" rx="8" fill="{colour}"/>',
            _text(32, y + 26, words, 'font-size="16" font-weight="bold" fill="#ffffff"')]


def main(arguments) -> int:
    """`arguments`: the board's folder, into which the picture goes."""
    if len(arguments) != 1:
        print("usage: python -m spot_host.wiring boards/NAME", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    picture = draw(json.loads((folder / "board.json").read_text(encoding="utf-8")))
    (folder / "wiring.svg").write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
