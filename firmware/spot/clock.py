"""Time: monotonic seconds from a counter that wraps, and UTC with its quality and a persisted floor.

Decisions that the agent can rely on:
- `now_s` never jumps, whatever is said about UTC.
- What the EMD says is believed, hours forward or back: logged, and below the floor it takes the floor down with it (the
  EMD is authenticated; a floor from one wrong day must not make every certificate look expired for ever).
- What the network (SNTP) says is believed only above the floor, and only while nothing fresh from the EMD is there.
- The floor is written when the time has held for an hour since it was set or corrected, and then every six hours:
  at most five writes a day.
"""

from .codes import ABSENT, CLOCK_EMD, CLOCK_FLOOR, CLOCK_HOLDOVER, CLOCK_NETWORK, CLOCK_UNSET, MAX_INT
from .port import TICKS_PERIOD, const, struct

_HOLDOVER_S = const(86400)  # s without a new time, then the quality says so
_SETTLE_S = const(3600)  # s that a time must hold before it may become the floor
_FLOOR_STEP_S = const(21600)  # s by which the floor lags at most
_UTC_MIN = const(-31622400)  # 2024-01-01: what the wire takes
_LOG_JUMP_S = const(2)  # a smaller correction is not worth an entry
_NAME = "clock"


class Clock:
    """One device's time. `store` keeps the floor (None: it is not kept); UTC is seconds since 2025-01-01.

    `period` is that of the counter given to `tick`, a power of two in milliseconds. `on_set(utc)`, when set, is told
    the first time, every jump, and the time once a day: a chip's own clock, which TLS goes by, follows.
    """

    def __init__(self, store=None, log=None, period=TICKS_PERIOD):
        self._store = store
        self._log = log
        self._mask = period - 1
        self._last = ABSENT  # latest counter value
        self._ms = 0  # 0..999 beyond now_s
        self.now_s = 0
        self._utc = ABSENT  # UTC at _at
        self._at = 0
        self._set_at = 0  # latest confirmation
        self._since = 0  # the time has held since then
        self._quality = CLOCK_UNSET
        self.jump_s = 0  # the latest correction; now() of the agent's intervals may care
        self.on_set = None
        self._told_s = 0
        self.floor = ABSENT
        raw = store.get(_NAME) if store is not None else None
        if raw is not None and len(raw) == 4:
            floor = struct.unpack("<i", raw)[0]
            if _UTC_MIN <= floor <= MAX_INT:
                self.floor = floor

    def tick(self, ticks_ms):
        """Moves on to the counter's value `ticks_ms`; returns now_s. Wants a call at least once a period."""
        if self._last == ABSENT:
            self._last = ticks_ms
            return self.now_s
        ms = self._ms + ((ticks_ms - self._last) & self._mask)
        self._last = ticks_ms
        self.now_s += ms // 1000
        self._ms = ms % 1000
        return self.now_s

    def utc(self, now_s):
        """UTC at `now_s`, or ABSENT when no time was set since boot."""
        if self._utc == ABSENT:
            return ABSENT
        return self._utc + now_s - self._at

    def best(self, now_s):
        """As `utc`; without one the least that it can be, floor and time since boot; ABSENT without a floor."""
        if self._utc != ABSENT:
            return self._utc + now_s - self._at
        if self.floor != ABSENT:
            return self.floor + now_s
        return ABSENT

    def quality(self, now_s):
        """CLOCK_… of the UTC at `now_s`."""
        if self._utc == ABSENT:
            return CLOCK_UNSET if self.floor == ABSENT else CLOCK_FLOOR
        if now_s - self._set_at > _HOLDOVER_S:
            return CLOCK_HOLDOVER
        return self._quality

    def set_utc(self, now_s, utc, quality):
        """Takes `utc` at `now_s` from a source of `quality` (CLOCK_NETWORK or CLOCK_EMD). False: refused, and
        logged."""
        if quality not in (CLOCK_NETWORK, CLOCK_EMD) or not _UTC_MIN <= utc <= MAX_INT:
            return self._refuse("clock.refused", utc, quality)
        if quality == CLOCK_NETWORK:
            if self.quality(now_s) == CLOCK_EMD:
                return self._refuse("clock.outranked", utc, quality)
            if self.floor != ABSENT and utc < self.floor:
                return self._refuse("clock.below_floor", utc, self.floor)
        before = self.utc(now_s)
        tell = before == ABSENT or now_s - self._told_s >= _HOLDOVER_S
        if before == ABSENT:
            self._since = now_s
            self.jump_s = 0
        else:
            self.jump_s = jump_s = utc - before
            if jump_s > _LOG_JUMP_S or jump_s < -_LOG_JUMP_S:
                self._since = now_s
                tell = True
                if self._log is not None:
                    if -3600 < jump_s < 3600:
                        self._log.info("clock.jump", jump_s, quality)
                    else:
                        self._log.warn("clock.jump", jump_s, quality)
        self._utc = utc
        self._at = now_s
        self._set_at = now_s
        self._quality = quality
        if tell and self.on_set is not None:
            self._told_s = now_s
            self.on_set(utc)
        if self.floor != ABSENT and utc < self.floor:
            self._keep(utc)
        elif now_s - self._since >= _SETTLE_S and (self.floor == ABSENT or utc - self.floor >= _FLOOR_STEP_S):
            self._keep(utc)
        return True

    def _refuse(self, event, a, b):
        if self._log is not None:
            self._log.warn(event, a, b)
        return False

    def _keep(self, utc):
        self.floor = utc
        if self._store is None:
            return
        try:
            self._store.put(_NAME, struct.pack("<i", utc))
        except OSError:  # StoreError is one: the floor is of use without being kept, too
            if self._log is not None:
                self._log.error("clock.floor_not_kept", utc)
