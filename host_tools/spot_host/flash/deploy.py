"""Brings a firmware and a configuration onto a board, so that it boots the old or the new at every moment.

Everything new is written beside what is in use and read back by its hash, computed on the board; then config.json
is replaced in one step, and last what decides which firmware starts: the slots' state on our own image, main.py
on a stock one. Only then what nobody names any more is removed.
"""

import contextlib
import json
from dataclasses import dataclass

from spot_host.errors import UserError

from . import plan, probe
from .errors import MisfitError, RemoteError, TransferError

_BLOCK = 4096  # octets that a file takes at least
_SPARE = 16384  # that have to stay free for the device's store


@dataclass
class Report:
    """What was done. mode: "slot" or "files"; sent, kept: octets that went over the cable, and that were there already;
    eui, links: of the configuration that is on the board now, empty without one; version: of the firmware."""

    found: probe.Found
    mode: str = "files"
    version: str = ""
    sent: int = 0
    kept: int = 0
    eui: str = ""
    links: tuple = ()
    heap: int = 0


class _Job:
    """One deployment. `state`: what the board starts with if it ends here."""

    def __init__(self, board, port, on_progress):
        self.board, self.port = board, port
        self._on_progress = on_progress or (lambda done, total, what: None)
        self.done = self.total = 0
        self.state = "the board starts as before"
        self.found = None
        self.report = None

    def step(self, octets, what=""):
        self.done += octets
        self._on_progress(self.done, max(self.total, self.done), what)

    def open(self):
        """See what board it is, and get it ready: MisfitError leaves it as it is."""
        self.found = probe.look(self.port)
        probe.check(self.board, self.found, self.port.name)
        self.report = Report(self.found)

    def write(self, files):
        """Write the files that are not there yet, and read all of them back."""
        if not files:
            return
        port = self.port
        there = port.tree(skip=("store",))
        by_digest = {digest: path for path, (size, digest) in there.items() if size > 0}
        wanted = {path: plan.digest(data) for path, data in files.items()}
        missing = [path for path in files if there.get(path, (0, ""))[1] != wanted[path]]
        need = sum(-(-len(files[path]) // _BLOCK) * _BLOCK for path in missing) + _SPARE
        if missing and need > self.found.free:
            raise MisfitError(f"{port.name}: no space: {need:,} octets are needed, {self.found.free:,} are free on "
                              f"the board; "
                              "`spot wipe --all` empties it")
        for path in files:
            if path not in missing:
                self.report.kept += len(files[path])
                self.step(len(files[path]), path)
        for path in missing:
            if wanted[path] in by_digest:
                port.copy(by_digest[wanted[path]], path)
                self.report.kept += len(files[path])
                self.step(len(files[path]), path)
            else:
                self.step(0, path)
                port.put(path, files[path], lambda n, path=path: self.step(n, path))
                self.report.sent += len(files[path])
        there = port.tree(skip=("store",)) if missing else there
        for path, digest in wanted.items():
            if there.get(path, (0, ""))[1] != digest:
                raise TransferError(f"{port.name}: {path} did not arrive as it was sent")

    def replace(self, path, data):
        """Put a file in the place of the one there, in one step; it is read back before."""
        port = self.port
        if port.digest(path) == plan.digest(data):
            self.report.kept += len(data)
            return self.step(len(data), path)
        port.put(path + ".new", data)
        if port.digest(path + ".new") != plan.digest(data):
            raise TransferError(f"{port.name}: {path} did not arrive as it was sent")
        port.rename(path + ".new", path)
        self.report.sent += len(data)
        self.step(len(data), path)

    def config_there(self, name="config.json"):
        """The configuration on the board; None when there is none, or it is not JSON."""
        try:
            found = json.loads(self.port.get(name))
        except (RemoteError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def tidy(self, folder, config):
        """Remove what nobody names any more: firmware folders, key files, halves of an earlier transfer."""
        port = self.port
        named = plan.named_files(config or {})
        folders = {folder}
        for text in (config, self.config_there("config.json.good")):
            if text:
                named |= plan.named_files(text)
                folders.add(str(text.get("boards", "")).split("/")[0])
        there = port.tree(skip=("store",))
        for path in sorted(there, key=len, reverse=True):
            size, _ = there[path]
            top = path.split("/")[0]
            old = top.startswith(plan.PREFIX) and top not in folders
            key = "/" not in path and path.endswith((".der", ".pem")) or path.startswith("pairing") and "/" not in path
            half = path in ("main.py.new", "config.json.new")
            if old or half or key and config is not None and path not in named:
                port.remove(path, folder=size < 0)


def check_owner(there, device, name):
    """MisfitError when the board is another device: its numbers and records are not to be the other one's."""
    if there and device and str(there.get("eui64", "")).lower() not in ("", device.eui):
        raise MisfitError(f"{name}: this board is device {there['eui64']}, and the configuration is that of "
                          f"{device.eui}: "
                          "`spot wipe` first, if it is to become that; nothing was written")


def deploy(board, port, device=None, on_progress=None, say=lambda text: None, release=None, trial=True):
    """Bring the firmware for `board` (spot_host.boards.Board), and `device` (plan.Device) where there is one, onto the
    board behind `port` (an open Port), and restart it. The Report.

    on_progress(octets done, of how many, what); say(text): what a person should know. release: of our own image: a
    release (release.Release) instead of one that is built from this checkout; trial: whether it has to prove itself.
    MisfitError: nothing was written. TransferError: its text says what the board starts with.
    """
    job = _Job(board, port, on_progress)
    job.open()
    try:
        if job.found.ours:
            from .slot import bring

            bring(job, device, say, release, trial)
        else:
            if release is not None:
                raise MisfitError(f"{port.name}: a stock image has no slots for a release: leave --release out, or put "
                                  "our own image there with --base; nothing was written")
            _bring_files(job, device, say)
    except RemoteError as error:
        full = ", its flash is full" if str(error) in ("OSError: 28", "OSError: [Errno 28] ENOSPC") else ""
        raise TransferError(f"{port.name}: the board says {error}{full}; {job.state}") from None
    except TransferError as error:
        raise TransferError(f"{error}; {job.state}. `spot flash` goes on where it was") from None
    port.reset()
    return job.report


def _keep_other(job, say):
    """A main.py of somebody's own is not lost."""
    with contextlib.suppress(RemoteError):
        if not job.port.get("main.py").startswith(plan.MARK.encode()):
            job.port.copy("main.py", "main.py.old")
            say("the main.py that was there is kept as main.py.old")


def _bring_files(job, device, say):
    port, board = job.port, job.board
    firmware = plan.firmware(board)
    there = job.config_there()
    check_owner(there, device, port.name)
    _keep_other(job, say)
    port.soft_reset()  # the heap is free
    port.arm()
    job.report.heap = job.found.heap
    say(f"a stock image: files are copied, for development. {firmware.loaded // 1024} kB of the code will lie in the "
        f"heap, of {job.found.heap // 1024} kB; our own image runs it from flash (docs/flashing.md)")
    config = device.config if device else there
    if config is None:
        say("no configuration there and none given (--config): it will wait at the cable for one")
    else:
        config = {**config, "boards": firmware.boards}
        if config.get("board") != board.name:
            raise UserError(f"config.json on the board is for {config.get('board')!r}, not {board.name}: give --config")
    files = dict(firmware.files)
    if device:
        files |= device.files
    settings = plan.Device(config).octets() if config else b""
    job.total = sum(map(len, files.values())) + len(settings) + len(firmware.stub)
    job.write(files)
    if config is not None:
        job.replace("config.json", settings)
        job.state = "the board starts the old firmware with the new configuration"
        job.report.eui, job.report.links = str(config.get("eui64", "")).lower(), tuple(plan.Device(config).links)
    job.replace("main.py", firmware.stub)
    job.state = "the board starts the new firmware"
    job.report.version = firmware.folder
    with contextlib.suppress(RemoteError):  # what stays costs space only
        job.tidy(firmware.folder, config)
