"""An update through the whole App: what a device says of its slots, whom it believes, and when it keeps still."""

import json
from pathlib import Path

import pytest

from spot.app import App
from spot.codes import (
    ABSENT,
    ALARM_OVER_POWER,
    CH_CMD,
    RESET_POWER_ON,
    RESET_SOFT,
)
from spot.config import ConfigError
from spot.config_check import check_device_config
from spot_host import suit
from spot_host.profile import codec
from spot_host.profile import definition as d
from spot_sim.firmware import SimFirmware, release
from spot_sim.flash import MemoryFs
from spot_sim.hardware import Hardware, LoadMeter

BOARD = json.loads((Path(__file__).resolve().parents[3] / "boards" / "sim" / "board.json").read_text())
LAMP = {"parts": BOARD["parts"] | {"led": {"driver": "led", "pin": 4}}}
NOON = 1765537200
EPOCH = 7
OBJ = {name: id_ for id_, _, name, *_ in d.OBJECTS}
STATE = {code: name for code, name, _ in d.enum("State").rows}
REASON = {code: name for code, name, _ in d.enum("Reason").rows}
FIRMWARE = next(1 << bit for bit, name, _ in d.enum("Service").rows if name == "firmware")


class Load:
    power_factor = 1.0
    watts = 0.0

    def power_w(self, now_s):
        return self.watts

    def energy_mj(self, now_s):
        return 0


class Desk:
    """A device with slots, and an EMD that serves what it offers. `sent`: what the device said since it was asked."""

    def __init__(self, maker, description=BOARD, slots=True, **config):
        self.maker, self.description, self.slots = maker, description, slots
        self.fs, self.load = MemoryFs(), Load()
        self.config = {"eui64": "0200000000000001", "store": "s", "device": {"over_power_w": 3000},
                       "update": {"keys": ["00000001" + maker.key.hex()], "rate": 4096}, **config}
        self.firmware = SimFirmware(self.fs)
        if slots:
            self.firmware.install(maker.release(1)[0])
        self.told, self.alarms, self.served, self.serving = [], [], {}, True
        self.hardware = None
        self.boot(RESET_POWER_ON)

    def boot(self, reset=RESET_SOFT, safe=0):
        if self.hardware is None:
            self.hardware = Hardware()
            self.hardware.meter = LoadMeter(self.load)
        else:
            self.hardware.restart()
        self.hardware.now_s = 0
        self.now, self.sent, self.asked = 0, [], []
        self.firmware.start("s")
        self.app = App(self.description, self.config, self.hardware, self.fs, self.send, reset, safe=safe)
        self.app.use(self.firmware.slots(self.app.store))
        self.app.link_up(0, False)
        self.run(2)
        self.give("registered", reason=0, boot=self.app.identity.boot, epoch=EPOCH, time=NOON)
        self.run(2)

    def send(self, channel, buf, n, urgent=False):
        message = codec.decode(bytes(buf[:n]))
        self.sent.append(message)
        if message.name == "piece":
            self.asked.append(message.values)
        elif message.name == "status":
            self.told.append((message["id"], STATE[message["state"]], REASON[message["reason"]]))
        elif message.name == "alarm":
            self.alarms.append((message["code"], message["raised"], message.values.get("value")))
        return True

    def give(self, name, **values):
        body = bytearray(codec.encode(name, values))
        self.app.receive(self.now, CH_CMD, body, len(body))

    def offer(self, sequence, id_=5, **other):
        octets, _, digest = self.maker.release(sequence)
        self.served[id_] = octets
        said = {"epoch": EPOCH, "id": id_, "sequence": sequence, "version": f"1.{sequence}.0", "size": len(octets),
                "digest": digest, "resource": digest.hex()[:16], **other}
        self.sent = []
        self.give("firmware_offer", **said)
        return [(REASON[m["reason"]], m["ref"]) for m in self.sent if m.name == "answer"]

    def run(self, seconds, until=None):
        for _ in range(seconds):
            if until is not None and until():
                return True
            self.now += 1
            self.hardware.advance(self.now)
            self.app.clock.tick(self.now * 1000)
            asked, self.asked = self.asked, []
            for one in asked if self.serving else ():
                octets = self.served[one["id"]][one["offset"] : one["offset"] + one["count"]]
                self.give("piece", id=one["id"], offset=one["offset"], count=len(octets), octets=octets)
            self.app.step(self.now)
            if self.app.restart_s != ABSENT and self.now >= self.app.restart_s:
                self.app.close()
                self.boot()
        return until is None or until()

    def read(self, *names):
        self.sent = []
        self.give("read", epoch=EPOCH, id=900 + self.now, issued=NOON + self.now, objects=[OBJ[n] for n in names])
        self.run(1)
        answer = next(m for m in self.sent if m.name == "read_response")
        values = dict(zip(answer["values"][::2], answer["values"][1::2], strict=True))
        return [values.get(OBJ[name]) for name in names]

    @property
    def sequence(self):
        return self.firmware.running["sequence"] if self.firmware.running else 0

    def confirmed(self):
        return not self.app.firmware._slots.trial


