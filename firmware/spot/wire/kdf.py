"""HMAC (RFC 2104) and HKDF (RFC 5869) with SHA-256. HKDF's first step is hmac_sha256(salt, secret), done once for all
keys from the same two; the salt may be empty.
"""

from spot.port import sha256


def _pad(key, octet):
    return bytes([k ^ octet for k in key]) + bytes([octet]) * (64 - len(key))


def hmac_sha256(key, data):
    """HMAC-SHA-256 of `data` (bytes) under `key`: 32 octets."""
    if len(key) > 64:
        key = sha256(key)
    return sha256(_pad(key, 0x5C) + sha256(_pad(key, 0x36) + data))


def expand(key, info, n):
    """HKDF's second step: n octets (at most 8,160) for `info` out of the first step's 32."""
    block = out = b""
    count = 1
    while len(out) < n:
        block = hmac_sha256(key, block + info + bytes([count]))
        out += block
        count += 1
    return out[:n]
