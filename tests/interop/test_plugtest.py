"""The OSCORE plug tests, cases 0 to 17, the firmware with aiocoap: first as the server, then as the client."""

import asyncio
import threading

import aiocoap
import pytest
from aiocoap import error, oscore, resource
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.transports.oscore import OSCOREAddress

from tests.interop import aio, libcoap, plugtest, ports
from tests.interop.firmware import Device
from tests.interop.plugtest import CASES, CLIENT, ID_CONTEXT, SALT, SECRET, SERVER, Case

IDS = [f"{case.number}: {case.what}" for case in CASES]
WRONG = b"\x33"


def their_context(sender, recipient, id_context=None, secret=SECRET):
    return aio.SecurityContext(secret, SALT, sender, recipient, id_context)


def our_context(sender, recipient, id_context=b"", secret=SECRET, **more):
    return {"secret": secret.hex(), "salt": SALT.hex(), "sender": sender.hex(), "recipient": recipient.hex(),
            "id_context": id_context.hex(), **more}


def message(case: Case, uri):
    """aiocoap's message for a case."""
    made = aiocoap.Message(code=aiocoap.Code(case.method), uri=uri, payload=case.payload)
    for number, value in case.options.items():
        made.opt.add_option(OptionNumber(number).create_option(decode=value))
    return made


def options(given, *without):
    """{number: value} of the options of aiocoap's message."""
    return {int(o.number): o.encode() for o in given.opt.option_list() if int(o.number) not in without}


# --- the firmware as the server


@pytest.fixture(scope="module")
def module_loop():
    made = aio.Loop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def our_server(tmp_path_factory):
    """The firmware with the plug tests' resources; (device, URI)."""
    port = ports.free()
    contexts = {"B": our_context(SERVER, CLIENT, serve=True), "D": our_context(SERVER, CLIENT, ID_CONTEXT, serve=True)}
    with Device(tmp_path_factory.mktemp("server"), uri="coap://127.0.0.1:9", listen=port, contexts=contexts) as device:
        device.expect("started")
        yield device, f"coap://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def their_client(module_loop):
    """aiocoap's client and its contexts; the sequence numbers go on from case to case."""
    return module_loop.client(), {"AB": their_context(CLIENT, SERVER), "CD": their_context(CLIENT, SERVER, ID_CONTEXT)}


def faulty(case, good):
    """The client's context for a case, with the fault in it."""
    if case.fault == "id":
        return their_context(WRONG, SERVER)
    if case.fault == "key":
        wrong = their_context(CLIENT, SERVER, secret=bytes(16))
        wrong.sender_sequence_number = good.sender_sequence_number
        return wrong
    if case.fault == "recipient":
        wrong = their_context(CLIENT, SERVER)
        wrong.recipient_key = bytes(16)
        wrong.sender_sequence_number = good.sender_sequence_number
        good.sender_sequence_number += 1
        return wrong
    if case.fault == "replay":
        wrong = their_context(CLIENT, SERVER)
        wrong.sender_sequence_number = good.sender_sequence_number - 1
        return wrong
    return good


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_firmware_serves_aiocoap(case, our_server, their_client, module_loop, tmp_path):
    device, base = our_server
    client, contexts = their_client
    if case.number == 16:  # a device of the same firmware that has no OSCORE
        port = ports.free()
        with Device(tmp_path, uri="coap://127.0.0.1:9", listen=port) as plain:
            plain.expect("started")
            ask_ours(case, f"coap://127.0.0.1:{port}", client, their_context(CLIENT, SERVER), module_loop)
        return
    if case.number in (6, 7):
        return observe_ours(case, device, base, client, contexts["AB"], module_loop)
    context = faulty(case, contexts[case.context]) if case.context else None
    ask_ours(case, base, client, context, module_loop)
    if case.code >> 5 == 2 and not case.fault:
        seen = device.expect("served", case.path)
        assert seen["body"] == case.payload.hex() and seen["secure"] == bool(case.context)
        query = case.options.get(plugtest.URI_QUERY)
        assert seen["query"] == ([query.decode()] if query else [])


