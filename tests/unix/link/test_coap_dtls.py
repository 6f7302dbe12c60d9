"""The device's link over CoAP on DTLS with certificates, on MicroPython, against libcoap's server: what a network does
to it. Interoperation as such is in tests/interop."""

import pytest

from spot.codes import CH_STATUS
from spot_host.pki import Pki
from tests.interop import libcoap
from tests.unix.link.coap_harness import Path, config, until
from tests.unix.link.harness import DEVICE, silent_udp


def certificates(pki):
    identity = pki.identity(DEVICE)
    return {"ca": str(pki.ca_der), "cert": str(identity.cert_der), "key": str(identity.key_der)}


@pytest.fixture
def server(pki, tmp_path):
    """coap-server on DTLS: it has no directory and no channels, and says so protected."""
    identity = pki.broker(("127.0.0.1", "localhost"), name="coap")
    with libcoap.Server(tmp_path, pki=pki, cert=identity) as running:
        yield running


def test_it_is_up_over_dtls_and_sends(pki, server, device):
    process = device(config(f"coaps://localhost:{server.port + 1}", groups=[], **certificates(pki)))
    process.expect("log", "link.no_directory")
    process.expect("up")
    process.send(CH_STATUS, b"\x07started")
    refused = process.expect("log", "link.refused")  # 4.04 or 4.05, under DTLS: it arrived
    assert refused["a"] in (0x84, 0x85) and process.ask("pending") == 0
    assert process.ask("gap") < 500


def test_a_handshake_of_which_a_third_is_lost_comes_to_an_end(pki, server, device):
    with Path(server.port + 1) as path:
        count = iter(range(10**6))
        path.drop = lambda data, up: next(count) % 3 == 0
        process = device(config(f"coaps://localhost:{path.port}", groups=[],
                                **{**certificates(pki), "handshake_ms": 30000}))
        process.expect("up", timeout=40)


def test_a_new_address_towards_the_emd_costs_a_connection_at_most(pki, server, device):
    with Path(server.port + 1) as path:
        process = device(config(f"coaps://localhost:{path.port}", groups=[], **certificates(pki)))
        process.expect("up")
        path.rebind()
        process.send(CH_STATUS, b"\x07moved")
        process.expect("log", "link.refused", timeout=40)


def test_garbage_does_not_end_the_connection(pki, server, device):
    with Path(server.port + 1) as path:
        process = device(config(f"coaps://localhost:{path.port}", groups=[], **certificates(pki)))
        process.expect("up")
        for i in range(100):
            path.inject(bytes([22, 254, 253, 0, 1, 0, 0, 0, 0, 0, i, 0, 4]) + b"junk")
            path.inject(b"\x40\x02\x00\x00\xb3cmd\xffoff")
        process.send(CH_STATUS, b"\x07still")
        process.expect("log", "link.refused")
        assert "message" not in [key for one in process.seen for key in one] and "down" not in process.causes()


@pytest.mark.parametrize(("change", "cause"), [
    ({"server_name": "other.example"}, "tls_host"), ({"ca": "other"}, "tls_ca"),
])
def test_what_does_not_verify_is_refused(pki, server, tmp_path, device, change, cause):
    other = Pki(tmp_path / "other")
    change = {name: str(other.ca_der) if value == "other" else value for name, value in change.items()}
    process = device(config(f"coaps://localhost:{server.port + 1}", groups=[], **{**certificates(pki), **change}))
    process.expect("log", "link." + cause)


def test_a_server_that_is_silent_or_is_not_there(pki, device):
    with silent_udp() as port:
        process = device(config(f"coaps://127.0.0.1:{port}", groups=[], **certificates(pki)))
        process.expect("log", "link.tls_timeout")
        assert process.ask("gap") < 500
    process.expect("log", "link.udp")  # refused by the host from now on


def test_a_server_that_goes_is_missed(pki, tmp_path, device):
    identity = pki.broker(("127.0.0.1", "localhost"), name="coap")
    with libcoap.Server(tmp_path, pki=pki, cert=identity) as running:
        process = device(config(f"coaps://localhost:{running.port + 1}", groups=[], **certificates(pki)))
        process.expect("up")
    process.expect("down", timeout=30)
    until(lambda: process.ask("pending") == 0 and {"udp", "peer_closed", "ping_timeout"} & set(process.causes()))
