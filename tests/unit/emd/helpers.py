"""A device's side of the conversation with the core, in as few words as a test needs."""

from spot_host.emd.config import EmdConfig
from spot_host.emd.core import EmdCore
from spot_host.emd.memory import MemoryOut
from spot_host.emd.storage import MemoryStorage
from spot_host.profile import codec
from spot_host.profile import definition as d
from spot_host.profile.cddl import Validator

VALID = Validator()  # whatever goes over a wire here is held against docs/spot.cddl
NOON = 1765537200  # 2025-12-12 11:00 UTC
PLUG = "0200000000000001"
PUMP = "0200000000000002"
STATE = {name: code for code, name, _ in d.enum("State").rows}
KIND = {name: code for code, name, _ in d.enum("Kind").rows}
REASON = {name: code for code, name, _ in d.enum("Reason").rows}
SERVICE = {name: 1 << bit for bit, name, _ in d.enum("Service").rows}
METHOD = {name: 1 << bit for bit, name, _ in d.enum("Method").rows}
MODE = {name: code for code, name, _ in d.enum("Mode").rows}

WINTER = (
    122.24,
    115.3,
    109.96,
    107.35,
    112.51,
    123.67,
    176.18,
    599.99,
    655.6,
    646.76,
    543.83,
    465.36,
    404.99,
    415.3,
    490.34,
    668.49,
    818.98,
    936.28,
    674.18,
    551.01,
    295.66,
    169.4,
    150.0,
    134.75,
)
SPRING = (
    65.49,
    54.5,
    44.52,
    41.22,
    46.33,
    43.5,
    17.61,
    4.79,
    2.35,
    -2.8,
    -25.0,
    -69.64,
    -100.06,
    -135.45,
    -132.85,
    -85.08,
    -30.0,
    -1.33,
    22.5,
    67.94,
    75.74,
    58.26,
    44.6,
    35.61,
)


def plug_values(eui=PLUG, **changes):
    """The values of a plug's `register`: on/off, limits, shift; two hours at most."""
    values = {
        "eui64": bytes.fromhex(eui),
        "boot": 1,
        "reset": 1,
        "profile": 1,
        "versions": 1,
        "firmware": "1.0",
        "power_max": 2300,
        "power_min": 0,
        "standby": 1,
        "methods": METHOD["off"] | METHOD["shift"],
        "saving": 2000,
        "services": SERVICE["on_off"] | SERVICE["limit"],
        "min_run": 300,
        "min_pause": 300,
        "max_block": 7200,
    }
    values.update(changes)
    return values


def pump_values(eui=PUMP, **changes):
    """The values of a heat pump's `register`: offset, SG-Ready, limits from 600 W on."""
    values = {
        "eui64": bytes.fromhex(eui),
        "boot": 1,
        "reset": 1,
        "profile": 2,
        "versions": 1,
        "firmware": "1.0",
        "power_max": 3000,
        "power_min": 600,
        "standby": 10,
        "methods": METHOD["reduce"] | METHOD["set_point"],
        "saving": 2000,
        "services": SERVICE["limit"] | SERVICE["offset"] | SERVICE["sg_ready"] | SERVICE["boost"],
        "limit_min": 600,
        "min_run": 600,
        "min_pause": 600,
        "max_block": 10800,
        "comfort_low": 2000,
        "comfort_high": 2200,
    }
    values.update(changes)
    return values


class Bench:
    """One core with memory around it; `now` is its clock."""

    def __init__(self, storage=None, **config):
        self.now, self.out = NOON, MemoryOut()
        self.storage = storage or MemoryStorage()
        self.core = EmdCore(EmdConfig(**config), self.storage, self.out, self.now)
        self.seq = {}

    def up(self, name, device=PLUG, channel=None, **values):
        """A message from a device; what the core sent in answer."""
        body = codec.encode(name, values)
        VALID.check(body)
        self.core.receive(self.now, device, channel or d.message(name).channel, body)
        return self.run(0)

    def register(self, values):
        return self.up("register", values["eui64"].hex(), **values)

    def event(self, name, device=PLUG, **values):
        """A message of the stream of events, numbered from 0 on."""
        seq = self.seq[device] = self.seq.get(device, -1) + 1
        return self.up(name, device, seq=seq, **values)

    def status(self, command, state, device=PLUG, **values):
        return self.event(
            "status",
            device,
            id=command["id"],
            revision=command["revision"],
            state=STATE[state],
            **{"reason": 0, **values},
        )

    def beat(self, device=PLUG, digest=0, mode="controlled", **values):
        row = self.core.devices[device]
        values = {
            "epoch": self.core.epoch,
            "time": self.now,
            "clock": 4,
            "mode": MODE[mode],
            "beat": (row.beat or 0) + 1,
            **values,
        }
        return self.up("heartbeat", device, digest=digest, **values)

    def telemetry(self, power, device=PLUG, **values):
        row = self.core.devices[device]
        return self.up("telemetry", device, seq=row.tel_seq + 1, time=self.now, power=power, clock=4, **values)

    def run(self, seconds):
        """Let time pass; everything the core sent meanwhile, decoded, as [(device, Message)]."""
        end = self.now + seconds
        while True:
            due = self.core.next_due
            if due > end:
                break
            self.now = max(self.now, due)
            self.core.step(self.now)
        self.now = end
        sent = self.out.take()
        for _, _, body in sent + self.out.published:
            VALID.check(body)
        return [(device, codec.decode(body)) for device, _, body in sent]


def of(messages, name, device=None):
    """The values of the messages called `name`."""
    return [m.values for who, m in messages if m.name == name and device in (None, who)]
