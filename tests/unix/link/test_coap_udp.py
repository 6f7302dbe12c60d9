"""The device's link over CoAP and UDP, on MicroPython, against aiocoap."""

import contextlib
import random
import socket

import pytest
from aiocoap.numbers.codes import Code

from spot.codes import CH_ALARM, CH_CMD, CH_INTERVAL, CH_PRICE, CH_REGISTER, CH_STATUS, CH_TELEMETRY
from tests.unix.link.coap_harness import CHANNELS, CoapEmd, Path, config, free_port, until
from tests.unix.link.harness import DEVICE, silent_udp


@pytest.fixture
def emd():
    with CoapEmd() as running:
        yield running


def test_it_registers_and_is_up_when_that_is_answered(emd, device):
    process = device(config(emd.uri))
    process.expect("up")
    channel, links, query = emd.received[0]
    assert channel == "rd" and set(query) == {f"ep={DEVICE}", "lt=60"}
    text = links.decode()
    assert '</cmd>;rt="spot.cmd"' in text and '</status>;rt="spot.status";ct=60;obs' in text
    assert emd.requests[0].opt.content_format == 40


@pytest.mark.parametrize(("channel", "name", "size"), [
    (CH_REGISTER, "register", 90), (CH_STATUS, "status", 24), (CH_ALARM, "alarm", 5), (CH_INTERVAL, "interval", 1024),
])
def test_what_is_sent_arrives_whole_and_once(emd, device, channel, name, size):
    process = device(config(emd.uri))
    process.expect("up")
    body = bytes(i & 0xFF for i in range(size))
    process.send(channel, body)
    emd.wait(lambda seen: name in [one[0] for one in seen])
    assert emd.bodies(name) == [body]
    assert [one[2] for one in emd.received if one[0] == name] == [(f"ep={DEVICE}",)]


def test_telemetry_is_not_acknowledged_and_asks_for_no_answer(emd, device):
    process = device(config(emd.uri))
    process.expect("up")
    process.send(CH_TELEMETRY, b"\x02reading")
    emd.wait(lambda seen: "telemetry" in [one[0] for one in seen])
    request = next(one for one in emd.requests if one.payload == b"\x02reading")
    assert request.mtype.name == "NON" and request.opt.no_response == 26
    assert process.ask("pending") == 0


def test_a_command_reaches_the_application_and_is_answered(emd, device):
    process = device(config(emd.uri))
    process.expect("up")
    answer = emd.send("cmd", b"\x07limit")
    assert answer.code == Code.CHANGED and not answer.payload
    assert process.expect("message", CH_CMD)["body"] == b"\x07limit".hex()
    assert emd.request(Code.GET, "cmd").code == Code.METHOD_NOT_ALLOWED
    assert emd.send("status", b"\x07").code == Code.METHOD_NOT_ALLOWED
    assert emd.send("nowhere", b"\x07").code == Code.NOT_FOUND


def test_an_application_that_raises_costs_a_log_line(emd, device):
    process = device(config(emd.uri, fail=True))
    process.expect("up")
    emd.send("cmd", b"\x07limit")
    process.expect("log", "link.callback")
    emd.send("cmd", b"\x07again")
    process.expect("message")


def test_broadcasts_are_observed_and_handed_over_once_each(emd, device):
    process = device(config(emd.uri))
    process.expect("up")
    assert process.expect("message") == {"message": CH_PRICE, "body": b"\x01first".hex()}
    emd.publish(b"\x01second")
    assert process.expect("message") == {"message": CH_PRICE, "body": b"\x01second".hex()}
    emd.send("price", b"\x01pushed")
    assert process.expect("message") == {"message": CH_PRICE, "body": b"\x01pushed".hex()}


def test_the_latest_of_each_channel_can_be_read_with_its_etag(emd, device):
    process = device(config(emd.uri))
    process.expect("up")
    assert emd.request(Code.GET, "status").code == Code.NOT_FOUND
    process.send(CH_STATUS, b"\x07started")
    emd.wait(lambda seen: b"\x07started" in [one[1] for one in seen])
    answer = emd.request(Code.GET, "status")
    assert (answer.code, answer.payload, answer.opt.content_format) == (Code.CONTENT, b"\x07started", 60)
    assert len(answer.opt.etag) == 4
    again = emd.request(Code.GET, "status", etags=[answer.opt.etag])
    assert again.code == Code.VALID and not again.payload


def test_a_long_body_is_read_block_by_block(emd, device):
    process = device(config(emd.uri))
    process.expect("up")
    body = bytes(i * 7 & 0xFF for i in range(1000))
    process.send(CH_INTERVAL, body)
    emd.wait(lambda seen: body in [one[1] for one in seen])
    assert emd.request(Code.GET, "interval").payload == body


def test_what_is_sent_is_seen_by_who_observes_it(emd, device):
    process = device(config(emd.uri))
    process.expect("up")
    process.send(CH_TELEMETRY, b"\x02one")
    emd.wait(lambda seen: b"\x02one" in [one[1] for one in seen])
    first, heard = emd.observe("telemetry")
    assert first.payload == b"\x02one" and first.opt.observe is not None
    process.send(CH_TELEMETRY, b"\x02two")
    until(lambda: b"\x02two" in [one.payload for one in heard])


