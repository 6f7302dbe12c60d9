"""Whatever comes in whatever order: heads that are spoilt in any way, and offers, pieces, restarts, silence, full flash
and power cuts one after the other. Never a crash, never a change of the load, never a device that does not start."""

from hashlib import sha256

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import ID, Life
from test_firmware import Desk

from spot.boot import choose
from spot.codes import STATE_ABORTED, STATE_COMPLETED, STATE_RECEIVED, STATE_REJECTED, STATE_STARTED, STATE_SUPERSEDED
from spot.store import Store
from spot.wire import suit
from spot_host import suit as host
from spot_sim.flash import PowerCut
from tests.sim.bad_input.update_table import changed, stranger

BAD = {4: "digest", 5: "signature", 6: "other_board", 7: "malformed", 8: "size"}
OVER = (STATE_ABORTED, STATE_COMPLETED, STATE_REJECTED, STATE_SUPERSEDED)
EXAMPLES = settings(max_examples=60, derandomize=True, deadline=None, database=None,
                    suppress_health_check=list(HealthCheck))


# --- heads ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def head(maker):
    octets, n, _ = maker.release(2)
    return octets[:n]


def read(octets):
    """The manifest in these octets, fetched as an updater does it; None for what is refused."""
    try:
        n, whole = 0, bytearray(octets) + bytearray(suit.HEAD_MAX)
        while (wanted := suit.extent(whole, n)) > n:
            if wanted > min(len(octets), suit.HEAD_MAX):
                return None
            n = wanted
        return suit.Manifest(whole, n)
    except suit.SuitError:
        return None


def is_as_it_was(octets, head):
    """Refused, or the very sentence of `head`, but for its signature, which is verified behind this."""
    found = read(octets)
    if found is None:
        return True
    known = read(head)
    start = len(head) - len(known.signature) - (len(head) - head.index(bytes(known.signature)) - len(known.signature))
    end = start + len(known.signature)
    return found.own_digest == known.own_digest and octets[:start] == head[:start] and octets[end:] == head[end:]


def test_every_octet_doubled_left_out_or_overwritten(head):
    assert read(head).sequence == 2
    for at in range(len(head)):
        for other in (head[:at] + head[at : at + 1] + head[at:], head[:at] + head[at + 1 :],
                      head[:at] + b"\0" + head[at + 1 :], head[:at] + b"\xff" + head[at + 1 :]):
            assert is_as_it_was(other[: len(head)], head) and is_as_it_was(other, head) or other[:len(head)] == head


def digested(body, size):
    """The head of an unsigned release with this manifest, rightly digested: nothing but reading it can refuse it."""
    manifest = cbor2.dumps(body)
    image = cbor2.dumps(bytes(size))
    return b"\xa3\x02\x58\x27\x81\x58\x24\x82\x2f\x58\x20" + sha256(manifest).digest() + b"\x03" + manifest + (
        b"f#image" + image[: len(image) - size])


def agreed(body, size):
    """Whether device and host read this manifest; they do so alike."""
    try:
        known = host._manifest(body)
        size = known.size if known.size < 1 << 20 else size
    except host.SuitError:
        known = None
    found = read(digested(body, size))
    if known is None or known.size != size:  # the device leaves it to the host which printable characters a name has
        assert found is None or not (host._NAME.fullmatch(found.board) and host._MARCH_NAME.fullmatch(found.march))
        return False
    assert (found.sequence, found.size, found.base, found.digest, found.vendor) == (
        known.sequence, known.size, known.base, known.digest, known.vendor)
    return True


def test_every_octet_of_a_manifest_that_is_rightly_digested(head):
    body = host.Manifest.of(bytes(300), sequence=70, version="1.2.0", board="sim", march="bytecode", base=30).encoded()
    assert agreed(body, 300)
    taken = 0
    for at, was in enumerate(body):
        for octet in {was ^ 1, was + 1 & 255, was - 1 & 255, was ^ 0x20, 0, 0x17, 0x58, 0x59, 0xFF} - {was}:
            taken += agreed(body[:at] + bytes((octet,)) + body[at + 1 :], 300)
        agreed(body[:at] + body[at : at + 1] + body[at:], 300)
        agreed(body[:at] + body[at + 1 :], 300)
    assert taken > 400, "other digests, vendors, classes, numbers, names"


