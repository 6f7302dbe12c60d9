"""OSCORE against RFC 8613's vectors, its table of options, its errors, and against another implementation."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.store import Store
from spot.wire.context import Context
from spot.wire.oscore import OscoreError
from spot_sim.flash import MemoryFs

from .oscore_rig import SALT, SECRET, Aiocoap, CoapError, End, message, pair, parsed, shown

VECTORS = json.loads(Path(__file__).with_name("security.json").read_text())
CONTEXTS = {row["id"]: row for row in VECTORS["contexts"]}
GET, POST, FETCH = 1, 2, 5
OBSERVE, OSCORE, ECHO = 6, 9, 252


def _end(row, server=False):
    ids = bytes.fromhex(row["sid"]), bytes.fromhex(row["rid"])
    id_context = None if row["idctx"] is None else bytes.fromhex(row["idctx"])
    ids = ids[::-1] if server else ids
    return End(Context(bytes.fromhex(row["secret"]), bytes.fromhex(row["salt"]), *ids, id_context))


# --- appendix C ---

@pytest.mark.parametrize("row", [row for row in VECTORS["messages"] if row["dir"] == "req"], ids=lambda row: row["id"])
def test_requests_of_appendix_c(row):
    client, server = _end(CONTEXTS[row["ctx"]]), _end(CONTEXTS[row["ctx"]], True)
    for _ in range(int(row["piv"], 16)):
        client.context.take_piv()
    plain, wire = bytes.fromhex(row["unprotected"]), bytes.fromhex(row["protected"])
    assert client.request(plain)[0] == wire
    assert server.take(wire)[0] == plain


@pytest.mark.parametrize("row", [row for row in VECTORS["messages"] if row["dir"] == "resp"], ids=lambda row: row["id"])
def test_responses_of_appendix_c(row):
    client, server = _end(CONTEXTS["C.1.1"]), _end(CONTEXTS["C.1.1"], True)
    for _ in range(int(row["reqpiv"], 16)):
        client.context.take_piv()
    request = next(r for r in VECTORS["messages"] if r["ctx"] == "C.1.1")
    wire, at_client = client.request(bytes.fromhex(request["unprotected"]))
    at_server = server.take(wire)[1]
    plain = bytes.fromhex(row["unprotected"])
    assert server.respond(plain, at_server, row["piv"] is not None).hex() == row["protected"]
    assert client.response(bytes.fromhex(row["protected"]), at_client) == plain


# --- against aiocoap ---

OPTIONS = {  # number: (strategy of the value, may be repeated)
    1: (st.binary(max_size=8), True), 3: (st.just(b"host"), False), 4: (st.binary(min_size=1, max_size=8), False),
    7: (st.just(b"\x16\x34"), False), 11: (st.text("abc", max_size=20).map(str.encode), True),
    12: (st.just(b"\x3c"), False), 15: (st.text("ab=", max_size=16).map(str.encode), True),
    17: (st.just(b"\x3c"), False), 23: (st.just(b"\x1e"), False), 27: (st.just(b"\x0c"), False),
    39: (st.just(b"coap"), False), 60: (st.just(b"\x64"), False), 252: (st.binary(min_size=1, max_size=40), False),
    258: (st.just(b"\x1a"), False), 292: (st.binary(max_size=8), True),
    65000: (st.binary(max_size=300), True),
}
INNER = set(OPTIONS) - {3, 7, 39}


@st.composite
def options(draw):
    found = []
    for number in sorted(draw(st.sets(st.sampled_from(sorted(OPTIONS)), max_size=6))):
        value, repeats = OPTIONS[number]
        found += [(number, x) for x in draw(st.lists(value, min_size=1, max_size=3 if repeats else 1))]
    return found


IDS = st.sampled_from([(b"\x01", b"", None), (b"", b"\x01", b"\x01"), (b"\x0a\x0b\x0c", b"\x00", b"g" * 8),
                       (b"1234567", b"765432", None)])


@settings(deadline=None, max_examples=80)
@given(IDS, options(), st.binary(max_size=300), st.integers(0, 70000), st.booleans(), st.booleans())
def test_both_ways_with_another_implementation(ids, opts, payload, piv, own_piv, reverse):
    """Any request and response, theirs to ours and ours to theirs; nothing that may be hidden is seen outside."""
    a, b, id_context = ids
    request, reply = message(POST, opts, payload), message(0x45, [(12, b"\x3c")], payload, 2)
    theirs = Aiocoap(b, a, id_context)
    ours = End(Context(SECRET, SALT, a, b, id_context))
    theirs.sender_sequence_number = piv
    ours.context.seq, ours.context._limit = piv, piv + 9
    if reverse:
        wire, request_id = theirs.seal(request)
        got, binding = ours.take(wire)
        code, inside, text = shown(got)  # aiocoap keeps what names the server to itself
        assert (code, [o for o in inside if o[0] in INNER], text) == (POST, [o for o in opts if o[0] in INNER], payload)
        answer = ours.respond(reply, binding, own_piv)
        assert theirs.open(answer, request_id)[0] == shown(reply)
    else:
        wire, binding = ours.request(request)
        inside, request_id = theirs.open(wire)
        assert inside == (POST, [o for o in opts if o[0] in INNER], payload)
        answer, _ = theirs.seal(reply, request_id)
        assert shown(ours.response(answer, binding)) == shown(reply)
    for octets, code in ((wire, POST), (answer, 0x44)):
        got, outside, _ = shown(octets)
        assert got == code and {number for number, _ in outside} <= {OSCORE, 3, 7, 39}


@settings(deadline=None, max_examples=100)
@given(options(), st.binary(max_size=500), st.data())
def test_one_wrong_bit_in_what_is_protected_is_never_let_through(opts, payload, data):
    """Key id, kid context, number, ciphertext, tag of a request: an error, and no message."""
    client, server = pair(b"\x01")
    wire = bytearray(client.request(message(POST, opts, payload))[0])
    m = parsed(wire)
    i = m.find(OSCORE)
    places = [*range(m.ats[i], m.ats[i] + m.lens[i]), *range(m.payload_at, len(wire))]
    wire[data.draw(st.sampled_from(places))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(OscoreError) as caught:
        server.take(wire)
    assert caught.value.code in (0x80, 0x81, 0x82) and not caught.value.protected
    assert server.context.window.top == -1


# --- options: section 4.1 ---

def test_outer_options_that_a_proxy_may_have_put_there_are_discarded():
    """An outer Uri-Path, ETag, Max-Age, Observe, Block2 or No-Response means nothing; Uri-Host is passed on."""
    client, server = pair()
    code, outside, payload = shown(client.request(message(GET, [(11, b"status")]))[0])
    outside += [(3, b"h"), (4, b"t"), (6, b""), (11, b"cmd"), (14, b"\x00"), (15, b"q"), (23, b"\x0e"), (258, b"\x1a")]
    got, binding = server.take(message(code, sorted(outside), payload))
    assert shown(got) == (GET, [(3, b"h"), (11, b"status")], b"")
    assert not binding.observe


def test_no_response_is_inside_only():
    client, server = pair()
    wire = client.request(message(POST, [(11, b"telemetry"), (258, b"\x1a")], b"x", 1))[0]
    assert [number for number, _ in shown(wire)[1]] == [OSCORE]
    assert (258, b"\x1a") in shown(server.take(wire)[0])[1]


@pytest.mark.parametrize("option", [(35, b"coap://h/p?q"), (9, b"")], ids=["Proxy-Uri", "OSCORE in OSCORE"])
def test_what_cannot_be_protected_is_refused(option):
    client, _ = pair()
    with pytest.raises(OscoreError) as caught:
        client.request(message(POST, [option]))
    assert caught.value.code == 0x82


@pytest.mark.parametrize("n, fits", [(1150, True), (1180, False)])
def test_the_longest_message(n, fits):
    client, server = pair()
    plain = message(POST, [(11, b"interval")], bytes(n))
    if fits:
        assert server.take(client.request(plain)[0])[0] == plain
    else:
        with pytest.raises(OscoreError) as caught:
            client.request(plain)
        assert caught.value.code == 0x8D


def test_no_room_is_an_error_and_not_a_torn_message():
    client, server = pair()
    plain = message(POST, [(11, b"interval")], bytes(50))
    wire, _ = client.request(plain)
    for n in range(len(wire)):
        with pytest.raises(CoapError):
            client.oscore.protect_request(plain, len(plain), bytearray(n), client.context, client.oscore.binding())
    for n in range(len(plain)):
        with pytest.raises(CoapError):
            server.oscore.unprotect_request(parsed(wire), bytearray(n), server.oscore.binding())
        server.context.window.__init__()


# --- errors: section 8.2 ---

def _value(octets, value):
    code, outside, payload = shown(octets)
    return message(code, [(OSCORE, value)], payload)


ERRORS = {
    "no key id": (lambda w: _value(w, b"\x01\x00"), 0x82),
    "no number": (lambda w: _value(w, b"\x08\x01"), 0x82),
    "an empty option": (lambda w: _value(w, b""), 0x82),
    "a zero octet": (lambda w: _value(w, b"\x00"), 0x82),
    "reserved bits": (lambda w: _value(w, b"\x29\x00\x01"), 0x82),
    "a number of 6 octets": (lambda w: _value(w, b"\x0e\x01\x02\x03\x04\x05\x06\x01"), 0x82),
    "a number with a leading zero": (lambda w: _value(w, b"\x0a\x00\x00\x01"), 0x82),
    "a number that is cut": (lambda w: _value(w, b"\x0b\x01"), 0x82),
    "a number beyond all of ours": (lambda w: _value(w, b"\x0c\x40\x00\x00\x00\x01"), 0x82),
    "a number of 5 octets": (lambda w: _value(w, b"\x0d\x01\x00\x00\x00\x00\x01"), 0x82),
    "a kid context that is cut": (lambda w: _value(w, b"\x19\x00\x09\x01"), 0x82),
    "a kid context without a length": (lambda w: _value(w, b"\x11\x00"), 0x82),
    "octets left over": (lambda w: _value(w, b"\x01\x00\x01"), 0x82),
    "the option twice": (lambda w: message(2, [(9, b"\x09\x00\x01")] * 2, shown(w)[2]), 0x82),
    "no payload": (lambda w: message(2, shown(w)[1]), 0x82),
    "a tag and nothing else": (lambda w: message(2, shown(w)[1], shown(w)[2][:8]), 0x82),
    "a truncated tag": (lambda w: w[:-1], 0x80),
    "a wrong tag": (lambda w: w[:-1] + bytes([w[-1] ^ 1]), 0x80),
    "another number": (lambda w: _value(w, b"\x09\x05\x01"), 0x80),
    "an unknown key id": (lambda w: _value(w, b"\x09\x00\x07"), 0x81),
    "a longer key id": (lambda w: _value(w, b"\x09\x00\x01\x01"), 0x81),
    "an unknown kid context": (lambda w: _value(w, b"\x19\x00\x01\x05\x01"), 0x81),
    "a kid context of the wrong keys": (lambda w: _value(w, b"\x19\x00\x09\x48abcdefgh\x01"), 0x81),
    "a kid context that is no byte string": (lambda w: _value(w, b"\x19\x00\x09\x49abcdefgh\x01"), 0x81),
    "a huge ciphertext": (lambda w: message(2, shown(w)[1], bytes(1300)), 0x8D),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_requests(name):
    """Each is refused with the RFC's code, unprotected, and the request itself is let through afterwards."""
    spoil, code = ERRORS[name]
    client, server = pair()
    plain = message(POST, [(11, b"cmd")], b"body")
    wire, _ = client.request(plain)
    with pytest.raises(OscoreError) as caught:
        server.take(spoil(wire))
    assert caught.value.code == code and not caught.value.protected and caught.value.echo is None
    assert server.take(wire)[0] == plain


