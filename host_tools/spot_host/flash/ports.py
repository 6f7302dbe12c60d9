"""Which port is meant: the one that was named, or the only one that looks like a board. Never a guess among several."""

import contextlib
import errno
import os
from pathlib import Path

from .errors import PortError

_MAKERS = {  # USB vendor: what is behind it
    0x2E8A: "Raspberry Pi",
    0x303A: "Espressif",
    0xF055: "MicroPython",
    0x10C4: "Silicon Labs bridge",
    0x1A86: "WCH bridge",
    0x0403: "FTDI bridge",
    0x067B: "Prolific bridge",
}


def candidates():
    """[(device, what it is)] of the serial ports that may be boards, in their order."""
    from serial.tools import list_ports

    found = []
    for port in sorted(list_ports.comports(), key=lambda port: port.device):
        if port.vid in _MAKERS:
            serial = f", {port.serial_number}" if port.serial_number else ""
            found.append((port.device, f"{port.product or port.description} ({_MAKERS[port.vid]}{serial})"))
    return found


def choose(named=""):
    """The port to work with: `named`, or the only candidate. PortError (exit code 4) lists what there is."""
    if named:
        return named
    found = candidates()
    if len(found) == 1:
        return found[0][0]
    if not found:
        raise PortError("no board found on USB: plug one in (a cable that carries data), or name it with --port")
    rows = "".join(f"\n  {device}  {what}" for device, what in found)
    raise PortError(f"{len(found)} boards are plugged in; name one with --port:{rows}")


def is_wired(name):
    """Whether `name` reaches a board by a cable from somewhere: neither a pseudo-terminal nor a plain socket."""
    if "://" in name:
        return not name.startswith(("socket://", "loop://"))
    from spot_host.slipmux import is_wired as wired

    return wired(name)


def check(name):
    """PortError unless the port can be opened now, by this user, and nobody else has it."""
    if "://" in name:
        return
    try:
        handle = os.open(name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except FileNotFoundError:
        rows = "".join(f"\n  {device}  {what}" for device, what in candidates())
        raise PortError(f"{name}: no such port; there are:{rows or ' none'}") from None
    except PermissionError:
        raise PortError(f"{name}: no permission: `sudo usermod -aG {_group(name)} $USER`, then log in again") from None
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise PortError(_busy(name)) from None
        raise PortError(f"{name}: cannot be opened: {error.strerror}") from None
    try:
        if not os.isatty(handle):
            raise PortError(f"{name}: is no serial port")
        with contextlib.suppress(ImportError):  # Windows opens a port once anyway
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PortError(_busy(name)) from None
    finally:
        os.close(handle)


def _busy(name):
    who = _holder(name)
    has = f", {who} has it" if who else ""
    return f"{name}: busy{has}: end what uses it (a terminal, `spot slipmux`) and try again"


def _holder(name):
    """"screen (4711)" of a process of this user that has the port open; empty when none is seen."""
    real = os.path.realpath(name)
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with contextlib.suppress(OSError):
            for handle in (process / "fd").iterdir():
                if os.readlink(handle) == real:
                    return f"{(process / 'comm').read_text().strip()} ({process.name})"
    return ""


def _group(name):
    try:
        import grp

        return grp.getgrgid(os.stat(name).st_gid).gr_name
    except (ImportError, OSError, KeyError):
        return "dialout"
