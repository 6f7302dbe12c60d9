"""Runs on MicroPython: a meter, a machine and a sensor on one bus, with the heap locked: rounds, refreshed writes and
silences allocate nothing. Prints how many requests were answered.

The UART answers with frames prepared once.
"""

import json
import sys

import micropython

from spot.board.modbus import Modbus, crc
from spot.board.modbus_machine import ModbusMachine
from spot.board.modbus_meter import ModbusMeter
from spot.board.modbus_sensor import ModbusSensor


class Time:
    ms = 0


time = Time()


def ticks_ms():
    return time.ms & 0x3FFFFFFF


class Uart:
    def __init__(self):
        self.answers = {}
        self.answer = b""
        self.at = 0
        self.dead = False

    def learn(self, frame):
        """The answer to a request: registers that count up."""
        if frame[1] > 4:
            body = bytes(frame[:6])
        else:
            n = 2 * frame[5] if frame[1] > 2 else (frame[5] + 7) // 8
            body = bytes((frame[0], frame[1], n)) + bytes(i & 1 for i in range(n))
        check = crc(body)
        self.answers[frame[0] << 16 | frame[1] << 8 | frame[3]] = body + bytes((check & 255, check >> 8))

    def write(self, frame):
        key = frame[0] << 16 | frame[1] << 8 | frame[3]
        if key not in self.answers or frame[1] > 4:
            self.learn(frame)
        self.answer = self.answers[key]
        self.at = 0
        return len(frame)

    def any(self):
        return 0 if self.dead else len(self.answer) - self.at

    def readinto(self, buf, n):
        for i in range(n):
            buf[i] = self.answer[self.at + i]
        self.at += n
        return n


class Prepared(Uart):
    """Writes are answered from a buffer, too."""

    def __init__(self):
        super().__init__()
        self.echo = bytearray(8)

    def write(self, frame):
        if frame[1] == 6:
            for i in range(8):
                self.echo[i] = frame[i]
            self.answer = self.echo
            self.at = 0
            return 8
        return super().write(frame)


class Trip:
    def check(self, current_ma, power_w, voltage_10mv):
        pass


def load(name):
    with open("%s/%s.json" % (sys.argv[1], name)) as file:
        return json.load(file)


uart = Prepared()
bus = Modbus(uart, ticks_ms, 1042)
meter = ModbusMeter(bus, Trip(), 5, 1, load("sdm120"))
machine = ModbusMachine(bus, 10, 2, load("spot_sg"), ticks_ms)
sensor = ModbusSensor(bus, 30, 2, load("spot_sg"), "room")


def live(seconds, now_s):
    for _ in range(seconds):
        now_s += 1
        meter.sample(now_s)
        machine.sample(now_s)
        sensor.sample(now_s)
        for _ in range(20):
            time.ms += 50
            meter.poll()
            machine.poll()
            sensor.poll()
    return now_s


now_s = live(60, 0)
machine.set_power_limit(1500)
machine.set_sg(3)
now_s = live(200, now_s)
before = bus.answered
micropython.heap_lock()
now_s = live(400, now_s)
machine.set_power_limit(1700)
machine.set_offset(-100)
now_s = live(100, now_s)
uart.dead = True
now_s = live(100, now_s)
uart.dead = False
now_s = live(100, now_s)
micropython.heap_unlock()
print("answered", bus.answered - before, "timeouts", bus.timeouts, machine.fault, meter.fault)
