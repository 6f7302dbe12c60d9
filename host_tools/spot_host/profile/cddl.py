"""Checks bodies against docs/spot.cddl with pycddl, a validator that shares no code with ours."""

import re
from functools import lru_cache
from pathlib import Path

import cbor2
import pycddl

from spot.wire.profile import head
from spot_host.profile import definition as d

SPOT_CDDL = Path(__file__).resolve().parents[3] / "docs" / "spot.cddl"


class Validator:
    """Validates message bodies against docs/spot.cddl (another text for tests).

    The validator is lenient over alternatives, so the one that can fit is chosen here, by the head, the number of
    elements and which of them are null, and the body is held against that alone.
    """

    def __init__(self, text=None):
        self._rules, self._other_bounds = {}, {}
        for line in (SPOT_CDDL.read_text() if text is None else text).splitlines():
            line, _, comment = line.partition(" ;")
            if match := re.match(r"([a-z][\w.-]*) = (.*)$", line):
                name, self._rules[name] = match[1], match[2]
                if bound := re.match(r" and (\.ge -?\d+)", comment):
                    self._other_bounds[name] = f"int {bound[1]}"
            elif line and not line.startswith(";"):
                self._rules[name] += line
        self._schemas = {}

    def check(self, body):
        """Raise pycddl.ValidationError unless `body` (bytes) is a message by the CDDL."""
        body = bytes(body)
        for schema in self._schemas_for(*self._shape(body)):
            schema.validate_cbor(body)

    def _shape(self, body):
        """(message rule, for each element "null", "map" or "value") of a body; ("spot-message", ()) when it has no
        head."""
        message = d.message(head(body, len(body)))
        try:
            elements = cbor2.loads(body)
        except cbor2.CBORDecodeError:
            message = None
        if message is None:
            return "spot-message", ()
        shape = tuple("null" if e is None else "map" if isinstance(e, dict) else "value" for e in elements)
        return message.name.replace("_", "-") + "-message", shape

    def _schemas_for(self, name, shape):
        """The schemas for a body of this shape: a range over zero is two, since the validator takes one bound at a
        time."""
        if (name, shape) not in self._schemas:
            rules = {"checked": self._fitting(name, shape) if shape else name}
            todo = list(rules.values())
            while todo:
                for used in re.findall(r"[a-z][\w.-]*", todo.pop()):
                    if used in self._rules and used not in rules:
                        rules[used] = self._rules[used]
                        todo.append(rules[used])
            other = {rule: self._other_bounds.get(rule, text) for rule, text in rules.items()}
            self._schemas[name, shape] = [
                pycddl.Schema("".join(f"{rule} = {text}\n" for rule, text in each.items()))
                for each in ([rules] if other == rules else [rules, other])]
        return self._schemas[name, shape]

    def _fitting(self, name, shape):
        """The one alternative of the message rule `name` that a body of this shape can fit, as an array."""
        alternatives = [a.split(",") for a in self._rules[name].strip("[] ").split("//")]
        for members in alternatives:
            members = [m.strip() for m in members]
            if len(members) == len(shape) and members[-1].endswith("-extensions") == (shape[-1] == "map"):
                chosen = [m if not m.endswith("-or-not") else "nil" if null == "null" else m.removesuffix("-or-not")
                          for m, null in zip(members, shape, strict=True)]
                return f"[{', '.join(chosen)}]"
        return f"[{', '.join(alternatives[0])}]"  # none: let the validator say that the number is wrong


@lru_cache(maxsize=1)
def validator():
    """The one Validator for docs/spot.cddl."""
    return Validator()
