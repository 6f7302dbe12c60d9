"""The device's link over CoAP on TCP and TLS (RFC 8323), on MicroPython, against aiocoap and against peers that
misbehave."""

import contextlib
import socket
import ssl
import struct
import threading

import pytest
from aiocoap.numbers.codes import Code

from spot.codes import CH_CMD, CH_INTERVAL, CH_PRICE, CH_STATUS, CH_TELEMETRY
from spot_host.pki import Pki
from tests.unix.link.coap_harness import CoapEmd, config, until
from tests.unix.link.harness import DEVICE, OTHER, Proxy

CSM, PING, PONG, RELEASE, ABORT = 0xE1, 0xE2, 0xE3, 0xE4, 0xE5
MAY_SEND = b"\x00\xe1"


def server_tls(pki, name="localhost"):
    identity = pki.broker((name,), name="coap")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(identity.cert, identity.key)
    made.load_verify_locations(pki.ca)
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def certificates(pki, name=DEVICE):
    identity = pki.identity(name)
    return {"ca": str(pki.ca_der), "cert": str(identity.cert_der), "key": str(identity.key_der)}


@pytest.fixture(params=["coap+tcp", "coaps+tcp"])
def emd(request, pki):
    tls = server_tls(pki) if request.param == "coaps+tcp" else None
    with CoapEmd(scheme=request.param, tls=tls) as running:
        running.config = config(running.uri, **(certificates(pki) if tls else {}))
        yield running


def test_both_ends_send_requests_over_the_one_connection(emd, device):
    process = device(emd.config)
    process.expect("up")
    assert process.expect("message") == {"message": CH_PRICE, "body": b"\x01first".hex()}
    process.send(CH_STATUS, b"\x07started")
    process.send(CH_TELEMETRY, b"\x02reading")
    emd.wait(lambda seen: {"status", "telemetry"} <= {one[0] for one in seen})
    assert emd.send("cmd", b"\x07limit").code == Code.CHANGED
    process.expect("message", CH_CMD)
    emd.publish(b"\x01second")
    assert process.expect("message", CH_PRICE)["body"] == b"\x01second".hex()
    queries = {one[0]: one[2] for one in emd.received}
    assert queries["status"] == (() if emd.uri.startswith("coaps") else (f"ep={DEVICE}",))  # the certificate says it


def test_a_long_body_goes_whole_and_is_read_whole(emd, device):
    process = device(emd.config)
    process.expect("up")
    body = bytes(i * 7 & 0xFF for i in range(1024))
    process.send(CH_INTERVAL, body)
    emd.wait(lambda seen: body in [one[1] for one in seen])
    assert emd.requests[-1].opt.block1 is None
    assert emd.request(Code.GET, "interval").payload == body


def test_it_can_be_observed_and_pinged(emd, device):
    process = device({**emd.config, "keepalive": 1, "ping_ms": 5000})
    process.expect("up")
    process.send(CH_TELEMETRY, b"\x02one")
    emd.wait(lambda seen: b"\x02one" in [one[1] for one in seen])
    first, heard = emd.observe("telemetry")
    process.send(CH_TELEMETRY, b"\x02two")
    until(lambda: b"\x02two" in [one.payload for one in heard])
    assert first.payload == b"\x02one"


def test_the_emd_restarts(device):
    with CoapEmd(scheme="coap+tcp") as emd:
        process = device(config(emd.uri))
        process.expect("up")
        port = emd.port
    process.expect("down")
    with CoapEmd(port, scheme="coap+tcp") as emd:
        process.expect("up")
        process.send(CH_STATUS, b"\x07back")
        emd.wait(lambda seen: b"\x07back" in [one[1] for one in seen])


# --- TLS


