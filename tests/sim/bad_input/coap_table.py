"""CoAP to a device: messages that are none, from strangers, and from the EMD."""

from spot.wire.coap import Message
from tests.sim.bad_input.coap_house import (
    ACK,
    BLOCK1,
    CON,
    EMD,
    FORMAT,
    GET,
    NON,
    OBSERVE,
    PATH,
    POST,
    SIZE1,
    STRANGER,
    TAG,
)
from tests.sim.bad_input.wire_row import RUNS, Row
from tests.unit.wire.coap_lab import make

CORE = ((PATH, b".well-known"), (PATH, b"core"))
KNOWN = {"security": "certificate"}  # what the transport has proven: rows show what is inside without a cipher


def _octets(*messages, source=STRANGER):
    def do(house):
        for octets in messages:
            house.bring(octets, source)
    return do


def _head(first, code=POST, rest=b""):
    return bytes((first, code, 0x12, 0x34)) + rest


# Where a malformed message is confirmable it is rejected (RFC 7252, section 4.2), else ignored (4.3).
FORM = (
    Row("nothing at all", _octets(b""), (), {"coap.malformed": 1}, ""),
    Row("three octets", _octets(b"\x40\x02\x12"), (), {"coap.malformed": 1}, ""),
    Row("versions 0, 2 and 3", _octets(_head(0x00), _head(0x80), _head(0xC0)), (), {"coap.malformed": 3}, "",
        note="Another protocol's: ignored, RFC 7252 section 3."),
    Row("a token of 9 to 15 octets (CON)", _octets(*(_head(0x40 | n, rest=bytes(n)) for n in range(9, 16))),
        ("RST",) * 7, {"coap.malformed": 7}, "28 octets"),
    Row("a token of 9 to 15 octets (NON)", _octets(*(_head(0x50 | n, rest=bytes(n)) for n in range(9, 16))), (),
        {"coap.malformed": 7}, ""),
    Row("a token that is not all there", _octets(_head(0x48, rest=b"1234567")), ("RST",), {"coap.malformed": 1},
        "4 octets"),
    Row("an option's delta of 15 that is no payload marker", _octets(_head(0x40, rest=b"\xf0")), ("RST",),
        {"coap.malformed": 1}, "4 octets"),
    Row("an option's length of 15", _octets(_head(0x40, rest=b"\xbf" + bytes(20))), ("RST",), {"coap.malformed": 1},
        "4 octets"),
    Row("an option that ends behind the message", _octets(_head(0x40, rest=b"\xb3cm")), ("RST",), {"coap.malformed": 1},
        "4 octets"),
    Row("an extended length that is not there", _octets(_head(0x40, rest=b"\xbd"), _head(0x40, rest=b"\xbe\1")),
        ("RST",) * 2, {"coap.malformed": 2}, "8 octets"),
    Row("an option's number above 65,535", _octets(_head(0x40, rest=b"\xe0\xff\xff\xe0\xff\xff")), ("RST",),
        {"coap.malformed": 1}, "4 octets"),
    Row("25 options", _octets(_head(0x40, rest=b"\x00" * 25)), ("RST",), {"coap.malformed": 1}, "4 octets",
        note="24 is what there is room for."),
    Row("a payload marker without a payload", _octets(_head(0x40, rest=b"\xb3cmd\xff")), ("RST",),
        {"coap.malformed": 1}, "4 octets"),
    Row("an empty message with octets behind (CON)", _octets(_head(0x40, 0, b"\xff1"), _head(0x42, 0, b"ab")),
        ("RST",) * 2, {"coap.malformed": 2}, "8 octets"),
    Row("an empty message with octets behind (NON, ACK, RST)",
        _octets(*(_head(first, 0, b"\xff1") for first in (0x50, 0x60, 0x70))), (), {"coap.malformed": 3}, ""),
    Row("a code of the reserved classes 1, 6 and 7 (CON)", _octets(*(_head(0x40, c) for c in (0x21, 0xC1, 0xE1))),
        ("RST",) * 3, {}, "12 octets"),
    Row("a code of the reserved classes (NON)", _octets(*(_head(0x50, code) for code in (0x21, 0xC1, 0xE1))), (), {},
        ""),
    Row("a code of the reserved classes (ACK)", _octets(*(_head(0x60, code) for code in (0x21, 0xC1, 0xE1))), (), {},
        ""),
    Row("a request in an ACK, and in a RST", _octets(_head(0x60, POST, b"\xb3cmd"), _head(0x70, POST, b"\xb3cmd")), (),
        {}, ""),
    Row("an empty NON", _octets(_head(0x50, 0)), (), {}, ""),
    Row("an ACK and a RST to nothing that was sent", _octets(_head(0x60, 0), _head(0x70, 0)), (), {}, ""),
    Row("a response that nobody waits for (CON)", _octets(_head(0x40, 0x45, b"\xffhello")), ("RST",), {}, "4 octets"),
    Row("a response that nobody waits for (NON, ACK)",
        _octets(_head(0x50, 0x45, b"\xffhello"), _head(0x60, 0x45, b"\xffhello")), (), {}, ""),
)

