"""The firmware with aiocoap on each transport that both have: requests, blocks and observations, both roles of ours."""

import asyncio
import threading
from types import SimpleNamespace

import aiocoap
import pytest
from aiocoap import resource

from tests.interop import aio, ports
from tests.interop.conftest import DEVICE
from tests.interop.firmware import Device

SECRET, SALT = bytes(range(16)), b"interop"
OURS, THEIRS = b"\x01", b"\x00"
LARGE = b"0123456789" * 100
GET, POST, PUT = 1, 2, 3
CHANGED, CONTENT, NOT_FOUND = 0x44, 0x45, 0x84

# name → scheme, OSCORE
LINKS = {"udp": ("coap", False), "udp+oscore": ("coap", True), "tcp": ("coap+tcp", False),
         "tcp+oscore": ("coap+tcp", True), "tls": ("coaps+tcp", False)}


class Slow(resource.Resource):
    """Answers once `go` is set: later than aiocoap waits before it acknowledges."""

    def __init__(self):
        super().__init__()
        self.asked, self.go = threading.Semaphore(0), asyncio.Event()

    async def render_get(self, request):
        self.asked.release()
        await self.go.wait()
        return aiocoap.Message(payload=b"at last")


def context_of(name, secure):
    if not secure:
        return {}
    return {name: {"secret": SECRET.hex(), "salt": SALT.hex(), "sender": OURS.hex(), "recipient": THEIRS.hex(),
                   "serve": True}}


@pytest.fixture(params=LINKS)
def pair(request, loop, pki, tmp_path):
    """The firmware and aiocoap on one link.

    `device`; `ask(code, path, payload, **options)` → aiocoap's response from the device; `observe(path)` → list of what
    comes; `sink`, `counter`, `slow`: resources of aiocoap's.
    """
    scheme, oscore = LINKS[request.param]
    sink, counter, slow, hello = aio.Sink(), aio.Counter(loop, b"one"), Slow(), aio.Sink()
    site = aio.site({"sink": sink, "value": counter, "slow": slow, "large": aio.Fixed(LARGE), "hello": hello})
    theirs = aio.SecurityContext(SECRET, SALT, THEIRS, OURS) if oscore else None
    tls = aio.tls_server(pki, pki.identity("server")) if scheme == "coaps+tcp" else None
    context, port = loop.server(site, tls, aio.contexts(theirs) if oscore else None)
    identity, listen = pki.identity(DEVICE), ports.free()
    config = {"ca": str(pki.ca_der), "cert": str(identity.cert_der), "key": str(identity.key_der)} if tls else {}
    if oscore:
        config["contexts"] = context_of("emd", True)
    uri = f"{scheme}://127.0.0.1:{port + bool(tls)}"
    with Device(tmp_path, uri=uri, listen=listen, insecure=not oscore, **config) as device:
        device.expect("started")
        peer = SimpleNamespace(device=device, sink=sink, counter=counter, slow=slow, reliable="tcp" in scheme,
                               loop=loop, name="emd" if oscore else "")
        remote = None
        if peer.reliable:  # the device has dialled: requests go back on its connection
            assert device.ask(POST, "hello", b"\x01", context=peer.name)["code"] == CHANGED
            remote = hello.wait()[0][1].remote
            client, base = context, ""
        else:
            base = f"coap://127.0.0.1:{listen}"
            client = loop.client({f"{base}/*": theirs} if oscore else {})

        def made(code, path, payload=b"", **options):
            if remote is None:
                return aiocoap.Message(code=code, uri=f"{base}/{path}", payload=payload, **options)
            path, _, query = path.partition("?")
            message = aiocoap.Message(code=code, uri_path=path.split("/"), payload=payload, **options)
            if query:
                message.opt.uri_query = query.split("&")
            message.remote = remote
            return message

        def ask(*what, **options):
            async def go():
                return await client.request(made(*what, **options)).response

            return loop.run(go())

        peer.ask, peer.made, peer.client = ask, made, client
        yield peer


