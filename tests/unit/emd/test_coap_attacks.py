"""What an attacker on the home's network tries with the EMD's CoAP, each found by doing it."""

import asyncio
import contextlib
import socket
import ssl

import aiocoap
import pytest
from aiocoap.numbers import codes

from spot_host.emd import coap, coap_transport
from spot_host.emd.config import Coap, EmdConfig
from spot_host.emd.service import EmdService
from spot_host.errors import UserError
from spot_host.pki import Pki
from tests.unit.emd.coap_rig import BODY, EUIS, Rig, free_port

ONE, TWO = EUIS[:2]


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


@pytest.fixture
def tls(rig, tmp_path):
    """A rig that serves TLS."""
    pki = Pki(tmp_path / "pki")
    pki.broker(name="coap")
    own = pki.identity("coap")
    return rig(udp_port=0, tcp_port=0, tls_port=free_port(), ca=str(pki.ca), cert=str(own.cert), key=str(own.key),
               crl=str(pki.crl))  # fmt: skip


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.0\r\n\r\n", None], ids=["nothing", "no TLS", "no certificate"])
def test_a_handshake_that_fails_leaves_nothing(tls, first):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", tls.link.settings.tls_port)) as raw:
            if first is None:
                with pytest.raises(OSError), context.wrap_socket(raw) as secured:
                    while secured.recv(100):
                        pass
                    raise OSError("closed")
            elif first:
                raw.sendall(first)
                with contextlib.suppress(OSError):
                    raw.recv(100)
    stream = tls.link._streams[0]
    tls.wait(lambda: stream.sweep() or not stream._opening, "the ends of the handshakes")
    assert not stream._pool




def test_handshakes_that_never_end_are_bounded(tls, monkeypatch):
    monkeypatch.setattr(coap_transport, "_MOST_OPENING", 3)
    stream, idle = tls.link._streams[0], []
    for _ in range(8):
        idle.append(socket.create_connection(("127.0.0.1", tls.link.settings.tls_port)))
    tls.wait(lambda: len(stream._opening) == 3, "three of them")
    for one in idle[3:]:
        one.settimeout(5)
        assert one.recv(1) == b""
    for one in idle:
        one.close()
    tls.wait(lambda: stream.sweep() or not stream._opening, "room again")


def test_idle_connections_of_strangers_give_way_to_a_device(rig, monkeypatch):
    monkeypatch.setattr(coap_transport, "_MOST_CONNECTIONS", 3)
    r = rig(count=2)
    good = r.device(1, "coap+tcp")
    assert good.post("register").code == codes.CHANGED
    stream, idle = r.link._streams[0], []
    for n in range(4):
        idle.append(socket.create_connection(("127.0.0.1", r.port)))
        r.wait(lambda n=n: len(stream._pool) == min(2 + n, 3), "the connection")
    assert r.device(2, "coap+tcp").post("register").code == codes.CHANGED
    assert good.post("status").code == codes.CHANGED  # who has proven himself stays
    for one in idle:
        one.close()


def test_many_at_once_are_no_more_than_few_one_by_one(rig, monkeypatch):
    monkeypatch.setattr(coap_transport, "_MOST_CONNECTIONS", 3)
    r = rig(udp_port=0, tcp_port=free_port(socket.SOCK_STREAM))
    idle = [socket.create_connection(("127.0.0.1", r.link.settings.tcp_port)) for _ in range(40)]
    idle[-1].settimeout(10)
    assert idle[-1].recv(100)  # the EMD's first word: all of them were taken in
    assert len(r.link._streams[0]._pool) == 3
    for one in idle:
        one.close()


def test_strangers_leave_files_for_the_database_and_the_broker():
    """1,024 is what a process often may have, and what select can wait for; asyncio accepts 100 at a time."""
    assert 2 * coap_transport._MOST_CONNECTIONS + coap_transport._MOST_OPENING + 100 < 1024 - 20


@pytest.mark.parametrize("head", [0x40, 0x50], ids=["CON", "NON"])
def test_message_ids_in_a_devices_name_do_not_silence_it(rig, head):
    """From its very address, as somebody who listens and makes up the sender can."""
    r = rig()
    device = r.device(1)
    assert device.post("register").code == codes.CHANGED
    messages = device._aiocoap.request_interfaces[-1].token_interface

    async def spoof():
        address = (await device.message(aiocoap.POST, "/x")).remote.address
        for n in range(5):
            mid = (messages.message_id + n & 0xFFFF).to_bytes(2, "big")
            messages.message_interface.transport.sendmsg(bytes((head, 2)) + mid + b"\xb1x", [], 0, address.sockaddr)
        return await asyncio.wait_for(device.asked(aiocoap.POST, "/status", BODY), 10)

    assert device.loop.do(spoof()).code == codes.CHANGED
    assert r.events() == [(None, "coap_unauthenticated")]


