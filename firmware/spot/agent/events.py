"""The stream of events: statuses, alarms and read responses, kept as encoded bodies."""

from array import array

from spot.agent.outbox import Stream
from spot.codes import (
    ABSENT,
    ALARM_STORE_FAULT,
    MAX_INT,
    T_ALARM,
    T_READ_RESPONSE,
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
    STA_COUNT,
    STA_SEQ,
)

DEPTH = const(256)
_RECORD = const(192)  # octets: one for the length, then the body; a read response of 22 values has 175 at most
_BODY = const(191)
_NAME = "events"


class Events:
    """post() keeps and sends an event. tx: the agent's buffer; out: its way out; on_fault(now_s): flash refused one."""

    def __init__(self, store, plan, clock, out, tx, log, on_fault):
        self._plan = plan
        self._clock = clock
        self._out = out
        self._tx = tx
        self._on_fault = on_fault
        self._record = bytearray(_RECORD)
        self._status = array("i", [ABSENT] * STA_COUNT)
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
        """Keeps a read response: values as profile.encode takes them; values[0] is filled here."""
        values[0] = self.next
        self._add(now_s, profile.encode(type, values, self._tx))

    def _add(self, now_s, n):
        if n > _BODY:
            raise ValueError("event of %d octets" % n)
        record = self._record
        record[0] = n
        record[1 : n + 1] = memoryview(self._tx)[:n]
        for i in range(n + 1, _RECORD):
            record[i] = 0
        if not self.stream.append(now_s, record):
            self._on_fault(now_s)

    def alarm(self, now_s, code, raised, value, limit):
        """Keeps an alarm; value and limit may be ABSENT."""
        slots = self._alarm
        utc = self._clock.best(now_s)
        slots[ALM_TIME] = 0 if utc == ABSENT else utc
        slots[ALM_CODE] = code
        slots[ALM_RAISED] = 1 if raised else 0
        slots[ALM_VALUE] = _bounded(value)
        slots[ALM_LIMIT] = _bounded(limit)
        self.post(now_s, T_ALARM, slots)

    def _compose(self, seq, end):
        record = self.stream.read(seq)
        if record is None or not 0 < record[0] <= _BODY:
            return 0, False
        n = record[0]
        tx = self._tx
        tx[:n] = memoryview(record)[1 : n + 1]
        type = profile.head(tx, n)
        if seq < self.stream.first_rebased:
            n = self._renumber(type, seq + self.stream.base, n)
        if n == 0 or not 0 <= type < len(TYPE_CHANNEL):
            return 0, False
        return 1, self._out.send(TYPE_CHANNEL[type], tx, n, True)

    def _renumber(self, type, number, n):
        tx = self._tx
        try:
            if type == T_READ_RESPONSE:
                values = profile.decode(type, tx, n)
                values[0] = number
                return profile.encode(type, values, tx)
            slots = self._status if type == T_STATUS else self._alarm
            profile.decode_hot(type, tx, n, slots)
            slots[0] = number
            return profile.encode_hot(type, slots, tx)
        except profile.ProfileError:
            return 0  # damaged in spite of its checksum: an older firmware wrote it

    def _gap(self, seq, count):
        """The gap record: "store fault" cleared, how many events were lost and the first, as the last."""
        slots = self._alarm
        slots[ALM_SEQ] = seq + count - 1
        slots[ALM_TIME] = 0
        slots[ALM_CODE] = ALARM_STORE_FAULT
        slots[ALM_RAISED] = 0
        slots[ALM_VALUE] = count
        slots[ALM_LIMIT] = seq
        n = profile.encode_hot(T_ALARM, slots, self._tx)
        return self._out.send(TYPE_CHANNEL[T_ALARM], self._tx, n, True)


def _bounded(value):
    if value is None or value == ABSENT:
        return ABSENT
    return max(-MAX_INT, min(MAX_INT, value))
