"""A heat pump's own controller on Modbus, by its register map (boards/maps).

What is to stand in a register is written when it changes, again before the machine forgets it (`timeout_s` of the map),
and again when the machine comes back from a silence. Where a register can be read it is read before: what stands there
already is not written, since many machines keep these registers in flash. A machine that restarted unseen, and so
forgot, is found by reading every minute.
"""

from ..codes import ABSENT
from ..port import const, sleep_ms
from ..port import ticks_ms as port_ticks_ms
from .modbus import READ_COILS, READ_HOLDING, TIMEOUT, WRITE_COIL, Request
from .modbus_map import MACHINE, WRITES, Reader

_LIMIT, _LIMIT_ON, _OFFSET, _HOT_WATER, _SG = WRITES

_SILENT = const(3)  # rounds without an answer, then the machine is faulty
_CHECK_S = const(60)  # between two looks at what stands in the registers
_AGAIN_S = const(10)  # after a write that was not confirmed
_REFUSED_S = const(60)  # after one that the machine refused
_SETTLE_S = const(600)  # least time between writes of the same value to a register that wears, if it is not kept
_UNKNOWN = const(-0x3FFFFFFE)
_CLOSE_MS = const(2000)  # for the last words


class _Write:
    """One register that is written: `want` and what `stands` in it, both as they are on the wire."""

    def __init__(self, slave, row, written, read):
        self.name = row["name"]
        function = row["function"]
        self.mul, self.div = row.get("scale", (1, 1))
        self.low, self.high = row.get("range", (-0x8000, 0xFFFF))
        values = row.get("values")
        self.values = None if values is None else {int(ours): raw for ours, raw in values.items()}
        self.wears = row["wears"]
        self.refresh_s = row.get("timeout_s", 0) // 3
        self.normal = self.raw(row["normal"], False)
        self.want = self.normal
        self.stands = self.told = _UNKNOWN  # told: what was written last
        self.written_s = ABSENT
        self.not_before_s = 0
        self.checked_s = ABSENT
        self.request = Request(slave, function, row["address"], 1, written)
        self.read = None
        if row.get("readable", True):
            self.read = Request(slave, READ_COILS if function == WRITE_COIL else READ_HOLDING, row["address"], 1, read)

    def raw(self, value, bound=True):
        """A value of ours as it goes into the register: a limit rounded down, all else to the nearest."""
        if self.values is not None:
            return self.values[value]
        if bound:
            value = min(max(value, self.low), self.high)
        return (value * self.div + (0 if self.name == _LIMIT else self.mul // 2)) // self.mul & 0xFFFF


class ModbusMachine:
    """The machine. `set_power_limit(w)`, `set_offset(c100)`, `set_hot_water(c100)` (ABSENT: its own), `set_sg(state)`,
    where `limits_power, takes_offset, takes_hot_water, takes_sg` say that it can; `release()`: everything back to
    normal. Nothing waits: what is set goes out with the next polls.

    Read every `period_s`: `power_w, compressor, defrost, hot_water_active, flow, hot_water, outdoor, error` (ABSENT:
    unknown). `fault`: it has been silent for three rounds. `writes`: how many went to registers that wear the machine's
    flash, since boot; `wears`: there are such; `limit_cost`: how many registers a power limit comes in. `errors`:
    refused or implausible answers; `refusals`: writes that the machine refused.
    """

    def __init__(self, bus, period_s, address, map, ticks_ms):
        self._bus = bus
        self._ticks_ms = ticks_ms
        self.period_s = period_s
        self._reader = Reader(bus, address, map, MACHINE, self._round)
        slave = self._reader.slave
        written, read = self._written, self._read
        self._rows = rows = [_Write(slave, row, written, read) for row in map.get("writes", ())]
        self._asked_s = ABSENT
        self._now_s = 0
        self._fresh = self._hears = False
        self._row = None  # the register that is being written or looked at
        self.fault = False
        self.errors = self.writes = self.refusals = 0
        self.wears = any(row.wears for row in rows)
        self.limits_power = self._find(_LIMIT) is not None
        self.limit_cost = 1 if self._find(_LIMIT_ON) is None else 2
        self.takes_offset = self._find(_OFFSET) is not None
        self.takes_hot_water = self._find(_HOT_WATER) is not None
        self.takes_sg = self._find(_SG) is not None
        bus.last_words = self.close
        self._take()

    def _find(self, name):
        for row in self._rows:
            if row.name == name:
                return row
        return None

    # --- what is to be ----------------------------------------------------------------------------------------------

    def set_power_limit(self, limit_w):
        """Most power in W; ABSENT: none."""
        self._set(_LIMIT, limit_w)
        self._set(_LIMIT_ON, ABSENT if limit_w == ABSENT else 1)

    def set_offset(self, c100):
        """Shift of the heating curve or room set-point in 0.01 K; ABSENT: none."""
        self._set(_OFFSET, c100)

    def set_hot_water(self, c100):
        """Set-point of the hot water in 0.01 °C; ABSENT: its own."""
        self._set(_HOT_WATER, c100)

    def set_sg(self, state):
        """SG-Ready state 1 to 4."""
        self._set(_SG, state)

    def _set(self, name, value):
        row = self._find(name)
        if row is not None:
            self._want(row, row.normal if value == ABSENT else row.raw(value))

    def _want(self, row, raw):
        if row.want != raw:
            row.want = raw
            row.not_before_s = 0

    def release(self):
        """Everything back to normal operation."""
        for row in self._rows:
            self._want(row, row.normal)

    def close(self):
        """The program ends: normal operation, written before it does where the clock is a real one."""
        self.release()
        if self._ticks_ms is not port_ticks_ms or not self._hears:
            return
        for _ in range(_CLOSE_MS // 10):
            if not self._bus.busy and not self._due():
                break
            self._bus.poll()
            sleep_ms(10)

    # --- the rounds -------------------------------------------------------------------------------------------------

    def poll(self):
        """Gives the bus its turn. True when there are new values."""
        self._bus.poll()
        return self._fresh

    def sample(self, now_s):
        """Begins a round when it is time, and writes what is due. True when the values are new."""
        self._now_s = now_s
        if (self._asked_s == ABSENT or now_s - self._asked_s >= self.period_s) and self._reader.start():
            self._asked_s = now_s
        if self._hears:
            self._due()
        self._bus.poll()
        fresh = self._fresh
        self._fresh = False
        return fresh

    def _round(self):
        reader = self._reader
        self.errors = reader.refused + reader.implausible
        if reader.silent:
            if reader.silent >= _SILENT:
                self._lost()
        elif not self._hears or self.fault:
            self.fault = False
            self._hears = True
        self._take()
        self._fresh = True

    def _lost(self):
        """It may come back with anything in its registers."""
        self.fault = True
        self._hears = False
        for row in self._rows:
            row.stands = row.told = _UNKNOWN
            row.not_before_s = 0

    def _take(self):
        (self.power_w, self.compressor, self.defrost, self.hot_water_active, self.flow, self.hot_water, self.outdoor,
         self.error) = self._reader.values

    # --- writing ----------------------------------------------------------------------------------------------------

    def _due(self):
        """Has the bus write, or look at, the first register that needs it; one at a time. False: none does."""
        if self._row is not None:
            return True
        now_s = self._now_s
        for row in self._rows:
            if now_s < row.not_before_s:
                continue
            looks = row.read is not None and not row.refresh_s
            if row.stands == _UNKNOWN and looks:
                request = row.read
            elif row.stands != row.want or (
                row.refresh_s and row.want != row.normal and now_s - row.written_s >= row.refresh_s
            ):
                request = row.request
                request.put(row.want)
            elif looks and now_s - row.checked_s >= _CHECK_S:
                request = row.read
            else:
                continue
            if self._bus.submit(request):
                self._row = row
            return True
        return False

    def _written(self, request):
        row, self._row = self._row, None
        now_s = self._now_s
        if request.error != 0 and request.error < TIMEOUT:
            self.refusals += 1
            row.stands = _UNKNOWN
            row.not_before_s = now_s + _REFUSED_S
            return
        self.writes += (request.tries + 1) * row.wears
        if request.error != 0:
            row.stands = _UNKNOWN  # it may have been heard, and only the answer lost
            row.not_before_s = now_s + _AGAIN_S
            return
        frame = request.frame
        at = 7 if len(frame) > 8 else 4
        raw = frame[at] << 8 | frame[at + 1]
        row.stands = row.told = raw if frame[1] != WRITE_COIL else 1 if raw else 0
        row.written_s = row.checked_s = now_s

    def _read(self, request):
        row, self._row = self._row, None
        now_s = self._now_s
        row.checked_s = now_s
        if request.error != 0:
            row.not_before_s = now_s + _AGAIN_S
            if request.error < TIMEOUT:
                row.read = None  # it cannot be read after all
            return
        row.stands = request.bit(0) if request.frame[1] == READ_COILS else request.word(0)
        if row.wears and row.stands != row.want and row.told == row.want:
            # somebody else set it, or the machine forgot: not a word for a word
            row.not_before_s = row.written_s + _SETTLE_S


FIELDS = {"bus": "word", "map": "word", "address": (1, 247, True), "period_s": (1, 900, False)}


def make(part, hardware, board, ticks_ms, name):
    return ModbusMachine(
        board.buses[part["bus"]], part.get("period_s", 10), part["address"], board.maps[part["map"]], ticks_ms
    )
