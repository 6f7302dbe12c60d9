"""The agent, the device's half of hybrid control: takes messages, does what is due, joins the state machines."""

from array import array

from spot.agent import lease as modes
from spot.agent import registration as reg
from spot.agent.association import Association
from spot.agent.control import Control
from spot.agent.events import Events
from spot.agent.heartbeat import Heartbeat
from spot.agent.hello import Hello
from spot.agent.inbox import Inbox
from spot.agent.intervals import Intervals
from spot.agent.lease import Lease
from spot.agent.policy import Policy
from spot.agent.refusals import Refusals
from spot.agent.registration import Registration
from spot.agent.requests import Requests
from spot.agent.telemetry import Telemetry
from spot.agent.timekeeping import Timekeeping
from spot.agent.times import NEVER
from spot.codes import ABSENT, ALARM_STORE_FAULT, CH_TELEMETRY, REASON_NONE, T_HEARTBEAT
from spot.port import const
from spot.wire import profile
from spot.wire.fields import HB_BEAT, HB_CLOCK, HB_COUNT, HB_DIGEST, HB_EPOCH, HB_MODE, HB_TIME

_TX = const(600)  # octets: 96 intervals with quality and export
_CHECK_S = const(300)  # whether what was registered is still so
_MAX_SLEEP_S = const(3600)


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
        self.events = Events(store, plan, clock, out, tx, log, self.flash_failed)
        self.intervals = Intervals(store, plan, clock, device, out, tx, log, self.flash_failed)
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
        self.time = Timekeeping(clock, identity.eui64, self._boot_key, out, tx, self._time_changed)
        self.inbox = Inbox(self)
        self._hb = array("i", [ABSENT] * HB_COUNT)
        self._up = False
        self._started = False
        self.known = {}  # the description that the EMD has confirmed
        self._check_s = NEVER
        self._fault = False  # the streams cannot be written
        self._device_fault = False  # the device's own values cannot
        self._fault_said = False
        self._fault_pending = False
        self._leave_reason = REASON_NONE
        self._due_s = 0

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
        self.do(now_s, self.registration.event(now_s, reg.EV_UP))
        if self.registration.joined:
            self.streams(now_s)
        self._due_s = now_s

    def link_down(self, now_s):
        """The link is gone."""
        self._up = False
        self.do(now_s, self.registration.event(now_s, reg.EV_DOWN))
        self.events.stream.link_down()
        self.intervals.stream.link_down()
        self._due_s = now_s

    def streams(self, now_s):
        """Associated: the streams go on, and the first heartbeat and reading go out."""
        self.events.stream.link_up(now_s)
        self.intervals.stream.link_up(now_s)
        self.heartbeat.due_s = now_s
        self.telemetry.due_s = now_s
        self._check_s = now_s + _CHECK_S

    def replan(self, now_s):
        """The plan may have changed: nothing waits longer than it says now."""
        self.heartbeat.due_s = min(self.heartbeat.due_s, now_s + self.plan.heartbeat)
        self.telemetry.due_s = min(self.telemetry.due_s, now_s + self.plan.telemetry_interval)
        self._check_s = min(self._check_s, now_s + _CHECK_S)
        self.lease.plan_ahead()

    def leave(self, now_s, reason=REASON_NONE):
        """Takes leave of the EMD: unregisters, and forgets the association and its commands."""
        self._leave_reason = reason
        self.do(now_s, self.registration.event(now_s, reg.EV_LEAVE))
        if self._up:
            self.hello.link(now_s, True)
        self.plan.forget()
        self.keep_plan(now_s)
        self.control.clear(now_s)
        self.lease.event(now_s, modes.EV_EPOCH)
        self._due_s = now_s

    def do(self, now_s, action):
        """Sends what the registration's state machine asks for."""
        if action == reg.NOTHING or not self._up:
            return
        if action == reg.REGISTER:
            self.hello.register()
        elif action == reg.UPDATE:
            self.hello.update(self.known)
        else:
            self.hello.unregister(self._leave_reason)

    # --- events of the device ---------------------------------------------------------------------------------------

    def alarm(self, now_s, code, raised, value=ABSENT, limit=ABSENT):
        """The device raises or clears an alarm. Of full flash there is one, whoever finds it."""
        if code == ALARM_STORE_FAULT:
            self._device_fault = bool(raised)
            self._say_fault(now_s)
            return
        self.events.alarm(now_s, code, raised, value, limit)
        self._due_s = now_s

    def override(self, now_s, active):
        """The household overrides what was commanded, or takes that back."""
        self._start(now_s)
        self.control.override(now_s, active)
        self._due_s = now_s

    def flash_failed(self, now_s):
        """Flash refused something that must be kept."""
        self._fault_pending = True

    # --- time and messages ------------------------------------------------------------------------------------------

    def set_time(self, now_s, utc, quality):
        """Takes UTC, from wherever; False when the clock refuses it."""
        self._start(now_s)
        return self.time.set(now_s, utc, quality)

    def _time_changed(self, now_s, first, jumped):
        """Everything that waits for a time of day is set anew."""
        if jumped:
            self.control.time_set(now_s, first)
        self.intervals.time_set(now_s, first)
        if first:
            self.inbox.time_known(now_s)
        self._due_s = now_s

    @property
    def ignored(self):
        """Messages that were not for a device, or not for this life of it."""
        return self.inbox.ignored

    def receive(self, now_s, channel, buf, n):
        """Takes one message body: the first n octets of buf, valid during the call only."""
        self._start(now_s)
        self.inbox.take(now_s, channel, buf, n)
        self._due_s = now_s

    def new_epoch(self, now_s):
        """Another epoch holds: init, and what the earlier one commanded ends."""
        self.lease.event(now_s, modes.EV_EPOCH)
        self.control.new_epoch(now_s)

    def keep_plan(self, now_s):
        """Keeps the association."""
        try:
            self.plan.keep()
        except OSError:  # StoreError
            self.log.error("association.not_kept")
            self.flash_failed(now_s)

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
            self.do(now_s, registration.event(now_s, reg.EV_TIMER))
        joined = registration.joined
        if joined and now_s - lease.fresh_s >= self.plan.lease:
            self._lapse(now_s)
        events, intervals = self.events.stream, self.intervals.stream
        if now_s >= events.due_s:  # before the heartbeat: its digest must not be ahead of the statuses that explain it
            events.pump(now_s)
        if self._up and joined:
            if now_s >= self.heartbeat.due_s:
                self._beat(now_s)
            if now_s >= self.telemetry.due_s:
                self.telemetry.send(now_s)
            if now_s >= self._check_s:
                self._check_s = now_s + _CHECK_S
                if self.hello.changed():
                    self.do(now_s, registration.event(now_s, reg.EV_CHANGED))
        if now_s >= self.intervals.due_s:
            self.intervals.step(now_s)
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
        self.do(now_s, self.registration.event(now_s, reg.EV_LAPSED))
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
        self.keep_plan(now_s)

    def _say_fault(self, now_s):
        """One alarm for streams, ledger and device: raised when flash first refuses, cleared when it takes all."""
        fault = self._fault or self.control.store_fault or self._device_fault
        if fault != self._fault_said:
            self._fault_said = fault
            lost = self.events.stream.lost + self.intervals.stream.lost
            self._due_s = now_s
            self.events.alarm(now_s, ALARM_STORE_FAULT, fault, lost or ABSENT, ABSENT)


def _four(number):
    return bytes((number >> 24 & 0xFF, number >> 16 & 0xFF, number >> 8 & 0xFF, number & 0xFF))
