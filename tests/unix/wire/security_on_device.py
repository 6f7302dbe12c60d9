"""Runs on MicroPython: the vectors of RFC 3610, 4231, 5869, 8613 and COSE (tests/unit/wire/security.json), and how much
heap the calls of the hot path take.

`security_on_device.py FILE`. Prints what it counted.
"""

import gc
import json
import sys

from spot.log import Log
from spot.wire.ccm import CCM
from spot.wire.coap import Message
from spot.wire.context import Context
from spot.wire.kdf import expand, hmac_sha256
from spot.wire.oscore import Oscore, OscoreError


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


def context(row, server=False):
    secret, salt, own, peer = octets((row["secret"], row["salt"], row["sid"], row["rid"]))
    if server:
        own, peer = peer, own
    return Context(secret, salt, own, peer, bytes.fromhex(row["idctx"]) if row["idctx"] else None)


def contexts(rows):
    """Appendix C.1 to C.3, from both sides."""
    nonce = bytearray(13)
    for row in rows:
        for server in (False, True):
            made = context(row, server)
            sent, received = ("rnonce0", "snonce0") if server else ("snonce0", "rnonce0")
            made.bind(nonce, None, True, 0)
            assert nonce == bytes.fromhex(row[sent]), row["id"]
            made.bind(nonce, None, False, 0)
            assert nonce == bytes.fromhex(row[received]), row["id"]
            assert made.key(10, b"Key", 16, made.sender_id).hex() == row["rkey" if server else "skey"], row["id"]
            assert made.key(10, b"IV", 13, b"").hex() == row["civ"], row["id"]
    return len(rows)


class Side:
    """One end, with a buffer of its own."""

    def __init__(self, made):
        self.oscore = Oscore(Log(8), bytes)
        self.oscore.add(made)
        self.context = made
        self.binding = self.oscore.binding()
        self.out = bytearray(128)
        self.message = Message()

    def parsed(self, octets):
        self.message.parse(octets, len(octets))
        return self.message

    def request(self, plain):
        return bytes(self.out[: self.oscore.protect_request(plain, len(plain), self.out, self.context, self.binding)])

    def take(self, wire):
        return bytes(self.out[: self.oscore.unprotect_request(self.parsed(wire), self.out, self.binding)])

    def respond(self, plain, own):
        return bytes(self.out[: self.oscore.protect_response(plain, len(plain), self.out, self.binding, own)])

    def response(self, wire):
        self.binding.answered = False  # two answers to one request, as the RFC has it for examples
        return bytes(self.out[: self.oscore.unprotect_response(self.parsed(wire), self.out, self.binding)])


def messages(vectors):
    """Appendix C.4 to C.8; each spoiled in its last octet before, and a second time behind."""
    rows = {row["id"]: row for row in vectors["contexts"]}
    kept = None
    for row in vectors["messages"]:
        plain, wire = octets((row["unprotected"], row["protected"]))
        spoiled = wire[:-1] + bytes([wire[-1] ^ 1])
        if row["dir"] == "req":
            client, server = Side(context(rows[row["ctx"]])), Side(context(rows[row["ctx"]], True))
            for _ in range(int(row["piv"], 16)):
                client.context.take_piv()
            assert client.request(plain) == wire, row["id"]
            for octet, code in ((spoiled, 0x80), (wire, 0), (wire, 0x81)):
                try:
                    assert server.take(octet) == plain and not code, row["id"]
                except OscoreError as fault:
                    assert fault.code == code, row["id"]
            if row["ctx"] == "C.1.1":
                kept = client, server
        else:
            client, server = kept
            assert server.respond(plain, row["piv"] is not None) == wire, row["id"]
            try:
                client.response(spoiled)
                raise AssertionError(row["id"])
            except OscoreError as fault:
                assert fault.code == 0
            assert client.response(wire) == plain, row["id"]
    return len(vectors["messages"])


def hot_path(row):
    """Heap that each of the four calls takes: a request with path and body, its response."""
    client, server = Side(context(row)), Side(context(row, True))
    plain = b"\x44\x02\x12\x34\x01\x02\x03\x04\xb3cmd\xff" + bytes(34)
    reply = b"\x64\x44\x12\x34\x01\x02\x03\x04"
    wires = [client.request(plain) for _ in range(3)]
    used = []
    used.append(heap(client.oscore.protect_request, plain, len(plain), client.out, client.context, client.binding))
    parsed = []
    for wire in wires:
        parsed.append(Message())
        parsed[-1].parse(wire, len(wire))
    each = iter(parsed)
    gc.collect()

    def take():
        return server.oscore.unprotect_request(next(each), server.out, server.binding)

    used.append(heap(take))
    last = client.request(plain)
    server.take(last)
    used.append(heap(server.oscore.protect_response, reply, len(reply), server.out, server.binding))
    server.take(client.request(plain))
    answer = server.respond(reply, False)
    message = client.parsed(answer)

    def response():
        client.binding.answered = False
        return client.oscore.unprotect_response(message, client.out, client.binding)

    used.append(heap(response))
    return used


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
        assert expand(hmac_sha256(salt, secret), info, len(out)) == out, name
    print("kdf", len(vectors["hmac"]) + len(vectors["hkdf"]))
    print("contexts", contexts(vectors["contexts"]), "messages", messages(vectors))
    cipher = CCM(bytes(16))
    buf = bytearray(48)
    print("heap ccm", heap(cipher.seal, bytes(13), bytes(25), 25, buf, 0, 40),
          heap(cipher.open, bytes(13), bytes(25), 25, buf, 0, 40))
    print("heap oscore", hot_path(vectors["contexts"][1]))


main(sys.argv[1])
