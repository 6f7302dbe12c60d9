"""Runs on MicroPython: a plug on its link, with its real loop, whose mains fails again and again. Prints JSON.

sys.argv: boards folder, store folder, the link's section of the configuration as JSON {"mqtt" or "coap": {…}}. Of each
failure: µs from the look that finds it to the octets at the socket, heap that this took, ms from the input's edge (at
another phase of the loop each time) to the octets, and to the end of what is kept.
"""

import gc
import json
import sys
import time

sys.path.insert(1, sys.argv[1] + "/unix")
import stdio

import main
from spot.app import App
from spot.config import load_board
from spot.port import asyncio
from spot.run import RealPace, run

_TRIALS = 12
_PIN = "pin9"


class Meter:
    power_w, voltage_10mv, current_ma, frequency_mhz, energy_wh = 800, 23000, 3500, 50000, 0

    def sample(self, now_s):
        return True


class Hardware(stdio.Hardware):
    """With an input that interrupts, as a chip's does."""

    def __init__(self):
        stdio.Hardware.__init__(self, immediate=False)
        self.meter = Meter()
        kind = self.Pin

        class Pin(kind):
            def irq(self, handler=None, trigger=0):
                self.handler = handler

        self.Pin = Pin

    def mains(self, there):
        pin = self.pins[_PIN]
        pin.level = 1 if there else 0
        pin.handler(pin)


class Bench:
    def __init__(self):
        description = load_board("sim", sys.argv[1])
        description["parts"]["power_fail"] = {"driver": "power_fail", "pin": int(_PIN[3:])}
        config = {"eui64": "0200000000000001", "store": sys.argv[2]}
        config.update(json.loads(sys.argv[3]))
        self.hardware = Hardware()
        self.app = app = App(description, config, self.hardware, None, [self.send])
        self.pace = RealPace(app)
        self.link, = main.build_links(config, description, app, self.pace, app.log)
        self.seen = self.gone = self.kept = self.heap = 0
        gasp, failed = app.agent.last_gasp, app.agent.power_failed

        def last_gasp(now_s):
            gc.collect()
            gc.disable()
            self.gone = 0
            self.heap = gc.mem_alloc()
            self.seen = time.ticks_us()
            gasp(now_s)
            gc.enable()

        def power_failed(now_s):
            failed(now_s)
            self.kept = time.ticks_us()

        app.agent.last_gasp, app.agent.power_failed = last_gasp, power_failed

    def send(self, channel, buf, n, urgent=False):
        return self.link.send(channel, buf, n, urgent)

    def watch(self):
        """Notes when octets have gone to the socket: the first ones after the failure was found."""
        if hasattr(self.link, "_stream"):
            out, name = self.link._stream, "write"
        else:
            out = self.link._transport
            out, name = (out, "datagram") if out.reliable(None) is False else (out._stream, "write")
        if "noted" in dir(out):
            return
        call = getattr(out, name)

        def noted(*arguments):
            result = call(*arguments)
            if result and not self.gone:
                self.gone = time.ticks_us()
                self.heap = gc.mem_alloc() - self.heap
            return result

        setattr(out, name, noted)
        out.noted = True

    async def trials(self):
        rows = []
        while not self.link.is_up:
            await asyncio.sleep_ms(20)
        await asyncio.sleep_ms(1500)  # the registration, the first readings
        for n in range(_TRIALS):
            self.watch()
            await asyncio.sleep_ms(700 + n * 9)  # the mains is believed to be back after 500
            self.kept = 0
            self.gone = 1
            self.hardware.mains(False)
            edge = time.ticks_us()
            until = time.ticks_add(edge, 5000000)
            while not self.kept and time.ticks_diff(until, time.ticks_us()) > 0:
                await asyncio.sleep_ms(1)
            rows.append([time.ticks_diff(self.gone, self.seen), self.heap,
                         time.ticks_diff(self.gone, edge) / 1000, time.ticks_diff(self.kept, edge) / 1000])
            self.hardware.mains(True)
        print(json.dumps(rows))


bench = Bench()
asyncio.run(run(bench.app, [bench.link], bench.pace, bench.trials()))
