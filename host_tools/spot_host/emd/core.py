"""The EMD's core: devices, heartbeats, commands, acknowledgements, plans. No I/O, no clock: time comes as Unix seconds.

`receive` takes one body that a device sent, `step` does what is due. What goes out leaves through `out` (`send`,
`publish`), and with durable storage only after what it promises was committed: those sends wait for the next `step`.
"""

import heapq

import cbor2

from spot.wire.profile import digest
from spot_host.emd import intake
from spot_host.emd.accounting import Accounting
from spot_host.emd.config import EmdConfig, LimitEvent
from spot_host.emd.events import RunningEvent, command_for, confirmed, shares
from spot_host.emd.intake import REASON, Refused
from spot_host.emd.ledger import FINAL, KIND, STATE_NAMES
from spot_host.emd.planner import plan
from spot_host.emd.registry import MODE, Capability, Device
from spot_host.emd.tariff import PriceSeries, Tariff
from spot_host.profile import codec
from spot_host.profile import definition as d

_HEARTBEAT, _RESEND, _ACK, _PLAN, _SPLIT, _COMMIT, _SETTLE = range(7)
_COMMIT_S = 1  # readings wait at most so long for the disk
_PLAN_S = 900  # plans are looked at again so often
_ANSWER_S = 5  # a device gets one refusal in so many seconds
_LATE_S = 600  # a registration with a lower boot count within so long is a late copy
_CLOCK_EMD = next(code for code, name, _ in d.enum("Clock").rows if name == "emd")
_CLOCK_HOLDOVER = next(code for code, name, _ in d.enum("Clock").rows if name == "holdover")
_HEARTBEAT_TYPE, _ACK_TYPE = d.message("heartbeat").code, d.message("ack").code
_ONLINE = next(code for code, name, _ in d.enum("Online").rows if name == "online")
_STORE_FAULT = next(code for code, name, _ in d.enum("Alarm").rows if name == "store_fault")
_PART = 20  # numbers in a read response that more may follow
_HEX = frozenset("0123456789abcdef")


_KIND_VALUES = {row[0]: row for row in d.KIND_VALUES}


def _check_values(kind, value, value2):
    """What `value` and `value2` must be for this kind of command. Raises ValueError with a sentence."""
    if kind not in KIND:
        raise ValueError(f"{kind}: no such kind of command; there are {', '.join(KIND)}")
    _, need, lo, hi, need2, lo2, hi2, sentence = _KIND_VALUES.get(kind, (kind, False, 0, 0, False, 0, 0, ""))
    if not sentence and (value is not None or value2 is not None):
        raise ValueError(f"{kind} takes no value")
    for name, v, must, low, high in (("value", value, need, lo, hi), ("value2", value2, need2, lo2, hi2)):
        if v is None and must:
            raise ValueError(f"{kind} needs a {name}: {sentence}")
        if v is not None and not low <= v <= high:
            raise ValueError(f"{kind}: {name} {v} is not within {low} … {high}: {sentence}")
    if kind == "band" and value > value2:
        raise ValueError("band: the lower end comes first")


class Ask:
    """A read or configure that waits for its answer."""

    __slots__ = ("id", "kind", "values", "issued", "expires", "next_send", "tries", "parts", "result")

    def __init__(self, id_, kind, values, now, patience_s):
        self.id, self.kind, self.values, self.expires = id_, kind, values, now + patience_s
        self.issued = self.next_send = now
        self.tries, self.parts, self.result = 0, {}, None


