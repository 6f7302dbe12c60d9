"""The plug: a relay, a meter, a button and a lamp, under guards, trips and the household's last choice.

Who decides, highest first: trip, guards, under-frequency shedding, the household's override, the set-point under the
limit, the household's choice. Without remote closing (enabled at the device: hold the button for three seconds) a
command can only open: its end restores the choice. Protection is in protected.py, the household in household.py.
"""

from ..codes import (
    ABSENT,
    ALARM_SHEDDING,
    DECIDER_DEFAULT,
    DECIDER_GUARD,
    DECIDER_LIMIT,
    DECIDER_OVERRIDE,
    DECIDER_SHEDDING,
    DECIDER_TRIP,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_OFF,
    KIND_ON,
    KIND_UNLIMITED,
    METHOD_OFF,
    METHOD_SHIFT,
    OBJ_SHED_DELAY,
    OBJ_SHED_FREQUENCY,
    PROFILE_PLUG,
    R_DECIDER,
    R_FREQUENCY,
    R_POWER,
    R_STATE,
    REASON_DIRECTION,
    REASON_FREQUENCY,
    REASON_NONE,
    REASON_NOT_ENABLED,
    REASON_NOT_SUPPORTED,
    REASON_ON_OFF_ONLY,
    REASON_OUT_OF_RANGE,
    REASON_OVERRIDE,
    REASON_SAFE_MODE,
    REASON_SENSOR,
    SERVICE_LIMIT,
    SERVICE_LIMIT_PERCENT,
    SERVICE_ON_OFF,
    SERVICE_REMOTE_CLOSE,
    SERVICE_SHEDDING,
    SWITCH_CLOSED,
    SWITCH_OVERRIDE,
    SWITCH_RUNNING,
    SWITCH_TRIPPED,
)
from ..port import const
from .device import LIMITERS
from .household import Household
from .protected import AUTO_OFF, MAINS, MIN_OFF, MIN_ON, VOLTAGE
from .settings import PLUG, get

_PATIENCE_S = const(5)  # from boot on, for the agent to say what was in force


def _shedding(*arguments):
    from .shedding import Shedding  # where the household has consented: a file of its own in flash

    return Shedding(*arguments)


