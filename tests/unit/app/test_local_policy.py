"""The price rule of a heat pump that nobody controls, as its configuration has it: SG-Ready lock while it is dear."""

import json
from pathlib import Path

import pytest

from spot.app import App
from spot.codes import CH_PRICE, DECIDER_LOCAL_POLICY, MODE_AUTONOMOUS, POLICY_AVOID_DEAREST, POLICY_THRESHOLD
from spot_host.profile import codec
from spot_sim.flash import MemoryFs
from spot_sim.hardware import Hardware, LoadMeter

BOARD = Path(__file__).resolve().parents[3] / "boards" / "sim_heat_pump" / "board.json"
NOON = 1765537200
SERIES = [100, 110, 120, 400, 130, 120, 110, 100]  # EUR/MWh by hour, from NOON on


class Compressor:
    power_factor = 1.0

    def power_w(self, now_s):
        return 1500.0

    def energy_mj(self, now_s):
        return 1_500_000 * now_s


class Sensor:
    def __init__(self, value):
        self.value = value


class Machine:
    def __init__(self):
        self.limit = None

    def set_power_limit(self, watts):
        self.limit = watts

    def set_offset(self, c100):
        pass


class House:
    def __init__(self, agent):
        self.fs, self.agent = MemoryFs(), agent
        self.now = NOON - 600
        self.boot()

    def boot(self):
        hardware = self.hardware = Hardware()
        hardware.meter, hardware.machine = LoadMeter(Compressor()), Machine()
        hardware.sensors.update(room=Sensor(2100), outdoor=Sensor(300), flow=Sensor(3300), hot_water=Sensor(4900))
        config = {"eui64": "0200000000000002", "store": "s", "agent": self.agent}
        self.began = self.now
        self.app = App(json.loads(BOARD.read_text()), config, hardware, self.fs, lambda channel, buf, n: True)

    def give(self, channel, name, **values):
        body = bytearray(codec.encode(name, values))
        self.app.receive(self.now - self.began, channel, body, len(body))

    def run(self, until):
        """The hours (from NOON on) in which the local rule decided at their middle."""
        saved = []
        while self.now < until:
            now_s = self.now - self.began
            self.hardware.advance(now_s)
            self.app.clock.tick(now_s * 1000)
            self.app.step(now_s)
            if (self.now - NOON) % 3600 == 1800 and self.app.device.decider == DECIDER_LOCAL_POLICY:
                saved.append((self.now - NOON) // 3600)
            self.now += 10
        return saved


@pytest.mark.parametrize("agent, hours", [
    ({"policy": POLICY_AVOID_DEAREST, "policy_value": 1}, [3]),
    ({"policy": POLICY_THRESHOLD, "policy_value": 12}, [3, 4]),
    ({}, []),
])
def test_the_rule_is_the_configuration_s_own(agent, hours):
    house = House(agent)
    house.run(NOON - 590)
    house.app.agent.set_time(house.now - house.began, house.now - 1735689600, 4)
    house.give(CH_PRICE, "price", revision=1, start=NOON, interval_min=60, scale=0, series=SERIES)
    assert house.run(NOON + 3 * 3600 + 900) == []
    locked = (house.hardware.line(2).level, house.hardware.line(3).level)
    assert (locked == (1, 0)) == bool(hours)
    found = house.run(NOON + 6 * 3600)
    assert house.app.agent.lease.mode == MODE_AUTONOMOUS
    assert found == hours
    assert (house.hardware.line(2).level, house.hardware.line(3).level) == (0, 0)


def test_the_rule_and_its_prices_outlive_a_reboot():
    house = House({"policy": POLICY_AVOID_DEAREST, "policy_value": 1})
    house.run(NOON - 590)
    house.app.agent.set_time(house.now - house.began, house.now - 1735689600, 4)
    house.give(CH_PRICE, "price", revision=1, start=NOON, interval_min=60, scale=0, series=SERIES)
    house.run(NOON + 3600)
    house.boot()
    house.run(house.now + 20)
    house.app.agent.set_time(house.now - house.began, house.now - 1735689600, 4)
    assert house.run(NOON + 6 * 3600) == [3]
