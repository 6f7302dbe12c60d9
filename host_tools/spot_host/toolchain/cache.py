"""Directories that are there whole or not at all: built beside their place, then renamed into it."""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from spot_host.errors import SetupError

from . import paths


@contextlib.contextmanager
def locked(name: str):
    """Hold the user-wide lock `name`, so that two set-ups of the same thing take turns.

    Raises SetupError if the cache cannot be written.
    """
    with explained():
        directory = paths.cache_dir() / "locks"
        directory.mkdir(parents=True, exist_ok=True)
        handle = open(directory / (name + ".lock"), "w")  # noqa: SIM115 - closed below, the lock ends with it
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        handle.close()


@contextlib.contextmanager
def explained():
    """Turn an operating system error of the file system into one clear line (SetupError)."""
    try:
        yield
    except OSError as exc:
        raise SetupError(explain(exc)) from exc


def explain(exc: OSError) -> str:
    """One line for a file system error, with what to do about it."""
    where = exc.filename or paths.cache_dir()
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({where}): free about 1 GB, or set SPOT_CACHE to a folder with room"
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"cannot write {where}: set SPOT_CACHE to a folder of yours"
    return f"{exc.strerror or exc} ({where})"


@contextlib.contextmanager
def workspace(parent: Path, name: str):
    """A temporary folder in `parent`, gone afterwards; the caller holds a lock, so one of this name is a leftover.

    (A run that was stopped with SIGKILL, or by the power, cannot tidy up; the next one does it here.)
    """
    with explained():
        parent.mkdir(parents=True, exist_ok=True)
        for entry in parent.glob(f".{name}.*.part"):
            shutil.rmtree(entry, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=parent))
        try:
            os.chmod(work, 0o755)
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def publish(dest: Path, build) -> Path:
    """Make directory `dest` by calling `build(temporary_directory)`; return `dest`. The caller holds a lock for it.

    What `build` raises leaves nothing behind. An existing `dest` is replaced by a rename.
    """
    with workspace(dest.parent, dest.name) as work:
        new = work / "new"
        new.mkdir()
        build(new)
        if dest.is_symlink() or dest.exists():
            dest.rename(work / "old")
        new.rename(dest)
    return dest


def copy_tree(source: Path, dest: Path) -> None:
    """Copy a tree with hard links where the file system allows, so that a second clone costs no disk."""

    def link(src, dst):
        try:
            os.link(src, dst, follow_symlinks=False)
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            shutil.copy2(src, dst, follow_symlinks=False)

    shutil.copytree(source, dest, symlinks=True, copy_function=link, dirs_exist_ok=True)


def write_atomic(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a small file by way of a temporary one and a rename."""
    with explained():
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(fd, "w") as handle:
                handle.write(text)
            os.chmod(name, mode)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def forget() -> None:
    """Remove what SPOT downloaded into the user's cache, and nothing else that may be there."""
    with explained():
        for name in ("apt", "debs", "debian", "wheels", "packages", "pip", "rp2040", "firmware", "locks"):
            folder = paths.cache_dir() / name
            if folder.exists():
                shutil.rmtree(folder)
