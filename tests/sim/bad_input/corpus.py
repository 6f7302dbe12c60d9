"""Every example of every message, made to fit a house, then cut at every octet and with every bit turned over."""

from spot_host.profile import codec
from spot_host.profile import definition as d
from spot_host.profile.examples import every
from tests.sim.bad_input.house import PLUG


def bodies(way, epoch, utc, boot=1, eui=PLUG):
    """(name, type name, channel, body) of each example that goes `way` ("up" or "down"), with this epoch, time and
    identity."""
    for name, kind, _, values in every():
        message = d.message(kind)
        if message.way not in (way, "both", "group" if way == "down" else way) or name.endswith(
            ("_lowest", "_highest")
        ):
            continue
        values = dict(values)
        for field, value in (
            ("epoch", epoch),
            ("boot", boot),
            ("eui64", bytes.fromhex(eui)),
            ("issued", utc),
            ("time", utc),
            ("start", utc),
        ):
            if field in values:
                values[field] = value
        channel = message.channel if message.way != "both" or way == "up" else "cmd"
        yield name, kind, channel, codec.encode(kind, values)


def spoiled(body):
    """`body` cut at every octet, with one octet more, and with each single bit turned over."""
    for n in range(len(body)):
        yield body[:n]
    yield body + b"\0"
    for at in range(len(body)):
        for bit in range(8):
            yield body[:at] + bytes((body[at] ^ 1 << bit,)) + body[at + 1 :]


def refused(body):
    """Whether the host's strict codec, which shares no code with the device's, refuses `body`."""
    try:
        codec.decode(body)
    except codec.ProfileError:
        return True
    return False
