"""A relay under protection: trips and how they recover, supervision of the contact, the device's own temperature, and
the least times on and off.

| what | acts | until |
|---|---|---|
| over-current, -power, -temperature | opens at once, least time on or not | the button; kept over a restart |
| over- and under-voltage | the same | right for voltage_recover_s; the fourth of a day: the button |
| stuck closed | told to open again, said to be closed | the button, when no current flows; kept |
| stuck open | three more attempts, said to be open | the button, or a restart |
| no temperature where there is a sensor | after a minute 70 % of the rated power at most | a minute with it |
| mains failed, relay does not hold | opens: its coil burns the hold-up | the mains is back, and min_off_s |

Stuck closed is what lets current flow when told to be open, or says so by its read-back. Stuck open is claimed by the
read-back alone: a load that is off draws nothing through a closed contact either.
"""

from ..codes import (
    ABSENT,
    ALARM_OVER_CURRENT,
    ALARM_OVER_TEMPERATURE,
    ALARM_OVER_VOLTAGE,
    ALARM_RELAY_STUCK,
    ALARM_SENSOR_FAULT,
    ALARM_UNDER_VOLTAGE,
    OBJ_DEVICE_TEMPERATURE,
    R_DEVICE_TEMPERATURE,
    R_POWER,
    R_VOLTAGE,
    REASON_MAX_BLOCK,
    REASON_MIN_PAUSE,
    REASON_MIN_RUN,
    REASON_PROTECTION,
)
from ..port import const
from .device import Device
from .guards import FORBID_OFF, FORBID_ON, FORCE_OFF, Guards
from .settings import PLUG, get

_NAME = "latch"  # what latches is the product's: neither safe mode nor a factory reset takes it back
_SETTLE_S = const(2)  # a contact has moved after this
_VOLTAGE_TRIPS = const(3)  # recoveries from a voltage trip, then it latches
_ATTEMPTS = const(3)  # to close a contact that stays open
_DAY_S = const(86400)
_MAINS_S = const(5)  # at least, after the mains came back within the hold-up: one that flickers does not chatter
_HOLD_UP_S = const(60)  # who still lives then has mains, and an input that is broken
_SENSOR_S = const(60)  # a temperature sensor that is silent for so long is missing
_DERATED = const(70)  # percent: half the heat, which goes with the square of the current
_COOLER = const(1000)  # 10 K below its limit, or the button does not take an over-temperature back

# The guards in order of precedence: what each forbids, and what it says
TRIP = const(0)
VOLTAGE = const(1)
MAINS = const(2)
MIN_OFF = const(3)
MIN_ON = const(4)
AUTO_OFF = const(5)
ROWS = (
    ("trip", FORCE_OFF, REASON_PROTECTION),  # over-current, over-power, too hot, stuck relay: until the button
    ("voltage", FORCE_OFF, REASON_PROTECTION),  # until the voltage was right for voltage_recover_s
    ("mains", FORCE_OFF, REASON_PROTECTION),  # while the mains has failed
    ("min_off", FORBID_ON, REASON_MIN_PAUSE),  # for min_off_s after opening; after a reset that dropped the relay too
    ("min_on", FORBID_OFF, REASON_MIN_RUN),  # for min_on_s after closing
    ("auto_off", FORCE_OFF, REASON_MAX_BLOCK),  # auto_off_s after closing, until something asks to close again
)


