"""The stream of events: statuses, alarms, read responses and midnight registers, kept as encoded bodies."""

from array import array

from spot.agent.outbox import Stream
from spot.codes import (
    ABSENT,
    ALARM_OUTAGE,
    ALARM_RESTORE,
    ALARM_STORE_FAULT,
    CH_ALARM,
    MAX_INT,
    T_ALARM,
    T_STATUS,
    TYPE_CHANNEL,
)
from spot.port import const
from spot.wire import profile
from spot.wire.fields import (
    ALM_CODE,
    ALM_COUNT,
    ALM_LIMIT,
    ALM_RAISED,
    ALM_SEQ,
    ALM_TIME,
    ALM_VALUE,
    STA_EPOCH,
    STA_SEQ,
)

DEPTH = const(256)
_RECORD = const(192)  # octets: one for the length, then the body; a read response of 22 values has 175 at most
_BODY = const(191)
_NAME = "events"
_LOOK_BACK = const(8)  # events among which the last gasp is looked for


class Events:
    """post() keeps and sends an event. tx: the agent's buffer; out: its way out; on_fault(now_s): flash refused one."""

    def __init__(self, store, plan, clock, out, tx, log, on_fault):
        self._plan = plan
        self._clock = clock
        self._out = out
        self._tx = tx
        self._on_fault = on_fault
        self._record = bytearray(_RECORD)
        self._n = 0
        self._alarm = array("i", [ABSENT] * ALM_COUNT)
        journal = store.journal(plan.prefix + _NAME, _RECORD, DEPTH)
        self.stream = Stream(journal, _RECORD, plan.events_base, log, self._compose, self._gap)

    @property
    def next(self):
        """Number on the wire of the next event."""
        return self.stream.end + self.stream.base

    def post(self, now_s, type, slots):
        """Keeps the hot message `type`; slots[0], its number, is filled here."""
        slots[STA_SEQ] = self.next
        self._add(now_s, profile.encode_hot(type, slots, self._tx))

    def post_values(self, now_s, type, values):
        """Keeps an event given as profile.encode takes it; values[0], its number, is filled here."""
        values[0] = self.next
        self._add(now_s, profile.encode(type, values, self._tx))

    def _add(self, now_s, n):
        self._pack(n)
        if not self.stream.append(now_s, self._record):
            self._on_fault(now_s)

    def _pack(self, n):
        if n > _BODY:
            raise ValueError("event of %d octets" % n)
        record = self._record
        for i in range(n + 1, record[0] + 1):  # of the one before, where that was longer
            record[i] = 0
        record[0] = n
        record[1 : n + 1] = memoryview(self._tx)[:n]

    def _fill(self, utc, code, raised, value, limit):
        slots = self._alarm
        slots[ALM_TIME] = 0 if utc == ABSENT else utc
        slots[ALM_CODE] = code
        slots[ALM_RAISED] = 1 if raised else 0
        slots[ALM_VALUE] = value
        slots[ALM_LIMIT] = limit
        return slots

    def alarm(self, now_s, code, raised, value, limit):
        """Keeps an alarm; value and limit may be ABSENT."""
        self.post(now_s, T_ALARM, self._fill(self._clock.best(now_s), code, raised, _bounded(value), _bounded(limit)))

    def gasp(self, now_s, boot, send):
        """The alarm "outage", sent past all that waits, and kept with the next write; no event may leave in between.
        Its value is the boot count, so that outage() knows whose it was."""
        slots = self._fill(self._clock.utc(now_s), ALARM_OUTAGE, 1, boot, ABSENT)
        slots[ALM_SEQ] = self.next
        n = profile.encode_hot(T_ALARM, slots, self._tx)
        self._pack(n)
        if self.stream.hold(self._record):  # else its number would become another's
            if send:
                self._out.send(CH_ALARM, self._tx, n, False, True)
            self._record = bytearray(_RECORD)

    def outage(self, boot):
        """UTC of the outage (0: not known) that ended the life `boot`; ABSENT where there is none that was kept."""
        stream, slots = self.stream, self._alarm
        for seq in range(stream.end - 1, max(-1, stream.end - 1 - _LOOK_BACK), -1):
            if self._unpack(seq) and profile.head(self._tx, self._n) == T_ALARM:
                try:
                    profile.decode_hot(T_ALARM, self._tx, self._n, slots)
                except profile.ProfileError:
                    continue
                if slots[ALM_CODE] == ALARM_RESTORE:
                    break
                if slots[ALM_CODE] == ALARM_OUTAGE and slots[ALM_VALUE] == boot:
                    return slots[ALM_TIME]
        return ABSENT

    def _unpack(self, seq):
        """Event `seq` into tx, its octets into _n; False when it is damaged."""
        record = self.stream.read(seq)
        if record is None or not 0 < record[0] <= _BODY:
            return False
        self._n = n = record[0]
        self._tx[:n] = memoryview(record)[1 : n + 1]
        return True

    def _compose(self, seq, end):
        if not self._unpack(seq):
            return 0, False
        n = self._n
        tx = self._tx
        type = profile.head(tx, n)
        if type == T_STATUS or seq < self.stream.first_rebased:
            n = self._renumber(type, seq + self.stream.base, n)
        if n == 0 or not 0 <= type < len(TYPE_CHANNEL):
            return 0, False
        return 1, self._out.send(TYPE_CHANNEL[type], tx, n, True)

    def _renumber(self, type, number, n):
        tx = self._tx
        try:
            values = profile.decode(type, tx, n)
            values[0] = number
            if type == T_STATUS and values[STA_EPOCH] == self._plan.epoch:
                values[STA_EPOCH] = None  # kept with each, for an EMD that begins anew before it has this
            return profile.encode(type, values, tx)
        except profile.ProfileError:
            return 0  # damaged in spite of its checksum: an older firmware wrote it

    def _gap(self, seq, count):
        """The gap record: "store fault" cleared, how many events were lost and the first, as the last."""
        slots = self._fill(0, ALARM_STORE_FAULT, 0, count, seq)
        slots[ALM_SEQ] = seq + count - 1
        n = profile.encode_hot(T_ALARM, slots, self._tx)
        return self._out.send(TYPE_CHANNEL[T_ALARM], self._tx, n, True)


def _bounded(value):
    if value is None or value == ABSENT:
        return ABSENT
    return max(-MAX_INT, min(MAX_INT, value))
