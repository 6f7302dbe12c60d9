"""Fuzzing the CoAP endpoint with what looks like CoAP: any order of messages, calls and time raises nothing, keeps the
bounds, answers each request at most once, sends nothing but well-formed messages, and is quiet in the end.

The peer knows the endpoint's tokens and message ids; in half of the runs it also has the keys.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spot.log import Log
from spot.wire.coap import CoapError, Message
from spot.wire.coap_options import unknown
from spot.wire.context import Context
from spot.wire.oscore import Oscore
from spot_sim.datagrams import Datagrams
from tests.unit.wire.coap_lab import GET, POST, SECRET, Raw, Replies, echo, endpoint, make, text

small = st.integers(0, 3)
VALUES = {
    1: st.binary(max_size=3), 4: st.sampled_from([b"E", b"F", b"", b"123456789"]), 5: st.just(b""),
    6: st.sampled_from([b"", b"\1", b"\2", b"\xff\xff\xff", b"1234"]), 8: st.binary(max_size=3),
    9: st.binary(max_size=12),
    11: st.sampled_from([b"cmd", b"big", b"state", b"sink", b"later", b".well-known", b"core", b"\xff", b""]),
    12: st.sampled_from([b"", b"\x3c", b"\x28", b"123"]), 14: st.binary(max_size=4),
    15: st.sampled_from([b"rt=*", b"href=/cmd", b"\xff", b"a&b", b""]), 17: st.sampled_from([b"\x3c", b"", b"123"]),
    23: st.builds(lambda num, low: (num << 4 | low).to_bytes(3, "big"), small, st.integers(0, 15)),
    27: st.builds(lambda num, low: (num << 4 | low).to_bytes(2, "big"), small, st.integers(0, 15)),
    28: st.binary(max_size=4), 35: st.just(b"coap://x"), 60: st.sampled_from([b"\x01", b"\xff\xff\xff\xff"]),
    252: st.binary(max_size=41), 258: st.sampled_from([b"\x02", b"\x1a", b"\x7f", b"", b"123"]),
    292: st.binary(max_size=2), 65001: st.binary(max_size=2), 65002: st.binary(max_size=2),
}
option = st.sampled_from(sorted(VALUES)).flatmap(lambda n: st.tuples(st.just(n), VALUES[n]))
payload = st.sampled_from([0, 1, 15, 16, 32, 255, 256, 257, 1000, 1100]).map(bytes) | st.binary(max_size=40)
incoming = st.tuples(
    st.just("message"), small,  # type
    st.sampled_from([0, 1, 1, 2, 2, 3, 9, 0x41, 0x43, 0x44, 0x45, 0x45, 0x5F, 0x5F, 0x81, 0x84, 0x88, 0x8D, 0xA0, 0x21,
                     0xE1]),
    st.integers(-3, 6),  # message id: negative: one of the endpoint's
    st.integers(-3, 3),  # token: negative: one of the endpoint's
    st.lists(option, max_size=6), payload,
)
action = st.one_of(
    incoming, incoming, incoming,
    st.tuples(st.just("octets"), st.binary(max_size=40)),
    st.tuples(st.just("time"), st.sampled_from([1, 100, 2500, 10_000, 100_000, 400_000])),
    st.tuples(st.just("request"), st.sampled_from([GET, POST]), st.sampled_from([0, 5, 256, 257, 1000, 1024]),
              st.booleans(), st.booleans(), st.sampled_from([0, 2, 26])),
    st.tuples(st.just("cancel")), st.tuples(st.just("notify")), st.tuples(st.just("ping")), st.tuples(st.just("gone")),
    st.tuples(st.just("answer")),
)


class Run:
    def __init__(self, secure, reliable):
        self.net = Datagrams(1)
        security = self.theirs = None
        if secure:
            context = Context(SECRET, b"", b"\x01", b"\x00")
            security = Oscore(Log(), self.net.octets)
            security.add(context)
            self.theirs = Context(SECRET, b"", b"\x00", b"\x01")
            self.oscore = Oscore(Log(), self.net.octets)
            self.oscore.add(self.theirs)
        self.ep = endpoint(self.net, "device", not secure, reliable, security, lambda peer: context if secure else None)
        self.peer = Raw(self.net, "peer")
        self.later = []
        self.replies = []
        self.requests = []
        ep = self.ep
        ep.resource("cmd", echo([]))
        ep.resource("big", text(bytes(1000), etag=b"E"), observable=True)
        ep.resource("state", text(b"x"), observable=True)
        ep.resource("sink", lambda now, q: 0x5F if q.more else 0x44, sink=True)
        ep.resource("later", self.postpone)
        self.bindings = []
        self.seen = []

    def postpone(self, now, q):
        self.later.append(q)
        return 0

    def act(self, kind, *args):
        net, ep = self.net, self.ep
        if kind == "message":
            self.message(*args)
        elif kind == "octets":
            ep.received(net.ticks, "peer", args[0], len(args[0]))
        elif kind == "time":
            net.run(args[0])
        elif kind == "request":
            code, n, con, observe, waived = args
            replies = Replies()
            request = ep.request(net.ticks, "peer", code, "some/path", bytes(n), con=con, no_response=waived,
                                 observe=observe and code == GET and not n, query=("q=1",), on_reply=replies)
            if request:
                self.requests.append((request, replies, request.observe))
        elif kind == "cancel" and self.requests:
            self.requests[-1][0].cancel(net.ticks)
        elif kind == "notify":
            ep.notify(net.ticks, "state")
            ep.notify(net.ticks, "big")
        elif kind == "ping":
            ep.ping(net.ticks, "peer", lambda now, there: None)
        elif kind == "gone":
            ep.gone(net.ticks, "peer")
        elif kind == "answer" and self.later:
            ep.answer(net.ticks, self.later.pop(), 0x44, b"done")
        net.run(10)
        self.hold()

    def message(self, type, code, mid, token, options, body):
        sent = self.seen
        if mid < 0:
            mid = sent[mid].mid if -mid <= len(sent) else 0
        if token < 0:
            token = sent[token].token if -token <= len(sent) else b""
        else:
            token = b"tokn"[: token + 1]
        data = make(type, code, mid, token if code else b"", options if code else (), body if code else b"")
        if self.theirs and 0 < code < 32 and len(data) < 1100:
            data = self.protect(data)
        self.ep.received(self.net.ticks, "peer", data, len(data))

    def protect(self, data):
        out = bytearray(1400)
        try:
            return bytes(out[: self.oscore.protect_request(data, len(data), out, self.theirs, self.oscore.binding())])
        except CoapError:
            return data

    def hold(self):
        ep = self.ep
        assert len(ep.exchanges) <= 8 and len(ep._seen) <= 32 and len(ep._delayed) <= 2
        assert len(ep.client.requests) <= 12 and len(ep.server.observers.list) <= 12 and len(ep.server.transfers) <= 2
        for x in ep.exchanges:  # nothing waits for a turn that nobody has
            assert any(y.tries >= 0 and y.peer == x.peer for y in ep.exchanges)
        assert all(len(one.body or b"") <= 1024 for one in ep.server.transfers)
        for _, replies, observe in self.requests:
            assert len(replies.all) <= 1 or observe
        self.seen += self.peer.got
        del self.seen[:-20]
        self.peer.got.clear()

    def end(self):
        for _ in range(20):
            self.net.run(60_000)
            self.hold()
        ep = self.ep
        assert ep._seen == [] and ep.server.transfers == [] and ep._delayed == []
        assert [r for r in ep.client.requests if not r.observe] == []
        assert [x for x in ep.exchanges if getattr(x.owner, "observe", None) is not True] == []


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.booleans(), st.booleans(), st.lists(action, min_size=3, max_size=30))
def test_any_conversation(secure, reliable, actions):
    run = Run(secure, reliable)
    for one in actions:
        run.act(*one)
    run.end()


@settings(max_examples=200, deadline=None)
@given(st.lists(option, max_size=10))
def test_whatever_the_options_are_the_first_critical_one_not_understood_is_named(options):
    data = make(0, 1, 1, b"t", options)
    m = Message()
    m.parse(data, len(data))
    numbers = [m.numbers[i] for i in range(m.count)]
    number = unknown(m)
    assert number == 0 or number in numbers and number & 1
    for critical in (9, 65001):
        assert critical not in numbers or number
