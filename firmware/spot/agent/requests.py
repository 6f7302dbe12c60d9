"""What an EMD may ask beside commands: read and configure, of the agent's own objects and the device's."""

from spot.agent.association import DATA_SERVICE, LENGTHS
from spot.codes import (
    ABSENT,
    CLOCK_EMD,
    OBJ_BOOTS,
    OBJ_CLOCK,
    OBJ_FAILSAFE_LIMIT,
    OBJ_FIRMWARE_PROGRESS,
    OBJ_FIRMWARE_SEQUENCE,
    OBJ_FIRMWARE_SLOT,
    OBJ_FLASH_WEAR,
    OBJ_FLASH_WRITES,
    OBJ_INTERVAL_LENGTH,
    OBJ_LEDGER,
    OBJ_LOG_LEVEL,
    OBJ_POWER_LIMIT,
    OBJ_PRICE_SERIES,
    OBJ_RELAY_WEAR,
    OBJ_RESTART,
    OBJ_SAFE_MODE,
    OBJ_TELEMETRY_INTERVAL,
    OBJ_UPTIME,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_OUT_OF_RANGE,
    REASON_READ_ONLY,
    REASON_STALE_REVISION,
    REASON_STORE_FULL,
    REASON_UNKNOWN_ID,
    T_READ_RESPONSE,
)
from spot.port import const

# Fields of `read` and `configure`
_ID = const(1)
_ISSUED = const(2)
_LIST = const(3)

# Objects of the plan that may be written: id -> (attribute of the Association, least, most)
_PLAN = {
    OBJ_TELEMETRY_INTERVAL: ("telemetry_interval", 1, 86400),
    OBJ_INTERVAL_LENGTH: ("interval_length", 1, 60),
    OBJ_FAILSAFE_LIMIT: ("failsafe_limit", 0, 1000000),
}
# What is no reading of the household's: its own, or in the registration. All that is there without "telemetry"
_OPEN = (
    OBJ_CLOCK, OBJ_LEDGER, OBJ_TELEMETRY_INTERVAL, OBJ_INTERVAL_LENGTH, OBJ_FAILSAFE_LIMIT, OBJ_PRICE_SERIES,
    OBJ_RELAY_WEAR, OBJ_FLASH_WEAR, OBJ_BOOTS, OBJ_UPTIME, OBJ_FLASH_WRITES,
    OBJ_FIRMWARE_SEQUENCE, OBJ_FIRMWARE_PROGRESS, OBJ_FIRMWARE_SLOT,
)
_SERVICE = {OBJ_LOG_LEVEL: (0, 3), OBJ_RESTART: (1, 2), OBJ_SAFE_MODE: (0, 0)}  # who may: least and most to write
_READ_ONLY = (OBJ_LEDGER, OBJ_POWER_LIMIT, OBJ_PRICE_SERIES)


class Requests:
    """read() puts the answer into the stream of events; configure() returns the reason for the answer."""

    def __init__(self, seat, device):
        self._seat = seat
        self._device = device
        self._clock = seat.clock
        self._plan = seat.plan
        self._last_read = None
        self._configured = ABSENT  # issue time of the latest that was carried out
        self._last_configure = None
        self._restart = 0

    def _there(self, object_id):
        if object_id in _SERVICE:
            return self._plan.data & DATA_SERVICE
        return self._seat.reports or object_id in _OPEN

    def value(self, now_s, object_id):
        """The value of an object now, ABSENT when there is none, or none for this EMD."""
        if not self._there(object_id):
            return ABSENT
        row = _PLAN.get(object_id)
        if row is not None:
            return getattr(self._plan, row[0])
        own = self._seat.agent.own.get(object_id)
        if own is not None:
            return own(now_s)
        if object_id == OBJ_CLOCK:
            return self._clock.utc(now_s)
        if object_id == OBJ_LEDGER:
            return self._seat.ledger.live
        if object_id == OBJ_POWER_LIMIT:
            return self._seat.control.decision.limit_w
        if object_id == OBJ_PRICE_SERIES:
            return self._seat.policy.ahead_s(self._clock.utc(now_s))
        return self._device.read(object_id)

    def read(self, now_s, values):
        """Answers a `read`; a repetition is answered by what the stream holds. Returns REASON_…; NONE: answered."""
        key = (values[0], values[_ID], values[_ISSUED])
        if key == self._last_read:
            return REASON_NONE
        pairs = []
        for object_id in values[_LIST]:
            value = self.value(now_s, object_id)
            if value != ABSENT:
                pairs.append(object_id)
                pairs.append(value)
        if not pairs:
            return REASON_UNKNOWN_ID
        utc = self._clock.best(now_s)
        self._seat.events.post_values(now_s, T_READ_RESPONSE, [
            0, values[_ID], 0 if utc == ABSENT else utc, self._clock.quality(now_s), pairs,
        ])
        self._last_read = key
        return REASON_NONE

    def configure(self, now_s, values):
        """Writes all objects or none. Returns REASON_…"""
        key = (values[0], values[_ID], values[_ISSUED])
        if key == self._last_configure:
            return REASON_NONE
        if self._configured != ABSENT and values[_ISSUED] < self._configured:
            return REASON_STALE_REVISION
        flat = values[_LIST]
        if len(flat) & 1:
            return REASON_OUT_OF_RANGE
        undo = []
        reason = REASON_NONE
        for at in range(0, len(flat), 2):
            object_id, value = flat[at], flat[at + 1]
            before = self.value(now_s, object_id)
            reason = self._write(now_s, object_id, value)
            if reason:
                break
            undo.append((object_id, before))
        if reason == REASON_NONE:
            try:
                self._plan.keep()
            except OSError:  # StoreError
                reason = REASON_STORE_FULL
        if reason:
            for object_id, before in reversed(undo):
                if object_id in _PLAN:
                    setattr(self._plan, _PLAN[object_id][0], before)
                elif object_id == OBJ_RESTART or object_id == OBJ_SAFE_MODE:
                    self._restart = 0
                elif before != ABSENT and object_id != OBJ_CLOCK:
                    self._write(now_s, object_id, before)
            return reason
        self._configured = values[_ISSUED]
        self._last_configure = key
        self._seat.control.settle(now_s)
        return REASON_NONE

    def restart(self, now_s):
        """Carries out what was written of restarts, once that has been answered."""
        how, self._restart = self._restart, 0
        if how:
            self._seat.agent.on_restart(now_s, how)

    def _write(self, now_s, object_id, value):
        if not self._there(object_id):
            return REASON_UNKNOWN_ID
        row = _PLAN.get(object_id)
        if row is not None:
            if not row[1] <= value <= row[2] or object_id == OBJ_INTERVAL_LENGTH and value not in LENGTHS:
                return REASON_OUT_OF_RANGE
            setattr(self._plan, row[0], value)
            return REASON_NONE
        if object_id == OBJ_CLOCK:
            return REASON_NONE if self._seat.time.set(now_s, value, CLOCK_EMD) else REASON_OUT_OF_RANGE
        row = _SERVICE.get(object_id)
        if row is not None:
            if not row[0] <= value <= row[1]:
                return REASON_OUT_OF_RANGE
            if object_id == OBJ_LOG_LEVEL:
                self._seat.log.level = value
            elif self._seat.agent.on_restart is None:
                return REASON_NOT_SUPPORTED
            else:
                self._restart = value or 2
            return REASON_NONE
        if object_id in _READ_ONLY or object_id in self._seat.agent.own:
            return REASON_READ_ONLY
        return self._device.write(now_s, object_id, value)
