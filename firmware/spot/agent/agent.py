"""The agent, the device's half of hybrid control: takes messages, does what is due, joins the state machines.

It serves one EMD or several; what each has of its own is a Seat, what they share is here and in `control`.
"""

from spot.agent.control import Control
from spot.agent.midnight import Midnight
from spot.agent.outage import Outage
from spot.agent.seat import Seat
from spot.agent.times import four
from spot.codes import ABSENT, ALARM_STORE_FAULT, OBJ_BOOTS, OBJ_LOG_LEVEL, OBJ_UPTIME, REASON_NONE
from spot.port import const

_TX = const(600)  # octets: 96 intervals with quality and export
_MAX_SLEEP_S = const(3600)


class Agent:
    """One device's half.

    identity: eui64 (8 octets), boot, reset (RESET_…), profile, firmware, model; device: see docs/architecture.md;
    clock, store, log: spot.clock, spot.store, spot.log; outs: for each association out.send(channel, buf, n,
    guaranteed, urgent) -> bool, False: not accepted now; configs: for each association its object in the configuration:
    "agent" (overrides of the plan's defaults, association._PLAN) and "data" (what it gets). Not reentrant: `out` must
    not call back. `at` is an association's number everywhere, 0 the first, which is home's where there are several.

    own: object id → function(now_s) that gives its value, of what is neither the device's nor an EMD's; whoever builds
    the agent adds to it. on_restart(now_s, how), where there is one: an EMD wants a fresh start (1), or safe mode left
    (2). crash(read), where there is one, gives the record of the latest failure, text in octets, or None; read: the
    EMD has all of it.
    seats: the associations; plan, lease, ledger, …: the first one's.
    """

    def __init__(self, identity, device, clock, store, outs, log, configs):
        self.identity = identity
        self.device = device
        self.clock = clock
        self.log = log
        self.store = store
        self.tx = bytearray(_TX)
        self.on_restart = None
        self.crash = None
        self.calibration = None  # [seat, id, issued, reason, …] of the latest, see service
        self.own = {
            OBJ_BOOTS: lambda now_s: identity.boot, OBJ_UPTIME: lambda now_s: now_s,
            OBJ_LOG_LEVEL: lambda now_s: log.level,
        }
        self.outage = Outage(self)
        self.midnight = Midnight(self, store)
        self.boot_key = four(identity.boot)
        self.seats = seats = []
        self.control = Control(identity, device, clock, log, seats, self._say_fault)
        self._started = False
        self._fault = False  # the streams cannot be written
        self._device_fault = False  # the device's own values cannot
        self._fault_said = False
        self._fault_pending = False
        for at in range(len(outs)):
            seats.append(Seat(self, at, outs[at], store, configs[at]))
        first = seats[0]
        self.plan = first.plan
        self.hello = first.hello
        self.events = first.events
        self.intervals = first.intervals
        self.telemetry = first.telemetry
        self.policy = first.policy
        self.lease = first.lease
        self.registration = first.registration
        self.heartbeat = first.heartbeat
        self.refusals = first.refusals
        self.control.ledger = first.ledger

    def link_up(self, now_s, at=0):
        """The link is up: says hello, and again everything that was not acknowledged. Changes no state of control."""
        self._start(now_s)
        self.seats[at].link_up(now_s)

    def link_down(self, now_s, at=0):
        """The link is gone."""
        self.seats[at].link_down(now_s)

    def leave(self, now_s, reason=REASON_NONE, at=0):
        """Takes leave of an EMD: unregisters, and forgets the association and its commands."""
        self.seats[at].leave(now_s, reason)

    def goodbye(self, now_s):
        """Tells every EMD that the device leaves in good order."""
        for seat in self.seats:
            seat.hello.link(now_s, True)

    # --- events of the device ---------------------------------------------------------------------------------------

    def alarm(self, now_s, code, raised, value=ABSENT, limit=ABSENT):
        """The device raises or clears an alarm. Of full flash there is one, whoever finds it."""
        if code == ALARM_STORE_FAULT:
            self._device_fault = bool(raised)
            self._say_fault(now_s)
            return
        self._start(now_s)  # the number of a last gasp is taken first
        for seat in self.seats:
            seat.alarm(now_s, code, raised, value, limit)

    def last_gasp(self, now_s):
        """The mains has failed: the one message that the hold-up time is for. power_failed() follows once the links had
        a turn, and the device has kept what is its own."""
        self.outage.last_gasp(now_s)

    def power_failed(self, now_s):
        """Keeps what waits for a write: the last gasp's number, and short intervals."""
        self.flush(now_s)

    def flush(self, now_s):
        """Writes what waits for a write; True when flash took it all."""
        done = True
        for seat in self.seats:
            if not seat.flush(now_s):
                done = False
        return done

    def power_back(self, now_s):
        """The mains is back within the hold-up time."""
        self.outage.back(now_s)

    def factory_reset(self, now_s):
        """Takes leave of every EMD. What was kept of them is the store's to wipe."""
        for seat in self.seats:
            seat.leave(now_s, REASON_NONE)

    def override(self, now_s, active):
        """The household overrides what was commanded, or takes that back."""
        self._start(now_s)
        self.control.override(now_s, active)

    def flash_failed(self, now_s):
        """Flash refused something that must be kept."""
        self._fault_pending = True

    # --- time and messages ------------------------------------------------------------------------------------------

    def set_time(self, now_s, utc, quality):
        """Takes UTC, from wherever; False when the clock refuses it."""
        self._start(now_s)
        return self.seats[0].time.set(now_s, utc, quality)

    def time_changed(self, now_s, first, jumped):
        """Everything that waits for a time of day is set anew."""
        seats = self.seats
        if jumped:
            self.control.time_set(now_s, first)
        self.midnight.time_set(now_s, first, jumped)
        for seat in seats:
            if seat.counts:
                seat.intervals.time_set(now_s, first, jumped)
            seat.due_s = now_s
        if first:
            for seat in seats:
                seat.time_known(now_s)

    @property
    def ignored(self):
        """Messages that were not for a device, or not for this life of it."""
        return sum([seat.ignored for seat in self.seats])

    def receive(self, now_s, channel, buf, n, at=0):
        """Takes one message body: the first n octets of buf, valid during the call only."""
        self._start(now_s)
        seat = self.seats[at]
        seat.take(now_s, channel, buf, n)
        seat.due_s = now_s

    # --- step -------------------------------------------------------------------------------------------------------

    def _start(self, now_s):
        """Once, before anything else: takes up what was before the reboot."""
        if self._started:
            return
        self._started = True
        self.outage.begin(now_s)
        self.midnight.begin(now_s)
        for seat in self.seats:
            seat.begin(now_s)
        self.control.start(now_s)
        if self.clock.utc(now_s) != ABSENT:
            self.time_changed(now_s, True, True)

    def step(self, now_s):
        """Does what is due. Returns the seconds until it wants to be called again, at least 1."""
        if not self._started:
            self._start(now_s)
        control = self.control
        control.step(now_s)
        if self._fault_pending:
            self._tell_fault(now_s)
        outage, midnight = self.outage, self.midnight
        if now_s >= outage.due_s:
            outage.step(now_s)
        if now_s >= midnight.due_s:
            midnight.step(now_s)
        for seat in self.seats:
            if seat.up and seat.reports and seat.registration.joined and seat.telemetry.moved(now_s):
                seat.telemetry.send(now_s)
            if now_s >= seat.due_s or now_s >= seat.stream.due_s:
                seat.step(now_s)
        due = min(control.due_s, outage.due_s, midnight.due_s)
        for seat in self.seats:
            if seat.due_s < due:
                due = seat.due_s
            if seat.stream.due_s < due:  # the step of a later one gave an earlier one something to say
                due = seat.stream.due_s
        wait = due - now_s
        return 1 if wait < 1 else wait if wait < _MAX_SLEEP_S else _MAX_SLEEP_S

    def _tell_fault(self, now_s):
        """Flash refuses what must be kept: said once, until it takes things again."""
        self._fault_pending = False
        self._fault = not self.flush(now_s)
        self._say_fault(now_s)
        if self._fault:
            self._fault_pending = True

    def _say_fault(self, now_s):
        """One alarm for streams, ledgers and device: raised when flash first refuses, cleared when it takes all."""
        fault = self._fault or self.control.store_fault or self._device_fault
        if fault != self._fault_said:
            self._fault_said = fault
            for seat in self.seats:
                lost = seat.stream.lost + seat.intervals.stream.lost
                seat.alarm(now_s, ALARM_STORE_FAULT, fault, lost or ABSENT)
