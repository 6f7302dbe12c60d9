"""One handler for each message that a device may send. `f` is a row as `intake.fields` gives it."""

from spot.wire.profile import digest
from spot_host.emd import intake
from spot_host.emd.control import CLOCK_EMD
from spot_host.emd.intake import REASON, Refused
from spot_host.emd.ledger import FINAL
from spot_host.emd.local_time import told, zone_of
from spot_host.emd.planning import Planning
from spot_host.emd.registry import MODE, Capability
from spot_host.profile import codec
from spot_host.profile import definition as d

_LATE_S = 600  # a registration with a lower boot count within so long is a late copy
_CLOCK_HOLDOVER = next(code for code, name, _ in d.enum("Clock").rows if name == "holdover")
_ONLINE = next(code for code, name, _ in d.enum("Online").rows if name == "online")
_ALARM = {name: code for code, name, _ in d.enum("Alarm").rows}
_STORE_FAULT, _OUTAGE, _RESTORE = _ALARM["store_fault"], _ALARM["outage"], _ALARM["restore"]
_PART = 20  # numbers in a read response that more may follow


class Messages(Planning):
    """The handlers, by type in `_handlers`. They raise Refused for what only its content shows to be wrong."""

    def __init__(self, config, storage, out, now):
        super().__init__(config, storage, out, now)
        self._zone_told, self._zone_from, self._zone_until = {}, 0, 0
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
            intake.FORECAST: self._forecast,
            intake.LOG: self._log_lines,
            intake.REGISTERS: self._registers,
            intake.OFFER: self._ignore,
            intake.PIECE: self._piece,
        }

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
            self._comfort(now, row)
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
        if row.zone_until is not None and now >= row.zone_until:
            self._tell_plan(now, row)
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
        fields = intake.named(intake.STATUS, f)
        self.storage.add_status(row.key, row.generation, now, fields)
        if f[12] is not None and f[12] != self._epoch:
            return None
        row.heard_at = now
        if self.updates.status(now, row, fields):
            return None
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
            self._alarm_state(row, f)
            if f[4]:
                self.updates.alarm(now, row, f[3], f[5])
        return None

    def _alarm_state(self, row, f):
        """What is raised now. Restore ends outage; a late copy of what came before changes nothing."""
        _, seq, at, code, raised, *_ = f
        about = _OUTAGE if code == _RESTORE else code
        if seq < row.alarm_seqs.get(about, -1):
            return
        row.alarm_seqs[about] = seq
        if raised and code != _RESTORE:
            row.alarms[about] = at
        else:
            row.alarms.pop(about, None)

    def _registers(self, now, row, f):
        if not row.registered:
            return self._unknown(now, row, f[0])
        if self._event_number(now, row, f[1]):
            self.storage.add_registers(row.key, row.generation, now, intake.named(intake.REGISTERS, f))
        return None

    def _piece(self, now, row, f):
        if not row.registered:
            return self._unknown(now, row, f[0])
        row.heard_at = now
        self.updates.piece(now, row, f)
        return None

    def _log_lines(self, now, row, f):
        row.heard_at = now
        ask = row.asks.get(f[1])
        if ask is not None and ask.kind == "read_log" and f[2] == ask.values["record"]:
            ask.result = {"reason": 0, "boot": f[3], "first": f[4], "next": f[5], "text": f[6]}
            del row.asks[f[1]]

    def _forecast(self, now, row, f):
        row.heard_at = now
        if row.registered:
            _, revision, start, minutes, scale, series = f
            row.forecast = {"revision": revision, "start": start, "interval_min": minutes, "at": now,
                            "power_w": [round(v * 10**scale) for v in series]}

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
                    ask.result = {"reason": 0, "time": f[3], "values": ask.parts, "event": f[1], "clock": f[4]}
                    del row.asks[f[2]]
        return None

    def _interval(self, now, row, f):
        if not row.registered:
            return self._unknown(now, row, f[0])
        _, seq, start, minutes, scale, imports, quality, _register, exports, lost = f
        row.heard_at = now
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
        if row.boot != boot:  # it tells anew what is raised; an outage ends with its restore
            row.alarms = {code: at for code, at in row.alarms.items() if code == _OUTAGE}
        row.capability = Capability(values)
        row.registered, row.boot, row.registered_at, row.heard_at = True, boot, now, now
        if not again:
            self.signed.joined(now)
        row.tel_seq = -1
        row.online = _ONLINE
        if row.mode is None or not again:
            row.mode = MODE["init"]
        profile_name = row.capability.profile_name
        if row.device_class is None:
            row.device_class = profile_name
        self._tell_plan(now, row)
        self.updates.registered(now, row)
        if not again:
            self.storage.add_log(now, row.key, "registered", f"boot {boot}")
            period = self.config.association.heartbeat_s
            self._want_beat(now + period + max(1, period // 8), row)
            for running in self.limits.values():
                if not running.closed and self._touches(running, row):
                    running.join(now, row)
                    self._want_split(max(now + 1, running.event.start - self.config.split.lead_s), running)
            self._take_control(now, row)
            if self.series is not None and self.config.plan_prices:
                self._plan_device(now, row)

    def _tell_plan(self, now, row):
        """What a device is told at registration, and again when the clocks have been changed."""
        if not self._zone_from <= now < self._zone_until:  # a search of some hundred steps
            self._zone_told = told(zone_of(self.config.time_zone), now)
            self._zone_from, self._zone_until = now, self._zone_told.get("zone_change", now + 86400)
        row.zone_until = self._zone_told.get("zone_change")
        answer = {
            "reason": 0,
            "boot": row.boot,
            "epoch": self._epoch,
            "time": now,
            "association": row.key & 0xFFFF,
            "version": d.VERSION,
            **self.config.registered(row.capability.profile_name),
            **self._zone_told,
        }
        if row.events.upto is not None and row.events.upto >= 0:
            answer["events_upto"] = row.events.upto
        if row.intervals.upto is not None and row.intervals.upto >= 0:
            answer["intervals_upto"] = row.intervals.upto
        self._send(row, codec.encode("registered", answer))

    def _update(self, now, row, f):
        if f[1] != row.eui_bytes:
            self.storage.add_log(now, row.key, "foreign_identity", f"updates {f[1].hex()}")
            raise Refused(REASON["out_of_range"], f[0], 0, text=f"updates {f[1].hex()}")
        if not row.registered:
            return self._unknown(now, row, f[0])
        row.capability = row.capability.updated(intake.named(intake.UPDATE, f))
        self._answer_to(now, row, f[0], REASON["none"])
        self.updates.registered(now, row)
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
            self._send(row, codec.encode("time", {"nonce": f[1], "time": now, "clock": CLOCK_EMD}), needs_commit=False)

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
