"""COSE on the EMD's MQTT side, against the firmware's: what the broker could do, and what it gets for it."""

import pytest

from spot.wire.context import Context
from spot.wire.cose import Cose
from spot_host.emd.keyrings import Keyrings
from spot_host.emd.links import Links
from spot_host.emd.secure import Secure
from spot_host.emd.storage import MemoryKeys
from spot_host.profile import codec
from tests.unit.emd.coap_rig import BODY, EUIS, pairing

ONE, TWO = EUIS[:2]
COMMAND = bytes(range(20))


class Home:
    def __init__(self, protect="both", keys=None, boot=3):
        self.notes, self.boot, self.keys = [], boot, keys or MemoryKeys()
        self.keyrings = Keyrings(None, self.keys)
        self.keyrings.set({ONE: [pairing(1)], TWO: [pairing(2)]}, {ONE: protect, TWO: "none"})
        self.secure = Secure(self.keyrings, lambda eui: self.boot, lambda *note: self.notes.append(note))


def chip(n=1, boot=3, generation=0):
    p = pairing(n, generation)
    return Cose(Context(p.secret, p.salt, p.id, p.emd, p.id_context), boot)


def sealed(device, channel="status", body=BODY):
    out = bytearray(300)
    return bytes(out[: device.seal(channel, body, len(body), out)])


def opened(device, body, channel="cmd"):
    out = bytearray(300)
    return bytes(out[: device.open(channel, body, len(body), out)])


def test_both_ways():
    home, device = Home(), chip()
    assert home.secure.open(ONE, "status", sealed(device)) == BODY
    down = home.secure.seal(ONE, "cmd", COMMAND)
    assert COMMAND not in down and len(down) - len(COMMAND) <= 21
    assert opened(device, down) == COMMAND
    assert home.secure.seal(TWO, "cmd", COMMAND) == COMMAND and home.secure.open(TWO, "status", BODY) == BODY


@pytest.mark.parametrize("protect, up, down", [
    ("none", False, False), ("up", True, False), ("down", False, True), ("both", True, True)])
def test_each_direction_by_itself(protect, up, down):
    home = Home(protect)
    assert (home.secure.open(ONE, "status", BODY) is None) == up
    assert (home.secure.seal(ONE, "cmd", COMMAND) != COMMAND) == down


BAD = [  # what the broker does, what it hands on, the note
    ("what was not protected", lambda device: BODY, "status", "cose_form"),
    ("the same again", lambda device: None, "status", "cose_replay"),
    ("one bit changed", lambda device: (lambda b: b[:-1] + bytes((b[-1] ^ 1,)))(sealed(device)), "status",
     "cose_forged"),
    ("cut short", lambda device: sealed(device)[:-4], "status", "cose_form"),
    ("on another channel", lambda device: sealed(device, "telemetry"), "status", "cose_forged"),
    ("another device's", lambda device: sealed(chip(2)), "status", "cose_kid"),
    ("of a generation that was never given", lambda device: sealed(chip(1, generation=4)), "status", "cose_kid"),
    ("without an end", lambda device: b"\x83" * 5000, "status", "cose_form"),
    ("nothing", lambda device: b"", "status", "cose_form"),
]


@pytest.mark.parametrize("what, make, channel, event", BAD, ids=[row[0] for row in BAD])
def test_what_a_broker_makes_of_it_does_not_pass(what, make, channel, event):
    home, device = Home(), chip()
    good = sealed(device)
    assert home.secure.open(ONE, channel, good) == BODY
    assert home.secure.open(ONE, channel, make(device) if what != "the same again" else good) is None
    assert [(note[0], note[1]) for note in home.notes] == [(event, ONE)]
    assert home.secure.open(ONE, channel, sealed(device)) == BODY


def test_a_command_is_for_this_device_since_this_start():
    home = Home()
    down = home.secure.seal(ONE, "cmd", COMMAND)
    with pytest.raises(ValueError, match="forged"):
        opened(chip(1, boot=4), down)
    with pytest.raises(ValueError, match="kid|forged"):
        opened(chip(2), down)
    home.boot = None
    assert home.secure.seal(ONE, "cmd", COMMAND) is None and home.notes[-1][0] == "cose_held"


def test_nothing_older_passes_after_a_restart_of_the_emd():
    home, device = Home(), chip()
    old = [sealed(device) for _ in range(3)]
    assert home.secure.open(ONE, "status", old[2]) == BODY
    numbers = {opened_piv(home.secure.seal(ONE, "cmd", COMMAND)) for _ in range(3)}
    home.secure.keep()
    again = Home(keys=home.keys)
    assert [again.secure.open(ONE, "status", one) for one in old] == [None] * 3
    assert again.secure.open(ONE, "status", sealed(device)) == BODY
    assert opened_piv(again.secure.seal(ONE, "cmd", COMMAND)) not in numbers  # and none twice on the way down


def opened_piv(message):
    import cbor2

    return cbor2.loads(message)[1][6]