def test_discovery_by_anybody(emd, device):
    process = device(config(emd.uri))
    process.expect("up")
    links = emd.request(Code.GET, ".well-known/core").payload.decode()
    for name in CHANNELS:
        assert f'</{name}>;rt="spot.{name}";ct=60;obs' in links
    some = emd.request(Code.GET, ".well-known/core", uri_query=["rt=spot.cmd"]).payload.decode()
    assert some == '</cmd>;rt="spot.cmd"'


def test_messages_go_in_their_order_and_the_window_is_bounded(emd, device):
    process = device(config(emd.uri))
    process.expect("up")
    for i in range(12):
        process.send(CH_STATUS, b"\x07" + bytes([i]))
    emd.wait(lambda seen: len([one for one in seen if one[0] == "status"]) == 12)
    assert emd.bodies("status") == [b"\x07" + bytes([i]) for i in range(12)]
    until(lambda: process.ask("pending") == 0)
    process.tell("counts")
    assert process.expect("counts")["counts"] == [12, 1, 0]  # one broadcast came


def test_a_body_that_the_emd_refuses_is_said_and_does_not_stop_the_others(emd, device):
    process = device(config(emd.uri))
    process.expect("up")
    emd.answers["alarm"] = Code.BAD_REQUEST
    process.send(CH_ALARM, b"\x08bad")
    process.send(CH_STATUS, b"\x07good")
    refused = process.expect("log", "link.refused")
    assert (refused["a"], refused["b"]) == (0x80, CH_ALARM)
    emd.wait(lambda seen: b"\x07good" in [one[1] for one in seen])


def test_the_registration_is_renewed_before_it_ends(emd, device):
    process = device(config(emd.uri, lifetime=1))
    process.expect("up")
    emd.wait(lambda seen: [one[0] for one in seen].count("rd/1") >= 2)
    channel, links, query = next(one for one in emd.received if one[0] == "rd/1")
    assert not links and "lt=1" in query
    emd.answers["rd/1"] = Code.NOT_FOUND  # the directory has lost it
    process.expect("log", "link.no_directory")


def test_without_a_directory_it_is_up_all_the_same(emd, device):
    emd.answers["rd"] = Code.NOT_FOUND
    process = device(config(emd.uri))
    process.expect("log", "link.no_directory")
    process.expect("up")


def test_it_leaves_the_directory_in_good_order(emd, device):
    process = device(config(emd.uri))
    process.expect("up")
    process.tell("close")
    process.expect("down")
    process.expect("ended")
    emd.wait(lambda seen: "rd/1" in [one[0] for one in seen])
    assert emd.requests[-1].code == Code.DELETE


def test_an_address_of_its_own_that_tools_can_find(emd, device):
    port = free_port()
    process = device(config(emd.uri, listen=port))
    process.expect("up")
    assert emd.remote.hostinfo.endswith(f":{port}")


def test_discovery_by_multicast_is_answered_and_nothing_else_is(emd, device):
    port = free_port()
    process = device(config(emd.uri, listen=port, multicast=True))
    process.expect("up")
    if "no_multicast" in process.causes():
        pytest.skip("multicast on this machine")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tool:
        tool.settimeout(12)  # the leisure is 5 s
        tool.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        try:
            for group_request in (
                b"\x51\x02\x00\x01m\xb3cmd\xffoff",  # a command to everybody
                b"\x51\x01\x00\x02n\xb6status",
                b"\x51\x01\x00\x03t\xbb.well-known\x04core\x45rt=no",  # nothing of the kind
                b"\x51\x01\x00\x04o\xbb.well-known\x04core",
            ):
                tool.sendto(group_request, ("224.0.1.187", port))
        except OSError as error:
            pytest.skip(f"multicast on this machine: {error.strerror}")
        data, _ = tool.recvfrom(2000)
        assert data[1] == 0x45 and data[4:5] == b"o" and b"spot.cmd" in data
        tool.settimeout(0.3)
        with pytest.raises(TimeoutError):
            tool.recvfrom(2000)
    assert CH_CMD not in [one.get("message") for one in process.seen]


def test_memory_is_steady_over_hundreds_of_messages(emd, device):
    process = device(config(emd.uri))
    process.expect("up")
    numbers = iter(range(10**6))

    def hundred():
        done = len(emd.received)
        for _ in range(50):
            body = next(numbers).to_bytes(4, "big") + bytes(196)
            process.send(CH_STATUS, body)
            process.send(CH_TELEMETRY, body[:20])
        emd.wait(lambda seen: len(seen) >= done + 100, timeout=30)
        until(lambda: process.ask("pending") == 0)
        return process.ask("heap")

    hundred()
    before = hundred()
    assert hundred() < before + 2000


# --- faults


