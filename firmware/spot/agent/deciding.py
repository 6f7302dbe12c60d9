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


class Decision:
    """What decide() found: kind, value, value2 (kind ABSENT: nobody asks for anything), limit_w (ABSENT: none),
    decider; winner: the Entry behind the set-point or None; by: the Seat that this set-point is of, None when it is
    nobody's; capper: the Entry behind the limit, None when there is none or a state's own cap is the least; keeper: the
    Seat whose state that cap is of, or None; limiter: DECIDER_… of the limit."""

    def __init__(self):
        self.kind = self.value = self.value2 = ABSENT
        self.limit_w = ABSENT
        self.decider = DECIDER_DEFAULT
        self.limiter = DECIDER_DEFAULT
        self.winner = self.by = None
        self.capper = self.keeper = None
        self.waiting = False  # the return of power is being spread


def decide(out, seats, alone, power_max, local, residue, waiting):
    """Fills the Decision `out`.

    seats: with lease.mode, plan and ledger.rows of each association; alone: none is controlled; local: (kind, value,
    value2) or None, of the local policy; residue: the same and the Seat, of an after-state "previous"; waiting: the
    load stays off until its turn after a power cut.

    A set-point wins by priority, which counts up to its association's ceiling, then by later issue, and then the
    earlier seat's: ids compare within one association only.
    """
    winner = by = capper = keeper = None
    limit_w = ABSENT
    top = 0
    for seat in seats:
        ceiling = seat.plan.priority_ceiling
        for entry in seat.ledger.rows:
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
            elif kind != KIND_UNLIMITED and kind != ABSENT:
                rank = entry.priority
                if rank > ceiling:
                    rank = ceiling
                if (
                    winner is None or rank > top
                    or rank == top and (entry.later_than(winner) if by is seat else entry.issued > winner.issued)
                ):
                    winner, by, top = entry, seat, rank
    limiter = DECIDER_LIMIT
    for seat in seats:
        mode = seat.lease.mode
        if mode == MODE_FAILSAFE:
            own, name = seat.plan.failsafe_limit, DECIDER_FAILSAFE
        elif mode == MODE_AUTONOMOUS:
            own, name = seat.plan.autonomous_cap, DECIDER_AUTONOMOUS
        else:
            continue
        if own != ABSENT and (limit_w == ABSENT or own < limit_w) and (alone or seat.plan.epoch != ABSENT):
            limit_w = own
            capper = None
            keeper = seat
            limiter = name
    out.winner = winner
    out.capper = capper
    out.keeper = keeper
    out.limit_w = limit_w
    out.limiter = limiter
    if winner is not None:
        out.kind, out.value, out.value2 = winner.kind_now, winner.value_now, winner.value2_now
        out.decider = DECIDER_SET_POINT
    elif local is not None:
        out.kind, out.value, out.value2 = local
        out.decider = DECIDER_LOCAL_POLICY
    elif residue is not None:
        out.kind, out.value, out.value2, by = residue
        out.decider = DECIDER_SET_POINT
    else:
        out.kind = out.value = out.value2 = ABSENT
        out.decider = DECIDER_DEFAULT
    out.by = by
    stops = out.kind != ABSENT and restrictive(out.kind, out.value)
    out.waiting = waiting and not stops
    if out.waiting:
        out.kind, out.value, out.value2 = KIND_OFF, ABSENT, ABSENT
        out.decider = DECIDER_DEFAULT
    elif limit_w != ABSENT and limit_w < power_max and not stops:
        out.decider = limiter
