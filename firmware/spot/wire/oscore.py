"""OSCORE (RFC 8613) on whole CoAP messages in UDP's framing: plain ones in, protected ones out, and back.

Options go inside the encryption but for those that a proxy needs (Uri-Host, Uri-Port, Hop-Limit, Proxy-Scheme); Observe
stands on both sides. Neither way takes heap once a binding is there. Messages, so blocks, are protected one by one:
a body is cut into blocks before and put together behind (inner block-wise); outer blocks are the endpoint's, before.
"""

from spot.port import const
from spot.wire.ccm import MAX, TAG
from spot.wire.coap import Builder, CoapError, Message, copy
from spot.wire.coap_numbers import (
    COAP_BAD_OPTION,
    COAP_BAD_REQUEST,
    COAP_CHANGED,
    COAP_CONTENT,
    COAP_FETCH,
    COAP_POST,
    COAP_TOO_LARGE,
    COAP_UNAUTHORIZED,
    COAP_UNAVAILABLE,
    OPT_ECHO,
    OPT_HOP_LIMIT,
    OPT_OBSERVE,
    OPT_OSCORE,
    OPT_PROXY_SCHEME,
    OPT_PROXY_URI,
    OPT_URI_HOST,
    OPT_URI_PORT,
)
from spot.wire.context import AAD, PIV_MAX, ContextError, bstr

_FREE = const(8)  # strange ID contexts that keys are derived for (8 ms on a Pico) between two requests that verify;
# beyond it for one in eight: a flood is slowed, and the peer still gets through
_PLAIN = const(3)  # in the scratch: the code, and options from octet 4 on, where a message has them
_OUTER = (OPT_URI_HOST, OPT_URI_PORT, OPT_HOP_LIMIT, OPT_PROXY_URI, OPT_PROXY_SCHEME)


class OscoreError(CoapError):
    """A message that is not let through. code: the response to a request that asks for one; `text` its diagnostic.

    protected: the response goes through protect_response; echo: and carries these octets as its Echo option.
    """

    def __init__(self, code, text, protected=False, echo=None):
        super().__init__(code, text)
        self.protected = protected
        self.echo = echo


class Binding:
    """What joins a request with its responses: kept for as long as one may come. Can be used again for another request.

    context, piv: whose, and which number the request had. number: highest number of a notification so far, or -1.
    """

    def __init__(self):
        self.aad = bytearray(AAD)
        self.clear(None, 0)

    def clear(self, context, piv):
        self.context = context
        self.piv = piv
        self.number = -1
        self.aad_n = 0
        self.own = self.answered = self.observe = False
        self.hint = None  # for the response of appendix B.2, step 2
        self.id_context = context.id_context if context is not None else None


def _is(buf, at, n, octets):
    """Whether buf[at:at+n] are those octets (None are none)."""
    if octets is None or n != len(octets):
        return False
    for i in range(n):
        if buf[at + i] != octets[i]:
            return False
    return True


