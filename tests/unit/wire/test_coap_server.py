"""The server against RFC 7252, section 5, RFC 7967 and RFC 6690: which request is answered how."""

import pytest

from spot.wire.linkformat import attribute, core, link
from spot_sim.datagrams import Datagrams
from tests.unit.wire.coap_lab import ACK, CON, GET, NON, POST, PUT, CoapError, Raw, echo, endpoint, text

CMD = [(11, b"cmd")]
STATUS = [(11, b"status")]


def refusing(now, q):
    raise CoapError(0x80, "out of range")


def broken(now, q):
    raise CoapError(0, "a fault of ours")


@pytest.fixture
def bench():
    return make_bench(True)


def make_bench(trust):
    net = Datagrams(1)
    ep = endpoint(net, "device", trust)
    ep.resource("cmd", echo([]), 'rt="spot.cmd"')
    ep.resource("/status", text(b"\x83\x01\x02\x03", etag=b"\x01\x02", max_age_s=600), 'rt="spot.status"',
                observable=True)
    ep.resource("a/b", text(b"deep", ct=0), open=True, observable=True)
    ep.resource("bad", refusing)
    ep.resource("broken", broken)
    peer = Raw(net, "peer")
    peer.ep = ep
    return peer


# sentence, method, options, code, options of the answer, payload of the answer
CASES = [
    ("5.8.2: POST", POST, CMD, "2.04", {12: [b"\x3c"]}, b"body"),
    ("5.8.1: GET, with ETag, content format, Max-Age", GET, STATUS, "2.05",
     {4: [b"\1\2"], 12: [b"\x3c"], 14: [b"\2\x58"]}, b"\x83\x01\x02\x03"),
    ("5.10.1: a path of segments", GET, [(11, b"a"), (11, b"b")], "2.05", {12: [b""]}, b"deep"),
    ("5.10.1: no such path", GET, [(11, b"a")], "4.04", {}, b"no such path"),
    ("5.10.1: the empty path", GET, [], "4.04", {}, b"no such path"),
    ("5.5.2: a refusal says why", POST, [(11, b"bad")], "4.00", {}, b"out of range"),
    ("5.9.3.1: a fault without a code is ours", POST, [(11, b"broken")], "5.00", {}, b"a fault of ours"),
    ("5.4.1: an unknown critical option, 4.02", POST, [*CMD, (9999, b"")], "4.02", {}, b"option 9999"),
    ("5.4.1: an unknown critical option below 256", POST, [*CMD, (77, b"")], "4.02", {}, b"option 77"),
    ("5.4.1: OSCORE where there is no security", POST, [*CMD, (9, b"")], "4.02", {}, b"option 9"),
    ("5.4.1: unknown elective options are ignored", POST, [*CMD, (10000, b"x"), (100, b"x")], "2.04",
     {12: [b"\x3c"]}, b"body"),
    ("5.4.3: a critical option of a wrong length is unknown", POST, [*CMD, (17, b"123")], "4.02", {}, b"option 17"),
    ("5.4.3: a Uri-Host without octets is unknown", POST, [(3, b""), *CMD], "4.02", {}, b"option 3"),
    ("5.4.3: an elective option of a wrong length is ignored", GET, [(4, b"123456789"), (6, b"1234"), *STATUS], "2.05",
     {4: [b"\1\2"], 12: [b"\x3c"], 14: [b"\2\x58"]}, b"\x83\x01\x02\x03"),
    ("5.4.5: a critical option that comes twice", POST, [*CMD, (17, b"\x3c"), (17, b"\x3c")], "4.02", {}, b"option 17"),
    ("5.4.5: an elective option that comes twice counts once", POST, [*CMD, (12, b"\x3c"), (12, b"\0")], "2.04",
     {12: [b"\x3c"]}, b"body"),
    ("5.10.1: Uri-Host, Uri-Port, Uri-Query are understood", POST, [(3, b"host"), (7, b"\x16\x33"), *CMD, (15, b"q")],
     "2.04", {12: [b"\x3c"]}, b"body"),
    ("5.10.2: we are no proxy: Proxy-Uri", POST, [(35, b"coap://x")], "5.05", {}, b"no proxy"),
    ("5.10.2: we are no proxy: Proxy-Scheme", POST, [*CMD, (39, b"coap")], "5.05", {}, b"no proxy"),
    ("5.10.3: a content format that is taken", POST, [*CMD, (12, b"\x3c")], "2.04", {12: [b"\x3c"]}, b"body"),
    ("5.10.3: one that is not", POST, [*CMD, (12, b"\x32")], "4.15", {}, b"content format"),
    ("5.10.4: Accept that can be met", GET, [*STATUS, (17, b"\x3c")], "2.05",
     {4: [b"\1\2"], 12: [b"\x3c"], 14: [b"\2\x58"]}, b"\x83\x01\x02\x03"),
    ("5.10.4: Accept that cannot", GET, [*STATUS, (17, b"\x32")], "4.06", {}, b"content format"),
    ("5.10.6.2: an ETag that stands: 2.03 without payload", GET, [(4, b"\1\2"), *STATUS], "2.03",
     {4: [b"\1\2"], 14: [b"\2\x58"]}, b""),
    ("5.10.6.2: one of several ETags stands", GET, [(4, b"\1"), (4, b"\1\2"), *STATUS], "2.03",
     {4: [b"\1\2"], 14: [b"\2\x58"]}, b""),
    ("5.10.6.2: an ETag that does not stand", GET, [(4, b"\1"), *STATUS], "2.05",
     {4: [b"\1\2"], 12: [b"\x3c"], 14: [b"\2\x58"]}, b"\x83\x01\x02\x03"),
    ("5.10.8.2: If-None-Match on what exists", PUT, [*CMD, (5, b"")], "4.12", {}, b"it exists"),
    ("5.10.8.1: If-Match: it exists", PUT, [(1, b""), *CMD], "2.04", {12: [b"\x3c"]}, b"body"),
    ("5.10.8.1: If-Match: another one exists", PUT, [(1, b"E"), *CMD], "4.12", {}, b"it is another"),
    ("5.10.8.1: If-Match: one of several", PUT, [(1, b"E"), (1, b""), *CMD], "2.04", {12: [b"\x3c"]}, b"body"),
    ("RFC 8768: Hop-Limit is understood", POST, [*CMD, (16, b"\x10")], "2.04", {12: [b"\x3c"]}, b"body"),
    ("RFC 7967: no 2.xx wanted", POST, [*CMD, (258, b"\x02")], "0.00", {}, b""),
    ("RFC 7967: no 4.xx wanted, and none there", POST, [*CMD, (258, b"\x08")], "2.04", {12: [b"\x3c"]}, b"body"),
    ("RFC 7967: no 4.xx wanted", POST, [(11, b"bad"), (258, b"\x08")], "0.00", {}, b""),
    ("RFC 7967: no 5.xx wanted", POST, [(11, b"broken"), (258, b"\x1a")], "0.00", {}, b""),
    ("RFC 7967: no 2.xx wanted, but an error", POST, [(11, b"bad"), (258, b"\x02")], "4.00", {}, b"out of range"),
]


