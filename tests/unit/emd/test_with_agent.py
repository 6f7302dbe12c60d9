"""The EMD's core and the firmware's agent together: the two halves of hybrid control agree, also over a bad link."""

import random

import pytest

from spot.agent.agent import Agent
from spot.clock import Clock
from spot.log import Log
from spot.store import Store
from spot.wire.profile import digest
from spot_host.emd.config import EmdConfig, LimitEvent
from spot_host.emd.core import EmdCore
from spot_host.emd.memory import MemoryOut
from spot_host.emd.storage import MemoryStorage
from spot_host.emd.tariff import PriceSeries
from tests.unit.agent.agent_rig import FakeDevice, MemFs
from tests.unit.emd.helpers import MODE, NOON, VALID, WINTER

START = NOON - 12 * 3600


class Identity:
    def __init__(self, number, boot):
        self.eui64 = number.to_bytes(8, "big")
        self.boot, self.reset, self.profile, self.firmware, self.model = boot, 1, 1, "0.1.0", "bench"


class Home:
    """Agents and one EMD on a virtual clock; packets are lost, doubled and late as `faults` says."""

    association = {}  # noqa: RUF012 - of the devices' configuration

    def __init__(self, count=1, loss=0.0, double=0.0, delay_s=0, seed=1, **config):
        self.now, self.rng, self.loss, self.double, self.delay_s = START, random.Random(seed), loss, double, delay_s
        self.out = MemoryOut(self.down, self.group)
        self.storage = MemoryStorage()
        self.settings = EmdConfig(**config)
        self.core = EmdCore(self.settings, self.storage, self.out, self.now)
        self.packets, self.agents, self.order = [], {}, 0
        for number in range(1, count + 1):
            self.boot(number, 1)

    def boot(self, number, boot, fs=None):
        """(Re)start a device; `fs` of its life before."""
        eui, fs = f"{number:016x}", fs or MemFs()
        log = Log(64)
        store = Store(fs, "store", log)
        clock, device = Clock(store, log), FakeDevice()

        class Out:
            def send(_, channel, buf, n, guaranteed=False, urgent=False):  # noqa: N805
                self.carry("up", eui, channel, bytes(buf[:n]))
                return True

        agent = Agent(Identity(number, boot), device, clock, store, [Out()], log, [self.association])
        agent.bench = (fs, device, self.now)
        self.agents[eui] = agent
        clock.tick(0)
        agent.link_up(0)
        return agent

    def carry(self, way, eui, channel, body):
        VALID.check(body)
        for _ in range(2 if self.rng.random() < self.double else 1):
            if self.rng.random() >= self.loss:
                self.order += 1
                due = self.now + (self.rng.randint(0, self.delay_s) if self.delay_s else 0)
                self.packets.append((due, self.order, way, eui, channel, body))

    def down(self, eui, channel, body):
        self.carry("down", eui, channel, body)

    def group(self, group, channel, body):
        for eui in self.agents:
            self.carry("down", eui, channel, body)

    def deliver(self):
        """Hand over what has arrived, also what that causes."""
        for _ in range(50):
            ready = sorted(p for p in self.packets if p[0] <= self.now)
            if not ready:
                break
            self.packets = [p for p in self.packets if p[0] > self.now]
            for _, _, way, eui, channel, body in ready:
                if way == "up":
                    self.core.receive(self.now, eui, channel, body)
                elif eui in self.agents:
                    agent = self.agents[eui]
                    agent.receive(self.now - agent.bench[2], 6 if channel == "cmd" else 7, bytearray(body), len(body))
            if self.core.next_due <= self.now:
                self.core.step(self.now)

    def run(self, seconds):
        for _ in range(seconds):
            self.now += 1
            if self.core.next_due <= self.now:
                self.core.step(self.now)
            for agent in self.agents.values():
                now_s = self.now - agent.bench[2]
                agent.clock.tick(now_s * 1000 & 0x3FFFFFFF)
                agent.step(now_s)
            self.deliver()

    def row(self, number=1):
        return self.core.devices[f"{number:016x}"]

    def agent(self, number=1):
        return self.agents[f"{number:016x}"]


