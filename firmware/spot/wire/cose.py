"""COSE (RFC 9052, 9053) around a body on a link whose broker need not be trusted: COSE_Encrypt0 with
AES-CCM-16-64-128, or COSE_Mac0 with HMAC 256/64, untagged.

Keys come from the same secret as OSCORE's, by the same derivation under other names, so that no key serves both. The
algorithm is fixed by the key and not said; headers are kid (4; the sender's id, then the generation) and Partial IV
(6), both unprotected ones; the protected ones are empty. 21 octets for a number of three octets, 8 of them the tag;
Mac0 has one more. The additional data is [kid, recipient's kid, Partial IV, channel, boot]: who, to whom, which, what
for, and on the way to a device the number of its start, so that what was recorded before a restart is worth nothing
after it, without a write to flash; null on the way up.
"""

from spot.port import const
from spot.wire.cbor import CBORError, Reader
from spot.wire.ccm import CCM, MAX, TAG
from spot.wire.context import PIV_MAX, ContextError, Window, bstr, own_iv
from spot.wire.kdf import hmac_sha256

_CCM = const(10)
_HMAC = const(4)  # HMAC 256/64
_AAD = const(80)  # octets that the additional data may take


class CoseError(ValueError):
    """A body that is not let through: `args[0]` says why (form, kid, replay, forged, or what ContextError says)."""


def _head(major, n):
    """Head of a CBOR item of at most 65,535."""
    if n < 24:
        return bytes([major + n])
    return bytes([major + 24, n]) if n < 256 else bytes([major + 25, n >> 8, n & 0xFF])


class Cose:
    """Protects what goes out, and lets through what the peer has protected, under one context.

    context: spot.wire.context.Context, whose numbers are used. boot: the device's number of its start; at the EMD as
    its registration says. device: at this end is the device. mac: authenticated only, readable for everyone; what comes
    in has to be of the same kind.

    window: the numbers that came in. The device's begins anew with each start, which the boot number covers; an EMD
    keeps `window.top`, and has `window.begin(top)` called after its own restart.
    """

    def __init__(self, context, boot, device=True, mac=False):
        self.context = context
        self.boot = boot
        self._device = device
        self._mac = mac
        self.window = Window()
        self._own = self._key(context.sender_id)
        self._peer = self._key(context.recipient_id)

    def _key(self, id):
        """(key or cipher, IV with the id folded in, kid) of one side."""
        context = self.context
        kid = id + (context.id_context or b"") if not context.random else id
        if self._mac:
            return context.key(_HMAC, b"COSE Key", 32, id), None, kid
        return CCM(context.key(_CCM, b"COSE Key", 16, id)), own_iv(context.key(_CCM, b"COSE IV", 13, b""), id), kid

    def _bound(self, kid, to, piv, channel, down):
        """The external additional data."""
        boot = b"\xf6"
        if down:
            boot = b"\x1a" + self.boot.to_bytes(4, "big") if self.boot > 65535 else _head(0, self.boot)
        channel = channel.encode()
        return bstr(b"\x85" + bstr(kid) + bstr(to) + bstr(piv) + _head(0x60, len(channel)) + channel + boot)

    def _nonce(self, iv, piv):
        """The context IV with the Partial IV folded into its end (RFC 9052, section 3.1)."""
        nonce = bytearray(iv)
        at = 13 - len(piv)
        for octet in piv:
            nonce[at] ^= octet
            at += 1
        return nonce

    def _tag(self, key, aad, body):
        return hmac_sha256(key, b"\x84\x64MAC0\x40" + aad + _head(0x40, len(body)) + body)[:TAG]

    def seal(self, channel, buf, n, out):
        """The COSE object around buf[:n], for `channel` (a name), into `out`; returns its octets. CoseError where no
        number may be used; ValueError where `out` is too short."""
        try:
            number = self.context.take_piv()
        except ContextError as fault:
            raise CoseError(fault.args[0])  # noqa: B904 - MicroPython has no `from`
        size = 1
        while number >> (size << 3):
            size += 1
        piv = number.to_bytes(size, "big")
        key, iv, kid = self._own
        aad = self._bound(kid, self._peer[2], piv, channel, not self._device)
        head = b"\x40\xa2\x04" + bstr(kid) + b"\x06" + bstr(piv)
        body = bytes(memoryview(buf)[:n])
        if self._mac:
            whole = b"\x84" + head + _head(0x40, n) + body + b"\x48" + self._tag(key, aad, body)
        else:
            body = bytearray(body + bytes(TAG))
            aad = b"\x83\x68Encrypt0\x40" + aad
            key.seal(self._nonce(iv, piv), aad, len(aad), body, 0, n)
            whole = b"\x83" + head + _head(0x40, n + TAG) + body
        if len(whole) > len(out):
            raise ValueError("no room")
        out[: len(whole)] = whole
        return len(whole)

    def open(self, channel, buf, n, out):
        """The body inside the COSE object buf[:n], which came on `channel`, into `out`; returns its octets. CoseError
        for one that is not let through, ValueError where `out` is too short; nothing has changed then."""
        key, iv, kid = self._peer
        try:
            reader = Reader(buf, n)
            ok = reader.read_array() == (4 if self._mac else 3) and reader.read_bytes() == b""
            ok = ok and reader.read_map() == 2 and reader.read_uint() == 4
            named = reader.read_bytes()
            ok = ok and reader.read_uint() == 6
            piv = reader.read_bytes()
            body = reader.read_bytes()
            tag = reader.read_bytes() if self._mac else b""
            reader.finish()
        except CBORError:
            ok = False
        if not ok or not 0 < len(piv) < 5 or (len(piv) > 1 and not piv[0]) or len(body) > MAX - _AAD:
            raise CoseError("form")
        number = int.from_bytes(piv, "big")
        if number > PIV_MAX:
            raise CoseError("form")
        if named != kid:
            raise CoseError("kid")
        if self.window.seen(number):
            raise CoseError("replay")
        aad = self._bound(kid, self._own[2], piv, channel, self._device)
        if self._mac:
            wrong = len(tag) ^ TAG
            for a, b in zip(tag, self._tag(key, aad, body)):  # noqa: B905 - all of it, whatever differs
                wrong |= a ^ b
        else:
            wrong = len(body) < TAG
            if not wrong:
                body = bytearray(body)
                size = len(body) - TAG
                aad = b"\x83\x68Encrypt0\x40" + aad
                wrong = not key.open(self._nonce(iv, piv), aad, len(aad), body, 0, size)
                body = memoryview(body)[:size]
        if wrong:
            raise CoseError("forged")
        if len(body) > len(out):
            raise ValueError("no room")
        out[: len(body)] = body
        self.window.accept(number)
        return len(body)
