"""The targets `ip` and `serial`, with a process that stands in for the board: the suite runs on it as on a real one, in
real time, with every instrument of the inventory in use."""

import json
import os
import pty
import subprocess
import sys
import threading
import tty
from xml.etree import ElementTree

import pytest

from spot_host.broker import free_port
from spot_host.home_folder import HomeFolder
from spot_host.toolchain import paths
from tests.hil.stand_in import StandIn

EUI = "0200000000000009"
CHOSEN = "off_and_on or reference or button or broker"


def suite(tmp_path, *options):
    """{name: outcome} and the properties of the tests that ran, and what was printed."""
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "tests/hil", "-p", "no:cacheprovider", "--ignore", __file__,
               f"--junitxml={report}", *options]
    env = {k: v for k, v in os.environ.items() if k not in ("SPOT_TEST_REPORT", "PYTEST_ADDOPTS")}
    got = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, timeout=300, env=env,
                         stdin=subprocess.DEVNULL)
    outcome, properties = {}, {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        name = case.get("name")
        outcome[name] = next((k for k in ("failure", "error", "skipped") if k in kinds), "passed")
        properties[name] = {p.get("name"): p.get("value") for p in case.iter("property")}
    return outcome, properties, got.stdout + got.stderr


def home(tmp_path, link):
    coap = free_port() & ~1
    home = HomeFolder.create(tmp_path / "home", "127.0.0.1", free_port(), "home", coap_port=coap)
    at = home.enroll(EUI, "unix", link)
    config = json.loads((at / "config.json").read_text())
    config["device"] = {"remote_close": True}
    return at / "config.json", config


def test_a_board_that_dials(micropython_path, mosquitto_path, tmp_path):
    path, config = home(tmp_path, "mqtt")
    config["mqtt"]["backoff_ms"] = [100, 400]
    path.write_text(json.dumps(config))
    with StandIn(path, tmp_path / "bench") as board:
        inventory = tmp_path / "bench.toml"
        inventory.write_text(board.inventory("ip:127.0.0.1", tmp_path / "home", EUI))
        outcome, properties, text = suite(tmp_path, "--inventory", str(inventory), "-k", CHOSEN)
        assert set(outcome.values()) == {"passed"}, text + board.text()
        assert len(outcome) == 4, sorted(outcome)
        one = properties["test_off_and_on_move_the_contact_in_time[plug]"]
        assert (one["target"], one["board"], one["eui64"]) == ("plug", "unix", EUI) and one["firmware"]


@pytest.fixture
def cable():
    """(the board's end, the computer's end): two pseudo-terminals, and who carries octets between them."""
    pairs = [pty.openpty(), pty.openpty()]
    for pair in pairs:
        for fd in pair:
            tty.setraw(fd)

    def carry(source, target):
        try:
            while octets := os.read(source, 512):
                os.write(target, octets)
        except OSError:
            pass

    for here, there in ((0, 1), (1, 0)):
        threading.Thread(target=carry, args=(pairs[here][0], pairs[there][0]), daemon=True).start()
    return [os.ttyname(pair[1]) for pair in pairs]


def test_a_board_on_a_cable(micropython_path, tmp_path, cable):
    path, config = home(tmp_path, "coap")
    config["coap"]["uri"] = f"slipmux:{cable[0]}"
    path.write_text(json.dumps(config))
    with StandIn(path, tmp_path / "bench") as board:
        inventory = tmp_path / "bench.toml"
        inventory.write_text(board.inventory(f"serial:{cable[1]}", tmp_path / "home", EUI))
        logs = tmp_path / "logs"
        options = ("--inventory", str(inventory), "--target", f"serial:{cable[1]}", "--hil-logs", str(logs))
        outcome, _, text = suite(tmp_path, *options, "-k", "revoke or power_cut")
        assert set(outcome.values()) == {"passed"} and len(outcome) == 2, text + board.text()
        assert "link.up" in next(logs.rglob("*power_cut*/console.txt")).read_text()
        assert "command" in next(logs.rglob("*revoke*/packets.txt")).read_text()
