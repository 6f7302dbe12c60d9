"""The message layer against RFC 7252, section 4: reliability, duplicates, rejection, timers, NSTART."""

import pytest

from spot.wire.coap_numbers import EXCHANGE_LIFETIME_MS, MAX_TRANSMIT_WAIT_MS, NON_LIFETIME_MS
from spot_sim.datagrams import Datagrams
from tests.unit.wire.coap_lab import ACK, CON, GET, NON, POST, RST, Raw, Read, Replies, echo, endpoint, make, text


class Bench:
    """One endpoint that serves /cmd (calls in `calls`), and a raw peer."""

    def __init__(self, trust=True, reliable=False, **config):
        self.net = Datagrams(1)
        self.ep = endpoint(self.net, "device", trust, reliable, **config)
        self.calls = []
        self.ep.resource("cmd", echo(self.calls))
        self.ep.resource("open", text(b"hello"), open=True)
        self.peer = Raw(self.net, "peer")

    def send(self, *message):
        return self.peer.send("device", *message)

    def octets(self, data):
        self.peer.got.clear()
        self.peer.port.datagram("device", data, len(data))
        self.net.run(1000)
        return self.peer.got[:]

    def request(self, *args, **more):
        replies = Replies()
        assert self.ep.request(self.net.ticks, "peer", *args, on_reply=replies, **more)
        self.net.run(10)
        return replies


@pytest.fixture
def bench():
    return Bench()


# what comes in, in octets, and what is answered: (type, code, mid) or nothing
REJECTION = [
    ("4.3: an empty CON is a ping: RST", "40 00 12 34", (RST, "0.00", 0x1234)),
    ("4.3: an empty NON is ignored", "50 00 12 34", None),
    ("4.2: an empty ACK that nobody waits for is ignored", "60 00 12 34", None),
    ("4.2: an RST that nobody waits for is ignored", "70 00 12 34", None),
    ("3: an unknown version is ignored", "80 01 12 34", None),
    ("3: a token of nine in a CON is rejected", "49 01 12 34" + "00" * 9, (RST, "0.00", 0x1234)),
    ("4.3: a token of nine in a NON is ignored", "59 01 12 34" + "00" * 9, None),
    ("3: a CON with a marker and no payload is rejected", "40 01 12 34 ff", (RST, "0.00", 0x1234)),
    ("4.1: an empty CON with a token is rejected", "41 00 12 34 00", (RST, "0.00", 0x1234)),
    ("4.2: an ACK that is malformed is ignored", "61 45 12 34", None),
    ("4.2: a request in an ACK is ignored", "60 01 12 34", None),
    ("4.2: a response in an RST is ignored", "70 45 12 34", None),
    ("4.2: a CON response that nobody waits for is rejected", "40 45 12 34", (RST, "0.00", 0x1234)),
    ("4.3: a NON response that nobody waits for is ignored", "50 45 12 34", None),
    ("4.2: a CON of reserved class 1 is rejected", "40 21 12 34", (RST, "0.00", 0x1234)),
    ("4.2: a CON of reserved class 6 is rejected", "40 c1 12 34", (RST, "0.00", 0x1234)),
    ("4.2: a signal has no place in a datagram", "40 e1 12 34", (RST, "0.00", 0x1234)),
    ("4.3: a NON of class 7 is ignored", "50 e1 12 34", None),
    ("5.8: an unknown method is answered 4.05", "40 08 12 34 83 636d64".replace("83", "b3"), (ACK, "4.05", 0x1234)),
    ("5.2.1: a CON request is answered in its ACK", "40 02 12 34 b3 636d64 ff 31", (ACK, "2.04", 0x1234)),
    ("nothing at all", "", None),
]


@pytest.mark.parametrize("sentence, data, expected", REJECTION, ids=[row[0] for row in REJECTION])
def test_rejection(bench, sentence, data, expected):
    got = bench.octets(bytes.fromhex(data))
    assert [(r.type, r.code, r.mid) for r in got] == ([expected] if expected else [])


