"""Checks a Modbus register map (boards/maps/<name>.json) before anything is built from it.

docs/drivers/modbus.md says what the fields mean.
"""

from .modbus import READ_INPUT, READ_INPUTS, WRITE_COIL, WRITE_REGISTER, WRITE_REGISTERS
from .modbus_map import MACHINE, METER, TEMPERATURES, TYPES, WRITES

KINDS = ("meter", "machine")

_TOP = ("name", "title", "kind", "source", "serial", "word_order", "most", "gap", "notes", "registers", "writes")
_SOURCE = ("document", "version", "published")
_BOTH = ("name", "function", "address", "type", "unit", "scale", "range", "values", "note")
_REGISTER = _BOTH + ("absent", "bit", "above")
_WRITE = _BOTH + ("normal", "wears", "timeout_s", "readable")
_SMALL = 0x3FFFFFFE


class _Wrong(Exception):
    """(field, what would be right)."""


def check_map(found, name):
    """None, or (field, what would be right) of the first thing that is wrong with the map `found`, called `name`."""
    try:
        _check(found, name)
    except _Wrong as wrong:
        return wrong.args
    return None


def load_maps(description, folder, load):
    """Puts the register maps that parts name, from `folder`/maps, into the description, as "maps". None, or (file or
    None, field, what would be right)."""
    parts = description["parts"]
    maps = description["maps"] = {}
    rows = [(role, "parts." + role, part) for role, part in parts.items()]
    rows += [("sensors", "parts.sensors." + name, part) for name, part in parts.get("sensors", {}).items()]
    for role, field, part in rows:
        name = part.get("map")
        if not isinstance(name, str):
            continue
        if name not in maps:
            path = "%s/maps/%s.json" % (folder, name)
            maps[name] = load(path)
            if maps[name] is None:
                return None, field + ".map", "a map in %s/maps/, not %r" % (folder, name)
            wrong = check_map(maps[name], name)
            if wrong:
                return path, wrong[0], wrong[1]
        found = maps[name]
        if role in KINDS and found["kind"] != role:
            return None, field + ".map", "the map of a %s, not of a %s" % (role, found["kind"])
        if role == "sensors":
            names = [row["name"] for row in found["registers"] if row["name"] in TEMPERATURES]
            if part["register"] not in names:
                return None, field + ".register", "one of %s, not %r" % (", ".join(names), part["register"])
    return None


def _check(found, name):
    _known("", found, _TOP, ("name", "title", "kind", "source", "registers"))
    if found["name"] != name:
        raise _Wrong("name", "the name of its file, %r, not %r" % (name, found["name"]))
    _one_of("kind", found["kind"], KINDS)
    _text("title", found["title"])
    source = found["source"]
    _object("source", source)
    _known("source.", source, _SOURCE, _SOURCE)
    for field in _SOURCE:
        _text("source." + field, source[field])
    serial = found.get("serial", {})
    _object("serial", serial)
    _known("serial.", serial, ("baudrate", "parity", "stop"), ())
    _int("serial.baudrate", serial.get("baudrate", 9600), 1200, 115200)
    _one_of("serial.parity", serial.get("parity", "none"), ("none", "even", "odd"))
    _int("serial.stop", serial.get("stop", 1), 1, 2)
    if "word_order" in found:
        _one_of("word_order", found["word_order"], ("big", "little"))
    _int("most", found.get("most", 1), 1, 125)
    _int("gap", found.get("gap", 0), 0, 60)
    meter = found["kind"] == "meter"
    names = METER if meter else MACHINE + TEMPERATURES
    seen = _rows("registers", found["registers"], _register, names)
    if not seen:
        raise _Wrong("registers", "a list of at least one register")
    if meter and "power_dw" not in seen:
        raise _Wrong("registers", "with power_dw among them: a meter measures power")
    if not meter and "writes" in found:
        seen = _rows("writes", found["writes"], _write, WRITES)
        for one in seen:
            if seen.count(one) > 1:
                raise _Wrong("writes", "one %s, not %d" % (one, seen.count(one)))
        if "power_limit_on" in seen and "power_limit" not in seen:
            raise _Wrong("writes", "with a power_limit beside power_limit_on")
    elif "writes" in found:
        raise _Wrong("writes", "left out: a meter is only read")


def _rows(field, rows, check, names):
    if not isinstance(rows, list):
        raise _Wrong(field, "a list of objects")
    seen = []
    for at, row in enumerate(rows):
        where = "%s.%d" % (field, at)
        _object(where, row)
        where += "."
        if "name" not in row:
            raise _Wrong(where + "name", "given")
        _one_of(where + "name", row["name"], names)
        check(where, row)
        seen.append(row["name"])
    return seen


