"""The EMD's half of the command ledger: what was asked of one device, and what the device said became of it."""

from collections import deque

from spot_host.profile import definition as d

KIND = {name: code for code, name, _ in d.enum("Kind").rows}
STATE = {name: code for code, name, _ in d.enum("State").rows}
KIND_NAMES = {code: name for name, code in KIND.items()}
STATE_NAMES = {code: name for name, code in STATE.items()}
REASON_NAMES = {code: name for code, name, _ in d.enum("Reason").rows}

# The EMD's own words for what no device has said. They never go on a wire.
PENDING, UNANSWERED, UNREPORTED = 0, 100, 101
STATE_NAMES.update({PENDING: "pending", UNANSWERED: "unanswered", UNREPORTED: "unreported"})

LIVE = frozenset(STATE[n] for n in ("received", "started", "opted_out", "opted_in", "partly", "scheduled", "waiting"))
RUNNING = frozenset((STATE["started"], STATE["partly"]))
FINAL = frozenset(STATE[n] for n in ("completed", "cancelled", "superseded", "rejected", "expired", "aborted")) | {
    UNANSWERED,
    UNREPORTED,
}

RESEND_FIRST_S, RESEND_MAX_S = 10, 300
_NOT_YET = frozenset(code for code, name, _ in d.enum("Reason").rows if name in ("wrong_epoch", "no_time", "other_emd"))
REPORT_GRACE_S = 3600  # a device that was away may report the end of a command so much later
_HISTORY = 32

FIELDS = (
    "id",
    "revision",
    "priority",
    "kind",
    "issued",
    "delay",
    "duration",
    "value",
    "value2",
    "after",
    "ramp",
    "jitter",
    "offer",
)
OUTCOME = ("state", "reason", "start", "power", "effective_duration", "energy", "energy_without", "response")


class Command:
    """One command: the fields of the message, what it is for, and the last status. Times are Unix seconds."""

    __slots__ = (
        FIELDS
        + OUTCOME
        + (
            "slots",
            "purpose",
            "status_seq",
            "tries",
            "next_send",
            "revoked",
            "final_at",
            "base_w",
            "energy_at_start",
            "energy_at_end",
            "held_until",
        )
    )

    def __init__(self, **values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))
        self.state = values.get("state", PENDING)
        self.reason = values.get("reason", 0)
        self.tries = values.get("tries", 0)
        self.revoked = values.get("revoked", False)
        self.status_seq = values.get("status_seq", -1)

    @property
    def begin(self) -> int:
        return self.issued + self.delay

    @property
    def end(self) -> int:
        return self.issued + self.delay + self.duration

    @property
    def matters_until(self) -> int:
        """The end; of a revision without an answer that of an earlier one, if that is later: the device may hold it."""
        return max(self.end, self.held_until or 0) if self.next_send is not None else self.end

    @property
    def unanswered(self) -> bool:
        """The device has said nothing about this revision yet."""
        return self.next_send is not None

    def message(self, epoch: int) -> dict:
        """The values of the `command` message; a revoked one repeats start and duration with kind `revoke`."""
        values = {name: getattr(self, name) for name in FIELDS if getattr(self, name) is not None}
        values["epoch"] = epoch
        if self.revoked:
            values["kind"] = KIND["revoke"]
            for name in ("value", "value2", "after", "ramp", "jitter", "offer"):
                values.pop(name, None)
        elif self.slots:
            values["slots"] = list(self.slots)
        return values

    def record(self) -> dict:
        """All that is kept of it, for storage."""
        return {name: getattr(self, name) for name in self.__slots__}


