"""Runs on MicroPython: a thousand turns of each driver in the steady state must not touch the heap. Prints a line each.

What stands for the hardware is written so that it allocates nothing itself.
"""

import gc
import sys

import micropython

from spot.board.ds18b20 import DS18B20
from spot.board.ntc import Ntc, by_beta
from spot.board.onewire import OneWireBus
from spot.board.panel import Button, Led
from spot.board.power_fail import PowerFail
from spot.board.pulse import PulseMeter
from spot.board.sg_ready import SgReady
from spot.board.trip import Trip
from spot.board.zero_cross import ZeroCrossRelay


class Pin:
    IN, OUT, PULL_UP, IRQ_RISING, IRQ_FALLING = 0, 1, 1, 1, 2

    def __init__(self, number=0, mode=0, pull=None, value=None):
        self.level = 1 if value is None else value
        self.handler = None

    def value(self, level=None):
        if level is None:
            return self.level
        if level != self.level:
            self.level = level
            if self.handler is not None:
                self.handler(self)

    def irq(self, handler, trigger):
        self.handler = handler


class Ticks:
    now = 0

    def ms(self):
        return self.now

    def us(self):
        return self.now * 1000


class Timer:
    ONE_SHOT = 0
    callback = None

    def init(self, period, mode, callback):
        self.callback = callback


class Hardware:
    Pin = Pin


class Wire:
    """A sensor that has 21.5 °C: what it sends is prepared, and begins with each reset."""

    ROM = bytes.fromhex("28ab90785634122b")
    SENT = bytes.fromhex("58017f467fff0c10")

    def __init__(self):
        self.out = self.SENT + bytes((self.crc8(self.SENT),))
        self.at = 0
        self.bit = 0

    def reset(self, pin):
        self.at = 0
        self.bit = 0
        return True

    def writebyte(self, pin, octet):
        self.at = 0

    def writebit(self, pin, bit):
        pass

    def readbit(self, pin):
        """Answers to a search: one sensor; alone it also says that it has a supply."""
        place = self.bit // 2
        value = self.ROM[place >> 3 & 7] >> (place & 7) & 1
        if self.bit & 1:
            value = 1 - value
        self.bit += 1
        return value if self.searching else 1

    searching = True

    def readbyte(self, pin):
        octet = self.out[self.at]
        self.at += 1
        return octet

    def crc8(self, data):
        crc = 0
        for octet in data:
            crc ^= octet
            for _ in range(8):
                crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
        return crc


class Adc:
    def read_u16(self):
        return 31234


ticks = Ticks()
hardware = Hardware()


def ds18b20():
    wire = Wire()
    rom = bytearray(Wire.ROM)
    rom[7] = wire.crc8(rom[:7])
    Wire.ROM = bytes(rom)
    bus = OneWireBus(wire, Pin(), ticks.ms, None, 2)
    sensor = DS18B20(bus, Wire.ROM)
    while bus.found is None:
        bus.poll()
    assert bus.found == [Wire.ROM]
    wire.searching = False

    def turn(i):
        bus._left = 9  # a search makes its ids anew: it allocates, once in 60 conversions
        sensor.sample(i // 4)
        bus.poll()
        ticks.now += 250

    return turn, lambda: sensor.value == 2150


def ntc():
    sensor = Ntc(Adc(), by_beta(10000, 3977), 10000)
    return sensor.sample, lambda: 2500 < sensor.value < 3000


def pulse():
    pin = Pin()
    meter = PulseMeter(pin, Trip(None), ticks.ms, 1000, 1, 25, 0, 3)

    def turn(i):
        pin.value(0)
        ticks.now += 30
        pin.value(1)
        ticks.now += 970
        meter.poll()
        meter.sample(i)

    return turn, lambda: meter.power_w == 3600 and meter.energy_wh >= 1000


def panel():
    button = Button(hardware, ticks.ms, 3)
    led = Led(hardware, ticks.ms, 4, 1, button)
    seen = 0

    def turn(i):
        nonlocal seen
        button._pin.value(i & 1)
        ticks.now += 50
        button.poll()
        if button.take():
            seen += 1
        led.show(i & 15)
        led.mode(i % 5)
        led.poll()

    return turn, lambda: seen >= 499


def power_fail():
    pin = Pin()
    found = PowerFail(pin, ticks.ms, 0, 3)
    seen = 0

    def turn(i):
        nonlocal seen
        pin.value(i >> 4 & 1)
        ticks.now += 50
        found.poll()
        seen += found.failed

    return turn, lambda: 400 < seen < 900


def zero_cross():
    zero, timer = Pin(), Timer()
    relay = ZeroCrossRelay(hardware, ticks.ms, ticks.us, zero, timer, (5, 12), 2)

    def turn(i):
        for _ in range(5):
            zero.value(1 - zero.level)
            ticks.now += 10
        relay.set(i & 1 == 0)
        relay.poll()
        if timer.callback is not None:
            timer.callback(timer)
        if i % 7 == 0:
            relay.trip()

    return turn, lambda: relay.switches > 900


def sg_ready():
    driver = SgReady(hardware, (1, 2), senses=(Pin(), Pin()))

    def turn(i):
        driver.set(1 + i % 4)
        driver.feed()
        return driver.position

    return turn, lambda: driver.switches > 1000


bad = 0
for make in (ds18b20, ntc, pulse, panel, power_fail, zero_cross, sg_ready):
    turn, right = make()
    for i in range(50):
        turn(i)
    gc.collect()
    micropython.heap_lock()
    problem = None
    try:
        for i in range(50, 1050):
            turn(i)
    except MemoryError as error:
        problem = error
    micropython.heap_unlock()
    if problem is not None:
        sys.print_exception(problem, sys.stdout)
    fine = problem is None and right()
    bad += not fine
    print(make.__name__, "no heap" if fine else "FAILED")
sys.exit(bad)
