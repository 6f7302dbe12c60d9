"""Runs on the chip: one life of a device, as main.start leads it, with a link of paper and the chip's own watchdog.

Arguments: the board's description, what happens once it has registered: "hangs" (the link's task does, and with it the
loop) or "ends". Prints "register" and the body in hex, then "life" with boot, reset, bites of the watchdog and the
stage of safe mode, and "crash" with the record. A life that cannot be built leaves its record as main.died does, and
resets.
"""

import json
import sys

import machine

from spot.app import App
from spot.codes import RESET_POWER_ON, RESET_WATCHDOG, T_REGISTER
from spot.guard import CRASH, put_crash
from spot.log import Log
from spot.port import asyncio, traceback_text
from spot.run import RealPace
from spot.run import run as run_app
from spot.store import Store
from spot.watchdog import Watchdog
from spot.wire import profile

DESCRIPTION, THEN = json.loads(sys.argv[1]), sys.argv[2]
CAUSES = {machine.PWRON_RESET: RESET_POWER_ON, machine.WDT_RESET: RESET_WATCHDOG}


class Link:
    silence_ms = 60000
    turns = pending = 0
    is_up = False
    body = None

    def send(self, channel, buf, n, urgent=False):
        if self.body is None and profile.head(buf, n) == T_REGISTER:
            self.body = bytes(memoryview(buf)[:n])
        return True

    async def run(self):
        self.is_up = True
        self.pace.link_up(False)
        while self.body is None:
            self.turns += 1
            await asyncio.sleep_ms(50)
        print("register", self.body.hex())
        while THEN == "hangs":
            pass
        app = self.pace.app
        print("life", app.identity.boot, app.identity.reset, app.starts.bites, app.starts.safe)
        print("crash", app.store.get(CRASH))
        raise KeyboardInterrupt

    def close(self):
        pass


def live():
    config = {"eui64": "020000fffe000001", "store": "/store", "device": {}, "agent": {}}
    link = Link()
    wdt = machine.WDT(timeout=DESCRIPTION["watchdog_ms"]) if THEN == "hangs" else None
    app = App(DESCRIPTION, config, machine, None, link.send, CAUSES[machine.reset_cause()])
    link.pace = pace = RealPace(app)
    if wdt is not None:
        pace.dog = Watchdog(wdt, pace, [link])
    asyncio.run(run_app(app, link, pace))


try:
    live()
except KeyboardInterrupt:
    pass
except Exception as error:
    store = Store(None, "/store", Log(4))
    crash = store.get(CRASH) or b"\0"
    boot = int.from_bytes((store.get("boot") or b"")[:4], "big")
    put_crash(store, "boot %d utc 0 up 0 heap 0 main\n" % boot + traceback_text(error)[-500:], crash[0] + 1)
    machine.reset()
