"""The target `ip`, with a process that stands in for the board: the suite runs on it as on a real one, in real time,
with every instrument of the inventory in use. Its cable is test_cable_target.py's, so that both run at once."""

import json
import os
import subprocess
import sys
from xml.etree import ElementTree

from spot_host.broker import free_port
from spot_host.home_folder import HomeFolder
from spot_host.toolchain import paths
from tests.hil.stand_in import StandIn

EUI = "0200000000000009"
CHOSEN = "off_and_on or reference or button or broker"
THESE = ("--ignore=tests/hil/test_real_targets.py", "--ignore=tests/hil/test_cable_target.py")


def suite(tmp_path, *options):
    """{name: outcome} and the properties of the tests that ran, and what was printed."""
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "tests/hil", "-p", "no:cacheprovider", *THESE,
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
