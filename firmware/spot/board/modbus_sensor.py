"""A temperature that a machine on Modbus knows: one register of its map (boards/maps)."""

from ..codes import ABSENT
from ..port import const
from .modbus_map import Reader

_MISSES = const(3)
_LEAST, _MOST = const(-5500), const(12500)


class ModbusSensor:
    """`.value` in 0.01 °C or ABSENT: no answer three times, or none that can be believed (`errors` counts these); then
    `.fault`."""

    def __init__(self, bus, period_s, address, map, register):
        self._reader = Reader(bus, address, map, (register,), self._round)
        self._period_s = period_s
        self._asked_s = ABSENT
        self._missed = 0
        self.value = ABSENT
        self.fault = False
        self.errors = 0

    def poll(self):
        self._reader.poll()

    def sample(self, now_s):
        """Asks when it is time; never waits."""
        if (self._asked_s == ABSENT or now_s - self._asked_s >= self._period_s) and self._reader.start():
            self._asked_s = now_s
        self._reader.poll()

    def _round(self):
        reader = self._reader
        value = reader.values[0]
        if value != ABSENT and not _LEAST <= value <= _MOST:
            reader.implausible += 1
            value = ABSENT
        self.errors = reader.refused + reader.implausible
        self._missed = 0 if value != ABSENT and not reader.silent else self._missed + 1
        self.value = value
        self.fault = self._missed >= _MISSES


FIELDS = {"bus": "word", "map": "word", "address": (1, 247, True), "register": "word", "period_s": (1, 900, False)}


def make(part, hardware, board, ticks_ms, name):
    return ModbusSensor(
        board.buses[part["bus"]], part.get("period_s", 30), part["address"], board.maps[part["map"]], part["register"]
    )
