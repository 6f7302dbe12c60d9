"""OSCORE at the EMD, on aiocoap's algorithms: one context for each device and generation, found by its key id in O(1).

What aiocoap's own site wrapper and transport would do is here, because those need EDHOC's library, look a context up by
trying all, and keep each context in a folder: sequence numbers are reserved in strides in the storage's `keys`, replay
windows are kept over an orderly stop and recovered through Echo (RFC 8613, appendices B.1.1 and B.1.2) after any other.
"""

import hmac
import secrets
import sqlite3

from aiocoap import Message, error, oscore
from aiocoap.interfaces import EndpointAddress, RequestInterface
from aiocoap.numbers import UNAUTHORIZED

STRIDE = 64  # sequence numbers for one write to the disk
_WINDOW = 32  # as on the devices
_SZX_256 = 4


class _Keys(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """The EMD's end of a pairing under one ID Context. hint: how a request names that on the wire, or None."""

    alg_aead = oscore.algorithms[oscore.DEFAULT_ALGORITHM]
    hashfun = oscore.hashfunctions[oscore.DEFAULT_HASHFUNCTION]
    echo_recovery = None
    sender_sequence_number = 0

    def _derive(self, pairing, id_context):
        self.sender_id, self.recipient_id, self.id_context = pairing.emd, pairing.id, id_context
        self.derive_keys(pairing.salt, pairing.secret)

    @classmethod
    def _extract_encrypted0(cls, message):
        """As aiocoap's, without the ID Context: who found the context has looked at it."""
        protected_serialized, protected, unprotected, ciphertext = super()._extract_encrypted0(message)
        unprotected.pop(oscore.COSE_KID_CONTEXT, None)
        return protected_serialized, protected, unprotected, ciphertext

    def post_seqnoincrease(self):
        """Nothing is left to do: numbers are reserved before they are given out."""


class Twin(_Keys):
    """Keys for one step of appendix B.2, with numbers of their own that are kept nowhere."""

    def __init__(self, pairing, id_context):
        self._derive(pairing, id_context)
        self.recipient_replay_window = oscore.ReplayWindow(_WINDOW, lambda: None)
        self.recipient_replay_window.initialize_empty()


class DeviceContext(_Keys):
    """The EMD's end of one generation of one device's OSCORE context. keyrings: what keeps its state."""

    def __init__(self, eui, pairing, keyrings):
        self.eui, self.pairing, self._keyrings = eui, pairing, keyrings
        self.name = keyrings.state_name("oscore", eui, pairing)
        record = keyrings.keys.get(self.name)
        self.renewed = record is not None and "id" in record  # by appendix B.2: the ID Context is a random one
        self._derive(pairing, bytes.fromhex(record["id"]) if self.renewed else pairing.id_context)
        self.echo_recovery = secrets.token_bytes(8)
        self.recipient_replay_window = oscore.ReplayWindow(_WINDOW, self._struck)
        self._proven, self._secret = False, secrets.token_bytes(16)
        if record is None:  # these keys were never used: nothing can be a replay
            self.sender_sequence_number = self._reserved = 0
            self.recipient_replay_window.initialize_empty()
            self._window_kept = True
        else:
            self.sender_sequence_number = self._reserved = record["next"]
            window = record.get("window")
            if window is not None:
                self.recipient_replay_window.initialize_from_persisted(window)
            self._window_kept = window is not None

    @property
    def hint(self):
        """The kid context of requests under this context: None, the generation, or the wrapped random ID Context."""
        return wrapped(self.id_context) if self.renewed else self.id_context

    def __repr__(self):
        return f"<context of {self.eui}, generation {self.pairing.generation}>"

    def reserve(self) -> dict:
        """The record that, once it is written, makes the next STRIDE numbers this context's own; `reserved` follows."""
        return self._record(self.sender_sequence_number + STRIDE)

    def reserved(self) -> None:
        """That record is on the disk. The window is in it no more, so that an old one is never taken up."""
        self._reserved = self.sender_sequence_number + STRIDE
        self._window_kept = False

    def farewell(self) -> dict | None:
        """The record for an orderly stop, after which this context is not used again; None: it has no state."""
        if self._reserved == 0 and self._window_kept:
            return None
        record = self._record(self.sender_sequence_number)
        if self.recipient_replay_window.is_initialized():
            record["window"] = self.recipient_replay_window.persist()
        self._reserved = -1
        return record

    def new_sequence_number(self):
        if self.sender_sequence_number >= self._reserved:
            if self._reserved < 0:
                raise oscore.ContextUnavailable("the EMD is stopping")
            self._write(self.sender_sequence_number + STRIDE)
            self._reserved = self.sender_sequence_number + STRIDE
        if self.sender_sequence_number >= oscore.MAX_SEQNO:
            raise oscore.ContextUnavailable("the sequence numbers are used up: rotate the key")
        self.sender_sequence_number += 1
        return self.sender_sequence_number - 1

    def _struck(self):
        if self._window_kept:  # from now on a window on the disk, or none for unused keys, would be an old one
            self._write(self._reserved)
            self._window_kept = False

    def _record(self, following):
        record = {"next": following}
        if self.renewed:
            record["id"] = self.id_context.hex()
        return record

    def _write(self, following):
        try:
            self._keyrings.keys.put({self.name: self._record(following)})
        except sqlite3.Error as exc:
            raise oscore.ContextUnavailable(f"the disk does not take the sequence numbers: {exc}") from exc

    def unprotect(self, protected_message, request_id=None):
        """As aiocoap's; the first message that is good proves that the device has this generation."""
        result = super().unprotect(protected_message, request_id)
        if not self._proven:
            self._proven = self._keyrings.used(self.eui, self.pairing)
            if not self._proven:
                raise oscore.ContextUnavailable("the disk does not take that this key is in use")
        return result


    def protect(self, message, request_id=None, *, kid_context=True):
        """As aiocoap's. A random ID Context is not sent: the device knows whose it is."""
        named = self.id_context is not None and not self.renewed
        return super().protect(message, request_id, kid_context=self.id_context if named else False)

    # Appendix B.2, as the server: the device has lost its sequence numbers, and both take a new, random ID Context

    def twin(self, id_context) -> Twin:
        return Twin(self.pairing, id_context)

    def nonce_r2(self) -> bytes:
        """R2: eight random octets and their HMAC, so that none has to be remembered."""
        s2 = secrets.token_bytes(8)
        return s2 + hmac.digest(self._secret, s2, "sha256")[:8]

    def knows_r2(self, id_context) -> bool:
        """Whether R2 || R3 begins with an R2 that was given since the last run was completed."""
        expected = hmac.digest(self._secret, id_context[:8], "sha256")[:8]
        return len(id_context) > 16 and hmac.compare_digest(expected, id_context[8:16])

    def adopt(self, id_context, seen) -> None:
        """Take R2 || R3 for good; `seen` is the number of the request that proved it. Raises ContextUnavailable."""
        before = self.id_context, self.renewed
        self.renewed, self.id_context = True, id_context
        try:
            self._write(self.sender_sequence_number + STRIDE)
        except oscore.ContextUnavailable:
            self.id_context, self.renewed = before
            raise
        self._derive(self.pairing, id_context)
        self._reserved, self._window_kept = self.sender_sequence_number + STRIDE, False
        self.recipient_replay_window.initialize_from_freshlyseen(seen)
        self._secret = secrets.token_bytes(16)


class ContextStore:
    """All contexts of a home by their key id; it follows the keyrings, from any thread."""

    def __init__(self, keyrings):
        self._keyrings, self._kids, self._of = keyrings, {}, {}
        for eui, ring in keyrings.rings.items():
            self._changed(eui, ring)
        contexts = [context for kept in self._of.values() for context in kept.values()]
        known = [context for context in contexts if keyrings.keys.get(context.name) is not None]
        if known:  # in one transaction, not one for each at its first message
            keyrings.keys.put({context.name: context.reserve() for context in known})
            for context in known:
                context.reserved()
        keyrings.listeners.append(self._changed)

    def _changed(self, eui, ring):
        held = self._of.pop(eui, {})
        good = ring.pairings if ring is not None else []
        kept = {pairing: held.get(pairing) or DeviceContext(eui, pairing, self._keyrings) for pairing in good}
        for pairing in held:
            if self._kids.get(pairing.id) == tuple(held.values()):
                del self._kids[pairing.id]
        if kept:
            self._of[eui] = kept
            self._kids[good[0].id] = tuple(kept.values())

    def find(self, kid, kid_context) -> list:
        """The contexts that a request with these can be under, most likely first; one or none but after a loss."""
        contexts = self._kids.get(kid, ())
        if kid_context is None:
            plain = [c for c in contexts if c.id_context is None]
            return plain + [c for c in contexts if c.renewed]
        return [c for c in contexts if c.hint == kid_context]

    def renewing(self, kid, kid_context):
        """What a request that begins or ends appendix B.2 can be under: [(context, the ID Context it names)]."""
        id_context = unwrapped(kid_context) if kid_context is not None and len(kid_context) > 4 else None
        return [(c, id_context) for c in self._kids.get(kid, ())] if id_context is not None else []

    def holds(self, context) -> bool:
        """Whether this context is still good: not rotated away, not revoked."""
        return self._of.get(context.eui, {}).get(context.pairing) is context

    def of(self, eui) -> DeviceContext | None:
        """The context for a request to this device."""
        kept, ring = self._of.get(eui), self._keyrings.rings.get(eui)
        return kept.get(ring.sending) if kept and ring is not None else None

    def close(self) -> None:
        """Keep sequence numbers and windows exactly. The contexts are dead afterwards."""
        self._keyrings.listeners.remove(self._changed)
        contexts = [context for kept in self._of.values() for context in kept.values()]
        records = {context.name: context.farewell() for context in contexts}
        records = {name: record for name, record in records.items() if record is not None}
        if records:
            self._keyrings.keys.put(records)


class SecureRemote(EndpointAddress):
    """A device behind `context`, reachable at aiocoap's remote `address`."""

    is_multicast = is_multicast_locally = False
    maximum_payload_size = 1024
    maximum_block_size_exp = 6

    def __init__(self, context, address, reliable):
        self.context, self.address = context, address
        self.maximum_block_size_exp = 6 if reliable else _SZX_256

    def __eq__(self, other):
        return (
            isinstance(other, SecureRemote)
            and self.context is other.context
            and type(self.address) is type(other.address)
            and self.address == other.address
        )

    def __hash__(self):
        return hash((id(self.context), self.address))

    def __repr__(self):
        return f"<{self.context!r} at {self.address!r}>"

    hostinfo = property(lambda self: self.address.hostinfo)
    hostinfo_local = property(lambda self: self.address.hostinfo_local)
    uri_base = property(lambda self: self.address.uri_base)
    uri_base_local = property(lambda self: self.address.uri_base_local)
    scheme = property(lambda self: self.address.scheme)
    blockwise_key = property(lambda self: (self.context.name, self.address.blockwise_key))

    def as_response_address(self):
        return self


class SecureTransport(RequestInterface):
    """Requests to a SecureRemote: protected, sent over aiocoap's other transports, repeated once with an Echo."""

    def __init__(self, context):
        self._context, self._tasks = context, set()

    async def fill_or_recognize_remote(self, message):
        return isinstance(message.remote, SecureRemote)

    def request(self, pipe):
        task = self._context.loop.create_task(self._run(pipe))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        pipe.on_interest_end(task.cancel)

    async def shutdown(self):
        for task in list(self._tasks):
            task.cancel()

    async def _run(self, pipe):
        try:
            await self._exchange(pipe, pipe.request)
        except Exception as exc:  # to whoever asked; aiocoap wants an error of its own kind
            pipe.add_exception(exc if isinstance(exc, error.Error) else error.NetworkError(str(exc)))

    def _send(self, message, remote):
        protected, binding = remote.context.protect(message)
        protected.remote = remote.address
        return self._context.request(protected, handle_blockwise=False), binding

    async def _exchange(self, pipe, message):
        remote = message.remote
        sent, binding = self._send(message, remote)
        answer = self._open(await sent.response, remote, binding)
        if answer.code == UNAUTHORIZED and answer.opt.echo is not None:
            sent, binding = self._send(message.copy(echo=answer.opt.echo), remote)
            answer = self._open(await sent.response, remote, binding)
        observed = message.opt.observe == 0 and answer.opt.observe is not None and answer.code.is_successful()
        pipe.add_response(answer, is_last=not observed)
        if observed:
            async for notification in sent.observation:
                answer = self._open(notification, remote, binding)
                more = notification.opt.observe is not None and answer.code.is_successful()
                pipe.add_response(answer, is_last=not more)
                if not more:
                    return
            raise error.ObservationCancelled()

    @staticmethod
    def _open(response, remote, binding) -> Message:
        answer, _ = remote.context.unprotect(response, binding)
        answer.remote = remote
        return answer


def wrapped(octets):
    """A CBOR byte string of at most 255 octets."""
    return (bytes((0x40 + len(octets),)) if len(octets) < 24 else bytes((0x58, len(octets)))) + octets


def unwrapped(octets):
    """The octets in such a string; None when it is none."""
    inner = octets[2:] if octets[0] == 0x58 else octets[1:]
    return inner if wrapped(inner) == octets else None