def test_a_device_registers_and_is_controlled():
    home = Home()
    home.run(10)
    assert home.row().registered
    assert home.agent().lease.mode == MODE["controlled"]
    assert home.agent().plan.epoch == home.core.epoch
    home.run(300)
    assert home.row().mode == MODE["controlled"]
    assert home.row().time
    assert not home.row().hostile


def test_both_ends_hold_the_same_ledger_after_a_day_of_prices():
    home = Home()
    home.core.set_prices(START, PriceSeries(START, 3600, WINTER))
    home.run(8 * 3600 + 1800)
    home.run(3600)
    device = home.agent().bench[1]
    assert device.power_w == 0, "off at half past nine, the dearest hours"
    home.run(7200)
    assert device.power_w == 2000
    home.run(10 * 3600)
    assert home.core.report(home.now)["commands"] == {"completed": 2}
    assert not home.row().ledger.live_for("price:")
    assert home.row().events.upto == home.agent().events.next - 1
    resyncs = [e for e in home.storage.log if e[2] == "resync"]
    assert len(resyncs) <= 2, resyncs


def test_intervals_of_a_day_are_there_once():
    home = Home()
    home.run(86400 + 1800)
    starts = sorted(v[0] for v in home.storage.intervals.values())
    assert len(starts) == len(set(starts))
    assert len([s for s in starts if START + 900 <= s < START + 86400 - 900]) >= 93
    assert home.row().intervals.upto == max(k[2] for k in home.storage.intervals)


def test_a_limit_reaches_every_device_and_ends():
    home = Home(3)
    home.run(60)
    home.core.add_event(home.now, LimitEvent("e", home.now + 600, home.now + 4200, 4100))
    home.run(900)
    powers = [a.bench[1].power_w for a in home.agents.values()]
    assert sorted(powers) == [0, 2000, 2000]
    home.run(4200)
    assert [a.bench[1].power_w for a in home.agents.values()] == [2000] * 3
    assert home.core.report(home.now)["events"][0]["kept"]


def test_a_new_emd_without_memory_gets_its_devices_back():
    home = Home()
    home.run(600)
    home.storage = MemoryStorage()
    home.now += 7200
    home.core = EmdCore(home.settings, home.storage, home.out, home.now)
    home.run(900)
    assert home.row().registered and home.agent().plan.epoch == home.core.epoch
    assert home.agent().lease.mode == MODE["controlled"]
    home.run(1800)
    assert home.row().events.upto == home.agent().events.next - 1


def test_a_rebooted_device_goes_on():
    home = Home()
    home.run(600)
    home.core.command(home.now, f"{1:016x}", "off", duration=3600)
    home.run(30)
    assert home.agent().bench[1].power_w == 0
    home.boot(1, 2, home.agent().bench[0])
    home.run(60)
    assert home.agent().bench[1].power_w == 0
    home.run(3700)
    assert home.agent().bench[1].power_w == 2000
    assert home.agent().lease.mode == MODE["controlled"]
    assert "completed" in home.core.report(home.now)["commands"]


@pytest.mark.parametrize("seed", range(3))
def test_a_bad_link_loses_nothing(seed):
    home = Home(2, loss=0.25, double=0.2, delay_s=3, seed=seed)
    home.core.set_prices(START, PriceSeries(START, 3600, WINTER))
    home.run(7 * 3600)
    home.core.add_event(home.now, LimitEvent("e", home.now + 900, home.now + 2700, 2500))
    home.run(5 * 3600)
    home.loss = home.double = 0.0
    home.delay_s = 0
    home.run(1800)
    for number in (1, 2):
        row, agent = home.row(number), home.agent(number)
        assert row.events.upto == agent.events.next - 1
        assert agent.control.ledger.digest == row.ledger.digest(digest)
        assert agent.lease.mode == MODE["controlled"]
        assert not row.hostile
    statuses = [(k, g, f["seq"]) for k, g, _, f in home.storage.statuses]
    assert len(statuses) == len(set(statuses))
