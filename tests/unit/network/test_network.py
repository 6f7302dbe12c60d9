"""Changes of the network on trial: kept when the EMD is reached, else rolled back, and whole at every power cut."""

import json
from types import SimpleNamespace

import cbor2
import pytest

from spot import network as module
from spot.log import Log
from spot.network import Network, access
from spot.store import Store, StoreError
from spot.wire.coap_numbers import COAP_BAD_REQUEST, COAP_CHANGED, COAP_CONTENT, COAP_FORBIDDEN, COAP_UNAVAILABLE
from spot_sim.flash import MemoryFs, PowerCut

OLD, NEW = ("home", "old password"), ("attic", "new password")
GET, PUT = 1, 3


class Air:
    """Which networks there are: {ssid: password}; and whether the EMD is behind them."""

    def __init__(self, *known):
        self.known, self.emd = dict(known or [OLD]), True


class Wifi:
    """link.wifi.Wifi as it is used here; its station says why it is not joined."""

    def __init__(self, device, config):
        self._air, self.config, self.station, self.task = device.air, config, self, self
        self.running = True

    @property
    def is_up(self):
        return self.running and self._air.known.get(self.config["ssid"]) == self.config["password"]

    def status(self):
        if self.is_up:
            return 3
        return -3 if self.config["ssid"] in self._air.known else -2

    def cancel(self):
        self.running = False

    def disconnect(self):
        pass


class Task:
    """In place of asyncio: the work is done by the test's step."""

    @staticmethod
    def create_task(work):
        work.close()
        return SimpleNamespace(cancel=lambda: None)


class Device:
    """A Network with an App of paper, on a flash that stays; `start` is a restart."""

    def __init__(self, air, fs=None, **config):
        self.air, self.fs = air, fs or MemoryFs()
        self.flashed = {"wifi": {"ssid": OLD[0], "password": OLD[1]}, "coap": {"uri": "coap://emd"}, **config}
        self.received = self.now_s = self.restarts = 0
        self.start()

    def start(self):
        config = json.loads(json.dumps(self.flashed))
        self.log, self.now_s = Log(64), 0
        seat = SimpleNamespace(up=False, registration=SimpleNamespace(joined=False))
        self.link = SimpleNamespace(received=0)
        self.app = SimpleNamespace(
            log=self.log, store=Store(self.fs, "s", self.log), config=config, station=None, ring=None,
            links=[self.link], agent=SimpleNamespace(seats=[seat]), received=0,
            now=lambda: self.now_s,
            restart=self.restart, starts=SimpleNamespace(safe=0), board=SimpleNamespace(led=None), _lamp=lambda: None)
        self.network = Network(self.app)
        if "wifi" in config:
            self.app.station = Wifi(self, config["wifi"])
            self.app.station.run = self._run
        self.seat, self.wanted = seat, False

    async def _run(self):
        pass

    def restart(self, now_s):
        self.wanted = True
        self.restarts += 1

    def run(self, seconds):
        """Seconds go by; an EMD that is reached says something every ten."""
        for _ in range(seconds):
            self.now_s += 1
            wifi = self.app.station
            if wifi is not None and not wifi.running:  # its task was made anew
                wifi.running = True
            reached = (wifi is None or wifi.is_up) and (self.air.emd is True or self.air.emd == self.host)
            self.seat.up = self.seat.registration.joined = reached
            if reached and self.now_s % 10 == 0:
                self.link.received += 1
            self.network.step(self.now_s)
            if self.wanted:
                self.start()

    @property
    def host(self):
        section = self.app.config.get("coap") or self.app.config["mqtt"]
        return section.get("uri") or (section["host"], section.get("port"))

    @property
    def ssid(self):
        return self.app.config["wifi"]["ssid"]

    def ask(self, code, body=b"", at=0, context=True):
        """(response code, what came back) of one request."""
        said = []
        q = SimpleNamespace(code=code, buf=b"##" + body, at=2, n=len(body), context=context, reply=said.append)
        return self.network.serve(0, q, at), said[0] if said else b""

    def put(self, **settings):
        return self.ask(PUT, cbor2.dumps(settings, canonical=True))[0]

    def told(self):
        code, body = self.ask(GET)
        assert code == COAP_CONTENT
        return cbor2.loads(body)


@pytest.fixture(autouse=True)
def paper(monkeypatch):
    monkeypatch.setattr(module, "asyncio", Task)
    monkeypatch.setattr(module, "network", SimpleNamespace(STAT_WRONG_PASSWORD=-3, STAT_NO_AP_FOUND=-2))