class Oscore:
    """Protects and unprotects messages under any number of contexts. log: Log; random(n): n octets nobody can guess.

    Requests are for the context that is given, and come in under the one that their kid and kid context name. All calls
    raise OscoreError.
    """

    def __init__(self, log, random):
        self._log = log
        self._random = random
        self.contexts = []
        self._m = Message()
        self._inner = Message()
        self._b = Builder(b"")
        self.scratch = b""  # what is deciphered lies there until it has been joined, if it fits: an endpoint's buffer
        self._nonce = bytearray(13)
        self._token = bytearray(8)
        self._value = bytearray(48)  # of the OSCORE option
        self._piv = self._kid = self._kid_n = self._hint = self._hint_n = -1
        self._order = self._strangers = 0

    def add(self, context):
        """Take requests under this context from now on."""
        if context not in self.contexts:
            self.contexts.append(context)

    def remove(self, context):
        if context in self.contexts:
            self.contexts.remove(context)

    def binding(self):
        return Binding()

    # --- out ---

    def protect_request(self, buf, n, out, context, binding):
        """Protect the request buf[:n] into `out` (as long, and 32 octets); returns its octets. `binding` is filled."""
        if context.lost:
            context.recover(self._random)
        binding.clear(context, 0)
        piv = self._take(context)
        binding.piv = piv
        binding.aad_n = context.bind(self._nonce, binding.aad, True, piv)
        if context.shown:
            binding.hint = context.hint
        return self._protect(buf, n, out, binding, piv)

    def protect_response(self, buf, n, out, binding, own_piv=False):
        """Protect a response to the request of `binding`. With own_piv it gets a number of its own, as it does anyway
        where the request's is not to be used: a notification, a second response, an answer to an unproven request, keys
        that are new since the request (its number may come again under them)."""
        context = binding.context
        self._m.parse(buf, n)
        piv = -1
        own_piv = own_piv or binding.own or binding.answered or binding.id_context != context.id_context
        if own_piv or self._m.find(OPT_OBSERVE) >= 0:
            piv = self._take(context)
            context.bind(self._nonce, None, True, piv)
        else:
            binding.answered = True
            context.bind(self._nonce, None, False, binding.piv)
        return self._protect(buf, n, out, binding, piv)

    def _take(self, context, id_context=None):
        """The next number; with an ID context its keys are taken instead. Both may need the store."""
        try:
            return context.take_piv() if id_context is None else context.adopt(id_context)
        except ContextError as fault:
            self._log.error("oscore." + fault.args[0].replace(" ", "_"), context.seq)
            raise OscoreError(COAP_UNAVAILABLE, "no sequence number")  # noqa: B904 - MicroPython has no `from`

    def _protect(self, buf, n, out, binding, piv):
        m = self._m
        context = binding.context
        m.parse(buf, n)
        response = m.code > 31
        observe = m.find(OPT_OBSERVE) >= 0
        b = self._b
        b.buf = out
        if response:
            n = COAP_CONTENT if observe else COAP_CHANGED
        else:
            n = COAP_FETCH if observe else COAP_POST
            binding.observe = binding.observe or observe
        self._start(m, n)
        n = self._encode(piv, binding.hint, None if response else context.sender_id)
        for i in range(m.count):
            number = m.numbers[i]
            if number == OPT_OSCORE or number == OPT_PROXY_URI:  # a Proxy-Uri has a path in it: give its parts
                raise OscoreError(COAP_BAD_OPTION, "option")
            if number > OPT_OSCORE and n >= 0:
                b.option(OPT_OSCORE, self._value, 0, n)
                n = -1
            if number == OPT_OBSERVE or number in _OUTER:
                b.option(number, m.buf, m.ats[i], m.lens[i])
        if n >= 0:
            b.option(OPT_OSCORE, self._value, 0, n)
        at = b.inside(m.code)
        for i in range(m.count):
            number = m.numbers[i]
            if number not in _OUTER:
                b.option(number, m.buf, m.ats[i], 0 if response and number == OPT_OBSERVE else m.lens[i])
        b.payload(m.buf, m.payload_at, m.payload_n)
        size = b.n - at
        if size + binding.aad_n > MAX or b.n + TAG > len(out):
            raise OscoreError(COAP_TOO_LARGE, "too large")
        context.ccm_out.seal(self._nonce, binding.aad, binding.aad_n, out, at, size)
        return b.n + TAG

    def _start(self, m, code):
        copy(self._token, 0, m.buf, 4, m.token_n)
        self._b.start(m.type, code, m.mid, self._token, m.token_n)

    def _encode(self, piv, hint, kid):
        """Write the option's value (section 6.1); its octets."""
        value = self._value
        flags = 0
        at = 1
        if piv >= 0:
            size = 8
            while piv >> size:
                size += 8
            flags = size >> 3
            while size:
                size -= 8
                value[at] = piv >> size & 0xFF
                at += 1
        if hint is not None:
            flags |= 16
            value[at] = len(hint)
            copy(value, at + 1, hint, 0, len(hint))
            at += 1 + len(hint)
        if kid is not None:
            flags |= 8
            copy(value, at, kid, 0, len(kid))
            at += len(kid)
        value[0] = flags
        return at if flags else 0

    # --- in ---

    def _decode(self, m, i):
        """Read the option's value; what is absent is -1. OscoreError for what is none (section 6.1)."""
        buf = m.buf
        at = m.ats[i]
        n = m.lens[i]
        end = at + n
        self._piv = self._kid = self._kid_n = self._hint = self._hint_n = -1
        if m.payload_n <= TAG or m.find(OPT_OSCORE, 1) >= 0:
            raise OscoreError(COAP_BAD_OPTION, "Failed to decode COSE")
        if n == 0:
            return
        flags = buf[at]
        at += 1
        size = flags & 7
        ok = 0 < flags < 32 and size < 6 and at + size <= end and not (size > 1 and buf[at] == 0)
        if ok and size:
            piv = 0
            if size > 4 or (size == 4 and buf[at] > 0x3F):
                piv = PIV_MAX + 1  # beyond what any peer of ours gives: section 7.2.1's end of numbers
            else:
                for j in range(at, at + size):
                    piv = piv << 8 | buf[j]
            self._piv = piv
            at += size
        if ok and flags & 16:
            ok = at < end and at + 1 + buf[at] <= end
            if ok:
                self._hint = at + 1
                self._hint_n = buf[at]
                at += 1 + buf[at]
        if flags & 8:
            self._kid = at
            self._kid_n = end - at
        elif at != end:
            ok = False
        if not ok or self._piv > PIV_MAX:
            raise OscoreError(COAP_BAD_OPTION, "Failed to decode COSE")

    def _open(self, context, m, binding):
        """Decrypt into the scratch, under the nonce that is set; False: not under this context. Then `_inner` is the
        message inside."""
        n = m.payload_n - TAG
        if n + binding.aad_n > MAX:
            raise OscoreError(COAP_TOO_LARGE, "too large")
        scratch = self.scratch
        if n + TAG + _PLAIN > len(scratch):
            scratch = bytearray(n + TAG + _PLAIN)
            self.scratch = self.scratch or scratch  # where there is no endpoint
        copy(scratch, _PLAIN, m.buf, m.payload_at, n + TAG)
        if not context.ccm_in.open(self._nonce, binding.aad, binding.aad_n, scratch, _PLAIN, n):
            return False
        scratch[0] = 0x40
        scratch[1] = scratch[_PLAIN]
        try:
            self._inner.parse(scratch, _PLAIN + n)
        except CoapError:
            self._inner.code = 0
        return True

    def unprotect_request(self, m, out, binding):
        """The request inside the parsed message `m` into `out` (as long as m); returns its octets. `binding` is filled,
        also where the error says that its response is protected."""
        i = m.find(OPT_OSCORE)
        self._decode(m, i)
        buf = m.buf
        piv = self._piv
        if piv < 0 or self._kid < 0:
            raise OscoreError(COAP_BAD_OPTION, "Failed to decode COSE")
        code = COAP_UNAUTHORIZED
        text = "Security context not found"
        for context in self.contexts:
            if not _is(buf, self._kid, self._kid_n, context.recipient_id):
                continue
            if self._hint >= 0 and not _is(buf, self._hint, self._hint_n, context.hint):
                continue
            if context.window.seen(piv):
                code = COAP_UNAUTHORIZED
                text = "Replay detected"
                continue
            binding.clear(context, piv)
            binding.aad_n = context.bind(self._nonce, binding.aad, False, piv)
            if self._open(context, m, binding):
                return self._accept(context, m, out, binding)
            code = COAP_BAD_REQUEST
            text = "Decryption failed"
        if self._hint_n > 4 and text[0] == "S":
            n = self._renew(m, out, binding)
            if n:
                return n
        self._log.warn("oscore." + ("unknown" if text[0] == "S" else "replay" if text[0] == "R" else "forged"), piv)
        raise OscoreError(code, text)

    def _accept(self, context, m, out, binding):
        """The request has been verified: is it new, and what is in it?"""
        inner = self._inner
        piv = binding.piv
        if not context.fresh:
            binding.own = True  # the request's nonce may have been used for a response before the restart
            echo = context.challenge(self._random)
            i = inner.find(OPT_ECHO) if inner.code else -1
            if i < 0 or not _is(inner.buf, inner.ats[i], inner.lens[i], echo):
                self._log.info("oscore.echo", piv)
                raise OscoreError(COAP_UNAUTHORIZED, "", True, echo)
            context.proven(piv)
            binding.own = False
        else:
            context.window.accept(piv)
        self._strangers = 0
        if not 0 < inner.code < 32 or inner.find(OPT_OSCORE) >= 0:
            raise OscoreError(COAP_BAD_REQUEST, "inner message", True)
        binding.observe = inner.find(OPT_OBSERVE) >= 0
        return self._join(m, out, -1)

    def _join(self, m, out, observe):
        """Write the message: the outer head, the outer options that no one may hide, the inner code, options, payload.
        observe >= 0: the value of a notification's Observe."""
        inner = self._inner
        b = self._b
        b.buf = out
        self._start(m, inner.code)
        i = j = 0
        while True:
            while i < m.count and m.numbers[i] not in _OUTER:
                i += 1
            if i < m.count and (j == inner.count or m.numbers[i] <= inner.numbers[j]):
                b.option(m.numbers[i], m.buf, m.ats[i], m.lens[i])
                i += 1
            elif j < inner.count:
                if observe >= 0 and inner.numbers[j] == OPT_OBSERVE:
                    b.uint(OPT_OBSERVE, observe)
                else:
                    b.option(inner.numbers[j], inner.buf, inner.ats[j], inner.lens[j])
                j += 1
            else:
                break
        b.payload(inner.buf, inner.payload_at, inner.payload_n)
        return b.n

    def unprotect_response(self, m, out, binding):
        """The response inside `m` to the request of `binding`. What raises here is not answered, and the request goes
        on waiting. An unprotected response, which anybody can have sent, raises with its code and text "unprotected".

        A notification's Observe counts what comes in, so that each is newer than the one before: older ones, by their
        sequence numbers, are not let through (section 7.4.1).
        """
        context = binding.context
        i = m.find(OPT_OSCORE)
        if i < 0:
            context.shown = context.hint is not None  # the peer may have lost it: the next request says it again
            raise OscoreError(m.code, "unprotected")
        self._decode(m, i)
        piv = self._piv
        if self._kid >= 0 and not _is(m.buf, self._kid, self._kid_n, context.recipient_id):
            raise OscoreError(0, "kid")
        if piv < 0 and binding.answered or 0 <= piv <= binding.number:
            raise OscoreError(0, "old")
        third = None
        if self._hint_n > 4 and not _is(m.buf, self._hint, self._hint_n, context.hint):
            third, context = self._third(m, binding)
        if piv < 0:
            context.bind(self._nonce, None, True, binding.piv)
        else:
            context.bind(self._nonce, None, False, piv)
        if not self._open(context, m, binding):
            self._log.warn("oscore.forged", piv)
            raise OscoreError(0, "Decryption failed")
        inner = self._inner
        notifies = inner.find(OPT_OBSERVE) >= 0 if inner.code else False
        if inner.code < 32 or inner.find(OPT_OSCORE) >= 0 or notifies and not binding.observe:
            raise OscoreError(0, "inner message")
        if third is not None:
            return self._again(m, out, binding, third)
        context.shown = context.shown and not context.random
        if piv < 0:
            binding.answered = True
        else:
            binding.number = piv
        self._order = self._order + 1 & 0xFFFFFF
        return self._join(m, out, self._order)

    # --- keys derived anew: appendix B.2 ---

    def _unwrapped(self, m):
        """The ID context in the byte string that the kid context is, or None."""
        at = self._hint
        octets = bytes(m.buf[at : at + self._hint_n])
        octets_in = octets[2:] if octets[0] == 0x58 else octets[1:]
        return octets_in if bstr(octets_in) == octets else None

    def _renew(self, m, out, binding):
        """A request under an ID context that is not known: step 4, or step 2. 0: under no context of ours."""
        id_context = self._unwrapped(m)
        self._strangers += 1
        if id_context is None or self._strangers > _FREE and self._strangers & 7:
            return 0
        for context in self.contexts:
            if not _is(m.buf, self._kid, self._kid_n, context.recipient_id):
                continue
            twin = context.twin(id_context)
            binding.clear(twin, self._piv)
            binding.aad_n = twin.bind(self._nonce, binding.aad, False, self._piv)
            if not self._open(twin, m, binding):
                continue
            if context.knows_r2(id_context):
                self._take(context, id_context)
                context.shown = False
                binding.context = context
                self._log.info("oscore.renewed", self._piv)
                return self._accept(context, m, out, binding)
            r2 = context.nonce_r2(self._random)
            binding.context = twin = context.twin(r2 + id_context)
            binding.id_context = twin.id_context
            binding.hint = bstr(r2)
            raise OscoreError(COAP_UNAUTHORIZED, "", True)
        return 0

    def _third(self, m, binding):
        """Step 3: the third ID context, and the second context, which the response is under."""
        r2 = self._unwrapped(m)
        if r2 is None or binding.context.id_context != binding.id_context:
            raise OscoreError(0, "kid context")
        return r2 + self._random(8), binding.context.twin(r2 + (binding.id_context or b""))

    def _again(self, m, out, binding, id_context):
        """Step 3, the response being right. It is handed on as one that asks for the request again, under the new
        keys: a 4.01 with Echo, which it may be already."""
        inner = self._inner
        if inner.code != COAP_UNAUTHORIZED:
            raise OscoreError(0, "inner message")
        self._take(binding.context, id_context)
        self._log.info("oscore.renewed", binding.piv)
        if inner.find(OPT_ECHO) >= 0:
            return self._join(m, out, -1)
        b = self._b
        b.buf = out
        self._start(m, COAP_UNAUTHORIZED)
        b.option(OPT_ECHO, id_context, 0, 8)
        return b.n
