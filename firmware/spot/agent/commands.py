"""The ledger of commands: identity, revision, time, revoke and survival of a reboot. It does not decide who wins."""

from spot.agent.admission import admit
from spot.agent.entry import OVER, RUNNING, SCHEDULED, Entry, restrictive, unpack
from spot.agent.times import NEVER, four
from spot.codes import (
    ABSENT,
    AFTER_RELEASE,
    KIND_OFF,
    KIND_REVOKE,
    KIND_SCHEDULE,
    KIND_SG_READY,
    KIND_SHUTDOWN,
    KIND_UNLIMITED,
    REASON_ENDED,
    REASON_LEDGER_FULL,
    REASON_NO_TIME,
    REASON_NONE,
    REASON_OUTRANKED,
    REASON_PROTECTION,
    REASON_RESTARTED,
    REASON_REVOKED,
    REASON_STALE_REVISION,
    REASON_TOO_LONG,
    REASON_WRONG_EPOCH,
    STATE_ABORTED,
    STATE_CANCELLED,
    STATE_COMPLETED,
    STATE_EXPIRED,
    STATE_REJECTED,
    STATE_SUPERSEDED,
)
from spot.port import const
from spot.wire import profile
from spot.wire.fields import (
    CMD_AFTER,
    CMD_DELAY,
    CMD_DURATION,
    CMD_EPOCH,
    CMD_ID,
    CMD_ISSUED,
    CMD_JITTER,
    CMD_KIND,
    CMD_OFFER,
    CMD_PRIORITY,
    CMD_REVISION,
    CMD_VALUE,
    CMD_VALUE2,
)

CAPACITY = const(16)  # live commands
ROWS = const(32)  # with those that are over and remembered until their end
CHECKPOINT_S = const(900)

_NAME = "ledger"
_FORMAT = const(2)
_LATE_S = const(60)  # our clock may be late by so much without being taken for wrong

# Events that end a command
EV_END = const(0x10)
EV_REVOKE = const(0x20)
EV_WITHDRAWN = const(0x30)  # an "unlimited" of its issuer
EV_REVISED = const(0x40)
EV_TRIP = const(0x50)
EV_MISSED = const(0x60)  # it ended while there was no time or no power
EV_EPOCH = const(0x70)  # its issuer has a new epoch: it lost its ledger and could not end this one

# phase | event: final state and reason
TABLE = {
    SCHEDULED | EV_END: STATE_EXPIRED << 8 | REASON_ENDED,
    SCHEDULED | EV_MISSED: STATE_EXPIRED << 8 | REASON_ENDED,
    SCHEDULED | EV_REVOKE: STATE_CANCELLED << 8 | REASON_REVOKED,
    SCHEDULED | EV_WITHDRAWN: STATE_SUPERSEDED << 8 | REASON_OUTRANKED,
    SCHEDULED | EV_REVISED: STATE_SUPERSEDED << 8 | REASON_NONE,
    RUNNING | EV_END: STATE_COMPLETED << 8 | REASON_NONE,
    RUNNING | EV_MISSED: STATE_COMPLETED << 8 | REASON_RESTARTED,
    RUNNING | EV_REVOKE: STATE_CANCELLED << 8 | REASON_REVOKED,
    RUNNING | EV_WITHDRAWN: STATE_SUPERSEDED << 8 | REASON_OUTRANKED,
    RUNNING | EV_REVISED: STATE_SUPERSEDED << 8 | REASON_NONE,
    SCHEDULED | EV_EPOCH: STATE_SUPERSEDED << 8 | REASON_WRONG_EPOCH,
    RUNNING | EV_EPOCH: STATE_SUPERSEDED << 8 | REASON_WRONG_EPOCH,
    RUNNING | EV_TRIP: STATE_ABORTED << 8 | REASON_PROTECTION,
}


def _key(entry, end):
    return four(entry.epoch) + four(entry.id) + bytes((entry.revision,)) + end