def test_a_replay_is_refused_and_said():
    client, server = pair()
    wire, _ = client.request(message(POST, [(11, b"cmd")], b"body"))
    server.take(wire)
    for _ in range(2):
        with pytest.raises(OscoreError) as caught:
            server.take(wire)
        assert (caught.value.code, caught.value.text) == (0x81, "Replay detected")
    assert server.log.counts["oscore.replay"] == 2


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 80), max_size=120))
def test_out_of_order_within_the_window_and_each_once(order):
    client, server = pair()
    wires = [client.request(message(POST, (), bytes([i])))[0] for i in range(81)]
    taken, top = set(), -1
    for i in order:
        wanted = i not in taken and i > top - 32
        try:
            server.take(wires[i])
            assert wanted
            taken.add(i)
            top = max(top, i)
        except OscoreError:
            assert not wanted


@pytest.mark.parametrize("inner", [b"\x00", b"\x45", b"\x02\xff", b"\x02\xd0", b"\x02\x90"],
                         ids=["empty", "a response", "an empty payload", "a cut option", "OSCORE inside"])
def test_a_wrong_message_inside_is_answered_under_protection(inner):
    """Only the peer can have made it: 4.00, protected."""
    client, server = pair()
    binding = client.oscore.binding()
    nonce, aad = bytearray(13), bytearray(40)
    n = client.context.bind(nonce, aad, True, client.context.take_piv())
    buf = bytearray(inner + bytes(8))
    client.context.ccm_out.seal(nonce, aad, n, buf, 0, len(inner))
    with pytest.raises(OscoreError) as caught:
        server.take(message(POST, [(9, b"\x09\x00\x01")], bytes(buf)))
    assert caught.value.code == 0x80 and caught.value.protected
    binding.clear(client.context, 0)
    binding.aad_n = n
    binding.aad[:] = aad
    answer = server.respond(message(0x80, (), b"", 2), server.last)
    assert shown(client.response(answer, binding))[0] == 0x80


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=20), st.binary(max_size=40), st.lists(st.sampled_from([3, 6, 7, 11, 39, 300]), max_size=3),
       st.booleans(), st.booleans())
