"""The profile on a workstation: messages from and to dictionaries of values, with cbor2, strictly.

cbor2 reads much that the profile refuses, so a body is only accepted when its canonical encoding is the body again.
When it is not, the device's strict reader says where; it also judges what the profile does not know (unknown fields,
extensions). UTC is in Unix seconds here.
"""

from array import array
from dataclasses import dataclass, field

import cbor2

from spot.wire.cbor_objects import CBORError, Reader, Simple, Tag
from spot_host.profile import definition as d

REASON = {name: code for code, name, _ in d.enum("Reason").rows}
_TAGS = {"series_i16": 73, "series_u16": 65}
_ELEMENTS = {"ints": (-d.MAX_INT, d.MAX_INT), "ids": (0, 255), "series_i16": (-32768, 32767), "series_u16": (0, 65535)}
_ITEMS = 300
_NO_SLOTS = object()


class ProfileError(ValueError):
    """A body that is not a valid message, or values that make none; the text is a sentence.

    reason: name of a Reason ('malformed', 'missing_field' ...); offset: octet of the body or -1; type: message type
    or -1; position: index of the field or -1; field: its name or ''; ref: the message's id when it was readable,
    else None.
    """

    def __init__(self, reason, text, type=-1, position=-1, field="", offset=-1, ref=None):
        super().__init__(text)
        self.reason, self.type, self.position, self.field = reason, type, position, field
        self.offset, self.ref = offset, ref

    @property
    def code(self):
        """The reason's code, as an answer carries it."""
        return REASON[self.reason]


@dataclass(slots=True)
class Message:
    """One decoded message: `values` by field name (absent ones are not in it; `slots` is a command's schedule).

    unknown: number of unknown fields and extensions that were passed over.
    """

    type: int
    name: str
    version: int
    values: dict = field(default_factory=dict)
    unknown: int = 0

    def __getitem__(self, name):
        return self.values[name]

    def get(self, name, default=None):
        """The value of the field `name`, or `default` when it is absent."""
        return self.values.get(name, default)


def _plan(message):
    """(name, kind, lo, hi, need) of each field, kind one of 'int', 'bytes', 'text', 'ints', 'series_…'."""
    plan = []
    for f in message.fields:
        kind = "int" if f.kind in ("int", "enum", "flags", "utc") else f.kind
        plan.append((f.name, kind, *d.bounds(f), f.need))
    return tuple(plan)


_PLANS = {m.code: (m, _plan(m), next((i for i, f in enumerate(m.fields) if f.name == "id"), -1)) for m in d.MESSAGES}
_EXTENSIONS = {(d.message(m).code, key): (name, lo, hi) for m, key, name, _, lo, hi, _ in d.EXTENSIONS}
_EXTENSION_NAMES = {(d.message(m).code, name): key for m, key, name, *_ in d.EXTENSIONS}


def encode(type, values):
    """The body of the message `type` (code or name) with `values` by field name; None is absent. Raises
    ProfileError."""
    message = d.message(type)
    if message is None:
        raise ProfileError("unknown_type", f"there is no message type {type!r}")
    code = message.code
    _, plan, _ = _PLANS[code]
    values = {name: value for name, value in values.items() if value is not None}
    elements = [code]
    end = 1
    for position, (name, kind, lo, hi, need) in enumerate(plan):
        value = values.pop(name, None)
        if value is None:
            if need:
                raise ProfileError("missing_field", f"{message.name} needs {name}", code, position, name)
            elements.append(None)
            continue
        fault = _fault(kind, lo, hi, value)
        if fault:
            reason = "malformed" if fault.startswith("is not") else "out_of_range"
            raise ProfileError(reason, f"{message.name}.{name} {fault}", code, position, name)
        if kind in _TAGS:
            value = _to_tag(kind, value)
        elif kind in ("ints", "ids"):
            value = list(value)
        elements.append(value)
        end = position + 2
    del elements[end:]
    extensions = {}
    for name in list(values):
        key = _EXTENSION_NAMES.get((code, name))
        if key is None:
            raise ProfileError("malformed", f"{message.name} has no field {name}", code, field=name)
        _, lo, hi = _EXTENSIONS[code, key]
        value = values[name]
        fault = _fault("ints", lo, hi, value) or ("" if len(value) % 3 == 0 else "has not whole triples")
        if fault:
            raise ProfileError("out_of_range", f"{message.name}.{name} {fault}", code, len(plan), name)
        extensions[key] = list(value)
    if extensions:
        elements.append(extensions)
    return cbor2.dumps(elements, canonical=True)


