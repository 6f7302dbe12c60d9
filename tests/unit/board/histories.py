"""Histories of the metering chips, call by call, from the simulated chips: what a driver was told and what it showed.

A history is played again on MicroPython (tests/unix/board) and through drivers whose every sum is looked at
(test_small_ints.py): {"driver", "part", "steps": [[kind, now_s, now_us, answers, values]]}. `kind` is "sample",
"poll", "cf" or "cf1" (an edge); answers: what the hardware gave, call by call, in hex (None: nothing; "!": an error, an
int: `any()`); values: what the meter showed after it, by VALUES.
"""

import random

from spot.board.board import build
from spot_sim.chips.ade7953 import ADE7953Chip
from spot_sim.chips.bl0942 import BL0942Chip
from spot_sim.chips.cse7766 import CSE7766Chip
from spot_sim.chips.hlw8012 import PulseChip
from spot_sim.hardware import Hardware
from tests.unit.board.meters import Appliance, Mains

VALUES = ("power_dw", "power_w", "voltage_10mv", "current_ma", "frequency_mhz", "energy_wh", "energy_export_wh",
          "errors", "fault")


class _Log:
    def info(self, *arguments):
        pass


class _Recorder:
    """Around a UART or an I2C bus: notes each answer."""

    def __init__(self, inner, answers):
        self._inner, self._answers = inner, answers

    def any(self):
        n = self._inner.any()
        self._answers.append(n)
        return n

    def readinto(self, buf, n):
        got = self._inner.readinto(buf, n)
        self._answers.append(None if got is None else bytes(buf[:got]).hex())
        return got

    def write(self, data):
        self._inner.write(data)

    def _tried(self, function, *arguments, **options):
        try:
            function(*arguments, **options)
        except OSError:
            self._answers.append("!")
            raise

    def writeto_mem(self, address, memory, buf, addrsize=8):
        self._tried(self._inner.writeto_mem, address, memory, buf, addrsize=addrsize)
        self._answers.append("")

    def readfrom_mem_into(self, address, memory, buf, addrsize=8):
        self._tried(self._inner.readfrom_mem_into, address, memory, buf, addrsize=addrsize)
        self._answers.append(bytes(buf).hex())


class _History:
    def __init__(self, part, hardware):
        self.hardware = hardware
        self.part = part
        self.answers = []
        self.steps = []

    def built(self):
        """Builds the meter from the part, its UART and I2C under the recorder."""
        hardware = self.hardware
        for number, uart in hardware.uarts.items():
            hardware.uarts[number] = _Recorder(uart, self.answers)
        buses = dict(hardware.i2cs)
        hardware.I2C = lambda number, **options: _Recorder(buses[number], self.answers)
        board = build({"name": "x", "parts": {"meter": self.part}}, {}, hardware, _Log())
        self.meter = board.meter
        self.trips = board.trip
        return self.meter

    def step(self, kind):
        hardware = self.hardware
        if kind == "sample":
            self.meter.sample(hardware.now_s)
        elif kind == "poll":
            self.meter.poll()
        values = [int(getattr(self.meter, name)) for name in VALUES]
        self.steps.append([kind, hardware.now_s, hardware.ticks_us(), self.answers[:], values])
        self.answers.clear()

    def as_dict(self):
        return {"driver": self.part["driver"], "part": self.part, "steps": self.steps}


def _watts(seed, seconds):
    """What a household's plug sees: nothing, standby, small and large loads, some of it going out."""
    generator = random.Random(seed)
    watts = 0
    for s in range(seconds):
        if generator.random() < 0.05:
            watts = generator.choice((0, 0, 1, 4, 60, 800, 2300, 3680, -700))
        yield s, watts


def bl0942(seconds=1200, seed=1):
    hardware, load = Hardware(), Appliance(0)
    chip = hardware.uarts[0] = BL0942Chip(hardware, load, Mains())
    history = _History({"driver": "bl0942", "uart": 0}, hardware)
    history.built()
    generator = random.Random(seed)
    for s, watts in _watts(seed, seconds):
        load.draw(s, watts)
        _fault(generator, chip)
        hardware.advance(s + 1)
        history.step("sample")
    return history.as_dict()


def _fault(generator, chip):
    roll = generator.random()
    if roll < 0.03:
        chip.noise = generator.randbytes(generator.randrange(40))
    elif roll < 0.05:
        chip.lose = generator.randrange(1, 9)
    elif roll < 0.07:
        at = generator.randrange(23)
        chip.flip = at if isinstance(chip, BL0942Chip) else (at, generator.randrange(8))
    elif roll < 0.075:
        chip.restart()
    chip.dead = generator.random() < (0.8 if chip.dead else 0.01)
    chip.chunk = generator.choice((0, 0, 0, 1, 7))


def cse7766(seconds=400, seed=2):
    hardware, load = Hardware(), Appliance(0)
    chip = hardware.uarts[0] = CSE7766Chip(hardware, load, Mains(), rxbuf=64)
    history = _History({"driver": "cse7766", "uart": 0}, hardware)
    history.built()
    generator = random.Random(seed)
    for s, watts in _watts(seed, seconds):
        load.draw(s, abs(watts))
        _fault(generator, chip)
        hardware.advance(s, 500)
        history.step("poll")
        hardware.advance(s + 1)
        history.step("sample")
    return history.as_dict()


def ade7953(seconds=1200, seed=3):
    hardware, load = Hardware(), Appliance(0)
    chip = hardware.i2cs[0].chips[0x38] = ADE7953Chip(hardware, load, Mains())
    history = _History({"driver": "ade7953", "i2c": 0}, hardware)
    history.built()
    generator = random.Random(seed)
    for s, watts in _watts(seed, seconds):
        load.draw(s, watts)
        roll = generator.random()
        if roll < 0.03:
            chip.nack = generator.randrange(1, 20)
        elif roll < 0.06:
            chip.flip_read = generator.randrange(24)
        elif roll < 0.065:
            chip.restart()
        chip.dead = generator.random() < (0.8 if chip.dead else 0.01)
        hardware.advance(s + 1)
        history.step("sample")
    return history.as_dict()


def hlw8012(model="hlw8012", seconds=90, seed=4):
    hardware, load = Hardware((1 << 30) // 1000000 - 30), Appliance(0)  # the µs wrap in it
    part = {"driver": "hlw8012", "cf_pin": 4, "cf1_pin": 5, "sel_pin": 6, "chip": model}
    chip = PulseChip(hardware, load, Mains(), 4, 5, 6, model, random.Random(seed))
    history = _History(part, hardware)
    start_us = hardware.ticks_us()
    start_s = hardware.now_s
    history.built()
    generator = random.Random(seed)
    for number, kind in ((4, "cf"), (5, "cf1")):
        line = hardware.line(number)
        handler = line.handler

        def noted(pin, handler=handler, kind=kind):
            handler(pin)
            history.step(kind)

        line.handler = noted
    for s, watts in _watts(seed, seconds):
        load.draw(start_s + s, min(300, abs(watts)))  # few pulses make a short history
        chip.jitter_us = generator.choice((0, 500))
        chip.dead = generator.random() < (0.9 if chip.dead else 0.02)
        for ms in (333, 666):
            hardware.advance(start_s + s, ms)
            history.step("poll")
        hardware.advance(start_s + s + 1)
        history.step("sample")
    found = history.as_dict()
    found["start_us"] = start_us
    return found


def all_histories():
    return [bl0942(), cse7766(), ade7953(), hlw8012(), hlw8012("bl0937", 30)]
