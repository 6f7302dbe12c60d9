"""Runs on MicroPython: plays histories of the metering chips (tests/unit/board/histories.py) to the drivers. They must
show what they showed on CPython, step by step, and the second half of each must not touch the heap.

chips_on_device.py HISTORIES.json; prints a line for each history.
"""

import gc
import json
import sys

import micropython

from spot.board.board import build

VALUES = ("power_dw", "power_w", "voltage_10mv", "current_ma", "frequency_mhz", "energy_wh", "energy_export_wh",
          "errors", "fault")
NACK = OSError(5)


class Log:
    def info(self, *arguments):
        pass


class Player:
    """A UART, an I2C bus: gives the next answer, whatever is asked."""

    def __init__(self):
        self.answers = ()
        self.at = 0

    def next(self):
        answer = self.answers[self.at]
        self.at += 1
        return answer

    def any(self):
        return self.next()

    def readinto(self, buf, n):
        answer = self.next()
        if answer is None:
            return None
        for i in range(len(answer)):
            buf[i] = answer[i]
        return len(answer)

    def write(self, data):
        pass

    def readfrom_mem_into(self, address, memory, buf, addrsize):
        answer = self.next()
        if answer is NACK:
            raise NACK
        for i in range(len(answer)):
            buf[i] = answer[i]

    def writeto_mem(self, address, memory, buf, addrsize):
        if self.next() is NACK:
            raise NACK


class Pin:
    IN, OUT, IRQ_RISING = 0, 1, 1
    made = {}

    def __init__(self, number, mode=-1, value=None):
        Pin.made[number] = self

    def value(self, level=None):
        pass

    def irq(self, handler, trigger):
        self.handler = handler


class Hardware:
    Pin = Pin

    def __init__(self):
        self.player = Player()
        self.now_us = 0

    def UART(self, number, **options):
        return self.player

    def I2C(self, number, **options):
        return self.player

    def ticks_us(self):
        return self.now_us


def answer(text):
    if text == "!":
        return NACK
    return bytes.fromhex(text) if isinstance(text, str) else text


def play(history):
    hardware = Hardware()
    hardware.now_us = history.get("start_us", 0)
    meter = build({"name": "x", "parts": {"meter": history["part"]}}, {}, hardware, Log()).meter
    steps = [(kind, now_s, now_us, [answer(one) for one in answers], values)
             for kind, now_s, now_us, answers, values in history["steps"]]
    names = {4: "cf", 5: "cf1"}
    handlers = {names[n]: Pin.made[n].handler for n in names if n in Pin.made and hasattr(Pin.made[n], "handler")}
    half = len(steps) // 2
    wrong = -1
    used = 0
    period = 1 << 30
    offset = 0  # the µs do not wrap here
    before_us = hardware.now_us
    for i in range(len(steps)):
        if i == half:
            gc.collect()
            gc.disable()
            used = -gc.mem_alloc()
            micropython.heap_lock()
        kind, now_s, now_us, answers, values = steps[i]
        if now_us < before_us:
            offset += period
        before_us = now_us
        hardware.now_us = now_us + offset
        hardware.player.answers = answers
        hardware.player.at = 0
        if kind == "sample":
            meter.sample(now_s)
        elif kind == "poll":
            meter.poll()
        else:
            handlers[kind](None)
        if hardware.player.at != len(answers):
            wrong = i
            break
        for j in range(len(VALUES)):
            if int(getattr(meter, VALUES[j])) != values[j]:
                wrong = i
        if wrong >= 0:
            break
    if i >= half:
        micropython.heap_unlock()
        used += gc.mem_alloc()
        gc.enable()
    if wrong >= 0:
        shown = [int(getattr(meter, name)) for name in VALUES]
        raise AssertionError("%s step %d %s: %s instead of %s" % (history["driver"], wrong, kind, shown, values))
    print("%s: %d steps, %d bytes" % (history["driver"], len(steps), used))


with open(sys.argv[1]) as file:
    histories = json.load(file)
for history in histories:
    play(history)
