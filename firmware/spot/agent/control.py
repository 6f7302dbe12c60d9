"""What holds now: one pass that advances the ledger, decides, moves the device, keeps, and reports, in this order."""

from spot.agent import lease
from spot.agent.deciding import Decision, decide
from spot.agent.entry import OVER, RUNNING, restrictive
from spot.agent.statuses import Baseline, follows, standing
from spot.agent.times import NEVER, four
from spot.codes import (
    ABSENT,
    AFTER_PREVIOUS,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_OFF,
    KIND_UNLIMITED,
    MODE_AUTONOMOUS,
    MODE_CONTROLLED,
    REASON_NONE,
    REASON_OVERRIDE,
    REASON_STORE_FULL,
    RESET_BROWNOUT,
    RESET_POWER_ON,
    STATE_ABORTED,
    STATE_CANCELLED,
    STATE_COMPLETED,
    STATE_OPTED_OUT,
    STATE_RECEIVED,
    STATE_REJECTED,
    T_STATUS,
)
from spot.port import const
from spot.wire import profile

_MODE_KINDS = (KIND_LIMIT, KIND_LIMIT_PERCENT, KIND_UNLIMITED)
_RETRY_S = const(60)  # flash that failed is tried again
_NOTHING = (ABSENT, ABSENT, ABSENT)
_REPORTS = const(6)  # of one command in a minute, beside its end: a guard that comes and goes does not wear the flash