class Ledger:
    """All commands of one association that are known.

    final(statuses, entry, state, reason) is called for what is final: entry.phase is still what it was (a command that
    never ran has no energy to report). device and description: what may enter; plan: the Association; statuses: whom
    its issuer hears from.
    rows: Entry in order of arrival. due_s: when advance() is due. dirty: save() is due.
    """

    def __init__(self, eui64, store, log, plan, device, description, statuses, final):
        self._eui64 = eui64
        self._store = store
        self._log = log
        self._plan = plan
        self._max_block = description.get("max_block")
        self._device = device
        self._services = description["services"]
        self._statuses = statuses
        self._final = final
        self.rows = []
        self.due_s = NEVER
        self.dirty = False
        self.stored = False  # flash holds at least one row
        self._saved_s = 0
        self._digest = 0

    # --- flash ------------------------------------------------------------------------------------------------------

    def load(self, now_s):
        """Takes up what was live before a reboot: there is no time yet."""
        raw = self._store.get(self._plan.prefix + _NAME)
        if raw is None or len(raw) < 2 or raw[0] != _FORMAT:
            return
        at = 2
        try:
            for _ in range(raw[1]):
                entry, at = unpack(raw, at)
                self.rows.append(entry)
        except ValueError:
            self._log.error("ledger.damaged", raw[1], len(self.rows))
        for entry in self.rows:
            entry.start_s = entry.end_s = NEVER
            if entry.phase == RUNNING:
                entry.start_s = now_s - max(0, entry.duration - entry.remaining_s)
                entry.end_s = now_s + entry.remaining_s
                entry.note = REASON_RESTARTED
                entry.turn(now_s)
                entry.held = not restrictive(entry.kind_now, entry.value_now)
                if entry.held:
                    entry.note = REASON_NO_TIME
                entry.without0_wh = -entry.without_wh
        self.stored = bool(self.rows)
        self._changed(now_s)

    def save(self, now_s, without_total_wh):
        """One write of all rows. Raises StoreError; `dirty` then stays."""
        raw = bytearray((_FORMAT, len(self.rows)))
        for entry in self.rows:
            if entry.phase == RUNNING:
                if not entry.held:
                    entry.remaining_s = max(0, entry.end_s - now_s)
                entry.without_wh = without_total_wh - entry.without0_wh
            raw.extend(entry.pack())
        self._store.put(self._plan.prefix + _NAME, bytes(raw))
        self.dirty = False
        self.stored = bool(self.rows)
        self._saved_s = now_s
        self._plan_ahead(now_s)

    # --- messages ---------------------------------------------------------------------------------------------------

    def find(self, epoch, id):
        for entry in self.rows:
            if entry.id == id and entry.epoch == epoch:
                return entry
        return None

    def receive(self, now_s, utc, slots, schedule):
        """Takes a command: slots as wire decodes them, schedule the list of a schedule or None; utc is known.

        Returns (row, changed): the row that now stands for it, None when it was refused or had ended; changed False:
        nothing did, a repetition or a refusal.
        """
        entry = self.find(slots[CMD_EPOCH], slots[CMD_ID])
        revision = slots[CMD_REVISION]
        new = self._read(slots, schedule)
        if entry is not None and revision < entry.revision:
            if entry.phase == OVER and entry.state == STATE_CANCELLED and new.kind != KIND_REVOKE:
                return entry, False  # its revoke came before it
            self._refuse(new, REASON_STALE_REVISION)
            return None, False
        if entry is not None and revision == entry.revision and (
            new.kind != KIND_REVOKE or entry.kind == KIND_REVOKE or entry.phase == OVER
        ):
            return entry, False
        if new.kind == KIND_REVOKE:
            return self._revoke(now_s, utc, entry, new), True
        reason = admit(self._device, self._services, new, self._plan.priority_ceiling)
        if reason:
            self._refuse(new, reason)
            return None, False
        self._time(new)
        if 0 < new.issued - utc <= _LATE_S:
            utc = new.issued  # it cannot come before it was issued: our clock is late by that, and "now" is now
        if new.end_utc <= utc:
            if entry is not None:  # the old revision is displaced all the same, and stays as a tombstone
                self._over(entry, EV_REVISED)
                entry.revision = revision
                entry.state, entry.reason = STATE_EXPIRED, REASON_ENDED
                self._changed(now_s)
                self.advance(now_s, utc)
            self._tell(new, STATE_EXPIRED, REASON_ENDED)
            return None, entry is not None
        if not self._room(entry):
            self._refuse(new, REASON_LEDGER_FULL)
            return None, False
        if entry is not None:
            self._over(entry, EV_REVISED)
            new.previous = entry.previous
            new.until_utc = max(new.until_utc, entry.until_utc)
            self.rows[self.rows.index(entry)] = new
        else:
            self.rows.append(new)
        self._place(new, now_s, utc)
        if not self.advance(now_s, utc):
            self._withdraw()
            self._changed(now_s)
        return new, True

    def _room(self, entry):
        live = 0
        for row in self.rows:
            if row is not entry and row.phase != OVER:
                live += 1
        return live < CAPACITY and (entry is not None or len(self.rows) < ROWS)

    def _read(self, slots, schedule):
        new = Entry()
        new.epoch = slots[CMD_EPOCH]
        new.id = slots[CMD_ID]
        new.revision = slots[CMD_REVISION]
        new.priority = slots[CMD_PRIORITY]
        new.kind = slots[CMD_KIND]
        new.issued = slots[CMD_ISSUED]
        new.delay = slots[CMD_DELAY]
        new.duration = slots[CMD_DURATION]
        new.value = slots[CMD_VALUE]
        new.value2 = slots[CMD_VALUE2]
        new.after = AFTER_RELEASE if slots[CMD_AFTER] == ABSENT else slots[CMD_AFTER]
        new.jitter = slots[CMD_JITTER]
        new.offer = slots[CMD_OFFER]
        new.slots = schedule
        return new

    def _refuse(self, new, reason):
        self._tell(new, STATE_REJECTED, reason)

    def _tell(self, entry, state, reason):
        self._final(self._statuses, entry, state, reason)

    def _revoke(self, now_s, utc, entry, new):
        self._time(new)
        if entry is not None:
            entry.revision = new.revision
            if entry.phase != OVER:
                self._over(entry, EV_REVOKE)
            self._changed(now_s)
            return entry
        if new.end_utc <= utc:
            self._tell(new, STATE_EXPIRED, REASON_ENDED)
            return None
        if len(self.rows) >= ROWS:
            self._refuse(new, REASON_LEDGER_FULL)
            return None
        new.phase = OVER
        new.state, new.reason = STATE_CANCELLED, REASON_REVOKED
        new.told = True
        self.rows.append(new)
        self._place(new, now_s, utc)
        self._tell(new, STATE_CANCELLED, REASON_REVOKED)
        self._changed(now_s)
        return new

    # --- time -------------------------------------------------------------------------------------------------------

    def _time(self, new):
        """Effective start and end in UTC: clamped to the longest block, then spread."""
        duration = new.duration
        window = 0 if new.jitter == ABSENT else new.jitter
        hold = new.kind in (KIND_OFF, KIND_SHUTDOWN) or (new.kind == KIND_SG_READY and new.value == 1)
        if hold and self._max_block and duration > self._max_block:
            duration = self._max_block
            new.note = REASON_TOO_LONG
        end_window = window
        if new.jitter == ABSENT and restrictive(new.kind, new.value):
            end_window = self._plan.jitter  # a restore
        new.start_utc = self._start_of(new, duration)
        new.end_utc = new.nominal_start + duration
        if end_window and new.note != REASON_TOO_LONG:
            new.end_utc += profile.jitter(self._eui64, _key(new, b"e"), min(end_window, duration))
        new.until_utc = new.end_utc

    def _start_of(self, entry, duration):
        if entry.jitter == ABSENT or entry.jitter == 0:
            return entry.nominal_start
        return entry.nominal_start + profile.jitter(self._eui64, _key(entry, b"s"), min(entry.jitter, duration - 1))

    def _place(self, entry, now_s, utc):
        entry.start_s = now_s + entry.start_utc - utc  # may lie in the past: a schedule is counted from there
        entry.end_s = now_s + max(0, entry.end_utc - utc)
        entry.remaining_s = entry.end_s - max(entry.start_s, now_s)

    def clock_changed(self, now_s, utc, first):
        """UTC was set. `first`: for the first time since boot. What runs keeps its monotonic end."""
        changed = False
        for entry in self.rows:
            if entry.phase == SCHEDULED:
                self._place(entry, now_s, utc)
            elif entry.phase == OVER:
                entry.end_s = now_s + max(0, entry.until_utc - utc)
            elif first:
                changed = True
                left = entry.end_utc - utc
                most = entry.remaining_s if entry.held else entry.end_s - now_s
                if left <= 0:
                    self._over(entry, EV_MISSED)
                    continue
                entry.end_s = now_s + min(left, most)
                if entry.kind == KIND_SCHEDULE:
                    entry.start_s = now_s + self._start_of(entry, entry.duration) - utc
                    entry.turn(now_s)
                entry.turn_s = min(entry.turn_s, entry.end_s)
                if entry.held:
                    entry.held = False
                    entry.note = REASON_RESTARTED
        if changed:
            self._changed(now_s)
        self.advance(now_s, utc)

    def advance(self, now_s, utc):
        """Starts, turns and ends what is due; True when anything that matters for deciding changed."""
        changed = False
        for entry in self.rows:
            if entry.phase == SCHEDULED and now_s >= entry.start_s:
                if now_s >= entry.end_s:
                    self._over(entry, EV_END)
                else:
                    entry.phase = RUNNING
                    if utc != ABSENT and entry.start_utc < utc:
                        entry.start_utc = utc  # it came late: the effective start is now
                    entry.began_s = now_s
                    entry.turn(now_s)
                changed = True
            if entry.phase == RUNNING:
                if now_s >= entry.end_s:
                    self._over(entry, EV_END)
                    changed = True
                elif now_s >= entry.turn_s and entry.turn(now_s):
                    changed = True
        if changed:
            self._withdraw()
        for i in range(len(self.rows) - 1, -1, -1):
            entry = self.rows[i]
            if entry.phase == OVER:
                if utc == ABSENT:
                    entry.end_s = NEVER
                elif utc >= entry.until_utc + _LATE_S:  # a clock that is set back a little brings no late copy to life
                    del self.rows[i]  # not worth a write: it is past for every later boot as well
                else:
                    entry.end_s = now_s + entry.until_utc + _LATE_S - utc
        if changed:
            self._changed(now_s)
        else:
            self._plan_ahead(now_s)
        return changed

    def _withdraw(self):
        """An "unlimited" in effect withdraws the earlier issued limits that its start finds in effect."""
        for lifting in self.rows:
            if lifting.kind != KIND_UNLIMITED or lifting.phase != RUNNING:
                continue
            for entry in self.rows:
                if (
                    entry.is_limit and entry.phase != OVER and lifting.later_than(entry)
                    and entry.nominal_start <= lifting.nominal_start
                ):
                    self._over(entry, EV_WITHDRAWN)

    def trip(self, now_s, entry):
        """A protection ended it."""
        self._over(entry, EV_TRIP)
        self._changed(now_s)

    def clear(self, now_s):
        """Forgets everything: the device took its leave."""
        self.rows.clear()
        self._changed(now_s)

    def remove(self, now_s, entry):
        """Takes back an acceptance that could not be kept."""
        self.rows.remove(entry)
        self._changed(now_s)

    def _over(self, entry, event):
        row = TABLE.get(entry.phase | event)
        if row is None:
            return
        state, reason = row >> 8, row & 255
        self._tell(entry, state, reason)
        entry.phase = OVER
        entry.slots = None  # only its identity is remembered: 32 schedules would not fit into one value on flash
        entry.held = False
        entry.kind_now = ABSENT
        entry.state, entry.reason = state, reason

    # --- bookkeeping ------------------------------------------------------------------------------------------------

    def _changed(self, now_s):
        self.dirty = True
        self._digest = ABSENT
        self._plan_ahead(now_s)

    @property
    def digest(self):
        """Of the live ones, as heartbeats carry it; not worked out where a command waits for its relay."""
        if self._digest == ABSENT:
            pairs = []
            for entry in self.rows:
                if entry.phase != OVER and entry.epoch == self._plan.epoch:
                    pairs.append((entry.id, entry.revision))
            pairs.sort()
            self._digest = profile.digest(pairs)
        return self._digest

    def new_epoch(self, now_s):
        """The EMD has a new epoch: its earlier commands end, and nothing of it that comes late would be taken."""
        epoch = self._plan.epoch
        for i in range(len(self.rows) - 1, -1, -1):
            if self.rows[i].epoch != epoch:
                self._over(self.rows[i], EV_EPOCH)
                del self.rows[i]
        self._changed(now_s)

    @property
    def live(self):
        """Number of live commands."""
        n = 0
        for entry in self.rows:
            if entry.phase != OVER:
                n += 1
        return n

    def _plan_ahead(self, now_s):
        due = NEVER
        running = False
        for entry in self.rows:
            if entry.phase == RUNNING:
                running = running or entry.kind != KIND_UNLIMITED
                at = min(entry.turn_s, entry.end_s)
            elif entry.phase == SCHEDULED:
                at = entry.start_s
            else:
                at = entry.end_s
            if at < due:
                due = at
        if running and self._saved_s + CHECKPOINT_S < due:
            due = self._saved_s + CHECKPOINT_S
        self.due_s = due

    def checkpoint_due(self, now_s):
        if now_s - self._saved_s < CHECKPOINT_S:
            return False
        for entry in self.rows:
            if entry.phase == RUNNING and entry.kind != KIND_UNLIMITED:
                return True
        return False
