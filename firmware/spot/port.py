"""The one file that asks which runtime this is: what MicroPython and CPython name or do differently.

Everything else imports from here and runs unchanged on both. What a runtime lacks is None (a Pico without
network has no `socket`).
"""

import gc
import io
import os
import struct
import sys
import time

IS_MICROPYTHON = sys.implementation.name == "micropython"


def _optional(name):
    try:
        return __import__(name)
    except ImportError:
        return None


asyncio = _optional("asyncio")
socket = _optional("socket")
select = _optional("select")
_binascii = _optional("binascii")
_hashlib = _optional("hashlib")
network = _optional("network")
machine = _optional("machine")
vfs = _optional("vfs")
if not hasattr(machine, "Pin"):
    machine = None  # the unix port has the module, but no pins

if IS_MICROPYTHON:
    import micropython
    from micropython import const

    ptr8 = None  # the compiler knows them in viper code; nobody calls them elsewhere
    ptr32 = None
    uint = None
    tls = _optional("tls") or _optional("ssl")
    cryptolib = _optional("cryptolib")
    ticks_ms = time.ticks_ms
    ticks_us = time.ticks_us
    ticks_diff = time.ticks_diff
    ticks_add = time.ticks_add
    TICKS_PERIOD = ticks_add(0, -1) + 1
    sleep_ms = time.sleep_ms
    kbd_intr = micropython.kbd_intr

    def print_exception(error, file=None):
        """Write `error` with its traceback to `file`, a stream (standard output when None)."""
        sys.print_exception(error, file or sys.stdout)

else:
    import ssl as tls
    import traceback

    uint = int
    TICKS_PERIOD = 1 << 30  # as on a 32-bit chip, so that a wrap is met in the simulator as well

    def const(value):
        """MicroPython's compile-time constant: here the value itself."""
        return value

    def kbd_intr(character):
        """Which character interrupts: on a computer that is the terminal's business."""

    class micropython:  # noqa: N801 - stands for the module of that name
        """What the firmware uses of MicroPython's module: the code runs plain."""

        const = const

        @staticmethod
        def viper(function):
            """The function itself; arguments that it declares as pointers become octets or words first, as viper does
            it."""
            code = function.__code__
            names = code.co_varnames[: code.co_argcount]
            made = {ptr8: "ptr8(%s)", ptr32: "ptr32(%s)"}
            passed = [made.get(function.__annotations__.get(name), "%s") % name for name in names]
            if passed == list(names):
                return function
            # written out: nothing is called more often in a simulated fleet
            text = "lambda %s: function(%s)" % (", ".join(names), ", ".join(passed))
            return eval(text, {"function": function, "ptr8": ptr8, "ptr32": ptr32})

        @staticmethod
        def native(function):
            return function

        @staticmethod
        def heap_lock():
            return 0

        @staticmethod
        def heap_unlock():
            return 0

        @staticmethod
        def alloc_emergency_exception_buf(size):
            return None

    class cryptolib:  # noqa: N801 - stands for the module of that name
        """What the firmware uses of MicroPython's module, on the `cryptography` package."""

        class aes:  # noqa: N801
            """AES-128 in mode 1 (ECB) or 2 (CBC), which goes on from its last block; encrypts whole blocks only."""

            def __init__(self, key, mode, iv=None):
                from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

                chaining = modes.CBC(iv) if mode == 2 else modes.ECB()
                self._update = Cipher(algorithms.AES(key), chaining).encryptor().update

            def encrypt(self, in_buf, out_buf):
                if len(in_buf) % 16:
                    raise ValueError("blksize % 16")
                out_buf[:] = self._update(in_buf)

    def ptr8(buf):
        """The octets of `buf`, as viper's byte pointer gives them (arrays in this machine's order: little-endian)."""
        if isinstance(buf, (bytes, bytearray)):
            return buf
        return memoryview(buf).cast("B")

    def ptr32(buf):
        """The words of `buf`, as viper's pointer gives them where integers have 64 bits: not negative."""
        return memoryview(buf).cast("B").cast("I")

    def ticks_ms():
        """Milliseconds of a counter that wraps at TICKS_PERIOD."""
        return int(time.monotonic() * 1000) & (TICKS_PERIOD - 1)

    def ticks_us():
        """Microseconds of a counter that wraps at TICKS_PERIOD."""
        return time.monotonic_ns() // 1000 & (TICKS_PERIOD - 1)

    def ticks_diff(later, earlier):
        """Milliseconds from `earlier` to `later`, right over a wrap for spans under half a period."""
        half = TICKS_PERIOD // 2
        return ((later - earlier + half) & (TICKS_PERIOD - 1)) - half

    def ticks_add(ticks, delta):
        """`ticks` moved by `delta` milliseconds, wrapped."""
        return (ticks + delta) & (TICKS_PERIOD - 1)

    def sleep_ms(ms):
        """Block for `ms` milliseconds."""
        time.sleep(ms / 1000)

    def print_exception(error, file=None):
        """Write `error` with its traceback to `file`, a stream (standard output when None)."""
        traceback.print_exception(type(error), error, error.__traceback__, file=file or sys.stdout)