def test_a_non_request_is_answered_by_a_non_with_a_message_id_of_its_own(bench):
    (first,) = bench.send(NON, POST, 7, b"t", [(11, b"cmd")], b"1")
    (second,) = bench.send(NON, POST, 8, b"u", [(11, b"cmd")], b"1")
    assert (first.type, first.code, first.token, first.payload) == (NON, "2.04", b"t", b"1")
    assert second.mid == first.mid + 1 & 0xFFFF


def test_a_duplicate_of_a_con_gets_the_same_answer_and_nothing_is_done_twice(bench):
    message = (CON, POST, 7, b"tok", [(11, b"cmd")], b"on")
    (first,) = bench.send(*message)
    for _ in range(3):
        (again,) = bench.send(*message)
        assert repr(again) == repr(first)
    assert bench.calls == [b"on"]


def test_a_duplicate_of_a_non_is_ignored(bench):
    message = (NON, POST, 7, b"tok", [(11, b"cmd")], b"on")
    assert len(bench.send(*message)) == 1
    assert bench.send(*message) == []
    assert bench.calls == [b"on"]


@pytest.mark.parametrize("type, life", [(CON, EXCHANGE_LIFETIME_MS), (NON, NON_LIFETIME_MS)])
def test_a_message_id_is_new_again_after_its_lifetime(bench, type, life):
    message = (type, POST, 7, b"tok", [(11, b"cmd")], b"on")
    bench.send(*message)
    bench.net.run(life - 3000)
    bench.send(*message)
    assert len(bench.calls) == 1
    bench.net.run(3000)
    bench.send(*message)
    assert len(bench.calls) == 2


def test_the_same_message_id_from_another_address_is_another_message(bench):
    other = Raw(bench.net, "other")
    bench.send(CON, POST, 7, b"t", [(11, b"cmd")], b"1")
    other.send("device", CON, POST, 7, b"t", [(11, b"cmd")], b"2")
    assert bench.calls == [b"1", b"2"]


def test_a_get_is_not_remembered_it_does_nothing(bench):
    for _ in range(2):
        assert bench.send(CON, GET, 9, b"t", [(11, b"open")])[0].payload == b"hello"
    assert bench.ep._seen == []


def test_a_full_memory_does_not_forget_a_command_and_leaves_a_new_one_unanswered():
    bench = Bench(seen=4)
    for mid in range(4):
        assert bench.send(CON, POST, mid, b"t", [(11, b"cmd")], b"%d" % mid)
    assert bench.send(CON, POST, 4, b"t", [(11, b"cmd")], b"4") == []
    bench.send(CON, POST, 0, b"t", [(11, b"cmd")], b"0")
    assert bench.calls == [b"0", b"1", b"2", b"3"]
    bench.net.run(49_000)  # the first is 55 s old: its sender may still repeat it (MAX_TRANSMIT_SPAN)
    assert bench.send(CON, POST, 4, b"t", [(11, b"cmd")], b"4") == []
    bench.net.run(5_000)
    assert bench.send(CON, POST, 4, b"t", [(11, b"cmd")], b"4")
    bench.send(CON, POST, 1, b"t", [(11, b"cmd")], b"1")
    assert bench.calls == [b"0", b"1", b"2", b"3", b"4"], "only the oldest made room"


def test_the_blocks_of_a_long_upload_do_not_fill_the_memory():
    bench = Bench(seen=4)
    bench.ep.resource("image", lambda now, q: 0x5F if q.more else 0x44, sink=True)
    for num in range(50):
        value = num << 4 | (8 if num < 49 else 0)
        (answer,) = bench.send(CON, POST, num, b"t", [(11, b"image"), (27, value)], bytes(16))
    assert answer.code == "2.04" and len(bench.ep._seen) == 4


def test_a_failure_that_closes_the_link_leaves_nothing_to_send(bench):
    """gone() from within on_reply, while another peer's message is due as well."""
    heard = []

    def on_reply(now, code, *rest):
        heard.append(code)
        for name in ("nobody", "none"):
            bench.ep.gone(now, name)

    for peer in ("nobody", "none"):
        bench.ep.request(bench.net.ticks, peer, POST, "cmd", on_reply=on_reply)
    for x in bench.ep.exchanges:
        x.tries, x.due = 4, bench.net.ticks
    sent = len(bench.net.history)
    bench.ep.step(bench.net.ticks)
    assert bench.ep.exchanges == [] and bench.ep.client.requests == [] and len(bench.net.history) == sent
    assert heard == [0, 0]


