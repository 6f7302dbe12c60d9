"""Fills the generated parts of docs/profile.md, each between `<!-- made: NAME -->` and `<!-- end -->`."""

import re

from spot_host.profile import definition as d
from spot_host.profile.codec import encode
from spot_host.profile.examples import EXAMPLES
from spot_host.profile.explain import explain

_WAYS = {"up": "device → EMD", "down": "EMD → device", "both": "both", "group": "EMD → group"}
_KINDS = {"ints": "list of integers", "ids": "list of 0 to 255", "series_i16": "series, sint16",
          "series_u16": "series, uint16"}


def fill(page):
    """The page with every generated part anew. Raises KeyError for a part that nothing makes."""
    return re.sub(r"(<!-- made: ([\w-]+) -->\n).*?(<!-- end -->)",
                  lambda m: m[1] + "\n" + PARTS[m[2]]() + "\n" + m[3], page, flags=re.S)


def _table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in rows:
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines) + "\n"


def _range(f):
    lo, hi = d.bounds(f)
    if f.kind == "enum":
        return f"[{f.of}](#{f.of.lower()}-codes)"
    if f.kind == "flags":
        return f"flags [{f.of}](#{f.of.lower()}-flags)"
    if f.kind == "utc":
        return "UTC"
    if f.kind == "int":
        return f"{lo:,} to {hi:,}".replace("-", "−")
    noun = "octets" if f.kind in ("bytes", "text") else "numbers"
    size = f"{lo} {noun}" if lo == hi else f"{lo} to {hi} {noun}"
    return f"{_KINDS.get(f.kind, f.kind)}, {size}"


def messages():
    """One row a message."""
    return _table(("type", "message", "way", "channel", "delivery", "what it says"), [
        (m.code, f"[{m.name}](#{m.name})", _WAYS[m.way],
         {"both": f"{m.channel} up, cmd down"}.get(m.way, m.channel), m.delivery, m.doc) for m in d.MESSAGES])


def fields():
    """A table of fields and the annotated examples of each message."""
    out = []
    for m in d.MESSAGES:
        out.append(f"### {m.name}\n\nType {m.code}, {_WAYS[m.way]}, {m.delivery}. {m.doc}\n")
        out.append(_table(("#", "field", "needed", "value", "unit", "meaning"), [
            (i, f.name, "yes" if f.need else "", _range(f), f.unit, f.doc) for i, f in enumerate(m.fields)]))
        for owner, key, name, _, lo, hi, doc in d.EXTENSIONS:
            if owner == m.name:
                out.append(f"Extension {key}, `{name}`: {doc}; {lo} to {hi} integers.\n")
        for name, kind, sentence, values in EXAMPLES:
            if kind == m.name:
                out.append(_example(name, kind, sentence, values))
    return "\n".join(out)


def _example(name, kind, sentence, values):
    body = encode(kind, values)
    _, parts = explain(body)
    lines = [f"Example `{name}`, {len(body)} octets. {sentence}\n", "```"]
    for part in parts:
        shown = part.octets.hex(" ")
        if len(shown) > 38:
            shown = shown[:35] + "..."
        label = "" if part.name in ("array", "head") else part.name + ": "
        lines.append(f"{shown:<38}  {label}{part.words}")
    return "\n".join([*lines, "```\n"])


def enums():
    """A table of codes for each enumeration."""
    out = []
    for e in d.ENUMS:
        flags = isinstance(e, d.Flags)
        out.append(f"### {e.name} {'flags' if flags else 'codes'}\n\n{e.doc}\n")
        out.append(_table(("bit" if flags else "code", "name", "meaning"), e.rows))
    return "\n".join(out)


def objects():
    """The objects, and who must have which."""
    rows = []
    for number, kind, name, unit, access, doc in d.OBJECTS:
        has = ["must" if name in must else "may" if name in may else "" for must, may in d.PROFILES.values()]
        rows.append((number, name, kind, unit, access, *has, doc))
    return _table(("id", "object", "kind", "unit", "access", *d.PROFILES, "meaning"), rows)


def kinds():
    """value and value2 by kind of a command."""
    rows = []
    by_name = {row[0]: row for row in d.KIND_VALUES}
    for code, name, doc in d.enum("Kind").rows:
        row = by_name.get(name)
        if row is None:
            rows.append((code, name, doc, "none", "none"))
            continue
        _, need, lo, hi, need2, lo2, hi2, _ = row
        second = (f"{lo2:,} to {hi2:,}" + ("" if need2 else ", or absent")) if need2 or hi2 else "none"
        rows.append((code, name, doc, f"{lo:,} to {hi:,}", second))
    return _table(("code", "kind", "meaning", "value", "value2"), rows)


def channels():
    """One row a channel."""
    return _table(("channel", "way", "MQTT retained", "MQTT quality of service"), [
        (name, _WAYS[way], "yes" if retained else "no", qos) for _, name, way, retained, qos in d.CHANNELS])


def sizes():
    """Sizes of the reference messages beside their budget."""
    budget = {"register_plug": 90, "register_heat_pump": 110, "telemetry6": 32, "power": 14, "command_limit": 34,
              "status": 24, "price24": 72, "price96": 216}
    rows = [(f"`{name}`", sentence, len(encode(kind, values)), budget[name])
            for name, kind, sentence, values in EXAMPLES if name in budget]
    return _table(("example", "content", "octets", "budget"), rows)


def limits():
    """The constants of the profile."""
    return _table(("limit", "value"), [
        ("octets of a body", f"{d.MAX_BODY:,}"),
        ("octets of a body that a device sends, interval back-fill apart", d.MAX_DEVICE_BODY),
        ("numbers in a series", d.MAX_SERIES),
        ("nesting of arrays, maps and tags", d.MAX_DEPTH),
        ("data items in a body", 300),
        ("largest integer, and the smallest negated", f"{d.MAX_INT:,} (2^30 − 2)"),
        ("UTC on the wire", f"{d.UTC_MIN:,} to {d.UTC_MAX:,} (2024-01-01 to 2059-01-10)")])


PARTS = {f.__name__: f for f in (messages, fields, enums, objects, kinds, channels, sizes, limits)}
