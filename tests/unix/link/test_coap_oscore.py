"""The device's link over CoAP with OSCORE, on MicroPython, against aiocoap: keys from a pairing, as in the product."""

import pytest
from aiocoap.numbers.codes import Code

from spot.codes import CH_CMD, CH_INTERVAL, CH_PRICE, CH_STATUS, CH_TELEMETRY
from tests.interop.aio import SecurityContext
from tests.unix.link.coap_harness import CoapEmd, Path, config, until

SECRET, SALT = bytes(range(16)), bytes(range(8))
PAIRING = {"secret": SECRET.hex(), "salt": SALT.hex(), "id": "01", "emd": "00", "generation": 0}


def emd_context(**more):
    return SecurityContext(SECRET, SALT, b"\x00", b"\x01", **more)


@pytest.fixture
def emd():
    with CoapEmd(security=emd_context()) as running:
        yield running


@pytest.fixture
def settings(tmp_path):
    return {"pairing": PAIRING, "store": str(tmp_path / "store")}


@pytest.fixture(autouse=True)
def store(tmp_path):
    (tmp_path / "store").mkdir()


def secured(emd):
    return [one for one in emd.requests if type(one.remote).__name__ == "OSCOREAddress"]


def test_everything_goes_protected_both_ways(emd, device, settings):
    process = device(config(emd.uri, **settings))
    process.expect("up")
    assert process.expect("message", CH_PRICE)["body"] == b"\x01first".hex()
    process.send(CH_STATUS, b"\x07started")
    process.send(CH_TELEMETRY, b"\x02reading")
    emd.wait(lambda seen: {"status", "telemetry"} <= {one[0] for one in seen})
    assert len(secured(emd)) == len(emd.requests)
    assert all(not query for name, _, query in emd.received if name != "rd")  # the context names the device
    assert emd.send("cmd", b"\x07limit").code == Code.CHANGED
    assert process.expect("message", CH_CMD)["body"] == b"\x07limit".hex()
    emd.publish(b"\x01second")
    assert process.expect("message", CH_PRICE)["body"] == b"\x01second".hex()


def test_long_bodies_both_ways(emd, device, settings):
    process = device(config(emd.uri, **settings))
    process.expect("up")
    body = bytes(i * 7 & 0xFF for i in range(1000))
    process.send(CH_INTERVAL, body)
    emd.wait(lambda seen: body in [one[1] for one in seen])
    assert emd.request(Code.GET, "interval").payload == body


def test_what_is_not_protected_is_refused(emd, device, settings):
    process = device(config(emd.uri, **settings))
    process.expect("up")
    plain = emd.remote.underlying_address
    assert emd.request(Code.POST, "cmd", b"\x07off", remote=plain).code == Code.UNAUTHORIZED
    assert emd.request(Code.GET, "status", remote=plain).code == Code.UNAUTHORIZED
    assert emd.request(Code.GET, ".well-known/core", remote=plain).code == Code.CONTENT
    assert CH_CMD not in [one.get("message") for one in process.seen]


def test_it_goes_on_after_a_restart_with_numbers_that_were_never_used(emd, device, settings):
    process = device(config(emd.uri, **settings))
    process.expect("up")
    process.__exit__()
    again = device(config(emd.uri, **settings))
    again.expect("up")
    assert emd.send("cmd", b"\x07after").code == Code.CHANGED  # by Echo: its window is gone
    again.expect("message", CH_CMD)
    again.send(CH_STATUS, b"\x07again")
    emd.wait(lambda seen: b"\x07again" in [one[1] for one in seen])


def test_an_emd_that_has_lost_its_window_asks_for_proof_and_gets_it(device, settings):
    context = emd_context(known_window=False)
    with CoapEmd(security=context) as emd:
        process = device(config(emd.uri, **settings))
        process.expect("up")
        assert context.recipient_replay_window.is_initialized()


def test_another_secret_is_no_way_in(emd, device, settings):
    wrong = {**PAIRING, "secret": "ff" * 16}
    process = device(config(emd.uri, **{**settings, "pairing": wrong}))
    process.expect("log", "link.unauthorized")
    assert not emd.received


def test_an_expired_pairing_is_not_used(emd, device, settings):
    process = device(config(emd.uri, **{**settings, "pairing": {**PAIRING, "until": 1000}}, now=2000))
    process.expect("log", "link.expired")
    assert not emd.received


def test_a_new_address_and_a_recorded_command(device, settings):
    with CoapEmd(security=emd_context()) as emd, Path(emd.port) as path:
        process = device(config(f"coap://127.0.0.1:{path.port}", **settings))
        process.expect("up")
        recorded = []
        path.drop = lambda data, up: bool(not up and recorded.append(data))
        assert emd.send("cmd", b"\x07limit").code == Code.CHANGED
        process.expect("message", CH_CMD)
        path.rebind()
        process.send(CH_STATUS, b"\x07moved")
        emd.wait(lambda seen: b"\x07moved" in [one[1] for one in seen])
        for data in recorded:  # the very octets, and with another message id
            path.inject(data)
            path.inject(data[:2] + bytes([data[2] ^ 0x55]) + data[3:])
        assert emd.send("cmd", b"\x07next").code == Code.CHANGED
        assert process.expect("message", CH_CMD)["body"] == b"\x07next".hex()
        until(lambda: "oscore.replay" in [one.get("log") for one in process.seen] or process.ask("pending") != 0)


def test_a_store_that_refuses_ends_in_words_and_the_loop_goes_on(emd, device, settings):
    process = device(config(emd.uri, **settings, full_after=3))
    process.expect("up")
    for i in range(300):  # more than a stride of numbers
        process.send(CH_STATUS, b"\x07" + bytes([i >> 8, i & 0xFF]))
    process.expect("log", "link.keys", timeout=30)
    process.expect("down")
    assert process.ask("gap") < 1000 and not process.errors
    assert len(emd.bodies("status")) == len(set(emd.bodies("status")))
