"""What a device with two slots for its firmware has of them: what it registers as, three objects, and the update.

Loaded only where there are slots, and of the update (update.py) what it needs only when one is offered or under way.
The joint between the App, which it is given whole, and an Updater, which knows none of it.
"""

from array import array

from .agent.association import DATA_SERVICE
from .codes import (
    ABSENT,
    ALARM_ROLLED_BACK,
    CH_STATUS,
    OBJ_FIRMWARE_PROGRESS,
    OBJ_FIRMWARE_SEQUENCE,
    OBJ_FIRMWARE_SLOT,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_UNKNOWN_ID,
    SERVICE_FIRMWARE,
    T_ANSWER,
    T_FIRMWARE_OFFER,
    T_PIECE,
    T_STATUS,
)
from .port import const
from .wire import profile
from .wire.fields import (
    ANS_ABOUT,
    ANS_COUNT,
    ANS_REASON,
    ANS_REF,
    STA_COUNT,
    STA_EPOCH,
    STA_ID,
    STA_REASON,
    STA_REVISION,
    STA_STATE,
)

_NEVER = const(0x3FFFFFFF)
_AGAIN_S = const(60)
_LASTED_S = const(300)  # the alarm of a roll back goes when the start has lasted
_UPDATING = const(3)  # of board/panel.py
_TURNS = ("run.device", "run.agent", "run.poll")  # what the loop counts of turns that failed


def octets(digits):
    """The octets that hexadecimal digits stand for."""
    return bytes([int(digits[i : i + 2], 16) for i in range(0, len(digits), 2)])


def trusted(texts):
    """LMS public keys of 56 octets, from HSS keys of one level, or bare ones, in hexadecimal."""
    return [octets(text)[-56:] for text in texts]


