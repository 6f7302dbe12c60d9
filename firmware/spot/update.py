"""An update of the firmware, from the offer to its confirmation: a state machine over the two slots (spot/slots.py).

    offered   the head is fetched, its conditions and its signature are checked: nothing of the image before
    fetching  sector for sector erased in a quiet moment, and written; then read back and hashed; the head comes last,
              so that the slot is a release only when all of it is there
    trial     started once more: confirmed when it has registered and held its control loop, else it goes back
    over      done, refused or given up: kept, so that the same offer does not start it again

What there is of an update is the value `update` of the store, from where it goes on after a restart.
"""

from .codes import (
    ABSENT,
    REASON_BASE,
    REASON_BUSY,
    REASON_DIGEST,
    REASON_ENDED,
    REASON_MALFORMED,
    REASON_NONE,
    REASON_OTHER_BOARD,
    REASON_ROLLED_BACK,
    REASON_SEQUENCE,
    REASON_SIGNATURE,
    REASON_SIZE,
    REASON_STORE_FULL,
    STATE_ABORTED,
    STATE_COMPLETED,
    STATE_RECEIVED,
    STATE_REJECTED,
    STATE_STARTED,
    STATE_SUPERSEDED,
)
from .port import const, gc, sha256_object, struct
from .wire import suit

NAME = "update"  # in the store
NEVER = const(0x3FFFFFFF)
PIECE = const(512)  # octets asked for at a time, at most; and written
SECTOR = const(4096)
_IMAGE = const(4096)  # where the image begins in a slot
_KEEP = const(65536)  # octets written between two records of how far it is
_HASHES = const(64)  # of the signature in a step: 12 ms on an RP2040
_PAGES = const(8)  # read back and hashed in a step
_WAIT_S = const(10)  # for a piece; doubled with each that does not come
_WAIT_MOST_S = const(320)
_AWAY_S = const(5)  # the link is down, or has no room: then again
_GIVE_UP_S = const(259200)  # without a single piece
_STALE_S = const(600)  # without a piece: gives way to any other release
_MOST = const(12)  # updates begun, since each erases a slot; and refusals told
_EACH_S = const(7200)  # until there is one more: 12 a day
# s of a trial: associated, without a failure of the control loop in between, it is good; not good by then, it is not.
# No const: a test shortens them
_GOOD_S = 60
_TRIAL_S = 600

OVER, OFFERED, FETCHING = range(3)  # phases of a record
_FRESH, _IDLE, _BUSY, _INSTALLED, _TRIAL = range(5)  # what an Updater is at
_FORMAT = ">BBBBHIIII32s"
_MAX_INT = const(0x3FFFFFFE)


class Record:
    """One update as it is kept. phase: OVER, OFFERED, FETCHING; at, epoch, id: whose offer it is; sectors: of the image
    that are written for sure; reason: how it ended; begun: of Updater, so that no restart gives more."""

    def __init__(self, at, epoch, id, sequence, size, digest, resource):
        self.phase = OFFERED
        self.at = at
        self.reason = REASON_NONE
        self.begun = self.sectors = 0
        self.epoch = epoch
        self.id = id
        self.sequence = sequence
        self.size = size
        self.digest = digest
        self.resource = resource

    def pack(self):
        head = struct.pack(
            _FORMAT, self.phase, self.at, self.reason, self.begun, self.sectors, self.epoch, self.id, self.sequence,
            self.size, self.digest,
        )
        return head + self.resource.encode()


def unpack(raw):
    """The record in `raw`, or None; None, too, for what another firmware may have left under this name."""
    n = struct.calcsize(_FORMAT)
    if raw is None or len(raw) <= n:
        return None
    phase, at, reason, begun, sectors, epoch, id, sequence, size, digest = struct.unpack(_FORMAT, raw[:n])
    if phase > FETCHING or not 0 < size <= 1 << 22 or max(sequence, epoch, id) > _MAX_INT:
        return None
    try:
        record = Record(at, epoch, id, sequence, size, digest, str(raw[n:], "utf-8"))
    except UnicodeError:
        return None
    record.phase, record.reason, record.begun, record.sectors = phase, reason, begun, sectors
    return record