def test_hostile_octets(value, payload, others, fits, response):
    """Any OSCORE option and payload, also ones with the right key id: an OscoreError, and nothing has changed."""
    client, server = pair(b"\x01")
    if fits:
        value = b"\x19\x00\x01\x01" + b"\x01" + value[:2]
    octets = message(0x45 if response else 2, sorted([(OSCORE, value)] + [(n, b"x") for n in others]), payload)
    here = client.request(message(GET))[1]
    with pytest.raises(OscoreError):
        client.response(octets, here) if response else server.take(octets)
    assert server.context.window.top == -1 and here.number == -1 and not here.answered


# --- responses ---

def _asked(client, server, options=(), code=GET):
    wire, at_client = client.request(message(code, options))
    return at_client, server.take(wire)[1]


def test_a_response_belongs_to_its_request():
    """That of another request, though it is of the same peer, does not verify: code 0, which is never answered."""
    client, server = pair()
    one, one_there = _asked(client, server)
    two, two_there = _asked(client, server)
    reply = message(0x45, (), b"one", 2)
    answers = [server.respond(reply, one_there), server.respond(reply, two_there, True)]
    for answer, binding in ((answers[0], two), (answers[1], one)):
        with pytest.raises(OscoreError) as caught:
            client.response(answer, binding)
        assert caught.value.code == 0
    assert client.response(answers[0], one) == reply and client.response(answers[1], two) == reply


