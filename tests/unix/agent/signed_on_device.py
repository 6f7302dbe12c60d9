"""Runs on a device: signed broadcasts taken in odd orders and with spoilt parts; the heap stays as it is.

Argument: a file with {"key": hex, "objects": [[hex, ...], ...], "bodies": [hex, ...]}, revisions 1, 2, ...
"""

import binascii
import gc
import json
import sys

from spot.agent.signed import Signed, parse_key
from spot.log import Log


class Kept:
    def __init__(self):
        self.values = {}

    def get(self, name):
        return self.values.get(name)

    def put(self, name, data):
        self.values[name] = data


def main():
    with open(sys.argv[1]) as f:
        data = json.load(f)
    got = []
    kept = Kept()
    log = Log(16)
    signed = Signed(parse_key(data["key"]), kept, log, lambda now_s, buf, n: got.append(bytes(memoryview(buf)[:n])))
    now_s = 0
    turns = 0
    least = None
    for number, parts in enumerate(data["objects"]):
        parts = [bytearray(binascii.unhexlify(part)) for part in parts]
        order = parts[number % 3:] + parts[:number % 3]
        for spoilt in (True, False):
            for part in order:
                if spoilt and part is parts[1]:
                    part[500] ^= 4
                signed.receive(now_s, part, len(part))
                if spoilt and part is parts[1]:
                    part[500] ^= 4
            while signed.due_s <= now_s:
                now_s += 1
                signed.step(now_s)
                turns += 1
            now_s += 3600
        assert len(got) == number + 1, (len(got), number)
        assert got[-1] == binascii.unhexlify(data["bodies"][number])
        parts = order = part = None
        gc.collect()
        free = gc.mem_free()
        assert least is None or free > least - 1024, (least, free)
        least = free
    assert signed.revision == len(got) and signed.failures == len(got)
    print("taken", len(got), "refused", signed.failures, "turns", turns)


main()
