"""The CoAP adapter: the core's way out, and the devices' requests into the core. aiocoap in a thread of its own.

`CoapLink` is complete without the service: give it settings and keyrings, `start` it, and `take` what arrived. Whatever
touches aiocoap runs in its loop; the caller's thread has a bounded inbox, a socket that wakes it, and counters.
"""

import asyncio
import collections
import contextlib
import errno
import logging
import os
import select
import socket
import sqlite3
import ssl
import threading
import time

from aiocoap import Context, Message, error
from aiocoap.numbers import codes
from aiocoap.numbers.constants import Unreliable
from aiocoap.numbers.types import NON
from aiocoap.transports.tcp import TcpConnection
from aiocoap.transports.udp6 import UDP6EndpointAddress
from cryptography import x509

from spot_host.emd.coap_oscore import ContextStore, SecureRemote, SecureTransport
from spot_host.emd.coap_site import Front
from spot_host.emd.coap_transport import open_stream, open_udp
from spot_host.emd.notes import Notes
from spot_host.errors import UserError
from spot_host.profile import codec
from spot_host.profile import definition as d

_BEST_EFFORT = frozenset(m.code for m in d.MESSAGES if m.delivery == "best effort")
_LOST = codec.encode("link", {"online": 0})
_MOST_WAITING = 10_000  # messages for the caller
_MOST_DEVICES = 65_535
_QUEUE = 32  # messages for one device; the core repeats what it has no word of
_RELIABLE_S = 60.0  # for an answer over TCP, where nothing else ends a request
_CONFIRMED_S = 120.0  # for one over UDP: behind an empty acknowledgement, which anybody can send, nothing else does
_START_S = 10.0
_WHOLE = 256  # octets in one message on UDP
_NUMBER = {"get": codes.GET, "post": codes.POST, "put": codes.PUT, "delete": codes.DELETE}


class Arrival:
    """One message of a device: `device` (EUI), `channel`, `body`. `answer(text)`: taken, or refused with a text."""

    __slots__ = ("device", "channel", "body", "_answered")

    def __init__(self, device, channel, body, answered):
        self.device, self.channel, self.body, self._answered = device, channel, body, answered


class _Device:
    __slots__ = ("remote", "queue", "task", "current", "failing", "saved")

    def __init__(self):
        self.remote = self.task = self.current = self.saved = None
        self.queue, self.failing = collections.deque(), False


