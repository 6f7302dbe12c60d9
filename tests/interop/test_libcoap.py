"""The firmware with libcoap: coap-client asks it, it asks coap-server, on UDP, TCP, TLS and DTLS (OpenSSL, GnuTLS)."""

import pytest

from spot_host.pki import Pki
from tests.interop import libcoap, ports
from tests.interop.conftest import DEVICE
from tests.interop.firmware import Device

GET, POST, PUT = 1, 2, 3
CREATED, CHANGED, CONTENT, NOT_FOUND, TOO_LARGE = 0x41, 0x44, 0x45, 0x84, 0x8D
LARGE = b"0123456789" * 100
SECURE = [(scheme, build) for scheme in ("coaps", "coaps+tcp") for build in libcoap.BUILDS]


# --- coap-client asks the firmware


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The firmware's server, open to anyone; (device, URI)."""
    port = ports.free()
    folder = tmp_path_factory.mktemp("served")
    with Device(folder, uri="coap://127.0.0.1:9", listen=port, insecure=True, multicast=True) as device:
        device.expect("started")
        yield device, f"coap://127.0.0.1:{port}"


def test_it_is_answered(served):
    _, base = served
    assert libcoap.client(f"{base}/oscore/hello/coap").body == b"Hello World!"
    assert libcoap.client(f"{base}/later").body == b"it took a while"  # a separate response
    assert libcoap.client(f"{base}/oscore/hello/coap", "-N").body == b"Hello World!"  # NON


@pytest.mark.parametrize(
    ("what", "path", "options", "code"),
    [
        ("no such path", "/nothing", (), "4.04"),
        ("no such method", "/value", ("-m", "delete"), "4.05"),
        ("an unknown critical option", "/value", ("-O", "65003,0x01"), "4.02"),
        ("a format that there is not", "/value", ("-A", "60"), "4.06"),
        ("a body of a format that is not taken", "/store", ("-m", "put", "-t", "60", "-e", "x"), "4.15"),
        ("If-None-Match on what exists", "/store", ("-m", "put", "-e", "x", "-O", "5,"), "4.12"),
    ],
)
def test_errors_have_their_codes(served, what, path, options, code):
    assert libcoap.client(served[1] + path, *options).error == code


def test_it_is_no_proxy(served):
    got = libcoap.client("coap://example.org/value", "-P", served[1])
    assert got.error == "5.05"


def test_a_large_resource_goes_in_blocks_of_any_size(served):
    for size in (16, 64, 256, 1024):
        assert libcoap.client(f"{served[1]}/large", "-b", size).body == LARGE


def test_a_large_body_comes_in_blocks(served, tmp_path):
    device, base = served
    file = tmp_path / "body"
    file.write_bytes(LARGE)
    assert libcoap.client(f"{base}/store", "-m", "put", "-b", 64, "-f", file).error == ""
    assert device.expect("stored")["stored"] == len(LARGE)
    assert libcoap.client(f"{base}/store").body == LARGE
    file.write_bytes(bytes(3000))
    assert libcoap.client(f"{base}/store", "-m", "put", "-b", 64, "-f", file).error == "4.13"


def test_discovery_is_filtered(served):
    base = served[1]
    everything = libcoap.client(f"{base}/.well-known/core").body.decode()
    assert '</value>;rt="test.value";if="core.s";obs' in everything.split(",")
    assert libcoap.client(f"{base}/.well-known/core?rt=test.get").body.decode().startswith("</large>")
    assert libcoap.client(f"{base}/.well-known/core?rt=other").body == b""


def test_discovery_by_multicast(served, tmp_path):
    """224.0.1.187, answered after a leisure of up to 5 s (RFC 7252, section 8); only what a group may know."""
    device, base = served
    if any(event.get("log") == "link.no_multicast" for event in device.seen):
        pytest.skip("multicast (no route on this machine)")
    uri = base.replace("127.0.0.1", "224.0.1.187") + "/.well-known/core?rt=test.value"
    with libcoap.Background(uri, tmp_path, "-N") as asked:  # it would wait for others after the first answer
        asked.wait(b"obs", unless="Network is unreachable", skip="multicast (no route on this machine)")
    assert asked.body == b'</value>;rt="test.value";if="core.s";obs'


def test_it_is_observed(served, tmp_path):
    """The first value, then each new one; coap-client leaves by itself after its seconds."""
    device, base = served
    device.tell("value", b"first;".hex())
    with libcoap.Background(f"{base}/value", tmp_path, "-s", 30) as observing:
        observing.wait(b"first;")
        for body in (b"second;", b"third;"):
            device.tell("value", body.hex())
            observing.wait(body)
        device.tell("observers")
        assert device.expect("observers")["observers"] == 1
    assert observing.body == b"first;second;third;"


# --- OSCORE, in libcoap's own implementation

_OSCORE = """
master_secret,hex,"0102030405060708090a0b0c0d0e0f10"
master_salt,hex,"9e7ca92223786340"
sender_id,hex,"{sender}"
recipient_id,hex,"{recipient}"
replay_window,integer,30
aead_alg,integer,10
hkdf_alg,integer,-10
"""


def oscore_file(folder, sender, recipient):
    file = folder / "oscore.conf"
    file.write_text(_OSCORE.format(sender=sender, recipient=recipient))
    return file