@pytest.mark.parametrize("sentence, code, options, expected, answer_options, payload", CASES,
                         ids=[row[0] for row in CASES])
def test_requests(bench, sentence, code, options, expected, answer_options, payload):
    (answer,) = bench.send("device", CON, code, 1, b"tk", options, b"body" if code != GET else b"")
    assert (answer.type, answer.mid, answer.code) == (ACK, 1, expected)
    assert answer.token == (b"tk" if expected != "0.00" else b"")
    assert answer.options == answer_options and answer.payload == payload


@pytest.mark.parametrize("options", [[*CMD, (9999, b"")], [*CMD, (258, b"\x1a")]],
                         ids=["5.4.1: a critical option in a NON: rejected", "RFC 7967: nothing wanted"])
def test_non_requests_without_an_answer(bench, options):
    assert bench.send("device", NON, POST, 1, b"tk", options, b"body") == []


UNPROVEN = [
    ("a resource that is not open", GET, STATUS, "4.01"),
    ("one that takes commands", POST, CMD, "4.01"),
    ("a path that does not exist says no more", GET, [(11, b"none")], "4.01"),
    ("an open resource", GET, [(11, b"a"), (11, b"b")], "2.05"),
    ("discovery", GET, [(11, b".well-known"), (11, b"core")], "2.05"),
    ("block-wise or not", POST, [*CMD, (27, b"\x08")], "4.01"),
    ("uploads take room: not even to what is open", POST, [(11, b"a"), (11, b"b"), (27, b"\x08")], "4.01"),
    ("observing takes room: it is answered, not observed", GET, [(6, b""), (11, b"a"), (11, b"b")], "2.05"),
]


@pytest.mark.parametrize("sentence, code, options, expected", UNPROVEN, ids=[row[0] for row in UNPROVEN])
def test_who_is_not_proven_gets_what_is_open(sentence, code, options, expected):
    peer = make_bench(False)
    (answer,) = peer.send("device", CON, code, 1, b"tk", options, bytes(16))
    assert answer.code == expected
    assert 6 not in answer.options
    assert peer.ep._seen == [] and peer.ep.server.transfers == [] and peer.ep.server.observers.list == []