class Firmware:
    """The slots of `app`, with all that it says and does of them. due_s: when step() is due."""

    def __init__(self, app, slots):
        self._app = app
        self._slots = slots
        self._release = release = slots.running
        self._section = app.config.get("update", {})
        self._updater = None
        self._switches = self._latch = 0
        self._alarmed = None  # the sequence that the alarm tells
        self._writing = False
        self.due_s = _NEVER
        if release is None:  # a development copy: it has no number, and nobody knows which board's it is
            return
        self.sequence = release.get("sequence", 0)
        agent = app.agent
        app.identity.firmware = release.get("version", app.identity.firmware)[:16]
        self._describe = app.device.description
        app.device.description = self._description
        own = agent.own
        own[OBJ_FIRMWARE_SEQUENCE] = lambda now_s: self.sequence
        own[OBJ_FIRMWARE_PROGRESS] = lambda now_s: self._updater.progress if self._updater else ABSENT
        own[OBJ_FIRMWARE_SLOT] = lambda now_s: slots.active if slots.active < 2 else ABSENT
        for seat in agent.seats:
            seat._handlers[T_FIRMWARE_OFFER] = self._offered(seat)
            seat._handlers[T_PIECE] = self._piece(seat)
            seat._handlers[T_ANSWER] = self._answered(seat, seat._handlers[T_ANSWER])
        raw = app.store.get("update")
        self.due_s = 0 if slots.trial or slots.rolled_back != ABSENT or raw and raw[0] else _NEVER

    def _description(self):
        fields = dict(self._describe())
        fields["services"] = (fields.get("services") or 0) | SERVICE_FIRMWARE
        fields["sequence"] = self.sequence
        return fields

    def _update(self):
        """The Updater, loaded with its first use."""
        if self._updater is None:
            from .update import Updater

            release, section = self._release, self._section
            identity = (
                self.sequence, octets(release.get("vendor", "")), octets(release.get("class", "")),
                self._slots.base,
            )
            keys = trusted(section.get("keys", []) + release.get("keys", []))
            app = self._app
            self._updater = Updater(
                self._slots, app.store, app.log, keys, identity, self, section.get("rate", 512)
            )
        return self._updater

    # --- what comes in ----------------------------------------------------------------------------------------------

    def _offered(self, seat):
        def offered(now_s, buf, n):
            values = profile.decode(T_FIRMWARE_OFFER, buf, n)
            epoch, id, sequence, _, size, digest, resource = values
            if not seat._epoch_ok(now_s, T_FIRMWARE_OFFER, epoch, id):
                return
            reason = REASON_NOT_SUPPORTED
            if seat.plan.data & DATA_SERVICE and self._section.get("auto", True):
                update = self._update()
                reason = update.offer(now_s, seat.at, epoch, id, sequence, size, digest, resource)
                self.due_s = min(self.due_s, update.due_s)
            if reason == REASON_NONE:
                seat.refusals.answer(now_s, T_FIRMWARE_OFFER, reason, id)
            else:
                seat.refusals.refuse(now_s, T_FIRMWARE_OFFER, reason, id)

        return offered

    def _piece(self, seat):
        def came(now_s, buf, n):
            id, offset, _, octets = profile.decode(T_PIECE, buf, n)
            self._came(now_s, seat.at, id, offset, octets or b"")

        return came

    def _answered(self, seat, others):
        slots = array("i", [ABSENT] * ANS_COUNT)

        def answered(now_s, buf, n):
            profile.decode_hot(T_ANSWER, buf, n, slots)
            if slots[ANS_ABOUT] != T_PIECE:
                others(now_s, buf, n)
            elif slots[ANS_REASON] == REASON_UNKNOWN_ID and self._updater is not None:  # that offer is no longer
                self._updater.gone(now_s, seat.at, slots[ANS_REF])

        return answered

    def _came(self, now_s, at, id, offset, octets):
        update = self._updater
        if update is None:  # nothing was asked for
            self._app.log.warn("update.unasked", offset, id)
            return
        update.piece(now_s, at, id, offset, octets)
        self.due_s = min(self.due_s, update.due_s)

    # --- time -------------------------------------------------------------------------------------------------------

    def step(self, now_s):
        """Does what is due; raises nothing: the loop has no turn of its own for this."""
        try:
            self._step(now_s)
        except Exception as error:  # of loading it, for want of heap or by a release's own key
            self._app.log.failure("update.step", error, now_s)
            self.due_s = now_s + _AGAIN_S

    def _step(self, now_s):
        if self._alarmed is not None and now_s >= _LASTED_S:
            self.alarm(now_s, 0, self._alarmed)
        update = self._update()
        if now_s >= update.due_s:
            update.step(now_s)
        self.due_s = update.due_s if self._alarmed is None else min(update.due_s, _LASTED_S)

    # --- what an Updater needs of the device ------------------------------------------------------------------------

    def tell(self, now_s, record, state, reason):
        """A status of the offer `record.id`, kept until its EMD has it."""
        agent = self._app.agent
        if record.at < len(agent.seats):
            agent._start(now_s)  # the number of a last gasp is taken first
            slots = array("i", [ABSENT] * STA_COUNT)
            slots[STA_ID] = record.id
            slots[STA_REVISION] = 0
            slots[STA_STATE] = state
            slots[STA_REASON] = reason
            slots[STA_EPOCH] = record.epoch
            seat = agent.seats[record.at]
            seat.events.post(now_s, T_STATUS, slots)
            seat.due_s = now_s

    def alarm(self, now_s, raised, sequence):
        self._alarmed = sequence if raised else None
        self._app.agent.alarm(now_s, ALARM_ROLLED_BACK, raised, sequence)

    def _fetch(self, record):
        """The way past the messages, where the link has one: blocks of a resource."""
        links, at = self._app.links, record.at
        return getattr(links[at], "fetch", None) if at < len(links) else None

    def size(self, record):
        """Octets of a piece: of a message, or of a block."""
        return 256 if self._fetch(record) else 512

    def ask(self, record, offset, count):
        """Asks the EMD of `record` for a piece. False: not now."""
        app, at = self._app, record.at
        if at >= len(app.agent.seats):
            return False
        seat = app.agent.seats[at]
        if not (seat.up and seat.registration.joined):
            return False
        if self._writing:
            self.writing(True)  # a link that came and went has shown itself on the lamp
        fetch = self._fetch(record)
        if fetch is None:
            n = profile.encode(T_PIECE, [record.id, offset, count, None], seat._tx)
            return seat._out.send(CH_STATUS, seat._tx, n)

        def taken(octets):
            app.received += 1  # the loop looks at the time anew
            self._came(app.log.now_s, at, record.id, offset, octets)

        return fetch("fw/" + record.resource, offset, count, taken)

    def quiet(self, now_s):
        """Whether a chip may stand still for the time of an erase: nothing was switched within this second, no trip is
        counting or new, the mains is there, and nothing is on its way over a link."""
        app = self._app
        board = app.board
        still = not app.device.moved and app.restart_s == ABSENT
        switch = board.relay or board.sg_ready
        if switch is not None and switch.switches != self._switches:
            self._switches = switch.switches
            still = False
        trip = board.trip
        if trip is not None and (
            trip._power_count or trip._voltage_count or trip._hot_count or trip.latch != self._latch
        ):
            self._latch = trip.latch
            still = False
        if board.power_fail is not None and board.power_fail.failed:
            still = False
        for link in app.links:
            if link.pending and link.is_up:
                still = False
        return still

    def proven(self, now_s, at):
        """How many turns of the loop have failed, while the EMD of the offer knows the device; else ABSENT."""
        app = self._app
        seats = app.agent.seats
        seat = seats[at if at < len(seats) else 0]
        if app.starts.safe or not (seat.up and seat.registration.joined):
            return ABSENT
        return sum([app.log.counts.get(name, 0) for name in _TURNS])

    def writing(self, on):
        led = self._app.board.led
        if led is not None and not self._app.starts.safe:
            if on:
                led.mode(_UPDATING)
            else:
                self._app._lamp()
        self._writing = on

    def restart(self, now_s):
        """The other slot's turn. Out of safe mode, too: that was the other firmware's."""
        app = self._app
        app.restart(now_s, leave=app.starts.safe > 0)