class Control:
    """The ledgers of all seats, the decision and the device joined.

    seats: of each association plan, ledger, statuses, lease (the state of hybrid control) and policy (local(now_s, utc)
    -> (kind, value, value2) or None); say_fault(now_s): `store_fault` changed. due_s: when step() has something to do.
    """

    def __init__(self, identity, device, clock, log, seats, say_fault):
        self._identity = identity
        self._device = device
        self._clock = clock
        self._log = log
        self._seats = seats
        self._say_fault = say_fault
        description = device.description()
        self._power_max = description.get("power_max") or 0
        self._standby = description.get("standby") or 0
        self.baseline = Baseline(device)
        self.decision = Decision()
        self._now_s = 0
        self._override = False
        self._residue = None
        self._last_winner = self._last_by = None
        self._ended_winner = None
        self._policy_s = NEVER  # when the local policy may say otherwise
        self._responding = False
        self._retry_s = NEVER
        self._later_s = NEVER  # reports that wait for their minute
        self.store_fault = False  # the ledger cannot be written
        self._power_return_s = 0
        self._seen_reason = REASON_NONE
        self._seen_decider = -1
        self._later = []  # statuses until they are said: the device moves before anything is written
        self.due_s = 0

    def start(self, now_s):
        """First step after boot: takes up the ledgers and the return of power, which waits for the longest delay."""
        identity = self._identity
        returns = identity.reset in (RESET_POWER_ON, RESET_BROWNOUT)
        returns = returns and self._device.check(KIND_OFF, ABSENT, ABSENT) == REASON_NONE
        for seat in self._seats:
            seat.ledger.load(now_s)
            seat.ledger.dirty = False
            if returns and seat.plan.jitter:
                delay = profile.jitter(identity.eui64, four(identity.boot) + b"b", seat.plan.jitter)
                self._power_return_s = max(self._power_return_s, now_s + delay)
        self.settle(now_s)

    def final(self, statuses, entry, state, reason):
        """A ledger says what became of a command for good, or that it was refused."""
        if entry is self._last_winner:
            self._ended_winner = entry if state in (STATE_COMPLETED, STATE_CANCELLED) else None
        if state == STATE_COMPLETED and entry.state == STATE_OPTED_OUT:
            reason = REASON_OVERRIDE
        statuses.send(self._later, entry, state, reason, self._now_s)

    def _say(self, now_s):
        while self._later:
            post, slots = self._later.pop(0)
            post(now_s, T_STATUS, slots)

    # --- messages ---------------------------------------------------------------------------------------------------

    def command(self, now_s, seat, slots, schedule):
        """Takes a decoded command of the right epoch; the time must be known."""
        self._now_s = now_s
        utc = self._clock.utc(now_s)
        entry, changed = seat.ledger.receive(now_s, utc, slots, schedule)
        moved = False
        if entry is not None and entry.phase != OVER and entry.kind in _MODE_KINDS:
            if entry.phase == RUNNING or entry.nominal_start <= utc:  # one for later says nothing about now
                moved = seat.lease.event(now_s, lease.EV_LIMIT)
        if changed:
            self.settle(now_s, entry)
            return
        if moved:  # by a repetition: the cap goes at once
            self.settle(now_s)
        if entry is not None:
            self._repeat(now_s, seat, entry)
        self._say(now_s)

    def _repeat(self, now_s, seat, entry):
        seat.statuses.send(self._later, entry, entry.state, entry.reason, now_s, self._expected_w(entry))

    def resynchronise(self, now_s, seat):
        """Says again where every live command of an association stands."""
        for entry in seat.ledger.rows:
            if entry.phase != OVER:
                self._repeat(now_s, seat, entry)
        self._say(now_s)

    def override(self, now_s, active):
        """The household overrode what was commanded, or took that back."""
        self._override = active
        if active:
            self._residue = None
        self.settle(now_s)

    def time_set(self, now_s, first):
        """The clock was set. `first`: since boot."""
        self._now_s = now_s
        for seat in self._seats:
            seat.ledger.clock_changed(now_s, self._clock.utc(now_s), first)
        self.settle(now_s)

    def new_epoch(self, now_s, seat):
        """An EMD lost what it knew: what it commanded before ends, and what stands after it."""
        self._now_s = now_s
        self._forget(seat)
        seat.ledger.new_epoch(now_s)
        self.settle(now_s)

    def clear(self, now_s, seat):
        """The device takes its leave of an EMD: nothing of that one's holds any longer."""
        self._forget(seat)
        seat.ledger.clear(now_s)
        self.settle(now_s)

    def _forget(self, seat):
        if self._residue is not None and self._residue[3] is seat:
            self._residue = None

    # --- the one pass -----------------------------------------------------------------------------------------------

    def step(self, now_s):
        """What is due. The device's second thoughts (a guard that lets go) are looked at every time."""
        if self.baseline.on:
            self.baseline.step(now_s)
            if self._responding:
                self._responses(now_s)
        device = self._device
        if now_s >= self.due_s or device.reason != self._seen_reason or device.decider != self._seen_decider:
            self.settle(now_s)

    def settle(self, now_s, fresh=None):
        """Brings the device, the flash and the issuers up to what the ledgers say. `fresh`: the row that just came."""
        self._now_s = now_s
        utc = self._clock.utc(now_s)
        for seat in self._seats:
            seat.ledger.advance(now_s, utc)
        self._begin_new(now_s)
        self._decide(now_s, utc)
        while self._trips(now_s):
            self._decide(now_s, utc)
        # kept before it is said: what was said to be over must not be there again after a power cut
        if not self._keep(now_s, fresh):
            self._decide(now_s, utc)
        self._report(now_s)
        self._say(now_s)
        self._plan_ahead(now_s)

    def _begin_new(self, now_s):
        on = False
        self.baseline.step(now_s)
        for seat in self._seats:
            for entry in seat.ledger.rows:
                if entry.phase == RUNNING:
                    on = True
                    if not entry.begun:
                        entry.begun = True
                        seat.statuses.begin(now_s, entry)
        self.baseline.switch(now_s, on)

    def _decide(self, now_s, utc):
        decision = self.decision
        alone = True
        for seat in self._seats:
            if seat.lease.mode == MODE_CONTROLLED:
                alone = False
        local = None
        self._policy_s = NEVER
        if alone:
            for seat in self._seats:
                if seat.lease.mode == MODE_AUTONOMOUS:
                    local = seat.policy.local(now_s, utc) or local
                    self._policy_s = min(self._policy_s, seat.policy.due_s)
        if self._residue is not None and self._residue[3].lease.mode != MODE_CONTROLLED:
            self._residue = None  # never kept longer than its EMD is there
        stood = (decision.kind, decision.value, decision.value2)
        stood_by = decision.by
        self._pass(now_s, alone, local)
        winner = decision.winner
        ended = self._ended_winner
        if (
            winner is None and ended is not None and ended.after == AFTER_PREVIOUS and ended.previous is not None
            and ended.previous[0] != ABSENT and self._last_by.lease.mode == MODE_CONTROLLED
        ):
            self._residue = ended.previous
            self._pass(now_s, alone, local)
        if winner is not None:
            self._residue = None
            if winner.previous is None:  # what was another one's comes back by itself while it lives, and not after
                own = stood_by is None or stood_by is decision.by
                winner.previous = (stood if own else _NOTHING) + (decision.by,)
        self._ended_winner = None
        self._last_winner, self._last_by = winner, decision.by
        device = self._device
        device.apply(now_s, decision.kind, decision.value, decision.value2, decision.limit_w, decision.decider)
        self._seen_reason = device.reason
        self._seen_decider = device.decider

    def _pass(self, now_s, alone, local):
        decide(
            self.decision, self._seats, alone, self._power_max, local, self._residue, now_s < self._power_return_s
        )

    def _trips(self, now_s):
        winner, seat = self.decision.winner, self.decision.by
        if winner is None:
            return False
        state, _ = standing(seat, winner, self.decision, self._device, self._override, self._power_max)
        if state != STATE_ABORTED:
            return False
        seat.ledger.trip(now_s, winner)
        return True

    def _keep(self, now_s, fresh):
        """Writes the ledgers that must be; False when a command had to be given back for want of flash."""
        tried = failed = False
        for seat in self._seats:
            ledger = seat.ledger
            if not ledger.dirty and not ledger.checkpoint_due(now_s):
                continue
            if ledger.dirty and not ledger.rows and not ledger.stored:
                ledger.dirty = False
                continue
            tried = True
            try:
                ledger.save(now_s, self.baseline.total_wh)
            except OSError as error:  # StoreError
                self._log.error("ledger.not_kept", len(ledger.rows), error.args[0] if error.args else 0)
                failed = True
        if not tried:
            return True
        self._retry_s = now_s + _RETRY_S if failed else NEVER
        if failed != self.store_fault:
            self.store_fault = failed
            self._say_fault(now_s)
        if not failed or fresh is None or fresh.phase == OVER or restrictive(fresh.kind, fresh.value):
            return True  # what makes a load use less is carried out without being kept
        if fresh.kind == KIND_UNLIMITED:
            return True
        for seat in self._seats:
            if fresh in seat.ledger.rows and seat.ledger.dirty:
                seat.statuses.send(self._later, fresh, STATE_REJECTED, REASON_STORE_FULL, now_s)
                seat.ledger.remove(now_s, fresh)
                return False
        return True

    def _report(self, now_s):
        self._responding = False
        self._later_s = NEVER
        for seat in self._seats:
            for entry in seat.ledger.rows:
                if entry.phase != OVER:
                    self._report_one(now_s, seat, entry)
        if self._responding:
            self._responses(now_s)

    def _report_one(self, now_s, seat, entry):
        state, reason = standing(seat, entry, self.decision, self._device, self._override, self._power_max)
        power_w = self._expected_w(entry)
        if not entry.told:
            entry.told = True
            entry.state = STATE_RECEIVED
            seat.statuses.send(self._later, entry, STATE_RECEIVED, entry.note, now_s, power_w)
        if state != entry.state or reason != entry.reason:
            if now_s - entry.minute_s >= 60:
                entry.minute_s = now_s
                entry.reports = 0
            entry.reports += 1
            if entry.reports > _REPORTS:
                self._later_s = min(self._later_s, entry.minute_s + 60)
                return
            for say in follows(entry.state, state) or (state,):
                seat.statuses.send(self._later, entry, say, reason, now_s, power_w)
            entry.state, entry.reason = state, reason
        if entry.phase == RUNNING and entry.response_s == ABSENT and not entry.held:
            self._responding = True

    def _responses(self, now_s):
        waiting = False
        for seat in self._seats:
            for entry in seat.ledger.rows:
                if entry.phase == RUNNING and entry.response_s == ABSENT and not entry.held:
                    if not seat.statuses.responded(now_s, entry, self._device.power_w):
                        waiting = True
        self._responding = waiting

    def _expected_w(self, entry):
        """Effective power: what the device says while it is in effect, what the command comes to before."""
        if entry.phase == RUNNING and not entry.held:
            return self._device.power_w
        if entry.kind == KIND_LIMIT:
            return min(entry.value, self._power_max)
        if entry.kind == KIND_LIMIT_PERCENT:
            return self._power_max * entry.value // 100
        if restrictive(entry.kind, entry.value):
            return self._standby
        return ABSENT

    def _plan_ahead(self, now_s):
        due = min(self._policy_s, self._retry_s, self._later_s)
        for seat in self._seats:
            if seat.ledger.due_s < due:
                due = seat.ledger.due_s
        if now_s < self._power_return_s:
            due = min(due, self._power_return_s)
        if self._device.hold_s > 0:
            due = min(due, now_s + self._device.hold_s)
        self.due_s = max(due, now_s + 1)
