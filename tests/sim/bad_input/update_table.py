"""Bad offers, heads and pieces of a release, once: what the device says of them, and what is left behind.

tests/unit/update/test_bad_input.py runs the rows against the updater, with a loader, slots and a store around it.
"""

import functools
import hashlib
from dataclasses import dataclass

import cbor2

from spot_host.profile import definition as d

WHOLE = ("received: none", "started: none", "completed: none")
ID = 77  # of the offer
SECTOR = 4096
_BUSY = next(code for code, name, _ in d.enum("Reason").rows if name == "busy")


@dataclass
class Head:
    """what: the sentence; make(maker): (octets of the release, its head's, digest of the offer), offered as release 2;
    reason: why the device rejects it when it has fetched the head; pieces: how many it asks for at most."""

    what: str
    make: object
    reason: str
    pieces: int = 8


@dataclass
class Offer:
    """what: the sentence; said: what the offer says other than release 2's; reason: of the answer at once."""

    what: str
    said: dict
    reason: str


@dataclass
class Course:
    """what: the sentence; do(one, maker): from the offer to the end; told: every status; log: each event of a fault
    that it causes; runs: the release that runs in the end; note: what else is true. release: what is offered as 2.
    """

    what: str
    do: object
    told: tuple = WHOLE
    log: tuple = ()
    runs: int = 2
    note: str = ""
    release: object = None


@functools.cache
def stranger():
    """Whoever has a key of his own."""
    from maker import Maker  # tests/unit/update

    return Maker()


def row(octets):
    from maker import row as made

    return made(octets)


def changed(made, at, bit=1):
    """A release with one bit of it turned, its offer as it was."""
    octets, head, digest = made
    octets = bytearray(octets)
    octets[at] ^= bit
    return bytes(octets), head, digest


def rewritten(octets, maker, change):
    """A release whose manifest is another map, rightly digested and signed."""
    from spot_host import suit

    envelope = cbor2.loads(octets)
    manifest = cbor2.loads(envelope[3])
    common = cbor2.loads(manifest[3])
    sequence = cbor2.loads(common[4])
    change(manifest, sequence[1])
    common[4] = cbor2.dumps(sequence)
    manifest[3] = cbor2.dumps(common)
    envelope[3] = cbor2.dumps(manifest)
    digest = hashlib.sha256(cbor2.dumps(envelope[3])).digest()
    envelope[2] = cbor2.dumps([cbor2.dumps([-16, digest]), suit._sign1(maker.sign(suit.to_sign(digest)))])
    octets = cbor2.dumps(envelope)
    return octets, len(octets) - len(envelope["#image"]), digest


def _unsigned(maker):
    from spot_sim.firmware import release

    return row(release("sim", 2, "1.2.0"))


def _vendor(maker):
    return rewritten(maker.release(2)[0], maker, lambda manifest, values: values.update({1: bytes(16)}))


def _member(maker):
    return rewritten(maker.release(2)[0], maker, lambda manifest, values: manifest.update({23: b""}))


def _version(maker):
    octets = maker.release(2)[0]
    return changed(maker.release(2), octets.index(b"1.2.0") + 4)


