"""The keys of one association by generation: what was provisioned, and what an EMD has put in its place since.

Rotation has no gap. The EMD offers a generation under the current one; from then on both are taken. The device goes on
sending under the old one until the peer has used the new one, which shows that it has it; then the old one goes. An
offer that is repeated, or made anew because its answer was lost, is answered as before.

Two records below `name`: "{name}_k", the generations, and "{name}_0" or "{name}_1", sequence numbers by the parity of
the generation (wire/context.py). The keys' record is written behind the numbers', so that a store that has the first
and not the second has lost numbers. A cut leaves the old record or the new one. A pairing file with another secret than
the record was made with begins anew; forgetting keys for good is a new pairing file, and its old one destroyed.
"""

from spot.codes import REASON_MALFORMED, REASON_NONE, REASON_STALE_REVISION, REASON_STORE_FULL
from spot.port import const, sha256
from spot.wire.context import Context, ContextError

_SECRET = const(16)
_USED = const(21)  # offset of the flags: 1: the peer has been heard under these keys


class Keyring:
    """pairing: the provisioned file as a dict (secret, salt, id, emd as hex, generation, until). store: Store. name: up
    to 18 of a-z, 0-9, _. on_change(context, added): tells who takes messages of a context that comes or goes. renew:
    provisioned keys whose numbers are not in the store begin with appendix B.2, which only OSCORE has, since a store
    that was erased, or is another one, tells nothing of what was sent under them.

    current: the context to send under. contexts: those to take, one or two.
    ValueError for a pairing that is none.
    """

    def __init__(self, pairing, store, name, log, on_change=None, renew=False):
        self._store = store
        self._name = name
        self._log = log
        self._on_change = on_change
        try:
            secret = bytes.fromhex(pairing["secret"])
            self._salt = bytes.fromhex(pairing["salt"])
            self._id = bytes.fromhex(pairing["id"])
            self._emd = bytes.fromhex(pairing["emd"])
            generation = pairing.get("generation", 0)
            self._until = pairing.get("until")
            if len(secret) != _SECRET or not 0 <= generation < 256:
                raise KeyError
        except (KeyError, TypeError):
            raise ValueError("pairing")  # noqa: B904 - MicroPython has no `from`
        # Record: print of the provisioned secret (4), generation, secret, flags; when one is offered its secret too.
        mark = sha256(b"pairing" + secret)[:4]
        raw = store.get(name + "_k")
        known = raw is not None and len(raw) in (_USED + 1, _USED + 1 + _SECRET) and raw[:4] == mark
        self._raw = raw if known else mark + bytes([generation]) + secret + b"\0"
        self.current = self._context(0, known or renew)
        self.contexts = [self.current]
        if not known:
            try:
                if not self.current.lost:
                    self.current.begin()
                self._keep(self._raw)
            except ContextError:
                log.error("keys.store", generation)  # nothing is sent until the store takes the numbers
                self.current.fresh = False  # nor taken: at the next start it could come again
        elif len(raw) > _USED + 1:
            self.contexts.append(self._context(1, True))

    def _context(self, offered, known):
        raw = self._raw
        generation = raw[4] + offered
        secret = raw[_USED + 1:] if offered else raw[5:_USED]
        id_context = bytes([generation]) if generation else None
        return Context(secret, self._salt, self._id, self._emd, id_context, self._store,
                       "%s_%d" % (self._name, generation & 1), known)

    def _keep(self, raw):
        try:
            self._store.put(self._name + "_k", raw)
        except OSError:
            raise ContextError("store")  # noqa: B904
        self._raw = raw

    @property
    def generation(self):
        """Generation of the current keys."""
        return self._raw[4]

    def expired(self, unix_s):
        """Whether the pairing has to be refused: its time ran out before the peer was first heard under it."""
        return self._until is not None and unix_s > self._until and not self._raw[_USED]

    def offer(self, generation, secret):
        """New keys from the EMD: the generation after the current one, and a secret of 16 octets. REASON_NONE: they are
        in flash, and taken from now on; a reason otherwise, and nothing has changed."""
        raw = self._raw
        if len(secret) != _SECRET or secret == raw[5:_USED]:
            return REASON_MALFORMED
        if generation != raw[4] + 1 or generation > 255:
            return REASON_STALE_REVISION
        if raw[_USED + 1:] == secret:
            return REASON_NONE
        try:
            self._raw = raw[:_USED + 1] + secret
            context = self._context(1, False)
            context.begin()
            self._keep(self._raw)
        except ContextError:
            self._raw = raw
            self._log.error("keys.store", generation)
            return REASON_STORE_FULL
        if len(self.contexts) > 1:
            self.current = self.contexts[0]
            self._drop(self.contexts[1])
        self.contexts.append(context)
        if self._on_change:
            self._on_change(context, True)
        self._log.info("keys.offered", generation)
        return REASON_NONE

    def used(self, context):
        """A message has been verified under this context: to be called for each, it is quick. An offered one is the
        current one from here on, and the other one goes; where the store refuses, it goes at the next message."""
        try:
            self._used(context)
        except ContextError:
            self._log.error("keys.store", self._raw[4])

    def turn(self):
        """The peer disowns the current keys: send under the other ones, if there are any."""
        self.current = self.contexts[-1 if self.current is self.contexts[0] else 0]

    def _used(self, context):
        raw = self._raw
        if context is self.contexts[0]:
            if not raw[_USED]:
                self._keep(raw[:_USED] + b"\1" + raw[_USED + 1:])
        elif context in self.contexts:
            self.current = context  # also where the store refuses: with our answer the peer drops the old ones
            self._keep(raw[:4] + bytes([raw[4] + 1]) + raw[_USED + 1:] + b"\1")
            self._drop(self.contexts[0])
            self._log.info("keys.changed", self._raw[4])

    def _drop(self, context):
        self.contexts.remove(context)
        if self._on_change:
            self._on_change(context, False)
