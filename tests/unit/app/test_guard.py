"""Starts that do not last: what counts, when safe mode comes, what it is, and how it ends."""

import json

import pytest

from spot import guard
from spot.app import App
from spot.codes import (
    ABSENT,
    ALARM_CRASH,
    ALARM_SAFE_MODE,
    CH_CMD,
    KIND_OFF,
    REASON_SAFE_MODE,
    RESET_BUTTON,
    RESET_POWER_ON,
    RESET_SOFT,
    RESET_UNKNOWN,
    RESET_WATCHDOG,
)
from spot_host.profile import codec
from spot_sim.flash import MemoryFs
from spot_sim.hardware import Hardware, LoadMeter
from tests.unit.app.test_groups import BOARD, NOON, Nothing

PLUG = json.loads(BOARD.read_text())
PUMP = json.loads((BOARD.parents[1] / "sim_heat_pump" / "board.json").read_text())


class Home:
    """A device's flash and hardware over its lives; `alarms`: (alarm, raised, value) of this life."""

    def __init__(self, description=PLUG, **config):
        self.fs, self.hardware = MemoryFs(), Hardware()
        self.hardware.meter = LoadMeter(Nothing())
        self.description = description
        self.config = {"eui64": "0200000000000001", "store": "s"} | config
        self.app = None

    def start(self, reset=RESET_POWER_ON, lasts_s=10, safe=0):
        """A start; its life so far has `lasts_s` seconds."""
        if reset == RESET_POWER_ON:
            self.hardware.power_cut()
        else:
            self.hardware.restart()
        self.alarms, self.sent = [], []
        self.app = app = App(self.description, self.config, self.hardware, self.fs, self._send, reset, safe=safe)
        say = app.agent.alarm

        def alarm(now_s, code, raised, value=ABSENT, limit=ABSENT):
            self.alarms.append((code, raised, value))
            say(now_s, code, raised, value, limit)

        app.agent.alarm = alarm
        app.link_up(0, False)
        self.run(0, lasts_s)
        return app

    def _send(self, channel, buf, n):
        self.sent.append((channel, bytes(buf[:n])))
        return True

    def run(self, now_s, until_s):
        while now_s <= until_s and self.app.restart_s == ABSENT:
            self.hardware.advance(now_s)
            now_s += self.app.step(now_s)
        self.now_s = now_s

    def give(self, name, **values):
        body = codec.encode(name, values)
        self.app.receive(self.now_s, CH_CMD, body, len(body))

    def join(self):
        self.give("registered", reason=0, boot=self.app.identity.boot, epoch=5, time=NOON)


@pytest.fixture
def home():
    return Home()


@pytest.mark.parametrize(
    ("what", "reset", "starts"),
    [
        ("the watchdog bites in every life: five failures, then safe mode", RESET_WATCHDOG, 6),
        ("the mains flickers: twenty starts", RESET_POWER_ON, 20),
        ("a cause that nobody knows is none", RESET_UNKNOWN, 20),
        ("a person resets the board", RESET_SOFT, 20),
    ],
)
def test_so_many_short_lives_lead_into_safe_mode(home, what, reset, starts):
    for n in range(1, starts):
        assert home.start(reset).starts.safe == 0, n
    assert home.start(reset).starts.safe == 1


def test_a_crash_that_left_its_record_counts_whatever_the_cause(home):
    for _ in range(5):
        app = home.start(RESET_SOFT)
        assert app.starts.safe == 0
        app.log.trace = "RuntimeError: again"
        guard.keep_crash(app, 10, "run.agent", app.starts.failures + 1)
    app = home.start(RESET_SOFT)
    assert app.starts.safe == 1 and app.starts.failures == 5
    text = app.store.get("crash")[1:].decode()
    assert text.startswith("boot 5 utc 0 up 10 heap 0 run.agent\n") and text.endswith("again"), text


def test_a_life_of_five_minutes_ends_the_count(home):
    for _ in range(5):
        home.start(RESET_WATCHDOG)
    home.start(RESET_WATCHDOG, safe=0, lasts_s=0)
    assert home.app.starts.safe == 1
    home = Home()
    for _ in range(5):
        home.start(RESET_WATCHDOG, 299)
    assert home.start(RESET_WATCHDOG, 299).starts.safe == 1, "a second less is not enough"
    home = Home()
    for n in range(40):
        assert home.start(RESET_WATCHDOG, 400).starts.safe == 0, n


def test_a_restart_that_is_wanted_is_no_failure_and_says_why(home):
    for _ in range(30):
        app = home.start(RESET_WATCHDOG, lasts_s=1)  # an RP2 says so of every reset that the firmware makes
        assert app.starts.safe == 0
        app.restart(1, RESET_SOFT)
        assert app.restart_s == 4
    app = home.start(RESET_WATCHDOG)
    assert app.identity.reset == RESET_SOFT and home.alarms == []


