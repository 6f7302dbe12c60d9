"""What is fuzzed: each target takes octets and raises only when a promise is broken; SEEDS are where it begins.

A target is deterministic: what it found once is kept in found.json, and is then an ordinary test.
"""

import json
from pathlib import Path

from tests.interop.fuzz import drivers, endpoints, messages, protected

FOUND = Path(__file__).with_name("found.json")
TARGETS = {**messages.TARGETS, **protected.TARGETS, **endpoints.TARGETS, **drivers.TARGETS}
SEEDS = {**messages.SEEDS, **protected.SEEDS, **endpoints.SEEDS, **drivers.SEEDS}


def found():
    """The rows of found.json: (target, sentence, octets)."""
    rows = json.loads(FOUND.read_text())
    return [(row["target"], row["what"], bytes.fromhex(row["hex"])) for row in rows]
