"""Block-wise transfer against RFC 7959 and BERT of RFC 8323, section 6: both ways, both sides."""

import pytest

from spot.wire.coap_options import block, fits, offset
from spot_sim.datagrams import Datagrams
from tests.unit.wire.coap_lab import ACK, CON, GET, POST, Raw, Replies, echo, endpoint, pair, text

BODY = bytes(i & 0xFF for i in range(1000))


def value(num, more, szx):
    return num << 4 | more << 3 | szx


@pytest.mark.parametrize("v, at", [(0, 0), (value(1, 0, 0), 16), (value(3, 1, 4), 768), (value(2, 1, 6), 2048),
                                   (value(2, 1, 7), 2048)])
def test_2_2_offsets(v, at):
    assert offset(v) == at and block(at, v & 8, v & 7) == v


SIZES = [(value(0, 1, 4), 256, True), (value(0, 1, 4), 255, False), (value(0, 0, 4), 255, True),
         (value(0, 0, 4), 257, False), (value(0, 0, 4), 0, True), (value(0, 1, 7), 1024, None),
         (value(0, 1, 7), 3072, None), (value(0, 1, 7), 1000, False), (value(0, 0, 7), 5000, None),
         (value(0, 1, 7), 0, False)]


@pytest.mark.parametrize("v, n, ok", SIZES)
def test_2_2_all_but_the_last_are_full_and_bert_is_for_streams(v, n, ok):
    assert bool(fits(v, n, False)) == (ok is True)
    assert bool(fits(v, n, True)) == (ok is not False)


class Served:
    """A server with /cmd (Block1), /big (Block2), /sink (stream of blocks), and a raw client."""

    def __init__(self, reliable=False, **config):
        self.net = Datagrams(1)
        self.ep = endpoint(self.net, "device", True, reliable, **config)
        self.calls = []
        self.blocks = []
        self.big = [BODY]
        self.ep.resource("cmd", echo(self.calls))
        self.ep.resource("big", text(lambda: self.big[0], etag=b"E"))
        self.ep.resource("sink", self.sink, sink=True)
        self.peer = Raw(self.net, "peer")
        self.mid = 0
        self.reliable = reliable

    def sink(self, now, q):
        self.blocks.append((q.offset, q.n, bool(q.more)))
        return 0x5F if q.more else 0x44

    def put(self, num, more, szx, data, path=b"cmd", options=(), peer=None):
        self.mid += 1
        (answer,) = (peer or self.peer).send("device", CON, POST, 0 if self.reliable else self.mid, b"t",
                                             [(11, path), (27, value(num, more, szx)), *options], data)
        return answer

    def get(self, *options):
        self.mid += 1
        (answer,) = self.peer.send("device", CON, GET, 0 if self.reliable else self.mid, b"t", [(11, b"big"), *options])
        return answer


@pytest.fixture
def served():
    return Served()


def test_3_1_a_representation_is_cut_into_blocks_with_its_size(served):
    first = served.get()
    assert (first.code, first.uint(23), first.uint(28), first.payload) == ("2.05", value(0, 1, 4), 1000, BODY[:256])
    assert first.options[4] == [b"E"]
    last = served.get((23, value(3, 0, 4)))
    assert (last.uint(23), last.payload) == (value(3, 0, 4), BODY[768:]) and 28 not in last.options


EARLY = [("3.1: the client asks for less at once", value(0, 0, 2), value(0, 1, 2), BODY[:64]),
         ("3.1: late: it goes on in smaller blocks", value(4, 0, 2), value(4, 1, 2), BODY[256:320]),
         ("3.1: it asks for more than we give", value(0, 0, 6), value(0, 1, 4), BODY[:256]),
         ("2.4: the last block", value(62, 0, 0), value(62, 0, 0), BODY[992:])]


@pytest.mark.parametrize("sentence, asked, given, payload", EARLY, ids=[row[0] for row in EARLY])
def test_block_sizes_of_a_response(served, sentence, asked, given, payload):
    answer = served.get((23, asked))
    assert (answer.code, answer.uint(23), answer.payload) == ("2.05", given, payload)


