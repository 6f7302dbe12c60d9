"""Blocks of a release over CoAP: any of them is asked for by itself, one at a time, and arrives as it was."""

import os

import pytest

from spot.codes import CH_STATUS
from spot.link.coap_session import Session
from spot.log import Log
from spot.wire.coap_endpoint import Endpoint
from spot_sim.datagrams import Datagrams

CONTENT, NOT_FOUND, CREATED, CHANGED = 0x45, 0x84, 0x41, 0x44
WHOLE = os.urandom(2000)
PIECE = 512


class End:
    """An endpoint of the network: the EMD, with a release below fw/."""

    def __init__(self, net):
        self.port, self.answer, self.asked, self.whole = net.port("emd", True), True, [], WHOLE
        self.ep = Endpoint(self.port, net.octets, Log(), config={"body": 4096, "szx": 5})
        self.ep.resource("rd", lambda now, q: CREATED, ct=40)
        self.ep.resource("status", lambda now, q: CHANGED, ct=60)
        self.ep.resource("fw/abc", self.serve, ct=42)
        net.attach(self.port, self)

    def serve(self, now, q):
        self.asked.append(q.block2)
        if self.whole is None:
            return NOT_FOUND
        q.reply(self.whole, ct=42)
        return CONTENT

    def received(self, now, peer, buf, n):
        if self.answer:
            self.ep.received(now, peer, buf, n)

    def step(self, now):
        return self.ep.step(now)


class Device:
    secure, peer = False, "emd"

    def __init__(self, net):
        self.port = net.port("device")
        self.reliable, self.datagram = self.port.reliable, self.port.datagram
        self.log = Log()
        config = {"device": "00" * 8, "insecure": True}
        self.session = Session(config, self, lambda *message: None, lambda present: None, self.log, None, net.octets)
        net.attach(self.port, self)
        self.session.begin(net.ticks)

    def received(self, now, peer, buf, n):
        self.session.receive(now, peer, buf, n)

    def step(self, now):
        return self.session.step(now)


@pytest.fixture
def rig():
    net = Datagrams(1, delay_ms=(50, 50))
    emd, device = End(net), Device(net)
    assert net.run(1000, lambda: device.session.is_up)
    return net, emd, device


def fetch(net, device, at, came):
    return device.session.fetch(net.ticks, "fw/abc", at, min(PIECE, len(WHOLE) - at), came.append)


def test_any_block_is_asked_for_alone(rig):
    net, emd, device = rig
    for at in (1024, 0, 1536, 512):
        came = []
        assert fetch(net, device, at, came)
        assert net.run(2000, lambda: came)  # noqa: B023 - called at once
        assert came == [WHOLE[at : at + PIECE]]
    assert len(emd.asked) == 4, "no block but these was read"


def test_one_at_a_time_and_a_status_goes_beside_it(rig):
    net, emd, device = rig
    came = []
    assert fetch(net, device, 0, came) and not fetch(net, device, 512, came)
    assert device.session.offer(net.ticks, CH_STATUS, b"status", 6)
    assert net.run(2000, lambda: came and not device.session.pending)
    assert fetch(net, device, 512, came) and net.run(2000, lambda: len(came) == 2)
    assert b"".join(came) == WHOLE[:1024]


def test_what_is_not_there_leaves_the_link_as_it_is(rig):
    net, emd, device = rig
    emd.whole, came = None, []
    assert fetch(net, device, 0, came)
    net.run(2000, lambda: False)
    assert not came and device.session.is_up
    emd.whole = WHOLE
    assert fetch(net, device, 0, came) and net.run(2000, lambda: came)


def test_the_next_one_may_be_asked_for_when_one_has_come(rig):
    net, emd, device = rig
    came = []

    def taken(octets):
        came.append(octets)
        at = len(came) * PIECE
        if at < len(WHOLE):
            assert device.session.fetch(net.ticks, "fw/abc", at, min(PIECE, len(WHOLE) - at), taken)

    assert device.session.fetch(net.ticks, "fw/abc", 0, PIECE, taken)
    assert net.run(5000, lambda: len(came) == 4)
    assert b"".join(came) == WHOLE


def test_a_block_that_was_not_asked_for_is_none(rig):
    net, emd, device = rig
    came = []
    emd.ep.szx = 4  # the server has smaller blocks: the number means another place
    assert fetch(net, device, 1024, came)
    net.run(2000, lambda: False)
    assert not came and device.session.is_up
