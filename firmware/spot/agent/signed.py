"""Broadcasts whose sender is proven: parts put together, and one LMS signature verified, a slice in each turn.

Only loaded where a signer's key is configured. What an attacker can make of it is bounded: one buffer, one revision
at a time, PER_HOUR verifications an hour, SLICE hashes in a turn; and what is replayed costs one look at a number.
"""

from spot.agent.times import NEVER, four
from spot.codes import (
    REASON_MALFORMED,
    REASON_OUT_OF_RANGE,
    SIGNED_OCTETS,
    SIGNED_PARTS,
    T_CARBON,
    T_GRID_STATE,
    T_PRICE,
    T_SIGNED,
    T_WEATHER,
)
from spot.port import const
from spot.wire import profile

PER_HOUR = const(6)  # verifications; a signer needs one a day
SLICE = const(64)  # hashes in a turn: 12 ms on an RP2040, 9 turns for a signature
STALE_S = const(600)  # an unfinished revision this old gives way to an older one
LABEL = b"SPOT signed"

_INSIDE = (T_PRICE, T_CARBON, T_WEATHER, T_GRID_STATE)  # a broadcast informs, it never commands


class Signed:
    """Takes `signed` messages of one association.

    key: the signer's LMS public key (wire/lms.py; ValueError when it is none). deliver(now_s, buf, n): takes a body
    that is proven. name: of the revision kept in `store`. due_s: when step() wants to be called. revision: the latest
    verified (-1: none). failures: signatures that were none, since boot.
    """

    def __init__(self, key, store, log, deliver, name="signed"):
        from spot.wire.lms import Verifier, signature_octets

        self._signature = signature_octets(key)
        self._verifying = Verifier
        self._key = key
        self._id = key[8:16]
        self._store = store
        self._log = log
        self._deliver = deliver
        self._name = name
        self._buf = bytearray(SIGNED_PARTS * SIGNED_OCTETS)
        self.revision = -1
        raw = store.get(name)
        if raw is not None and len(raw) == 12 and raw[:8] == self._id:
            self.revision = int.from_bytes(raw[8:], "big")
        self._hour_s = 0
        self._used = 0
        self.failures = 0
        self._clear()

    def _clear(self):
        self._collected = -1  # the revision whose parts are in the buffer
        self._since_s = self._parts = self._have = self._last = 0
        self._verifier = None
        self.due_s = NEVER

    def receive(self, now_s, buf, n):
        """Takes the first n octets of buf, a `signed` message. Raises ProfileError."""
        key, revision, part, parts, octets = profile.decode(T_SIGNED, buf, n)
        if key != self._id or revision <= self.revision or self._verifier is not None:
            return  # another signer's, or old, or busy: it comes again
        if part >= parts or (len(octets) != SIGNED_OCTETS and part < parts - 1):
            raise profile.ProfileError(REASON_OUT_OF_RANGE, T_SIGNED, 2 if part >= parts else 4)
        if revision != self._collected or parts != self._parts:
            if revision < self._collected and now_s - self._since_s < STALE_S:
                return
            self._collected = revision
            self._parts = parts
            self._have = 0
            self._since_s = now_s
        at = part * SIGNED_OCTETS
        self._buf[at:at + len(octets)] = octets
        self._have |= 1 << part
        if part == parts - 1:
            self._last = len(octets)
        if self._have == (1 << parts) - 1:
            self._begin(now_s)

    def _begin(self, now_s):
        """All parts are there: verify, if that is still allowed in this hour."""
        if now_s - self._hour_s >= 3600:
            self._hour_s = now_s
            self._used = 0
        self._n = (self._parts - 1) * SIGNED_OCTETS + self._last - self._signature
        if self._used >= PER_HOUR or self._n < 2:
            self._log.warn("signed.too_many" if self._n >= 2 else "signed.short", self._collected, self._used)
            self._clear()
            return
        self._used += 1
        view = memoryview(self._buf)[self._n:self._n + self._signature]
        self._verifier = self._verifying(self._key, self._buf, self._n, view, LABEL + four(self._collected))
        self.due_s = now_s

    def step(self, now_s):
        """A slice of the verification; at its end the body is delivered, and then the revision kept."""
        if self._verifier is None:
            return
        verdict = self._verifier.step(SLICE)
        if verdict is None:
            self.due_s = now_s
            return
        revision, n = self._collected, self._n
        self._clear()
        if not verdict:
            self.failures += 1
            self._log.warn("signed.refused", revision, self.failures)
            return
        self.revision = revision
        self._log.info("signed.verified", revision, n)
        try:
            if profile.head(self._buf, n) not in _INSIDE:
                raise profile.ProfileError(REASON_MALFORMED, T_SIGNED)
            self._deliver(now_s, self._buf, n)
        except profile.ProfileError as error:  # the signer's own fault: it would not be better the next time
            self._log.warn("signed.inside", revision, error.reason)
        try:  # after the delivery: a power cut between them is a harmless repetition
            self._store.put(self._name, self._id + four(revision))
        except OSError:  # StoreError: known until the next reboot
            self._log.error("signed.not_kept", revision)


def parse_key(text):
    """The public key that `text` is in hexadecimal. ValueError when it is none that is verified here."""
    from spot.wire.lms import KEY_OCTETS, signature_octets

    if len(text) != 2 * KEY_OCTETS:
        raise ValueError("LMS public key")
    key = bytes(int(text[i:i + 2], 16) for i in range(0, len(text), 2))
    signature_octets(key)
    return key
