"""What a chip does when its configuration or a driver is broken: it never ends where only a cable helps, as long as it
can read how to reach its EMD."""

import json
import os
import re
import subprocess

import pytest

from spot_host.toolchain import runtimes
from tests.conftest import ROOT
from tests.unix.app.test_chip import MACHINE


@pytest.fixture
def lives(micropython_path, tmp_path):
    (tmp_path / "machine.py").write_text(MACHINE)
    (tmp_path / "network.py").write_text("")
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_bytes(b"0")
    files = {name: str(tmp_path / name) for name in ("ca", "cert", "key")}
    (tmp_path / "config.json").write_text(json.dumps({
        "board": "pico", "boards": str(ROOT / "boards"), "eui64": "0200000000000001", "store": str(tmp_path / "store"),
        "mqtt": {"host": "127.0.0.1", "port": 1, **files}}))

    def run(scenario):
        env = {**os.environ, "MICROPYPATH": f"{tmp_path}:{ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"}
        got = subprocess.run(
            [str(micropython_path), str(ROOT / "tests/unix/app/safe_on_device.py"), str(tmp_path / "config.json"),
             scenario], env=env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert got.returncode == 0, got.stdout + got.stderr
        shown = [line for line in got.stdout.splitlines() if line != "reset" and not line.startswith("rtc")]
        return [line for line in shown if not re.match(r"\d+ [a-z] ", line)]  # the log, for who interrupts a chip

    return run


def test_a_configuration_that_became_unreadable_gives_way_to_the_latest_good_one(lives):
    lines = lives("good")
    torn = [line for line in lines if line.endswith("is not JSON: torn or mistyped")]
    assert len(torn) == 2
    lines = [line for line in lines if ".json: " not in line or line.startswith("of")]
    assert lines[:4] == ["life 0 0", "kept early False", "life 0 0", "kept True"]
    assert lines[4] == "life 0 0" and lines[5].startswith("of the copy 11 b'\\x00") and "not JSON" in lines[5]
    assert lines[6:] == ["life 0 0", "not over the copy True", "life 0 0", "of the copy 11 0"]


def test_sections_that_are_wrong_are_not_applied_and_safe_mode_says_so(lives):
    lines = lives("sections")
    shown = [line for line in lines if ".json: " not in line]
    rest = "['board', 'boards', 'eui64', 'mqtt', 'store']"
    for i, name in enumerate(("device", "parts", "agent")):
        assert shown[2 * i] == "life 0 1" and shown[2 * i + 1].startswith(f"{name} {rest}"), shown
        assert shown[2 * i + 1].endswith("'15:1']"), "the alarm"
    assert shown[6:] == ["life 2 -"], "where the link cannot be read there is nothing to be done"


def test_without_any_configuration_it_waits_for_the_right_file(lives):
    assert lives("torn")[-1] == "life 2 -"


def test_a_driver_that_raises_at_every_start_ends_in_a_device_without_drivers_that_still_reports(lives):
    lines = lives("driver")
    assert lines[:8] == ["life 77 -"] * 7 + ["life 0 2"], lines
    assert lines[8] == "44 RuntimeError: no such chip", "safe mode's reason; and what it was can be read"
    assert lines[9] == "life 0 0", "somebody has mended it, and had it leave safe mode"


def test_where_flash_keeps_no_count_the_same_life_goes_on_without_drivers(lives):
    assert lives("flash")[-1] == "life 0 2"
