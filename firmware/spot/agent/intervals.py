"""Interval readings: energy of intervals aligned to the UTC hour, kept for 30 days, sent one by one or as a series."""

from array import array

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
        self.due_s = NEVER

    def _register(self, slot):
        return self._device.readings[slot]

    def begin(self, now_s):
        """First step after boot: energy counts from here, whatever time it is."""
        self._import0 = self._register(R_ENERGY_IMPORT)
        self._export0 = self._register(R_ENERGY_EXPORT)

    def time_set(self, now_s, first):
        """UTC was set or corrected by more than a second or two."""
        utc = self._clock.utc(now_s)
        if self._start == ABSENT:
            self._open_first(now_s, utc)
        elif utc < self._start:  # back: what was counted so far stays with the interval that is open now
            self._quality |= QUALITY_CLOCK
            self._start = self._aligned(utc)
        elif utc >= self._start + self._length * 60:
            self._quality |= QUALITY_CLOCK
        self._plan_ahead(now_s, utc)

    def _aligned(self, utc):
        return utc - utc % (self._length * 60)

    def _open_first(self, now_s, utc):
        """The first time since boot: joins on to the last record of the life before."""
        self._length = self._plan.interval_min
        self._start = self._aligned(utc)
        self._quality = QUALITY_GAP
        last = self.stream.end - 1
        record = self.stream.read(last) if last >= 0 else None
        if self._import0 == ABSENT:
            self.begin(now_s)
        if record is None:
            return
        start, _, _, register, length, _ = struct.unpack(_FORMAT, record)
        end = start + length * 60
        if end > utc or register == ABSENT or self._import0 == ABSENT:
            return
        before = self._import0 - register
        if end >= self._start:  # still the same interval: nothing is missing but the time without power
            self._quality = QUALITY_POWER_CUT
            if before > 0:
                self._import0 = register
        elif before >= 0:
            self._quality = QUALITY_POWER_CUT | QUALITY_GAP
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
            self._length = self._plan.interval_min
            self._start = self._aligned(utc)
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
        self._write(now_s, self._start, self._length, used, given, imported, quality)
        self._import0 = imported
        self._export0 = exported

    def _write(self, now_s, start, length, used, given, register, quality):
        struct.pack_into(_FORMAT, self._record, 0, start, used, given, register, length, quality)
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
