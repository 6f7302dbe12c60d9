"""CoAP, OSCORE and TLS to the EMD: its own server on aiocoap."""

import contextlib
import socket

from spot.wire.context import AAD
from tests.sim.bad_input.coap_house import BLOCK1, CON, FORMAT, GET, NON, OBSERVE, PATH, POST, SIZE1
from tests.sim.bad_input.emd_house import CSM
from tests.sim.bad_input.house import PLUG, WITNESS
from tests.sim.bad_input.wire_row import Row
from tests.unit.emd.coap_rig import pairing
from tests.unit.wire.coap_lab import make

OSCORE = 9
_EP = 15


def _raw(*messages, n=0):
    def do(house):
        for octets in messages:
            house.bring(octets, n)
    return do


def _head(first, code=POST, rest=b"", mid=b"\x12\x34"):
    return bytes((first, code)) + mid + rest


def _plain(*options, n=1, **how):
    return lambda house: house.bring(house.post(*options, **how), n)


def _sent(*options, n=1, keys=None, outer=(), spoil=None, **how):
    def do(house):
        house.bring(house.protected(house.post(*options, **how), house.context(**keys) if keys else None, outer, spoil),
        n)
    return do


def _ask(code, *options, n=1, **how):
    return lambda house: house.bring(house.protected(house.plain(code, *options, **how)), n)


def _twice(change=lambda octets: octets):
    def do(house):
        octets = house.protected(house.post())
        house.bring(octets)
        words = house.words
        house.begin()
        house.words = words
        house.bring(change(octets))
    return do


def _cut(n):
    def do(house):
        octets = house.protected(house.post())
        house.bring(octets[: len(octets) - n])
    return do


def _every_bit(house):
    octets = house.protected(house.post())
    before = house.memory()
    for at in range(6, len(octets)):
        bad = octets[:at] + bytes((octets[at] ^ 1 << at % 8,)) + octets[at + 1 :]
        house.mid += 1
        house.socket.sendto(bad[:2] + (0x3000 + at).to_bytes(2, "big") + bad[4:], ("127.0.0.1", house.rig.port))
        house.quiet()
    assert house.memory() == before
    assert not [word for word in house.answered if word[0] == "2"], house.answered
    house.begin()
    house.bring(octets)


def _every_cut(house):
    octets = house.protected(house.post())
    before = house.memory()
    for n in range(len(octets)):
        house.socket.sendto(octets[:2] + (0x3000 + n).to_bytes(2, "big")[: max(0, n - 2)] + octets[4:n],
            ("127.0.0.1", house.rig.port))
        house.quiet()
    assert house.memory() == before
    house.begin()
    house.bring(octets)


def _sealed(house, code, rest):
    """Any inside."""
    context = house.context()
    piv = context.take_piv()
    nonce, aad = bytearray(13), bytearray(AAD)
    n = context.bind(nonce, aad, True, piv)
    inside = bytearray(bytes((code,)) + rest + bytes(8))
    context.ccm_out.seal(nonce, aad, n, inside, 0, len(inside) - 8)
    house.binding = house.oscore.binding()
    house.binding.clear(context, piv)
    house.binding.aad[:] = aad
    house.binding.aad_n = n
    house.mid += 1
    return make(CON, POST, 0xE800 + house.mid, b"\1", [(OSCORE, bytes((9, piv)) + b"\1")], bytes(inside))


def _inside(code, rest=b""):
    return lambda house: house.bring(_sealed(house, code, rest))


def _block(number, more, size=256, szx=4, options=()):
    return _sent((BLOCK1, number << 4 | more << 3 | szx), *options, path=b"interval", payload=bytes(size))


def _all(*steps):
    def do(house):
        for step in steps:
            step(house)
    return do


def _rotated(house):
    """The plug has used generation 1; then it says something under generation 0."""
    house.rig.keyrings.set({PLUG: [pairing(1), pairing(1, 1)], WITNESS: [pairing(2)]})
    house.bring(house.protected(house.post(), house.context(generation=1)))
    house.begin()
    house.bring(house.protected(house.post()))