def test_who_is_not_proven_is_no_way_to_multiply_traffic():
    peer = make_bench(False)
    core = [(11, b".well-known"), (11, b"core")]
    (first,) = peer.send("device", CON, GET, 1, b"tk", core)
    assert first.payload == WHOLE[:64] and first.options[23] == [b"\x0a"]
    for sent in (row[3] for row in peer.network.history if row[1] == "device"):
        assert len(sent) <= 3.5 * len(peer.network.history[0][3])
    (second,) = peer.send("device", CON, GET, 2, b"tk", [*core, (23, b"\x1c")])
    assert second.code == "4.00"  # 256 octets from the second block on: not while we give 64
    (second,) = peer.send("device", CON, GET, 3, b"tk", [*core, (23, b"\x12")])
    assert second.payload == WHOLE[64:128]


WHOLE = b'</.well-known/core>;ct=40,</a/b>;obs,</bad>,</broken>,</cmd>;rt="spot.cmd",</status>;rt="spot.status";obs'
FILTERS = [
    ("no filter", [], WHOLE),
    ("by type", [b"rt=spot.cmd"], b'</cmd>;rt="spot.cmd"'),
    ("by a type that is only the beginning of one", [b"rt=spot.cm"], b""),
    ("by the beginning of a type", [b"rt=spot.*"], b'</cmd>;rt="spot.cmd",</status>;rt="spot.status";obs'),
    ("by target", [b"href=/a/b"], b"</a/b>;obs"),
    ("by the beginning of a target", [b"href=/b*"], b"</bad>,</broken>"),
    ("what has the attribute at all", [b"obs=*"], b'</a/b>;obs,</status>;rt="spot.status";obs'),
    ("by number", [b"ct=40"], b"</.well-known/core>;ct=40"),
    ("several filters: all", [b"rt=spot.*", b"href=/c*"], b'</cmd>;rt="spot.cmd"'),
    ("nothing left: an empty list", [b"rt=other"], b""),
]


@pytest.mark.parametrize("sentence, queries, expected", FILTERS, ids=[row[0] for row in FILTERS])
def test_discovery(bench, sentence, queries, expected):
    options = [(11, b".well-known"), (11, b"core")] + [(15, query) for query in queries]
    (answer,) = bench.send("device", CON, GET, 1, b"t", options)
    assert (answer.code, answer.payload) == ("2.05", expected)
    if expected:
        assert answer.options[12] == [b"\x28"]


def test_a_query_that_is_no_text_is_refused(bench):
    options = [(11, b".well-known"), (11, b"core"), (15, b"rt=\xff")]
    assert bench.send("device", CON, GET, 1, b"t", options)[0].code == "4.02"


def test_discovery_is_for_reading(bench):
    assert bench.send("device", CON, POST, 1, b"t", [(11, b".well-known"), (11, b"core")])[0].code == "4.05"


def test_a_registration_leaves_discovery_out(bench):
    assert core(bench.ep.server.resources, own=False) == WHOLE.partition(b",")[2]


@pytest.mark.parametrize("attributes, name, value", [('rt="a b";obs;ct=60', "rt", "a b"), ('rt="a";obs', "obs", ""),
                                                     ("ct=60", "ct", "60"), ("ct=60", "rt", None), ("", "rt", None)])
def test_attributes(attributes, name, value):
    assert attribute(attributes, name) == value


def test_a_list_of_types_matches_by_one_of_them():
    class Resource:
        attributes, observable = 'rt="spot.cmd core.x"', False

    assert core({b"a": Resource}, ["rt=core.x"]) == link("a", Resource.attributes).encode()
    assert core({b"a": Resource}, ["rt=cmd"]) == b""


def test_the_handler_sees_the_request(bench):
    seen = []

    def handler(now, q):
        seen.append((q.code, q.peer, q.context, q.path, q.query(), bytes(q.buf[q.at : q.at + q.n])))
        return 0x44

    bench.ep.resource("look", handler)
    (answer,) = bench.send("device", CON, PUT, 1, b"t", [(11, b"look"), (15, b"ep=1"), (15, b"b")], b"pay")
    assert seen == [(PUT, "peer", None, b"look", ["ep=1", "b"], b"pay")]
    assert answer.payload == b"" and answer.options == {}


def test_an_answer_that_fits_no_message_is_not_sent_and_stops_nothing(bench):
    bench.ep.resource("long", lambda now, q: q.reply(bytes(5000)) or 0x44)
    assert bench.send("device", CON, POST, 1, b"t", [(11, b"long")]) == []
    assert bench.send("device", CON, POST, 2, b"t", CMD, b"on")[0].code == "2.04"
    assert bench.ep.log.counts["coap.unsent"] == 1
