"""Times building and reading a CoAP request of 33 octets on the device it runs on, beside a naive codec.

naive: what one writes first: options as a list of (number, bytes), joined, and back into such a list. The request is
the telemetry's: NON POST, token of 4, Uri-Path, No-Response. Prints one line of JSON. heap: octets that one call takes.
"""

import gc
import json
import time

from spot.wire.coap import Builder, Message

BODY = bytes(range(33))
TOKEN = b"tokn"
PATH = b"telemetry"
BUF = bytearray(128)
BUILDER = Builder(BUF)
MESSAGE = Message()


def build():
    b = BUILDER
    b.start(1, 2, 0x1234, TOKEN)
    b.option(11, PATH)
    b.uint(258, 26)
    b.payload(BODY, 0, 33)
    return b.n


def head(value):
    return (value, b"") if value < 13 else (13, bytes([value - 13])) if value < 269 else (
        14, (value - 269).to_bytes(2, "big"))


def naive_build():
    parts = [bytes([0x54, 2, 0x12, 0x34]), TOKEN]
    last = 0
    for number, value in sorted([(11, PATH), (258, b"\x1a")]):
        delta, more = head(number - last)
        length, longer = head(len(value))
        parts += [bytes([delta << 4 | length]), more, longer, value]
        last = number
    return b"".join(parts + [b"\xff", BODY])


def naive_parse(data):
    tkl = data[0] & 15
    token, data = data[4 : 4 + tkl], data[4 + tkl :]
    options = []
    number = 0
    while data and data[0] != 0xFF:
        delta, length, data = data[0] >> 4, data[0] & 15, data[1:]
        if delta == 13:
            delta, data = data[0] + 13, data[1:]
        elif delta == 14:
            delta, data = int.from_bytes(data[:2], "big") + 269, data[2:]
        if length == 13:
            length, data = data[0] + 13, data[1:]
        elif length == 14:
            length, data = int.from_bytes(data[:2], "big") + 269, data[2:]
        number += delta
        options.append((number, data[:length]))
        data = data[length:]
    return token, options, data[1:]


def nothing(a=None, b=None):
    return None


def per_call_us(call, rounds, args):
    """Least time of one call in five runs, microseconds."""
    best = None
    for _ in range(5):
        gc.collect()
        start = time.ticks_us()
        for _ in range(rounds):
            call(*args)
        spent = time.ticks_diff(time.ticks_us(), start)
        best = spent if best is None or spent < best else best
    return best / rounds


def heap(call, args):
    """Octets on the heap that one call allocates."""
    call(*args)
    gc.collect()
    gc.disable()
    base = gc.mem_alloc()
    own = gc.mem_alloc() - base
    before = gc.mem_alloc()
    call(*args)
    used = gc.mem_alloc() - before - own
    gc.enable()
    return used


def main(rounds):
    n = build()
    octets = bytes(BUF[:n])
    assert naive_build() == octets and naive_parse(octets) == (TOKEN, [(11, PATH), (258, b"\x1a")], BODY)
    MESSAGE.parse(octets, n)
    assert MESSAGE.payload_n == 33 and MESSAGE.count == 2
    print(json.dumps({
        "build_us": per_call_us(build, rounds, ()) - per_call_us(nothing, rounds, ()),
        "parse_us": per_call_us(MESSAGE.parse, rounds, (octets, n)) - per_call_us(nothing, rounds, (octets, n)),
        "naive_build_us": per_call_us(naive_build, rounds, ()) - per_call_us(nothing, rounds, ()),
        "naive_parse_us": per_call_us(naive_parse, rounds, (octets,)) - per_call_us(nothing, rounds, (octets,)),
        "build_heap": heap(build, ()),
        "parse_heap": heap(MESSAGE.parse, (octets, n)),
        "naive_build_heap": heap(naive_build, ()),
        "naive_parse_heap": heap(naive_parse, (octets,)),
    }))


main(globals().get("ROUNDS", 2000))
