"""New keys after a loss of sequence numbers: RFC 8613 appendix B.2, in both roles, with messages lost and replayed."""

import pytest

from spot.store import Store
from spot.wire.context import Context
from spot.wire.oscore import OscoreError
from spot_sim.flash import MemoryFs

from .oscore_rig import SALT, SECRET, End, message, pair, shown

POST, ECHO = 2, 252
REQUEST = message(POST, [(11, b"link")], b"up")
REPLY = message(0x44, (), b"", 2)


def lost(fs=None, id_context=None, a=b"\x01", b=b""):
    """A client whose store has lost the numbers of keys that were used."""
    return End(Context(SECRET, SALT, a, b, id_context, Store(fs or MemoryFs()), "oscore", known=True))


def refused(server, wire):
    with pytest.raises(OscoreError) as caught:
        server.take(wire)
    return caught.value


def run(client, server):
    """The whole procedure; octets of the four messages."""
    first, here = client.request(REQUEST)
    fault = refused(server, first)
    assert fault.code == 0x81 and fault.protected and fault.echo is None
    second = server.respond(message(0x81, (), b"", 2), server.last)
    code, options, _ = shown(client.response(second, here))
    assert code == 0x81 and options[0][0] == ECHO, "handed on as what the endpoint repeats a request on"
    third, here = client.request(message(POST, [(11, b"link"), *options], b"up"))
    got, there = server.take(third)
    assert shown(got)[0] == POST and shown(got)[2] == b"up"
    fourth = server.respond(REPLY, there)
    assert client.response(fourth, here) == REPLY
    return first, second, third, fourth


@pytest.mark.parametrize("id_context", [None, b"\x01"], ids=["generation 0", "generation 1"])
def test_the_four_messages(id_context):
    """kid contexts R1, R2, R2 || R3 as byte strings, then none; the keys are others than before."""
    client = lost(id_context=id_context)
    _, server = pair(id_context)
    keys = client.context.key(10, b"Key", 16, b"")
    wires = run(client, server)
    hints = []
    for wire in wires:
        value = dict(shown(wire)[1])[9]
        at = 1 + (value[0] & 7) if value else 0
        hints.append(value[at + 1:at + 1 + value[at]] if value and value[0] & 16 else None)
    assert [h and h[:2].hex() for h in hints] == ["48" + hints[0][1:2].hex(), "50" + hints[1][1:2].hex(), "5818", None]
    assert hints[2][2:18] == hints[1][1:] and not client.context.lost
    assert client.context.key(10, b"Key", 16, b"") not in (keys, bytes(16))
    assert client.context.id_context == server.context.id_context == hints[2][2:]
    wire, here = client.request(REQUEST)
    assert dict(shown(wire)[1])[9] == b"\x09\x02\x01", "the peer knows: no kid context any more"
    assert shown(client.response(server.respond(REPLY, server.take(wire)[1]), here))[0] == 0x44
    wire, here = server.request(REQUEST)  # and the other way round, under the same keys
    assert client.take(wire)[0] == REQUEST


def test_what_was_sent_under_the_old_keys_is_not_taken_any_more():
    old, server = pair()
    wires = [old.request(REQUEST)[0] for _ in range(3)]
    server.take(wires[0])
    run(lost(), server)
    for wire in wires:
        assert refused(server, wire).code in (0x80, 0x81)


def test_replays_of_every_message_change_nothing():
    """Of a run that is complete, to the server: first messages get another 4.01 under keys that nobody else has, the
    third is a replay. The client and the server go on under the keys that they have."""
    client = lost()
    _, server = pair()
    first, second, third, fourth = run(client, server)
    mark = server.context.id_context
    for _ in range(2):
        fault = refused(server, first)
        assert (fault.code, fault.protected, fault.echo) == (0x81, True, None)
        assert shown(server.respond(message(0x81, (), b"", 2), server.last))[2] != shown(second)[2]
        assert refused(server, third).text == "Replay detected"
    wire, here = client.request(REQUEST)
    for old in (second, fourth):
        with pytest.raises(OscoreError):
            client.response(old, here)
    assert server.context.id_context == client.context.id_context == mark
    assert client.response(server.respond(REPLY, server.take(wire)[1]), here) == REPLY


def test_a_third_message_of_an_earlier_run_begins_no_run():
    """After a second run the third message of the first has an R2 that is forgotten: it is not carried out."""
    _, server = pair()
    third = run(lost(), server)[2]
    run(lost(), server)
    mark = server.context.id_context
    fault = refused(server, third)
    assert fault.code == 0x81 and fault.protected
    assert server.context.id_context == mark


def test_several_runs_at_once():
    """The first request doubled and answered twice: whichever answer comes first is gone by, and one context stands."""
    client = lost()
    _, server = pair()
    requests = [client.request(REQUEST) for _ in range(3)]
    answers = []
    for wire, _ in requests:
        refused(server, wire)
        answers.append(server.respond(message(0x81, (), b"", 2), server.last))
    assert shown(client.response(answers[1], requests[1][1]))[0] == 0x81
    for i in (0, 2):
        with pytest.raises(OscoreError):
            client.response(answers[i], requests[i][1])
    wire, here = client.request(REQUEST)
    assert client.response(server.respond(REPLY, server.take(wire)[1]), here) == REPLY


