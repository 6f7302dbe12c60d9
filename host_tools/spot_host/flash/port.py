"""A board's raw REPL on a port: mpremote's transport, wrapped here and nowhere else.

What goes wrong on the way is a TransferError, what the board itself says a RemoteError. Paths are relative: to the root
of a chip's file system.
"""

import ast
import base64
import contextlib
import io
import socket
import struct
import time

import serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from spot_host.errors import UserError

from . import ports
from .errors import PortError, RemoteError, TransferError

CHUNK = 1024  # octets a statement carries: 1.4 kB of text, which the board's compiler holds at once
_ENTER_S = 3
_ANSWER_S = 30  # the longest that a statement may be silent: an erase of flash, the hash of a large file
_BROKEN = (TransportError, serial.SerialException, OSError, struct.error, IndexError, EOFError)
_ESCAPE = b"\xc0\x0arepl\xc0"  # a slipmux frame of text: a board that talks CoAP on this port ends its program

# What the board can do for us; sent once, and again after each reset.
_HELPERS = """\
import os, sys, gc
from hashlib import sha256
from binascii import hexlify, a2b_base64
def _hash(path):
    h = sha256()
    b = memoryview(bytearray(512))
    with open(path, "rb") as f:
        while True:
            n = f.readinto(b)
            if not n:
                return hexlify(h.digest()).decode()
            h.update(b[:n])
def _tree(top, skip):
    for e in os.ilistdir(top) if top else os.ilistdir():
        path = (top + "/" if top else "") + e[0]
        if path in skip:
            pass
        elif e[1] & 0x4000:
            print(repr((path, -1, "")))
            _tree(path, skip)
        else:
            print(repr((path, os.stat(path)[6], _hash(path))))
            if "_dog" in globals():
                _dog.feed()
def _make(path):
    at = path.find("/")
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError:
            pass
        at = path.find("/", at + 1)
def _copy(a, b):
    with open(a, "rb") as f, open(b, "wb") as g:
        while True:
            x = f.read(512)
            if not x:
                return
            g.write(x)
"""

# The chip's watchdog, which may be running already, is fed with each statement: where no more comes, since the cable
# was pulled or this program ended, the board restarts by itself.
_ARM = """\
try:
    import machine
    _dog = machine.WDT(timeout=8000)
    print(1)
except (ImportError, AttributeError):
    print(0)
"""


# 64 kB a statement: the watchdog is fed in between.
_FILL = """\
_f = open("fill", "wb")
_b = b"\\xff" * 4096
def _more():
    try:
        for i in range(16):
            if _f.write(_b) != 4096:
                return False
        return True
    except OSError:
        return False
"""


_PLANNED = """\
try:
    from json import load
    from spot.store import Store
    with open("config.json") as _f:
        _s = Store(None, load(_f).get("store", "store"))
    _b = bytearray(_s.get("boot") or b"")
    if len(_b) == 8:
        _b[6] = 2
        _s.put("boot", _b)
except Exception:
    pass
"""  # the record of spot.guard: the start that comes is wanted (RESET_SOFT), and no crash


class _Wire(SerialTransport):
    """Waits for octets instead of asking for them every 10 ms: a statement in 2 ms instead of 30."""

    def read_until(self, min_num_bytes, ending, timeout=10, data_consumer=None, timeout_overall=None):
        data = bytearray()
        last = begun = time.monotonic()
        self.serial.timeout = 0.1
        try:
            while not data.endswith(ending):
                octet = self.serial.read(1)
                now = time.monotonic()
                if octet:
                    last = now
                    data += octet
                if timeout is not None and now >= last + timeout:
                    break
                if timeout_overall is not None and now >= begun + timeout_overall:
                    break
        finally:
            self.serial.timeout = _ENTER_S
        if data_consumer:
            data_consumer(bytes(data))
        return bytes(data)


