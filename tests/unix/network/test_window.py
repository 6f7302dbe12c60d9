"""The provisioning window of a whole device on MicroPython: button, access point, CoAP with OSCORE over UDP; with
a radio of paper, and the tools' own client."""

import asyncio
import json
import os
import socket
import subprocess
import time

import aiocoap
import pytest
from aiocoap.numbers.codes import Code

from spot_host.pairing import Pairing
from spot_host.profile import codec, examples
from spot_host.provision import window
from spot_host.toolchain import runtimes
from tests.conftest import ROOT
from tests.interop.aio import SecurityContext
from tests.unix.link.coap_harness import CoapEmd, until

EUI = "02005e10000000a1"
PAIRING = Pairing(bytes(range(16)), bytes(8), b"\x01")
OLD, NEW = {"ssid": "home", "password": "old password"}, {"ssid": "attic", "password": "new password"}

NETWORK = """
import json
STA_IF, AP_IF = 0, 1
STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD = -2, -3
joined = None
def air():
    with open(%(air)r) as file:
        return json.load(file)
class WLAN:
    SEC_WPA2 = 3
    def __init__(self, interface):
        self.station = interface == STA_IF
    def active(self, on):
        if not self.station:
            print("access point", on)
    def config(self, **settings):
        if "no access point" in air():
            raise OSError(5)
        print("access point", settings["ssid"], settings["key"], settings["security"])
    def connect(self, ssid, password):
        global joined
        joined = ssid, password
        print("join", ssid)
    def disconnect(self):
        global joined
        joined = None
    def isconnected(self):
        return joined is not None and air().get(joined[0]) == joined[1]
    def status(self, what=None):
        return 3 if self.isconnected() else STAT_WRONG_PASSWORD if joined and joined[0] in air() else STAT_NO_AP_FOUND
    def ifconfig(self):
        return ("127.0.0.1" if self.station else %(address)r, "", "", "127.0.0.1")
"""
START = """
import sys
sys.path.insert(0, %(folder)r)
sys.path.insert(0, %(firmware)r)
import main
from spot import network
network._TRIAL_S = 8
network._SETTLE_S = 1
network._PATIENCE_S = 4
sys.exit(main.main(sys.argv[1:]))
"""


class Device:
    """`main.py` with a radio: `air` says which networks there are; `said` is what it has printed."""

    def __init__(self, folder, emd, wifi=OLD):
        self.folder, self.address = folder, f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.9"
        self.air = folder / "air.json"
        self.hear(OLD)
        (folder / "network.py").write_text(NETWORK % {"air": str(self.air), "address": self.address})
        self.start = ROOT / "firmware" / "main.py"
        if START:
            self.start = folder / "start.py"
            self.start.write_text(START % {"folder": str(folder), "firmware": str(ROOT / "firmware")})
        (folder / "pairing.json").write_text(json.dumps(PAIRING.record()))
        coap = {"uri": emd.uri.replace("localhost", "127.0.0.1"), "pairing": str(folder / "pairing.json"),
                "backoff_ms": [100, 400]}
        (folder / "config.json").write_text(json.dumps({
            "board": "unix", "eui64": EUI, "store": str(folder / "store"), "boards": str(ROOT / "boards"),
            "log": "print", "wifi": wifi, "coap": coap}))
        self.starts = 0

    def hear(self, *networks):
        part = self.air.with_suffix(".part")
        part.write_text(json.dumps({one["ssid"]: one["password"] for one in networks}))
        part.replace(self.air)

    def __enter__(self):
        self.starts += 1
        self._log = self.folder / f"log{self.starts}"
        env = {**os.environ, "MICROPYPATH": f"{self.folder}:{ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"}
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [runtimes.installed("micropython"), "-X", "heapsize=1m", self.start, self.folder / "config.json"],
                env=env, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *exc):
        self._process.kill()
        self._process.wait()

    @property
    def said(self):
        return self._log.read_text(errors="replace")

    def pin(self, level):
        self._process.stdin.write(json.dumps({"in": {"pin3": level}}).encode() + b"\n")
        self._process.stdin.flush()

    def press(self, seconds=6.5):
        """The button (pin 3, low while it is pressed) is held."""
        self.pin(0)
        end = time.monotonic() + seconds
        until(lambda: time.monotonic() > end)
        self.pin(1)

    def change(self, pairing=PAIRING, wifi=None, **found):
        """What the tools' client hears in the window."""
        if wifi:
            found = {"ssid": wifi["ssid"], "key": wifi["password"], **found}
        return asyncio.run(window.change(EUI, [pairing], found, self.address, patience_s=30))


@pytest.fixture
def emd():
    with CoapEmd(security=SecurityContext(PAIRING.secret, PAIRING.salt, b"\x00", b"\x01")) as one:
        yield one


@pytest.fixture
def device(tmp_path, micropython_path, emd):
    return Device(tmp_path, emd)


def known(emd):
    """The EMD takes the device in."""
    hello = codec.decode(emd.bodies("register")[-1]).values
    values = dict(next(row[3] for row in examples.EXAMPLES if row[0] == "registered"))
    emd.send("cmd", codec.encode("registered", {**values, "boot": hello["boot"], "groups": []}))


def beat(emd):
    emd.send("cmd", codec.encode("heartbeat", {"epoch": 12, "time": 1780000000, "digest": 0, "clock": 3}))


async def _bare(address):
    context = await aiocoap.Context.create_client_context(transports=["udp6"])
    try:
        out = []
        for code, path in ((Code.GET, "network"), (Code.PUT, "network"), (Code.GET, ".well-known/core"),
                           (Code.POST, "cmd")):
            message = aiocoap.Message(code=code, uri=f"coap://{address}/{path}", payload=b"x" * (code != Code.GET))
            out.append((await context.request(message).response).code)
        return out
    finally:
        await context.shutdown()