@pytest.mark.parametrize("gone", range(4))
def test_any_message_may_be_lost(gone):
    """The request is made again until it is answered, which takes a few rounds at most."""
    client = lost()
    _, server = pair()
    count = 0

    def through():
        nonlocal count
        count += 1
        return count - 1 != gone

    for _ in range(5):
        wire, here = client.request(REQUEST)
        if not through():
            continue
        try:
            answer = server.respond(REPLY, server.take(wire)[1])
        except OscoreError as fault:
            answer = server.respond(message(fault.code, (), b"", 2), server.last)
        if not through():
            continue
        if shown(client.response(answer, here))[0] == 0x44:
            break
    else:
        raise AssertionError("no answer")
    assert client.context.id_context == server.context.id_context and not client.context.lost


def test_the_new_keys_survive_a_restart_of_either_side():
    """The client shows its ID context again until it is answered; the server asks for Echo."""
    client_fs, server_fs = MemoryFs(), MemoryFs()

    def server_end():
        return End(Context(SECRET, SALT, b"", b"\x01", None, Store(server_fs), "oscore", known=bool(server_fs.files)))

    client, server = lost(client_fs), server_end()
    run(client, server)
    client, server = lost(client_fs), server_end()
    wire, here = client.request(REQUEST)
    assert dict(shown(wire)[1])[9][0] & 16
    echo = refused(server, wire).echo
    answer = server.respond(message(0x81, [(ECHO, echo)], b"", 2), server.last)
    assert shown(client.response(answer, here))[0] == 0x81
    wire, here = client.request(message(POST, [(11, b"link"), (ECHO, echo)], b"up"))
    assert not dict(shown(wire)[1])[9][0] & 16
    assert client.response(server.respond(REPLY, server.take(wire)[1]), here) == REPLY


def test_a_server_that_has_lost_the_new_keys_gets_others():
    """It knows the provisioned ones only: the client, told so, says its ID context, and the procedure runs."""
    client = lost()
    _, server = pair()
    run(client, server)
    server = End(Context(SECRET, SALT, b"", b"\x01"))
    wire, here = client.request(REQUEST)
    fault = refused(server, wire)
    assert not fault.protected
    with pytest.raises(OscoreError):
        client.response(message(fault.code, (), b"Decryption failed", 2), here)
    run(client, server)


def test_the_emd_that_has_lost_its_numbers_begins():
    """Either end may be the client of the procedure: here the one with the empty id, towards the device."""
    device = End(Context(SECRET, SALT, b"\x01", b"", None, Store(MemoryFs()), "oscore"))
    emd = lost(a=b"", b=b"\x01")
    run(emd, device)
    assert device.take(emd.request(REQUEST)[0])[0] == REQUEST


def test_nothing_is_renewed_where_the_store_refuses():
    """The server cannot keep the new keys: 5.03, and it comes again when it can."""
    fs = MemoryFs()
    client = lost()
    server = End(Context(SECRET, SALT, b"", b"\x01", None, Store(fs), "oscore"))
    first, here = client.request(REQUEST)
    refused(server, first)
    answer = server.respond(message(0x81, (), b"", 2), server.last)
    client.response(answer, here)
    fs.capacity = 0
    wire, _ = client.request(REQUEST)
    assert refused(server, wire).code == 0xA3
    with pytest.raises(OscoreError):
        server.request(REQUEST)
    fs.capacity = None
    wire, here = client.request(REQUEST)
    assert client.response(server.respond(REPLY, server.take(wire)[1]), here) == REPLY


def test_a_second_message_with_another_code_is_not_taken():
    """2.04 under the second keys: a server that does not keep to the procedure."""
    client = lost()
    _, server = pair()
    wire, here = client.request(REQUEST)
    refused(server, wire)
    with pytest.raises(OscoreError):
        client.response(server.respond(REPLY, server.last), here)
    assert client.context.lost


def test_an_answer_that_is_late_does_not_use_a_number_that_comes_again():
    """A request of before the loss is answered when the keys are new already. The client, which counts from 0 again,
    uses the same number: the two answers must not share a nonce."""
    old, server = pair()
    late = server.take(old.request(REQUEST)[0])[1]
    client = lost()
    run(client, server)
    answer = server.respond(REPLY, late)
    assert dict(shown(answer)[1])[9][0] & 7, "under a number of its own"
    wire, here = client.request(REQUEST)
    assert dict(shown(server.respond(REPLY, server.take(wire)[1]))[1])[9] == b""


def test_a_flood_of_strange_id_contexts_costs_an_eighth_and_stops_nothing(monkeypatch):
    """Each would have the chip derive keys for 8 ms. The peer's own run comes through within eight attempts."""
    _, server = pair()
    derived = []
    twin = Context.twin
    monkeypatch.setattr(Context, "twin", lambda self, id_context: derived.append(id_context) or twin(self, id_context))
    for i in range(800):
        refused(server, message(POST, [(9, b"\x19\x00\x09\x48" + i.to_bytes(8, "big") + b"\x01")], bytes(20)))
    assert len(derived) <= 8 + 800 // 8
    client = lost()
    for _ in range(8):
        wire, here = client.request(REQUEST)
        if refused(server, wire).protected:
            break
    else:
        raise AssertionError("stopped")
    second = server.respond(message(0x81, (), b"", 2), server.last)
    client.response(second, here)
    for _ in range(8):
        wire, here = client.request(REQUEST)
        try:
            answer = server.respond(REPLY, server.take(wire)[1])
            break
        except OscoreError as fault:
            assert not fault.protected
    assert client.response(answer, here) == REPLY
    run(lost(), server)
