"""What a test has in its hands: the device under test, through a real EMD."""

from typing import NamedTuple

from spot.codes import EPOCH_UNIX
from spot_host.emd.ledger import FINAL, STATE_NAMES
from spot_host.emd.registry import MODE_NAMES
from spot_host.profile import definition as d

from .target import HEARTBEAT_S

REASONS = {code: name for code, name, _ in d.enum("Reason").rows}
_OBJECTS = {name: number for number, _, name, *_ in d.OBJECTS}
_NAMES = {number: name for name, number in _OBJECTS.items()}
_ALARMS = {code: name for code, name, _ in d.enum("Alarm").rows}
_SWITCH = {name: 1 << bit for bit, name, _ in d.enum("Switch").rows}
_FINAL = frozenset(STATE_NAMES[code] for code in FINAL)
_ANSWER_S = 30


class Issued:
    """A command that the EMD has issued: `id`, and what the device said of it."""

    def __init__(self, dut, command, at):
        self._dut, self._command, self.id, self.at = dut, command, command.id, at
        self._since = dut.position

    @property
    def statuses(self) -> list:
        """Status messages as they were said, repetitions left out: dicts of the profile's fields, with `state` and
        `reason` as words."""
        out, seen = [], set()
        for packet in self._dut.messages("status", since=self._since):
            v = packet.values
            if v["id"] == self.id and v["seq"] not in seen:
                seen.add(v["seq"])
                out.append({**v, "state": STATE_NAMES[v["state"]], "reason": REASONS[v["reason"]], "at": packet.at})
        return out

    @property
    def states(self) -> list:
        return [status["state"] for status in self.statuses]

    def wait(self, state: str, within_s: float) -> dict:
        """The first status with this state, waited for."""
        found = self._dut.wait_for(
            lambda: next((s for s in self.statuses if s["state"] == state), None), within_s,
            lambda: f"command {self.id} {state}; it was {', '.join(self.states) or 'never answered'}",
        )
        return found

    def end(self, within_s: float) -> dict:
        """The final status, waited for."""
        return self._dut.wait_for(
            lambda: next((s for s in self.statuses if s["state"] in _FINAL), None), within_s,
            lambda: f"the end of command {self.id}; it was {', '.join(self.states) or 'never answered'}",
        )

    def revoke(self) -> None:
        """Withdraw it."""
        self._dut.target.core.revoke(self._dut.now, self._dut.eui, self.id)
        self._dut.turn()


class Dut:
    """The device under test. Seconds are the target's own; times are Unix seconds."""

    def __init__(self, target):
        self.target = target
        self.eui = target.eui

    # Time

    @property
    def now(self) -> int:
        return self.target.now

    def turn(self) -> None:
        """Let what waits be carried."""
        self.target.core.step(self.now)
        self.target.advance(0)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self.target.advance(min(self.target.step_s, end - self.now))

    def wait_for(self, what, within_s: float, why=None):
        """Let time pass until `what` is so: a function whose truth is returned, or a word of `is_so`.

        AssertionError, with how things stand, when it is not within `within_s` (times the target's patience).
        """
        __tracebackhide__ = True
        if isinstance(what, str):
            word, what = what, lambda: self.is_so(word)
            why = why or word
        end = self.now + within_s * self.target.patience
        while not (found := what()):
            if self.now >= end:
                text = why() if callable(why) else why or "so"
                raise AssertionError(f"{self.target}: not within {within_s} s: {text}\n{self.situation()}")
            self.target.advance(self.target.step_s)
        return found

    def is_so(self, word: str) -> bool:
        """One of: registered, unregistered; init, controlled, failsafe, autonomous; open, closed (its contact);
        tripped, override (by its last reading)."""
        row = self.target.row
        if word == "registered":
            return row is not None and row.registered
        if word == "unregistered":
            return row is None or not row.registered
        if word in MODE_NAMES.values():
            return self.mode == word
        if word in ("open", "closed"):
            return self.closed == (word == "closed")
        if word in _SWITCH:
            return bool((row.switch or 0) & _SWITCH[word])
        raise ValueError(f"{word}: no such state")

    def situation(self) -> str:
        """How things stand, in a line or two."""
        row = self.target.row
        if row is None:
            return "the EMD has never heard of it"
        live = {c.id: STATE_NAMES[c.state] for c in row.ledger.commands.values()}
        return (f"mode {self.mode}, {'closed' if self.closed else 'open'}, {row.power_w} W, switch {row.switch}, "
                f"heard {self.now - row.heard_at} s ago, commands {live}, alarms {sorted(self.alarms)}")

    # State

    @property
    def row(self):
        """The EMD's row of it (spot_host.emd.registry.Device)."""
        return self.target.row

    @property
    def capability(self):
        """What it registered."""
        return self.row.capability

    @property
    def mode(self) -> str:
        """As its latest heartbeat says; None until the EMD has heard one since the last disturbance."""
        return MODE_NAMES.get(self.target.mode)

    @property
    def closed(self) -> bool:
        """The contact: by the read-back, where there is one, else as the device says."""
        return self.target._closed()

    @property
    def alarms(self) -> set:
        """Words of what is raised."""
        return {_ALARMS[code] for code in self.row.alarms}

    @property
    def reference_w(self) -> float:
        """Power by the reference meter."""
        return self.target.power_w()

    @property
    def position(self) -> int:
        """For `messages(since=…)`: now."""
        return self.target.record.position

    def messages(self, name: str, way: str = "up", since: int = 0) -> list:
        """Packets (record.Packet) of one message."""
        return self.target.record.messages(name, way, since)

    def reading(self, within_s: float = 30) -> dict:
        """The next telemetry message."""
        since = self.position
        self.wait_for(lambda: self.messages("telemetry", since=since), within_s, "a telemetry message")
        return self.messages("telemetry", since=since)[-1].values

    # Doing

    def command(self, kind: str, duration: int, **values) -> Issued:
        """A command of the EMD's: kind and values as in the profile's `command` message."""
        core, now = self.target.core, self.now
        command = core.command(now, self.eui, kind, duration=duration, **values)
        issued = Issued(self, command, now)
        self.turn()
        return issued

    def read(self, *names: str) -> dict:
        """{name: value} of objects, as the device answers; `clock` in Unix seconds. One that it has not is left out."""
        ask = self.target.core.read(self.now, self.eui, [_OBJECTS[name] for name in names])
        result = self._answer(ask, f"read of {', '.join(names)}")
        if result.get("reason"):
            raise AssertionError(f"{self.target}: read refused: {REASONS[result['reason']]}")
        values = {_NAMES[number]: value for number, value in result["values"].items()}
        if "clock" in values:
            values["clock"] += EPOCH_UNIX
        return values

    def configure(self, **values: int) -> str:
        """Writes objects by name; the reason with which the device answers ("none": done)."""
        pairs = [x for name, value in values.items() for x in (_OBJECTS[name], value)]
        ask = self.target.core.configure(self.now, self.eui, pairs)
        return REASONS[self._answer(ask, f"configure {', '.join(values)}")["reason"]]

    def log(self, record: int = 0) -> str:
        """The text of the device's log (0) or of its latest failure (1)."""
        text, first = "", 0
        for _ in range(64):
            got = self._answer(self.target.core.read_log(self.now, self.eui, record, first), "a log")
            if got.get("reason"):
                raise AssertionError(f"{self.target}: no log: {REASONS[got['reason']]}")
            part = got["text"]
            text += part.decode(errors="replace") if isinstance(part, bytes) else part
            if got["next"] <= first or not part:
                break
            first = got["next"]
        return text

    def _answer(self, ask, what):
        self.turn()
        return self.wait_for(lambda: ask.result, _ANSWER_S, f"an answer to {what}")

    def restart(self) -> None:
        """Start afresh, by its own object `restart`; returns when it has registered again."""
        boot = self.row.boot
        assert self.configure(restart=1) == "none"
        self.back(boot)

    def back(self, boot: int, within_s: float = 120) -> None:
        """Wait until it is there again after a start that had the number `boot`, and under control."""
        self.wait_for(lambda: self.row.boot != boot, within_s, "a registration with a new boot count")
        self.wait_for("controlled", 60 + HEARTBEAT_S)


