"""The heat-pump controller: SG-Ready contacts, set-point offset and power limit of the machine, under guards.

The guards count the compressor's runs and pauses as *measured* at its power, and from boot after any reset. Their word
is about one thing: whether the pump is released or locked (SG-Ready state 1). The comfort floor and frost protection
lift whatever is asked.
"""

from ..codes import (
    ABSENT,
    ALARM_SENSOR_FAULT,
    DECIDER_GUARD,
    DECIDER_LIMIT,
    DECIDER_OVERRIDE,
    KIND_BAND,
    KIND_BOOST,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_OFF,
    KIND_OFFSET,
    KIND_ON,
    KIND_SG_READY,
    KIND_SHUTDOWN,
    KIND_UNLIMITED,
    METHOD_OFF,
    METHOD_REDUCE,
    METHOD_SET_POINT,
    METHOD_SHIFT,
    OBJ_COMFORT_HIGH,
    OBJ_COMFORT_LOW,
    OBJ_COMPRESSOR,
    OBJ_DEVICE_TEMPERATURE,
    OBJ_FLOW_TEMPERATURE,
    OBJ_HOT_WATER_TEMPERATURE,
    OBJ_OUTDOOR_TEMPERATURE,
    OBJ_RELAY,
    OBJ_ROOM_TEMPERATURE,
    OBJ_SETPOINT_OFFSET,
    OBJ_SG_STATE,
    PROFILE_HEAT_PUMP,
    R_DECIDER,
    R_DEVICE_TEMPERATURE,
    R_FLOW_TEMPERATURE,
    R_HOT_WATER_TEMPERATURE,
    R_OUTDOOR_TEMPERATURE,
    R_ROOM_TEMPERATURE,
    R_SG_STATE,
    R_STATE,
    REASON_BELOW_MINIMUM,
    REASON_COMFORT,
    REASON_DIRECTION,
    REASON_FROST,
    REASON_MAX_BLOCK,
    REASON_MIN_PAUSE,
    REASON_MIN_RUN,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_ON_OFF_ONLY,
    REASON_OUT_OF_RANGE,
    REASON_OVERRIDE,
    REASON_STARTS,
    REASON_STORE_FULL,
    SERVICE_BAND,
    SERVICE_BOOST,
    SERVICE_LIMIT,
    SERVICE_LIMIT_PERCENT,
    SERVICE_OFFSET,
    SERVICE_ON_OFF,
    SERVICE_SG_READY,
    SERVICE_SHUTDOWN,
    SWITCH_CLOSED,
    SWITCH_OVERRIDE,
    SWITCH_RUNNING,
)
from ..port import const, struct
from .device import LIMITERS, Device
from .guards import FORBID_OFF, FORBID_ON, FORCE_ON, Guards
from .settings import HEAT_PUMP, get

_LOCK, _NORMAL, _RECOMMENDED, _FORCED = 1, 2, 3, 4  # SG-Ready states

_NAME = "pump"
_FORMAT = "<hh"  # comfort band
_LOCK_NAME = "lock"  # seconds of a lock that still counts: a restart must not renew the longest block
_LOCK_FORMAT = "<H"
_LOCK_KEPT_S = const(900)
_HYSTERESIS = const(30)  # 0.01 K between raising and dropping comfort, frost and band decisions
_HOUR_S = const(3600)
_MEAN_S = const(900)  # time constant of the power without a command
_FREE_SCALE = const(64)

_SENSOR_SLOTS = (  # name of the sensor, slot of the reading, object
    ("room", R_ROOM_TEMPERATURE, OBJ_ROOM_TEMPERATURE),
    ("outdoor", R_OUTDOOR_TEMPERATURE, OBJ_OUTDOOR_TEMPERATURE),
    ("flow", R_FLOW_TEMPERATURE, OBJ_FLOW_TEMPERATURE),
    ("hot_water", R_HOT_WATER_TEMPERATURE, OBJ_HOT_WATER_TEMPERATURE),
    ("device", R_DEVICE_TEMPERATURE, OBJ_DEVICE_TEMPERATURE),
)

