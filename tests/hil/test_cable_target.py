"""The target `serial`, with a process that stands in for the board at the other end of the cable."""

import json
import os
import pty
import threading
import tty

import pytest

from tests.hil.stand_in import StandIn
from tests.hil.test_real_targets import EUI, home, suite


@pytest.fixture
def cable():
    """(the board's end, the computer's end): two pseudo-terminals, and who carries octets between them."""
    pairs = [pty.openpty(), pty.openpty()]
    for pair in pairs:
        for fd in pair:
            tty.setraw(fd)

    def carry(source, target):
        try:
            while octets := os.read(source, 512):
                os.write(target, octets)
        except OSError:
            pass

    for here, there in ((0, 1), (1, 0)):
        threading.Thread(target=carry, args=(pairs[here][0], pairs[there][0]), daemon=True).start()
    return [os.ttyname(pair[1]) for pair in pairs]


def test_a_board_on_a_cable(micropython_path, tmp_path, cable):
    path, config = home(tmp_path, "coap")
    config["coap"]["uri"] = f"slipmux:{cable[0]}"
    path.write_text(json.dumps(config))
    with StandIn(path, tmp_path / "bench") as board:
        inventory = tmp_path / "bench.toml"
        inventory.write_text(board.inventory(f"serial:{cable[1]}", tmp_path / "home", EUI))
        logs = tmp_path / "logs"
        options = ("--inventory", str(inventory), "--target", f"serial:{cable[1]}", "--hil-logs", str(logs))
        outcome, _, text = suite(tmp_path, *options, "-k", "revoke or power_cut")
        assert set(outcome.values()) == {"passed"} and len(outcome) == 2, text + board.text()
        assert "link.up" in next(logs.rglob("*power_cut*/console.txt")).read_text()
        assert "command" in next(logs.rglob("*revoke*/packets.txt")).read_text()