@pytest.fixture
def desk(maker):
    return lambda **more: Desk(maker, **more)


def registered(desk):
    desk.app.link_up(desk.now, False)
    return desk


def test_what_a_device_with_slots_says_of_itself(desk):
    one = desk()
    one.boot()
    hello = one.app.agent.hello.describe()
    assert (hello["sequence"], hello["firmware"]) == (1, "1.1.0") and hello["services"] & FIRMWARE
    assert one.read("firmware_sequence", "firmware_slot", "firmware_progress") == [1, 0, None]
    one.offer(2)
    one.run(20)
    assert 0 < one.read("firmware_progress")[0] < 1000
    assert one.run(300, lambda: one.sequence == 2)
    assert one.read("firmware_sequence", "firmware_slot") == [2, 1]
    assert one.app.agent.hello.describe()["firmware"] == "1.2.0"


def test_an_update_over_messages(desk):
    one = desk()
    assert one.offer(2) == [("none", 5)]
    assert one.run(300, lambda: one.sequence == 2) and not one.confirmed()
    assert one.run(100, one.confirmed)
    one.run(60)
    states = [(state, reason) for id_, state, reason in one.told if id_ == 5]
    assert list(dict.fromkeys(states)) == [("received", "none"), ("started", "none"), ("completed", "none")]
    assert one.offer(2, 6) == [("sequence", 6)]


def test_the_update_part_is_not_loaded_before_it_is_needed(desk):
    one = desk()
    one.run(1000)
    assert one.app.firmware._updater is None
    one.offer(2)
    assert one.app.firmware._updater is not None


def test_a_development_copy_has_no_slot(desk):
    one = desk(slots=False)
    assert one.offer(2) == [("no_slot", 5)] and one.told == []
    hello = one.app.agent.hello.describe()
    assert "sequence" not in hello and not hello["services"] & FIRMWARE


@pytest.mark.parametrize(("config", "reason"), [
    ({"data": ["telemetry"]}, "not_supported"),  # that EMD is no service
    ({"update": {"keys": [], "auto": False}}, "not_supported"),
])
def test_who_may_not_update(desk, config, reason):
    one = desk(**config)
    assert one.offer(2) == [(reason, 5)]
    one.run(60)
    assert one.sequence == 1 and one.told == [] and one.app.firmware._updater is None


def test_an_offer_of_another_epoch_is_none(desk):
    one = desk()
    assert one.offer(2, epoch=EPOCH - 1)[0][0] in ("other_emd", "wrong_epoch")
    assert one.app.firmware._updater is None


def test_an_offer_that_is_not_known_any_more_ends_and_the_device_does_not_register_anew(desk):
    one = desk()
    one.offer(2)
    one.run(15)
    one.sent = []
    unknown = next(code for code, name in REASON.items() if name == "unknown_id")
    one.give("answer", about=d.message("piece").code, reason=unknown, ref=5)
    one.run(30)
    assert one.told[-1] == (5, "aborted", "ended")
    assert not [m for m in one.sent if m.name == "register"]


def test_unasked_pieces_load_nothing_and_do_nothing(desk):
    one = desk()
    one.give("piece", id=5, offset=0, count=4, octets=b"xxxx")
    one.give("piece", id=5, offset=0, count=4)
    one.run(5)
    assert one.sequence == 1 and one.app.log.counts["update.unasked"] == 2
    assert one.app.firmware._updater is None


@pytest.mark.parametrize("stage", [1, 2])
def test_in_safe_mode_an_update_works_and_leads_out_of_it(desk, stage):
    one = desk()
    one.boot(safe=stage)
    assert one.app.starts.safe == stage
    one.app.starts._score = 28  # as after the failures that lead there
    assert one.offer(2) == [("none", 5)]
    assert one.run(400, lambda: one.sequence == 2), one.told
    assert one.app.starts.safe == 0 and one.run(100, one.confirmed)
    one.run(30)
    assert (5, "completed", "none") in one.told