# --- strangers -------------------------------------------------------------------------------------------------------


def _plain(code, *options, source=STRANGER, multicast=False, times=1, **how):
    def do(house):
        for _ in range(times):
            house.bring(house.plain(code, *options, **how), source, multicast)
    return do


def _command(*options, source=STRANGER, **how):
    return lambda house: house.bring(house.command(*options, **how), source)


def _tokens(*options):
    def do(house):
        for i in range(1000):
            house.bring(house.plain(GET, *options, token=i.to_bytes(4, "big")), "spoofed %d" % (i % 50))
    return do


def _half_open(house):
    for i in range(1000):
        house.bring(house.command((BLOCK1, 0x0C), (TAG, bytes((i & 255,))), payload=bytes(256)), "spoofed %d" % i)


def _pings(house):
    for i in range(1000):
        house.bring(b"\x40\x00" + i.to_bytes(2, "big"), STRANGER)


def _noise(house):
    seed = 1
    for n in range(600):
        octets = bytearray()
        for _ in range(n % 97):
            seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
            octets.append(seed >> 16 & 0xFF)
        house.bring(octets, "224.0.1.187 sender %d" % (n % 9), multicast=True)


def _asked_by_all(house):
    for i in range(10):
        house.bring(house.plain(GET, *CORE, type=NON), "node %d" % i, multicast=True)


def _forged_word(house, code, token=None):
    """Somebody on the path answers the plug's next message in the EMD's place."""
    house.air.clear()
    house.plug.app.agent.alarm(house.plug.now, 1, True, 3000, 2300)
    house.plug.step()
    sent = next(octets for _, target, octets in house.air if target == EMD and octets[0] & 0x30 == 0)
    house.air.clear()  # and the message itself is lost
    m = Message()
    m.parse(sent, len(sent))
    house.bring(make(ACK, code, m.mid, m.token() if token is None else token), EMD)
    house.run(300)


def _watch_token(house):
    return next(r.token for r in house.endpoint.client.requests if r.observe)


def _forged_notification(house):
    for type in (NON, CON):
        house.bring(make(type, 0x45, 0x4711, _watch_token(house), [(OBSERVE, 9)], b"\x11cheap"), EMD)
        house.bring(make(type, 0x84, 0x4712, _watch_token(house)), EMD)


