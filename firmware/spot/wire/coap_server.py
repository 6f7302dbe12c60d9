"""The server of a CoAP endpoint: resources, the checks of a request (RFC 7252, section 5), blocks (RFC 7959), answers.

A handler is called with a whole request, or as the sink of each block of a long upload; what it replies is cut into
blocks here. Who is not proven is answered 4.01 by everything that is not open.
"""

from spot.port import const, ticks_add, ticks_diff
from spot.wire.coap import CoapError
from spot.wire.coap_numbers import (
    ACK,
    COAP_BAD_OPTION,
    COAP_BAD_REQUEST,
    COAP_CONTENT,
    COAP_CONTINUE,
    COAP_EMPTY,
    COAP_GET,
    COAP_INCOMPLETE,
    COAP_INTERNAL_ERROR,
    COAP_IPATCH,
    COAP_METHOD_NOT_ALLOWED,
    COAP_NO_PROXY,
    COAP_NOT_ACCEPTABLE,
    COAP_NOT_FOUND,
    COAP_PRECONDITION,
    COAP_TOO_LARGE,
    COAP_UNAUTHORIZED,
    COAP_UNAVAILABLE,
    COAP_UNSUPPORTED_FORMAT,
    COAP_VALID,
    CON,
    CT_CBOR,
    CT_LINK,
    EXCHANGE_LIFETIME_MS,
    LEISURE_MS,
    NON,
    OPT_ACCEPT,
    OPT_BLOCK1,
    OPT_BLOCK2,
    OPT_CONTENT_FORMAT,
    OPT_ECHO,
    OPT_ETAG,
    OPT_IF_MATCH,
    OPT_IF_NONE_MATCH,
    OPT_MAX_AGE,
    OPT_NO_RESPONSE,
    OPT_OBSERVE,
    OPT_PROXY_SCHEME,
    OPT_PROXY_URI,
    OPT_REQUEST_TAG,
    OPT_SIZE1,
    OPT_SIZE2,
    OPT_URI_PATH,
    OPT_URI_QUERY,
)
from spot.wire.coap_observe import Observers
from spot.wire.coap_options import block, fits, offset, segments, unknown

_TRANSFERS = const(2)  # block-wise uploads at once, each a body of MAX_BODY: there are two associations at most
_UNPROVEN_SZX = const(2)  # 64 octets a block to who may have borrowed the address (RFC 7252, section 11.3)
_WELL_KNOWN = b".well-known/core"


def _named(m, number, *values):
    """1 if an option of that number has one of these values, 0 if none has, -1 where there is no such option."""
    found = -1
    for i in range(m.count):
        if m.numbers[i] == number and found < 1:
            found = 1 if m.octets(i) in values else 0
    return found


class Resource:
    """What resource() was told; attributes are RFC 6690's, as text: `rt="spot.cmd";ct=60`."""

    open = sink = False  # in the class, as what is so for most: there are many of them on a small heap
    ct = CT_CBOR
    etag = b""

    def __init__(self, handler, attributes, observable, open, ct, sink, etag):
        self.handler = handler
        self.attributes = attributes
        self.observable = observable
        if open:
            self.open = True
        if ct != CT_CBOR:
            self.ct = ct
        if sink:
            self.sink = True
        if etag:
            self.etag = etag


class Incoming:
    """A request as a handler sees it: code, peer, context (None: unprotected), path, payload in buf[at : at + n]."""

    # In the class: an object that grows field by field takes milliseconds on a chip whose heap is full.
    reliable = proven = False
    path = buf = body = reply_etag = b""
    context = echo = transfer = None
    at = n = body_n = max_age_s = 0
    reply_ct = observe = block1 = block2 = size1 = -1
    more = False  # a sink's: blocks follow
    offset = 0  # a sink's: of this block in the body

    def __init__(self, peer, m, type, mid, binding):
        self.peer = peer
        self.code = m.code
        self.parts = segments(m, OPT_URI_QUERY, b"&")
        self.type = type
        self.mid = mid
        self.token = m.token()
        self.binding = binding
        if binding:
            self.context = binding.context

    def query(self):
        """The query's parts, ["k=v", …]."""
        try:
            return str(self.parts, "utf-8").split("&") if self.parts else []
        except ValueError:
            raise CoapError(COAP_BAD_OPTION, "query")  # noqa: B904 - MicroPython has no `from`

    def reply(self, buf, n=-1, ct=None, etag=b"", max_age_s=0):
        """The response's payload, n octets of buf (all of it without), which must stay until the handler has returned;
        ct: its content format, None for the resource's own, -1 for none."""
        self.body = buf
        self.body_n = len(buf) if n < 0 else n
        self.reply_ct = ct
        self.reply_etag = etag
        self.max_age_s = max_age_s


