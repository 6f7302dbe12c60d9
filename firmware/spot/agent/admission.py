"""May this command enter the ledger: the checks of its content, before anything moves."""

from spot.codes import (
    ABSENT,
    DIRECTION_PRODUCE,
    KIND_BAND,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_REVOKE,
    KIND_SCHEDULE,
    KIND_UNLIMITED,
    REASON_DIRECTION,
    REASON_MISSING_FIELD,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_OUT_OF_RANGE,
    REASON_PRIORITY,
    SERVICE_SCHEDULE,
)
from spot.wire.fields import KIND_VALUES


def check_values(kind, value, value2):
    """REASON_… why `kind` does not go with these values; REASON_NONE when it does."""
    if not 0 <= kind < len(KIND_VALUES):
        return REASON_NOT_SUPPORTED
    rule = KIND_VALUES[kind]
    if rule is None:
        return REASON_NONE
    needed, low, high, needed2, low2, high2 = rule
    if value == ABSENT:
        if needed:
            return REASON_MISSING_FIELD
    elif not low <= value <= high:
        return REASON_OUT_OF_RANGE
    if value2 == ABSENT:
        if needed2:
            return REASON_MISSING_FIELD
    elif not low2 <= value2 <= high2:
        return REASON_OUT_OF_RANGE
    if kind == KIND_BAND and value > value2:
        return REASON_OUT_OF_RANGE
    return REASON_NONE


def _check_one(device, kind, value, value2):
    reason = check_values(kind, value, value2)
    if reason:
        return reason
    if kind in (KIND_LIMIT, KIND_LIMIT_PERCENT) and value2 == DIRECTION_PRODUCE:
        return REASON_DIRECTION
    if kind == KIND_UNLIMITED:
        return REASON_NONE  # lifts what was accepted: any device can
    return device.check(kind, value, value2)


def admit(device, services, entry, ceiling):
    """REASON_… why this device refuses `entry`; REASON_NONE: it may enter."""
    if entry.priority > ceiling:
        return REASON_PRIORITY
    if entry.kind != KIND_SCHEDULE:
        return _check_one(device, entry.kind, entry.value, entry.value2)
    if not services & SERVICE_SCHEDULE:
        return REASON_NOT_SUPPORTED
    slots = entry.slots
    if not slots:
        return REASON_MISSING_FIELD
    before = -1
    for i in range(0, len(slots), 3):
        offset, kind, value = slots[i : i + 3]
        if offset <= before or offset >= entry.duration:
            return REASON_OUT_OF_RANGE
        before = offset
        if kind in (KIND_REVOKE, KIND_SCHEDULE, KIND_BAND):
            return REASON_NOT_SUPPORTED
        reason = _check_one(device, kind, value, ABSENT)
        if reason:
            return reason
    return REASON_NONE
