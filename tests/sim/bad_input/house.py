"""A plug with 2,000 W behind its contact and a second plug beside it, under an EMD's core, on one virtual clock.

Messages are carried at once and unchanged; a test puts its own between. What the load does is measured at the
simulated contact.
"""

from spot.app import App
from spot.codes import ABSENT, RESET_POWER_ON, RESET_WATCHDOG
from spot.config import load_board
from spot.log import Log
from spot_host.emd.config import Association, EmdConfig
from spot_host.emd.core import EmdCore
from spot_host.emd.storage import MemoryStorage
from spot_host.profile import codec
from spot_host.profile import definition as d
from spot_host.profile.cddl import validator
from spot_sim.chips.contacts import RelayContact, SgReadyContacts
from spot_sim.flash import MemoryFs
from spot_sim.hardware import Hardware, LoadMeter
from tests.conftest import ROOT

PLUG, WITNESS, PUMP = "0200000000000001", "0200000000000002", "0200000000000003"
NOON = 1765537200  # 2025-12-12 11:00 UTC
LOAD_W = 2000
_NAMES = {code: name for code, name, *_ in d.CHANNELS}
_CODES = {name: code for code, name, *_ in d.CHANNELS}
_CHECKED = set()
_COUNTERS = ("hostile", "last_error", "messages_in", "messages_out", "bytes_in", "bytes_out")


def codes(enum):
    """{name: code} of an enumeration of the profile."""
    return {name: code for code, name, _ in d.enum(enum).rows}


def names(enum):
    """{code: name} of an enumeration of the profile."""
    return {code: name for code, name, _ in d.enum(enum).rows}


KIND, STATE, REASON, ALARM, MODE = codes("Kind"), codes("State"), codes("Reason"), codes("Alarm"), codes("Mode")
_STATES, _REASONS, _ALARMS = names("State"), names("Reason"), names("Alarm")
_TYPES = {m.code: m.name for m in d.MESSAGES}


def valid(body):
    """Every body that our own ends put on the wire must be one by the CDDL."""
    if body not in _CHECKED:
        validator().check(body)
        _CHECKED.add(body)


class Resistor:
    """A load that draws LOAD_W whenever its contact is closed."""

    power_factor = 1.0

    def __init__(self):
        self.on, self.since_s, self.mj, self.edges = True, 0, 0, []

    def energy_mj(self, now_s):
        if self.on:
            self.mj += LOAD_W * 1000 * (now_s - self.since_s)
        self.since_s = now_s
        return self.mj

    def power_w(self, now_s):
        return float(LOAD_W if self.on else 0)

    def set_supply(self, now_s, closed):
        self.energy_mj(now_s)
        if closed != self.on:
            self.on = closed
            self.edges.append((now_s, "closes" if closed else "opens"))


class Plug:
    """One plug: flash and hardware that outlive its `app`."""

    def __init__(self, house, eui, board="sim", **settings):
        self.house, self.eui = house, eui
        self.description = load_board(board, str(ROOT / "boards"))
        self.utility = settings.pop("utility", None)
        self.config = {"eui64": eui, "store": "s", "device": settings}
        if self.utility is not None:  # a second EMD, that gets these data
            self.config["associations"] = [{"name": "home"}, {"name": "utility", "data": self.utility}]
        self.fs, self.hardware, self.load = MemoryFs(), Hardware(), Resistor()
        self.hardware.meter = LoadMeter(self.load)
        self.app, self.linked, self.due = None, False, 0
        self.board = board
        if board == "sim":
            line = self.hardware.line(2)
            line.level = 1
            RelayContact(line, self.load)
        else:
            self.hardware.machine = self
            SgReadyContacts(self.hardware.line(2), self.hardware.line(3), self._shown)
        self.hardware.restart()

    def _shown(self, now_s, state):
        self.load.edges.append((now_s, "SG-Ready %d" % state))

    def set_power_limit(self, w):
        self.load.edges.append((self.house.t, "no limit" if w == ABSENT else "%d W" % w))

    def set_offset(self, c100):
        pass

    def boot(self, reset=RESET_WATCHDOG):
        """Starts the firmware on what flash and hardware have kept, and links it."""
        self.born = self.house.t
        self.hardware.now_s = self.house.t
        if reset == RESET_POWER_ON:
            self.hardware.power_cut()
        else:
            self.hardware.restart()
        send = self._send if self.utility is None else [self._send, self._send_utility]
        self.app = App(self.description, self.config, self.hardware, self.fs, send, reset, Log(400, level=0))
        self.due = self.house.t
        self.link()

    def link(self, up=True):
        if up != self.linked:
            self.linked = up
            (self.app.link_up(self.now, True) if up else self.app.link_down(self.now))
            self.due = self.house.t

    @property
    def now(self):
        """Seconds since its boot."""
        return self.house.t - self.born

    def _send(self, channel, buf, n):
        if not self.linked:
            return False
        body = bytes(buf[:n])
        valid(body)
        self.house.up.append((self.eui, _NAMES[channel], body))
        return True

    def _send_utility(self, channel, buf, n):
        """What it says to its second EMD, which is only looked at."""
        body = bytes(buf[:n])
        valid(body)
        message = codec.decode(body)
        self.house.seen.append((self.house.t, "utility", message.name, message.values))
        return True

    def receive(self, body, channel="cmd", at=0):
        self.hardware.now_s = self.house.t
        self.app.receive(self.now, _CODES[channel], body, len(body), at)
        self.due = self.house.t

    def step(self):
        self.hardware.now_s = self.house.t
        self.due = self.house.t + self.app.step(self.now)

    def logged(self, event):
        return self.app.log.counts.get(event, 0)