# The guards in order of precedence. "On" is released, "off" is locked.
_PAUSE, _STARTS, _FROST, _COMFORT, _BLOCK, _RUN = range(6)
ROWS = (
    ("min_pause", FORBID_ON, REASON_MIN_PAUSE),  # for min_pause_s after the measured stop, and after boot
    ("starts", FORBID_ON, REASON_STARTS),  # until the oldest of starts_per_hour measured starts is an hour ago
    ("frost", FORCE_ON, REASON_FROST),  # while room or flow is below its frost limit
    ("comfort", FORCE_ON, REASON_COMFORT),  # while the room is below the comfort band
    ("block", FORCE_ON, REASON_MAX_BLOCK),  # max_block_s after a lock began, for block_pause_s
    ("min_run", FORBID_OFF, REASON_MIN_RUN),  # for min_run_s after the measured start, and after boot
)


class HeatPump(Device):
    """A heat pump behind SG-Ready contacts (`board.sg_ready`) and, where `board.machine` is there, its own controller.

    board.machine: `set_power_limit(w)` (ABSENT: none) and `set_offset(c100)`, called on change only. `config`: see
    settings.HEAT_PUMP; `steps`: powers in W that the machine can be limited to; `lock_below`: lock it for a limit under
    the smallest (else the smallest step).
    """

    def __init__(self, board, config, store, log):
        super().__init__(board, config, store, log)
        self._power_max_w = get(config, HEAT_PUMP, "power_max_w", board.power_w)
        steps = config.get("steps", ())
        self._steps = tuple(steps)
        least_w = self._steps[0] if self._steps else self._power_max_w // 4
        self._power_min_w = get(config, HEAT_PUMP, "power_min_w", least_w)
        self._standby_w = get(config, HEAT_PUMP, "standby_w")
        self._min_run_s = get(config, HEAT_PUMP, "min_run_s")
        self._min_pause_s = get(config, HEAT_PUMP, "min_pause_s")
        self._per_hour = get(config, HEAT_PUMP, "starts_per_hour")
        self._block_s = get(config, HEAT_PUMP, "max_block_s")
        self._rest_s = get(config, HEAT_PUMP, "block_pause_s")
        self._hold_s = get(config, HEAT_PUMP, "sg_hold_s")
        self._frost_room = get(config, HEAT_PUMP, "frost_room")
        self._frost_flow = get(config, HEAT_PUMP, "frost_flow")
        self._running_w = get(config, HEAT_PUMP, "running_w")
        self._boost = get(config, HEAT_PUMP, "boost_state")
        self._offset_max = get(config, HEAT_PUMP, "offset_max")
        self._override_s = get(config, HEAT_PUMP, "override_s")
        self._lock_below = bool(config.get("lock_below", True))
        self._limits_power = board.machine is not None
        self.guards = Guards(ROWS)
        self.running = False
        self._known = False  # the compressor's state has been measured since boot
        self._start_times = [-_HOUR_S] * self._per_hour  # ring of measured starts
        self._start_at = 0
        self._hold_until_s = 0  # least time in the present SG-Ready state
        self._block_at_s = 0  # the lock counts from here
        self._released_s = -self._rest_s  # since when it is not locked
        self._locked_s = ABSENT  # of the lock that counts, as it is in flash
        self._band = _NORMAL  # what the band asks for
        self._cold = False
        self._frosty = False
        self._override = False
        self._override_until_s = 0
        self._sensor_fault = 0  # bits by place in _SENSOR_SLOTS
        self._step_w = ABSENT  # as set at the machine
        self._offset = 0
        self._free = 0  # mean power while nothing was asked, scaled
        self._free_known = False
        self._sampled_s = 0
        self._load()

    def _begin(self, now_s):
        """What went before the reset is not known: until it is measured the pump is taken to have just started."""
        self.guards.arm(_RUN, now_s, now_s + self._min_run_s)
        self._sampled_s = now_s
        if self._locked_s != ABSENT:
            self._released_s = now_s  # by the restart
            self._block_at_s = now_s - min(self._locked_s, self._block_s)
            self._arm_block()

    def _arm_block(self):
        begin_s = self._block_at_s + self._block_s
        self.guards.arm(_BLOCK, begin_s, begin_s + self._rest_s)

    def _keep_lock(self, seconds):
        """Keeps how long the lock that counts has lasted (ABSENT: none counts)."""
        self._locked_s = seconds
        try:
            if seconds == ABSENT:
                self._store.delete(_LOCK_NAME)
            else:
                self._store.put(_LOCK_NAME, struct.pack(_LOCK_FORMAT, min(seconds, 0xFFFF)))
        except OSError:
            self.log.error("pump.not_kept")

    def _load(self):
        self.comfort_low = get(self.config, HEAT_PUMP, "comfort_low")
        self.comfort_high = get(self.config, HEAT_PUMP, "comfort_high")
        raw = self._store.get(_NAME)
        if raw is not None and len(raw) == struct.calcsize(_FORMAT):
            self.comfort_low, self.comfort_high = struct.unpack(_FORMAT, raw)
        raw = self._store.get(_LOCK_NAME)
        if raw is not None and len(raw) == struct.calcsize(_LOCK_FORMAT):
            self._locked_s = struct.unpack(_LOCK_FORMAT, raw)[0]

    # --- the agent's side -------------------------------------------------------------------------------------------

    def description(self):
        """Fields of the register message that the device knows."""
        services = SERVICE_ON_OFF | SERVICE_LIMIT | SERVICE_LIMIT_PERCENT | SERVICE_SG_READY | SERVICE_SHUTDOWN
        services |= SERVICE_BOOST
        methods = METHOD_OFF | METHOD_SHIFT
        if self.board.sensors.room is not None:
            services |= SERVICE_BAND
            methods |= METHOD_SET_POINT
        fields = {
            "profile": PROFILE_HEAT_PUMP,
            "power_max": self._power_max_w,
            "power_min": self._power_min_w,
            "standby": self._standby_w,
            "saving": self._power_max_w - self._standby_w,
            "limit_min": self._limit_min(),
            "min_run": self._min_run_s,
            "min_pause": self._min_pause_s,
            "max_block": self._block_s,
            "starts_per_hour": self._per_hour,
            "reaction": 60,
            "ramp": 120,
            "comfort_low": self.comfort_low,
            "comfort_high": self.comfort_high,
            "flash_wear": self._store.wear(),
        }
        if self._limits_power:
            services |= SERVICE_OFFSET
            methods |= METHOD_REDUCE | METHOD_SET_POINT
            if self._steps:
                fields["steps"] = list(self._steps)
        if self.relay_wear() != ABSENT:
            fields["relay_wear"] = self.relay_wear()
        fields["services"] = services
        fields["methods"] = methods
        return fields

    def _limit_min(self):
        """The smallest limit it can honour and still run: below it is locked."""
        if not self._limits_power:
            return self._power_max_w  # SG-Ready cannot express watts
        return self._steps[0] if self._steps else self._power_min_w

    def check(self, kind, value, value2):
        """REASON_NONE, or why this pump cannot do `kind` with these values."""
        if kind in (KIND_OFF, KIND_ON, KIND_SHUTDOWN, KIND_BOOST, KIND_UNLIMITED):
            return REASON_NONE
        if kind == KIND_LIMIT or kind == KIND_LIMIT_PERCENT:
            if value2 not in (0, ABSENT):
                return REASON_DIRECTION
            if value == ABSENT or value < 0 or kind == KIND_LIMIT_PERCENT and value > 100:
                return REASON_OUT_OF_RANGE
            return REASON_NONE
        if kind == KIND_SG_READY:
            return REASON_NONE if _LOCK <= value <= _FORCED else REASON_OUT_OF_RANGE
        if kind == KIND_OFFSET:
            if not self._limits_power:
                return REASON_NOT_SUPPORTED
            return REASON_NONE if -self._offset_max <= value <= self._offset_max else REASON_OUT_OF_RANGE
        if kind == KIND_BAND:
            if self.board.sensors.room is None:
                return REASON_NOT_SUPPORTED
            low, high, _ = HEAT_PUMP["comfort_low"]
            return REASON_NONE if low <= value < value2 <= high + 500 else REASON_OUT_OF_RANGE
        return REASON_NOT_SUPPORTED

    def estimate_w(self):
        """Power without a command: the mean of the time when nothing was asked."""
        if self._kind == ABSENT and self._limit_w == ABSENT or not self._free_known:
            return self.board.meter.power_w
        return self._free // _FREE_SCALE

    def read(self, object_id):
        if object_id == OBJ_RELAY:
            return 0 if self.board.sg_ready.state == _LOCK else 1
        if object_id == OBJ_SG_STATE:
            return self.board.sg_ready.state
        if object_id == OBJ_COMPRESSOR:
            return 1 if self.running else 0
        if object_id == OBJ_COMFORT_LOW:
            return self.comfort_low
        if object_id == OBJ_COMFORT_HIGH:
            return self.comfort_high
        if object_id == OBJ_SETPOINT_OFFSET:
            return self._offset if self._limits_power else ABSENT
        for _, slot, known in _SENSOR_SLOTS:
            if object_id == known:
                return self.readings[slot]
        return super().read(object_id)

    def write(self, now_s, object_id, value):
        if object_id not in (OBJ_COMFORT_LOW, OBJ_COMFORT_HIGH):
            return super().write(now_s, object_id, value)
        low, high = self.comfort_low, self.comfort_high
        if object_id == OBJ_COMFORT_LOW:
            low = value
        else:
            high = value
        if low < HEAT_PUMP["comfort_low"][0] or high > HEAT_PUMP["comfort_high"][1] or low >= high:
            return REASON_OUT_OF_RANGE
        try:
            self._store.put(_NAME, struct.pack(_FORMAT, low, high))
        except OSError:
            self.log.error("pump.not_kept")
            return REASON_STORE_FULL
        self.comfort_low, self.comfort_high = low, high
        self._watch_room(now_s)
        self._decide(now_s)
        return REASON_NONE

    def _changed(self, now_s, before):
        if self._kind == ABSENT:
            self._override = False  # it was against a command that is over
        if self._kind != KIND_BAND:
            self._band = _NORMAL

    # --- time -------------------------------------------------------------------------------------------------------

    def poll(self, now_s):
        """Between steps, often (50 ms): takes in what arrived. True when a step is due at once."""
        return self.board.poll()

    def step(self, now_s):
        """Samples, guards, decides. Returns the seconds until it wants to be called again."""
        if not self._begun:
            self._begun = True
            self._begin(now_s)
        board = self.board
        meter = board.meter
        board.sg_ready.feed()
        if meter.sample(now_s):
            self._measured(now_s, self._take_sample(meter))
        self._read_sensors(now_s)
        self._watch_room(now_s)
        if board.button is not None and board.button.take():
            self._override = not self._override and self._kind != ABSENT
            self._override_until_s = now_s + self._override_s
        if self._override and now_s >= self._override_until_s:
            self._override = False
        self._watch_parts(now_s, meter, board.sg_ready.switches)
        if board.sg_ready.state == _LOCK:
            if self._locked_s != ABSENT and now_s - self._block_at_s - self._locked_s >= _LOCK_KEPT_S:
                self._keep_lock(now_s - self._block_at_s)
        elif now_s - self._released_s >= self._rest_s:
            self.guards.clear(_BLOCK)  # rested: the next lock counts anew
            if self._locked_s != ABSENT:
                self._keep_lock(ABSENT)
        self._decide(now_s)
        self._say_override(now_s, self._override)
        wait = self.guards.wait(now_s, meter.period_s)
        left = self._hold_until_s - now_s
        return left if 0 < left < wait else wait

    def _read_sensors(self, now_s):
        sensors = self.board.sensors
        readings = self.readings
        fault = 0
        bit = 1
        for name, slot, _ in _SENSOR_SLOTS:
            sensor = getattr(sensors, name)
            if sensor is not None:
                value = sensor.value
                readings[slot] = value
                if value == ABSENT:
                    fault |= bit
            bit <<= 1
        if fault != self._sensor_fault:
            changed = fault ^ self._sensor_fault
            self._sensor_fault = fault
            for place in range(len(_SENSOR_SLOTS)):
                bit = 1 << place
                if changed & bit:
                    self._report(now_s, ALARM_SENSOR_FAULT, fault & bit, _SENSOR_SLOTS[place][2], ABSENT)

    def _measured(self, now_s, power_w):
        """The compressor's state from its power, and the power that it takes when left alone."""
        running = power_w >= self._running_w
        if not self._known:
            self._known = True
            self.running = running
            if not running:
                self.guards.clear(_RUN)
                self.guards.arm(_PAUSE, now_s, now_s + self._min_pause_s)
        elif running != self.running:
            self.running = running
            if running:
                self._started(now_s)
            else:
                self.guards.arm(_PAUSE, now_s, now_s + self._min_pause_s)
                self.guards.clear(_RUN)
        if self._kind == ABSENT and self._limit_w == ABSENT and self.board.sg_ready.state == _NORMAL:
            span_s = min(now_s - self._sampled_s, _MEAN_S)
            if self._free_known:
                self._free += (power_w * _FREE_SCALE - self._free) * span_s // _MEAN_S
            else:
                self._free = power_w * _FREE_SCALE
                self._free_known = True
        self._sampled_s = now_s

    def _started(self, now_s):
        self.counters.starts += 1
        self.guards.arm(_RUN, now_s, now_s + self._min_run_s)
        self.guards.clear(_PAUSE)
        times = self._start_times
        times[self._start_at] = now_s
        self._start_at = (self._start_at + 1) % self._per_hour
        oldest = times[self._start_at]  # the next to be overwritten
        self.guards.arm(_STARTS, now_s, oldest + _HOUR_S)

    def _watch_room(self, now_s):
        """Comfort floor and frost, with a hysteresis."""
        readings = self.readings
        room = readings[R_ROOM_TEMPERATURE]
        flow = readings[R_FLOW_TEMPERATURE]
        more = _HYSTERESIS if self._cold else 0
        self._cold = room != ABSENT and room < self.comfort_low + more
        more = _HYSTERESIS if self._frosty else 0
        self._frosty = (
            room != ABSENT
            and room < self._frost_room + more
            or flow != ABSENT
            and flow < self._frost_flow + more
        )
        guards = self.guards
        if self._cold:
            guards.arm(_COMFORT, 0)
        else:
            guards.clear(_COMFORT)
        if self._frosty:
            guards.arm(_FROST, 0)
        else:
            guards.clear(_FROST)

    # --- deciding ---------------------------------------------------------------------------------------------------

    def _state_of(self, kind, value):
        """The SG-Ready state that a set-point asks for."""
        if kind == KIND_OFF or kind == KIND_SHUTDOWN:
            return _LOCK
        if kind == KIND_BOOST:
            return self._boost
        if kind == KIND_SG_READY:
            return value
        if kind == KIND_BAND:
            return self._band_state(value, self._value2)
        return _NORMAL

    def _band_state(self, low, high):
        """Recommended below the band until it is left behind, locked above it, normal within."""
        room = self.readings[R_ROOM_TEMPERATURE]
        band = self._band
        if room == ABSENT:
            band = _NORMAL
        elif room < low:
            band = _RECOMMENDED
        elif room > high:
            band = _LOCK
        elif band == _RECOMMENDED and room >= low + _HYSTERESIS or band == _LOCK and room <= high - _HYSTERESIS:
            band = _NORMAL
        self._band = band
        return band

    def _step_under(self, limit_w):
        """The machine's power limit for `limit_w`: a step, ABSENT when it cannot go so low."""
        if not self._limits_power:
            return ABSENT
        if not self._steps:
            return limit_w if limit_w >= self._power_min_w else ABSENT
        step_w = ABSENT
        for candidate in self._steps:
            if candidate <= limit_w:
                step_w = candidate
        return step_w

    def _decide(self, now_s):
        kind = self._kind
        decider = self._asked
        reason = REASON_NONE
        if self._override:
            target, offset = _NORMAL, 0
            decider, reason = DECIDER_OVERRIDE, REASON_OVERRIDE
        else:
            target = self._state_of(kind, self._value)
            offset = self._value if kind == KIND_OFFSET else 0
        limit_w = self._limit_w
        step_w = ABSENT
        if limit_w != ABSENT and limit_w < self._power_max_w and target != _LOCK:
            if decider not in LIMITERS:
                decider = DECIDER_LIMIT
            step_w = self._step_under(limit_w)
            if step_w == ABSENT:
                reason = REASON_BELOW_MINIMUM if self._limits_power else REASON_ON_OFF_ONLY
                if self._lock_below or not self._limits_power:
                    target = _LOCK
                if self._limits_power:
                    step_w = self._limit_min()  # what it runs at where it must run
        # the guards' word: released or locked
        sg_ready = self.board.sg_ready
        released = sg_ready.state != _LOCK
        guards = self.guards
        wanted = target != _LOCK
        result = guards.decide(now_s, released, wanted)
        row = guards.row
        hold_s = 0
        lifted = row == _FROST or row == _COMFORT
        if lifted:
            if not wanted or step_w != ABSENT or offset < 0:
                reason, decider = guards.reason, DECIDER_GUARD
            if not wanted:
                target = _NORMAL
            step_w = ABSENT
            if offset < 0:
                offset = 0
        elif row >= 0 and result != wanted:
            target = _NORMAL if result else _LOCK
            reason, decider = guards.reason, DECIDER_GUARD
            hold_s = guards.until_s - now_s
        if target != sg_ready.state and now_s < self._hold_until_s and not lifted and row != _BLOCK:
            target = sg_ready.state
            decider = DECIDER_GUARD
            reason = REASON_MIN_PAUSE if target == _LOCK else REASON_MIN_RUN
            hold_s = max(hold_s, self._hold_until_s - now_s)
        self.hold_s = hold_s
        self._actuate(now_s, sg_ready, target, step_w, offset)
        self._conclude(target, step_w, decider, reason)

    def _actuate(self, now_s, sg_ready, target, step_w, offset):
        before = sg_ready.state
        if target != before:
            if target == _LOCK:
                if now_s - self._released_s >= self._rest_s:
                    self._block_at_s = now_s  # the pause was long enough: the lock counts anew
                self._arm_block()
            elif before == _LOCK:
                self._released_s = now_s
            sg_ready.set(target)
            if target == _LOCK or before == _LOCK:
                self._keep_lock(now_s - self._block_at_s)
            self._hold_until_s = now_s + self._hold_s
            self.log.info("pump.sg_ready", target, before)
        machine = self.board.machine
        if machine is not None:
            if step_w != self._step_w:
                self._step_w = step_w
                machine.set_power_limit(step_w)
            if offset != self._offset:
                self._offset = offset
                machine.set_offset(offset)

    def _conclude(self, target, step_w, decider, reason):
        """What is said of the outcome: to the agent and in the readings."""
        if target == _LOCK:
            power_w = self._standby_w
        else:
            power_w = self.estimate_w()
            if target == _FORCED:
                power_w = max(power_w, self._power_min_w)
            if step_w != ABSENT and power_w > step_w:
                power_w = step_w
        self.power_w = power_w
        self.reason = reason
        self.decider = decider
        state = 0 if target == _LOCK else SWITCH_CLOSED
        if self.running:
            state |= SWITCH_RUNNING
        if self._override:
            state |= SWITCH_OVERRIDE
        readings = self.readings
        readings[R_STATE] = state
        readings[R_DECIDER] = decider
        readings[R_SG_STATE] = target
        if self.board.led is not None:
            self.board.led.show(state)
