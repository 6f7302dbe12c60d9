"""The running EMD with CoAP alone: a device's messages reach core and database, commands reach the device."""

import json
import sqlite3
import threading

import pytest
from aiocoap.numbers import codes

from spot_host import cli
from spot_host.commands.emd import _state
from spot_host.emd.config import Coap, EmdConfig
from spot_host.emd.service import EmdService, Reader
from spot_host.pairing import Pairings
from spot_host.profile import codec
from tests.unit.emd.coap_rig import EUIS, Device, Loop, free_port
from tests.unit.emd.helpers import plug_values

ONE = EUIS[0]
REGISTER = codec.encode("register", plug_values(ONE))


class Running:
    """An EmdService in a thread of its own, which alone may use its database's connection."""

    def __init__(self, folder):
        self.port = free_port()
        coap = Coap(host="127.0.0.1", udp_port=self.port, tcp_port=0, tls_port=0)
        config = EmdConfig(database=str(folder / "emd.sqlite"), pairings=str(folder / "pairings.json"), coap=coap)
        self.failure, ready = None, threading.Event()

        def run():
            try:
                self.service = EmdService(config)
                connect = self.service.link.connect

                def connected():
                    connect()
                    ready.set()

                self.service.link.connect = connected
                self.service.run()
            except BaseException as exc:
                self.failure = exc
                ready.set()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert ready.wait(10) and self.failure is None, self.failure

    def stop(self):
        self.service.stop()
        self.thread.join(10)
        assert self.failure is None and not self.thread.is_alive(), self.failure


@pytest.fixture
def home(tmp_path):
    pairings = Pairings(tmp_path / "pairings.json")
    pairing = pairings.add(ONE)
    pairings.save()
    loop, devices, running = Loop(), [], []

    class Home:
        folder = tmp_path

        def emd(self):
            running.append(Running(tmp_path))
            return running[-1]

        def device(self, emd, following=0):
            devices.append(Device(loop, f"coap://127.0.0.1:{emd.port}", pairing, following))
            return devices[-1]

        def revoke(self):
            pairings.revoke(ONE)
            pairings.save()

        def enroll(self):
            pairings.add(ONE)
            pairings.save()

    yield Home()
    for emd in running:
        emd.stop()
    for device in devices:
        loop.do(device.close(), 5)
    loop.stop()


def wait(condition, what, seconds=10):
    import time

    end = time.monotonic() + seconds
    while not (got := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.01)
    return got


def kinds(device):
    return [codec.decode(body).name for path, body in device.got if path == ("cmd",)]


def test_from_registration_to_revocation_over_a_restart(home):
    emd = home.emd()
    device = home.device(emd)
    assert device.post("register", REGISTER).code == codes.CHANGED
    wait(lambda: "registered" in kinds(device) and "command" in kinds(device), "the EMD's answer")
    refused = device.post("register", b"\x82\x18\x18")
    assert refused.code == codes.BAD_REQUEST and refused.payload
    telemetry = codec.encode("telemetry", {"seq": 1, "time": int(emd.service.now()), "power": 1234, "clock": 4})
    assert device.post("telemetry", telemetry).code == codes.CHANGED

    reader = Reader(home.folder / "emd.sqlite")
    result = reader.request({"do": "coap", "device": ONE, "method": "post", "path": "/cmd", "payload": "82181801"})
    assert (result["code"], result["success"]) == ("2.04", True)
    wait(lambda: reader.devices() and reader.devices()[0]["state"]["power_w"] == 1234, "the reading")
    assert reader.devices()[0]["state"]["hostile"] == 1
    bad = reader.request({"do": "coap", "device": "0200000000000099", "method": "get", "path": "/x"})
    assert bad["code"] == 5 and "is not on CoAP now" in bad["error"]

    emd.stop()
    before = len(device.got)
    again = home.emd()
    wait(lambda: reader.devices()[0]["link"] == "coap+oscore", "over what it speaks")
    moved = home.device(again, following=100)
    assert moved.post("telemetry", telemetry).code == codes.CHANGED
    assert before and not [e for e in notes(home) if e in ("coap_replay", "coap_internal", "coap_decryption")]
    home.revoke()
    wait(lambda: "pairing_revoked" in notes(home), "the revocation")
    assert moved.post("telemetry", telemetry).code == codes.UNAUTHORIZED
    wait(lambda: "coap_unknown_key" in notes(home), "its note")


