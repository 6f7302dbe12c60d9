"""What comes in: one handler for each message type that a device takes, and whose word counts."""

from array import array

from spot.agent import registration as reg
from spot.agent.association import DATA_LOG, DATA_SERVICE, INTERVAL_LENGTH
from spot.agent.timekeeping import ROUND_TRIP_S
from spot.codes import (
    ABSENT,
    CH_CMD,
    CLOCK_EMD,
    KIND_SCHEDULE,
    REASON_MALFORMED,
    REASON_NO_SLOT,
    REASON_NO_TIME,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_OTHER_EMD,
    REASON_OUT_OF_RANGE,
    REASON_STORE_FULL,
    REASON_UNKNOWN_ID,
    REASON_UNPROTECTED,
    REASON_UNSUPPORTED_VERSION,
    REASON_WRONG_EPOCH,
    T_ACK,
    T_ANSWER,
    T_CALIBRATE,
    T_COMMAND,
    T_CONFIGURE,
    T_FIRMWARE_OFFER,
    T_HEARTBEAT,
    T_PRICE,
    T_READ,
    T_READ_LOG,
    T_REGISTERED,
    T_REKEY,
    T_SIGNED,
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
    HB_DIGEST,
    HB_EPOCH,
    HB_TIME,
    TIM_NONCE,
    TIM_TIME,
)

_EARLY = const(8)  # commands that may wait for a time
_SUSPECT_S = const(60)  # between registrations because of an epoch that may be our EMD's new one

_BROADCASTS = (T_PRICE, T_SIGNED)  # what is also taken from a group's channel

# Fields of `registered`
_G_REASON = const(0)
_G_BOOT = const(1)
_G_EPOCH = const(2)
_G_TIME = const(3)
_G_NUMBER = const(4)
_G_EVENTS = const(19)
_G_INTERVALS = const(20)


