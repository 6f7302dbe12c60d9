"""Who decides what the load does: one pass over the live commands. Nothing here moves or reports anything."""

from spot.agent.entry import RUNNING, restrictive
from spot.codes import (
    ABSENT,
    DECIDER_AUTONOMOUS,
    DECIDER_DEFAULT,
    DECIDER_FAILSAFE,
    DECIDER_LIMIT,
    DECIDER_LOCAL_POLICY,
    DECIDER_SET_POINT,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_OFF,
    KIND_UNLIMITED,
    MODE_AUTONOMOUS,
    MODE_FAILSAFE,
)


def outranks(entry, other):
    """True when set-point `entry` displaces `other`: higher priority, then later issue."""
    if entry.priority != other.priority:
        return entry.priority > other.priority
    return entry.later_than(other)


class Decision:
    """What decide() found: kind, value, value2 (kind ABSENT: nobody asks for anything), limit_w (ABSENT: none),
    decider; winner: the Entry behind the set-point or None; capper: the Entry behind the limit, None when there is none
    or the state's own cap is the least; limiter: DECIDER_… of the limit."""

    def __init__(self):
        self.kind = self.value = self.value2 = ABSENT
        self.limit_w = ABSENT
        self.decider = DECIDER_DEFAULT
        self.limiter = DECIDER_DEFAULT
        self.winner = None
        self.capper = None
        self.waiting = False  # the return of power is being spread


def decide(out, rows, mode, plan, power_max, local, residue, waiting):
    """Fills the Decision `out`.

    local, residue: (kind, value, value2) or None, of the local policy and of an after-state "previous"; waiting: the
    load stays off until its turn after a power cut.
    """
    winner = capper = None
    limit_w = ABSENT
    for entry in rows:
        if entry.phase != RUNNING or entry.held:
            continue
        kind = entry.kind_now
        if kind == KIND_LIMIT or kind == KIND_LIMIT_PERCENT:
            watts = entry.value_now
            if kind == KIND_LIMIT_PERCENT:
                watts = power_max * watts // 100
            entry.limit_w = watts
            if limit_w == ABSENT or watts < limit_w:
                limit_w = watts
                capper = entry
        elif kind != KIND_UNLIMITED and kind != ABSENT and (winner is None or outranks(entry, winner)):
            winner = entry
    limiter = DECIDER_LIMIT
    own = ABSENT
    if mode == MODE_FAILSAFE:
        own, name = plan.failsafe_limit, DECIDER_FAILSAFE
    elif mode == MODE_AUTONOMOUS:
        own, name = plan.autonomous_cap, DECIDER_AUTONOMOUS
    if own != ABSENT and (limit_w == ABSENT or own < limit_w):
        limit_w = own
        capper = None
        limiter = name
    out.winner = winner
    out.capper = capper
    out.limit_w = limit_w
    out.limiter = limiter
    if winner is not None:
        out.kind, out.value, out.value2 = winner.kind_now, winner.value_now, winner.value2_now
        out.decider = DECIDER_SET_POINT
    elif local is not None:
        out.kind, out.value, out.value2 = local
        out.decider = DECIDER_LOCAL_POLICY
    elif residue is not None:
        out.kind, out.value, out.value2 = residue
        out.decider = DECIDER_SET_POINT
    else:
        out.kind = out.value = out.value2 = ABSENT
        out.decider = DECIDER_DEFAULT
    stops = out.kind != ABSENT and restrictive(out.kind, out.value)
    out.waiting = waiting and not stops
    if out.waiting:
        out.kind, out.value, out.value2 = KIND_OFF, ABSENT, ABSENT
        out.decider = DECIDER_DEFAULT
    elif limit_w != ABSENT and limit_w < power_max and not stops:
        out.decider = limiter
