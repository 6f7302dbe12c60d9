"""What the drivers' cases share; runs on CPython and on MicroPython. Adds the simulator to the path where it is not."""

import sys

_SIM = __file__.rsplit("tests/unit", 1)[0] + "sim"
if _SIM not in sys.path:
    sys.path.append(_SIM)

from spot_sim.hardware import Hardware  # noqa: E402 - needs the path above


class Clockwork:
    """Virtual time as a board's loop has it: `turn(stepping)` every 50 ms, with a step each second."""

    def __init__(self):
        self.hardware = Hardware(3)
        self.now_s = 3

    def tick(self, ms=50):
        hardware = self.hardware
        before_s = hardware.now_s
        now = hardware.now_ms + ms
        hardware.advance(now // 1000, now % 1000)
        self.now_s = hardware.now_s
        self.turn(hardware.now_s != before_s)

    def run(self, seconds):
        end = self.hardware.now_ms + seconds * 1000
        while self.hardware.now_ms < end:
            self.tick(min(50, end - self.hardware.now_ms))

    def jump(self, seconds):
        """Lets time pass without a turn."""
        now = self.hardware.now_ms + seconds * 1000
        self.hardware.advance(now // 1000, now % 1000)
        self.now_s = self.hardware.now_s


class Notes:
    """A log that keeps everything."""

    def __init__(self):
        self.all = []

    def info(self, event, a=0, b=0):
        self.all.append((event, a, b))

    debug = warn = error = info

    def rows(self, event):
        return [row for row in self.all if row[0] == event]

    def count(self, event):
        return len(self.rows(event))


class Seeded:
    """The same numbers on each runtime."""

    def __init__(self, seed):
        self._state = (seed * 7919 + 12345) & 0x3FFFFFFF

    def below(self, n):
        total = 0
        for _ in range(2):
            self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
            total = total << 15 | self._state >> 16
        return total % n


class NoTrip:
    """Notes what was compared."""

    def __init__(self):
        self.checked = []

    def check(self, current_ma, power_w, voltage_10mv):
        self.checked.append((current_ma, power_w, voltage_10mv))
