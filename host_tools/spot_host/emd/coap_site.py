"""What the EMD serves over CoAP: the devices' channels, the groups, the resource directory. Runs in aiocoap's loop.

Who may do what is decided here, before any resource is looked at: OSCORE's context or the TLS certificate names the
device; without either only `/.well-known/core` and, where the settings allow it, lookups are answered.
"""

import asyncio
import hashlib
import ipaddress
import time

from aiocoap import Message, error, oscore
from aiocoap.cli.rd import DirectoryResource, RegistrationResource
from aiocoap.numbers import codes
from aiocoap.numbers.types import NON
from aiocoap.optiontypes import BlockOption
from aiocoap.resource import WKCResource
from aiocoap.transports.tcp import TcpConnection
from aiocoap.util.linkformat import Link, LinkFormat

from spot_host.emd.coap_directory import Directory, Lookup
from spot_host.emd.coap_oscore import SecureRemote
from spot_host.emd.keyrings import REFUSALS
from spot_host.profile import definition as d

UP = frozenset(name for _, name, way, *_ in d.CHANNELS if way == "up")
GROUP = frozenset(name for _, name, way, *_ in d.CHANNELS if way == "group")
_KNOWN = frozenset((3, 7, 11, 15, 17, 23, 27))  # critical options that are understood in here
_OUTSIDE = frozenset((3, 7, 9, 23, 27))  # beside what OSCORE protects
_PROXY = frozenset((35, 39))
_SILENT = 26  # RFC 7967: no answer of any class
_MOST_GROUPS = 16  # groups and channels that one device observes
_LEVEL = 32  # octets in the name of a group
_FRESH_S = 300  # a device asks again after so long without a word: also how long an EMD's restart can go unnoticed
_ANSWER_S = 10.0  # the service takes milliseconds; a device repeats after this
_LEASE_S = (60, 604800)
_SZX_64, _SZX_256, _SZX_512 = 2, 4, 5
_RENDERED_S, _MOST_RENDERED = 2.0, 32  # the blocks of one list, for several who read it


class Peer:
    """Who sent a request. eui: None for a stranger; remote: aiocoap's address, with the context under OSCORE."""

    __slots__ = ("eui", "remote", "reliable")

    def __init__(self, eui, remote, reliable):
        self.eui, self.remote, self.reliable = eui, remote, reliable

    @property
    def way(self):
        """A word for people."""
        address = self.remote.address if isinstance(self.remote, SecureRemote) else self.remote
        return f"{address.scheme}{'+oscore' if address is not self.remote else ''}"


class _Secured:
    """A pipe whose responses are protected on their way into the outer one."""

    def __init__(self, pipe, request, context, binding):
        self.request, self._pipe, self._context, self._binding = request, pipe, context, binding

    def add_response(self, message, is_last=False):
        silent = (message.opt.no_response or 0) & (1 << message.code.class_ - 1)
        if silent:
            self._pipe.add_response(Message(code=codes.CHANGED, no_response=_SILENT), is_last=is_last)
            return
        message.opt.no_response = None
        protected, _ = self._context.protect(message, self._binding)
        if not is_last:
            protected.opt.observe = self._context.sender_sequence_number & 0xFFFFFF
        self._pipe.add_response(protected, is_last=is_last)


def _check_critical(request, known=_KNOWN):
    """RFC 7252, section 5.4.1, which aiocoap leaves to resources."""
    for option in request.opt.option_list():
        number = int(option.number)
        if number & 1 and number not in known:
            if number in _PROXY:
                raise error.ProxyingNotSupported
            raise error.BadOption(f"option {number}")


