"""The codec on the emulated RP2040 by its cycles, beside the C json on the same chip.

The emulator does not count misses of the flash cache: absolute times are lower bounds, and the same for both sides.
"""

import json
import tempfile
from pathlib import Path

from tests.rp2040 import board as boards
from tests.rp2040 import build

_ROUNDS = 50


def run(emit):
    """Measure on a fresh board; builds the image where it is missing. Raises SetupError, BoardError."""
    rig = build.set_up()
    code = (Path(__file__).parent / "codec_on_device.py").read_text()
    with tempfile.TemporaryDirectory() as name, boards.Board(rig, Path(name)) as board:
        script = Path(name) / "bench.py"
        script.write_text(f"ROUNDS = {_ROUNDS}\n{code}")
        board.load(boards.wire(script))
        times = json.loads(board.run(script, timeout=300))
    for name, json_call in (("telemetry_encode", "json_dumps"), ("command_decode", "json_loads")):
        emit(f"rp2040.{name}.us", round(times[f"{name}_us"], 1), "us", json=round(times[f"{json_call}_us"], 1))