STRANGERS = (
    Row("a command that nobody has protected", _command(), ("4.01 unauthorized",), {"coap.refused": 1}, "19 octets"),
    Row("a command that nobody has protected, NON", _command(type=NON), ("4.01 unauthorized",), {"coap.refused": 1},
        "19 octets"),
    Row("a command from the EMD's address", _command(source=EMD), ("4.01 unauthorized",), {"coap.refused": 1},
        "19 octets",
        note="An address proves nothing."),
    Row("a command that says it is the device's own EMD (`ep`)", _command((15, b"ep=0200000000000001")),
        ("4.01 unauthorized",), {"coap.refused": 1}, "19 octets"),
    Row("an unknown path, an unknown method", lambda h: (h.bring(h.plain(POST, (PATH, b"admin")), STRANGER),
        h.bring(h.plain(31, (PATH, b"cmd")), STRANGER)), ("4.01 unauthorized",) * 2, {"coap.refused": 2}, "38 octets",
        note="Nobody learns here what exists."),
    Row("a stranger's unknown critical option", _command((65001, b"x")), ("4.02 option 65001",), {"coap.refused": 1},
        "19 octets"),
    Row("to be a proxy", _plain(GET, (35, b"coap://192.0.2.1/"), *CORE), ("5.05 no proxy",), {"coap.refused": 1},
        "15 octets"),
    Row("`GET /.well-known/core`", _plain(GET, *CORE), ("2.05",), {}, "81 octets",
        note="The one thing that is open; 64 octets in a block, so that "
        "a borrowed address gains little."),
    Row("`POST /.well-known/core`, and an observation of it",
        lambda h: (h.bring(h.plain(POST, *CORE, payload=b"x"), STRANGER),
        h.bring(h.plain(GET, *CORE, (OBSERVE, b"")), STRANGER)), ("4.05", "2.05"), {"coap.refused": 1}, "87 octets"),
    Row("an upload of 256 octets and more to come", _command((BLOCK1, 0x0C), payload=bytes(256)),
        ("4.01 unauthorized",), {"coap.refused": 1}, "19 octets"),
    Row("a thousand half-open uploads from as many addresses", _half_open, ("4.01 unauthorized",) * 1000,
        {"coap.refused": 1000},
        "19000 octets"),
    Row("an observation of /status", _plain(GET, (PATH, b"status"), (OBSERVE, b"")), ("4.01 unauthorized",),
        {"coap.refused": 1},
        "19 octets"),
    Row("a thousand requests with fresh tokens from 50 addresses", _tokens((PATH, b"status"), (OBSERVE, b"")),
        ("4.01 unauthorized",) * 1000, {"coap.refused": 1000}, "21000 octets"),
    Row("a thousand pings in a second", _pings, ("RST",) * 1000, {}, "4000 octets",
        note="An answer is as long as its ping, and nothing is kept."),
    Row("600 datagrams of noise to the group's address", _noise, (), {"coap.malformed": 595}, ""),
    Row("`GET /.well-known/core` to the group's address, by ten nodes at once", _asked_by_all, (), {},
        "2 waiting answers",
        note="Two are answered, within five seconds; the others ask again."),
    Row("a command to the group's address", _plain(POST, (PATH, b"cmd"), payload=b"x", type=NON, multicast=True), (),
        {"coap.refused": 1}, ""),
    Row("a CON to the group's address", _plain(GET, *CORE, multicast=True), (), {}, ""),
    Row("a notification that nobody has protected", _forged_notification, ("ACK",) * 2, {"coap.unprotect": 4},
        "8 octets",
        note="Neither delivered nor the end of the observation."),
    Row("4.01 in the EMD's place, by one who reads along and drops the message", lambda h: _forged_word(h, 0x81), (),
        {"link.up": 1, "coap.unprotect": 1, "link.unauthorized": 1}, "14 decryptions, 5 flash operations",
        note="Who is on the path can always cut it: the link is made anew, the message goes again."),
    Row("2.04 in the EMD's place, by one who reads along", lambda h: _forged_word(h, 0x44), (), {"coap.unprotect": 1},
        "12 decryptions, 5 flash operations",
        note="That it arrived has to be proven: the message goes again."),
    Row("2.04 in the EMD's place with a guessed token", lambda h: _forged_word(h, 0x44, b"\1\2\3\4"), (), {},
        "12 decryptions, 5 flash operations"),
)

# --- the EMD itself --------------------------------------------------------------------------------------------------


def _emd(code, *options, **how):
    return _plain(code, *options, source=EMD, **how)


def _block(number, more, size=256, **how):
    return house_block(number, more, size, **how)