def _revoked(house):
    house.rig.keyrings.set({WITNESS: [pairing(2)]})
    house.bring(house.protected(house.post()))


def _expired_rings():
    return {PLUG: [pairing(1, until=1_000_000_000)], WITNESS: [pairing(2)]}


def _flood(make, count=1000, n=0):
    def do(house):
        for i in range(count):
            house.socket.sendto(make(house, i), ("127.0.0.1", house.rig.port))
            if i % 50 == 49:
                house.quiet()
        house.quiet()
    return do


def _observations(house):
    for i in range(40):
        house.bring(house.protected(house.plain(GET, (OBSERVE, b""), (PATH, b"group"), (PATH, b"%d" % i),
            (PATH, b"price"), token=bytes((3, i)))))


def _elsewhere(house):
    """Somebody else sends it again; the EMD goes on speaking to where the plug is."""
    octets = house.protected(house.post())
    house.bring(octets)
    before = house.rig.link._devices[PLUG].remote
    house.begin()
    own, house.socket = house.socket, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    house.socket.settimeout(20)
    house.bring(octets)
    house.socket.close()
    house.socket = own
    assert house.rig.link._devices[PLUG].remote == before


def _emd_crashed(house):
    """The EMD starts again without having kept its window."""
    octets = house.protected(house.post())
    house.bring(octets)
    for kept in house.rig.link._contexts._of.values():
        for context in kept.values():
            context.recipient_replay_window = context.recipient_replay_window.__class__(32, context._struck)
    house.begin()
    house.bring(octets[:2] + b"\x66\x66" + octets[4:])


def _answer_back(house):
    """The EMD's own answer, made to look like a request."""
    house.socket.sendto(house.protected(house.post()), ("127.0.0.1", house.rig.port))
    answer = house.socket.recv(4096)
    house.quiet()
    house.begin()
    house.bring(bytes((answer[0] & 0xCF, POST)) + b"\x44\x44" + answer[4:])


FORM = (
    Row("versions 0, 2 and 3, to the EMD", _raw(_head(0x00), _head(0x80), _head(0xC0)), (), {"coap_library": 3}, ""),
    Row("less than a head, to the EMD", _raw(b"", b"\x40", b"\x40\x02\x12"), (), {"coap_library": 3}, ""),
    Row("a token of 9 octets, to the EMD", _raw(_head(0x49, rest=bytes(9)), n=1), ("RST",), {"coap_library": 1},
        "4 octets"),
    Row("an option's delta of 15, to the EMD", _raw(_head(0x40, rest=b"\xf0"), n=1), ("RST",), {"coap_library": 1},
        "4 octets"),
    Row("an option that ends behind the message, to the EMD", _raw(_head(0x40, rest=b"\xb3cm"), n=1), ("RST",),
        {"coap_library": 1}, "4 octets"),
    Row("a payload marker without a payload, to the EMD", _raw(_head(0x50, rest=b"\xb9telemetry\xff")), (),
        {"coap_library": 1}, ""),
    Row("an empty message with octets behind, to the EMD", _raw(_head(0x50, 0, b"\xff1")), (), {"coap_library": 1}, ""),
    Row("a code of the reserved classes, to the EMD", _raw(_head(0x50, 0x21), _head(0x50, 0xC1), _head(0x50, 0xE1)), (),
        {"coap_library": 3}, ""),
    Row("a ping, to the EMD", _raw(_head(0x40, 0), n=1), ("RST",), {}, "4 octets"),
    Row("a response that nobody waits for, to the EMD", _raw(_head(0x50, 0x45, b"\xffx")), (), {}, ""),
)

