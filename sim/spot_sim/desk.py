"""A device on the desk: the firmware as a process on MicroPython in real time, with a load, a meter chip, a button and
temperatures behind its pins. What `spot device` runs; boards/unix/stdio.py has the other end.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time

from spot_sim.chips.bl0942 import BL0942Chip

HELP = """press            the button, shortly; hold 3, hold 11: for so many seconds
load 1500        what the load draws in W while the contact is closed
volts 250        the mains; hertz 49.7
room 18.5        a temperature in °C: room, outdoor, flow, hot_water, device
meter off        the metering chip says nothing more; meter on
cut              the power goes; the next line brings it back
quit             an orderly end"""
_TEMPERATURES = {"room": 20.5, "outdoor": 3.0, "flow": 32.0, "hot_water": 48.0, "device": 35.0}
_SG = {(1, 0): 1, (0, 0): 2, (0, 1): 3, (1, 1): 4}
_WORDS = {1: "lock", 2: "normal", 3: "recommended", 4: "forced"}
_AFRESH = 3  # exit code: the firmware wants to be started again, as a chip does itself
_MAINS_S = 1.0  # how often the meter's registers are renewed


class Desk:
    """command, environment: of the process; description: of its board; load_w: power of the load.

    It is the source, the mains and the clock of its BL0942.
    """

    power_factor = 1.0

    def __init__(self, command, environment, description, load_w):
        self.command, self.environment = command, environment
        parts = description["parts"]
        self._uart = "uart%d" % parts["meter"]["uart"]
        self._button = "pin%d" % parts["button"]["pin"] if "button" in parts else None
        self._contacts = ["pin%d" % pin for pin in parts.get("sg_ready", {}).get("pins", [])]
        self._relay = "pin%d" % parts["relay"]["pin"] if "relay" in parts else None
        self._lamp = "pin%d" % parts["led"]["pin"] if "led" in parts else None
        self._levels = {}
        self._temperatures = dict(_TEMPERATURES) if "sensors" in parts else {}
        self.load_w, self._volts, self._hertz = load_w, 230.0, 50.0
        self._mj, self._counted_s = 0.0, time.monotonic()
        self._release_s = None  # when the button is let go
        self._child = None
        self._text = self._typed = b""
        self._chip = BL0942Chip(self, self, self)

    # --- what the meter sees ---------------------------------------------------------------------------------------

    @property
    def now_s(self):
        return time.monotonic()

    def on(self):
        """Whether the load draws power."""
        if self._relay:
            return bool(self._levels.get(self._relay))
        return self._sg() != 1

    def _sg(self):
        return _SG[tuple(self._levels.get(name, 0) for name in self._contacts)] if self._contacts else 2

    def power_w(self, _now_s):
        return float(self.load_w if self._child is not None and self.on() else 0)

    def energy_mj(self, now_s):
        self._mj += self.power_w(now_s) * 1000 * (now_s - self._counted_s)
        self._counted_s = now_s
        return self._mj

    def voltage_10mv(self, _now_s):
        return round(self._volts * 100)

    def frequency_mhz(self, _now_s):
        return round(self._hertz * 1000)

    # --- the process -----------------------------------------------------------------------------------------------

    def start(self):
        """Power comes."""
        self.energy_mj(self.now_s)
        self._child = subprocess.Popen(
            self.command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )
        os.set_blocking(self._child.stdout.fileno(), False)
        self._text = b""
        self._say({name: round(value * 100) for name, value in self._temperatures.items()})
        self._measure()

    def _say(self, values):
        if self._child is None or not values:
            return
        try:
            self._child.stdin.write(json.dumps({"in": values}).encode() + b"\n")
            self._child.stdin.flush()
        except OSError:
            pass  # it has ended; its exit code says why

    def _measure(self):
        self.energy_mj(self.now_s)
        self._say({self._uart: "" if self._chip.dead else self._chip.frame().hex()})

    def cut(self):
        """Power goes, at once."""
        self.energy_mj(self.now_s)
        self._child.kill()
        self._child.wait()
        self._child = None
        self._levels.clear()
        self._release_s = None

    def end(self):
        """An orderly end; the exit code."""
        if self._child is None:
            return 0
        self._child.stdin.close()
        try:
            return self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.send_signal(signal.SIGINT)
            return self._child.wait(10)

    def _hear(self):
        """What the process has said: moves of its pins in words, its own text as it is."""
        self._text += self._child.stdout.read() or b""
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            line = line.decode(errors="replace")
            if not line.startswith(">"):
                print(line)
                continue
            for name, value in json.loads(line[1:]).get("out", ()):
                self._moved(name, value)
        sys.stdout.flush()

    def _moved(self, name, value):
        before, sg = self._levels.get(name), self._sg()
        self.energy_mj(self.now_s)
        self._levels[name] = value
        if name == self._relay and value != before:
            print("* relay " + ("closes" if value else "opens"))
        elif name in self._contacts and self._sg() != sg:
            print(f"* SG-Ready {self._sg()}, {_WORDS[self._sg()]}")
        elif name not in (self._relay, self._lamp, *self._contacts):
            print(f"* {name}: {'none' if value is None else value}")
        self._measure()

    # --- somebody at the desk --------------------------------------------------------------------------------------

    def obey(self, line):
        """One line of HELP. ValueError for any other."""
        word, _, rest = line.strip().partition(" ")
        if word in ("press", "hold"):
            if self._button is None:
                raise ValueError("this board has no button")
            self._release_s = time.monotonic() + (0.2 if word == "press" else float(rest))
            self._say({self._button: 0})
        elif word == "load":
            self.energy_mj(self.now_s)
            self.load_w = float(rest)
            self._measure()
        elif word in ("volts", "hertz"):
            setattr(self, "_" + word, float(rest))
            self._measure()
        elif word in self._temperatures:
            self._temperatures[word] = float(rest)
            self._say({word: round(float(rest) * 100)})
        elif line.strip() in ("meter off", "meter on"):
            self._chip.dead = rest == "off"
            self._measure()
        elif word:
            raise ValueError("there are:\n" + HELP)

    def run(self):
        """Until it ends, `quit`, or the end of stdin; the exit code."""
        stdin = sys.stdin.fileno()
        self.start()
        due_s = time.monotonic() + _MAINS_S
        while True:
            watched = [stdin] if self._child is None else [stdin, self._child.stdout]
            until_s = due_s if self._release_s is None else min(due_s, self._release_s)
            ready, _, _ = select.select(watched, [], [], max(0.0, until_s - time.monotonic()))
            now_s = time.monotonic()
            if self._release_s is not None and now_s >= self._release_s:
                self._release_s = None
                self._say({self._button: 1})
            if now_s >= due_s:
                due_s = now_s + _MAINS_S
                if self._child is not None:
                    self._measure()
            if self._child is not None and self._child.stdout in ready:
                self._hear()
                code = self._child.poll()
                if code is not None:
                    if code != _AFRESH:
                        return code
                    print("* starts afresh")
                    self.start()
            if stdin in ready:
                got = os.read(stdin, 4096)  # not readline, which would keep a second line from select
                *lines, self._typed = (self._typed + got).decode(errors="replace").split("\n")
                self._typed = self._typed.encode()
                for line in lines:
                    if line.strip() == "quit":
                        return self.end()
                    self._take(line)
                if not got:
                    return self.end()

    def _take(self, line):
        if self._child is None:
            print("* power is back")
            self.start()
        elif line.strip() == "cut":
            self.cut()
            print("* power is gone; Enter brings it back")
        else:
            try:
                self.obey(line)
            except ValueError as error:
                print(error)
        sys.stdout.flush()
