"""How long the pump has been locked: two hours at a stretch, and max_block_s in all before a rest of block_pause_s.

How long the lock that counts has lasted is kept in flash, every quarter of an hour: a restart must not renew it.
"""

from ..codes import ABSENT
from ..port import const, struct
from .heat_pump_rows import BLOCK, LONGEST
from .heat_pump_settings import HEAT_PUMP
from .settings import get

_NAME = "lock"
_FORMAT = "<H"
_KEPT_S = const(900)
_LONGEST_S = const(7200)  # of SG-Ready


class Lock:
    """Arms the guards `longest` and `block`."""

    def __init__(self, config, store, log, guards):
        self._store = store
        self._log = log
        self._guards = guards
        self._block_s = get(config, HEAT_PUMP, "max_block_s")
        self._rest_s = get(config, HEAT_PUMP, "block_pause_s")
        self._block_at_s = 0  # the lock counts from here
        self._released_s = -self._rest_s  # since when it is not locked
        self._locked_s = ABSENT  # of the lock that counts, as it is in flash
        raw = store.get(_NAME)
        if raw is not None and len(raw) == struct.calcsize(_FORMAT):
            self._locked_s = struct.unpack(_FORMAT, raw)[0]

    @property
    def counts(self):
        """Whether it is locked, or was within block_pause_s."""
        return self._locked_s != ABSENT

    def begin(self, now_s):
        """The first step since boot, which has released the pump."""
        if self._locked_s != ABSENT:
            self._released_s = now_s
            self._block_at_s = now_s - min(self._locked_s, self._block_s)
            self._guards.arm(BLOCK, self._block_at_s + self._block_s, now_s + self._rest_s)

    def switched(self, now_s, locked):
        """The pump was locked or released."""
        if locked:
            if now_s - self._released_s >= self._rest_s:
                self._block_at_s = now_s  # the pause was long enough: the lock counts anew
            self._guards.arm(BLOCK, self._block_at_s + self._block_s)
            self._guards.arm(LONGEST, now_s + _LONGEST_S)
        else:
            self._released_s = now_s
            self._guards.arm(BLOCK, self._block_at_s + self._block_s, now_s + self._rest_s)
            self._guards.clear(LONGEST)
        self._keep(now_s - self._block_at_s)

    def step(self, now_s, locked):
        """Keeps what a restart must know."""
        if locked:
            if self._locked_s != ABSENT and now_s - self._block_at_s - self._locked_s >= _KEPT_S:
                self._keep(now_s - self._block_at_s)
        elif now_s - self._released_s >= self._rest_s:
            self._guards.clear(BLOCK)  # rested: the next lock counts anew
            if self._locked_s != ABSENT:
                self._keep(ABSENT)

    def _keep(self, seconds):
        self._locked_s = seconds
        try:
            if seconds == ABSENT:
                self._store.delete(_NAME)
            else:
                self._store.put(_NAME, struct.pack(_FORMAT, min(seconds, 0xFFFF)))
        except OSError:
            self._log.error("pump.not_kept")
