"""The client of a CoAP endpoint: requests and their responses (RFC 7252, section 5.3), observations with their order
and re-registration (RFC 7641, section 3), block-wise both ways (RFC 7959), repetition with Echo (RFC 9175, section 2).
"""

from spot.port import const, ticks_add, ticks_diff
from spot.wire.coap import CoapError
from spot.wire.coap_numbers import (
    COAP_CONTINUE,
    COAP_EMPTY,
    COAP_GET,
    COAP_INCOMPLETE,
    COAP_TOO_LARGE,
    COAP_UNAUTHORIZED,
    COAP_VALID,
    CON,
    MAX_AGE_S,
    MAX_TRANSMIT_WAIT_MS,
    NON,
    OPT_ACCEPT,
    OPT_BLOCK1,
    OPT_BLOCK2,
    OPT_CONTENT_FORMAT,
    OPT_ECHO,
    OPT_ETAG,
    OPT_LOCATION_PATH,
    OPT_MAX_AGE,
    OPT_NO_RESPONSE,
    OPT_OBSERVE,
    OPT_REQUEST_TAG,
    OPT_SIZE1,
    OPT_URI_PATH,
    OPT_URI_QUERY,
)
from spot.wire.coap_options import block, fits, offset, segments, unknown

COAP_WAIVED = const(0x40)  # 2.00, which no server sends: acknowledged, and the response was not wanted

_REQUESTS = const(12)  # five group observations, the directory's lease, and what the agent has on the way
_TOKEN = const(4)  # octets: 2^32 to guess for one who is not on the path (RFC 7252, section 5.3.1)
_REPEATS = const(3)  # of one request for Echo, for a transfer that starts again: then it fails
_RETRY_MS = const(30000)  # an observation that failed is tried again, then after twice as long …
_RETRY_MAX_MS = const(960000)
_MAX_AGE_MAX_S = const(86400)  # within half a period of the ticks, and a day is soon enough to look again
_REORDER_MS = const(128000)  # RFC 7641, section 3.4