STRANGERS = (
    Row("a reading without protection", _plain(), ("4.01",), {"coap_unauthenticated": 1}, "8 octets"),
    Row("a reading without protection, NON", _plain(type=NON, n=0), (), {"coap_unauthenticated": 1}, "",
        note="Strangers are answered only what they ask to "
        "be."),
    Row("a reading without protection that says whose it is (`ep`)", _plain((_EP, b"ep=" + PLUG.encode())), ("4.01",),
        {"coap_unauthenticated": 1}, "8 octets"),
    Row("an unknown path, from a stranger", _plain(path=b"admin"), ("4.01",), {"coap_unauthenticated": 1}, "8 octets"),
    Row("an observation of a group's price, from a stranger", lambda h: h.bring(h.plain(GET, (OBSERVE, b""),
        (PATH, b"group"), (PATH, b"1"), (PATH, b"price"))), ("4.01",), {"coap_unauthenticated": 1}, "8 octets"),
    Row("an entry in the directory, from a stranger",
        _plain((_EP, b"ep=" + PLUG.encode()), path=b"rd", payload=b"</cmd>"), ("4.01",), {"coap_unauthenticated": 1},
        "8 octets"),
    Row("a block of an upload, from a stranger", _plain((BLOCK1, 0x0C), payload=bytes(256)), ("4.01",),
        {"coap_unauthenticated": 1}, "8 octets"),
    Row("an unknown critical option, from a stranger", _plain((65001, b"x")), ("4.02 option 65001",), {}, "19 octets"),
    Row("a thousand pings to the EMD", _flood(lambda h, i: _head(0x40, 0, mid=i.to_bytes(2, "big"))), ("RST",) * 1000,
        {}, "4000 octets"),
    Row("a thousand half-open uploads to the EMD", _flood(lambda h, i: h.post((BLOCK1, 0x0C), payload=bytes(64),
        token=i.to_bytes(2, "big"))), ("4.01",) * 1000, {"coap_unauthenticated": 1000}, "8000 octets"),
    Row("a thousand key ids that nobody has, to the EMD", _flood(lambda h, i: make(CON, POST, i, b"\1",
        [(OSCORE, b"\x09\5" + i.to_bytes(2, "big"))], bytes(40))), ("4.01 Security context not found",) * 1000,
        {"coap_unknown_key": 1000}, "34000 octets"),
)

REQUESTS = (
    Row("an unknown critical option inside OSCORE", _sent((65001, b"x")), ("4.02 option 65001, protected",), {},
        "30 octets, 1 remembered"),
    Row("an unknown critical option outside OSCORE", _sent(outer=((65001, b"x"),)), ("4.02 option 65001",), {},
        "19 octets"),
    Row("an unknown elective option inside OSCORE", _sent((65000, b"x")), ("2.04, protected",), {},
        "17 octets, 1 remembered", still=False),
    Row("a GET of a channel", _ask(GET, (PATH, b"status")), ("4.05, protected",), {}, "17 octets, 1 remembered"),
    Row("a method that does not exist, at the EMD", _ask(7, (PATH, b"status"), payload=b"x"), ("4.05, protected",), {},
        "17 octets, 1 remembered"),
    Row("a channel that does not exist", _sent(path=b"statu"), ("4.04, protected",), {}, "17 octets, 1 remembered"),
    Row("the channel of commands, at the EMD", _sent(path=b"cmd"), ("4.04, protected",), {}, "17 octets, 1 remembered"),
    Row("a reading in another Content-Format (text)", _sent((FORMAT, 0)), ("4.15, protected",), {},
        "17 octets, 1 remembered"),
    Row("an empty body to the EMD", _sent(payload=b""), ("4.00 no body, protected",), {}, "25 octets, 1 remembered"),
    Row("a body that is no message", _sent(payload=b"\x81"), ("4.00 not strict CBOR: truncated, protected",), {},
        "44 octets, 1 remembered", still=False),
    Row("a body of 1,025 octets to the EMD", _sent(payload=bytes(1025)), ("4.13, protected",), {},
        "17 octets, 1 remembered"),
    Row("five blocks of 256 octets to the EMD", _all(*(_block(i, 1) for i in range(5))),
        ("2.31, protected",) * 4 + ("4.13, protected",), {}, "97 octets, 5 remembered"),
    Row("a first block that says 5,000 octets are to come, to the EMD", _block(0, 1, options=((SIZE1, 5000),)),
        ("2.31, protected",), {}, "20 octets, 1 remembered, 1 upload",
        note="One upload for each device and channel; what does not go on is in the next one's way only."),
    Row("a block out of order, to the EMD", _block(1, 1), ("4.08, protected",), {}, "17 octets, 1 remembered"),
    Row("a gap between two blocks, to the EMD", _all(_block(0, 1), _block(2, 1)),
        ("2.31, protected", "4.08, protected"), {}, "37 octets, 2 remembered"),
    Row("a block that is not full, to the EMD", _block(0, 1, 100),
        ("4.00 a block that is not full, and not the last, protected",), {}, "60 octets, 1 remembered"),
    Row("twenty uploads at once by one device", _all(*[_block(0, 1)] * 20), ("2.31, protected",) * 20, {},
        "400 octets, 20 remembered, 1 upload"),
    Row("another device's name (`ep`)", _sent((_EP, b"ep=" + WITNESS.encode())),
        ("4.03 ep is not who you are, protected",), {"coap_foreign_identity": 1}, "39 octets, 1 remembered"),
    Row("another device's entry in the directory", _sent((_EP, b"ep=" + WITNESS.encode()), path=b"rd",
        payload=b"</cmd>"), ("4.03 ep is not who you are, protected",), {"coap_foreign_identity": 1},
        "39 octets, 1 remembered"),
    Row("40 groups observed by one device", _observations, ("2.05, protected",) * 40, {},
        "1160 octets, 40 remembered, 16 observations", note="Sixteen are kept."),
    Row("to be a proxy, under OSCORE", _sent(outer=((39, b"coap"),)), ("5.05",), {}, "6 octets"),
)