def test_a_second_response_gets_a_number_of_its_own_and_the_first_nonce_is_taken_once():
    client, server = pair()
    here, there = _asked(client, server)
    first, second = (server.respond(message(0x45, (), b"x", 2), there) for _ in range(2))
    assert shown(first)[1] == [(9, b"")] and shown(second)[1] == [(9, b"\x01\x00")]
    client.response(first, here)
    with pytest.raises(OscoreError):
        client.response(first, here)


@pytest.mark.parametrize("answer", [message(0x81, (), b"not found", 2), message(0x45, (), b"forged", 2)])
def test_an_unprotected_response_is_not_believed(answer):
    """Its code is told, since an error of OSCORE itself comes like that; anybody can have sent it."""
    client, server = pair()
    here, _ = _asked(client, server)
    with pytest.raises(OscoreError) as caught:
        client.response(answer, here)
    assert caught.value.text == "unprotected"


@pytest.mark.parametrize("value", [b"\x08\x07", b"\x00", b"\x20", b"\x19\x00\x05\x44abcd\x01"])
def test_bad_options_in_a_response(value):
    client, server = pair()
    here, there = _asked(client, server)
    reply = message(0x45, (), b"x", 2)
    answer = server.respond(reply, there)
    with pytest.raises(OscoreError):
        client.response(_value(answer, value), here)
    assert client.response(answer, here) == reply


# --- Observe: sections 4.1.3.5, 7.4.1 ---

def _observed():
    client, server = pair()
    return client, server, *_asked(client, server, [(OBSERVE, b""), (11, b"status")])


