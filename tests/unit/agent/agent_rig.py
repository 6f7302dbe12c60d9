"""An agent on a bench: real store, clock, log and wire; a table-driven device, files in memory, and the EMD's hand.

A plain module that runs on CPython and on MicroPython.
"""

from array import array

from spot.agent.agent import Agent
from spot.clock import Clock
from spot.codes import (
    ABSENT,
    CH_CMD,
    DECIDER_DEFAULT,
    DECIDER_GUARD,
    KIND_BAND,
    KIND_BOOST,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_OFF,
    KIND_OFFSET,
    KIND_ON,
    KIND_SG_READY,
    KIND_SHUTDOWN,
    METHOD_OFF,
    METHOD_SHIFT,
    R_COUNT,
    R_ENERGY_IMPORT,
    R_POWER,
    R_STATE,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_READ_ONLY,
    RESET_SOFT,
    T_ACK,
    T_ALARM,
    T_COMMAND,
    T_HEARTBEAT,
    T_INTERVAL,
    T_READ_RESPONSE,
    T_REGISTERED,
    T_REGISTERS,
    T_STATUS,
    T_TIME,
    TYPE_CHANNEL,
)
from spot.log import Log
from spot.store import Store
from spot.wire import profile
from spot.wire.cbor_objects import Writer

EUI64 = b"\x02\x00\x00\xff\xfe\x00\x00\x01"
EPOCH = 77
UTC0 = 60_000_000  # an hour begins at 60,001,200
PLAN = {
    "association": 3, "lease": 86400, "heartbeat": 60, "heartbeat_timeout": 120, "telemetry_interval": 300,
    "interval_length": 15, "failsafe_limit": 1000, "failsafe_min": 7200,
}
_G = (
    "reason", "boot", "epoch", "time", "association", "lease", "version", "heartbeat", "heartbeat_timeout",
    "telemetry_interval", "deadband", "interval_length", "failsafe_limit", "failsafe_min", "jitter", "policy",
    "policy_value", "autonomous_cap", "priority_ceiling", "events_upto", "intervals_upto", "groups",
    "zone", "zone_change", "zone_next",
)
CMD = (
    "epoch", "id", "revision", "priority", "kind", "issued", "delay", "duration", "value", "value2", "after", "ramp",
    "jitter", "offer",
)
STA = (
    "seq", "id", "revision", "state", "reason", "start", "power", "duration", "energy", "energy_without", "response",
    "epoch",
)


class MemFile:
    def __init__(self, fs, path, mode):
        self.fs, self.path, self.mode, self.at = fs, path, mode, 0
        if "r" in mode:
            if path not in fs.files:
                raise OSError(2)
            self.data = fs.files[path]
        else:
            if fs.full:
                raise OSError(28)
            if "w" in mode or path not in fs.files:
                fs.files[path] = b""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def close(self):
        pass

    def write(self, data):
        if self.fs.full:
            raise OSError(28)
        self.fs.files[self.path] += bytes(data)
        return len(data)

    def read(self, n=-1):
        end = len(self.data) if n < 0 else self.at + n
        out = self.data[self.at : end]
        self.at += len(out)
        return out

    def readinto(self, buf):
        out = self.data[self.at : self.at + len(buf)]
        buf[: len(out)] = out
        self.at += len(out)
        return len(out)

    def seek(self, at):
        self.at = at


class MemFs:
    """Files in memory; full: every write fails."""

    def __init__(self):
        self.files = {}
        self.full = False

    def open(self, path, mode="rb"):
        return MemFile(self, path, mode)

    def rename(self, old, new):
        if self.full:
            raise OSError(28)
        self.files[new] = self.files.pop(old)

    def remove(self, path):
        if path not in self.files:
            raise OSError(2)
        del self.files[path]

    def listdir(self, path):
        n = len(path) + 1
        return [name[n:] for name in self.files if name[:n] == path + "/"]

    def mkdir(self, path):
        pass


class Counters:
    """What the device counts beside energy."""

    def __init__(self):
        self.estimated = False
        self.blind_s = ABSENT
        self.switches = 40
        self.starts = 20