class Ledger:
    """The commands of one device. `changed` is set whenever one must be stored again."""

    __slots__ = ("commands", "history", "next_id", "changed", "changed_at", "_digest")

    def __init__(self, next_id: int = 1, records=()):
        self.commands, self.history = {}, deque(maxlen=_HISTORY)
        self.next_id, self.changed, self.changed_at, self._digest = next_id, [], 0, None
        for record in records:
            command = Command(**record)
            self.next_id = max(self.next_id, command.id + 1)
            if command.state in FINAL:
                self.history.append(command)
            else:
                self.commands[command.id] = command

    def issue(self, now: int, **values) -> Command:
        """A new command, to be sent at once. Values as in the message, with `purpose`; `delay` defaults to 0."""
        values.setdefault("delay", 0)
        values.setdefault("issued", now)
        command = Command(id=self.next_id, revision=0, next_send=now, **values)
        self.next_id += 1
        self.commands[command.id] = command
        self._touch(now, command)
        return command

    def revise(self, now: int, command: Command, **changes) -> Command:
        """Change a live command by a higher revision; after revision 255 a new id takes its place."""
        if command.revision >= 255:
            values = {n: getattr(command, n) for n in FIELDS + ("slots", "purpose") if n not in ("id", "revision")}
            begin = max(now, command.begin)
            values.update(issued=now, delay=begin - now, duration=max(1, command.end - begin))
            values.update(changes)
            self.revoke(now, command)
            return self.issue(now, **values)
        end, begin = command.end, command.begin
        command.held_until = max(end, command.held_until or 0)
        command.revision += 1
        command.issued, command.delay = now, max(0, begin - now)
        command.duration = max(1, end - command.begin)
        for name, value in changes.items():
            setattr(command, name, value)
        command.next_send, command.tries = now, 0
        self._touch(now, command)
        return command

    def revoke(self, now: int, command: Command) -> None:
        """Withdraw it. It stays in the ledger until the device confirms, or its end."""
        if command.revoked or command.state in FINAL:
            return
        command.revoked = True
        command.revision = min(255, command.revision + 1)
        command.next_send, command.tries = now, 0
        self._touch(now, command)

    def refused(self, now: int, id_: int, reason: int) -> Command | None:
        """The device answered a command with a refusal instead of a status.

        One that only means "not yet" (no association heard of, no time), or that answers another EMD's command of the
        same number, leaves it to the next sending. So does one of a revoke: until that is
        confirmed, or the end, the device may hold the command.
        """
        command = self.commands.get(id_)
        if command is not None and command.unanswered and not command.revoked and reason not in _NOT_YET:
            command.status_seq = -1  # a status that says otherwise counts more
            self._set(now, command, STATE["rejected"], reason)
        return command

    def status(self, now: int, row: list) -> Command | None:
        """Take a status (fields in the order of the table). The command it changed, or None."""
        _, seq, id_, revision, state, reason, start, power, duration, energy, without, response, _epoch = row[:13]
        command = self.commands.get(id_)
        if command is None:
            command = next((c for c in self.history if c.id == id_), None)
            if command is None or not (command.state in (UNANSWERED, UNREPORTED) or command.status_seq < 0):
                return None
        if seq <= command.status_seq:
            return None
        ended = state in FINAL and state != STATE["superseded"]
        if revision != command.revision:
            # An earlier revision's end counts where it came before the revoke, or no later one can arrive any more.
            before_revoke = command.revoked and revision + 1 == command.revision
            if not ended or not (before_revoke or (revision < command.revision and command.matters_until <= now)):
                return None
        command.status_seq = seq
        command.start, command.power = start if start is not None else command.start, power
        command.effective_duration = duration if duration is not None else command.effective_duration
        if energy is not None:
            command.energy = energy
        if without is not None:
            command.energy_without = without
        if response is not None:
            command.response = response
        if not (command.revoked and state not in FINAL):  # "received" of a revoke is only its cancellation
            command.next_send = None
        self._set(now, command, state, reason)
        return command

    def send_now(self, now: int) -> int:
        """Have every command that the device may not hold sent again (a resynchronisation); how many."""
        n = 0
        for command in self.commands.values():
            if command.matters_until > now:
                command.next_send, command.tries, n = now, 0, n + 1
        return n

    def due(self, now: int) -> list:
        """Commands to send now, their next time of sending moved on with back-off. What has ended is not sent."""
        ready = []
        for command in list(self.commands.values()):
            if command.next_send is None or command.next_send > now:
                continue
            if command.matters_until <= now:
                command.next_send = None
                if command.state == PENDING:
                    self._set(now, command, UNANSWERED, 0)
                continue
            command.next_send = now + min(RESEND_MAX_S, RESEND_FIRST_S << min(command.tries, 10))
            command.tries += 1
            ready.append(command)
        return ready

    def next_due(self, sending: bool = True) -> int | None:
        """When `due` (unless nothing is being sent) or `expire` has something to do, None when never."""
        return min(
            (
                c.next_send if sending and c.next_send is not None else self._expires(c)
                for c in self.commands.values()
            ),
            default=None,
        )

    def _expires(self, command):
        return command.matters_until + (REPORT_GRACE_S if command.state != PENDING else 0)

    def expire(self, now: int) -> list:
        """Close what ended without a word of its end."""
        gone = [c for c in self.commands.values() if self._expires(c) <= now]
        for command in gone:
            self._set(now, command, UNANSWERED if command.state == PENDING else UNREPORTED, command.reason)
        return gone

    def live_for(self, prefix: str) -> list:
        """Commands that are not over or being withdrawn and whose purpose starts with `prefix`."""
        return [c for c in self.commands.values() if not c.revoked and (c.purpose or "").startswith(prefix)]

    def pairs(self) -> list:
        """(id, revision) of what the device should hold live, ascending."""
        return sorted((c.id, c.revision) for c in self.commands.values() if c.state in LIVE and not c.revoked)

    def digest(self, function) -> int:
        """The digest of `pairs` by the profile's function, computed once for each change."""
        if self._digest is None:
            self._digest = function(self.pairs())
        return self._digest

    def take_changed(self) -> list:
        """Commands to be stored since the last call."""
        changed, self.changed = self.changed, []
        return changed

    def _set(self, now, command, state, reason):
        command.state, command.reason = state, reason
        if state in FINAL:
            command.next_send, command.final_at = None, now
            if self.commands.pop(command.id, None) is not None:
                self.history.append(command)
        elif command.id not in self.commands:  # the late word about one that was given up
            self.commands[command.id] = command
        self._touch(now, command)

    def _touch(self, now, command):
        self._digest = None
        self.changed_at = now
        if command not in self.changed:
            self.changed.append(command)