def new(**more):
    return {"ssid": NEW[0], "key": NEW[1], **more}


def test_settings_that_reach_the_emd_are_kept_over_restarts():
    device = Device(Air(OLD, NEW))
    device.run(30)
    assert device.put(**new()) == COAP_CHANGED
    assert device.told()["state"] == "trying" and device.told()["left_s"] == 300 and device.ssid == "home"
    device.run(3)
    assert 290 < device.told()["left_s"] < 300
    assert device.ssid == "attic"
    device.run(30)
    assert device.told() == {"state": "good", "why": "", "left_s": 0, "next": "", "ssid": "attic"}
    device.start()
    assert device.ssid == "attic" and device.told()["state"] == "good" and device.restarts == 0


@pytest.mark.parametrize("air, emd, why", [
    (Air(OLD), True, "no such network"), (Air(OLD, ("attic", "another one")), True, "password"),
    (Air(OLD, NEW), "elsewhere", "EMD"),
])
def test_settings_that_do_not_are_rolled_back_after_five_minutes(air, emd, why):
    device = Device(air)
    device.run(20)
    air.emd = emd
    device.put(**new())
    device.run(290)
    assert device.ssid == "attic" and device.told()["state"] == "trying" and device.told()["left_s"] < 20
    device.run(15)
    assert device.ssid == "home" and device.app.station.config["ssid"] == "home"
    told = device.told()
    assert (told["state"], told["why"]) == ("failed", why)
    assert device.log.counts["net.rolled_back"] == 1
    device.start()
    assert device.ssid == "home" and device.told()["state"] == "failed", "the status is kept"


def test_that_the_emd_was_heard_before_proves_nothing():
    device = Device(Air(OLD, NEW))
    device.run(30)
    device.put(**new())
    device.air.emd = "elsewhere"
    device.run(2)
    device.seat.up = device.seat.registration.joined = device.app.station.running = True
    for _ in range(3):  # the port still says that the old network is joined, and hands over what was in its buffers
        device.now_s += 1
        device.link.received += 5
        device.network.step(device.now_s)
    device.run(100)
    assert device.told()["state"] == "trying"


def test_settings_in_waiting_are_used_when_the_old_ones_fail_only():
    device = Device(Air(OLD))
    assert device.put(**new(later=1)) == COAP_CHANGED
    device.run(1000)
    assert device.ssid == "home" and device.told()["state"] == "waiting" and device.told()["next"] == "attic"
    device.air.known = {NEW[0]: NEW[1]}
    device.run(50)
    assert device.ssid == "home", "a router that starts afresh is waited for"
    device.run(40)
    assert device.ssid == "attic" and device.told()["state"] == "good"


def test_in_a_long_outage_old_and_waiting_settings_take_turns_without_a_write():
    device = Device(Air(OLD))
    device.put(**new(later=1))
    device.air.known = {}
    writes = device.app.store.writes
    seen = set()
    for _ in range(200):
        device.run(10)
        seen.add(device.ssid)
    assert seen == {"home", "attic"} and device.app.store.writes == writes
    device.air.known = dict([OLD])
    device.run(200)
    assert device.ssid == "home" and device.told()["state"] == "waiting"
    device.start()
    assert device.ssid == "home", "a start begins with the old ones"


def test_an_emd_that_was_away_does_not_strand_a_device_whose_old_network_is_gone():
    device = Device(Air(NEW))
    device.air.emd = "elsewhere"
    device.put(**new())
    device.run(310)
    assert device.told()["state"] == "failed" and device.ssid == "home"
    device.air.emd = True
    device.run(120)
    assert device.told()["state"] == "good" and device.ssid == "attic"


def test_three_starts_in_a_trial_end_it():
    device = Device(Air(OLD))
    device.put(**new())
    device.run(10)
    for _ in range(3):
        device.start()
        assert device.ssid == "attic" and device.told()["state"] == "trying"
        device.run(100)
    device.start()
    told = device.told()
    assert device.ssid == "home" and (told["state"], told["why"]) == ("failed", "count")