def ask_ours(case, base, client, context, loop):
    client.client_credentials.clear()
    if context:
        client.client_credentials[f"{base}/*"] = context
    uri = f"{base}/{case.path}"

    async def ask():
        return await client.request(message(case, uri)).response

    if case.code == 0:
        with pytest.raises(oscore.ProtectionInvalid):
            loop.run(ask())
    elif context and not case.protected:
        with pytest.raises(oscore.NotAProtectedMessage) as caught:
            loop.run(ask())
        assert int(caught.value.plain_message.code) == case.code
    else:
        got = loop.run(ask())
        assert isinstance(got.remote, OSCOREAddress) == case.protected
        assert int(got.code) == case.code
        if case.code >> 5 == 2:
            assert (options(got), got.payload) == (case.answer_options, case.answer)


def observe_ours(case, device, base, client, context, loop):
    client.client_credentials.clear()
    client.client_credentials[f"{base}/*"] = context
    arrived, bodies = threading.Condition(), []

    def take(response):
        with arrived:
            bodies.append((int(response.code), response.payload))
            arrived.notify_all()

    async def follow(observation):
        async for response in observation:
            take(response)

    async def start():
        asked = client.request(message(case, f"{base}/{case.path}"))
        take(await asked.response)
        return asked, asyncio.get_running_loop().create_task(follow(asked.observation))

    def wait(n):
        with arrived:
            assert arrived.wait_for(lambda: len(bodies) >= n, 10), bodies

    asked, following = loop.run(start())
    device.tell("plug", b"two".hex(), plugtest.CONTENT)
    wait(2)
    assert bodies == [(plugtest.CONTENT, b"one"), (plugtest.CONTENT, b"two")]
    if case.number == 6:
        device.tell("plug", b"Terminate Observe".hex(), plugtest.INTERNAL_ERROR)
        wait(3)
        assert bodies[2:] == [(plugtest.INTERNAL_ERROR, b"Terminate Observe")]
        device.tell("observers")
        assert device.expect("observers")["observers"] == 0
    else:
        # aiocoap does not deregister under OSCORE: it lets go, and its endpoint resets what still comes
        loop.loop.call_soon_threadsafe(asked.observation.cancel)
    loop.loop.call_soon_threadsafe(following.cancel)
    device.tell("plug", b"one".hex(), plugtest.CONTENT)


# --- the firmware as the client


class Expecting(resource.ObservableResource):
    """A resource of aiocoap that answers the cases of one path, and says 4.00 for options that are not a case's."""

    def __init__(self, path):
        super().__init__()
        self.cases = [case for case in CASES if case.path == path and case.code >> 5 in (2, 4) and not case.fault]
        self.protected = path != "oscore/hello/coap"
        self.observations = []
        self.started, self.ended = threading.Semaphore(0), threading.Semaphore(0)

    async def add_observation(self, request, serverobservation):
        if "observe" in self.cases[0].path:
            self.observations.append(serverobservation)
            serverobservation.accept(self.ended.release)
            self.started.release()

    async def render(self, request):
        if self.protected and not isinstance(request.remote, OSCOREAddress):
            raise error.Unauthorized
        seen = options(request, 3, 7, 11, 23, 252)
        for case in self.cases:
            if (int(request.code), request.payload) == (case.method, case.payload) and seen == case.options:
                got = aiocoap.Message(code=aiocoap.Code(case.code), payload=case.answer)
                for number, value in case.answer_options.items():
                    got.opt.add_option(OptionNumber(number).create_option(decode=value))
                return got
        raise error.BadRequest(f"not a case: {request.code} {seen}")


@pytest.fixture(scope="module")
def their_server(module_loop):
    """aiocoap with the plug tests' resources; (resources by path, port)."""
    made = {case.path: Expecting(case.path) for case in CASES}
    credentials = aio.contexts(their_context(SERVER, CLIENT), their_context(SERVER, CLIENT, ID_CONTEXT))
    return made, module_loop.server(aio.site(made), credentials=credentials)[1]


