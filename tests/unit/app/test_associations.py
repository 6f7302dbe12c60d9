"""An App with two associations: each has its link, its protection, its groups and its data; both have the device."""

import json
from pathlib import Path

import pytest

from spot.app import App
from spot.codes import CH_CMD, CH_INTERVAL, CH_LINK, CH_REGISTER, CH_STATUS, CH_TELEMETRY
from spot.config import ConfigError
from spot_host.profile import codec
from spot_sim.flash import MemoryFs
from spot_sim.hardware import Hardware, LoadMeter
from tests.unit.app.test_groups import BOARD, NOON, Nothing


class Wrap:
    """A protection that shows what it did: one octet before each body, another one each way."""

    class Refused(ValueError):
        pass

    def __init__(self):
        self.broken = False
        self.reserved = 0

    def seal(self, channel, buf, n, out):
        if self.broken:
            raise self.Refused("no number left")
        out[0] = 0xAA
        out[1 : n + 1] = bytes(buf[:n])
        return n + 1

    def reserve(self):
        self.reserved += 1

    def open(self, channel, buf, n, out):
        if buf[0] != 0xBB:
            raise self.Refused("not for us")
        out[: n - 1] = bytes(buf[1:n])
        return n - 1


class Bench:
    def __init__(self, associations=({"name": "home"}, {"name": "utility"})):
        self.sent, self.urgent, self.refusing = [[], []], [], ()
        self.joined = [[], []]
        hardware = Hardware()
        hardware.meter = LoadMeter(Nothing())
        config = {"eui64": "0200000000000001", "store": "s", "associations": list(associations)}
        self.app = App(json.loads(Path(BOARD).read_text()), config, hardware, MemoryFs(), [self.way(0), self.way(1)])
        self.app.join_group = [joined.append for joined in self.joined]
        self.app.listen()

    def way(self, at):
        def carry(channel, buf, n, urgent=False):
            if urgent:
                self.urgent.append((at, codec.decode(bytes(buf[:n]))))
            self.sent[at].append((channel, bytes(buf[:n])))
            return at not in self.refusing

        return carry

    def give(self, at, name, wrap=b"", **values):
        body = wrap + codec.encode(name, values)
        self.app.receive(1, CH_CMD, body, len(body), at)

    def registered(self, at, wrap=b"", **more):
        values = {"reason": 0, "boot": 1, "epoch": 5 + at, "time": NOON, "association": 1} | more
        self.give(at, "registered", wrap, **values)

    def channels(self, at):
        return {channel for channel, _ in self.sent[at]}


def test_each_has_its_link_and_its_groups():
    bench = Bench()
    bench.app.link_up(0, False)
    assert bench.channels(0) == {CH_LINK, CH_REGISTER} and bench.sent[1] == []
    bench.app.link_up(0, False, 1)
    assert bench.channels(1) == {CH_LINK, CH_REGISTER}
    bench.registered(0, groups=[1, 2])
    bench.registered(1, groups=[7])
    assert bench.joined == [["1", "2"], ["7"]]
    bench.app.link_down(2, 1)
    del bench.sent[0][:], bench.sent[1][:]
    bench.app.step(2)
    assert CH_TELEMETRY in bench.channels(0) and bench.sent[1] == []
    bench.app.goodbye(3)
    assert bench.channels(1) == {CH_LINK}


def test_the_second_gets_what_the_configuration_says():
    for data, readings in ((["interval", "alarm"], False), (["telemetry"], True)):
        bench = Bench(({"name": "home"}, {"name": "utility", "data": data}))
        for at in (0, 1):
            bench.app.link_up(0, False, at)
            bench.registered(at)
        for now_s in range(0, 1900, 10):
            bench.app.step(now_s)
        told = [codec.decode(body).name for channel, body in bench.sent[1] if channel == CH_TELEMETRY]
        assert ("telemetry" in told) == readings and "heartbeat" in told
        assert (CH_INTERVAL in bench.channels(1)) == ("interval" in data)


def test_a_protection_is_one_association_s_own():
    bench = Bench()
    bench.app.ways[1].guard(Wrap())
    for at in (0, 1):
        bench.app.link_up(0, False, at)
    assert all(body[0] != 0xAA for _, body in bench.sent[0]) and all(body[0] == 0xAA for _, body in bench.sent[1])
    bench.registered(1, wrap=b"\xbb")
    assert bench.app.agent.seats[1].registration.joined
    assert not bench.app.agent.seats[0].registration.joined
    bench.registered(0)
    assert bench.app.agent.seats[0].registration.joined


def test_the_last_gasp_goes_to_every_emd_whatever_the_first_link_says():
    bench = Bench()
    for at in (0, 1):
        bench.app.link_up(0, False, at)
        bench.registered(at)
    bench.app.step(1)
    bench.refusing = (0,)
    bench.app.agent.last_gasp(2)
    assert [(at, m.name, m["code"], m["raised"], m["value"]) for at, m in bench.urgent] == [
        (0, "alarm", 1, 1, 1), (1, "alarm", 1, 1, 1)]


def test_what_does_not_open_is_counted_and_not_answered():
    bench = Bench()
    bench.app.ways[1].guard(Wrap())
    for at in (0, 1):
        bench.app.link_up(0, False, at)
    bench.registered(1, wrap=b"\xbb")
    del bench.sent[1][:]
    for _ in range(5):
        bench.registered(1, epoch=99)  # not protected
    seats = bench.app.agent.seats
    assert bench.app.log.counts["security.refused"] == 5
    assert (seats[0].refusals.count, seats[1].refusals.count) == (0, 5)
    assert bench.sent[1] == [] and seats[1].plan.epoch == 6
    bench.app.step(2)
    assert CH_STATUS not in bench.channels(1)
    for _ in range(6):
        bench.registered(1, epoch=99)
    bench.app.step(3)
    alarms = [codec.decode(body[1:]) for channel, body in bench.sent[1] if codec.decode(body[1:]).name == "alarm"]
    assert len(alarms) == 1 and alarms[0].values["raised"] == 1  # the EMD hears of it over its protected way
    assert bench.sent[0] == [] or "alarm" not in [codec.decode(body).name for _, body in bench.sent[0]]


def test_nothing_leaves_in_the_clear_when_the_protection_fails():
    bench = Bench()
    wrap = Wrap()
    wrap.broken = True
    bench.app.ways[1].guard(wrap)
    bench.app.link_up(0, False, 1)
    bench.app.step(1)
    assert bench.sent[1] == [] and bench.app.log.counts["security.not_sealed"] > 0
    wrap.broken = False
    for now_s in range(2, 20):
        bench.app.step(now_s)
    assert CH_REGISTER in bench.channels(1)


def test_a_wrong_plan_of_the_second_is_named():
    with pytest.raises(ConfigError, match="agent.lease"):
        Bench(({"name": "home"}, {"name": "utility", "agent": {"lease": "long"}}))