def test_rotation_on_mqtt():
    home, old, new = Home(), chip(), chip(generation=1)
    home.secure.open(ONE, "status", sealed(old))
    home.keyrings.set({ONE: [pairing(1), pairing(1, 1)], TWO: [pairing(2)]}, {ONE: "both"})
    assert home.secure.open(ONE, "status", sealed(old)) == BODY
    assert opened(old, home.secure.seal(ONE, "cmd", COMMAND)) == COMMAND
    home.keyrings.offered(ONE, 1)
    assert opened(new, home.secure.seal(ONE, "cmd", COMMAND)) == COMMAND
    assert home.secure.open(ONE, "status", sealed(old)) == BODY
    assert home.secure.open(ONE, "status", sealed(new)) == BODY
    assert home.secure.open(ONE, "status", sealed(old)) is None


def test_the_last_will_is_the_brokers_and_what_it_retained_is_no_attack():
    home, device = Home(), chip()
    lost, online = codec.encode("link", {"online": 0, "boot": 3}), codec.encode("link", {"online": 1})
    kept = sealed(device, "link", online)
    assert home.secure.open(ONE, "link", kept) == online
    assert home.secure.open(ONE, "link", lost) == lost
    assert home.secure.open(ONE, "link", kept) is None and home.notes == []
    assert home.secure.open(ONE, "link", online) is None and home.secure.open(ONE, "status", lost) is None


def test_a_broker_does_not_speak_or_hear_for_a_device_that_is_under_oscore():
    """It has keys for CoAP and none of its messages on MQTT is protected: whoever has the broker could take it over."""
    home, took = Home("none"), []
    mqtt, coap = Wire(), Wire()
    links = Links(mqtt, coap, home.secure, lambda *what: took.append(what), lambda *note: None)
    assert home.keyrings.used(ONE, pairing(1))  # as the CoAP side says
    links.from_mqtt(ONE, "status", BODY, "plug")
    assert took == [] and coap.moved == [] and home.notes[-1][:2] == ("mqtt_unproven", ONE)
    links.send(ONE, "cmd", COMMAND)  # it has not spoken since the EMD's start
    assert mqtt.sent == []
    links.from_mqtt(TWO, "status", BODY, "plug")  # has never used its keys
    assert took == [(TWO, "status", BODY, "plug")]


# --- which way

class Wire:
    """Stands for MqttLink and CoapLink."""

    def __init__(self, way=None):
        self.sent, self.published, self._way, self.moved = [], [], way, []

    def send(self, device, channel, body):
        self.sent.append((device, body))

    def publish(self, *what):
        self.published.append(what)

    def way(self, device):
        return self._way

    def protected(self, device):
        return "oscore" in (self._way or "")

    def moved_away(self, device):
        self.moved.append(device)
        self._way = None


def test_what_goes_out_goes_where_the_device_spoke_last():
    mqtt, coap, took = Wire(), Wire(), []
    links = Links(mqtt, coap, None, lambda *what: took.append(what), lambda *note: None)
    links.send(ONE, "cmd", COMMAND)
    assert (len(mqtt.sent), len(coap.sent)) == (1, 0)  # before it has spoken
    coap._way = "coap+oscore"
    links.send(ONE, "cmd", COMMAND)
    assert (len(mqtt.sent), len(coap.sent)) == (1, 1)
    links.from_mqtt(ONE, "status", BODY, "plug")
    assert coap.moved == [ONE] and took == [(ONE, "status", BODY, "plug")]
    links.send(ONE, "cmd", COMMAND)
    assert (len(mqtt.sent), len(coap.sent)) == (2, 1) and links.way(ONE) == "mqtt"
    links.publish("1", "price", BODY)
    assert mqtt.published == coap.published == [("1", "price", BODY)]


def test_no_secret_goes_out_in_the_clear():
    rekey = codec.encode("rekey", {"epoch": 1, "id": 1, "generation": 1, "secret": bytes(16)})
    notes, mqtt, coap = [], Wire(), Wire("coap")
    links = Links(mqtt, coap, None, lambda *what: None, lambda *note: notes.append(note[0]))
    links.send(ONE, "cmd", rekey)
    coap._way = None
    links.from_mqtt(ONE, "status", BODY, "plug")
    links.send(ONE, "cmd", rekey)
    assert mqtt.sent == coap.sent == [] and notes == ["rekey_held"] * 2
    links._on_mqtt.clear()
    coap._way = "coap+oscore"
    links.send(ONE, "cmd", rekey)
    assert coap.sent == [(ONE, rekey)]
    home = Home()
    secured = Links(mqtt, None, home.secure, None, None)
    secured.send(ONE, "cmd", rekey)
    assert len(mqtt.sent) == 1 and rekey not in mqtt.sent[0][1]


@pytest.mark.parametrize("broker", [True, False], ids=["with a broker", "CoAP alone"])
def test_no_secret_goes_out_and_none_is_said_to_be_held_before_the_device_is_heard(broker):
    rekey = codec.encode("rekey", {"epoch": 1, "id": 1, "generation": 1, "secret": bytes(16)})
    notes, mqtt, coap = [], Wire() if broker else None, Wire(None)  # as after a restart of the EMD
    links = Links(mqtt, coap, None, None, lambda *note: notes.append(note[0]))
    links.send(ONE, "cmd", rekey)
    assert notes == [] and coap.sent == [] and (mqtt is None or mqtt.sent == [])