class Out:
    """What an EMD sends; only the EMD of the house has its messages checked."""

    def __init__(self, house, ours=True):
        self.house, self.ours = house, ours

    def send(self, device, channel, body):
        valid(bytes(body))
        self.house.down.append((device, channel, bytes(body)))

    def publish(self, group, channel, body):
        valid(bytes(body))
        for device in self.house.plugs:
            self.house.down.append((device, channel, bytes(body)))


class House:
    """The whole. `t`: seconds since the start; `shift_s`: how far the EMD's clock is off; `seen`: what devices
    said, decoded. kind: of the plug that is looked at."""

    kind = Plug

    def __init__(self, association=None, settings=None):
        self.t = self.shift_s = 0
        self.up, self.down, self.seen, self.answers = [], [], [], []
        self.storage = MemoryStorage()
        self.association = Association(jitter_s=0, failsafe_limit_w=1000, **(association or {}))
        self.core = EmdCore(
            EmdConfig(plan_prices=False, association=self.association), self.storage, Out(self), self.utc
        )
        self.plug = self.kind(self, PLUG, **(settings or {}))
        self.witness = Plug(self, WITNESS)
        self.plugs = {PLUG: self.plug, WITNESS: self.witness}
        for plug in self.plugs.values():
            plug.boot()
        self.run(130)
        assert all(self.row(eui).registered and self.row(eui).mode == MODE["controlled"] for eui in self.plugs)
        assert self.plug.load.edges == []

    @property
    def utc(self):
        """The EMD's clock."""
        return NOON + self.t + self.shift_s

    def row(self, eui=PLUG):
        return self.core.devices[eui]

    def fit_pump(self, **settings):
        """A heat pump moves in."""
        pump = self.plugs[PUMP] = Plug(self, PUMP, "sim_heat_pump", **settings)
        for name, value in (("room", 2100), ("outdoor", 500), ("flow", 3500)):
            pump.hardware.sensor(name).value = value
        pump.boot()
        self.run(1300)  # guards that count from the start are over
        del pump.load.edges[:]
        return pump

    # Time

    def settle(self):
        """Carries messages until there are none; devices and EMD do what is due at this second."""
        for _ in range(100):
            moved = False
            while self.down:
                device, channel, body = self.down.pop(0)
                if device in self.plugs and self.plugs[device].linked:
                    moved = True
                    message = codec.decode(body)
                    if message.name == "answer":
                        self.answers.append((device, message.values))
                    self.plugs[device].receive(body, channel)
            for plug in self.plugs.values():
                if plug.app is not None and plug.due <= self.t:
                    moved = True
                    plug.step()
            while self.up:
                moved = True
                device, channel, body = self.up.pop(0)
                message = codec.decode(body)
                self.seen.append((self.t, device, message.name, message.values))
                self.core.receive(self.utc, device, channel, body)
            if self.core.next_due <= self.utc:
                self.core.step(self.utc)
            if not moved and not self.down:
                return
        raise AssertionError("device and EMD keep answering each other at second %d" % self.t)

    def run(self, seconds):
        """Lets time pass, from one wish for waking to the next."""
        end = self.t + seconds
        self.settle()
        while self.t < end:
            self.t = min(end, max(self.due(), self.t + 1))
            self.settle()

    def due(self):
        """The second at which somebody wants to be woken next."""
        wishes = [p.due for p in self.plugs.values() if p.app is not None]
        return min(wishes + [self.core.next_due - NOON - self.shift_s])

    # What a test does

    def bodies(self, id_, kind, drop=(), **values):
        """The elements of a command, as a list to be spoiled."""
        fields = {
            "epoch": self.core.epoch,
            "id": id_,
            "revision": 0,
            "priority": 5,
            "kind": KIND[kind],
            "issued": self.utc,
            "delay": 0,
            "duration": 600,
            **values,
        }
        elements = [d.message("command").code] + [
            None if f.name in drop else fields.get(f.name) for f in d.message("command").fields
        ]
        while elements[-1] is None:
            elements.pop()
        return elements

    def command(self, id_, kind, eui=PLUG, **values):
        """A well-formed command to a device."""
        fields = {
            "epoch": self.core.epoch,
            "id": id_,
            "revision": 0,
            "priority": 5,
            "kind": KIND[kind],
            "issued": self.utc,
            "delay": 0,
            "duration": 600,
            **values,
        }
        self.give(codec.encode("command", fields), "cmd", eui)

    def give(self, body, channel="cmd", eui=PLUG):
        """A body for a device, on its way in."""
        self.plugs[eui].receive(bytes(body), channel)

    def take(self, body, channel, eui=PLUG):
        """A body for the EMD, on its way in."""
        self.core.receive(self.utc, eui, channel, bytes(body))

    # What a test looks at

    def said(self, since, eui=PLUG):
        """What the device answered, in words: `answer command: malformed`, `status rejected: direction`, `alarm
        store_fault raised`."""
        out = []
        for _, device, name, v in self.seen[since:]:
            if device == eui:
                out.extend(_words(name, v))
        return out

    def replied(self, since, eui=PLUG):
        """What the EMD answered, in the same words."""
        return [w for device, v in self.answers[since:] if device == eui for w in _words("answer", v)]

    def state(self, eui=PLUG):
        """All that the EMD knows of a device, but for the counters that a bad body may move."""
        row = self.row(eui)
        record = row.record()
        for name in _COUNTERS:
            del record["state"][name]
        store = self.storage
        kept = [
            [r for r in rows if r[0] == row.key]
            for rows in (store.telemetry, store.statuses, store.alarms, store.reads, store.registers)
        ]
        intervals = {k: v for k, v in store.intervals.items() if k[0] == row.key}
        return record, [c.record() for c in row.ledger.commands.values()], sorted(row.events.ahead), kept, intervals

    def memory(self, eui=PLUG):
        """What a refused message must not change on the device."""
        plug = self.plugs[eui]
        agent = plug.app.agent
        plan = {k: v for k, v in agent.plan.__dict__.items() if not k.startswith("_")}
        rows = [(r.epoch, r.id, r.revision, r.phase, r.state) for r in agent.control.ledger.rows]
        return plan, rows, agent.control.ledger.digest, agent.lease.mode, agent.policy.revision, plug.load.on

    def complete(self, eui=PLUG):
        """Nothing lost: every number that the device gave away is at the EMD, once, and the intervals' energy is
        the load's."""
        row, agent = self.row(eui), self.plugs[eui].app.agent
        assert row.events.upto == agent.events.next - 1 and not row.events.ahead, (row.events.upto, agent.events.next)
        assert (
            row.intervals.upto == agent.intervals.stream.end + agent.intervals.stream.base - 1
            and not row.intervals.ahead
        )
        assert row.lost_intervals == 0 and row.events.skipped == 0
        for rows in (self.storage.statuses, self.storage.alarms, self.storage.reads, self.storage.registers):
            numbers = [r[3]["seq"] for r in rows if r[0] == row.key and r[1] == row.generation]
            assert len(numbers) == len(set(numbers)), numbers
        numbers = sorted(k[2] for k in self.storage.intervals if k[:2] == (row.key, row.generation))
        assert numbers and numbers == list(range(len(numbers))), numbers


def _words(name, v):
    if name == "answer" and v["reason"]:
        version, type_ = v["about"] // 32 + 1, v["about"] % 32
        about = _TYPES.get(type_, str(type_)) + (" of version %d" % version if version > 1 else "")
        return ["answer %s: %s" % (about, _REASONS[v["reason"]])]
    if name == "status":
        return ["status %s: %s" % (_STATES[v["state"]], _REASONS[v["reason"]])]
    if name == "alarm":
        return ["alarm %s %s" % (_ALARMS[v["code"]], "raised" if v["raised"] else "cleared")]
    if name == "answer" and _TYPES.get(v["about"]) in ("configure", "calibrate"):
        return ["answer %s: none" % _TYPES[v["about"]]]
    if name in ("read_response", "register", "log"):
        return [name]
    return []
