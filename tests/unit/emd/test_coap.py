"""The EMD over CoAP: what devices, strangers and attackers get, on loopback ports, against aiocoap with OSCORE."""

import contextlib
import logging
import socket
from types import SimpleNamespace

import aiocoap
import pytest
from aiocoap import error, oscore
from aiocoap.numbers import codes
from aiocoap.optiontypes import OpaqueOption

from spot_host.emd.coap import _ToNotes, why
from spot_host.emd.coap_oscore import STRIDE
from spot_host.emd.notes import Notes
from spot_host.profile import definition as d
from tests.unit.emd.coap_rig import BODY, EUIS, Rig, pairing

ONE, TWO = EUIS[:2]
COMMAND = bytes((0x86, d.message("command").code, 1, 2, 3, 4))


@pytest.fixture
def rig():
    """rig(**options): a CoapLink and its devices; closed after the test."""
    made = []

    def make(**options):
        made.append(Rig(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def commands(device):
    return [body for path, body in device.got if path == ("cmd",)]


# --- channels

@pytest.mark.parametrize("scheme", ["coap", "coap+tcp"])
@pytest.mark.parametrize("size", [4, 256, 257, 700, d.MAX_BODY], ids=lambda n: f"{n} octets")
def test_a_body_arrives_whole_and_is_answered_when_it_is_taken(rig, scheme, size):
    r = rig()
    device = r.device(1, scheme)
    body = bytes(range(256)) * 4
    assert device.post("interval", body[:size]).code == codes.CHANGED
    assert [(a.device, a.channel, a.body) for a in r.taken] == [(ONE, "interval", body[:size])]
    assert r.link.arrived(ONE) == 1 and r.link.way(ONE) == f"{scheme}+oscore"


def test_a_refused_body_is_answered_with_its_reason(rig):
    r = rig(refuse=lambda a: "telemetry: field 3 is missing")
    answer = r.device(1).post("telemetry")
    assert (answer.code, answer.payload) == (codes.BAD_REQUEST, b"telemetry: field 3 is missing")


def test_telemetry_without_an_answer_arrives(rig):
    r = rig()
    device = r.device(1)
    device.fire("telemetry")
    assert r.link.await_arrival(ONE, 1, 10)
    assert device.post("status").code == codes.CHANGED  # and nothing that came back confused its client


def _tampered(device, r):
    def spoil(message):
        message.payload = message.payload[:-1] + bytes((message.payload[-1] ^ 1,))
    return _protected(device, r, spoil)


def _truncated(device, r):
    def spoil(message):
        message.payload = message.payload[:5]
    return _protected(device, r, spoil)


def _no_option(device, r):
    def spoil(message):
        message.opt.oscore = b"\xff\x01"
    return _protected(device, r, spoil)


def _half_an_option(device, r):
    def spoil(message):
        message.opt.oscore = b"\x10"
    return _protected(device, r, spoil)


def _get_outside(device, r):
    def spoil(message):
        message.code = codes.GET
    return _protected(device, r, spoil)


def _proxy(device, r):
    def spoil(message):
        message.opt.proxy_scheme = "http"
    return _protected(device, r, spoil)


def _protected(device, r, spoil, twice=False):
    async def go():
        message = await device.message(codes.POST, "/register", BODY)
        protected, _ = device.context.protect(message)
        protected.remote = message.remote.address
        spoil(protected)
        if twice:
            first = protected.copy()
            first.remote = protected.remote
            await device._aiocoap.request(first, handle_blockwise=False).response
        return await device._aiocoap.request(protected, handle_blockwise=False).response
    return r.loop.do(go())


def _replay(device, r):
    return _protected(device, r, lambda message: None, twice=True)


def _unknown_critical(device, r):
    async def go():
        message = await device.message(codes.POST, "/register", BODY)
        message.opt.add_option(OpaqueOption(2049, b"x"))
        return await device._aiocoap.request(message, handle_blockwise=False).response
    return r.loop.do(go())


def _block(number, more, size=256):
    def ask(device, r):
        async def go():
            message = await device.message(codes.POST, "/interval", bytes(size))
            message.opt.block1 = (number, more, 4)
            return await device._aiocoap.request(message, handle_blockwise=False).response
        return r.loop.do(go())
    return ask


UNSECURED = {"secure": False}
BAD = [  # what, the device's options, how it is asked, the answer, the note about it, of whom
    ("a key id that nobody has", {"n": 9}, lambda x, r: x.post("register"), "4.01", "coap_unknown_key", None),
    ("the right id and another secret", {"secret": b"x" * 16}, lambda x, r: x.post("register"),
     "4.00", "coap_decryption", ONE),
    ("a generation that was never given", {"generation": 7}, lambda x, r: x.post("register"),
     "4.01", "coap_unknown_key", None),
    ("a request that came before", {}, _replay, "4.01", "coap_replay", ONE),
    ("a tag with one bit wrong", {}, _tampered, "4.00", "coap_decryption", ONE),
    ("a truncated tag", {}, _truncated, "4.00", "coap_decryption", ONE),
    ("an OSCORE option of reserved bits", {}, _no_option, "4.02", "coap_malformed", None),
    ("an OSCORE option that ends early", {}, _half_an_option, "4.02", "coap_malformed", None),
    ("OSCORE in a GET", {}, _get_outside, "4.05", "coap_malformed", None),
    ("no security at all", UNSECURED, lambda x, r: x.post("register"), "4.01", "coap_unauthenticated", None),
    ("a stranger who says who he is", UNSECURED, lambda x, r: x.post("register", query=(f"ep={ONE}",)),
     "4.01", "coap_unauthenticated", None),
    ("a stranger who observes", UNSECURED, lambda x, r: x.get("/group/1/price", observe=0),
     "4.01", "coap_unauthenticated", None),
    ("a stranger's directory entry", UNSECURED, lambda x, r: x.post("rd", query=(f"ep={ONE}",)),
     "4.01", "coap_unauthenticated", None),
    ("another device's name", {}, lambda x, r: x.post("register", query=(f"ep={TWO}",)),
     "4.03", "coap_foreign_identity", ONE),
    ("a name that is none", {}, lambda x, r: x.post("register", query=("ep=me",)), "4.00", None, None),
    ("no such channel", {}, lambda x, r: x.post("telemetri"), "4.04", None, None),
    ("the way down", {}, lambda x, r: x.post("cmd"), "4.04", None, None),
    ("reading a channel", {}, lambda x, r: x.get("/register"), "4.05", None, None),
    ("no body", {}, lambda x, r: x.post("register", b""), "4.00", None, None),
    ("a body that is too long", {"scheme": "coap+tcp"}, lambda x, r: x.post("register", bytes(1025)),
     "4.13", None, None),
    ("a block that is too far", {}, _block(4, True), "4.13", None, None),
    ("a block out of order", {}, _block(1, True), "4.08", None, None),
    ("a block that is not full", {}, _block(0, True, 100), "4.00", None, None),
    ("an unknown critical option", {}, _unknown_critical, "4.02", None, None),
    ("a group's channel that is none", {}, lambda x, r: x.get("/group/1/telemetry"), "4.04", None, None),
    ("writing to a group", {}, lambda x, r: x.post("group/1/price"), "4.05", None, None),
    ("being a proxy", {}, _proxy, "5.05", None, None),
    ("a short lease in the directory", {}, lambda x, r: x.post("rd", b"</cmd>", query=(f"ep={ONE}", "lt=1")),
     "4.00", None, None),
    ("another's directory entry", {}, lambda x, r: x.post("rd", b"</cmd>", query=(f"ep={TWO}",)),
     "4.03", "coap_foreign_identity", ONE),
]


@pytest.mark.parametrize("what, options, ask, code, event, whose", BAD, ids=[row[0] for row in BAD])
def test_what_is_wrong_is_told_and_changes_nothing(rig, what, options, ask, code, event, whose):
    r = rig()
    device = r.device(**options)
    assert ask(device, r).code.dotted == code
    assert [a for a in r.taken if what != "a request that came before"] == []
    assert r.events() == ([(whose, event)] if event else [])
    assert r.device(2).post("status").code == codes.CHANGED  # another device has noticed nothing


def test_what_happens_a_thousand_times_is_one_note_and_no_memory(rig):
    r = rig()
    good = r.device(1)
    assert good.post("register").code == codes.CHANGED
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        for i in range(3000):
            mid = i.to_bytes(2, "big")
            body = {0: b"\x40\x02" + mid + b"\xb8register", 1: b"\x40\x02" + mid + b"\x92\x09\x55", 2: b"\xff" * 7,
                    3: b"\x50\x01" + mid + b"\x60", 4: b"\x40\x02" + mid + b"\xb2\xff\xff"}[i % 5]  # fmt: skip
            flood.sendto(body, ("127.0.0.1", r.port))
            if i % 100 == 99:
                assert good.post("telemetry").code == codes.CHANGED
    r.wait(lambda: r.link.notes.counts.get("coap_unauthenticated", 0) > 100, "the flood")
    assert len(r.events()) == len(set(r.events())) <= 5 and (None, "coap_internal") not in r.events()
    manager = r.link._udp
    assert len(manager._recent_messages) <= 3000 and len(manager._answers) <= 40
    assert not manager._backlogs and not r.link._front._parts and r.link.observers() == 0


# --- to the device

def test_commands_arrive_in_order_and_heartbeats_wait_for_nobody(rig):
    r = rig()
    device = r.device(1)
    device.post("register")
    for n in range(20):
        r.link.send(ONE, "cmd", COMMAND + bytes((n,)))
    heartbeat = bytes((0x85, next(m.code for m in d.MESSAGES if m.name == "heartbeat"), 1))
    r.link.send(ONE, "cmd", heartbeat)
    r.wait(lambda: r.link.delivered(ONE) == 20 and len(device.got) == 21, "the commands")
    assert [b for b in commands(device) if b != heartbeat] == [COMMAND + bytes((n,)) for n in range(20)]
    assert r.link.sent(ONE) == 21


@pytest.mark.parametrize("scheme", ["coap", "coap+tcp"])
def test_a_long_body_goes_down_in_blocks(rig, scheme):
    r = rig()
    device = r.device(1, scheme)
    device.post("register")
    blocks = []

    async def take(pipe):
        inner, binding = device.context.unprotect(pipe.request)
        blocks.append(inner)
        answer = aiocoap.Message(code=codes.CONTINUE if inner.opt.block1 and inner.opt.block1.more else codes.CHANGED)
        answer.opt.block1 = inner.opt.block1
        pipe.add_response(device.context.protect(answer, binding)[0], is_last=True)

    device._aiocoap.serversite.render_to_pipe = take
    body = COMMAND + bytes(700)
    r.link.send(ONE, "cmd", body)
    r.wait(lambda: r.link.delivered(ONE) == 1, "the body")
    assert b"".join(block.payload for block in blocks) == body
    assert len(blocks) == (3 if scheme == "coap" else 1)


def test_a_device_is_reached_where_it_spoke_last(rig):
    r = rig()
    old = r.device(1)
    old.post("register")
    new = r.device(1, following=100)
    new.post("status")
    r.link.send(ONE, "cmd", COMMAND)
    r.wait(lambda: commands(new), "the command")
    assert commands(old) == []


def test_an_unauthenticated_sender_moves_nobody(rig):
    r = rig()
    device = r.device(1)
    device.post("register")
    assert r.device(1, secret=b"y" * 16).post("register").code == codes.BAD_REQUEST
    assert r.device(1, secure=False).post("register", query=(f"ep={ONE}",)).code == codes.UNAUTHORIZED
    r.link.send(ONE, "cmd", COMMAND)
    r.wait(lambda: commands(device), "the command")


def test_a_command_on_its_way_follows_the_device_to_its_new_address(rig):
    r = rig()
    old = r.device(1)
    old.post("register")
    r.loop.do(old.close())  # its port is closed: nothing answers there
    r.link.send(ONE, "cmd", COMMAND)
    r.link.send(ONE, "cmd", COMMAND + b"2")
    new = r.device(1, following=100)
    new.post("status")
    r.link.send(ONE, "cmd", COMMAND + b"3")
    r.wait(lambda: commands(new) and commands(new)[-1] == COMMAND + b"3", "the commands")
    assert len(commands(new)) == len(set(commands(new)))


def test_what_a_device_does_not_take_is_noted_once_and_the_next_goes_out(rig):
    r = rig()
    device = r.device(1)
    device.post("register")
    device.answer_code, device.answer_payload = codes.BAD_REQUEST, b"no such type"
    for _ in range(3):
        r.link.send(ONE, "cmd", COMMAND)
    r.wait(lambda: len(commands(device)) == 3, "the commands")
    device.answer_code = codes.CHANGED
    r.link.send(ONE, "cmd", COMMAND)
    r.wait(lambda: r.link.delivered(ONE) == 1, "the one that is taken")
    assert r.events() == [(ONE, "coap_refused")]


def test_nobody_known_is_nowhere(rig):
    r = rig()
    assert not r.link.send(ONE, "cmd", COMMAND) and r.link.dropped == 1


def test_a_tcp_device_that_goes_is_gone(rig):
    r = rig()
    device = r.device(1, "coap+tcp")
    device.post("register")
    r.loop.do(device.close())
    r.wait(lambda: [a.channel for a in r.taken] == ["register", "link"], "the word that it went")
    assert r.link.way(ONE) is None and not r.link.send(ONE, "cmd", COMMAND)


# --- groups

PRICE = bytes.fromhex("8707") + bytes(60)


@pytest.mark.parametrize("scheme", ["coap", "coap+tcp"])
def test_a_group_is_observed_from_before_its_first_body(rig, scheme):
    r = rig()
    device, got = r.device(1, scheme), []

    async def observe():
        message = await device.message(codes.GET, "/group/1/price", observe=0)
        request = device._aiocoap.request(message)
        got.append((await request.response).payload)
        async for notification in request.observation:
            got.append(notification.payload)
            if len(got) == 4:
                return

    import asyncio

    task = asyncio.run_coroutine_threadsafe(observe(), r.loop.loop)
    r.wait(lambda: got == [b""], "the first answer")
    for n in range(3):
        r.link.publish("1", "price", PRICE + bytes((n,)))
        r.wait(lambda n=n: len(got) == n + 2, "a notification")
    task.result(5)
    assert got[1:] == [PRICE + bytes((n,)) for n in range(3)]
    other = r.device(2).get("/group/1/price")
    assert (other.code, other.payload) == (codes.CONTENT, PRICE + b"\2")
    assert r.device(2, following=100).get("/group/1/price", etags=[other.opt.etag]).code == codes.VALID


def test_a_long_body_is_read_in_blocks(rig):
    r = rig()
    body = bytes(range(250)) * 4
    r.link.publish("1", "signed", body)
    answer = r.device(1).get("/group/1/signed")
    assert answer.payload == body and answer.opt.block2 is None or answer.payload == body


def test_an_observation_that_is_made_anew_replaces_the_one_before(rig):
    r = rig()
    device = r.device(1)
    for _ in range(5):
        assert device.get("/group/1/price", observe=0).opt.observe is not None
    assert r.link.observers() == 1
    for n in range(40):  # and one device does not hold more than it needs
        device.get(f"/group/{n}/price", observe=0)
    assert r.link.observers() <= 16
    r.link.publish("1", "price", PRICE)
    r.loop.do(device.close())  # nobody acknowledges any more
    r.wait(lambda: len(r.link._front._observers) <= 16, "no more than what is held")


# --- restart

def pivs(rig_, device):
    """Numbers of the EMD's own requests and responses as they reach the device."""
    seen = []
    unprotect = device.context.unprotect

    def spy(message, request_id=None):
        said = oscore.verify_start(message)
        if oscore.COSE_PIV in said:
            seen.append(int.from_bytes(said[oscore.COSE_PIV], "big"))
        return unprotect(message, request_id)

    device.context.unprotect = spy
    return seen


@pytest.mark.parametrize("orderly", [True, False], ids=["after an orderly stop", "after a crash"])
def test_no_sequence_number_is_used_twice_and_no_request_is_taken_twice(rig, orderly):
    first = rig()
    device = first.device(1)
    used = pivs(first, device)
    device.post("register")
    for n in range(STRIDE + 3):
        first.link.send(ONE, "cmd", COMMAND)
        first.wait(lambda n=n: first.link.delivered(ONE) == n + 1, "a command")
    if orderly:
        first.link.stop()
    keys = type(first.keys)()
    keys._records = {name: dict(record) for name, record in first.keys._records.items()}
    second = rig(keys=keys)
    before = list(used)
    replay = second.device(1, following=0)  # a request from before: its number was used
    answer = second.loop.do(replay.asked(codes.POST, "/register", BODY))
    assert answer.code == codes.UNAUTHORIZED if orderly else answer.code == codes.CHANGED
    assert second.device(1, following=500).post("status").code == codes.CHANGED
    moved = second.device(1, following=600)
    after = pivs(second, moved)
    moved.post("status")
    second.link.send(ONE, "cmd", COMMAND)
    second.wait(lambda: after, "a command")
    assert min(after) > max(before) and len(set(before)) == len(before)


def test_a_device_is_reached_after_a_restart_before_it_speaks(rig):
    first = rig()
    device = first.device(1)
    device.post("register")
    first.link.stop()
    second = rig(keys=first.keys)
    assert second.link.way(ONE) == "coap+oscore"
    second.link.send(ONE, "cmd", COMMAND)
    second.wait(lambda: commands(device), "the command")


def test_a_full_disk_stops_what_would_repeat_a_number(rig):
    import sqlite3

    r = rig()
    device = r.device(1)
    device.post("register")
    used = pivs(r, device)

    def full(records):
        raise sqlite3.OperationalError("database or disk is full")

    put, r.keys.put = r.keys.put, full
    for _ in range(STRIDE + 5):
        r.link.send(ONE, "cmd", COMMAND)
    r.wait(lambda: (ONE, "coap_undelivered") in r.events() or r.link.dropped, "the refusal")
    r.keys.put = put
    r.link.send(ONE, "cmd", COMMAND + b"!")
    r.wait(lambda: commands(device) and commands(device)[-1] == COMMAND + b"!", "the next")
    assert len(set(used)) == len(used)


# --- keys

def test_a_secret_past_its_time_is_good_only_when_it_was_used(rig):
    now = [1000]
    rings = {ONE: [pairing(1, until=2000)], TWO: [pairing(2, until=2000)]}
    r = rig(rings=rings, clock=lambda: now[0])
    used, unused = r.device(1), r.device(2)
    assert used.post("register").code == codes.CHANGED
    now[0] = 2001
    assert used.post("status").code == codes.CHANGED
    assert unused.post("register").code == codes.UNAUTHORIZED
    assert r.events() == [(TWO, "pairing_expired")]


def test_a_rotation_has_no_gap(rig):
    r = rig(count=1)
    old, new = r.device(1), r.device(1, generation=1)
    assert old.post("register").code == codes.CHANGED
    r.keyrings.set({ONE: [pairing(1), pairing(1, 1)]})
    assert r.keyrings.rings[ONE].waiting == pairing(1, 1)
    assert old.post("status").code == codes.CHANGED
    r.link.send(ONE, "cmd", COMMAND)
    r.wait(lambda: commands(old), "a command under the old key")
    r.keyrings.offered(ONE, 1)  # the device has it: the EMD shows that it has, too
    r.wait(lambda: r.link._devices[ONE].remote.context.pairing.generation == 1, "the new key")
    assert old.post("status").code == codes.CHANGED  # not yet seen: still good
    assert new.post("status").code == codes.CHANGED
    assert r.log == [("key_rotated", ONE, "generation 1 is in use, older ones are refused")]
    assert old.post("status").code == codes.UNAUTHORIZED
    r.link.send(ONE, "cmd", COMMAND)
    r.wait(lambda: commands(new), "a command under the new key")


def test_each_rotation_and_revocation_is_told_and_a_cause_that_goes_on_is_not():
    notes = Notes(lambda: 0.0)
    for generation in (1, 2):
        notes.add("key_rotated", ONE, f"generation {generation} is in use")
        notes.add("coap_replay", ONE, f"number {generation}")
    assert [detail for _, _, detail in notes.take()] == ["generation 1 is in use", "number 1", "generation 2 is in use"]


def test_failures_are_told_in_words():
    refused = error.NetworkError()
    refused.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert why(refused) == "connection refused"
    assert why(error.ConRetransmitsExceeded()) == why(TimeoutError()) == "no answer"
    assert why(error.ResolutionError("nobody has this name")) == "nobody has this name"
    assert why(error.MessageError()) == "reset by the other end"


def test_complaints_of_the_library_are_told_with_what_they_are_about():
    notes = Notes()
    log = logging.Logger("a log")
    log.addHandler(_ToNotes(notes))
    log.warning("Aborting connection: %s", "revoked\x1b[2J")
    assert notes.take() == [(None, "coap_library", "Aborting connection: revoked?[2J")]


def test_a_revoked_device_is_forgotten(rig):
    r = rig()
    device = r.device(1)
    device.post("register")
    device.post("rd", b"</cmd>", query=(f"ep={ONE}",), content_format=40)
    device.get("/group/1/price", observe=0)
    r.keyrings.set({TWO: [pairing(2)]})
    assert device.post("status").code == codes.UNAUTHORIZED
    r.wait(lambda: not r.link.observers() and r.link.way(ONE) is None, "the end of what it had")
    assert r.link.directory().result(5) == []
    r.wait(lambda: [a.channel for a in r.taken] == ["register", "link"], "the last will")
    assert not [name for name in r.keys.names("") if ONE in name]
    r.keyrings.set({TWO: [pairing(2)], ONE: [pairing(1, secret=b"n" * 16)]})
    assert device.post("status").code == codes.BAD_REQUEST
    assert r.device(1, secret=b"n" * 16).post("register").code == codes.CHANGED


# --- the directory

def test_the_directory_is_read_by_anyone_at_home_and_written_by_devices(rig):
    r = rig()
    for n in (1, 2):
        answer = r.device(n).post(
            "rd", b'</cmd>;rt="spot.cmd",</status>;obs;rt="spot.status"', query=(f"ep={EUIS[n - 1]}", "lt=600")
        )
        assert answer.code == codes.CREATED and answer.opt.location_path[0] == "reg"
    anyone = r.device(9, secure=False)
    endpoints = anyone.get("/rd-lookup/ep").payload.decode()
    assert endpoints.count('ep="02') == 2 and 'rt="core.rd-ep"' in endpoints
    found = anyone.get("/rd-lookup/res", query=(f"ep={TWO}", "rt=spot.cmd")).payload.decode()
    assert found.count("/cmd>") == 1 and "/status>" not in found and found.startswith("<coap://127.0.0.1:")


def test_a_list_that_is_longer_than_a_block_is_read_by_anyone(rig):
    r = rig(count=30)
    for n in range(1, 31):
        r.device(n).post("rd", b"</cmd>,</status>,</telemetry>", query=(f"ep={EUIS[n - 1]}",))
    answer = r.device(9, secure=False).get("/rd-lookup/res")
    assert answer.payload.count(b"/telemetry>") == 30


def test_a_registration_is_renewed_and_taken_back_by_its_own_device(rig):
    r = rig()
    device, other = r.device(1), r.device(2)
    where = device.post("rd", b"</cmd>", query=(f"ep={ONE}",)).opt.location_path
    path = "/".join(where)
    assert device.post(path, b"").code == codes.CHANGED
    assert device.post(path, b"", query=(f"ep={ONE}", "lt=900")).code == codes.CHANGED
    assert r.link.directory().result(5)[0]["lt"] == 900
    assert device.post(path, b"", query=("lt=1",)).code == codes.BAD_REQUEST
    assert device.post(path, b"", query=("base=coap://elsewhere",)).code == codes.BAD_REQUEST
    assert other.post(path, b"").code == codes.FORBIDDEN
    assert other.request(codes.DELETE, "/" + path).code == codes.FORBIDDEN
    assert device.request(codes.DELETE, "/" + path).code == codes.DELETED
    assert device.post(path, b"").code == codes.NOT_FOUND


def test_the_end_of_a_lease_is_the_last_will(rig):
    r = rig()
    device = r.device(1)
    device.post("rd", b"</cmd>", query=(f"ep={ONE}", "lt=60"))

    async def lapse():  # an hour later, as the loop's clock has it
        (registration,) = r.link._front.directory.get_endpoints()
        registration._lapse()

    import asyncio

    asyncio.run_coroutine_threadsafe(lapse(), r.link._loop).result(5)
    r.wait(lambda: [(a.device, a.channel) for a in r.taken] == [(ONE, "link")], "the word that it is lost")
    assert r.link.directory().result(5) == []


LINKS = b'</cmd>;rt="spot.cmd",</status>;obs;rt="spot.status"'


def _restarted(rig, first, **options):
    first.link.stop()
    return rig(keys=first.keys, **options)


def test_the_directory_is_kept_over_a_restart_with_its_places_and_leases(rig):
    first = rig(count=4)
    devices = [first.device(n) for n in (1, 2, 3)]
    for n, device in enumerate(devices, 1):
        where = device.post("rd", LINKS, query=(f"ep={EUIS[n - 1]}", f"lt={n}00")).opt.location_path
    first.device(4, "coap+tcp").post("rd", LINKS, query=(f"ep={EUIS[3]}",))
    devices[0].request(codes.DELETE, "/reg/1/")
    before = first.link.directory().result(5)
    second = _restarted(rig, first, count=4)
    after = second.link.directory().result(5)
    assert after == [entry for entry in before if entry["base"].startswith("coap:")]  # not what was on a connection
    assert [entry["ep"] for entry in after] == [TWO, EUIS[2]]
    (_, timer) = second.link._front.directory.get_endpoints()
    assert 290 < timer.timeout.when() - second.link._loop.time() <= 315  # 300 s and the grace period, from the first
    answer = second.device(3, following=100).post("/".join(where), b"", query=(f"ep={EUIS[2]}", "lt=900"))
    assert answer.code == codes.CHANGED and second.link.directory().result(5)[1]["lt"] == 900
    made = second.device(1, following=100).post("rd", LINKS, query=(f"ep={ONE}",))
    assert made.code == codes.CREATED and made.opt.location_path not in (("reg", "2", ""), where)
    found = second.device(9, secure=False).get("/rd-lookup/res", query=(f"ep={TWO}", "rt=spot.cmd")).payload
    assert found.count(b"/cmd>") == 1
    third = _restarted(rig, second, count=4)
    assert sorted(e["ep"] for e in third.link.directory().result(5)) == [ONE, TWO, EUIS[2]]


@pytest.mark.parametrize("case", ["revoked", "over", "moved to MQTT", "links that are not read again"])
def test_what_is_not_taken_up_after_a_restart(rig, case):
    first = rig()
    device = first.device(1)
    links = b'</\\"\'*>; *=\\' if case.startswith("links") else LINKS
    assert device.post("rd", links, query=(f"ep={ONE}", "lt=60")).code == codes.CREATED
    if case == "moved to MQTT":
        first.link.moved_away(ONE)
    first.link.stop()
    assert first.keys.names("rd/") == ([] if case == "moved to MQTT" else [f"rd/{ONE}"])
    if case == "over":
        record = first.keys.get(f"rd/{ONE}")
        first.keys.put({f"rd/{ONE}": {**record, "until": record["until"] - 77}})
    second = rig(keys=first.keys, rings={TWO: [pairing(2)]} if case == "revoked" else None)
    assert second.link.directory().result(5) == []
    second.link.stop()
    assert second.keys.names("rd/") == []


def test_an_emd_that_cannot_bind_its_ports_forgets_nothing(rig):
    from spot_host.errors import UserError

    first, other = rig(), rig()
    first.device(1).post("rd", LINKS, query=(f"ep={ONE}",))
    first.link.stop()
    with pytest.raises(UserError, match="tcp_port"):
        Rig(keys=first.keys, tcp_port=other.port)
    assert [entry["ep"] for entry in rig(keys=first.keys).link.directory().result(5)] == [ONE]


def test_the_end_of_a_lease_that_was_taken_up_is_the_last_will(rig, monkeypatch):
    first = rig()
    first.device(1).post("rd", LINKS, query=(f"ep={ONE}", "lt=60"))
    first.link.stop()
    until = first.keys.get(f"rd/{ONE}")["until"]
    monkeypatch.setattr("spot_host.emd.coap_directory.time", SimpleNamespace(time=lambda: until - 0.2))
    second = rig(keys=first.keys)
    second.wait(lambda: [(a.device, a.channel) for a in second.taken] == [(ONE, "link")], "the word that it is lost")
    assert second.link.directory().result(5) == []


@pytest.mark.parametrize("lookup, code", [("secure", "4.01"), ("lan", "2.05"), ("open", "2.05")])
def test_who_may_look(rig, lookup, code):
    assert rig(lookup=lookup).device(9, secure=False).get("/rd-lookup/ep").code.dotted == code


def test_anyone_may_ask_what_there_is(rig):
    answer = rig().device(9, secure=False).get("/.well-known/core", query=("rt=core.rd*",))
    assert answer.code == codes.CONTENT and b"</rd>" in answer.payload and b"/register" not in answer.payload


# --- without OSCORE

def test_a_device_is_taken_at_its_word_only_where_the_settings_say_so(rig):
    r = rig(insecure=True)
    bare, plain = EUIS[9], r.device(9, secure=False)
    assert plain.post("register", query=(f"ep={bare}",)).code == codes.CHANGED
    assert r.link.way(bare) == "coap" and not r.link.protected(bare)
    assert plain.post("register").code == codes.UNAUTHORIZED


def test_what_cannot_be_bound_is_said(rig):
    from spot_host.errors import UserError

    r = rig()
    with pytest.raises(UserError, match="udp_port"):
        with contextlib.closing(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)):
            Rig(udp_port=r.port, tcp_port=0)


# --- streams

def _stream(r, octets):
    """What the EMD sends to a client that sends `octets`, until it closes the connection or a second is over."""
    with socket.create_connection(("127.0.0.1", r.port), 5) as one:
        one.settimeout(1)
        one.sendall(octets)
        got = b""
        try:
            while part := one.recv(4096):
                got += part
        except ConnectionError:
            pass
        except TimeoutError:
            return got, False
        return got, True


CSM = b"\x00\xe1"
GARBAGE = [
    ("a message before the CSM", b"\x00\x01" + b"\x00" * 4),
    ("a message of a gigabyte", CSM + b"\xf0\x40\x00\x00\x00\x02"),
    ("a token of fifteen octets", CSM + b"\x0f\x01" + bytes(15)),
    ("options that end early", CSM + b"\x10\x01\xd0"),
    ("an unknown critical CSM option", b"\x20\xe1\x91\x00"),
    ("an unknown signal", CSM + b"\x00\xe9"),
    ("an abort", CSM + b"\x00\xe5"),
    ("noise", bytes(range(256)) * 20),
]


@pytest.mark.parametrize("what, octets", GARBAGE, ids=[row[0] for row in GARBAGE])
def test_a_stream_of_garbage_ends_itself_alone(rig, what, octets):
    r = rig()
    good = r.device(1, "coap+tcp")
    assert good.post("register").code == codes.CHANGED
    _, closed = _stream(r, octets)
    assert closed
    assert good.post("status").code == codes.CHANGED
    assert len(r.link._streams[0]._pool) == 1
    assert all(event in ("coap_library", "coap_internal") for _, event in r.events())


def test_a_ping_on_a_stream_is_answered(rig):
    got, closed = _stream(rig(), CSM + b"\x00\xe2")
    assert got.endswith(b"\x00\xe3") and not closed


def test_a_connection_that_proves_nothing_is_closed(rig, monkeypatch):
    from spot_host.emd import coap_transport

    monkeypatch.setattr(coap_transport, "_PROVE_S", 0.2)
    r = rig()
    good = r.device(1, "coap+tcp")
    assert good.post("register").code == codes.CHANGED
    assert _stream(r, CSM)[1]
    assert good.post("status").code == codes.CHANGED


def test_there_is_an_end_to_connections(rig, monkeypatch):
    from spot_host.emd import coap_transport

    monkeypatch.setattr(coap_transport, "_MOST_CONNECTIONS", 3)
    r = rig()
    held = [socket.create_connection(("127.0.0.1", r.port), 5) for _ in range(3)]
    r.wait(lambda: len(r.link._streams[0]._pool) == 3, "three connections")
    held.append(socket.create_connection(("127.0.0.1", r.port), 5))
    while held[0].recv(100):  # the oldest stranger
        pass
    assert len(r.link._streams[0]._pool) <= 3
    for one in held:
        one.close()
    r.wait(lambda: not r.link._streams[0]._pool, "their end")
    assert r.device(1, "coap+tcp").post("register").code == codes.CHANGED


def test_hundreds_of_devices_share_one_emd(rig):
    import asyncio

    count = 250
    r = rig(count=count)
    devices = [r.device(n) for n in range(1, count + 1)]

    async def all_of_them(what):
        for at in range(0, count, 50):
            answers = await asyncio.gather(*(what(device) for device in devices[at : at + 50]))
            assert all(answer.code.is_successful() for answer in answers)

    r.loop.do(all_of_them(lambda x: x.asked(codes.POST, "/register", BODY, blocks=False)), 60)
    for n in range(count):
        r.link.send(EUIS[n], "cmd", COMMAND + bytes((n,)))
    r.wait(lambda: sum(r.link.delivered(eui) for eui in EUIS[:count]) == count, "250 commands", 60)
    assert [commands(device) for device in devices] == [[COMMAND + bytes((n,))] for n in range(count)]
    assert {a.device for a in r.taken} == set(EUIS[:count]) and r.events() == []