KEYS = (
    Row("a key id that nobody has, to the EMD", _sent(keys={"n": 9}), ("4.01 Security context not found",),
        {"coap_unknown_key": 1}, "35 octets"),
    Row("the plug's key id and another secret", _sent(keys={"secret": b"x" * 16}), ("4.00 Decryption failed",),
        {"coap_decryption": 1}, "24 octets"),
    Row("a generation that was never given, to the EMD", _sent(keys={"generation": 7}),
        ("4.01 Security context not found",), {"coap_unknown_key": 1}, "35 octets"),
    Row("generation 0 after the plug has used generation 1", _rotated, ("4.01 Security context not found",),
        {"coap_unknown_key": 1}, "35 octets"),
    Row("a device that was revoked", _revoked, ("4.01 Security context not found",), {"coap_unknown_key": 1},
        "35 octets"),
    Row("an expired pairing secret, to the EMD", _sent(), ("4.01 Security context not found",), {"pairing_expired": 1},
        "35 octets", house={"rings": _expired_rings()}),
    Row("a key id of 200 octets, to the EMD", _sent(spoil=lambda v: v + bytes(200)),
        ("4.01 Security context not found",), {"coap_unknown_key": 1}, "35 octets"),
    Row("no key id, to the EMD", _sent(spoil=lambda v: bytes((v[0] & 7,)) + v[1:-1]), ("4.02 Failed to decode COSE",),
        {"coap_malformed": 1}, "28 octets"),
    Row("no Partial IV, to the EMD", _sent(spoil=lambda v: b"\x08\x01"), ("4.02 Failed to decode COSE",),
        {"coap_malformed": 1}, "28 octets"),
    Row("a Partial IV of 6 octets, to the EMD", _sent(spoil=lambda v: b"\x0e" + bytes(6) + b"\1"),
        ("4.02 Failed to decode COSE",), {"coap_malformed": 1}, "28 octets"),
    Row("reserved bits of the OSCORE option, to the EMD", _sent(spoil=lambda v: bytes((v[0] | 64,)) + v[1:]), ("4.02",),
        {"coap_malformed": 1}, "6 octets"),
    Row("an empty OSCORE option, to the EMD", _sent(spoil=lambda v: b""), ("4.02 Failed to decode COSE",),
        {"coap_malformed": 1}, "28 octets"),
    Row("the same datagram again, to the EMD", _twice(), ("2.04, protected, again",), {}, "17 octets"),
    Row("the same request under a new message id, to the EMD", _twice(lambda o: o[:2] + b"\x99\x99" + o[4:]),
        ("4.01 Replay detected",), {"coap_replay": 1}, "24 octets"),
    Row("the same datagram from another address", _elsewhere, ("4.01 Replay detected",), {"coap_replay": 1},
        "24 octets", note="Nobody is moved by it."),
    Row("a reading from before the EMD's crash, replayed after it", _emd_crashed, ("4.01 Echo, protected",), {},
        "29 octets",
        note="The window is lost: what comes first has to prove that it is new."),
    Row("the EMD's own answer made into a request", _answer_back, ("4.02 Failed to decode COSE",),
        {"coap_malformed": 1}, "28 octets", still=True),
    Row("a truncated tag, to the EMD", _cut(3), ("4.00 Decryption failed",), {"coap_decryption": 1}, "24 octets"),
    Row("each octet of a protected reading changed, one by one", _every_bit, ("2.04, protected",), {},
        "17 octets, 1 remembered", still=False,
        note="None is taken; then the reading itself is."),
    Row("a protected reading cut at each octet", _every_cut, ("2.04, protected",), {}, "17 octets, 1 remembered",
        still=False, note="As above."),
    Row("a response inside a request, to the EMD", _inside(0x45, b"\xffx"), ("4.04, protected",), {},
        "16 octets, 1 remembered"),
    Row("an inside that is no CoAP, to the EMD", _inside(POST, b"\xbf\xff\xff"), ("4.00 Decryption failed",),
        {"coap_decryption": 1}, "23 octets"),
    Row("OSCORE in a GET, to the EMD",
        lambda h: h.bring(bytes((lambda o: o[:1] + b"\1" + o[2:])(h.protected(h.post())))), ("4.05",),
        {"coap_malformed": 1}, "6 octets"),
)


