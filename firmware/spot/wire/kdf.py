"""HMAC (RFC 2104) and HKDF (RFC 5869) with SHA-256."""

from spot.port import sha256


def _pad(key, octet):
    return bytes([k ^ octet for k in key]) + bytes([octet]) * (64 - len(key))


def hmac_sha256(key, data):
    """HMAC-SHA-256 of `data` (bytes) under `key`: 32 octets."""
    if len(key) > 64:
        key = sha256(key)
    return sha256(_pad(key, 0x5C) + sha256(_pad(key, 0x36) + data))


def hkdf_sha256(secret, salt, info, n):
    """n octets (at most 8,160) for `info` out of `secret` and `salt`, which may be empty."""
    key = hmac_sha256(salt, secret)
    block = out = b""
    count = 1
    while len(out) < n:
        block = hmac_sha256(key, block + info + bytes([count]))
        out += block
        count += 1
    return out[:n]
