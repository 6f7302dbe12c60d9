"""Stands in for a real board on a bench: the firmware on MicroPython's unix port in real time, as a process of its own,
with the instruments as files of a folder. `python -m tests.hil.stand_in CONFIG.json FOLDER` runs until `quit`.

FOLDER/relay: 0 or 1. FOLDER/watts: what the reference meter shows. FOLDER/control, a FIFO, takes the lines of `spot
device`: press, load 500, cut, and any line brings the power back.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from spot.config import load_board
from spot_host.toolchain import paths, runtimes
from spot_sim.desk import Desk
from spot_sim.lockstep import micropython_command, micropython_environment

LOAD_W = 400


class _Desk(Desk):
    folder = None

    def _show(self):
        for name, value in (("relay", int(self.on() and self._child is not None)), ("watts", self.power_w(0))):
            part = self.folder / f"{name}.part"
            part.write_text(f"{value}\n")
            part.replace(self.folder / name)

    def _measure(self):
        super()._measure()
        self._show()

    def cut(self):
        super().cut()
        self._show()


def main(config, folder):
    os.dup2(os.open(folder / "control", os.O_RDWR), 0)  # which has no end
    firmware = paths.ROOT / "firmware"
    said = json.loads(config.read_text())
    command = micropython_command(runtimes.installed("micropython"), firmware / "main.py", config, lockstep=False)
    _Desk.folder = folder
    desk = _Desk(command, micropython_environment(firmware, [runtimes.umqtt_dir()]),
                 load_board(said["board"], str(paths.ROOT / "boards")), LOAD_W)
    return desk.run()


class StandIn:
    """The process, for a test. A context manager."""

    def __init__(self, config: Path, folder: Path):
        self.config, self.folder = config, folder
        folder.mkdir()
        os.mkfifo(folder / "control")

    def __enter__(self):
        self._said = open(self.folder / "said", "wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hil.stand_in", str(self.config), str(self.folder)], cwd=paths.ROOT,
            env={**os.environ, "PYTHONPATH": "firmware:host_tools:sim"},
            stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._said)
        deadline = time.monotonic() + 20
        while not (self.folder / "relay").exists():
            assert time.monotonic() < deadline and self._process.poll() is None, self.text()
            time.sleep(0.02)
        return self

    def __exit__(self, *exc):
        if self._process.poll() is None:
            (self.folder / "control").write_text("quit\n")
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._said.close()

    def text(self):
        return (self.folder / "said").read_text(errors="replace")[-2000:]

    def inventory(self, target, home, eui) -> str:
        """Of this bench, TOML."""
        def tell(line):
            return json.dumps(["sh", "-c", f"echo '{line}' > {self.folder / 'control'}"])

        return f"""
[board.plug]
target = "{target}"
home = "{home}"
eui64 = "{eui}"
load_w = {LOAD_W}

[board.plug.relay_readback]
driver = "command"
command = ["cat", "{self.folder / 'relay'}"]

[board.plug.reference_meter]
driver = "command"
command = ["cat", "{self.folder / 'watts'}"]

[board.plug.power_switch]
driver = "command"
on = {tell('on')}
off = {tell('cut')}

[board.plug.load]
driver = "command"
command = {tell('load {watts}')}

[board.plug.button]
driver = "command"
command = {tell('press')}
"""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
