"""Runs on the chip: the parts of a whole plug, with its meter and its relay at the chip's own UART and pin.

Arguments: the board's description, "soft" or "hard" (the UART's interrupt) or "poll" (none), what the loop does besides
("idle", "collect": a collection of garbage after the other, "write": values into flash), seconds. The loop looks every
25 ms, as that of run.py. When the trip has opened the relay it is closed again. Prints JSON: trips, refused frames, and
the milliseconds that one turn took at most.
"""

import gc
import json
import sys
import time

import machine

from spot import app as application

_SLICE_MS = 25


def main():
    description = json.loads(sys.argv[1])
    how, load, seconds = sys.argv[2], sys.argv[3], int(sys.argv[4])
    description["parts"]["meter"]["irq"] = 0 if how == "poll" else 1
    config = {"eui64": "020000fffe000001", "store": "/trips", "device": {}, "agent": {}}
    app = application.App(description, config, machine, None, lambda *message: False)
    board, meter = app.board, app.board.meter
    if how == "hard":
        uart = meter._uart
        uart.irq(meter._on_idle, uart.IRQ_RXIDLE, hard=True)
    board.trip.arm(10000, None, None, None)
    board.relay.set(True)
    start, trips, longest, n = time.ticks_ms(), 0, 0, 0
    while True:
        now_ms = time.ticks_diff(time.ticks_ms(), start)
        if now_ms >= seconds * 1000:
            break
        before = time.ticks_us()
        meter.sample(now_ms // 1000)
        board.poll()
        if board.trip.latch:
            trips += 1
            board.trip.clear()
            board.relay.set(True)
        longest = max(longest, time.ticks_diff(time.ticks_us(), before))
        if load == "collect":
            gc.collect()
        elif load == "write":
            n += 1
            app.store.put("value", b"%0200d" % n)
        if load != "collect":
            time.sleep_ms(_SLICE_MS)
    print(json.dumps({"trips": trips, "errors": meter.errors, "longest_ms": longest / 1000}))


main()