def test_2_4_a_block_behind_the_end_is_a_bad_request(served):
    assert served.get((23, value(4, 0, 4))).code == "4.00"


def test_2_2_szx_7_in_a_datagram_is_a_bad_request(served):
    assert served.get((23, value(0, 0, 7))).code == "4.00"
    assert served.put(0, 1, 7, bytes(1024)).code == "4.00"


def test_3_1_what_fits_one_block_says_nothing_of_blocks(served):
    served.big[0] = BODY[:256]
    assert 23 not in served.get().options and 23 not in served.get((23, value(0, 0, 4))).options


def test_an_etag_that_stands_saves_the_blocks_as_well(served):
    answer = served.get((4, b"E"))
    assert (answer.code, answer.payload) == ("2.03", b"") and 23 not in answer.options


def test_what_is_not_safe_to_ask_for_again_is_not_cut(served):
    (answer,) = served.peer.send("device", CON, POST, 1, b"t", [(11, b"big")])
    assert (answer.code, answer.payload) == ("2.05", BODY) and 23 not in answer.options


def upload(served, szx=4, body=BODY, path=b"cmd"):
    size = 16 << szx
    codes = []
    for at in range(0, len(body), size):
        answer = served.put(at // size, at + size < len(body), szx, body[at : at + size], path)
        codes.append((answer.code, answer.uint(27)))
    return codes, answer


def test_3_2_an_upload(served):
    codes, answer = upload(served)
    assert codes == [("2.31", value(i, 1, 4)) for i in range(3)] + [("2.04", value(3, 0, 4))]
    assert served.calls == [BODY] and served.ep.server.transfers == []
    assert answer.payload == BODY


def test_3_2_an_upload_in_small_blocks(served):
    assert upload(served, 0, BODY[:100])[0][-1] == ("2.04", value(6, 0, 0)) and served.calls == [BODY[:100]]


def test_3_2_the_server_asks_for_smaller_blocks_than_it_was_given():
    body = BODY + BODY
    served = Served(body=4096)
    answer = served.put(0, 1, 6, body[:1024])
    assert (answer.code, answer.uint(27)) == ("2.31", value(0, 1, 4))
    for num in range(4, 8):
        answer = served.put(num, num < 7, 4, body[256 * num : 256 * num + 256])
    assert answer.code == "2.04" and served.calls == [body[:2000]]


ORDER = [
    ("2.9.2: a block without its beginning", [(1, 1)], "4.08"),
    ("2.9.2: a block left out", [(0, 1), (2, 1)], "4.08"),
    ("2.5: a block again is confirmed again", [(0, 1), (1, 1), (1, 1)], "2.31"),
    ("2.5: an earlier one is confirmed as well", [(0, 1), (1, 1), (2, 1), (1, 1)], "2.31"),
    ("2.5: block 0 starts anew", [(0, 1), (1, 1), (0, 1), (1, 1)], "2.31"),
    ("2.9.2: and what was before is gone", [(0, 1), (1, 1), (0, 1), (2, 1)], "4.08"),
]


@pytest.mark.parametrize("sentence, blocks, code", ORDER, ids=[row[0] for row in ORDER])
def test_order_of_blocks(served, sentence, blocks, code):
    for num, more in blocks:
        answer = served.put(num, more, 4, BODY[256 * num : 256 * num + 256])
    assert answer.code == code and served.calls == []


def test_2_2_a_block_that_is_not_full_is_a_bad_request(served):
    assert served.put(0, 1, 4, bytes(200)).code == "4.00"


def test_2_9_3_a_body_over_the_bound_is_refused_with_the_bound(served):
    early = served.put(0, 1, 4, bytes(256), options=[(60, 5000)])
    assert (early.code, early.uint(60)) == ("4.13", 1024)
    for num in range(5):
        late = served.put(num, 1, 4, bytes(256))
    assert (late.code, late.uint(60)) == ("4.13", 1024)
    whole = served.peer.send("device", CON, POST, 99, b"t", [(11, b"cmd")], bytes(1025))[0]
    assert (whole.code, whole.uint(60)) == ("4.13", 1024)
    assert served.ep.server.transfers == [] and served.calls == []


def test_half_open_uploads_are_bounded_and_run_out(served):
    peers = [Raw(served.net, i) for i in range(4)]
    answers = [served.put(0, 1, 4, bytes(256), peer=peer) for peer in peers]
    assert [answer.code for answer in answers] == ["2.31", "2.31", "5.03", "5.03"]
    assert answers[2].uint(14) == 60
    served.net.run(248_000 + 60_000)  # they are looked for once a minute
    assert served.ep.server.transfers == []
    assert served.put(0, 1, 4, bytes(256), peer=peers[3]).code == "2.31"


def test_uploads_are_told_apart_by_who_where_and_request_tag(served):
    other = Raw(served.net, "other")
    served.put(0, 1, 4, BODY[:256])
    assert served.put(1, 0, 4, BODY[256:300], peer=other).code == "4.08"
    assert served.put(1, 0, 4, BODY[256:300], options=[(292, b"x")]).code == "4.08"
    assert served.put(1, 0, 4, BODY[256:300], path=b"sink").code == "4.08"
    assert served.put(1, 0, 4, BODY[256:300]).code == "2.04"


def test_a_sink_gets_each_block_once_and_in_order(served):
    body = bytes(5000)
    assert upload(served, 4, body, b"sink")[0][-1][0] == "2.04"
    assert served.blocks == [(256 * i, 256, True) for i in range(19)] + [(4864, 136, False)]
    served.blocks.clear()
    for num in (0, 1, 1, 0):
        served.put(num, 1, 4, bytes(256), b"sink")
    assert served.blocks == [(0, 256, True), (256, 256, True), (0, 256, True)]


def test_a_sink_that_refuses_ends_the_upload(served):
    served.ep.resource("sink", lambda now, q: 0x80, sink=True)
    assert served.put(0, 1, 4, bytes(256), b"sink").code == "4.00"
    assert served.put(1, 1, 4, bytes(256), b"sink").code == "4.08"


def test_bert_on_a_stream():
    served = Served(reliable=True, body=4096)
    assert served.put(0, 1, 7, bytes(2048)).uint(27) == value(0, 1, 7)
    answer = served.put(2, 0, 7, bytes(1500))
    assert answer.code == "2.04" and served.calls == [bytes(3548)]
    assert served.get().payload == BODY  # whole: nothing is lost on a stream


def test_bert_in_a_response_on_a_stream():
    net = Datagrams(1)
    ep = endpoint(net, "device", True, True, body=4096)
    peer = Raw(net, "peer")
    replies = Replies()
    ep.request(net.ticks, "peer", GET, "big", on_reply=replies)
    net.run(10)
    (asked,) = peer.got
    assert 23 not in asked.options
    (more,) = peer.send("device", 0, 0x45, 0, asked.token, [(23, value(0, 1, 7))], bytes(2048))
    assert offset(more.uint(23)) == 2048
    peer.send("device", 0, 0x45, 0, more.token, [(23, value(2, 0, 7))], bytes(500))
    assert [(row[0], len(row[1])) for row in replies.all] == [("2.05", 2548)]


class Asking:
    """A client that asks a raw server."""

    def __init__(self, code, path, body=b"", reliable=False, **more):
        self.net = Datagrams(1)
        self.ep = endpoint(self.net, "device", True, reliable)
        self.peer = Raw(self.net, "peer")
        self.replies = Replies()
        self.ep.request(self.net.ticks, "peer", code, path, body, on_reply=self.replies, **more)
        self.net.run(10)

    @property
    def last(self):
        return self.peer.got[-1]

    def answer(self, code, options=(), payload=b"", type=ACK):
        """Answer the last request; returns the next one, or None."""
        request = self.last
        got = self.peer.send("device", type, code, request.mid, request.token, options, payload)
        self.peer.got.append(request) if not got else None
        return got[-1] if got else None


def test_3_1_a_client_asks_for_small_blocks_at_once_and_for_the_rest():
    asking = Asking(GET, "big")
    assert asking.last.options[23] == [b"\x04"]
    for num in range(3):
        asking.answer(0x45, [(4, b"E"), (23, value(num, 1, 4))], BODY[256 * num : 256 * num + 256])
        assert asking.last.uint(23) == value(num + 1, 0, 4) and 6 not in asking.last.options
    asking.answer(0x45, [(4, b"E"), (23, value(3, 0, 4))], BODY[768:])
    assert asking.replies.all == [("2.05", BODY, True)] and asking.ep.client.requests == []


def test_3_1_a_server_that_gives_smaller_blocks_is_followed():
    asking = Asking(GET, "big")
    asking.answer(0x45, [(23, value(0, 1, 2))], BODY[:64])
    assert asking.last.uint(23) == value(1, 0, 2)
    asking.answer(0x45, [(23, value(1, 0, 2))], BODY[64:70])
    assert asking.replies.all == [("2.05", BODY[:70], True)]


CHANGED = [
    ("2.4: the representation has changed in between", [(4, b"F"), (23, value(1, 1, 4))], 256),
    ("2.4: another block than the one asked for", [(4, b"E"), (23, value(2, 1, 4))], 256),
    ("2.2: a block that is not full", [(4, b"E"), (23, value(1, 1, 4))], 255),
]


@pytest.mark.parametrize("sentence, options, n", CHANGED, ids=[row[0] for row in CHANGED])
def test_a_transfer_that_goes_wrong_starts_again_a_bounded_number_of_times(sentence, options, n):
    asking = Asking(GET, "big")
    for _ in range(10):
        asking.answer(0x45, [(4, b"E"), (23, value(0, 1, 4))], bytes(256))
        if asking.replies.all:
            break
        asking.answer(0x45, options, bytes(n))
        assert asking.replies.all or asking.last.uint(23) == value(0, 0, 4)
    assert asking.replies.codes == ["0.00"] and asking.ep.client.requests == []


def test_a_response_over_the_bound_is_4_13_here():
    asking = Asking(GET, "big")
    for num in range(5):
        asking.answer(0x45, [(23, value(num, 1, 4))], bytes(256))
    assert asking.replies.codes == ["4.13"]


def test_3_2_a_client_sends_a_body_in_blocks_with_its_size():
    asking = Asking(POST, "interval", BODY)
    assert (asking.last.uint(27), asking.last.uint(60), asking.last.payload) == (value(0, 1, 4), 1000, BODY[:256])
    tokens = {asking.last.token}
    for num in range(3):
        asking.answer(0x5F, [(27, value(num, 1, 4))])
        tokens.add(asking.last.token)
        at = 256 * (num + 1)
        assert (asking.last.uint(27), asking.last.payload) == (value(num + 1, num < 2, 4), BODY[at : at + 256])
        assert 60 not in asking.last.options
    asking.answer(0x44, [(27, value(3, 0, 4))])
    assert asking.replies.codes == ["2.04"] and len(tokens) == 4


def test_3_3_a_response_in_blocks_to_an_upload_is_fetched_without_the_payload():
    asking = Asking(POST, "interval", BODY)
    for num in range(3):
        asking.answer(0x5F, [(27, value(num, 1, 4))])
    asking.answer(0x44, [(23, value(0, 1, 4)), (27, value(3, 0, 4))], bytes(256))
    assert asking.last.options[23] == [b"\x14"] and 27 not in asking.last.options and asking.last.payload == b""
    asking.answer(0x44, [(23, value(1, 0, 4))], b"end")
    assert asking.replies.all == [("2.04", bytes(256) + b"end", True)]


def test_3_2_a_server_that_wants_smaller_blocks():
    asking = Asking(POST, "interval", BODY)
    asking.answer(0x5F, [(27, value(0, 1, 2))])
    assert (asking.last.uint(27), asking.last.payload) == (value(4, 1, 2), BODY[256:320])


def test_2_9_3_a_server_to_which_the_first_block_is_too_large():
    asking = Asking(POST, "interval", BODY)
    asking.answer(0x8D, [(27, value(0, 1, 1))])
    assert (asking.last.uint(27), asking.last.payload) == (value(0, 1, 1), BODY[:32])


def test_2_9_2_a_server_that_has_lost_the_beginning():
    asking = Asking(POST, "interval", BODY)
    asking.answer(0x5F, [(27, value(0, 1, 4))])
    asking.answer(0x88, [(27, value(1, 1, 4))])
    assert asking.last.uint(27) == value(0, 1, 4)
    for _ in range(5):
        asking.answer(0x88, [(27, value(0, 1, 4))])
    assert asking.replies.codes == ["4.08"]


@pytest.mark.parametrize("code, name", [(0x80, "4.00"), (0x8D, "4.13"), (0x44, "2.04")])
def test_a_final_answer_ends_an_upload_wherever_it_is(code, name):
    asking = Asking(POST, "interval", BODY)
    asking.answer(code)
    assert asking.replies.codes == [name] and asking.ep.client.requests == []


def test_rfc_9175_a_request_is_repeated_with_echo_and_not_for_ever():
    asking = Asking(POST, "cmd", b"x")
    asking.answer(0x81, [(252, b"fresh?")])
    assert (asking.last.options[252], asking.last.payload) == ([b"fresh?"], b"x")
    asking.answer(0x44)
    assert asking.replies.codes == ["2.04"]
    asking = Asking(POST, "cmd", b"x")
    for i in range(10):
        if not asking.replies.all:
            asking.answer(0x81, [(252, b"%d" % i)])
    assert asking.replies.codes == ["0.00"] and i == 9


RESPONSES = [
    ("5.3.3: an error with a diagnostic", 0x84, [], b"no such path", ("4.04", b"no such path", True)),
    ("5.4.1: an unknown critical option fails the request", 0x44, [(9999, b"")], b"", ("0.00", b"", True)),
    ("5.4.1: an unknown elective option does not", 0x44, [(10000, b"")], b"y", ("2.04", b"y", True)),
    ("5.4.1: OSCORE where there is no security", 0x44, [(9, b"")], b"y", ("0.00", b"", True)),
    ("5.10.6: valid", 0x43, [(4, b"E")], b"", ("2.03", b"", False)),
]


@pytest.mark.parametrize("sentence, code, options, payload, expected", RESPONSES, ids=[row[0] for row in RESPONSES])
def test_responses(sentence, code, options, payload, expected):
    asking = Asking(GET, "x")
    asking.answer(code, options, payload)
    assert asking.replies.all == [expected] and asking.ep.client.requests == []


def test_what_a_response_says_beside_its_payload():
    asking = Asking(POST, "rd", b"</cmd>", ct=40, accept=60, query=("ep=1", "lt=600"))
    request = asking.ep.client.requests[0]
    assert asking.last.options[12] == [b"\x28"] and asking.last.options[17] == [b"\x3c"]
    assert asking.last.options[15] == [b"ep=1", b"lt=600"]
    asking.answer(0x41, [(4, b"E"), (8, b"rd"), (8, b"4f"), (12, b"\x3c"), (14, b"\x0a")])
    assert (request.location, request.etag, request.reply_ct, request.max_age_s) == (b"rd/4f", b"E", 60, 10)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 512, 1000, 1024])
def test_both_ends_together(secure, n):
    net, client, server = pair(secure=secure)
    calls = []
    server.resource("cmd", echo(calls))
    server.resource("big", text(lambda: BODY[:n]))
    replies = Replies()
    client.request(net.ticks, "server", POST, "cmd", (BODY + BODY)[:n], on_reply=replies)
    client.request(net.ticks, "server", GET, "big", on_reply=replies)
    net.run(1000)
    assert calls == [(BODY + BODY)[:n]]
    assert [row[:2] for row in replies.all] == [("2.04", calls[0]), ("2.05", BODY[:n])]