class CoapLink:
    """`send` and `publish` for the core; `take` and `answer` for what came.

    settings: config.Coap. keyrings: emd.keyrings.Keyrings. notes: emd.notes.Notes, for what people should know.
    """

    def __init__(self, settings, keyrings, notes=None):
        self.settings, self.keyrings = settings, keyrings
        self.notes = Notes() if notes is None else notes
        self.listening, self.dropped, self.inbox = False, 0, collections.deque()
        self._sent, self._arrived, self._delivered = (collections.Counter() for _ in range(3))
        self.up_bytes, self.down_bytes = collections.Counter(), collections.Counter()
        self._devices, self._something = {}, threading.Condition()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._thread = self._loop = self._context = self._front = self._udp = None
        self._revoked, self._crl_stamp, self._streams = frozenset(), None, []
        self._contexts = None
        self.shelf = None  # emd.firmware.Shelf, set before `start`: releases for who was offered them

    # From the caller's thread

    def start(self) -> None:
        """Bind the ports. Raises UserError when one cannot be bound, or a certificate is bad."""
        tls = self._tls() if self.settings.tls_port else None
        started, failed = threading.Event(), []

        def run():
            loop = self._loop = asyncio.new_event_loop()
            loop.set_exception_handler(self._failed)
            asyncio.set_event_loop(loop)
            try:
                loop.run_until_complete(self._open(tls))
            except (UserError, OSError, sqlite3.Error) as exc:
                failed.append(exc)
                loop.run_until_complete(self._close())
                started.set()
                return
            started.set()
            loop.run_forever()
            loop.run_until_complete(self._close())
            loop.close()

        self._thread = threading.Thread(target=run, name="coap", daemon=True)
        self._thread.start()
        if not started.wait(_START_S):
            raise UserError("[coap]: the server did not start")
        if failed:
            self._thread.join()
            raise failed[0] if isinstance(failed[0], UserError) else UserError(f"[coap]: {failed[0]}")
        self.listening = True

    def stop(self) -> None:
        """End all exchanges, keep sequence numbers and replay windows, free the ports."""
        if self.listening:
            self.listening = False
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_START_S)
        self._wake_in.close()
        self._wake_out.close()

    def send(self, device: str, channel: str, body: bytes) -> bool:
        """To one device, in order; best-effort messages non-confirmable. False when it is known to be nowhere."""
        known = self._devices.get(device)
        if not self.listening or known is None or known.remote is None:
            self.dropped += 1
            return False
        self._sent[device] += 1
        self.down_bytes[device] += len(body)
        self._loop.call_soon_threadsafe(self._send, device, channel, bytes(body))
        return True

    def publish(self, group: str, channel: str, body: bytes) -> None:
        """To all who observe /group/{group}/{channel}, and to whoever asks for it from now on."""
        if self.listening:
            self._loop.call_soon_threadsafe(self._front.publish, str(group), channel, bytes(body))

    def fileno(self) -> int:
        """Readable while there is something to take."""
        return self._wake_in.fileno()

    def wait(self, timeout_s: float) -> None:
        """Until there is something to take, at most so long."""
        if not self.inbox and self._wake_in.fileno() >= 0:
            select.select([self._wake_in], [], [], timeout_s)

    def take(self) -> list:
        """All Arrivals, oldest first."""
        with contextlib.suppress(OSError):  # empty, or closed
            while self._wake_in.recv(4096):
                pass
        out, inbox = [], self.inbox
        with contextlib.suppress(IndexError):
            while True:
                out.append(inbox.popleft())
        return out

    def answer(self, answers) -> None:
        """[(Arrival, None or the text of its refusal)]: what the devices are told."""
        waiting = [(a._answered, text) for a, text in answers if a._answered is not None]
        if waiting and self.listening:
            self._loop.call_soon_threadsafe(_settle, waiting)

    def sent(self, device) -> int:
        """Messages handed over for the device itself so far."""
        return self._sent[device]

    def arrived(self, device) -> int:
        """Messages that came from the device so far."""
        return self._arrived[device]

    def delivered(self, device) -> int:
        """Confirmable messages that the device has answered well so far."""
        return self._delivered[device]

    def await_arrival(self, device, count, seconds) -> bool:
        """Sleep until `count` messages have come from `device`, at most `seconds`; True when they have."""
        with self._something:
            return self._something.wait_for(lambda: self._arrived[device] >= count, seconds)

    def way(self, device) -> str | None:
        """Over what the device was heard last, as "coap+oscore"; None when it was not."""
        known = self._devices.get(device)
        remote = known.remote if known is not None else None
        if remote is None:
            return None
        return remote.scheme + ("+oscore" if isinstance(remote, SecureRemote) else "")

    def moved_away(self, device) -> None:
        """The device speaks over something else now."""
        if self.listening and device in self._devices:
            self._loop.call_soon_threadsafe(self._leave, device)

    def protected(self, device) -> bool:
        """Whether what is sent to the device now can be read by nobody else."""
        return self.way(device) in ("coap+oscore", "coap+tcp+oscore", "coaps+tcp+oscore", "coaps+tcp")

    def ask(self, device: str, method: str, path: str, payload: bytes = b"", query=(), content_format=None):
        """One request to the device in the EMD's own context; a concurrent Future of a dict (`code`, `payload`, …)."""
        message = Message(
            code=_NUMBER[method], uri_path=tuple(p for p in path.split("/") if p), uri_query=tuple(query),
            payload=payload, content_format=content_format,
        )  # fmt: skip
        return asyncio.run_coroutine_threadsafe(self._ask_for(device, message), self._loop)

    def observe(self, device: str, path: str, notify):
        """Observe a resource of the device; notify(dict) in aiocoap's thread. A Future with which to cancel it."""
        message = Message(code=codes.GET, uri_path=tuple(p for p in path.split("/") if p), observe=0)
        return asyncio.run_coroutine_threadsafe(self._observe(device, message, notify), self._loop)

    def directory(self):
        """A concurrent Future of what the resource directory holds: [{"ep", "base", "lt", "links"}]."""

        async def held():
            return [
                {"ep": r.registration_parameters["ep"][0], "base": r.base, "lt": r.lt, "links": str(r.links)}
                for r in self._front.directory.get_endpoints()
            ]

        return asyncio.run_coroutine_threadsafe(held(), self._loop)

    def observers(self) -> int:
        """Observations of groups that are held now."""
        return self._front.observers()

    def refresh(self) -> None:
        """Look whether certificates were revoked; call it now and then."""
        if not self.settings.tls_port or not self.settings.crl:
            return
        try:
            with open(self.settings.crl, "rb") as file:
                content = file.read()
            if content == self._crl_stamp:
                return
            revoked = frozenset(entry.serial_number for entry in x509.load_pem_x509_crl(content))
        except (OSError, ValueError) as exc:
            self.notes.add("crl_refused", None, f"{self.settings.crl}: {exc}")
            return
        self._revoked, self._crl_stamp = revoked, content
        if self.listening:
            self._loop.call_soon_threadsafe(self._drop_revoked)

    # In aiocoap's loop

    async def _open(self, tls):
        log = logging.getLogger(f"spot.coap.{id(self):x}")
        log.propagate, log.handlers = False, [_ToNotes(self.notes)]
        log.setLevel(logging.WARNING)
        self._contexts = ContextStore(self.keyrings)
        self._front = Front(
            self.settings, self._contexts, self.keyrings, self._heard, self._enqueue, self.notes.add, self._lost,
            self._allowed,
        )  # fmt: skip
        self._front.shelf = self.shelf
        context = self._context = Context(loop=self._loop, serversite=self._front, loggername=log.name)
        context.request_interfaces.append(SecureTransport(context))
        host = self.settings.host
        if self.settings.udp_port:
            self._udp = await open_udp(context, host, self.settings.udp_port)
        if self.settings.tcp_port:
            self._streams.append(await open_stream(context, host, self.settings.tcp_port, None, self._gone))
        if self.settings.tls_port:
            self._streams.append(await open_stream(context, host, self.settings.tls_port, tls, self._gone))
        self.keyrings.listeners.append(self._rekeyed)
        self._recall()

    async def _close(self):
        opened = self._rekeyed in self.keyrings.listeners
        if opened:
            self.keyrings.listeners.remove(self._rekeyed)
        if self._front is not None:
            self._front.stop()
        for device in self._devices.values():
            if device.task is not None:
                device.task.cancel()
        await asyncio.sleep(0.01)  # what has just come in begins, and is then ended like the rest
        if self._context is not None:
            with contextlib.suppress(Exception):
                await self._context.shutdown()
        if self._contexts is not None:
            try:
                if opened:  # else nothing was recalled, and nobody came: what is kept stands
                    self._remember()
                self._contexts.close()
            except sqlite3.Error as exc:
                self.notes.add("coap_internal", None, f"sequence numbers: {exc}")  # strides hold; windows are lost
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tls(self):
        s = self.settings
        for name in ("ca", "cert", "key"):
            if not getattr(s, name):
                raise UserError(f"[coap] {name}: missing; give the file, or tls_port = 0")
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(s.cert, s.key)
            context.load_verify_locations(s.ca)
            context.verify_mode = ssl.CERT_REQUIRED
            context.set_alpn_protocols(["coap"])
        except ssl.SSLError as exc:
            raise UserError(f"[coap] ca, cert, key: not an authority, a certificate and its key: {exc}") from exc
        except OSError as exc:
            raise UserError(f"[coap] ca, cert, key: {exc.filename or s.cert}: {exc.strerror}") from exc
        self.refresh()
        return context

    def _failed(self, loop, about):
        exc = about.get("exception")
        if isinstance(exc, (ssl.SSLError, ConnectionError)):
            self.notes.add("coap_tls", None, str(exc))
        else:
            self.notes.add("coap_internal", None, f"{about.get('message')}: {exc!r}")

    def _allowed(self, eui, serial):
        if serial not in self._revoked:
            return True
        self.notes.add("coap_revoked", eui, "its certificate is revoked")
        return False

    def _drop_revoked(self):
        for stream in self._streams:
            for connection in list(stream._pool):
                if getattr(connection, "spot_serial", None) in self._revoked:
                    self.notes.add("coap_revoked", connection.spot_eui, "its certificate is revoked")
                    connection.abort("revoked")

    def _heard(self, peer):
        known = self._devices.get(peer.eui)
        if known is None:
            if len(self._devices) >= _MOST_DEVICES:  # where everybody is taken at his word
                raise error.ServiceUnavailable("no room for another device")
            known = self._devices[peer.eui] = _Device()
        connection = peer.remote.address if isinstance(peer.remote, SecureRemote) else peer.remote
        if peer.reliable:
            connection.proven = True
            connection.devices = getattr(connection, "devices", frozenset()) | {peer.eui}
        remote = self._current(peer.eui, peer.remote)
        if type(known.remote) is type(remote) and known.remote == remote:
            return
        known.remote = remote
        if known.current is not None:  # what is on its way to where the device no longer is
            known.task.cancel()
            known.queue.appendleft(known.current)
            known.current, known.task = None, None
        self._work(peer.eui, known)

    def _current(self, eui, remote):
        """The same address, under the context that is for what the EMD sends."""
        if not isinstance(remote, SecureRemote):
            return remote
        context = self._contexts.of(eui)
        if context is None or context is remote.context:
            return remote
        return SecureRemote(context, remote.address, isinstance(remote.address, TcpConnection))

    def _enqueue(self, eui, channel, body, answered):
        if len(self.inbox) >= _MOST_WAITING:
            return False
        with self._something:
            self.inbox.append(Arrival(eui, channel, body, answered))
            self._arrived[eui] += 1
            self.up_bytes[eui] += len(body)
            self._something.notify_all()
        with contextlib.suppress(OSError):
            self._wake_out.send(b"\0")
        return True

    def _lost(self, eui):
        """Its lease in the directory is over: what the last will says on MQTT."""
        self._enqueue(eui, "link", _LOST, None)

    def _gone(self, connection):
        for eui in getattr(connection, "devices", ()):
            known = self._devices.get(eui)
            if known is not None and known.remote is not None and _connection(known.remote) is connection:
                known.remote = None
                self._front.forget(eui)  # its entry in the directory named this connection; it makes another one
                self._enqueue(eui, "link", _LOST, None)

    def _rekeyed(self, eui, ring):
        self._loop.call_soon_threadsafe(self._forget if ring is None else self._switch, eui)

    def _switch(self, eui):
        known = self._devices.get(eui)
        if known is not None and known.remote is not None:
            known.remote = self._current(eui, known.remote)

    def _forget(self, eui):
        self._front.forget(eui)
        known = self._devices.pop(eui, None)
        if known is None:
            return
        if known.task is not None:
            known.task.cancel()
        if known.remote is not None:
            self._enqueue(eui, "link", _LOST, None)

    def _leave(self, eui):
        known = self._devices.pop(eui, None)
        if known is not None:
            if known.task is not None:
                known.task.cancel()
            with contextlib.suppress(sqlite3.Error):
                self.keyrings.keys.put({f"peer/{eui}": None, f"rd/{eui}": None})

    def _send(self, eui, channel, body):
        known = self._devices.get(eui)
        if known is None or known.remote is None:
            self.dropped += 1
        elif body[1] in _BEST_EFFORT:
            self._fire(known, channel, body)
        else:
            known.queue.append((channel, body))
            if len(known.queue) > _QUEUE:
                known.queue.popleft()
                self.dropped += 1
            self._work(eui, known)

    def _fire(self, known, channel, body):
        """Send and forget: no exchange, no token, no answer."""
        remote = known.remote
        message = Message(code=codes.POST, uri_path=(channel,), payload=body, no_response=26)
        address = remote
        try:
            if isinstance(remote, SecureRemote):
                address = remote.address
                message, _ = remote.context.protect(message)
            message.remote, message.token = address, b""
            message.transport_tuning = Unreliable()
            if isinstance(address, TcpConnection):
                address._send_message(message)
            else:
                message.mtype = NON
                self._udp.send_message(message, lambda: None)
        except (error.Error, OSError) as exc:
            self.notes.add("coap_unsent", self._name(known), why(exc))

    def _name(self, known):
        return next((eui for eui, device in self._devices.items() if device is known), None)

    def _work(self, eui, known):
        if known.task is None and known.queue:
            known.task = self._loop.create_task(self._drain(eui, known))

    async def _drain(self, eui, known):
        me = asyncio.current_task()
        try:
            while known.queue and known.remote is not None:
                channel, body = known.current = known.queue.popleft()
                try:
                    response = await self._request(
                        known.remote, Message(code=codes.POST, uri_path=(channel,), payload=body), len(body) > _WHOLE
                    )
                except (error.Error, OSError, TimeoutError) as exc:
                    if not known.failing:
                        self.notes.add("coap_undelivered", eui, f"/{channel}: {why(exc)}")
                    known.failing = True
                    known.queue.clear()  # old by now; the core has them and sends what still holds
                    break
                finally:
                    if known.task is me:
                        known.current = None
                known.failing = False
                if response.code.is_successful():
                    self._delivered[eui] += 1
                else:
                    said = response.payload[:100].decode("utf-8", "replace")
                    self.notes.add("coap_refused", eui, f"/{channel} {response.code} {said}".strip())
        finally:
            if known.task is me:
                known.task = None

    async def _request(self, remote, message, blocks):
        message.remote = remote
        async with asyncio.timeout(_RELIABLE_S if isinstance(_connection(remote), TcpConnection) else _CONFIRMED_S):
            return await self._context.request(message, handle_blockwise=blocks).response

    async def _ask_for(self, eui, message):
        known = self._devices.get(eui)
        if known is None or known.remote is None:
            raise KeyError(eui)
        return _plain(await self._request(known.remote, message, True))

    async def _observe(self, eui, message, notify):
        known = self._devices.get(eui)
        if known is None or known.remote is None:
            raise KeyError(eui)
        message.remote = known.remote
        request = self._context.request(message)
        first = await request.response
        notify(_plain(first))
        if first.opt.observe is None:
            return
        async for notification in request.observation:
            notify(_plain(notification))

    # Where devices on UDP were is kept over a restart, so that the EMD's heartbeats reach them before they speak, and
    # so are their entries in the directory, which they would renew an hour later. One record of each for a pairing.

    def _recall(self):
        if self._udp is None:
            return
        for eui in self.keyrings.rings:
            context, record = self._contexts.of(eui), self.keyrings.keys.get(f"peer/{eui}")
            if context is not None and record is not None:
                address = UDP6EndpointAddress((record["host"], record["port"], 0, 0), self._udp.message_interface)
                known = self._devices[eui] = _Device()
                known.remote = SecureRemote(context, address, False)
                entry = self.keyrings.keys.get(f"rd/{eui}")
                if entry is not None:
                    self._front.directory.take_up(eui, entry)

    def _remember(self):
        records = dict.fromkeys(self.keyrings.keys.names("rd/"))  # what is no longer there goes
        for eui, known in self._devices.items():
            remote = known.remote
            if isinstance(remote, SecureRemote) and isinstance(remote.address, UDP6EndpointAddress):
                record = {"host": remote.address.sockaddr[0], "port": remote.address.sockaddr[1]}
                if record != self.keyrings.keys.get(f"peer/{eui}") and eui in self.keyrings.rings:
                    records[f"peer/{eui}"] = record
                entry = self._front.directory._by_key.get((eui, None))
                if entry is not None and entry.base.startswith("coap://") and eui in self.keyrings.rings:
                    records[f"rd/{eui}"] = entry.record()
        if records:
            self.keyrings.keys.put(records)


