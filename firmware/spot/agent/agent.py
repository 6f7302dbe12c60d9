"""The agent, the device's half of hybrid control: takes messages, does what is due, joins the state machines."""

from array import array

from spot.agent import lease as modes
from spot.agent import registration as reg
from spot.agent.association import Association
from spot.agent.control import Control
from spot.agent.events import Events
from spot.agent.heartbeat import Heartbeat
from spot.agent.hello import Hello
from spot.agent.intervals import Intervals
from spot.agent.lease import Lease
from spot.agent.policy import Policy
from spot.agent.refusals import Refusals
from spot.agent.registration import Registration
from spot.agent.requests import Requests
from spot.agent.telemetry import Telemetry
from spot.agent.times import NEVER
from spot.codes import (
    ABSENT,
    ALARM_STORE_FAULT,
    CH_REGISTER,
    CH_TELEMETRY,
    CLOCK_EMD,
    CLOCK_HOLDOVER,
    KIND_SCHEDULE,
    REASON_MALFORMED,
    REASON_NO_TIME,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_OTHER_EMD,
    REASON_UNKNOWN_ID,
    REASON_UNSUPPORTED_VERSION,
    REASON_WRONG_EPOCH,
    T_ACK,
    T_ANSWER,
    T_COMMAND,
    T_CONFIGURE,
    T_FIRMWARE_OFFER,
    T_HEARTBEAT,
    T_PRICE,
    T_READ,
    T_REGISTERED,
    T_TIME,
    T_UPDATE,
)
from spot.port import const
from spot.wire import profile
from spot.wire.fields import (
    ACK_EPOCH,
    ACK_EVENTS_UPTO,
    ACK_INTERVALS_UPTO,
    ANS_ABOUT,
    ANS_REASON,
    CMD_COUNT,
    CMD_EPOCH,
    CMD_ID,
    CMD_KIND,
    HB_BEAT,
    HB_CLOCK,
    HB_COUNT,
    HB_DIGEST,
    HB_EPOCH,
    HB_MODE,
    HB_TIME,
    TIM_COUNT,
    TIM_NONCE,
    TIM_TIME,
)

_TX = const(600)  # octets: 96 intervals with quality and export
_ROUND_TRIP_S = const(10)  # an answer that took longer tells no time
_EARLY = const(8)  # commands that may wait for a time
_CONFIRM_S = const(3600)  # a clock that agrees is confirmed so often
_SUSPECT_S = const(60)  # between registrations because of an epoch that may be our EMD's new one
_CHECK_S = const(300)  # whether what was registered is still so
_MAX_SLEEP_S = const(3600)

# Fields of `registered`
_G_REASON = const(0)
_G_BOOT = const(1)
_G_EPOCH = const(2)
_G_TIME = const(3)
_G_NUMBER = const(4)
_G_EVENTS = const(19)
_G_INTERVALS = const(20)


