"""Runs on MicroPython: the vectors of RFC 3610, 4231, 5869, 8613 and COSE (tests/unit/wire/security.json), and how much
heap the calls of the hot path take.

`security_on_device.py FILE`. Prints what it counted.
"""

import gc
import json
import sys

from spot.wire.ccm import CCM
from spot.wire.kdf import hkdf_sha256, hmac_sha256


def octets(row):
    return [bytes.fromhex(x) for x in row]


def heap(call, *args):
    """Octets on the heap that one call takes, the collector held off; the first call may make what it keeps."""
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


def ciphers(rows):
    """Each vector on a cipher of its own and on ones that go on, in turn; a spoiled tag opens nothing in between."""
    kept = {}
    for _ in range(2):
        for name, *row in rows:
            key, nonce, aad, text, sealed = octets(row)
            for cipher in (CCM(key), kept.setdefault(key, CCM(key))):
                buf = bytearray(text + bytes(8))
                cipher.seal(nonce, aad, len(aad), buf, 0, len(text))
                assert bytes(buf) == sealed, name
                buf[-1] ^= 1
                assert not cipher.open(nonce, aad, len(aad), buf, 0, len(text)), name
                buf[-1] ^= 1
                assert bytes(buf) == sealed, name
                assert cipher.open(nonce, aad, len(aad), buf, 0, len(text)), name
                assert bytes(buf[: len(text)]) == text, name
    return len(rows)


def long_messages():
    """Every length up to the longest: what is sealed is opened by another object of the same key."""
    one, two = CCM(bytes(16)), CCM(bytes(16))
    nonce = bytes(13)
    text = bytes(range(256)) * 5
    for n in range(0, 1189, 9):
        aad_n = n % 12
        buf = bytearray(text[:n] + bytes(8))
        one.seal(nonce, text, aad_n, buf, 0, n)
        assert two.open(nonce, text, aad_n, buf, 0, n) and bytes(buf[:n]) == text[:n], n


def main(path):
    with open(path) as file:
        vectors = json.load(file)
    print("ccm", ciphers(vectors["ccm"]))
    long_messages()
    for name, key, data, tag in vectors["hmac"]:
        key, data, tag = octets((key, data, tag))
        assert hmac_sha256(key, data) == tag, name
    for name, secret, salt, info, out in vectors["hkdf"]:
        secret, salt, info, out = octets((secret, salt, info, out))
        assert hkdf_sha256(secret, salt, info, len(out)) == out, name
    print("kdf", len(vectors["hmac"]) + len(vectors["hkdf"]))
    cipher = CCM(bytes(16))
    buf = bytearray(48)
    print("heap ccm", heap(cipher.seal, bytes(13), bytes(25), 25, buf, 0, 40),
          heap(cipher.open, bytes(13), bytes(25), 25, buf, 0, 40))


main(sys.argv[1])