def test_observe_stands_on_both_sides_and_its_codes_are_fetch_and_content():
    client, server = pair()
    wire, here = client.request(message(GET, [(OBSERVE, b"\x01"), (11, b"status")]))
    assert shown(wire)[0] == FETCH and shown(wire)[1][0] == (OBSERVE, b"\x01")
    got, there = server.take(wire)
    assert shown(got) == (GET, [(OBSERVE, b"\x01"), (11, b"status")], b"") and there.observe
    answer = server.respond(message(0x45, [(OBSERVE, b"\x07\x09")], b"x"), there)
    code, outside, _ = shown(answer)
    assert code == 0x45 and outside[0] == (OBSERVE, b"\x07\x09") and outside[1][1][0] == 1, "with a number of its own"
    assert shown(client.response(answer, here))[:2] == (0x45, [(OBSERVE, b"\x01")])


def test_a_registration_that_a_proxy_has_stripped_is_one_still():
    client, server = pair()
    wire, _ = client.request(message(GET, [(OBSERVE, b""), (11, b"status")]))
    code, outside, payload = shown(wire)
    got, binding = server.take(message(POST, outside[1:], payload))
    assert (OBSERVE, b"") in shown(got)[1] and binding.observe


def test_notifications_come_in_the_order_of_their_numbers():
    """Older and doubled ones are not let through; what is let through counts up, whatever the server says outside."""
    client, server, here, there = _observed()
    wires = [server.respond(message(0x45, [(OBSERVE, b"\x05")], bytes([i])), there) for i in range(6)]
    seen = []
    for i in (0, 2, 1, 2, 5, 3, 5, 4):
        try:
            code, options, payload = shown(client.response(wires[i], here))
            seen.append((payload[0], int.from_bytes(options[0][1], "big")))
        except OscoreError as fault:
            assert fault.code == 0
    assert seen == [(0, 1), (2, 2), (5, 3)] and here.number == 5


def test_one_notification_without_a_number_and_only_as_the_first():
    """A server may leave it out of the first; again it would be a replay."""
    client, server = pair()
    theirs = Aiocoap(b"", b"\x01")
    wire, here = client.request(message(GET, [(OBSERVE, b""), (11, b"status")]))
    _, request_id = theirs.open(wire)
    answer, _ = theirs.seal(message(0x45, [(OBSERVE, b"\x05")], b"x"), request_id)
    assert shown(answer)[1] == [(OSCORE, b"")]
    assert shown(client.response(answer, here))[1][0][0] == OBSERVE
    with pytest.raises(OscoreError):
        client.response(answer, here)


def test_a_notification_to_a_request_that_did_not_ask_for_it_is_refused():
    client, server = pair()
    here, there = _asked(client, server)
    with pytest.raises(OscoreError):
        client.response(server.respond(message(0x45, [(OBSERVE, b"\x05")], b"x"), there), here)


def test_a_new_registration_counts_on():
    """Across registrations as well: an endpoint that compares Observe values finds each newer than the last."""
    client, server, here, there = _observed()
    values = []
    for _ in range(3):
        for _ in range(2):
            got = client.response(server.respond(message(0x45, [(OBSERVE, b"\x05")], b"x"), there), here)
            values.append(int.from_bytes(shown(got)[1][0][1], "big"))
        here, there = _asked(client, server, [(OBSERVE, b""), (11, b"status")])
    assert values == sorted(set(values))


# --- inner and outer blocks: section 4.1.3.4 ---

def test_inner_blocks_are_verified_one_by_one():
    client, server = pair()
    for number in range(3):
        plain = message(POST, [(11, b"interval"), (27, bytes([number << 4 | 0x0C])), (60, b"\x02\x00")], bytes(64))
        wire, here = client.request(plain)
        assert [n for n, _ in shown(wire)[1]] == [OSCORE]
        got, there = server.take(wire)
        assert got == plain
        reply = message(0x5F, [(27, bytes([number << 4 | 0x0C]))], b"", 2)
        assert client.response(server.respond(reply, there), here) == reply


def test_outer_blocks_put_together_are_the_message():
    """A proxy cut it; the endpoint has put the payload together, and the Block option that stayed means nothing."""
    client, server = pair()
    plain = message(POST, [(11, b"interval")], bytes(300))
    code, outside, payload = shown(client.request(plain)[0])
    whole = b"".join(payload[at:at + 64] for at in range(0, len(payload), 64))
    assert server.take(message(code, [*outside, (27, b"\x42")], whole))[0] == plain


