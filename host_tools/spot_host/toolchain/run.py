"""Running other programs, and making one clear line of what they say when they fail."""

import os
import re
import subprocess

from spot_host.errors import SetupError

_NO_NETWORK = re.compile(
    r"Temporary failure in name resolution|Temporary failure resolving|Could not resolve|Name or service not known"
    r"|NewConnectionError|Failed to establish a new connection|Network is unreachable|No route to host"
    r"|Could not connect|Connection refused|Connection timed out|Unable to connect|NameResolutionError"
    r"|ConnectTimeout|nodename nor servname|ConnectError|All connection attempts failed|ProxyError",
    re.I,
)
_FULL = re.compile(r"No space left on device|Disk quota exceeded|ENOSPC|not enough free space", re.I)


def why(output: str, what: str) -> str:
    """One line that says why `what` failed, from the output of the program that did it."""
    if _FULL.search(output):
        return f"{what}: the disk is full; free about 1 GB, or set SPOT_CACHE to a folder with room"
    if _NO_NETWORK.search(output):
        return f"{what}: no network; the first run downloads about 240 MB, later ones work offline"
    if re.search(r"DO NOT MATCH THE HASHES|Hash Sum mismatch|sha256 mismatch", output, re.I):
        return f"{what}: a download does not have the expected checksum and was thrown away; try again"
    lines = [text.strip() for text in output.splitlines() if text.strip()]
    errors = [text for text in lines if re.match(r"(E:|ERROR|error)", text)]
    return f"{what}: {(errors or lines or ['no message'])[-1][:300]}"


def check(command, what: str, *, cwd=None, env=None, on_line=None) -> str:
    """Run `command` without input and return its output; `on_line(text)` sees each line as it comes.

    Raises SetupError with one line (`why`) if it fails or cannot be started.
    """
    full_env = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    try:
        process = subprocess.Popen(
            [str(part) for part in command], cwd=cwd, env=full_env, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
    except OSError as exc:
        raise SetupError(f"{what}: cannot start {command[0]}: {exc.strerror}") from exc
    output = []
    with process:
        try:
            for text in process.stdout:
                output.append(text)
                if on_line:
                    on_line(text.rstrip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise SetupError(why("".join(output), what))
    return "".join(output)
