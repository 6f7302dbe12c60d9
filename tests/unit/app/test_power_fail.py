"""The mains fails: the last gasp to the link, then what is kept, with power going at every single write of it."""

import json
from pathlib import Path

import pytest

from spot.app import App
from spot.codes import ALARM_OVER_POWER as OVER_POWER
from spot.codes import CH_ALARM, CHANNELS, RESET_POWER_ON
from spot_host.emd.config import EmdConfig
from spot_host.emd.core import EmdCore
from spot_host.emd.memory import MemoryOut
from spot_host.emd.storage import MemoryStorage
from spot_host.profile import codec
from spot_host.profile import definition as d
from spot_sim.flash import MemoryFs, PowerCut
from spot_sim.hardware import Hardware, LoadMeter

BOARD = Path(__file__).resolve().parents[3] / "boards" / "sim" / "board.json"
NOON = 1765537200
EUI = "0200000000000001"
ALARM = {code: name for code, name, _ in d.enum("Alarm").rows}
_PIN = 9


class Kettle:
    power_factor = 1.0

    def power_w(self, now_s):
        return 2000.0

    def energy_mj(self, now_s):
        return 2_000_000 * now_s


class Home:
    """One plug with a power-fail input, and its EMD. deaf: the EMD hears nothing of it; full: the link takes only what
    is urgent."""

    def __init__(self, input_=True, jitter_s=0):
        self.now, self.fs, self.deaf, self.writes_at_gasp = NOON, MemoryFs(), False, None
        self.full, self.urgent = False, []
        self.description = json.loads(BOARD.read_text())
        if input_:
            self.description["parts"]["power_fail"] = {"driver": "power_fail", "pin": _PIN}
        self.storage = MemoryStorage()
        self.out = MemoryOut(self.down)
        config = EmdConfig()
        config.association.jitter_s = jitter_s
        self.core = EmdCore(config, self.storage, self.out, self.now)
        self.app, self.waiting = None, []

    def down(self, eui, channel, body):
        self.waiting.append(body)

    def send(self, channel, buf, n, urgent=False):
        body = bytes(buf[:n])
        if self.full and not urgent:
            return False
        if urgent:
            self.urgent.append(codec.decode(body))
            assert channel == CH_ALARM and self.urgent[-1]["code"] == 1
            self.writes_at_gasp = self.fs.operations
        if not self.deaf:
            self.core.receive(self.now, EUI, CHANNELS[channel][0], body)
        return True

    def boot(self, reset=RESET_POWER_ON):
        self.hardware = Hardware()
        self.hardware.line(_PIN).level = 1
        self.hardware.meter = LoadMeter(Kettle())
        self.began, self.app, self.waiting = self.now, None, []
        config = {"eui64": EUI, "store": "s", "agent": {"interval_length": 15}}
        self.app = App(json.loads(json.dumps(self.description)), config, self.hardware, self.fs, self.send, reset)
        self.app.link_up(0, False)
        return self

    @property
    def now_s(self):
        return self.now - self.began

    def run(self, seconds):
        for _ in range(seconds):
            self.now += 1
            self.hardware.advance(self.now_s)
            self.app.clock.tick(self.now_s * 1000)
            self.app.poll(self.now_s)
            self.app.step(self.now_s)
            self.core.step(self.now)
            while self.waiting:
                body = bytearray(self.waiting.pop(0))
                self.app.receive(self.now_s, 6, body, len(body))

    def mains(self, there):
        self.hardware.line(_PIN).drive(1 if there else 0)

    def fail(self):
        """The mains goes, and the hold-up time lasts for three polls."""
        self.mains(False)
        self.app.poll(self.now_s)
        self.now += 1  # the input is not believed at once
        self.hardware.advance(self.now_s)
        for _ in range(3):
            self.app.poll(self.now_s)

    def alarms(self):
        return [ALARM[f["code"]] for *_, f in sorted(self.storage.alarms, key=lambda row: row[3]["seq"])]

    def numbers(self):
        rows = (self.storage.statuses, self.storage.alarms, self.storage.registers, self.storage.reads)
        return sorted(f["seq"] for kind in rows for *_, f in kind)


def test_the_gasp_leaves_before_anything_is_written():
    home = Home().boot()
    home.run(100)
    before = home.fs.operations
    home.fail()
    assert home.writes_at_gasp == before
    assert home.fs.operations > before
    assert home.alarms() == ["outage"]


def test_the_energy_of_the_last_quarter_hour_is_kept():
    home = Home().boot()
    home.run(700)
    used = home.app.device.counters.energy_wh
    home.fail()
    home.boot()
    assert used <= home.app.device.counters.energy_wh <= used + 2


def test_back_within_the_hold_up():
    home = Home().boot()
    home.run(100)
    home.fail()
    home.mains(True)
    home.run(10)
    assert home.alarms() == ["outage", "restore"]
    home.run(1000)
    assert home.numbers() == list(range(len(home.numbers())))
    home.fail()
    assert home.alarms() == ["outage", "restore", "outage"]


def test_a_board_without_the_input_tells_the_restore():
    home = Home(False).boot()
    home.run(100)
    home.boot()
    home.run(100)
    assert home.alarms() == ["restore"]


@pytest.mark.parametrize(("heard", "full"), [(True, False), (False, False), (True, True)])
@pytest.mark.parametrize("torn", [0, 7])
def test_power_goes_at_every_write_of_the_end_and_of_the_next_start(heard, full, torn):
    """The EMD has each number once, none is missing, and knows of outage and restore. full: earlier events wait for the
    link, and the gasp passes them."""
    ends = starts = 0
    first = 0
    while True:
        second, over = 0, False
        while True:
            home = Home().boot()
            home.run(60)
            if full:
                home.full = True
                for value in range(3):
                    home.app.agent.alarm(home.now_s, OVER_POWER, value < 2, value, 9)
                home.run(1)
            home.fs.torn, home.fs.cut_after, home.deaf = torn, first, not heard
            try:
                home.fail()
                over = True
            except PowerCut:
                pass
            home.deaf = home.full = False
            if full:
                assert len(home.urgent) == 1 and home.core.devices[EUI].events.ahead == {home.urgent[0]["seq"]}
            home.now += 600
            home.fs.cut_after, losses, begun = second, 1, True
            try:
                home.boot()
                home.run(30)
            except PowerCut:
                losses, begun = 2, False
            home.fs.cut_after = None
            if not begun:
                home.now += 60
                home.boot()
            home.run(200)
            found = home.alarms()
            where = (first, second, found)
            if full:
                assert found.count("over_power") == 3, where
                found = [name for name in found if name != "over_power"]
                told = {f["seq"]: f for *_, f in home.storage.alarms}[home.urgent[0]["seq"]]
                assert told["code"] == 1 and told["value"] == 1, where
            assert home.numbers() == list(range(len(home.numbers()))), where
            assert home.core.devices[EUI].events.upto == home.app.agent.events.next - 1, where
            assert 1 <= found.count("outage") <= losses and 1 <= found.count("restore") <= losses, where
            assert found[-1] == "restore" and not home.core.devices[EUI].alarms, where
            assert home.core.devices[EUI].hostile == 0
            starts += 1
            if begun:
                break
            second += 1 if second < 8 else 5
        ends += 1
        if over:
            break
        first += 1
    assert ends >= 4 and starts > 20, (ends, starts)
