"""The EMD's row for each device: what it said it is, its association, its last readings, and what it did wrong."""

from spot_host.emd.ledger import Ledger
from spot_host.emd.streams import Cursor
from spot_host.profile import definition as d

PROFILE_NAMES = {code: name for code, name, _ in d.enum("Profile").rows}
METHOD = {name: 1 << bit for bit, name, _ in d.enum("Method").rows}
SERVICE = {name: 1 << bit for bit, name, _ in d.enum("Service").rows}
MODE = {name: code for code, name, _ in d.enum("Mode").rows}
MODE_NAMES = {code: name for name, code in MODE.items()}

_REGISTER = [f.name for f in d.message("register").fields]
CAPABILITY_FIELDS = tuple(name for name in _REGISTER if name not in ("eui64", "boot"))


class Capability:
    """What a device registered: the fields of `register` by name, None where it did not say."""

    __slots__ = CAPABILITY_FIELDS

    def __init__(self, values: dict):
        for name in CAPABILITY_FIELDS:
            setattr(self, name, values.get(name))

    def updated(self, values: dict) -> "Capability":
        """A copy with the fields of an `update` that are not null."""
        return Capability({**self.values(), **{n: v for n, v in values.items() if v is not None}})

    def values(self) -> dict:
        return {name: getattr(self, name) for name in CAPABILITY_FIELDS if getattr(self, name) is not None}

    def serves(self, service: str) -> bool:
        return bool((self.services or 0) & SERVICE[service])

    def saves_by(self, method: str) -> bool:
        return bool((self.methods or 0) & METHOD[method])

    @property
    def profile_name(self) -> str:
        return PROFILE_NAMES.get(self.profile, "unknown")

    @property
    def on_off_only(self) -> bool:
        """It runs or it does not: a limit can only open it."""
        return not self.saves_by("reduce") and not self.steps


class Device:
    """One row. Only the device's own messages and the EMD's own decisions change it."""

    __slots__ = (
        "key",
        "eui",
        "eui_bytes",
        "device_class",
        "capability",
        "registered",
        "boot",
        "registered_at",
        "generation",
        "events",
        "intervals",
        "ledger",
        "asks",
        "next_ask",
        "online",
        "heard_at",
        "mode",
        "beat",
        "clock",
        "heartbeat_sent",
        "digest_seen",
        "resync_at",
        "resync_wait_s",
        "mode_asked_at",
        "ack_pending",
        "resend_at",
        "answer_at",
        "power_w",
        "time",
        "tel_seq",
        "energy_wh",
        "decider",
        "switch",
        "room",
        "reading",
        "reading_at",
        "recent_w",
        "recent_at",
        "usual_w",
        "messages_in",
        "messages_out",
        "bytes_in",
        "bytes_out",
        "hostile",
        "last_error",
        "alarms",
        "watchers",
        "used_wh",
        "cost_eur",
        "dirty",
        "held_since",
        "released_at",
        "want_w",
        "energy_seen_at",
        "lost_intervals",
        "watchdog_due",
        "minute_at",
        "minute_count",
        "beat_due",
        "counted",
        "zone_until",
        "alarm_seqs",
        "forecast",
    )

    def __init__(self, key: int, eui: str):
        self.key, self.eui, self.eui_bytes = key, eui, bytes.fromhex(eui)
        self.device_class = self.capability = None
        self.registered, self.boot, self.registered_at, self.generation = False, None, 0, 0
        self.events, self.intervals, self.ledger = Cursor(), Cursor(), Ledger()
        self.asks, self.next_ask = {}, 1
        self.online = self.mode = self.beat = self.clock = None
        self.heard_at = self.heartbeat_sent = self.mode_asked_at = 0
        self.digest_seen, self.resync_at, self.resync_wait_s = 0, 0, 0
        self.ack_pending, self.resend_at, self.answer_at = False, None, -(1 << 30)
        self.power_w, self.time, self.tel_seq, self.energy_wh = 0, 0, -1, None
        self.decider = self.switch = self.room = self.reading = None
        self.reading_at, self.recent_w, self.recent_at, self.usual_w = 0, 0, 0, 0.0
        self.messages_in = self.messages_out = self.bytes_in = self.bytes_out = self.hostile = 0
        self.last_error, self.alarms, self.watchers = "", {}, []
        self.used_wh, self.cost_eur, self.dirty = 0.0, 0.0, False
        self.held_since = self.released_at = self.energy_seen_at = None
        self.want_w, self.lost_intervals, self.watchdog_due = 0, 0, None
        self.beat_due, self.counted = None, True
        self.minute_at, self.minute_count = 0, 0
        self.zone_until = None  # Unix s at which what it was told of the time zone is over
        self.alarm_seqs, self.forecast = {}, None

    def snapshot(self) -> dict:
        """What the terminal shows and storage keeps beside the identity: plain values."""
        return {
            "online": self.online,
            "heard_at": self.heard_at,
            "mode": MODE_NAMES.get(self.mode),
            "power_w": self.power_w,
            "time": self.time,
            "energy_wh": self.energy_wh,
            "decider": self.decider,
            "switch": self.switch,
            "room_temperature": self.room,
            "hostile": self.hostile,
            "last_error": self.last_error,
            "messages_in": self.messages_in,
            "messages_out": self.messages_out,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "used_wh": round(self.used_wh, 1),
            "cost_eur": round(self.cost_eur, 5),
            "alarms": sorted(self.alarms),
            "live": len(self.ledger.commands),
        }

    def record(self) -> dict:
        """The row for storage: what must survive."""
        return {
            "key": self.key,
            "eui": self.eui,
            "device_class": self.device_class,
            "registered": self.registered,
            "boot": self.boot,
            "registered_at": self.registered_at,
            "generation": self.generation,
            "events_upto": self.events.upto,
            "intervals_upto": self.intervals.upto,
            "next_id": self.ledger.next_id,
            "next_ask": self.next_ask,
            "zone_until": self.zone_until,
            "forecast": self.forecast,
            "capability": self.capability.values() if self.capability else None,
            "state": self.snapshot(),
        }

    @classmethod
    def from_record(cls, record: dict, commands=()) -> "Device":
        """Rebuild the row after a restart."""
        row = cls(record["key"], record["eui"])
        row.device_class, row.registered = record["device_class"], record["registered"]
        row.boot, row.registered_at, row.generation = record["boot"], record["registered_at"], record["generation"]
        row.events, row.intervals = Cursor(record["events_upto"]), Cursor(record["intervals_upto"])
        row.ledger, row.next_ask = Ledger(record["next_id"], commands), record["next_ask"]
        if record["capability"] is not None:
            row.capability = Capability(record["capability"])
        state = record["state"]
        row.online, row.heard_at, row.power_w = state["online"], state["heard_at"], state["power_w"]
        row.time, row.energy_wh, row.room = state["time"], state["energy_wh"], state["room_temperature"]
        row.hostile, row.last_error = state["hostile"], state["last_error"]
        row.alarms = dict.fromkeys(state["alarms"], state["time"])  # since when: in the storage
        for name in ("messages_in", "messages_out", "bytes_in", "bytes_out", "used_wh", "cost_eur"):
            setattr(row, name, state[name])
        row.zone_until, row.forecast = record.get("zone_until"), record.get("forecast")
        row.energy_seen_at = row.time if row.energy_wh is not None else None
        return row