def test_the_emd_does_not_answer_then_it_does(device):
    with silent_udp() as port:
        process = device(config(f"coap://127.0.0.1:{port}"))
        process.expect("log", "link.timeout")
    with CoapEmd(port) as emd:
        process.expect("up", timeout=30)
        assert emd.bodies("rd")


def test_the_emd_goes_and_comes_back(device):
    port = free_port()
    with CoapEmd(port):
        process = device(config(f"coap://127.0.0.1:{port}"))
        process.expect("up")
    process.expect("log", "link.ping_timeout", timeout=30)
    process.expect("down")
    with CoapEmd(port) as emd:
        process.expect("up", timeout=30)
        process.send(CH_STATUS, b"\x07back")
        emd.wait(lambda seen: b"\x07back" in [one[1] for one in seen])


def test_a_message_that_was_not_answered_is_sent_again_after_the_reconnection(device):
    with CoapEmd() as emd, Path(emd.port) as path:
        process = device(config(f"coap://127.0.0.1:{path.port}"))
        process.expect("up")
        path.drop = lambda data, up: b"\x07late" in data
        process.send(CH_STATUS, b"\x07late")
        process.expect("log", "link.timeout", timeout=30)
        process.expect("down")
        path.drop = lambda data, up: False
        emd.wait(lambda seen: b"\x07late" in [one[1] for one in seen], timeout=30)
        assert emd.bodies("status") == [b"\x07late"]


def test_a_quarter_is_lost_and_everything_comes_twice(device):
    """What was accepted arrives in order; after a reconnection one may come again, which is why bodies are numbered."""
    with CoapEmd() as emd, Path(emd.port) as path:
        dice = random.Random(5)
        process = device(config(f"coap://127.0.0.1:{path.port}"))
        process.expect("up")
        path.twice = True
        path.drop = lambda data, up: dice.random() < 0.25
        bodies = [b"\x07" + bytes([i]) for i in range(12)]
        for body in bodies:
            process.send(CH_STATUS, body)
        emd.wait(lambda seen: bodies[-1] in [one[1] for one in seen], timeout=50)
        assert list(dict.fromkeys(emd.bodies("status"))) == bodies
        commands = [b"\x07" + bytes([i]) for i in range(3)]
        for body in commands:
            while True:  # as the EMD's core: to where the device was heard last, until it is answered
                with contextlib.suppress(Exception):
                    if emd.do(emd.ask(Code.POST, "cmd", body), 4).code == Code.CHANGED:
                        break
        path.drop = lambda data, up: False
        process.ask("pending")
        got = [one["body"] for one in process.seen if one.get("message") == CH_CMD]
        assert list(dict.fromkeys(got)) == [body.hex() for body in commands]


def test_a_new_address_in_the_middle_costs_nothing(device):
    with CoapEmd() as emd, Path(emd.port) as path:
        process = device(config(f"coap://127.0.0.1:{path.port}"))
        process.expect("up")
        before = emd.remote
        path.rebind()
        process.send(CH_STATUS, b"\x07moved")
        emd.wait(lambda seen: b"\x07moved" in [one[1] for one in seen])
        assert emd.remote != before
        assert emd.send("cmd", b"\x07there").code == Code.CHANGED
        process.expect("message", CH_CMD)
        assert "timeout" not in process.causes()


def test_garbage_from_the_emds_address_is_passed_over(device):
    with CoapEmd() as emd, Path(emd.port) as path:
        process = device(config(f"coap://127.0.0.1:{path.port}"))
        process.expect("up")
        dice = random.Random(7)
        heap = process.ask("heap")
        for _ in range(500):
            path.inject(dice.randbytes(dice.randrange(1, 1400)))
            path.inject(bytes([0x40 + dice.randrange(64)]) + dice.randbytes(dice.randrange(1, 60)))
        assert emd.send("cmd", b"\x07still").code == Code.CHANGED
        process.expect("message", CH_CMD)
        assert process.ask("heap") < heap + 20000
        assert process.ask("gap") < 1000 and not process.errors


def test_a_name_that_nobody_resolves_does_not_stop_the_loop(device):
    with silent_udp() as port:
        process = device(config("coap://emd.example", dns=[["127.0.0.1", port]]))
        process.expect("log", "link.dns")
        assert process.ask("gap") < 500


def test_groups_have_a_bound(emd, device):
    process = device(config(emd.uri, groups=[]))
    process.expect("up")
    for i in range(7):
        process.tell("group", "area%d" % i)
    process.expect("log", "link.groups")
    emd.wait(lambda seen: "observe" in [one[0] for one in seen])  # area1, which the EMD has
    process.send(CH_STATUS, b"\x07still")
    emd.wait(lambda seen: b"\x07still" in [one[1] for one in seen])


def test_a_plain_transport_serves_nobody_unless_told_so(emd, device):
    process = device(config(emd.uri, insecure=False))
    process.expect("up")
    assert emd.send("cmd", b"\x07limit").code == Code.UNAUTHORIZED
    assert emd.request(Code.GET, "status").code == Code.UNAUTHORIZED
    assert emd.request(Code.GET, ".well-known/core").code == Code.CONTENT
    assert CH_CMD not in [one.get("message") for one in process.seen]
