"""Devices as processes on MicroPython, started by the loader from slots that are files, updated by `spot update` over
MQTT through a broker that need not be trusted, and over CoAP with OSCORE: to a good release, which confirms itself, and
to one that never gets onto its link, which goes back."""

import json
import subprocess
import sys
import threading

import pytest

from spot_host import romfs, suit
from spot_host.broker import free_port
from spot_host.release import build
from spot_host.toolchain import runtimes
from tests.unix.emd.conftest import ROOT, eventually
from tests.unix.emd.test_coap import two_ports
from tests.unix.emd.test_home_folder import spot  # noqa: F401 - a fixture

LINKS = {"0200000000000001": ("--link", "coap"), "0200000000000002": ("--link", "mqtt", "--protect", "both")}
COAP, MQTT = LINKS

# A release whose code is the checkout's: what is built is in tests/unix/boot, here it is about the way
MAIN = """
import sys

sys.path.insert(0, %r)
from spot import update

update._GOOD_S, update._TRIAL_S = 4, 12
%s
with open(%r) as file:
    exec(file.read(), {"__name__": "__main__"})
"""
DEAF = """
from spot.agent import agent

agent.Agent.link_up = lambda self, now_s, at=0: None
"""


def image(sequence, keys, more=""):
    firmware = ROOT / "firmware"
    said = {"sequence": sequence, "version": f"1.{sequence}.0", "board": "unix", "base": 1, "keys": list(keys),
            "vendor": suit.VENDOR.hex, "class": suit.class_id("unix").hex}
    return romfs.pack({
        "main.py": (MAIN % (str(firmware), more, str(firmware / "main.py"))).encode(),
        "release.json": json.dumps(said).encode(),
        "boards/unix/board.json": (ROOT / "boards" / "unix" / "board.json").read_bytes(),
        "filler": bytes(range(256)) * 6})


class Device:
    """The loader in a loop, as whoever runs it restarts it: again at exit code 3. `codes`, `said`."""

    def __init__(self, folder, micropython, config):
        self.codes, self.said = [], ""
        self._folder, self._ended = folder, False
        env = {"MICROPYPATH": ":".join([str(ROOT / "firmware"), str(runtimes.umqtt_dir()), ".frozen"])}
        self._command = [micropython, "-X", "heapsize=4m", ROOT / "firmware" / "boot.py", config]
        self._env, self._process = env, None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._ended:
            self._process = process = subprocess.Popen(
                self._command, cwd=self._folder, env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True)
            for line in process.stdout:
                self.said += line
            self.codes.append(process.wait())
            if self.codes[-1] != 3:
                return

    def end(self):
        self._ended = True
        self._process.kill()
        self._thread.join(10)


@pytest.fixture
def devices():
    started = []
    yield started
    for device in started:
        device.end()


def test_updates_of_two_devices(spot, tmp_path, micropython_path, mosquitto_path, devices, monkeypatch):  # noqa: F811
    monkeypatch.setenv("PYTHONPATH", ":".join(str(ROOT / part) for part in ("firmware", "host_tools", "sim")))

    def run(*words, code=0):
        got = subprocess.run([sys.executable, "-m", "spot_host.cli", *words], cwd=tmp_path, text=True,
                             capture_output=True, timeout=60)
        assert got.returncode == code, (got.stdout, got.stderr)
        return got.stdout

    run("release", "keygen", "key", "--height", "5")

    def release(sequence, more=""):
        path = tmp_path / f"{sequence}.spotfw"
        path.write_bytes(build("unix", f"1.{sequence}.0", tmp_path / "key", sequence,
                               image_of=lambda board, version, sequence, keys: image(sequence, keys, more)))
        return path

    first, good, bad = release(1), release(2), release(3, DEAF)
    public = (tmp_path / "key" / "public.hex").read_text().strip()
    port = two_ports()
    spot("init", "house", "--port", str(free_port()), "--coap-port", str(port))
    spot.emd("broker.out", "broker", "house")
    for eui, how in LINKS.items():
        spot("enroll", "house", eui, "--board", "unix", *how)
        path = tmp_path / "house" / "devices" / eui / "config.json"
        config = json.loads(path.read_text())
        slots = tmp_path / f"slots_{eui}"
        slots.mkdir()
        (slots / "slot_a.bin").write_bytes(romfs.in_slot(first.read_bytes()).ljust(262144, b"\xff"))
        config.update({"slots": str(slots), "log": "print", "update": {"keys": [public], "rate": 8192}})
        path.write_text(json.dumps(config))
    eventually(lambda: "2 devices may connect" in (tmp_path / "broker.out").read_text(), what="the broker's start")
    spot.emd("emd.out", "run", "house/emd.toml")
    for eui in LINKS:
        devices.append(Device(tmp_path, micropython_path, tmp_path / "house" / "devices" / eui / "config.json"))

    def rows():
        return {row["eui"]: row for row in json.loads(spot("devices", "--db", "house/emd.sqlite", "--json"))}

    def registered():
        found = rows()
        return len(found) == 2 and all(row["registered"] and row["state"]["live"] for row in found.values())

    def campaign():
        return json.loads(run("update", "status", "--db", "house/emd.sqlite", "--json"))

    def said():
        return campaign(), [device.said[-1500:] for device in devices]

    def reaches(condition, what, seconds=90):
        try:
            eventually(condition, seconds=seconds, what=what)
        except pytest.fail.Exception:
            pytest.fail(f"{what}: {said()}")

    reaches(lambda: (tmp_path / "house" / "emd.sqlite").exists() and registered(), "the registration of both", 60)
    both = [word for eui in LINKS for word in ("--device", eui)]
    run("update", "start", str(good), *both, "--canaries", "0", "--key", public, "--db", "house/emd.sqlite")
    reaches(lambda: all("info update.confirmed 2" in device.said for device in devices), "the update of both")
    for device in devices:
        assert device.codes == [3], "one start afresh"
        assert device.said.count("info update.verified 2") == 1 and "Traceback" not in device.said
    reaches(lambda: campaign()["state"] == "over", "the end of the campaign")

    run("update", "start", str(bad), *both, "--canaries", "0", "--most-failed", "5", "--db", "house/emd.sqlite")
    reaches(lambda: all("error update.rolled_back 3 2" in device.said for device in devices), "the way back of both")
    for device in devices:
        assert device.codes == [3, 3, 3] and "error update.not_proven 3" in device.said
    reaches(lambda: {m["state"] for m in campaign()["members"]} == {"failed"}, "the word of it")
    assert {m["reason"] for m in campaign()["members"]} == {"rolled_back"}