class Agent:
    """One device's half.

    identity: eui64 (8 octets), boot, reset (RESET_…), profile, firmware, model; device: see docs/architecture.md;
    clock, store, log: spot.clock, spot.store, spot.log; out.send(channel, buf, n, guaranteed) -> bool, False: not
    accepted now; config: overrides of the plan's defaults by name (association._PLAN). Not reentrant: `out` must not
    call back.
    """

    def __init__(self, identity, device, clock, store, out, log, config):
        self.identity = identity
        self.device = device
        self.clock = clock
        self.log = log
        self._out = out
        self._tx = tx = bytearray(_TX)
        self._boot_key = _four(identity.boot)
        self.plan = plan = Association(store, config)
        self.hello = Hello(identity, device, clock, out, tx)
        description = self.hello.describe()
        self.events = Events(store, plan, clock, out, tx, log, self._flash_failed)
        self.intervals = Intervals(store, plan, clock, device, out, tx, log, self._flash_failed)
        self.telemetry = Telemetry(plan, clock, device, out, tx)
        self.policy = Policy(store, device, log, plan, description)
        self.lease = Lease(plan, self._failsafe_spread)
        self.registration = Registration(self._retry_spread)
        self.heartbeat = Heartbeat()
        self.control = Control(
            identity, device, clock, store, log, plan, self.lease, self.policy, description, self.events.post,
            self._say_fault,
        )
        self.refusals = Refusals(out, log, self.alarm)
        self.requests = Requests(device, clock, plan, self.control, self.policy, self.events)
        self.requests.set_time = self.set_time
        self._hb = array("i", [ABSENT] * HB_COUNT)
        self._in = array("i", [ABSENT] * CMD_COUNT)
        self._time = array("i", [ABSENT] * TIM_COUNT)
        self._up = False
        self._started = False
        self._confirmed_s = -NEVER
        self._asked_time_s = NEVER
        self._nonce = 0
        self._known = {}  # the description that the EMD has confirmed
        self._check_s = NEVER
        self._fault = False  # the streams cannot be written
        self._fault_said = False
        self._fault_pending = False
        self._leave_reason = REASON_NONE
        self._early = []  # commands that came before there was a time: what was queued while we were away
        self.ignored = 0  # messages of types that are not for a device
        self._due_s = 0
        self._handlers = {
            T_REGISTERED: self._registered,
            T_HEARTBEAT: self._heartbeat,
            T_COMMAND: self._command,
            T_ACK: self._ack,
            T_READ: self._read,
            T_CONFIGURE: self._configure,
            T_TIME: self._time_given,
            T_FIRMWARE_OFFER: self._firmware,
            T_PRICE: self._price,
            T_ANSWER: self._answered,
        }

    # --- spreading --------------------------------------------------------------------------------------------------

    def _failsafe_spread(self):
        if not self.plan.jitter or self.plan.epoch == ABSENT:
            return 0
        return profile.jitter(self.identity.eui64, _four(self.plan.epoch) + b"f", self.plan.jitter)

    def _retry_spread(self, window_s):
        if window_s <= 0:
            return 0
        key = self._boot_key + bytes((self.registration.tries & 255,)) + b"r"
        return profile.jitter(self.identity.eui64, key, window_s)

    # --- the link ---------------------------------------------------------------------------------------------------

    def link_up(self, now_s):
        """The link is up: says hello, and again everything that was not acknowledged. Changes no state of control."""
        self._start(now_s)
        self._up = True
        self.hello.link(now_s)
        self._do(now_s, self.registration.event(now_s, reg.EV_UP))
        if self.registration.joined:
            self._streams(now_s)
        self._due_s = now_s

    def link_down(self, now_s):
        """The link is gone."""
        self._up = False
        self._do(now_s, self.registration.event(now_s, reg.EV_DOWN))
        self.events.stream.link_down()
        self.intervals.stream.link_down()
        self._due_s = now_s

    def _streams(self, now_s):
        self.events.stream.link_up(now_s)
        self.intervals.stream.link_up(now_s)
        self.heartbeat.due_s = now_s
        self.telemetry.due_s = now_s
        self._check_s = now_s + _CHECK_S

    def leave(self, now_s, reason=REASON_NONE):
        """Takes leave of the EMD: unregisters, and forgets the association and its commands."""
        self._leave_reason = reason
        self._do(now_s, self.registration.event(now_s, reg.EV_LEAVE))
        if self._up:
            self.hello.link(now_s, True)
        self.plan.forget()
        self._keep_plan(now_s)
        self.control.clear(now_s)
        self.lease.event(now_s, modes.EV_EPOCH)
        self._due_s = now_s

    def _do(self, now_s, action):
        if action == reg.NOTHING or not self._up:
            return
        if action == reg.REGISTER:
            self.hello.register()
        elif action == reg.UPDATE:
            self.hello.update(self._known)
        else:
            self.hello.unregister(self._leave_reason)

    # --- events of the device ---------------------------------------------------------------------------------------

    def alarm(self, now_s, code, raised, value=ABSENT, limit=ABSENT):
        """The device raises or clears an alarm."""
        self.events.alarm(now_s, code, raised, value, limit)
        self._due_s = now_s

    def override(self, now_s, active):
        """The household overrides what was commanded, or takes that back."""
        self._start(now_s)
        self.control.override(now_s, active)
        self._due_s = now_s

    def _flash_failed(self, now_s):
        self._fault_pending = True

    # --- time -------------------------------------------------------------------------------------------------------

    def set_time(self, now_s, utc, quality):
        """Takes UTC; False when the clock refuses it. Everything that waits for a time of day is set anew."""
        self._start(now_s)
        before = self.clock.utc(now_s)
        if self.clock.set_utc(now_s, utc, quality) is False:
            return False
        self._confirmed_s = now_s
        if before == ABSENT or not -2 <= utc - before <= 2:
            self.control.time_set(now_s, before == ABSENT)
            self.intervals.time_set(now_s, before == ABSENT)
            while self._early:
                slots, schedule = self._early.pop(0)
                if slots[CMD_EPOCH] == self.plan.epoch:
                    self.control.command(now_s, slots, schedule)
        elif before != utc:
            self.intervals.time_set(now_s, False)
        self._due_s = now_s
        return True

    def _ask_time(self, now_s):
        if 0 <= now_s - self._asked_time_s < _ROUND_TRIP_S:
            return
        slots = self._time
        self._nonce = profile.jitter(self.identity.eui64, self._boot_key + _four(now_s) + b"t", 0x3FFFFFFD)
        slots[TIM_NONCE] = self._nonce
        slots[TIM_TIME] = ABSENT
        slots[TIM_TIME + 1] = ABSENT
        self._asked_time_s = now_s
        self._out.send(CH_REGISTER, self._tx, profile.encode_hot(T_TIME, slots, self._tx), False)

    def _trusted(self, now_s):
        """Our UTC, when it is good enough to judge another's; else ABSENT."""
        if self.clock.quality(now_s) < CLOCK_HOLDOVER:
            return ABSENT
        return self.clock.utc(now_s)

    # --- messages in ------------------------------------------------------------------------------------------------

    def receive(self, now_s, channel, buf, n):
        """Takes one message body: the first n octets of buf, valid during the call only."""
        self._start(now_s)
        head = profile.head(buf, n)
        if head < 0:
            self.refusals.refuse(now_s, 0, REASON_MALFORMED)
            self._due_s = now_s
            return
        if head >= 32:
            self.refusals.refuse(now_s, head, REASON_UNSUPPORTED_VERSION)
            self._due_s = now_s
            return
        handler = self._handlers.get(head)
        if handler is None:
            self.ignored += 1
            self.log.debug("message.ignored", head, channel)
            return
        try:
            handler(now_s, buf, n)
        except profile.ProfileError as error:
            self.refusals.refuse(now_s, head, error.reason, error.ref, error.position)
        self._due_s = now_s

    def _epoch_ok(self, now_s, head, epoch, ref=ABSENT):
        """True for the EMD we are associated with; any other is answered, and may be a new life of ours."""
        if epoch == self.plan.epoch:
            return True
        alive = self.plan.epoch != ABSENT and now_s - self.lease.fresh_s < self.plan.heartbeat_timeout
        other = alive and epoch < self.plan.epoch
        self.refusals.refuse(now_s, head, REASON_OTHER_EMD if other else REASON_WRONG_EPOCH, ref)
        if self.registration.joined and not other:
            # Our EMD in a new life would answer a registration; so often that another one's noise costs little.
            if now_s - self.registration.asked_s >= (_SUSPECT_S if alive else reg.FIRST_S):
                self._do(now_s, self.registration.event(now_s, reg.EV_LAPSED))
        return False

    def _registered(self, now_s, buf, n):
        values = profile.decode(T_REGISTERED, buf, n)
        if values[_G_BOOT] != self.identity.boot or self.registration.state == reg.LEFT:
            self.ignored += 1
            self.log.info("registered.other_boot", values[_G_BOOT], self.identity.boot)
            return
        plan = self.plan
        epoch = values[_G_EPOCH]
        if plan.epoch != ABSENT and epoch != plan.epoch and now_s - self.lease.fresh_s < plan.heartbeat_timeout:
            same = values[_G_NUMBER] is not None and values[_G_NUMBER] == plan.number and epoch > plan.epoch
            if self.lease.confirmed and not same:
                self.refusals.refuse(now_s, T_REGISTERED, REASON_OTHER_EMD)
                return
        if 0 <= now_s - self.registration.asked_s <= _ROUND_TRIP_S or self._trusted(now_s) == ABSENT:
            self.set_time(now_s, values[_G_TIME], CLOCK_EMD)
        if values[_G_REASON] != REASON_NONE:
            self.log.warn("registered.refused", values[_G_REASON], epoch)
            self._do(now_s, self.registration.event(now_s, reg.EV_REFUSED))
            if epoch == plan.epoch:
                plan.forget()
                self._keep_plan(now_s)
                self._new_epoch(now_s)
            return
        fresh = epoch != plan.epoch
        plan.take(values)
        self._known = self.hello.told
        was = self.registration.joined
        self._do(now_s, self.registration.event(now_s, reg.EV_ACCEPTED))
        self._acknowledge(now_s, _or_absent(values[_G_EVENTS]), _or_absent(values[_G_INTERVALS]), True)
        self._keep_plan(now_s)
        self.lease.alive(now_s)
        if fresh:
            self._new_epoch(now_s)
        else:
            self.control.settle(now_s)
        if not was or fresh:
            self._streams(now_s)

    def _new_epoch(self, now_s):
        self.lease.event(now_s, modes.EV_EPOCH)
        self.control.new_epoch(now_s)

    def _keep_plan(self, now_s):
        try:
            self.plan.keep()
        except OSError:  # StoreError
            self.log.error("association.not_kept")
            self._flash_failed(now_s)

    def _heartbeat(self, now_s, buf, n):
        slots = self._in
        profile.decode_hot(T_HEARTBEAT, buf, n, slots)
        if not self._epoch_ok(now_s, T_HEARTBEAT, slots[HB_EPOCH]):
            return
        time, beat, digest = slots[HB_TIME], slots[HB_BEAT], slots[HB_DIGEST]
        heartbeat = self.heartbeat
        utc = self._trusted(now_s)
        if not heartbeat.fresh(now_s, utc, time, beat, self.plan.heartbeat):
            self.log.info("heartbeat.stale", beat, heartbeat.beat)
            if time != ABSENT:
                self._ask_time(now_s)  # if it is our clock that is wrong
            return
        self.lease.heartbeat(now_s)
        if time != ABSENT:
            if utc == ABSENT or not -10 <= time - utc <= 10:
                self._ask_time(now_s)
            elif not -2 <= time - utc <= 2 or now_s - self._confirmed_s >= _CONFIRM_S:
                self.set_time(now_s, time, CLOCK_EMD)
        if heartbeat.mismatch(now_s, self.control.ledger.digest, digest):
            self.log.info("ledger.resynchronise", self.control.ledger.live)
            self.control.resynchronise(now_s)

    def _command(self, now_s, buf, n):
        slots = self._in
        profile.decode_hot(T_COMMAND, buf, n, slots)
        if not self._epoch_ok(now_s, T_COMMAND, slots[CMD_EPOCH], slots[CMD_ID]):
            return
        schedule = profile.command_slots(buf, n) if slots[CMD_KIND] == KIND_SCHEDULE else None
        if self.clock.utc(now_s) != ABSENT:
            self.control.command(now_s, slots, schedule)
        elif len(self._early) < _EARLY:
            self._early.append((array("i", slots), schedule))
            self._ask_time(now_s)
        else:
            self.refusals.refuse(now_s, T_COMMAND, REASON_NO_TIME, slots[CMD_ID])

    def _ack(self, now_s, buf, n):
        slots = self._in
        profile.decode_hot(T_ACK, buf, n, slots)
        if self._epoch_ok(now_s, T_ACK, slots[ACK_EPOCH]):
            events, intervals = slots[ACK_EVENTS_UPTO], slots[ACK_INTERVALS_UPTO]
            self._acknowledge(now_s, events, intervals, False)

    def _acknowledge(self, now_s, events_upto, intervals_upto, rebase):
        """Takes both cursors. In a registration one that is beyond our own numbers means that our journal was lost."""
        if events_upto != ABSENT and not self.events.stream.ack(now_s, events_upto):
            if rebase:
                self.events.stream.rebase(events_upto)
                self.plan.events_base = self.events.stream.base
            self.log.warn("events.ack_beyond", events_upto, self.events.next)
        if intervals_upto != ABSENT and not self.intervals.stream.ack(now_s, intervals_upto):
            if rebase:
                self.intervals.stream.rebase(intervals_upto)
                self.plan.intervals_base = self.intervals.stream.base
            self.log.warn("intervals.ack_beyond", intervals_upto, self.intervals.stream.end)

    def _read(self, now_s, buf, n):
        values = profile.decode(T_READ, buf, n)
        if self._epoch_ok(now_s, T_READ, values[0], values[1]):
            reason = self.requests.read(now_s, values)
            if reason:
                self.refusals.refuse(now_s, T_READ, reason, values[1])

    def _configure(self, now_s, buf, n):
        values = profile.decode(T_CONFIGURE, buf, n)
        if self._epoch_ok(now_s, T_CONFIGURE, values[0], values[1]):
            reason = self.requests.configure(now_s, values)
            if reason:
                self.refusals.refuse(now_s, T_CONFIGURE, reason, values[1])
            else:
                self.refusals.answer(now_s, T_CONFIGURE, REASON_NONE, values[1])
                self._check_s = now_s

    def _time_given(self, now_s, buf, n):
        slots = self._in
        profile.decode_hot(T_TIME, buf, n, slots)
        prompt = 0 <= now_s - self._asked_time_s <= _ROUND_TRIP_S
        if prompt and slots[TIM_NONCE] == self._nonce and slots[TIM_TIME] != ABSENT:
            self._asked_time_s = NEVER
            self.set_time(now_s, slots[TIM_TIME], CLOCK_EMD)
        else:
            self.ignored += 1
            self.log.info("time.unasked", slots[TIM_NONCE])

    def _firmware(self, now_s, buf, n):
        values = profile.decode(T_FIRMWARE_OFFER, buf, n)
        if self._epoch_ok(now_s, T_FIRMWARE_OFFER, values[0], values[1]):
            self.refusals.answer(now_s, T_FIRMWARE_OFFER, REASON_NOT_SUPPORTED, values[1])

    def _price(self, now_s, buf, n):
        try:
            if self.policy.receive(buf, n):
                self.log.info("price.taken", self.policy.revision)
        except OSError:  # StoreError: it is known, but not after a reboot
            self.log.error("price.not_kept", self.policy.revision)
            self._flash_failed(now_s)
        self.control.settle(now_s)

    def _answered(self, now_s, buf, n):
        slots = self._in
        profile.decode_hot(T_ANSWER, buf, n, slots)
        about, reason = slots[ANS_ABOUT], slots[ANS_REASON]
        if reason == REASON_NONE and about == T_UPDATE:
            self._known = self.hello.told
            self._do(now_s, self.registration.event(now_s, reg.EV_ACCEPTED))
        elif reason in (REASON_WRONG_EPOCH, REASON_UNKNOWN_ID) and now_s - self.registration.asked_s >= reg.FIRST_S:
            self._do(now_s, self.registration.event(now_s, reg.EV_LAPSED))  # it does not know us
        else:
            self.log.info("answered", about, reason)

    # --- step -------------------------------------------------------------------------------------------------------

    def _start(self, now_s):
        """Once, before anything else: takes up what was before the reboot."""
        if self._started:
            return
        self._started = True
        self.lease.since_s = self.lease.fresh_s = now_s
        self.lease.plan_ahead()
        self.intervals.begin(now_s)
        self.control.start(now_s)
        utc = self.clock.utc(now_s)
        if utc != ABSENT:
            self.control.time_set(now_s, True)
            self.intervals.time_set(now_s, True)

    def step(self, now_s):
        """Does what is due. Returns the seconds until it wants to be called again, at least 1."""
        if not self._started:
            self._start(now_s)
        control = self.control
        control.step(now_s)
        if self._up and self.registration.joined and self.telemetry.moved(now_s):
            self.telemetry.send(now_s)
        if self._fault_pending:
            self._tell_fault(now_s)
        if now_s >= self._due_s or now_s >= self.events.stream.due_s:
            self._step_due(now_s)
        wait = min(self._due_s, control.due_s) - now_s
        return 1 if wait < 1 else wait if wait < _MAX_SLEEP_S else _MAX_SLEEP_S

    def _step_due(self, now_s):
        lease, registration = self.lease, self.registration
        if now_s >= lease.due_s and lease.step(now_s):
            self.log.info("mode", lease.mode)
            self.control.settle(now_s)
        if now_s >= registration.due_s:
            self._do(now_s, registration.event(now_s, reg.EV_TIMER))
        joined = registration.joined
        if joined and now_s - lease.fresh_s >= self.plan.lease:
            self._lapse(now_s)
        if self._up and joined:
            if now_s >= self.heartbeat.due_s:
                self._beat(now_s)
            if now_s >= self.telemetry.due_s:
                self.telemetry.send(now_s)
            if now_s >= self._check_s:
                self._check_s = now_s + _CHECK_S
                if self.hello.changed():
                    self._do(now_s, registration.event(now_s, reg.EV_CHANGED))
        if now_s >= self.intervals.due_s:
            self.intervals.step(now_s)
        events, intervals = self.events.stream, self.intervals.stream
        if now_s >= events.due_s:
            events.pump(now_s)
        if now_s >= intervals.due_s:
            intervals.pump(now_s)
        if now_s >= self.refusals.due_s:
            self.refusals.step(now_s)
        due = lease.due_s
        if registration.due_s < due:
            due = registration.due_s
        if joined:
            at = lease.fresh_s + self.plan.lease
            if at < due:
                due = at
            if self._up:
                due = min(due, self.heartbeat.due_s, self.telemetry.due_s, self._check_s)
        self._due_s = min(due, self.intervals.due_s, events.due_s, intervals.due_s, self.refusals.due_s)

    def _beat(self, now_s):
        slots = self._hb
        slots[HB_EPOCH] = self.plan.epoch
        slots[HB_TIME] = self.clock.utc(now_s)
        slots[HB_DIGEST] = self.control.ledger.digest
        slots[HB_CLOCK] = self.clock.quality(now_s)
        slots[HB_MODE] = self.lease.mode
        slots[HB_BEAT] = self.heartbeat.sent(now_s, self.plan.heartbeat)
        self._out.send(CH_TELEMETRY, self._tx, profile.encode_hot(T_HEARTBEAT, slots, self._tx), False)

    def _lapse(self, now_s):
        """No sign of the EMD for the lease: the association lapses."""
        self.log.warn("lease.lapsed", self.plan.lease)
        self.lease.event(now_s, modes.EV_LAPSED)
        self.lease.alive(now_s)
        self._do(now_s, self.registration.event(now_s, reg.EV_LAPSED))
        self.control.settle(now_s)

    def _tell_fault(self, now_s):
        """Flash refuses what must be kept: said once, until it takes things again."""
        self._fault_pending = False
        kept = self.events.stream.flush() and self.intervals.stream.flush()
        self._fault = not kept
        self._say_fault(now_s)
        if not kept:
            self._fault_pending = True
            return
        plan = self.plan
        plan.events_base, plan.intervals_base = self.events.stream.base, self.intervals.stream.base
        self._keep_plan(now_s)

    def _say_fault(self, now_s):
        """One alarm for streams and ledger: raised with the first that flash refuses, cleared when it takes both."""
        fault = self._fault or self.control.store_fault
        if fault != self._fault_said:
            self._fault_said = fault
            lost = self.events.stream.lost + self.intervals.stream.lost
            self.alarm(now_s, ALARM_STORE_FAULT, fault, lost or ABSENT, ABSENT)


def _or_absent(value):
    return ABSENT if value is None else value


def _four(number):
    return bytes((number >> 24 & 0xFF, number >> 16 & 0xFF, number >> 8 & 0xFF, number & 0xFF))