def test_retransmission_doubles_a_timeout_of_two_to_three_seconds_four_times():
    firsts = set()
    for seed in range(40):
        net = Datagrams(seed)
        ep = endpoint(net, "device")
        replies = Replies()
        ep.request(net.ticks, "nobody", POST, "cmd", b"x", on_reply=replies)
        net.run(200_000)
        times = [row[0] for row in net.history]
        assert len(times) == 5 and len({row[3] for row in net.history}) == 1
        first = times[1] - times[0]
        assert 2000 <= first <= 3001
        for i in range(1, 4):
            assert abs((times[i + 1] - times[i]) - first * 2**i) <= 2 * 2**i
        assert replies.codes == ["0.00"] and ep.exchanges == [] and ep.client.requests == []
        firsts.add(first)
    assert len(firsts) > 30


def test_an_ack_stops_retransmission_and_the_response_comes_separately(bench):
    replies = bench.request(POST, "cmd", b"x")
    (request,) = bench.peer.got
    assert bench.send(ACK, 0, request.mid) == []
    bench.net.run(50_000)
    assert len(bench.peer.got) == 0 and replies.all == []
    answer = bench.send(CON, 0x44, 77, request.token, [], b"done")
    assert [(r.type, r.code, r.mid) for r in answer] == [(ACK, "0.00", 77)]
    assert replies.all == [("2.04", b"done", True)]
    # 4.2: its duplicate is acknowledged once more, though nobody waits for it
    answer = bench.send(CON, 0x44, 77, request.token, [], b"done")
    assert [(r.type, r.mid) for r in answer] == [(ACK, 77)] and len(replies.all) == 1


def test_a_separate_response_that_overtakes_the_ack_stands_for_it(bench):
    replies = bench.request(POST, "cmd", b"x")
    (request,) = bench.peer.got
    bench.send(NON, 0x44, 77, request.token)
    assert replies.codes == ["2.04"] and bench.ep.exchanges == []
    assert bench.send(ACK, 0, request.mid) == []


def test_an_acknowledged_request_without_a_response_fails(bench):
    replies = bench.request(POST, "cmd", b"x")
    bench.send(ACK, 0, bench.peer.got[0].mid)
    bench.net.run(MAX_TRANSMIT_WAIT_MS + 1)
    assert replies.codes == ["0.00"] and bench.ep.client.requests == []


@pytest.mark.parametrize("type", [ACK, RST])
def test_an_ack_or_reset_from_elsewhere_means_nothing(bench, type):
    replies = bench.request(POST, "cmd", b"x")
    Raw(bench.net, "stranger").send("device", type, 0, bench.peer.got[0].mid)
    assert len(bench.ep.exchanges) == 1 and replies.codes == []


def test_a_reset_request_fails_at_once(bench):
    replies = bench.request(POST, "cmd", b"x")
    bench.send(RST, 0, bench.peer.got[0].mid)
    assert replies.codes == ["0.00"] and bench.ep.exchanges == []


@pytest.mark.parametrize("change", ["peer", "mid", "token"])
def test_a_response_is_matched_by_address_message_id_and_token(bench, change):
    replies = bench.request(POST, "cmd", b"x")
    (request,) = bench.peer.got
    sender = Raw(bench.net, "stranger") if change == "peer" else bench.peer
    mid = request.mid + 1 if change == "mid" else request.mid
    token = b"wrong" if change == "token" else request.token
    sender.send("device", ACK, 0x44, mid, token, [], b"forged")
    # 5.3.2: in a piggybacked response message id and token must match; a token alone is a response as well
    assert replies.codes == (["2.04"] if change == "mid" else [])


