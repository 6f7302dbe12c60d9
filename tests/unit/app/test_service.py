"""What an EMD asks of the device as a whole, through the App: objects, restart, log, crash record, factory reset."""

import json
from pathlib import Path

import pytest

from spot.app import App
from spot.codes import ABSENT, CH_CMD, RESET_WATCHDOG
from spot.guard import CRASH
from spot_host.profile import codec
from spot_host.profile import definition as d
from spot_sim.flash import MemoryFs
from spot_sim.hardware import Hardware, LoadMeter

BOARD = Path(__file__).resolve().parents[3] / "boards" / "sim" / "board.json"
NOON = 1765537200
OBJ = {name: id_ for id_, _, name, *_ in d.OBJECTS}


class Nothing:
    power_factor = 1.0

    def power_w(self, now_s):
        return 0.0

    def energy_mj(self, now_s):
        return 0


class Bench:
    def __init__(self):
        self.fs, self.sent, self.id = MemoryFs(), [], 0
        self.boot()

    def boot(self, reset=RESET_WATCHDOG):
        hardware = Hardware()
        hardware.meter = LoadMeter(Nothing())
        config = {"eui64": "0200000000000001", "store": "s"}
        self.now, self.sent = 0, []
        self.app = App(json.loads(BOARD.read_text()), config, hardware, self.fs, self.send, reset)
        self.app.link_up(0, False)
        self.run(2)
        self.give("registered", reason=0, boot=self.app.identity.boot, epoch=7, time=NOON)
        self.run(2)

    def send(self, channel, buf, n):
        self.sent.append(codec.decode(bytes(buf[:n])))
        return True

    def give(self, name, **values):
        body = bytearray(codec.encode(name, values))
        self.app.receive(self.now, CH_CMD, body, len(body))

    def ask(self, name, **values):
        """Sends a request; the answers to it."""
        self.sent, self.id = [], self.id + 1
        self.give(name, epoch=7, id=self.id, issued=NOON + self.now, **values)
        self.run(1)
        return [m for m in self.sent if m.name in ("answer", "read_response", "log")]

    def run(self, seconds):
        for _ in range(seconds):
            self.now += 1
            self.app.clock.tick(self.now * 1000)
            self.app.step(self.now)


@pytest.fixture
def bench():
    return Bench()


def test_objects_of_the_whole_device(bench):
    names = ("boots", "uptime", "flash_writes", "log_level", "safe_mode", "switches", "power_peak")
    (answer,) = bench.ask("read", objects=[OBJ[name] for name in names])
    values = dict(zip(answer["values"][::2], answer["values"][1::2], strict=True))
    assert values[OBJ["boots"]] == 1 and values[OBJ["uptime"]] >= 4 and values[OBJ["flash_writes"]] > 0
    assert (values[OBJ["log_level"]], values[OBJ["safe_mode"]]) == (1, 0)
    assert set(values) == {OBJ[name] for name in names}


@pytest.mark.parametrize("values, leave", [([OBJ["restart"], 1], False), ([OBJ["safe_mode"], 0], True)])
def test_a_restart_is_answered_and_then_due(bench, values, leave):
    (answer,) = bench.ask("configure", values=values)
    assert (answer["about"], answer["reason"]) == (14, 0)
    assert bench.now < bench.app.restart_s < bench.now + 10


def test_log_of_the_device(bench):
    bench.app.log.warn("bench.line", 3, 4)  # noqa: PLE1205
    (answer,) = bench.ask("read_log", record=0, first=0)
    assert answer["text"].splitlines()[-1].endswith("w bench.line 3 4")


def test_a_crash_record_goes_once_all_of_it_was_read(bench):
    bench.app.store.put(CRASH, b"\0boot 1 utc 0 up 9 heap 9 run.agent\nValueError: nonsense\n")
    (answer,) = bench.ask("read_log", record=1, first=0)
    assert answer["text"].endswith("ValueError: nonsense\n") and bench.app.store.get(CRASH)
    (beyond,) = bench.ask("read_log", record=1, first=999)  # who asks for what is not there has read nothing
    assert (beyond["text"], beyond["first"]) == ("", answer["next"]) and bench.app.store.get(CRASH)
    (answer,) = bench.ask("read_log", record=1, first=answer["next"])
    assert (answer["text"], answer["first"]) == ("", answer["next"])
    assert bench.app.store.get(CRASH) is None
    (answer,) = bench.ask("read_log", record=1, first=0)
    assert answer["reason"] == 30


def test_a_crash_record_that_counts_failing_starts_stays(bench):
    bench.app.store.put(CRASH, b"\2boot 1 utc 0 up 9 heap 9 run.agent\n")
    bench.ask("read_log", record=1, first=1)
    assert bench.app.store.get(CRASH)


def test_a_factory_reset_unregisters_and_forgets(bench):
    assert bench.app.agent.plan.epoch == 7
    bench.sent = []
    bench.app.device.on_factory_reset(bench.now)
    assert [m.name for m in bench.sent][0] == "unregister"
    assert bench.app.restart_s != ABSENT


def test_after_a_factory_reset_nothing_of_the_household_is_left(bench):
    bench.ask("configure", values=[OBJ["telemetry_interval"], 77])
    assert bench.app.store.get("association") is not None
    bench.app.device.on_factory_reset(bench.now)
    hardware = Hardware()
    hardware.meter = LoadMeter(Nothing())
    config = {"eui64": "0200000000000001", "store": "s"}
    app = App(json.loads(BOARD.read_text()), config, hardware, bench.fs, bench.send)
    assert app.store.get("association") is None and app.agent.plan.telemetry_interval == 300
    assert len(app.agent.events.stream) == 0
