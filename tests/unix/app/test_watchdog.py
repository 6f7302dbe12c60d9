"""The watchdog bites whatever task hangs: each in turn, on MicroPython, with this process as the hardware's watchdog.

After the bite the next life knows the cause, has counted it, and raises the alarm.
"""

import json
import os
import queue
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from spot_host.toolchain import runtimes
from tests.conftest import ROOT
from tests.unix.app.test_chip import MACHINE

BITE_MS = 1000
DEADLINE_S = 20
WDT = """
class WDT:
    def __init__(self, timeout):
        print("armed", timeout)
    def feed(self):
        print("fed")
"""


class Board:
    """The board in `folder`, whose reset cause and watchdog are here."""

    def __init__(self, micropython, folder):
        self._micropython, self._folder = micropython, folder
        shutil.copytree(ROOT / "boards", folder / "boards")
        path = folder / "boards" / "pico" / "board.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"watchdog_ms": BITE_MS}))
        for name in ("ca", "cert", "key"):
            (folder / name).write_bytes(b"0")
        files = {name: str(folder / name) for name in ("ca", "cert", "key")}
        self.config = {"board": "pico", "boards": str(folder / "boards"), "eui64": "0200000000000001",
                       "store": str(folder / "store"), "mqtt": {"host": "127.0.0.1", "port": 1, **files}}
        (folder / "network.py").write_text("")

    def life(self, task, bitten):
        """Runs until the watchdog bites or the process ends: (whether it bit, the lines)."""
        folder = self._folder
        cause = "return WDT_RESET" if bitten else "return PWRON_RESET"
        (folder / "machine.py").write_text(MACHINE.replace("return WDT_RESET", cause) + WDT)
        (folder / "config.json").write_text(json.dumps(self.config))
        env = {**os.environ, "MICROPYPATH": f"{folder}:{ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"}
        script = ROOT / "tests" / "unix" / "app" / "watchdog_on_device.py"
        child = subprocess.Popen([str(self._micropython), str(script), str(folder / "config.json"), task], env=env,
                                 text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        heard = queue.Queue()
        threading.Thread(target=lambda: [heard.put(line.strip()) for line in child.stdout] + [heard.put(None)],
                         daemon=True).start()
        lines, fed, end = [], None, time.monotonic() + DEADLINE_S
        try:
            while time.monotonic() < end:
                wait_s = DEADLINE_S if fed is None else max(0, fed + BITE_MS / 1000 - time.monotonic())
                try:
                    line = heard.get(timeout=wait_s)
                except queue.Empty:
                    return fed is not None, lines
                if line is None:
                    return False, lines
                if line == "fed" or line.startswith("armed"):
                    fed = time.monotonic()
                lines.append(line)
        finally:
            child.kill()
            child.wait()
        pytest.fail("\n".join(line for line in lines if line != "fed"))


TASKS = {  # what the record of the crash says
    "building": None,
    "device": None,
    "agent": None,
    "drivers": None,
    "link, in a call": None,
    "link, waiting": "watchdog: task 3",
}


@pytest.fixture(scope="module")
def lives(micropython_path, tmp_path_factory):
    """By task: the life in which it hangs, and the one after the bite. All at once: most of it is waiting."""

    def two(task):
        board = Board(micropython_path, tmp_path_factory.mktemp("board"))
        return board.life(task, False), board.life("none", True)

    with ThreadPoolExecutor() as pool:
        return dict(zip(TASKS, pool.map(two, TASKS), strict=True))


@pytest.mark.parametrize(("task", "record"), TASKS.items())
def test_whatever_hangs_is_bitten_counted_and_told(lives, task, record):
    (bit, lines), after = lives[task]
    assert bit and f"armed {BITE_MS}" in lines, lines
    if task != "building":
        assert "hangs" in lines and lines.count("fed") >= 1, lines
    bit, lines = after
    life = [line for line in lines if line.startswith("life")]
    assert not bit and life == ["life 2 3 1 16:1"], lines  # second boot, cause watchdog, one bite, alarm crash
    kept = [line for line in lines if line.startswith("crash")][0]
    assert (record in kept) if record else kept == "crash None", kept


def test_without_one_in_the_description_or_with_it_switched_off_there_is_none(micropython_path, tmp_path):
    board = Board(micropython_path, tmp_path)
    board.config["watchdog"] = False
    board.life("none", False)
    bit, lines = board.life("none", True)
    assert not bit and "life 2 3 1 16:1" in lines and not [line for line in lines if line.startswith(("armed", "fed"))]