class _Transfer:
    """An upload in progress, of one peer to one resource. body: None where a sink takes the blocks."""

    def __init__(self, key, body):
        self.key = key
        self.body = body
        self.n = 0
        self.until = 0


class Server:
    """The resources of one endpoint."""

    def __init__(self, ep, config):
        self.ep = ep
        self.resources = {}
        self.transfers = []
        self._max = config.get("transfers", _TRANSFERS)
        self.observers = Observers(self, config)
        self.notify = self.observers.notify
        self.reset = self.observers.reset
        self.resource(_WELL_KNOWN, self._core, "ct=40", open=True, ct=CT_LINK)

    def resource(self, path, handler, attributes="", observable=False, open=False, ct=CT_CBOR, sink=False, etag=b""):
        """Serve `path` ("a/b"): handler(now, request) -> response code, 0 for one that comes later by answer().

        attributes: RFC 6690's, as text; %s in it stands for the path. open: to anyone; others need security or one
        trusted. ct: the content format of its representations both ways (4.15 for another one). sink: the handler is
        called with each block of an upload in turn (request.offset, .more) and answers 2.31 until the last. etag: what
        If-Match has to name, where it names any. CoapError(code, text) from a handler is the response as well.
        """
        if not isinstance(path, bytes):
            path = path.strip("/").encode()
        self.resources[path] = Resource(handler, attributes, observable, open, ct, sink, etag)

    # --- a request ---

    def request(self, now, peer, mid, type, m, binding, multicast):
        """Carry out a request and answer it; returns the octets of the answer, which its duplicates get, or None."""
        q = Incoming(peer, m, type, mid, binding)
        q.reliable = self.ep.out.reliable(peer)
        q.proven = proven = binding or self.ep.out.trusted(peer)
        try:
            fault = unknown(m)
            if m.find(OPT_PROXY_URI) >= 0 or m.find(OPT_PROXY_SCHEME) >= 0:
                raise CoapError(COAP_NO_PROXY, "no proxy")
            if fault:
                if type == NON and not q.reliable:
                    return None  # section 5.4.1: rejected
                raise CoapError(COAP_BAD_OPTION, "option %d" % fault)
            q.path = segments(m, OPT_URI_PATH, b"/")
            resource = self.resources.get(q.path)
            block1 = m.value(OPT_BLOCK1)
            if not proven and (resource is None or not resource.open or block1 >= 0):
                raise CoapError(COAP_UNAUTHORIZED, "unauthorized")
            code = self._run(now, q, m, resource, block1)
            if resource.observable and proven and q.code == COAP_GET and code >> 5 == 2:
                observe = m.value(OPT_OBSERVE)
                if observe == 0 and q.block2 < 16:
                    q.observe = self.observers.add(now, q)
                elif observe == 1:
                    self.observers.remove_of(q)
        except CoapError as error:
            code = self.error(q, error)
        if code > 127:
            self.ep.log.debug("coap.refused", code)
        if multicast and (code >> 5 != 2 or not q.body_n):
            return None
        waived = m.value(OPT_NO_RESPONSE, 0)
        if code and waived < 256 and waived >> (code >> 5) - 1 & 1:
            code = COAP_EMPTY
        return self._send(now, q, code, multicast)

    def error(self, q, error):
        """The response that an error is."""
        q.reply(error.text.encode(), ct=-1, max_age_s=q.max_age_s)
        q.block1 &= ~8  # a final response, whatever block it is to (RFC 7959, section 2.3)
        return error.code or COAP_INTERNAL_ERROR

    def refuse(self, now, peer, m, type, fault, binding):
        """Answer a request that could not be unprotected (RFC 8613, section 7.4 and 8.2)."""
        q = Incoming(peer, m, type, m.mid, binding if fault.protected else None)
        q.reliable = self.ep.out.reliable(peer)
        q.echo = fault.echo
        self._send(now, q, self.error(q, fault))

    def _run(self, now, q, m, resource, block1):
        """The response code, by the checks of section 5 in their order."""
        if resource is None:
            raise CoapError(COAP_NOT_FOUND, "no such path")
        if m.code > COAP_IPATCH:
            raise CoapError(COAP_METHOD_NOT_ALLOWED, "method")
        if m.find(OPT_IF_NONE_MATCH) >= 0 and m.code != COAP_GET:
            raise CoapError(COAP_PRECONDITION, "it exists")
        if _named(m, OPT_IF_MATCH, resource.etag, b"") == 0:  # section 5.10.8.1; the empty one is true of any
            raise CoapError(COAP_PRECONDITION, "it is another")
        ct = resource.ct
        if m.value(OPT_CONTENT_FORMAT, ct) != ct:
            raise CoapError(COAP_UNSUPPORTED_FORMAT, "content format")
        if m.value(OPT_ACCEPT, ct) != ct:
            raise CoapError(COAP_NOT_ACCEPTABLE, "content format")
        q.buf, q.at, q.n = m.buf, m.payload_at, m.payload_n
        if block1 >= 0:
            if self._block1(now, q, m, block1, resource):
                return COAP_CONTINUE
        elif not resource.sink:
            self._bound(q, q.n)
        q.block2 = m.value(OPT_BLOCK2)
        if q.block2 & 7 == 7 and q.block2 >= 0 and not q.reliable:
            raise CoapError(COAP_BAD_REQUEST, "block")
        code = self.run(now, q, resource)
        if q.transfer in self.transfers and code != COAP_CONTINUE:
            self.transfers.remove(q.transfer)
        if code == COAP_CONTENT:
            if q.block2 >= 16 and offset(q.block2) >= q.body_n:
                raise CoapError(COAP_BAD_REQUEST, "block")
            if q.reply_etag and _named(m, OPT_ETAG, q.reply_etag) > 0:
                q.body_n = 0
                return COAP_VALID
        return code

    def run(self, now, q, resource):
        """Call the handler; returns its response code, with what it replied in q."""
        q.reply(b"")
        try:
            code = resource.handler(now, q)
        except CoapError as error:
            return self.error(q, error)
        if q.reply_ct is None:
            q.reply_ct = resource.ct if code >> 5 == 2 else -1
        return code

    # --- uploads ---

    def _bound(self, q, n):
        if n > self.ep.max_body:
            q.size1 = self.ep.max_body
            raise CoapError(COAP_TOO_LARGE, "too long")

    def _block1(self, now, q, m, value, resource):
        """Take a block of an upload; False when the handler's turn has come, with the body, or a sink's block, in q."""
        at = offset(value)
        i = m.find(OPT_REQUEST_TAG)
        key = (q.context or q.peer, q.path, m.octets(i) if i >= 0 else b"")
        q.block1 = value
        if not fits(value, q.n, q.reliable):
            raise CoapError(COAP_BAD_REQUEST, "block")
        transfer = None
        for one in self.transfers:
            if one.key == key:
                transfer = one
        if transfer and (at == 0 or not resource.sink and at + q.n > self.ep.max_body):
            self.transfers.remove(transfer)
        if not resource.sink:
            self._bound(q, max(at + q.n, 0 if at else m.value(OPT_SIZE1, 0)))
        if at == 0:
            if not value & 8:
                return False
            self.step(now)
            if len(self.transfers) >= self._max:
                q.max_age_s = 60
                raise CoapError(COAP_UNAVAILABLE, "transfers")
            transfer = _Transfer(key, bytearray())
            self.transfers.append(transfer)
        elif transfer is None or at > transfer.n:
            raise CoapError(COAP_INCOMPLETE, "block %d" % (value >> 4))
        elif at < transfer.n:
            return True  # came again: it stands there already
        transfer.until = ticks_add(now, EXCHANGE_LIFETIME_MS)
        transfer.n += q.n
        q.more = value & 8
        if value & 7 < 7:
            q.block1 = value & ~7 | min(value & 7, self.ep.szx)
        q.transfer = transfer
        q.offset = at
        if not resource.sink:
            transfer.body.extend(memoryview(q.buf)[q.at : q.at + q.n])
            if q.more:
                return True
            q.buf, q.at, q.n = transfer.body, 0, transfer.n
        return False

    # --- responses ---

    def _send(self, now, q, code, multicast=False):
        """Answer q, in its ACK where it is a CON; code 0: the ACK alone. Returns what its duplicates get."""
        ep = self.ep
        con = q.type == CON
        if code:
            if not con:
                q.mid = ep.next_mid()
            data = self.build(q, code, ACK if con else NON)
        else:
            data = bytes((0x60, 0, q.mid >> 8, q.mid & 0xFF)) if con else None
        if not data:
            return None
        if multicast:
            ep.later(ticks_add(now, ep.number(LEISURE_MS)), q.peer, data)
        else:
            ep.out.datagram(q.peer, data, len(data))
        return data if con else None

    def answer(self, now, q, code, buf=b"", n=-1):
        """The response to a request whose handler returned 0 (section 5.2.2); False: it could not be sent."""
        q.reply(buf, n, self.resources[q.path].ct if code >> 5 == 2 else -1)
        q.mid = self.ep.next_mid()
        data = self.build(q, code, q.type)
        return bool(data and self.ep.transmit(now, q.peer, data, len(data)))

    def build(self, q, code, type):
        """The response to q as it goes out, or None: what cannot be protected, or does not fit, is not said."""
        ep = self.ep
        b = ep.builder
        n = size = q.body_n
        at = 0
        cut = False
        try:
            b.start(0 if q.reliable else type, code, 0 if q.reliable else q.mid, q.token)
            if q.reply_etag:
                b.option(OPT_ETAG, q.reply_etag)
            b.uint(OPT_OBSERVE, q.observe)
            b.uint(OPT_CONTENT_FORMAT, q.reply_ct if n else -1)
            b.uint(OPT_MAX_AGE, q.max_age_s or -1)
            if code == COAP_CONTENT and q.code & 3 == COAP_GET and (q.block2 >= 0 or not q.reliable):
                # Only what can be asked for again (GET, FETCH) is cut; on a stream when that was asked for.
                szx = ep.szx if q.proven else _UNPROVEN_SZX
                if q.block2 >= 0:
                    szx = min(szx, q.block2 & 7)
                    at = offset(q.block2)
                cut = at or n > 16 << szx
            if cut:
                size = min(n - at, 16 << szx)
                b.uint(OPT_BLOCK2, block(at, at + size < n, szx))
            b.uint(OPT_BLOCK1, q.block1)
            b.uint(OPT_SIZE2, n if cut and not at else -1)
            b.uint(OPT_SIZE1, q.size1)
            if q.echo:
                b.option(OPT_ECHO, q.echo)
            b.payload(q.body, at, size)
            buf, n = ep.protect_response(b.n, q.binding)
            return bytes(memoryview(buf)[:n])
        except CoapError as error:
            ep.log.error("coap.unsent", error.code, code)
            return None

    # --- discovery ---

    def _core(self, now, q):
        from spot.wire.linkformat import core

        if q.code != COAP_GET:
            return COAP_METHOD_NOT_ALLOWED
        q.reply(core(self.resources, q.query()), max_age_s=600)
        return COAP_CONTENT

    # --- time and links ---

    def step(self, now):
        """Forget uploads that did not go on."""
        self.transfers = [one for one in self.transfers if ticks_diff(one.until, now) > 0]

    def gone(self, peer):
        self.transfers = [one for one in self.transfers if one.key[0] != peer]
        self.observers.gone(peer)