class Inbox:
    """The part of a Seat that take()s a body and hands it to its handler. ignored: not for us."""

    def __init__(self):
        self._in = array("i", [ABSENT] * CMD_COUNT)
        self._early = []  # commands that came before there was a time: what was queued while we were away
        self.ignored = 0
        self._handlers = {
            T_REGISTERED: self._registered,
            T_HEARTBEAT: self._heartbeat,
            T_COMMAND: self._command,
            T_ACK: self._ack,
            T_READ: self._read,
            T_CONFIGURE: self._configure,
            T_TIME: self._time_given,
            T_FIRMWARE_OFFER: self._firmware,  # and T_PIECE: where there are slots, spot/firmware.py takes them
            T_PRICE: self._price,
            T_ANSWER: self._answered,
            T_REKEY: self._rekey,
            T_READ_LOG: self._serve,
            T_CALIBRATE: self._serve,
        }
        if self.signed is not None:
            self._handlers[T_SIGNED] = self.signed.receive
            self._handlers[T_PRICE] = self._unsigned

    def take(self, now_s, channel, buf, n):
        """Takes one message body: the first n octets of buf, valid during the call only."""
        head = profile.head(buf, n)
        if head < 0:
            self.refusals.refuse(now_s, 0, REASON_MALFORMED)
            return
        if head >= 32:
            self.refusals.refuse(now_s, head, REASON_UNSUPPORTED_VERSION)
            return
        handler = self._handlers.get(head)
        if handler is None:
            self.ignored += 1
            self.log.debug("message.ignored", head, channel)
            return
        if channel != CH_CMD and head not in _BROADCASTS:  # a broadcast informs, it never commands
            self.refusals.refuse(now_s, head, REASON_MALFORMED)
            return
        try:
            handler(now_s, buf, n)
        except profile.ProfileError as error:
            self.refusals.refuse(now_s, head, error.reason, error.ref, error.position)

    def time_known(self, now_s):
        """Carries out what waited for a time."""
        while self._early:
            slots, schedule = self._early.pop(0)
            if slots[CMD_EPOCH] == self.plan.epoch:
                self.control.command(now_s, self, slots, schedule)

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
                self.do(now_s, self.registration.event(now_s, reg.EV_LAPSED))
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
        if 0 <= now_s - self.registration.asked_s <= ROUND_TRIP_S or self.time.trusted(now_s) == ABSENT:
            self.time.set(now_s, values[_G_TIME], CLOCK_EMD)
        if values[_G_REASON] != REASON_NONE:
            self.log.warn("registered.refused", values[_G_REASON], epoch)
            self.do(now_s, self.registration.event(now_s, reg.EV_REFUSED))
            if epoch == plan.epoch:
                plan.forget()
                self.keep_plan(now_s)
                self.new_epoch(now_s)
            return
        fresh = epoch != plan.epoch
        if not plan.take(values):
            self.refusals.refuse(now_s, T_REGISTERED, REASON_OUT_OF_RANGE, ABSENT, INTERVAL_LENGTH)
        self.intervals.replan(now_s)
        self.agent.midnight.time_set(now_s, False, False)
        self.known = self.hello.told
        was = self.registration.joined
        self.do(now_s, self.registration.event(now_s, reg.EV_ACCEPTED))
        self._acknowledge(now_s, _or_absent(values[_G_EVENTS]), _or_absent(values[_G_INTERVALS]), True)
        self.keep_plan(now_s)
        self.lease.alive(now_s)
        if fresh:
            self.new_epoch(now_s)
        else:
            self.control.settle(now_s)
        if not was or fresh:
            self.streams(now_s)
        else:
            self.replan(now_s)

    def _heartbeat(self, now_s, buf, n):
        slots = self._in
        profile.decode_hot(T_HEARTBEAT, buf, n, slots)
        if not self._epoch_ok(now_s, T_HEARTBEAT, slots[HB_EPOCH]):
            return
        time, beat, digest = slots[HB_TIME], slots[HB_BEAT], slots[HB_DIGEST]
        heartbeat = self.heartbeat
        utc = self.time.trusted(now_s)
        if not heartbeat.fresh(now_s, utc, time, beat, self.plan.heartbeat):
            self.log.info("heartbeat.stale", beat, heartbeat.beat)
            if time != ABSENT:
                self.time.ask(now_s)  # if it is our clock that is wrong
            return
        if now_s - self.lease.fresh_s >= self.plan.heartbeat_timeout and self.registration.joined:
            self.streams(now_s)  # it is there again: what it has not acknowledged goes out at once
        self.lease.heartbeat(now_s)
        if time != ABSENT:
            self.time.compare(now_s, time)
        if len(self.stream):
            return  # statuses are under way: what the EMD holds live is about to change
        if heartbeat.mismatch(now_s, self.ledger.digest, digest):
            self.log.info("ledger.resynchronise", self.ledger.live)
            self.control.resynchronise(now_s, self)

    def _command(self, now_s, buf, n):
        slots = self._in
        profile.decode_hot(T_COMMAND, buf, n, slots)
        if not self._epoch_ok(now_s, T_COMMAND, slots[CMD_EPOCH], slots[CMD_ID]):
            return
        schedule = profile.command_slots(buf, n) if slots[CMD_KIND] == KIND_SCHEDULE else None
        if self.clock.utc(now_s) != ABSENT:
            self.control.command(now_s, self, slots, schedule)
        elif len(self._early) < _EARLY:
            self._early.append((array("i", slots), schedule))
            self.time.ask(now_s)
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
        if events_upto != ABSENT and not self.stream.ack(now_s, events_upto):
            if rebase:
                self.stream.rebase(events_upto)
                self.plan.events_base = self.stream.base
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
                self.replan(now_s)
                self.requests.restart(now_s)

    def _serve(self, now_s, buf, n):
        """What is rare, and not for every EMD: the code for it is loaded on demand."""
        type = profile.head(buf, n)
        values = profile.decode(type, buf, n)
        if not self._epoch_ok(now_s, type, values[0], values[1]):
            return
        if not self.plan.data & (DATA_LOG if type == T_READ_LOG else DATA_SERVICE):
            self.refusals.refuse(now_s, type, REASON_NOT_SUPPORTED, values[1])
            return
        from spot.agent.service import serve

        serve(self, now_s, type, values)

    def _time_given(self, now_s, buf, n):
        slots = self._in
        profile.decode_hot(T_TIME, buf, n, slots)
        if not self.time.answered(now_s, slots[TIM_NONCE], slots[TIM_TIME]):
            self.ignored += 1
            self.log.info("time.unasked", slots[TIM_NONCE])

    def _firmware(self, now_s, buf, n):
        values = profile.decode(T_FIRMWARE_OFFER, buf, n)
        if self._epoch_ok(now_s, T_FIRMWARE_OFFER, values[0], values[1]):
            self.refusals.answer(now_s, T_FIRMWARE_OFFER, REASON_NO_SLOT, values[1])

    def _price(self, now_s, buf, n):
        try:
            if self.policy.receive(buf, n):
                self.log.info("price.taken", self.policy.revision)
        except OSError:  # StoreError: it is known, but not after a reboot
            self.log.error("price.not_kept", self.policy.revision)
            self.agent.flash_failed(now_s)
        self.control.settle(now_s)

    def _unsigned(self, now_s, buf, n):
        raise profile.ProfileError(REASON_UNPROTECTED, T_PRICE)

    def _proven(self, now_s, buf, n):
        """Takes a broadcast that a signature proves."""
        if profile.head(buf, n) == T_PRICE:
            self._price(now_s, buf, n)
        else:
            self.ignored += 1

    def _rekey(self, now_s, buf, n):
        values = profile.decode(T_REKEY, buf, n)
        if not self._epoch_ok(now_s, T_REKEY, values[0], values[1]):
            return
        reason = REASON_NOT_SUPPORTED
        if self.keys is not None:
            try:
                reason = self.keys.offer(values[2], values[3])
            except OSError:  # StoreError: the present secret stays
                reason = REASON_STORE_FULL
                self.agent.flash_failed(now_s)
        self.refusals.answer(now_s, T_REKEY, reason, values[1])

    def _answered(self, now_s, buf, n):
        slots = self._in
        profile.decode_hot(T_ANSWER, buf, n, slots)
        about, reason = slots[ANS_ABOUT], slots[ANS_REASON]
        if reason == REASON_NONE and about == T_UPDATE:
            self.known = self.hello.told
            self.do(now_s, self.registration.event(now_s, reg.EV_ACCEPTED))
        elif reason in (REASON_WRONG_EPOCH, REASON_UNKNOWN_ID) and now_s - self.registration.asked_s >= reg.FIRST_S:
            self.do(now_s, self.registration.event(now_s, reg.EV_LAPSED))  # it does not know us
        else:
            self.log.info("answered", about, reason)


def _or_absent(value):
    return ABSENT if value is None else value