class Updater:
    """slots: spot.slots.Slots; store, log: as elsewhere; keys: LMS public keys of 56 octets that may sign; identity:
    (sequence that runs, vendor, class, base image); rate: octets a second.

    out: what it needs of the device: tell(now_s, record, state, reason), a guaranteed status; size(record): octets of a
    piece; ask(record, offset, count) -> bool, False: not now; quiet(now_s) -> bool: a sector may be erased;
    proven(now_s, at) -> int: failures of the control loop so far, ABSENT while the device is not associated;
    writing(on): the lamp; alarm(now_s, raised, sequence); restart(now_s).
    piece() takes what was asked for. due_s: when step() is due. unasked, short: pieces dropped since boot.
    """

    def __init__(self, slots, store, log, keys, identity, out, rate=PIECE):
        self._slots = slots
        self._store = store
        self._log = log
        self._keys = keys
        self._sequence, self._vendor, self._class, self._base = identity
        self._out = out
        self._rate = rate
        self.unasked = self.short = 0
        self._refused = None  # (at, id) of the latest that was told
        self._since_s = self._refusals = 0
        self.record = record = unpack(store.get(NAME))
        self._begun = record.begun if record else 0
        self._rest(_FRESH, 0)

    def _rest(self, at=_IDLE, due_s=NEVER):
        """Nothing is under way."""
        self._head = self._page = self._manifest = self._verifier = self._hash = None
        self._asked = -1  # offset of the piece that is under way
        self._heard_s = 0
        self._at = at
        self._do = self._begin
        self.due_s = due_s

    @property
    def progress(self):
        """What of the release is here, in 1/1000; ABSENT while none is fetched."""
        record = self.record
        if self._head is None or record is None:
            return ABSENT
        return self._pos * 1000 // record.size

    def step(self, now_s):
        """Does what is due."""
        try:
            self._do(now_s)
        except MemoryError:
            self._log.warn("update.memory", now_s)
            gc.collect()
            self.due_s = now_s + 60
        except Exception as error:  # whatever it is, the device goes on
            self._failed(now_s, error)

    def _failed(self, now_s, error):
        if not isinstance(error, OSError):
            self._log.failure("update.failed", error, now_s)
        if self._at == _TRIAL:  # it is tried again; that it gets no better is what the end of the trial is for
            self.due_s = max(self.due_s, now_s + 1)
        elif self._active:
            self._end(now_s, STATE_ABORTED, REASON_STORE_FULL)
        else:
            self._rest()

    @property
    def _active(self):
        return self.record is not None and self.record.phase != OVER

    def _keep(self):
        self._store.put(NAME, self.record.pack())

    def _note(self):
        """As _keep, of what the next start need not know."""
        try:
            self._keep()
        except OSError:
            self._log.error("update.not_kept", self.record.sequence)

    # --- offers -----------------------------------------------------------------------------------------------------

    def offer(self, now_s, at, epoch, id, sequence, size, digest, resource):
        """An EMD offers a release. Returns the reason for the answer; NONE: it is taken, or was before."""
        if self._at == _FRESH:
            self.step(now_s)  # what was before the restart comes first
        record = self.record
        same = record is not None and record.at == at and record.id == id and record.digest == digest
        if same and record.phase == OVER and record.epoch == epoch:
            return record.reason
        if self._at >= _INSTALLED:
            return REASON_NONE if same else REASON_BUSY
        now = now_s // _EACH_S - self._since_s // _EACH_S
        self._since_s = now_s
        self._begun = max(0, self._begun - now)
        self._refusals = max(0, self._refusals - now)
        if self._active:
            if record.digest == digest:
                if same and record.epoch == epoch and record.resource == resource:
                    return REASON_NONE
                if self._begun >= _MOST:
                    return REASON_BUSY
                if not same:  # its EMD has begun anew, or another one has it as well: the latest is told how it goes
                    self._out.tell(now_s, record, STATE_SUPERSEDED, REASON_NONE)
                record.at, record.epoch, record.id, record.resource = at, epoch, id, resource
                self._begun = record.begun = self._begun + 1
                if not same:
                    self._out.tell(now_s, record, STATE_RECEIVED, REASON_NONE)
                self._note()
                return REASON_NONE
            if sequence <= record.sequence and now_s - self._heard_s < _STALE_S:
                return self._refuse(now_s, Record(at, epoch, id, sequence, size, digest, resource), REASON_BUSY)
        new = Record(at, epoch, id, sequence, size, digest, resource)
        reason = REASON_NONE
        if sequence <= self._sequence:
            reason = REASON_SEQUENCE
        elif size > self._slots.size:
            reason = REASON_SIZE
        elif self._begun >= _MOST:
            reason = REASON_BUSY
        if reason:
            return self._refuse(now_s, new, reason)
        if self._active:
            self._end(now_s, STATE_SUPERSEDED, REASON_NONE)
        self._begun = new.begun = self._begun + 1
        self._out.tell(now_s, new, STATE_RECEIVED, REASON_NONE)
        self.record = new
        try:
            self._keep()
        except OSError:
            self._end(now_s, STATE_REJECTED, REASON_STORE_FULL)
            return REASON_STORE_FULL
        self._log.info("update.offered", sequence, size)
        self._go(now_s)
        return REASON_NONE

    def _refuse(self, now_s, record, reason):
        """Refused at once. Told once, and not without end: whoever repeats it has the answer alone."""
        self._log.warn("update.refused", record.sequence, reason)
        who = (record.at, record.id)
        if who != self._refused and self._refusals < _MOST:
            self._refused = who
            self._refusals += 1
            self._out.tell(now_s, record, STATE_REJECTED, reason)
        return reason

    def _end(self, now_s, state, reason):
        """Over, in this life or an earlier one: told first, then kept, since to tell it twice is no harm."""
        record = self.record
        (self._log.info if state == STATE_COMPLETED else self._log.warn)("update.over", state, reason)
        self._out.tell(now_s, record, state, reason)
        record.phase, record.reason = OVER, reason
        self._out.writing(False)
        self._rest()
        self._note()

    # --- after a start ----------------------------------------------------------------------------------------------

    def _begin(self, now_s):
        """What an earlier life has left: it goes on, or is told how it ended."""
        self._rest()
        slots, record = self._slots, self.record
        failed = slots.rolled_back
        if failed != ABSENT:
            self._log.error("update.rolled_back", failed, self._sequence)
            self._out.alarm(now_s, 1, failed)
        if not self._active:
            pass
        elif record.sequence == self._sequence:
            if not slots.trial:  # the power went between the confirmation and this
                self._end(now_s, STATE_COMPLETED, REASON_NONE)
        elif failed == record.sequence or failed == 0:  # 0: it was damaged before its first start
            self._end(now_s, STATE_ABORTED, REASON_ROLLED_BACK)
        elif record.sequence < self._sequence:
            self._end(now_s, STATE_SUPERSEDED, REASON_SEQUENCE)
        else:
            self._log.info("update.resumed", record.sequence, record.sectors)
            self._go(now_s)
        if failed != ABSENT:
            try:
                slots.seen()
            except OSError:
                pass  # it is told once more after the next start
        if slots.trial:
            self._proof = ABSENT
            self._good_s = self._looked_s = 0
            self._at = _TRIAL
            self._do = self._trial
            self.due_s = now_s

    def _trial(self, now_s):
        """This start is a trial: it has to show that it registers and holds its control loop."""
        out, record = self._out, self.record
        if now_s >= _TRIAL_S:
            self._log.error("update.not_proven", self._sequence, self._good_s)
            self.due_s = NEVER
            out.restart(now_s)  # where flash refuses the next line, the count of its starts ends it
            self._slots.refuse()
            return
        self.due_s = now_s + 1
        proof = out.proven(now_s, record.at if self._active else 0)
        if proof != ABSENT:
            if proof != self._proof:
                self._proof = proof
                self._good_s = 0
            else:
                self._good_s += now_s - self._looked_s
        self._looked_s = now_s
        if self._good_s >= _GOOD_S:
            self._slots.confirm()
            self._log.info("update.confirmed", self._sequence, now_s)
            self._begin(now_s)  # as after a start that is no trial: told, or the next one

    # --- the head ---------------------------------------------------------------------------------------------------

    def _go(self, now_s):
        self._at = _BUSY
        self._heard_s = now_s
        self._do = self._start
        self.due_s = now_s

    def _start(self, now_s):
        """Fetches the head: also after a restart, since all of it stands in RAM until the image is right."""
        self._manifest = None
        self._page = bytearray(PIECE)
        self._head = bytearray(b"\xff" * suit.HEAD_MAX)
        self._pos = self._credit = 0
        self._credit_s = self._again_s = now_s
        self._wait_s = _WAIT_S
        self._asked = -1
        self._do = self._fetch_head
        self.due_s = now_s

    def _fetch_head(self, now_s):
        try:
            n = suit.extent(self._head, self._pos)
        except suit.SuitError:
            n = 0
        if self._pos < n <= self.record.size and n <= suit.HEAD_MAX:
            self._next(now_s)
            return
        reason = REASON_MALFORMED if n == 0 or n > self._pos else self._check(n)
        if reason:
            self._end(now_s, STATE_REJECTED, reason)
            return
        self._key = -1
        self._next_key(now_s)

    def _check(self, n):
        """The reason why the head in the first n octets is none that this device may take, but for its signature."""
        record = self.record
        try:
            self._manifest = manifest = suit.Manifest(self._head, n)
        except suit.DigestError:
            return REASON_DIGEST
        except suit.SuitError:
            self._log.warn("update.malformed", n)
            return REASON_MALFORMED
        if manifest.own_digest != record.digest:
            return REASON_DIGEST
        if manifest.vendor != self._vendor or manifest.class_id != self._class:
            return REASON_OTHER_BOARD
        if manifest.sequence != record.sequence or manifest.sequence <= self._sequence:
            return REASON_SEQUENCE
        if manifest.base > self._base:
            return REASON_BASE
        if manifest.size + n != record.size or manifest.size > self._slots.size - _IMAGE:
            return REASON_SIZE
        if manifest.signature is None:
            return REASON_SIGNATURE
        return REASON_NONE

    def _next_key(self, now_s):
        """Verifies with the next of the keys; none left: nobody signed it whom this device trusts."""
        manifest = self._manifest
        self._key += 1
        if self._key == len(self._keys):
            self._end(now_s, STATE_REJECTED, REASON_SIGNATURE)
            return
        from .wire.lms import Verifier

        key = self._keys[self._key]
        try:
            self._verifier = Verifier(key, manifest.own_digest, 32, manifest.signature, suit.SIGNED)
        except ValueError:  # of a kind that is not verified here
            self._next_key(now_s)
            return
        self._do = self._verify
        self.due_s = now_s + 1

    def _verify(self, now_s):
        verdict = self._verifier.step(_HASHES)
        if verdict is None:
            self.due_s = now_s + 1
        elif verdict:
            self._verifier = None
            self._verified(now_s)
        else:
            self._next_key(now_s)

    def _verified(self, now_s):
        record, manifest = self.record, self._manifest
        self._log.info("update.verified", manifest.sequence, manifest.size)
        if record.phase == OFFERED:
            self._out.tell(now_s, record, STATE_STARTED, REASON_NONE)
            record.phase = FETCHING
            self._keep()
        whole = record.sectors * SECTOR
        if whole >= manifest.size:  # kept only behind whole sectors
            whole = manifest.size // SECTOR * SECTOR
        self._written = whole  # octets of the image; how many more are in the page
        self._fill = 0
        self._erased = whole
        self._pos = manifest.head_n + whole
        self._heard_s = now_s
        self._out.writing(True)
        self._do = self._fetch
        self.due_s = now_s + 1

    # --- the pieces -------------------------------------------------------------------------------------------------

    def _next(self, now_s):
        """Asks for the piece at `_pos`, when its time has come."""
        self._credit = min(max(self._rate, PIECE), self._credit + (now_s - self._credit_s) * self._rate)
        self._credit_s = now_s
        self.due_s = now_s + 1
        if self._asked >= 0:
            if now_s < self._again_s:
                self.due_s = self._again_s
                return
            self._log.info("update.silence", self._pos, self._wait_s)
            self._wait_s = min(2 * self._wait_s, _WAIT_MOST_S)
            self._asked = -1
        if now_s - self._heard_s >= _GIVE_UP_S:
            self._end(now_s, STATE_ABORTED, REASON_ENDED)
            return
        size = self._out.size(self.record)
        if self._credit < size:
            self.due_s = now_s + max(1, (size - self._credit + self._rate - 1) // self._rate)
            return
        offset = self._pos // size * size
        self._count = min(size, self.record.size - offset)
        self._asked = offset  # first: the answer may be there before ask() is back
        self._again_s = self.due_s = now_s + self._wait_s
        if self._out.ask(self.record, offset, self._count):
            self._credit -= size
        else:
            self._asked = -1
            self._wait_s = _WAIT_S
            self.due_s = now_s + _AWAY_S

    def gone(self, now_s, at, id):
        """The EMD of association `at` knows nothing of offer `id` any more."""
        record = self.record
        if self._at == _BUSY and record.at == at and record.id == id:
            self._end(now_s, STATE_ABORTED, REASON_ENDED)

    def piece(self, now_s, at, id, offset, octets):
        """A piece has come, for offer `id` of association `at`."""
        record = self.record
        if not self._active or self._asked < 0 or offset != self._asked or at != record.at or id != record.id:
            self.unasked += 1
            self._log.warn("update.unasked", offset, id)
            return
        if len(octets) != self._count:
            self.short += 1
            self._log.warn("update.short", offset, len(octets))
            return  # it is asked for again when its time is over
        self._asked = -1
        self._heard_s = now_s
        self._wait_s = _WAIT_S
        try:
            self._take(memoryview(octets)[self._pos - offset :])
        except Exception as error:
            self._failed(now_s, error)
        else:
            self.step(now_s)  # maybe the next one, at once

    def _take(self, octets):
        n = len(octets)
        if self._manifest is None:
            n = min(n, suit.HEAD_MAX - self._pos)
            self._head[self._pos : self._pos + n] = octets[:n]
            self._pos += n
            return
        page = self._page
        self._pos += n
        at = 0
        while at < n:
            k = min(n - at, PIECE - self._fill)
            page[self._fill : self._fill + k] = octets[at : at + k]
            self._fill += k
            at += k
            if self._fill == PIECE or self._pos == self.record.size and at == n:
                self._slots.write(_IMAGE + self._written, memoryview(page)[: self._fill])
                self._written += self._fill
                self._fill = 0
                if self._written % _KEEP == 0:
                    self.record.sectors = self._written // SECTOR
                    self._keep()

    def _fetch(self, now_s):
        size = self._manifest.size
        if self._written == size:
            self._hash = sha256_object(b"")
            self._read = 0
            self._do = self._read_back
            self.due_s = now_s + 1
            return
        # a piece fills the page that was begun, and maybe the next one
        if self._asked < 0 and self._erased < min(size, self._written + 2 * PIECE):
            self.due_s = now_s + 1
            if self._out.quiet(now_s):
                self._slots.erase(_IMAGE + self._erased)
                self._erased += SECTOR
            return
        self._next(now_s)

    # --- the end ----------------------------------------------------------------------------------------------------

    def _read_back(self, now_s):
        """What lies in the slot is hashed, not what came: flash may have worn out."""
        manifest = self._manifest
        self.due_s = now_s + 1
        for _ in range(_PAGES):
            n = min(PIECE, manifest.size - self._read)
            if n == 0:
                if self._hash.digest() != manifest.digest:
                    self._end(now_s, STATE_ABORTED, REASON_DIGEST)
                else:
                    self._do = self._clear
                return
            page = memoryview(self._page)[:n]
            self._slots.read(_IMAGE + self._read, page)
            self._hash.update(page)
            self._read += n

    def _clear(self, now_s):
        self.due_s = now_s + 1
        if self._out.quiet(now_s):
            self._slots.erase(0)
            self._do = self._install

    def _install(self, now_s):
        """The head makes it a release, and the state of the slots the next one to start."""
        head, slots = self._head, self._slots
        n = self._manifest.head_n + 255 & ~255
        slots.write(0, memoryview(head)[:n])
        for i in range(0, n, PIECE):
            page = memoryview(self._page)[: min(PIECE, n - i)]
            slots.read(i, page)
            if page != memoryview(head)[i : i + len(page)]:
                raise OSError(5)  # EIO
        slots.activate()
        self._log.info("update.installed", self.record.sequence, now_s)
        self._rest(_INSTALLED)
        self._out.restart(now_s)