def notes(home):
    with sqlite3.connect(home.folder / "emd.sqlite") as run:
        return [event for (event,) in run.execute("SELECT event FROM log")]


def test_secrets_are_not_in_the_database(home):
    emd = home.emd()
    device = home.device(emd)
    assert device.post("register", REGISTER).code == codes.CHANGED
    emd.stop()
    (key,) = json.loads((home.folder / "pairings.json").read_text())[ONE]["keys"]
    for path in home.folder.glob("emd.sqlite*"):
        content = path.read_bytes()
        assert key["secret"].encode() not in content and bytes.fromhex(key["secret"]) not in content


def test_a_command_without_an_answer_is_said_to_stand(home):
    emd = home.emd()
    device = home.device(emd)
    assert device.post("register", REGISTER).code == codes.CHANGED
    reader = Reader(home.folder / "emd.sqlite")
    wait(reader.devices, "the device")
    result = reader.request({"do": "command", "device": ONE, "kind": "off", "duration": 600}, 0.3)
    assert result["code"] == 5 and f"`spot emd command {ONE} revoke 2` withdraws it" in result["error"]
    assert reader.request({"do": "revoke", "device": ONE, "id": 2}, 5.0).get("code") != 2


@pytest.mark.parametrize("state, at, says", [
    ({"online": 1, "heard_at": 1000, "mode": "controlled"}, 1150, "controlled"),
    ({"online": 1, "heard_at": 1000, "mode": "controlled"}, 1151, "silent"),
    ({"online": 0, "heard_at": 1000, "mode": "controlled"}, 1000, "lost"),
    ({"online": 1, "heard_at": 1000, "mode": "failsafe"}, None, "failsafe"),
    ({"online": None, "heard_at": 1000, "mode": None}, 1000, "registered"),
])  # fmt: skip
def test_a_device_that_is_not_heard_is_not_called_controlled(state, at, says):
    sign = None if at is None else {"at": at, "silent_s": 150}
    assert says in _state({"registered": True, "state": state}, sign)


def test_a_revoked_device_says_so_and_is_asked_nothing(home, capsys):
    emd = home.emd()
    device = home.device(emd)
    assert device.post("register", REGISTER).code == codes.CHANGED
    reader, answers = Reader(home.folder / "emd.sqlite"), []
    wait(reader.devices, "the device")
    assert not reader.devices()[0]["revoked"]

    def ask():  # nobody answers this one: the device is no plug, it only says 2.04
        answers.append(Reader(home.folder / "emd.sqlite").request({"do": "read", "device": ONE, "objects": [2]}, 60))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    wait(lambda: "read" in kinds(device), "the question")
    home.revoke()
    asking.join(10)
    assert answers == [{"error": f"{ONE}: revoked", "code": 2}]
    wait(lambda: reader.devices()[0]["revoked"], "the word")
    for again in (False, True):
        if again:
            emd.stop()
            emd = home.emd()
            assert reader.devices()[0]["revoked"]
        for words in (["devices"], ["command", ONE, "off", "-m", "5", "--wait", "60"], ["read", ONE, "power"]):
            with pytest.raises(SystemExit) as end:
                cli.main(["emd", *words, "--db", str(home.folder / "emd.sqlite")])
            out, err = capsys.readouterr()
            assert "revoked" in (out if words == ["devices"] else err), words
            assert end.value.code == (0 if words == ["devices"] else 2)
    home.enroll()
    wait(lambda: not reader.devices()[0]["revoked"], "that it is taken in again")