def _sliced(request, peer, body, content_format, etag=None, known=_SZX_256):
    """The block of `body` that was asked for; on UDP in blocks of 256 octets at most (`known`), 64 for strangers."""
    etag = etag or hashlib.sha256(body).digest()[:4]
    if etag in (request.opt.etags or ()):
        return Message(code=codes.VALID, etag=etag)
    response = Message(code=codes.CONTENT, etag=etag, content_format=content_format)
    asked = request.opt.block2
    largest = 6 if peer.reliable else _SZX_64 if peer.eui is None else known  # a stranger's address may be a lie
    exponent = min(asked.size_exponent if asked is not None else 6, largest)
    size, number = 16 << exponent, 0
    if asked is not None and asked.block_number:
        number = asked.start // size
        if number * size >= len(body):
            raise error.BadOption("no such block")
    more = len(body) > (number + 1) * size
    if more or number:
        response.opt.block2 = BlockOption.BlockwiseTuple(number, more, exponent)
        response.opt.size2 = len(body)
    response.payload = body[number * size : (number + 1) * size]
    return response


class Front:
    """aiocoap's `serversite`.

    contexts: ContextStore; keyrings: for expiry; settings: config.Coap. arrived(eui, remote): an authenticated request
    came from there. enqueue(eui, channel, body, answered or None) -> False when there is no room; answered(refusal)
    is then called in this loop. note(event, eui, detail). lost(eui): its lease in the directory ended.
    """

    def __init__(self, settings, contexts, keyrings, arrived, enqueue, note, lost, allowed):
        self._settings, self._contexts, self._keyrings = settings, contexts, keyrings
        self._arrived, self._enqueue, self._note, self._allowed = arrived, enqueue, note, allowed
        self._parts = {}  # (EUI, channel): [octets so far]; bounded by the devices' own number
        self._bodies, self._observers = {}, {}
        self._stopping, self._rendered = False, {}
        self.shelf = None  # emd.firmware.Shelf
        self.rejected = 0
        self.directory = Directory(lost)
        self._register = DirectoryResource(self.directory)
        self._lookups = {"ep": Lookup(self.directory, False), "res": Lookup(self.directory, True)}
        self._core = WKCResource(self._links, impl_info=None)

    # Who it is

    async def render_to_pipe(self, pipe):
        """Answer one request. A stranger is answered in the clear, and only when the request is confirmable."""
        request = pipe.request
        if request.opt.oscore is not None:
            await self._unprotect(pipe, request)
            return
        address = request.remote
        reliable = isinstance(address, TcpConnection)
        eui = self._certified(address) if reliable else None
        request.proven = eui is not None
        await self._serve(pipe, Peer(eui, address, reliable))

    def _certified(self, connection):
        """The device that the certificate of this connection names, None when there is none that is good."""
        eui = getattr(connection, "spot_eui", "")
        if eui == "":
            certificate = connection._transport.get_extra_info("peercert") if connection._transport else None
            names = [v for part in (certificate or {}).get("subject", ()) for k, v in part if k == "commonName"]
            eui = names[0] if len(names) == 1 and len(names[0]) == 16 else None
            connection.spot_eui, connection.spot_serial = eui, int((certificate or {}).get("serialNumber", "0"), 16)
        if eui is None or not self._allowed(eui, connection.spot_serial):
            return None
        return eui

    async def _unprotect(self, pipe, request):
        if request.code not in (codes.POST, codes.FETCH):
            return self._clear(pipe, codes.METHOD_NOT_ALLOWED, "coap_malformed", None, "OSCORE is in POST and FETCH")
        try:
            said = oscore.verify_start(request)
        except Exception as exc:  # whatever a stranger's octets do in there
            return self._clear(pipe, codes.BAD_OPTION, "coap_malformed", None, f"OSCORE option: {exc}")
        _check_critical(request, _OUTSIDE)
        kid, kid_context = said.get(oscore.COSE_KID), said.get(oscore.COSE_KID_CONTEXT)
        if kid is None or not 0 < len(said.get(oscore.COSE_PIV, b"")) < 6:  # RFC 8613, sections 5 and 6.1
            return self._clear(
                pipe, codes.BAD_OPTION, "coap_malformed", None, "no key id or number", "Failed to decode COSE"
            )
        contexts = self._contexts.find(kid, kid_context)
        if not contexts:
            contexts, renewed = [], self._renew(pipe, request, kid, kid_context)
            if renewed is True:
                return None
            if renewed is None:
                return self._clear(
                    pipe, codes.UNAUTHORIZED, "coap_unknown_key", None,
                    f"key id {kid.hex() if kid else 'none'}", "Security context not found",
                )  # fmt: skip
            context, inner, binding = renewed
        failure = None
        for context in contexts:
            refusal = self._keyrings.refusal(context.eui, context.pairing)
            if refusal is not None:
                failure = codes.UNAUTHORIZED, refusal, REFUSALS[refusal], "Security context not found"
                continue
            try:
                inner, binding = context.unprotect(request)
                failure = None
                break
            except oscore.ReplayErrorWithEcho as exc:
                pipe.add_response(exc.to_message(), is_last=True)
                return None
            except oscore.ReplayError:
                failure = codes.UNAUTHORIZED, "coap_replay", "a request came again", "Replay detected"
            except oscore.DecodeError as exc:
                failure = codes.BAD_OPTION, "coap_malformed", str(exc), "Failed to decode COSE"
            except oscore.ContextUnavailable as exc:
                failure = codes.SERVICE_UNAVAILABLE, "coap_unavailable", str(exc), ""
            except Exception as exc:  # a tag that is wrong, or what was inside a right one is no CoAP
                failure = codes.BAD_REQUEST, "coap_decryption", str(exc) or type(exc).__name__, "Decryption failed"
        if failure is not None:
            code, event, detail, text = failure
            return self._clear(pipe, code, event, context.eui, detail, text)
        address = request.remote
        reliable = isinstance(address, TcpConnection)
        request.proven = True
        remote = inner.remote = SecureRemote(context, address, reliable)
        secured = _Secured(pipe, inner, context, binding)
        try:
            await self._serve(secured, Peer(context.eui, remote, reliable))
        except error.RenderableError as exc:  # inside, so that nobody between can make one up
            secured.add_response(exc.to_message(), is_last=True)
        return None

    def _renew(self, pipe, request, kid, kid_context):
        """RFC 8613, appendix B.2, as the server: a device without its sequence numbers. None: no such request; True:
        it was answered (step 2); else (context, request inside, binding) under keys that both have from now on."""
        for context, id_context in self._contexts.renewing(kid, kid_context):
            if self._keyrings.refusal(context.eui, context.pairing) is not None:
                continue
            try:
                inner, binding = context.twin(id_context).unprotect(request)
            except Exception:  # not under this one
                continue
            if context.knows_r2(id_context):
                context.adopt(id_context, int.from_bytes(binding.partial_iv, "big"))
                self._note("coap_renewed", context.eui, "it had lost its sequence numbers, and has new keys")
                return context, inner, binding
            r2 = context.nonce_r2()
            answer, _ = context.twin(r2 + id_context).protect(Message(code=codes.UNAUTHORIZED), binding)
            answer.opt.oscore = bytes((0x10, 1 + len(r2), 0x40 + len(r2))) + r2
            pipe.add_response(answer, is_last=True)
            return True
        return None

    def _clear(self, pipe, code, event, eui, detail, text=""):
        """An error outside of any security context: told in the clear to who asked for an answer, forgotten at once."""
        self.rejected += 1
        self._note(event, eui, detail)
        answer = Message(code=code, payload=text.encode())
        if code == codes.UNAUTHORIZED:
            answer.opt.max_age = 0
        if pipe.request.mtype is NON:
            answer.opt.no_response = _SILENT
        pipe.add_response(answer, is_last=True)

    # What they may do

    async def _serve(self, pipe, peer):
        request = pipe.request
        _check_critical(request)
        path = request.opt.uri_path
        if path == (".well-known", "core"):
            await self._open(pipe, peer, self._core)
            return
        if peer.eui is None and self._settings.insecure and not isinstance(peer.remote, SecureRemote):
            said = self._said(request)
            peer.eui = said if said not in self._keyrings.rings else None  # who can prove it has to
        elif peer.eui is not None and self._said(request) not in (None, peer.eui):
            self._note("coap_foreign_identity", peer.eui, f"says that it is {self._said(request)}")
            raise error.Forbidden("ep is not who you are")
        lookup = path[:1] == ("rd-lookup",)
        if peer.eui is None and not (lookup and self._may_look(peer.remote)):
            self._clear(pipe, codes.UNAUTHORIZED, "coap_unauthenticated", None, f"{request.code} /{'/'.join(path)}")
            return
        if peer.eui is not None:
            self._arrived(peer)
        if lookup and len(path) == 2 and path[1] in self._lookups:
            await self._open(pipe, peer, self._lookups[path[1]])
        elif len(path) == 1 and path[0] in UP:
            await self._channel(pipe, peer, path[0])
        elif len(path) == 3 and path[0] == "group" and path[2] in GROUP and 0 < len(path[1].encode()) <= _LEVEL:
            await self._group(pipe, peer, path[1], path[2])
        elif len(path) == 2 and path[0] == "fw" and self.shelf is not None:
            self._release(pipe, peer, path[1])
        elif path == ("rd",):
            await self._enter(pipe, peer)
        elif path[:1] == ("reg",):
            await self._entered(pipe, peer, path[1:])
        else:
            raise error.NotFound

    @staticmethod
    def _said(request):
        for query in request.opt.uri_query:
            if query.startswith("ep="):
                eui = query[3:]
                if len(eui) != 16 or set(eui) - set("0123456789abcdef"):
                    raise error.BadRequest("ep is an EUI-64: 16 hexadecimal digits, small letters")
                return eui
        return None

    def _may_look(self, remote):
        if self._settings.lookup != "lan":
            return self._settings.lookup == "open"
        try:
            host = remote.hostinfo
            host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
            address = ipaddress.ip_address(host.partition("%")[0])
        except (ValueError, OSError, AttributeError):
            return False
        return address.is_loopback or address.is_private or address.is_link_local

    async def _open(self, pipe, peer, resource):
        """A list that strangers may read. Every block is rendered anew, and nobody observes: nothing is kept."""
        request = pipe.request
        if request.code != codes.GET:
            raise error.MethodNotAllowed
        if request.opt.block1 is not None:
            raise error.BadOption
        query = [q for q in request.opt.uri_query if not q.startswith("ep=") or resource is not self._core]
        key = resource, tuple(query), request.opt.accept
        at, response = self._rendered.get(key, (0.0, None))
        if time.monotonic() > at + _RENDERED_S:
            plain = request.copy(uri_path=(), uri_query=tuple(query), block2=None, observe=None)
            plain.remote = request.remote
            response = await resource.render(plain)
            if len(self._rendered) >= _MOST_RENDERED:
                self._rendered.clear()
            self._rendered[key] = time.monotonic(), response
        if response.code != codes.CONTENT:
            pipe.add_response(Message(code=response.code, no_response=response.opt.no_response), is_last=True)
            return
        pipe.add_response(_sliced(request, peer, response.payload, 40), is_last=True)

    # A device's channels

    async def _channel(self, pipe, peer, channel):
        request = pipe.request
        if request.code != codes.POST:
            raise error.MethodNotAllowed
        if request.opt.content_format not in (None, 60):
            raise error.UnsupportedContentFormat
        body = self._assembled(peer, channel, request)
        if body is None:
            pipe.add_response(Message(code=codes.CONTINUE, block1=request.opt.block1), is_last=True)
            return
        if not body:
            raise error.BadRequest("no body")
        if (request.opt.no_response or 0) & _SILENT == _SILENT:
            self._enqueue(peer.eui, channel, body, None)
            pipe.add_response(Message(code=codes.CHANGED, no_response=_SILENT), is_last=True)
            return
        answer = asyncio.get_running_loop().create_future()
        if not self._enqueue(peer.eui, channel, body, answer):
            self._note("coap_full", peer.eui, "more messages than the EMD takes in")
            raise error.ServiceUnavailable("more messages than the EMD takes in")
        try:
            async with asyncio.timeout(_ANSWER_S):
                refusal = await answer
        except TimeoutError:
            raise error.ServiceUnavailable("the EMD is busy") from None
        response = Message(code=codes.CHANGED)
        if refusal:
            response = Message(code=codes.BAD_REQUEST, payload=refusal[:200].encode())
        response.opt.block1, response.opt.no_response = request.opt.block1, request.opt.no_response
        pipe.add_response(response, is_last=True)

    def _assembled(self, peer, channel, request):
        """The whole body, None while blocks of it are missing. One transfer for each device and channel."""
        block, key = request.opt.block1, (peer.eui, channel)
        if block is None:
            if len(request.payload) > d.MAX_BODY:
                raise error.RequestEntityTooLarge
            return request.payload
        if block.start + len(request.payload) > d.MAX_BODY:
            self._parts.pop(key, None)
            raise error.RequestEntityTooLarge
        if block.block_number == 0:
            self._parts[key] = []
        parts = self._parts.get(key)
        if parts is None or sum(map(len, parts)) != block.start:
            self._parts.pop(key, None)
            raise error.RequestEntityIncomplete
        if block.more and len(request.payload) % block.size:
            self._parts.pop(key, None)
            raise error.BadRequest("a block that is not full, and not the last")
        parts.append(request.payload)
        if block.more:
            return None
        del self._parts[key]
        return b"".join(parts)

    # Groups

    def publish(self, group, channel, body):
        """The latest body of a group's channel, to all who observe it."""
        self._bodies[group, channel] = body
        for waiter in self._observers.get((group, channel), {}).values():
            if not waiter.done():
                waiter.set_result(None)

    def observers(self) -> int:
        """Observations that are held now."""
        return sum(map(len, self._observers.values()))

    async def _group(self, pipe, peer, group, channel):
        request = pipe.request
        if request.code != codes.GET:
            raise error.MethodNotAllowed
        key, later = (group, channel), request.opt.block2 is not None and request.opt.block2.block_number
        if request.opt.observe != 0 or later or not self._may_observe(peer, key):
            pipe.add_response(self._representation(request, peer, key), is_last=True)
            return
        waiting = self._observers.setdefault(key, {})
        before = waiting.get(peer.eui)
        number = int(time.monotonic() * 8) & 0xFFFFFF  # rises over the registrations of one client, too
        try:
            waiter = waiting[peer.eui] = asyncio.get_running_loop().create_future()
            if before is not None and not before.done():
                before.set_result("replaced")
            while True:
                response = self._representation(request, peer, key)
                response.opt.observe = number = (number + 1) & 0xFFFFFF
                pipe.add_response(response, is_last=False)
                if await waiter == "replaced" or self._stopping:
                    pipe.add_response(Message(code=codes.CONTENT, no_response=_SILENT), is_last=True)
                    return
                if isinstance(peer.remote, SecureRemote) and not self._contexts.holds(peer.remote.context):
                    raise error.Unauthorized
                waiter = waiting[peer.eui] = asyncio.get_running_loop().create_future()
        finally:
            if waiting.get(peer.eui) is waiter:
                del waiting[peer.eui]
            if not waiting:
                self._observers.pop(key, None)

    def _may_observe(self, peer, key):
        if peer.eui in self._observers.get(key, ()):
            return True
        return sum(peer.eui in waiting for waiting in self._observers.values()) < _MOST_GROUPS

    def _representation(self, request, peer, key):
        """What a group's channel holds; an empty body while nothing was published, so that it can be observed."""
        body = self._bodies.get(key, b"")
        response = _sliced(request, peer, body, 60)
        response.opt.max_age = _FRESH_S
        return response

    # Releases

    def _release(self, pipe, peer, resource):
        """A block of the release that the device was offered; 5.03 to who asks for too much a second."""
        request = pipe.request
        if request.code != codes.GET:
            raise error.MethodNotAllowed
        octets = self.shelf.find(peer.eui, resource)
        if octets is None:
            raise error.NotFound
        response = _sliced(request, peer, octets, 42, resource.encode()[:8], _SZX_512)  # a device asks for no more
        if not self.shelf.allowed(time.monotonic(), peer.eui, max(1, len(response.payload))):
            response = Message(code=codes.SERVICE_UNAVAILABLE, max_age=1)
        pipe.add_response(response, is_last=True)

    # The directory

    async def _enter(self, pipe, peer):
        request = pipe.request
        if request.code != codes.POST:
            raise error.MethodNotAllowed
        body = self._assembled(peer, "rd", request)
        if body is None:
            pipe.add_response(Message(code=codes.CONTINUE, block1=request.opt.block1), is_last=True)
            return
        if self._said(request) is None:
            raise error.BadRequest("ep is missing")
        query = []
        for item in request.opt.uri_query:
            name, _, value = item.partition("=")
            if name == "lt" and not (value.isdecimal() and _LEASE_S[0] <= int(value) <= _LEASE_S[1]):
                raise error.BadRequest(f"lt is within {_LEASE_S[0]} … {_LEASE_S[1]} s")
            if name not in ("ep", "lt"):  # others would stand in what people look up
                raise error.BadRequest("ep and lt alone are taken here")
            query.append(item)
        # RFC 9176 has the base from the address of who registers; over a connection that it opened there is none.
        # Link format is all that a directory takes, so a device may save that option.
        whole = request.copy(
            payload=body, block1=None, uri_path=(), uri_query=(*query, f"base={self._base(peer)}"),
            content_format=40 if request.opt.content_format is None else request.opt.content_format,
        )  # fmt: skip
        whole.remote = request.remote
        response = await self._register.render(whole)
        response.opt.block1 = request.opt.block1
        pipe.add_response(response, is_last=True)

    @staticmethod
    def _base(peer):
        address = peer.remote.address if isinstance(peer.remote, SecureRemote) else peer.remote
        return f"{address.scheme}://{address.hostinfo}"

    async def _entered(self, pipe, peer, path):
        registration = self.directory._by_path.get(tuple(path))
        if registration is None:
            raise error.NotFound
        if registration.registration_parameters["ep"] != [peer.eui]:
            raise error.Forbidden
        request = pipe.request
        query = [q for q in request.opt.uri_query if not q.startswith("ep=")]  # it may say again who it is
        if not all(
            q.startswith("lt=") and q[3:].isdecimal() and _LEASE_S[0] <= int(q[3:]) <= _LEASE_S[1] for q in query
        ):
            raise error.BadRequest("no such change")
        if request.code == codes.POST:
            query.append(f"base={self._base(peer)}")
        request.opt.uri_query = query
        if request.opt.block1 is not None or len(request.payload) > d.MAX_BODY:
            raise error.RequestEntityTooLarge
        pipe.add_response(await RegistrationResource(registration).render(request), is_last=True)

    def forget(self, eui) -> None:
        """A device was revoked: nothing of it stays."""
        for key in [key for key in self._parts if key[0] == eui]:
            del self._parts[key]
        for waiting in self._observers.values():
            waiter = waiting.get(eui)
            if waiter is not None and not waiter.done():
                waiter.set_result("replaced")
        registration = self.directory._by_key.get((eui, None))
        if registration is not None:
            registration.delete()

    def stop(self) -> None:
        """End observations and timers."""
        self._stopping = True
        for waiting in self._observers.values():
            for waiter in waiting.values():
                if not waiter.done():
                    waiter.set_result("replaced")
        for registration in list(self.directory.get_endpoints()):
            registration.timeout.cancel()

    def _links(self):
        links = [
            Link("/rd", rt="core.rd", ct="40"),
            Link("/rd-lookup/ep", rt="core.rd-lookup-ep", ct="40"),
            Link("/rd-lookup/res", rt="core.rd-lookup-res", ct="40"),
        ]
        links += [Link(f"/{channel}", rt=f"spot.{channel}") for channel in sorted(UP)]
        groups = sorted({group for group, _ in self._bodies})
        links += [
            Link(f"/group/{group}/{channel}", rt=f"spot.{channel}", ct="60", obs=None)
            for group in groups
            for channel in sorted(GROUP)
        ]
        return LinkFormat(links)
