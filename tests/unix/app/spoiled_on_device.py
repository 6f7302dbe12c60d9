"""Runs on MicroPython: a whole App takes bodies from stdin-like lines of a file, and says what it made of each.

sys.argv: boards folder, folder of the store, file. A line is "CHANNEL HEX" for a body, or "WORD" for a mark.
Printed: for each
mark "WORD REFUSED IGNORED EDGES CHANGED" since the mark before, and "WRITES HEAP": writes to flash since the start and
octets of heap in use. What it sends goes nowhere.
"""

import gc
import sys

sys.path.insert(1, sys.argv[1] + "/unix")
import stdio

from spot.app import App
from spot.config import load_board

hardware = stdio.Hardware(immediate=False)
config = {"eui64": "0200000000000001", "store": sys.argv[2], "parts": {"meter": {"period_s": 60}}}
app = App(load_board("unix", sys.argv[1]), config, hardware, None, lambda channel, buf, n: True)
app.link_up(0, False)
app.step(0)
agent = app.agent


def memory():
    plan = agent.plan
    rows = [(r.epoch, r.id, r.revision, r.phase, r.state) for r in agent.control.ledger.rows]
    return (
        plan.epoch,
        plan.lease,
        plan.failsafe_limit,
        rows,
        agent.control.ledger.digest,
        agent.lease.mode,
        agent.policy.revision,
    )


hardware.edges.clear()
before, refused, ignored = memory(), agent.refusals.count, agent.ignored
with open(sys.argv[3]) as file:
    for line in file:
        parts = line.split()
        if len(parts) == 1:
            app.step(1)
            now = memory()
            gc.collect()
            print(
                parts[0],
                agent.refusals.count - refused,
                agent.ignored - ignored,
                len(hardware.edges),
                0 if now == before else 1,
                app.store.writes,
                gc.mem_alloc(),
            )
            before, refused, ignored = now, agent.refusals.count, agent.ignored
            hardware.edges.clear()
        else:
            digits = parts[1] if parts[1] != "-" else ""
            body = bytes(int(digits[i : i + 2], 16) for i in range(0, len(digits), 2))
            app.receive(1, int(parts[0]), body, len(body))
