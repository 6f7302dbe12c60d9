"""A whole plug on the chip, from the image that a Pico gets: it fits, and does there what it does on the unix port."""

import json
from pathlib import Path

from spot_host import build

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "unix" / "build" / "app_on_device.py"
DESCRIPTION = "boards/unix/board.json"
HALF_S = 330  # without a link, and as long with one: a start has lasted after 300
FREE = 0.4  # of the heap, with the code in RAM; from ROMFS it stays in flash


def test_a_plug_registers_and_leaves_heap(fresh_board):
    texts = build.sources("pico", start="spot/app.py")  # all but the links: this chip has no network
    fresh_board.load(build.Image(texts, [SCRIPT.read_text()]))
    fresh_board.put({DESCRIPTION: ROOT / DESCRIPTION})
    out = json.loads(fresh_board.run(SCRIPT, "/store", "boards", HALF_S, timeout=300))
    assert out["sent"] == [[0, 1], [5, 24]]  # register, link
    assert out["log"]["board.built"] == 1 and "error" not in str(out["log"])
    assert out["after"] < (1 - FREE) * out["heap"], out
