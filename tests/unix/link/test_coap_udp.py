"""The device's link over CoAP and UDP, on MicroPython, against aiocoap."""

import pytest
from aiocoap.numbers.codes import Code

from spot.codes import CH_ALARM, CH_CMD, CH_INTERVAL, CH_PRICE, CH_REGISTER, CH_STATUS, CH_TELEMETRY
from tests.unix.link.coap_harness import CHANNELS, CoapEmd, config
from tests.unix.link.harness import DEVICE


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
