"""What is true of one device, seen from outside its firmware, and the invariants that are held against it.

An Eye hears of every movement of coil, contacts and compressor, of every sample of the meter, of every body that
reaches the device and every command that leaves for it, and of what the agent applies to the device. It looks after
every step.
"""

from spot.agent.times import NEVER
from spot.codes import (
    ABSENT,
    AFTER_PREVIOUS,
    DECIDER_AUTONOMOUS,
    DECIDER_FAILSAFE,
    DECIDER_LIMIT,
    DECIDER_SET_POINT,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_REVOKE,
    KIND_SCHEDULE,
    KIND_UNLIMITED,
    MODE_AUTONOMOUS,
    MODE_CONTROLLED,
    MODE_FAILSAFE,
    MODE_INIT,
    OBJ_AUTO_OFF,
    OBJ_COMFORT_HIGH,
    OBJ_COMFORT_LOW,
    QUALITY_CLOCK,
    QUALITY_GAP,
    QUALITY_POWER_CUT,
    R_ENERGY_IMPORT,
    T_HEARTBEAT,
    T_REGISTERED,
)
from spot_host.emd.ledger import FINAL, STATE, STATE_NAMES
from spot_sim.adversary.invariants import Violation

_SLACK_S = 12  # two synchronised clocks may differ by ten
_INIT_S = 120
_CHECKPOINT_S = 900
_HELD = 15  # a quarter of an hour of the shortest intervals
_OF_COMMANDS = frozenset((DECIDER_SET_POINT, DECIDER_LIMIT, DECIDER_FAILSAFE, DECIDER_AUTONOMOUS))
_MODES = {MODE_INIT: "init", MODE_CONTROLLED: "controlled", MODE_FAILSAFE: "failsafe", MODE_AUTONOMOUS: "autonomous"}
_RUNS = frozenset((STATE["started"], STATE["partly"]))
_REJECTED, _CANCELLED = STATE["rejected"], STATE["cancelled"]
_KEPT = frozenset((OBJ_AUTO_OFF, OBJ_COMFORT_LOW, OBJ_COMFORT_HIGH))  # the EMD's plan overwrites the others
_SEAMS = QUALITY_GAP | QUALITY_CLOCK | QUALITY_POWER_CUT


class Sent:
    """A command as it left the EMD for the first time."""

    __slots__ = ("key", "pairs", "begin_s", "end_s", "duration_s", "after", "slack_s", "sent_s")

    def __init__(self, now_s, utc, values):
        self.key = values["epoch"], values["id"], values["revision"]
        kind = values["kind"]
        if kind == KIND_SCHEDULE:
            slots = values.get("slots") or ()
            self.pairs = {(slots[i + 1], slots[i + 2]) for i in range(0, len(slots), 3)}
        else:
            self.pairs = {(kind, values.get("value"))}
        self.begin_s = now_s + values["issued"] + values["delay"] - utc
        self.end_s = self.begin_s + values["duration"]
        self.sent_s = now_s
        self.duration_s = values["duration"]
        self.after = values.get("after")
        self.slack_s = (values.get("jitter") or 0) + _SLACK_S


