"""Each fault of the network and the broker: it is named, the link comes back, and no accepted QoS 1 message is lost."""

import datetime
import socket

import pytest

from spot_host.broker import Broker
from spot_host.pki import Pki
from tests.unix.link.harness import DEVICE, TOPIC, UTILITY, Emd, NameServer, Proxy, config, silent_udp, wait_until

STATUS = 1
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture
def proxy(broker):
    with Proxy(broker.port) as running:
        yield running


def received_once_or_more(emd, bodies, topic=f"{TOPIC}/status"):
    emd.wait(lambda got: set(bodies) <= {body for where, body in got if where == topic})


def test_broker_killed(broker, device):
    """SIGKILL: noticed, reconnected after the restart, and what was accepted is delivered."""
    one = device(config(broker))
    one.expect("up")
    broker.kill()
    assert one.expect("log")["log"] in ("link.up", "link.peer_closed")
    one.expect("down")
    one.expect("log", "link.tcp")
    one.send(STATUS, b"after")
    broker.start()
    with Emd(broker) as emd:
        one.expect("up")
        one.expect("accepted")
        received_once_or_more(emd, [b"after"])


@pytest.mark.parametrize("forget", [False, True])
def test_broker_restarted(broker, device, forget):
    """With its sessions: no new subscription, and the command that waited comes. Without: subscribed again."""
    with Emd(broker) as emd:
        one = device(config(broker, backoff_ms=[1500, 1500]))
        assert one.expect("up")["up"] is False
        broker.stop()
        one.expect("down")
        if forget:
            broker.forget()
        broker.start()
        emd.wait(lambda got: True)
        assert one.expect("up")["up"] is not forget
        emd.publish(f"{TOPIC}/cmd", b"\x05")
        assert one.expect("message")["body"] == "05"
        emd.publish(f"der/{UTILITY}/group/area1/grid", b"\x06")
        assert one.expect("message")["body"] == "06"


def test_command_waits_in_the_session(broker, device):
    """A device that is away gets its commands when it returns: the session is persistent."""
    with Emd(broker) as emd, Proxy(broker.port) as proxy:
        one = device(config(broker, proxy.port))
        one.expect("up")
        proxy.mode = "silent"
        proxy.cut()
        one.expect("down")
        emd.publish(f"{TOPIC}/cmd", b"\x07")
        proxy.mode = "pass"
        proxy.cut()
        assert one.expect("up")["up"] is True
        assert one.expect("message")["body"] == "07"


def test_nothing_accepted_is_lost(broker, proxy, device):
    """Cut again and again in the middle of a stream of statuses: each that was accepted arrives."""
    with Emd(broker) as emd:
        one = device(config(broker, proxy.port, backoff_ms=[50, 100], stable_ms=50))
        bodies = [b"n%03d" % number for number in range(60)]
        one.expect("up")
        for number, body in enumerate(bodies):
            one.send(STATUS, body)
            if number % 10 == 5:
                proxy.cut()
                one.expect("down")
                one.expect("up")
        received_once_or_more(emd, bodies)


def test_last_will(broker, proxy, device):
    """The broker says that a device is gone, retained, and does not when it left in order."""
    with Emd(broker, topics=(f"{TOPIC}/link",)) as emd:
        one = device(config(broker, proxy.port))
        one.expect("up")
        proxy.cut()
        emd.wait(lambda got: (f"{TOPIC}/link", b"gone") in got)
        one.expect("down")
        one.expect("up")
        one.tell("close")
        one.expect("ended")
        emd.publish(f"{TOPIC}/cmd", b"x")
        assert emd.bodies(f"{TOPIC}/link") == [b"gone"]


def test_connection_is_accepted_and_silent(broker, proxy, device):
    """TCP half open from the start: the handshake has a deadline."""
    proxy.mode = "silent"
    one = device(config(broker, proxy.port))
    one.expect("log", "link.tls_timeout")
    proxy.mode = "pass"
    proxy.cut()
    one.expect("up")


def test_half_open_after_a_while(broker, proxy, device):
    """The peer vanishes without a word: a ping that is not answered ends the connection."""
    one = device(config(broker, proxy.port))
    one.expect("up")
    proxy.mode = "silent"
    one.expect("log", "link.ping_timeout")
    proxy.mode = "pass"
    one.expect("up")


def test_peer_stops_in_the_middle_of_a_record(broker, proxy, device):
    """A TLS record of which only a part comes; the message itself is delivered after the reconnect."""
    with Emd(broker) as emd:
        one = device(config(broker, proxy.port, ))
        one.expect("up")
        proxy.stall(200)
        emd.publish(f"{TOPIC}/cmd", b"\x11" * 900)
        emd.publish(f"{TOPIC}/cmd", b"\x12")
        one.expect("log", "link.ping_timeout")  # TLS hands out whole records only: the ping notices
        proxy.mode = "pass"
        assert one.expect("up")["up"] is True
        assert one.expect("message")["body"] == "11" * 900
        assert one.expect("message")["body"] == "12"


@pytest.mark.parametrize("let_through", [0, 60, 400])
def test_peer_stops_in_the_middle_of_the_handshake(broker, proxy, device, let_through):
    """After nothing, in the ServerHello, among the certificates."""
    proxy.stall(let_through)
    one = device(config(broker, proxy.port))
    one.expect("log", "link.tls_timeout")
    proxy.mode = "pass"
    proxy.cut()
    one.expect("up")


