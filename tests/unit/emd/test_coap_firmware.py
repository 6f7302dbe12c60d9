"""The EMD's OSCORE against the firmware's own (spot.wire.oscore), message by message: ordinary exchanges, Echo after a
restart of the EMD, and keys derived anew when the device has lost its sequence numbers (RFC 8613, appendix B.2)."""

import os
import socket

import pytest

from spot.log import Log
from spot.wire.coap import Builder, Message
from spot.wire.coap_numbers import COAP_POST, OPT_ECHO, OPT_URI_PATH
from spot.wire.context import Context
from spot.wire.oscore import Oscore, OscoreError
from tests.unit.emd.coap_rig import BODY, EUIS, Rig, pairing

ONE = EUIS[0]
CHANGED, UNAUTHORIZED = 0x44, 0x81


class Store(dict):
    """What the context keeps over the device's restart."""

    def put(self, name, raw):
        self[name] = bytes(raw)


class Chip:
    """The device's end: its wire, on a socket."""

    def __init__(self, rig, store=None, known=False):
        self.rig, self.store = rig, Store() if store is None else store
        self.oscore = Oscore(Log(), os.urandom)
        p = pairing(1)
        self.context = Context(p.secret, p.salt, p.id, p.emd, p.id_context, self.store, "one", known)
        self.oscore.add(self.context)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(5)
        self.mid = int.from_bytes(os.urandom(2), "big")

    def post(self, channel, echo=None):
        """(code, Echo or None) of the response to one request; an error in the clear is None, its code."""
        buf, out = bytearray(512), bytearray(600)
        self.mid = self.mid + 1 & 0xFFFF
        b = Builder(buf)
        b.start(0, COAP_POST, self.mid, bytes(self.mid.to_bytes(2, "big")), 2)
        b.text(OPT_URI_PATH, channel)
        if echo is not None:
            b.option(OPT_ECHO, echo, 0, len(echo))
        b.payload(BODY, 0, len(BODY))
        binding = self.oscore.binding()
        n = self.oscore.protect_request(buf, b.n, out, self.context, binding)
        self.sent = bytes(out[:n])
        self.socket.sendto(self.sent, ("127.0.0.1", self.rig.port))
        answer = self.socket.recv(2048)
        m = Message()
        m.parse(answer, len(answer))
        plain = bytearray(len(answer) + 32)
        try:
            n = self.oscore.unprotect_response(m, plain, binding)
        except OscoreError as exc:
            if exc.text == "unprotected":
                return None, exc.code
            raise
        m.parse(plain, n)
        i = m.find(OPT_ECHO)
        return m.code, m.octets(i) if i >= 0 else None

    def ask(self, channel):
        """`post` as the firmware's endpoint does it: once more with the Echo it is given."""
        code, echo = self.post(channel)
        times = 1
        while code == UNAUTHORIZED and echo is not None and times < 4:
            code, echo = self.post(channel, bytes(echo))
            times += 1
        return code, times


@pytest.fixture
def rig():
    made = []

    def make(**options):
        made.append(Rig(count=1, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_firmware_and_the_emd_understand_one_another(rig):
    r = rig()
    chip = Chip(r)
    assert [chip.ask("status") for _ in range(40)] == [(CHANGED, 1)] * 40
    assert len(r.taken) == 40


def test_an_emd_that_crashed_asks_for_an_echo_once(rig):
    first = rig()
    chip = Chip(first)
    assert chip.ask("register") == (CHANGED, 1)
    keys = type(first.keys)()
    keys.put(first.keys._records)
    chip.rig = second = rig(keys=keys)
    assert chip.ask("status") == (CHANGED, 2)
    assert [chip.ask("status") for _ in range(3)] == [(CHANGED, 1)] * 3
    assert [a.channel for a in second.taken] == ["status"] * 4


def test_a_device_that_lost_its_numbers_gets_new_keys(rig):
    r = rig()
    assert Chip(r).ask("register") == (CHANGED, 1)
    chip = Chip(r, Store(), known=True)  # its flash was wiped, the pairing is still there
    code, times = chip.ask("status")
    assert code == CHANGED and times <= 3
    assert r.events() == [(ONE, "coap_renewed")]
    assert [chip.ask("status") for _ in range(3)] == [(CHANGED, 1)] * 3
    assert Chip(r).post("status")[1] in (0x80, 0x81)  # the keys of before are worth nothing
    again = Chip(r, chip.store)  # and the device's restart keeps the new ones
    assert again.ask("status") == (CHANGED, 1)
    r.link.stop()
    second = rig(keys=r.keys)  # as does the EMD's
    again.rig = second
    assert again.ask("status") == (CHANGED, 1)
    assert r.link.notes.counts.get("coap_internal") is None


def test_the_last_step_that_comes_again_renews_nothing(rig):
    r = rig()
    assert Chip(r).ask("register") == (CHANGED, 1)
    chip = Chip(r, Store(), known=True)
    assert chip.ask("status")[0] == CHANGED
    last = chip.sent
    chip = Chip(r, Store(), known=True)  # and once more
    assert chip.ask("status")[0] == CHANGED
    keys, taken = r.link._contexts.of(ONE).recipient_key, len(r.taken)
    thief = Chip(r)
    thief.socket.sendto(last[:2] + b"\x00\x01" + last[4:], ("127.0.0.1", r.port))
    thief.socket.recv(2048)
    assert r.link._contexts.of(ONE).recipient_key == keys and len(r.taken) == taken
    assert chip.ask("status") == (CHANGED, 1)


def test_the_first_step_again_and_again_changes_nothing(rig):
    r = rig()
    good = Chip(r)
    assert good.ask("register") == (CHANGED, 1)
    for _ in range(20):
        lost = Chip(r, Store(), known=True)
        lost.post("status")  # and it is gone before the second
    assert good.ask("status") == (CHANGED, 1)
    assert r.events() == []