def test_the_firmware_asks(pair):
    """Requests of ours: a payload there, a payload back, and an error that is not mistaken for an answer."""
    device = pair.device
    assert device.ask(POST, "sink", b"\x84\x01\x02", context=pair.name)["code"] == CHANGED
    assert pair.sink.wait()[0][0] == b"\x84\x01\x02"
    assert device.ask(GET, "value", context=pair.name)["body"] == b"one"
    assert device.ask(GET, "nothing/here", context=pair.name)["code"] == NOT_FOUND


def test_the_firmware_gets_a_large_resource(pair):
    got = pair.device.ask(GET, "large", context=pair.name)
    assert (got["code"], got["body"]) == (CONTENT, LARGE)


def test_the_firmware_sends_a_large_body(pair):
    assert pair.device.ask(POST, "sink", LARGE, context=pair.name)["code"] == CHANGED
    assert [body for body, _ in pair.sink.wait()] == [LARGE]


def test_the_firmware_waits_for_a_separate_response(pair):
    """The acknowledgement comes first and the response by itself (RFC 7252, section 5.2.2)."""
    number = pair.device.request(GET, "slow", context=pair.name)
    assert pair.slow.asked.acquire(timeout=10)
    pair.loop.loop.call_soon_threadsafe(pair.slow.go.set)
    assert pair.device.reply(number)["body"] == b"at last"


def test_the_firmware_observes(pair):
    number = pair.device.request(GET, "value", context=pair.name, observe=True)
    assert pair.device.reply(number)["body"] == b"one"
    assert pair.counter.observers.acquire(timeout=10)
    for body in (b"two", b"three"):
        pair.counter.change(body)
        got = pair.device.reply(number)
        assert (got["body"], got["fresh"]) == (body, True)
    pair.device.tell("cancel", number)


def test_the_firmware_asks_without_wanting_an_answer(pair):
    """Telemetry: NON with No-Response 26 (RFC 7967)."""
    number = pair.device.request(POST, "sink", b"\x01\x02", context=pair.name, con=False, no_response=26)
    assert pair.device.expect("sent", number)["going"]
    assert pair.sink.wait()[0][0] == b"\x01\x02"


def test_the_firmware_answers(pair):
    got = pair.ask(aiocoap.GET, "value")
    assert (got.code, got.payload) == (aiocoap.CONTENT, b"first")
    assert pair.ask(aiocoap.GET, "nothing").code == aiocoap.NOT_FOUND
    assert pair.ask(aiocoap.DELETE, "value").code == aiocoap.METHOD_NOT_ALLOWED
    assert pair.ask(aiocoap.GET, "large", accept=60).code == aiocoap.NOT_ACCEPTABLE
    assert pair.ask(aiocoap.GET, "later").payload == b"it took a while"


def test_the_firmware_serves_a_large_resource(pair):
    got = pair.ask(aiocoap.GET, "large")
    assert (got.code, got.payload) == (aiocoap.CONTENT, LARGE)


def test_the_firmware_takes_a_large_body(pair):
    assert pair.ask(aiocoap.PUT, "store", LARGE).code == aiocoap.CHANGED
    assert pair.device.expect("stored")["stored"] == len(LARGE)
    got = pair.ask(aiocoap.GET, "store")
    assert got.payload == LARGE
    assert pair.ask(aiocoap.PUT, "store", bytes(3000)).code == aiocoap.REQUEST_ENTITY_TOO_LARGE
    assert pair.ask(aiocoap.GET, "store").payload == LARGE  # what was refused has changed nothing


