"""Runs on a device: every hot golden vector there and back with the heap locked: an allocation raises."""

import binascii
import json
import sys
from array import array

import micropython

from spot import codes
from spot.wire import profile


def main():
    buf = bytearray(128)
    count = 0
    with open(sys.argv[1]) as f:
        rows = json.load(f)
    for row in rows:
        if not row["hot"] or "slots" in row:
            continue
        body = binascii.unhexlify(row["hex"])
        slots = array("i", [codes.ABSENT if v is None else v for v in row["values"]])
        kind = row["type"]
        size = len(body)
        micropython.heap_lock()
        n = profile.encode_hot(kind, slots, buf)
        profile.decode_hot(kind, body, size, slots)
        micropython.heap_unlock()
        assert n == size
        count += 1
    print("locked", count)


main()