@pytest.mark.parametrize(("change", "cause"), [
    ({"server_name": "other.example"}, "tls_host"),
    ({"ca": "other"}, "tls_ca"),
    ({"key": "garbage"}, "files"),
])
def test_what_does_not_verify_is_refused(pki, tmp_path, device, change, cause):
    stranger = Pki(tmp_path / "stranger")
    (tmp_path / "garbage").write_bytes(bytes(100))
    files = {"other": str(stranger.ca_der), "garbage": str(tmp_path / "garbage")}
    change = {name: files.get(value, value) for name, value in change.items()}
    with CoapEmd(scheme="coaps+tcp", tls=server_tls(pki)) as emd:
        process = device({**config(emd.uri, **certificates(pki)), **change})
        process.expect("log", "link." + cause)
        assert not emd.received


def test_a_certificate_of_another_authority_is_refused_by_the_emd(pki, tmp_path, device):
    stranger = Pki(tmp_path / "stranger")
    stranger.device(OTHER)
    with CoapEmd(scheme="coaps+tcp", tls=server_tls(pki)) as emd:
        settings = config(emd.uri, **{**certificates(stranger, OTHER), "ca": str(pki.ca_der)})
        process = device(settings)
        refusals = {"tls_refused", "peer_closed", "tls_closed"}
        until(lambda: process.ask("pending") == 0 and refusals & set(process.causes()))
        assert not emd.received


# --- a peer that misbehaves


class Peer:
    """A TCP server that says `first` and then what it is told; `taken` is what came."""

    def __init__(self, first=MAY_SEND):
        self.first, self.taken, self.connections = first, b"", 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sock = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                self._sock, _ = self._listener.accept()
                self.taken = b""
                self.connections += 1
                self._sock.sendall(self.first)
                threading.Thread(target=self._read, args=(self._sock,), daemon=True).start()

    def _read(self, sock):
        with contextlib.suppress(OSError):
            while data := sock.recv(4096):
                self.taken += data

    def say(self, data):
        self._sock.sendall(data)

    def reset(self):
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def answer(self, code=0x41):
        """The answer to the request that came last (after the CSM): the registration."""
        until(lambda: b"ep=" in self.taken)
        at = 2 + (self.taken[0] >> 4)  # behind the CSM, whose length is in its first nibble
        at += {13: 3, 14: 4}[self.taken[at] >> 4] if self.taken[at] >> 4 > 12 else 2
        self.say(bytes([0x04, code]) + self.taken[at : at + 4])

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._listener.close()
        if self._sock:
            self._sock.close()


def peer_config(peer, **more):
    return config(f"coap+tcp://127.0.0.1:{peer.port}", groups=[], **more)


def test_the_csm_comes_first_and_says_what_fits(device):
    with Peer() as peer:
        device(peer_config(peer))
        until(lambda: len(peer.taken) > 8)
        length, code = peer.taken[0] >> 4, peer.taken[1]
        assert code == CSM
        options = peer.taken[2 : 2 + length]
        assert options[0] == 0x22 and int.from_bytes(options[1:3], "big") == 1024 + 160  # Max-Message-Size
        assert options[3] == 0x20  # Block-Wise-Transfer


def test_a_ping_is_answered_with_its_token(device):
    with Peer() as peer:
        process = device(peer_config(peer))
        peer.answer()
        process.expect("up")
        peer.say(bytes([0x03, PING]) + b"abc")
        until(lambda: bytes([0x03, PONG]) + b"abc" in peer.taken)


@pytest.mark.parametrize(("octets", "cause"), [
    (bytes([0x00, RELEASE]), "released"),
    (bytes([0x00, ABORT]), "aborted"),
    (bytes([0x0F, 0x45]) + bytes(15), "protocol"),  # a token of 15 octets
    (bytes([0xF0, 0xFF, 0xFF, 0xFF, 0xFF, 0x45]), "protocol"),  # a message of 4 GB
    (bytes([0xE0, 0x08, 0x00, 0x45]), "protocol"),  # longer than Max-Message-Size
    (bytes([0x20, PING, 0xD1, 0x00]), "protocol"),  # PING with an unknown critical option (13)
], ids=["release", "abort", "token", "huge", "long", "critical"])
def test_what_ends_a_connection(device, octets, cause):
    with Peer() as peer:
        process = device(peer_config(peer))
        peer.answer()
        process.expect("up")
        peer.say(octets)
        process.expect("log", "link." + cause)
        process.expect("down")
        until(lambda: peer.connections == 2)  # it comes back