class Protected(Device):
    """`guards`; the device calls `_watch_trips` in each step, moves the relay through `_switch` alone, and takes a trip
    that came since with `_take_trip` before it decides. `_lifts`: the household is above the agent's limit."""

    def __init__(self, board, config, store, log):
        super().__init__(board, config, store, log)
        self._min_on_s = get(config, PLUG, "min_on_s")
        self._min_off_s = get(config, PLUG, "min_off_s")
        self._recover_s = get(config, PLUG, "voltage_recover_s")
        self._running_w = get(config, PLUG, "running_w")
        self._stuck_w = get(config, PLUG, "stuck_w")
        self._over_c100 = get(config, PLUG, "over_temperature")
        board.trip.arm(
            get(config, PLUG, "over_current_ma", board.current_ma),
            get(config, PLUG, "over_power_w", board.power_w),
            get(config, PLUG, "over_voltage_10mv"),
            get(config, PLUG, "under_voltage_10mv"),
            self._over_c100,
        )
        self.guards = Guards(ROWS)
        self._closed_s = 0  # when the relay closed or opened
        self._opened_s = 0
        self._before_w = 0  # what it drew when it was last opened
        self._stuck = 0  # samples in a row with current through an open relay
        self._position = ABSENT  # the contact's, once it has settled, where it is read back
        self._attempts = 0
        self._recovering_s = ABSENT
        self._taken = 0  # the comparator's latch, as far as the guards know it
        self._said = 0  # and as far as it was said
        raw = store.get(_NAME)
        # ALARM_… that holds until the button, also over a restart. One that only another firmware knows holds as well
        self._latched = 0 if not raw else raw[0] if raw[0] <= ALARM_RELAY_STUCK else ALARM_OVER_CURRENT
        self._voltage_trips = 0
        self._voltage_at_s = 0
        self._running = self._lifts = self._derated = False
        self._sensor_s = 0  # the temperature sensor came or went at
        self._hot_s = ABSENT  # latest look at the temperature

    def _begin_trips(self, now_s):
        self._closed_s = self._opened_s = self._sensor_s = now_s
        if self._latched:
            if self._latched == ALARM_RELAY_STUCK:
                self._stuck = 2
            trip = self.board.trip
            trip.latch = self._taken = self._latched
            trip.value = trip.limit = ABSENT
            self.guards.arm(TRIP, now_s)

    # --- the relay --------------------------------------------------------------------------------------------------

    def _switch(self, now_s, closed):
        self.board.relay.set(closed)
        self._position = ABSENT
        if closed:
            self._closed_s = now_s
            self.guards.arm(MIN_ON, now_s, now_s + self._min_on_s)
        else:
            self._opened(now_s)

    def _opened(self, now_s):
        self._opened_s = now_s
        self._position = ABSENT
        self.guards.arm(MIN_OFF, now_s, now_s + self._min_off_s)

    def _is_closed(self):
        """Whether current can flow, as measured where it is, else as told. What is welded is never said to be off."""
        if self._stuck:
            return True
        return self.board.relay.closed if self._position == ABSENT else self._position == 1

    def _measured(self, now_s, power_w):
        running = power_w >= self._running_w
        if running and not self._running:
            self.counters.starts += 1
        self._running = running
        if self.board.relay.closed:
            self._before_w = power_w
        self._watch_contact(now_s, abs(power_w) >= self._stuck_w or self._position == 1)  # a PV feeds through it, too

    def _watch_contact(self, now_s, flows):
        """flows: as measured now, or by the read-back, current can flow."""
        relay = self.board.relay
        if relay.closed:
            self._stuck = 0
        elif flows and now_s - self._opened_s >= _SETTLE_S:
            if self._stuck < 2:
                self._stuck += 1
                relay.trip()  # told once more
                if self._stuck == 2:
                    trip = self.board.trip
                    trip.value = self.readings[R_POWER]
                    trip.limit = self._stuck_w
                    self._latch(now_s, ALARM_RELAY_STUCK)
        elif self._stuck < 2:
            self._stuck = 0

    def _read_back(self, now_s, fresh):
        """What the auxiliary contact says, where there is one."""
        relay = self.board.relay
        position = relay.position
        if position == ABSENT or now_s - (self._closed_s if relay.closed else self._opened_s) < _SETTLE_S:
            if not self._attempts:  # after a failed one it is open until it is seen closed
                self._position = ABSENT
            return
        self._position = position
        if not relay.closed:
            if not fresh:
                self._watch_contact(now_s, position == 1)
        elif position:
            self._attempts = 0
        elif self._attempts < _ATTEMPTS:
            self._attempts += 1
            self.log.warn("plug.not_closed", self._attempts)
            relay.set(False)
            relay.set(True)
            self._closed_s = now_s
        else:
            relay.set(False)
            self._opened(now_s)
            trip = self.board.trip
            trip.latch = self._taken = ALARM_RELAY_STUCK
            trip.value = trip.limit = 0
            self.guards.arm(TRIP, now_s)

    # --- trips ------------------------------------------------------------------------------------------------------

    def _watch_trips(self, now_s, fresh):
        """In each step, after the sample."""
        self._watch_temperature(now_s)
        self._read_back(now_s, fresh)
        if self.board.trip.latch != self._taken:
            self._take_trip(now_s)
        if self._recovering_s != ABSENT:
            self._watch_voltage(now_s)
        self._say_trip(now_s)
        guards = self.guards
        power_fail = self.board.power_fail
        if guards.armed(MAINS, now_s) and (power_fail is None or not power_fail.failed):
            guards.clear(MAINS)
            wait_s = max(self._min_off_s, get(self.config, PLUG, "power_on_s"), _MAINS_S)
            guards.arm(MIN_OFF, now_s, now_s + wait_s)

    def _take_trip(self, now_s):
        """The comparator opened the relay: hold it open. The guards must know before anything is decided, or a command
        that comes between the sample and the next step would close what was just opened."""
        latch = self.board.trip.latch
        self._taken = latch
        self._opened(now_s)
        if latch == ALARM_OVER_VOLTAGE or latch == ALARM_UNDER_VOLTAGE:
            if now_s - self._voltage_at_s > _DAY_S:
                self._voltage_trips = 0
            self._voltage_trips += 1
            self._voltage_at_s = now_s
            if self._voltage_trips <= _VOLTAGE_TRIPS:
                self.guards.arm(VOLTAGE, now_s)
                self._recovering_s = now_s
                return
        self._latch(now_s, latch)

    def _latch(self, now_s, alarm):
        """Holds it open until the button, also over a restart."""
        self.guards.arm(TRIP, now_s)
        self.guards.clear(VOLTAGE)
        self._recovering_s = ABSENT
        self.board.trip.latch = self._taken = self._latched = alarm
        try:
            self._store.put(_NAME, bytes((alarm,)))
        except OSError:
            self.log.error("plug.not_kept")

    def _held_alarm(self):
        return self.board.trip.latch

    def _say_trip(self, now_s):
        """Alarms are said from `step` alone; one that was kept over a restart is said again."""
        trip = self.board.trip
        latch = trip.latch
        said = self._said
        if latch != said:
            self._said = latch
            if said:
                self._watch.forget(said)
                self._again.pop(said, None)
                self._alarm(now_s, said, False)
            if latch:
                self._raised |= 1 << latch
                self._report(now_s, latch, 1, trip.value, trip.limit)

    def _watch_voltage(self, now_s):
        """Takes a voltage trip back when the voltage was right for long enough."""
        if self.board.trip.outside(self.readings[R_VOLTAGE]):
            self._recovering_s = now_s
        elif now_s - self._recovering_s >= self._recover_s:
            self._recovering_s = ABSENT
            self._clear_trip()

    def _clear_trip(self):
        self.board.trip.clear()
        self._taken = 0
        self.guards.clear(TRIP)
        self.guards.clear(VOLTAGE)

    def _reset_trip(self):
        """The button: the latch falls, the relay stays open until it is pressed again. Not while current flows through
        a relay that should be open, nor while it is too hot, nor while nobody knows whether it still is."""
        latch = self.board.trip.latch
        if latch == ALARM_RELAY_STUCK:
            if self._position == 1 or self._stuck and abs(self.readings[R_POWER]) >= self._stuck_w:
                return
        value = self.readings[R_DEVICE_TEMPERATURE]
        if value > self._over_c100 - _COOLER:
            return
        if value == ABSENT and latch == ALARM_OVER_TEMPERATURE and self.board.sensors.device is not None:
            return
        self._recovering_s = ABSENT
        self._voltage_trips = self._stuck = self._attempts = self._latched = 0
        self._clear_trip()
        try:
            self._store.delete(_NAME)
        except OSError:
            self.log.error("plug.not_kept")

    # --- temperature, mains -----------------------------------------------------------------------------------------

    def _watch_temperature(self, now_s):
        sensor = self.board.sensors.device
        if sensor is None or now_s == self._hot_s:
            return
        self._hot_s = now_s
        if hasattr(sensor, "sample"):
            sensor.sample(now_s)
        value = sensor.value
        if not self.board.trip.check_temperature(value):
            value = ABSENT
        self.readings[R_DEVICE_TEMPERATURE] = value
        if (value == ABSENT) == self._derated:
            self._sensor_s = now_s
        elif now_s - self._sensor_s >= _SENSOR_S:
            self._sensor_s = now_s
            self._derated = not self._derated
            self._report(now_s, ALARM_SENSOR_FAULT, self._derated, OBJ_DEVICE_TEMPERATURE, ABSENT)

    def _cap_w(self):
        """The limit that holds: the agent's, unless the household lifts it, or what may flow while nobody knows how hot
        it is, whoever wants more. ABSENT: none."""
        limit_w = ABSENT if self._lifts else self._limit_w
        if self._derated:
            derated_w = self.board.power_w * _DERATED // 100
            if limit_w == ABSENT or derated_w < limit_w:
                return derated_w
        return limit_w

    def power_failed(self, now_s):
        """As Device; the coil of a relay that does not hold by itself is let go first."""
        board = self.board
        if not board.relay_hold:
            if board.relay.closed:
                board.relay.trip()
                self._opened(now_s)
            self.guards.arm(MAINS, now_s, now_s + _HOLD_UP_S)
        super().power_failed(now_s)
