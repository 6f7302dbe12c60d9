"""What a plug and a heat pump have in common: readings, counters, alarms and the agent's decision as it was given."""

from array import array

from ..codes import (
    ABSENT,
    ALARM_SENSOR_FAULT,
    ALARM_STORE_FAULT,
    ALARM_TAMPER,
    ALARM_WEAR,
    DECIDER_AUTONOMOUS,
    DECIDER_DEFAULT,
    DECIDER_FAILSAFE,
    DECIDER_LIMIT,
    OBJ_CURRENT,
    OBJ_DEVICE_TEMPERATURE,
    OBJ_ENERGY_EXPORT,
    OBJ_ENERGY_IMPORT,
    OBJ_FLASH_WEAR,
    OBJ_FREQUENCY,
    OBJ_IDENTIFY,
    OBJ_POWER,
    OBJ_POWER_LIMIT,
    OBJ_POWER_PEAK,
    OBJ_RELAY_WEAR,
    OBJ_STARTS,
    OBJ_SWITCHES,
    OBJ_VOLTAGE,
    R_COUNT,
    R_CURRENT,
    R_DECIDER,
    R_DEVICE_TEMPERATURE,
    R_ENERGY_EXPORT,
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
from ..port import const
from .limits_watch import LimitsWatch
from .metering import Counters
from .settings import COMMON, get

_LOW_MHZ = const(40000)  # no mains has a frequency beyond these
_HIGH_MHZ = const(70000)
_ODD = const(3)  # samples outside physics in a row: the meter is not to be believed
_WEAR_BACK = const(50)  # 1/1000 of life more, and the alarm goes: a new relay

_LONG_AGO = (-7200, 0)
LIMITERS = (DECIDER_LIMIT, DECIDER_FAILSAFE, DECIDER_AUTONOMOUS)  # made once: a tuple in a step would take heap

_READING_OBJECTS = {  # object id → slot of the reading
    OBJ_POWER: R_POWER,
    OBJ_VOLTAGE: R_VOLTAGE,
    OBJ_CURRENT: R_CURRENT,
    OBJ_ENERGY_IMPORT: R_ENERGY_IMPORT,
    OBJ_ENERGY_EXPORT: R_ENERGY_EXPORT,
    OBJ_FREQUENCY: R_FREQUENCY,
    OBJ_DEVICE_TEMPERATURE: R_DEVICE_TEMPERATURE,
}


def _nobody(*event):
    pass


def _at_once(window_s):
    return 0


# Rarely: a file of its own in flash
def _calibrate(*arguments):
    from .calibration import start

    return start(*arguments)


def _restore(*arguments):
    from .calibration import restore

    restore(*arguments)


class Device:
    """Base of the devices; see docs/architecture.md for the interface.

    `on_alarm(now_s, alarm, raised, value, limit)`, `on_override(now_s, active)`, `on_calibrated(now_s, ref, reason)`
    and `on_factory_reset(now_s)` (the button was held: all that is the user's is to be erased) are called from `step`
    only. `spread(window_s)` -> s within it, this device's own. `peak_w`, at `peak_s` (ABSENT: before this start): the
    largest power since `take_peak`.
    """

    def __init__(self, board, config, store, log):
        self.board = board
        self.config = config
        self.log = log
        self._store = store
        self.on_alarm = _nobody
        self.on_override = self.on_calibrated = self.on_factory_reset = _nobody
        self.spread = _at_once
        self.counters = Counters(store, log)
        self.peak_w = self.counters.peak_w
        self.peak_s = ABSENT
        self.safe_mode = False
        self.blind = False  # the meter is silent, or says what cannot be
        self._odd = 0  # samples outside physics in a row
        self.calibrating = None
        self._watch = LimitsWatch(self._alarm, config, getattr(board, "current_ma", ABSENT))
        self._wear_left = get(config, COMMON, "wear_left")
        self._worn = 0  # OBJ_… of what is near its end
        raw = store.get("calib")
        if raw is not None:
            _restore(board.meter, raw, log)
        self.readings = array("i", [ABSENT] * R_COUNT)
        self.readings[R_POWER] = 0  # telemetry must carry one; the sensor's alarm says when it is stale
        self.readings[R_STATE] = 0
        self.readings[R_DECIDER] = DECIDER_DEFAULT
        self._count_energy(board.meter)
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
        self._again = {}  # alarm → (when it was last raised, how long it stays)
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
        self._sample(now_s)  # a decision stands on what is, not on what was at the latest step
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

    def power_failed(self, now_s):
        """The mains has failed: keeps the counters with one write, while the hold-up time lasts."""
        board = self.board
        meter = board.meter
        counters = self.counters
        counters.count(now_s, meter.energy_wh, (board.relay or board.sg_ready).switches, meter.energy_export_wh)
        counters.failing(now_s, self.readings[R_POWER])

    def safe(self, now_s):
        """Safe mode: whatever moved the load is off the table; see the devices. Commands are refused."""
        self.safe_mode = True

    def forecast(self, now_s, utc):
        """array('h') of 24 hourly W, or None."""

    def take_peak(self, now_s):
        """The largest power in W since the latest call."""
        peak_w = self.peak_w
        self.peak_w = max(0, self.readings[R_POWER])  # what flows out is no peak
        self.peak_s = now_s
        return peak_w

    def calibrate(self, now_s, ref, voltage_10mv, current_ma, power_dw, seconds):
        """Compares the meter for `seconds` with a reference load: the truth in 10 mV, mA and 0.1 W, ABSENT where it is
        not known. REASON_NONE: it runs, and `on_calibrated(now_s, ref, reason)` follows; else why not."""
        return _calibrate(self, now_s, ref, (voltage_10mv, current_ma, power_dw), seconds)

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
        if object_id == OBJ_SWITCHES:
            return self.counters.switches
        if object_id == OBJ_POWER_PEAK:
            return self.peak_w
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
        """Raises or clears `alarm` once; a repetition says nothing. False: not cleared yet."""
        bit = 1 << alarm
        if raised:
            if self._raised & bit:
                return True
            self._raised |= bit
        else:
            if not self._raised & bit or alarm == self._held_alarm():
                return True
        if self._flaps(now_s, alarm, raised):
            return False
        if not raised:
            self._raised &= ~bit
        self._report(now_s, alarm, raised, value, limit)
        return True

    def _flaps(self, now_s, key, raised):
        """What comes and goes is cleared later each time, an hour at last: each word of it is a write to flash."""
        last_s, stay_s = self._again.get(key, _LONG_AGO)
        if raised:
            self._again[key] = now_s, min(2 * stay_s + 5, 3600) if now_s - last_s < 7200 else 0
            return False
        return now_s - last_s < stay_s

    def _held_alarm(self):
        """ALARM_… that a trip holds, and the watch over limits does not clear."""
        return 0

    def _report(self, now_s, alarm, raised, value, limit):
        self.log.warn("alarm", alarm, 1 if raised else 0)
        self.on_alarm(now_s, alarm, 1 if raised else 0, value, limit)

    def _held(self, now_s):
        self.log.warn("device.factory_reset")
        self.on_factory_reset(now_s)

    def _sample(self, now_s):
        """Takes a sample where there is one; what is outside physics is not taken. True when it was."""
        board = self.board
        meter = board.meter
        if not meter.sample(now_s):
            return False
        if not board.trip.plausible(meter.current_ma, meter.power_w, meter.voltage_10mv):
            if self._odd < _ODD:
                self._odd += 1
            return False
        self._odd = 0
        self.blind = False
        self._measured(now_s, self._take_sample(meter))
        if self.calibrating is not None:
            self.calibrating.add(meter)
        return True

    def _take_sample(self, meter):
        """Copies the meter's values into the readings."""
        readings = self.readings
        readings[R_POWER] = meter.power_w
        readings[R_VOLTAGE] = meter.voltage_10mv
        readings[R_CURRENT] = meter.current_ma
        mhz = meter.frequency_mhz
        readings[R_FREQUENCY] = mhz if _LOW_MHZ <= mhz <= _HIGH_MHZ else ABSENT
        return meter.power_w

    def _count_energy(self, meter):
        readings = self.readings
        readings[R_ENERGY_IMPORT] = self.counters.energy_wh
        if meter.energy_export_wh != ABSENT:
            readings[R_ENERGY_EXPORT] = self.counters.export_wh

    def _watch_parts(self, now_s, meter, switches):
        """Counters, limits, and the alarms of meter, flash and wear."""
        counters = self.counters
        readings = self.readings
        if readings[R_POWER] > self.peak_w:
            self.peak_w = readings[R_POWER]
            self.peak_s = now_s
        counters.peak_w = self.peak_w
        due = counters.update(now_s, meter.energy_wh, switches, meter.energy_export_wh)
        self._count_energy(meter)
        self.blind = blind = meter.fault or self._odd >= _ODD
        if blind:
            counters.blind_s = now_s
            readings[R_VOLTAGE] = readings[R_CURRENT] = readings[R_FREQUENCY] = ABSENT
        self._alarm(now_s, ALARM_SENSOR_FAULT, blind, OBJ_POWER)
        self._alarm(now_s, ALARM_STORE_FAULT, counters.failed)
        if self.board.button is not None:
            self._alarm(now_s, ALARM_TAMPER, self.board.button.fault)
        self._watch.step(now_s, readings)
        if due:
            self._watch_wear(now_s)
        if self.calibrating is not None:
            self.calibrating.step(now_s, self, self._store)

    def _watch_wear(self, now_s):
        """Now and then: an alarm when relay or flash are near their end."""
        worn = 0
        least = self._wear_left + (_WEAR_BACK if self._worn else 0)
        left = self.relay_wear()
        if left != ABSENT and left < self.board.relay_cycles // 1000 * least:
            worn = OBJ_RELAY_WEAR
        elif self._store.wear() < least:
            worn = OBJ_FLASH_WEAR
            left = self._store.wear()
        self._worn = worn
        self._alarm(now_s, ALARM_WEAR, worn, worn or ABSENT, left if worn else ABSENT)

    def _say_override(self, now_s, active):
        if active != self._override_said:
            self._override_said = active
            self.on_override(now_s, active)
