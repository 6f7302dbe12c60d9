"""Firmware through the core: offers, pieces within bounds, campaigns that survive a restart, hostile asks."""

import base64

import pyhsslms
import pytest

from spot_host import suit
from spot_host.emd import firmware
from spot_host.emd.campaign import Pace
from spot_host.emd.config import EmdConfig, Mqtt
from spot_host.emd.core import EmdCore
from spot_host.emd.memory import MemoryOut
from spot_host.emd.mqtt import MqttLink
from spot_host.emd.sqlite import SqliteStorage
from spot_host.profile import codec
from tests.unit.emd.helpers import PLUG, PUMP, REASON, SERVICE, STATE, Bench, of, plug_values, pump_values

PRIVATE = pyhsslms.LmsPrivateKey(lms_type=pyhsslms.lms_sha256_m32_h5, lmots_type=pyhsslms.lmots_sha256_n32_w4)
IMAGE = bytes(range(251)) * 40


def release(sequence=5, board="pico", image=IMAGE, signed=True):
    m = suit.Manifest.of(image, sequence=sequence, version=f"1.{sequence}", board=board, march="armv6m", base=1)
    signature = b"\0\0\0\0" + PRIVATE.sign(suit.to_sign(suit.manifest_digest(m.encoded()))) if signed else b""
    return suit.write(m, image, signature)


OCTETS = release()


def files(octets=OCTETS, model="Model P"):
    return [{"octets": base64.b64encode(octets).decode(), "model": model}]


def plug(eui=PLUG, sequence=1, model="Model P", **more):
    values = plug_values(eui, model=model, sequence=sequence, **more)
    return {**values, "services": values.get("services", 0) | SERVICE["firmware"]}


def bench(**pace):
    made = Bench()
    made.register(plug())
    made.register(pump_values())
    made.campaign = made.core.updates.start(made.now, files(), {"soak_s": 0, **pace})
    return made


def ready(**pace):
    """A plug that was offered the release, and its offer."""
    made = bench(**pace)
    (offer,) = of(made.run(2), "firmware_offer", PLUG)
    return made, offer


def piece(made, offer, offset, count=512, device=PLUG):
    return of(made.up("piece", device, id=offer["id"], offset=offset, count=count), "piece", device)


def member(made, eui=PLUG):
    return made.core.updates.find(None).members[eui]


def answer(made, offer, state, reason="none", device=PLUG):
    made.status({"id": offer["id"], "revision": 0}, state, device, reason=REASON[reason])


def test_an_offer_says_what_the_release_is():
    made, offer = ready()
    assert offer["epoch"] == made.core.epoch and offer["sequence"] == 5 and offer["version"] == "1.5"
    assert offer["size"] == len(OCTETS) and offer["digest"] == suit.read(OCTETS).digest
    assert PUMP not in made.core.updates.find(None).members  # another model, and no service


def test_the_id_of_an_offer_is_no_commands():
    made, offer = ready()
    command = made.core.command(made.now, PLUG, "off", duration=60)
    assert command.id == offer["id"] + 1
    answer(made, offer, "received")
    answer(made, offer, "completed")
    assert member(made).state == "done" and command.state != STATE["completed"]


def test_an_offer_without_an_answer_comes_again_under_its_id():
    made, offer = ready()
    made.beat()
    again = []
    for _ in range(10):
        again += of(made.run(60), "firmware_offer", PLUG)
        made.beat()
    assert 3 <= len(again) <= 6 and all(o == offer for o in again)
    answer(made, offer, "received")
    for _ in range(30):
        made.beat()
        assert of(made.run(60), "firmware_offer") == []


def test_piece_by_piece_it_is_the_release():
    made, offer = ready()
    answer(made, offer, "received")
    octets = b""
    while len(octets) < len(OCTETS):
        (part,) = piece(made, offer, len(octets))
        assert part["offset"] == len(octets) and part["count"] == len(part["octets"])
        octets += part["octets"]
        made.run(1)
    assert octets == OCTETS
    assert piece(made, offer, len(octets)) == []


def test_a_device_that_asks_without_end_gets_so_much_a_second():
    made, offer = ready()
    answer(made, offer, "received")
    got = 0
    for _ in range(60):
        got += sum(len(p["octets"]) for _ in range(100) for p in piece(made, offer, 0, 768))
        made.run(1)
    assert firmware.RATE * 50 < got <= firmware.BURST + 60 * firmware.RATE
    assert made.core.updates.shelf.slowed > 1000


