"""The plug: a relay, a meter, a button and a lamp, under guards, trips and the household's last choice.

Who decides, highest first: trip, guards, the household's override, the set-point under the limit, the household's
choice. Without remote closing (enabled at the device: hold the button for three seconds) a command can only open: its
end restores the choice.
"""

from ..codes import (
    ABSENT,
    ALARM_OVER_CURRENT,
    ALARM_OVER_POWER,
    ALARM_OVER_VOLTAGE,
    ALARM_RELAY_STUCK,
    ALARM_UNDER_VOLTAGE,
    DECIDER_GUARD,
    DECIDER_LIMIT,
    DECIDER_OVERRIDE,
    DECIDER_TRIP,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_OFF,
    KIND_ON,
    KIND_UNLIMITED,
    METHOD_OFF,
    METHOD_SHIFT,
    OBJ_AUTO_OFF,
    OBJ_RELAY,
    PROFILE_PLUG,
    R_DECIDER,
    R_STATE,
    REASON_DIRECTION,
    REASON_MAX_BLOCK,
    REASON_MIN_PAUSE,
    REASON_MIN_RUN,
    REASON_NONE,
    REASON_NOT_ENABLED,
    REASON_NOT_SUPPORTED,
    REASON_ON_OFF_ONLY,
    REASON_OUT_OF_RANGE,
    REASON_OVERRIDE,
    REASON_PROTECTION,
    REASON_STORE_FULL,
    SERVICE_LIMIT,
    SERVICE_LIMIT_PERCENT,
    SERVICE_ON_OFF,
    SERVICE_REMOTE_CLOSE,
    SWITCH_CLOSED,
    SWITCH_OVERRIDE,
    SWITCH_RUNNING,
    SWITCH_TRIPPED,
)
from ..port import const, struct
from .device import LIMITERS, Device
from .guards import FORBID_OFF, FORBID_ON, FORCE_OFF, Guards
from .settings import PLUG, get

_NAME = "plug"
# household's choice, remote closing, auto-off in s, ALARM_… that latches, power at which a limit opened it
_FORMAT = "<BBIBI"
_SETTLE_S = const(2)  # a relay has opened after this
_VOLTAGE_TRIPS = const(3)  # recoveries from a voltage trip, then it latches
_DAY_S = const(86400)
_PATIENCE_S = const(5)  # from boot on, for the agent to say what was in force

# The guards in order of precedence: what each forbids, and what it says. When each is armed stands at the constant's
# uses.
_TRIP, _VOLTAGE, _MIN_OFF, _MIN_ON, _AUTO_OFF = range(5)
ROWS = (
    ("trip", FORCE_OFF, REASON_PROTECTION),  # over-current, over-power, stuck relay: until the button
    ("voltage", FORCE_OFF, REASON_PROTECTION),  # until the voltage was right for voltage_recover_s
    ("min_off", FORBID_ON, REASON_MIN_PAUSE),  # for min_off_s after opening; after a reset that dropped the relay too
    ("min_on", FORBID_OFF, REASON_MIN_RUN),  # for min_on_s after closing
    ("auto_off", FORCE_OFF, REASON_MAX_BLOCK),  # auto_off_s after closing, until something asks to close again
)


