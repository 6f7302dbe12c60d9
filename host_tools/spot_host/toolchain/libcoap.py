"""libcoap's command line tools, in their OpenSSL and their GnuTLS build: the peers of the interoperation tests.

Wanted, not needed: where they cannot be had, set-up says so in one line and the tests with them are skipped by name.
"""

import re
import subprocess
from pathlib import Path

from spot_host.errors import SetupError

from . import cache, debian, packages, paths, runtimes, say

PROGRAMS = ("coap-client", "coap-server", "coap-rd")
BUILDS = {"openssl": "OpenSSL", "gnutls": "GnuTLS"}  # suffix of Debian's program names → what the program says
ELSEWHERE = "install libcoap 4.3 or later so that coap-client-openssl and the like are on PATH"
_SUITE = "trixie"  # as of MicroPython: most libraries are then fetched already
_PACKAGE = "libcoap3-bin"


def installed(program: str, build: str) -> Path:
    """Where `.toolchain` has (or will have) a program: `installed("coap-client", "gnutls")`."""
    return paths.toolchain_dir() / "bin" / f"{program}-{build}"


def probe(path, build: str) -> tuple[str | None, str | None]:
    """(version, what is wrong or None) of one of the programs; version None if it does not start."""
    try:
        got = subprocess.run([path, "-?"], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None, "does not start"
    text = got.stdout + got.stderr
    found = re.search(r"\bv(\d+)\.(\d+)\.(\d+)", text)
    if not found:
        return None, "does not start"
    if tuple(map(int, found.groups())) < (4, 3, 0):
        return found[0][1:], "older than 4.3"
    return found[0][1:], None if f"TLS Library: {BUILDS[build]}" in text else f"is not built with {BUILDS[build]}"


def missing() -> list[str]:
    """The programs that `.toolchain` does not have, or that do not start."""
    wanted = [(program, build) for build in BUILDS for program in PROGRAMS]
    return [f"{program}-{build}" for program, build in wanted if probe(installed(program, build), build)[1]]


def set_up() -> None:
    """See to it that `.toolchain/bin` has all six. Where they cannot be had that is one line, never an error."""
    if not missing():
        return
    try:
        if not _from_path():
            _from_debian()
    except SetupError as exc:
        say.line(f"libcoap: {exc}; the interoperation tests with it are skipped")


def _from_path() -> bool:
    """Take what is on PATH, if all of it is there and good."""
    found = {}
    for build in BUILDS:
        for program in PROGRAMS:
            names = [runtimes.on_path(name) for name in (f"{program}-{build}", program)]
            good = [name for name in names if name and probe(name, build)[1] is None]
            if not good:
                return False
            found[installed(program, build)] = good[0]
    for script, program in found.items():
        cache.write_atomic(script, f'#!/bin/sh\nexec "{program}" "$@"\n', 0o755)
    _record(Path(program).parent)
    return True


def _from_debian() -> None:
    reason = debian.available()
    if reason:
        raise SetupError(f"{reason}; {ELSEWHERE}")
    tree = debian.fetch([_PACKAGE], _SUITE, paths.toolchain_dir() / "debian" / "libcoap", closure=True)
    for build in BUILDS:
        for program in PROGRAMS:
            script = installed(program, build)
            debian.wrapper(tree, tree / "usr/bin" / script.name, script)
            version, wrong = probe(script, build)
            if wrong:
                script.unlink()
                raise SetupError(f"{script.name} from Debian {_SUITE} {wrong} on this machine; {ELSEWHERE}")
    _record(f"Debian {_SUITE}")
    say.line(f"libcoap {version}: {paths.short(script.parent)} ({', '.join(PROGRAMS)}; {', '.join(BUILDS)})")


def _record(source) -> None:
    packages.write_json(paths.toolchain_dir() / "libcoap.json", {"from": str(source)})
