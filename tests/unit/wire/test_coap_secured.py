"""The endpoint under OSCORE (RFC 8613): who is proven, what an error without protection may do, new addresses, Echo."""

import pytest

from tests.unit.wire.coap_lab import ACK, CON, GET, POST, Raw, Read, Replies, echo, endpoint, make, pair, text


class Secured:
    """A client and a server with a context between them; /cmd at the server."""

    def __init__(self, **network):
        self.net, self.client, self.server = pair(secure=True, **network)
        self.calls = []
        self.replies = Replies()
        self.server.resource("cmd", echo(self.calls))

    def post(self, body=b"on", ms=1000, **more):
        self.client.request(self.net.ticks, "server", POST, "cmd", body, on_reply=self.replies, **more)
        self.net.run(ms)
        return self.replies.codes

    def sent(self, source):
        return [row[3] for row in self.net.history if row[1] == source]


@pytest.fixture
def secured():
    return Secured()


def test_a_request_and_its_response_show_nothing(secured):
    assert secured.post(b"secret body") == ["2.04"] and secured.calls == [b"secret body"]
    for data in secured.sent("client") + secured.sent("server"):
        assert b"secret" not in data and b"cmd" not in data
        assert Read(data).code in ("0.02", "2.04") and 9 in Read(data).options


def test_a_retransmission_from_a_new_address_is_carried_out_once_and_answered(secured):
    secured.net.loss = 1.0
    secured.post(ms=1)
    secured.net.loss = 0.0
    first = secured.sent("client")[0]
    secured.net.at(1, "client", "server", first)  # arrived, and the answer is lost with the old address
    secured.net.rebind(secured.client.port, "client behind a new port")
    secured.net.run(10_000)
    assert secured.calls == [b"on"] and secured.replies.all == [("2.04", b"on", True)]


def test_the_server_answers_from_a_new_address(secured):
    secured.net.rebind(secured.server.port, "elsewhere")
    secured.post(ms=1)
    secured.net.at(1, "client", "elsewhere", secured.sent("client")[0])
    secured.net.run(1000)
    assert secured.replies.codes == ["2.04"] and secured.client.exchanges == []


@pytest.mark.parametrize("code, heard", [(0x44, []), (0x45, []), (0x81, ["4.01"]), (0xA0, ["5.00"])])
def test_a_success_has_to_be_proven_and_an_error_ends_the_request(secured, code, heard):
    secured.net.loss = 1.0
    secured.post(ms=1)
    request = Read(secured.sent("client")[0])
    forged = make(ACK, code, request.mid, request.token, [], b"forged")
    secured.net.at(1, "server", "client", forged)
    secured.net.run(10)
    assert secured.replies.codes == heard


def test_an_observation_is_not_ended_by_an_error_without_protection(secured):
    secured.server.resource("state", text(b"x"), observable=True)
    watch = secured.client.request(secured.net.ticks, "server", GET, "state", observe=True, on_reply=secured.replies)
    secured.net.run(100)
    secured.net.at(1, "server", "client", make(CON, 0x84, 7, watch.token))
    secured.net.run(100)
    assert secured.replies.codes == ["2.05"] and watch._retry == 30_000


def test_a_forged_protected_response_does_not_end_the_retransmission(secured):
    secured.net.loss = 1.0
    secured.post(ms=1)
    request = Read(secured.sent("client")[0])
    secured.net.at(1, "server", "client", make(ACK, 0x44, request.mid, request.token, [(9, b"")], bytes(20)))
    secured.net.run(10)
    assert secured.replies.all == [] and len(secured.client.exchanges) == 1
    secured.net.loss = 0.0
    secured.net.run(10_000)
    assert secured.replies.codes == ["2.04"]


def test_a_replayed_request_is_refused_and_not_carried_out(secured):
    secured.post()
    request = bytearray(secured.sent("client")[0])
    request[3] ^= 0x55  # another message id: no duplicate
    eve = Raw(secured.net, "eve")
    eve.port.datagram("server", bytes(request), len(request))
    secured.net.run(1000)
    assert [r.code for r in eve.got] == ["4.01"] and secured.calls == [b"on"]


@pytest.mark.parametrize("kid, code", [(b"\x09\x00\x07", "4.01"), (b"\x09\x00\x01", "4.00"),
                                       (b"\xff", "4.02"), (b"", "4.02")])
def test_what_cannot_be_unprotected_is_answered_in_the_clear(secured, kid, code):
    eve = Raw(secured.net, "eve")
    (answer,) = eve.send("server", CON, POST, 1, b"tk", [(9, kid)], bytes(30))
    assert answer.code == code and 9 not in answer.options and secured.calls == []
    assert secured.server._seen == []


def test_after_a_restart_echo_proves_that_a_request_is_new(secured):
    secured.server.context.fresh = False
    assert secured.post() == ["2.04"] and secured.calls == [b"on"]
    assert len(secured.sent("client")) == 2
    assert secured.post(b"again") == ["2.04", "2.04"] and len(secured.sent("client")) == 3


def test_block_wise_and_echo_together(secured):
    secured.server.context.fresh = False
    assert secured.post(bytes(1000)) == ["2.04"] and secured.calls == [bytes(1000)]


def test_no_response_is_inside_and_kept(secured):
    secured.post(con=False, no_response=26)
    assert secured.calls == [b"on"] and secured.sent("server") == []


def test_an_observer_under_security_is_one_wherever_it_is(secured):
    secured.server.resource("state", text(b"x"), observable=True)
    watch = secured.client.request(secured.net.ticks, "server", GET, "state", observe=True, on_reply=secured.replies)
    secured.net.run(100)
    secured.net.rebind(secured.client.port, "new")
    watch.send(secured.net.ticks)
    secured.net.run(100)
    (observer,) = secured.server.server.observers.list
    assert observer.q.peer == "new"
    secured.server.notify(secured.net.ticks, "state")
    secured.net.run(100)
    assert secured.replies.codes == ["2.05"] * 3


def _short(net, server):
    """The server with buffers for short messages, as a session over datagrams has them."""
    return endpoint(net, "server", trust=False, security=server.security, context_for=server.context_for, sent=256)


def _sends(net, client, n):
    replies = Replies()
    client.request(net.ticks, "server", POST, "body", bytes(range(250)) * 5, n=n, on_reply=replies)
    net.run(60_000)
    return replies


@pytest.mark.parametrize("n", [1, 300, 560, 600, 640, 1000, 1024])
def test_a_long_message_is_taken_by_an_endpoint_with_short_buffers(n):
    net, client, server = pair(secure=True, config={"szx": 6})
    server = _short(net, server)
    calls = []
    server.resource("body", lambda now, q: calls.append(bytes(q.buf[q.at : q.at + q.n])) or 0x44)
    assert _sends(net, client, n).codes == ["2.04"]
    assert _sends(net, client, 1).codes == ["2.04"]
    assert calls == [(bytes(range(250)) * 5)[:n], b"\x00"]


def test_where_there_is_no_memory_for_a_long_message_nothing_of_it_is_done(monkeypatch):
    net, client, server = pair(secure=True, config={"szx": 6})
    server = _short(net, server)
    calls = []
    server.resource("body", lambda now, q: calls.append(q.n) or 0x44)

    def none(n):
        raise MemoryError

    monkeypatch.setattr("spot.wire.coap_endpoint.bytearray", none, raising=False)
    assert _sends(net, client, 1000).codes == ["5.03"] and calls == [] and server.log.counts["coap.memory"]
    monkeypatch.undo()
    assert _sends(net, client, 1000).codes == ["2.04"] and calls == [1000]