class Plug(Device):
    """A switchable, metered socket. `config`: see settings.PLUG, settings.WORDS and settings.SWITCHES."""

    def __init__(self, board, config, store, log):
        super().__init__(board, config, store, log)
        self._power_max_w = get(config, PLUG, "power_max_w", board.power_w)
        self._standby_w = get(config, PLUG, "standby_w")
        self._saving_w = get(config, PLUG, "saving_w", self._power_max_w)
        self._min_on_s = get(config, PLUG, "min_on_s")
        self._min_off_s = get(config, PLUG, "min_off_s")
        self._grace_s = get(config, PLUG, "limit_grace_s")
        self._recover_s = get(config, PLUG, "voltage_recover_s")
        self._running_w = get(config, PLUG, "running_w")
        self._stuck_w = get(config, PLUG, "stuck_w")
        self._over_10mv = get(config, PLUG, "over_voltage_10mv")
        self._under_10mv = get(config, PLUG, "under_voltage_10mv")
        board.trip.arm(
            get(config, PLUG, "over_current_ma", board.current_ma),
            get(config, PLUG, "over_power_w", board.power_w),
            self._over_10mv,
            self._under_10mv,
        )
        self.guards = Guards(ROWS)
        self._closed_s = 0  # when the relay closed or opened
        self._opened_s = 0
        self._over_s = ABSENT  # above the limit since
        self._limit_open = False  # opened for the limit: stays so for the lease
        self._tripped_w = 0  # what it drew when the limit opened it
        self._before_w = 0  # what it drew when it was last opened
        self._override = ABSENT  # 0 or 1: what the household wants instead of the command
        self._stuck = 0  # samples in a row with current through an open relay
        self._recovering_s = ABSENT
        self._taken = 0  # the comparator's latch, as far as the guards know it
        self._latched = 0  # ALARM_… that holds until the button, also over a restart
        self._voltage_trips = 0
        self._voltage_at_s = 0
        self._running = False
        self._boot_s = 0
        self._load()

    def _load(self):
        self.choice = True
        self.remote_close = bool(self.config.get("remote_close", False))
        self._auto_off_s = get(self.config, PLUG, "auto_off_s")
        raw = self._store.get(_NAME)
        if raw is not None and len(raw) == struct.calcsize(_FORMAT):
            choice, remote, self._auto_off_s, self._latched, self._tripped_w = struct.unpack(_FORMAT, raw)
            self.choice = bool(choice)
            self.remote_close = bool(remote)
            self._limit_open = self._tripped_w > 0

    def _save(self):
        """Keeps what a restart must not undo; False when the flash does not take it."""
        opened_w = self._tripped_w if self._limit_open else 0
        try:
            self._store.put(
                _NAME,
                struct.pack(_FORMAT, self.choice, self.remote_close, self._auto_off_s, self._latched, opened_w),
            )
        except OSError:
            self.log.error("plug.not_kept")
            return False
        return True

    def _begin(self, now_s):
        """Cold boot: the power-on policy. Warm restart on a board whose relay holds: nothing clicks. Since when it has
        been as it is nobody knows: the least times count from here."""
        relay = self.board.relay
        self._closed_s = self._opened_s = self._boot_s = now_s
        if self._latched:
            self.guards.arm(_TRIP, now_s)
            if self._latched == ALARM_RELAY_STUCK:
                self._stuck = 2
        if self.board.warm and self.board.relay_hold:
            self._arm_auto_off()
            if relay.closed:
                self.guards.arm(_MIN_ON, now_s, now_s + self._min_on_s)
            else:
                self.guards.arm(_MIN_OFF, now_s, now_s + self._min_off_s)
            self.log.info("plug.warm", 1 if relay.closed else 0)
            return
        policy = self.config.get("power_on", "last")
        if policy != "last" and not self.board.warm and self.choice != (policy == "on"):
            self.choice = policy == "on"
            self._save()  # or the next warm restart would bring back what stood before the power cut
        self.guards.arm(_MIN_OFF, now_s, now_s + self._min_off_s)

    # --- the agent's side -------------------------------------------------------------------------------------------

    def description(self):
        """Fields of the register message that the device knows."""
        services = SERVICE_ON_OFF | SERVICE_LIMIT | SERVICE_LIMIT_PERCENT
        if self.remote_close:
            services |= SERVICE_REMOTE_CLOSE
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
            return self.board.meter.power_w
        return self._before_w

    def read(self, object_id):
        if object_id == OBJ_RELAY:
            return 1 if self.board.relay.closed or self._stuck else 0
        if object_id == OBJ_AUTO_OFF:
            return self._auto_off_s
        return super().read(object_id)

    def write(self, now_s, object_id, value):
        if object_id == OBJ_RELAY:
            if value not in (0, 1):
                return REASON_OUT_OF_RANGE
            if value and not self.remote_close:
                return REASON_NOT_ENABLED
            return self._choose(now_s, value == 1)
        if object_id == OBJ_AUTO_OFF:
            low, high, _ = PLUG["auto_off_s"]
            if not low <= value <= high:
                return REASON_OUT_OF_RANGE
            before, self._auto_off_s = self._auto_off_s, value
            if not self._save():
                self._auto_off_s = before
                return REASON_STORE_FULL
            self._arm_auto_off()
            self._decide(now_s)
            return REASON_NONE
        return super().write(now_s, object_id, value)

    def _choose(self, now_s, choice):
        before, self.choice = self.choice, choice
        if not self._save():
            self.choice = before
            return REASON_STORE_FULL
        if choice:
            self.guards.clear(_AUTO_OFF)
        self._decide(now_s)
        return REASON_NONE

    def _changed(self, now_s, before):
        """A new decision of the agent's is in force."""
        limit_w = self._limit_w
        if limit_w == ABSENT or self._limit_open and limit_w >= self._tripped_w:
            self._over_s = ABSENT
            self._end_limit_open()
        if self._kind == ABSENT:
            self._override = ABSENT  # it was against a command that is over; the choice stands
        elif self._kind == KIND_ON and before != KIND_ON:
            self.guards.clear(_AUTO_OFF)

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
        if meter.sample(now_s):
            self._measured(now_s, self._take_sample(meter))
        if board.trip.latch != self._taken:
            self._take_trip(now_s)
        self._say_trip(now_s)
        if board.button is not None:
            event = board.button.take()
            if event:
                self._pressed(now_s, event)
        self._watch_parts(now_s, meter, board.relay.switches)
        self._watch_limit(now_s, meter)
        self._decide(now_s)
        self._say_override(now_s, self._override != ABSENT)
        return self._wait(now_s, meter.period_s)

    def _wait(self, now_s, wait):
        wait = self.guards.wait(now_s, wait) if self._told else 1
        if self._over_s != ABSENT:
            left = self._over_s + self._grace_s - now_s
            if left < wait:
                wait = left
        if self._stuck == 1 or self._recovering_s != ABSENT:
            wait = min(wait, self._recover_s, 5)
        return wait if wait > 0 else 1

    def _measured(self, now_s, power_w):
        relay = self.board.relay
        running = power_w >= self._running_w
        if running and not self._running:
            self.counters.starts += 1
        self._running = running
        if relay.closed:
            self._before_w = power_w
            if self._stuck:
                self._stuck = 0
        elif power_w >= self._stuck_w and now_s - self._opened_s >= _SETTLE_S:
            if self._stuck < 2:
                self._stuck += 1
                if self._stuck == 2:
                    self._latch(now_s, ALARM_RELAY_STUCK)
        elif self._stuck < 2:
            self._stuck = 0
        if self._recovering_s != ABSENT:
            self._watch_voltage(now_s)

    # --- trips ------------------------------------------------------------------------------------------------------

    def _take_trip(self, now_s):
        """The comparator opened the relay: hold it open. The guards must know before anything is decided, or a command
        that comes between the sample and the next step would close what was just opened."""
        trip = self.board.trip
        self._taken = trip.latch
        self._opened_s = now_s
        self.guards.arm(_MIN_OFF, now_s, now_s + self._min_off_s)
        if trip.latch == ALARM_OVER_VOLTAGE or trip.latch == ALARM_UNDER_VOLTAGE:
            if now_s - self._voltage_at_s > _DAY_S:
                self._voltage_trips = 0
            self._voltage_trips += 1
            self._voltage_at_s = now_s
            if self._voltage_trips <= _VOLTAGE_TRIPS:
                self.guards.arm(_VOLTAGE, now_s)
                self._recovering_s = now_s
                return
        self._latch(now_s, trip.latch)

    def _latch(self, now_s, alarm):
        """Holds it open until the button, also over a restart."""
        self.guards.arm(_TRIP, now_s)
        self._latched = alarm
        self._save()

    def _say_trip(self, now_s):
        """Alarms are said from `step` alone; one that was kept over a restart is said again."""
        trip = self.board.trip
        if trip.latch:
            self._alarm(now_s, trip.latch, True, trip.value, trip.limit)
        if self._latched == ALARM_RELAY_STUCK:
            self._alarm(now_s, ALARM_RELAY_STUCK, True, self.board.meter.power_w, self._stuck_w)
        elif self._latched:
            self._alarm(now_s, self._latched, True)

    def _watch_voltage(self, now_s):
        """Takes a voltage trip back when the voltage was right for long enough."""
        trip = self.board.trip
        voltage = self.board.meter.voltage_10mv
        if trip.outside(voltage):
            self._recovering_s = now_s
        elif now_s - self._recovering_s >= self._recover_s:
            self._recovering_s = ABSENT
            self._alarm(now_s, trip.latch, False, voltage)
            trip.clear()
            self._taken = 0
            self.guards.clear(_VOLTAGE)

    def _reset_trip(self, now_s):
        """The button: the latch falls, the relay stays open until it is pressed again. Not while current flows through
        a relay that should be open."""
        trip = self.board.trip
        if self._stuck and not self.board.relay.closed and self.board.meter.power_w >= self._stuck_w:
            return
        self._recovering_s = ABSENT
        self._voltage_trips = 0
        self._stuck = 0
        self._latched = self._taken = 0
        trip.clear()
        self.guards.clear(_TRIP)
        self.guards.clear(_VOLTAGE)
        for alarm in (ALARM_OVER_CURRENT, ALARM_OVER_POWER, ALARM_OVER_VOLTAGE, ALARM_UNDER_VOLTAGE, ALARM_RELAY_STUCK):
            self._alarm(now_s, alarm, False)

    # --- the household ----------------------------------------------------------------------------------------------

    def _pressed(self, now_s, event):
        """Short (1): toggle, or take a trip back. Long (2): remote closing on or off."""
        if event == 2:
            self.remote_close = not self.remote_close
            self._save()
            self.log.info("plug.remote_close", 1 if self.remote_close else 0)
            if self.board.led is not None:
                self.board.led.identify(1)
            return
        if self.guards.armed(_TRIP, now_s) or self.guards.armed(_VOLTAGE, now_s):
            self._reset_trip(now_s)
            self.choice = False
        else:
            self.choice = not self.board.relay.closed
            self.guards.clear(_AUTO_OFF)
        self._limit_open = False
        self._over_s = ABSENT
        self._told = True
        self._save()
        # against a set-point it is an override; pressing again, back to what the command wants, ends it
        self._override = ABSENT
        if self._kind != ABSENT and self.choice != self._wanted():
            self._override = 1 if self.choice else 0

    # --- deciding ---------------------------------------------------------------------------------------------------

    def _wanted(self):
        """Closed or not, by command and choice alone."""
        kind = self._kind
        if kind == KIND_OFF:
            return False
        if kind == KIND_ON and self.remote_close:
            return True
        return self.choice

    def _watch_limit(self, now_s, meter):
        """An on/off device under a limit: above it for the grace time it opens, and stays open for the lease."""
        limit_w = self._limit_w
        if limit_w == ABSENT or self._limit_open or not self.board.relay.closed:
            self._over_s = ABSENT
            if limit_w == ABSENT and self._told:
                self._end_limit_open()
            return
        # a meter that is silent cannot show that the limit is kept
        if meter.power_w > limit_w or meter.fault and limit_w < self._power_max_w:
            if self._over_s == ABSENT:
                self._over_s = now_s
            if now_s - self._over_s >= self._grace_s:
                self._over_s = ABSENT
                self._limit_open = True
                self._tripped_w = max(meter.power_w, limit_w + 1)
                self._save()  # a restart within the lease must not try again
                self.log.info("plug.limit_open", meter.power_w, limit_w)
        else:
            self._over_s = ABSENT

    def _end_limit_open(self):
        if self._limit_open:
            self._limit_open = False
            self._save()

    def _decide(self, now_s):
        relay = self.board.relay
        if self.board.trip.latch != self._taken:
            self._take_trip(now_s)
        wanted = self._wanted()
        decider = self._asked
        reason = REASON_NONE
        override = self._override
        limit_w = self._limit_w
        if not self._told:
            # a command that was running before the restart comes back with the agent's first word: no click until then
            if now_s - self._boot_s < _PATIENCE_S:
                wanted = relay.closed
            else:
                self._told = True
        if override != ABSENT:
            wanted = override == 1
            decider = DECIDER_OVERRIDE
            reason = REASON_OVERRIDE
        if limit_w != ABSENT and wanted and (self._limit_open or limit_w == 0):
            wanted = False
            reason = REASON_ON_OFF_ONLY
            if decider not in LIMITERS:
                decider = DECIDER_LIMIT
        guards = self.guards
        closed = relay.closed
        result = guards.decide(now_s, closed, wanted)
        row = guards.row
        self.hold_s = 0
        if row >= 0 and (result != wanted or row <= _VOLTAGE):
            reason = guards.reason
            decider = DECIDER_TRIP if row <= _VOLTAGE else DECIDER_GUARD
            if row != _TRIP and row != _VOLTAGE:
                self.hold_s = guards.until_s - now_s if row != _AUTO_OFF else 0
        if row == _AUTO_OFF and self.choice:
            self.choice = False  # a power cut must not bring back what was switched off for safety
            self._save()
        if result != closed:
            self._switch(now_s, result)
        self._conclude(result, decider, reason, limit_w)

    def _switch(self, now_s, closed):
        guards = self.guards
        self.board.relay.set(closed)
        if closed:
            self._closed_s = now_s
            guards.arm(_MIN_ON, now_s, now_s + self._min_on_s)
            self._arm_auto_off()
        else:
            self._opened_s = now_s
            guards.arm(_MIN_OFF, now_s, now_s + self._min_off_s)

    def _arm_auto_off(self):
        if self._auto_off_s:
            if self.board.relay.closed:
                self.guards.arm(_AUTO_OFF, self._closed_s + self._auto_off_s)
        else:
            self.guards.clear(_AUTO_OFF)

    def _conclude(self, closed, decider, reason, limit_w):
        """What is said of the outcome: to the agent, in the readings, by the lamp."""
        meter = self.board.meter
        power_w = meter.power_w if self._stuck else self._standby_w
        if closed:
            power_w = meter.power_w
            if power_w < self._running_w and self._before_w > power_w:
                power_w = self._before_w
            if limit_w != ABSENT and power_w > limit_w:
                power_w = 0  # it will open when the grace time is over
                if reason == REASON_NONE:
                    reason = REASON_ON_OFF_ONLY
        self.power_w = power_w
        self.reason = reason
        self.decider = decider
        state = 0
        if closed or self._stuck:  # current flows, whatever the contact was told
            state = SWITCH_CLOSED
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
