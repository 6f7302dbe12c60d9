"""LMS on the chip: the signatures of RFC 8554 appendix F, spoilt ones, and within the budget of a turn and of a whole.

The emulator counts cycles: that a verification fits its budget is a property of the code, not of this computer.
"""

import json

from tests.bench.bench_group import SCRIPT as TIMES
from tests.bench.bounds import BOUNDS
from tests.rp2040 import board as boards
from tests.rp2040.test_wire import SCRIPTS, VECTORS

SCRIPT = SCRIPTS / "lms_on_device.py"


def test_signatures_of_the_rfc(fresh_board):
    fresh_board.load(boards.wire(SCRIPT, names=boards.LMS))
    rows = json.loads((VECTORS / "lms.json").read_text())[2:]  # test case 2: height 10 with W = 4, height 5 with W = 8
    fresh_board.put({"lms.json": json.dumps(rows).encode()})
    assert fresh_board.run(SCRIPT, "lms.json", 2, timeout=300) == "verified 2 refused 4\n"


def test_the_time_it_takes(fresh_board):
    fresh_board.load(boards.wire(TIMES, names=boards.LMS))
    fresh_board.put({"lms.json": VECTORS / "lms.json"})
    times = json.loads(fresh_board.run(TIMES, "lms.json", timeout=300))
    assert times["verify_us"] / 1000 <= BOUNDS["rp2040.lms_verify.ms"].high
    assert max(times["slice_us"], times["start_us"]) / 1000 <= BOUNDS["rp2040.lms_slice.ms"].high
