"""Hardware of the unix board over stdio: sensor values come in as lines of JSON, actuator edges go out as such lines.

Stands where `machine` stands on a chip. Two paces use it:
- `LockstepPace`: the simulator grants instants, {"t": s, "rx": n, "in": {...}}, and gets one answer to each,
  >{"w": s, "tx": n, "rx": n, "up": 0|1, "out": [[name, value], ...]} (sim/spot_sim/lockstep.py has the other end);
- real time: {"in": {...}} at any time, and >{"out": [[name, value]]} at once when a pin moves.
Names in "in" and "out": "pin<n>" 0 or 1, "uart<n>" hex octets, any other name an integer sensor value.
"""

import json
import sys

from spot.codes import CH_CMD
from spot.port import asyncio, gc, ticks_add, ticks_diff, ticks_ms

_RX_WAIT_MS = 2000  # wall: packets that were promised and have not come by then are lost
_FLUSH_WAIT_MS = 5000


class Hardware:
    """What board drivers build on. `sensors`: latest integer values by name; `edges`: what moved since the last answer."""

    def __init__(self):
        self.sensors = {}
        self.edges = []
        self.pins = {}
        self.uarts = {}
        self.immediate = False

        hardware = self

        class Pin:
            """As machine.Pin, as far as drivers use it."""

            IN, OUT, PULL_UP, PULL_DOWN, IRQ_FALLING, IRQ_RISING = 0, 1, 1, 2, 2, 1

            def __init__(self, number, mode=0, pull=-1, value=None):
                self.name = "pin%d" % number
                self.level = 1 if pull == Pin.PULL_UP else 0
                hardware.pins[self.name] = self
                if mode == Pin.OUT:
                    hardware.moved(self.name, value or 0)
                if value is not None:
                    self.level = value

            def init(self, mode=0, pull=-1, value=None):
                if value is not None:
                    self.value(value)

            def value(self, level=None):
                if level is None:
                    return self.level
                level = 1 if level else 0
                if level != self.level:
                    self.level = level
                    hardware.moved(self.name, level)

            __call__ = value

            def on(self):
                self.value(1)

            def off(self):
                self.value(0)

            def irq(self, handler=None, trigger=0):
                return None

        class UART:
            """As machine.UART: a request gets the octets that came with the latest grant."""

            def __init__(self, number, baudrate=9600, **options):
                self.name = "uart%d" % number
                self.frame = b""
                self.at = 0
                self.waiting = b""
                hardware.uarts[self.name] = self

            def init(self, baudrate=9600, **options):
                pass

            def deinit(self):
                pass

            def write(self, data):
                self.waiting = self.frame
                self.at = 0
                return len(data)

            def any(self):
                return len(self.waiting) - self.at

            def readinto(self, buf, n=None):
                n = min(self.any(), len(buf) if n is None else n)
                if not n:
                    return None
                buf[:n] = self.waiting[self.at : self.at + n]
                self.at += n
                return n

            def read(self, n=None):
                n = self.any() if n is None else min(n, self.any())
                if not n:
                    return None
                data = self.waiting[self.at : self.at + n]
                self.at += n
                return data

        self.Pin = Pin
        self.UART = UART

    def sensor(self, name):
        """Latest value of a sensor, or None while none came."""
        return self.sensors.get(name)

    def feed(self, values):
        """Takes over what came with a line."""
        for name, value in values.items():
            if name in self.pins:
                self.pins[name].level = value
            elif name[:4] == "uart":
                if name in self.uarts:
                    self.uarts[name].frame = bytes(int(value[i : i + 2], 16) for i in range(0, len(value), 2))
            else:
                self.sensors[name] = value

    def moved(self, name, value):
        """An actuator moved."""
        if self.immediate:
            print('>{"out":[["%s",%d]]}' % (name, value))
        else:
            self.edges.append((name, value))


class LockstepPace:
    """Virtual time, granted over stdio. Messages wait until the next grant, so that a history does not depend on the wall's clock."""

    def __init__(self, app, link, hardware):
        self.app, self.link, self.hardware = app, link, hardware
        self.now_s = 0
        self.waiting = []
        self.counted = 0
        self.changes = []  # of the link: None is down, else whether the session was present

    def now(self):
        return self.now_s

    def deliver(self, channel, buf, n):
        self.waiting.append((channel, bytes(buf[:n])))
        if channel == CH_CMD:  # broadcasts are not counted: a broker also repeats the retained ones
            self.counted += 1

    def link_changed(self, session_present):
        """The link came up (session present or not) or went down (None)."""
        self.changes.append(session_present)

    async def run(self, stop):
        stdin = asyncio.StreamReader(sys.stdin)
        while True:
            line = await stdin.readline()
            if not line:
                return
            grant = json.loads(line)
            await self._grant(grant)
            gc.collect()

    async def _grant(self, grant):
        app, hardware = self.app, self.hardware
        hardware.feed(grant["in"])
        until = ticks_add(ticks_ms(), _RX_WAIT_MS)
        while self.counted < grant["rx"] and ticks_diff(until, ticks_ms()) > 0:
            await asyncio.sleep_ms(1)
        self.now_s = now_s = app.clock.tick((grant["t"] * 1000) & 0x3FFFFFFF)
        while self.changes:
            present = self.changes.pop(0)
            if present is None:
                app.link_down(now_s)
            else:
                app.link_up(now_s, present)
        while self.waiting:
            channel, body = self.waiting.pop(0)
            app.receive(now_s, channel, body, len(body))
        wait_s = app.step(now_s)
        until = ticks_add(ticks_ms(), _FLUSH_WAIT_MS)
        while self.link.pending and self.link.is_up and ticks_diff(until, ticks_ms()) > 0:
            await asyncio.sleep_ms(1)
        edges, hardware.edges = hardware.edges, []
        print(
            ">"
            + json.dumps(
                {
                    "w": grant["t"] + wait_s,
                    "tx": self.link.session.done,
                    "rx": self.counted,
                    "up": 1 if self.link.is_up else 0,
                    "out": [list(e) for e in edges],
                }
            )
        )


async def follow_real_time(hardware):
    """Reads {"in": …} lines for a device that runs in real time; the end of stdin ends it."""
    stdin = asyncio.StreamReader(sys.stdin)
    while True:
        line = await stdin.readline()
        if not line:
            return
        hardware.feed(json.loads(line)["in"])
