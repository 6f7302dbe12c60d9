"""One MicroPython process with the whole firmware, over TLS and a real mosquitto, under an EMD's core, in lock-step.

The contact behind its pin switches 2,000 W; what it did is in `edges`. Virtual time is `t`; the walls' clock only
bounds waiting.
"""

import json
import time

from spot_host.emd.config import Association, EmdConfig
from spot_host.emd.core import EmdCore
from spot_host.emd.storage import MemoryStorage
from spot_host.profile import codec
from spot_host.profile import definition as d
from spot_host.profile.cddl import validator
from spot_sim.chips.bl0942 import BL0942Chip
from spot_sim.hardware import Hardware
from spot_sim.home import Home, Place
from spot_sim.lockstep import Lockstep

EUI = "0200000000000001"
NOON = 1765537200  # 2025-12-12 11:00 UTC
LOAD_W = 2000
KIND = {name: code for code, name, _ in d.enum("Kind").rows}
STATE = {code: name for code, name, _ in d.enum("State").rows}
MODE = {name: code for code, name, _ in d.enum("Mode").rows}
REASON = {code: name for code, name, _ in d.enum("Reason").rows}


class _Home(Home):
    """A home whose devices are back soon after their broker, and whose plan is the test's."""

    agent = {}  # noqa: RUF012 - more of the devices' configuration

    def config(self, place):
        path = super().config(place)
        config = json.loads(path.read_text())
        config["mqtt"]["backoff_ms"] = [100, 400]
        config.setdefault("agent", {}).update(self.agent)
        path.write_text(json.dumps(config))
        return path


class World:
    """The load behind the contact of pin 2, and its meter."""

    power_factor = 1.0

    def __init__(self):
        self.hardware = Hardware()
        self.on, self.since_s, self.mj, self.edges = True, 0, 0, []
        self.chip = BL0942Chip(self.hardware, self)
        self.history = []
        self.silent = False  # the meter does not answer

    def energy_mj(self, now_s):
        if self.on:
            self.mj += LOAD_W * 1000 * (now_s - self.since_s)
        self.since_s = now_s
        return self.mj

    def cut(self, t_s):
        """No power: the contact falls open."""
        self.output(t_s, "pin2", 0)

    def used_wh(self, until_s):
        """Energy up to second `until_s`, from the contact's history."""
        used, on, since = 0, True, 0
        for at, what in [*self.history, (until_s, "")]:
            if on:
                used += LOAD_W * (min(at, until_s) - since)
            if at >= until_s:
                break
            on, since = what == "closes", at
        return used / 3600

    def power_w(self, _now_s):
        return float(LOAD_W if self.on else 0)

    def inputs(self, t_s):
        self.hardware.now_s = t_s
        return {"uart0": "" if self.silent else self.chip.frame().hex()}

    def output(self, t_s, name, value):
        if name == "pin2" and bool(value) != self.on:
            self.energy_mj(t_s)
            self.on = bool(value)
            self.edges.append((t_s, "closes" if value else "opens"))
            self.history.append(self.edges[-1])


class PumpWorld(World):
    """A heat pump behind two SG-Ready contacts (pins 2 and 3): locked it draws nothing. `edges`: the states it is
    shown."""

    _STATES = {(1, 0): 1, (0, 0): 2, (0, 1): 3, (1, 1): 4}

    def __init__(self):
        super().__init__()
        self.pins, self.state, self.room = [0, 0], 2, 2100

    def inputs(self, t_s):
        return {**super().inputs(t_s), "room": self.room, "outdoor": 300, "flow": 3500}

    def output(self, t_s, name, value):
        if name in ("pin2", "pin3"):
            self.pins[int(name[3]) - 2] = value
            state = self._STATES[tuple(self.pins)]
            if state != self.state:
                self.energy_mj(t_s)
                self.state, self.on = state, state != 1
                self.edges.append((t_s, state))

    def cut(self, t_s):
        """The contacts fall open: normal operation."""
        self.output(t_s, "pin2", 0)
        self.output(t_s, "pin3", 0)