def traceback_text(error):
    """The traceback of `error` as text."""
    file = io.StringIO()
    print_exception(error, file)
    return file.getvalue()


def report(error):
    """Write `error` with its traceback to the error stream: standard output may be a protocol's."""
    print_exception(error, sys.stderr)


def set_system_clock(utc):
    """Set a chip's clock, which TLS checks certificates by, to `utc` seconds since 2025-01-01. Nothing elsewhere: a
    computer has its own."""
    if machine is None:
        return
    machine.RTC().datetime(civil(utc))


def civil(utc):
    """What machine.RTC takes for `utc` seconds since 2025-01-01: (year, month, day, weekday from 0 on, hour, minute,
    second, 0). Not by time.gmtime, whose epoch is the port's, and which takes no more than 31 bits on chips."""
    days, second = divmod(utc, 86400)
    weekday = (days + 2) % 7  # a Wednesday
    year = 2025
    while days >= (366 if year % 4 == 0 else 365):  # until 2099
        days -= 366 if year % 4 == 0 else 365
        year += 1
    month = 1
    for n in (31, 29 if year % 4 == 0 else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30):
        if days < n:
            break
        days -= n
        month += 1
    return year, month, days + 1, weekday, second // 3600, second // 60 % 60, second % 60, 0


def standard_streams():
    """Standard input and output as streams of octets."""
    return sys.stdin.buffer, sys.stdout.buffer


def forget(module):
    """Gives back the memory of a module of spot, once nothing of it is in use: an import loads it anew. CPython keeps
    it."""
    if IS_MICROPYTHON and sys.modules.pop("spot." + module, None):
        setattr(sys.modules["spot"], module, None)  # an import has put it there, too


def heap_free():
    """Octets of the heap that are free, garbage not counted; 0 where nobody knows."""
    return gc.mem_free() if IS_MICROPYTHON else 0


def system_year():
    """Year that the system's clock shows, whatever its epoch is: mbedTLS checks certificates against that clock."""
    return time.gmtime()[0]


def sha256(data):
    """SHA-256 (FIPS 180-4) of `data`: 32 octets."""
    return _hashlib.sha256(data).digest()


sha256_object = _hashlib.sha256  # begun with octets: update(more), then digest() once


def crc32(data, crc=0):
    """CRC-32 (IEEE 802.3) of `data`, continued from `crc`: an unsigned int."""
    return _binascii.crc32(data, crc) & 0xFFFFFFFF


def random_bytes(n):
    """`n` octets from the system's random generator."""
    return os.urandom(n)


__all__ = (
    "IS_MICROPYTHON", "TICKS_PERIOD", "asyncio", "civil", "const", "crc32", "cryptolib", "forget", "gc", "heap_free",
    "machine", "micropython", "network", "os", "print_exception", "ptr32", "ptr8", "random_bytes", "report", "select",
    "set_system_clock", "sha256", "sha256_object", "sleep_ms", "socket", "standard_streams", "struct", "system_year",
    "ticks_add", "ticks_diff", "ticks_ms", "ticks_us", "tls", "traceback_text", "uint", "vfs",
)