EDITS = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 40), st.binary(max_size=40)), min_size=1, max_size=4)


@EXAMPLES
@given(EDITS)
def test_any_edits_of_a_head_are_refused_as_the_host_refuses_them(head, edits):
    other = head
    for at, n, octets in edits:
        at %= len(other) + 1
        other = other[:at] + octets + other[at + n :]
    assert is_as_it_was(other, head) or other.startswith(head)
    if read(other) is None and not other.startswith(head):
        with pytest.raises(host.SuitError):
            host.read(other + b"\0" * 5000)


# --- the updater ------------------------------------------------------------------------------------------------------

OPS = st.lists(st.one_of(
    st.tuples(st.just("offer"), st.sampled_from([0, 1, 2, 2, 3, *BAD]), st.integers(0, 3)),
    st.tuples(st.just("lie"), st.sampled_from([2, 3, 4]), st.integers(1, 1 << 22)),
    st.tuples(st.just("piece"), st.integers(-600, 30000), st.integers(0, 700)),
    st.tuples(st.just("run"), st.sampled_from([1, 7, 30, 200, 700]), st.just(0)),
    st.tuples(st.just("update"), st.sampled_from([2, 3, *BAD]), st.sampled_from([20, 60, 300])),
    st.tuples(st.just("update"), st.sampled_from([2, 3, *BAD]), st.sampled_from([20, 60, 300])),
    st.tuples(st.just("boot"), st.just(0), st.just(0)),
    st.tuples(st.just("cut"), st.integers(0, 25), st.sampled_from([0, 1, 100])),
    st.tuples(st.just("link"), st.booleans(), st.booleans()),
    st.tuples(st.just("gone"), st.integers(0, 1), st.integers(0, 3)),
    st.tuples(st.just("mangle"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("full"), st.booleans(), st.just(0)),
    st.tuples(st.just("still"), st.booleans(), st.just(0)),
    st.tuples(st.just("day"), st.just(0), st.just(0)),
), min_size=3, max_size=25)
MANGLES = (None, lambda at, octets: (octets, octets), lambda at, octets: (octets[:-1],),
           lambda at, octets: (bytes(reversed(octets)),))


def all_releases(maker):
    made = {sequence: maker.release(sequence) for sequence in (1, 2, 3)}
    four, eight = maker.release(4), maker.release(8)
    return {**made, 0: maker.release(1), 4: changed(four, four[1] + 5000), 5: stranger().release(5),
            6: maker.release(6, "sim_heat_pump"), 7: (b"\xa3\x02" + bytes(9000), 0, bytes(32)),
            8: (eight[0] + b"x",) + eight[1:]}


class Fuzzed(Life):
    """A device whose link has one piece under way at a time, also of an offer that has gone."""

    def ask(self, record, offset, count):
        if not self.up or self.asked is not None:
            return False
        self.asked = (int(record.resource[1:]), record.id, offset, count, self.now_s + 1)
        return True


def do(one, op, a, b):
    """One of OPS."""
    if op == "offer":
        one.offer(a, id=ID + 10 * a + b)
    elif op == "update":
        one.offer(a, id=ID + 10 * a)
        one.run(b)
    elif op == "lie":
        one.offer(a, id=ID + 5, size=b, digest=bytes([b & 1]) * 32)
    elif op == "piece":
        record = one.updater.record
        one.updater.piece(one.now_s, 0, record.id if record else ID, a, bytes(b))
    elif op == "run":
        one.run(a)
    elif op == "boot":
        one.boot()
    elif op == "cut":
        one.fs.cut_after, one.fs.torn = a, b
        one.run(60)
        one.fs.cut_after = None
    elif op == "link":
        one.up, one.silent = a, b
    elif op == "gone":
        record = one.updater.record
        one.updater.gone(one.now_s, a, record.id if record else ID)
    elif op == "mangle":
        one.mangle = MANGLES[a]
    elif op == "full":
        one.fs.capacity = sum(map(len, one.fs.files.values())) if a else None
    elif op == "still":
        one.still = a
    elif op == "day":
        one.now_s += 86400


class Made:
    """What the examples share; short where one of them is shown."""

    def __repr__(self):
        return "made"


@pytest.fixture(scope="module")
def made(maker):
    one = Made()
    one.maker, one.releases = maker, all_releases(maker)
    return one


@settings(EXAMPLES, max_examples=200)
@given(OPS)
def test_the_updater_in_any_order(made, ops):
    one = Fuzzed(made.releases, [made.maker.key], (host.VENDOR.bytes, host.class_id("sim").bytes))
    one.region.install(0, *made.releases[1][:2])
    one.boot()
    one.up = True
    confirmed = 1
    for op in ops:
        try:
            do(one, *op)
        except PowerCut:
            one.fs.cut_after = None
            one.boot()
        assert one.sequence in (confirmed, 2, 3) and one.sequence >= confirmed, op
        if not one.slots.trial:
            confirmed = max(confirmed, one.sequence)
        assert one.log.counts.get("update.failed") is None, "nothing that nobody thought of"
        active, _, n = choose(one.region, Store(MemoryCopy(one.fs), "s"))
        assert active < 2 and n, "it would start at any moment"
    one.fs.capacity = one.fs.cut_after = one.mangle = None
    one.up = one.still = True
    one.silent = False
    assert one.run(2000, one.settled), "and comes to an end"
    for id in {id for id, _, _ in one.told}:
        states = one.states(id)
        assert states[0] in (STATE_RECEIVED, STATE_REJECTED)
        assert STATE_STARTED not in states or states.index(STATE_STARTED) > states.index(STATE_RECEIVED)
        # who came while nothing could be kept may be forgotten by a restart
        assert states[-1] in OVER or ("full", True, 0) in ops, (id, states)
    if one.sequence < 3:
        one.now_s += 86400
        assert one.offer(3, id=999) == 0 and one.run(2000, one.settled) and one.sequence == 3


class MemoryCopy:
    """The files of another one as they are: what is done here is not done there."""

    def __new__(cls, fs):
        copy = type(fs)()
        copy.files = {name: bytearray(octets) for name, octets in fs.files.items()}
        return copy


# --- the whole device -------------------------------------------------------------------------------------------------

SAID = st.lists(st.one_of(
    st.tuples(st.just("offer"), st.sampled_from([1, 2, 4]), st.integers(0, 3)),
    st.tuples(st.just("octets"), st.binary(min_size=1, max_size=60), st.just(0)),
    st.tuples(st.just("piece"), st.integers(0, 4 << 20), st.integers(1, 768)),
    st.tuples(st.just("run"), st.integers(1, 40), st.just(0)),
    st.tuples(st.just("serve"), st.booleans(), st.just(0)),
), max_size=12)


@settings(EXAMPLES, max_examples=30)
@given(SAID)
def test_the_load_in_any_order(made, ops):
    """Of a device that nobody's good release reaches: the contact stays, and nothing of the loop fails."""
    one = Desk(made.maker)
    relay = one.app.board.relay
    before = relay.closed, relay.switches
    for op, a, b in ops:
        if op == "offer":
            one.offer(a, 5 + b)
            one.served[5 + b] = changed(made.releases[a], 3000)[0]
        elif op == "octets":
            body = bytearray(b"\x84\x18\x1f" + a)  # a piece, or nearly one
            one.app.receive(one.now, 1, body, len(body))
        elif op == "piece":
            one.give("piece", id=5, offset=a, count=b, octets=bytes(b))
        elif op == "run":
            one.run(a)
        else:
            one.serving = a
        assert (relay.closed, relay.switches) == before and one.app.board.relay is relay
    one.run(5)
    assert one.sequence == 1 and not [name for name in one.app.log.counts if name.startswith("run.")]
    assert one.app.agent.hello.describe()["sequence"] == 1
