"""The window's keys, with the tools' client and the firmware's endpoint over UDP: nothing of one window is good in the
next, nothing is sealed twice under one nonce; and `spot provision wifi` as it is typed."""

import asyncio
import itertools
import json
import os
import socket
import threading

import cbor2
import pytest

import spot.wire.context as contexts
from spot.link import coap_window
from spot.log import Log
from spot.network import access
from spot.port import random_bytes
from spot.wire import ccm
from spot.wire.coap_numbers import COAP_BAD_REQUEST, COAP_CHANGED, COAP_CONTENT, COAP_PUT
from spot.wire.context import Context
from spot_host import label
from spot_host.cli import main
from spot_host.home_folder import HomeFolder
from spot_host.pairing import Pairing, Pairings
from spot_host.provision import window

EUI = "02005e10000000a1"
PAIRING = Pairing(bytes(range(16)), bytes(8), b"\x01")
_numbers = itertools.count(1)


class Site:
    """A device's window on an address of its own, in a thread: `settings` of PUTs, `came` the datagrams.

    states: what GET tells, one after the other, the last for ever. requests: after so many it is gone.
    """

    def __init__(self, monkeypatch, pairing=PAIRING, states=None, refuse=b"", requests=0):
        self._asked = requests
        number = next(_numbers)
        self.address = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.{number + 20}"
        self.settings, self.came, self._refuse = [], [], refuse
        self._states = states or [{"state": "good", "why": "", "ssid": "home", "next": "", "left_s": 0}]
        site = self

        class Radio:
            AP_IF = 1

            class WLAN:
                def __init__(self, interface):
                    self.on = False

                def config(self, **settings):
                    site.point = settings

                def active(self, on):
                    site.on = on

                def ifconfig(self):
                    return (site.address, "", "", "")

        monkeypatch.setattr(coap_window, "network", Radio)
        name, key, secret = access(pairing.salt, pairing.secret, bytes.fromhex(EUI))
        context = Context(secret, pairing.salt, pairing.id, b"window", random_bytes(8))
        self.window = coap_window.AccessPoint(name, key, context, "network", self._serve, Log(16))
        self._end = threading.Event()
        take = self.window._endpoint.received
        self.window._endpoint.received = lambda now, peer, buf, n: (self.came.append(bytes(buf[:n])),
                                                                    take(now, peer, buf, n))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        now = 0
        while not self._end.wait(0.005):
            now += 5
            self.window.step(now)

    def _serve(self, now, q):
        self._asked -= 1
        if not self._asked:
            self._end.set()
        if q.code == COAP_PUT:
            self.settings.append(cbor2.loads(bytes(q.buf[q.at : q.at + q.n])))
            if self._refuse:
                q.reply(self._refuse)
                return COAP_BAD_REQUEST
            return COAP_CHANGED
        q.reply(cbor2.dumps(self._states[0], canonical=True))
        if len(self._states) > 1:
            self._states.pop(0)
        return COAP_CONTENT

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._end.set()
        self._thread.join()
        self.window.close()
        assert not self.on


def change(site, found, pairings=(PAIRING,), say=lambda state: None):
    return asyncio.run(window.change(EUI, list(pairings), found, site.address, say, 20))


def test_settings_arrive_whole_and_only_under_the_pairing(monkeypatch):
    with Site(monkeypatch) as site:
        assert site.on and site.point["ssid"] == "SPOT-00A1" and site.point["security"]
        assert change(site, {"ssid": "Küche 5", "key": "geheim geheim"})["state"] == "good"
        assert site.settings == [{"ssid": "Küche 5", "key": "geheim geheim"}]
        assert not any(b"geheim" in one for one in site.came)
        older, newer = Pairing(bytes(16), bytes(8), b"\x01"), Pairing(b"n" * 16, bytes(8), b"\x01", generation=1)
        with pytest.raises(window.NoAnswer, match="another pairing"):
            change(site, {"ssid": "a", "key": "12345678"}, [newer, older])
        change(site, {"ssid": "b", "key": "12345678"}, [newer, PAIRING])
        assert [one["ssid"] for one in site.settings] == ["Küche 5", "b"]