@pytest.fixture(scope="module")
def our_client(their_server, tmp_path_factory):
    contexts = {"AB": our_context(CLIENT, SERVER), "CD": our_context(CLIENT, SERVER, ID_CONTEXT),
                "id": our_context(WRONG, SERVER), "key": our_context(CLIENT, SERVER, secret=bytes(16), first=100),
                "replay": our_context(CLIENT, SERVER)}
    uri = f"coap://127.0.0.1:{their_server[1]}"
    with Device(tmp_path_factory.mktemp("client"), uri=uri, contexts=contexts) as device:
        device.expect("started")
        yield device


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_aiocoap_serves_the_firmware(case, our_client, their_server, tmp_path, module_loop):
    resources, _ = their_server
    if case.number == 16:
        contexts = {"AB": our_context(CLIENT, SERVER)}
        with libcoap.Server(tmp_path) as peer, Device(tmp_path, uri=peer.uri(""), contexts=contexts) as device:
            device.expect("started")
            ask_theirs(case, device, "AB")
        return
    if case.number in (6, 7):
        return observe_theirs(case, our_client, resources[case.path], module_loop)
    if case.fault == "recipient":
        return answer_under_a_wrong_key(case, tmp_path, module_loop)
    ask_theirs(case, our_client, case.fault or case.context)


def ask_theirs(case, device, context):
    given = {number: value for number, value in case.options.items()
             if number not in (plugtest.OBSERVE, plugtest.URI_QUERY, plugtest.CONTENT_FORMAT, plugtest.ACCEPT)}
    more = {"observe": True} if plugtest.OBSERVE in case.options else {}
    if plugtest.URI_QUERY in case.options:
        more["query"] = [case.options[plugtest.URI_QUERY].decode()]
    if plugtest.CONTENT_FORMAT in case.options:
        more["ct"] = 0
    if plugtest.ACCEPT in case.options:
        more["accept"] = 0
    number = device.request(case.method, case.path, case.payload, given, context, **more)
    got = device.reply(number)
    if case.number == 5:
        device.tell("cancel", number)
    assert got["code"] == case.code, got
    if case.code >> 5 == 2:
        assert (got["options"], got["body"]) == (case.answer_options, case.answer)


def observe_theirs(case, device, peer, loop):
    number = device.request(case.method, case.path, context="AB", observe=True)
    assert device.reply(number)["body"] == b"one"
    assert peer.started.acquire(timeout=10)
    observation = peer.observations[-1]

    def trigger(code, payload, last=False):
        said = aiocoap.Message(code=code, payload=payload)
        loop.loop.call_soon_threadsafe(lambda: observation.trigger(said, is_last=last))

    trigger(aiocoap.CONTENT, b"two")
    got = device.reply(number)
    assert (got["code"], got["body"], got["fresh"]) == (plugtest.CONTENT, b"two", True)
    if case.number == 6:
        trigger(aiocoap.INTERNAL_SERVER_ERROR, b"Terminate Observe", True)
        got = device.reply(number)
        assert (got["code"], got["body"]) == (plugtest.INTERNAL_ERROR, b"Terminate Observe")
    device.tell("cancel", number)
    assert peer.ended.acquire(timeout=10)


def answer_under_a_wrong_key(case, folder, loop):
    """A server whose keys for its answers are others: what it says is thrown away, and the request goes on waiting."""
    theirs = their_context(SERVER, b"\x44")
    theirs.sender_key = bytes(16)
    _, port = loop.server(aio.site({case.path: aio.Fixed(b"forged")}), credentials=aio.contexts(theirs))
    contexts = {"AB": our_context(b"\x44", SERVER)}
    with Device(folder, uri=f"coap://127.0.0.1:{port}", contexts=contexts) as device:
        device.expect("started")
        number = device.request(case.method, case.path, context="AB")
        device.expect("log", "oscore.forged")
        device.tell("cancel", number)
        device.tell("heap")
        device.expect("heap")
        assert not [event for event in device.seen if "reply" in event]
