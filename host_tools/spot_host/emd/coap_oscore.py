"""OSCORE at the EMD, on aiocoap's algorithms: one context for each device and generation, found by its key id in O(1).

What aiocoap's own site wrapper and transport would do is here, because those need EDHOC's library, look a context up by
trying all, and keep each context in a folder: sequence numbers are reserved in strides in the storage's `keys`, replay
windows are kept over an orderly stop and recovered through Echo (RFC 8613, appendices B.1.1 and B.1.2) after any other.
"""

import secrets
import sqlite3

from aiocoap import Message, error, oscore
from aiocoap.interfaces import EndpointAddress, RequestInterface
from aiocoap.numbers import UNAUTHORIZED

STRIDE = 64  # sequence numbers for one write to the disk
_WINDOW = 32  # as on the devices
_SZX_256 = 4


class DeviceContext(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """The EMD's end of one generation of one device's OSCORE context. keyrings: what keeps its state."""

    alg_aead = oscore.algorithms[oscore.DEFAULT_ALGORITHM]
    hashfun = oscore.hashfunctions[oscore.DEFAULT_HASHFUNCTION]

    def __init__(self, eui, pairing, keyrings):
        self.eui, self.pairing, self._keyrings = eui, pairing, keyrings
        self.sender_id, self.recipient_id, self.id_context = pairing.emd, pairing.id, pairing.id_context
        self.derive_keys(pairing.salt, pairing.secret)
        self.echo_recovery = secrets.token_bytes(8)
        self.name = keyrings.state_name("oscore", eui, pairing)
        self.recipient_replay_window = oscore.ReplayWindow(_WINDOW, self._struck)
        self._proven = False
        record = keyrings.keys.get(self.name)
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

    def __repr__(self):
        return f"<context of {self.eui}, generation {self.pairing.generation}>"

    def reserve(self) -> dict:
        """The record that, once it is written, makes the next STRIDE numbers this context's own; `reserved` follows."""
        return {"next": self.sender_sequence_number + STRIDE}

    def reserved(self) -> None:
        """That record is on the disk. The window is in it no more, so that an old one is never taken up."""
        self._reserved = self.sender_sequence_number + STRIDE
        self._window_kept = False

    def farewell(self) -> dict | None:
        """The record for an orderly stop, after which this context is not used again; None: it has no state."""
        if self._reserved == 0 and self._window_kept:
            return None
        record = {"next": self.sender_sequence_number}
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

    def post_seqnoincrease(self):
        """Nothing is left to do: numbers are reserved before they are given out."""

    def _struck(self):
        if self._window_kept:  # from now on a window on the disk, or none for unused keys, would be an old one
            self._write(self._reserved)
            self._window_kept = False

    def _write(self, following):
        try:
            self._keyrings.keys.put({self.name: {"next": following}})
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


class ContextStore:
    """All contexts of a home by (key id, ID Context); it follows the keyrings, from any thread."""

    def __init__(self, keyrings):
        self._keyrings, self._contexts, self._of = keyrings, {}, {}
        for eui, ring in keyrings.rings.items():
            self._changed(eui, ring)
        known = [context for context in self._contexts.values() if keyrings.keys.get(context.name) is not None]
        if known:  # in one transaction, not one for each at its first message
            keyrings.keys.put({context.name: context.reserve() for context in known})
            for context in known:
                context.reserved()
        keyrings.listeners.append(self._changed)

    def _changed(self, eui, ring):
        held = self._of.pop(eui, {})
        good = ring.pairings if ring is not None else []
        kept = {pairing: held.get(pairing) or DeviceContext(eui, pairing, self._keyrings) for pairing in good}
        for pairing, context in held.items():
            key = context.recipient_id, context.id_context
            if pairing not in kept and self._contexts.get(key) is context:
                del self._contexts[key]
        for context in kept.values():
            self._contexts[context.recipient_id, context.id_context] = context
        if kept:
            self._of[eui] = kept

    def find(self, kid, kid_context) -> DeviceContext | None:
        return self._contexts.get((kid, kid_context))

    def holds(self, context) -> bool:
        """Whether this context is still good: not rotated away, not revoked."""
        return self._contexts.get((context.recipient_id, context.id_context)) is context

    def of(self, eui) -> DeviceContext | None:
        """The context for a request to this device: of the generation that it has used last, else the oldest."""
        kept = self._of.get(eui)
        return next(iter(kept.values())) if kept else None

    def close(self) -> None:
        """Keep sequence numbers and windows exactly. The contexts are dead afterwards."""
        self._keyrings.listeners.remove(self._changed)
        records = {context.name: context.farewell() for context in self._contexts.values()}
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
        return isinstance(other, SecureRemote) and (self.context, self.address) == (other.context, other.address)

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
