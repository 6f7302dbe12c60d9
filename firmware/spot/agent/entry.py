"""One command in the ledger, and its form on flash."""

from spot.codes import (
    ABSENT,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_OFF,
    KIND_REVOKE,
    KIND_SCHEDULE,
    KIND_SG_READY,
    KIND_SHUTDOWN,
    REASON_NONE,
    STATE_RECEIVED,
)
from spot.port import const, struct

SCHEDULED = const(0)  # its start lies ahead
RUNNING = const(1)  # between its effective start and its effective end
OVER = const(2)  # done with, and remembered until its end so that a repetition does nothing

# What is kept, in this order: 32-bit integers, then a schedule's slots.
_KEPT = (
    "epoch", "id", "revision", "priority", "kind", "issued", "delay", "duration", "value", "value2", "after", "jitter",
    "offer", "phase", "state", "reason", "start_utc", "end_utc", "remaining_s", "energy0_wh", "without_wh",
    "response_s", "note", "until_utc",
)
_LIMITS = (KIND_LIMIT, KIND_LIMIT_PERCENT)


def restrictive(kind, value):
    """True for what makes a load use less: it goes on through a reboot without time and is carried out unpersisted."""
    return kind in (KIND_OFF, KIND_SHUTDOWN, KIND_LIMIT, KIND_LIMIT_PERCENT) or (kind == KIND_SG_READY and value == 1)


class Entry:
    """A command as received, and where it stands.

    start_utc, end_utc: effective, after clamping and jitter; until_utc: the latest end of any revision, remembered
    until then, so that no late copy runs; start_s, end_s: the same on the monotonic clock; began_s: when it took
    effect.
    kind_now, value_now, value2_now: what it asks for at this moment (a schedule changes), kind_now ABSENT: nothing.
    state, reason: as last reported. note: the REASON_… that goes with "started" when nothing else is to be said.
    begun: its energy is being counted. held: permissive, and no time since the reboot. previous: (kind, value, value2,
    seat) that stood before it took effect and may stand again, and the Seat of this command.
    """

    # In the class, and not in each object: a command comes in without growing a dictionary field by field.
    epoch = id = revision = priority = 0
    kind = KIND_REVOKE
    issued = delay = duration = 0
    value = value2 = offer = ABSENT
    after = jitter = ABSENT
    slots = None
    phase = SCHEDULED
    state = STATE_RECEIVED
    reason = REASON_NONE
    note = REASON_NONE
    start_utc = end_utc = until_utc = 0
    start_s = end_s = began_s = 0
    remaining_s = 0
    energy0_wh = ABSENT
    without_wh = 0  # kept: saved so far; without0_wh: the baseline's reading at the start
    without0_wh = 0
    response_s = ABSENT
    kind_now = ABSENT
    value_now = value2_now = ABSENT
    turn_s = 0  # next change of a schedule
    limit_w = ABSENT
    held = False
    begun = False
    told = False  # "received" went out
    minute_s = 0  # reports of the current minute
    reports = 0
    previous = None

    @property
    def nominal_start(self):
        return self.issued + self.delay

    @property
    def is_limit(self):
        return self.kind in _LIMITS

    def later_than(self, other):
        """True when this was issued later than `other`; ids decide within one second."""
        if self.issued != other.issued:
            return self.issued > other.issued
        return self.id > other.id

    def turn(self, now_s):
        """Sets what it asks for at now_s; True when that changed. turn_s: when it will next."""
        kind, value, value2 = self.kind, self.value, self.value2
        self.turn_s = self.end_s
        if kind == KIND_SCHEDULE:
            elapsed = now_s - self.start_s
            kind = value = value2 = ABSENT
            slots = self.slots or ()
            for i in range(0, len(slots), 3):
                if slots[i] > elapsed:
                    self.turn_s = min(self.end_s, self.start_s + slots[i])
                    break
                kind, value = slots[i + 1], slots[i + 2]
        if (kind, value, value2) == (self.kind_now, self.value_now, self.value2_now):
            return False
        self.kind_now, self.value_now, self.value2_now = kind, value, value2
        return True

    def pack(self):
        """Octets for flash."""
        values = [getattr(self, name) for name in _KEPT]
        slots = self.slots or []
        return struct.pack("<%diH%di" % (len(_KEPT), len(slots)), *(values + [len(slots)] + slots))


def unpack(raw, at):
    """(Entry, offset behind it) from what pack() wrote. Raises ValueError on anything else."""
    size = 4 * len(_KEPT)
    if at + size + 2 > len(raw):
        raise ValueError("entry cut short")
    entry = Entry()
    values = struct.unpack("<%di" % len(_KEPT), raw[at : at + size])
    for i in range(len(_KEPT)):
        setattr(entry, _KEPT[i], values[i])
    at += size
    count = raw[at] | raw[at + 1] << 8
    at += 2
    if count:
        if at + 4 * count > len(raw):
            raise ValueError("slots cut short")
        entry.slots = list(struct.unpack("<%di" % count, raw[at : at + 4 * count]))
        at += 4 * count
    entry.told = True
    entry.begun = entry.phase != SCHEDULED
    return entry, at
