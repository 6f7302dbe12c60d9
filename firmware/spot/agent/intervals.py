"""Interval readings: energy of intervals aligned to the wall clock, kept for 30 days, sent one by one or as a series.

An interval that is open ends as it began; a longer length begins at the first boundary of its own, and shorter ones
lead there. Short intervals
are written at the quarter-hours, several at once, and leave then: a power cut may cost how the energy since the
quarter-hour was spread over time, never the energy, and not even that where the board's power-fail input has them
written (Agent.power_failed).
"""

from array import array

from spot.agent.association import LENGTHS
from spot.agent.outbox import Stream
from spot.agent.times import NEVER
from spot.codes import (
    ABSENT,
    CH_INTERVAL,
    MAX_INT,
    QUALITY_CLOCK,
    QUALITY_ESTIMATED,
    QUALITY_GAP,
    QUALITY_POWER_CUT,
    R_ENERGY_EXPORT,
    R_ENERGY_IMPORT,
    T_INTERVAL,
)
from spot.port import const, struct
from spot.wire import profile

DEPTH = const(2880)  # 30 days of quarter-hours
BATCH = const(96)  # intervals of one back-fill message: at most 524 octets
_QUARTER_S = const(900)
_FORMAT = "<iiiiBB"  # start, import, export, register, length, quality
_RECORD = const(18)
_NAME = "intervals"


