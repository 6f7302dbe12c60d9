"""Runs on a device: the signatures of RFC 8554 appendix F verified, in one go and in slices, and spoilt ones refused.

Arguments: the vectors; how many bits to turn in each signature. No heap is kept by verifying.
"""

import binascii
import gc
import json
import sys

from spot.wire import lms


def main():
    with open(sys.argv[1]) as f:
        rows = json.load(f)
    turns = int(sys.argv[2])
    refused = 0
    for row in rows:
        key, message = binascii.unhexlify(row["key"]), binascii.unhexlify(row["message"])
        signature = bytearray(binascii.unhexlify(row["signature"]))
        row.clear()
        n = len(message)
        assert lms.verify(key, message, n, signature)
        verifier = lms.Verifier(key, message, n, memoryview(signature))
        slices = 0
        while True:
            left = verifier.left
            got = verifier.step(64)
            slices += 1
            assert left - verifier.left <= 64
            if got is not None:
                break
        assert got is True and slices > 3
        octets = len(signature)
        for i in range(turns):
            place = i * (octets * 8 - 1) // turns
            signature[place >> 3] ^= 1 << (place & 7)
            if not lms.verify(key, message, n, signature):
                refused += 1
            signature[place >> 3] ^= 1 << (place & 7)
        gc.collect()
        before = gc.mem_free()
        assert lms.verify(key, message, n, signature)
        gc.collect()
        assert before - gc.mem_free() < 64, before - gc.mem_free()
    print("verified", len(rows), "refused", refused)


main()