class Eye:
    """One device's judge. arena: clock, coverage, plan (the EMD's association settings); victim: the device."""

    def __init__(self, arena, victim):
        self.arena, self.victim = arena, victim
        self.body = body = victim.body
        self.is_plug = body.house is None
        settings = arena.device_config(body.eui)
        self.min_on_s, self.min_off_s = settings.get("min_on_s", 0), settings.get("min_off_s", 0)
        self.grace_s = settings.get("limit_grace_s", 30)
        self.min_run_s = settings.get("min_run_s", 600)
        self.max_block_s = settings.get("max_block_s", 7200)
        self.limits = (settings.get("over_current_ma", 16000), settings.get("over_power_w", 3680))
        self.over_10mv = settings.get("over_voltage_10mv", 26500)
        self.under_10mv = settings.get("under_voltage_10mv", 18000)
        self.period_s = arena.period_s(victim)
        self.power_max = 0
        self.app = None
        # relay
        self.closed_s = self.opened_s = -NEVER
        self.tripped_s = None  # a sample above the current's limit, until the button
        self.trip_sample_s = -NEVER  # the latest sample above any limit
        self.pressed_s = -NEVER
        self.last_pressed_s = -NEVER
        self.over_s = None
        # heat pump
        self.locked_s = None
        self.compressor = False
        self.started_s = -NEVER
        # agent
        self.kind = self.value = self.limit_w = ABSENT
        self.decider = 0
        self.sent = {}
        self.finals, self.cancelled = {}, {}
        self.back_s = -NEVER  # when the EMD's clock was last set back
        self.latest = {}  # the highest revision that was sent
        self.held, self.freed_s = {}, -NEVER  # limits in effect by report; when an "unlimited" was last sent
        self.may_resume = False  # a command that leaves behind what stood before it
        # the EMD as it could be heard
        self.fresh_s = -NEVER
        self.planned = False  # the EMD's plan has arrived
        self.silent_mode = None
        self.was_controlled_s = -NEVER
        self.epoch, self.epoch_seq = ABSENT, 0  # the device's EMD, and the first event of that association
        # store
        self.stored = {}  # wire number of an interval: (start, minutes, Wh, quality)
        self.era_intervals, self.era_events = set(), {}
        self.gaps = {"events_lost": set(), "intervals_lost": set()}  # of this era
        self.named = set()  # intervals that are lost by a gap record, in any era
        # flash
        self.configured = {}
        self.energy_wh = None
        self.thin, self.allowed_wh = 1, 0

    def fail(self, name, text):
        raise Violation(name, self.arena.clock.now_ms, self.body.name, text)

    # --- life -------------------------------------------------------------------------------------------------------

    def booted(self, now_s, app, reset):
        self.app = app
        device = app.device
        through = device.apply
        self.kind = self.value = self.limit_w = ABSENT
        self.over_s = None
        self.power_max = device.description().get("power_max", 0)

        def apply(at_s, kind, value, value2, limit_w, decider):
            self.kind, self.value, self.limit_w, self.decider = kind, value, limit_w, decider
            through(at_s, kind, value, value2, limit_w, decider)

        device.apply = apply
        for object_id, value in self.configured.items():
            found = app.agent.seats[0].requests.value(0, object_id)
            if found != value:
                self.fail("configuration", f"object {object_id} is {found} after a restart, {value} was acknowledged")
        wh = device.readings[R_ENERGY_IMPORT]
        if self.energy_wh is not None:
            # since the latest checkpoint, one interval ago at most, but for samples that come late
            most = self.power_max * (_CHECKPOINT_S * self.thin + 2 * self.period_s + self.arena.lies_s) // 3600 + 2
            self.allowed_wh += most
            if self.energy_wh - wh > most:
                self.fail("energy_back", f"{wh} Wh after a restart, {self.energy_wh} Wh before it")
            if wh > self.energy_wh + most:  # a cut in the middle of a step leaves what nobody had looked at
                self.fail("energy_back", f"{wh} Wh after a restart are more than the {self.energy_wh} Wh before it")
        self.energy_wh = wh

    def went_down(self, now_s, power):
        if self.app is not None:
            self.thin = self.app.store.thin  # a store over its budget of writes keeps checkpoints less often
        self.app = None
        self.over_s = None
        if power and self.tripped_s == now_s:
            self.tripped_s = None  # the latch may not have reached the flash
        if self.trip_sample_s == now_s:
            self.trip_sample_s = now_s

    # --- contacts ---------------------------------------------------------------------------------------------------

    def coil(self, now_s, level, falling):
        cover = self.arena.cover
        if level:
            cover["edge", "close"] += 1
            if self.tripped_s is not None:
                self.fail("tripped", f"the relay closes, tripped since {self.tripped_s} s")
            if now_s - self.opened_s < self.min_off_s:
                self.fail("min_off", f"closed {now_s - self.opened_s} s after it opened, of {self.min_off_s} s")
            self.closed_s = now_s
            return
        cover["edge", "open"] += 1
        if not falling and now_s != self.trip_sample_s and now_s - self.closed_s < self.min_on_s:
            self.fail("min_on", f"opened {now_s - self.closed_s} s after it closed, of {self.min_on_s} s")
        self.opened_s = now_s

    def sg(self, now_s, state, falling):
        self.arena.cover["sg", state] += 1
        if state != 1:
            self.locked_s = None
            return
        self.measure(now_s)
        if self.locked_s is None:
            self.locked_s = now_s
        ran_s = now_s - self.started_s
        if self.compressor and ran_s < self.min_run_s - 2 and not self.victim.meter.lies and not falling:
            self.fail("min_run", f"locked {ran_s} s after the compressor's start, of {self.min_run_s} s")

    def measure(self, now_s):
        """The compressor itself."""
        on = self.body.house.compressor
        if on != self.compressor:
            self.compressor = on
            if on:
                self.started_s = now_s
                self.arena.cover["compressor", "start"] += 1

    def sample(self, now_s, meter):
        """What the meter has just told the firmware, its comparator not yet asked."""
        if not self.is_plug:
            return
        current_ma, power_w = self.limits
        over_current = current_ma < meter.current_ma <= 100_000
        voltage = meter.voltage_10mv
        if over_current or meter.power_w > power_w or not self.under_10mv <= voltage <= self.over_10mv:
            self.trip_sample_s = now_s
            self.arena.cover["sample", "beyond a limit"] += 1
        if over_current and meter.power_w >= 0 and not meter.lies and self.tripped_s is None:
            self.tripped_s = now_s
            self.arena.cover["trip", "over-current"] += 1

    def pressed(self, now_s):
        """The button was let go."""
        self.last_pressed_s = now_s
        self.tripped_s = None
        self.over_s = None

    # --- messages ---------------------------------------------------------------------------------------------------

    def command(self, values):
        """A command leaves the EMD."""
        arena = self.arena
        name = values["epoch"], values["id"]
        self.held.pop(name, None)
        self.latest[name] = max(values["revision"], self.latest.get(name, 0))
        if values["kind"] == KIND_REVOKE:
            return
        if values["kind"] == KIND_UNLIMITED:
            self.held.clear()
            self.freed_s = arena.now_s
        sent = Sent(arena.clock.now_ms // 1000, arena.utc, values)
        if sent.key not in self.sent:
            self.sent[sent.key] = sent
            if sent.after == AFTER_PREVIOUS:
                self.may_resume = True

    def jumped(self, by_s):
        """The EMD's clock moved: what runs may end so much later, what waits begin so much earlier."""
        if by_s < 0:
            self.back_s = self.arena.now_s + self.arena.plan.heartbeat_timeout_s
        for sent in self.sent.values():
            sent.slack_s += abs(by_s)

    def delivered(self, now_s, channel, body):
        """A body reaches the device."""
        kind = body[1] if len(body) > 1 else 0
        if kind == T_HEARTBEAT:
            age_s = now_s - self.arena.beats.get(body, -NEVER)
            if age_s <= self.arena.plan.heartbeat_s + 20 or self.arena.jumpy(now_s):
                self.fresh_s = now_s
        elif kind == T_REGISTERED:
            self.fresh_s = now_s
            self.planned = True

    # --- the EMD's store --------------------------------------------------------------------------------------------

    def interval(self, generation, seq, start, minutes, import_wh, export_wh, quality):
        key = generation, seq
        self.era_intervals.add(key)
        row = (start, minutes, import_wh, quality)
        before = self.stored.get(key)
        if before is not None and before != row:
            self.fail("interval_once", f"number {seq} was {before} and is {row}")
        self.stored[key] = row
        for bit, name in ((1, "estimated"), (2, "gap"), (4, "clock"), (8, "power cut")):
            if quality & bit:
                self.arena.cover["interval", name] += 1

    def event(self, generation, seq, what, fields):
        key = generation, seq
        # which epoch a status is of is said to an EMD of another one alone: a repetition may have it and the first not
        said = what, tuple(sorted((name, str(value)) for name, value in fields.items() if name != "epoch"))
        before = self.era_events.get(key)
        if before is not None:
            if before != said:
                self.fail("event_once", f"number {seq} was {before} and is {said}")
            return
        self.era_events[key] = said
        if what == "status":
            self.status(seq, fields)
        elif what == "alarm":
            self.arena.cover["alarm", fields["code"]] += fields["raised"]

    def status(self, seq, fields):
        state = fields["state"]
        self.arena.cover["state", STATE_NAMES[state]] += 1
        self.arena.cover["reason", fields["reason"]] += 1
        epoch = fields["epoch"] if fields.get("epoch") is not None else self.arena.epoch
        key = epoch, fields["id"], fields["revision"]
        if seq < self.epoch_seq and fields.get("epoch") is None:
            self.arena.cover["status", "of an earlier epoch"] += 1
            return  # it was said to an EMD that is no more
        before = self.finals.get(key)
        again = before is not None and seq > before[0] and state in _RUNS
        if again and before[1] != _REJECTED and before[2] > self.back_s:  # no clock was set back in between
            self.fail("command_once", f"command {key} is {STATE_NAMES[state]} after it was {STATE_NAMES[before[1]]}")
        if state == _CANCELLED:
            self.cancelled[key[:2]] = fields["revision"], seq, self.arena.now_s
        elif state in _RUNS:
            revision, at, when_s = self.cancelled.get(key[:2], (-1, seq, 0))
            if fields["revision"] <= revision and seq > at and when_s > self.back_s:
                self.fail("command_once", f"command {key} is {STATE_NAMES[state]} after it was revoked")
        sent = self.sent.get(key)
        if state in FINAL:
            self.held.pop(key[:2], None)
        elif state in _RUNS and sent is not None and sent.sent_s > self.freed_s and epoch == self.arena.epoch:
            (kind, value), *more = sent.pairs
            if not more and kind in (KIND_LIMIT, KIND_LIMIT_PERCENT) and self.latest[key[:2]] == key[2]:
                value = value if kind == KIND_LIMIT else self.power_max * value // 100
                self.held[key[:2]] = sent, value
        if state in FINAL:
            if before is None or seq > before[0]:
                self.finals[key] = seq, state, self.arena.now_s

    def lost(self, event, first, count):
        """The device has said that it had no more room for these numbers."""
        self.gaps[event].update(range(first, first + count))
        if event == "intervals_lost":
            self.named.update(range(first, first + count))
        self.arena.cover["gap record", event] += 1

    def new_era(self):
        """An EMD that knows nothing."""
        self.held.clear()
        self.gaps = {"events_lost": set(), "intervals_lost": set()}
        self.era_intervals, self.era_events = set(), {}

    # --- every step -------------------------------------------------------------------------------------------------

    def look(self, now_s):
        app = self.app
        arena = self.arena
        agent = app.agent
        seat = agent.seats[0]
        mode = seat.lease.mode
        if seat.plan.epoch != self.epoch:
            self.epoch, self.epoch_seq = seat.plan.epoch, seat.stream.end + seat.stream.base
        arena.cover["mode", _MODES[mode]] += 1
        if self.decider != DECIDER_SET_POINT or self.kind != ABSENT:
            arena.cover["decider", app.device.decider] += 1
        if self.is_plug:
            if self.tripped_s is not None and self.victim.coil.level:
                self.fail("tripped", f"the relay is closed, tripped since {self.tripped_s} s")
        else:
            self.measure(now_s)
            if self.locked_s is not None and now_s - self.locked_s > self.max_block_s + self.period_s + 5:
                self.fail("max_lock", f"locked for {now_s - self.locked_s} s")
        if self.kind != ABSENT or self.limit_w != ABSENT:
            self.asked(now_s, app, seat, mode)
        self.failsafe(now_s, seat, mode)
        if self.held and not arena.jumps:
            self.limited(now_s)
        wh = app.device.readings[R_ENERGY_IMPORT]
        if self.energy_wh is not None and wh < self.energy_wh:
            self.fail("energy_back", f"{self.energy_wh} Wh, then {wh} Wh")
        self.energy_wh = wh

    def asked(self, now_s, app, seat, mode):
        """Whether what the agent asks of the device is some command's, in its time."""
        known = app.clock.utc(now_s - self.victim.boot_s) != ABSENT
        if self.kind != ABSENT and self.decider in _OF_COMMANDS and not self.may_resume and not (
            self.arena.plan.policy not in (None, "none") and mode == MODE_AUTONOMOUS
        ):
            if not self.justified(now_s, known, self.kind, self.value):
                self.fail("command_window", f"kind {self.kind} with value {self.value}, and no such command is live")
        limit_w = self.limit_w
        if limit_w != ABSENT and limit_w not in (seat.plan.failsafe_limit, seat.plan.autonomous_cap):
            if not self.justified(now_s, known, KIND_LIMIT, limit_w):
                self.fail("command_window", f"a limit of {limit_w} W, and no such command is live")

    def justified(self, now_s, known, kind, value):
        if value == ABSENT:
            value = None
        arena = self.arena
        for sent in self.sent.values():
            late_s = arena.plan_jitter_s + arena.clock_error_s(sent.sent_s)
            if now_s < sent.begin_s - sent.slack_s - late_s:
                continue
            if known:
                if now_s > sent.end_s + sent.slack_s + late_s:
                    continue
            elif now_s > self.victim.boot_s + sent.duration_s + sent.slack_s + late_s:
                continue
            if (kind, value) in sent.pairs or kind == KIND_LIMIT and any(
                k == KIND_LIMIT_PERCENT and self.power_max * percent // 100 == value for k, percent in sent.pairs
            ):
                return True
        return False

    def limited(self, now_s):
        """Whether the limits in effect are."""
        for key, (sent, value) in list(self.held.items()):
            late_s = sent.slack_s + self.arena.plan_jitter_s + self.arena.clock_error_s(sent.sent_s)
            if now_s > sent.end_s - late_s:
                del self.held[key]
            elif self.limit_w == ABSENT or self.limit_w > value:
                self.fail("limit_holds", f"limit {self.limit_w} W, command {sent.key} says {value} W")

    def forget(self, now_s):
        """Commands that can justify nothing any more."""
        for key in [k for k, s in self.sent.items() if s.end_s + s.slack_s + 4 * 86400 < now_s]:
            del self.sent[key]

    def failsafe(self, now_s, seat, mode):
        plan = self.arena.plan
        if mode == MODE_CONTROLLED:
            self.was_controlled_s = now_s
        if not self.planned:
            return
        silent_s = now_s - max(self.fresh_s, self.victim.boot_s)
        lost_s = plan.heartbeat_timeout_s + self.arena.plan_jitter_s + 5
        limit_w = self.limit_w
        must_w = None
        if silent_s > max(lost_s, _INIT_S + 10):
            must_w = plan.autonomous_cap_w
            if self.fresh_s >= self.victim.boot_s and self.silent_mode == MODE_CONTROLLED:
                if silent_s < plan.heartbeat_timeout_s + plan.failsafe_min_s - 10:
                    must_w = plan.failsafe_limit_w
            self.arena.cover["silence", "failsafe" if must_w == plan.failsafe_limit_w else "autonomous"] += 1
            lapsed = mode == MODE_INIT and now_s - self.victim.boot_s - seat.lease.since_s <= _INIT_S + 5
            if (limit_w == ABSENT or limit_w > must_w) and not lapsed:  # a lapsed lease begins anew
                self.fail(
                    "failsafe", f"limit {limit_w} W, {must_w} W must hold: no fresh heartbeat for {silent_s} s, "
                    f"in {_MODES[mode]}",
                )
        elif silent_s < plan.heartbeat_timeout_s - 5:
            self.silent_mode = mode  # how it was found by the silence
        if not self.is_plug or must_w is None:
            self.over_s = None
            return
        victim = self.victim
        load = self.body.load
        power_w = load.power_w(now_s)
        if power_w <= must_w or not victim.coil.level or victim.meter.lies or victim.stuck is not None:
            self.over_s = None
            return
        if self.over_s is None:
            self.over_s = now_s
        most_s = self.grace_s + 3 * self.period_s + self.min_on_s + 20
        if now_s - max(self.over_s, self.last_pressed_s) > most_s:
            self.fail("power_limit", f"{power_w:.0f} W for {now_s - self.over_s} s, {must_w} W must hold")

    # --- configuration ----------------------------------------------------------------------------------------------

    def answered(self, values):
        """The device has acknowledged a configuration: object, value, object, value …"""
        for object_id, value in zip(values[::2], values[1::2], strict=True):
            if object_id in _KEPT:
                self.configured[object_id] = value
        self.arena.cover["configure", "acknowledged"] += 1

    # --- the end ----------------------------------------------------------------------------------------------------

    def end(self, now_s, row):
        """It has been calm for long enough."""
        agent = self.app and self.app.agent
        if agent is None:
            self.fail("calm", "it is off")
        seat = agent.seats[0]
        if not row.registered or seat.lease.mode != MODE_CONTROLLED:
            self.fail("calm", f"registered {row.registered}, {_MODES[seat.lease.mode]}")
        from spot.wire.profile import digest

        if seat.ledger.digest != row.ledger.digest(digest):
            self.fail("calm", "device and EMD hold different commands live")
        for name, stream, numbers, gaps in (
            ("event_once", seat.stream, self.era_events, self.gaps["events_lost"]),
            ("interval_once", seat.intervals.stream, self.era_intervals, self.gaps["intervals_lost"]),
        ):
            held = min(len(stream._ram), _HELD)  # short intervals are gathered, to be written together
            if len(stream) > held:
                self.fail("calm", f"{len(stream) - held} of stream {name} are not acknowledged")
            seqs = sorted({seq for generation, seq in numbers if generation == row.generation} | gaps)
            holes = [a for a, b in zip(seqs, seqs[1:], strict=False) if b != a + 1]
            if holes:
                self.fail(name, f"numbers after {holes[:3]} never arrived")
            if not self.arena.eras and seqs and seqs[0] != 0:
                self.fail(name, f"the first number is {seqs[0]}")
            last = stream.end - held + stream.base - 1
            if seqs and seqs[-1] != last:
                self.fail(name, f"the last number is {seqs[-1]}, the device has made {last}")
        self.sums(now_s)

    def sums(self, now_s):
        """The readings, in the order of their numbers: no time twice, and the energy of the load."""
        rows = [self.stored[key] for key in sorted(self.stored)]
        until = length = None
        lost = {seq + 1 for seq in self.named}
        for seq, (start, minutes, _wh, quality) in zip(sorted(self.stored), rows, strict=True):
            if seq[1] in lost:
                until = None  # the gap record has said so
            if minutes != length:  # another length: aligned anew
                until, length = None, minutes
            if until is not None and start != until and not quality & _SEAMS:
                self.fail("interval_once", f"an interval begins at {start}, the one before it ends at {until}")
            if until is not None and start < until and not quality & QUALITY_CLOCK:
                self.fail("interval_once", f"an interval begins at {start} in the one before it, until {until}")
            until = start + minutes * 60
        used_wh = self.body.energy_mj(now_s) / 3_600_000
        stored_wh = sum(row[2] for row in rows)
        most_w = max(self.power_max, self.arena.most_w(self.body))
        missing_wh = used_wh - stored_wh
        most = self.allowed_wh + self.victim.boots + most_w * 1.5 + self.arena.lies_s * most_w / 3600
        if not -2 - self.victim.boots <= missing_wh <= most:
            self.fail("energy_sum", f"{used_wh:.0f} Wh used, {stored_wh} Wh stored, {self.victim.boots} boots")
