"""Slipmux: CoAP messages and a person's text side by side on a byte stream (draft-bormann-t2trg-slipmux).

Frames are SLIP's (RFC 1055). The first octet of a frame says what it is: 0x0A diagnostic text, 0xA9 a CoAP message in
UDP's framing, followed by the 16-bit check sequence of PPP (RFC 1662, appendix C), which covers the 0xA9 as well.
IP packets (0x45-0x4F, 0x60-0x6F) and what nobody knows are passed over.

The framing (`Frames`, `write_message`, `write_text`) does no I/O; the host's bridge uses it as well.
"""

from ..port import const, kbd_intr, machine, select, standard_streams
from .errors import LinkError

_END = const(0xC0)
_ESC = const(0xDB)
_ESC_END = const(0xDC)
_ESC_ESC = const(0xDD)
_DAMAGED = const(-1)
_TEXT = const(400)  # octets of text that are kept
_LONGEST = const(448)  # octets of a message that is sent: longer bodies go in blocks of 256 over datagrams
_STREAM = const(64)  # octets that a turn reads or writes at most before others have theirs

_REPL = b"\x0arepl"  # a frame of text that asks a chip for its REPL, as Ctrl-C does on a line without frames

TEXT = const(0x0A)
MESSAGE = const(0xA9)


def fcs16(buf, n, fcs=0xFFFF):
    """Check sequence over the first n octets of buf, continued from `fcs`; 0xF0B8 over a whole good frame."""
    for i in range(n):
        x = (fcs ^ buf[i]) & 0xFF
        x ^= (x << 4) & 0xFF
        fcs = fcs >> 8 ^ x << 8 ^ x << 3 ^ x >> 4
    return fcs


_GOOD = const(0xF0B8)


def _escaped(buf, n, out, at):
    for i in range(n):
        octet = buf[i]
        if octet == _END or octet == _ESC:
            out[at] = _ESC
            at += 1
            octet = _ESC_END if octet == _END else _ESC_ESC
        out[at] = octet
        at += 1
    return at


def write_message(buf, n, out):
    """Frame the CoAP message buf[:n] into `out`, which has at least 2 n + 8 octets; returns the octets of the frame.

    It begins with an END of its own, so that text which was printed before it is no part of it.
    """
    out[0] = _END
    out[1] = MESSAGE
    at = _escaped(buf, n, out, 2)
    fcs = ~fcs16(buf, n, fcs16(b"\xa9", 1))
    at = _escaped((fcs & 0xFF, fcs >> 8 & 0xFF), 2, out, at)
    out[at] = _END
    return at + 1


def write_text(text, out):
    """Frame `text`, octets of UTF-8; as write_message."""
    out[0] = _END
    out[1] = TEXT
    at = _escaped(text, len(text), out, 2)
    out[at] = _END
    return at + 1


class Frames:
    """Takes octets, gives frames. What is longer than `size`, escapes wrongly or was cut short by noise is dropped up
    to the next END, and counted in `damaged`."""

    def __init__(self, size):
        self.buf = bytearray(size)
        self.n = 0
        self.damaged = 0
        self._at = 0  # octets of the present frame, or _DAMAGED
        self._escape = False

    def take(self, octet):
        """Take one octet. True: `buf[:n]` is a whole frame, valid until the next call."""
        if octet == _END:
            n, self._at = self._at, 0
            if self._escape:  # ESC END: the sender gives the frame up
                self._escape = False
                n = _DAMAGED
            if n < 0:
                self.damaged += 1
            self.n = n
            return n > 0
        if self._at < 0:
            return False
        if self._escape:
            self._escape = False
            if octet == _ESC_END:
                octet = _END
            elif octet == _ESC_ESC:
                octet = _ESC
            else:
                self._at = _DAMAGED
                return False
        elif octet == _ESC:
            self._escape = True
            return False
        if self._at == len(self.buf):
            self._at = _DAMAGED
            return False
        self.buf[self._at] = octet
        self._at += 1
        return False

    def message(self):
        """Octets of the CoAP message in buf[1:], 0 when the frame is something else, or is spoilt."""
        n = self.n - 3
        if n < 4 or self.buf[0] != MESSAGE:
            return 0
        if fcs16(self.buf, self.n) != _GOOD:
            self.damaged += 1
            return 0
        return n


