"""MicroPython, mosquitto and umqtt.simple: from PATH when good enough, else unpacked into `.toolchain`."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from spot_host.errors import SetupError

from . import cache, debian, packages, paths, run, say

_SUITE = "trixie"  # the first Debian release with a micropython package; it has mosquitto 2.0.21 as well
_EXTRA_DIRS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/opt/homebrew/bin", "/opt/homebrew/sbin")

_MICROPYTHON_PROBE = """
import sys
v = sys.implementation.version
try:
    import tls, asyncio
    print("ok", v[0], v[1], v[2])
except ImportError as e:
    print("lacks", v[0], v[1], v[2], e)
"""

UMQTT = ("micropython-umqtt.simple", "1.3.4", "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f")


def probe_micropython(path) -> tuple[str | None, str | None]:
    """(version, what is wrong or None) of a MicroPython; version None if it does not start."""
    try:
        got = subprocess.run([path, "-c", _MICROPYTHON_PROBE], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None, "does not start"
    found = re.match(r"(ok|lacks) (\d+) (\d+) (\d+)", got.stdout)
    if not found:
        return None, "does not start"
    version = tuple(map(int, found.groups()[1:]))
    text = ".".join(found.groups()[1:])
    if version < (1, 25, 0):
        return text, "older than 1.25"
    return text, None if found[1] == "ok" else "has no tls or asyncio"


def probe_mosquitto(path) -> tuple[str | None, str | None]:
    """(version, what is wrong or None) of a mosquitto; version None if it does not start."""
    try:
        got = subprocess.run([path, "-h"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None, "does not start"
    found = re.search(r"mosquitto version (\d+)\.(\d+)\S*", got.stdout)
    if not found:
        return None, "does not start"
    return found[0].split()[-1], None if int(found[1]) >= 2 else "older than 2.0"


PROBES = {"micropython": probe_micropython, "mosquitto": probe_mosquitto}
_ELSEWHERE = {
    "micropython": "install MicroPython 1.25 or later, unix port, so that `micropython` is on PATH",
    "mosquitto": "install mosquitto 2.0 or later so that `mosquitto` is on PATH",
}


def elsewhere(name: str) -> str:
    """What to do where the program cannot be fetched, as one line."""
    return _ELSEWHERE[name]


def on_path(name: str) -> str | None:
    """The full path of a program on PATH or in the usual sbin folders; None with SPOT_IGNORE_PATH=1."""
    if os.environ.get("SPOT_IGNORE_PATH"):
        return None
    search = os.environ.get("PATH", os.defpath).split(os.pathsep)
    own = str(paths.toolchain_dir() / "bin")
    search = [part for part in search if part and os.path.abspath(part) != own]
    return shutil.which(name, path=os.pathsep.join([*search, *_EXTRA_DIRS]))


def installed(name: str) -> Path:
    """Where `.toolchain` has (or will have) the program."""
    return paths.toolchain_dir() / "bin" / name


def set_up_program(name: str) -> None:
    """See to it that `.toolchain/bin/<name>` starts a good one. Raises SetupError (one line)."""
    script = installed(name)
    probe = PROBES[name]
    if script.exists() and _recorded(name) and probe(script) != (None, "does not start"):
        return
    found = on_path(name)
    if found:
        version, wrong = probe(found)
        if wrong is None:
            cache.write_atomic(script, f'#!/bin/sh\nexec "{found}" "$@"\n', 0o755)
            _record(name, found)
            say.line(f"{name} {version}: {found}")
            return
        say.line(f"{name} {version or ''} in {found} {wrong}")
    reason = debian.available()
    if reason:
        raise SetupError(f"{name}: {reason}; {_ELSEWHERE[name]}")
    tree = debian.fetch([name], _SUITE, paths.toolchain_dir() / "debian" / name, closure=True)
    program = next(path for path in (tree / "usr/bin" / name, tree / "usr/sbin" / name) if path.exists())
    debian.wrapper(tree, program, script)
    version, wrong = probe(script)
    if wrong:
        script.unlink()
        raise SetupError(f"{name} from Debian {_SUITE} {wrong} on this machine; {_ELSEWHERE[name]}")
    _record(name, f"Debian {_SUITE}")
    say.line(f"{name} {version}: {paths.short(script)}")


def _record(name: str, source: str) -> None:
    packages.write_json(paths.toolchain_dir() / f"{name}.json", {"from": source})


def _recorded(name: str) -> bool:
    return (paths.toolchain_dir() / f"{name}.json").exists()


def origin(name: str) -> str:
    """Where an installed program comes from, for `doctor`."""
    try:
        return json.loads((paths.toolchain_dir() / f"{name}.json").read_text())["from"]
    except (OSError, ValueError, KeyError):
        return ""


def umqtt_dir() -> Path:
    """The folder that goes on MICROPYPATH for `umqtt.simple`."""
    return paths.toolchain_dir() / "micropython-lib"


def set_up_umqtt() -> None:
    """Put the pinned umqtt.simple where MicroPython finds it. Raises SetupError."""
    name, version, sha256 = UMQTT
    want = {"name": name, "version": version, "sha256": sha256}
    stamp = umqtt_dir() / "umqtt.json"
    try:
        if json.loads(stamp.read_text()) == want and (umqtt_dir() / "umqtt" / "simple.py").exists():
            return
    except (OSError, ValueError):
        pass
    archive = packages.fetch_python(name, version, sha256)

    def build(work):
        source = work / ".source"
        source.mkdir()
        packages.unpack(archive, source)
        (work / "umqtt").mkdir()
        shutil.copyfile(source / "umqtt" / "simple.py", work / "umqtt" / "simple.py")
        shutil.rmtree(source)
        (work / "umqtt.json").write_text(json.dumps(want))

    with cache.locked("umqtt"):
        cache.publish(umqtt_dir(), build)
    say.line(f"umqtt.simple {version}: {paths.short(umqtt_dir())}")


def set_up() -> None:
    """Everything that the tests and `make run` start, beside Python."""
    if not sys.platform.startswith(("linux", "darwin")):
        raise SetupError(f"{sys.platform} is not supported: SPOT's tools run on Linux and macOS (on Windows: in WSL)")
    for name in PROBES:
        set_up_program(name)
    set_up_umqtt()


def micropython_version() -> str:
    """The version of the installed MicroPython, or raises SetupError."""
    return run.check([installed("micropython"), "-c", "import sys; print(sys.implementation.version)"], "micropython")
