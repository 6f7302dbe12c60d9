"""What is urgent, on MicroPython: the cases of tests/unit/link, and against mosquitto and the EMD's end of CoAP while
something holds up everything else."""

import re
import time
from pathlib import Path

import pytest

from spot.codes import CH_ALARM, CH_STATUS
from spot_host.pairing import Pairing
from spot_sim.coap_post import CoapPost
from tests.unix.link.coap_harness import CoapEmd, until
from tests.unix.link.coap_harness import Path as Way
from tests.unix.link.coap_harness import config as coap_config
from tests.unix.link.harness import DEVICE, TOPIC, Emd, Proxy, config
from tests.unix.link.test_coap_tcp import certificates, server_tls

ROOT = Path(__file__).resolve().parents[3]
GASP = bytes.fromhex("90199c451a02ccba5a010119013801")
PATIENT = {"keepalive": 600, "ack_ms": 60000, "ping_ms": 60000, "stall_ms": 60000}


def test_cases(mpy):
    folder = ROOT / "tests" / "unit" / "link"
    count = len(re.findall(r"^def test_", (folder / "urgent_cases.py").read_text(), re.MULTILINE))
    script = ROOT / "tests" / "unix" / "board" / "cases_on_device.py"
    assert mpy(script, folder, "urgent_cases", heap="8m").split() == [str(count), "of", str(count)]


def gasp(process):
    process.tell("urgent", CH_ALARM, GASP.hex())
    assert process.expect("urgent")["urgent"] is True


def blocked(process):
    """Until it offers telemetry without end, and no more of it goes."""
    process.tell("flood", 0x55)
    seen = []

    def stands():
        seen.append(process.ask("counts"))
        time.sleep(0.05)
        return len(seen) > 4 and seen[-1][2] and len({tuple(counts) for counts in seen[-5:]}) == 1

    until(stands)
    process.tell("flood", 0)


def test_past_a_full_window_of_mosquitto(broker, device):
    """No PUBACK comes back, eight messages wait for theirs, a ninth is refused: the gasp arrives, and once."""
    with Proxy(broker.port) as proxy, Emd(broker) as emd:
        one = device(config(broker, proxy.port, **PATIENT))
        one.expect("up")
        proxy.stall(0)
        for number in range(9):
            one.send(CH_STATUS, bytes([number]))
        one.expect("accepted", 7)
        assert one.ask("pending") == 8
        gasp(one)
        emd.wait(lambda got: (f"{TOPIC}/alarm", GASP) in got)
        proxy.cut()
        proxy.mode = "pass"
        one.expect("accepted", 8)
        emd.wait(lambda got: [body for topic, body in got if topic.endswith("status")][-1:] == [b"\x08"])
        assert emd.bodies(f"{TOPIC}/alarm") == [GASP]


def test_behind_the_packet_that_mosquitto_has_half_of(broker, device):
    """The socket takes nothing in the middle of a packet, over TLS: when it goes on, all are whole, the gasp next."""
    with Proxy(broker.port) as proxy, Emd(broker) as emd:
        one = device(config(broker, proxy.port, **PATIENT))
        one.expect("up")
        proxy.mode = "deaf"
        blocked(one)
        waiting = one.ask("pending")
        gasp(one)
        proxy.mode = "pass"
        emd.wait(lambda got: len(got) == one.ask("counts")[0] and one.ask("pending") == 0)
        bodies = [body for _, body in emd.received]
        assert bodies.count(GASP) == 1 and bodies.count(b"\x55" * 1000) == len(bodies) - 1
        assert len(bodies) - 1 - bodies.index(GASP) == waiting  # the packet under way was not among those that wait
        assert not [event for event in one.seen if "down" in event]


def test_past_a_pending_con_to_the_emd_s_own_end_under_oscore(device, tmp_path, micropython_path):
    """Nothing confirmable arrives: a CON is under way, three wait behind it, a fifth is refused."""
    pairing = Pairing(bytes(range(16)), bytes(range(8)), b"\x01")
    (tmp_path / "store").mkdir()
    post = CoapPost({DEVICE: pairing})
    post.start()
    try:
        with Way(post.port) as way:
            one = device(coap_config(f"coap://127.0.0.1:{way.port}", pairing=pairing.record(), ack_timeout_ms=8000,
                                     store=str(tmp_path / "store"), keepalive=600))
            one.expect("up")
            way.drop = lambda datagram, up: not datagram or not datagram[0] & 0x30
            for number in range(5):
                one.send(CH_STATUS, bytes([number]))
            one.expect("accepted", 3)
            assert one.ask("pending") == 4
            gasp(one)
            assert post.await_arrival(DEVICE, 1, 10)
            assert post.take() == [(DEVICE, "alarm", GASP)]
            assert one.ask("pending") == 4
    finally:
        post.stop()


@pytest.mark.parametrize("scheme", ["coap+tcp", "coaps+tcp"])
def test_behind_the_frame_that_a_stream_has_half_of(scheme, pki, device):
    tls = server_tls(pki) if scheme == "coaps+tcp" else None
    with CoapEmd(scheme=scheme, tls=tls) as emd, Proxy(emd.port) as proxy:
        more = {**PATIENT, **(certificates(pki) if tls else {})}
        one = device(coap_config(f"{scheme}://localhost:{proxy.port}", **more))
        one.expect("up")
        proxy.mode = "deaf"
        blocked(one)
        gasp(one)
        proxy.mode = "pass"
        emd.wait(lambda got: GASP in [body for _, body, _ in got])
        until(lambda: one.ask("pending") == 0)
        one.send(CH_STATUS, b"\x07after")
        emd.wait(lambda got: got[-1][1] == b"\x07after")
        bodies = [body for name, body, _ in emd.received if name in ("telemetry", "alarm")]
        assert bodies.count(GASP) == 1 and bodies.count(b"\x55" * 1000) == len(bodies) - 1
        assert not [event for event in one.seen if "down" in event]
