"""What a plug and a heat pump have in common: readings, counters, alarms and the agent's decision as it was given."""

from array import array

from ..codes import (
    ABSENT,
    ALARM_SENSOR_FAULT,
    ALARM_STORE_FAULT,
    DECIDER_AUTONOMOUS,
    DECIDER_DEFAULT,
    DECIDER_FAILSAFE,
    DECIDER_LIMIT,
    OBJ_CURRENT,
    OBJ_DEVICE_TEMPERATURE,
    OBJ_ENERGY_IMPORT,
    OBJ_FLASH_WEAR,
    OBJ_FREQUENCY,
    OBJ_IDENTIFY,
    OBJ_POWER,
    OBJ_POWER_LIMIT,
    OBJ_RELAY_WEAR,
    OBJ_STARTS,
    OBJ_VOLTAGE,
    R_COUNT,
    R_CURRENT,
    R_DECIDER,
    R_ENERGY_IMPORT,
    R_FREQUENCY,
    R_POWER,
    R_STATE,
    R_VOLTAGE,
    REASON_NONE,
    REASON_OUT_OF_RANGE,
    REASON_READ_ONLY,
    REASON_UNKNOWN_ID,
)
from .metering import Counters

LIMITERS = (DECIDER_LIMIT, DECIDER_FAILSAFE, DECIDER_AUTONOMOUS)  # made once: a tuple in a step would take heap

_READING_OBJECTS = {  # object id → slot of the reading
    OBJ_POWER: R_POWER,
    OBJ_VOLTAGE: R_VOLTAGE,
    OBJ_CURRENT: R_CURRENT,
    OBJ_ENERGY_IMPORT: R_ENERGY_IMPORT,
    OBJ_FREQUENCY: R_FREQUENCY,
}


def _nobody(*event):
    pass


class Device:
    """Base of the devices; see docs/architecture.md for the interface.

    `on_alarm(now_s, alarm, raised, value, limit)` and `on_override(now_s, active)` are called from `step` only.
    """

    def __init__(self, board, config, store, log):
        self.board = board
        self.config = config
        self.log = log
        self._store = store
        self.on_alarm = _nobody
        self.on_override = _nobody
        self.counters = Counters(store, log)
        self.readings = array("i", [ABSENT] * R_COUNT)
        self.readings[R_POWER] = 0  # telemetry must carry one; the sensor's alarm says when it is stale
        self.readings[R_STATE] = 0
        self.readings[R_DECIDER] = DECIDER_DEFAULT
        self.readings[R_ENERGY_IMPORT] = self.counters.energy_wh
        self.power_w = 0
        self.reason = REASON_NONE
        self.decider = DECIDER_DEFAULT
        self.hold_s = 0
        self._kind = ABSENT
        self._value = ABSENT
        self._value2 = ABSENT
        self._limit_w = ABSENT
        self._asked = DECIDER_DEFAULT
        self._raised = 0  # bit mask of raised alarms
        self._override_said = False
        self._begun = False
        self.moved = False  # a new decision: the App has a step follow, from which the guards' times are counted
        self._told = False  # the agent has said what it wants since boot

    # --- the agent's side -------------------------------------------------------------------------------------------

    def apply(self, now_s, kind, value, value2, limit_w, decider):
        """The agent's decision, absolute: see docs/architecture.md. What is the same as before costs nothing."""
        self._told = True
        if (
            kind == self._kind
            and limit_w == self._limit_w
            and value == self._value
            and value2 == self._value2
            and decider == self._asked
        ):
            return
        if not self._begun:
            self._begun = True
            self._begin(now_s)
        meter = self.board.meter
        if meter.sample(now_s):  # a decision stands on what is, not on what was at the latest step
            self._measured(now_s, self._take_sample(meter))
        self.moved = True
        before = self._kind
        self._kind = kind
        self._value = value
        self._value2 = value2
        self._limit_w = limit_w
        self._asked = decider
        self._changed(now_s, before)
        self._decide(now_s)

    def close(self):
        """An orderly end: the counters are kept."""
        self.counters.close()

    def read(self, object_id):
        """The value of an object, ABSENT when the device has no such object or no value."""
        slot = _READING_OBJECTS.get(object_id)
        if slot is not None:
            return self.readings[slot]
        if object_id == OBJ_POWER_LIMIT:
            return self._limit_w
        if object_id == OBJ_RELAY_WEAR:
            return self.relay_wear()
        if object_id == OBJ_FLASH_WEAR:
            return self._store.wear()
        if object_id == OBJ_STARTS:
            return self.counters.starts
        if object_id == OBJ_DEVICE_TEMPERATURE and self.board.sensors.device is not None:
            return self.board.sensors.device.value
        return ABSENT

    def write(self, now_s, object_id, value):
        """Writes an object; REASON_NONE or why not. What the agent keeps itself (intervals, failsafe) it does not ask
        here.
        """
        if object_id == OBJ_IDENTIFY:
            if value not in (0, 1):
                return REASON_OUT_OF_RANGE
            if self.board.led is not None:
                self.board.led.identify(value)
            return REASON_NONE
        return REASON_READ_ONLY if self.read(object_id) != ABSENT else REASON_UNKNOWN_ID

    def relay_wear(self):
        """Remaining switching cycles of the relay, ABSENT when its rating is not known."""
        cycles = self.board.relay_cycles
        return ABSENT if cycles == ABSENT else max(0, cycles - self.counters.switches)

    # --- for the devices --------------------------------------------------------------------------------------------

    def _alarm(self, now_s, alarm, raised, value=ABSENT, limit=ABSENT):
        """Raises or clears `alarm` once; a repetition says nothing."""
        bit = 1 << alarm
        if raised:
            if self._raised & bit:
                return
            self._raised |= bit
        else:
            if not self._raised & bit:
                return
            self._raised &= ~bit
        self._report(now_s, alarm, raised, value, limit)

    def _report(self, now_s, alarm, raised, value, limit):
        self.log.warn("alarm", alarm, 1 if raised else 0)
        self.on_alarm(now_s, alarm, 1 if raised else 0, value, limit)

    def _take_sample(self, meter):
        """Copies the meter's values into the readings."""
        readings = self.readings
        readings[R_POWER] = meter.power_w
        readings[R_VOLTAGE] = meter.voltage_10mv
        readings[R_CURRENT] = meter.current_ma
        readings[R_FREQUENCY] = meter.frequency_mhz
        return meter.power_w

    def _watch_parts(self, now_s, meter, switches):
        """Counters, and the alarms of meter and flash."""
        counters = self.counters
        counters.update(now_s, meter.energy_wh, switches)
        self.readings[R_ENERGY_IMPORT] = counters.energy_wh
        self._alarm(now_s, ALARM_SENSOR_FAULT, meter.fault, OBJ_POWER)
        self._alarm(now_s, ALARM_STORE_FAULT, counters.failed)

    def _say_override(self, now_s, active):
        if active != self._override_said:
            self._override_said = active
            self.on_override(now_s, active)
