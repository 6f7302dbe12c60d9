"""A heat pump's own controller as an object of the hardware provider's: for boards in a simulator and on a PC."""

from ..codes import ABSENT

_WORDS = ("power_w", "compressor", "defrost", "hot_water_active", "flow", "hot_water", "outdoor", "error")


class DirectMachine:
    """source: `set_power_limit(w)` and `set_offset(c100)`; what else it has of a machine's calls and values is used:
    `set_hot_water(c100)`, `set_sg(state)`, `release()`, `sample(now_s)` (False: silent), `wears`, `writes` and the
    values of docs/architecture.md. What it does not know is ABSENT."""

    limits_power = takes_offset = True

    def __init__(self, source):
        self._source = source
        self.takes_hot_water = hasattr(source, "set_hot_water")
        self.takes_sg = hasattr(source, "set_sg")
        self.wears = getattr(source, "wears", False)
        self._counts = hasattr(source, "writes")
        self.writes = source.writes if self._counts else 0
        self.fault = False
        self._away = [False] * 4
        self._speaks = hasattr(source, "sample")
        self._known = tuple(name for name in _WORDS if hasattr(source, name))
        for name in _WORDS:
            setattr(self, name, ABSENT)

    def poll(self):
        return False

    def sample(self, now_s):
        if not self._speaks:
            return True
        source = self._source
        self.fault = not source.sample(now_s)
        for name in self._known:
            setattr(self, name, ABSENT if self.fault else getattr(source, name))
        return not self.fault

    def set_power_limit(self, w):
        self._source.set_power_limit(w)
        self._count(0, w != ABSENT)

    def set_offset(self, c100):
        self._source.set_offset(c100)
        self._count(1, c100 != 0)

    def set_hot_water(self, c100):
        self._source.set_hot_water(c100)
        self._count(2, c100 != ABSENT)

    def set_sg(self, state):
        self._source.set_sg(state)
        self._count(3, state != 2)

    def _count(self, which, away):
        self._away[which] = away
        self.writes = self._source.writes if self._counts else self.writes + 1

    def release(self):
        """Back to normal operation."""
        if hasattr(self._source, "release"):
            self._source.release()
            self._count(0, False)
            return
        for which, put, normal in (
            (0, self.set_power_limit, ABSENT),
            (1, self.set_offset, 0),
            (2, self.set_hot_water, ABSENT),
            (3, self.set_sg, 2),
        ):
            if self._away[which]:
                put(normal)


def make(part, hardware, board, ticks_ms, name):
    return None if hardware.machine is None else DirectMachine(hardware.machine)
