"""Observe against RFC 7641: both sides."""

import pytest

from spot_sim.datagrams import Datagrams
from tests.unit.wire.coap_lab import ACK, CON, GET, NON, RST, Raw, Replies, endpoint, pair, text

STATE = [(11, b"state")]


class Served:
    """An endpoint with one observable resource, and a raw observer."""

    def __init__(self, reliable=False, **config):
        self.net = Datagrams(1)
        self.ep = endpoint(self.net, "device", True, reliable, **config)
        self.state = [b"0"]
        self.ep.resource("state", text(lambda: self.state[0], ct=0), observable=True)
        self.peer = Raw(self.net, "peer")

    def register(self, token=b"tk", mid=1, observe=0):
        (answer,) = self.peer.send("device", CON, GET, mid, token, [(6, observe), *STATE])
        return answer

    def change(self, value, ms=10):
        self.peer.got.clear()
        self.state[0] = value
        self.ep.notify(self.net.ticks, "state")
        self.net.run(ms)
        return self.peer.got[:]

    @property
    def observers(self):
        return self.ep.server.observers.list


@pytest.fixture
def served():
    return Served()


def test_3_1_a_registration_is_answered_with_observe(served):
    answer = served.register()
    assert (answer.code, answer.payload) == ("2.05", b"0") and 6 in answer.options


def test_3_2_a_notification_has_the_token_and_a_rising_number(served):
    last = served.register().uint(6)
    for i in range(5):
        (told,) = served.change(b"%d" % i)
        assert (told.type, told.code, told.token, told.payload) == (NON, "2.05", b"tk", b"%d" % i)
        assert told.uint(6) > last
        last = told.uint(6)


def test_3_6_reset_ends_an_observation(served):
    served.register()
    (told,) = served.change(b"1")
    served.peer.send("device", RST, 0, told.mid)
    assert served.observers == [] and served.change(b"2") == []


def test_3_6_observe_1_ends_an_observation(served):
    served.register()
    assert 6 not in served.register(mid=2, observe=1).options
    assert served.observers == []


def test_3_6_observe_1_from_another_endpoint_ends_nothing(served):
    served.register()
    Raw(served.net, "other").send("device", CON, GET, 1, b"tk", [(6, 1), *STATE])
    assert len(served.observers) == 1


def test_4_1_registering_again_takes_the_place_of_the_first(served):
    served.register()
    served.register(mid=2)
    assert len(served.observers) == 1 and len(served.change(b"1")) == 1


def test_4_1_no_room_is_an_answer_without_observe():
    served = Served(observers=2)
    for i in range(3):
        peer = Raw(served.net, i)
        (answer,) = peer.send("device", CON, GET, 1, b"tk", [(6, 0), *STATE])
        assert (6 in answer.options) == (i < 2) and answer.code == "2.05"


def test_4_1_when_full_one_that_lost_its_memory_takes_its_own_place():
    served = Served(observers=1)
    served.register(b"old")
    assert 6 in served.register(b"new", 2).options
    assert [o.q.token for o in served.observers] == [b"new"]


def test_4_1_what_is_not_observable_ignores_it(served):
    served.ep.resource("plain", text(b"x"))
    (answer,) = served.peer.send("device", CON, GET, 1, b"tk", [(6, 0), (11, b"plain")])
    assert answer.code == "2.05" and answer.options == {12: [b"\x3c"]} and served.observers == []


def test_4_2_an_error_ends_the_observation(served):
    served.register()
    served.ep.resource("state", text(b"", code=0x84), observable=True)
    (told,) = served.change(b"1")
    assert told.code == "4.04" and 6 not in told.options and served.observers == []


def test_4_5_every_five_minutes_a_notification_is_confirmable(served):
    served.register()
    assert served.change(b"1")[0].type == NON
    served.net.run(300_000)
    (told,) = served.change(b"2")
    assert told.type == CON
    served.peer.send("device", ACK, 0, told.mid)
    assert served.change(b"3")[0].type == NON


