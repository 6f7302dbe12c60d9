"""The EMD's core: devices, heartbeats, commands, acknowledgements, plans. No I/O, no clock: time comes as Unix seconds.

`receive` takes one body that a device sent, `step` does what is due. What goes out leaves through `out` (`send`,
`publish`), and with durable storage only after what it promises was committed: those sends wait for the next `step`.

The parts build on each other: kernel (state, timers, sending), control (the conversation with a device), planning
(prices and limits), messages (what devices send); this file is what others call.
"""

import heapq

from spot_host.emd import intake
from spot_host.emd.config import EmdConfig, LimitEvent
from spot_host.emd.control import Ask, check_values
from spot_host.emd.intake import Refused
from spot_host.emd.kernel import ACK, COMMIT, HEARTBEAT, PLAN, RESEND, SETTLE, SIGNED, SPLIT, UPDATE
from spot_host.emd.ledger import FINAL, KIND
from spot_host.emd.messages import Messages
from spot_host.emd.registry import Device
from spot_host.emd.tariff import PriceSeries
from spot_host.profile import codec
from spot_host.profile import definition as d

_BACK_S = 10  # a clock that is so much behind was set back
_OURS = (  # times by the host's clock, of the core and of its rows
    "_commit_due",
    "_plan_due",
    "beat_due",
    "resend_at",
    "watchdog_due",
    "heartbeat_sent",
    "heard_at",
    "mode_asked_at",
    "answer_at",
    "resync_at",
    "registered_at",
    "held_since",
    "released_at",
    "time",
    "energy_seen_at",
    "recent_at",
    "reading_at",
)
_COMMIT_S = 1  # readings wait at most so long for the disk
_HEX = frozenset("0123456789abcdef")