def oscore_context(sender, recipient):
    return {"emd": {"secret": bytes(range(1, 17)).hex(), "salt": "9e7ca92223786340", "sender": sender,
                    "recipient": recipient, "serve": True}}


@pytest.mark.parametrize("scheme", ["coap", "coap+tcp"])
def test_the_firmware_asks_over_oscore(tmp_path, scheme):
    options = ("-E", oscore_file(tmp_path, "00", "01"))
    with libcoap.Server(tmp_path, *options) as peer, \
            Device(tmp_path, uri=peer.uri("", scheme), contexts=oscore_context("01", "00")) as device:
        device.expect("started")
        links = device.ask(GET, ".well-known/core", context="emd")
        assert links["code"] == CONTENT and b"</time>" in links["body"]
        assert device.ask(PUT, "example_data", LARGE, context="emd", ct=0)["code"] in (CREATED, CHANGED)
        assert device.ask(GET, "example_data", context="emd")["body"] == LARGE
        assert device.ask(GET, "nothing", context="emd")["code"] == NOT_FOUND


def test_the_firmware_answers_over_oscore(tmp_path):
    port = ports.free()
    contexts = oscore_context("01", "00")
    with Device(tmp_path, uri="coap://127.0.0.1:9", listen=port, contexts=contexts) as device:
        device.expect("started")
        base = f"coap://127.0.0.1:{port}"
        assert libcoap.client(f"{base}/value").error == "4.01"
        got = libcoap.client(f"{base}/value", "-E", oscore_file(tmp_path, "00", "01"))
        assert got.body == b"first", got.log


# --- the firmware asks coap-server


def credentials(pki):
    identity = pki.identity(DEVICE)
    return {"ca": str(pki.ca_der), "cert": str(identity.cert_der), "key": str(identity.key_der)}


@pytest.fixture(params=[("coap", "openssl"), ("coap+tcp", "openssl"), *SECURE], ids="-".join)
def asking(request, tmp_path, pki):
    """The firmware as the client of coap-server; `.scheme`."""
    scheme, build = request.param
    secure = scheme.startswith("coaps")
    with libcoap.Server(tmp_path, build=build, pki=pki if secure else None, cert=pki.identity("server")) as peer, \
            Device(tmp_path, uri=peer.uri("", scheme), **(credentials(pki) if secure else {})) as device:
        device.expect("started")
        device.scheme = scheme
        yield device


def test_it_asks(asking):
    got = asking.ask(GET, ".well-known/core")
    assert got["code"] == CONTENT and b'</example_data>;title="Example Data"' in got["body"]
    assert asking.ask(GET, "nothing")["code"] == NOT_FOUND
    if "tcp" not in asking.scheme:
        assert asking.ask(GET, "async", query=["1"])["code"] == CONTENT  # acknowledged first, answered then


def test_it_sends_and_gets_large_bodies(asking):
    """In blocks on UDP and DTLS, whole on TCP and TLS; a body over the firmware's bound ends as 4.13."""
    assert asking.ask(GET, "example_data")["code"] == TOO_LARGE  # 1,500 octets at first
    assert asking.ask(PUT, "example_data", LARGE, ct=0)["code"] == CHANGED
    assert asking.ask(GET, "example_data")["body"] == LARGE


def test_it_observes(asking):
    number = asking.request(GET, "example_data", observe=True)
    asking.reply(number)
    assert asking.ask(PUT, "example_data", b"one", ct=0)["code"] == CHANGED
    told = [event["body"] for event in asking.seen if event.get("reply") == number]
    assert told[-1] == b"one".hex() or asking.reply(number)["body"] == b"one"  # libcoap tells it within a second
    asking.tell("cancel", number)


def test_answers_that_come_at_once_are_told_apart(asking):
    """NON, so that one that is lost in another is not sent again."""
    numbers = [asking.request(GET, "", con=False) for _ in range(6)]
    for number in numbers:
        assert b"test server" in asking.reply(number)["body"]


def test_both_ends_ping(asking):
    """Empty CON and RST on UDP, 7.02 and 7.03 on TCP."""
    asking.tell("ping")
    assert asking.expect("pong")["pong"]


@pytest.mark.parametrize(("scheme", "build"), SECURE)
def test_a_server_of_another_authority_is_refused(tmp_path, pki, scheme, build):
    other = Pki(tmp_path / "other")
    other.broker(name="server")
    with libcoap.Server(tmp_path, build=build, pki=pki, cert=other.identity("server")) as peer, \
            Device(tmp_path, uri=peer.uri("", scheme), **credentials(pki)) as device:
        assert device.expect("exit")["exit"] != 0
    assert "LinkError" in device.errors


@pytest.mark.parametrize(("scheme", "build"), SECURE)
def test_a_device_of_another_authority_is_refused(tmp_path, pki, scheme, build):
    other = Pki(tmp_path / "other")
    other.device(DEVICE)
    stranger = {**credentials(other), "ca": str(pki.ca_der)}
    with libcoap.Server(tmp_path, build=build, pki=pki, cert=pki.identity("server")) as peer, \
            Device(tmp_path, uri=peer.uri("", scheme), **stranger) as device:
        device.tell("request", {"id": 1, "code": GET, "path": ".well-known/core"})
        assert device.expect("exit")["exit"] != 0
