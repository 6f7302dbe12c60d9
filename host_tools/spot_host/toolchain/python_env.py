"""The virtual environment: wheels downloaded once per user and lock file, then installed without network."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

from spot_host.errors import SetupError

from . import cache, debian, paths, run, say

_STAMP = paths.VENV / "spot-stamp.json"


def fingerprint() -> dict:
    """What the environment is made from; the stamp of a finished one holds the same."""
    project = tomllib.loads(paths.PYPROJECT.read_text())
    installed = [project["project"], project["build-system"], project["tool"]["hatch"]]  # not the linter's settings
    return {
        "lock": hashlib.sha256(paths.LOCK.read_bytes()).hexdigest(),
        "project": hashlib.sha256(json.dumps(installed, sort_keys=True).encode()).hexdigest(),
        "root": str(paths.ROOT),
    }


def current() -> bool:
    """True if `.venv` is finished and made from today's lock file and project file."""
    try:
        return json.loads(_STAMP.read_text()) == fingerprint() and paths.VENV_PYTHON.exists()
    except (OSError, ValueError):
        return False


def set_up() -> None:
    """Make or update `.venv`. Raises SetupError; an environment that this call began is then removed."""
    if current():
        return
    with cache.locked("venv-" + hashlib.sha256(str(paths.ROOT).encode()).hexdigest()[:12]):
        if current():
            return
        _STAMP.unlink(missing_ok=True)
        fresh = not _usable()
        try:
            if fresh:
                say.line(f"making .venv with Python {sys.version.split()[0]}")
                _create()
            wheels = _wheels()
            _install(wheels)
        except BaseException:
            if fresh:
                shutil.rmtree(paths.VENV, ignore_errors=True)
            raise
        cache.write_atomic(_STAMP, json.dumps(fingerprint()) + "\n")
        say.line("  Python packages: done")


def _usable() -> bool:
    """True if there is a `.venv` whose Python starts, is new enough and has pip: it is then updated in place."""
    probe = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        return not subprocess.run([paths.VENV_PYTHON, "-c", probe], capture_output=True).returncode
    except OSError:
        return False


def _create() -> None:
    shutil.rmtree(paths.VENV, ignore_errors=True)
    what = "making .venv"
    try:
        __import__("ensurepip")
    except ImportError:
        run.check([sys.executable, "-m", "venv", "--without-pip", paths.VENV], what)
        _borrow_pip()
        return
    run.check([sys.executable, "-m", "venv", paths.VENV], what)


def _borrow_pip() -> None:
    """Debian keeps pip out of its Python: take the wheel from Debian's package, into `.venv` alone."""
    reason = debian.available()
    if reason:
        raise SetupError("this Python has no pip (ensurepip is missing): install python3-venv, or another Python")
    release = Path("/etc/os-release").read_text()
    suite = re.search(r"^VERSION_CODENAME=(\S+)", release, re.M)
    tree = debian.fetch(["python3-pip-whl"], suite[1] if suite else "stable", paths.VENV / "share" / "pip")
    (wheel,) = tree.glob("usr/share/python-wheels/pip-*.whl")
    run.check([paths.VENV_PYTHON, "-m", "pip", "install", "-q", "--no-index", "--no-deps", wheel], "installing pip",
              env={"PYTHONPATH": str(wheel)})


def _tag() -> str:
    return f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}".replace("cpython-", "cp")


def _wheels() -> Path:
    """The folder with every wheel of the lock file; downloaded if this user has not had this lock yet."""
    lock = hashlib.sha256(paths.LOCK.read_bytes()).hexdigest()[:16]
    folder = paths.cache_dir() / "wheels" / f"{lock}-{_tag()}"
    with cache.locked("wheels"):
        if folder.is_dir():
            return folder
        total = len(_pinned())
        say.line("downloading the Python packages (about 200 MB, once)")
        seen = []

        def on_line(text):
            found = re.match(r"(?:Collecting|Downloading) ([A-Za-z0-9_.-]+)(.*)", text)
            if found:
                if text.startswith("Collecting"):
                    seen.append(found[1])
                say.progress(f"  {len(seen)} of about {total}: {found[1]}{found[2][:40]}")

        def build(work):
            run.check(
                [paths.VENV_PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "download",
                 "--require-hashes", "--only-binary", ":all:", "--progress-bar", "off", "--retries", "3",
                 "-r", paths.LOCK, "-d", work],
                "downloading the Python packages", on_line=on_line,
                env={"PIP_CACHE_DIR": str(paths.cache_dir() / "pip"), "TMPDIR": str(work.parent)},
            )

        cache.publish(folder, build)
        shutil.rmtree(paths.cache_dir() / "pip", ignore_errors=True)  # the wheels are kept, not twice
        _forget_old_locks(folder)
    return folder


def _pinned() -> list[str]:
    """The names in the lock file that this platform may need."""
    names = re.findall(r"^([A-Za-z0-9_.-]+)==[^\s;]+(.*)$", paths.LOCK.read_text(), re.M)
    return sorted({name for name, marker in names if "emscripten'" not in marker.replace("!= 'emscripten'", "")})


def _forget_old_locks(keep: Path) -> None:
    """Keep the wheels of the four newest lock files: other checkouts may stand at an older one."""
    folders = [path for path in keep.parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for path in sorted(folders, key=lambda item: item.stat().st_mtime, reverse=True)[4:]:
        shutil.rmtree(path, ignore_errors=True)


def _install(wheels: Path) -> None:
    say.progress("installing the Python packages")
    pip = [paths.VENV_PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-index",
           "--no-compile", "-q"]
    env = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_NO_CACHE_DIR": "1"}
    try:
        run.check([*pip, "--require-hashes", "--find-links", wheels, "-r", paths.LOCK],
                  "installing the Python packages", env=env)
    except SetupError as exc:
        if "checksum" in str(exc):  # a wheel was damaged in the cache: the next run must not meet it again
            shutil.rmtree(wheels, ignore_errors=True)
        raise
    run.check([*pip, "--no-deps", "--no-build-isolation", "-e", paths.ROOT], "installing SPOT into .venv", env=env)