HEADS = (
    Head("signed with a key that the device does not trust", lambda m: stranger().release(2), "signature"),
    Head("not signed", _unsigned, "signature"),
    Head("one bit of the signature", lambda m: changed(m.release(2), 1200), "signature"),
    Head("one bit of the number of its one-time key", lambda m: changed(m.release(2), 65, 0x80), "signature"),
    Head("an older release under a newer number", lambda m: m.release(1), "sequence"),
    Head("another release than the one that was offered", lambda m: m.release(3)[:2] + m.release(2)[2:], "digest"),
    Head("another board's", lambda m: m.release(2, "sim_heat_pump"), "other_board"),
    Head("another vendor's", _vendor, "other_board"),
    Head("for a newer base image (another MicroPython)", lambda m: m.release(2, base=2), "base"),
    Head("a manifest that is not the one that was digested", _version, "digest"),
    Head("a member that nobody knows", _member, "malformed"),
    Head("no envelope", lambda m: (b"\0" * 6000,) + m.release(2)[1:], "malformed"),
    Head("a file of text", lambda m: (b"hello world, " * 500,) + m.release(2)[1:], "malformed"),
    Head("one octet", lambda m: (b"\xa3",) + m.release(2)[1:], "malformed"),
    Head("an authentication without end", lambda m: (b"\xa3\x02\x59\xff\xff" + bytes(6000), 0, bytes(32)), "malformed"),
    Head("shorter than its head", lambda m: (m.release(2)[0][:1000],) + m.release(2)[1:], "malformed"),
    Head("one octet more than the manifest says", lambda m: (m.release(2)[0] + b"x",) + m.release(2)[1:], "size"),
    Head("one octet less", lambda m: (m.release(2)[0][:-1],) + m.release(2)[1:], "size"),
    Head("an image that fits no slot", lambda m: m.release(2, octets=5 * SECTOR + 1), "size"),
)

OFFERS = (
    Offer("a sequence number that runs", {"sequence": 1}, "sequence"),
    Offer("an old sequence number", {"sequence": 0}, "sequence"),
    Offer("one octet larger than a slot", {"size": 6 * SECTOR + 1}, "size"),
    Offer("as large as an offer can say", {"size": 4 << 20}, "size"),
)


def _mangled(mangle):
    """Each piece that comes is made several, or others, by mangle(seen, offset, octets)."""
    def do(one, maker):
        seen = set()
        one.mangle = lambda offset, octets: mangle(seen, offset, octets)
        one.offer(2)
        assert one.run(900, one.settled)
    return do


def _once(other):
    """Every fourth piece is `other` of it the first time."""
    def mangle(seen, offset, octets):
        if offset in seen or offset % 2048:
            return (octets,)
        seen.add(offset)
        return other(octets)
    return _mangled(mangle)


def _not_asked(one, maker):
    push = one.updater.piece
    push(1, 0, ID, 0, b"x" * 512)
    one.offer(2)
    push(1, 0, ID, 0, b"x" * 512)
    assert one.run(10, lambda: one.asked)
    offset = one.asked[2]
    for at, id, where in ((1, ID, offset), (0, ID + 1, offset), (0, ID, offset + 512), (0, ID, offset - 512),
                          (0, ID, -1), (0, ID, 1 << 29)):
        push(one.now_s, at, id, where, b"x" * 512)
    assert one.updater.unasked == 8
    assert one.run(600, one.settled)
    push(one.now_s, 0, ID, 0, b"x" * 512)


def _flood(one, maker):
    """A thousand pieces in each second, none asked for."""
    one.offer(2)
    for _ in range(20):
        for n in range(1000):
            one.updater.piece(one.now_s, 0, ID, 512 * n + 1, b"x" * 512)
        one.second()
    assert one.updater.unasked == 20000 and one.run(600, one.settled)


def _image(one, maker):
    one.offer(2)
    assert one.run(600, one.settled)
    assert one.fs.files["rom"][one.region.size] == 0xFF  # no head: no release
    one.boot()


def _endless(one, maker):
    """Ever new offers of a release whose image is never right."""
    for id in range(ID, ID + 100):
        one.offer(2, id=id)
        one.run(300, one.settled)
    assert one.region.erases <= 12 * 2 and len(one.told) <= 4 * 12
    assert {reason for _, state, reason in one.told[36:] if state} == {_BUSY}
    one.told = one.told[:3]


def _same(one, maker):
    while not one.ending:
        assert one.offer(2) == 0
        one.second()
    assert one.run(600, one.settled)
    for _ in range(1000):
        one.offer(2)


def _silent(one, maker):
    one.offer(2)
    one.run(30, lambda: len(one.told) == 2)
    one.silent = True
    assert one.run(300_000, one.settled) and one.now_s > 250_000


