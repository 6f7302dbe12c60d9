"""A message in words: each element of its array with its place in the body, its name, its value with unit, its meaning.

`spot decode` shows it and docs/profile.md prints it for every example.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from spot.wire.cbor_objects import Reader
from spot_host.profile import definition as d
from spot_host.profile.codec import Message, decode

# unit of the profile: (divisor, decimals, unit as read)
_UNITS = {"10 mV": (100, 2, "V"), "mA": (1000, 3, "A"), "mHz": (1000, 3, "Hz"), "0.01 Cel": (100, 2, "°C"),
          "1/1000": (1, 0, "‰"), "count": (1, 0, ""), "1/h": (1, 0, "an hour"), "Cel": (1, 0, "°C")}


@dataclass(slots=True)
class Part:
    """One element: `octets` of the body from `offset` on, the field's `name`, the raw `value`, and it in words."""

    offset: int
    octets: bytes
    name: str
    value: object
    words: str
    doc: str = ""


def spans(body):
    """(offset, end) of the array's own head and of each of its elements; `body` must be strict CBOR."""
    reader = Reader(body)
    count = reader.read_array()
    out = [(0, reader.at)]
    for _ in range(count):
        start = reader.at
        reader.skip()
        out.append((start, reader.at))
    return out


def explain(body) -> tuple[Message, list[Part]]:
    """The message that `body` is and its parts. Raises ProfileError."""
    message = decode(body)
    definition = d.message(message.type)
    places = spans(body)
    parts = [
        Part(0, body[slice(*places[0])], "array", len(places) - 1, f"array of {len(places) - 1} elements"),
        Part(places[1][0], body[slice(*places[1])], "head", body[places[1][1] - 1],
             f"{message.name}, profile version {message.version}", definition.doc),
    ]
    for index, (start, end) in enumerate(places[2:]):
        octets = body[start:end]
        if index == len(places) - 3 and octets[0] >> 5 == 5:
            known = "slots" in message.values
            parts.append(Part(start, octets, "extensions", message.get("slots"),
                              slots_in_words(message["slots"]) if known else "extensions that are not known, ignored"))
        elif index < len(definition.fields):
            f = definition.fields[index]
            value = message.get(f.name)
            words = "absent" if value is None else in_words(f, value, message)
            parts.append(Part(start, octets, f.name, value, words, f.doc))
        else:
            parts.append(Part(start, octets, f"field {index}", None, "a field that is not known, ignored"))
    return message, parts


def in_words(f, value, message):
    """The value of a field as a person reads it; `message` for fields whose meaning hangs on another one."""
    if f.kind == "enum":
        return name_of(f.of, value)
    if f.kind == "flags":
        return flags_of(f.of, value)
    if f.kind == "utc":
        return utc(value)
    if f.kind == "text":
        return repr(value)
    if f.kind == "bytes":
        if f.name == "quality":
            return "; ".join(flags_of("Quality", octet) for octet in value) or "none"
        return value.hex("-") if f.name == "eui64" else value.hex()
    if f.kind == "ids":
        return ", ".join(object_name(i) for i in value) or "none"
    if f.kind.startswith("series"):
        return series(value, message.get("scale", 0), f.unit)
    if f.kind == "ints":
        return ints_in_words(f, value)
    return number(f, value, message)


def number(f, value, message):
    """An integer with its unit."""
    if message.name == "command" and f.name in ("value", "value2"):
        return command_value(message.get("kind"), f.name, value)
    if f.name == "versions":
        return ", ".join(str(i + 1) for i in range(8) if value >> i & 1)
    if f.name == "about":
        about = d.message(value % 32)
        return f"{about.name if about else 'unknown type'} ({value})"
    if f.name == "position":
        about = d.message(message.get("about", 0) % 32)
        return f"{value}: {about.fields[value].name}" if about and value < len(about.fields) else str(value)
    if f.name == "raised":
        return "raised" if value else "cleared"
    if f.name in ("policy_value",) and message.get("policy") == 2:
        return f"{value / 100:g} a kWh"
    if f.name == "digest":
        return f"0x{value:08x}"
    if f.unit == "s":
        return duration(value)
    return quantity(value, f.unit)


def quantity(value, unit):
    """A number in a unit of the profile, in the unit a person uses."""
    divisor, decimals, shown = _UNITS.get(unit, (1, 0, unit))
    return f"{value / divisor:,.{decimals}f} {shown}".rstrip()


def command_value(kind, name, value):
    """value or value2 of a command, by its kind."""
    kinds = {row[0]: row[1] for row in d.enum("Kind").rows}
    kind = kinds.get(kind)
    if kind in ("limit", "limit_percent") and name == "value2":
        return name_of("Direction", value) if value in (0, 1) else str(value)
    unit = {"limit": "W", "limit_percent": "%", "band": "0.01 Cel", "offset": "0.01 Cel"}.get(kind, "")
    return quantity(value, unit)


def slots_in_words(slots):
    """A schedule's triples."""
    kinds = {row[0]: row[1] for row in d.enum("Kind").rows}
    return "; ".join(f"after {duration(at)}: {kinds.get(kind, kind)} {command_value(kind, 'value', value)}"
                     for at, kind, value in zip(slots[::3], slots[1::3], slots[2::3], strict=True))


def ints_in_words(f, value):
    """A list of integers, in pairs or triples where the field is one."""
    if f.name == "values":
        units = {o[0]: o[3] for o in d.OBJECTS}
        return ", ".join(f"{object_name(i)} = {quantity(v, units.get(i, ''))}"
                         for i, v in zip(value[::2], value[1::2], strict=False)) or "none"
    if f.name == "slices":
        return "; ".join(f"{minutes} min at {low:,} to {high:,} W"
                         for minutes, low, high in zip(value[::3], value[1::3], value[2::3], strict=False))
    return ", ".join(f"{v:,}" for v in value) + (f" {f.unit}" if f.unit else "") if value else "none"


def series(value, scale, unit):
    """A typed array's numbers, the middle of a long one left out."""
    shown = [f"{v * 10**scale:,.{max(0, -scale)}f}" for v in value]
    if len(shown) > 12:
        shown = [*shown[:6], "…", *shown[-3:]]
    return f"{len(value)} numbers: {', '.join(shown)} {unit}" if value else "no numbers"


def name_of(enum, value):
    """Name and code of an enumeration's value."""
    return next((f"{name} ({code})" for code, name, _ in d.enum(enum).rows if code == value), str(value))


def flags_of(enum, value):
    """Names of the bits that are set; unknown bits by number."""
    names = {code: name for code, name, _ in d.enum(enum).rows}
    return ", ".join(names.get(i, f"bit {i}") for i in range(31) if value >> i & 1) or "none"


def object_name(number):
    """Name and id of an object."""
    return next((f"{o[2]} ({number})" for o in d.OBJECTS if o[0] == number), f"object {number}")


def utc(value):
    """An ISO 8601 date."""
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds):
    """Seconds, and in larger units from two minutes on."""
    if seconds < 120:
        return f"{seconds} s"
    parts = []
    rest = seconds
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if rest >= size:
            parts.append(f"{rest // size} {unit}")
            rest %= size
    return f"{seconds:,} s ({' '.join(parts)})"
