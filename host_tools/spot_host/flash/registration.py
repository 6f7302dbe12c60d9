"""Waits until a board that was flashed has registered with its EMD: the house's, whose database tells.

A board on a cable (slipmux) reaches the EMD through this computer, which carries its messages while it waits. Where no
EMD runs, the house's is run for as long as that takes, and its broker: only it may use the devices' keys, since it
counts what was sent.
"""

import asyncio
import contextlib
import socket
import threading
import time
from pathlib import Path

from spot_host import slipmux
from spot_host.errors import UserError
from spot_host.home_folder import HomeFolder

from .errors import NotRegisteredError

_LOOK_S = 0.2
_START_S = 10


def home_of(folder):
    """The house that a device's folder HOME/devices/EUI belongs to; None when it is in none."""
    at = Path(folder).resolve()
    at = at.parent if at.is_file() else at
    home = at.parent.parent
    return home if at.parent.name == "devices" and (home / "home.json").is_file() else None


def wait(home, eui, since, timeout_s, say, cable=None, baudrate=115200):
    """The EMD's record of device `eui`, once it has registered after `since` (Unix s).

    home: the house's folder. cable: the port, of a board whose link is slipmux on it. say(text): hears what happens.
    NotRegisteredError after `timeout_s`.
    """
    from spot_host.emd.config import load

    settings = load(Path(home) / "emd.toml")
    with _emd(home, settings, say) as failed:
        return asyncio.run(_wait(settings, eui, since, timeout_s, say, cable, baudrate, failed))


async def _wait(settings, eui, since, timeout_s, say, cable, baudrate, failed):
    from spot_host.emd.service import Reader

    carried = None
    if cable:
        if not settings.coap.host or not settings.coap.udp_port:
            raise NotRegisteredError("the house's EMD serves no CoAP over UDP, and a board on a cable speaks nothing "
                                     "else")
        host = "127.0.0.1" if settings.coap.host in ("0.0.0.0", "::") else settings.coap.host
        carried = asyncio.ensure_future(_carry(cable, (host, settings.coap.udp_port), baudrate, say))
    try:
        end = time.monotonic() + timeout_s
        if failed():
            raise NotRegisteredError(f"the house's EMD does not run: {failed()}. All was written and read back")
        reader = Reader(settings.database)
        while True:
            if failed():
                raise NotRegisteredError(f"the house's EMD has ended: {failed()}. All was written and read back")
            for record in reader.devices():
                if record["eui"] == eui and record["registered"] and (record["registered_at"] or 0) >= since:
                    return record
            if time.monotonic() >= end:
                raise NotRegisteredError(
                    f"{eui} has not registered within {timeout_s:.0f} s. All was written and read back: see what it "
                    f"says with "
                    "`spot console`, and what the EMD says with `spot emd events`")
            await asyncio.sleep(_LOOK_S)
    finally:
        if carried:
            carried.cancel()
            with contextlib.suppress(asyncio.CancelledError, UserError):
                await carried


async def _carry(port, emd, baudrate, say):
    """A slipmux bridge that comes again when the port does: a board that restarts takes its USB port with it."""
    while True:
        with contextlib.suppress(UserError):
            await slipmux.serve(port, ("127.0.0.1", 0), say, emd, baudrate)
        await asyncio.sleep(_LOOK_S)


def runs(home):
    """Whether an EMD of the house runs."""
    from spot_host.emd.config import load

    return _alive(load(Path(home) / "emd.toml"))


def _alive(settings):
    from spot_host.emd.service import Reader

    return Path(settings.database).exists() and Reader(settings.database).alive()


def next_commands(home, cable, board):
    """What keeps the house running, and says something to its devices: lines to type. cable: of a board on one."""
    from spot_host.emd.config import load

    settings = load(Path(home) / "emd.toml")
    lines = [f"spot emd broker {home}"] if settings.mqtt.host else []
    lines.append(f"spot emd run {Path(home) / 'emd.toml'}")
    if cable:
        lines.append(f"spot slipmux {cable} --board {board} --emd 127.0.0.1:{settings.coap.udp_port}")
    return [*lines, f"spot emd devices --db {settings.database}"]


@contextlib.contextmanager
def _emd(home, settings, say):
    """The house's EMD: the one that runs, or one for the look; so with the broker."""
    if _alive(settings):
        yield lambda: None
        return
    with contextlib.ExitStack() as stack:
        what = "EMD runs: the house's own is"
        if settings.mqtt.host and not _listens(settings.mqtt.host, settings.mqtt.port):
            house = HomeFolder(home)
            if not house.aws:
                stack.enter_context(house.broker())
                what = "EMD and no broker run: the house's own are"
        say(f"no {what} started for the look")
        yield from _serve(settings)


def _listens(host, port):
    with contextlib.suppress(OSError), socket.create_connection((host, port), _START_S):
        return True
    return False


def _serve(settings):
    from spot_host.emd.service import EmdService

    here = {}
    ready = threading.Event()

    def serve():
        try:
            here["service"] = EmdService(settings)  # in its own thread: its database belongs to that
            ready.set()
            here["service"].run()
        except Exception as error:  # said by who waits
            here["error"] = error
        finally:
            ready.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ready.wait(_START_S)
    try:
        yield lambda: here.get("error")
    finally:
        if "service" in here:
            here["service"].stop()
        thread.join(_START_S)


def words(record):
    """What the EMD knows of the device, as a line."""
    from spot_host.emd.registry import Capability

    told = Capability(record["capability"] or {})
    model = "".join(c if c.isprintable() else "?" for c in told.model or told.profile_name)
    parts = [f"{record['eui']} has registered: {model}"]
    if getattr(told, "firmware", None):
        parts.append(f"firmware {told.firmware}")
    if told.power_max is not None:
        parts.append(f"up to {told.power_max} W")
    if record["boot"] is not None:
        parts.append(f"start {record['boot']}")
    if record.get("link"):
        parts.append(f"over {record['link']}")
    return ", ".join(parts)
