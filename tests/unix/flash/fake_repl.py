"""A chip as its serial port shows it, on MicroPython's unix port: starts main.py as a chip does, then serves the REPL
with raw mode and raw paste on standard input and output. `machine.reset()` ends the process with code 9: whoever
started it starts it again. Each write to a file is one event on descriptor 3, if given, so that the power can be cut
there.

Arguments: folder (its file system), and a JSON text with what to pretend: {"version", "machine", "mpy", "platform",
"free", "no_repl", "full_at", "own" (release.json of our own image), "firmware" (where that is), "slot_bytes"}.
"""

import io
import json
import os
import sys
import time

FOLDER, PRETEND = sys.argv[1], json.loads(sys.argv[2])
os.chdir(FOLDER)
sys.argv[:] = [""]
sys.path[:] = ["", ".frozen"]
_BANNER = b"raw REPL; CTRL-B to exit\r\n"
_WINDOW = 128


class _Machine:
    PWRON_RESET, WDT_RESET = 1, 3

    def reset(self):
        sys.exit(9)

    def unique_id(self):
        return bytes.fromhex(PRETEND.get("uid", "e661640843000001"))


class _Implementation:
    name = "micropython"
    version = tuple(PRETEND.get("version", (1, 25, 0, "")))
    _machine = PRETEND.get("machine", "linux")
    _mpy = PRETEND.get("mpy", sys.implementation._mpy)


class _Sys:
    """`sys` with another implementation."""

    implementation = _Implementation()
    platform = PRETEND.get("platform", sys.platform)

    def __getattr__(self, name):
        return getattr(sys, name)


class _Os:
    def __getattr__(self, name):
        return getattr(os, name)

    def statvfs(self, path):
        free = PRETEND.get("free", 1 << 20) // 4096
        return (4096, 4096, 352, free, free, 0, 0, 0, 0, 255)


class _Full:
    def write(self, data):
        _scope["_count"] = _scope.get("_count", 0) + 1
        if _scope["_count"] > 16 * PRETEND.get("full_after", 0):
            raise OSError(28)
        return len(data)

    def close(self):
        pass


def _open(path, mode="r"):
    if path == "/own/release.json" and "own" in PRETEND:
        return io.StringIO(json.dumps(PRETEND["own"]))
    if "full_after" in PRETEND and "w" in mode:
        open(path, mode).close()
        return _Full()
    return _Full() if "w" in mode and path.endswith(PRETEND.get("full_at", "?")) else open(path, mode)


def _own():
    """What is frozen into our own image, with slots of some sectors."""
    sys.path += [PRETEND["firmware"], PRETEND["firmware"] + "/../boards/unix"]
    from slot_files import Files

    from spot import boot, slots

    boot.chip = slots.chip = lambda: Files("flash", PRETEND.get("slot_bytes", 65536))


sys.modules["machine"] = _Machine()
_out = sys.stdout.buffer
_in = sys.stdin.buffer


def _read():
    got = _in.read(1)
    if not got:
        sys.exit(0)
    return got


def _command():
    """Text of the next command in raw mode; None for a soft reset, False for the friendly REPL."""
    text = b""
    while True:
        c = _read()
        if c == b"\x01":
            text = b""
            _out.write(_BANNER + b">")
        elif c == b"\x02":
            return False
        elif c == b"\x03":
            text = b""
        elif c == b"\x04":
            return text if text else None
        elif c == b"\x05" and not text:
            more = _read() + _read()
            if more == b"A\x01":
                return _paste()
        else:
            text += c


def _paste():
    _out.write(b"R\x01" + bytes([_WINDOW, 0]) + b"\x01")
    text, left = b"", 2 * _WINDOW
    while True:
        c = _read()
        if c == b"\x04":
            _out.write(b"\x04")
            return text
        text += c
        left -= 1
        if left == _WINDOW:
            left += _WINDOW
            _out.write(b"\x01")


def _globals():
    global _scope
    _scope = {"__name__": "__main__", "sys": sys}
    return _scope


def _run(text, scope):
    if PRETEND:
        text = text.replace(b"import sys, os, gc\n", b"import gc\n")
        scope["sys"], scope["os"] = _Sys(), _Os() if "free" in PRETEND else os
        scope["open"] = _open
        text = text.replace(b"import os, sys, gc\n", b"import gc\n")
    try:
        exec(compile(text, "<stdin>", "exec"), scope)
        return b""
    except KeyboardInterrupt:
        return b"Traceback (most recent call last):\r\nKeyboardInterrupt: \r\n"
    except SystemExit:
        raise
    except BaseException as error:
        said = io.StringIO()
        sys.print_exception(error, said)
        return said.getvalue().encode()


def _raw():
    scope = _globals()
    _out.write(_BANNER + b">")
    while True:
        text = _command()
        if text is False:
            _out.write(b"\r\n>>> ")
            return
        if text is None:
            _out.write(b"OK\r\nMPY: soft reboot\r\n" + _BANNER + b">")
            scope = _globals()
            continue
        pasted = text
        error = _run(pasted, scope)
        _out.write(b"\x04" + error + b"\x04>")


def _main():
    if "own" in PRETEND:
        _own()
        try:
            os.remove("hold")
            sys.stderr.write("H")
        except OSError:
            pass
        return
    try:
        with open("main.py") as file:
            text = file.read()
    except OSError:
        return
    sys.stderr.write("M")  # from now on Ctrl-C is a signal
    try:
        exec(compile(text, "main.py", "exec"), {"__name__": "__main__"})
    except KeyboardInterrupt:
        _out.write(b"KeyboardInterrupt\r\n")
    except SystemExit:
        pass
    except Exception as error:
        sys.print_exception(error)


started = False
while True:
    try:
        if not started:
            started = True
            sys.stderr.write("B")
            if PRETEND.get("no_repl"):
                sys.stderr.write("M")
                while True:
                    try:
                        time.sleep(10)
                    except KeyboardInterrupt:
                        pass
            _main()
        sys.stderr.write("R")  # and from now on an octet like any other
        _out.write(b"MicroPython fake\r\n>>> ")
        while True:
            c = _read()
            if c == b"\x01":
                _raw()
            elif c == b"\x03":
                _out.write(b"\r\n>>> ")
    except KeyboardInterrupt:
        pass
