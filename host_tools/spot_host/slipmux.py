"""The host's end of a slipmux cable: carries CoAP messages between a byte stream and a local UDP port.

The board sees one peer, the cable. Who of several CoAP tools a message is for, the bridge tells by token and message
id, which it leaves as they are: OSCORE and everything else end to end stays end to end.
"""

import asyncio
import contextlib
import os
import stat
from collections import OrderedDict

from spot.link.slipmux import TEXT, Frames, write_message, write_text

from .errors import UserError

_LONGEST = 2048  # of a frame; a body of 1,024 octets has its options, tag and token beside it
_REMEMBERED = 512  # tokens and message ids: of some hundred exchanges at once
_WAITING = 65536  # octets for the board before datagrams are dropped, as a network would


class Routes:
    """Who waits for which answer of the board: without I/O."""

    def __init__(self, emd=None):
        self._emd = emd
        self._by_mid = OrderedDict()
        self._by_token = OrderedDict()

    def sent(self, message, client):
        """A tool's message goes to the board."""
        self._remember(self._by_mid, message[2:4], client)
        if message[1] and message[1] < 0x20:
            self._remember(self._by_token, self._token(message), client)

    def client(self, message):
        """Who gets a message of the board; None when nobody waits for it."""
        kind, code = message[0] >> 4 & 3, message[1]
        if kind >= 2 and (not code or code >= 0x40):  # ACK, RST: the message id tells
            found = self._by_mid.get(message[2:4])
            if found or not code:
                return found
        if 0 < code < 0x20 or not code:  # the board's own requests and pings are for its EMD
            return self._emd
        return self._by_token.get(self._token(message))

    @staticmethod
    def _token(message):
        return message[4 : 4 + (message[0] & 15)]

    @staticmethod
    def _remember(table, key, client):
        table[key] = client
        table.move_to_end(key)
        if len(table) > _REMEMBERED:
            table.popitem(last=False)


class Bridge(asyncio.DatagramProtocol):
    """Between `write(octets)`, the way to the board, and UDP. `say(text)` gets what the board prints.

    `counts`: frames to and from the board, damaged ones and messages that nobody waited for.
    """

    def __init__(self, write, say, emd=None):
        self._write = write
        self._say = say
        self._routes = Routes(emd)
        self._frames = Frames(_LONGEST)
        self._out = bytearray(2 * _LONGEST + 8)
        self._text = ""
        self.transport = None
        self.counts = {"to_board": 0, "from_board": 0, "damaged": 0, "unasked": 0}

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        if 4 <= len(data) <= _LONGEST - 3 and data[0] >> 6 == 1:
            self._routes.sent(data, addr)
            self.counts["to_board"] += 1
            self._write(bytes(self._out[: write_message(data, len(data), self._out)]))

    def error_received(self, exc):
        pass  # a tool that has gone: what was for it is lost

    def fed(self, octets):
        """Octets came from the board."""
        for octet in octets:
            if self._frames.take(octet):
                self._one()
        self.counts["damaged"] = self._frames.damaged

    def _one(self):
        n = self._frames.message()
        frame = bytes(self._frames.buf[: self._frames.n])
        if n:
            message = frame[1 : 1 + n]
            client = self._routes.client(message)
            self.counts["from_board" if client else "unasked"] += 1
            if client:
                self.transport.sendto(message, client)
        elif frame[0] != 0xA9:
            self.print(frame[1:] if frame[0] == TEXT else frame)  # what was printed past the framing is text as well

    def print(self, octets):
        """Hand text on, line by line, without what could steer a terminal."""
        text = self._text + octets.decode(errors="replace")
        *lines, self._text = (text if text.endswith("\n") else text + "\n").split("\n")
        for line in lines:
            if line.strip():
                self._say("".join(c if c.isprintable() else " " for c in line).rstrip())

    def tell(self, text):
        """Diagnostic text to the board."""
        octets = text.encode()
        self._write(bytes(self._out[: write_text(octets, self._out)]))


def is_wired(port):
    """Whether `port` is a serial port of this computer: a cable to a board, neither a pseudo-terminal nor a socket."""
    try:
        mode = os.stat(port)
    except OSError:
        return False
    return stat.S_ISCHR(mode.st_mode) and os.major(mode.st_rdev) not in range(136, 144)  # Linux: 136-143 are ptys


class _Serial:
    """A serial port or pseudo-terminal, opened raw, read and written by the loop."""

    def __init__(self, path, baudrate):
        import serial

        try:
            self._port = serial.Serial(path, baudrate, timeout=0, write_timeout=0)
        except (serial.SerialException, OSError) as error:
            raise UserError(f"{path}: cannot be opened: {error}") from error
        self._fd = self._port.fileno()
        self._waiting = bytearray()
        self._loop = asyncio.get_running_loop()
        self.ended = self._loop.create_future()

    def start(self, fed):
        self._fed = fed
        self._loop.add_reader(self._fd, self._readable)

    def _readable(self):
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._fed(data)
        elif not self.ended.done():
            self.ended.set_result(None)

    def write(self, octets):
        if len(self._waiting) + len(octets) > _WAITING:
            return
        if not self._waiting:
            self._loop.add_writer(self._fd, self._writable)
        self._waiting += octets

    def _writable(self):
        try:
            del self._waiting[: os.write(self._fd, self._waiting)]
        except BlockingIOError:
            return
        except OSError:
            self._waiting.clear()
        if not self._waiting:
            self._loop.remove_writer(self._fd)

    def close(self):
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._port.close()


class _Socket:
    """A TCP connection that stands for the cable (an emulator's USB port)."""

    @classmethod
    async def open(cls, host, port):
        self = cls()
        try:
            self._reader, self._writer = await asyncio.open_connection(host, port)
        except OSError as error:
            raise UserError(f"{host}:{port}: cannot be reached: {error.strerror or error}") from error
        return self

    def start(self, fed):
        self.ended = asyncio.ensure_future(self._read(fed))

    async def _read(self, fed):
        with contextlib.suppress(OSError):
            while data := await self._reader.read(4096):
                fed(data)

    def write(self, octets):
        if self._writer.transport.get_write_buffer_size() + len(octets) <= _WAITING:
            self._writer.write(octets)

    def close(self):
        self.ended.cancel()
        self._writer.close()


def endpoint(text, what):
    """(host, port) of "host:port"; UserError names the option `what`."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise UserError(f"{what}: {text!r} is not host:port")
    return host.strip("[]"), int(port)


async def serve(port, listen, say, emd=None, baudrate=115200, ready=None):
    """Bridge `port` (a path, or socket://host:port) and the UDP port `listen`, (host, port), until the cable ends.

    `ready(bridge)` is called when both ends are open. UserError when one cannot be.
    """
    loop = asyncio.get_running_loop()
    if port.startswith("socket://"):
        cable = await _Socket.open(*endpoint(port[9:], "PORT"))
    else:
        cable = _Serial(port, baudrate)
    try:
        if emd:
            try:
                emd = (await loop.getaddrinfo(*emd, type=2))[0][4]
            except OSError as error:
                raise UserError(f"--emd: {emd[0]}: {error.strerror}") from error
        try:
            transport, bridge = await loop.create_datagram_endpoint(lambda: Bridge(cable.write, say, emd), listen)
        except OSError as error:
            raise UserError(f"--listen: {listen[0]}:{listen[1]} cannot be listened to: {error.strerror}") from error
        try:
            cable.start(bridge.fed)
            if ready:
                ready(bridge)
            await cable.ended
        finally:
            transport.close()
    finally:
        cable.close()
