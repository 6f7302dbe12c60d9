"""Runs on MicroPython, from source or as it is flashed: board sim_modbus with a heat pump on it; a UART answers for
everybody on the line. Prints what the device knows, and what was written.
"""

import sys

from spot.board.board import build
from spot.board.modbus import crc
from spot.config import load_board
from spot.device.heat_pump import HeatPump
from spot.log import Log
from spot.store import Store


class Hardware:
    ms = 0

    def ticks_ms(self):
        return self.ms

    def UART(self, number, **options):  # noqa: N802
        assert number == 1 and options["baudrate"] == 9600 and options["parity"] is None and options["bits"] == 8
        return Uart()


class Uart:
    writes = []

    def __init__(self):
        self.waiting = b""

    def write(self, frame):
        frame = bytes(frame)
        if frame[1] > 4:
            self.writes.append((frame[3], frame[4] << 8 | frame[5]))
            body = frame[:6]
        else:
            n = 2 * frame[5]
            body = bytes((frame[0], frame[1], n)) + bytes((0, 1)) * (n // 2)
            if frame[0] == 1 and frame[3] == 0:  # 230 V, 0 A, 1000 W
                body = body[:3] + b"\x43\x66\x00\x00" + bytes(20) + b"\x44\x7a\x00\x00" + bytes(n - 28)
        check = crc(body)
        self.waiting = body + bytes((check & 255, check >> 8))

    def any(self):
        return len(self.waiting)

    def readinto(self, buf, n):
        got, self.waiting = self.waiting[:n], self.waiting[n:]
        buf[: len(got)] = got
        return len(got) or None


log = Log(50)
hardware = Hardware()
board = build(load_board("sim_modbus", sys.argv[1]), {}, hardware, log)
device = HeatPump(board, {}, Store(None, sys.argv[2], log), log)
for now_s in range(1, 70):
    device.step(now_s)
    if now_s == 40:
        board.machine.set_power_limit(1500)
    for _ in range(20):
        hardware.ms += 50
        device.poll(now_s)
print(board.meter.power_w, board.meter.voltage_10mv, board.machine.compressor, board.machine.flow,
      board.sensors.outdoor.value, sorted(set(Uart.writes)))
device.close()