def _gone(one, maker):
    one.offer(2)
    one.run(30, lambda: len(one.told) == 2)
    one.updater.gone(one.now_s, 0, ID)
    assert one.settled()


def _full(one, maker):
    one.offer(2)
    assert one.run(30, lambda: len(one.told) == 2)
    one.fs.capacity = sum(map(len, one.fs.files.values())) - 1
    assert one.run(600, one.settled)


def _worn(one, maker):
    write = one.region.write
    one.region.write = lambda at, buf: write(at, bytes(buf)[:-1] + b"\0") if at % SECTOR else write(at, buf)
    one.offer(2)
    assert one.run(600, one.settled)


def _unheard(one, maker):
    """A release that never registers."""
    one.offer(2)
    assert one.run(600, lambda: one.slots.trial)
    one.up = False
    assert one.run(700, lambda: one.sequence == 1)
    one.up = True
    one.run(2)
    assert one.alarms == [(1, 2)]


def _broken(one, maker):
    """A release that does not live for a minute."""
    one.offer(2)
    assert one.run(600, lambda: one.slots.trial)
    for _ in range(3):
        one.run(20)
        one.boot()
    one.run(2)
    assert one.alarms == [(1, 2)]


def _older(one, maker):
    one.offer(3)
    one.run(9)
    assert one.offer(2, id=ID + 1) == _BUSY
    assert one.run(600, one.settled)


_BAD_IMAGE = {"release": lambda m: changed(m.release(2), m.release(2)[1] + 5000), "runs": 1}


def _aborted(reason):
    return WHOLE[:2] + (f"aborted: {reason}",)


COURSES = (
    Course("each piece twice", _mangled(lambda seen, offset, octets: (octets, octets)), log=("update.unasked",),
           note="The second one is dropped and counted."),
    Course("a piece that is one octet short", _once(lambda octets: (octets[:-1],)),
           log=("update.short", "update.silence"), note="Dropped, counted, asked for again after 10 s."),
    Course("no octets, then too many, then the piece",
           _mangled(lambda seen, offset, octets: (b"", octets + b"x", octets)), log=("update.short",)),
    Course("pieces that were not asked for: before an offer, of another one, of another EMD, from elsewhere, at −1, at "
           "2^29, after the end", _not_asked, log=("update.unasked",), note="Dropped and counted."),
    Course("a thousand pieces a second that were not asked for", _flood, log=("update.unasked",)),
    Course("an image that is not the one that its manifest names", _image, _aborted("digest"), **_BAD_IMAGE,
           note="The spare slot has no head: it is no release."),
    Course("flash that does not keep what was written", _worn, _aborted("digest"), runs=1),
    Course("flash that is full in the middle", _full, (*_aborted("store_full"), "aborted: store_full"),
           ("update.not_kept",), runs=1, note="Said again after a restart: that it is over could not be kept."),
    Course("the same offer each second, without end", _same, note="One offer, also after a restart."),
    Course("ever new offers, of an image that is never right", _endless, _aborted("digest"), ("update.refused",),
           **_BAD_IMAGE, note="12 are begun, each told as here, then one in two hours; the others are `busy`."),
    Course("an older release while a newer one is fetched", _older, (
        "received: none", "rejected: busy", "started: none", "completed: none"), ("update.refused",), runs=3,
        note="The rejected one is the older one."),
    Course("an EMD that falls silent in the middle", _silent, _aborted("ended"), ("update.silence",), runs=1,
           note="After three days; it asks less and less often, at most each 320 s."),
    Course("an EMD that does not know the offer any more", _gone, _aborted("ended"), runs=1),
    Course("a release that never registers", _unheard, _aborted("rolled_back"),
           ("update.not_proven", "update.rolled_back"), runs=1,
           note="After ten minutes; the alarm `rolled_back` says its number."),
    Course("a release that dies in its first minute", _broken, _aborted("rolled_back"), ("update.rolled_back",),
           runs=1, note="Its fourth start is the old one's; the same alarm."),
)
