"""`spot device`: the firmware on MicroPython in real time, with a load, a meter and a button behind its pins."""

import json
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import ROOT


class Desk:
    """`spot device` in a process; `lines`: what it printed."""

    def __init__(self, folder, board="unix", **config):
        path = folder / "config.json"
        path.write_text(json.dumps({
            "board": board, "eui64": "0200000000000001", "store": str(folder / "store"), "boards": str(ROOT / "boards"),
            "log": "print", "coap": {"uri": "coap://127.0.0.1:9", "insecure": True}, **config,
        }))
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "spot_host.cli", "device", str(path), "--load", "1000"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
        )
        threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")), daemon=True).start()

    def say(self, line):
        self.process.stdin.write(line + "\n")

    def hear(self, words, times=1):
        until = time.monotonic() + 20
        while "".join(self.lines).count(words) < times:
            assert time.monotonic() < until and self.process.poll() is None, (words, self.lines)
            time.sleep(0.02)

    def end(self):
        self.say("quit")
        return self.process.wait(20)


@pytest.fixture
def desk(tmp_path):
    desks = []

    def start(*args, **config):
        desks.append(Desk(tmp_path, *args, **config))
        return desks[-1]

    yield start
    for one in desks:
        one.process.kill()
        one.process.wait()


def test_a_plug(desk):
    plug = desk("unix", device={"over_current_ma": 8000})
    plug.hear("* relay closes")
    plug.say("nonsense\npress")  # two lines at once
    plug.hear("there are:")
    plug.hear("* relay opens", 2)  # the first as it starts
    plug.say("press")
    plug.hear("* relay closes", 2)
    plug.say("load 1900")  # 8.3 A: the meter is believed, so the trip acts
    plug.hear("warn alarm 6 1")
    plug.hear("* relay opens", 3)
    plug.say("cut")
    plug.hear("power is gone")
    plug.say("")
    plug.hear("board.built", 2)
    plug.hear("warn alarm 6 1", 2)  # kept over the cut
    assert plug.end() == 0


def test_a_heat_pump(desk):
    pump = desk("unix_heat_pump")
    pump.hear("board.built")
    pump.say("room 6")
    pump.hear("warn alarm 21 1")  # frost
    pump.say("press")
    pump.hear("no button")
    assert pump.end() == 0


def test_what_is_no_configuration_of_a_device(tmp_path):
    path = tmp_path / "x.json"
    for text in ("", "[]", '{"board": "pico"}', '{"board": "nowhere"}'):
        path.write_text(text)
        done = subprocess.run([sys.executable, "-m", "spot_host.cli", "device", path], capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and str(path) in done.stderr, done.stderr