def house_block(number, more, size=256, szx=4, path=b"cmd", tag=b"\1", options=()):
    """A block of an upload by the EMD."""
    def do(house):
        value = number << 4 | more << 3 | szx
        house.bring(house.plain(POST, (PATH, path), (BLOCK1, value), (TAG, tag), *options, payload=bytes(size)), EMD)
    return do


def _all(*steps):
    def do(house):
        for step in steps:
            step(house)
    return do


def _run_out(house):
    for tag in (b"\1", b"\2"):
        house_block(0, 1, tag=tag)(house)
    house.run(300)
    house.begin()
    house_block(0, 1, tag=b"\3")(house)


def _thrice(house):
    octets = house.command()
    for _ in range(3):
        house.bring(octets, EMD)


def _observers(house):
    for i in range(40):
        house.bring(house.plain(GET, (PATH, b"status"), (OBSERVE, b""), token=bytes((1, i))), EMD)
    house.air.clear()


def _sink(house):
    """What issue 5 puts there: one image at a time, each block in its turn."""
    at = [None]

    def take(now, q):
        from spot.wire.coap import CoapError
        if q.offset == 0:
            if at[0] is not None:
                q.max_age_s = 30
                raise CoapError(0xA3, "updating")
            at[0] = q.peer
        return 0x5F if q.more else 0x44

    house.endpoint.resource("firmware", take, sink=True)
    image = house_block(0, 1, path=b"firmware", tag=b"\7")
    image(house)
    house.begin()


def _second_image(house):
    _sink(house)
    house_block(0, 1, path=b"firmware", tag=b"\x08")(house)


def _gap_in_image(house):
    _sink(house)
    house_block(2, 1, path=b"firmware", tag=b"\7")(house)


def _command_in_update(house):
    _sink(house)
    house.bring(house.command(), EMD)