def test_a_restart_that_is_wanted_in_the_very_second_in_which_a_start_has_lasted(home):
    app = home.start(lasts_s=1)
    app.restart(guard._LASTED_S - 2)
    for now_s in range(guard._LASTED_S - 2, guard._LASTED_S + 1):
        app.step(now_s)
    assert app.starts._lasted
    assert home.start(RESET_WATCHDOG).identity.reset == RESET_SOFT and not home.app.starts.failed


def test_a_start_costs_one_write_and_one_more_when_it_has_lasted(home):
    home.start(RESET_POWER_ON, 0)
    fs = home.fs
    seen = []
    write = fs._write
    fs._write = lambda path, data: (seen.append(path), write(path, data))
    home.start(RESET_WATCHDOG, 299)
    assert [path for path in seen if "boot" in path] == ["s/boot.new"] * 2, "head and value of one record"
    home.run(home.now_s, 3000)
    assert [path for path in seen if "boot" in path] == ["s/boot.new"] * 4


def test_what_is_reported(home):
    """A crash is raised by the next start and cleared when that lasts; so is safe mode."""
    home.start()
    home.start(RESET_WATCHDOG, 290)
    assert home.alarms == [(ALARM_CRASH, 1, 0)] and home.app.starts.bites == 1
    home.run(home.now_s, 400)
    assert home.alarms[1:] == [(ALARM_CRASH, 0, ABSENT)]
    for _ in range(5):
        home.start(RESET_WATCHDOG)
    assert (ALARM_SAFE_MODE, 1, 1) in home.alarms and home.app.starts.bites == 6
    home.run(home.now_s, 1000)
    home.start(RESET_WATCHDOG, 400)
    assert home.app.starts.safe == 0 and home.alarms == [(ALARM_SAFE_MODE, 0, ABSENT)]


def test_safe_mode_refuses_commands_keeps_what_was_and_leaves_by_itself_with_growing_pauses(home):
    home.start(RESET_POWER_ON, 1)
    home.join()
    home.run(2, 301)
    before = {name: bytes(data) for name, data in home.fs.files.items()}
    assert "s/assoc" in before or any("plan" in name or "assoc" in name for name in before), before.keys()
    stays = []
    for _ in range(3):
        while home.start(RESET_WATCHDOG, 1).starts.safe == 0:
            pass
        assert home.app.starts.safe == 1
        assert home.app.device.check(KIND_OFF, ABSENT, ABSENT) == REASON_SAFE_MODE
        assert home.app.agent.plan.epoch != 5, "what was kept of the EMD is set aside"
        home.join()
        home.run(home.now_s, 200000)
        assert home.app.agent.plan.epoch == 5
        stays.append(home.app.restart_s)
    assert [round(stay, -2) for stay in stays] == [600, 1200, 2400]
    home.start(RESET_WATCHDOG, 1)
    for name, data in before.items():
        if name not in ("s/boot", "s/meter", "s/clock") and "." not in name[2:]:
            assert home.fs.files[name] == data, name


def test_a_mains_that_flickers_a_hundred_times_costs_ten_minutes_of_safe_mode_and_no_driver(home):
    for _ in range(100):
        home.start(RESET_POWER_ON, lasts_s=1)
    assert home.app.starts.safe == 1
    home.run(1, 700)
    assert home.app.restart_s < 620, "a freezer behind it does not thaw"
    for _ in range(2):
        home.start(RESET_WATCHDOG, lasts_s=1)
    assert home.app.starts.safe == 0, "out of it, with two failures to go"


def test_after_safe_mode_two_failures_lead_back_and_one_that_lasts_does_not(home):
    while home.start(RESET_WATCHDOG, 1).starts.safe == 0:
        pass
    home.run(home.now_s, 1000)
    assert [home.start(reset, 1).starts.safe for reset in (RESET_WATCHDOG,) * 3] == [0, 0, 1]
    home.run(home.now_s, 5000)
    home.start(RESET_WATCHDOG, 400)
    assert [home.start(RESET_WATCHDOG, 1).starts.safe for _ in range(6)] == [0, 0, 0, 0, 1, 1], "it begins afresh"