def test_4_5_1_an_observer_that_does_not_answer_is_forgotten(served):
    served.register()
    served.net.run(300_000)
    served.change(b"1", 100_000)
    assert served.observers == [] and served.ep.exchanges == [] and len(served.peer.got) == 5


def test_4_5_2_while_one_is_on_the_way_the_latest_state_waits(served):
    served.register()
    served.net.run(300_000)
    (told,) = served.change(b"1")
    assert served.change(b"2") == [] and served.change(b"3") == []
    (next_one,) = served.peer.send("device", ACK, 0, told.mid)
    assert next_one.payload == b"3"


def test_4_5_1_reset_of_a_confirmable_notification(served):
    served.register()
    served.net.run(300_000)
    (told,) = served.change(b"1")
    served.peer.send("device", RST, 0, told.mid)
    assert served.observers == [] and served.ep.exchanges == []


def test_an_observer_that_leaves_holds_up_nothing_that_waits_behind_its_notification(served):
    served.register()
    served.net.run(300_000)
    (told,) = served.change(b"1")
    replies = Replies()
    served.ep.request(served.net.ticks, "peer", GET, "x", on_reply=replies)
    served.register(mid=2, observe=1)
    served.change(b"2")
    assert served.observers == []
    answers = served.peer.send("device", ACK, 0, told.mid)
    assert [r.code for r in answers] == ["0.01"]


def test_a_lost_connection_takes_its_observers():
    served = Served(reliable=True)
    (answer,) = served.peer.send("device", 0, GET, 0, b"tk", [(6, 0), *STATE])
    assert 6 in answer.options
    (told,) = served.change(b"1")
    assert (told.type, told.mid) == (0, 0)
    served.ep.gone(served.net.ticks, "peer")
    assert served.observers == []


class Observing:
    """An endpoint that observes /state at a raw server."""

    def __init__(self, answered=True):
        self.net = Datagrams(1)
        self.ep = endpoint(self.net, "device")
        self.peer = Raw(self.net, "peer")
        self.replies = Replies()
        self.request = self.ep.request(self.net.ticks, "peer", GET, "state", observe=True, on_reply=self.replies)
        self.net.run(10)
        if answered:
            self.answer([(6, 10)], b"0")
            self.replies.all.clear()

    def answer(self, options=(), payload=b"", code=0x45):
        request = self.peer.got[-1]
        self.peer.send("device", ACK, code, request.mid, request.token, options, payload)

    def tell(self, number, payload=b"x", type=NON, mid=[100], **more):  # noqa: B006 - counts on
        mid[0] += 1
        options = [(6, number), *more.get("options", ())]
        return self.peer.send("device", type, 0x45, mid[0], self.request._watch, options, payload)

    @property
    def payloads(self):
        return [row[1] for row in self.replies.all]


@pytest.fixture
def observing():
    return Observing()


def test_3_1_the_request_says_observe_0():
    peer = Observing(False).peer
    assert peer.got[0].options[6] == [b""] and peer.got[0].code == "0.01"


ORDER = [  # the number last heard, the one that comes, seconds between, whether it is newer
    (10, 11, 0, True), (10, 10, 0, False), (10, 9, 0, False), (10, 10 + 2**23 - 1, 0, True), (10, 10 + 2**23, 0, False),
    (2**24 - 1, 0, 0, True), (0, 2**24 - 1, 0, False), (10, 9, 127, False), (10, 9, 130, True), (10, 10, 130, True),
]


@pytest.mark.parametrize("first, second, seconds, newer", ORDER)
def test_3_4_reordering(observing, first, second, seconds, newer):
    observing.request.sequence = -1
    observing.tell(first, b"first", options=[(14, 1000)])
    observing.net.run(1000 * seconds)
    observing.tell(second, b"second", options=[(14, 1000)])
    assert observing.payloads == [b"first", b"second"][: 2 if newer else 1]