def _to_tag(kind, value):
    series = array("h" if kind == "series_i16" else "H", value)
    if array("H", [1]).tobytes() == b"\1\0":
        series.byteswap()
    return cbor2.CBORTag(_TAGS[kind], series.tobytes())


def _fault(kind, lo, hi, value):
    """What is wrong with a value given for a field, as the end of a sentence; '' when nothing is."""
    if kind == "int":
        if type(value) is not int:
            return "is not an integer"
        return "" if lo <= value <= hi else f"is {value}, not within {lo} to {hi}"
    if kind == "bytes":
        if not isinstance(value, (bytes, bytearray)):
            return "is not a byte string"
        return "" if lo <= len(value) <= hi else f"has {len(value)} octets, not {lo} to {hi}"
    if kind == "text":
        if not isinstance(value, str):
            return "is not a text"
        n = len(value.encode("utf-8", "surrogatepass"))
        if any("\ud800" <= c <= "\udfff" for c in value):
            return "is not UTF-8"
        return "" if lo <= n <= hi else f"has {n} octets, not {lo} to {hi}"
    if not isinstance(value, (list, tuple, array)):
        return "is not a list"
    n = len(value)
    if not lo <= n <= hi:
        return f"has {n} numbers, not {lo} to {hi}"
    low, high = _ELEMENTS[kind]
    for v in value:
        if not isinstance(v, int) or isinstance(v, bool):
            return f"is not a list of integers: {v!r}"
        if not low <= v <= high:
            return f"has {v}, not within {low} to {high}"
    return ""


def decode(body):
    """The message that `body` (bytes) is, as a Message. Raises ProfileError with the octet at which it is wrong."""
    body = bytes(body)
    if len(body) > d.MAX_BODY:
        raise ProfileError("malformed", f"{len(body)} octets, more than {d.MAX_BODY}", offset=d.MAX_BODY)
    try:
        elements = cbor2.loads(body)
        strict = cbor2.dumps(elements, canonical=True) == body
    except Exception:  # noqa: BLE001 - whatever the library finds wrong, the strict reader is asked next and says where
        strict = False
    if not strict:
        elements = _read_strictly(body)
    if type(elements) is not list or not elements or type(elements[0]) is not int or not 0 <= elements[0] <= 255:
        raise ProfileError("malformed", "not an array that begins with a head from 0 to 255", offset=0)
    head = elements[0]
    version, code = head // 32 + 1, head % 32
    if version != d.VERSION:
        raise ProfileError("unsupported_version", f"profile version {version} is not served", head,
        offset=_offset(body, 0))
    if code not in _PLANS:
        raise ProfileError("unknown_type", f"message type {code} is not known", code, offset=_offset(body, 0))
    message, plan, ref_at = _PLANS[code]
    extensions = None
    last = len(elements) - 1
    if last and type(elements[last]) is dict:
        extensions = elements[last]
        last -= 1
    if last and elements[last] is None:
        if last <= len(plan) and plan[last - 1][4]:
            name = plan[last - 1][0]
            raise ProfileError("missing_field", f"{message.name} needs {name}", code, last - 1, name, _offset(body,
            last))
        raise ProfileError("malformed", "absent fields at the end are left out, not null", code, offset=_offset(body,
        last))
    values = {}
    position = 0
    for name, kind, lo, hi, need in plan:
        position += 1
        if position > last:
            if need:
                raise ProfileError("missing_field", f"{message.name} needs {name}", code, position - 1, name, len(body),
                                   values.get("id"))
            continue
        value = elements[position]
        if value is None:
            if need:
                raise ProfileError("missing_field", f"{message.name} needs {name}", code, position - 1, name,
                                   _offset(body, position), values.get("id"))
            continue
        if kind == "int":
            if type(value) is int and lo <= value <= hi:
                values[name] = value
                continue
        elif kind in _TAGS:
            value = _from_tag(kind, value)
        fault = _fault(kind, lo, hi, value)
        if fault:
            wide = type(value) is int and kind == "int"
            reason = "malformed" if fault.startswith("is not") and not wide else "out_of_range"
            raise ProfileError(reason, f"{message.name}.{name} {fault}", code, position - 1, name,
                               _offset(body, position), values.get("id"))
        values[name] = value
    unknown = max(0, last - len(plan))
    if unknown or extensions is not None:
        if strict:
            _read_strictly(body)
        unknown += _extensions(body, code, message, extensions, values, len(elements) - 1)
    return Message(code, message.name, version, values, unknown)


