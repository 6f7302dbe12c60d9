"""The way to the machine's own controller: power limit, set-point offset, hot-water set-point, SG-Ready over the bus.

Where its registers are not volatile (`machine.wears`), each write wears the machine's flash: at most
machine_writes_per_day, machine_interval_s apart, and none for a change within the dead-band. What is away from normal
keeps a write of the budget for its way back, which is never refused, and where there is a legionella run, two are kept
for that.

The writes of the day are kept in steps of four, rounded up, and with them whether something may be away from normal: a
controller that died leaves its last set-points in such registers, so the next start releases the machine.
"""

from array import array

from ..codes import ABSENT
from ..port import const, struct
from .heat_pump_settings import HEAT_PUMP
from .settings import get

LIMIT = const(0)
OFFSET = const(1)
HOT_WATER = const(2)
SG = const(3)
SG_NORMAL = const(2)
_NORMAL = (ABSENT, 0, ABSENT, SG_NORMAL)
_OFFSET_BAND, _WATER_BAND = const(10), const(50)  # 0.01 K

_NAME = "writes"
_FORMAT = "<iHB"  # day since 2025, writes, something may be away from normal
_STEP = const(4)
_DAY_S = const(86400)
_HALF_S = const(43200)


class MachinePort:
    """`machine` of the board. `values`: as set, by LIMIT, OFFSET, HOT_WATER, SG. `refused`: a set-point of this day was
    refused for want of writes. `fault`: it is silent; when it comes back it is released."""

    def __init__(self, machine, config, store, log):
        self._theirs = machine
        self._store = store
        self._log = log
        self._most = get(config, HEAT_PUMP, "machine_writes_per_day")
        self._interval_s = get(config, HEAT_PUMP, "machine_interval_s")
        self._band_w = get(config, HEAT_PUMP, "machine_band_w")
        self.values = array("i", _NORMAL)
        self.wears = machine.wears
        self.fault = False
        self.refused = False
        self.late_s = 0
        self.now_s = 0
        self._next_s = 0
        self._seen = machine.writes
        self._day = ABSENT
        self._dated = False  # the day is known since boot
        self._rolled_s = ABSENT  # when the day of the budget began, as far as it was seen
        self.used = 0
        self._ahead = 0  # of these, counted when they were ordered: a bus takes its time
        self._limit_cost = getattr(machine, "limit_cost", 1)  # registers of a power limit
        self.reserve = 0  # writes that are kept for the hot water
        self._dirty = self._marked = True  # something may be away from normal; and flash says so
        raw = store.get(_NAME) if self.wears else None
        if raw is not None and len(raw) == struct.calcsize(_FORMAT):
            self._day, self.used, dirty = struct.unpack(_FORMAT, raw)
            self._dirty = self._marked = dirty != 0
        self._kept = self.used
        if self._dirty:
            self.release()

    def left(self):
        """Writes that are left today, ABSENT where none wears."""
        return max(0, self._most - self.used) if self.wears else ABSENT

    @property
    def exhausted(self):
        """Whether a set-point that is at normal now could not be moved today."""
        return self.wears and self._most - self.used < self._away() + self.reserve + 2

    def tick(self, now_s, utc):
        """Follows time and the machine's silence; before anything is set."""
        self.now_s = now_s
        fault = self._theirs.fault
        if fault != self.fault:
            self.fault = fault
            if fault:
                self._dirty = True  # what it was told last may be lost
            else:
                self.release()
        if not self.wears:
            return
        self._count()
        day = ABSENT if utc == ABSENT else utc // _DAY_S
        if self._rolled_s == ABSENT:
            self._rolled_s = now_s
        span_s = now_s - self._rolled_s
        if span_s >= _DAY_S or day > self._day != ABSENT and (span_s >= _HALF_S or not self._dated):
            self.used = self._kept = self._ahead = 0
            self.refused = False
            self._rolled_s = now_s
            self._day = day
            self._marked = self._dirty  # once a day is often enough to say that nothing is
        if day != ABSENT:
            self._dated = True
            if self._day == ABSENT:
                self._day = day

    def may(self, which, value):
        """Whether a register can be set now: not where the budget is used up (`refused`), within the least interval
        (`late_s` to wait, else 0), or while the machine is silent."""
        self.late_s = 0
        before, normal = self.values[which], _NORMAL[which]
        if value == before or value == normal:
            return True
        if self.fault:
            return False
        if before != normal and self._near(which, before, value) or not self.wears:
            return True
        reserve = 0 if which == HOT_WATER else self.reserve
        cost = self._limit_cost if which == LIMIT else 1
        if self._most - self.used < self._away() + reserve + (2 * cost if before == normal else 1):
            if not self.refused:
                self.refused = True
                self._log.warn("pump.writes_used_up", self.used)
            return False
        self.late_s = max(0, self._next_s - self.now_s)
        return not self.late_s

    def set(self, which, value):
        """Sets a register, if it may be set."""
        values = self.values
        before, normal = values[which], _NORMAL[which]
        if self.fault:
            values[which] = normal  # what it comes back with
            return
        if value == before or not self.may(which, value):
            return
        if value != normal:
            if before != normal and self._near(which, before, value):
                return
            self._dirty = True
            if not self._marked:
                self._marked = True
                self._keep()
        values[which] = value
        if self.wears:
            cost = self._limit_cost if which == LIMIT and normal in (before, value) else 1
            self._ahead += cost
            self.used += cost
        machine = self._theirs
        if which == LIMIT:
            machine.set_power_limit(value)
        elif which == OFFSET:
            machine.set_offset(value)
        elif which == HOT_WATER:
            machine.set_hot_water(value)
        else:
            machine.set_sg(value)
        self._next_s = self.now_s + self._interval_s
        if self.wears:
            self._count()
        if not self._away():
            self._dirty = False

    def release(self):
        """Everything back to normal operation."""
        self._theirs.release()
        values = self.values
        for which in range(len(values)):
            values[which] = _NORMAL[which]
        if self.wears:
            self._count()
        if not self._theirs.fault:
            self._dirty = False
            if self._marked:
                self._marked = False
                self._keep()

    def _near(self, which, before, value):
        """Whether a change is within the dead-band. A lower power limit never is."""
        if which == LIMIT:
            return before < value < before + self._band_w
        if which == SG:
            return False
        return abs(value - before) < (_OFFSET_BAND if which == OFFSET else _WATER_BAND)

    def _away(self):
        count = 0
        for which in range(len(self.values)):
            if self.values[which] != _NORMAL[which]:
                count += self._limit_cost if which == LIMIT else 1
        return count

    def _count(self):
        writes = self._theirs.writes
        more = writes - self._seen
        self._seen = writes
        ahead = min(more, self._ahead)
        self._ahead -= ahead
        self.used += more - ahead
        if self.used > self._kept:
            self._kept = self.used + _STEP - 1
            self._keep()

    def _keep(self):
        if self.wears:
            raw = struct.pack(_FORMAT, self._day, min(self._kept, 0xFFFF), 1 if self._marked else 0)
            try:
                self._store.put(_NAME, raw)
            except OSError:
                self._log.error("pump.not_kept")


class SgOverBus:
    """SG-Ready by a register of the machine, with the calls of the contacts."""

    switches = 0

    def __init__(self, port):
        self._port = port

    @property
    def state(self):
        return self._port.values[SG]

    def set(self, state):
        self._port.set(SG, state)

    def feed(self):
        pass


class NoSg:
    """Neither contacts nor a register: always normal operation."""

    state = SG_NORMAL
    switches = 0

    def set(self, state):
        pass

    def feed(self):
        pass