class _ToNotes(logging.Handler):
    """What aiocoap complains of, counted; a note says what it was first."""

    def __init__(self, notes):
        super().__init__(logging.WARNING)
        self._notes = notes

    def emit(self, record):
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        self._notes.add("coap_library", None, "".join(c if c.isprintable() else "?" for c in text[:80]))


def why(exc: BaseException) -> str:
    """Why a request failed, in words: aiocoap's errors say the name of their class alone."""
    cause = exc
    while cause is not None:
        if isinstance(cause, OSError) and (cause.errno in errno.errorcode or cause.strerror):
            return (os.strerror(cause.errno) if cause.errno in errno.errorcode else cause.strerror).lower()
        cause = cause.__cause__
    if isinstance(exc, error.MessageError):
        return "reset by the other end"
    if isinstance(exc, error.RemoteServerShutdown):
        return "the connection was closed"
    if isinstance(exc, (error.TimeoutError, TimeoutError)):
        return "no answer"
    text = str(exc)
    for front in ("Network error: ", "Name resolution error: ", "Error: "):
        text = text.removeprefix(front)
    return text or type(exc).__name__


def _connection(remote):
    return remote.address if isinstance(remote, SecureRemote) else remote


def _settle(waiting):
    for future, text in waiting:
        if not future.done():
            future.set_result(text)


def _plain(message) -> dict:
    """A response as JSON has it."""
    return {
        "code": message.code.dotted,
        "name": str(message.code),
        "success": message.code.is_successful(),
        "format": None if message.opt.content_format is None else int(message.opt.content_format),
        "etag": message.opt.etag.hex() if message.opt.etag else None,
        "payload": message.payload.hex(),
        "at": time.time(),
    }