REQUESTS = (
    Row("an unknown critical option (CON)", _command((65001, b"x"), source=EMD), ("4.02 option 65001",),
        {"coap.refused": 1},
        "19 octets, 1 remembered", house=KNOWN),
    Row("an unknown critical option (NON)", _command((65001, b"x"), source=EMD, type=NON), (), {}, "1 remembered",
        house=KNOWN,
        note="Rejected by silence, RFC 7252 section 5.4.1."),
    Row("a critical option that comes twice", _command((17, 60), (17, 60), source=EMD), ("4.02 option 17",),
        {"coap.refused": 1},
        "16 octets, 1 remembered", house=KNOWN),
    Row("an unknown elective option", _command((65000, b"x"), source=EMD), ("2.04",), {},
        "6 octets, 1 remembered, 6 flash operations", house=KNOWN, load=RUNS, still=False,
        note="Ignored; the command runs."),
    Row("a method that does not exist (0.31)", _emd(31, (PATH, b"cmd"), payload=b"x"), ("4.05 method",),
        {"coap.refused": 1},
        "13 octets, 1 remembered", house=KNOWN),
    Row("a method that the path has not (GET /cmd, POST /status)",
        lambda h: (h.bring(h.plain(GET, (PATH, b"cmd")), EMD),
        h.bring(h.plain(POST, (PATH, b"status"), payload=b"x"), EMD)), ("4.05",) * 2, {"coap.refused": 2},
        "12 octets, 1 remembered",
        house=KNOWN),
    Row("an unknown path", _emd(POST, (PATH, b"cmd"), (PATH, b"x"), payload=b"x"), ("4.04 no such path",),
        {"coap.refused": 1},
        "19 octets, 1 remembered", house=KNOWN),
    Row("the wrong Content-Format (text)", _command((FORMAT, 0), source=EMD), ("4.15 content format",),
        {"coap.refused": 1},
        "21 octets, 1 remembered", house=KNOWN),
    Row("a representation in another format (Accept)", _emd(GET, (PATH, b"status"), (17, 0)), ("4.06 content format",),
        {"coap.refused": 1}, "21 octets", house=KNOWN),
    Row("If-None-Match on what exists", _command((5, b""), source=EMD), ("4.12 it exists",), {"coap.refused": 1},
        "16 octets, 1 remembered", house=KNOWN),
    Row("an empty body", _command(payload=b"", source=EMD), ("2.04",), {"message.refused": 1},
        "6 octets, 1 remembered", house=KNOWN, said=("answer 0: malformed",),
        note="CoAP is content; the profile answers."),
    Row("a body of 1,025 octets in one message", _command(payload=bytes(1025), source=EMD), ("4.13 too long",),
        {"coap.refused": 1},
        "19 octets, 1 remembered", house=KNOWN),
    Row("a first block that says 5,000 octets are to come (Size1)", house_block(0, 1, options=((SIZE1, 5000),)),
        ("4.13 too long",), {"coap.refused": 1}, "22 octets, 1 remembered",
        house=KNOWN),
    Row("a fifth block of 256 octets", _all(*(house_block(i, 1) for i in range(5))), ("2.31",) * 4 + ("4.13 too long",),
        {"coap.refused": 1}, "58 octets, 5 remembered", house=KNOWN,
        note="What had come is given up."),
    Row("a block out of order", house_block(1, 1), ("4.08 block 1",), {"coap.refused": 1}, "17 octets, 1 remembered",
        house=KNOWN),
    Row("a gap between two blocks", _all(house_block(0, 1), house_block(2, 1)), ("2.31", "4.08 block 2"),
        {"coap.refused": 1},
        "26 octets, 2 remembered, 1 upload", house=KNOWN,
        note="The upload stays; the missing block may still come."),
    Row("a block that came already", _all(house_block(0, 1), house_block(0, 1)), ("2.31",) * 2, {},
        "18 octets, 2 remembered, 1 upload", house=KNOWN),
    Row("a block that is not full, with more to come", house_block(0, 1, 100), ("4.00 block",), {"coap.refused": 1},
        "15 octets, 1 remembered", house=KNOWN),
    Row("a block of the reserved size in a datagram (BERT)", house_block(0, 1, 1024, 7), ("4.00 block",),
        {"coap.refused": 1},
        "15 octets, 1 remembered", house=KNOWN),
    Row("three uploads at once", _all(*(house_block(0, 1, tag=bytes((i,))) for i in (1, 2, 3))),
        ("2.31",) * 2 + ("5.03 transfers",), {"coap.refused": 1}, "40 octets, 3 remembered, 2 uploads", house=KNOWN,
        note="Two have room; the third is told to come in a minute."),
    Row("uploads that were never finished, five minutes later", _run_out, ("2.31",), {},
        "9 octets, 1 remembered, 1 upload", house=KNOWN,
        note="Forgotten after 247 s: there is room again."),
    Row("a command while two uploads hang", _all(house_block(0, 1, tag=b"\1"), house_block(0, 1, tag=b"\2"),
        _command(source=EMD)), ("2.31",) * 2 + ("2.04",), {}, "24 octets, 3 remembered, 2 uploads, 6 flash operations",
        house=KNOWN, load=RUNS, still=False),
    Row("the same CON three times", _thrice, ("2.04",) + ("2.04, again",) * 2, {"coap.duplicate": 2},
        "18 octets, 1 remembered, 6 flash operations", house=KNOWN, load=RUNS, still=False, note="It runs once."),
    Row("40 observations of one resource", _observers, ("2.05",) * 40, {}, "1440 octets, 12 observers", house=KNOWN,
        note="Twelve are kept; the others are answered without Observe."),
    Row("a command while an image comes in", _command_in_update, ("2.04",), {},
        "6 octets, 1 remembered, 6 flash operations", house=KNOWN, load=RUNS, still=False,
        note="An update does not stop control. (The sink stands in for issue 5's.)"),
    Row("a second image while one comes in", _second_image, ("5.03 updating",), {"coap.refused": 1},
        "21 octets, 1 remembered",
        house=KNOWN),
    Row("an image with a block left out", _gap_in_image, ("4.08 block 2",), {"coap.refused": 1},
        "17 octets, 1 remembered", house=KNOWN,
        note="The sink is not called for it."),
)