def test_nstart_is_one_a_second_con_waits_for_the_first(bench):
    first, second = Replies(), Replies()
    for replies, body in ((first, b"1"), (second, b"2")):
        bench.ep.request(bench.net.ticks, "peer", POST, "cmd", body, on_reply=replies)
    other = Raw(bench.net, "other")
    bench.ep.request(bench.net.ticks, "other", POST, "cmd", b"3")
    bench.net.run(10)
    assert [r.payload for r in bench.peer.got] == [b"1"] and [r.payload for r in other.got] == [b"3"]
    bench.send(ACK, 0x44, bench.peer.got[0].mid, bench.peer.got[0].token)
    assert [r.payload for r in bench.peer.got] == [b"2"] and first.codes == ["2.04"]
    bench.net.run(MAX_TRANSMIT_WAIT_MS)
    assert second.codes == ["0.00"]


def test_a_con_that_fails_lets_the_next_one_go(bench):
    for body in (b"1", b"2"):
        bench.ep.request(bench.net.ticks, "peer", POST, "cmd", body)
    bench.net.run(MAX_TRANSMIT_WAIT_MS)
    assert {r.payload for r in bench.peer.got} == {b"1", b"2"}


def test_tables_are_bounded(bench):
    made = [bench.ep.request(bench.net.ticks, "peer", POST, "cmd", b"x") for _ in range(40)]
    assert sum(r is not None for r in made) == 8 and len(bench.ep.exchanges) == 8
    made = [bench.ep.request(bench.net.ticks, "peer", POST, "cmd", b"x", con=False) for _ in range(40)]
    assert len(bench.ep.client.requests) == 12


def test_a_non_request_that_waives_its_response_is_sent_and_forgotten(bench):
    assert bench.ep.request(bench.net.ticks, "peer", POST, "telemetry", b"x", con=False, no_response=26)
    bench.net.run(10)
    assert bench.peer.got[0].options[258] == [b"\x1a"] and bench.ep.client.requests == []


def test_a_con_request_that_waives_its_response_ends_with_the_ack(bench):
    replies = bench.request(POST, "alarm", b"x", no_response=26)
    bench.send(ACK, 0, bench.peer.got[0].mid)
    assert replies.codes == ["2.00"] and bench.ep.client.requests == []


def test_tokens_are_random_and_of_four_octets(bench):
    tokens = set()
    for _ in range(200):
        request = bench.ep.request(bench.net.ticks, "peer", POST, "x", con=False)
        tokens.add(request.token)
        request.cancel(bench.net.ticks)
    assert len(tokens) == 200 and {len(token) for token in tokens} == {4}


def test_message_ids_start_anywhere():
    starts = {endpoint(Datagrams(seed), "device").next_mid() for seed in range(50)}
    assert len(starts) > 45


def test_ping(bench):
    heard = []
    assert bench.ep.ping(bench.net.ticks, "peer", lambda now, there: heard.append(there))
    bench.net.run(10)
    (ping,) = bench.peer.got
    assert (ping.type, ping.code, ping.token) == (CON, "0.00", b"")
    bench.send(RST, 0, ping.mid)
    assert heard == [True]
    bench.ep.ping(bench.net.ticks, "peer", lambda now, there: heard.append(there))
    bench.net.run(MAX_TRANSMIT_WAIT_MS)
    assert heard == [True, False]


def test_the_end_of_a_connection_ends_its_requests_and_no_others(bench):
    mine, other = Replies(), Replies()
    bench.ep.request(bench.net.ticks, "peer", POST, "cmd", on_reply=mine)
    bench.ep.request(bench.net.ticks, "other", POST, "cmd", on_reply=other)
    bench.ep.gone(bench.net.ticks, "peer")
    assert mine.codes == ["0.00"] and other.codes == [] and len(bench.ep.exchanges) == 1


MULTICAST = [
    ("8.1: a NON GET of what is open is answered", (NON, GET, 1, b"t", [(11, b"open")]), ["2.05"]),
    ("8.2.1: discovery with a filter that matches", (NON, GET, 1, b"t", [(11, b".well-known"), (11, b"core"),
                                                                       (15, b"href=/op*")]), ["2.05"]),
    ("8.2.1: discovery with a filter that does not", (NON, GET, 1, b"t", [(11, b".well-known"), (11, b"core"),
                                                                        (15, b"rt=none")]), []),
    ("8.2: errors are not answered", (NON, GET, 1, b"t", [(11, b"nothing")]), []),
    ("8.1: a CON is not for a group", (CON, GET, 1, b"t", [(11, b"open")]), []),
    ("8.1: a ping is not for a group", (CON, 0, 1), []),
    ("8.1: what is malformed is not rejected", (CON, 0xE1, 1), []),
]


