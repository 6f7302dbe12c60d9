"""Runs on MicroPython: a whole App for `sys.argv[2]` wakes, with an EMD's heartbeats, commands and acknowledgements.

Prints "free N" after a collection, every tenth of the way, and what it saw: "seen HEARTBEATS STATUSES INTERVALS".
sys.argv: boards folder, wakes, folder of the store.
"""

import gc
import sys

sys.path.insert(1, sys.argv[1] + "/unix")
import stdio

from spot.app import App
from spot.codes import (
    CH_CMD,
    KIND_LIMIT,
    KIND_OFF,
    KIND_UNLIMITED,
    T_ACK,
    T_COMMAND,
    T_HEARTBEAT,
    T_INTERVAL,
    T_REGISTER,
    T_REGISTERED,
    T_STATUS,
)
from spot.config import load_board
from spot.wire import profile

EPOCH, UTC = 70, 30000000
wakes = int(sys.argv[2])
hardware = stdio.Hardware(immediate=False)
seen = {T_HEARTBEAT: 0, T_STATUS: 0, T_INTERVAL: 0}
todo = []
latest = {"events": -1, "intervals": -1, "boot": 0, "beat": 0}


def send(channel, buf, n):
    type = profile.head(buf, n)
    if type in seen:
        seen[type] += 1
    if type == T_REGISTER:
        latest["boot"] = profile.decode(type, buf, n)[1]
        todo.append(T_REGISTERED)
    elif type == T_HEARTBEAT:
        latest["beat"] = profile.decode(type, buf, n)[5]
        todo.append(T_HEARTBEAT)
    elif type == T_STATUS:
        latest["events"] = profile.decode(type, buf, n)[0]
    elif type == T_INTERVAL:
        values = profile.decode(type, buf, n)
        latest["intervals"] = values[0] + len(values[4]) - 1
    return True


config = {"eui64": "0200000000000001", "store": sys.argv[3], "parts": {"meter": {"period_s": 60}}}
app = App(load_board("unix", sys.argv[1]), config, hardware, None, send)
body = bytearray(256)


def give(type, values):
    while values[-1] is None:
        values.pop()
    app.receive(now_s, CH_CMD, body, profile.encode(type, values, body))


now_s = 0
command = 0
app.link_up(now_s, False)
for wake in range(wakes + 1):
    now_s += app.step(now_s)
    while todo:
        type = todo.pop(0)
        utc = UTC + now_s
        if type == T_REGISTERED:
            give(T_REGISTERED, [0, latest["boot"], EPOCH, utc])
        else:
            give(T_HEARTBEAT, [EPOCH, utc, app.agent.control.ledger.digest, 4, None, latest["beat"]])
            acked = [n if n >= 0 else None for n in (latest["events"], latest["intervals"])]
            if acked != [None, None]:
                give(T_ACK, [EPOCH] + acked)
            command += 1
            kind = (KIND_LIMIT, KIND_OFF, KIND_UNLIMITED)[command % 3]
            give(T_COMMAND, [EPOCH, command, 0, 5, kind, utc, 0, 240, 3000 if kind == KIND_LIMIT else None])
            app.receive(now_s, CH_CMD, b"\x81\x18", 2)  # and something broken
    hardware.edges.clear()
    if wake % (wakes // 10) == 0:
        gc.collect()
        print("free", gc.mem_free())
print("seen", seen[T_HEARTBEAT], seen[T_STATUS], seen[T_INTERVAL])