class FakeDevice:
    """A load of 2,000 W that does what it is told.

    kinds: what it can; guard: REASON_… that holds it; forced: DECIDER_… that overrules.
    """

    def __init__(self):
        self.kinds = (
            KIND_OFF, KIND_ON, KIND_LIMIT, KIND_LIMIT_PERCENT, KIND_BAND, KIND_OFFSET, KIND_SG_READY, KIND_SHUTDOWN,
            KIND_BOOST,
        )
        self.readings = array("i", [ABSENT] * R_COUNT)
        self.readings[R_POWER] = 2000
        self.readings[R_STATE] = 3
        self.readings[R_ENERGY_IMPORT] = 5000
        self.power_w = 2000
        self.reason = REASON_NONE
        self.decider = DECIDER_DEFAULT
        self.hold_s = 0
        self.guard = REASON_NONE
        self.forced = ABSENT
        self.moves = []  # every decision that differed from the one before
        self.applied = None
        self.max_block = None
        self.counters = Counters()
        self.peak_w = 0
        self.peak_s = ABSENT
        self.calibrations = []
        self.calibrate_reason = REASON_NONE
        self.on_calibrated = None
        self.objects = {1: 1, 25: 900}
        self.services = 3
        self.calls = 0

    def description(self):
        fields = {
            "profile": 1, "power_max": 2000, "power_min": 100, "standby": 1, "methods": METHOD_OFF | METHOD_SHIFT,
            "saving": 2000, "services": self.services,
        }
        if self.max_block:
            fields["max_block"] = self.max_block
        return fields

    def check(self, kind, value, value2):
        return REASON_NONE if kind in self.kinds else REASON_NOT_SUPPORTED

    def apply(self, now_s, kind, value, value2, limit_w, decider):
        self.calls += 1
        now = (kind, value, value2, limit_w, decider)
        if now != self.applied:
            self.moves.append((now_s,) + now)
            self.applied = now
        power = 0 if kind in (KIND_OFF, KIND_SHUTDOWN) else 2000
        if limit_w != ABSENT and limit_w < power:
            power = limit_w
        self.power_w = power
        self.reason = self.guard
        self.decider = DECIDER_GUARD if self.guard else decider
        if self.forced != ABSENT:
            self.decider = self.forced
        self.readings[R_POWER] = power

    def estimate_w(self):
        return 1800

    def look(self, now_s):
        if self.readings[R_POWER] > self.peak_w:
            self.peak_w, self.peak_s = self.readings[R_POWER], now_s

    def take_peak(self, now_s):
        peak, self.peak_w, self.peak_s = self.peak_w, self.readings[R_POWER], now_s
        return peak

    def calibrate(self, *what):
        self.calibrations.append(what)
        return self.calibrate_reason

    def read(self, object_id):
        return self.objects.get(object_id, ABSENT)

    def write(self, now_s, object_id, value):
        if object_id not in self.objects:
            return REASON_READ_ONLY
        self.objects[object_id] = value
        return REASON_NONE


class Identity:
    def __init__(self, boot, reset, profile=1):
        self.eui64 = EUI64
        self.boot = boot
        self.reset = reset
        self.profile = profile
        self.firmware = "0.1.0"
        self.model = "bench"


