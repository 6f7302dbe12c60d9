"""An energy meter on Modbus, by its register map (boards/maps)."""

from ..codes import ABSENT
from ..port import const
from .calibration import Meter
from .modbus_map import METER, Reader

CALIBRATED = ()  # such a meter is calibrated where it is made

_POWER, _VOLTAGE, _CURRENT, _FREQUENCY, _ENERGY, _EXPORT = range(6)  # as METER
_JUMP_WH = const(1000)  # more than that, and than 30 Wh a second, between two samples is no load's
_JUMP_WH_S = const(30)


class ModbusMeter(Meter):
    """A `Meter`; a sample is one round over the meter's registers, every `period_s` seconds. Energy counts from the
    meter's own registers; what they do beyond reason (another meter, a reset) starts them afresh."""

    def __init__(self, bus, trip, period_s, address, map):
        self._reader = Reader(bus, address, map, METER, self._round)
        if self._reader.has[_EXPORT]:
            self.exports = 0
        Meter.__init__(self, trip, period_s, ())
        self._before = [ABSENT, ABSENT]
        self._counted_s = [0, 0]
        self._asked_s = ABSENT
        self._now_s = 0
        self._fresh = False

    def _scale(self):
        pass

    def adjust(self, shown, true):
        return None

    def poll(self):
        """Gives the bus its turn. True when a round is complete."""
        self._reader.poll()
        return self._fresh

    def sample(self, now_s):
        """Begins a round when it is time. True when the values are new."""
        self._now_s = now_s
        if (self._asked_s == ABSENT or now_s - self._asked_s >= self.period_s) and self._reader.start():
            self._asked_s = now_s
        self.poll()
        fresh = self._fresh
        self._fresh = False
        return fresh

    def _round(self):
        reader = self._reader
        values = reader.values
        power_dw = values[_POWER]
        self.errors = reader.refused + reader.implausible
        if reader.silent or power_dw == ABSENT:
            self._missed()
            return
        self.frequency_mhz = values[_FREQUENCY]
        self._since(0, values[_ENERGY])
        self._since(1, values[_EXPORT])
        self._measured(power_dw, values[_CURRENT], values[_VOLTAGE])
        self._fresh = True

    def _since(self, out, wh):
        """Counts what the meter counted since the latest sample; it counted before this boot, too."""
        if wh == ABSENT:
            return
        before_wh = self._before[out]
        now_s = self._now_s
        if before_wh != ABSENT:
            delta = wh - before_wh
            if 0 < delta <= _JUMP_WH + _JUMP_WH_S * (now_s - self._counted_s[out]):
                self._count(delta, 1, out)
        self._before[out] = wh
        self._counted_s[out] = now_s


FIELDS = {"bus": "word", "map": "word", "address": (1, 247, True), "period_s": (1, 900, False)}


def make(part, hardware, board, ticks_ms, name):
    return ModbusMeter(
        board.buses[part["bus"]], board.trip, part.get("period_s", 5), part["address"], board.maps[part["map"]]
    )
