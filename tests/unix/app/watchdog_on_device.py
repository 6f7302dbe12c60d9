"""Runs on MicroPython with a machine of paper: a plug whose task `sys.argv[2]` hangs after a while ("none": none does).

The watchdog is whoever started this: "fed" is printed at each feeding, and it kills the process when that stops for
`watchdog_ms`. sys.argv: configuration, task. In a life in which nothing hangs it prints "life BOOT RESET BITES ALARMS"
and ends.
"""

import sys

import main
from spot import app as application
from spot.agent.agent import Agent
from spot.device.plug import Plug
from spot.port import asyncio

HANG = sys.argv[2]
_AFTER = 3


def for_ever(*args):
    while True:
        pass


def hanging(function):
    """`function`, which does not come back from its third call."""
    calls = [0]

    def call(*args):
        calls[0] += 1
        if calls[0] == _AFTER:
            print("hangs")
            for_ever()
        return function(*args)

    return call


class Link:
    silence_ms = 300
    turns = sent = received = pending = 0
    is_up = True

    async def run(self):
        while True:
            self.turns += 1
            if self.turns == _AFTER:
                if HANG == "link, in a call":
                    print("hangs")
                    for_ever()
                if HANG == "link, waiting":
                    print("hangs")
                    await asyncio.Event().wait()
            await asyncio.sleep_ms(20)

    def subscribe_group(self, name):
        pass

    def close(self):
        pass


alarms = []


def alarm(self, now_s, code, raised, value=None, limit=None):
    alarms.append("%d:%d" % (code, raised))


def step(self, now_s):
    if HANG == "none":
        print("life", self.identity.boot, self.identity.reset, apps[0].starts.bites, ",".join(alarms))
        text = apps[0].store.get("crash")
        print("crash", text[1:] if text else None)
        raise KeyboardInterrupt
    return 1


apps = []
init = application.App.__init__


def built(self, *rest):
    apps.append(self)
    init(self, *rest)


application.App.__init__ = built
main.build_links = lambda *rest: [Link()]
Agent.alarm = alarm
Agent.step = hanging(step) if HANG == "agent" else step
if HANG == "device":
    Plug.step = hanging(Plug.step)
elif HANG == "drivers":
    Plug.poll = hanging(Plug.poll)
elif HANG == "building":
    Plug.__init__ = for_ever
sys.exit(main.main([sys.argv[1]]))