def test_together_they_get_so_much_a_second():
    made = Bench()
    euis = [f"{i:016x}" for i in range(1, 61)]
    for eui in euis:
        made.register(plug(eui))
    made.core.updates.start(made.now, files(), {"soak_s": 0, "canaries": 0, "at_once": 60, "per_hour": 100})
    sent = {who: m.values for who, m in made.run(2) if m.name == "firmware_offer"}
    assert len(sent) == 60
    got = 0
    for _ in range(3):
        for _ in range(24):
            got += sum(len(p["octets"]) for eui in euis for p in piece(made, sent[eui], 0, 768, eui))
        made.run(1)
    assert firmware.ALL_RATE * 2 < got <= firmware.ALL_BURST + 3 * firmware.ALL_RATE


def test_nothing_is_served_while_it_is_halted_or_when_it_is_over():
    made, offer = ready()
    answer(made, offer, "received")
    made.core.updates.halt(made.now, None)
    assert piece(made, offer, 0) == [] and made.core.devices[PLUG].hostile == 0
    made.core.updates.resume(made.now, None)
    made.beat()
    assert len(piece(made, offer, 0)) == 1
    assert [o["id"] for o in of(made.run(30), "firmware_offer")] == [offer["id"]]
    answer(made, offer, "completed")
    assert piece(made, offer, 0) == []
    made.core.updates.end(made.now, None)
    assert piece(made, offer, 0) == [] and made.core.updates.shelf.find(PLUG, offer["resource"]) is None


def test_a_device_that_was_not_registered_is_told_so():
    made, offer = ready()
    made.core.devices[PLUG].registered = False
    sent = made.up("piece", PLUG, id=offer["id"], offset=0, count=16)
    assert of(sent, "piece") == [] and of(sent, "heartbeat")


def test_the_new_firmware_registers_and_completes():
    made, offer = ready()
    answer(made, offer, "started")
    made.register(plug(sequence=5, boot=2))
    assert member(made).state == "trial"
    answer(made, offer, "completed")
    assert member(made).state == "done" and made.core.updates.find(None).state != "over"
    made.beat()
    made.run(20)
    assert made.core.updates.find(None).state == "over"


@pytest.mark.parametrize("how", ["registers with the old one", "alarm", "status"])
def test_a_way_back_halts_it(how):
    made, offer = ready()
    answer(made, offer, "started")
    made.register(plug(sequence=5, boot=2))
    if how == "alarm":
        made.event("alarm", time=made.now, code=23, raised=1, value=5)
    elif how == "status":
        answer(made, offer, "aborted", "rolled_back")
    else:
        made.register(plug(sequence=1, boot=3))
    campaign = made.core.updates.find(None)
    assert campaign.state == "halted" and "rolled_back" in campaign.why and member(made).state == "failed"


def test_a_device_that_comes_later_is_offered_it_then():
    made, offer = ready()
    answer(made, offer, "completed")
    made.beat()
    made.run(20)
    late = "02000000000000aa"
    made.register(plug(late))
    assert len(of(made.run(12), "firmware_offer", late)) == 1


def test_an_offline_device_waits_and_nobody_waits_for_it():
    made = Bench()
    late = "02000000000000aa"
    made.register(plug(late))
    made.run(3600)  # not heard since
    made.register(plug())
    made.core.updates.start(made.now, files(), {"soak_s": 0})
    (offer,) = of(made.run(2), "firmware_offer")
    answer(made, offer, "completed")
    made.beat()
    assert of(made.run(600), "firmware_offer", late) == [] and member(made, late).state == "waiting"
    made.up("heartbeat", late, epoch=made.core.epoch, time=made.now, digest=0, clock=4, mode=1, beat=1)
    assert len(of(made.run(15), "firmware_offer", late)) == 1


def test_several_boards_in_one_campaign():
    made = Bench()
    euis = {f"{i:016x}": model for i, model in enumerate(["P", "P", "Q", "Q", "R"], 1)}
    for eui, model in euis.items():
        made.register(plug(eui, model=model))
    made.core.updates.start(made.now, files(model="P") + files(release(board="unix"), "Q"), {"canaries": 1})
    sent = [(who, m.values["resource"]) for who, m in made.run(2) if m.name == "firmware_offer"]
    assert sorted(euis[who] for who, _ in sent) == ["P", "Q"] and len({r for _, r in sent}) == 2
    assert len(made.core.updates.find(None).members) == 4


