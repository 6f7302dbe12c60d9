"""Runs on a device: the vectors of RFC 8949 appendix A there and back, and appendix F refused; prints the counts."""

import binascii
import json
import sys

from spot.wire import cbor_objects as cbor


def main():
    buf = bytearray(600)
    accepted = refused = malformed = 0
    with open(sys.argv[1]) as f:
        vectors = json.load(f)
    for text, deterministic in vectors["appendix_a"]:
        body = binascii.unhexlify(text)
        try:
            value = cbor.decode(body)
        except cbor.CBORError:
            assert not deterministic, text
            refused += 1
            continue
        assert deterministic, text
        n = cbor.encode(value, buf)
        assert bytes(buf[:n]) == body or b"\xfb" in body, text  # doubles: at the runtime's precision
        accepted += 1
        for size in range(len(body)):
            try:
                cbor.decode(body, size)
            except cbor.CBORError:
                continue
            raise AssertionError("cut vector accepted: " + text)
    for text in vectors["appendix_f"]:
        try:
            cbor.decode(binascii.unhexlify(text))
        except cbor.CBORError:
            malformed += 1
    print("accepted", accepted, "refused", refused, "malformed", malformed)


main()