# --- several contexts: rotation ---

def test_two_generations_side_by_side():
    """The old keys and the new ones under one key id; a request says which it is by its kid context."""
    old, new = (Context(SECRET, SALT, b"\x01", b"", g) for g in (None, b"\x01"))
    server = End(Context(SECRET, SALT, b"", b"\x01"), Context(SECRET, SALT, b"", b"\x01", b"\x01"))
    client = End(old, new)
    for context, there in ((old, 0), (new, 1)):
        wire, here = client.request(message(POST, (), b"x"), context)
        _, binding = server.take(wire)
        assert binding.context is server.oscore.contexts[there]
        assert shown(client.response(server.respond(message(0x44, (), b"", 2), binding), here))[0] == 0x44
    server.oscore.remove(server.oscore.contexts[0])
    with pytest.raises(OscoreError):
        server.take(client.request(message(POST, (), b"x"), old)[0])
    server.take(client.request(message(POST, (), b"x"), new)[0])


# --- a restart: appendix B.1 ---

def _restarted():
    """A server that has its keys from before, and a client that was talking to it."""
    fs = MemoryFs()
    client, _ = pair()
    server = End(Context(SECRET, SALT, b"", b"\x01", None, Store(fs), "oscore"))
    server.context.take_piv()
    before = [client.request(message(POST, [(11, b"cmd")], bytes([i])))[0] for i in range(3)]
    for wire in before:
        server.take(wire)
    return client, End(Context(SECRET, SALT, b"", b"\x01", None, Store(fs), "oscore", known=True)), before


def test_after_a_restart_nothing_is_taken_before_echo_has_proven_it_new():
    client, server, before = _restarted()
    for wire in before:
        with pytest.raises(OscoreError) as caught:
            server.take(wire)
        fault = caught.value
        assert fault.code == 0x81 and fault.protected and len(fault.echo) == 8
    wire, here = client.request(message(POST, [(11, b"cmd")], b"new"))
    with pytest.raises(OscoreError) as caught:
        server.take(wire)
    echo = caught.value.echo
    answer = server.respond(message(0x81, [(ECHO, echo)], b"", 2), server.last)
    assert shown(answer)[1][0][1][0] & 7, "under a number of its own: the request's nonce may have been used"
    assert shown(client.response(answer, here)) == (0x81, [(ECHO, echo)], b"")
    got, there = server.take(client.request(message(POST, [(11, b"cmd"), (ECHO, echo)], b"new"))[0])
    assert shown(got)[2] == b"new" and server.context.fresh
    assert shown(server.respond(message(0x44, (), b"", 2), there))[1] == [(9, b"")]
    for old in [*before, wire]:
        with pytest.raises(OscoreError) as caught:
            server.take(old)
        assert caught.value.text == "Replay detected"
    server.take(client.request(message(POST, [(11, b"cmd")], b"next"))[0])


@pytest.mark.parametrize("echo", [b"", b"12345678", b"\0" * 8, b"\1" * 7])
def test_a_wrong_echo_proves_nothing(echo):
    client, server, _ = _restarted()
    for _ in range(2):
        with pytest.raises(OscoreError) as caught:
            server.take(client.request(message(POST, [(ECHO, echo)] if echo else (), b"x"))[0])
        assert caught.value.echo is not None and not server.context.fresh


def test_the_echo_of_one_start_is_none_of_the_next():
    client, server, _ = _restarted()
    values = set()
    for salt in range(3):
        server = End(Context(SECRET, SALT, b"", b"\x01", None, server.context._store, "oscore", known=True),
                     random=lambda n, salt=salt: bytes([salt]) * n)
        with pytest.raises(OscoreError) as caught:
            server.take(client.request(message(POST, (), b"x"))[0])
        values.add(caught.value.echo)
    assert len(values) == 3


def test_where_the_store_refuses_nothing_is_sent():
    fs = MemoryFs(capacity=0)
    client = End(Context(SECRET, SALT, b"\x01", b"", None, Store(fs), "oscore"))
    with pytest.raises(OscoreError) as caught:
        client.request(message(POST, (), b"x"))
    assert caught.value.code == 0xA3 and client.log.counts["oscore.store"] == 1
    fs.capacity = None
    client.request(message(POST, (), b"x"))
