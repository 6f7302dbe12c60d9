"""AES-CCM, the key derivation and OSCORE as the chip runs them, and what they take there in time and heap.

The chip's AES is software (mbedTLS), its words have 32 bits: the vectors of RFC 3610, 4231, 5869 and 8613 must pass
there as everywhere, and a protected message must cost little beside the 20 ms from a command to the relay.
"""

import json
from pathlib import Path

import pytest

from tests.rp2040 import board as boards

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "unit" / "wire" / "security.json"
SCRIPT = ROOT / "tests" / "unix" / "wire" / "security_on_device.py"
BENCH = ROOT / "tests" / "bench" / "oscore_on_device.py"
MODULES = tuple("spot/" + name for name in (
    "__init__", "codes", "log", "port", "wire/__init__", "wire/cbor", "wire/ccm", "wire/coap", "wire/coap_numbers",
    "wire/context", "wire/cose", "wire/kdf", "wire/oscore"))


@pytest.fixture(scope="module")
def secured(rp2040_rig, tmp_path_factory):
    """A board with what the two scripts use of the firmware."""
    folder = tmp_path_factory.mktemp("secured")
    bench = folder / "bench.py"
    bench.write_text("ROUNDS = 8\n" + BENCH.read_text())
    with boards.Board(rp2040_rig, folder) as board:
        board.load(boards.wire(SCRIPT, bench, names=MODULES))
        board.bench = bench
        yield board


def test_vectors_and_heap(secured):
    """RFC 3610, 4231, 5869, 8613 appendix C; no heap in AES-CCM and OSCORE's four calls."""
    secured.put({"security.json": VECTORS})
    out = secured.run(SCRIPT, "security.json", timeout=300).splitlines()
    assert out == ["ccm 8", "kdf 6", "contexts 3 messages 5", "heap ccm 0 0", "heap oscore [0, 0, 0, 0]"]


def test_a_protected_message_takes_few_milliseconds(secured):
    """Of the 10 ms that OSCORE may add to a command's way to the relay, the message in takes less than half."""
    times = json.loads(secured.run(secured.bench, timeout=300))
    print(times)
    assert times["unprotect_us"] < 5000 and times["protect_us"] < 5000
    assert times["request_bytes"] == 16 and times["rotated_bytes"] == 18 and times["response_bytes"] == 11
