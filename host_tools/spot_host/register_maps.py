"""Writes the tables of docs/drivers/modbus_maps.md from the register maps in boards/maps: `python -m
spot_host.register_maps [FILE]`. A test compares.
"""

import json
import sys
from pathlib import Path

from .toolchain.paths import ROOT

MAPS = ROOT / "boards" / "maps"
PAGE = ROOT / "docs" / "drivers" / "modbus_maps.md"

_HEAD = """# Modbus register maps

Generated from `boards/maps/*.json` by `python -m spot_host.register_maps`; a test compares. What the columns mean, and
how to write a map of your own: [modbus.md](modbus.md). Addresses count from 0, as they go over the line.
"""
_UNITS = {
    "power_w": "W", "power_dw": "0.1 W", "voltage_10mv": "10 mV", "current_ma": "mA", "frequency_mhz": "mHz",
    "energy_wh": "Wh", "energy_export_wh": "Wh", "power_limit": "W", "offset": "0.01 K",
    **dict.fromkeys(("flow", "return_flow", "hot_water", "hot_water_set", "outdoor", "room", "device"), "0.01 °C"),
}


def _scale(row):
    if "values" in row:
        return ", ".join(f"{left} → {right}" for left, right in row["values"].items())
    if "bit" in row:
        return f"bit {row['bit']}"
    if "above" in row:
        return f"above {row['above']}"
    mul, div = row.get("scale", (1, 1))
    return {(1, 1): ""}.get((mul, div), f"× {mul}" if div == 1 else f"× {mul} / {div}")


def _range(row):
    return "{} … {}".format(*row["range"]) if "range" in row else ""


def _line(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _table(head, rows):
    return [_line(head), _line(["---"] * len(head)), *(_line(row) for row in rows)]


def section(found):
    """The lines of one map."""
    source = found["source"]
    lines = ["", f"## {found['name']}: {found['title']}", "",
             f"Source: {source['document']}; {source['version']}. Published: {source['published']}."]
    if "serial" in found:
        serial = found["serial"]
        lines += ["", f"Line: {serial['baudrate']} baud, parity {serial['parity']}, {serial['stop']} stop bit."]
    if "notes" in found:
        lines += ["", found["notes"]]
    lines += ["", *_table(
        ("read", "function", "address", "type", "unit there", "to ours", "our unit", "believed", "no value", "note"),
        [(row["name"], row["function"], row["address"], row["type"], row.get("unit", ""), _scale(row),
          _UNITS.get(row["name"], ""), _range(row), ", ".join(map(str, row.get("absent", ()))), row.get("note", ""))
         for row in found["registers"]])]
    if found.get("writes"):
        lines += ["", *_table(
            ("written", "function", "address", "type", "unit there", "from ours", "our unit", "from … to", "normal",
             "falls back after", "flash", "note"),
            [(row["name"], row["function"], row["address"], row["type"], row.get("unit", ""),
              _scale(row).replace("×", "÷"), _UNITS.get(row["name"], ""), _range(row), row["normal"],
              f"{row['timeout_s']} s" if "timeout_s" in row else "never", "wears" if row["wears"] else "volatile",
              row.get("note", ""))
             for row in found["writes"]])]
    return lines


def page():
    """The whole page."""
    lines = [_HEAD.rstrip()]
    for path in sorted(MAPS.glob("*.json")):
        lines += section(json.loads(path.read_text(encoding="utf-8")))
    return "\n".join(lines) + "\n"


def main(arguments):
    (Path(arguments[0]) if arguments else PAGE).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
