"""Runs on a device: the golden vectors in the file given (golden.json without) through its codec, then hostile octets.

Arguments: the file, how many mutations, and the step of the cuts (1: at every octet; more where that takes long).
Prints `vectors N mutations M` at the end; any fault is an assertion with the vector's name. Any exception but
ProfileError and CBORError for what comes from outside ends it.
"""

import binascii
import json
import sys
from array import array

from spot import codes
from spot.wire import cbor_objects as cbor
from spot.wire import profile
from spot.wire.fields import FIELDS


def values_of(row):
    """The row's values in the device's types."""
    table = FIELDS[row["type"]]
    out = []
    for i, value in enumerate(row["values"]):
        is_bytes = profile.limits(table[i])[0] == 2
        out.append(binascii.unhexlify(value) if value is not None and is_bytes else value)
    return out


def plain(values):
    return [list(v) if isinstance(v, array) else v for v in values]


def check(row, buf, step):
    """One vector, there and back, and cut at every `step`th octet."""
    name, kind = row["name"], row["type"]
    body = binascii.unhexlify(row["hex"])
    values = values_of(row)
    assert profile.head(body, len(body)) == kind, name
    assert plain(profile.decode(kind, body, len(body))) == values, name
    expected = body
    if "slots" in row:
        assert profile.command_slots(body, len(body)) == row["slots"], name
    else:
        n = profile.encode(kind, values, buf)
        assert bytes(buf[:n]) == expected, name
    if row["hot"]:
        slots = array("i", [codes.ABSENT if v is None else v for v in values])
        again = array("i", [77] * len(slots))
        profile.decode_hot(kind, body, len(body), again)
        assert again == slots, name
        if "slots" not in row:
            n = profile.encode_hot(kind, slots, buf)
            assert bytes(buf[:n]) == expected, name
    item = cbor.decode(body)
    n = cbor.encode(item, buf)
    assert bytes(buf[:n]) == body, name
    for n in range(0, len(body), step):
        for offered in (body, body[:n]):
            assert not accepted(row, offered, n), (name, n)


def accepted(row, body, n):
    """True when the codec takes the first n octets of body as a message of the row's type, by either of its ways."""
    kind = row["type"]
    results = []
    try:
        profile.decode(kind, body, n)
        results.append(True)
    except profile.ProfileError:
        results.append(False)
    if row["hot"]:
        try:
            profile.decode_hot(kind, body, n, array("i", [0] * (len(FIELDS[kind]))))
            results.append(True)
        except profile.ProfileError:
            results.append(False)
        assert results[0] == results[1], (row["name"], binascii.hexlify(body[:n]))
    try:
        cbor.decode(body, n)
    except cbor.CBORError:
        assert not results[0], (row["name"], binascii.hexlify(body[:n]))
    return results[0]


def mutate(rows, count):
    """Flip, insert, remove octets at random (a fixed seed) and look that nothing but the two errors comes out."""
    state = 1
    for i in range(count):
        row = rows[i % len(rows)]
        body = bytearray(binascii.unhexlify(row["hex"]))
        for _ in range(1 + i % 3):
            state = (state * 1103515 + 12345) & 0x3FFFFFF
            at = (state >> 8) % len(body)
            state = (state * 1103515 + 12345) & 0x3FFFFFF
            octet = state >> 12 & 0xFF
            how = state >> 20 & 3
            if how == 0 and len(body) > 2:
                body = body[:at] + body[at + 1:]
            elif how == 1:
                body = body[:at] + bytes((octet,)) + body[at:]
            else:
                body[at] = octet
        accepted(row, bytes(body), len(body))
        if row["type"] == codes.T_COMMAND:
            try:
                profile.command_slots(bytes(body), len(body))
            except profile.ProfileError:
                pass
    return count


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else "golden.json"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    step = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    buf = bytearray(1024)
    with open(path) as f:
        rows = json.load(f)
    for row in rows:
        check(row, buf, step)
    print("vectors", len(rows), "mutations", mutate(rows, count))


main()
