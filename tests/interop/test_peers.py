"""The peers among themselves: what fails here is not ours. It also shows that each of them is really started."""

import aiocoap
import pytest

from tests.interop import aio, libcoap
from tests.interop.conftest import DEVICE


@pytest.mark.parametrize("build", libcoap.BUILDS)
@pytest.mark.parametrize("scheme", ["coap", "coap+tcp", "coaps", "coaps+tcp"])
def test_libcoap_serves_libcoap(tmp_path, pki, build, scheme):
    server, device = pki.identity("server"), pki.identity(DEVICE)
    with libcoap.Server(tmp_path, build=build, pki=pki, cert=server) as peer:
        got = libcoap.client(peer.uri("/.well-known/core", scheme), "-c", device.cert, "-j", device.key, "-C", pki.ca,
                             build=build)
    assert b'</example_data>;title="Example Data"' in got.body, got


def test_aiocoap_gets_a_large_resource_of_libcoap_in_blocks(tmp_path, loop):
    with libcoap.Server(tmp_path) as peer:
        got = loop.request(loop.client(), aiocoap.GET, peer.uri("/example_data"))
    assert got.code == aiocoap.CONTENT and len(got.payload) == 1500


def test_libcoap_observes_aiocoap(loop):
    counter = aio.Counter(loop, b"one")
    _, port = loop.server(aio.site({"value": counter}))
    assert libcoap.client(f"coap://127.0.0.1:{port}/value").body == b"one"
    assert libcoap.client(f"coap+tcp://127.0.0.1:{port}/value").body == b"one"
    assert libcoap.client(f"coap://127.0.0.1:{port}/nothing").error == "4.04"


def test_aiocoap_serves_aiocoap_over_oscore(loop):
    secret, salt = bytes(range(16)), b"salt"
    ours = aio.SecurityContext(secret, salt, b"\x01", b"\x00")
    theirs = aio.SecurityContext(secret, salt, b"\x00", b"\x01", known_window=False)
    _, port = loop.server(aio.site({"hello": aio.Fixed(b"Hello World!")}), credentials=aio.contexts(theirs))
    uri = f"coap://127.0.0.1:{port}"
    got = loop.request(loop.client({f"{uri}/*": ours}), aiocoap.GET, f"{uri}/hello")
    assert (got.code, got.payload) == (aiocoap.CONTENT, b"Hello World!")
    assert theirs.recipient_replay_window.is_initialized()  # through Echo
