"""Sequence numbers and keys on littlefs, on MicroPython, with the power cut at every block-device operation."""

import re
from pathlib import Path


def test_no_number_comes_twice_under_one_key_whatever_is_cut(mpy):
    """First numbers, the next stride, keys of appendix B.2, the first start of a pairing, an offer, a change of keys:
    three lives each; both outcomes are met."""
    out = mpy(Path(__file__).with_name("sequence_cuts.py"), heap="8m", timeout=120)
    rows = {name: (int(cuts), rest) for name, cuts, rest in re.findall(r"^(.*?): (\d+) cuts, (.*)$", out, re.M)}
    assert len(rows) == 6 and all(cuts >= 5 for cuts, _ in rows.values()), out
    for name, outcomes in {"first numbers": ("none", "limit=256"), "next stride": ("limit=256", "limit=512"),
                           "adopted keys": ("old", "new"), "first start": ("nothing", "0"), "offer": ("0", "0+1"),
                           "change": ("0+1", "1")}.items():
        assert set(outcomes) <= set(rows[name][1].split()), out
