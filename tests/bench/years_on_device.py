"""Runs on MicroPython: what a device costs in the long run. Prints the figures as JSON.

The flash is littlefs with sectors of 4,096 octets on a RAM disk, which counts what is erased and programmed.
sys.argv: boards folder, folder for the same store on the system's files, milliseconds of the loop's slice.
"""

import gc
import json
import sys
import time

import vfs

sys.path.insert(1, sys.argv[1] + "/unix")
import stdio

from spot.app import App
from spot.board.board import build
from spot.codes import CH_CMD, KIND_LIMIT, T_ACK, T_COMMAND, T_HEARTBEAT, T_INTERVAL, T_REGISTERED, T_STATUS
from spot.config import load_board
from spot.log import Log
from spot.store import Store
from spot.wire import profile

SLICE_MS = int(sys.argv[3])
_SECTOR, _SECTORS = 4096, 64
_DAY = 86400
EPOCH, UTC = 70, 30000000
# 230 V, 10 A, 2,300 W, 50 Hz: worked out by hand in tests/unit/board/test_bl0942.py
_FRAME = bytes.fromhex("5507552630be370000009de015000100204e00000000")
_FRAME += bytes((0xFF - (0x58 + sum(_FRAME) & 0xFF),))


class Disk:
    """A block device: `erased` and `programmed` octets."""

    def __init__(self):
        self.data = bytearray(b"\xff" * (_SECTOR * _SECTORS))
        self.erased = self.programmed = 0

    def readblocks(self, block, buf, off=0):
        at = block * _SECTOR + off
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, block, buf, off=None):
        if off is None:
            self.ioctl(6, block)
        at = block * _SECTOR + (off or 0)
        self.data[at : at + len(buf)] = buf
        self.programmed += len(buf)

    def ioctl(self, op, arg):
        if op == 4:
            return _SECTORS
        if op == 5:
            return _SECTOR
        if op == 6:
            self.data[arg * _SECTOR : (arg + 1) * _SECTOR] = b"\xff" * _SECTOR
            self.erased += _SECTOR
        return 0


class Fs:
    def __init__(self, disk):
        vfs.VfsLfs2.mkfs(disk, progsize=256, readsize=256)
        self.lfs = vfs.VfsLfs2(disk, progsize=256, readsize=256)
        self.open, self.rename = self.lfs.open, self.lfs.rename
        self.remove, self.mkdir = self.lfs.remove, self.lfs.mkdir

    def listdir(self, path):
        return [row[0] for row in self.lfs.ilistdir(path)]


class Meter:
    power_w, voltage_10mv, current_ma, frequency_mhz, energy_wh = 800, 23000, 3500, 50000, 0

    def sample(self, now_s):
        self.energy_wh = now_s * 2 // 9
        return True


def write_us(store):
    """The mean of a value of 24 octets, replaced 300 times."""
    begin = time.ticks_us()
    for n in range(300):
        store.put("value", b"%024d" % n)
    return time.ticks_diff(time.ticks_us(), begin) / 300


class Day:
    """A plug of a home with an EMD: heartbeats each minute, telemetry each five, a command each hour."""

    def __init__(self, fs):
        hardware = stdio.Hardware(immediate=False)
        hardware.meter = Meter()
        description = load_board("sim", sys.argv[1])
        self.app = App(description, {"eui64": "0200000000000001", "store": "s"}, hardware, fs, self._send)
        self._hardware = hardware
        self._body = bytearray(256)
        self._upto = [None, None]
        self._beat = self._command = 0
        self.now_s = 0
        self.app.link_up(0, False)
        self.app.step(0)
        self._give(T_REGISTERED, [0, 1, EPOCH, UTC])

    def _send(self, channel, buf, n):
        type = profile.head(buf, n)
        if type == T_STATUS:
            self._upto[0] = profile.decode(type, buf, n)[0]
        elif type == T_INTERVAL:
            values = profile.decode(type, buf, n)
            self._upto[1] = values[0] + len(values[4]) - 1
        elif type == T_HEARTBEAT:
            self._beat = profile.decode(type, buf, n)[5]
        return True

    def _give(self, type, values):
        while values[-1] is None:
            values.pop()
        self.app.receive(self.now_s, CH_CMD, self._body, profile.encode(type, values, self._body))

    def run(self, until_s):
        app = self.app
        while self.now_s < until_s:
            app.step(self.now_s)
            self.now_s += 10
            self._hardware.edges.clear()
            if self.now_s % 60 == 0:
                digest = app.agent.control.ledger.digest
                self._give(T_HEARTBEAT, [EPOCH, UTC + self.now_s, digest, 4, None, self._beat])
                if self._upto != [None, None]:
                    self._give(T_ACK, [EPOCH] + self._upto)
            if self.now_s % 3600 == 0:
                self._command += 1
                self._give(T_COMMAND, [EPOCH, self._command, 0, 5, KIND_LIMIT, UTC + self.now_s, 0, 1800, 500])


def steps(app, now_s):
    """(µs, octets of heap) of a turn of device and agent in which nothing is to be said: the median, and the most."""
    times, most = [], 0
    gc.collect()
    gc.disable()
    for n in range(40):
        begin, before = time.ticks_us(), gc.mem_alloc()
        app.step(now_s + 1 + n // 20)
        after = gc.mem_alloc()
        times.append(time.ticks_diff(time.ticks_us(), begin))
        if n > 1:
            most = max(most, after - before)
    gc.enable()
    return sorted(times)[20], most


def trips():
    """Milliseconds from the last octet of an over-current frame in the UART to the relay's pin, when it comes just
    after the loop has looked: a slice of sleep and the driver. The most of 15: a count of energy that stands still for
    longer is a fault."""
    hardware = stdio.Hardware(immediate=False)
    board = build(load_board("unix", sys.argv[1]), {}, hardware, Log(4))
    board.trip.arm(8000, None, None, None)
    uart = hardware.uarts["uart0"]
    most = 0
    for n in range(15):
        board.trip.clear()
        board.relay.set(True)
        board.meter.sample(n)
        board.poll()
        uart.frame = _FRAME
        begin = time.ticks_us()
        time.sleep_ms(SLICE_MS)
        board.poll()
        took_us = time.ticks_diff(time.ticks_us(), begin)
        if hardware.pins["pin2"].level or not board.trip.latch:
            raise AssertionError("it did not trip")
        most = max(most, took_us)
        uart.frame = b""
    return most / 1000


def main():
    disk = Disk()
    out = {"write_us": write_us(Store(Fs(disk), "s")), "posix_us": write_us(Store(None, sys.argv[2]))}
    disk = Disk()
    day = Day(Fs(disk))
    day.run(3600)
    erased, programmed, writes = disk.erased, disk.programmed, day.app.store.writes
    day.run(3600 + _DAY)
    out["day_erased"] = disk.erased - erased
    out["day_programmed"] = disk.programmed - programmed
    out["day_writes"] = day.app.store.writes - writes
    out["step_us"], out["step_heap"] = steps(day.app, day.now_s + 5)
    out["trip_ms"] = trips()
    print(json.dumps(out))


main()
