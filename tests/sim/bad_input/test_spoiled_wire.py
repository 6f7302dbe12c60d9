"""Golden messages of CoAP, OSCORE and COSE, and what a house says in an hour, cut at every octet and with every octet
changed, on their way to either side: nothing raises but the one error of its layer, nothing is taken, nothing moves."""

import json

import pytest

from spot.log import Log
from spot.wire.coap import CoapError, Message
from spot.wire.coap_stream import StreamParser, to_stream
from spot.wire.cose import Cose, CoseError
from spot.wire.oscore import Oscore, OscoreError
from tests.conftest import ROOT
from tests.sim.bad_input.coap_house import (
    BLOCK1,
    BLOCK2,
    EMD,
    FORMAT,
    GET,
    OBSERVE,
    PATH,
    POST,
    SIZE1,
    STRANGER,
    TAG,
    CoapHouse,
    mirrored,
)
from tests.sim.bad_input.corpus import bodies
from tests.sim.bad_input.cose_house import CoseEmdHouse, CoseHouse
from tests.sim.bad_input.emd_house import EmdHouse
from tests.sim.bad_input.house import NOON, PLUG
from tests.unit.wire.coap_lab import make

_VECTORS = json.loads((ROOT / "tests/unit/wire/security.json").read_text())["messages"]
RFC = {
    "%s %s" % (row["id"], kind): bytes.fromhex(row[kind]) for row in _VECTORS for kind in ("protected", "unprotected")
}
HEAD = 8  # octets of type, code, message id and token (4), which nothing protects


def _plain():
    """A message of each kind, none of which is a command."""
    token, core = b"\1\2\3\4", [(PATH, b".well-known"), (PATH, b"core")]
    options = {
        "ping": (0, 0, b"", []),
        "reset": (3, 0, b"", []),
        "discovery": (0, GET, token, core),
        "filtered discovery": (1, GET, token, [*core, (15, b"rt=spot.*")]),
        "post": (0, POST, token, [(PATH, b"cmd"), (FORMAT, 60)]),
        "non": (1, POST, token, [(PATH, b"cmd"), (258, 26)]),
        "first block": (0, POST, token, [(PATH, b"cmd"), (BLOCK1, 8), (SIZE1, 600), (TAG, b"\1")]),
        "read": (0, GET, token, [(PATH, b"status"), (BLOCK2, 4), (17, 60)]),
        "observe": (0, GET, token, [(PATH, b"status"), (OBSERVE, 0)]),
        "condition": (0, POST, token, [(1, b"tag"), (PATH, b"cmd"), (5, b"")]),
        "echo": (0, POST, token, [(PATH, b"cmd"), (252, bytes(8))]),
        "long options": (0, POST, token, [(3, b"h" * 300), (PATH, b"p" * 20), (15, b"q" * 100)]),
        "answer": (2, 0x45, token, [(4, b"etag"), (OBSERVE, 9), (14, 60), (BLOCK2, 12)]),
        "refusal": (1, 0x84, token, []),
        "eight octets of token": (0, POST, bytes(8), [(PATH, b"cmd")]),
    }
    return {
        name: make(type, code, 0x4242, token, sorted(rows), b"x" * 16 if code and code != GET else b"")
        for name, (type, code, token, rows) in options.items()
    }


PLAIN = _plain()
GOLDEN = {**RFC, **PLAIN}


def spoiled(octets, bits=range(8), first=0):
    """Cut at every octet, one octet more, and each octet with each of these bits turned over."""
    for n in range(len(octets)):
        yield octets[:n]
    yield octets + b"\0"
    for at in range(first, len(octets)):
        for bit in bits:
            yield octets[:at] + bytes((octets[at] ^ 1 << (bit + at) % 8,)) + octets[at + 1 :]


def traffic():
    """All datagrams of a house in its first hour, each kind of message once: {name: octets}."""
    house, said = CoapHouse(), {}
    carry = house._carry

    def listen():
        for source, _, octets in house.air:
            said.setdefault("%s %02x %d octets" % (source, octets[0], len(octets)), octets)
        return carry()

    house._carry = listen
    house.run(120)
    house.give(house.body())
    house.run(3480)
    house.close()
    return said


@pytest.mark.parametrize("name", GOLDEN)
def test_parsers_raise_their_one_error(name):
    """CoAP, its frame on a stream, and OSCORE."""
    context, log = mirrored(), Log()
    m, whole = Message(), Oscore(log, bytes)
    whole.add(context)
    for bad in spoiled(GOLDEN[name]):
        try:
            m.parse(bad, len(bad))
        except CoapError:
            continue
        out = bytearray(len(bad) + 64)
        for call in (whole.unprotect_request, whole.unprotect_response):
            binding = whole.binding()
            binding.context = context
            try:
                call(m, out, binding)
            except OscoreError:
                continue
            except CoapError as error:
                assert m.find(9) < 0, error
        frame = bytearray(len(bad) + 8)
        n = to_stream(bad, len(bad), frame)
        parser = StreamParser(1200)
        assert parser.take(frame, 0, n) == n and bytes(parser.buf[4 : parser.n]) == bad[4:]


