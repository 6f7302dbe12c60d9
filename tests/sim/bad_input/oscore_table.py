"""OSCORE to a device: keys, numbers, and messages that are protected and bad all the same."""

from spot.codes import RESET_WATCHDOG
from spot.wire.coap import Message
from spot_host.profile import codec
from spot_host.profile.examples import EXAMPLES
from tests.sim.bad_input.coap_house import (
    BLOCK1,
    CON,
    EMD,
    FORMAT,
    GET,
    NEW,
    NON,
    PAIRING,
    PATH,
    POST,
    SECRET,
    STRANGER,
    TAG,
    mirrored,
)
from tests.sim.bad_input.wire_row import RUNS, Row
from tests.unit.wire.coap_lab import make

OSCORE = 9


def _sent(*options, context=None, outer=(), spoil=None, source=EMD, **how):
    """A command of the EMD, protected, with what is wrong about it."""
    def do(house):
        keys = context(house) if context else None
        house.bring(house.protected(house.command(*options, **how), keys, outer, spoil), source)
    return do


def _flags(change):
    return _sent(spoil=change)


def _cut(n):
    def do(house):
        octets = house.protected(house.command())
        house.bring(octets[: len(octets) - n])
    return do


def _payload(n):
    def do(house):
        house.bring(make(CON, POST, 0xF100, b"\1", [(OSCORE, b"\x09\x40\x00")], bytes(n)))
    return do


HEAD = 6  # octets: type, code, message id and token, which are the transport's and not protected


def _every_bit(house):
    """Each bit behind the head of a command's datagram, one at a time; then the command as it was."""
    octets = house.protected(house.command())
    for at in range(HEAD, len(octets)):
        for bit in range(8):
            house.bring(octets[:at] + bytes((octets[at] ^ 1 << bit,)) + octets[at + 1 :])
    assert not [word for word in house.answered if word[0] == "2"], house.answered
    assert house.memory() == house.before
    house.begin()
    house.bring(octets)


def _every_bit_of_the_head(house):
    octets = house.protected(house.command())
    for at in range(HEAD):
        for bit in range(8):
            house.bring(octets[:at] + bytes((octets[at] ^ 1 << bit,)) + octets[at + 1 :])
    assert len([word for word in house.answered if word == "2.04, protected"]) == 1, house.answered
    house.begin()
    house.bring(octets)


def _every_cut(house):
    octets = house.protected(house.command())
    for n in range(len(octets)):
        house.bring(octets[:n])
    assert house.memory() == house.before and not [word for word in house.answered if word[0] == "2"]
    house.begin()
    house.bring(octets)


def _replayed(house, again=lambda octets: octets, source=EMD):
    octets = house.protected(house.command())
    house.bring(octets)
    house.bring(again(octets), source)


def _old_number(house):
    """Held back while 40 others went by."""
    held = house.protected(house.command())
    for _ in range(40):
        house.bring(house.protected(house.plain(GET, (PATH, b"status"))))
    house.begin()
    house.bring(held)


def _reflected(change):
    """What the plug itself sent comes back to it."""
    def do(house):
        house.air.clear()
        house.plug.app.agent.alarm(house.plug.now, 1, True, 3000, 2300)
        house.plug.step()
        sent = next(octets for _, target, octets in house.air if target == EMD and octets[0] & 0x30 == 0)
        house.begin()
        house.bring(change(sent))
    return do


def _answer_as_request(house):
    """The plug's answer, and the EMD's, made to look like a request."""
    octets = house.protected(house.command(payload=house.body("unlimited")))
    before = len(house.air)
    house.plug.connection.session.receive(house.ticks, EMD, octets, len(octets))
    answer = house.air[before][2]
    house.air.clear()
    house.begin()
    house.bring(bytes((answer[0] & 0xCF, POST)) + answer[2:])


