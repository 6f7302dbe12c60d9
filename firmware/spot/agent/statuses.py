"""The life cycle that a command's issuer sees: which state and reason holds now, and the status message for it."""

from array import array

from spot.agent.entry import OVER, RUNNING, restrictive
from spot.codes import (
    ABSENT,
    DECIDER_FAILSAFE,
    DECIDER_OVERRIDE,
    DECIDER_TRIP,
    KIND_UNLIMITED,
    MAX_INT,
    R_ENERGY_IMPORT,
    R_POWER,
    REASON_BELOW_MINIMUM,
    REASON_CAPPED,
    REASON_FAILSAFE,
    REASON_JITTER,
    REASON_NO_TIME,
    REASON_NONE,
    REASON_ON_OFF_ONLY,
    REASON_OUTRANKED,
    REASON_OVERRIDE,
    REASON_PROTECTION,
    REASON_TOO_LONG,
    STATE_ABORTED,
    STATE_CANCELLED,
    STATE_COMPLETED,
    STATE_OPTED_IN,
    STATE_OPTED_OUT,
    STATE_PARTLY,
    STATE_RECEIVED,
    STATE_SCHEDULED,
    STATE_STARTED,
    STATE_SUPERSEDED,
    STATE_WAITING,
)
from spot.port import const
from spot.wire.fields import (
    STA_COUNT,
    STA_DURATION,
    STA_ENERGY,
    STA_ENERGY_WITHOUT,
    STA_EPOCH,
    STA_ID,
    STA_POWER,
    STA_REASON,
    STA_RESPONSE,
    STA_REVISION,
    STA_START,
    STA_STATE,
)

# What a device says about a limit, not about a set-point
_OF_LIMITS = (REASON_BELOW_MINIMUM, REASON_ON_OFF_ONLY, REASON_CAPPED, REASON_FAILSAFE)
_UTC_MIN = const(-31622400)  # 2024-01-01: what the wire takes
_ABSENT = array("i", [ABSENT] * STA_COUNT)
_NEAR_W = const(10)  # the power "is there" within this and a twentieth
_MEASURED = (STATE_COMPLETED, STATE_CANCELLED, STATE_SUPERSEDED, STATE_ABORTED)


class Baseline:
    """Energy that would have been used without commands, as the device estimates it: an integral in integers.

    total_wh counts while commands are in effect (`on`).
    """

    def __init__(self, device):
        self._device = device
        self.total_wh = 0
        self._rest_ws = 0
        self._at_s = 0
        self._power_w = 0
        self.on = False

    def step(self, now_s):
        """Takes in the time since the last call."""
        if self.on:
            ws = self._rest_ws + self._power_w * (now_s - self._at_s)
            self.total_wh += ws // 3600
            self._rest_ws = ws % 3600
            self._power_w = self._device.estimate_w()
        self._at_s = now_s

    def switch(self, now_s, on):
        if on != self.on:
            self.step(now_s)
            self.on = on
            if on:
                self._power_w = self._device.estimate_w()


class Statuses:
    """Builds status messages. post(now_s, type, slots) puts one into the stream of events."""

    def __init__(self, device, baseline, plan, post):
        self._device = device
        self._baseline = baseline
        self._post = post

    def send(self, out, entry, state, reason, now_s, power_w=ABSENT):
        """Reports `state` of entry: adds (post, slots) to the list `out`. Final states of one that ran carry energy and
        response."""
        slots = array("i", _ABSENT)
        slots[STA_ID] = entry.id
        slots[STA_REVISION] = entry.revision
        slots[STA_STATE] = state
        slots[STA_REASON] = reason
        slots[STA_POWER] = power_w
        if entry.end_utc:
            slots[STA_START] = min(max(entry.start_utc, _UTC_MIN), MAX_INT)
            slots[STA_DURATION] = min(max(entry.end_utc - entry.start_utc, 0), 604800)
        if entry.phase == RUNNING and state in _MEASURED:
            self._measure(now_s, entry, slots)
        slots[STA_EPOCH] = entry.epoch
        out.append((self._post, slots))

    def _measure(self, now_s, entry, slots):
        if not entry.held and now_s < entry.end_s:  # it ended early
            slots[STA_DURATION] = max(0, slots[STA_DURATION] - (entry.end_s - now_s))
        register = self._device.readings[R_ENERGY_IMPORT]
        if entry.energy0_wh != ABSENT and register != ABSENT:
            slots[STA_ENERGY] = max(0, register - entry.energy0_wh)
            slots[STA_ENERGY_WITHOUT] = max(0, self._baseline.total_wh - entry.without0_wh)
        slots[STA_RESPONSE] = entry.response_s

    def begin(self, now_s, entry):
        """Entry takes effect: its energy and its response count from here."""
        entry.energy0_wh = self._device.readings[R_ENERGY_IMPORT]
        entry.without0_wh = self._baseline.total_wh

    def responded(self, now_s, entry, expected_w):
        """True when the measured power is what the command leads to; entry.response_s is set then."""
        power = self._device.readings[R_POWER]
        if power == ABSENT:
            return False
        near = _NEAR_W + abs(expected_w) // 20
        if power > expected_w + near:
            return False
        if power < expected_w - near and not (restrictive(entry.kind_now, entry.value_now)):
            return False
        entry.response_s = min(max(now_s - entry.began_s, 0), 86400)
        return True


