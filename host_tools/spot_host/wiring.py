"""Draws a board's wiring as SVG from its board.json: `python -m spot_host.wiring boards/pico > boards/pico/wiring.svg`.
"""

import json
import sys
from pathlib import Path
from xml.sax.saxutils import escape

# field of a driver → what is written at the part's end of the wire
_ENDS = {
    "tx": "RX", "rx": "TX", "pin": "", "set_pin": "SET", "reset_pin": "RESET", "sense": "SENSE",
    "cf_pin": "CF", "cf1_pin": "CF1", "sel_pin": "SEL", "scl_pin": "SCL", "sda_pin": "SDA",
    "zero_cross_pin": "zero crossing", "first_sense_pin": "SENSE 1", "second_sense_pin": "SENSE 2",
}
_TITLES = {
    "gpio_relay": "relay module", "latching_relay": "latching relay", "bl0942": "BL0942 meter", "button": "button",
    "led": "lamp", "sg_ready": "SG-Ready contacts", "zero_cross_relay": "relay module", "s0_meter": "pulse output",
    "onewire": "1-Wire sensors", "ntc": "thermistor", "ntc_table": "thermistor", "power_fail": "power-fail input",
    "hlw8012": "HLW8012 or BL0937 meter", "cse7766": "CSE7766 meter", "ade7953": "ADE7953 meter",
}
_POWER = {
    "gpio_relay": ("GND", "VBUS 5 V"), "latching_relay": ("GND", "VBUS 5 V"), "bl0942": ("GND", "3V3"),
    "button": ("GND",), "led": ("GND, over 470 Ω",), "sg_ready": ("GND", "VBUS 5 V"),
    "zero_cross_relay": ("GND", "VBUS 5 V"), "s0_meter": ("GND",), "onewire": ("GND", "3V3, 4.7 kΩ to the data line"),
    "hlw8012": ("GND", "VBUS 5 V"), "cse7766": ("GND", "VBUS 5 V"), "ade7953": ("GND", "3V3"),
}
_COLOURS = ("#1f77b4", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf")
_ROW = 26


def wires(description: dict) -> list:
    """Rows (part title, list of (GPIO, end at the part), power ends) for every part with pins."""
    rows = []
    parts = description["parts"]
    single = [part for role, part in parts.items() if role not in ("buses", "sensors")]
    for part in [*single, *parts.get("buses", {}).values(), *parts.get("sensors", {}).values()]:
        pins = [(part[name], end) for name, end in _ENDS.items() if name in part]
        pins += [(pin, f"contact {n + 1}") for n, pin in enumerate(part.get("pins", ()))]
        if pins:
            driver = part["driver"]
            rows.append((_TITLES.get(driver, driver), pins, _POWER.get(driver, ("GND", "3V3"))))
    return rows


def draw(description: dict) -> str:
    """The picture: the controller on the left, its parts on the right, a line for each pin."""
    rows = wires(description)
    bottom = 50 + sum(_ROW * (len(pins) + len(power)) + 34 for _, pins, power in rows)
    warned = not description.get("isolated", False)
    height = bottom + (44 if warned else 20)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{height}"',
        ' font-family="sans-serif" font-size="13">',
        f'<rect width="640" height="{height}" fill="white"/>',
        f'<text x="20" y="26" font-size="16">{escape(description.get("model", description["name"]))}</text>',
        f'<rect x="20" y="44" width="150" height="{bottom - 44}" rx="8" fill="#e8f0e8" stroke="#555"/>',
        '<text x="32" y="68" font-weight="bold">controller</text>',
    ]
    y, colour = 60, 0
    for title, pins, power in rows:
        box = _ROW * (len(pins) + len(power)) + 14
        out.append(f'<rect x="440" y="{y}" width="180" height="{box}" rx="8" fill="#eef" stroke="#555"/>')
        out.append(f'<text x="610" y="{y + 19}" text-anchor="end" font-weight="bold">{escape(title)}</text>')
        at = y + 20
        for number, end in pins:
            line = _COLOURS[colour % len(_COLOURS)]
            colour += 1
            out.append(f'<line x1="170" y1="{at}" x2="440" y2="{at}" stroke="{line}" stroke-width="2.5"/>')
            out.append(f'<text x="162" y="{at + 5}" text-anchor="end">GP{number}</text>')
            out.append(f'<text x="448" y="{at + 5}">{escape(end)}</text>')
            at += _ROW
        for end in power:
            out.append(f'<line x1="400" y1="{at}" x2="440" y2="{at}" stroke="#222" stroke-width="2"/>')
            out.append(f'<text x="394" y="{at + 5}" text-anchor="end" fill="#444">{escape(end)}</text>')
            at += _ROW
        y += box + 20
    if warned:
        out.append(
            f'<text x="20" y="{height - 16}" font-weight="bold" fill="#b00">'
            "Not isolated: every wire here may be at mains voltage.</text>"
        )
    return "\n".join([*out, "</svg>", ""])


def main(arguments) -> int:
    """`arguments`: the board's folder; the picture goes to standard output."""
    if len(arguments) != 1:
        print("usage: python -m spot_host.wiring boards/NAME", file=sys.stderr)
        return 2
    print(draw(json.loads((Path(arguments[0]) / "board.json").read_text())), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