def test_a_confirmable_notification_is_acknowledged_also_when_it_is_old(observing):
    assert [r.type for r in observing.tell(11, type=CON)] == [ACK]
    assert [r.type for r in observing.tell(5, type=CON)] == [ACK]
    assert observing.payloads == [b"x"]


def test_3_3_1_stale_after_max_age_it_registers_again_with_the_same_token(observing):
    observing.tell(11, options=[(14, 100)])
    observing.net.run(99_000)
    observing.peer.got.clear()
    observing.net.run(20_000)
    request = observing.peer.got[0]
    assert (request.code, request.token, request.options[6]) == ("0.01", observing.request._watch, [b""])
    observing.answer([(6, 3)], b"again")  # a server that has started anew counts anew
    assert observing.payloads == [b"x", b"again"]


def test_a_registration_that_fails_is_tried_again_later_and_less_often(observing):
    observing.net.run(200_000)
    assert observing.replies.codes == ["0.00"]
    times = []
    for _ in range(7):
        observing.peer.got.clear()
        start = observing.net.time_ms
        observing.net.run(3_000_000, until=lambda: observing.peer.got)
        times.append((observing.net.time_ms - start) // 1000)
        observing.net.run(100_000, until=lambda: not observing.request._waiting)
    assert times == sorted(times) and times[0] < 61 and 960 <= times[-1] < 980
    observing.net.run(3_000_000, until=lambda: observing.request._waiting)
    observing.net.run(10)
    observing.answer([(6, 3)], b"back")
    assert observing.payloads[-1] == b"back" and observing.request._retry == 30_000


def test_4_2_an_error_is_reported_and_it_registers_again(observing):
    observing.peer.send("device", NON, 0x84, 900, observing.request._watch, [], b"gone")
    assert observing.replies.all == [("4.04", b"gone", True)]
    observing.peer.got.clear()
    observing.net.run(45_000)
    assert observing.peer.got[0].options[6] == [b""]


def test_a_server_that_does_not_observe_is_asked_again():
    observing = Observing(False)
    observing.answer([(14, 30)], b"polled")
    observing.net.run(50_000)
    assert observing.payloads == [b"polled"] and len(observing.peer.got) >= 1


def test_an_etag_saves_the_payload_of_a_registration_that_brings_nothing_new(observing):
    observing.tell(11, b"x", options=[(4, b"E"), (14, 10)])
    observing.peer.got.clear()
    observing.net.run(26_000)
    assert observing.peer.got[0].options[4] == [b"E"]
    observing.answer([(4, b"E"), (6, 12)], b"", 0x43)
    assert observing.replies.all[-1] == ("2.03", b"", False)


def test_cancel_tells_the_server_and_what_comes_after_is_reset(observing):
    watch = observing.request._watch
    observing.peer.got.clear()
    observing.request.cancel(observing.net.ticks)
    observing.net.run(10)
    assert observing.peer.got[0].options[6] == [b"\1"] and observing.peer.got[0].token == watch
    assert [r.type for r in observing.tell(20, type=CON)] == [RST]
    assert observing.replies.all == [] and observing.ep.client.requests == []


def test_both_ends_secured_keep_their_order_and_their_blocks():
    net, client, server = pair(secure=True)
    state = [bytes(600)]
    server.resource("state", text(lambda: state[0]), observable=True)
    replies = Replies()
    client.request(net.ticks, "server", GET, "state", observe=True, on_reply=replies)
    net.run(1000)
    for i in range(3):
        state[0] = bytes([i]) * (100 + 250 * i)
        server.notify(net.ticks, "state")
        net.run(1000)
    assert [row[1] for row in replies.all] == [bytes(600), bytes(100), b"\1" * 350, b"\2" * 600]
    told = [row for row in net.history if row[1] == "server"]
    # a notification repeated by someone on the path is old
    for row in told:
        net.at(1, "server", "client", row[3])
    net.run(1000)
    assert len(replies.all) == 4
