"""The security of the wire on MicroPython: the RFCs' vectors, and no heap on the hot path."""

from pathlib import Path

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "unit" / "wire" / "security.json"


def test_vectors_and_heap(mpy):
    out = mpy(HERE / "security_on_device.py", VECTORS).splitlines()
    assert out == ["ccm 8", "kdf 6", "contexts 3 messages 5", "heap ccm 0 0", "heap oscore [0, 0, 0, 0]"]