class Intervals:
    """step(now_s) closes what is due. due_s: when that is. on_fault(now_s): flash refused a record."""

    def __init__(self, store, plan, clock, device, out, tx, log, on_fault):
        self._plan = plan
        self._clock = clock
        self._device = device
        self._out = out
        self._tx = tx
        self._on_fault = on_fault
        self._record = bytearray(_RECORD)
        journal = store.journal(plan.prefix + _NAME, _RECORD, DEPTH)
        self.stream = Stream(journal, _RECORD, plan.intervals_base, log, self._compose, self._gap)
        self.stream.batch = BATCH
        self._journal = journal
        self._start = ABSENT  # UTC of the interval that is open; ABSENT: no time yet
        self._length = plan.interval_min
        self._import0 = ABSENT
        self._export0 = ABSENT
        self._quality = 0
        self._covered = -NEVER  # UTC up to which there are readings
        self._opened_s = -1  # when the first one was
        self.due_s = NEVER

    def _register(self, slot):
        return self._device.readings[slot]

    def begin(self, now_s):
        """First step after boot: energy counts from here, whatever time it is."""
        self._import0 = self._register(R_ENERGY_IMPORT)
        self._export0 = self._register(R_ENERGY_EXPORT)
        if self._device.counters.estimated:
            self._quality = QUALITY_ESTIMATED

    def time_set(self, now_s, first, jumped):
        """UTC was set or corrected."""
        utc = self._clock.utc(now_s)
        if self._start == ABSENT:
            self._open_first(now_s, utc)
        else:
            if jumped:
                self._quality |= QUALITY_CLOCK
            if utc < self._start:  # back: what was counted so far stays with the interval that is open now
                self._start = self._aligned(utc)
        self._plan_ahead(now_s, utc)

    def replan(self, now_s):
        """The plan is another one: it holds at once for an interval that was only just opened."""
        if now_s == self._opened_s:
            utc = self._clock.utc(now_s)
            self._open(utc)
            self._plan_ahead(now_s, utc)

    def _aligned(self, utc):
        return utc - (utc + self._plan.zone_s(utc)) % (self._length * 60)

    def _open(self, utc):
        """The interval that utc is in; a shorter one while that of the plan would reach into what there is."""
        for length in LENGTHS:
            if length <= self._plan.interval_min:
                self._length = length
                self._start = self._aligned(utc)
                if not self._start < self._covered <= utc:
                    return

    def _open_first(self, now_s, utc):
        """The first time since boot: joins on to the last record of the life before."""
        self._opened_s = now_s
        quality = self._quality
        last = self.stream.end - 1
        record = self.stream.read(last) if last >= 0 else None
        if self._import0 == ABSENT:
            self.begin(now_s)
        end = -NEVER
        register = ABSENT
        if record is not None:
            start, _, _, register, length, _ = struct.unpack(_FORMAT, record)
            self._covered = end = start + length * 60
        self._open(utc)
        if now_s > utc - self._start:  # running for longer, and nobody could say when
            quality |= QUALITY_ESTIMATED
        self._quality = quality | QUALITY_GAP
        if end > utc:
            self._quality |= QUALITY_CLOCK
        elif register != ABSENT and self._import0 != ABSENT:
            before = self._import0 - register
            if end >= self._start:  # still the same interval: nothing is missing but the time without power
                self._quality = quality | QUALITY_POWER_CUT
                if before > 0:
                    self._import0 = register
            elif before >= 0:
                self._quality |= QUALITY_POWER_CUT
                self._write(now_s, end, length, before, ABSENT, self._import0, QUALITY_POWER_CUT | QUALITY_GAP)

    def step(self, now_s):
        """Closes the interval that ended."""
        if now_s < self.due_s:
            return
        utc = self._clock.utc(now_s)
        if utc == ABSENT or self._start == ABSENT:
            self.due_s = NEVER
            return
        end = self._start + self._length * 60
        if utc >= end:
            self._close(now_s)
            self._open(utc)
            self._quality = 0
            if self._start > end:
                self._quality = QUALITY_GAP  # intervals went by unseen: their energy is in the one before
        self._plan_ahead(now_s, utc)

    def _plan_ahead(self, now_s, utc):
        self.due_s = max(now_s, now_s + self._start + self._length * 60 - utc)

    def _close(self, now_s):
        imported = self._register(R_ENERGY_IMPORT)
        exported = self._register(R_ENERGY_EXPORT)
        quality = self._quality
        if self._device.counters.blind_s > now_s + self._start - self._clock.utc(now_s):  # the meter failed in it
            quality |= QUALITY_ESTIMATED
        used = given = 0
        if imported == ABSENT or self._import0 == ABSENT:
            quality |= QUALITY_GAP
        else:
            used = imported - self._import0
            if used < 0:  # the register was set back
                used = 0
                quality |= QUALITY_ESTIMATED
        if exported == ABSENT:
            given = ABSENT
        elif self._export0 != ABSENT:
            given = max(0, exported - self._export0)
        if self._start < self._covered:  # this time was there before: the clock went back
            quality |= QUALITY_CLOCK
        self._write(now_s, self._start, self._length, used, given, imported, quality)
        self._import0 = imported
        self._export0 = exported

    def _write(self, now_s, start, length, used, given, register, quality):
        struct.pack_into(_FORMAT, self._record, 0, start, used, given, register, length, quality)
        end = start + length * 60
        if end > self._covered:
            self._covered = end
        if end % _QUARTER_S and self.stream.hold(bytes(self._record)):
            return
        if not self.stream.append(now_s, self._record):
            self._on_fault(now_s)

    # --- messages ---------------------------------------------------------------------------------------------------

    def _compose(self, seq, end):
        """As many consecutive intervals as there are from `seq` on, in one message."""
        imports = []
        exports = []
        quality = bytearray()
        begin = following = 0
        length = 0
        register = ABSENT
        while seq < end and len(imports) < BATCH:
            record = self.stream.read(seq)
            if record is None:
                break
            start, used, given, reading, minutes, flags = struct.unpack(_FORMAT, record)
            if not imports:
                begin, length = start, minutes
            elif start != following or minutes != length:
                break
            following = start + 60 * minutes
            imports.append(used)
            exports.append(0 if given == ABSENT else given)
            quality.append(flags)
            register = reading
            seq += 1
        taken = len(imports)
        if taken == 0:
            return 0, False
        scale = 0
        most = max(max(imports), max(exports))
        while most > 65535:
            most //= 10
            scale += 1
        if scale:
            unit = 10 ** scale
            imports = [value // unit for value in imports]
            exports = [value // unit for value in exports]
        values = [
            seq - taken + self.stream.base, begin, length, scale, array("H", imports),
            bytes(quality) if max(quality) else None,
            register if 0 <= register <= MAX_INT else None,
            array("H", exports) if max(exports) else None,
        ]
        n = profile.encode(T_INTERVAL, values, self._tx)
        return taken, self._out.send(CH_INTERVAL, self._tx, n, True)

    def _gap(self, seq, count):
        n = profile.encode(T_INTERVAL, [seq, 0, 15, 0, array("H"), None, None, None, count], self._tx)
        return self._out.send(CH_INTERVAL, self._tx, n, True)
