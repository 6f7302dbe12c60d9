"""The conversation with one device: heartbeats, control, acknowledgements, resending, questions, refusals."""

import cbor2

from spot.wire.profile import digest
from spot_host.emd.intake import REASON
from spot_host.emd.kernel import ACK, HEARTBEAT, RESEND, SETTLE, Kernel
from spot_host.emd.ledger import KIND, KIND_NAMES
from spot_host.profile import codec
from spot_host.profile import definition as d

_LIMITS = (KIND["limit"], KIND["limit_percent"])
_WARM = 100  # 0.01 Cel above the comfort band that stored heat may reach
_ANSWER_S = 5  # a device gets one refusal in so many seconds
CLOCK_EMD = next(code for code, name, _ in d.enum("Clock").rows if name == "emd")
_HEARTBEAT_TYPE, _ACK_TYPE = d.message("heartbeat").code, d.message("ack").code
_KIND_VALUES = {row[0]: row for row in d.KIND_VALUES}


def _words(response):
    """What came of a command, for a person: `Accounting.command_final` in a sentence."""
    text = f"command {response['id']} ({KIND_NAMES[response['kind']]}, {response['purpose']}) {response['state']}"
    parts = []
    if "device_says_wh" in response:
        parts.append(f"{response['device_says_wh']} Wh saved by what the device says")
    if "measured_wh" in response:
        parts.append(f"{response['measured_wh']:.1f} Wh by its readings")
    if "response_s" in response:
        parts.append(f"there after {response['response_s']} s")
    return f"{text} after {max(0, response['end'] - response['start'])} s" + (f": {', '.join(parts)}" if parts else "")


def check_values(kind, value, value2):
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
    """A read, configure, rekey, read_log or calibrate that waits for its answer."""

    __slots__ = ("id", "kind", "values", "issued", "expires", "next_send", "tries", "parts", "result")

    def __init__(self, id_, kind, values, now, patience_s):
        self.id, self.kind, self.values, self.expires = id_, kind, values, now + patience_s
        self.issued = self.next_send = now
        self.tries, self.parts, self.result = 0, {}, None

    def wire(self, epoch):
        """The fields of its message."""
        values = {"epoch": epoch, "id": self.id, **self.values}
        return values if self.kind == "rekey" else {**values, "issued": self.issued}


class Control(Kernel):
    """What the EMD says to a device without being told to by a plan or a person."""

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
        body = cbor2.dumps([_HEARTBEAT_TYPE, self._epoch, now, 0, CLOCK_EMD])
        self._send(row, body, needs_commit=False)
        self._send(row, codec.encode("answer", {"about": about, "reason": REASON["wrong_epoch"]}), needs_commit=False)

    def _beat(self, now, row):
        row.heartbeat_sent = now
        body = [_HEARTBEAT_TYPE, self._epoch, now, row.ledger.digest(digest), CLOCK_EMD]
        if row.beat is not None:
            body += (None, row.beat)
        self._send(row, cbor2.dumps(body), needs_commit=False)

    def _want_beat(self, due, row):
        row.beat_due = due
        self._at(due, HEARTBEAT, row)

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
        limits = [c for c in ledger.live_for("") if c.kind in _LIMITS and c.begin <= now < c.end]
        if limits:
            for command in limits:
                ledger.revise(now, command)
        else:
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

    def _comfort(self, now, row):
        """The room is outside the comfort band: nothing that drives it further out goes on."""
        room, c = row.room, row.capability
        if c.comfort_low is not None and room < c.comfort_low:
            wrong = ("price:save:",)
        elif c.comfort_high is not None and room > c.comfort_high + _WARM:
            wrong = ("price:store:", "price:use:")
        else:
            return
        for command in [x for purpose in wrong for x in row.ledger.live_for(purpose) if x.begin <= now]:
            row.ledger.revoke(now, command)
            self.storage.add_log(now, row.key, "comfort", f"{room / 100} Cel: command {command.id} withdrawn")
            self._want_resend(now, row)

    def _want_ack(self, now, row):
        if not row.ack_pending:
            row.ack_pending = True
            self._at(now + self.config.ack_delay_s, ACK, row)

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
        row.heard_at = now
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
                self._at(row.watchdog_due, SETTLE, row)

    def _want_resend(self, now, row):
        self._touched(row)
        due = row.ledger.next_due(row.registered)  # to one that is not there nothing goes
        if row.asks:
            first = min(ask.next_send for ask in row.asks.values())
            due = first if due is None else min(due, first)
        if due is not None and (row.resend_at is None or due < row.resend_at):
            row.resend_at = max(due, now)
            self._at(row.resend_at, RESEND, row)

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
                self._send(row, codec.encode(ask.kind, ask.wire(self._epoch)))
        self._want_resend(now, row)

    def _command_over(self, now, row, command):
        response = self.accounting.command_final(now, row, command)
        self._touched(row)
        if response is not None:
            self.storage.add_log(now, row.key, "response", _words(response))

    def _ask(self, now, device, kind, values, patience_s):
        row = self.devices[device]
        if not row.registered:
            raise KeyError(device)
        ask = Ask(row.next_ask, kind, values, now, patience_s)
        codec.encode(kind, ask.wire(self._epoch))
        row.next_ask += 1
        row.asks[ask.id] = ask
        self._want_resend(now, row)
        return ask
