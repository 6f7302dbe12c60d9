"""The store on littlefs, on MicroPython, with the power cut at every single block-device operation."""

import re
from pathlib import Path


def test_after_every_cut_the_state_is_the_old_or_the_new_one(mpy):
    out = mpy(Path(__file__).with_name("cutrig.py"), heap="8m", timeout=120)
    rows = dict(re.findall(r"^(.*?): (\d+) cuts", out, re.M))
    assert set(rows) >= {"put small", "put large", "put first", "delete", "ack 6", "ack 150"} and len(rows) == 30, out
    assert all(int(cuts) >= 1 for cuts in rows.values()), out
    assert re.search(r"put large: \d+ cuts, new \d+ old \d+", out), "both outcomes are met\n" + out
    assert "refused and unhurt" in out