@pytest.mark.parametrize("sentence, message, codes", MULTICAST, ids=[row[0] for row in MULTICAST])
def test_multicast(bench, sentence, message, codes):
    ep = Bench(trust=False).ep
    net, peer = ep.out.network, Raw(ep.out.network, "peer2")
    data = make(*message)
    ep.received(net.ticks, "peer2", data, len(data), True)
    start = net.time_ms
    net.run(6000)
    assert [r.code for r in peer.got] == codes
    assert all(r.type == NON for r in peer.got) and all(start <= row[0] for row in net.history)


def test_multicast_answers_are_spread_over_the_leisure():
    times = set()
    for seed in range(30):
        net = Datagrams(seed)
        ep = endpoint(net, "device")
        ep.resource("open", text(b"x"), open=True)
        data = make(NON, GET, 1, b"t", [(11, b"open")])
        ep.received(net.ticks, "peer", data, len(data), True)
        for _ in range(9):  # and are bounded
            ep.received(net.ticks, "peer", data, len(data), True)
        net.run(5001)
        assert len(net.history) == 2
        times.add(net.history[0][0] // 500)
    assert len(times) > 5


def test_a_separate_response_is_a_con_of_its_own(bench):
    kept = []

    def slow(now, q):
        kept.append(q)
        return 0

    bench.ep.resource("slow", slow)
    (ack,) = bench.send(CON, POST, 5, b"tok", [(11, b"slow")])
    assert (ack.type, ack.code, ack.mid, ack.token) == (ACK, "0.00", 5, b"")
    (again,) = bench.send(CON, POST, 5, b"tok", [(11, b"slow")])
    assert again.type == ACK and len(kept) == 1
    bench.peer.got.clear()
    assert bench.ep.answer(bench.net.ticks, kept[0], 0x44, b"done")
    bench.net.run(10)
    (response,) = bench.peer.got
    assert (response.type, response.code, response.token, response.payload) == (CON, "2.04", b"tok", b"done")
    assert response.mid != 5
    bench.send(ACK, 0, response.mid)
    assert bench.ep.exchanges == []


def test_on_a_stream_there_are_no_types_and_no_message_ids():
    bench = Bench(reliable=True)
    (answer,) = bench.send(0, POST, 0, b"t", [(11, b"cmd")], b"1")
    assert (answer.type, answer.code, answer.mid) == (0, "2.04", 0)
    bench.send(0, POST, 0, b"t", [(11, b"cmd")], b"1")
    assert bench.calls == [b"1", b"1"]
    replies = bench.request(POST, "status", bytes(900))
    request = bench.peer.got[-1]
    assert (request.type, request.mid, len(request.payload)) == (0, 0, 900) and 27 not in request.options
    bench.net.run(60_000)
    assert bench.ep.exchanges == [] and replies.all == []
    bench.send(0, 0x44, 0, request.token)
    assert replies.codes == ["2.04"]
    assert bench.send(0, 0x44, 0, b"nobody") == [] and bench.send(0, 0, 0) == []
    for _ in range(40):  # nothing is doubled there, so nothing is remembered
        assert bench.send(0, POST, 0, b"t", [(11, b"cmd")], b"1")
    assert bench.ep._seen == []


def test_the_wrap_of_the_ticks_changes_nothing():
    net = Datagrams(1, start_ms=3000)
    ep = endpoint(net, "device")
    replies = Replies()
    ep.request(net.ticks, "nobody", POST, "cmd", on_reply=replies)
    net.run(MAX_TRANSMIT_WAIT_MS)
    assert len(net.history) == 5 and replies.codes == ["0.00"]
    assert Read(net.history[0][3]).code == "0.02"