def _common(where, row, functions):
    if row.get("function") not in functions or isinstance(row["function"], bool):
        raise _Wrong(where + "function", "one of %s" % (functions,))
    _int(where + "address", row.get("address"), 0, 65535)
    _one_of(where + "type", row.get("type"), TYPES)
    scale = row.get("scale", [1, 1])
    if not isinstance(scale, list) or len(scale) != 2:
        raise _Wrong(where + "scale", "a list of two integers: times, divided by")
    for one in scale:
        _int(where + "scale", one, 1, 1000)
    if "unit" in row:
        _text(where + "unit", row["unit"])
    bounds = row.get("range", [0, 0])
    if not isinstance(bounds, list) or len(bounds) != 2:
        raise _Wrong(where + "range", "a list of two integers: smallest, largest")
    _int(where + "range", bounds[0], -_SMALL, _SMALL)
    _int(where + "range", bounds[1], bounds[0], _SMALL)


def _values(field, values):
    """{text of an integer: integer}."""
    _object(field, values)
    for left, right in values.items():
        try:
            int(left)
        except ValueError:
            raise _Wrong(field, "an object of integers by integers, not %r" % left) from None
        _int(field + "." + left, right, -0x8000, 0xFFFF)


def _register(where, row):
    _known(where, row, _REGISTER, ("function", "address", "type"))
    _common(where, row, (1, 2, 3, READ_INPUT))
    if (row["type"] == "bit") != (row["function"] <= READ_INPUTS):
        raise _Wrong(where + "type", "bit for functions 1 and 2, and only there")
    integer = row["type"][:5] != "float"
    for field, low, high in (("bit", 0, 15), ("above", -0x8000, 0xFFFF)):
        if field in row:
            if not integer:
                raise _Wrong(where + field, "left out: a float has none")
            _int(where + field, row[field], low, high)
    if "values" in row:
        if not integer:
            raise _Wrong(where + "values", "left out: a float has none")
        _values(where + "values", row["values"])
    elif row["type"] != "bit" and "bit" not in row and "above" not in row and "range" not in row:
        raise _Wrong(where + "range", "given: what is outside it is not believed")
    absent = row.get("absent", [])
    if not isinstance(absent, list) or absent and not integer:
        raise _Wrong(where + "absent", "a list of the raw integers that stand for no value")
    for one in absent:
        _int(where + "absent", one, -0x80000000, 0xFFFFFFFF)


def _write(where, row):
    _known(where, row, _WRITE, ("function", "address", "type", "normal", "wears"))
    _common(where, row, (WRITE_COIL, WRITE_REGISTER, WRITE_REGISTERS))
    if row["type"] not in (("bit",) if row["function"] == WRITE_COIL else ("int16", "uint16")):
        raise _Wrong(where + "type", "bit for function 5, int16 or uint16 for 6 and 16")
    for field in ("wears", "readable"):
        if row.get(field, True) is not True and row[field] is not False:
            raise _Wrong(where + field, "true or false")
    if "timeout_s" in row:
        _int(where + "timeout_s", row["timeout_s"], 15, 86400)
        if row["wears"]:
            raise _Wrong(where + "timeout_s", "left out: a register that wears is not written again and again")
    if row["name"] == "sg":
        _values(where + "values", row.get("values", 0))
        if sorted(row["values"]) != ["1", "2", "3", "4"]:
            raise _Wrong(where + "values", "given for the SG-Ready states 1 to 4")
        _int(where + "normal", row["normal"], 2, 2)
        return
    if "values" in row:
        raise _Wrong(where + "values", "left out: only sg has them")
    if "range" not in row and row["type"] != "bit":
        raise _Wrong(where + "range", "given: nothing outside it is written")
    mul, div = row.get("scale", (1, 1))
    low, high = (-0x8000, 0x7FFF) if row["type"] == "int16" else (0, 0xFFFF)
    _int(where + "normal", row["normal"], -_SMALL, _SMALL)
    for field in [row["normal"]] + row.get("range", []):
        if not low <= field * div // mul <= high:
            raise _Wrong(where + "range", "what fits into an %s, not %d" % (row["type"], field))


def _known(where, found, fields, needed):
    for name in found:
        if name not in fields:
            raise _Wrong(where + name, "left out: it is none of " + ", ".join(fields))
    for name in needed:
        if name not in found:
            raise _Wrong(where + name, "given")


def _object(field, value):
    if not isinstance(value, dict):
        raise _Wrong(field, "an object")


def _text(field, value):
    if not isinstance(value, str) or not value:
        raise _Wrong(field, "a text")


def _one_of(field, value, words):
    if not isinstance(value, str) or value not in words:
        raise _Wrong(field, "one of %s, not %r" % (", ".join(words), value))


def _int(field, value, low, high):
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _Wrong(field, "an integer from %d to %d, not %r" % (low, high, value))