def test_two_campaigns_for_one_device_do_not_run():
    made, _ = ready()
    with pytest.raises(ValueError, match="end it first"):
        made.core.updates.start(made.now, files(release(6)), {})
    made.core.updates.end(made.now, 1)
    assert made.core.updates.start(made.now, files(release(6)), {}).id == 2


def test_a_campaign_that_is_over_gives_way_to_the_next():
    made, offer = ready()
    answer(made, offer, "completed")
    made.register(plug(sequence=5, boot=2))
    made.run(20)
    assert made.core.updates.find(1).state == "over"
    made.core.updates.start(made.now, files(release(6)), {"soak_s": 0})
    assert made.core.updates.find(1).state == "ended"
    made.beat()
    (newer,) = of(made.run(12), "firmware_offer", PLUG)
    assert newer["sequence"] == 6
    answer(made, offer, "completed")  # a late word of the first takes nothing from the second
    assert len(piece(made, newer, 0)) == 1
    late = "02000000000000aa"
    made.register(plug(late))
    answer(made, newer, "completed")
    assert [o["sequence"] for o in of(made.run(30), "firmware_offer", late)] == [6]


def test_a_named_device_of_an_unknown_model():
    made = Bench()
    made.register(plug(model="my own"))
    made.core.updates.start(made.now, files(model=None), {}, [PLUG])
    assert len(of(made.run(2), "firmware_offer", PLUG)) == 1


def test_the_clock_set_back_delays_nothing():
    made, offer = ready()
    made.run(20)
    made.now -= 86400
    made.core.step(made.now)
    made.beat()
    assert of(made.run(120), "firmware_offer", PLUG)


def test_a_restart_at_any_time_goes_on(tmp_path):
    """Killed after each round: who was offered is offered under the same id, and what was promised is on disk."""

    def start(now):
        made.storage = SqliteStorage(tmp_path / "emd.sqlite")
        made.out = MemoryOut()
        made.core = EmdCore(EmdConfig(), made.storage, made.out, now)

    made = Bench()
    start(made.now)
    made.register(plug())
    made.run(2)
    made.core.updates.start(made.now, files(), {"soak_s": 600, "canaries": 1})
    made.run(0)
    start(made.now)  # without a close: what was committed is all there is
    (offer,) = of(made.beat() + made.run(12), "firmware_offer", PLUG)
    start(made.now)
    assert member(made).offer == offer["id"] and member(made).state == "offered"
    made.beat()
    answer(made, offer, "received")
    made.run(2)
    start(made.now)
    octets = b""
    while len(octets) < len(OCTETS):
        (part,) = piece(made, offer, len(octets), 768)
        octets += part["octets"]
        made.run(1)
    assert octets == OCTETS
    answer(made, offer, "completed")
    made.run(12)
    start(made.now)
    campaign = made.core.updates.find(None)
    assert campaign.state == "soaking" and member(made).state == "done" and campaign.pace == Pace(soak_s=600)
    for _ in range(12):
        made.beat()
        made.run(60)
    start(made.now)
    assert made.core.updates.find(None).state == "over"


def test_pieces_are_best_effort_on_mqtt_and_offers_are_not():
    """A broker must not keep pieces for a device that is away."""

    class Client:
        sent = []

        def publish(self, topic, body, qos, *_):
            self.sent.append((topic.rsplit("/", 1)[1], qos))

    link = MqttLink(Mqtt(tls=False), "home", None, None, None, lambda device: "plug", ())
    link._client, link.connected = Client(), True
    made, offer = ready()
    for name, values in (
        ("piece", {"id": 1, "offset": 0, "count": 1, "octets": b"x"}), ("firmware_offer", offer),
        ("rekey", {"epoch": 1, "id": 1, "generation": 1, "secret": bytes(16)}), ("answer", {"about": 1, "reason": 0}),
    ):
        link.send(PLUG, "cmd", codec.encode(name, values))
    assert Client.sent == [("cmd", 0), ("cmd", 1), ("cmd", 1), ("cmd", 0)]
