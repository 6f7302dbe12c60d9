"""The CoAP session without I/O, in virtual time, against an endpoint that stands for the EMD."""

import pytest

from spot.codes import CH_CMD, CH_STATUS, CH_TELEMETRY
from spot.link.coap_session import Session
from spot.link.errors import LinkError
from spot.log import Log
from spot.wire.coap_endpoint import Endpoint
from spot_sim.datagrams import Datagrams

POST, CREATED, CHANGED = 2, 0x41, 0x44


class Device:
    """A session as its own transport, pumped by the network."""

    secure, peer = False, "emd"

    def __init__(self, net, **config):
        self.net, self.port, self.log = net, net.port("device"), Log()
        self.reliable, self.datagram = self.port.reliable, self.port.datagram
        self.got, self.ups, self.error, self.raises = [], 0, None, False
        config = {"device": "00" * 8, "insecure": True, **config}
        self.session = Session(config, self, self.message, self.up, self.log, None, net.octets)

    def message(self, channel, buf, n):
        self.got.append((channel, bytes(buf[:n])))
        if self.raises:
            raise RuntimeError("application")

    def up(self, session_present):
        self.ups += 1

    def begin(self):
        self.net.attach(self.port, self)
        self.error = None
        self.session.begin(self.net.ticks)

    def received(self, now, peer, buf, n):
        self.session.receive(now, peer, buf, n)

    def step(self, now):
        if self.error is None:
            try:
                return self.session.step(now)
            except LinkError as error:
                self.error = error.cause
                self.session.end(now)
        return 60_000

    def send(self, channel, body):
        taken = self.session.offer(self.net.ticks, channel, body, len(body))
        self.session.flush(self.net.ticks)
        return taken


class Emd:
    """Takes everything, notes it with its time and type; `answer` False: says nothing any more."""

    def __init__(self, net):
        self.net, self.port, self.got, self.answer = net, net.port("emd", True), [], True
        self.ep = Endpoint(self.port, net.octets, Log())
        for path in ("rd", "status", "telemetry"):
            self.ep.resource(path, self.take, ct=40 if path == "rd" else 60)
        net.attach(self.port, self)

    def take(self, now, q):
        self.got.append((q.path.decode(), q.type, bytes(q.buf[q.at : q.at + q.n])))
        return CREATED if q.path == b"rd" else CHANGED

    def received(self, now, peer, buf, n):
        if self.answer:
            self.ep.received(now, peer, buf, n)

    def step(self, now):
        return self.ep.step(now)

    def bodies(self):
        return [body for path, _, body in self.got if path != "rd"]


@pytest.fixture
def rig():
    net = Datagrams(1, delay_ms=(50, 50))
    emd, device = Emd(net), Device(net)
    device.begin()
    assert net.run(1000, lambda: device.session.is_up)
    return net, emd, device


def test_telemetry_does_not_overtake_what_waits_and_counts_when_it_has_left(rig):
    net, emd, device = rig
    session = device.session
    waiting = ((CH_STATUS, b"s1"), (CH_TELEMETRY, b"t1"), (CH_STATUS, b"s2"), (CH_TELEMETRY, b"t2"))
    for channel, body in waiting:
        assert device.send(channel, body)
    assert (session.sent, session.pending) == (0, 4)
    assert device.send(CH_STATUS, b"s2") and session.pending == 4  # it waits already
    assert not device.send(CH_TELEMETRY, b"t3")  # the window is full
    assert net.run(1000, lambda: session.sent == 2)  # s1 was answered, t1 is on its way
    assert emd.bodies() == [b"s1"]
    assert net.run(2000, lambda: session.sent == 4) and session.pending == 0
    net.run(100)
    first = [("status", 0, b"s1"), ("telemetry", 1, b"t1"), ("status", 0, b"s2"), ("telemetry", 1, b"t2")]
    assert emd.got[1:] == first


def test_telemetry_alone_leaves_at_once(rig):
    net, emd, device = rig
    assert device.send(CH_TELEMETRY, b"t1")
    assert (device.session.sent, device.session.pending) == (1, 0)
    net.run(60)
    assert emd.bodies() == [b"t1"]


def test_statuses_wait_for_the_next_connection_and_telemetry_does_not(rig):
    net, emd, device = rig
    emd.answer = False
    for channel, body in ((CH_STATUS, b"s1"), (CH_TELEMETRY, b"t1"), (CH_STATUS, b"s2")):
        assert device.send(channel, body)
    assert net.run(100_000, lambda: device.error)
    assert device.error == "timeout" and not device.session.is_up and device.session.pending == 2
    assert not device.send(CH_STATUS, b"s3")
    emd.answer = True
    device.begin()
    assert net.run(5000, lambda: not device.session.pending)
    assert device.ups == 2 and emd.bodies() == [b"s1", b"s2"] and device.session.sent == 2


def test_it_says_when_it_wants_to_be_called_and_asks_for_a_sign_of_life_in_a_silence(rig):
    net, emd, device = rig
    session = device.session
    wait = session.step(net.ticks)
    assert 58_000 < wait <= 60_000  # keepalive
    net.run(3_600_000)  # pings are answered
    assert session.is_up and device.error is None
    emd.answer = False
    assert net.run(60_000 + 93_000 + 1000, lambda: device.error) and device.error == "ping_timeout"


def test_an_application_that_raises_costs_a_line_in_the_log(rig):
    net, emd, device = rig
    device.raises = True
    answers = []
    for body in (b"c1", b"c2"):
        emd.ep.request(net.ticks, "device", POST, "cmd", body, on_reply=lambda now, code, *_: answers.append(code))
        net.run(200)
    assert answers == [CHANGED, CHANGED] and device.got == [(CH_CMD, b"c1"), (CH_CMD, b"c2")]
    assert device.log.counts["link.callback"] == 2 and device.session.received == 2