@pytest.mark.parametrize("description", [PLUG, PUMP])
def test_when_safe_mode_does_not_last_either_no_driver_is_built(description):
    home = Home(description)
    while home.start(RESET_WATCHDOG, 1).starts.safe == 0:
        pass
    for _ in range(2):
        assert home.start(RESET_WATCHDOG, 1).starts.safe in (1, 2)
    moved = []
    home.hardware.Pin = lambda *a, **k: moved.append(a)
    app = home.start(RESET_WATCHDOG, 1)
    assert app.starts.safe == 2 and not moved
    home.join()
    body = codec.encode("command", {"epoch": 5, "id": 1, "revision": 0, "priority": 5, "kind": KIND_OFF,
                                    "issued": NOON, "delay": 0, "duration": 60})
    home.app.receive(2, CH_CMD, body, len(body))
    home.run(2, 60)
    statuses = [codec.decode(body).values for channel, body in home.sent if codec.decode(body).name == "status"]
    assert statuses and statuses[-1]["reason"] == REASON_SAFE_MODE
    names = {codec.decode(body).name for _, body in home.sent}
    assert {"register", "status", "alarm"} <= names


def test_only_what_protects_is_applied_in_safe_mode_and_one_association_is_left(home):
    one = {"name": "home"}, {"name": "utility"}
    home = Home(
        device={"standby_w": 3, "power_on": "on", "over_current_ma": 6000, "auto_off_s": 900},
        parts={"relay": {"active": 0}}, associations=list(one),
    )
    home._send = [home._send] * 2
    app = home.start(RESET_POWER_ON, 0, safe=1)
    assert app.starts.safe == 1 and len(app.ways) == len(app.agent.seats) == 1
    assert app.device.config == {"over_current_ma": 6000, "auto_off_s": 900} and "parts" not in app.config
    assert home.hardware.line(2).level == 0


def test_the_lamp_says_that_no_link_is_up_and_in_safe_mode_only_that():
    home = Home(PLUG | {"parts": PLUG["parts"] | {"led": {"driver": "led", "pin": 4}}},
                associations=[{"name": "home"}, {"name": "utility"}])
    home._send = [home._send] * 2

    def beats():
        shown = set()
        for _ in range(40):
            home.hardware.now_ms += 50
            home.app.poll(1)
            shown.add(home.hardware.line(4).level)
        return shown

    app = home.start(RESET_POWER_ON, 0)
    app.link_down(1, 0)
    assert beats() == {0, 1}, "one wink in two seconds"
    app.link_up(1, False, 1)
    assert len(beats()) == 1
    app.link_up(1, False, 0)
    app.link_down(1, 1)
    assert len(beats()) == 1, "one is left"
    app.link_down(1, 0)
    assert beats() == {0, 1}
    app = home.start(RESET_POWER_ON, 0, safe=1)
    app.link_up(1, False, 0)
    assert beats() == {0, 1} and app.board.led._mode == 4


def test_a_long_press_leaves_safe_mode():
    home = Home(PLUG | {"parts": PLUG["parts"] | {"button": {"driver": "button", "pin": 3}}})
    button = home.hardware.line(3)
    button.level = 1
    app = home.start(RESET_SOFT, 5, safe=1)
    for level, ms in ((0, 6000), (0, 6100), (1, 9900), (1, 10000)):
        home.hardware.advance(ms // 1000, ms % 1000)
        button.drive(level)
        app.poll(ms // 1000)
    app.step(10)
    assert app.restart_s == 13
    assert home.start(RESET_WATCHDOG, 1).starts.safe == 0


def test_a_factory_reset_erases_the_household_and_keeps_what_a_key_must_not_forget(home):
    app = home.start(RESET_POWER_ON, 1)
    home.join()
    home.run(2, 400)
    store = app.store
    store.put("keys_k", b"generation 3")
    store.put("keys_0", b"numbers")
    store.put("calib", b"factors")
    app.device.counters.switches = 7
    assert app.factory_reset(home.now_s)
    app.close()
    app = home.start(RESET_WATCHDOG, 0)
    kept = set(app.store.names())
    assert app.identity.reset == RESET_BUTTON and app.identity.boot == 2
    assert app.store.get("keys_0") == b"numbers" and app.store.get("calib") == b"factors"
    assert "keys_k" not in kept and app.agent.plan.epoch != 5, kept
    assert app.device.counters.energy_wh == 0 and app.device.counters.switches == 7


def test_numbers_at_the_emd_go_on_through_safe_mode(home):
    """After a factory reset the EMD's numbers are beyond the device's own. In safe mode and after it the same event
    must not go out under another number."""
    app = home.start()
    home.give("registered", reason=0, boot=app.identity.boot, epoch=5, time=NOON, events_upto=27, intervals_upto=9)
    home.run(home.now_s, home.now_s + 10)
    bases = [app.agent.seats[0].stream.base, app.agent.seats[0].intervals.stream.base]
    assert bases[0] > 0 and bases[1] == 10
    for safe in (1, 1, 0):
        seat = home.start(RESET_SOFT, safe=safe).agent.seats[0]
        assert home.app.starts.safe == safe
        assert [seat.stream.base, seat.intervals.stream.base] == bases
