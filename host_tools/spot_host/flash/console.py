"""What a board prints on its cable, as text: plain, or in the frames of slipmux."""

import contextlib
import sys
import time

import serial

from spot.link.slipmux import TEXT, Frames

from .errors import PortError, TransferError
from .ports import check

_END = 0xC0
_LONGEST = 2048
QUIT = b"\x1d"  # Ctrl-]


class Reader:
    """Octets of a board in, text for a person out: `feed(octets) -> str`.

    Between two octets of 0xC0 is a frame: text is shown, messages are counted in `messages`. Anything else is printed
    as it is, without what could steer a terminal; `raw`: a person types at the REPL, whose control sequences are
    wanted.
    """

    def __init__(self, raw=False):
        self._frames = Frames(_LONGEST)
        self._framed = False
        self._raw = raw
        self.messages = 0

    def feed(self, octets):
        out = bytearray()
        for octet in octets:
            if octet == _END:
                if self._frames.take(octet):
                    self._frame(out)
                    self._framed = False
                else:
                    self._framed = True
            elif self._framed:
                self._frames.take(octet)
            else:
                out.append(octet)
        text = out.decode(errors="replace")
        return text if self._raw else "".join(c if c.isprintable() or c in "\r\n\t" else "?" for c in text)

    def _frame(self, out):
        n = self._frames.n
        if self._frames.buf[0] == TEXT:
            out += bytes(self._frames.buf[1:n]).rstrip(b"\n") + b"\n"
        elif self._frames.message():
            self.messages += 1
        else:
            out += bytes(self._frames.buf[:n])


def opened(name, baudrate=115200):
    """A serial port, or what a URL names, for reading and writing; PortError."""
    check(name)
    try:
        port = serial.serial_for_url(name, baudrate=baudrate, timeout=0.1, exclusive=None)
    except (serial.SerialException, ValueError, OSError) as error:
        raise PortError(f"{name}: cannot be opened: {error}") from None
    return port


def serve(port, show, typed=None, until=lambda: False):
    """Show what comes and send what is typed, until Ctrl-] or `until()`. show(text); typed() -> octets, at once.
    TransferError when the cable is pulled."""
    reader = Reader(raw=typed is not None)
    while not until():
        try:
            got = port.read(max(1, port.in_waiting))
        except (serial.SerialException, OSError, TypeError):
            raise TransferError(f"{port.name or port.port}: the board is gone") from None
        if got:
            show(reader.feed(got))
        if typed:
            keys = typed()
            if QUIT in keys:
                return
            if keys:
                port.write(keys)


@contextlib.contextmanager
def keyboard():
    """A function that gives what was typed since, octet by octet as on the board's own terminal; None without one."""
    if not sys.stdin.isatty():
        yield None
        return
    import os
    import select
    import termios
    import tty

    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)

    def typed():
        return os.read(handle, 256) if select.select([handle], [], [], 0)[0] else b""

    try:
        tty.setraw(handle)
        yield typed
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def farewell(port, quiet_s=1.0, most_s=8.0):
    """Interrupt what runs, gently first, and give what it prints until it is silent: (text, whether a REPL came)."""
    reader = Reader()
    text = ""
    end = time.monotonic() + most_s
    for word in (b"\r\x03", b"\xc0\x0arepl\xc0"):
        port.write(word)
        last = time.monotonic()
        while time.monotonic() < min(end, last + quiet_s):
            got = port.read(max(1, port.in_waiting))
            if got:
                last = time.monotonic()
                text += reader.feed(got)
        if ">>> " in text:
            return text, True
    return text, False
