"""The start on a chip, on MicroPython with a machine and a network of paper: clock, Wi-Fi, and what ends in a reset."""

import json
import os
import subprocess

import pytest

from spot_host.toolchain import runtimes
from tests.conftest import ROOT

MACHINE = """
PWRON_RESET, WDT_RESET = 1, 3
said = []

def reset_cause():
    return WDT_RESET

def reset():
    print("reset")
    raise SystemExit(77)

class RTC:
    def datetime(self, value):
        said.append(value)
        print("rtc", value[:3], value[4:7])

class WDT:
    def __init__(self, timeout):
        pass
    def feed(self):
        pass

class Pin:
    IN, OUT, PULL_UP, IRQ_RISING, IRQ_FALLING = 0, 1, 1, 1, 2
    def __init__(self, number, mode=-1, pull=None, value=None):
        self.level = 1 if value is None else value
    def irq(self, handler, trigger):
        pass

    def value(self, level=None):
        if level is None:
            return self.level
        self.level = level

class UART:
    IRQ_RXIDLE = 64
    def __init__(self, number, **options):
        pass
    def irq(self, handler, trigger):
        pass
    def any(self):
        return 0
    def write(self, data):
        return len(data)
"""
NETWORK = """
import machine
STA_IF = 0
class WLAN:
    looks = 0
    def __init__(self, interface):
        pass
    def active(self, on):
        pass
    def connect(self, ssid, password):
        print("join", ssid)
    def isconnected(self):
        if not machine.said:
            print("the clock was not set before the network")
        WLAN.looks += 1
        if WLAN.looks == %s:
            raise KeyboardInterrupt
        return WLAN.looks > 2
    def ifconfig(self):
        return ("192.0.2.9", "", "", "192.0.2.1")
    def status(self, what=None):
        return 0
    def disconnect(self):
        pass
"""


@pytest.fixture
def chip(micropython_path, tmp_path):
    """Runs main.main() there after `code`: (exit code, lines)."""
    for name, text in (("machine", MACHINE), ("network", NETWORK % 5)):
        (tmp_path / (name + ".py")).write_text(text)
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_bytes(b"0")
    config = {
        "board": "pico", "boards": str(ROOT / "boards"), "eui64": "0200000000000001", "store": str(tmp_path / "store"),
        "mqtt": {"host": "127.0.0.1", "port": 1, **{name: str(tmp_path / name) for name in ("ca", "cert", "key")}},
        "wifi": {"ssid": "home", "password": "secret"},
    }

    def run(code="", **changes):
        config.update(changes)
        shown = {name: value for name, value in config.items() if value is not None}
        (tmp_path / "config.json").write_text(json.dumps(shown))
        script = tmp_path / "start.py"
        script.write_text(f"import sys\nsys.path.insert(0, {str(ROOT / 'firmware')!r})\n"
                          f"sys.path.insert(0, {str(tmp_path)!r})\nimport main\nmain._REST_MS = 1\n{code}\n"
                          "code = main.main(sys.argv[1:])\nsys.exit(code)\n")
        env = {**os.environ, "MICROPYPATH": f"{ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"}
        got = subprocess.run([str(micropython_path), str(script), str(tmp_path / "config.json")], env=env,
                             capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        return got.returncode, got.stdout.splitlines(), got.stderr

    return run


def test_the_clock_is_set_from_the_floor_before_the_network_is_used(chip, tmp_path):
    code, lines, errors = chip()
    assert (code, lines[:2], errors) == (0, ["rtc (2025, 1, 1) (0, 0, 0)", "join home"], ""), "no floor: the first day"
    assert (tmp_path / "store" / "meter").read_bytes()[-1] == 1, "Ctrl-C is an end in order, too"
    code, lines, errors = chip("""
from spot.store import Store
import struct
Store(None, %r).put("clock", struct.pack("<i", 86400 * 400 + 3661))
""" % str(tmp_path / "store"))
    assert (code, lines[0], errors) == (0, "rtc (2026, 2, 5) (1, 1, 1)", "")


def test_the_chip_s_clock_follows_the_emd(chip):
    code, lines, _ = chip("""
from spot.app import App
from spot.codes import CLOCK_EMD
built = App.__init__
def init(self, *rest):
    built(self, *rest)
    self.agent.step = lambda now_s: self.clock.set_utc(now_s, 86400 * 31 + now_s, CLOCK_EMD) and 60
App.__init__ = init
""")
    assert code == 0 and [line for line in lines if line.startswith("rtc")][1].startswith("rtc (2025, 2, 1)")


def test_a_board_must_be_named(chip):
    code, lines, _ = chip(board=None)
    assert code == 2 and lines[0].endswith("board: must be given: the folder in boards/ that describes this board")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("from spot.agent.agent import Agent\nfrom spot import run\nrun._IN_A_ROW = 0\n"
         "def fail(self, now_s): raise RuntimeError('a mistake')\nAgent.step = fail", "RuntimeError: a mistake"),
        ("from spot.device.plug import Plug\ndef fail(self, *a): raise RuntimeError('no such chip')\n"
         "Plug.__init__ = fail",
         "RuntimeError: no such chip"),
    ],
)
def test_what_cannot_go_on_resets_the_chip_and_says_why(chip, tmp_path, code, said):
    (tmp_path / "network.py").write_text(NETWORK % 0)
    code, lines, errors = chip(code)
    assert (code, lines[-1]) == (77, "reset") and said in errors
