"""The heat-pump controller: SG-Ready, set-point offset and power limit of the machine, under guards.

The guards' word (heat_pump_rows.py) is about one thing: whether the pump is released or locked (SG-Ready state 1).
Frost, comfort, the floor of the hot water and a legionella run that can wait no longer lift whatever is asked, limits
and lower set-points too. While the machine defrosts, nothing is changed at it.

A sensor that is missing or implausible is ABSENT to all that decides. What that means, by its role:

| sensor | without it |
|---|---|
| room | no band control; after sensor_grace_s no lock, since nobody watches the comfort floor |
| flow | frost is watched in the room; after sensor_grace_s no lock in the cold (below 3 °C, or unknown) |
| outdoor | taken for cold; no defrost by the flow's rule; the forecast takes the weather as usual |
| hot_water | no floor, no legionella run; its alarm comes at the deadline |
| device | nothing |
| the machine's own controller | normal operation: SG-Ready 0:0, what was set at the machine is released |
| meter | the compressor by the machine's word, else by release and lock |
"""

from ..codes import (
    ABSENT,
    ALARM_FROST,
    ALARM_LEGIONELLA,
    ALARM_MACHINE_FAULT,
    ALARM_SENSOR_FAULT,
    ALARM_WRITES,
    DECIDER_AUTONOMOUS,
    DECIDER_FAILSAFE,
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
    OBJ_DEFROST,
    OBJ_HOT_WATER_ACTIVE,
    OBJ_HOT_WATER_SETPOINT,
    OBJ_LEGIONELLA,
    OBJ_MACHINE_WRITES,
    OBJ_RELAY,
    OBJ_RUNNING_HOURS,
    OBJ_SETPOINT_OFFSET,
    OBJ_SG_STATE,
    PROFILE_HEAT_PUMP,
    R_DECIDER,
    R_FLOW_TEMPERATURE,
    R_HOT_WATER_TEMPERATURE,
    R_OUTDOOR_TEMPERATURE,
    R_POWER,
    R_ROOM_TEMPERATURE,
    R_SG_STATE,
    R_STATE,
    REASON_BELOW_MINIMUM,
    REASON_DEFROST,
    REASON_DIRECTION,
    REASON_MIN_PAUSE,
    REASON_MIN_RUN,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_ON_OFF_ONLY,
    REASON_OUT_OF_RANGE,
    REASON_OVERRIDE,
    REASON_SAFE_MODE,
    REASON_SENSOR,
    REASON_STORE_FULL,
    REASON_WRITES,
    SERVICE_BAND,
    SERVICE_BOOST,
    SERVICE_FORECAST,
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
from .guards import FOREVER_S, Guards
from .heat_pump_compressor import Compressor
from .heat_pump_forecast import Forecast
from .heat_pump_lock import Lock
from .heat_pump_machine import HOT_WATER, LIMIT, OFFSET, SG, MachinePort, NoSg, SgOverBus
from .heat_pump_rows import (
    COMFORT,
    DEFROST,
    FAULT,
    FROST,
    LEGIONELLA,
    PAUSE,
    ROWS,
    SENSOR,
    STARTS,
    WATER,
)
from .heat_pump_sensors import FLOW, ROLES, ROOM, Sensors
from .heat_pump_settings import HEAT_PUMP
from .heat_pump_water import Water
from .settings import get

_LOCK, _NORMAL, _RECOMMENDED, _FORCED = 1, 2, 3, 4  # SG-Ready states

_NAME = "pump"
_FORMAT = "<hh"  # comfort band
_HYSTERESIS = const(30)  # 0.01 K between raising and dropping comfort, frost and band decisions
_MEAN_S = const(900)  # time constant of the power without a command
_FREE_SCALE = const(64)
_LONGEST_WAIT_S = const(60)  # between steps: hot water is held by the minute, the forecast learns by the hour
_HELD = const(3)  # of the button: ten seconds
_COLD = const(300)  # 0.01 °C outside, below which a lock needs a flow sensor that works


def _no_time(now_s):
    return ABSENT


def _no_zone(utc):
    return 0


class HeatPump(Device):
    """A heat pump behind SG-Ready (`board.sg_ready`, or its own controller where `machine.takes_sg`) and, where
    `board.machine` is there, its own controller (docs/architecture.md).

    `config`: see settings.HEAT_PUMP; `steps`: powers in W that the machine can be limited to; `lock_below`: lock it for
    a limit that it cannot run under (else the smallest step); `override`: "yes", "no", or "not_limits".

    Set by the App: `utc`, a function of now_s (ABSENT while no time was set since boot); `zone_s`, a function of UTC,
    seconds of local time east of it.
    """

    def __init__(self, board, config, store, log):
        super().__init__(board, config, store, log)
        self._power_max_w = get(config, HEAT_PUMP, "power_max_w", board.power_w)
        steps = config.get("steps", ())
        self._steps = tuple(steps)
        least_w = self._steps[0] if self._steps else self._power_max_w // 4
        self._power_min_w = get(config, HEAT_PUMP, "power_min_w", least_w)
        self._standby_w = get(config, HEAT_PUMP, "standby_w")
        self._hold_s = get(config, HEAT_PUMP, "sg_hold_s")
        self._frost_room = get(config, HEAT_PUMP, "frost_room")
        self._frost_flow = get(config, HEAT_PUMP, "frost_flow")
        self._boost = get(config, HEAT_PUMP, "boost_state")
        self._offset_max = get(config, HEAT_PUMP, "offset_max")
        self._override_s = get(config, HEAT_PUMP, "override_s")
        self._grace_s = get(config, HEAT_PUMP, "sensor_grace_s")
        self._policy = config.get("override", "not_limits")
        self._lock_below = bool(config.get("lock_below", True))
        self.utc = _no_time
        self.zone_s = _no_zone
        self.guards = Guards(ROWS)
        self.compressor = Compressor(config, store, log, self.counters, self.guards)
        self._lock = Lock(config, store, log, self.guards)
        self.sensors = Sensors(board, self.readings)
        machine = board.machine
        self.port = None if machine is None else MachinePort(machine, config, store, log)
        self._limits_power = machine is not None and machine.limits_power
        self._takes_offset = machine is not None and machine.takes_offset
        self._takes_water = machine is not None and machine.takes_hot_water
        self._sg = board.sg_ready
        if self._sg is None:
            self._sg = SgOverBus(self.port) if machine is not None and machine.takes_sg else NoSg()
        self._locks = self._sg.state == _NORMAL and not isinstance(self._sg, NoSg)
        self.water = Water(config, store, log, self._takes_water)
        self._outlook = Forecast(store, log)
        self._hold_until_s = 0  # least time in the present SG-Ready state
        self._band = _NORMAL  # what the band asks for
        self._cold = False
        self._frosty = False
        self._override = False
        self._override_until_s = 0
        self._faults = 0  # as reported, bits by place in ROLES
        self._metered = False  # there was a sample since boot
        self._free = 0  # mean power while nothing was asked, scaled
        self._free_known = False
        self._sampled_s = 0
        self.comfort_low = get(config, HEAT_PUMP, "comfort_low")
        self.comfort_high = get(config, HEAT_PUMP, "comfort_high")
        raw = store.get(_NAME)
        if raw is not None and len(raw) == struct.calcsize(_FORMAT):
            self.comfort_low, self.comfort_high = struct.unpack(_FORMAT, raw)

    def _begin(self, now_s):
        self.compressor.begin(now_s, self._lock.counts)
        self._lock.begin(now_s)
        self.water.begin(now_s)
        self._sampled_s = now_s

    # --- the agent's side -------------------------------------------------------------------------------------------

    def description(self):
        """Fields of the register message that the device knows."""
        config = self.config
        services = SERVICE_LIMIT | SERVICE_LIMIT_PERCENT
        methods = METHOD_SHIFT
        if self._locks:
            services |= SERVICE_ON_OFF | SERVICE_SG_READY | SERVICE_SHUTDOWN | SERVICE_BOOST
            methods |= METHOD_OFF
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
            "min_run": get(config, HEAT_PUMP, "min_run_s"),
            "min_pause": get(config, HEAT_PUMP, "min_pause_s"),
            "max_block": get(config, HEAT_PUMP, "max_block_s"),
            "starts_per_hour": get(config, HEAT_PUMP, "starts_per_hour"),
            "reaction": 60,
            "ramp": 120,
            "comfort_low": self.comfort_low,
            "comfort_high": self.comfort_high,
            "flash_wear": self._store.wear(),
        }
        if self._limits_power:
            methods |= METHOD_REDUCE
            if self._steps:
                fields["steps"] = list(self._steps)
        if self._takes_offset:
            services |= SERVICE_OFFSET
            methods |= METHOD_SET_POINT
        if self.relay_wear() != ABSENT:
            fields["relay_wear"] = self.relay_wear()
        fields["services"] = services | SERVICE_FORECAST
        fields["methods"] = methods
        return fields

    def _limit_min(self):
        """The smallest limit it can honour and still run: below it is locked."""
        if not self._limits_power:
            return self._power_max_w  # SG-Ready cannot express watts
        return self._steps[0] if self._steps else self._power_min_w

    def check(self, kind, value, value2):
        """REASON_NONE, or why this pump cannot do `kind` with these values."""
        if self.safe_mode:
            return REASON_SAFE_MODE
        if kind == KIND_UNLIMITED or kind == KIND_ON:
            return REASON_NONE
        if kind == KIND_LIMIT or kind == KIND_LIMIT_PERCENT:
            if value2 not in (0, ABSENT):
                return REASON_DIRECTION
            if value == ABSENT or value < 0 or kind == KIND_LIMIT_PERCENT and value > 100:
                return REASON_OUT_OF_RANGE
            return REASON_NONE
        if kind == KIND_OFFSET:
            if not self._takes_offset:
                return REASON_NOT_SUPPORTED
            if not -self._offset_max <= value <= self._offset_max:
                return REASON_OUT_OF_RANGE
            return REASON_WRITES if self.port.exhausted else REASON_NONE
        if not self._locks:
            return REASON_NOT_SUPPORTED
        if kind == KIND_OFF or kind == KIND_SHUTDOWN or kind == KIND_BOOST:
            return REASON_NONE
        if kind == KIND_SG_READY:
            return REASON_NONE if _LOCK <= value <= _FORCED else REASON_OUT_OF_RANGE
        if kind == KIND_BAND:
            if self.board.sensors.room is None:
                return REASON_NOT_SUPPORTED
            low, high, _ = HEAT_PUMP["comfort_low"]
            return REASON_NONE if low <= value < value2 <= high + 500 else REASON_OUT_OF_RANGE
        return REASON_NOT_SUPPORTED

    def estimate_w(self):
        """Power without a command: the mean of the time when nothing was asked."""
        if self._kind == ABSENT and self._limit_w == ABSENT or not self._free_known:
            return self.readings[R_POWER]
        return self._free // _FREE_SCALE

    def forecast(self, now_s, utc):
        """array('h') of the mean power in W in 24 hours, the first of them the hour of UTC that `utc` lies in; None
        until a day is known. It is the device's own array."""
        return self._outlook.next(utc)

    def read(self, object_id):
        compressor, machine, port = self.compressor, self.board.machine, self.port
        if object_id == OBJ_RELAY:
            return 0 if self._sg.state == _LOCK else 1
        if object_id == OBJ_SG_STATE:
            return self._sg.state
        if object_id == OBJ_COMPRESSOR:
            return 1 if compressor.running else 0
        if object_id == OBJ_RUNNING_HOURS:
            return compressor.run_s // 3600
        if object_id == OBJ_DEFROST:
            return compressor.defrost
        if object_id == OBJ_COMFORT_LOW:
            return self.comfort_low
        if object_id == OBJ_COMFORT_HIGH:
            return self.comfort_high
        if object_id == OBJ_SETPOINT_OFFSET:
            return port.values[OFFSET] if self._takes_offset else ABSENT
        if object_id == OBJ_HOT_WATER_SETPOINT:
            return self.water.setpoint if self._takes_water else ABSENT
        if object_id == OBJ_HOT_WATER_ACTIVE:
            return ABSENT if machine is None else machine.hot_water_active
        if object_id == OBJ_LEGIONELLA:
            return self.water.age(self._sampled_s) if self.water.watched() else ABSENT
        if object_id == OBJ_MACHINE_WRITES:
            return ABSENT if port is None else port.left()
        for _, slot, known, _, _ in ROLES:
            if object_id == known:
                return self.readings[slot]
        return super().read(object_id)

    def write(self, now_s, object_id, value):
        if object_id == OBJ_HOT_WATER_SETPOINT and self._takes_water:
            return self._write_water(now_s, value)
        if object_id not in (OBJ_COMFORT_LOW, OBJ_COMFORT_HIGH):
            return super().write(now_s, object_id, value)
        low, high = self.comfort_low, self.comfort_high
        if object_id == OBJ_COMFORT_LOW:
            low = value
        else:
            high = value
        least, most, _ = HEAT_PUMP["comfort_low"]
        if not least <= low <= most or high > HEAT_PUMP["comfort_high"][1] or low >= high:
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

    def _write_water(self, now_s, value):
        least, most, _ = HEAT_PUMP["hot_water_set"]
        if not least <= value <= most or value <= self.water.floor:
            return REASON_OUT_OF_RANGE
        if self.port.exhausted:
            return REASON_WRITES
        try:
            self.water.set(now_s, value)
        except OSError:
            self.log.error("pump.not_kept")
            return REASON_STORE_FULL
        return REASON_NONE

    def _changed(self, now_s, before):
        if self._kind == ABSENT and (self._limit_w == ABSENT or self._policy != "yes"):
            self._override = False  # it was against a command that is over
        if self._kind != KIND_BAND:
            self._band = _NORMAL
        if self.port is not None and self.board.machine.sample(now_s):
            self._look(now_s, ABSENT)
            self._watch_defrost(now_s)

    # --- ends -------------------------------------------------------------------------------------------------------

    def safe(self, now_s):
        """Safe mode: normal operation, and nothing is taken until the next start."""
        super().safe(now_s)
        self._decide(now_s)
        self._release()

    def close(self):
        """An orderly end: normal operation, counters kept."""
        try:
            if self._sg.state != _NORMAL:
                self._sg.set(_NORMAL)
            self._release()
        finally:
            self.compressor.keep(self._sampled_s)
            super().close()

    def power_failed(self, now_s):
        """See Device; SG-Ready may be none of the board's parts."""
        counters, meter = self.counters, self.board.meter
        counters.count(now_s, meter.energy_wh, self._sg.switches, meter.energy_export_wh)
        counters.failing(now_s, self.readings[R_POWER])

    def _release(self):
        if self.port is not None:
            self.port.release()

    # --- time -------------------------------------------------------------------------------------------------------

    def poll(self, now_s):
        """Between steps, often (50 ms): takes in what arrived. True when a step is due at once."""
        self.sensors.poll()
        if self.port is not None:
            self.board.machine.poll()
        return self.board.poll()

    def step(self, now_s):
        """Samples, guards, decides. Returns the seconds until it wants to be called again."""
        if not self._begun:
            self._begun = True
            self._begin(now_s)
        board, sg = self.board, self._sg
        meter, machine, port = board.meter, board.machine, self.port
        utc = self.utc(now_s)
        sg.feed()
        if port is not None:
            machine.sample(now_s)
            port.tick(now_s, utc)
        if self._sample(now_s):
            self._metered = True
        elif port is not None:
            power_w = machine.power_w
            if power_w != ABSENT and not self._metered:
                self.readings[R_POWER] = power_w
                self._measured(now_s, power_w)
            else:
                self._look(now_s, ABSENT)
        self._read_sensors(now_s)
        self._watch_defrost(now_s)
        self._watch_room(now_s)
        self._press(now_s)
        readings = self.readings
        held = self._lowered()
        self.water.step(
            now_s, utc, self.zone_s, readings[R_HOT_WATER_TEMPERATURE], held,
            self._kind == KIND_BOOST or sg.state > _NORMAL,
        )
        if self._takes_water and self.water.watched():
            port.reserve = 2
        self._arm(LEGIONELLA, self.water.must)
        self._arm(WATER, self.water.cold)
        self._watch_parts(now_s, meter, sg.switches)
        self._lock.step(now_s, sg.state == _LOCK)
        self._decide(now_s)
        self._outlook.step(now_s, utc, self.counters.energy_wh, readings[R_OUTDOOR_TEMPERATURE], held)
        self._say_override(now_s, self._override)
        self._alarm(now_s, ALARM_LEGIONELLA, self.water.late, readings[R_HOT_WATER_TEMPERATURE])
        if port is not None:
            error = machine.error
            self._alarm(now_s, ALARM_MACHINE_FAULT, port.fault or error > 0, error)  # ABSENT is less than any
            self._alarm(now_s, ALARM_WRITES, port.refused, port.used)
        period_s = meter.period_s
        wait = self.guards.wait(now_s, period_s if period_s < _LONGEST_WAIT_S else _LONGEST_WAIT_S)
        wait = self.compressor.wait(now_s, wait)
        left = self._hold_until_s - now_s
        return left if 0 < left < wait else wait

    def _press(self, now_s):
        """The button: short or long overrides what is asked, or takes that back."""
        button = self.board.button
        if button is not None:
            event = button.take()
            if event == _HELD:
                self._held(now_s)
            elif event and self._policy != "no":
                asked = self._kind != ABSENT or self._limit_w != ABSENT and self._policy == "yes"
                self._override = not self._override and asked
                self._override_until_s = now_s + self._override_s
        if self._override and now_s >= self._override_until_s:
            self._override = False

    def _arm(self, row, on):
        if on:
            self.guards.arm(row, 0)
        else:
            self.guards.clear(row)

    def _lowered(self):
        """Whether something asks for less than normal operation."""
        if self._override:
            return False
        if self._limit_w != ABSENT and self._limit_w < self._power_max_w or self._sg.state == _LOCK:
            return True
        kind, value = self._kind, self._value
        return (
            kind == KIND_OFF
            or kind == KIND_SHUTDOWN
            or kind == KIND_OFFSET and value < 0
            or kind == KIND_SG_READY and value == _LOCK
        )

    def _read_sensors(self, now_s):
        sensors = self.sensors
        sensors.read(now_s)
        faults = sensors.faults
        if faults != self._faults:
            changed = faults ^ self._faults
            for place in range(len(ROLES)):
                bit = 1 << place
                if changed & bit and not self._flaps(now_s, 32 + place, faults & bit):
                    self._faults ^= bit
                    self._report(now_s, ALARM_SENSOR_FAULT, faults & bit, ROLES[place][2], ABSENT)
        missing = sensors.missing(ROOM, now_s, self._grace_s)
        if not missing and sensors.missing(FLOW, now_s, self._grace_s):
            missing = self.readings[R_OUTDOOR_TEMPERATURE] < _COLD  # ABSENT is less than any
        self._arm(SENSOR, missing)

    def _look(self, now_s, power_w):
        """The compressor, by the machine's word or the power."""
        machine = self.board.machine
        known = machine is not None and not machine.fault
        self.compressor.look(now_s, machine.compressor if known else ABSENT, power_w)

    def _watch_defrost(self, now_s):
        machine, readings = self.board.machine, self.readings
        known = machine is not None and not machine.fault
        self.compressor.watch_defrost(
            now_s,
            machine.defrost if known else ABSENT,
            readings[R_FLOW_TEMPERATURE],
            readings[R_OUTDOOR_TEMPERATURE],
        )

    def _measured(self, now_s, power_w):
        """The compressor's state, and the power that the pump takes when left alone."""
        self._look(now_s, power_w)
        if self._kind == ABSENT and self._limit_w == ABSENT and self._sg.state == _NORMAL:
            span_s = min(now_s - self._sampled_s, _MEAN_S)
            if self._free_known:
                self._free += (power_w * _FREE_SCALE - self._free) * span_s // _MEAN_S
            else:
                self._free = power_w * _FREE_SCALE
                self._free_known = True
        self._sampled_s = now_s

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
        self._arm(COMFORT, self._cold)
        self._arm(FROST, self._frosty)
        self._alarm(now_s, ALARM_FROST, self._frosty, room, self._frost_room)

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
        limit_w = self._limit_w
        port, sg, guards = self.port, self._sg, self.guards
        target, offset = _NORMAL, 0
        away = self.safe_mode or port is not None and port.fault  # normal operation, whatever is asked
        self._arm(FAULT, away)
        if away:
            limit_w = ABSENT
            if self.safe_mode:
                decider, reason = DECIDER_GUARD, REASON_SAFE_MODE
            elif kind != ABSENT or self._limit_w != ABSENT:
                decider, reason = DECIDER_GUARD, REASON_SENSOR
        elif self._override:
            decider, reason = DECIDER_OVERRIDE, REASON_OVERRIDE
            if self._policy == "yes" and self._asked != DECIDER_FAILSAFE and self._asked != DECIDER_AUTONOMOUS:
                limit_w = ABSENT
        else:
            target = self._state_of(kind, self._value)
            if kind == KIND_OFFSET:
                offset = self._value
        if not self._locks:
            target = _NORMAL
        step_w = ABSENT
        if limit_w != ABSENT and limit_w < self._power_max_w and target != _LOCK:
            if decider not in LIMITERS:
                decider = DECIDER_LIMIT
            step_w = self._step_under(limit_w)
            if step_w == ABSENT:
                reason = REASON_BELOW_MINIMUM if self._limits_power else REASON_ON_OFF_ONLY
                if self._locks and (self._lock_below or not self._limits_power):
                    target = _LOCK
                if self._limits_power:
                    step_w = self._limit_min()  # what it runs at where it must run
        hold_s = 0
        # what the budget of writes allows
        if port is not None:
            if not port.may(LIMIT, step_w):
                reason = REASON_WRITES
                stays_w = port.values[LIMIT]
                if not port.late_s and self._locks and self._lock_below and (stays_w == ABSENT or stays_w > step_w):
                    target = _LOCK  # the limit holds all the same
                step_w = stays_w
                hold_s = port.late_s
            if not port.may(OFFSET, offset):
                reason = REASON_WRITES
                offset = port.values[OFFSET]
                hold_s = port.late_s
        # the guards' word: released or locked
        state = sg.state
        wanted = target != _LOCK
        result = guards.decide(now_s, state != _LOCK, wanted)
        row = guards.row
        lifted = row == FROST or row == COMFORT or row == WATER or row == LEGIONELLA
        # what forces need not wait until the state was held; what it releases already has no more to say
        forced = row == FAULT or state == _LOCK and row >= 0 and row < DEFROST and row != PAUSE and row != STARTS
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
            hold_s = guards.until_s - now_s if guards.until_s < FOREVER_S else 0
        if target != state and now_s < self._hold_until_s and not forced:
            target = state
            decider = DECIDER_GUARD
            reason = REASON_MIN_PAUSE if target == _LOCK else REASON_MIN_RUN
            hold_s = max(hold_s, self._hold_until_s - now_s)
        if state != _LOCK and not away and guards.armed(DEFROST, now_s):  # left alone
            moved = target != state
            target = state
            if port is not None:
                values = port.values
                moved = moved or step_w != values[LIMIT] or offset != values[OFFSET]
                step_w, offset = values[LIMIT], values[OFFSET]
            if moved:
                reason, decider = REASON_DEFROST, DECIDER_GUARD
                hold_s = guards.remaining(DEFROST, now_s)
        elif port is not None:
            port.set(LIMIT, step_w)
            port.set(OFFSET, offset)
            if self._takes_water:
                port.set(HOT_WATER, ABSENT if away else self.water.target)
            step_w, offset = port.values[LIMIT], port.values[OFFSET]
        if target != state:
            if port is not None and self.board.sg_ready is None and not port.may(SG, target):
                target = state
                reason, decider = REASON_WRITES, DECIDER_GUARD
            else:
                self._switch(now_s, target, state)
        self.hold_s = hold_s
        self._conclude(target, step_w, decider, reason)

    def _switch(self, now_s, target, before):
        self._sg.set(target)
        if target == _LOCK or before == _LOCK:
            self._lock.switched(now_s, target == _LOCK)
            self.compressor.switched(now_s, target != _LOCK)
        self._hold_until_s = now_s + self._hold_s
        self.log.info("pump.sg_ready", target, before)

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
        if self.compressor.running:
            state |= SWITCH_RUNNING
        if self._override:
            state |= SWITCH_OVERRIDE
        readings = self.readings
        readings[R_STATE] = state
        readings[R_DECIDER] = decider
        readings[R_SG_STATE] = target
        if self.board.led is not None:
            self.board.led.show(state)
