"""Runs on the emulated chip: the sensors of a 1-Wire bus at pin 9. Arguments: resolution, milliseconds, ROM ids."""

import sys
import time

import machine

from spot.board import onewire
from spot.board.ds18b20 import DS18B20


class Log:
    def info(self, *row):
        print(*row)

    warn = info


class Board:
    log = Log()


bus = onewire.make({"pin": 9, "period_s": 2}, machine, Board, time.ticks_ms, "b")
roms = [bytes.fromhex(word) for word in sys.argv[3:]]
sensors = [DS18B20(bus, rom, int(sys.argv[1])) for rom in roms]
worst = 0
start = time.ticks_ms()
while time.ticks_diff(time.ticks_ms(), start) < int(sys.argv[2]):
    now_s = time.ticks_diff(time.ticks_ms(), start) // 1000
    before = time.ticks_us()
    for sensor in sensors:
        sensor.sample(now_s)
    worst = max(worst, time.ticks_diff(time.ticks_us(), before))
    time.sleep_ms(50)
print("found", len(bus.found), "values", *[sensor.value for sensor in sensors])
print("worst", worst)
