"""A seat at the device's table: what one association, one EMD and this device, has of its own, and when it is due.

Who sits here knows nothing of who else does. What the seats share is in `agent`, who wins in `control`.
"""

from array import array

from spot.agent import lease as modes
from spot.agent import registration as reg
from spot.agent.association import DATA_ALARM, DATA_INTERVAL, DATA_TELEMETRY, Association
from spot.agent.commands import Ledger
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
from spot.agent.statuses import Statuses
from spot.agent.telemetry import Telemetry
from spot.agent.timekeeping import Timekeeping
from spot.agent.times import NEVER, four
from spot.codes import (
    ABSENT,
    CH_TELEMETRY,
    PROFILE_HEAT_PUMP,
    REASON_NONE,
    SERVICE_FORECAST,
    SERVICE_INTERVAL,
    T_HEARTBEAT,
)
from spot.port import const
from spot.wire import profile
from spot.wire.fields import HB_BEAT, HB_CLOCK, HB_COUNT, HB_DIGEST, HB_EPOCH, HB_MODE, HB_TIME

_CHECK_S = const(300)  # whether what was registered is still so


class Seat(Inbox):
    """agent: the Agent that it is part of; at: its number, 0 the first (home's); out: its way out; config: see
    Association.

    due_s: when step() has something to do.
    """

    def __init__(self, agent, at, out, store, config):
        self.agent = agent
        self.at = at
        self.identity = identity = agent.identity
        self.clock = clock = agent.clock
        self.log = log = agent.log
        self.control = control = agent.control
        device = agent.device
        self._out = out
        self._tx = tx = agent.tx
        self.plan = plan = Association(store, config, at)
        self.reports = plan.data & DATA_TELEMETRY
        self.counts = plan.data & DATA_INTERVAL
        self.forecast = None
        if self.reports and identity.profile == PROFILE_HEAT_PUMP:
            from spot.agent.forecast import Forecast

            self.forecast = Forecast(device, clock, out, tx)
        without = 0 if self.counts else SERVICE_INTERVAL
        if self.forecast is None:
            without |= SERVICE_FORECAST
        self.hello = Hello(identity, device, clock, out, tx, without)
        description = self.hello.describe()
        self.events = Events(store, plan, clock, out, tx, log, agent.flash_failed)
        self.stream = self.events.stream
        self.intervals = Intervals(store, plan, clock, device, out, tx, log, agent.flash_failed)
        self.telemetry = Telemetry(plan, clock, device, out, tx)
        self.policy = Policy(store, device, log, plan, description)
        self.lease = Lease(plan, self._failsafe_spread)
        self.registration = Registration(self._retry_spread)
        self.heartbeat = Heartbeat()
        self.statuses = Statuses(device, control.baseline, plan, self.events.post)
        self.ledger = Ledger(identity.eui64, store, log, plan, device, description, self.statuses, control.final)
        self.refusals = Refusals(out, log, self.alarm)
        self.time = Timekeeping(clock, identity.eui64, agent.boot_key, out, tx, agent.time_changed, self._junior, log)
        self.requests = Requests(self, device)
        self.keys = None  # offer(generation, secret) -> reason: the keys of a protected association (wire/keyring.py)
        self.signed = None
        key = config.get("agent", {}).get("signed_key")
        if key:
            from spot.agent.signed import Signed, parse_key

            self.signed = Signed(parse_key(key), store, log, self._proven, plan.prefix + "signed")
        Inbox.__init__(self)
        self._hb = array("i", [ABSENT] * HB_COUNT)
        self.up = False
        self.known = {}  # the description that the EMD has confirmed
        self._check_s = NEVER
        self._leave_reason = REASON_NONE
        self.due_s = 0

    # --- spreading, seniority ---------------------------------------------------------------------------------------

    def _failsafe_spread(self):
        if not self.plan.jitter or self.plan.epoch == ABSENT:
            return 0
        return profile.jitter(self.identity.eui64, four(self.plan.epoch) + b"f", self.plan.jitter)

    def _retry_spread(self, window_s):
        if window_s <= 0:
            return 0
        key = self.agent.boot_key + bytes((self.registration.tries & 255,)) + b"r"
        return profile.jitter(self.identity.eui64, key, window_s)

    def _junior(self, now_s):
        """True while the clock is another one's: of a seat before this one, whose EMD gave the time and is there."""
        for seat in self.agent.seats:
            if seat is self:
                return False
            if (
                seat.time.given and seat.registration.joined
                and now_s - seat.lease.fresh_s < seat.plan.heartbeat_timeout
            ):
                return True

    # --- the link ---------------------------------------------------------------------------------------------------

    def link_up(self, now_s):
        self.up = True
        self.hello.link(now_s)
        self.do(now_s, self.registration.event(now_s, reg.EV_UP))
        if self.registration.joined:
            self.streams(now_s)
        self.due_s = now_s

    def link_down(self, now_s):
        self.up = False
        self.do(now_s, self.registration.event(now_s, reg.EV_DOWN))
        self.stream.link_down()
        self.intervals.stream.link_down()
        self.due_s = now_s

    def streams(self, now_s):
        """Associated: the streams go on, and the first heartbeat and reading go out."""
        self.stream.link_up(now_s)
        self.heartbeat.due_s = now_s
        if self.counts:
            self.intervals.stream.link_up(now_s)
        if self.reports:
            self.telemetry.due_s = now_s
        if self.forecast is not None:
            self.forecast.due_s = now_s
        self._check_s = now_s + _CHECK_S

    def replan(self, now_s):
        """The plan may have changed: nothing waits longer than it says now."""
        self.heartbeat.due_s = min(self.heartbeat.due_s, now_s + self.plan.heartbeat)
        if self.reports:
            self.telemetry.due_s = min(self.telemetry.due_s, now_s + self.plan.telemetry_interval)
        self._check_s = min(self._check_s, now_s + _CHECK_S)
        self.lease.plan_ahead()

    def leave(self, now_s, reason):
        """Takes leave of the EMD: unregisters, and forgets the association and its commands."""
        self._leave_reason = reason
        self.do(now_s, self.registration.event(now_s, reg.EV_LEAVE))
        if self.up:
            self.hello.link(now_s, True)
        self.plan.forget()
        self.keep_plan(now_s)
        self.control.clear(now_s, self)
        self.lease.event(now_s, modes.EV_EPOCH)
        self.due_s = now_s

    def do(self, now_s, action):
        """Sends what the registration's state machine asks for."""
        if action == reg.NOTHING or not self.up:
            return
        if action == reg.REGISTER:
            self.hello.register()
        elif action == reg.UPDATE:
            self.hello.update(self.known)
        else:
            self.hello.unregister(self._leave_reason)

    def alarm(self, now_s, code, raised, value=ABSENT, limit=ABSENT):
        """Keeps an alarm for this EMD, if it is to have alarms."""
        if self.plan.data & DATA_ALARM:
            self.events.alarm(now_s, code, raised, value, limit)
            self.due_s = now_s

    # --- what came in changes ---------------------------------------------------------------------------------------

    def new_epoch(self, now_s):
        """Another epoch holds: init, and what the earlier one commanded ends."""
        self.lease.event(now_s, modes.EV_EPOCH)
        self.control.new_epoch(now_s, self)

    def keep_plan(self, now_s):
        """Keeps the association."""
        try:
            self.plan.keep()
        except OSError:  # StoreError
            self.log.error("association.not_kept")
            self.agent.flash_failed(now_s)

    def begin(self, now_s):
        """First step after boot."""
        self.lease.since_s = self.lease.fresh_s = now_s
        self.lease.plan_ahead()
        self.intervals.begin(now_s)

    def flush(self, now_s):
        """True when flash has taken all that waited for it."""
        plan, events, intervals = self.plan, self.stream, self.intervals.stream
        if not (events.flush() and intervals.flush()):
            return False
        plan.events_base, plan.intervals_base = events.base, intervals.base
        self.keep_plan(now_s)
        return True

    # --- step -------------------------------------------------------------------------------------------------------

    def step(self, now_s):
        """Does what is due."""
        lease, registration = self.lease, self.registration
        if now_s >= lease.due_s and lease.step(now_s):
            self.log.info("mode", lease.mode)
            self.control.settle(now_s)
        if now_s >= registration.due_s:
            self.do(now_s, registration.event(now_s, reg.EV_TIMER))
        joined = registration.joined
        if joined and now_s - lease.fresh_s >= self.plan.lease:
            self._lapse(now_s)
        events, intervals = self.stream, self.intervals.stream
        if now_s >= events.due_s:  # before the heartbeat: its digest must not be ahead of the statuses that explain it
            events.pump(now_s)
        if self.up and joined:
            if now_s >= self.heartbeat.due_s:
                self._beat(now_s)
            if now_s >= self.telemetry.due_s:
                self.telemetry.send(now_s)
            if now_s >= self._check_s:
                self._check_s = now_s + _CHECK_S
                if self.hello.changed():
                    self.do(now_s, registration.event(now_s, reg.EV_CHANGED))
            if self.forecast is not None and now_s >= self.forecast.due_s:
                self.forecast.step(now_s)
        if now_s >= self.intervals.due_s:
            self.intervals.step(now_s)
        if now_s >= intervals.due_s:
            intervals.pump(now_s)
        if now_s >= self.refusals.due_s:
            self.refusals.step(now_s)
        due = lease.due_s
        if self.signed is not None:
            if now_s >= self.signed.due_s:
                self.signed.step(now_s)
            due = min(due, self.signed.due_s)
        if registration.due_s < due:
            due = registration.due_s
        if joined:
            at = lease.fresh_s + self.plan.lease
            if at < due:
                due = at
            if self.up:
                due = min(due, self.heartbeat.due_s, self.telemetry.due_s, self._check_s)
                if self.forecast is not None:
                    due = min(due, self.forecast.due_s)
        self.due_s = min(due, self.intervals.due_s, events.due_s, intervals.due_s, self.refusals.due_s)

    def _beat(self, now_s):
        slots = self._hb
        slots[HB_EPOCH] = self.plan.epoch
        slots[HB_TIME] = self.clock.utc(now_s)
        slots[HB_DIGEST] = self.ledger.digest
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