def _strange(house, times=1):
    for i in range(times):
        hint = b"\x48" + i.to_bytes(8, "big")
        house.bring(make(CON, POST, 0x1000 + i, b"\1", [(OSCORE, b"\x19\x05" + bytes((9,)) + hint + b"\0")], bytes(40)),
            "spoofed %d" % (i % 9))


def _kids(house):
    for i in range(1000):
        house.bring(make(CON, POST, i, b"\1", [(OSCORE, b"\x09\x05" + i.to_bytes(2, "big"))], bytes(40)),
            "spoofed %d" % (i % 50))


def _forgeries(house):
    for i in range(1000):
        house.bring(make(CON, POST, i, b"\1", [(OSCORE, b"\x0a\x7f" + bytes((i & 255,)) + b"\0")], bytes(40)),
            "spoofed %d" % (i % 50))
    house.bring(house.protected(house.command()))


def _rotate(house):
    """Generation 1: offered, and used by the EMD, which ends generation 0."""
    assert house.plug.keyring.offer(1, NEW) == 0
    old, house.context = house.context, mirrored(NEW, b"\1")
    house.post.security.add(house.context)
    house.bring(house.protected(house.plain(GET, (PATH, b"status"))))
    house.begin()
    return old


def _after_rotation(house):
    old = _rotate(house)
    house.bring(house.protected(house.command(), old))


def _held_over_rotation(house):
    held = house.protected(house.command())
    _rotate(house)
    house.bring(held)


def _other_secret(house):
    house.bring(house.protected(house.command(), mirrored(NEW)))


def _restart(house, wait=0):
    """The plug starts anew; the EMD goes on."""
    house.plug.linked = False
    house.plug.boot(RESET_WATCHDOG)
    house.plug.turn()
    if wait:
        house.run(wait)
    house.begin()


def _over_restart(wait=0, run=False):
    def do(house):
        octets = house.protected(house.command())
        if run:
            house.bring(octets)
            house.run(700)
            del house.plug.load.edges[:]
        _restart(house, wait)
        house.bring(octets)
    return do


def _first_after_restart(house):
    _restart(house)
    house.give(house.body())
    house.settle()


def _lost_flash(house):
    """Every file of the numbers and keys is gone; the pairing file is not."""
    held = house.protected(house.command())
    plug = house.plug
    for name in [name for name in plug.fs.files if "keys_0" in name]:
        del plug.fs.files[name]
    _restart(house, 60)
    house.bring(held)


def _twice(house):
    m = Message()
    octets = house.protected(house.command())
    m.parse(octets, len(octets))
    value = m.octets(m.find(OSCORE))
    house.bring(make(m.type, m.code, m.mid, m.token(), [(OSCORE, value), (OSCORE, value)], octets[m.payload_at :]))


def _outer_get(house):
    octets = bytearray(house.protected(house.command()))
    octets[1] = GET
    house.bring(octets)


