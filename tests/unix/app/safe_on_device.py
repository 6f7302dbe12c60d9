"""Runs on MicroPython with a machine of paper: lives of a chip whose configuration or drivers are broken.

sys.argv: configuration, scenario. Prints for each life "life CODE SAFE", CODE that of main.main or 77 for a reset, SAFE
the stage that the latest App was built for, or "-"; and what the scenario wants to show.
"""

import json
import os
import sys

import main
from spot import app as application
from spot import run
from spot.agent.agent import Agent
from spot.device.plug import Plug
from spot.port import asyncio
from spot.store import Store, StoreError

PATH, SCENARIO = sys.argv[1:]
main._REST_MS = 0
apps = []
steps = [3]
alarms = []


class Link:
    silence_ms = 1000
    turns = sent = received = pending = 0
    is_up = True

    async def run(self):
        await asyncio.sleep_ms(1000000)

    def subscribe_group(self, name):
        pass

    def close(self):
        pass


init = application.App.__init__


def built(self, *rest):
    init(self, *rest)
    apps.append(self)


def step(self, now_s):
    steps[0] -= 1
    if not steps[0]:
        raise KeyboardInterrupt
    return 1


def alarm(self, now_s, code, raised, value=None, limit=None):
    alarms.append("%d:%d" % (code, raised))


class Pace(run.RealPace):
    """Forty seconds for each look at the clock."""

    s = 0

    def now(self):
        self.s += 40
        return self.s


application.App.__init__ = built
Agent.step, Agent.alarm = step, alarm
run.RealPace = Pace
run._SLICE_MS = 1
main.build_links = lambda config, *rest: [Link()]


def life(turns=3):
    """One life of so many turns of the agent."""
    steps[0] = turns
    del apps[:]
    del alarms[:]
    asyncio.new_event_loop()
    try:
        code = main.main([PATH])
    except SystemExit as end:  # machine.reset() of paper
        code = end.args[0]
    print("life", code, apps[-1].starts.safe if apps else "-")


def config(**changes):
    with open(PATH) as file:
        found = json.load(file)
    found.update(changes)
    with open(PATH, "w") as file:
        json.dump(found, file)


def fail(*arguments):
    raise RuntimeError("no such chip")


def there(path):
    try:
        return bool(os.stat(path))
    except OSError:
        return False


if SCENARIO == "good":
    config(device={"min_off_s": 11})
    life(2)
    print("kept early", there(PATH + ".good"))
    life(12)
    print("kept", there(PATH + ".good"))
    raw = open(PATH).read()
    with open(PATH, "w") as file:
        file.write(raw[:100])
    life()
    print("of the copy", apps[-1].config["device"]["min_off_s"], apps[-1].store.get("crash"))
    life(12)
    print("not over the copy", open(PATH + ".good").read() == raw)
    config_text = raw.replace('"min_off_s"', '"min_of_s"')
    with open(PATH, "w") as file:
        file.write(config_text)
    life()
    print("of the copy", apps[-1].config["device"]["min_off_s"], apps[-1].starts.safe)
elif SCENARIO == "sections":
    for name, value in (("device", {"min_off_s": "ten"}), ("parts", {"metre": {}}), ("agent", {"heartbeat": "a lot"})):
        config(**{name: value})
        life()
        print(name, sorted(apps[-1].config), alarms)
        config(**{name: {}})
    config(mqtt={"host": 5})
    life()
elif SCENARIO == "torn":
    with open(PATH, "w") as file:
        file.write("{")
    life()
elif SCENARIO == "driver":
    plug = Plug.__init__
    Plug.__init__ = fail
    for _ in range(8):
        life()
    print(apps[-1].device.check(1, 0, 0), apps[-1].store.get("crash").decode().split("\n")[-2])
    Plug.__init__ = plug
    apps[-1].starts.plan(0, True)
    life()
elif SCENARIO == "flash":
    Plug.__init__ = fail

    def put(self, name, data):
        raise StoreError(28)

    Store.put = put
    life()