def test_an_acknowledgement_without_an_answer_does_not_hold_up_what_comes_after(rig, monkeypatch):
    """It is empty, so anybody who heard the message id can send it; the request would wait for ever."""
    monkeypatch.setattr(coap, "_CONFIRMED_S", 0.5)
    r = rig()
    device = r.device(1)
    assert device.post("register").code == codes.CHANGED
    site, command = device._aiocoap.serversite, bytes((0x86, 0x18, 1, 2))

    class Mute:
        async def render_to_pipe(self, pipe):
            await asyncio.sleep(60)

    device._aiocoap.serversite = Mute()  # aiocoap acknowledges after 0.1 s
    assert r.link.send(ONE, "cmd", command)
    r.wait(lambda: (ONE, "coap_undelivered") in r.events(), "the end of the request")
    device._aiocoap.serversite = site
    assert r.link.send(ONE, "cmd", command + b"x")
    r.wait(lambda: device.got == [(("cmd",), command + b"x")], "the next command")


def test_an_answer_to_an_address_that_may_be_made_up_is_short(rig):
    r = rig()
    question = b"\x50\x01\x12\x34\xbb.well-known\x04core"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.settimeout(10)
        stranger.sendto(question, ("127.0.0.1", r.port))
        assert len(stranger.recv(2000)) < 5 * len(question)
    assert len(r.device(1, secure=False).get("/.well-known/core").payload) > 256  # still all of it, block by block


def test_who_has_keys_is_not_taken_at_anybodys_word(rig):
    """`insecure` is for bare devices; a name beside it is no way around the keys of the others."""
    r = rig(insecure=True)
    device, stranger = r.device(1), r.device(2, secure=False)
    assert device.post("register").code == codes.CHANGED
    assert stranger.post("status", query=(f"ep={ONE}",)).code == codes.UNAUTHORIZED
    assert stranger.post("status", query=("ep=0200000000000099",)).code == codes.CHANGED
    assert [(a.device, a.channel) for a in r.taken] == [(ONE, "register"), ("0200000000000099", "status")]
    assert r.link.way(ONE) == "coap+oscore" and (None, "coap_unauthenticated") in r.events()


def test_a_device_stands_in_the_directory_for_itself_only(rig):
    r = rig()
    device = r.device(1)
    for more in ("a,<coap://192.0.2.1/cmd>;b=c", "et=x", "base=coap://192.0.2.1", "d=x", "ep", f"ep={TWO}"):
        assert device.post("rd", b"</cmd>", query=(f"ep={ONE}", more)).code == codes.BAD_REQUEST, more
    links = b'</cmd>;rt="spot.cmd",<coap://192.0.2.1/cmd>;rt="spot.cmd",<//192.0.2.1/x>,</a>;title="\\",<coap://192.0.2.1>"'
    assert device.post("rd", links, query=(f"ep={ONE}", "lt=600")).code == codes.CREATED
    assert device.post("reg/1/", b"", query=("a,<coap://192.0.2.1>;b=c",)).code == codes.BAD_REQUEST
    anyone = r.device(2, secure=False)
    found = anyone.get("/rd-lookup/res").payload.decode()
    assert found.count("<coap://127.0.0.1") == 2 and "<coap://192.0.2.1/" not in found
    assert "192.0.2.1" not in anyone.get("/rd-lookup/ep").payload.decode()
    assert b"".join([anyone.get("/rd-lookup/res", query=("rt=spot.cmd",)).payload]).count(b"<") == 1


def test_a_second_emd_on_the_same_database_does_not_run(tmp_path):
    """Each would reserve the same sequence numbers: two texts under one key and nonce."""
    config = EmdConfig(database=str(tmp_path / "emd.sqlite"), coap=Coap("127.0.0.1", free_port(), 0, 0))
    second, tried = EmdService(config), []

    class Alone(EmdService):
        def turn(self):
            with pytest.raises(UserError, match="another EMD"):
                second.run()
            tried.append(True)
            self.stop()

    Alone(config).run()
    assert tried
    second.stop()
    second.run()  # the first has ended