def _sealed(house, rest, code, options):
    """Any inside: code, octets of options and payload."""
    from spot.wire.context import AAD
    context = house.context
    piv = context.take_piv()
    nonce, aad = bytearray(13), bytearray(AAD)
    n = context.bind(nonce, aad, True, piv)
    inside = bytearray(bytes((code,)) + options + rest + bytes(8))
    context.ccm_out.seal(nonce, aad, n, inside, 0, len(inside) - 8)
    binding = house.post.security.binding()
    binding.clear(context, piv)
    binding.aad[:] = aad
    binding.aad_n = n
    house.binding = binding
    number = piv.to_bytes(max(1, (piv.bit_length() + 7) // 8), "big")
    return make(CON, POST, 0xF200, b"\1", [(OSCORE, bytes((8 | len(number),)) + number + b"\0")], bytes(inside))


def _inside(code, options=b"", rest=b""):
    return lambda house: house.bring(_sealed(house, rest, code, options))


def _uploads(house):
    for i in range(3):
        house.bring(house.protected(house.command((BLOCK1, 0x0C), (TAG, bytes((i,))), payload=bytes(256))))


def _rekey(generation, secret=NEW):
    values = next(values for name, _, _, values in EXAMPLES if name == "rekey")

    def do(house):
        house.give(codec.encode("rekey", {**values, "epoch": house.core.epoch, "generation": generation,
                                          "secret": secret}))
        house.settle()
    return do


def _expired(house):
    """Another secret is provisioned, whose time is over."""
    house.pairing = {**PAIRING, "secret": NEW.hex(), "until": house.utc - 1}
    _restart(house)
    house.run(60)


def _expired_later(house):
    """As above, but the time of one that was used runs out."""
    house.pairing = {**PAIRING, "until": house.utc - 1}
    _restart(house)
    house.settle()


def _put_right(house):
    house.pairing = PAIRING
    _restart(house)


KEYS = (
    Row("a key id that nobody has", _sent(spoil=lambda v: v[:-1] + b"\x7e"), ("4.01 Security context not found",),
        {"oscore.unknown": 1, "coap.unprotect": 1}, "33 octets"),
    Row("another device's key id", _sent(spoil=lambda v: v[:-1] + b"\2"), ("4.01 Security context not found",),
        {"oscore.unknown": 1, "coap.unprotect": 1}, "33 octets"),
    Row("a key id of 200 octets", _sent(spoil=lambda v: v + bytes(200)), ("4.01 Security context not found",),
        {"oscore.unknown": 1, "coap.unprotect": 1}, "33 octets"),
    Row("no key id", _sent(spoil=lambda v: bytes((v[0] & 7,)) + v[1:-1]), ("4.02 Failed to decode COSE",),
        {"coap.unprotect": 1}, "28 octets"),
    Row("an empty key id", _sent(spoil=lambda v: v[:-1]), ("4.01 Security context not found",),
        {"oscore.unknown": 1, "coap.unprotect": 1}, "33 octets"),
    Row("the right key id and another secret", _other_secret, ("4.00 Decryption failed",),
        {"oscore.forged": 1, "coap.unprotect": 1}, "24 octets, 1 decryption"),
    Row("a kid context where there is none (generation 1)", _sent(context=lambda h: mirrored(SECRET, b"\1")),
        ("4.01 Security context not found",), {"oscore.unknown": 1, "coap.unprotect": 1}, "33 octets"),
    Row("a command of generation 0 after the change to generation 1", _after_rotation, ("4.00 Decryption failed",),
        {"oscore.forged": 1, "coap.unprotect": 1}, "24 octets, 1 decryption"),
    Row("a command that was held back over the change of keys", _held_over_rotation, ("4.00 Decryption failed",),
        {"oscore.forged": 1, "coap.unprotect": 1}, "24 octets, 1 decryption"),
    Row("new keys of a generation that is not the next", _rekey(7), (), {}, "1 remembered, 2 decryptions",
        said=("answer rekey: stale_revision",)),
    Row("new keys that are the present ones", _rekey(1, SECRET), (), {}, "1 remembered, 2 decryptions",
        said=("answer rekey: malformed",)),
    Row("new keys where the association protects nothing", _rekey(1), (), {}, "1 remembered",
        house={"security": "none"},
        said=("answer rekey: not_supported",)),
    Row("an expired pairing secret", _expired, (), {"link.expired": 6}, "2 flash operations", after=_put_right,
        still=False,
        note="Not one message is sent under it; the load goes on, and into failsafe as after any loss of the EMD."),
    Row("a pairing secret whose time runs out when it has been used", _expired_later, (),
        {"link.up": 1, "oscore.echo": 1, "coap.unprotect": 1}, "2 remembered, 14 decryptions, 14 flash operations",
        still=False,
        note="The time is for the first use."),
    Row("a thousand key ids that nobody has", _kids, ("4.01 Security context not found",) * 1000,
        {"oscore.unknown": 1000, "coap.unprotect": 1000}, "32000 octets",
        note="No key is looked up twice, nothing is decrypted."),
    Row("a kid context of someone who has lost his numbers", _strange, ("4.01 Security context not found",),
        {"oscore.unknown": 1, "coap.unprotect": 1}, "32 octets, 1 decryption, 1 derivation",
        note="It might be the EMD's (RFC 8613, B.2): "
        "keys are derived for it, and forgotten."),
    Row("a thousand such kid contexts", lambda h: _strange(h, 1000), ("4.01 Security context not found",) * 1000,
        {"oscore.unknown": 1000, "coap.unprotect": 1000}, "32000 octets, 132 decryptions, 132 derivations",
        note="Eight are looked at, then one in eight: a flood costs an RP2040 1 ms a message."),
)

NUMBERS = (
    Row("no Partial IV", _sent(spoil=lambda v: b"\x08" + v[-1:]), ("4.02 Failed to decode COSE",),
        {"coap.unprotect": 1}, "28 octets"),
    Row("a Partial IV of 5 octets", _sent(spoil=lambda v: b"\x0d" + b"\x01\0\0\0\1" + v[-1:]),
        ("4.02 Failed to decode COSE",), {"coap.unprotect": 1}, "28 octets"),
    Row("a Partial IV of the reserved lengths 6 and 7",
        lambda h: (_sent(spoil=lambda v: b"\x0e" + bytes(6) + v[-1:])(h),
        _sent(spoil=lambda v: b"\x0f" + bytes(7) + v[-1:])(h)), ("4.02 Failed to decode COSE",) * 2,
        {"coap.unprotect": 2}, "56 octets"),
    Row("a Partial IV with a leading zero", _sent(spoil=lambda v: b"\x0a\0" + v[1:]), ("4.02 Failed to decode COSE",),
        {"coap.unprotect": 1}, "28 octets"),
    Row("a Partial IV above 2^30", _sent(spoil=lambda v: b"\x0c\x40\0\0\0" + v[-1:]), ("4.02 Failed to decode COSE",),
        {"coap.unprotect": 1}, "28 octets"),
    Row("a Partial IV that is longer than the option", _flags(lambda v: b"\x0c\1"), ("4.02 Failed to decode COSE",),
        {"coap.unprotect": 1}, "28 octets"),
    Row("reserved bits of the OSCORE option", lambda h: [_sent(spoil=lambda v, b=b: bytes((v[0] | b,)) + v[1:])(h)
        for b in (32, 64, 128)], ("4.02 Failed to decode COSE",) * 3, {"coap.unprotect": 3}, "84 octets"),
    Row("a kid context that ends behind the option", _flags(lambda v: bytes((v[0] | 16,)) + v[1:2] + b"\x20" + v[2:]),
        ("4.02 Failed to decode COSE",), {"coap.unprotect": 1}, "28 octets"),
    Row("an empty OSCORE option in a request", _flags(lambda v: b""), ("4.02 Failed to decode COSE",),
        {"coap.unprotect": 1}, "28 octets"),
    Row("the OSCORE option twice", _twice, ("4.02 Failed to decode COSE",), {"coap.unprotect": 1}, "28 octets"),
    Row("a command that came before, under a new message id",
        lambda h: _replayed(h, lambda o: o[:2] + b"\x99\x99" + o[4:]),
        ("2.04, protected", "4.01 Replay detected"), {"oscore.replay": 1, "coap.unprotect": 1},
        "39 octets, 1 remembered, 1 decryption, 6 flash operations", load=RUNS, still=False, note="It ran once."),
    Row("the very datagram again, from the EMD and from another address", lambda h: (_replayed(h),
        h.bring(h.protected(h.plain(GET, (PATH, b"status"))))), ("2.04, protected", "2.04, protected, again",
        "2.05, protected"), {"coap.duplicate": 1}, "79 octets, 2 remembered, 2 decryptions, 6 flash operations",
        load=RUNS, still=False,
        note="It ran once; its answer is repeated, as CoAP has it."),
    Row("the very datagram again, from another address", lambda h: _replayed(h, source=STRANGER),
        ("2.04, protected", "2.04, protected, again"), {"coap.duplicate": 1},
        "34 octets, 1 remembered, 1 decryption, 6 flash operations", load=RUNS,
        still=False, note="The EMD may have a new address: the answer that was lost goes there. It ran once."),
    Row("a command that was held back while 40 others came", _old_number, ("4.01 Replay detected",),
        {"oscore.replay": 1, "coap.unprotect": 1}, "22 octets", note="Below the window of 32."),
    Row("what the device itself sent", _reflected(lambda octets: octets), ("4.01 Security context not found",),
        {"oscore.unknown": 1, "coap.unprotect": 1}, "35 octets", note="Its own key id is no peer's."),
    Row("what the device itself sent, under the EMD's key id", _reflected(
        lambda octets: octets.replace(b"\x01\xff", b"\x00\xff", 1)), ("4.00 Decryption failed",), {"oscore.forged": 1,
        "coap.unprotect": 1}, "26 octets, 1 decryption",
        note="Another key each way: a reflection decrypts to nothing."),
    Row("an answer made into a request", _answer_as_request, ("4.02 Failed to decode COSE",), {"coap.unprotect": 1},
        "28 octets"),
    Row("a command from before a restart, replayed at once after it", _over_restart(0, True), ("4.01 Echo, protected",),
        {"oscore.echo": 1, "coap.unprotect": 1}, "30 octets, 1 decryption",
        note="The window is lost with RAM: what comes first has to prove that it is new (Echo, RFC 8613 B.1.2)."),
    Row("a command from before a restart, replayed a minute after it", _over_restart(60, True),
        ("4.01 Replay detected",), {"coap.unprotect": 1, "oscore.replay": 1}, "22 octets",
        note="The EMD has proven itself; what is older than its proof is refused."),
    Row("a command that was held back over a restart", _over_restart(), ("4.01 Echo, protected",),
        {"oscore.echo": 1, "coap.unprotect": 1}, "30 octets, 1 decryption"),
    Row("the same, a minute after it", _over_restart(60), ("4.01 Replay detected",),
        {"coap.unprotect": 1, "oscore.replay": 1}, "22 octets"),
    Row("the EMD's first command after a restart", _first_after_restart, (),
        {"link.up": 1, "oscore.echo": 1, "coap.unprotect": 1}, "4 remembered, 18 decryptions, 20 flash operations",
        load=RUNS, still=False,
        note="Asked for Echo, sent again with it, runs."),
    Row("a command from before the flash lost the numbers", _lost_flash, ("4.00 Decryption failed",),
        {"oscore.forged": 1, "coap.unprotect": 1}, "24 octets, 1 decryption",
        note="The device makes new keys with the EMD (B.2) before it says anything."),
)

INSIDE = (
    Row("each bit of a protected command turned over, one by one", _every_bit, ("2.04, protected",), {},
        "17 octets, 1 remembered, 1 decryption, 6 flash operations", load=RUNS, still=False,
        note="None is taken, and none spoils the command itself, which comes last and runs. What is shown is its own."),
    Row("each bit of its head, which is not protected", _every_bit_of_the_head, (), {"coap.duplicate": 1}, "",
        load=RUNS, still=False,
        note="As NON, or with another message id or token, it is the same command still, and runs once."),
    Row("a protected command cut at each octet", _every_cut, ("2.04, protected",), {},
        "17 octets, 1 remembered, 1 decryption, 6 flash operations", load=RUNS, still=False, note="As above."),
    Row("a truncated tag", _cut(3), ("4.00 Decryption failed",), {"oscore.forged": 1, "coap.unprotect": 1},
        "24 octets, 1 decryption"),
    Row("a payload that is no longer than a tag", _payload(8), ("4.02 Failed to decode COSE",), {"coap.unprotect": 1},
        "27 octets"),
    Row("no payload", _payload(0), ("4.02 Failed to decode COSE",), {"coap.unprotect": 1}, "27 octets"),
    Row("a payload that is longer than any message of ours", _payload(1300), ("4.13 too large",), {"coap.unprotect": 1},
        "15 octets"),
    Row("a thousand forged tags under the right key id", _forgeries,
        ("4.00 Decryption failed",) * 1000 + ("2.04, protected",), {"oscore.forged": 1000, "coap.unprotect": 1000},
        "23017 octets, 1 remembered, 1001 decryptions, 6 flash operations", load=RUNS, still=False,
        note="Each costs one decryption; the EMD's own command goes through."),
    Row("an unknown critical option inside", _sent((65001, b"x")), ("4.02 option 65001, protected",),
        {"coap.refused": 1},
        "30 octets, 1 remembered, 1 decryption"),
    Row("an unknown critical option outside", _sent(outer=((65001, b"x"),)), ("2.04, protected",), {},
        "17 octets, 1 remembered, 1 decryption, 6 flash operations", load=RUNS, still=False,
        note="Class E outside is discarded (RFC 8613, section 8.2): who is between cannot stop a command by it."),
    Row("an unknown elective option inside and outside", _sent((65000, b"x"), outer=((65002, b"y"),)),
        ("2.04, protected",), {}, "17 octets, 1 remembered, 1 decryption, 6 flash operations", load=RUNS,
        still=False),
    Row("another path outside than inside", _sent(outer=((PATH, b"alarm"),)), ("2.04, protected",), {},
        "17 octets, 1 remembered, 1 decryption, 6 flash operations", load=RUNS, still=False,
        note="The one inside counts."),
    Row("Proxy-Scheme outside", _sent(outer=((39, b"coap"),)), ("5.05 no proxy, protected",), {"coap.refused": 1},
        "26 octets, 1 remembered, 1 decryption"),
    Row("OSCORE in a GET", _outer_get, ("2.04, protected",), {},
        "17 octets, 1 remembered, 1 decryption, 6 flash operations", load=RUNS, still=False,
        note="The code outside is discarded (section 8.2)."),
    Row("a response inside a request", _inside(0x45, rest=b"\xffx"), ("4.00 inner message, protected",),
        {"coap.unprotect": 1}, "30 octets, 1 decryption"),
    Row("nothing inside", _inside(0), ("4.00 inner message, protected",), {"coap.unprotect": 1},
        "30 octets, 1 decryption"),
    Row("an inside that is no CoAP", _inside(POST, b"\xbf\xff\xff"), ("4.00 inner message, protected",),
        {"coap.unprotect": 1}, "30 octets, 1 decryption"),
    Row("OSCORE inside OSCORE", _inside(POST, b"\x93\x09\x05\x00", b"\xffx"), ("4.00 inner message, protected",),
        {"coap.unprotect": 1}, "30 octets, 1 decryption"),
    Row("a command in the wrong Content-Format", _sent((FORMAT, 0)), ("4.15 content format, protected",),
        {"coap.refused": 1},
        "32 octets, 1 remembered, 1 decryption"),
    Row("a body of 1,025 octets", _sent(payload=bytes(1025)), ("4.13 too long, protected",), {"coap.refused": 1},
        "30 octets, 1 remembered, 1 decryption"),
    Row("a protected block out of order", _sent((BLOCK1, 0x1C), payload=bytes(256)), ("4.08 block 1, protected",),
        {"coap.refused": 1},
        "28 octets, 1 remembered, 1 decryption"),
    Row("three protected uploads at once", _uploads, ("2.31, protected",) * 2 + ("5.03 transfers, protected",),
        {"coap.refused": 1},
        "73 octets, 3 remembered, 2 uploads, 3 decryptions"),
    Row("a protected request to an unknown path", lambda h: h.bring(h.protected(h.plain(GET, (PATH, b"admin")))),
        ("4.04 no such path, protected",), {"coap.refused": 1}, "30 octets, 1 remembered, 1 decryption"),
    Row("a protected request to the group's address", lambda h: h.bring(h.protected(h.command(type=NON)), EMD, True),
        (), {}, "1 remembered, 1 decryption, 6 flash operations",
        load=RUNS, still=False),
)
