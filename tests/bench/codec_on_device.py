"""Times the codec on the device it runs on, beside the built-in json with the same integers and names.

Prints one line of JSON. Runs on any MicroPython with the `spot` package: the unix port (bench_codec.py) and the
emulated RP2040; ROUNDS, if set before, is the number of calls in a run. An empty call is subtracted on both sides.
heap: octets allocated by one call, the collector held off.
"""

import gc
import json
import time
from array import array

from spot import codes
from spot.wire import fields, profile

TELEMETRY = ("seq", "time", "power", "clock", "decider", "state", "voltage", "current", "energy_import", "frequency")
READING = (40000, 31000000, 2300, 4, 2, 3, 23012, 9980, 1234567, 50012)
COMMAND = ("epoch", "id", "revision", "priority", "kind", "issued", "delay", "duration", "value", "value2", "after",
           "ramp", "jitter", "offer")
LIMIT = (12, 40000, 1, 5, codes.KIND_LIMIT, 31000000, 3600, 86400, 2300, 0, 0, 60, 300, 7)


def nothing(a=None, b=None, c=None, d=None):
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
    buf = bytearray(256)
    slots = array("i", [codes.ABSENT] * fields.TEL_COUNT)
    for i, value in enumerate(READING):
        slots[i] = value
    command = array("i", LIMIT)
    scratch = bytearray(128)
    n = profile.encode_hot(codes.T_COMMAND, command, scratch)
    body = bytes(scratch[:n])
    out = array("i", [0] * fields.CMD_COUNT)
    unix = {"issued": LIMIT[5] + codes.EPOCH_UNIX, "time": READING[1] + codes.EPOCH_UNIX}
    reading = {name: unix.get(name, value) for name, value in zip(TELEMETRY, READING)}  # noqa: B905
    limit = json.dumps({name: unix.get(name, value) for name, value in zip(COMMAND, LIMIT)})  # noqa: B905
    encode = (codes.T_TELEMETRY, slots, buf)
    decode = (codes.T_COMMAND, body, n, out)
    empty3 = per_call_us(nothing, rounds, encode)
    empty4 = per_call_us(nothing, rounds, decode)
    empty1 = per_call_us(nothing, rounds, (reading,))
    result = {
        "telemetry_encode_us": per_call_us(profile.encode_hot, rounds, encode) - empty3,
        "json_dumps_us": per_call_us(json.dumps, rounds, (reading,)) - empty1,
        "command_decode_us": per_call_us(profile.decode_hot, rounds, decode) - empty4,
        "json_loads_us": per_call_us(json.loads, rounds, (limit,)) - empty1,
        "telemetry_encode_heap": heap(profile.encode_hot, encode),
        "json_dumps_heap": heap(json.dumps, (reading,)),
        "command_decode_heap": heap(profile.decode_hot, decode),
        "json_loads_heap": heap(json.loads, (limit,)),
    }
    assert list(out) == list(LIMIT)
    print(json.dumps(result))


main(globals().get("ROUNDS", 2000))
