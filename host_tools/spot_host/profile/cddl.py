"""Checks bodies against docs/spot.cddl with pycddl, a validator that shares no code with ours."""

import re
from functools import lru_cache
from pathlib import Path

import pycddl

from spot.wire.profile import head
from spot_host.profile import definition as d

SPOT_CDDL = Path(__file__).resolve().parents[3] / "docs" / "spot.cddl"


class Validator:
    """Validates message bodies against docs/spot.cddl (another text for tests).

    Each type is held against its own rule, chosen by the head, which is quicker than all of them and says better what
    is wrong; a body without a head that is known is held against `spot-message`.
    """

    def __init__(self, text=None):
        self._rules = {}
        for line in (SPOT_CDDL.read_text() if text is None else text).splitlines():
            if match := re.match(r"([a-z][\w.-]*) = (.*?)( ;.*)?$", line):
                name, self._rules[name] = match[1], match[2]
            elif line.startswith(" "):
                self._rules[name] += line
        self._schemas = {}

    def _schema(self, root):
        """The schema of `root` and of the rules that it needs: the validator reads it anew for each body."""
        if root not in self._schemas:
            needed, todo = {}, [root]
            while todo:
                name = todo.pop()
                if name in self._rules and name not in needed:
                    needed[name] = self._rules[name]
                    todo.extend(re.findall(r"[a-z][\w.-]*", needed[name]))
            self._schemas[root] = pycddl.Schema("".join(f"{name} = {rule}\n" for name, rule in needed.items()))
        return self._schemas[root]

    def check(self, body):
        """Raise pycddl.ValidationError unless `body` (bytes) is a message by the CDDL."""
        body = bytes(body)
        message = d.message(head(body, len(body)))
        rule = f"{message.name.replace('_', '-')}-message" if message else "spot-message"
        self._schema(rule).validate_cbor(body)


@lru_cache(maxsize=1)
def validator():
    """The one Validator for docs/spot.cddl."""
    return Validator()