class EmdCore:
    """One EMD.

    config: EmdConfig. storage: MemoryStorage or SqliteStorage. out: an object with `send(device, channel, body)` and
    `publish(group, channel, body)`; device is the EUI-64 as 16 hex digits.
    """

    def __init__(self, config: EmdConfig, storage, out, now: int = 0):
        self.config, self.storage, self.out = config, storage, out
        self.devices, self.strangers, self.limits = {}, 0, {}
        self.tariff = Tariff()
        self.accounting = Accounting(self.tariff, now)
        self._ours = True  # the prices are published by this EMD, not taken from a broadcast
        self.series, self.price_revision = None, storage.get("price_revision", 0)
        self._timers, self._count, self._outbox, self._dirty = [], 0, [], []
        self._commit_due = self._plan_due = None
        self._handlers = {
            intake.REGISTER: self._register,
            intake.UPDATE: self._update,
            intake.UNREGISTER: self._unregister,
            intake.TIME: self._time,
            intake.HEARTBEAT: self._heartbeat,
            intake.STATUS: self._status,
            intake.TELEMETRY: self._telemetry,
            intake.INTERVAL: self._interval,
            intake.ALARM: self._alarm,
            intake.READ_RESPONSE: self._read_response,
            intake.ANSWER: self._answer,
            intake.LINK: self._link,
            intake.FORECAST: self._ignore,
            intake.OFFER: self._ignore,
        }
        self._load(now)

    # What adapters and people call

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

    def receive(self, now: int, device: str, channel, body: bytes, device_class: str | None = None) -> None:
        """Take one body that came from `device` (EUI-64, 16 hex digits, from the topic) on `channel` (name or code).

        Never raises for what a device sent: a bad body is counted on that device's row and changes nothing else.
        """
        row = self.devices.get(device) or self._stranger(device)
        if row is None:
            self.strangers += 1
            return
        if channel.__class__ is int:
            channel = intake.CHANNEL_NAMES.get(channel)
        row.bytes_in += len(body)
        row.messages_in += 1
        if not row.dirty:
            row.dirty = True
            self._dirty.append(row)
        if device_class is not None and device_class != row.device_class:
            row.device_class = device_class
        try:
            fields = intake.fields(channel, body)
            self._handlers[fields[0]](now, row, fields)
        except Refused as refused:
            self._refuse(now, row, refused)
        if self._commit_due is None and self.storage.durable:
            self._commit_due = now + _COMMIT_S
            self._at(self._commit_due, _COMMIT, None)
        if self._outbox and not self.storage.durable:
            self._flush(now)

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
        timers = self._timers
        while timers and timers[0][0] <= now:
            due, _, kind, row = heapq.heappop(timers)
            if kind == _HEARTBEAT:
                if due == row.beat_due:
                    self._beat_due(now, row)
            elif kind == _RESEND:
                self._resend(now, row)
            elif kind == _ACK:
                self._ack(now, row)
            elif kind == _COMMIT:
                self._commit_due = None
                self._commit(now)
            elif kind == _PLAN:
                if due == self._plan_due:
                    self._plan_due = None
                    self._plan_all(now)
            elif kind == _SPLIT:
                if due == row.due:
                    row.due = None
                    self._event_step(now, row)
            elif kind == _SETTLE:
                moved = row.events.settle(now) | row.intervals.settle(now)
                if moved:
                    self._want_ack(now, row)
                self._watch_holes(now, row)
        if self._outbox:
            self._flush(now)
        return self.next_due

    def link_up(self, now: int) -> None:
        """The way out is there again: say what may have been lost (prices, commands without an answer)."""
        if self.series is not None and self._ours:
            self._publish_prices()
        for row in self.devices.values():
            if row.registered:
                for command in row.ledger.commands.values():
                    if command.unanswered:
                        command.next_send, command.tries = now, 0
                self._want_resend(now, row)

    def set_prices(self, now: int, series: PriceSeries, publish: bool = True) -> None:
        """A price series is known from now on: published to the group (retained), kept, and planned with.

        series: a PriceSeries of this package or of spot_host.prices. A new revision goes out only if it is news.
        """
        if hasattr(series, "start_utc"):
            series = PriceSeries(series.start_utc, series.interval_s, tuple(series.prices))
        known = self.series
        if publish and known is not None and known.start == series.start and known.values == tuple(series.values):
            series = known  # said again, after a restart
        elif publish:
            self.price_revision += 1
            series = PriceSeries(series.start, series.interval_s, tuple(series.values), self.price_revision)
            self.storage.put("price_revision", self.price_revision)
        self.series, self._ours = series, publish
        self.tariff.add(series)
        self.tariff.forget(now - 3 * 86400)
        others = [
            s for s in self.storage.get("prices", []) if s[0] + s[1] * len(s[2]) > now - 86400 and s[0] != series.start
        ]
        self.storage.put("prices", [*others, [series.start, series.interval_s, list(series.values), series.revision]])
        if publish:
            self._publish_prices()
        self._want_plan(now)
        if self._outbox and not self.storage.durable:
            self._flush(now)

    def add_event(self, now: int, event: LimitEvent) -> None:
        """Know of a limit event; one with the same id is replaced."""
        if event.id in self.limits:
            self.remove_event(now, event.id)
        running = RunningEvent(event, now)
        self.limits[event.id] = running
        self.storage.put_event(running.summary(now))
        self._want_split(max(now, event.start - self.config.split.lead_s), running)

    def remove_event(self, now: int, event_id: str) -> bool:
        """Withdraw a limit event and its commands. False when there is none."""
        running = self.limits.pop(event_id, None)
        if running is None:
            return False
        if not running.closed:
            running.finish(now)
            for row in self.devices.values():
                for command in row.ledger.live_for(running.purpose):
                    row.ledger.revoke(now, command)
                    self._want_resend(now, row)
        self.storage.put_event({**running.summary(now), "state": "withdrawn"})
        return True

    def command(self, now: int, device: str, kind: str, **values):
        """Issue a command by hand; values as in the message (`duration` is mandatory). Returns the Command.

        Raises KeyError for an unknown or unregistered device, ValueError for values that make no command.
        """
        row = self.devices[device]
        if not row.registered:
            raise KeyError(device)
        _check_values(kind, values.get("value"), values.get("value2"))
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

    def _publish_prices(self):
        body = codec.encode("price", self.series.message())
        self._outbox = [item for item in self._outbox if item[0] is not None]
        self._outbox.append((None, self.config.group, "price", body))

    # Start

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
        if self.series is not None:
            self._want_plan(now)
        storage.commit()

    def _stranger(self, device):
        if len(self.devices) >= self.config.max_devices or len(device) != 16 or not _HEX.issuperset(device):
            return None
        row = self.devices[device] = Device(len(self.devices) + 1, device)
        row.counted = device != self.config.site_meter
        return row

    # Messages of devices

    def _telemetry(self, now, row, f):
        if not row.registered:
            return self._unknown(now, row, f[0])
        seq = f[1]
        row.heard_at = now
        if seq == row.tel_seq:
            return None  # the same again
        t = f[2]
        clock = f[4]
        if t > now + 300 or t < now - 86400 or (clock is not None and clock < _CLOCK_HOLDOVER):
            t = now
        self.storage.add_telemetry((row.key, *f[1:]))
        if t < row.time:
            return None  # late: kept, but it is not how things are
        self.accounting.reading(row, t, f[3], f[9])
        row.power_w, row.time, row.tel_seq, row.decider, row.switch = f[3], t, seq, f[5], f[6]
        if f[9] is not None:
            row.energy_wh = f[9]
        if f[13] is not None:
            row.room = f[13]
            if row.capability.comfort_low is not None and f[13] < row.capability.comfort_low:
                self._too_cold(now, row)
        row.reading = f
        return None

    def _heartbeat(self, now, row, f):
        if not row.registered:
            return self._unknown(now, row, f[0])
        _, epoch, _, seen, clock, mode, beat = f
        row.heard_at = now
        row.mode, row.clock = mode, clock
        if beat is not None:
            row.beat = beat
        if epoch != self._epoch:
            return self._unknown(now, row, f[0])
        if row.online == 0:
            row.online = _ONLINE
        if now - row.heartbeat_sent >= self.config.association.heartbeat_s // 2:
            self._beat(now, row)
        ledger = row.ledger
        if ledger.commands or seen:
            if seen != ledger.digest(digest):
                if now - ledger.changed_at > 5 and now >= row.resync_at:
                    row.resync_wait_s = min(3600, max(self.config.association.heartbeat_s, 2 * row.resync_wait_s))
                    row.resync_at = now + row.resync_wait_s
                    commands = ledger.send_now(now)
                    self.storage.add_log(now, row.key, "resync", f"{commands} commands sent again")
                    self._want_resend(now, row)
            else:
                row.resync_wait_s = 0
        if mode is not None and mode != MODE["controlled"] and now - row.mode_asked_at >= 30:
            self._take_control(now, row)
        return None

    def _status(self, now, row, f):
        if not row.registered:
            return self._unknown(now, row, f[0])
        if not self._event_number(now, row, f[1]):
            return None
        self.storage.add_status(row.key, row.generation, now, intake.named(intake.STATUS, f))
        if f[12] is not None and f[12] != self._epoch:
            return None
        row.heard_at = now
        command = row.ledger.status(now, f)
        if command is None:
            return None
        if command.state in FINAL:
            self._command_over(now, row, command)
        else:
            self.accounting.command_moved(now, row, command)
        self._want_resend(now, row)
        return None

    def _alarm(self, now, row, f):
        if not row.registered:
            return self._unknown(now, row, f[0])
        if self._event_number(now, row, f[1]):
            fields = intake.named(intake.ALARM, f)
            if f[3] == _STORE_FAULT and not f[4] and f[5] is not None and f[6] is not None and f[6] + f[5] - 1 == f[1]:
                row.events.lost(now, f[6], f[5])  # the gap record: events that the device could not keep
                self.storage.add_log(now, row.key, "events_lost", f"{f[5]} from {f[6]}")
            self.storage.add_alarm(row.key, row.generation, now, fields)
            if f[4]:
                row.alarms[f[3]] = f[2]
            else:
                row.alarms.pop(f[3], None)
        return None

    def _read_response(self, now, row, f):
        if not row.registered:
            return self._unknown(now, row, f[0])
        if self._event_number(now, row, f[1]):
            fields = intake.named(intake.READ_RESPONSE, f)
            self.storage.add_read(row.key, row.generation, now, fields)
            ask = row.asks.get(f[2])
            if ask is not None and ask.kind == "read":
                values = f[5]
                ask.parts.update(zip(values[::2], values[1::2], strict=False))
                if len(values) < _PART or len(ask.parts) >= len(ask.values["objects"]):
                    ask.result = {"reason": 0, "time": f[3], "values": ask.parts}
                    del row.asks[f[2]]
        return None

    def _interval(self, now, row, f):
        if not row.registered:
            return self._unknown(now, row, f[0])
        _, seq, start, minutes, scale, imports, quality, _register, exports, lost = f
        if lost is not None:
            row.intervals.lost(now, seq, lost)
            row.lost_intervals += lost
            self.storage.add_log(now, row.key, "intervals_lost", f"{lost} from {seq}")
        else:
            factor = 10**scale if scale >= 0 else None
            for n in row.intervals.take(now, seq, len(imports)):
                i = n - seq
                used = imports[i] * factor if factor else imports[i] / 10**-scale
                back = None
                if exports is not None and i < len(exports):
                    back = exports[i] * factor if factor else exports[i] / 10**-scale
                self.storage.add_interval(
                    row.key,
                    row.generation,
                    n,
                    start + i * minutes * 60,
                    minutes,
                    used,
                    back,
                    quality[i] if quality is not None and i < len(quality) else 0,
                )
        self._want_ack(now, row)
        self._watch_holes(now, row)
        return None

    def _register(self, now, row, f):
        if f[1] != row.eui_bytes:
            self.storage.add_log(now, row.key, "foreign_identity", f"registers as {f[1].hex()}")
            raise Refused(REASON["out_of_range"], f[0], 0, text=f"registers as {f[1].hex()}")
        values = intake.named(intake.REGISTER, f)
        boot = f[2]
        if row.boot is not None and boot < row.boot:
            if now - row.registered_at < _LATE_S:
                return
            row.generation += 1  # reset to factory: its streams begin anew
            row.events.__init__()
            row.intervals.__init__()
            self.storage.add_log(now, row.key, "factory_reset", f"boot count {row.boot} → {boot}")
        again = row.registered and row.boot == boot
        row.capability = Capability(values)
        row.registered, row.boot, row.registered_at, row.heard_at = True, boot, now, now
        row.tel_seq = -1
        row.online = _ONLINE
        if row.mode is None or not again:
            row.mode = MODE["init"]
        profile_name = row.capability.profile_name
        if row.device_class is None:
            row.device_class = profile_name
        answer = {
            "reason": 0,
            "boot": boot,
            "epoch": self._epoch,
            "time": now,
            "association": row.key & 0xFFFF,
            "version": d.VERSION,
            **self.config.registered(profile_name),
        }
        if row.events.upto is not None and row.events.upto >= 0:
            answer["events_upto"] = row.events.upto
        if row.intervals.upto is not None and row.intervals.upto >= 0:
            answer["intervals_upto"] = row.intervals.upto
        self._send(row, codec.encode("registered", answer))
        if not again:
            self.storage.add_log(now, row.key, "registered", f"boot {boot}")
            period = self.config.association.heartbeat_s
            self._want_beat(now + period + max(1, period // 8), row)
            for running in self.limits.values():
                if not running.closed and self._touches(running, row):
                    running.join(now, row)
                    self._want_split(now + 1, running)
            self._take_control(now, row)
            if self.series is not None and self.config.plan_prices:
                self._plan_device(now, row)

    def _update(self, now, row, f):
        if f[1] != row.eui_bytes:
            self.storage.add_log(now, row.key, "foreign_identity", f"updates {f[1].hex()}")
            raise Refused(REASON["out_of_range"], f[0], 0, text=f"updates {f[1].hex()}")
        if not row.registered:
            return self._unknown(now, row, f[0])
        row.capability = row.capability.updated(intake.named(intake.UPDATE, f))
        self._answer_to(now, row, f[0], REASON["none"])
        if self.series is not None and self.config.plan_prices:
            self._plan_device(now, row)
        return None

    def _unregister(self, now, row, f):
        if f[1] != row.eui_bytes:
            raise Refused(REASON["out_of_range"], f[0], 0, text=f"unregisters {f[1].hex()}")
        if row.registered:
            row.registered = False
            self.storage.add_log(now, row.key, "unregistered", f"reason {f[3]}")
        self._answer_to(now, row, f[0], REASON["none"])

    def _time(self, now, row, f):
        if f[2] is None:
            self._send(row, codec.encode("time", {"nonce": f[1], "time": now, "clock": _CLOCK_EMD}), needs_commit=False)

    def _answer(self, now, row, f):
        _, about, reason, ref, _position = f
        if ref is None:
            return
        if about % 32 == d.message("command").code:
            command = row.ledger.refused(now, ref, reason)
            if command is not None and command.state in FINAL:
                self._command_over(now, row, command)
        else:
            ask = row.asks.get(ref)
            if ask is not None and about % 32 == d.message(ask.kind).code:
                ask.result = {"reason": reason}
                del row.asks[ref]

    def _link(self, now, row, f):
        row.online = f[1]
        if f[1] == _ONLINE and row.registered:
            row.heard_at = now
            for command in row.ledger.commands.values():
                if command.unanswered:
                    command.next_send, command.tries = now, 0
            self._want_resend(now, row)

    def _ignore(self, now, row, f):
        row.heard_at = now

    # Refusals

    def _refuse(self, now, row, refused):
        row.hostile += 1
        row.last_error = str(refused)[:200]
        self._answer_to(now, row, max(0, refused.about), refused.reason, refused.ref, refused.position)

    def _answer_to(self, now, row, about, reason, ref=None, position=-1):
        if reason and now - row.answer_at < _ANSWER_S:
            return
        if reason:
            row.answer_at = now
        values = {"about": about, "reason": reason, "ref": ref if ref is None or 0 <= ref <= d.MAX_INT else None}
        if position >= 0:
            values["position"] = position
        self._send(row, codec.encode("answer", values), needs_commit=False)

    def _unknown(self, now, row, about):
        """A device that this EMD has not registered (or that knows another epoch): tell it, so that it registers."""
        if now - row.answer_at < _ANSWER_S:
            return
        row.answer_at = now
        body = cbor2.dumps([_HEARTBEAT_TYPE, self._epoch, now, 0, _CLOCK_EMD])
        self._send(row, body, needs_commit=False)
        self._send(row, codec.encode("answer", {"about": about, "reason": REASON["wrong_epoch"]}), needs_commit=False)

    # Heartbeats and control

    def _beat(self, now, row):
        row.heartbeat_sent = now
        body = [_HEARTBEAT_TYPE, self._epoch, now, row.ledger.digest(digest), _CLOCK_EMD]
        if row.beat is not None:
            body += (None, row.beat)
        self._send(row, cbor2.dumps(body), needs_commit=False)

    def _beat_due(self, now, row):
        if not row.registered:
            return
        period = self.config.association.heartbeat_s
        if now - row.heard_at > self.config.association.lease_s:
            row.registered = False
            self.storage.add_log(now, row.key, "lapsed", f"not heard for {now - row.heard_at} s")
            return
        if now - row.heartbeat_sent >= period:
            self._beat(now, row)
        # The device's own heartbeat is answered at once; this is for when it does not come.
        self._want_beat(row.heartbeat_sent + period + max(1, period // 8), row)

    def _take_control(self, now, row):
        """A device that is not controlled waits for a limit or an "unlimited": give it what holds now."""
        row.mode_asked_at = now
        ledger = row.ledger
        limits = [c for c in ledger.live_for("limit:") if c.begin <= now < c.end]
        if limits:
            for command in limits:
                ledger.revise(now, command)
        elif row.capability.serves("limit") or row.capability.serves("on_off"):
            free = ledger.live_for("unlimited")
            for command in free[1:]:
                ledger.revoke(now, command)
            if free and free[0].unanswered:
                free[0].next_send, free[0].tries = now, 0
            elif free:
                ledger.revise(now, free[0], issued=now, delay=0, duration=self.config.unlimited_s)
            else:
                ledger.issue(
                    now, kind=KIND["unlimited"], duration=self.config.unlimited_s, purpose="unlimited", priority=1
                )
        self._want_resend(now, row)

    def _too_cold(self, now, row):
        """The room is below the comfort band: nothing that saves goes on."""
        for command in row.ledger.live_for("price:save:"):
            if command.begin <= now:
                row.ledger.revoke(now, command)
                self.storage.add_log(now, row.key, "comfort", f"{row.room / 100} Cel: command {command.id} withdrawn")
                self._want_resend(now, row)

    # Sending

    def _send(self, row, body, needs_commit=True):
        row.bytes_out += len(body)
        row.messages_out += 1
        if needs_commit:
            self._outbox.append((row, row.eui, "cmd", body))
        else:
            self.out.send(row.eui, "cmd", body)

    def _flush(self, now):
        if self.storage.durable:
            self._commit(now)
        outbox, self._outbox = self._outbox, []
        for row, name, channel, body in outbox:
            if row is None:
                self.out.publish(name, channel, body)
            else:
                self.out.send(name, channel, body)

    def _commit(self, now):
        dirty, self._dirty = self._dirty, []
        storage = self.storage
        for row in dirty:
            row.dirty = False
            storage.put_device(row.record())
            for command in row.ledger.take_changed():
                storage.put_command(row.key, command.record())
        storage.commit()

    def _touched(self, row):
        if not row.dirty:
            row.dirty = True
            self._dirty.append(row)

    def _want_ack(self, now, row):
        if not row.ack_pending:
            row.ack_pending = True
            self._at(now + self.config.ack_delay_s, _ACK, row)

    def _ack(self, now, row):
        row.ack_pending = False
        body = [_ACK_TYPE, self._epoch]
        events, intervals = row.events.upto, row.intervals.upto
        if events is not None and events < 0:
            events = None
        if intervals is not None and intervals < 0:
            intervals = None
        if events is not None or intervals is not None:
            body.append(events)
            if intervals is not None:
                body.append(intervals)
            self._send(row, cbor2.dumps(body))

    def _event_number(self, now, row, seq):
        """Take number `seq` of the stream of events; False when it is known already."""
        events = row.events
        new = events.take(now, seq)
        if not row.ack_pending:
            self._want_ack(now, row)
        if events.ahead:
            self._watch_holes(now, row)
        return bool(new)

    def _watch_holes(self, now, row):
        if row.events.ahead or row.intervals.ahead:
            if row.watchdog_due is None or row.watchdog_due <= now:
                row.watchdog_due = now + 60
                self._at(row.watchdog_due, _SETTLE, row)

    def _want_resend(self, now, row):
        self._touched(row)
        due = row.ledger.next_due()
        if row.asks:
            first = min(ask.next_send for ask in row.asks.values())
            due = first if due is None else min(due, first)
        if due is not None and (row.resend_at is None or due < row.resend_at):
            row.resend_at = max(due, now)
            self._at(row.resend_at, _RESEND, row)

    def _resend(self, now, row):
        if row.resend_at is not None and row.resend_at > now:
            return
        row.resend_at = None
        ledger = row.ledger
        for command in ledger.expire(now):
            self._command_over(now, row, command)
        if row.registered:
            for command in ledger.due(now):
                self._send(row, codec.encode("command", command.message(self._epoch)))
        for ask in list(row.asks.values()):
            if ask.expires <= now:
                ask.result = {"reason": None}
                del row.asks[ask.id]
            elif ask.next_send <= now:
                ask.next_send = now + (5 << min(ask.tries, 6))
                ask.tries += 1
                values = {"epoch": self._epoch, "id": ask.id, "issued": ask.issued, **ask.values}
                self._send(row, codec.encode(ask.kind, values))
        self._want_resend(now, row)

    def _command_over(self, now, row, command):
        response = self.accounting.command_final(now, row, command)
        self._touched(row)
        if response is not None:
            self.storage.add_log(
                now, row.key, "response", f"command {command.id} {STATE_NAMES[command.state]}: {response}"
            )

    def _ask(self, now, device, kind, values, patience_s):
        row = self.devices[device]
        if not row.registered:
            raise KeyError(device)
        codec.encode(kind, {"epoch": self._epoch, "id": row.next_ask, "issued": now, **values})
        ask = Ask(row.next_ask, kind, values, now, patience_s)
        row.next_ask += 1
        row.asks[ask.id] = ask
        self._want_resend(now, row)
        return ask

    # Plans

    def _want_plan(self, now):
        if self._plan_due is None or self._plan_due > now:
            self._plan_due = now
            self._at(now, _PLAN, None)

    def _plan_all(self, now):
        if self.config.plan_prices and self.series is not None:
            for row in self.devices.values():
                if row.registered:
                    self._plan_device(now, row)
        self._plan_due = now + _PLAN_S - now % _PLAN_S
        self._at(self._plan_due, _PLAN, None)

    def _plan_device(self, now, row):
        """Bring the device's price commands in line with what the planner wants: issue, revise, revoke."""
        rules, ledger = self.config.rules, row.ledger
        day = 86400
        series = self.tariff.window(max(self.tariff.first, now - now % day - day), now + 2 * day)
        if series is None or series.end <= now:
            return
        wanted = [a for a in plan(row.capability, series, now, rules) if a.begin < now + rules.horizon_s]
        wanted = {a.purpose: a for a in wanted[: rules.max_live]}
        for command in ledger.live_for("price:"):
            action = wanted.pop(command.purpose, None)
            if action is None and command.begin <= now:  # what runs goes on; what is planned keeps its distance
                rest_s = row.capability.min_run or 0
                wanted = {
                    name: a for name, a in wanted.items() if a.begin >= command.end + rest_s or a.end <= command.begin
                }
            elif action is None:
                ledger.revoke(now, command)
            elif (command.kind, command.value, command.end) != (action.kind, action.value, action.end):
                ledger.revise(
                    now,
                    command,
                    kind=action.kind,
                    value=action.value,
                    value2=action.value2,
                    duration=max(1, action.end - command.begin if command.begin > now else action.end - now),
                )
        done = {c.purpose for c in ledger.history} | {c.purpose for c in ledger.commands.values()}
        for action in wanted.values():
            if action.purpose in done:
                continue  # ended early (refused, opted out of, withdrawn): not asked again
            begin = max(now, action.begin)
            ledger.issue(
                now,
                kind=action.kind,
                delay=begin - now,
                duration=action.end - begin,
                value=action.value,
                value2=action.value2,
                priority=action.priority,
                jitter=action.jitter,
                purpose=action.purpose,
            )
        self._want_resend(now, row)

    # Limit events

    def _touches(self, running, row):
        devices = running.event.devices
        return row.eui != self.config.site_meter and (devices is None or row.eui in devices)

    def base_w(self, now: int) -> float:
        """The power of what is no device: measured (site meter less devices) or as configured, W."""
        meter = self.devices.get(self.config.site_meter) if self.config.site_meter else None
        if meter is not None and meter.registered and now - meter.time < 900:
            return max(0, meter.power_w - sum(r.power_w for r in self.devices.values() if r is not meter))
        base = self.config.base_load
        return base(now) if callable(base) else base

    def _event_step(self, now, running):
        event, settings = running.event, self.config.split
        if running.closed or self.limits.get(event.id) is not running:
            return
        if now >= event.end:
            running.finish(now)
            self.storage.put_event(running.summary(now))
            return
        rows = [row for row in self.devices.values() if row.registered and self._touches(running, row)]
        base = self.base_w(now) if event.include_base else 0
        if running.meter is None and now >= event.start:
            running.begin(rows, base)
        running.base_moved(now, base)
        self._share(now, running, rows, base)
        self.storage.put_event(running.summary(now))
        self._want_split(min(event.start if now < event.start else event.end, now + settings.period_s), running)

    def _share(self, now, running, rows, base):
        event, settings = running.event, self.config.split
        new = shares(
            running, now, rows, base, settings, self.config.priorities, self.config.association.heartbeat_timeout_s
        )
        by_name = {row.eui: row for row in rows}
        # A raise waits until whoever gives has confirmed: what is not confirmed may still be drawn.
        old, high = running.shares, running.unconfirmed
        for key in list(high):
            if key not in by_name or confirmed(by_name[key], running.purpose):
                del high[key]
        for key, watts in new.items():
            if old.get(key, 0) > watts:
                high[key] = max(high.get(key, 0), old[key])
        free = event.limit_w - base
        used = sum(max(watts, high.get(key, 0)) for key, watts in new.items()) if now >= event.start else 0
        for key in sorted(new, key=lambda k: (new[k] - old.get(k, 0), k)):
            row, watts = by_name[key], new[key]
            have = old.get(key)
            if have is not None and watts > have and used > free:
                used -= watts - have
                watts = new[key] = have
            live = row.ledger.live_for(running.purpose)
            if have == watts and live:
                continue
            kind, value = command_for(row, watts)
            if kind is None:
                for command in live:
                    row.ledger.revoke(now, command)
            elif live:
                row.ledger.revise(
                    now,
                    live[0],
                    value=value,
                    issued=now,
                    delay=max(0, event.start - now),
                    duration=event.end - max(now, event.start),
                )
            else:
                for command in row.ledger.live_for("unlimited"):
                    if command.unanswered:  # a late copy of it must not lift this limit
                        row.ledger.revoke(now, command)
                row.ledger.issue(
                    now,
                    kind=kind,
                    value=value,
                    delay=max(0, event.start - now),
                    duration=event.end - max(now, event.start),
                    priority=settings.priority,
                    purpose=running.purpose,
                )
            if have != watts:
                running.moved_at[key] = now
                running.moves += 1
            self._want_resend(now, row)
        running.shares = new

    def _want_split(self, due, running):
        if running.due is None or due < running.due:
            running.due = due
            self._at(due, _SPLIT, running)

    def _want_beat(self, due, row):
        row.beat_due = due
        self._at(due, _HEARTBEAT, row)

    def _at(self, due, kind, what):
        self._count += 1
        heapq.heappush(self._timers, (due, self._count, kind, what))
