"""Times AES-CCM, OSCORE and COSE on the device it runs on, counts their heap and what they add in octets.

Prints one line of JSON. Runs on any MicroPython with the `spot` package: the unix port (bench_oscore.py) and the
emulated RP2040; ROUNDS, if set before, is the number of calls in a run. An empty call is subtracted. heap: octets that
one call takes, the collector held off. The message is the limit command with every field, the numbers those of a device
that has sent a message a minute for a year.
"""

import gc
import json
import time

from spot.log import Log
from spot.port import cryptolib
from spot.wire.ccm import CCM
from spot.wire.coap import Builder, Message
from spot.wire.context import Context
from spot.wire.cose import Cose
from spot.wire.oscore import Oscore

BODY = bytes(range(34))  # as long as the limit command with every field may be
NUMBER = 525600


def nothing(a=None, b=None, c=None, d=None, e=None, f=None):
    return None


def per_call_us(call, rounds, *args):
    """Least time of one call in twenty runs, microseconds."""
    best = None
    rounds = max(rounds // 4, 2)
    for _ in range(20):
        gc.collect()
        start = time.ticks_us()
        for _ in range(rounds):
            call(*args)
        spent = time.ticks_diff(time.ticks_us(), start)
        best = spent if best is None or spent < best else best
    return best / rounds


def heap(call, *args):
    """Octets on the heap that one call takes."""
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


def naive_seal(key, nonce, aad, text):
    """The same as CCM.seal for one message, as the RFC reads: block after block, with the octets that it takes."""
    block = cryptolib.aes(key, 1)

    def mix(a, b):
        return bytes([x ^ y for x, y in zip(a, b)])  # noqa: B905

    def padded(data):
        return data + bytes(-len(data) % 16)

    mac = block.encrypt(bytes([0x59]) + nonce + len(text).to_bytes(2, "big"))
    data = padded(len(aad).to_bytes(2, "big") + aad) + padded(text)
    for at in range(0, len(data), 16):
        mac = block.encrypt(mix(mac, data[at : at + 16]))
    out = b""
    for i in range(0, len(text), 16):
        out += mix(text[i : i + 16], block.encrypt(b"\x01" + nonce + (i // 16 + 1).to_bytes(2, "big")))
    return out + mix(mac[:8], block.encrypt(b"\x01" + nonce + b"\0\0"))


def context(own, peer, generation=None):
    made = Context(bytes(16), bytes(8), own, peer, generation)
    made.seq = NUMBER
    made._limit = NUMBER + (1 << 20)
    return made


def command(token=b"\1\2"):
    builder = Builder(bytearray(128))
    builder.start(0, 2, 0x1234, token)
    builder.text(11, "cmd")
    builder.payload(BODY)
    return bytes(builder.buf[: builder.n])


def ciphers(rounds):
    """CCM with 40 octets of text and the additional data that OSCORE gives it."""
    cipher = CCM(bytes(16))
    nonce, aad, buf = bytes(range(13)), bytes(range(23)), bytearray(48)
    call = (nonce, aad, 23, buf, 0, 40)
    cipher.seal(*call)
    assert bytes(buf) == naive_seal(bytes(16), nonce, aad, bytes(40))
    empty = per_call_us(nothing, rounds, *call)
    few = max(rounds // 20, 2)
    naive = bytes(16), nonce, aad, bytes(40)
    return {
        "seal_us": per_call_us(cipher.seal, rounds, *call) - empty,
        "open_us": per_call_us(cipher.open, rounds, *call) - empty,
        "naive_us": per_call_us(naive_seal, few, *naive),
        "seal_heap": heap(cipher.seal, *call),
        "open_heap": heap(cipher.open, *call),
        "naive_heap": heap(naive_seal, *naive),
    }


def messages(rounds):
    """OSCORE on the limit command and its answer, from the EMD to a device."""
    emd, device = context(b"\0", b"\1"), context(b"\1", b"\0")
    client, server = Oscore(Log(4), bytes), Oscore(Log(4), bytes)
    server.add(device)
    plain = command()
    reply = b"\x62\x44\x12\x34\1\2"
    out, inside = bytearray(160), bytearray(160)
    here, there = client.binding(), server.binding()
    protect = (plain, len(plain), out, emd, here)
    n = client.protect_request(*protect)
    wire = bytes(out[:n])
    m = Message()
    m.parse(wire, n)
    window = device.window

    def unprotect():
        window.begin(0)  # or it is a replay
        return server.unprotect_request(m, inside, there)

    assert bytes(inside[: unprotect()]) == plain
    answer = server.protect_response(reply, len(reply), out, there)
    times = {
        "protect_us": per_call_us(client.protect_request, rounds, *protect) - per_call_us(nothing, rounds, *protect),
        "unprotect_us": per_call_us(unprotect, rounds) - per_call_us(window.begin, rounds, 0),
        "protect_heap": heap(client.protect_request, *protect),
        "unprotect_heap": heap(unprotect),
        "request_bytes": n - len(plain),
        "response_bytes": answer - len(reply),
    }
    rotated = context(b"\0", b"\1", b"\1")
    times["rotated_bytes"] = client.protect_request(plain, len(plain), out, rotated, here) - len(plain)
    return times


def objects():
    out = bytearray(160)
    sizes = [Cose(context(b"\0", b"\1"), 7, False, mac).seal("cmd", BODY, len(BODY), out) for mac in (False, True)]
    return {"cose_bytes": sizes[0] - len(BODY), "mac_bytes": sizes[1] - len(BODY)}


def main(rounds):
    result = ciphers(rounds)
    result.update(messages(max(rounds // 4, 2)))
    result.update(objects())
    print(json.dumps(result))


main(globals().get("ROUNDS", 8000))
