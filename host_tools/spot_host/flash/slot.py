"""Flashing our own image: a release into the spare one of its two slots, sector by sector where it differs, and the
configuration beside. The board is held at its REPL meanwhile, by the loader's `hold` file.

What runs there is the image's own part, which no update changes: spot.boot (opened, found) and spot.slots.
"""

import ast
import base64

from spot_host import release as releases
from spot_host import romfs, suit
from spot_host.errors import UserError

from . import plan
from .errors import MisfitError, TransferError
from .port import CHUNK

SECTOR = 4096

_ASK = """\
import gc
from hashlib import sha256
from binascii import hexlify, a2b_base64
from spot import boot, slots
from spot.store import Store
_s = boot.opened()
_r = slots.chip()
def _look(at):
    said = boot.found(_r, at)
    return said and (said[0], said[1], hexlify(said[2]).decode())
def _sectors(n):
    b = bytearray(4096)
    for i in range(n):
        _s.read(4096 * i, b)
        print(hexlify(sha256(b).digest()[:12]).decode())
def _whole(at, n):
    h = sha256()
    b = memoryview(bytearray(4096))
    at *= _r.size
    while n:
        m = min(n, 4096)
        _r.readinto(at, b[:m])
        h.update(b[:m])
        at += m
        n -= m
    return hexlify(h.digest()).decode()
print((_s.size, _s.spare, _s.active, [_look(0), _look(1)]))
"""


def bring(job, device, say, release=None, trial=True):
    """Bring a release (its octets; None: one is built) and the configuration onto the board of `job`, and leave it
    ready to be restarted. trial: it has to register before it counts; the first one of a board has nothing to go back
    to."""
    port, board = job.port, job.board
    from .deploy import check_owner

    there = job.config_there()
    check_owner(there, device, port.name)
    if device is None and there is not None and there.get("board") != board.name:
        raise UserError(f"config.json on the board is for {there.get('board')!r}, not {board.name}: give --config")
    if device is None and there is None:
        say("no configuration there and none given (--config): it will wait at the cable for one")
    given = check(release, board, job.found, port.name) if release is not None else None
    version = given.manifest.version if given else dev_version(board)
    port.hold()
    port.arm()
    size, spare, active, rows = ast.literal_eval(port.exec(_ASK, timeout_s=60))
    running = rows[active] if active < 2 else None
    octets = romfs.in_slot(build(board, version, running) if release is None else release)
    if len(octets) > size:
        raise MisfitError(f"{port.name}: no space: the release has {len(octets):,} octets, a slot of this board "
                          f"{size:,}")
    octets += b"\xff" * (-len(octets) % SECTOR)
    files = dict(device.files) if device else {}
    settings = device.octets() if device else b""
    job.total = len(octets) + sum(map(len, files.values())) + len(settings)
    job.report.mode, job.report.version = "slot", version
    same = running and port.eval(f"_whole({active}, {len(octets)})") == plan.digest(octets)
    if same:
        job.report.kept += len(octets)
        job.step(len(octets), version)
    else:
        _write(job, octets, version)
        found = port.eval(f"_look({spare})")
        if found is None or port.eval(f"_whole({spare}, {len(octets)})") != plan.digest(octets):
            raise TransferError(f"{port.name}: the release did not arrive as it was sent")
    job.write(files)
    if device:
        job.replace("config.json", settings)
        job.state = "the board starts the old firmware with the new configuration"
    config = device.config if device else there
    if config:
        job.report.eui, job.report.links = str(config.get("eui64", "")).lower(), tuple(plan.Device(config).links)
    if not same:
        if trial and running:
            port.exec("_s.activate()")
            say("the new release is on trial: it counts when it has registered and held its loop; else the one before "
                "it comes back")
        else:
            port.exec(f"slots.put_state(Store(None, {_store(config)!r}), {spare}, {spare}, 0, {_ABSENT})")
        job.state = "the board starts the new firmware"
    job.tidy("", config)


_ABSENT = -(2**30 - 1)


def _store(config):
    return (config or {}).get("store", "store")


def dev_version(board):
    """What a release that is built here is called, by its content: at most 16 characters."""
    return "dev-" + plan.firmware(board).folder.removeprefix(plan.PREFIX)


def build(board, version, running):
    """A release for a cable, without a signature. Its sequence is that of what runs, so that the next one over the air
    is still a newer one."""
    return releases.build(board.name, version, None, sequence=running[0] if running else 1)


def check(octets, board, found, name):
    """The release in `octets`, parsed; MisfitError when it is not for this board, UserError when it is none."""
    try:
        read = suit.read(octets)
    except suit.SuitError as error:
        raise UserError(f"--release: no release: {error}; nothing was written") from None
    check_board(read, board, name)
    said = read.manifest
    if said.march not in ("bytecode", found.march):
        raise MisfitError(f"{name}: the release is compiled for {said.march}, and this board runs {found.march}; "
                          f"nothing was "
                          "written")
    if said.base > found.base:
        raise MisfitError(f"{name}: the release wants base image {said.base}, this board has {found.base}; nothing was "
                          "written")
    return read


def check_board(read, board, name):
    """MisfitError, which names `name`, where the release `read` is another board's."""
    said = read.manifest
    if said.board != board.name or said.class_id != suit.class_id(board.name).bytes:
        raise MisfitError(f"{name}: the release is for {said.board}, not for {board.name}; nothing was written")


def _write(job, octets, what):
    port = job.port
    n = len(octets) // SECTOR
    there = port.exec(f"_sectors({n})", timeout_s=60).split()
    for i in range(n):
        sector = octets[SECTOR * i : SECTOR * (i + 1)]
        if there[i] == plan.digest(sector)[:24]:
            job.report.kept += SECTOR
            job.step(SECTOR, what)
            continue
        port.exec(f"_s.erase({SECTOR * i})")
        for at in range(0, SECTOR, CHUNK):
            part = sector[at : at + CHUNK]
            if part.strip(b"\xff"):
                port.exec(f"_s.write({SECTOR * i + at}, a2b_base64({base64.b64encode(part)!r}))")
            job.step(CHUNK, what)
        job.report.sent += SECTOR
