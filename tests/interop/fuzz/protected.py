"""OSCORE and COSE: what is not the peer's is refused, and what is the peer's may still be nonsense."""

from spot.log import Log
from spot.wire.coap import CoapError, Message
from spot.wire.context import Context, Window
from spot.wire.cose import Cose, CoseError
from spot.wire.oscore import Oscore
from tests.interop.fuzz.messages import fields, sample

_message, _again = Message(), Message()
_SECRET, _SALT = bytes(range(16)), bytes(8)
_DEVICE, _EMD = b"\x01", b"\x00"
_UNPROTECTED = (3, 7, 16, 35, 39)  # options that a proxy needs, so that anyone may change them (RFC 8613, section 4.1)
_PLAIN = sample([(11, b"cmd"), (15, b"a=1"), (258, b"\x02")], b"\x84\x01\x02\x03")
_ANSWER = sample([(4, b"tag"), (12, b"\x3c")], b"body", 0x45)


def _random(n):
    return bytes(range(n))


_ends = [Oscore(Log(8), _random), Oscore(Log(8), _random)]
_contexts = [Context(_SECRET, _SALT, _EMD, _DEVICE), Context(_SECRET, _SALT, _DEVICE, _EMD)]
for _end, _context in zip(_ends, _contexts, strict=True):
    _end.add(_context)


def _fresh():
    """Both ends as new: (EMD's, EMD's context, device's, device's context)."""
    for context in _contexts:
        context.seq, context.window, context.fresh = 0, Window(), True
    return _ends[0], _contexts[0], _ends[1], _contexts[1]


def _inner(buf, n):
    """What is protected of a message."""
    _again.parse(buf, n)
    code, options, payload = (fields(_again)[i] for i in (1, 4, 5))
    return code, [row for row in options if row[0] not in _UNPROTECTED], payload


def _changed(octets, edits):
    """`octets` with edits of three octets each: position (2), what it is combined with by exclusive or."""
    made = bytearray(octets)
    for i in range(0, len(edits) - 2, 3):
        made[(edits[i] << 8 | edits[i + 1]) % len(made)] ^= edits[i + 2]
    return bytes(made)


def _opened(unprotect, data, binding, answers=True):
    """The octets of the plain message, or None where it is refused; answers: with a code, as for a request."""
    out = bytearray(len(data) + 64)
    try:
        _message.parse(data, len(data))
        n = unprotect(_message, out, binding)
    except CoapError as exc:
        if answers:  # what is no request is not answered; an unprotected response gives its own code
            assert exc.code == 0 or 0x80 <= exc.code < 0xC0
        return None
    return bytes(out[:n])


def oscore(data: bytes):
    """Octets of a stranger; a protected message that was changed on the way; an authentic peer's nonsense."""
    if not data:
        return
    emd, ours, device, theirs = _fresh()
    kind, data = data[0] & 3, data[1:]
    wire = bytearray(len(_PLAIN) + len(data) + 64)
    asked, taken = emd.binding(), device.binding()
    if kind == 0:
        try:
            _message.parse(data, len(data))
        except CoapError:
            return
        if _message.find(9) >= 0:
            assert _opened(device.unprotect_request, data, taken) is None
        return
    n = emd.protect_request(_PLAIN, len(_PLAIN), wire, ours, asked)
    request = bytes(wire[:n])
    if kind == 1:
        changed = _changed(request, data)
        got = _opened(device.unprotect_request, changed, taken) if _has_oscore(changed) else None
        if changed == request:
            assert got == _PLAIN
            assert _opened(device.unprotect_request, request, device.binding()) is None  # a replay
        elif got is not None:
            assert _inner(got, len(got)) == _inner(_PLAIN, len(_PLAIN))
    elif kind == 2:
        if _has_oscore(insider := _insider(ours, data[:1100])):
            got = _opened(device.unprotect_request, insider, taken)
            if got is not None:
                _again.parse(got, len(got))
    else:
        assert _opened(device.unprotect_request, request, taken) == _PLAIN
        wire = bytearray(len(_ANSWER) + 64)
        n = device.protect_response(_ANSWER, len(_ANSWER), wire, taken)
        changed = _changed(wire[:n], data)
        got = _opened(emd.unprotect_response, changed, asked, False)
        if got is not None:
            assert _inner(got, len(got)) == _inner(_ANSWER, len(_ANSWER))


def _has_oscore(data):
    try:
        _message.parse(data, len(data))
    except CoapError:
        return False
    return _message.find(9) >= 0 and _message.code < 32


def _insider(context, plaintext):
    """A request whose plaintext is any octets, under the peer's key and number 0."""
    nonce, aad = bytearray(13), bytearray(40)
    aad_n = context.bind(nonce, aad, True, 0)
    sealed = bytearray(plaintext + bytes(8))
    context.ccm_out.seal(nonce, aad, aad_n, sealed, 0, len(plaintext))
    return sample([(9, b"\x09\x00" + _EMD)], bytes(sealed), 2)


_cose = {}


def cose(data: bytes):
    """As `oscore`, for an object on a channel; also on another channel, and after another start of the device."""
    if len(data) < 2:
        return
    kind, mac, data = data[0] & 3, bool(data[0] & 4), data[1:]
    _, ours, _, theirs = _fresh()
    if mac not in _cose:
        _cose[mac] = [Cose(ours, 7, False, mac), Cose(theirs, 7, True, mac)]
    emd, device = _cose[mac]
    device.window, device.boot = Window(), 7
    out = bytearray(len(data) + 64)
    if kind == 0:
        try:
            device.open("cmd", data, len(data), out)
        except CoseError:
            return
        raise AssertionError("a stranger's object is let through")
    wire = bytearray(2000)
    body = data[:1000] if kind == 1 else _PLAIN
    n = emd.seal("cmd", body, len(body), wire)
    out = bytearray(1200)
    if kind == 1:
        assert device.open("cmd", wire, n, out) == len(body) and out[: len(body)] == body
        changed, channel = bytes(wire[:n]), "cmd"  # a replay
    elif kind == 2:
        changed, channel = _changed(wire[:n], data), "cmd"
        if changed == wire[:n]:
            return
    else:
        changed, channel = bytes(wire[:n]), ("cmd", "cmc", "cm")[data[0] % 3]
        device.boot = 7 + data[0] // 3
        if (channel, device.boot) == ("cmd", 7):
            return
    try:
        device.open(channel, changed, len(changed), out)
    except CoseError:
        return
    raise AssertionError("a changed object is let through")


TARGETS = {"oscore": oscore, "cose": cose}
SEEDS = {
    "oscore": [
        b"\x00" + sample([(9, b"\x09\x00\x00")], bytes(20)),
        b"\x00" + sample([(9, b"\x19\x05\x02ab\x00")], b"x" * 9),
        b"\x01", b"\x01\x00\x14\x01", b"\x02\x02\xb3cmd\xff\x84\x01", b"\x03", b"\x03\x00\x08\x01",
    ],
    "cose": [
        b"\x00\x83\x40\xa2\x04\x41\x00\x06\x41\x00\x49" + bytes(9),
        b"\x01body", b"\x05body", b"\x02\x00\x07\x01", b"\x06\x00\x00\x01", b"\x03\x01", b"\x07\x04",
    ],
}