class Rig:
    """The whole. A context manager; `folder` is a fresh directory; `pump`: settings of a heat pump, which it is
    then; `agent`: more of its configuration."""

    def __init__(self, folder, heap="4m", pump=None, agent=None, **association):
        board, kind = ("unix", "plug") if pump is None else ("unix_heat_pump", "heat_pump")
        self.place = Place(EUI, board, kind, pump or {}, {"meter": {"period_s": 60}}, heap=heap)
        self.home = _Home(folder, [self.place])
        self.home.agent = agent or {}
        self.world, self.t = World() if pump is None else PumpWorld(), 0
        self.storage = MemoryStorage()
        self.association = Association(jitter_s=0, failsafe_limit_w=1000, **association)
        self.emd_away = False
        self.seen, self._valid = [], set()

    def __enter__(self):
        self.home.__enter__()
        self.post = self.home.mqtt
        self.post.taps.append(self._tap)
        self.core = EmdCore(
            EmdConfig(plan_prices=False, association=self.association), self.storage, self.post, self.utc
        )
        self.lockstep = Lockstep(self.post, self._deliver)
        return self

    def __exit__(self, *exc):
        self.home.__exit__(*exc)

    def _tap(self, way, who, name, body):
        """Every message on the wire is one by the CDDL."""
        if body not in self._valid:
            validator().check(body)
            self._valid.add(body)
        if way == "up":
            message = codec.decode(body)
            self.seen.append((self.t, message.name, message.values))

    @property
    def utc(self):
        return NOON + self.t

    @property
    def row(self):
        return self.core.devices[EUI]

    @property
    def member(self):
        return self.lockstep.members[EUI]

    # The process

    def start(self):
        """Starts the firmware and waits until it has its session and is registered and controlled."""
        self.process = self.home.process(self.place)
        self.process.start()
        before = self.lockstep.members.get(EUI)
        member = self.lockstep.add(EUI, self.process, self.world, self.t)
        if before is not None:  # a new process counts from 0
            member.lost_down = before.lost_down + before.last.received
            member.lost_up = -self.post.arrived(EUI)
        self.connect()

    def broker_dies(self):
        """Killed: its latest sessions may be lost. Returns when the device has seen it."""
        self.post._up.clear()
        self.home.broker.kill()
        self.emd_away = True  # it has no link either
        deadline = time.monotonic() + 20
        while self.member.last.up:
            assert time.monotonic() < deadline
            self.member.wake_s = self.t
            self.lockstep.run_at(self.t)

    def broker_returns(self, forget=False):
        """Back on the same port; `forget`: without sessions and retained messages."""
        if forget:
            self.home.broker.forget()
        self.home.broker.start()
        self.connect()
        self.emd_away = False
        self.core.link_up(self.utc)

    def connect(self, seconds=20):
        """Waits until the EMD and the device have their sessions."""
        deadline = time.monotonic() + seconds
        assert self.post._up.wait(seconds), "the EMD's own session"
        while self.member.last is None or not self.member.last.up:
            assert time.monotonic() < deadline, self.process.text[-10:]
            self.member.wake_s = self.t
            self.lockstep.run_at(self.t)
            time.sleep(0.01)
        self.member.wake_s = self.t
        self.lockstep.run_at(self.t)

    def join(self):
        """Started, registered, controlled; the cold start's own clicks are past."""
        self.start()
        self.until(lambda: EUI in self.core.devices and self.row.mode == MODE["controlled"], 200)
        self.run(150)  # its meter has seen the load
        del self.world.edges[:]

    def command(self, kind, **values):
        """A command of the EMD's, carried and acted on at this very second."""
        command = self.core.command(self.utc, EUI, kind, **values)
        self.settle()
        return command

    def settle(self):
        """Carries what there is to carry, at this second."""
        self._deliver(self.t)
        self.lockstep.run_at(self.t)
        self._deliver(self.t)

    def kill(self):
        """Power cut: no goodbye; the contact falls open."""
        arrived = self.post.arrived(EUI)
        self.process.kill()
        self.world.cut(self.t)
        assert self.post.await_arrival(EUI, arrived + 1, 10), "the last will"
        self._deliver(self.t)

    # Time

    def _deliver(self, _t_s):
        for device, channel, body in self.post.take():
            if not self.emd_away:
                self.core.receive(self.utc, device, channel, body)
        if not self.emd_away:
            self.core.step(self.utc)

    def advance(self, end):
        """To the next instant at which something is due, at most to `end`."""
        due = [end, self.core.next_due - NOON] if not self.emd_away else [end]
        if self.process._child is not None:
            due.append(self.lockstep.next_wake())
        self.t = min(end, max(self.t + 1, min(due)))
        if self.process._child is not None:
            self.lockstep.run_at(self.t)
        self._deliver(self.t)
        if self.process._child is not None:
            self.lockstep.run_at(self.t)

    def run(self, seconds):
        end = self.t + seconds
        while self.t < end:
            self.advance(end)

    def until(self, condition, seconds):
        """Lets time pass until `condition()`, at most `seconds` of it."""
        end = self.t + seconds
        while not condition():
            assert self.t < end, (self.process.text[-10:], self.seen[-5:])
            self.advance(end)

    # What a test looks at

    def statuses(self, id_):
        """(state, reason) of a command, as said, repetitions left out."""
        out = []
        for _, name, v in self.seen:
            if name == "status" and v["id"] == id_:
                word = (STATE[v["state"]], REASON[v["reason"]])
                if word not in out:
                    out.append(word)
        return out

    def complete(self):
        """Every number that the device gave away is at the EMD, once, without a hole; returns the numbers of the
        intervals."""
        row = self.row
        assert not row.events.ahead and not row.intervals.ahead
        assert (row.events.skipped, row.intervals.skipped, row.lost_intervals) == (0, 0, 0)
        kept = (self.storage.statuses, self.storage.alarms, self.storage.registers)
        numbers = [r[3]["seq"] for rows in kept for r in rows]
        assert sorted(numbers) == list(range(_count(row.events.upto)))
        intervals = {k[2]: v for k, v in self.storage.intervals.items()}
        assert sorted(intervals) == list(range(_count(row.intervals.upto)))
        starts = [intervals[n][0] for n in sorted(intervals)]
        assert len(set(starts)) == len(starts) and starts == sorted(starts)
        return intervals


def _count(upto):
    return 0 if upto is None else upto + 1
