"""A bench for tests of whole worlds: small scenarios, every message held against the CDDL, and what one may ask
afterwards.
"""

from spot_host.emd.ledger import KIND
from spot_host.profile import codec
from spot_host.profile import definition as d
from spot_host.profile.cddl import validator
from spot_sim import scenario
from spot_sim.fleet import World

CODES = {name: code for code, name, *_ in d.CHANNELS}
STATES = {code: name for code, name, _ in d.enum("State").rows}
MODES = {code: name for code, name, _ in d.enum("Mode").rows}
DECIDERS = {code: name for code, name, _ in d.enum("Decider").rows}
ALARMS = {code: name for code, name, _ in d.enum("Alarm").rows}
HOUR, DAY = 3600, 86400
_VALID = set()  # bodies that were held against the CDDL before

LINK = "mqtt"  # of devices that do not say theirs; the fixture each_link sets it
ALWAYS_CHARGING = {"rated_w": 2300, "need_kwh": [100, 101], "at_home_share": 1.0}  # from the first afternoon on


def build(devices, **tables):
    """A Scenario of 2024-12-12 from the content of a file. devices: list of tables, or (kind, count)."""
    rows = [dict(one) if isinstance(one, dict) else {"kind": one[0], "count": one[1]} for one in devices]
    for row in rows:
        row.setdefault("link", LINK)
    return scenario.from_dict({"day": "2024-12-12", "devices": rows, **tables}, "test.toml")


class Lab(World):
    """A World that notes what is said and moved.

    `said`: (second, "up" or "down", EUI, Message); `edges`: (second, device's name, actuator, value); `modes`:
    (second, name, mode) as the heartbeats say. `drop(direction, eui, message)`: True loses a message on the way down
    to a device.
    """

    def __init__(self, scenario_, **options):
        self.said, self.edges, self.modes = [], [], []
        self.drop = None
        super().__init__(scenario_, **options)
        self.watchers.append(self._note)
        self.network.taps.append(self._check)

    def _check(self, _direction, _name, _channel, body):
        if body not in _VALID:
            validator().check(body)
            _VALID.add(body)

    def _note(self, now_s, what, eui, detail):
        if what in ("up", "down"):
            message = codec.decode(detail[1])
            self.said.append((now_s, what, eui, message))
            if message.name == "heartbeat" and what == "up":
                mode = MODES[message.values["mode"]]
                name = self.bodies[eui].name
                if not self.modes or [m for m in self.modes if m[1] == name][-1:] != [(None, name, mode)]:
                    last = next((m for m in reversed(self.modes) if m[1] == name), None)
                    if last is None or last[2] != mode:
                        self.modes.append((now_s, name, mode))
        elif what == "edge":
            self.edges.append((now_s, self.bodies[eui].name, *detail))

    def send_down(self, device, channel, body):
        if self.drop is not None and self.drop(device, codec.decode(body)):
            return
        super().send_down(device, channel, body)

    # What one asks

    def eui(self, name):
        """The EUI of a device by its name."""
        return next(body.eui for body in self.bodies.values() if body.name == name)

    def device(self, name):
        return self.devices[self.eui(name)]

    def row(self, name):
        """The EMD's row of a device."""
        return self.core.devices[self.eui(name)]

    def mode(self, name):
        """The lease's state of a device."""
        return MODES[self.device(name).app.agent.lease.mode]

    def moves(self, name, actuator="relay", since_s=0):
        """[(second, value)] of an actuator."""
        return [(t, value) for t, who, what, value in self.edges if (who, what) == (name, actuator) and t >= since_s]

    def messages(self, name, kind, way="up", since_s=0):
        """[(second, values)] of the messages of one kind that a device sent or was sent, copies included."""
        eui = self.eui(name)
        return [(t, m.values) for t, w, who, m in self.said if (w, who, m.name) == (way, eui, kind) and t >= since_s]

    def states(self, name, id_, revision=None):
        """[(second, state)] that the EMD got for one command (all revisions, or one), each status once."""
        key = self.row(name).key
        return [
            (now - self.clock.start_utc, STATES[f["state"]])
            for k, _, now, f in self.storage.statuses
            if k == key and f["id"] == id_ and revision in (None, f["revision"])
        ]

    def command(self, name, kind, **values):
        """The operator's command, now; `duration` must be given."""
        values.setdefault("delay", 0)
        command = self.core.command(self.utc, self.eui(name), kind, **values)
        self._wake_emd()
        return command

    def exactly_once(self, name):
        """(numbers of events, numbers of intervals) that the EMD has of a device, as it took them in, sorted."""
        key = self.row(name).key
        kept = (*self.storage.statuses, *self.storage.alarms, *self.storage.reads, *self.storage.registers)
        events = [fields["seq"] for k, _, _, fields in kept if k == key]
        intervals = [seq for k, _, seq in self.storage.intervals if k == key]
        return sorted(events), sorted(intervals)


def kinds(messages):
    """Names of the kinds of commands."""
    names = {code: name for name, code in KIND.items()}
    return [names[values["kind"]] for _, values in messages]
