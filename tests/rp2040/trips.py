"""Trips on the emulated chip, for their test and for the benchmark: trip_on_device.py beside the image that a Pico
gets, a BL0942 at its UART whose load is over the limit in every second frame.
"""

import json
from pathlib import Path

from spot_host import build

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("trip_on_device.py")
ERASE_MS = 45  # of a sector, as the emulated flash takes it
SECONDS = 24
_LOADS = [[1, 800, 3_500], [1, 2_900, 12_600]]  # frames, W, mA; the limit is 10 A


def image(*scripts: Path) -> build.Image:
    """App and loop, and what they load on a Pico, for the script and others."""
    texts = {}
    for start in ("app", "run", "watchdog", "safe"):
        texts |= build.sources("pico", start=f"spot/{start}.py")
    return build.Image(texts, [script.read_text() for script in (SCRIPT, *scripts)])


def run(board, how, load, seconds=SECONDS):
    """Milliseconds from the last octet of each over-current frame until the relay's pin fell, and what the script says.

    how: "soft" or "hard" interrupt, "poll"; load: "idle", "collect", "write". AssertionError when it did not fall once.
    """
    description = (ROOT / "boards" / "pico" / "board.json").read_text()
    relay = json.loads(description)["parts"]["relay"]["pin"]
    board.power_cycle()
    board.command("watch", pin=relay)
    board.command("bl0942", uart=0, relay=relay, loads=_LOADS)
    out = json.loads(board.run(SCRIPT, description, how, load, seconds, timeout=300))
    seen = board.command("inputs")
    falls = [us for us, level in seen["edges"][str(relay)] if not level]
    latencies = []
    for over_us in seen["meter"]["overs"]:
        opened = [us for us in falls if us >= over_us]
        assert opened, f"the frame at {over_us} us opened nothing"
        latencies.append((opened[0] - over_us) / 1000)
    assert len(latencies) == out["trips"] >= seconds // 3, (len(latencies), out)
    return latencies, out
