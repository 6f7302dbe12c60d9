"""What the household wants of its plug, and what is kept of it: its choice, its override of what is commanded, auto-off
and flip-back, remote closing.

| setting override | the button against what is commanded |
|---|---|
| not_limits | overrides set-points for override_s or until the command ends; gives a limit another time of grace |
| yes | and lifts limits of the EMD, not those of failsafe nor of a device left alone |
| no | may open, and chooses what holds after the command |
"""

from ..codes import (
    ABSENT,
    DECIDER_LIMIT,
    KIND_OFF,
    KIND_ON,
    OBJ_AUTO_OFF,
    OBJ_AUTO_ON,
    OBJ_RELAY,
    R_POWER,
    REASON_NONE,
    REASON_NOT_ENABLED,
    REASON_OUT_OF_RANGE,
    REASON_STORE_FULL,
)
from ..port import const, struct
from .protected import AUTO_OFF, TRIP, VOLTAGE, Protected
from .settings import PLUG, get

_NAME = "plug"
# household's choice, remote closing, auto-off and flip-back in s, power at which a limit opened it, override (0, 1, 2:
# none)
_FORMAT = "<BBIIIB"
_NO_OVERRIDE = const(2)
_LONG = const(2)  # events of the button
_HELD = const(3)


class Household(Protected):
    """`choice`: closed or not when nothing is commanded; `remote_close`: enabled at the device."""

    def __init__(self, board, config, store, log):
        super().__init__(board, config, store, log)
        self._policy = config.get("override", "not_limits")
        self._override_s = get(config, PLUG, "override_s")
        self._override_until_s = 0
        self._override = ABSENT  # 0 or 1: what the household wants instead of the command
        self._over_s = ABSENT  # above the limit since
        self._limit_open = False  # opened for the limit: stays so for the lease
        self._tripped_w = 0  # what it drew when the limit opened it
        self._chosen_s = 0
        self._hold = False  # in safe mode
        self.choice = True
        self.remote_close = bool(config.get("remote_close", False))
        self._auto_off_s = get(config, PLUG, "auto_off_s")
        self._auto_on_s = get(config, PLUG, "auto_on_s")
        raw = store.get(_NAME)
        if raw is not None and len(raw) == struct.calcsize(_FORMAT):
            choice, remote, self._auto_off_s, self._auto_on_s, self._tripped_w, override = struct.unpack(_FORMAT, raw)
            self.choice = bool(choice)
            self.remote_close = bool(remote)
            self._limit_open = self._tripped_w > 0
            if override != _NO_OVERRIDE:
                self._override = override

    def _save(self):
        """Keeps what a restart must not undo; False when the flash does not take it."""
        opened_w = self._tripped_w if self._limit_open else 0
        override = _NO_OVERRIDE if self._override == ABSENT else self._override
        try:
            self._store.put(
                _NAME,
                struct.pack(
                    _FORMAT, self.choice, self.remote_close, self._auto_off_s, self._auto_on_s, opened_w, override
                ),
            )
        except OSError:
            self.log.error("plug.not_kept")
            return False
        return True

    def _begin_household(self, now_s):
        self._chosen_s = now_s
        self._override_until_s = now_s + self._override_s

    def safe(self, now_s):
        """The relay stays as it is, open after a power-on, until the button moves it."""
        super().safe(now_s)
        self._hold = self.board.relay.closed and (self._begun or self.board.warm)

    # --- objects ----------------------------------------------------------------------------------------------------

    def read(self, object_id):
        if object_id == OBJ_RELAY:
            return 1 if self._is_closed() else 0
        if object_id == OBJ_AUTO_OFF:
            return self._auto_off_s
        if object_id == OBJ_AUTO_ON:
            return self._auto_on_s
        return super().read(object_id)

    def write(self, now_s, object_id, value):
        if object_id == OBJ_RELAY:
            if value not in (0, 1):
                return REASON_OUT_OF_RANGE
            if value and not self.remote_close:
                return REASON_NOT_ENABLED
            before, self.choice = self.choice, value == 1
            if not self._save():
                self.choice = before
                return REASON_STORE_FULL
            self._chosen_s = now_s
            if value:
                self.guards.clear(AUTO_OFF)
        elif object_id == OBJ_AUTO_OFF or object_id == OBJ_AUTO_ON:
            if not 0 <= value <= PLUG["auto_off_s"][1]:
                return REASON_OUT_OF_RANGE
            before = self._auto_off_s, self._auto_on_s
            if object_id == OBJ_AUTO_OFF:
                most = get(self.config, PLUG, "auto_off_s")
                if most and not (self.remote_close or 0 < value <= most):
                    return REASON_NOT_ENABLED  # whoever set it at the device had a reason
                self._auto_off_s = value
            elif value and not self.remote_close:
                return REASON_NOT_ENABLED
            else:
                self._auto_on_s = value
            if not self._save():
                self._auto_off_s, self._auto_on_s = before
                return REASON_STORE_FULL
            self._arm_auto_off()
        else:
            return super().write(now_s, object_id, value)
        self._decide(now_s)
        return REASON_NONE

    # --- button, times ----------------------------------------------------------------------------------------------

    def _pressed(self, now_s, event):
        """Short (1): toggle, or take a trip back. Long (2): remote closing on or off. Held (3): factory reset."""
        if event == _HELD:
            self._held(now_s)
            return
        if event == _LONG:
            self.remote_close = not self.remote_close
            self._save()
            self.log.info("plug.remote_close", 1 if self.remote_close else 0)
            if self.board.led is not None:
                self.board.led.identify(1)
            return
        # whose limit it is shows where it decides: one behind a set-point may be that of failsafe
        limited = self._asked == DECIDER_LIMIT and (self._limit_open or self._limit_w <= self.readings[R_POWER])
        if self.guards.armed(TRIP, now_s) or self.guards.armed(VOLTAGE, now_s):
            self.choice = False
            self._save()  # first: a power cut in between must not close what a trip has opened
            self._reset_trip()
        else:
            self.choice = not self.board.relay.closed
            self.guards.clear(AUTO_OFF)
        if self._policy != "no":
            self._limit_open = False
            self._over_s = ABSENT
        self._chosen_s = now_s
        self._hold = self.choice
        self._told = True
        # against a set-point it is an override; pressing again, back to what the command wants, ends it
        self._override = ABSENT
        self._lifts = limited and self.choice and self._policy == "yes"
        against = self._kind != ABSENT and self.choice != self._wanted() or self._lifts
        if against and (self._policy != "no" or not self.choice):
            self._override = 1 if self.choice else 0
            self._override_until_s = now_s + self._override_s
        self._save()

    def _watch_times(self, now_s):
        """The end of an override, and closing by itself where that is enabled."""
        if self._override != ABSENT and now_s >= self._override_until_s:
            self._end_override()
        if self._flips() and now_s - self._chosen_s >= self._auto_on_s and not self._taken:
            self.choice = True
            self.guards.clear(AUTO_OFF)
            self._save()
            self.log.info("plug.auto_on", self._auto_on_s)

    def _flips(self):
        return self._auto_on_s and self.remote_close and not self.choice and not self.safe_mode

    def _end_override(self):
        self._override = ABSENT
        self._lifts = False
        self._save()

    def _soonest(self, now_s, wait):
        """At most `wait` seconds, less when one of these times is over before."""
        if self._override != ABSENT:
            wait = min(wait, self._override_until_s - now_s)
        if self._flips():
            wait = min(wait, self._chosen_s + self._auto_on_s - now_s)
        return wait

    def _arm_auto_off(self):
        if self._auto_off_s:
            if self.board.relay.closed:
                self.guards.arm(AUTO_OFF, self._closed_s + self._auto_off_s)
        else:
            self.guards.clear(AUTO_OFF)

    def _wanted(self):
        """Closed or not, by command and choice alone."""
        kind = self._kind
        if kind == KIND_OFF:
            return False
        if kind == KIND_ON and self.remote_close:
            return True
        return self.choice
