"""Runs on MicroPython: a plug and a heat pump on real drivers; a step of the steady state must not touch the heap.

The UART answers with a frame prepared once; pins are plain objects. Prints one line a device.
"""

import gc

import micropython

from spot.board.board import build
from spot.codes import ABSENT, DECIDER_LIMIT, KIND_OFF, R_POWER
from spot.config import load_board
from spot.device.heat_pump import HeatPump
from spot.device.plug import Plug
from spot.log import Log
from spot.store import Store


class Pin:
    IN, OUT, PULL_UP, IRQ_RISING, IRQ_FALLING = 0, 1, 1, 1, 2

    def __init__(self, number, mode=-1, pull=None, value=None):
        self.level = 1 if value is None else value

    def irq(self, handler, trigger):
        pass

    def value(self, level=None):
        if level is None:
            return self.level
        self.level = level


class Uart:
    """Gives the frame of 2,300 W at 230 V after each request, in two parts; octets are copied one by one. CF_CNT
    counts on: one that stands still while there is power is a chip that hangs.
    """

    def __init__(self):
        self.frame = bytearray(bytes.fromhex("5507552630be370000009de015000100204e0000000000"))
        self.at = 23

    def write(self, data):
        self.at = 0
        for i in range(13, 16):
            self.frame[i] = (self.frame[i] + (3 if i == 13 else 1)) & 0xFF
            if self.frame[i] > 2:
                break
        total = 0x58
        for i in range(22):
            total += self.frame[i]
        self.frame[22] = total & 0xFF ^ 0xFF

    def any(self):
        return 23 - self.at

    def readinto(self, buf, n):
        n = min(n, 23 - self.at, 12)
        for i in range(n):
            buf[i] = self.frame[self.at + i]
        self.at += n
        return n


class Value:
    value = 2100


class Machine:
    def set_power_limit(self, w):
        pass

    def set_offset(self, c):
        pass


class Files:
    """An os-shaped file system in RAM: small, only what a checkpoint needs."""

    def __init__(self):
        self.files = {}

    def open(self, path, mode):
        if mode == "rb" and path not in self.files:
            raise OSError(2)
        return File(self.files, path, mode)

    def rename(self, old, new):
        self.files[new] = self.files.pop(old)

    def remove(self, path):
        if self.files.pop(path, None) is None:
            raise OSError(2)

    def mkdir(self, path):
        pass

    def listdir(self, path):
        return list(self.files)


class File:
    def __init__(self, files, path, mode):
        self.files, self.path, self.at = files, path, 0
        if mode == "wb":
            files[path] = b""

    def read(self, n):
        self.at += n
        return self.files[self.path][self.at - n : self.at]

    def write(self, data):
        self.files[self.path] += data

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


class Hardware:
    Pin = Pin
    machine = Machine()

    def UART(self, number, baudrate):
        return Uart()

    def sensor(self, name):
        return Value()


def device(kind, board, config, parts=None):
    log = Log(16)
    store = Store(Files(), "s", log)
    description = load_board(board)
    if parts:
        description["parts"].update(parts)
    return kind(build(description, {}, Hardware(), log), config, store, log)


def steady(name, it, prepare):
    it.apply(0, ABSENT, ABSENT, ABSENT, ABSENT, 0)  # the agent's first word, else the plug waits with closing
    for now_s in range(0, 1000):  # warm up; the checkpoint at 900 s is behind us
        it.step(now_s)
    prepare(it, now_s)
    for now_s in range(1000, 1010):
        it.apply(now_s, it._kind, it._value, it._value2, it._limit_w, it._asked)
        it.step(now_s)
    if it.readings[R_POWER] != 2300:
        raise AssertionError("power %d" % it.readings[R_POWER])
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    micropython.heap_lock()  # whatever allocates now raises MemoryError
    for now_s in range(1010, 1790):
        it.poll(now_s)
        it.apply(now_s, it._kind, it._value, it._value2, it._limit_w, it._asked)
        it.step(now_s)
    micropython.heap_unlock()
    used = gc.mem_alloc() - before
    gc.enable()
    # a long time, checkpoints and all: what they take, a collection returns
    for now_s in range(1790, 3000):
        it.step(now_s)
    gc.collect()
    before = gc.mem_alloc()
    for now_s in range(3000, 23000):
        it.step(now_s)
    gc.collect()
    print("%s: %d bytes in 780 steps, %d more after 20000" % (name, used, gc.mem_alloc() - before))


def nothing(it, now_s):
    pass


def limited(it, now_s):
    it.apply(now_s, ABSENT, ABSENT, ABSENT, 2500, DECIDER_LIMIT)


def off(it, now_s):
    it.apply(now_s, KIND_OFF, ABSENT, ABSENT, ABSENT, DECIDER_LIMIT)


def trip():
    """The comparator under a locked heap: opens the relay and latches."""
    it = device(Plug, "unix", {"over_power_w": 2000})
    it.apply(0, ABSENT, ABSENT, ABSENT, ABSENT, 0)
    it.board.relay.set(True)
    it.board.meter.sample(0)
    gc.collect()
    micropython.heap_lock()
    for now_s in range(1, 4):
        it.board.meter.sample(now_s)
    micropython.heap_unlock()
    print("trip: latch %d, closed %s" % (it.board.trip.latch, it.board.relay.closed))


steady("plug", device(Plug, "unix", {}), nothing)
steady("plug welded", device(Plug, "unix", {}), off)
steady("plug limited", device(Plug, "unix", {}), limited)
# everything that it can have: shedding (and shed), a sensor, a contact that is read back, times that run
full = {"shed_consent": True, "shed_mhz": 49900, "auto_off_s": 90000, "auto_on_s": 90000, "remote_close": True,
        "override": "yes"}
fitted = {"sensors": {"device": {"driver": "direct_sensor"}}, "relay": {"driver": "gpio_relay", "pin": 2, "sense": 9},
          "power_fail": {"driver": "power_fail", "pin": 11, "active": 1}}
steady("plug full", device(Plug, "unix", full, fitted), nothing)
full["shed_mhz"] = 50100
steady("plug shed", device(Plug, "unix", full, fitted), nothing)
steps = {"steps": [1000, 2000, 3000], "power_max_w": 6000}
steady("heat pump", device(HeatPump, "unix_heat_pump", steps), nothing)
steady("heat pump limited", device(HeatPump, "unix_heat_pump", steps), limited)
steady("heat pump off", device(HeatPump, "unix_heat_pump", steps), off)


class Talker(Machine):
    """A machine that speaks, defrosts, and wears; its tank is hot enough now and then."""

    wears = True
    writes = 0
    compressor = 1
    defrost = hot_water_active = error = 0
    hot_water = 4500

    def sample(self, now_s):
        self.defrost = 1 if now_s % 4000 < 300 else 0
        self.hot_water = 6100 if now_s % 9000 > 6000 else 4500
        return now_s % 5000 < 4900

    def set_hot_water(self, c):
        pass


Hardware.machine = Talker()
full = dict(steps, hot_water_low=4000, legionella_days=1, legionella_hold_s=600)
pump = device(HeatPump, "unix_heat_pump", full)
pump.utc = lambda now_s: 300 * 86400 + 2000 + now_s  # an hour ends at 1600
steady("heat pump talks", pump, limited)
if not pump.water.age(23000) < 20000 or pump.compressor.run_s < 20000:
    raise AssertionError("legionella %d, run %d" % (pump.water.age(23000), pump.compressor.run_s))
for hour in range(2, 27):
    pump.step(23000 + hour * 3600)
trip()
