"""Messages both ways over mutually authenticated TLS, on MicroPython, through mosquitto."""

from spot_host.profile.definition import CHANNELS

from tests.unix.link.harness import TOPIC, UTILITY, Emd, config

CH = {name: code for code, name, *_ in CHANNELS}


def test_messages_both_ways(broker, device):
    """Each up channel arrives under its topic, each body unchanged; commands and group broadcasts come down."""
    with Emd(broker) as emd:
        one = device(config(broker))
        assert one.expect("up")["up"] is False
        bodies = {name: bytes([CH[name]]) * 40 for name in ("register", "status", "telemetry", "interval", "alarm", "link")}
        for name, body in bodies.items():
            one.send(CH[name], body)
        emd.wait(lambda got: len(got) == 6)
        assert dict(emd.received) == {f"{TOPIC}/{name}": body for name, body in bodies.items()}
        emd.publish(f"{TOPIC}/cmd", b"\x01\x02")
        assert one.expect("message") == {"message": CH["cmd"], "body": "0102"}
        emd.publish(f"der/{UTILITY}/group/area1/price", b"\x09" * 600)
        assert one.expect("message") == {"message": CH["price"], "body": "09" * 600}