class EmdCore(Messages):
    """One EMD.

    config: EmdConfig. storage: MemoryStorage or SqliteStorage. out: an object with `send(device, channel, body)` and
    `publish(group, channel, body)`; device is the EUI-64 as 16 hex digits.
    """

    def __init__(self, config: EmdConfig, storage, out, now: int = 0):
        super().__init__(config, storage, out, now)
        self._latest = now
        self._load(now)

    @property
    def epoch(self) -> int:
        """The EMD's epoch: hours from 2024 until its registry was made."""
        return self._epoch

    @property
    def next_due(self) -> int:
        """Unix s at which `step` has something to do; 0 when it has already."""
        if self._outbox:
            return 0
        return self._timers[0][0] if self._timers else 1 << 40

    def receive(self, now: int, device: str, channel, body: bytes, device_class: str | None = None) -> str | None:
        """Take one body that came from `device` (EUI-64, 16 hex digits, from the topic) on `channel` (name or code).

        Never raises for what a device sent: a bad body is counted on that device's row and changes nothing else, and
        the text of its refusal is returned; None when it was taken.
        """
        if now < self._latest - _BACK_S:
            self._went_back(now)
        row = self.devices.get(device) or self._stranger(device)
        if row is None:
            self.strangers += 1
            return "no room for another device"
        if channel.__class__ is int:
            channel = intake.CHANNEL_NAMES.get(channel)
        row.bytes_in += len(body)
        row.messages_in += 1
        if not 0 <= now - row.minute_at < 60:
            row.minute_at, row.minute_count = now, 0
        row.minute_count += 1
        if row.minute_count > self.config.most_per_minute:  # a flood would fill the disk for everybody
            row.hostile += 1
            row.last_error = "more messages a minute than are looked at"
            return row.last_error
        if not row.dirty:
            row.dirty = True
            self._dirty.append(row)
        if device_class is not None and device_class != row.device_class:
            row.device_class = device_class
        refusal = None
        try:
            fields = intake.fields(channel, body)
            self._handlers[fields[0]](now, row, fields)
        except Refused as refused:
            refusal = self._refuse(now, row, refused)
        if self._commit_due is None and self.storage.durable:
            self._commit_due = now + _COMMIT_S
            self._at(self._commit_due, COMMIT, None)
        if self._outbox and not self.storage.durable:
            self._flush(now)
        return refusal

    def receive_group(self, now: int, channel: str, body: bytes) -> bool:
        """A broadcast of someone above this EMD (a utility): a price series, or a grid state that means a limit.

        True when it was understood. Raises nothing for bad bytes.
        """
        try:
            message = codec.decode(bytes(body))
        except codec.ProfileError as exc:
            self.storage.add_log(now, None, "broadcast_refused", str(exc))
            return False
        if message.name == "price" and channel == "price":
            series = PriceSeries.from_message(message.values)
            if (
                self.series is not None
                and series.start == self.series.start
                and series.revision <= self.series.revision
            ):
                return False
            self.set_prices(now, series, publish=False)
            return True
        if message.name == "grid_state" and channel == "grid":
            grid = next(name for code, name, _ in d.enum("Grid").rows if code == message["grid"])
            limit_w = {"tight": self.config.tight_limit_w, "emergency": self.config.emergency_limit_w}.get(grid)
            key = f"grid:{message['start']}"
            if limit_w is not None:
                self.add_event(now, LimitEvent(key, message["start"], message["start"] + message["duration"], limit_w))
            elif key in self.limits:
                self.remove_event(now, key)
            return True
        return False

    def step(self, now: int) -> int:
        """Do what is due at `now` (Unix s). Returns when it wants to be called again."""
        if now < self._latest - _BACK_S:
            self._went_back(now)
        self._latest = now
        timers = self._timers
        while timers and timers[0][0] <= now:
            due, _, kind, row = heapq.heappop(timers)
            if kind == HEARTBEAT:
                if due == row.beat_due:
                    self._beat_due(now, row)
            elif kind == RESEND:
                self._resend(now, row)
            elif kind == ACK:
                self._ack(now, row)
            elif kind == COMMIT:
                self._commit_due = None
                self._commit(now)
            elif kind == PLAN:
                if due == self._plan_due:
                    self._plan_due = None
                    self._plan_all(now)
            elif kind == SPLIT:
                if due == row.due:
                    row.due = None
                    self._event_step(now, row)
            elif kind == SIGNED:
                self.signed.turn(now, row)
            elif kind == UPDATE:
                self.updates.step(now, due)
            elif kind == SETTLE:
                if now - row.heard_at > self.config.association.heartbeat_timeout_s:
                    row.events.wait(now)
                    row.intervals.wait(now)
                elif row.events.settle(now) | row.intervals.settle(now):
                    self._want_ack(now, row)
                self._watch_holes(now, row)
        if self._outbox:
            self._flush(now)
        return self.next_due

    def _went_back(self, now):
        """The host's clock was set back: what was due goes with it, or devices would miss their heartbeats for so long.

        The times of events, prices and commands are UTC and stay.
        """
        by, self._latest = self._latest - now, now
        self._timers = [(due if kind == SPLIT else due - by, n, kind, row) for due, n, kind, row in self._timers]
        heapq.heapify(self._timers)
        self.signed.moved(by)
        self.updates.moved(by)
        for owner in (self, *self.devices.values()):
            for name in _OURS:
                value = getattr(owner, name, None)
                if value is not None:
                    setattr(owner, name, value - by)
        for row in self.devices.values():
            row.ledger.changed_at -= by
            for waits in (*row.ledger.commands.values(), *row.asks.values()):
                if waits.next_send is not None:
                    waits.next_send -= by
            for stream in (row.events, row.intervals):
                if stream.hole_since is not None:
                    stream.hole_since -= by
        self.storage.add_log(now, None, "clock_back", f"{by} s")

    def link_up(self, now: int) -> None:
        """The way out is there again: say what may have been lost (prices, commands without an answer)."""
        if self.series is not None and self._ours:
            self._publish_prices(now)
        for row in self.devices.values():
            if row.registered:
                for command in row.ledger.commands.values():
                    if command.unanswered:
                        command.next_send, command.tries = now, 0
                self._want_resend(now, row)

    def command(self, now: int, device: str, kind: str, **values):
        """Issue a command by hand; values as in the message (`duration` is mandatory). Returns the Command.

        Raises KeyError for an unknown or unregistered device, ValueError for values that make no command.
        """
        row = self.devices[device]
        if not row.registered:
            raise KeyError(device)
        check_values(kind, values.get("value"), values.get("value2"))
        values.setdefault("priority", min(8, self.config.association.priority_ceiling or 8))
        values.setdefault("purpose", "operator")
        trial = {k: v for k, v in values.items() if k != "purpose" and v is not None}
        codec.encode(
            "command",
            {
                "epoch": self._epoch,
                "id": row.ledger.next_id,
                "revision": 0,
                "issued": now,
                "delay": 0,
                **trial,
                "kind": KIND[kind],
            },
        )
        command = row.ledger.issue(now, kind=KIND[kind], **values)
        self._want_resend(now, row)
        return command

    def revoke(self, now: int, device: str, id_: int) -> bool:
        """Withdraw a live command. False when there is none with this id."""
        row = self.devices[device]
        command = row.ledger.commands.get(id_)
        if command is None:
            return False
        row.ledger.revoke(now, command)
        self._want_resend(now, row)
        return True

    def read(self, now: int, device: str, objects, patience_s: int = 60) -> Ask:
        """Ask a device to read objects (ids) now. `Ask.result` is a dict when it has answered."""
        return self._ask(now, device, "read", {"objects": list(objects)}, patience_s)

    def configure(self, now: int, device: str, values, patience_s: int = 60) -> Ask:
        """Ask a device to write objects: values is [id, value, id, value, …]."""
        return self._ask(now, device, "configure", {"values": list(values)}, patience_s)

    def read_log(self, now: int, device: str, record: int, first: int, patience_s: int = 30) -> Ask:
        """Ask for lines of a device's log (record 0) or of its latest failure (1) from number `first` on."""
        return self._ask(now, device, "read_log", {"record": record, "first": first}, patience_s)

    def calibrate(self, now: int, device: str, seconds: int, truth: dict, patience_s: int | None = None) -> Ask:
        """Adjust a device's meter to what a reference shows: voltage (10 mV), current (mA), power (0.1 W)."""
        return self._ask(
            now, device, "calibrate", {"seconds": seconds, **truth}, patience_s or seconds + 60
        )

    def rekey(self, now: int, device: str, generation: int, secret: bytes, patience_s: int = 60) -> Ask:
        """Give a device its next pairing secret. The link lets it out only where nobody else can read it."""
        return self._ask(now, device, "rekey", {"generation": generation, "secret": secret}, patience_s)

    def publish_signed(self, now: int, bodies: list, group: str | None = None) -> None:
        """Publish a signed object (its messages, spot_host.signing.load) to a group, the EMD's own unless another is
        named, until the next one. The EMD needs no key for that, and could not make one."""
        self.signed.publish(now, group or self.config.group, bodies)

    def beat(self, now: int, device: str) -> None:
        """A heartbeat to a registered device before its time."""
        row = self.devices.get(device)
        if row is not None and row.registered:
            self._beat(now, row)

    def revoked(self, device: str) -> None:
        """Its keys are gone: what registers under this identity next is another device, whatever its boot count."""
        row = self.devices.get(device)
        if row is not None:
            row.registered, row.registered_at = False, 0
            self._touched(row)

    def report(self, now: int) -> dict:
        """Energy, cost, peak, events, commands by final state, octets: plain values."""
        report = self.accounting.report(now, self.devices.values(), self.limits.values())
        report["hostile"] = sum(row.hostile for row in self.devices.values())
        report["registered"] = sum(row.registered for row in self.devices.values())
        return report

    def close(self, now: int) -> None:
        """Write what is not written yet."""
        self._flush(now)
        self._commit(now)

    def _refuse(self, now, row, refused):
        row.hostile += 1
        row.last_error = str(refused)[:200]
        self._answer_to(now, row, max(0, refused.about), refused.reason, refused.ref, refused.position)
        return row.last_error

    def _load(self, now):
        storage = self.storage
        self._epoch = storage.get("epoch")
        if self._epoch is None:
            self._epoch = max(0, (now - d.UTC_MIN) // 3600)
            storage.put("epoch", self._epoch)
        for record, commands in storage.load():
            row = Device.from_record(record, commands)
            self.devices[row.eui] = row
            row.counted = row.eui != self.config.site_meter
            if row.registered:
                self._want_beat(now, row)
                for command in row.ledger.commands.values():
                    if command.state in FINAL or command.next_send is not None:
                        command.next_send = now
                self._want_resend(now, row)
                self.accounting.site.power_w += row.power_w if row.counted else 0
        for start, interval_s, values, revision in storage.get("prices", []):
            self.series = PriceSeries(start, interval_s, tuple(values), revision)
            self.tariff.add(self.series)
        for record in storage.load_events():
            if record["state"] in ("known", "running") and record["end"] > now:
                devices = record["devices"]
                self.add_event(
                    now,
                    LimitEvent(
                        record["id"],
                        record["start"],
                        record["end"],
                        record["limit_w"],
                        tuple(devices) if devices is not None else None,
                        record["include_base"],
                    ),
                )
        for event in self.config.events:
            if event.id not in self.limits and event.end > now:
                self.add_event(now, event)
        self.signed.load(now)
        self.updates.load(now)
        if self.series is not None:
            self._want_plan(now)
        storage.commit()

    def _stranger(self, device):
        if len(self.devices) >= self.config.max_devices or len(device) != 16 or not _HEX.issuperset(device):
            return None
        row = self.devices[device] = Device(len(self.devices) + 1, device)
        row.counted = device != self.config.site_meter
        return row