def test_what_was_recorded_in_one_window_does_nothing_in_that_or_another(monkeypatch):
    with Site(monkeypatch) as site:
        for _ in range(3):
            change(site, {"ssid": "home", "key": "old password"})
        recorded = list(site.came)
        _replay(site, recorded)
        assert len(site.settings) == 3
    with Site(monkeypatch) as site:
        _replay(site, recorded)
        assert site.settings == []
        change(site, {"ssid": "home", "key": "new password"})
        _replay(site, recorded)
        assert [one["key"] for one in site.settings] == ["new password"], "and who has the keys still gets in"


def _replay(site, recorded):
    """Each with another message id, so that it is no duplicate of the message layer's. All are answered, if only by a
    refusal under OSCORE."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        for number, one in enumerate(recorded):
            sock.sendto(one[:2] + (40000 + number).to_bytes(2, "big") + one[4:], (site.address, 5683))
            assert sock.recv(2000)


def test_no_nonce_comes_twice_under_a_key(monkeypatch):
    seen, sealed = set(), []

    class Watched(ccm.CCM):
        def __init__(self, key):
            self.octets = bytes(key)
            super().__init__(key)

        def seal(self, nonce, aad, aad_n, buf, at, n):
            sealed.append((self.octets, bytes(nonce)))
            return ccm.CCM.seal(self, nonce, aad, aad_n, buf, at, n)

        def open(self, *arguments):
            return ccm.CCM(self.octets).open(*arguments)

    monkeypatch.setattr(contexts, "CCM", Watched)
    for _ in range(3):  # three windows, with the same requests
        with Site(monkeypatch) as site:
            for _ in range(3):
                change(site, {"ssid": "home", "key": "old password"})
            _replay(site, list(site.came))
    for one in sealed:
        assert one not in seen
        seen.add(one)
    assert len(seen) >= 3 * 3 * 3


def test_a_flood_of_strangers_does_not_keep_the_owner_out(monkeypatch):
    with Site(monkeypatch) as site:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(200):
                sock.sendto(b"\x48\x02" + number.to_bytes(2, "big") + os.urandom(8) + os.urandom(40),
                            (site.address, 5683))
                sock.sendto(os.urandom(number), (site.address, 5683))
        for _ in range(4):  # these look like OSCORE, and cost the device keys
            with pytest.raises(window.NoAnswer):
                change(site, {}, [Pairing(os.urandom(16), bytes(8), b"\x01")])
        assert change(site, {"ssid": "home", "key": "old password"})["state"] == "good"


# --- as it is typed


@pytest.fixture
def spot(capsys, tmp_path, monkeypatch):
    """spot(*words, code=0): (what it says, what it says on stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(window, "_AGAIN_S", 0.05)
    (tmp_path / "label").write_text(label.text_of(EUI, PAIRING) + "\n")
    (tmp_path / "password").write_text("new password\n")

    def run(*words, code=0):
        with pytest.raises(SystemExit) as ended:
            main(["provision", "wifi", *map(str, words)])
        said = capsys.readouterr()
        assert ended.value.code == code, said
        return said.out, said.err

    return run


def states(*words, why="", **more):
    common = {"ssid": "home", "next": "attic", "left_s": 9, **more}
    return [{"state": word, "why": why if word == "failed" else "", **common} for word in words]


def test_with_a_label_and_a_password_from_a_file(spot, monkeypatch):
    with Site(monkeypatch, states=states("trying", "trying", "good", ssid="attic")) as site:
        out, err = spot("--label", "label", "--ssid", "attic", "--password-file", "password", "--address", site.address)
        assert f"SPOT-00A1, key {site.point['key']}" in err and "is in attic" in out and "trying attic" in out
        assert site.settings == [{"ssid": "attic", "key": "new password"}]
        assert json.loads(spot("--label", "label", "--address", site.address, "--json")[0])["state"] == "good"
        assert len(site.settings) == 1


def test_what_did_not_work_is_said_with_an_exit_code(spot, monkeypatch):
    with Site(monkeypatch, states=states("trying", "failed", why="password")) as site:
        out, _ = spot("--label", "label", "--ssid", "attic", "--password-file", "password", "--address", site.address,
                      code=4)
        assert "is back in home: the password is wrong" in out
    with Site(monkeypatch, refuse=b"no such setting here") as site:
        assert "refuses: 4.00 Bad Request: no such setting here" in spot(
            "--label", "label", "--host", "emd", "--address", site.address, code=4)[1]
    with Site(monkeypatch, Pairing(bytes(16), bytes(8), b"\x01")) as site:
        assert "another pairing" in spot("--label", "label", "--address", site.address, code=5)[1]
    monkeypatch.setattr(window, "_ANSWER_S", 0.5)
    with Site(monkeypatch, states=states("trying"), requests=3) as site:
        out, _ = spot("--label", "label", "--ssid", "attic", "--password-file", "password", "--address", site.address,
                      code=5)
        assert "was trying attic when it was last heard" in out
    assert "window open" in spot("--label", "label", "--address", "127.9.9.9", code=5)[1]


def test_of_a_home(spot, monkeypatch, tmp_path):
    home = HomeFolder.create(tmp_path / "house", "emd.home", 8883, "city")
    from spot_host.device_files import Order

    home.provision(Order(EUI, "esp32_plug", "coap"))
    home.provision(Order("0200000000000002", "esp32_plug"))
    assert "no pairing secret, and so no window" in spot("house", "0200000000000002", code=2)[1]
    assert "give FOLDER and DEVICE" in spot("house", code=2)[1]
    assert "--wifi-file: has both" in spot("house", EUI, "--wifi-file", "x", "--ssid", "y", code=2)[1]
    home.rotate(EUI)  # and the device has not followed yet
    first, second = Pairings(home.folder / "pairings.json").generations(EUI)
    for pairing in (first, second):
        with Site(monkeypatch, pairing) as site:
            spot("house", EUI, "--ssid", "attic", "--password-file", "password", "--address", site.address, "--later")
            assert site.settings == [{"ssid": "attic", "key": "new password", "later": 1}]


def test_by_the_running_emd(spot, monkeypatch, tmp_path):
    home = HomeFolder.create(tmp_path / "house", "emd.home", 8883, "city")
    from spot_host.device_files import Order
    from spot_host.emd import service

    home.provision(Order(EUI, "esp32_plug", "coap"))
    asked, answers = [], []

    class Reader:
        def __init__(self, path):
            assert str(path) == "house/emd.sqlite"

        def request(self, body, wait_s):
            asked.append(body)
            return answers.pop(0)

    monkeypatch.setattr(service, "Reader", Reader)

    def get(**state):
        return {"success": True, "code": "2.05", "payload": cbor2.dumps({**states("good")[0], **state}).hex()}

    changed = {"success": True, "code": "2.04", "payload": ""}
    answers[:] = [changed, get(state="trying"), {"error": "no answer", "code": 5}, get(ssid="attic")]
    assert "is in attic" in spot("house", EUI, "--emd", "--ssid", "attic", "--password-file", "password")[0]
    assert [one["method"] for one in asked] == ["put", "get", "get", "get"] and asked[0]["format"] == 60
    assert cbor2.loads(bytes.fromhex(asked[0]["payload"])) == {"ssid": "attic", "key": "new password"}
    answers[:] = [changed, get(state="waiting")]
    assert "goes to attic when that is gone" in spot(
        "house", EUI, "--emd", "--later", "--ssid", "attic", "--password-file", "password")[0]
    answers[:] = [{"success": False, "code": "4.03", "payload": ""}]
    assert "refuses: 4.03" in spot("house", EUI, "--emd", "--host", "emd2", code=4)[1]
    answers[:] = [{"error": "nobody", "code": 5}]
    assert "nobody" in spot("house", EUI, "--emd", code=5)[1]