@pytest.mark.parametrize("name", GOLDEN)
def test_to_a_device(name):
    """From a stranger, and from the EMD's address: answered at most, kept never."""
    house = CoapHouse()
    for bad in spoiled(GOLDEN[name]):
        for source in (STRANGER, EMD):
            house.bring(bad, source)
        assert not [one for one in house.answered if one[:4] in ("2.04", "2.31")], bad.hex()
        house.answered.clear()
    assert house.cost().count("octet") <= 1 and not [row for row in ("remembered", "upload", "observer", "exchange")
                                                     if row in house.cost()], house.cost()
    _unmoved(house)


@pytest.mark.parametrize("name", PLAIN)
def test_to_a_device_from_who_is_proven(name):
    """Whatever an EMD says, tables keep their bounds and the load stands still: none of these is a command."""
    house = CoapHouse(security="certificate")
    for bad in spoiled(PLAIN[name]):
        house.bring(bad)
    house.air.clear()
    house.queue.clear()
    _unmoved(house)


def _unmoved(house):
    assert house.memory() == house.before
    house.run(900)
    assert house.plug.load.edges == [] and house.plug.app.log.trace == ""
    house.run(600)
    assert house.row().mode == 1
    house.complete()
    house.close()


@pytest.fixture(scope="module")
def hour():
    from tests.sim.bad_input.coap_house import patched

    with patched():
        return traffic()


def test_an_hour_of_datagrams_to_a_device(hour):
    """Those of its EMD, and its own, come back spoiled."""
    assert len(hour) > 10 and {name.split()[0] for name in hour} == {EMD, PLUG}
    house = CoapHouse()
    for name, octets in hour.items():
        for bad in spoiled(octets, bits=(0,), first=HEAD):
            house.bring(bad, EMD)
        assert not [one for one in house.answered if one[:4] in ("2.04", "2.31")], name
        house.answered.clear()
    _unmoved(house)


def test_an_hour_of_datagrams_to_the_emd(hour):
    """The same to aiocoap, with the vectors."""
    house = EmdHouse()
    state, n = house.memory(), 0
    for octets in (*GOLDEN.values(), *hour.values()):
        for bad in spoiled(octets, bits=(0,)):
            house.socket.sendto(bad, ("127.0.0.1", house.rig.port))
            n += 1
            if n % 32 == 0:
                house.quiet()
    house.quiet()
    assert n > 3000
    assert not house.rig.taken and house.memory() == state
    assert "coap_internal" not in house.news(), house.rig.link.notes.take()
    assert "remembered" not in house.cost() and "upload" not in house.cost() and "observation" not in house.cost()
    house.run(900)
    house.complete()
    house.close()


@pytest.mark.parametrize("mac", [False, True], ids=["encrypt0", "mac0"])
def test_cose_raises_its_one_error(mac):
    for _, _, channel, body in bodies("down", 5, NOON):
        sender, receiver = Cose(mirrored(), 7, device=False, mac=mac), _device(mac)
        out = bytearray(1200)
        octets = bytes(out[: sender.seal(channel, body, len(body), out)])
        for bad in spoiled(octets, bits=(0, 3)):
            with pytest.raises(CoseError):
                receiver.open(channel, bad, len(bad), out)
        assert receiver.open(channel, octets, len(octets), out) == len(body)


def _device(mac):
    from spot.wire.context import Context
    from tests.sim.bad_input.coap_house import SALT, SECRET

    return Cose(Context(SECRET, SALT, b"\1", b"\0"), 7, mac=mac)


def test_every_sealed_message_to_a_device():
    house = CoseHouse()
    for _, _, channel, body in bodies("down", house.core.epoch, house.utc):
        if channel == "cmd":
            for bad in spoiled(house.sealed(body), bits=(0,)):
                before = house.plug.logged("security.refused")
                house.bring(bad)
                assert house.plug.logged("security.refused") == before + 1, bad.hex()
    _unmoved(house)


def test_every_sealed_message_to_the_emd():
    house = CoseEmdHouse()
    state = house.memory()
    for _, _, channel, body in bodies("up", house.core.epoch, house.utc):
        for bad in spoiled(house.sealed_up(body, channel), bits=(0,)):
            assert not house.arrive(bad, channel), bad.hex()
    assert house.memory() == state
    house.run(900)
    assert house.plug.load.edges == []
    house.complete()
