"""The firmware's link registers at real resource directories (RFC 9176), and another tool finds it there."""

import re

import aiocoap
import pytest
from aiocoap.cli.rd import StandaloneResourceDirectory
from aiocoap.util import linkformat

from spot.codes import CHANNELS
from tests.interop import libcoap
from tests.interop.conftest import DEVICE
from tests.unix.link.coap_harness import config
from tests.unix.link.harness import Device

READABLE = {f"/{name}" for name, *_ in CHANNELS}


def links(text):
    """{target: attributes} of a link-format document."""
    return {link.href: dict(link.attr_pairs) for link in linkformat.parse(text).links}


@pytest.fixture
def at_aiocoap(loop, tmp_path):
    """The link, registered at aiocoap's resource directory; its URI."""
    _, port = loop.server(StandaloneResourceDirectory, directory=True)
    uri = f"coap://127.0.0.1:{port}"
    with Device(config(uri, groups=[]), tmp_path) as device:
        device.expect("up")
        yield device, uri


def test_the_endpoint_is_found_at_aiocoap_with_libcoap(at_aiocoap):
    _, uri = at_aiocoap
    assert b'rt="core.rd-lookup-ep"' in libcoap.client(f"{uri}/.well-known/core?rt=core.rd-lookup-ep").body
    (found,) = links(libcoap.client(f"{uri}/endpoint-lookup/?ep={DEVICE}").body.decode()).values()
    assert found["ep"] == DEVICE and found["base"].startswith("coap://127.0.0.1:")
    assert not libcoap.client(f"{uri}/endpoint-lookup/?ep=0000000000000000").body


def test_its_resources_are_found_at_aiocoap_with_libcoap(at_aiocoap):
    _, uri = at_aiocoap
    found = libcoap.client(f"{uri}/resource-lookup/?rt=spot.telemetry").body.decode()
    ((target, attributes),) = links(found).items()
    assert target.endswith("/telemetry") and "obs" in attributes and attributes["rt"] == "spot.telemetry"


def test_what_was_found_answers(at_aiocoap, loop):
    """The address in the directory is the device's own: the tool goes there and reads its links."""
    _, uri = at_aiocoap
    (found,) = links(libcoap.client(f"{uri}/endpoint-lookup/").body.decode()).values()
    answer = libcoap.client(f"{found['base']}/.well-known/core")
    assert set(links(answer.body.decode())) >= READABLE
    got = loop.request(loop.client(), aiocoap.POST, f"{found['base']}/cmd", b"\x07limit")
    assert got.code == aiocoap.CHANGED


def test_a_device_that_takes_leave_is_found_no_more(at_aiocoap):
    device, uri = at_aiocoap
    device.tell("close")
    device.expect("ended")
    assert libcoap.client(f"{uri}/endpoint-lookup/").body == b""


@pytest.mark.parametrize("build", libcoap.BUILDS)
def test_it_registers_at_coap_rd_and_is_found_with_aiocoap(tmp_path, loop, build):
    """Over TCP, where the links go whole: coap-rd takes the first block of a registration for all of it. (Of taking
    leave nothing can be shown here: coap-rd 4.3.4 ends with a double free at any DELETE.)"""
    with libcoap.Directory(tmp_path, build=build) as peer, Device(
            config(peer.uri("", "coap+tcp"), groups=[]), tmp_path) as device:
        device.expect("up")
        client = loop.client()
        # Not RFC 6690: coap-rd does not quote the address of the endpoint.
        entry, address = re.search(r"<(/rd/[^>]+)>;A=([0-9.:]+)", core(loop, client, peer)).groups()
        assert address.startswith("127.0.0.1:")
        registered = loop.request(client, aiocoap.GET, peer.uri(entry)).payload.decode()
        assert links(registered).keys() == READABLE


def core(loop, client, peer):
    return loop.request(client, aiocoap.GET, peer.uri("/.well-known/core")).payload.decode()


@pytest.mark.parametrize(("scheme", "build"), [(s, b) for s in ("coaps", "coaps+tcp") for b in libcoap.BUILDS])
def test_it_registers_over_tls_and_dtls(tmp_path, loop, pki, scheme, build):
    """With certificates on both sides, at coap-rd of either build."""
    identity = pki.identity(DEVICE)
    proof = {"ca": str(pki.ca_der), "cert": str(identity.cert_der), "key": str(identity.key_der)}
    with libcoap.Directory(tmp_path, build=build, pki=pki, cert=pki.identity("server")) as peer, Device(
            config(peer.uri("", scheme), groups=[], **proof), tmp_path) as device:
        device.expect("up")
        assert re.search(r"<(/rd/[^>]+)>", core(loop, loop.client(), peer))