class Request:
    """A request, or an observation, until its end. on_reply may read etag, location (b"rd/4f"), reply_ct, max_age_s."""

    # In the class: what not every request comes to need is no slot of it.
    _echo = location = b""
    _watch = _watch_binding = None
    reply_ct = -1
    sequence = -1  # of the latest notification
    _heard = _repeats = 0
    _retry = _RETRY_MS

    def __init__(self, client, peer, code, path, query, con, observe, no_response, context, on_reply, ct, accept):
        self._client = client
        self.peer = peer
        self.code = code
        self.path = path
        self.query = query
        self.con = con
        self.observe = observe
        self.no_response = no_response
        self.context = context
        self.on_reply = on_reply
        self.ct = ct
        self.accept = accept
        self.payload = self.etag = b""
        self.binding = self.exchange = None
        self.token = None
        self._due = 0
        self._waiting = True  # for a response; False: an observation between two notifications
        self.max_age_s = MAX_AGE_S
        self.block = -1
        self._szx = client.ep.szx
        self._tag = client._tag = client._tag + 1 & 0xFF
        self._begin()

    def _begin(self):
        """From the first block on."""
        self.at = 0  # octets of the payload that have arrived there
        self._body = None  # what has come of the response's, while more is to come
        self._body_etag = b""

    def send(self, now, observe=-1):
        """Build it as it stands and send it; False: no room on the way. A new token unless it registers again."""
        ep = self._client.ep
        reliable = ep.out.reliable(self.peer)
        n = len(self.payload)
        more = self._body is not None  # of the response
        if observe < 0 and self.observe and not more:
            observe = 0
        if observe < 0 or self._watch is None:
            self.token = ep.random(_TOKEN)
            if observe == 0:
                self._watch = self.token
        else:
            self.token = self._watch
        con = self.con and observe != 1
        b = ep.builder
        b.start(0 if reliable else CON if con else NON, self.code, 0 if reliable else ep.next_mid(), self.token)
        if self.etag and self.code == COAP_GET and not more:
            b.option(OPT_ETAG, self.etag)
        b.uint(OPT_OBSERVE, observe)
        if self.path:
            for segment in self.path.split("/"):  # "reg/1/", as some directories name a registration, ends with ""
                b.text(OPT_URI_PATH, segment)
        b.uint(OPT_CONTENT_FORMAT, self.ct)
        for query in self.query:
            b.text(OPT_URI_QUERY, query)
        b.uint(OPT_ACCEPT, self.accept)
        if more:
            n = 0
            b.uint(OPT_BLOCK2, block(len(self._body), False, self._szx))
        elif self.block >= 0:
            b.uint(OPT_BLOCK2, self.block)
        elif not reliable and self.code == COAP_GET:
            b.uint(OPT_BLOCK2, self._szx)
        size = n
        if not reliable and n > 16 << self._szx:
            size = min(n - self.at, 16 << self._szx)
            b.uint(OPT_BLOCK1, block(self.at, self.at + size < n, self._szx))
            b.uint(OPT_SIZE1, -1 if self.at else n)
        if self._echo:
            b.option(OPT_ECHO, self._echo)
        b.uint(OPT_NO_RESPONSE, self.no_response or -1)
        if size < n:
            b.uint(OPT_REQUEST_TAG, self._tag)  # RFC 9175, section 3.3: blocks of two bodies are not to be mixed
        b.payload(self.payload, self.at, size)
        binding = None
        if self.context:
            binding = ep.security.binding()
        buf, n = ep.protect_request(b.n, self.context, binding)
        self.binding = binding
        if self.token == self._watch:
            self._watch_binding = binding
        self._waiting = True
        self._due = ticks_add(now, MAX_TRANSMIT_WAIT_MS)
        self.drop(now)
        sent = ep.transmit(now, self.peer, buf, n, self)
        if con and not reliable and sent:
            self.exchange = sent
        return bool(sent)

    def resend(self, now, observe=-1):
        """As send; what cannot be protected any more is not sent, and has no answer."""
        try:
            return self.send(now, observe)
        except CoapError:
            return False

    def drop(self, now):
        x = self.exchange
        self.exchange = None
        if x:
            self._client.ep.drop(now, x)

    def settled(self, now, how):
        """The message layer's word on the CON that carried it: 0 acknowledged, else reset or timed out."""
        self.exchange = None
        if how:
            self.end(now, COAP_EMPTY)
        elif self.no_response:
            self.end(now, COAP_WAIVED)
        else:
            self._due = ticks_add(now, MAX_TRANSMIT_WAIT_MS)

    def again(self, now):
        """Send it once more within its bound of repeats; else it has failed."""
        self._repeats += 1
        if self._repeats > _REPEATS or not self.resend(now):
            self.end(now, COAP_EMPTY)

    def end(self, now, code, buf=b"", at=0, n=0, fresh=True):
        """Deliver the outcome. A request is over with it, an observation waits for what is next."""
        self.drop(now)
        if self.observe:
            self._begin()
            self._repeats = 0
            self._waiting = False
            if code >> 5 == 2:
                self._retry = _RETRY_MS
                wait = 1000 * min(self.max_age_s, _MAX_AGE_MAX_S) + 5000
            else:
                self.sequence = -1
                wait = self._retry
                self._retry = min(2 * wait, _RETRY_MAX_MS)
            self._due = ticks_add(now, wait + self._client.ep.number(10001))
        else:
            self._client.remove(self)
            self.payload = b""  # it may be kept for its answer
        if self.on_reply:
            self.on_reply(now, code, buf, at, n, fresh)

    def cancel(self, now):
        """Let go of it: nothing is delivered any more, and an observed server is told."""
        if self in self._client.requests:
            self._client.remove(self)
            self.drop(now)
            if self.observe:
                self._begin()
                self.etag = b""
                self.no_response = 26
                self.resend(now, 1)

    def step(self, now):
        """Milliseconds until it has to be looked at again."""
        wait = ticks_diff(self._due, now)
        if self.exchange or wait > 0:
            return wait if wait > 0 else MAX_TRANSMIT_WAIT_MS
        if self._waiting:
            self.end(now, COAP_EMPTY)
        elif not self.resend(now):
            self._due = ticks_add(now, 1000)  # no room among the exchanges at the moment
        return 0

    def take(self, now, m, watched):
        """Its response m, verified, has come; `watched`: as a notification, between other things."""
        code = m.code
        i = m.find(OPT_ECHO)
        if code == COAP_UNAUTHORIZED and i >= 0:
            self._echo = m.octets(i)
            return self.again(now)
        value = m.value(OPT_BLOCK1)
        if value >= 0 and self._block1(now, code, value) or not self._newer(now, m, watched):
            return None
        i = m.find(OPT_ETAG)
        etag = m.octets(i) if i >= 0 else b""
        buf, at, n = m.buf, m.payload_at, m.payload_n
        value = m.value(OPT_BLOCK2)
        if self.block >= 0:
            if code >> 5 == 2 and (value if value >= 0 else self.block & 7) & ~8 != self.block:
                code = COAP_INCOMPLETE
        elif value >= 0 and code >> 5 == 2:
            if watched:
                self._begin()
            if not self._block2(now, m, value, etag):
                return None
            if self._body:
                buf, at, n = self._body, 0, len(self._body)
        self.max_age_s = m.value(OPT_MAX_AGE, MAX_AGE_S)
        self.reply_ct = m.value(OPT_CONTENT_FORMAT)
        self.location = segments(m, OPT_LOCATION_PATH, b"/")
        fresh = code != COAP_VALID and not (etag and etag == self.etag)
        self.etag = etag or self.etag
        return self.end(now, code, buf, at, n, fresh)

    def _block1(self, now, code, value):
        """Whether the server's word on a block of the payload leads to another message (RFC 7959, section 2.5)."""
        szx = value & 7
        if code == COAP_CONTINUE:
            self.at += 16 << self._szx
            self._szx = min(self._szx, szx)
            if self.at >= len(self.payload) or not self.resend(now):
                self.end(now, COAP_EMPTY)
        elif code == COAP_INCOMPLETE or code == COAP_TOO_LARGE and szx < self._szx:
            if self._repeats >= _REPEATS:
                return False
            self._szx = min(self._szx, szx)
            self.at = 0
            self.again(now)
        else:
            return False
        return True

    def _newer(self, now, m, watched):
        """Whether it is no notification, or one that is not overtaken (RFC 7641, section 3.4)."""
        value = m.value(OPT_OBSERVE)
        if value < 0 or not self.observe:
            return True
        if watched and not self.context and self.sequence >= 0:  # OSCORE has an order of its own
            ahead = value - self.sequence & 0xFFFFFF
            if not 0 < ahead < 0x800000 and 0 <= ticks_diff(now, self._heard) <= _REORDER_MS:
                return False
        self.sequence = value
        self._heard = now
        return True

    def _block2(self, now, m, value, etag):
        """Take a block of the response; whether that was all (RFC 7959, section 2.4)."""
        ep = self._client.ep
        body = self._body
        if body is None:
            if value < 16 and not value & 8:
                return True
            body = bytearray()
            self._body_etag = etag
        n = m.payload_n
        if offset(value) != len(body) or etag != self._body_etag or not fits(value, n, ep.out.reliable(self.peer)):
            self._begin()
            self.again(now)
            return False
        if len(body) + n > ep.max_body:
            self.end(now, COAP_TOO_LARGE)
            return False
        body.extend(memoryview(m.buf)[m.payload_at : m.payload_at + n])
        self._body = body
        if not value & 8:
            return True
        self._szx = min(self._szx, value & 7)
        if not self.resend(now):
            self.end(now, COAP_EMPTY)
        return False


