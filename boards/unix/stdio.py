"""Hardware of the unix board over stdio: sensor values come in as lines of JSON, actuator edges go out as such lines.

Stands where `machine` stands on a chip. Two paces use it:
- `LockstepPace`: the simulator grants instants, {"t": s, "rx": n, "in": {...}}, and gets one answer to each,
  >{"w": s, "tx": n, "rx": n, "up": 0|1, "out": [[name, value], ...]} (sim/spot_sim/lockstep.py has the other end);
- real time: {"in": {...}} at any time, and >{"out": [[name, value]]} at once when a pin moves.
Names in "in" and "out": "pin<n>" 0 or 1, "uart<n>" hex octets, any other name an integer sensor value.
"""

import json
import sys

from spot.codes import ABSENT, CH_CMD
from spot.port import asyncio, gc, ticks_add, ticks_diff, ticks_ms
from spot.run import Port, Turns, busy

_RX_WAIT_MS = 2000  # wall: packets that were promised and have not come by then are lost
_FLUSH_WAIT_MS = 5000


class Sensor:
    """A temperature: `value` in 0.01 °C, ABSENT until one came."""

    value = ABSENT


class Machine:
    """A machine's own controls: limit and offset leave as outputs "limit_w" and "offset" (null: none)."""

    def __init__(self, moved):
        self._moved = moved

    def set_power_limit(self, w):
        self._moved("limit_w", None if w == ABSENT else w)

    def set_offset(self, c100):
        self._moved("offset", None if c100 == ABSENT else c100)


class Hardware:
    """What board drivers build on; `edges`: what moved since the last answer."""

    def __init__(self, immediate):
        self.sensors = {}
        self.edges = []
        self.pins = {}
        self.uarts = {}
        self.immediate = immediate

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
            """As machine.UART: what was asked for is answered with the octets that came last, when they are read."""

            def __init__(self, number, baudrate=9600, **options):
                self.frame = self.waiting = b""
                self.at = 0
                self.asked = False
                hardware.uarts["uart%d" % number] = self

            def init(self, baudrate=9600, **options):
                pass

            def write(self, data):
                self.asked = True
                return len(data)

            def any(self):
                if self.asked and self.frame:
                    self.asked = False
                    self.waiting, self.at = self.frame, 0
                return len(self.waiting) - self.at

            def readinto(self, buf, n=None):
                n = min(self.any(), len(buf) if n is None else n)
                if not n:
                    return None
                buf[:n] = self.waiting[self.at : self.at + n]
                self.at += n
                return n

        self.Pin = Pin
        self.UART = UART
        self.machine = Machine(self.moved)

    def sensor(self, name):
        """The sensor of that name."""
        if name not in self.sensors:
            self.sensors[name] = Sensor()
        return self.sensors[name]

    def feed(self, values):
        """Takes over what came with a line."""
        for name, value in values.items():
            if name in self.pins:
                self.pins[name].level = value
            elif name[:4] == "uart":
                if name in self.uarts:
                    self.uarts[name].frame = bytes(int(value[i : i + 2], 16) for i in range(0, len(value), 2))
            else:
                self.sensor(name).value = value

    def moved(self, name, value):
        """An actuator moved."""
        if self.immediate:
            print(">" + json.dumps({"out": [[name, value]]}))
        else:
            self.edges.append([name, value])


class LockstepPace:
    """Virtual time, granted over stdio. Messages wait until the next grant, so that a history does not depend on the
    wall's clock."""

    def __init__(self, app, hardware):
        self.app, self.hardware = app, hardware
        self.turns = Turns(app)
        self.links = ()
        self.now_s = 0
        self.waiting = [[] for _ in app.ways]  # by link: the order among links is the wall clock's, and must not tell
        self.counted = 0
        self.changes = [[] for _ in app.ways]  # of each link: None is down, else whether the session was present

    def port(self, at):
        """deliver, link_up and link_down for link number `at`."""
        return Port(self, at)

    def now(self):
        return self.now_s

    def deliver(self, channel, buf, n, at=0):
        self.waiting[at].append((channel, bytes(buf[:n])))
        if channel == CH_CMD:  # broadcasts are not counted: a broker also repeats the retained ones
            self.counted += 1

    def link_up(self, session_present, at=0):
        self.changes[at].append(session_present)

    def link_down(self, at=0):
        self.changes[at].append(None)

    async def run(self):
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
        if grant.get("hold"):  # before the first instant: only whether the links are up
            return self._answer(grant["t"])
        until = ticks_add(ticks_ms(), _RX_WAIT_MS)
        while self.counted < grant["rx"] and ticks_diff(until, ticks_ms()) > 0:
            await asyncio.sleep_ms(1)
        self.now_s = now_s = app.clock.tick((grant["t"] * 1000) & 0x3FFFFFFF)
        for at in range(len(self.waiting)):
            changes, waiting = self.changes[at], self.waiting[at]
            while changes:
                present = changes.pop(0)
                if present is None:
                    app.link_down(now_s, at)
                else:
                    app.link_up(now_s, present, at)
            while waiting:
                channel, body = waiting.pop(0)
                try:
                    app.receive(now_s, channel, body, len(body), at)
                except Exception as error:  # as the link does it in real time
                    app.log.failure("link.callback", error)
        wait_s = self.turns.step(now_s)
        until = ticks_add(ticks_ms(), _FLUSH_WAIT_MS)
        while busy(self.links) and ticks_diff(until, ticks_ms()) > 0:
            await asyncio.sleep_ms(1)
        self._answer(grant["t"] + wait_s)

    def _answer(self, wake_s):
        hardware = self.hardware
        edges, hardware.edges = hardware.edges, []
        print(
            ">"
            + json.dumps(
                {
                    "w": wake_s,
                    "tx": sum([link.sent for link in self.links]),
                    "rx": self.counted,
                    "up": 1 if all(link.is_up for link in self.links) else 0,
                    "out": edges,
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