def test_it_leaves_the_directory_and_releases_the_connection_in_good_order(device):
    with Peer() as peer:
        process = device(peer_config(peer))
        peer.answer()
        process.expect("up")
        process.tell("close")
        process.expect("ended")
        until(lambda: peer.taken.endswith(bytes([0x00, RELEASE])))
        assert not process.causes()[1:]  # "up" is the first


def test_an_abort_says_goodbye(device):
    with Peer() as peer:
        process = device(peer_config(peer, backoff_ms=[5000, 5000]))
        peer.answer()
        process.expect("up")
        peer.say(bytes([0x0F, 0x45]) + bytes(15))
        process.expect("log", "link.protocol")
        until(lambda: bytes([ABORT]) in peer.taken)


@pytest.mark.parametrize(("first", "said", "cause"), [
    (b"", b"", "read_stall"),  # accepts and says nothing
    (MAY_SEND, b"\xd0\x10\x45half", "read_stall"),  # stops in the middle of a message
    (MAY_SEND, b"\xd0", "read_stall"),  # stops in the middle of a head
    (b"", b"\x00\x45", "protocol"),  # no CSM first
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", "protocol"),
], ids=["silent", "half", "half head", "no csm", "http"])
def test_a_peer_that_stops_or_is_no_peer(device, first, said, cause):
    with Peer(first) as peer:
        process = device(peer_config(peer))
        until(lambda: b"ep=" in peer.taken)
        if said:
            peer.say(said)
        process.expect("log", "link." + cause)
        assert process.ask("gap") < 500


def test_a_peer_that_trickles_is_not_half_a_message_for_ever(device):
    with Peer() as peer:
        process = device(peer_config(peer))
        peer.answer()
        process.expect("up")
        peer.say(b"\xd0\xf0\x45")
        with contextlib.suppress(OSError):
            while "read_stall" not in process.causes():
                peer.say(b"x")
                process.ask("pending")


def test_a_reset_connection_is_made_again(device):
    with Peer() as peer:
        process = device(peer_config(peer))
        peer.answer()
        process.expect("up")
        peer.reset()
        process.expect("log", "link.peer_closed")
        until(lambda: peer.connections == 2)


def test_a_ping_that_is_not_answered_ends_the_connection(device):
    with Peer() as peer:
        process = device(peer_config(peer, keepalive=1))
        peer.answer()
        process.expect("up")
        process.expect("log", "link.ping_timeout")


def test_a_peer_that_takes_nothing_ends_the_connection():
    """The queue for the stream is bounded, and a stall is looked for when it is written."""
    from spot.link import coap_tcp
    from spot.link.errors import LinkError

    transport = coap_tcp.Transport({"uri": "coap+tcp://x", "stall_ms": 0}, 1184)
    transport._stream = type("Deaf", (), {"write": lambda self, view: None})()
    message = b"\x40\x45\x00\x00\xff" + bytes(900)
    assert transport.datagram("stream", message, len(message)) and transport.datagram("stream", message, len(message))
    assert not transport.datagram("stream", message, len(message))  # full
    assert not transport.flush()
    with pytest.raises(LinkError, match="write_stall"):
        transport.flush()
    transport.peer_size = 100
    transport._at = transport._end = 0
    assert not transport.datagram("stream", message, len(message))  # more than the peer takes


def test_a_connection_through_a_proxy_that_stalls(device):
    with CoapEmd(scheme="coap+tcp") as emd, Proxy(emd.port) as proxy:
        process = device(config(f"coap+tcp://127.0.0.1:{proxy.port}"))
        process.expect("up")
        proxy.stall(3)
        with contextlib.suppress(Exception):
            emd.do(emd.ask(Code.POST, "cmd", bytes(400)), 0.5)
        process.expect("down")
        proxy.mode = "pass"
        process.expect("up")
