"""What a board keeps of its own: its configuration, its keys, its store. Saved to an archive, brought back, erased."""

import contextlib
import hashlib
import io
import json
import os
import tarfile
import time
from pathlib import Path, PurePosixPath

from spot_host.errors import UserError

from . import plan, probe
from .errors import MisfitError, RemoteError, TransferError

ABOUT = "spot-backup.json"
_MOST = 4 << 20  # octets of an archive that is read back
_NUMBERS = ("boot", "wear", "slots")  # starts, wear of this very flash, and which slot of it is started
_CONFIG = ("config.json", "config.json.good")


def mine(path):
    """Whether a file at `path` on a board is the device's own: not the firmware, which a build makes again."""
    top = path.split("/")[0]
    return path in _CONFIG or top == "store" or "/" not in path and (
        path.endswith((".der", ".pem")) or path.startswith("pairing"))


def is_number(path):
    """Whether it holds a count that belongs to this flash: starts, wear, slots, and the sequence numbers of keys."""
    name = PurePosixPath(path).name.split(".")[0]
    return path.startswith("store/") and (name in _NUMBERS or name.startswith("keys") and name[-2:] in ("_0", "_1"))


def check_new(path):
    """Path of an archive that can be made; UserError."""
    path = Path(path)
    if path.exists():
        raise UserError(f"{path} is there already: a backup is never written over")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: cannot be written: " + (
            "Permission denied" if path.parent.is_dir() else "its folder is not there"))
    return path


def backup(port, path, on_file=lambda name: None):
    """Write what is the device's own to the new archive `path` (.tar.gz, readable by its owner alone); what it is of,
    as a dict. UserError where the file is there already or cannot be written."""
    path = check_new(path)
    found = probe.look(port)
    there = port.tree(skip=())
    names = [name for name, (size, _) in sorted(there.items()) if size >= 0 and mine(name)]
    if not names:
        raise UserError(f"{port.name}: nothing to keep: the board has no configuration and no store")
    files = {}
    for name in names:
        on_file(name)
        files[name] = port.get(name)
        if plan.digest(files[name]) != there[name][1]:
            raise TransferError(f"{port.name}: {name} did not arrive as it is; nothing was written here")
    config = {}
    with contextlib.suppress(ValueError):
        config = json.loads(files.get("config.json", b"{}"))
    about = {"eui64": config.get("eui64", ""), "board": config.get("board", ""), "uid": found.uid,
             "machine": found.machine, "at": int(time.time()),
             "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}}
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw, \
                tarfile.open(fileobj=raw, mode="w:gz") as archive:
            for name, data in {ABOUT: json.dumps(about, indent=1).encode(), **files}.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.mtime = len(data), 0o600, about["at"]
                archive.addfile(info, io.BytesIO(data))
        part.rename(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    return about


def load(path):
    """(about, {name: octets}) of an archive; UserError when it is none, or damaged."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            members = [member for member in archive if member.isfile()]
            if sum(member.size for member in members) > _MOST:
                raise UserError(f"{path}: larger than any board")
            files = {member.name: archive.extractfile(member).read() for member in members}
        about = json.loads(files.pop(ABOUT))
        digests = about["files"]
    except (OSError, EOFError, tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: no backup of `spot backup`, or a damaged one: {error}") from None
    if set(files) != set(digests) or any(plan.digest(files[name]) != digests[name] for name in files):
        raise UserError(f"{path}: damaged: its files are not those of its list")
    if not all(mine(name) and ".." not in name for name in files):
        raise UserError(f"{path}: has files that no backup has")
    return about, files


def restore(port, path, other_board=False, on_file=lambda name: None):
    """Bring an archive back onto its board; {"written": names, "left": names that were not}.

    Counts (key sequence numbers, starts) are never brought back: those of the archive are older than what was sent
    since, and a number must not be used twice under one key. Where the board has lost its own, CoAP begins anew by RFC
    8613 B.2 ("renew"), and COSE on MQTT needs new keys: MisfitError. On another board the store is left out altogether.
    """
    about, files = load(path)
    found = probe.look(port)
    other = about["uid"] != found.uid
    if other and not other_board:
        raise MisfitError(f"{port.name}: the backup is of board {about['uid'] or '?'}, this one is {found.uid or '?'}: "
                          "--other-board, if that one is never used again; nothing was written")
    port.soft_reset()
    port.arm()
    there = port.tree(skip=())
    counted = any(is_number(name) and "/keys" in name for name in there)
    if not counted and _needs_counts(files.get("config.json", b"{}")):
        raise MisfitError(f"{port.name}: the counts of its keys are gone with the board's flash, and under the old "
                          f"keys numbers "
                          "would be used twice: enrol it anew (`spot emd revoke`, then `spot emd enroll`); nothing was "
                          "written")
    names = [name for name in files if not (is_number(name) or other and name.startswith("store/"))]
    need = sum(-(-len(files[name]) // 4096) * 4096 for name in names)
    if need > found.free:
        raise MisfitError(f"{port.name}: no space: {need:,} octets are needed, {found.free:,} are free; nothing was "
                          f"written")
    names.sort(key=lambda name: name in _CONFIG)  # what they name comes first
    done = []
    try:
        for name in names:
            on_file(name)
            if there.get(name, (0, ""))[1] != plan.digest(files[name]):
                port.put(name + ".new", files[name])
                if port.digest(name + ".new") != plan.digest(files[name]):
                    raise TransferError(f"{port.name}: {name} did not arrive as it was sent")
                port.rename(name + ".new", name)
            done.append(name)
    except (TransferError, RemoteError) as error:
        raise TransferError(f"{error}; {len(done)} of {len(names)} files are back, each whole; do it again") from None
    port.reset()
    return {"about": about, "written": done, "left": sorted(set(files) - set(done))}


def _needs_counts(config):
    """Whether a device's message keys cannot begin anew by themselves."""
    try:
        config = json.loads(config)
        rows = [one.get(kind, {}) for one in config.get("associations", [config]) for kind in ("mqtt", "coap")]
        return any("pairing" in section and not section.get("renew") for section in rows)
    except (ValueError, AttributeError, TypeError):
        return False


def wipe(port, everything=False, overwrite=True, on_file=lambda name: None):
    """Erase what is the device's own: configuration first, then keys, then the store, but for the counts of its keys
    and starts, which tell nothing and must go on if the same keys come back; with `everything` those, and the
    firmware's files, too. overwrite: free flash is filled once, so that nothing of the keys can be read from the chip.
    The names that are gone."""
    port.soft_reset()
    port.arm()
    there = port.tree(skip=())
    names = [name for name in there if everything or mine(name) and not is_number(name) and there[name][0] >= 0]
    # the copy first, which a device falls back on; then the configuration: without one it waits at the cable
    names.sort(key=lambda name: (there[name][0] < 0, _rank(name), -len(name)))
    gone = []
    try:
        for name in names:
            on_file(name)
            port.remove(name, folder=there[name][0] < 0)
            gone.append(name)
        left = set(names) & set(port.tree(skip=()))
        if left:
            raise TransferError(f"{port.name}: {', '.join(sorted(left))} would not go")
        if overwrite:
            on_file("free flash")
            port.fill()
    except (TransferError, RemoteError) as error:
        raise TransferError(f"{error}; {len(gone)} of {len(names)} files are gone; do it again") from None
    port.reset()
    return gone


def _rank(name):
    if name in _CONFIG:
        return 1 - _CONFIG.index(name)
    return 2 if "/" not in name and mine(name) else 3
