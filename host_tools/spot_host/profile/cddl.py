"""Checks bodies against docs/spot.cddl with pycddl, a validator that shares no code with ours."""

from functools import lru_cache
from pathlib import Path

import pycddl

SPOT_CDDL = Path(__file__).resolve().parents[3] / "docs" / "spot.cddl"


class Validator:
    """Validates message bodies against docs/spot.cddl (another file or text for tests)."""

    def __init__(self, text=None):
        self._schema = pycddl.Schema(SPOT_CDDL.read_text() if text is None else text)

    def check(self, body):
        """Raise pycddl.ValidationError unless `body` (bytes) is a message by the CDDL."""
        self._schema.validate_cbor(bytes(body))


@lru_cache(maxsize=1)
def validator():
    """The one Validator for docs/spot.cddl."""
    return Validator()
