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


@pytest.mark.parametrize("table", ["agent_cases", "delivery_cases", "association_cases", "metering_cases"])
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
from association_rig import House
from spot.codes import KIND_UNLIMITED

plans = {"deadband": 10}, {"deadband": 10, "telemetry_interval": 20}
if %d == 1:
    bench = Rig(plan=plans[0]).join()
    hands = [bench]
else:
    bench = House(plans, ({}, {"data": ["telemetry"]})).join()
    hands = bench.hands
for hand in hands:
    hand.command(1, KIND_UNLIMITED, duration=100000)
bench.run(120)
agent = bench.agent


class Out:
    def send(self, channel, buf, n, guaranteed=False):
        return True


for seat in agent.seats:
    seat._out = seat.telemetry._out = Out()
    seat.intervals.due_s = 1 << 29
    seat._check_s = 1 << 29  # every five minutes the description is compared, and that builds one
now = bench.now
counts = [(seat.telemetry.seq, seat.heartbeat.beat) for seat in agent.seats]
used = 0
gc.collect()
gc.disable()
for i in range(200):
    now += 10
    bench.device.readings[0] = 2000 + 50 * (i & 1)
    for seat in agent.seats:
        seat.lease.fresh_s = now
    before = gc.mem_alloc()
    agent.step(now)
    used += gc.mem_alloc() - before
for i in range(len(counts)):
    seat = agent.seats[i]
    print(seat.telemetry.seq - counts[i][0], seat.heartbeat.beat - counts[i][1])
print(used)
"""


@pytest.mark.parametrize("associations", [1, 2])
def test_heartbeat_and_telemetry_allocate_nothing(mpy, associations):
    *seats, used = mpy(_ALLOCATION % (str(_TABLES), associations)).splitlines()
    assert len(seats) == associations
    for seat in seats:
        reports, beats = map(int, seat.split())
        assert reports >= 190 and beats >= 33
    assert int(used) == 0