class _Polled:
    """Octets of a file or of standard input, one by one: they would wait for more than is there if asked for more."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self._in, self._out = select.poll(), select.poll()
        self._in.register(reader, select.POLLIN)
        self._out.register(writer, select.POLLOUT)

    def readinto(self, buf):
        n = 0
        while n < len(buf):
            ready = self._in.poll(0)
            if not ready:
                return n
            octet = self._reader.read(1)
            if not octet:
                raise OSError(5)  # the other end is gone
            buf[n] = octet[0]
            n += 1
        return n

    def write(self, view):
        n = 0
        while n < len(view) and self._out.poll(0):
            self._writer.write(view[n : n + 1])
            n += 1
        return n


class Transport:
    """The link's octets over `slipmux:` and: `uart<n>` of a chip, `stdio` (a chip's USB), or a path (a pty, a port).

    Config: `baudrate`, 115200 by default, for a UART.
    """

    secure = False
    peer = "cable"

    def __init__(self, config, size, log=None):
        self._config = config
        self._frames = Frames(size + 3)
        self._in = memoryview(bytearray(_STREAM))
        self._out = bytearray(2 * min(size, _LONGEST) + 8)
        self._view = memoryview(self._out)
        self._at = self._end = 0
        self._kept = b""
        self.raw = self._stream = None

    async def open(self):
        """Open the stream. LinkError("serial", errno) where there is none."""
        where = self._config["uri"][8:]
        self._at = self._end = 0
        try:
            if where[:4] == "uart":
                rate = self._config.get("baudrate", 115200)
                self.raw = self._stream = machine.UART(int(where[4:]), baudrate=rate, rxbuf=1024, txbuf=1024)
                return self.say("")
            if where == "stdio":
                kbd_intr(-1)  # 0x03 is an octet like any other
                self.raw, writer = standard_streams()
            else:
                self.raw = writer = open(where, "r+b", 0)
            self._stream = _Polled(self.raw, writer)
            self.say("")
        except (OSError, ValueError, AttributeError) as error:  # the last: a computer has no UART
            raise LinkError("serial", getattr(error, "errno", 0) or 0) from None

    def raws(self):
        """What to wait for."""
        return (self.raw,)

    def reliable(self, peer):
        return False

    def leave(self):
        self.flush()

    def datagram(self, peer, buf, n):
        """Frame a message; False where it has no room behind the one that is still on its way (it counts as lost: CoAP
        repeats it)."""
        if self.flush():
            self._at = self._end = 0
        if self._end + 2 * n + 8 > len(self._out):
            return False
        self._end += write_message(buf, n, self._view[self._end :])
        self.flush()
        return True

    def say(self, text):
        """Diagnostic text, of which the latest is kept while the stream is closed or busy."""
        self._kept = (self._kept + text.encode() + b"\n" if text else self._kept)[-_TEXT:]
        if self._kept and self._stream and (self._at >= self._end or self.flush()):
            self._at, self._end = 0, write_text(self._kept, self._out)
            self._kept = b""
            self.flush()

    def flush(self):
        """Write what waits; True when nothing does any more."""
        while self._at < self._end:
            try:
                n = self._stream.write(self._view[self._at : min(self._end, self._at + _STREAM)])
            except OSError as error:
                raise LinkError("serial", error.errno or 0) from None
            if not n:
                return False
            self._at += n
        return True

    def take(self, now, received):
        """Hand over what came, a little at a time; True when there may be more."""
        try:
            n = self._stream.readinto(self._in) or 0
        except OSError as error:
            raise LinkError("serial", error.errno or 0) from None
        frames = self._frames
        for i in range(n):
            if frames.take(self._in[i]):
                size = frames.message()
                if size:
                    received(now, self.peer, memoryview(frames.buf)[1:], size)
                elif frames.n == 5 and bytes(frames.buf[:5]) == _REPL and self._config["uri"] == "slipmux:stdio":
                    kbd_intr(3)  # Ctrl-C, which is an octet like any other while messages go over it
                    raise KeyboardInterrupt
        return n == _STREAM

    def close(self):
        if self._stream and self.raw is not None and self._config["uri"] != "slipmux:stdio":
            try:
                (self.raw.deinit if hasattr(self.raw, "deinit") else self.raw.close)()
            except OSError:
                pass
        self.raw = self._stream = None
