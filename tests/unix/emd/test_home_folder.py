"""A newcomer's way: a home's folder, its broker, its EMD and the firmware on MicroPython, all from `spot emd`."""

import json
import os
import signal
import subprocess
import sys

import pytest

from spot_host.broker import free_port
from spot_host.toolchain import runtimes
from tests.unix.emd.conftest import ROOT, eventually

DEVICE = "0200000000000001"


@pytest.fixture
def spot(tmp_path):
    """spot(*words): `spot emd …` until it ends, its stdout; spot.start(…): a process that ends with the test."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("firmware", "host_tools", "sim"))}
    started = []

    def run(*words, code=0):
        got = subprocess.run([sys.executable, "-m", "spot_host.cli", "emd", *words], cwd=tmp_path, env=env,
                             capture_output=True, text=True, timeout=60)
        assert got.returncode == code, (got.stdout, got.stderr)
        return got.stdout

    def start(name, *command, **more):
        out = open(tmp_path / name, "wb")
        started.append(subprocess.Popen(command, cwd=tmp_path, env={**env, **more}, stdin=subprocess.PIPE,
                                        stdout=out, stderr=subprocess.STDOUT))
        return started[-1]

    run.start = start
    run.emd = lambda name, *words: start(name, sys.executable, "-m", "spot_host.cli", "emd", *words)
    yield run
    for process in started:
        process.terminate()
    for process in started:
        process.wait(15)


def test_a_device_registers_and_is_taken_out(spot, tmp_path, micropython_path, mosquitto_path):
    said = lambda name: (tmp_path / name).read_text()  # noqa: E731
    spot("init", "house", "--port", str(free_port()), "--coap-port", str(free_port()))  # other EMDs may run here
    broker = spot.emd("broker.out", "broker", "house")
    eventually(lambda: "0 devices may connect" in said("broker.out"), what="the broker's start")
    spot.emd("emd.out", "run", "house/emd.toml")
    spot("enroll", "house", DEVICE, "--board", "unix")
    eventually(lambda: "1 devices may connect" in said("broker.out"), what="the device's admission")
    path = ":".join([str(ROOT / "firmware"), str(runtimes.umqtt_dir()), ".frozen"])
    spot.start("device.out", str(micropython_path), str(ROOT / "firmware" / "main.py"),
               f"house/devices/{DEVICE}/config.json", MICROPYPATH=path)

    def row():
        rows = json.loads(spot("devices", "--db", "house/emd.sqlite", "--json"))
        return rows and rows[0]

    eventually(lambda: (found := row()) and found["registered"] and found["state"]["online"], what="registration")
    spot("revoke", "house", DEVICE)
    eventually(lambda: "0 devices may connect" in said("broker.out"), what="the revocation")
    eventually(lambda: row()["state"]["online"] == 0, what="the end of its connection")
    broker.send_signal(signal.SIGINT)
    assert broker.wait(15) == 0