class Client:
    """The table of requests of one endpoint."""

    def __init__(self, ep, config):
        self.ep = ep
        self.requests = []
        self._tag = ep.number(256)
        self._max = config.get("requests", _REQUESTS)

    def request(self, now, peer, code, path, payload=b"", n=-1, query=(), con=True, observe=False, no_response=0,
                context=None, on_reply=None, ct=-1, accept=-1, etag=b"", block=-1):
        """Send a request; returns it, or None where there is no room: the caller tries later. CoapError for one that
        does not fit a message, or cannot be protected.

        path "a/b"; query ("k=v", …); the payload's first n octets (all of it without) are copied. A CON waits until
        the one before it to that peer is acknowledged. context: what protects it, else context_for(peer) says.
        block: a block's number and size, as the option holds them: that block alone is asked for; 4.08: another came.
        no_response: 2 for no 2.xx, 8 for no 4.xx, 16 for no 5.xx (RFC 7967); a NON that waives 2.xx is sent and
        forgotten. ct, accept: content formats. etag: of what the caller has, for 2.03.

        on_reply(now, code, buf, at, n, fresh) is called once, for an observation each time: the code, the payload in
        buf[at:at + n] until it returns, and whether this representation is another than the last one (ETag, 2.03).
        Code 0: no answer, or reset. 2.00 (COAP_WAIVED): acknowledged, the response was waived. 4.13 also for a
        response over the endpoint's bound. An observation goes on after failures, and registers again by itself.
        """
        ep = self.ep
        size = len(payload) if n < 0 else n
        if len(self.requests) >= self._max or size > ep.max_body:
            return None
        if context is None and ep.context_for:
            context = ep.context_for(peer)
        r = Request(self, peer, code, path, query, con, observe, no_response, context, on_reply, ct, accept)
        r.etag = etag
        r.block = block
        if size:
            r.payload = bytes(memoryview(payload)[:size])
        if not r.send(now):
            return None
        if con or not no_response & 2:
            self.requests.append(r)
        return r

    def remove(self, r):
        if r in self.requests:
            self.requests.remove(r)

    def response(self, now, peer, outer, exchange):
        """Take a response; False: nobody waits for it. exchange: the CON that its ACK stands for."""
        ep = self.ep
        token = outer.token()
        for r in self.requests:
            if (token == r.token or token == r._watch) and (r.context or r.peer == peer):
                break
        else:
            return False
        watched = token == r._watch and not (token == r.token and r._waiting)
        m = outer
        fault = None
        if r.context:
            binding = r._watch_binding if token == r._watch else r.binding
            m, fault = ep.open(ep.security.unprotect_response, outer, binding)
            if fault and (fault.code < 0x80 or watched):
                return True  # forged, or old; who says that it was done has to prove it, and so has who notifies
        if not watched and not r._waiting:
            return outer.type != CON
        if not fault and unknown(m):
            if not watched:
                r.end(now, COAP_EMPTY)
            return outer.type != CON
        if outer.type == CON and not ep.out.reliable(peer):
            ep.remember_response(now, peer, outer.mid)
        if not watched:
            r.drop(now)
        if fault:
            r.end(now, fault.code)  # an error without protection: who is not on the path cannot have sent it
        else:
            r.take(now, m, watched)
        return True

    def step(self, now):
        wait = MAX_TRANSMIT_WAIT_MS
        for r in self.requests[:]:
            if r in self.requests:
                wait = min(wait, r.step(now))
        return wait

    def gone(self, now, peer):
        for r in self.requests[:]:
            if r.peer == peer and r in self.requests:
                self.requests.remove(r)
                r.observe = False
                r.end(now, COAP_EMPTY)
