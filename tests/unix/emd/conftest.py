"""A real broker, certificates, and an EMD as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spot_host.acl import DeviceAccess
from spot_host.broker import Broker
from spot_host.pki import Pki

ROOT = Path(__file__).resolve().parents[3]
DEVICES = ("0200000000000001", "0200000000000002")


def eventually(condition, seconds=20.0, what="it"):
    """Wait until `condition()` gives something true; that. Fails after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    pytest.fail(f"{what} did not happen within {seconds} s")


@pytest.fixture(scope="module")
def broker(tmp_path_factory, mosquitto_path):
    pki = Pki(tmp_path_factory.mktemp("pki"))
    access = [DeviceAccess(DEVICES[0], "plug", ("1",)), DeviceAccess(DEVICES[1], "heat_pump", ("1",))]
    for entry in access:
        pki.device(entry.device)
    pki.emd()
    with Broker(pki, "home", access) as running:
        yield running


class Emd:
    """`spot emd run` as a process, and `spot emd …` beside it."""

    def __init__(self, folder, broker):
        self.folder, self.broker, self.process = folder, broker, None
        self.db = folder / "emd.sqlite"
        identity = broker.pki.identity("emd")
        self.config = folder / "emd.toml"
        self.config.write_text(
            f'utility = "home"\n[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\nca = "{broker.pki.ca}"\n'
            f'cert = "{identity.cert}"\nkey = "{identity.key}"\n'
            "[association]\nheartbeat_s = 5\nheartbeat_timeout_s = 12\n"
        )

    def env(self):
        path = os.pathsep.join(str(ROOT / part) for part in ("firmware", "host_tools", "sim"))
        return {**os.environ, "PYTHONPATH": path, "COLUMNS": "160"}

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "spot_host.cli", "emd", "run", str(self.config)],
            env=self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(15)
        return self.process.returncode

    def cli(self, *words, code=0):
        """Run `spot emd …`; its stdout. Fails on another exit code."""
        got = subprocess.run(
            [sys.executable, "-m", "spot_host.cli", "emd", *words, "--db", str(self.db)],
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert got.returncode == code, (got.returncode, got.stdout, got.stderr)
        return got.stdout if code == 0 else got.stderr + got.stdout

    def json(self, *words):
        return json.loads(self.cli(*words, "--json"))


@pytest.fixture
def emd(tmp_path, broker):
    emd = Emd(tmp_path, broker)
    yield emd
    if emd.process is not None and emd.process.poll() is None:
        emd.kill()
