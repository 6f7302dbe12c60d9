"""Runs on a device: one plug of the unix board, built, and stepped for half an hour without a link and half with.

Arguments: a folder for its store, the folder of the board descriptions, maybe other seconds than half an hour. Prints
JSON: the messages that it sent, what it logged, and the octets of heap in use after the imports, after the App was
built, and after the hour.
"""

import gc
import json
import sys

gc.collect()
_EMPTY = gc.mem_alloc()

from spot import app as application  # noqa: E402
from spot.config import load_board  # noqa: E402
from spot.wire import profile  # noqa: E402


def used():
    gc.collect()
    return gc.mem_alloc() - _EMPTY


class Pin:
    IN, OUT, PULL_UP, IRQ_RISING, IRQ_FALLING = 0, 1, 1, 1, 2

    def __init__(self, number, mode=0, pull=-1, value=None):
        self.level = 1 if value is None else value

    def irq(self, handler, trigger):
        pass

    def value(self, level=None):
        if level is None:
            return self.level
        self.level = level


class Uart:
    def __init__(self, number, **options):
        pass

    def any(self):
        return 0

    def readinto(self, buf, n=0):
        return None

    def write(self, buf):
        return len(buf)


class Hardware:
    Pin, UART = Pin, Uart


def main():
    imported = used()
    sent = []
    link = []

    def send(channel, buf, n):
        if link:
            sent.append((channel, profile.head(buf, n)))
        return bool(link)

    config = {"board": "unix", "eui64": "020000fffe000001", "store": sys.argv[1], "device": {}, "agent": {}}
    description = load_board("unix", sys.argv[2])
    app = application.App(description, config, Hardware, None, send)
    built = used()
    now = 0
    half_s = int(sys.argv[3]) if len(sys.argv) > 3 else 1800
    for up in (False, True):
        if up:
            link.append(True)
            app.link_up(now, False)
        end = now + half_s
        while now < end:
            now += app.step(now)
    print(json.dumps({"sent": sorted(set(sent)), "log": app.log.counts, "imported": imported, "built": built,
                      "after": used(), "heap": gc.mem_alloc() + gc.mem_free()}))


main()