def test_a_new_request_ends_the_trial_of_the_one_before_and_is_tried_itself():
    device = Device(Air(OLD, NEW))
    device.put(**new())
    device.run(8)
    assert device.put(ssid="third", key="no such one") == COAP_CHANGED
    device.seat.up = device.seat.registration.joined = True
    device.link.received += 9
    device.network.step(device.now_s)
    assert device.told()["state"] == "trying", "not good by what the other one reached"
    device.run(310)
    assert device.ssid == "home" and device.told()["state"] == "failed"
    device.put(**new())
    device.run(10)
    assert device.put(ssid=OLD[0], key=OLD[1]) == COAP_CHANGED
    device.run(40)
    assert device.ssid == "home" and device.told()["state"] == "good"


def test_a_configuration_that_is_flashed_anew_wins():
    device = Device(Air(OLD, NEW))
    device.put(**new())
    device.run(60)
    device.flashed["wifi"]["password"] = "a third one"
    device.start()
    assert device.app.config["wifi"] == {"ssid": "home", "password": "a third one"}
    assert device.log.counts["net.flashed_anew"] == 1


def test_a_factory_reset_drops_what_was_changed():
    device = Device(Air(OLD, NEW))
    device.put(**new())
    device.run(60)
    device.app.store.put("wipe", b"")
    device.start()
    assert device.ssid == "home" and device.app.store.get("net") is None


@pytest.mark.parametrize("section, asked, right", [
    ({"coap": {"uri": "coap://emd"}}, {"host": "emd2", "port": 5700}, "coap://emd2:5700"),
    ({"coap": {"uri": "coaps+tcp://emd"}}, {"host": "2001:db8::1"}, "coaps+tcp://[2001:db8::1]:5684"),
    ({"mqtt": {"host": "broker"}}, {"host": "broker2", "port": 8884}, ("broker2", 8884)),
])
def test_another_host_is_tried_by_a_start_afresh_and_rolled_back_by_one(section, asked, right):
    device = Device(Air(OLD, NEW), **{"coap": {"uri": "coap://emd"}, **section})
    if "mqtt" in section:
        del device.flashed["coap"]
        device.start()
    old = device.host
    assert device.put(**asked) == COAP_CHANGED
    device.run(5)
    assert device.restarts == 1 and device.host == right
    device.run(60)
    assert device.told()["state"] == "good"
    device.start()
    assert device.host == right
    device.app.store.delete("net")
    device.start()
    device.air.emd = old
    device.put(**asked, **new())
    device.run(320)
    assert device.restarts == 3 and device.host == old and device.ssid == "home"
    assert device.told()["state"] == "failed" and device.told()["next"] == "", "another EMD's address is not kept"


@pytest.mark.parametrize("settings", [
    {}, {"ssid": "attic"}, {"key": "new password"}, {"ssid": "", "key": "new password"},
    {"ssid": "x" * 33, "key": "new password"}, {"ssid": "ü" * 17, "key": "new password"},
    {"ssid": "a\0b", "key": "new password"}, {"ssid": "attic", "key": "seven77"}, {"ssid": "attic", "key": "x" * 64},
    {"ssid": "attic", "key": "pässword1"}, {"host": "a b"}, {"host": ""}, {"host": "x" * 65}, {"port": 1},
    {"host": "emd", "port": 0}, {"host": "emd", "port": 65536}, {"host": "emd", "later": 1}, {"ssid": 5, "key": 6},
    {"ssid": "attic", "key": "new password", "more": "x"}, {"host": "emd", "port": "5683"},
])
def test_what_is_not_right_changes_nothing(settings):
    device = Device(Air())
    assert device.put(**settings) == COAP_BAD_REQUEST
    assert device.app.store.get("net") is None and device.told()["state"] == "good"


@pytest.mark.parametrize("body", [b"", b"\xa1", b"\xff", b"\x80", cbor2.dumps(new()) + b"\0",
                                  b"\xa2\x63key\x68xxxxxxxx\x63key\x68xxxxxxxx"])
def test_what_is_no_map_of_settings_is_refused(body):
    assert Device(Air()).ask(PUT, body)[0] == COAP_BAD_REQUEST


def test_only_the_first_emd_may_and_only_over_what_proves_it():
    device = Device(Air())
    assert device.ask(PUT, cbor2.dumps(new()), at=1)[0] == COAP_FORBIDDEN
    assert device.ask(GET, at=1)[0] == COAP_FORBIDDEN
    device = Device(Air(), coap={"uri": "coap://emd", "insecure": True})
    assert device.ask(PUT, cbor2.dumps(new()), context=None)[0] == COAP_FORBIDDEN
    assert device.ask(5)[0] >> 5 == 4