class Port:
    """An open port with a board in its raw REPL; a context manager. `open` makes it.

    name: as it was given. said: what the board printed before it came to the REPL.
    """

    def __init__(self, name, baudrate=115200):
        self.name = name
        self._baudrate = baudrate
        self._wire = None
        self._helped = self._armed = False
        self.said = b""

    @classmethod
    def open(cls, name, baudrate=115200, wait_s=0, on_wait=None):
        """The port with the board's program interrupted. PortError when the port is not to be had, TransferError when
        no MicroPython answers; for `wait_s` it is tried further, and `on_wait(text)` says once what a person can do."""
        port = cls(name, baudrate)
        ports.check(name)
        end = time.monotonic() + wait_s
        told = False
        while True:
            try:
                port._connect()
                port._enter()
                return port
            except PortError:
                port.close()
                raise
            except TransferError:
                port.close()
                if time.monotonic() >= end:
                    raise
                if on_wait and not told:
                    told = True
                    on_wait("no REPL yet: press the board's reset button, or unplug it and plug it in again")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, UserError) and not isinstance(error, TransferError) and self._wire is not None:
            self.reset()  # nothing was begun: what ran there goes on
        self.close()

    def close(self):
        """Let the port go; the board stays as it is."""
        wire, self._wire = self._wire, None
        self._helped = self._armed = False
        if wire is not None:
            with contextlib.suppress(*_BROKEN):
                if wire.in_raw_repl:
                    wire.exit_raw_repl()
            with contextlib.suppress(*_BROKEN):
                wire.close()

    # --- the REPL

    def _connect(self):
        if self._wire is not None:
            return
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                self._wire = _Wire(self.name, self._baudrate, timeout=_ENTER_S)
        except ValueError as error:
            raise PortError(f"{self.name}: no such kind of port: {error}") from None
        except (TransportError, OSError):
            raise PortError(f"{self.name}: cannot be opened: nothing is there, or another program has it") from None
        with contextlib.suppress(*_BROKEN):
            self._wire.serial.write_timeout = _ANSWER_S
        with contextlib.suppress(AttributeError, *_BROKEN):  # of socket://: each statement is a few small packets
            self._wire.serial._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _enter(self):
        """Interrupt what runs, gently first: Ctrl-C, then the frame that ends a program which talks slipmux here."""
        for escape in (b"", _ESCAPE, b""):
            try:
                if escape:
                    self._wire.serial.write(escape)
                    time.sleep(0.3)  # the program ends in order, and its farewell is no part of the REPL's answer
                with contextlib.redirect_stdout(io.StringIO()) as said:
                    self._wire.enter_raw_repl(soft_reset=False, timeout_overall=_ENTER_S)
                self._helped = self._armed = False
                return
            except TransportError:
                self.said += said.getvalue().encode()
            except _BROKEN as error:
                raise TransferError(f"{self.name}: the board has gone: {_words(error)}") from None
        raise TransferError(f"{self.name}: no MicroPython answers there")

    def soft_reset(self):
        """A fresh interpreter, without starting the program: the heap is free, and a running watchdog is fed."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                self._wire.enter_raw_repl(soft_reset=True, timeout_overall=_ANSWER_S)
        except _BROKEN as error:
            raise TransferError(f"{self.name}: the board did not come back: {_words(error)}") from None
        self._helped = self._armed = False

    def exec(self, code, timeout_s=_ANSWER_S):
        """Run statements; what they print. RemoteError, TransferError."""
        if self._armed:
            code = "_dog.feed()\n" + code
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                out, error = self._wire.exec_raw(code, timeout=timeout_s)
        except AttributeError:
            raise TransferError(f"{self.name}: the port is closed") from None
        except _BROKEN as error:
            raise TransferError(f"{self.name}: the board does not answer any more: {_words(error)}") from None
        if error:
            lines = error.decode(errors="replace").strip().splitlines()
            raise RemoteError(lines[-1] if lines else "error")
        return out.decode(errors="replace").replace("\r\n", "\n")

    def eval(self, expression):
        """Value of a Python expression, as far as it is a literal."""
        text = self.exec(f"print(repr({expression}))").strip()
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            raise TransferError(f"{self.name}: not understood: {text[:80]!r}") from None

    def helped(self):
        """See that the board has our helpers (_hash, _tree, _make, _copy)."""
        if not self._helped:
            self.exec(_HELPERS)
            self._helped = True

    def arm(self):
        """From now on the board restarts by itself 8 s after the last statement, until its next reset."""
        self._armed = self.exec(_ARM).strip() == "1"

    # --- files

    def tree(self, skip=()):
        """{path: (octets, SHA-256 in hex)} of all files, hashed on the board; folders have -1. `skip`: folders; what is
        mounted of our own image is no file of the board."""
        self.helped()
        rows = self.exec(f"_tree('', {('own', 'rom', *skip)!r})", timeout_s=120).splitlines()
        return {path: (size, digest) for path, size, digest in (ast.literal_eval(row) for row in rows if row.strip())}

    def digest(self, path):
        """SHA-256 of a file in hex, computed on the board; empty when there is none."""
        self.helped()
        try:
            return self.eval(f"_hash({path!r})")
        except RemoteError:
            return ""

    def put(self, path, data, on_octets=None):
        """Write a file as it stands, folders too; RemoteError ("OSError: 28" when there is no space)."""
        self.helped()
        self.exec(f"_make({path!r})\n_f = open({path!r}, 'wb')")
        for at in range(0, len(data), CHUNK):
            part = data[at : at + CHUNK]
            self.exec(f"_f.write(a2b_base64({base64.b64encode(part)!r}))")
            if on_octets:
                on_octets(len(part))
        self.exec("_f.close()")

    def get(self, path):
        """Octets of a file; RemoteError when it is not there."""
        self.helped()
        out = bytearray()
        self.exec(f"_f = open({path!r}, 'rb')")
        while part := self.eval(f"_f.read({CHUNK // 2})"):
            out += part
        self.exec("_f.close()")
        return bytes(out)

    def copy(self, old, new):
        """Copy a file on the board, folders too."""
        self.helped()
        self.exec(f"_make({new!r})\n_copy({old!r}, {new!r})")

    def rename(self, old, new):
        """Put a file in another's place, in one step."""
        self.helped()
        self.exec(f"os.rename({old!r}, {new!r})")

    def remove(self, path, folder=False):
        """Remove a file or an empty folder, if it is there."""
        self.helped()
        self.exec(f"try:\n    os.{'rmdir' if folder else 'remove'}({path!r})\nexcept OSError:\n    pass")

    def fill(self, timeout_s=600):
        """Fill the free flash with a file and remove it: what was in there cannot be read any more."""
        self.helped()
        self.exec(_FILL)
        end = time.monotonic() + timeout_s
        while self.eval("_more()"):
            if time.monotonic() > end:
                break
        self.exec("try:\n    _f.close()\nexcept OSError:\n    pass\nos.remove('fill')")

    # --- restarts

    def reset(self):
        """Reset the chip; the port is closed, since USB goes away for a moment.

        Where our own image is, the device takes that for no crash of its own: the RP2040 resets by its watchdog.
        """
        with contextlib.suppress(TransferError, RemoteError, AttributeError):
            self.soft_reset()  # the loader's spot.store, not what is left of a running release
            self.exec(_PLANNED)
        with contextlib.suppress(TransferError, RemoteError), contextlib.redirect_stdout(io.StringIO()):
            try:
                self._wire.exec_raw_no_follow("import machine\nmachine.reset()")
                time.sleep(0.2)  # it has to leave this computer before the port is closed
            except _BROKEN as error:
                raise TransferError(_words(error)) from None
        wire, self._wire = self._wire, None
        self._helped = self._armed = False
        if wire is not None:
            with contextlib.suppress(*_BROKEN):
                wire.close()

    def hold(self, wait_s=60):
        """Restart into a REPL without the device and its watchdog: for our own image, whose loader looks for a file of
        the name `hold`, once. TransferError when it does not come back in `wait_s`."""
        self.exec("open('hold', 'w').close()")
        end = time.monotonic() + wait_s
        self.reset()
        while True:
            self.reconnect(max(0, end - time.monotonic()))
            try:
                if not self.eval("'hold' in __import__('os').listdir('/')"):
                    return
                self.close()  # that was still the life before: the reset is on its way
            except TransferError:  # and came just now
                self.close()
            if time.monotonic() >= end:
                raise TransferError(f"{self.name}: the board was not reset")
            time.sleep(0.1)

    def reconnect(self, wait_s=60):
        """The REPL again, after a reset."""
        end = time.monotonic() + wait_s
        while True:
            try:
                self._connect()
                self._enter()
                return
            except (TransferError, PortError) as error:
                wire, self._wire = self._wire, None
                if wire is not None:
                    with contextlib.suppress(*_BROKEN):
                        wire.close()
                if time.monotonic() >= end:
                    raise TransferError(f"{self.name}: the board did not come back after its reset: {error}") from None
                time.sleep(0.1)


def _words(error):
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