def test_a_trial_in_safe_mode_is_not_confirmed(desk):
    one = desk()
    one.offer(2)
    assert one.run(300, lambda: one.sequence == 2)
    one.boot(safe=1)
    one.run(300)
    assert not one.confirmed()
    assert one.run(400, lambda: one.sequence == 1), "its ten minutes are over"


def test_a_factory_reset_keeps_the_slots(desk):
    one = desk()
    one.offer(2)
    assert one.run(300, lambda: one.sequence == 2) and one.run(100, one.confirmed)
    one.app.factory_reset(one.now)
    assert one.run(20, lambda: one.now < 10)
    assert (one.sequence, one.confirmed()) == (2, True)
    assert one.app.store.get("update") is None, "whose offer it was is the household's"


def test_a_factory_reset_in_a_trial_leaves_the_trial(desk):
    one = desk()
    one.offer(2)
    assert one.run(300, lambda: one.sequence == 2)
    one.app.factory_reset(one.now)
    assert one.run(20, lambda: one.now < 10)
    assert (one.sequence, one.confirmed()) == (2, False)
    assert one.run(100, one.confirmed)


def test_a_roll_back_is_told_as_an_alarm_which_goes(desk):
    one = desk()
    one.offer(2)
    assert one.run(300, lambda: one.sequence == 2)
    for _ in range(3):
        one.boot()
    assert one.sequence == 1
    one.run(400)
    code = next(c for c, n, _ in d.enum("Alarm").rows if n == "rolled_back")
    assert [(r, v) for c, r, v in dict.fromkeys(one.alarms) if c == code] == [(1, 2), (0, 2)]
    assert (5, "aborted", "rolled_back") in one.told


def test_a_release_that_rots_before_its_first_start_is_told_and_the_alarm_goes(desk):
    one = desk()
    one.offer(2)
    assert one.run(300, lambda: one.app.restart_s != ABSENT)
    one.fs.files["rom"][one.firmware.region.size + 5000] ^= 1
    one.run(400)
    code = next(c for c, n, _ in d.enum("Alarm").rows if n == "rolled_back")
    assert [(r, v) for c, r, v in dict.fromkeys(one.alarms) if c == code] == [(1, 0), (0, 0)]
    assert (one.sequence, one.told[-1]) == (1, (5, "aborted", "rolled_back"))


def test_the_lamp_shows_that_it_is_written(desk):
    one = desk(description=BOARD | LAMP)
    modes = set()
    one.offer(2)
    while one.sequence == 1:
        one.run(1)
        modes.add(one.app.board.led._mode)
        if one.now == 20:
            one.app.link_down(one.now)
            one.app.link_up(one.now, True)
            one.give("registered", reason=0, boot=one.app.identity.boot, epoch=EPOCH, time=NOON + one.now)
    assert modes == {0, 3}
    assert one.app.board.led._mode == 0


# --- the device comes first -------------------------------------------------------------------------------------------


def fetching(desk, **more):
    """A device about to erase."""
    one = desk(**more)
    one.offer(2)
    assert one.run(60, lambda: (5, "started", "none") in one.told)
    return one


def test_nothing_is_erased_while_a_trip_counts_nor_in_the_second_in_which_something_was_switched(desk):
    one = fetching(desk)
    quiet, trip = one.app.firmware.quiet, one.app.board.trip
    quiet(one.now)
    assert quiet(one.now)
    trip.check(1000, 3500, 23000)  # one sample above over_power_w: the next one may trip
    assert not quiet(one.now)
    trip.check(1000, 3500, 23000)
    assert trip.latch == ALARM_OVER_POWER and not quiet(one.now), "new"
    trip.check(0, 0, 23000)
    assert quiet(one.now), "open, and it stays so"
    trip.clear()
    assert not quiet(one.now) and quiet(one.now), "taken back within this second"
    one.app.board.relay.switches += 1
    assert not quiet(one.now) and quiet(one.now)
    one.app.device.moved = True
    assert not quiet(one.now)


def test_nothing_is_erased_while_a_message_waits_or_the_mains_has_failed(desk):
    one = fetching(desk)

    class Link:
        is_up, pending = True, 1

    class PowerFail:
        failed = True

    quiet = one.app.firmware.quiet
    quiet(one.now)
    one.app.links = [Link]
    assert not quiet(one.now)
    Link.pending = 0
    assert quiet(one.now)
    one.app.board.power_fail = PowerFail
    assert not quiet(one.now)
    one.app.board.power_fail = None
    one.app.restart_s = one.now + 3
    assert not quiet(one.now)


