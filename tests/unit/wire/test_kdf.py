"""HMAC and HKDF against their RFCs and against another implementation."""

import hmac
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from spot.wire import kdf

VECTORS = json.loads(Path(__file__).with_name("security.json").read_text())


@pytest.mark.parametrize("row", VECTORS["hmac"], ids=lambda row: row[0])
def test_hmac_of_rfc_4231(row):
    key, data, tag = (bytes.fromhex(x) for x in row[1:])
    assert kdf.hmac_sha256(key, data) == tag


@pytest.mark.parametrize("row", VECTORS["hkdf"], ids=lambda row: row[0])
def test_hkdf_of_rfc_5869(row):
    secret, salt, info, out = (bytes.fromhex(x) for x in row[1:])
    assert kdf.expand(kdf.hmac_sha256(salt, secret), info, len(out)) == out


@given(st.binary(max_size=200), st.binary(max_size=80), st.binary(max_size=80), st.integers(1, 100))
def test_as_other_implementations_have_it(secret, salt, info, n):
    assert kdf.hmac_sha256(salt, secret) == hmac.digest(salt, secret, "sha256")
    assert kdf.expand(kdf.hmac_sha256(salt, secret), info, n) == HKDF(SHA256(), n, salt or None, info).derive(secret)