def _bytes(octets, n=0, **how):
    return lambda house: house.stream(octets, n, **how)


def _certified(name, *options, n=1, **how):
    return lambda house: house.stream(house.framed(house.post(*options, **how)), n, name)


def _no_certificate(house):
    with contextlib.suppress(OSError):
        house.stream(CSM, 0, None)


TLS = {"tls": True}
STREAMS = (
    Row("a message before the CSM, to the EMD", _bytes(b"\x00\x01" + bytes(4)), ("Abort", "closed"),
        {"coap_library": 1}, "25 octets"),
    Row("a message of a gigabyte, to the EMD", _bytes(CSM + b"\xf0\x40\x00\x00\x00\x02"), ("Abort", "closed"),
        {"coap_library": 1}, "40 octets"),
    Row("a token of 15 octets on a stream", _bytes(CSM + b"\x0f\x01" + bytes(15)), ("Abort", "closed"),
        {"coap_library": 1}, "33 octets"),
    Row("an unknown critical option in a CSM, to the EMD", _bytes(b"\x20\xe1\x91\x00"), ("Abort", "closed"),
        {"coap_library": 1}, "32 octets"),
    Row("an abort, to the EMD", _bytes(CSM + b"\x00\xe5"), ("closed",), {"coap_library": 1}, "6 octets"),
    Row("noise on a stream", _bytes(bytes(range(256)) * 20), ("Abort", "closed"), {"coap_library": 1}, "25 octets"),
    Row("a ping on a stream", _bytes(CSM + b"\x00\xe2", 1), ("Pong",), {}, "8 octets"),
    Row("a reading on a stream without protection", lambda h: h.stream(h.framed(h.post()), 1), ("4.01",),
        {"coap_unauthenticated": 1}, "12 octets"),
    Row("a certificate for another device", _certified(WITNESS, (_EP, b"ep=" + PLUG.encode())),
        ("4.03 ep is not who you are",), {"coap_foreign_identity": 1}, "33 octets", house=TLS,
        note="The certificate says who it is."),
    Row("a certificate that names no device", _certified("emd"), ("4.01",), {"coap_unauthenticated": 1}, "12 octets",
        house=TLS),
    Row("no certificate", _no_certificate, ("closed",), {}, "", house=TLS),
)