def test_peer_takes_nothing(broker, proxy, device):
    """A peer that reads nothing until our buffers are full."""
    one = device(config(broker, proxy.port, keepalive=600, ack_ms=60000))
    one.expect("up")
    proxy.mode = "deaf"
    one.tell("flood", 0x55)
    one.expect("log", "link.write_stall", timeout=30)
    one.tell("flood", 0)
    proxy.mode = "pass"
    proxy.cut()
    one.expect("up")


def test_name_server_is_silent(broker, device):
    """DNS that does not answer: named, and tried again."""
    with silent_udp() as port:
        one = device(config(broker, host="broker.example", dns=[("127.0.0.1", port)]))
        assert one.expect("log", "link.dns")["a"] == -1
        one.expect("log", "link.dns")


def test_name_is_resolved(pki, tmp_path, broker, device, mosquitto_path):
    """A name of the name server's, with a certificate for that name; a forged answer before the real one is ignored."""
    broker.stop()
    broker.identity = pki.broker(hosts=("broker.example",), name="named")
    broker.start()
    with NameServer({"broker.example": "127.0.0.1"}) as names:
        one = device(config(broker, host="broker.example", dns=[("127.0.0.1", names.port)]))
        one.expect("up")
        assert names.asked == ["broker.example"]
        broker.restart()
        one.expect("down")
        one.expect("up")
        assert names.asked == ["broker.example"]  # kept
        assert device(config(broker, host="none.example", dns=[("127.0.0.1", names.port)])).expect(
            "log", "link.dns")["a"] == 3


def test_closed_while_connecting(broker, proxy, device):
    """`close` ends a handshake that goes nowhere at once."""
    proxy.mode = "silent"
    one = device(config(broker, proxy.port, handshake_ms=60000))
    wait_until(lambda: proxy.connections)
    one.tell("close")
    one.expect("ended")
    assert not one.causes()


def test_certificate_is_replaced(broker, device, pki):
    """A new certificate in the same files, after the old one was revoked, is taken at the next attempt."""
    one = device(config(broker))
    one.expect("up")
    broker.revoke(DEVICE)
    one.expect("log", "link.tls_refused")
    pki.device(DEVICE)
    broker.reload()
    one.expect("up")


def test_nobody_listens(broker, device):
    """A closed port is named with the errno (111, ECONNREFUSED)."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        one = device(config(broker, taken.getsockname()[1]))
        assert one.expect("log", "link.tcp")["a"] == 111


@pytest.mark.parametrize(("cause", "options"), [
    ("tls_expired", {"not_before": NOW - 30 * DAY, "not_after": NOW - DAY}),
    ("tls_future", {"not_before": NOW + DAY, "not_after": NOW + 30 * DAY}),
    ("tls_host", {"hosts": ("other.example",)}),
])
def test_broker_certificate_is_wrong(pki, tmp_path, broker, device, cause, options):
    """Expired, not yet valid, for another host: refused by the device and named; with a right one it connects."""
    broker.stop()
    right = broker.identity
    broker.identity = pki.broker(name="wrong", **options)
    broker.start()
    one = device(config(broker))
    one.expect("log", f"link.{cause}")
    broker.stop()
    broker.identity = right
    broker.start()
    one.expect("up")


def test_broker_of_another_authority(pki, tmp_path, broker, device, mosquitto_path):
    """A certificate for the right host, but from another CA."""
    other = Pki(tmp_path / "other", name="impostor")
    with Broker(other, UTILITY, folder=tmp_path / "impostor", mosquitto=mosquitto_path) as impostor:
        one = device(config(broker, impostor.port))
        one.expect("log", "link.tls_ca")


def test_device_certificate_of_another_authority(pki, tmp_path, broker, device):
    """The broker refuses whom its CA does not know, and the device says that it was refused."""
    other = Pki(tmp_path / "other", name="impostor")
    identity = other.device(DEVICE)
    one = device(config(broker, cert=str(identity.cert_der), key=str(identity.key_der)))
    one.expect("log", "link.tls_refused")


def test_revoked_and_reconnecting(broker, device, proxy):
    """Revoked while connected, list reloaded: rights end at once, and the next connection is refused."""
    with Emd(broker) as emd:
        one = device(config(broker, proxy.port))
        one.expect("up")
        one.send(STATUS, b"before")
        received_once_or_more(emd, [b"before"])
        broker.revoke(DEVICE, cut=False)
        emd.publish(f"{TOPIC}/cmd", b"\x01")
        one.send(STATUS, b"after")
        one.expect("accepted", 1)
        proxy.cut()
        one.expect("log", "link.tls_refused")
        assert emd.bodies(f"{TOPIC}/status") == [b"before"]
        assert not [event for event in one.seen if "message" in event]


def test_revoked_and_live(broker, device):
    """Revoked with `cut`: the live session ends, the others come back."""
    one = device(config(broker))
    one.expect("up")
    with Emd(broker) as emd:
        broker.revoke(DEVICE)
        one.expect("down")
        one.expect("log", "link.tls_refused")
        one.expect("log", "link.tls_refused")
        emd.publish(f"{TOPIC}/cmd", b"\x01")


@pytest.mark.parametrize("missing", ["ca", "cert", "key"])
def test_files_are_missing_or_nonsense(broker, device, tmp_path, missing):
    """Named with the errno (2), and with 0 when there is something else in the file."""
    assert device(config(broker, **{missing: str(tmp_path / "none")})).expect("log", "link.files")["a"] == 2
    nonsense = tmp_path / "nonsense"
    nonsense.write_bytes(b"\x30\x03abc")
    assert device(config(broker, **{missing: str(nonsense)})).expect("log", "link.files")["a"] == 0
