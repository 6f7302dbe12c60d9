"""Target `rp2040`: the product's image on an emulated chip by its own main.py, a slipmux cable in lock-step with the
chip's clock, a BL0942 at its UART, pins as the read-back and the button. tests/rp2040 has the harness.
"""

import shutil
import tempfile
from pathlib import Path

from spot_host.hil.target import Absent, Target


class _Core:
    """Stands between the cable and the target's core: the target notes what comes, and may be silent."""

    def __init__(self, target):
        self._target = target

    def __getattr__(self, name):
        return getattr(self._target.core, name)

    def receive(self, now, eui, channel, body):
        self._target.arrived(channel, body)

    def step(self, now):
        if not self._target.silent and not self._target.cut:
            self._target.core.step(now)


class Rp2040Target(Target):
    virtual = True
    board = "pico"

    def _begin(self):
        from tests.rp2040 import board as boards
        from tests.rp2040 import build, cable, product

        rig = build.rig()
        if rig is None:
            raise Absent("RP2040 image and emulator (make test-rp2040)")
        self.features = {"virtual_time", "relay_readback", "reference_meter", "power_cut", "link_cut", "consumes",
                         "load", "button", "console"}
        self._folder = Path(tempfile.mkdtemp(prefix="spot-hil-rp2040-"))
        self._cables, self._load = cable, self.load_w
        self._board = boards.Board(rig, self._folder, flash=product.shared(rig), held=True)
        self._board.start()
        self._wire()
        self.eui = cable.EUI
        self.cable = _cable(cable, self)
        self._said = 0
        self._make_core(self.now)
        self.cable.core = _Core(self)

    def _end(self):
        board = getattr(self, "_board", None)
        if board is not None:
            board.stop()
            shutil.rmtree(self._folder, ignore_errors=True)
        self._board = None

    def _wire(self):
        self._board.wire(*self._cables.wiring(self._loads()))

    def _loads(self):
        return ((1, self._load, round(self._load / 0.23)),)

    @property
    def now(self):
        return self.cable.now

    def advance(self, seconds):
        self.cable.run(max(seconds, 0.05))  # nothing is carried without time

    def _carry(self, channel, body):
        self.cable._waiting.append(body)

    # What the bench can do

    def _relay(self):
        return bool(self.cable.relay)

    def _power(self):
        return self._load if self.cable.relay else 0

    def _set_load(self, watts):
        self._load = watts
        meter = self._cables.DESCRIPTION["parts"]["meter"]["uart"]
        self._board.command("bl0942", uart=meter, relay=self._cables.RELAY, loads=self._loads())
        self._wire()  # also after the next start

    def _cut_power(self, seconds):
        self.cable.power_cycle()
        self.advance(seconds)

    def _cut_link(self, cut):
        """Frames are dropped, by the flag `cut`."""

    def _press(self, seconds):
        self._board.drive(self._cables.BUTTON, 0)
        self.advance(seconds)
        self._board.drive(self._cables.BUTTON, 1)
        self.advance(1)

    def gather(self):
        said = self.cable.said
        for line in said[self._said:]:
            self.record.say(line)
        self._said = len(said)


def _cable(cables, target):
    class Cut(cables.Cable):
        """A cable that can be cut."""

        def post(self, datagram):
            if not target.cut:
                super().post(datagram)

        def arrived(self, data):
            return None if target.cut else super().arrived(data)

    return Cut(target._board)
