"""Runs on the chip: drivers at its own pins and UARTs, looked at every 25 ms. Pin 22 goes high when they are ready.

Arguments: which ("hlw", "hlw-hard", "s0", "power_fail", "modbus"), milliseconds, what the loop does besides ("idle",
"collect": a collection of garbage each second, "write": a sector of flash erased and written each second), for Modbus
the map. Prints JSON.
"""

import gc
import json
import os
import sys
import time

import machine

from spot.board import hlw8012, modbus, modbus_meter, power_fail, pulse
from spot.board.trip import Trip

WHICH, MS, LOAD = sys.argv[1], int(sys.argv[2]), sys.argv[3]
GATE = 22


class Log:
    def warn(self, *row):
        pass

    info = error = debug = warn


class Board:
    log = Log()
    trip = Trip(None)
    buses = {}
    maps = {}


def hlw(hard):
    part = {"chip": "bl0937", "cf_pin": 2, "cf1_pin": 3, "sel_pin": 4, "hard": hard}
    return hlw8012.make(part, machine, Board, time.ticks_ms, "meter")


def s0():
    part = {"pin": 2, "per_kwh": 1000, "active": 1, "pull": "none"}
    return pulse.make(part, machine, Board, time.ticks_ms, "meter")


def meter_on_a_bus():
    bus = {"uart": 1, "tx": 4, "rx": 5, "baudrate": 9600, "de_pin": 6, "timeout_ms": 200}
    Board.buses["b"] = modbus.make(bus, machine, Board, time.ticks_ms, "b")
    Board.maps["m"] = json.loads(sys.argv[4])
    return modbus_meter.make({"bus": "b", "address": 1, "map": "m", "period_s": 1}, machine, Board, time.ticks_ms, "m")


MAKE = {
    "hlw": lambda: hlw(0),
    "hlw-hard": lambda: hlw(1),
    "s0": s0,
    "power_fail": lambda: power_fail.make({"pin": 2}, machine, Board, time.ticks_ms, "p"),
    "modbus": meter_on_a_bus,
}


def main():
    part = MAKE[WHICH]()
    gc.collect()
    machine.Pin(GATE, machine.Pin.OUT, value=0).value(1)
    start, other, longest, failed_us, most_w = time.ticks_ms(), 0, 0, 0, 0
    while True:
        now_ms = time.ticks_diff(time.ticks_ms(), start)
        if now_ms >= MS:
            break
        before = time.ticks_us()
        part.poll()
        if WHICH != "power_fail":
            part.sample(now_ms // 1000)
            most_w = max(most_w, part.power_w)
        elif part.failed and not failed_us:
            failed_us = time.ticks_us()
        longest = max(longest, time.ticks_diff(time.ticks_us(), before))
        if now_ms // 1000 != other:
            other = now_ms // 1000
            if LOAD == "collect":
                gc.collect()
            elif LOAD == "write":
                with open("/load", "wb") as file:
                    file.write(bytes(4096))
                os.sync()
        time.sleep_ms(25)
    out = {"longest_ms": longest / 1000, "failed_us": failed_us}
    if WHICH != "power_fail":
        out["power_w"], out["energy_wh"], out["errors"] = most_w, part.energy_wh, part.errors
        out["voltage_10mv"], out["current_ma"] = part.voltage_10mv, part.current_ma
    if WHICH[:3] == "hlw":
        out["counted"] = part._cf.n
    elif WHICH == "modbus":
        bus = Board.buses["b"]
        out["bus"] = [bus.answered, bus.timeouts, bus.garbled, bus.strange]
    print(json.dumps(out))


main()