class Plug(Household):
    """A switchable, metered socket. `config`: see settings.py."""

    def __init__(self, board, config, store, log):
        super().__init__(board, config, store, log)
        self._power_max_w = get(config, PLUG, "power_max_w", board.power_w)
        self._standby_w = get(config, PLUG, "standby_w")
        self._saving_w = get(config, PLUG, "saving_w", self._power_max_w)
        self._grace_s = get(config, PLUG, "limit_grace_s")
        self._boot_s = 0
        self.shedding = _shedding(config, store, log) if config.get("shed_consent") else None

    def _begin(self, now_s):
        """Cold boot: the power-on policy. Warm restart on a board whose relay holds: nothing clicks. Since when it has
        been as it is nobody knows: the least times count from here."""
        board = self.board
        relay = board.relay
        self._boot_s = now_s
        self._begin_household(now_s)
        self._begin_trips(now_s)
        self._arm_auto_off()
        if board.warm and board.relay_hold:
            if relay.closed:
                self.guards.arm(MIN_ON, now_s, now_s + self._min_on_s)
            else:
                self.guards.arm(MIN_OFF, now_s, now_s + self._min_off_s)
            self.log.info("plug.warm", 1 if relay.closed else 0)
            return
        wait_s = self._min_off_s
        if not board.warm:
            wait_s = max(wait_s, get(self.config, PLUG, "power_on_s"))
            policy = self.config.get("power_on", "last")
            if policy != "last" and self.choice != (policy == "on") and not self.safe_mode:
                self.choice = policy == "on"
                self._save()  # or the next warm restart would bring back what stood before the power cut
            if relay.closed and (wait_s or not self.choice):
                self._switch(now_s, False)  # a latching relay; it is to wait as any other does
        self.guards.arm(MIN_OFF, now_s, now_s + wait_s)

    # --- the agent's side -------------------------------------------------------------------------------------------

    def description(self):
        """Fields of the register message that the device knows."""
        services = SERVICE_ON_OFF | SERVICE_LIMIT | SERVICE_LIMIT_PERCENT
        if self.remote_close:
            services |= SERVICE_REMOTE_CLOSE
        if self.shedding is not None:
            services |= SERVICE_SHEDDING
        fields = {
            "profile": PROFILE_PLUG,
            "power_max": self._power_max_w,
            "power_min": 0,
            "standby": self._standby_w,
            "methods": METHOD_OFF | METHOD_SHIFT,
            "saving": self._saving_w,
            "services": services,
            "min_run": self._min_on_s,
            "min_pause": self._min_off_s,
            "reaction": 1,
            "ramp": 0,
            "flash_wear": self._store.wear(),
        }
        if self.relay_wear() != ABSENT:
            fields["relay_wear"] = self.relay_wear()
        return fields

    def check(self, kind, value, value2):
        """REASON_NONE, or why this plug cannot do `kind` with these values."""
        if self.safe_mode:
            return REASON_SAFE_MODE
        if kind == KIND_OFF or kind == KIND_UNLIMITED:
            return REASON_NONE
        if kind == KIND_ON:
            return REASON_NONE if self.remote_close else REASON_NOT_ENABLED
        if kind == KIND_LIMIT or kind == KIND_LIMIT_PERCENT:
            if value2 not in (0, ABSENT):
                return REASON_DIRECTION
            if value == ABSENT or value < 0 or kind == KIND_LIMIT_PERCENT and value > 100:
                return REASON_OUT_OF_RANGE
            return REASON_NONE
        return REASON_NOT_SUPPORTED

    def estimate_w(self):
        """Power without a command: as measured, or as it was when the command opened the relay."""
        if not self.choice:
            return self._standby_w
        if self.board.relay.closed:
            return self.readings[R_POWER]
        return self._before_w

    def read(self, object_id):
        if self.shedding is not None and OBJ_SHED_FREQUENCY <= object_id <= OBJ_SHED_DELAY:
            return self.shedding.read(object_id)
        return super().read(object_id)

    def write(self, now_s, object_id, value):
        if OBJ_SHED_FREQUENCY <= object_id <= OBJ_SHED_DELAY:
            return REASON_NOT_ENABLED if self.shedding is None else self.shedding.write(object_id, value)
        return super().write(now_s, object_id, value)

    def _changed(self, now_s, before):
        """A new decision of the agent's is in force."""
        self._relax()
        if self._asked != DECIDER_LIMIT:
            self._lifts = False
        if self._kind == ABSENT:
            if self._override != ABSENT and not self._lifts:
                self._end_override()  # it was against a command that is over; the choice stands
        elif self._kind == KIND_ON and before != KIND_ON:
            self.guards.clear(AUTO_OFF)

    # --- time -------------------------------------------------------------------------------------------------------

    def poll(self, now_s):
        """Between steps, often (50 ms): takes in what arrived. True when a step is due at once."""
        board = self.board
        fresh = board.poll()
        return fresh or board.trip.latch != self._taken

    def step(self, now_s):
        """Samples, reads the button, decides. Returns the seconds until it wants to be called again."""
        if not self._begun:
            self._begun = True
            self._begin(now_s)
        board = self.board
        meter = board.meter
        fresh = self._sample(now_s)
        self._watch_trips(now_s, fresh)
        if board.button is not None:
            event = board.button.take()
            if event:
                self._pressed(now_s, event)
                self._say_trip(now_s)
        self._watch_parts(now_s, meter, board.relay.switches)
        self._watch_times(now_s)
        self._watch_limit(now_s)
        if self.shedding is not None:
            self._watch_frequency(now_s, fresh)
        self._decide(now_s)
        self._say_override(now_s, self._override != ABSENT)
        return self._wait(now_s, meter.period_s)

    def _wait(self, now_s, wait):
        wait = self.guards.wait(now_s, wait) if self._told else 1
        wait = self._soonest(now_s, wait)
        if self._over_s != ABSENT:
            wait = min(wait, self._over_s + self._grace_s - now_s)
        if self._stuck == 1 or self._recovering_s != ABSENT:
            wait = min(wait, self._recover_s, 5)
        return wait if wait > 0 else 1

    def _watch_frequency(self, now_s, fresh):
        shedding = self.shedding
        mhz = self.readings[R_FREQUENCY]
        shedding.step(now_s, mhz, fresh, self.spread)
        self._alarm(now_s, ALARM_SHEDDING, shedding.active, mhz, shedding.frequency_mhz)

    # --- deciding ---------------------------------------------------------------------------------------------------

    def _watch_limit(self, now_s):
        """An on/off device under a limit: above it for the grace time it opens, and stays open for the lease."""
        cap_w = self._cap_w()
        if self._told:
            self._relax()
        if cap_w == ABSENT or self._limit_open or not self.board.relay.closed:
            self._over_s = ABSENT
            return
        power_w = self.readings[R_POWER]
        # a meter that is silent cannot show that the limit is kept
        if power_w > cap_w or self.blind and cap_w < self._power_max_w:
            if self._over_s == ABSENT:
                self._over_s = now_s
            if now_s - self._over_s >= self._grace_s:
                self._over_s = ABSENT
                self._limit_open = True
                self._tripped_w = max(power_w, cap_w + 1)
                self._save()  # a restart within the lease must not try again
                self.log.info("plug.limit_open", power_w, cap_w)
        else:
            self._over_s = ABSENT

    def _relax(self):
        """What a limit opened may close when there is none, or one that what was drawn would keep."""
        if self._limit_open:
            cap_w = self._cap_w()
            if cap_w == ABSENT or cap_w >= self._tripped_w:
                self._limit_open = False
                self._save()

    def _decide(self, now_s):
        relay = self.board.relay
        if self.board.trip.latch != self._taken:
            self._take_trip(now_s)
        wanted = self._wanted()
        decider = self._asked
        reason = REASON_NONE
        if not self._told:
            # a command that was running before the restart comes back with the agent's first word: no click until then
            if now_s - self._boot_s < _PATIENCE_S:
                wanted = relay.closed
            else:
                self._told = True
        if self.safe_mode:
            wanted = self._hold
            decider = DECIDER_DEFAULT
            reason = REASON_SAFE_MODE
        elif self._override != ABSENT:
            wanted = self._override == 1
            decider = DECIDER_OVERRIDE
            reason = REASON_OVERRIDE
        cap_w = self._cap_w()
        if cap_w != ABSENT and wanted and (self._limit_open or cap_w == 0):
            wanted = False
            if cap_w != self._limit_w:
                reason = REASON_SENSOR
                decider = DECIDER_GUARD
            else:
                reason = REASON_ON_OFF_ONLY
                if decider not in LIMITERS:
                    decider = DECIDER_LIMIT
        if wanted and self.shedding is not None and self.shedding.active:
            wanted = False
            reason = REASON_FREQUENCY
            decider = DECIDER_SHEDDING
        guards = self.guards
        closed = relay.closed
        result = guards.decide(now_s, closed, wanted)
        row = guards.row
        self.hold_s = 0
        if row >= 0 and (result != wanted or row <= MAINS):
            reason = guards.reason
            decider = DECIDER_TRIP if row <= VOLTAGE else DECIDER_GUARD
            if row == MIN_OFF or row == MIN_ON:
                self.hold_s = guards.until_s - now_s
        if row == AUTO_OFF and self.choice:
            self.choice = False  # a power cut must not bring back what was switched off for safety
            self._chosen_s = now_s
            self._save()
        if result != closed:
            self._switch(now_s, result)
            if result:
                self._arm_auto_off()
        self._conclude(result, decider, reason, cap_w)

    def _conclude(self, closed, decider, reason, limit_w):
        """What is said of the outcome: to the agent, in the readings, by the lamp."""
        drawn_w = self.readings[R_POWER]
        power_w = drawn_w if self._stuck else self._standby_w
        if closed:
            power_w = drawn_w
            if power_w < self._running_w and self._before_w > power_w:
                power_w = self._before_w
            if limit_w != ABSENT and power_w > limit_w:
                power_w = 0  # it will open when the grace time is over
                if reason == REASON_NONE:
                    reason = REASON_ON_OFF_ONLY
        self.power_w = power_w
        self.reason = reason
        self.decider = decider
        state = SWITCH_CLOSED if self._is_closed() else 0
        if self._running:
            state |= SWITCH_RUNNING
        if decider == DECIDER_TRIP:
            state |= SWITCH_TRIPPED
        if self._override != ABSENT:
            state |= SWITCH_OVERRIDE
        readings = self.readings
        readings[R_STATE] = state
        readings[R_DECIDER] = decider
        if self.board.led is not None:
            self.board.led.show(state)
