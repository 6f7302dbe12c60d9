"""The same tables of rules and deliveries on MicroPython."""

from pathlib import Path

import pytest

_TABLES = Path(__file__).resolve().parents[2] / "unit" / "agent"

_RUN = """
import sys
sys.path.insert(0, %r)
import %s as table
failed = table.run()
for sentence, error in failed:
    print(sentence, error)
print(len(table.CASES) - len(failed), "of", len(table.CASES))
sys.exit(1 if failed else 0)
"""


@pytest.mark.parametrize("table", ["agent_cases", "delivery_cases", "association_cases"])
def test_table(mpy, table):
    number = _cases(table)
    assert mpy(_RUN % (str(_TABLES), table), heap="8m", timeout=120).split() == [str(number), "of", str(number)]


def _cases(table):
    """How many cases the table has, read as text: the module itself is loaded by the other runtime."""
    text = (_TABLES / (table + ".py")).read_text()
    return text[text.index("\nCASES = (") :].count('\n    ("')


_ALLOCATION = """
import gc, sys
sys.path.insert(0, %r)
from agent_rig import Rig
from spot.codes import KIND_UNLIMITED

r = Rig(plan={"deadband": 10}).join()
r.command(1, KIND_UNLIMITED, duration=100000)
r.run(120)
agent = r.agent


class Out:
    def send(self, channel, buf, n, guaranteed=False):
        return True


agent.seats[0]._out = agent.telemetry._out = Out()
agent.intervals.due_s = 1 << 29
agent.seats[0]._check_s = 1 << 29  # every five minutes the description is compared, and that builds one
now = r.now
seq, beat = agent.telemetry.seq, agent.heartbeat.beat
used = 0
gc.collect()
gc.disable()
for i in range(200):
    now += 10
    r.device.readings[0] = 2000 + 50 * (i & 1)
    agent.lease.fresh_s = now
    before = gc.mem_alloc()
    agent.step(now)
    used += gc.mem_alloc() - before
print(agent.telemetry.seq - seq, agent.heartbeat.beat - beat, used)
"""


def test_heartbeat_and_telemetry_allocate_nothing(mpy):
    reports, beats, used = map(int, mpy(_ALLOCATION % str(_TABLES)).split())
    assert reports >= 190 and beats >= 33
    assert used == 0
