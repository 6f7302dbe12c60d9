"""Reading one value of a meter over Modbus TCP or RTU: what a reference meter on a bench needs, and no more.

Modbus Application Protocol V1.1b3 (functions 3 and 4), Modbus over serial line V1.02 (CRC), Messaging on TCP/IP V1.0b.
"""

import socket
import struct
import time

TYPES = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "float32": ">f"}  # high word first
_FUNCTION = {"holding": 3, "input": 4}


def crc16(data: bytes) -> int:
    """The check of a frame on a serial line; its low octet is sent first."""
    crc = 0xFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


class Modbus:
    """One connection. address: tcp://host:port, or a serial port. OSError where it cannot be opened."""

    def __init__(self, address: str, baudrate: int = 9600, timeout_s: float = 2.0):
        self._timeout_s, self._serial, self._socket, self._number = timeout_s, None, None, 0
        if address.startswith("tcp://"):
            host, _, port = address[6:].rpartition(":")
            self._socket = socket.create_connection((host.strip("[]"), int(port)), timeout_s)
        else:
            import serial

            self._serial = serial.Serial(address, baudrate, timeout=timeout_s)

    def close(self) -> None:
        (self._socket or self._serial).close()

    def read(self, unit: int, register: int, table: str, kind: str):
        """The value at `register`, of a type of TYPES. ValueError for an answer that is none, OSError for silence."""
        code = TYPES[kind]
        count = struct.calcsize(code) // 2
        request = struct.pack(">BHH", _FUNCTION[table], register, count)
        answer = self._over_tcp(unit, request) if self._socket else self._over_serial(unit, request, 5 + 2 * count)
        if len(answer) >= 2 and answer[0] == request[0] | 0x80:
            raise ValueError(f"register {register}: exception {answer[1]}")
        if len(answer) != 2 + 2 * count or answer[0] != request[0] or answer[1] != 2 * count:
            raise ValueError(f"register {register}: no answer to that: {answer.hex()}")
        return struct.unpack(code, answer[2:])[0]

    def _over_tcp(self, unit, request):
        self._number = self._number + 1 & 0xFFFF
        self._socket.sendall(struct.pack(">HHHB", self._number, 0, len(request) + 1, unit) + request)
        while True:
            number, protocol, size, who = struct.unpack(">HHHB", self._exactly(7))
            if protocol or not 2 <= size <= 254:
                raise ValueError("what comes is no Modbus TCP")
            body = self._exactly(size - 1)
            if (number, who) == (self._number, unit):  # else the late answer to an earlier question
                return body

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            part = self._socket.recv(n - len(data))
            if not part:
                raise OSError("the connection was closed")
            data += part
        return data

    def _over_serial(self, unit, request, most):
        frame = bytes((unit,)) + request
        self._serial.reset_input_buffer()
        self._serial.write(frame + struct.pack("<H", crc16(frame)))
        answer, until = b"", time.monotonic() + self._timeout_s
        while len(answer) < (5 if len(answer) > 1 and answer[1] & 0x80 else most):
            if time.monotonic() > until:
                raise OSError("no answer" if not answer else f"half an answer: {answer.hex()}")
            answer += self._serial.read(most - len(answer) if len(answer) > 1 else 2)
        if answer[0] != unit or struct.unpack("<H", answer[-2:])[0] != crc16(answer[:-2]):
            raise ValueError(f"damaged: {answer.hex()}")
        return answer[1:-2]