def standing(seat, entry, decision, device, override, power_max):
    """(state, reason) that holds for a live command of `seat` now, given the decision and what the device made of it.
    Of another association's command or state the reason says no more than "outranked" and "capped"."""
    if entry.phase == OVER:
        return entry.state, entry.reason
    if entry.phase != RUNNING:
        return STATE_SCHEDULED, REASON_NONE if entry.start_utc == entry.nominal_start else REASON_JITTER
    if entry.held:
        return STATE_WAITING, REASON_NO_TIME
    if entry.kind_now == ABSENT:
        return STATE_STARTED, entry.note
    if entry is decision.winner:
        return _of_winner(seat, entry, decision, device, override, power_max)
    if entry.kind_now == KIND_UNLIMITED or entry.limit_w != ABSENT and entry.is_limit or _limits_now(entry):
        return _of_limit(seat, entry, decision, device, override)
    return STATE_WAITING, REASON_OUTRANKED


def _limits_now(entry):
    return entry.kind_now != ABSENT and entry.limit_w != ABSENT


def _of_winner(seat, entry, decision, device, override, power_max):
    if override or device.decider == DECIDER_OVERRIDE:
        return STATE_OPTED_OUT, REASON_OVERRIDE
    if decision.waiting:
        return STATE_PARTLY, REASON_JITTER
    if device.decider == DECIDER_TRIP:
        if restrictive(entry.kind_now, entry.value_now):
            return STATE_STARTED, REASON_PROTECTION
        return STATE_ABORTED, REASON_PROTECTION
    if device.reason and device.reason not in _OF_LIMITS:
        return STATE_PARTLY, device.reason
    limit_w = decision.limit_w
    if limit_w != ABSENT and limit_w < power_max and not restrictive(entry.kind_now, entry.value_now):
        return STATE_PARTLY, _cap(seat, decision)
    if entry.note == REASON_TOO_LONG:
        return STATE_PARTLY, REASON_TOO_LONG
    return STATE_STARTED, entry.note


def _cap(seat, decision):
    own = decision.keeper is seat and decision.limiter == DECIDER_FAILSAFE
    return REASON_FAILSAFE if own else REASON_CAPPED


def _of_limit(seat, entry, decision, device, override):
    if entry is decision.capper:
        if device.reason:
            if device.reason == REASON_OVERRIDE or override:
                return STATE_OPTED_OUT, REASON_OVERRIDE
            return STATE_PARTLY, device.reason
        return STATE_STARTED, entry.note
    if decision.limit_w == ABSENT:
        return STATE_STARTED, entry.note
    return STATE_STARTED, _cap(seat, decision)


def follows(told, now):
    """The states to report, in order, when the issuer was told `told` and `now` holds: a household's override taken
    back is said before what follows."""
    if told == STATE_OPTED_OUT and now not in (STATE_OPTED_OUT, STATE_COMPLETED):
        return (STATE_OPTED_IN, now) if now != STATE_STARTED else (STATE_OPTED_IN,)
    if told == STATE_RECEIVED or told != now:
        return (now,)
    return ()