def test_a_device_without_wifi_or_host_refuses_these():
    device = Device(Air(), wifi=None)
    del device.flashed["wifi"]
    device.start()
    assert device.put(**new()) == COAP_BAD_REQUEST
    assert device.put(host="emd2") == COAP_CHANGED
    assert Device(Air(), coap={"uri": "slipmux:uart1"}).put(host="emd2") == COAP_BAD_REQUEST


def test_no_answer_and_no_log_holds_a_key():
    device = Device(Air(OLD, NEW))
    for _ in range(3):
        device.put(**new())
        device.run(4)
        code, body = device.ask(GET)
        assert NEW[1].encode() not in body and OLD[1].encode() not in body
    assert NEW[1] not in str(device.log.counts) and b"password" not in device.log.lines(0, 4000)[2]


@pytest.mark.parametrize("raw", [
    b"", b"{", b"[]", b"{}", b'{"mark": "x"}', b"\xff\xfe",
    json.dumps({"mark": None, "state": 9, "count": 0, "why": "", "now": {}, "next": None}).encode(),
    json.dumps({"mark": None, "state": 1, "count": 0, "why": "", "now": {}, "next": {"ssid": 4, "key": 4}}).encode(),
    json.dumps({"mark": None, "state": 1, "count": "", "why": "", "now": {}, "next": new()}).encode(),
    json.dumps({"mark": None, "state": 1, "count": 0, "why": "", "now": {}, "next": None}).encode(),
])
def test_a_record_that_is_none_is_not_used(raw):
    device = Device(Air())
    device.app.store.put("net", raw.replace(b'"mark": null', b'"mark": "%s"' % device.network._mark.encode()))
    device.start()
    assert device.app.config["wifi"] == {"ssid": OLD[0], "password": OLD[1]}
    device.run(20)
    assert device.put(**new()) == COAP_CHANGED


def _cut_at(number, torn, replaces, air):
    """One life with a power cut at write operation `number`; True when it was cut."""
    fs = MemoryFs(replaces=replaces)
    device = Device(air, fs)
    fs.cut_after, fs.torn = number, torn
    try:
        device.run(10)
        device.put(**new())
        device.run(30)
        device.start()
        device.run(340)
        cut = False
    except PowerCut:
        cut = True
    fs.cut_after = None
    device.start()
    assert device.app.config["wifi"] in ({"ssid": OLD[0], "password": OLD[1]}, {"ssid": NEW[0], "password": NEW[1]})
    device.run(400)
    return cut, device


@pytest.mark.parametrize("replaces", [True, False])
@pytest.mark.parametrize("torn", [0, 9])
def test_a_cut_at_any_write_leaves_the_old_or_the_new(torn, replaces):
    number = cuts = 0
    while True:
        cut, device = _cut_at(number, torn, replaces, Air(OLD))
        assert device.ssid == "home", "what does not work is gone in the end"
        both, device = _cut_at(number, torn, replaces, Air(OLD, NEW))
        assert device.told()["state"] == "good" and device.app.station.is_up
        if not cut and not both:
            break
        cuts += 1
        number += 1
    assert cuts >= 6


def test_a_store_that_refuses_changes_nothing_and_no_trial_goes_uncounted():
    device = Device(Air(OLD, NEW))
    put = device.app.store.put
    device.app.store.put = lambda name, data: (_ for _ in ()).throw(StoreError(28))
    assert device.put(**new()) == COAP_UNAVAILABLE
    device.run(20)
    assert device.ssid == "home" and device.told()["state"] == "good"
    device.app.store.put = put
    device.put(**new())
    device.app.store.put = lambda name, data: (_ for _ in ()).throw(StoreError(28))
    device.run(60)
    assert device.told()["state"] == "trying" and device.ssid == "attic", "good, and not kept: still a trial"
    device.app.store.put = put
    device.run(20)
    assert device.told()["state"] == "good"
    device.put(ssid="third", key="no such one")
    device.fs.capacity = 0
    device.start()
    assert device.ssid == "attic", "a start that cannot be counted tries nothing"


def test_the_access_points_name_and_key_are_the_pairings():
    name, key, secret = access(bytes(8), bytes(range(16)), bytes.fromhex("02005e10000000a1"))
    assert name == "SPOT-00A1" and len(key) == 19 and set(key) <= set("abcdefghijklmnopqrstuvwxyz234567-")
    assert [len(part) for part in key.split("-")] == [4] * 4 and len(secret) == 16
    other = access(bytes(8), bytes(range(1, 17)), bytes.fromhex("02005e10000000a1"))
    assert other[1] != key and other[2] != secret
