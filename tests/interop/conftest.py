"""Fixtures of the interoperation tests: a certificate authority for the session, aiocoap's loop for a test."""

import pytest

from spot_host.pki import Pki
from tests.interop import aio

DEVICE = "02005e10000000a1"


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """An authority with a server of 127.0.0.1 and a device."""
    made = Pki(tmp_path_factory.mktemp("pki"))
    made.broker(name="server")
    made.device(DEVICE)
    return made


@pytest.fixture
def loop():
    """aiocoap's loop; what it served ends with the test."""
    made = aio.Loop()
    yield made
    made.close()
