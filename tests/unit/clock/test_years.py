"""A whole App over the years: 2038, the last second that the profile has, twenty years without a restart, a counter
that wraps, leaps of the clock, and what all that costs in writes."""

import datetime
import json

import pytest

from spot import port
from spot.app import App
from spot.clock import Clock
from spot.codes import ABSENT, CH_CMD, CLOCK_EMD, EPOCH_UNIX, KIND_LIMIT, KIND_OFF, MAX_INT, RESET_POWER_ON
from spot.port import TICKS_PERIOD
from spot.store import BUDGET_PER_DAY, Store
from spot_host.profile import codec
from spot_sim.flash import MemoryFs
from spot_sim.hardware import Hardware, LoadMeter
from tests.unit.app.test_groups import BOARD

PLUG = json.loads(BOARD.read_text())
PUMP = json.loads((BOARD.parents[1] / "sim_heat_pump" / "board.json").read_text())
Y2038 = 2**31 - EPOCH_UNIX  # in the device's seconds: the last of a signed 32-bit time_t, and one more
DAY = 86400
YEAR = 31557600


class Load:
    """A kilowatt, for ever."""

    power_factor = 1.0

    def power_w(self, now_s):
        return 1000.0

    def energy_mj(self, now_s):
        return now_s * 1000 * 1000


class Emd:
    """An App that is registered, and an EMD that beats, acknowledges and commands; `bodies`: what came, decoded."""

    def __init__(self, utc, description=PLUG, fs=None, now_s=0):
        self.utc, self.now_s = utc - now_s, now_s
        self.fs = fs or MemoryFs()
        self.hardware = Hardware()
        self.hardware.meter = LoadMeter(Load())
        self.hardware.sensors = {}
        config = {"eui64": "0200000000000001", "store": "s"}
        self.asked = False
        self.bodies, self.latest = [], {"events": None, "intervals": None}
        self.app = App(description, config, self.hardware, self.fs, self._send, RESET_POWER_ON)
        self.hardware.advance(now_s)
        self.app.link_up(now_s, False)
        self.app.step(now_s)
        self.join()

    def join(self):
        self.asked = False
        self.give("registered", reason=0, boot=self.app.identity.boot, epoch=5, time=self.unix, heartbeat=60)

    @property
    def unix(self):
        return EPOCH_UNIX + self.utc + self.now_s

    def _send(self, channel, buf, n):
        message = codec.decode(bytes(buf[:n]))
        self.bodies.append((self.now_s, message))
        self.asked = self.asked or message.name == "register"
        if message.name in ("status", "alarm", "registers"):
            self.latest["events"] = message.values["seq"]
        elif message.name == "interval":
            self.latest["intervals"] = message.values["seq"] + len(message.values["import_series"]) - 1
        return True

    def give(self, name, **values):
        body = codec.encode(name, values)
        self.app.receive(self.now_s, CH_CMD, body, len(body))

    def run(self, until_s, beat_s=600):
        beat = self.now_s
        while self.now_s < until_s:
            wait = self.app.step(self.now_s)
            self.now_s += min(wait, 60)
            self.hardware.advance(self.now_s)
            if self.asked:
                self.join()
            if self.now_s >= beat:
                beat = self.now_s + beat_s
                self.give("heartbeat", epoch=5, time=self.unix, digest=self.app.agent.control.ledger.digest, clock=4)
                acked = {name + "_upto": upto for name, upto in self.latest.items() if upto is not None}
                if acked:
                    self.give("ack", epoch=5, **acked)

    def of(self, name):
        return [(now_s, message.values) for now_s, message in self.bodies if message.name == name]


@pytest.mark.parametrize("description", [PLUG, PUMP], ids=["plug", "heat pump"])
@pytest.mark.parametrize("what, moment", [("2^31", Y2038), ("2^30 of the Unix epoch of 2000", 2**30 - 788918400)])
def test_nothing_happens_when_a_counter_of_others_overflows(what, moment, description):
    emd = Emd(moment - 3600, description)
    emd.give("command", epoch=5, id=1, revision=0, priority=5, kind=KIND_LIMIT, issued=emd.unix, delay=1800,
             duration=3600, value=500)
    emd.run(2 * 3600)
    times = [(now_s, values["time"]) for now_s, values in emd.of("telemetry")]
    assert times and all(unix == EPOCH_UNIX + moment - 3600 + now_s for now_s, unix in times)
    states = [values["state"] for _, values in emd.of("status") if values["id"] == 1]
    assert states[0] == 1 and len(states) >= 3, states  # received, scheduled or started, over
    ends = [now_s for now_s, values in emd.of("status") if values["id"] == 1]
    assert 1790 <= ends[1] <= 1860 or 1790 <= ends[2] <= 1860
    assert 5400 <= ends[-1] <= 5460, "it ended on time, behind the moment"
    readings = [values for _, values in emd.of("interval")]
    assert sum(len(values["import_series"]) for values in readings) >= 7
    again = Emd(moment + 3700, description, emd.fs)
    assert again.app.clock.floor == ABSENT or again.app.clock.floor <= moment + 3700