class Interval(NamedTuple):
    """One interval reading: its number, start (Unix s), imported energy by its scale, quality flags."""

    number: int
    start: int
    imported: int
    quality: int


class Emd:
    """The EMD beside the device: `core` (spot_host.emd.core.EmdCore)."""

    def __init__(self, target):
        self._target = target

    @property
    def core(self):
        return self._target.core

    @property
    def silent(self) -> bool:
        """While True it neither hears nor speaks."""
        return self._target.silent

    @silent.setter
    def silent(self, silent):
        self._target.record.event(self._target.now, f"test: EMD {'silent' if silent else 'there again'}")
        self._target.silent = silent

    def raw(self, body: bytes) -> None:
        """Any octets to the device, as if the EMD had sent them."""
        self._target.raw(body)
        self._target.advance(0)

    @property
    def intervals(self) -> list:
        """Each Interval that the device has reported, by number; copies left out."""
        rows = {}
        for packet in self._target.record.messages("interval"):
            v = packet.values
            if "lost" not in v:
                quality = v.get("quality", b"")
                for i, wh in enumerate(v["import_series"]):
                    flags = quality[i] if i < len(quality) else 0
                    rows[v["seq"] + i] = Interval(v["seq"] + i, v["start"] + 60 * v["length"] * i, wh, flags)
        return [rows[number] for number in sorted(rows)]


class Console:
    """What the board printed since the test began."""

    def __init__(self, target):
        self._target = target

    @property
    def lines(self) -> list:
        self._target.gather()
        return self._target.record.since_mark("console")


class Faults:
    """What a bench can do to a device. A test asks for the feature by its marker first."""

    def __init__(self, target):
        self._target = target

    def cut_power(self, seconds: float = 2) -> None:
        """Feature power_cut. Returns when the power is back."""
        self._target.cut_power(seconds)

    def cut_link(self) -> None:
        """Feature link_cut."""
        self._target.cut_link(True)

    def restore_link(self) -> None:
        self._target.cut_link(False)

    def cut_wifi(self, cut: bool = True) -> None:
        """Feature wifi_cut."""
        self._target.cut_wifi(cut)

    def load(self, watts: int) -> None:
        """Feature load."""
        self._target.set_load(watts)

    def press(self, seconds: float = 0.2) -> None:
        """Feature button."""
        self._target.press(seconds)


class Broker:
    """Feature broker."""

    def __init__(self, target):
        self._target = target

    def stop(self) -> None:
        self._target.cut_link(True)

    def start(self) -> None:
        self._target.cut_link(False)
