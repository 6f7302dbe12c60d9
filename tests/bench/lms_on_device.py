"""Times one LMS verification (H10, W4: RFC 8554 appendix F, test case 2) on the device it runs on.

Argument: the vectors. Prints one line of JSON: verify_us in one go; slice_us, the longest of its slices of SLICE hashes
(what agent/signed.py does in one turn); hashes, and hash_us for as many bare SHA-256 of 55 octets; garbage, the octets
that the collector gets back afterwards; start_us, what the first turn does beside its hashes.
"""

import binascii
import gc
import json
import sys
import time

from spot.port import sha256_object
from spot.wire import lms

SLICE = 64


def timed(call):
    """Least time of three calls, microseconds."""
    best = None
    for _ in range(3):
        gc.collect()
        start = time.ticks_us()
        call()
        spent = time.ticks_diff(time.ticks_us(), start)
        best = spent if best is None or spent < best else best
    return best


def main():
    with open(sys.argv[1]) as f:
        row = json.load(f)[2]
    key, message = binascii.unhexlify(row["key"]), binascii.unhexlify(row["message"])
    signature = binascii.unhexlify(row["signature"])
    row = None
    verifier = lms.Verifier(key, message, len(message), signature)
    hashes = verifier.left
    longest = 0
    got = None
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    while got is None:
        start = time.ticks_us()
        got = verifier.step(SLICE)
        spent = time.ticks_diff(time.ticks_us(), start)
        longest = spent if spent > longest else longest
    garbage = gc.mem_alloc() - before
    gc.enable()
    assert got is True

    def bare():
        text = bytes(55)
        for _ in range(hashes):
            sha256_object(text).digest()

    def whole():
        assert lms.verify(key, message, len(message), signature)

    print(json.dumps({
        "verify_us": timed(whole), "slice_us": longest, "hashes": hashes, "hash_us": timed(bare), "garbage": garbage,
        "start_us": timed(lambda: lms.Verifier(key, message, len(message), signature))}))


main()