def test_up_to_the_last_second_of_the_profile_and_past_it():
    """What is beyond 2059-01-10 has no second of the device's; it goes on, and takes no time from there."""
    emd = Emd(MAX_INT - 7200)
    emd.run(7000)
    assert emd.of("telemetry")[-1][1]["time"] > EPOCH_UNIX + MAX_INT - 600
    emd.app.link_down(emd.now_s)  # an EMD cannot say such a time
    for now_s in range(emd.now_s, emd.now_s + 3 * 3600, 60):
        emd.app.step(now_s)
    assert not emd.app.clock.set_utc(now_s, MAX_INT + 1, CLOCK_EMD)


def test_twenty_years_without_a_restart_stay_small_integers():
    """30 bits of monotonic seconds are 34 years."""
    store = Store(MemoryFs(), "s")
    clock = Clock(store)
    ticks, want_ms, step_ms = TICKS_PERIOD - 5000, 0, TICKS_PERIOD - 12345
    clock.tick(ticks)
    while want_ms < 20 * YEAR * 1000:
        ticks = (ticks + step_ms) & (TICKS_PERIOD - 1)
        want_ms += step_ms
        assert clock.tick(ticks) == want_ms // 1000 < 2**30
    emd = Emd(400 * DAY)
    emd.run(3600)
    before = emd.app.device.counters.energy_wh
    emd.now_s += 20 * YEAR  # as if nothing had wanted a turn
    emd.hardware.advance(emd.now_s)
    emd.bodies.clear()
    start = emd.now_s
    emd.run(start + 7200)
    assert emd.app.device.counters.energy_wh > before and emd.now_s < 2**30
    assert [values["time"] for _, values in emd.of("telemetry")][-1] == pytest.approx(emd.unix, abs=601)
    assert sum(len(values["import_series"]) for _, values in emd.of("interval")) >= 7


def test_a_device_that_lives_across_the_wrap_of_its_counter():
    """Buttons, relay and lamp count milliseconds: the hardware's wrap comes in the middle of the run."""
    wrap_s = TICKS_PERIOD // 1000
    emd = Emd(400 * DAY, now_s=wrap_s - 1800)
    before = emd.hardware.ticks_ms()
    emd.run(wrap_s + 1800)
    assert emd.hardware.ticks_ms() < before, "it did wrap"
    seen = [now_s for now_s, _ in emd.of("telemetry")]
    assert max(b - a for a, b in zip(seen, seen[1:], strict=False)) <= 900
    assert len([1 for _, v in emd.of("interval") for _ in v["import_series"]]) >= 3


@pytest.mark.parametrize("leap_s", [DAY, -DAY, 3600, -3600, 7 * 365 * DAY])
def test_a_leap_of_the_clock_costs_no_reading_and_runs_nothing_twice(leap_s):
    emd = Emd(400 * DAY)
    edges = []
    emd.hardware.line(2).watch(lambda now_s, level: edges.append((now_s, level)))
    emd.give("command", epoch=5, id=1, revision=0, priority=5, kind=KIND_OFF, issued=emd.unix, delay=0,
             duration=7200)
    emd.run(3600)
    emd.utc += leap_s
    assert emd.app.agent.set_time(emd.now_s, emd.utc + emd.now_s, CLOCK_EMD)
    emd.run(4 * 3600)
    numbers = [n for _, v in emd.of("interval") for n in range(v["seq"], v["seq"] + len(v["import_series"]))]
    assert sorted(set(numbers)) == list(range(max(numbers) + 1)), "numbered without a hole"
    states = list({v["seq"]: v["state"] for _, v in emd.of("status") if v["id"] == 1}.values())
    assert states[0] == 1 and states.count(1) == states.count(3) == 1 and states[-1] == 3, "received and completed once"
    assert edges[0] == (0, 0) and len(edges) <= 2, "opened once"
    over = min(now_s for now_s, v in emd.of("status") if v["id"] == 1 and v["state"] == 3)
    assert 7200 <= over <= 7260, "a running command ends on the monotonic clock"
    assert emd.app.clock.utc(emd.now_s) == emd.utc + emd.now_s


def test_the_floor_costs_few_writes_and_a_day_stays_within_the_budget():
    emd = Emd(400 * DAY)
    emd.run(600)
    writes, floors = emd.app.store.writes, []
    rename = emd.fs.rename

    def counted(old, new):
        if new == "s/clock":
            floors.append(emd.now_s)
        rename(old, new)

    emd.fs.rename = counted
    emd.run(600 + DAY)
    assert 1 <= len(floors) <= 5
    assert emd.app.store.writes - writes < BUDGET_PER_DAY // 2, "a day with an interval and a checkpoint each quarter"
    assert emd.app.store.thin == 1


def test_dates_are_counted_without_the_port_s_epoch():
    """time.gmtime begins in 2000 on some ports and in 1970 on others, and takes 31 bits on chips."""
    base = datetime.datetime(2025, 1, 1)
    for utc in [*range(0, MAX_INT, 86400 * 11 + 54321), 86399, 86400, Y2038 - 1, Y2038, MAX_INT]:
        t = base + datetime.timedelta(seconds=utc)
        assert port.civil(utc) == (t.year, t.month, t.day, t.weekday(), t.hour, t.minute, t.second, 0)
