"""The JSON Schema of a board.json, from the tables that the checks read: an editor completes by it and marks mistakes.

`python -m spot_host.board_pages` writes docs/boards/board.schema.json. What goes with what (a pin twice, a bus that is
not there, pins that the chip does not have) is beyond a schema: `spot check` says that.
"""

from spot import board_check as device
from spot.board import board as drivers
from spot.board import fields

from . import board_tables as tables

_WORD = {"type": "string", "pattern": "^[A-Za-z0-9_]{1,32}$"}
_NAMED = {
    "text": {"type": "string", "minLength": 1},
    "switch": {"type": "boolean"},
    "word": _WORD,
    "eui64": {"type": "string", "pattern": "^[0-9A-Fa-f]{16}$"},
    "version": {"type": "string", "pattern": r"^\d+\.\d+(\.\d+)?$"},
    "pins": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}, "minItems": 2, "maxItems": 2},
    "any": {},
}


def schema() -> dict:
    """The schema (draft 2020-12) as an object."""
    top = {name: _of(rule) for name, rule in {**device._BOARD, **tables.FIELDS}.items() if name not in _OWN}
    top["name"] = {"type": "string", "pattern": "^[a-z0-9_]{1,%d}$" % tables.NAME_MOST}
    top["links"] = {"type": "array", "items": {"enum": list(tables.LINKS)}, "minItems": 1, "uniqueItems": True}
    top["image"] = _object({name: _of(rule) for name, rule in tables.IMAGE.items()}, tables.IMAGE_NEEDED, "image.")
    top["ratings"] = _object({name: _of(rule) for name, rule in device._RATINGS.items()}, ("power_w",))
    top["parts"] = _object({
        **{role: _part(role) for role in drivers.ROLES},
        "buses": {"type": "object", "additionalProperties": _part("buses")},
        "sensors": _object({name: _part("sensors") for name in drivers.SENSORS}),
    })
    top["$schema"] = {"type": "string"}
    out = _object(top, (*tables.NEEDED, "name", "device", "ratings", "parts"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "SPOT: a board", **out}


_OWN = ("links", "image", "ratings", "parts", "name")


def _object(properties, needed=(), prefix=""):
    for name, found in properties.items():
        meaning = tables.MEANING.get(prefix + name)
        if meaning:
            found["description"] = meaning.replace("`", "")
    out = {"type": "object", "properties": dict(sorted(properties.items())), "additionalProperties": False}
    if needed:
        out["required"] = sorted(set(needed))
    return out


def _part(role):
    rows = [_driver(role, word) for word in fields.drivers_of(role)]
    return {"type": "object", "required": ["driver"], "oneOf": rows}


def _driver(role, word):
    found = {name: rule for name, rule in fields.fields_of(role, word).items() if name}
    needed = [name for name, rule in found.items() if isinstance(rule, str) or rule[-1] is True]
    properties = {name: _of(rule) for name, rule in found.items()}
    return _object({"driver": {"const": word}, **properties}, ("driver", *needed))


def _of(rule):
    """The schema of a rule of spot.config_check or of a driver's FIELDS."""
    if isinstance(rule, str):
        return dict(_NAMED.get(rule, {"type": "object"}))
    if isinstance(rule, int):
        return {"type": "string", "minLength": 1, "maxLength": rule}
    if isinstance(rule[0], str):
        return {"enum": list(rule)}
    return {"type": "integer", "minimum": rule[0], "maximum": rule[1]}
