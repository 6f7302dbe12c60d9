"""The wire on MicroPython: the same golden vectors and the same RFC vectors as on CPython, and hostile octets."""

import json
import re
from pathlib import Path

WIRE = Path(__file__).resolve().parents[2] / "unit" / "wire"
HERE = Path(__file__).parent


def test_golden_vectors_and_mutations(mpy):
    """Every vector there and back, cut at every octet, and 20,000 damaged ones: ProfileError and CBORError only."""
    out = mpy(HERE / "golden_on_device.py", WIRE / "golden.json", 20000)
    count = len(json.loads((WIRE / "golden.json").read_text()))
    assert re.search(rf"vectors {count} mutations 20000", out)


def test_rfc8949_vectors(mpy):
    """Appendix A and appendix F of RFC 8949."""
    out = mpy(HERE / "rfc8949_on_device.py", WIRE / "rfc8949.json")
    assert out.strip() == "accepted 64 refused 18 malformed 94"


def test_hot_messages_allocate_nothing(mpy):
    """encode_hot and decode_hot of every hot vector with the heap locked."""
    out = mpy(HERE / "heap_on_device.py", WIRE / "golden.json")
    assert re.fullmatch(r"locked [1-9]\d+", out.strip())


def test_rfc8554_signatures(mpy):
    """LMS, appendix F; two hundred bits of each signature turned, one after the other."""
    out = mpy(HERE / "lms_on_device.py", WIRE / "lms.json", 200, heap="256k")
    assert out.strip() == "verified 4 refused 800"
