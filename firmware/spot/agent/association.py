"""What belongs to one EMD: its epoch, the association's number, its plan, and what data it gets. All but the last,
which is the household's to say, is kept, so that a reboot knows it."""

from spot.codes import ABSENT, POLICY_NONE, T_REGISTERED
from spot.port import const, struct
from spot.wire.fields import FIELDS
from spot.wire.profile import limits

_NAME = "association"
_FORMAT = const(2)  # first octet of the value kept; another one is not read

# Plan field: (name, what holds until an EMD says otherwise). The names are those of the message `registered`; a field
# that is absent there falls back to this.
_PLAN = (
    ("lease", 86400),
    ("heartbeat", 60),
    ("heartbeat_timeout", 120),
    ("telemetry_interval", 300),
    ("deadband", ABSENT),
    ("interval_length", 15),
    ("failsafe_limit", ABSENT),
    ("failsafe_min", 7200),
    ("jitter", 0),
    ("policy", POLICY_NONE),
    ("policy_value", 0),
    ("autonomous_cap", ABSENT),
    ("priority_ceiling", 15),
    ("zone", 0),
    ("zone_change", ABSENT),
    ("zone_next", 0),
)
# Position of each plan field in `registered`, in the order of _PLAN
_POSITION = (5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 22, 23, 24)
_LENGTH = const(5)  # of the plan: that of interval readings, one of LENGTHS
LENGTHS = (60, 30, 15, 5, 1)  # minutes
INTERVAL_LENGTH = const(10)  # its place in `registered`
_CEILING = const(12)  # of the plan: what is provisioned holds against what the EMD says
_EPOCH = const(2)
_NUMBER = const(4)
_GROUPS = const(4)
_G_GROUPS = const(21)
_BASES = const(17)  # octets of the value up to and with the bases: safe.py leaves the others out
_INTS = const(24)  # epoch, number, events_base, intervals_base, the plan, the groups

# What an EMD gets. The first association is home's; another one's EMD gets no more than the household has agreed to.
DATA_TELEMETRY = const(1)
DATA_INTERVAL = const(2)
DATA_ALARM = const(4)
DATA_LOG = const(8)  # the log and the record of a crash
DATA_SERVICE = const(16)  # calibration, restart, the level of the log
_DATA = {
    "telemetry": DATA_TELEMETRY, "interval": DATA_INTERVAL, "alarm": DATA_ALARM, "log": DATA_LOG,
    "service": DATA_SERVICE,
}
_COARSE_MIN = const(15)  # no shorter intervals without telemetry: those of a minute would be as good


def check_plan(config):
    """(name, what would be right) of the first override that is none, or None; the ranges are those of the message."""
    names = [name for name, _ in _PLAN]
    for name, value in config.items():
        if name == "signed_key":  # that of a signer whose broadcasts alone are taken
            from spot.agent.signed import parse_key

            try:
                parse_key(value)
            except (ValueError, TypeError):
                return name, "an LMS public key (spot group keygen): 112 hexadecimal digits"
            continue
        if name not in names:
            return name, "left out: it is none of " + ", ".join(names)
        _, low, high = limits(FIELDS[T_REGISTERED][_POSITION[names.index(name)]])
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            return name, "an integer from %d to %d, not %r" % (low, high, value)
        if name == "interval_length" and value not in LENGTHS:
            return name, "one of 1, 5, 15, 30 and 60 minutes, not %r" % value
    return None


class Association:
    """One EMD as this device knows it.

    epoch: the EMD's (ABSENT: not associated); number: the association's at the EMD; events_base, intervals_base: what
    is added to the journals' own numbers (not 0 once a journal was lost). Plan fields as in `registered`.
    groups: to listen to, for whoever subscribes. data: DATA_… that the EMD gets.
    config: "agent" overrides the defaults of the plan by name, but its priority_ceiling also what the EMD says; "data"
    lists what the EMD gets. at: the association's number. prefix: of its names in the store, none for the first.
    """

    def __init__(self, store, config, at):
        self._store = store
        self.prefix = "a%d_" % at if at else ""
        plan = config.get("agent", {})
        self._defaults = [plan.get(name, value) for name, value in _PLAN]
        self.data = 0
        for word in config.get("data", ("interval", "alarm") if at else _DATA):
            self.data |= _DATA[word]
        self.epoch = ABSENT
        self.number = ABSENT
        self.events_base = 0
        self.intervals_base = 0
        self.groups = []
        self._set(self._defaults)
        raw = store.get(self.prefix + _NAME)
        if raw is not None and len(raw) == 1 + 4 * _INTS and raw[0] == _FORMAT:
            values = struct.unpack("<%di" % _INTS, raw[1:])
            self.epoch, self.number, self.events_base, self.intervals_base = values[:4]
            self._set(values[4:-_GROUPS])
            self.groups = [group for group in values[-_GROUPS:] if group != ABSENT]
        elif raw is not None and len(raw) == _BASES and raw[0] == _FORMAT:  # what safe mode takes over of it
            self.events_base, self.intervals_base = struct.unpack("<2i", raw[9:])

    def _set(self, plan):
        for i in range(len(_PLAN)):
            setattr(self, _PLAN[i][0], plan[i])
        self.priority_ceiling = min(self.priority_ceiling, self._defaults[_CEILING])

    @property
    def interval_min(self):
        """Minutes of an interval reading."""
        least = 1 if self.data & DATA_TELEMETRY else _COARSE_MIN
        return max(least, self.interval_length)

    def zone_s(self, utc):
        """Local time less UTC at `utc`, in s."""
        later = self.zone_change != ABSENT and utc >= self.zone_change
        return 60 * (self.zone_next if later else self.zone)

    def take(self, registered):
        """Takes epoch, number and plan from the values of a `registered` message; keep() must follow. False: its
        length of intervals is none, and the one before stays."""
        self.epoch = registered[_EPOCH]
        self.number = ABSENT if registered[_NUMBER] is None else registered[_NUMBER]
        plan = list(self._defaults)
        for i in range(len(plan)):
            value = registered[_POSITION[i]]
            if value is not None:
                plan[i] = value
        if registered[_POSITION[-2]] is not None and registered[_POSITION[-1]] is None:
            plan[-2] = ABSENT  # the zone changes, and nobody says to what
        good = plan[_LENGTH] in LENGTHS
        if not good:
            plan[_LENGTH] = self.interval_length
        self._set(plan)
        self.groups = list(registered[_G_GROUPS] or ())[:_GROUPS]
        return good

    def forget(self):
        """No longer associated; the plan stays: its failsafe limit and policy hold on."""
        self.epoch = ABSENT
        self.number = ABSENT

    def keep(self):
        """Writes what changed (one write, none when nothing did). Raises StoreError."""
        values = [self.epoch, self.number, self.events_base, self.intervals_base]
        for name, _ in _PLAN:
            values.append(getattr(self, name))
        for i in range(_GROUPS):
            values.append(self.groups[i] if i < len(self.groups) else ABSENT)
        self._store.put(self.prefix + _NAME, bytes((_FORMAT,)) + struct.pack("<%di" % _INTS, *values))