def _extensions(body, code, message, extensions, values, index):
    """Take the known extensions into `values`; the number of unknown ones, an odd one is refused."""
    if extensions is None:
        return 0
    where, ref = _offset(body, index), values.get("id")
    if not extensions:
        raise ProfileError("malformed", "an empty map of extensions", code, offset=where, ref=ref)
    if any(type(key) is not int or key < 0 for key in extensions):
        raise ProfileError("malformed", "a key of an extension is not an unsigned integer", code, offset=where, ref=ref)
    unknown = 0
    critical = None
    for key, value in extensions.items():
        known = _EXTENSIONS.get((code, key))
        if known is None:
            unknown += 1
            if key & 1 and critical is None:
                critical = key
            continue
        name, lo, hi = known
        fault = _fault("ints", lo, hi, value) if type(value) is list else "is not a list"
        if not fault and len(value) % 3:
            fault = "has not whole triples"
        if fault:
            reason = "malformed" if fault.startswith("is not") else "out_of_range"
            raise ProfileError(reason, f"{message.name}.{name} {fault}", code, len(message.fields), name, where, ref)
        values[name] = value
    if critical is not None:
        raise ProfileError("unknown_critical", f"extension {critical} is critical and not known", code, offset=where,
                           ref=ref)
    return unknown


def _from_tag(kind, value):
    """The numbers of a typed array, or None when the value is none of this kind."""
    if type(value) is not cbor2.CBORTag or value.tag != _TAGS[kind] or type(value.value) is not bytes:
        return None
    if len(value.value) % 2:
        return None
    series = array("h" if kind == "series_i16" else "H", value.value)
    if array("H", [1]).tobytes() == b"\1\0":
        series.byteswap()
    return series.tolist()


def _plain(value):
    """What the strict reader gave, in cbor2's types."""
    if type(value) is Tag:
        return cbor2.CBORTag(value.number, _plain(value.value))
    if type(value) is Simple:
        return cbor2.CBORSimpleValue(value.number) if value.number != 23 else cbor2.undefined
    if type(value) is list:
        return [_plain(v) for v in value]
    if type(value) is dict:
        return {_plain(k): _plain(v) for k, v in value.items()}
    return value


def _read_strictly(body):
    """The elements of `body` by the strict reader, which refuses with the offset what is not deterministic CBOR."""
    reader = Reader(body, len(body), d.MAX_DEPTH, _ITEMS)
    try:
        value = reader.read()
        reader.finish()
    except CBORError as error:
        raise ProfileError("malformed", f"not strict CBOR: {error}", offset=error.offset) from None
    return _plain(value)


def _offset(body, index):
    """Octet at which the element `index` of the outer array begins (0 is the head)."""
    reader = Reader(body)
    try:
        reader.read_array()
        for _ in range(index):
            reader.skip()
    except CBORError:
        return -1
    return reader.at