class Rig:
    """One device on the bench, time in `now`; true UTC is UTC0 + wall.

    What it sends is in `sent`: (type, values, body), a guaranteed message that it repeats only once. auto_ack: the EMD
    acknowledges with each of its heartbeats.
    """

    def __init__(self, device=None, config=None, reset=RESET_SOFT, plan=None, profile=1):
        self.auto_ack = True
        self.events = {}  # number -> body of all events ever seen
        self.intervals = {}  # number -> (start, length, Wh, quality) of all intervals ever seen
        self.gaps = []
        self.fs = MemFs()
        self.device = device or FakeDevice()
        self.config = config or {}
        self.plan = dict(PLAN)
        self.plan.update(plan or {})
        self.profile = profile
        self.boot_count = 0
        self.wall = 0
        self.link = False
        self.beat_back = 0
        self.epoch = EPOCH
        self.boot(reset)

    def boot(self, reset=RESET_SOFT):
        """Power cut and start: only flash and the device's hardware remain."""
        self.boot_count += 1
        self.now = 0
        self.sent = []
        self.refuse_sending = False
        self.link = False
        self.log = Log(64)
        self.store = Store(self.fs, "s", self.log)
        self.clock = Clock(self.store, self.log)
        self.agent = Agent(
            Identity(self.boot_count, reset, self.profile), self.device, self.clock, self.store, [self], self.log,
            [{"agent": self.config}],
        )
        self.agent._out = self

    # --- the device's way out ---------------------------------------------------------------------------------------

    def send(self, channel, buf, n, guaranteed=False, urgent=False):
        if not self.link or self.refuse_sending:
            return False
        body = bytes(buf[:n])
        type = profile.head(body, n)
        assert channel == TYPE_CHANNEL[type], (channel, type)
        values = profile.decode(type, body, n)
        self.bytes_sent = n
        if not self._seen(type, values, body):
            self.sent.append((type, values, body))
        if type == T_HEARTBEAT:
            self.beat_back = values[5]
        return True

    def _seen(self, type, values, body):
        """True for a guaranteed message that came before, number for number the same."""
        if type in (T_STATUS, T_ALARM, T_READ_RESPONSE, T_REGISTERS):
            said = values[:11] if type == T_STATUS else body  # a later EMD is told of which epoch it is
            if values[0] in self.events:
                assert self.events[values[0]] == said, "number %d means two things" % values[0]
                return True
            self.events[values[0]] = said
        elif type == T_INTERVAL:
            seq, start, length, scale, series, quality = values[:6]
            if values[8]:
                self.gaps.append((seq, values[8]))
            for i in range(len(series)):
                row = (start + i * length * 60, length, series[i] * 10 ** scale, quality[i] if quality else 0)
                assert self.intervals.get(seq + i, row) == row, "interval %d means two things" % (seq + i)
                self.intervals[seq + i] = row
        return False

    def take(self, type=None):
        """Messages since the last take, of one type."""
        found = [values for kind, values, _ in self.sent if type is None or kind == type]
        self.sent = [] if type is None else [row for row in self.sent if row[0] != type]
        return found

    def statuses(self):
        """(id, state, reason) of the statuses since the last call."""
        return [(values[1], values[3], values[4]) for values in self.take(T_STATUS)]

    # --- the EMD's hand ---------------------------------------------------------------------------------------------

    @property
    def digest(self):
        """What the device holds live."""
        return self.agent.control.ledger.digest

    @property
    def utc(self):
        return UTC0 + self.wall

    def give(self, type, values, channel=CH_CMD):
        buf = bytearray(1024)
        n = profile.encode(type, values, buf)
        self.agent.receive(self.now, channel, buf, n)

    def raw(self, body, channel=CH_CMD):
        self.agent.receive(self.now, channel, bytes(body), len(body))

    def registered(self, **other):
        values = {"reason": 0, "boot": self.boot_count, "epoch": self.epoch, "time": self.utc}
        values.update(self.plan)
        values.update(other)
        self.give(T_REGISTERED, [values.get(name) for name in _G])

    def heartbeat(self, digest=None, time=True, beat=True, epoch=None):
        if digest is None:
            digest = self.digest
        if time is True:
            time = self.utc
        if beat is True:
            beat = self.beat_back
        values = [self.epoch if epoch is None else epoch, time or None, digest, 4, None, beat or None]
        while values[-1] is None:
            values.pop()
        self.give(T_HEARTBEAT, values)

    def command(
        self, id, kind, value=None, revision=0, priority=5, issued=None, delay=0, duration=600, slots=None, **more
    ):
        """A command issued now unless said otherwise; `more`: the other fields by name."""
        fields = {
            "epoch": self.epoch, "id": id, "revision": revision, "priority": priority, "kind": kind,
            "issued": self.utc if issued is None else issued, "delay": delay, "duration": duration, "value": value,
        }
        fields.update(more)
        values = [fields.get(name) for name in CMD]
        while values[-1] is None:
            values.pop()
        if slots is None:
            self.give(T_COMMAND, values)
            return
        buf = bytearray(1024)
        n = profile.encode(T_COMMAND, values, buf)
        buf[0] += 1  # one element more: the extension map
        tail = bytearray(512)
        writer = Writer(tail)
        writer.map(1)
        writer.uint(1)
        writer.array(len(slots))
        for slot in slots:
            writer.int(slot)
        self.raw(bytes(buf[:n]) + bytes(tail[: writer.n]))

    def ack(self, events=None, intervals=None):
        values = [self.epoch, events, intervals]
        if events is None and intervals is None:
            return
        while values[-1] is None:
            values.pop()
        self.give(T_ACK, values)

    def answer_time(self):
        """Answers the device's question for the time, if it asked."""
        for values in self.take(T_TIME):
            self.give(T_TIME, [values[0], self.utc, 4])

    # --- time -------------------------------------------------------------------------------------------------------

    def up(self):
        self.link = True
        self.agent.link_up(self.now)

    def down(self):
        self.link = False
        self.agent.link_down(self.now)

    def step(self):
        wait = self.agent.step(self.now)
        assert wait >= 1, wait
        return wait

    def run(self, seconds, beats=True):
        """Lets time pass, following the device's own wishes for waking; an EMD that beats answers once a minute."""
        end = self.now + seconds
        wait = self.step()
        while self.now < end:
            advance = min(wait, end - self.now, 60 - self.wall % 60)
            self.now += advance
            self.wall += advance
            power = self.device.readings[R_POWER]
            self.device.look(self.now)
            self.energy_ws = getattr(self, "energy_ws", 0) + power * advance
            self.device.readings[R_ENERGY_IMPORT] += self.energy_ws // 3600
            self.energy_ws %= 3600
            wait = self.step()
            if beats and self.link and self.wall % 60 == 0:
                self.heartbeat()
                if self.auto_ack:
                    self.ack_all()
                wait = self.step()

    def ack_all(self):
        """Acknowledges everything without a gap that was seen."""
        self.ack(max(self.events) if self.events else None, max(self.intervals) if self.intervals else None)

    def join(self):
        """Link, registration, first heartbeat: associated, mode init."""
        self.up()
        self.step()
        self.registered()
        self.step()
        self.heartbeat()
        self.step()
        return self
