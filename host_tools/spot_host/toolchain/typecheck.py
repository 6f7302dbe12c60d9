"""`make lint`'s third part: what the firmware asks of MicroPython is there, on both ports that boards have.

mypy reads a copy of firmware/ against the stubs of MicroPython 1.25 for the ESP32 and for RP2: names that a module does
not have, arguments that a function does not take. In the copy a driver's `hardware`, the provider that it is given, is
the module `machine`, which it is on a chip. The firmware itself has no annotations: what mypy would like to know of our
own classes is not asked.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spot_host.errors import SetupError

from . import cache, packages, paths, say

PORTS = {
    "esp32": ("micropython-esp32-stubs", "1.25.0.post5",
              "21859093d4b9112b29564bcc065446f7fc9ad8cde4d78944a6c32bffaf663d60"),
    "rp2": ("micropython-rp2-stubs", "1.25.0.post3",
            "e62662ae8738676f54daa2ca5498962aab61f5d18c3c5954c7a35c121ae98274"),
}
STDLIB = ("micropython-stdlib-stubs", "1.25.0",
          "5b1faecff10f85d1cd812c13e183eb9cd99238f01af7d829995eece4c4450b3f")

# About our own code without annotations, viper's pointers, or what the stubs themselves get wrong: not asked.
_NOT_ASKED = ("assignment", "has-type", "index", "misc", "no-redef", "union-attr", "valid-type", "var-annotated")

# (file, part of the message, why it is right all the same)
ALLOWED = (
    ("spot/port.py", '"traceback"', "for CPython"),
    ("spot/port.py", '"cryptography.', "for CPython"),
    ("spot/port.py", '"monotonic', "for CPython"),
    ("spot/link/mqtt_packets.py", '"umqtt.simple"', "frozen into the ESP32's image, installed on others"),
    ("main.py", '"stdio"', "the unix board's"),
    ("spot/store.py", "has incompatible type \"Literal['rb']\"", "the stub takes the first overload of open"),
    ("spot/store.py", "has incompatible type \"Literal['wb']\"", "the stub takes the first overload of open"),
    ("main.py", '"slot_files"', "the unix board's"),
    ("spot/boot.py", '"slot_files"', "the unix board's"),
    ("spot/port.py", 'to "pop" of "dict"', "pop takes any default"),
    ("spot/update.py", 'to "memoryview"', "only where it is there"),
    ("spot/port.py", 'to "print_exception"', "it writes to a StringIO as well"),
    ("spot/board/panel.py", '"int | None"', "None is no pull, on both ports"),
    ("spot/board/power_fail.py", '"int | None"', "None is no pull, on both ports"),
    ("spot/board/pulse.py", '"int | None"', "None is no pull, on both ports"),
    ("spot/device/heat_pump_sensors.py", 'to "append" of "list"', "a list of unlike rows"),
    ("spot/device/heat_pump_settings.py", 'to "update" of', "a table of unlike rows"),
    ("spot/device/settings.py", 'to "update" of', "a table of unlike rows"),
    ("spot/wire/coap_client.py", 'to "len"', "only asked where it is there"),
)


def main() -> int:
    """Check; 1 if something is wrong, each in one line."""
    findings, unused = check(paths.ROOT / "firmware")
    for text in findings:
        say.line(text)
    for file, part, _ in unused:
        say.line(f"typecheck.ALLOWED: nothing in {file} is said of {part} any more")
    say.line(f"mypy: firmware/ against the stubs of MicroPython 1.25 for {' and '.join(PORTS)}, "
             f"{len(findings) + len(unused)} findings")
    return 1 if findings or unused else 0


def stubs() -> dict:
    """{port: folder of its stubs}, and "" for the standard library's; fetched once. SetupError when they cannot be."""
    folders = {}
    for port, (name, version, sha256) in {**PORTS, "": STDLIB}.items():
        folder = paths.toolchain_dir() / "stubs" / f"{name}-{version}"
        if not folder.is_dir():
            archive = packages.fetch_python(name, version, sha256, "wheel")
            cache.publish(folder, lambda work, archive=archive: packages.unpack(archive, work))
        folders[port] = folder
    return folders


def check(firmware) -> tuple[list, list]:
    """(lines that say what is wrong in the folder `firmware`, rows of ALLOWED that nothing needs)."""
    folders = stubs()
    own = {node.name for file in firmware.rglob("*.py") for node in ast.walk(ast.parse(file.read_text()))
           if isinstance(node, ast.ClassDef)}
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
        copy = Path(name) / "firmware"
        shutil.copytree(firmware, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (copy / "spot" / "board").glob("*.py"):
            text = file.read_text()
            if re.search(r"\bhardware\.", text) and not file.name.startswith("direct"):  # those are the simulator's
                file.write_text(re.sub(r"(?<!\.)\bhardware\.", "machine.", text) + "\nimport machine\n")
        runs = pool.map(lambda port: _run(port, folders, copy, Path(name)), PORTS)
        said = [(port, row) for port, rows in zip(PORTS, runs, strict=True) for row in rows]
    lines, used = {}, set()
    for port, row in said:
        if not (copy / row["file"]).resolve().is_relative_to(copy.resolve()):
            continue  # the stubs' own
        found = re.match(r'"(\w+)" has no attribute', row["message"])
        if found and (found[1] in own or found[1] == "None"):
            continue  # a part of a class that another completes; set later
        reason = next((one for one in ALLOWED if row["file"] == one[0] and one[1] in row["message"]), None)
        if reason:
            used.add(reason)
            continue
        text = f"firmware/{row['file']}:{row['line']}: {row['message']}"
        lines.setdefault(text, []).append(port)
    findings = [f"{text} ({', '.join(ports)})" for text, ports in sorted(lines.items())]
    return findings, [one for one in ALLOWED if one not in used]


def _run(port, folders, copy, work) -> list:
    """mypy's errors as dicts: file (below `copy`), line, message."""
    settings = work / f"{port}.ini"
    stdlib = folders[""]
    settings.write_text(
        f"[mypy]\npython_version = 3.11\ncustom_typeshed_dir = {stdlib}\nmypy_path = {folders[port]}:{stdlib}\n"
        f"check_untyped_defs = True\nno_site_packages = True\ncache_dir = {work / port}\n"
        f"disable_error_code = {', '.join(_NOT_ASKED)}\n")
    names = [str(path.relative_to(copy)) for path in (*sorted(copy.glob("*.py")), copy / "spot")
             if path.name != "manifest.py"]  # of MicroPython's build, read by another program
    got = subprocess.run([paths.VENV_PYTHON, "-m", "mypy", "--config-file", settings, "--output", "json", *names],
                         cwd=copy, capture_output=True, text=True)
    if got.returncode not in (0, 1):
        raise SetupError(f"mypy for {port}: {(got.stderr or got.stdout).strip()[-500:]}")
    rows = [json.loads(line) for line in got.stdout.splitlines() if line.startswith("{")]
    if got.stderr.strip():
        raise SetupError(f"mypy for {port}: {got.stderr.strip()[-500:]}")
    return [row for row in rows if row["severity"] == "error"]