def test_an_overload_during_an_update_trips_and_the_update_goes_on(desk):
    one = fetching(desk)
    erase, tripped = one.firmware.region.erase, []

    def erasing(at):
        erase(at)
        trip = one.app.board.trip
        for _ in range(2):  # what the meter's driver does with the samples that waited during the erase
            trip.check(15000, 3500, 23000)
        tripped.append((trip.latch, one.app.board.relay.closed))

    one.firmware.region.erase = erasing
    assert one.run(600, lambda: one.sequence == 2)
    assert tripped and all(found == (ALARM_OVER_POWER, False) for found in tripped)


def test_an_update_that_fails_unexpectedly_costs_the_update_alone(desk):
    one = fetching(desk)

    def broken(at):
        raise RuntimeError("no such flash")

    one.firmware.region.erase = broken
    one.run(60)
    assert one.told[-1] == (5, "aborted", "store_full") and one.app.log.counts["update.failed"] == 1
    assert one.sequence == 1 and one.app.restart_s == ABSENT


def test_what_cannot_even_be_loaded_does_not_stop_the_loop(desk):
    one = fetching(desk)
    one.boot()
    one.app.firmware._updater, one.app.firmware._release = None, {"keys": ["no hex"]}
    one.app.firmware.due_s = 0
    one.run(200)
    assert 2 <= one.app.log.counts["update.step"] <= 5 and one.app.restart_s == ABSENT


def test_vendor_and_class_are_those_of_the_running_release(desk):
    running = desk().firmware.running
    assert running["vendor"] == suit.VENDOR.hex and running["class"] == suit.class_id("sim").hex


@pytest.mark.parametrize(("base", "reason"), [(2, None), (3, "base")])
def test_a_release_needs_the_base_that_the_image_has_whatever_the_running_one_needs(desk, maker, base, reason):
    one = desk()
    assert one.firmware.running["base"] == 1
    one.app.firmware._slots.base = 2  # as the loader says it
    octets = release("sim", 2, "1.2.0", base=base, sign=maker.sign)
    read = suit.read(octets)
    one.served[5] = octets
    one.give("firmware_offer", epoch=EPOCH, id=5, sequence=2, version="1.2.0", size=len(octets), digest=read.digest,
             resource="r")
    one.run(60)
    assert one.told[-1] == ((5, "rejected", reason) if reason else (5, "started", "none"))


def test_a_release_brings_the_key_of_the_next_one(maker):
    from maker import Maker

    second = Maker()
    one = Desk(maker)
    other = release("sim", 2, "1.2.0", keys=["00000001" + second.key.hex()], sign=maker.sign)
    one.maker = second
    second._made[2, "sim"] = (other, suit.read(other).head, suit.read(other).digest)
    one.offer(2)
    assert one.run(300, lambda: one.sequence == 2) and one.run(100, one.confirmed)
    assert one.offer(3, 6) == [("none", 6)]
    assert one.run(300, lambda: one.sequence == 3)


# --- the configuration ------------------------------------------------------------------------------------------------

HSS = "00000001" "00000005" "00000003" + "00" * 48


@pytest.mark.parametrize(("section", "words"), [
    ({"keys": [HSS, HSS.upper()], "rate": 16, "auto": True}, None),
    ({}, None),
    ([], "update: must be an object"),
    ({"keys": HSS}, "update.keys: must be a list of at most 4 HSS public keys"),
    ({"keys": [HSS] * 5}, "update.keys"), ({"keys": [HSS[8:]]}, "update.keys"), ({"keys": [HSS[:-1]]}, "update.keys"),
    ({"keys": [7]}, "update.keys"), ({"keys": ["g" * 120]}, "update.keys"),
    ({"keys": ["00000002" + HSS[8:]]}, "update.keys"), ({"keys": ["00000001" "00000009" + HSS[16:]]}, "update.keys"),
    ({"keys": ["00000001" "00000004" + HSS[16:]]}, "update.keys"),
    ({"keys": ["00000001" "00000005" "00000002" + HSS[24:]]}, "update.keys"),
    ({"rate": 15}, "update.rate: must be an integer from 16 to 65536, not 15"), ({"rate": "fast"}, "update.rate"),
    ({"auto": 1}, "update.auto: must be true or false"), ({"key": HSS}, "update.key: must be left out"),
])
def test_the_section_of_the_configuration(section, words):
    config = {"eui64": "0200000000000001", "store": "s", "update": section}
    if words is None:
        check_device_config(config)
        return
    with pytest.raises(ConfigError) as error:
        check_device_config(config)
    assert words in str(error.value)