def test_the_firmware_is_observed(pair):
    bodies, arrived = [], threading.Condition()

    def take(payload):
        with arrived:
            bodies.append(payload)
            arrived.notify_all()

    async def follow(asked):
        async for response in asked.observation:
            take(response.payload)

    async def start():
        asked = pair.client.request(pair.made(aiocoap.GET, "value", observe=0))
        take((await asked.response).payload)
        return asyncio.get_running_loop().create_task(follow(asked))

    following = pair.loop.run(start())
    expected = [b"first"]
    for body in (b"second", b"third"):
        pair.device.tell("value", body.hex())
        expected.append(body)
        with arrived:
            assert arrived.wait_for(lambda: len(bodies) >= len(expected), 10), bodies
    assert bodies == expected
    pair.loop.loop.call_soon_threadsafe(following.cancel)


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("rt=test.value", {"/value"}),
        ("rt=test.*", {"/value", "/large", "/store"}),
        ("rt=test.get", {"/large"}),  # one of a list of types
        ("href=/oscore/hello/*", {f"/oscore/hello/{n}" for n in ("coap", 1, 2, 3, 6, 7)}),
        ("if=core.s", {"/value"}),
        ("rt=other", set()),
    ],
)
def test_the_firmware_is_discovered_with_filters(tmp_path, loop, query, paths):
    port = ports.free()
    with Device(tmp_path, uri="coap://127.0.0.1:9", listen=port) as device:
        device.expect("started")
        got = loop.request(loop.client(), aiocoap.GET, f"coap://127.0.0.1:{port}/.well-known/core?{query}")
    assert got.code == aiocoap.CONTENT and got.opt.content_format == (40 if paths else None)
    links = aiocoap.util.linkformat.parse(got.payload.decode()).links if got.payload else []
    assert {link.href for link in links} == paths


def test_after_a_restart_of_ours_echo_proves_the_request_fresh(tmp_path, loop):
    """RFC 8613, appendix B.1.2: the window is lost, so the first request is answered 4.01 with Echo, and only then
    carried out; aiocoap repeats it by itself."""
    port = ports.free()
    contexts = {"emd": {**context_of("emd", True)["emd"], "restarted": True}}
    with Device(tmp_path, uri="coap://127.0.0.1:9", listen=port, contexts=contexts) as device:
        device.expect("started")
        base = f"coap://127.0.0.1:{port}"
        theirs = aio.SecurityContext(SECRET, SALT, THEIRS, OURS)
        client = loop.client({f"{base}/*": theirs})
        assert loop.request(client, aiocoap.POST, f"{base}/store", b"x").code == aiocoap.CHANGED
        device.expect("log", "oscore.echo")
        assert device.expect("stored")["stored"] == 1
        assert theirs.sender_sequence_number == 2
        assert loop.request(client, aiocoap.POST, f"{base}/store", b"xy").code == aiocoap.CHANGED
        assert theirs.sender_sequence_number == 3  # no more questions


def test_after_a_restart_of_theirs_ours_repeats_with_echo(tmp_path, loop):
    sink = aio.Sink()
    theirs = aio.SecurityContext(SECRET, SALT, THEIRS, OURS, known_window=False)
    _, port = loop.server(aio.site({"sink": sink}), credentials=aio.contexts(theirs))
    with Device(tmp_path, uri=f"coap://127.0.0.1:{port}", contexts=context_of("emd", True)) as device:
        device.expect("started")
        assert device.ask(POST, "sink", b"once", context="emd")["code"] == CHANGED
        assert device.ask(POST, "sink", b"twice", context="emd")["code"] == CHANGED
    assert [body for body, _ in sink.wait(2)] == [b"once", b"twice"]


@pytest.mark.filterwarnings("ignore:coroutine 'RFC8323Remote.release'")  # of a connection that aiocoap never had
def test_a_certificate_of_another_authority_ends_the_handshake(tmp_path, loop, pki):
    from spot_host.pki import Pki

    other = Pki(tmp_path / "other")
    other.broker(name="server")
    sink = aio.Sink()
    _, port = loop.server(aio.site({"sink": sink}), aio.tls_server(pki, other.identity("server")))
    identity = pki.identity(DEVICE)
    with Device(tmp_path, uri=f"coaps+tcp://127.0.0.1:{port + 1}", ca=str(pki.ca_der), cert=str(identity.cert_der),
                key=str(identity.key_der)) as device:
        assert device.expect("exit")["exit"] != 0
    assert "LinkError" in device.errors and not sink.received
