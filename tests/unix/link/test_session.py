"""Messages both ways over mutually authenticated TLS, on MicroPython, through mosquitto."""

from spot_host.profile.definition import CHANNELS
from spot_host.toolchain import runtimes
from tests.unix.link.harness import TOPIC, UTILITY, Emd, config

CH = {name: code for code, name, *_ in CHANNELS}


def test_messages_both_ways(broker, device):
    """Each up channel arrives under its topic, each body unchanged; commands and group broadcasts come down."""
    with Emd(broker) as emd:
        one = device(config(broker))
        assert one.expect("up")["up"] is False
        names = ("register", "status", "telemetry", "interval", "alarm", "link")
        bodies = {name: bytes([CH[name]]) * 40 for name in names}
        for name, body in bodies.items():
            one.send(CH[name], body)
        emd.wait(lambda got: len(got) == 6)
        assert dict(emd.received) == {f"{TOPIC}/{name}": body for name, body in bodies.items()}
        emd.publish(f"{TOPIC}/cmd", b"\x01\x02")
        assert one.expect("message") == {"message": CH["cmd"], "body": "0102"}
        emd.publish(f"der/{UTILITY}/group/area1/price", b"\x09" * 600)
        assert one.expect("message") == {"message": CH["price"], "body": "09" * 600}


def test_packet_ids_wrap(broker, device):
    """Past 65,535 comes 1, never 0; every message arrives."""
    with Emd(broker) as emd:
        one = device(config(broker, first_pid=65530))
        one.expect("up")
        bodies = [b"p%02d" % number for number in range(40)]
        for body in bodies:
            one.send(CH["status"], body)
        emd.wait(lambda got: len(got) >= 40)
        assert emd.bodies(f"{TOPIC}/status") == bodies
        one.expect("accepted", 39)


def test_group_joined_later(broker, device):
    """A group that the EMD names at registration is heard from then on."""
    with Emd(broker) as emd:
        one = device(config(broker))
        one.expect("up")
        one.tell("group", "circuit7")
        one.send(CH["status"], b"asked")
        emd.wait(lambda got: got)
        emd.publish(f"der/{UTILITY}/group/circuit7/grid", b"\x08")
        assert one.expect("message") == {"message": CH["grid"], "body": "08"}


def test_no_growth(broker, device):
    """Hundreds of messages out and in leave no heap behind."""
    with Emd(broker) as emd:
        one = device(config(broker, window=4))
        one.expect("up")

        def rounds(count):
            have = len(emd.received)
            for _ in range(count):
                one.send(CH["status"], b"\x11" * 80)
                emd.client.publish(f"{TOPIC}/cmd", b"\x22" * 30, 1)
            emd.wait(lambda got: len(got) >= have + count, 60)
            for _ in range(count):
                one.expect("message")
            return one.ask("heap")

        before = rounds(50)
        assert rounds(500) <= before + 512


def test_umqtt_of_micropython_lib(broker, device, tmp_path):
    """With a umqtt.simple that does as release 1.8: it closes its old socket and sets a timeout to connect."""
    (tmp_path / "umqtt").mkdir()
    source = (runtimes.umqtt_dir() / "umqtt" / "simple.py").read_text()
    old = "        self.sock = socket.socket()\n"
    assert old in source
    source = source.replace(old, "        if self.sock:\n            self.sock.close()\n" + old
                            + "        self.sock.settimeout(None)\n")
    (tmp_path / "umqtt" / "simple.py").write_text(source)
    with Emd(broker) as emd:
        one = device(config(broker), umqtt=tmp_path)
        one.expect("up")
        one.send(CH["status"], b"\x01")
        emd.wait(lambda got: got == [(f"{TOPIC}/status", b"\x01")])