def from_the_button_to_another_network(device, emd):
    """The short way, for the built image (tests/unix/build)."""
    with device:
        emd.wait(lambda seen: "register" in [one[0] for one in seen])
        known(emd)
        device.press()
        until(lambda: "info net.window 1" in device.said)
        device.hear(NEW)
        _changed(device, emd)
    with device:
        until(lambda: "join attic" in device.said)


def _changed(device, emd):
    """The new network is told, joined and good."""
    result = emd.loop.run_in_executor(None, lambda: device.change(wifi=NEW))

    async def heard():
        return await result

    joined = device.said.count("join attic")
    until(lambda: device.said.count("join attic") > joined)
    until(lambda: (beat(emd), "info net.good" in device.said)[1], 30)
    state = emd.do(heard(), 40)
    assert (state["state"], state["ssid"]) == ("good", "attic")


def test_a_new_password_through_the_window(device, emd):
    with device:
        emd.wait(lambda seen: "register" in [one[0] for one in seen])
        known(emd)
        assert "access point" not in device.said
        device.press()
        name, key = window.access_point(EUI, PAIRING)
        until(lambda: "info net.window 1" in device.said)
        assert f"access point {name} {key} 3\n" in device.said and name == "SPOT-00A1"

        assert asyncio.run(_bare(device.address))[:2] == [Code.UNAUTHORIZED] * 2, "nothing without the keys"
        with pytest.raises(window.NoAnswer, match="another pairing"):
            device.change(Pairing(bytes(16), bytes(8), b"\x01"))
        assert device.change() == {"state": "good", "why": "", "ssid": "home", "next": "", "left_s": 0}
        with pytest.raises(window.Refused, match="4.00.*key"):
            device.change(ssid="attic", key="short")

        device.hear(OLD, NEW)
        state = device.change(wifi={"ssid": "attic", "password": "a wrong one"})
        assert (state["state"], state["why"], state["ssid"]) == ("failed", "password", "home")
        assert "warn net.rolled_back" in device.said

        device.hear(NEW)  # the router has its new password
        _changed(device, emd)
        device.press()
        until(lambda: "info net.window 0" in device.said)
        assert device.said.rstrip().count("access point False") == 1
        assert "password" not in device.said.replace(key, "") and "Traceback" not in device.said, device.said
    with device:
        until(lambda: "join attic" in device.said)
        assert "join home" not in device.said, "kept"
    (device.folder / "store" / "net").write_bytes(b"torn")
    with device:
        until(lambda: "join home" in device.said)


def test_the_emd_tells_tomorrows_password(device, emd):
    with device:
        emd.wait(lambda seen: "register" in [one[0] for one in seen])
        known(emd)
        body = window.request({"ssid": "attic", "key": "new password", "later": 1})
        assert emd.request(Code.PUT, "network", body, content_format=60).code == Code.CHANGED
        told = window.told(emd.request(Code.GET, "network").payload)
        assert told["state"] == "waiting" and told["next"] == "attic"
        assert emd.request(Code.PUT, "network", b"\xff").code == Code.BAD_REQUEST
        device.hear(NEW)
        until(lambda: "join attic" in device.said, 30)
        until(lambda: (beat(emd), "info net.good" in device.said)[1], 30)
        assert "Traceback" not in device.said, device.said


def test_an_mqtt_device_whose_network_is_gone(device, tmp_path):
    """Nothing to join, no broker: the radio stays on its channel while the window is open; a radio that refuses, and
    the end of the window, leave the station trying as before."""
    config = json.loads((tmp_path / "config.json").read_text())
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_bytes(b"none")
    config["mqtt"] = {"host": "127.0.0.1", "port": 1, "pairing": config.pop("coap")["pairing"], "protect": "up",
                      **{name: str(tmp_path / name) for name in ("ca", "cert", "key")}}
    config["wifi"]["join_ms"] = 1000
    (tmp_path / "config.json").write_text(json.dumps(config))

    def joins(name="home"):
        return device.said.count(f"join {name}")

    device.hear({"ssid": "no access point", "password": ""})
    with device:
        until(lambda: joins() > 1)
        device.press()
        until(lambda: "error net.raised" in device.said)
        assert "access point SPOT" not in device.said
        before = joins()
        until(lambda: joins() > before, 30)

        device.hear(NEW)
        device.press()
        until(lambda: "info net.window 1" in device.said)
        before = joins()
        state = device.change(wifi={"ssid": "attic", "password": "a wrong one"}, later=1)
        assert state["state"] == "waiting"
        state = device.change(wifi=NEW)
        assert (state["state"], state["why"], state["next"]) == ("failed", "EMD", "attic"), "kept aside: it joined"
        assert joins("attic") and joins() <= before + 2
        device.press()
        until(lambda: "info net.window 0" in device.said)
        assert device.said.count("Traceback") == 1, "the one that was asked for"


def test_no_pairing_no_window(device, emd, tmp_path):
    config = json.loads((tmp_path / "config.json").read_text())
    del config["coap"]["pairing"]
    config["coap"]["insecure"] = True
    (tmp_path / "config.json").write_text(json.dumps(config))
    with device:
        until(lambda: "join home" in device.said)
        device.press()
        device.press(0.2)
        until(lambda: '"pin2"' in device.said.rsplit("join home")[-1])  # the short press is there: the long one was
        assert "access point" not in device.said and "net." not in device.said
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((device.address, 5683))  # nobody else has
