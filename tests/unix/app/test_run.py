"""The loop on MicroPython when something in it raises that should not: what stays alive, what is said, what ends."""

import os
import subprocess

import pytest

from spot_host.toolchain import runtimes
from tests.conftest import ROOT
from tests.sim.bad_input.start import Place

_RIG = f"""
import sys
sys.path.insert(1, {str(ROOT / "boards" / "unix")!r})
import stdio
from spot import run
from spot.app import App
from spot.config import load_board
from spot.log import Log
from spot.port import asyncio

def fail(*args):
    raise RuntimeError("from " + (args[0] if args and isinstance(args[0], str) else "a driver"))

class Link:
    pending, is_up = 0, False
    runs = closed = 0
    async def run(self):
        self.runs += 1
        if self.runs == 1:
            fail("the link")
        while not self.closed:
            await asyncio.sleep_ms(1)
    def close(self):
        self.closed += 1

class Pace(run.RealPace):
    "Real time but for its seconds, which come as fast as they are asked for."
    s = 0
    last = 10 ** 9
    def now(self):
        self.s += 1
        if self.s > self.last:
            raise KeyboardInterrupt
        return self.s

def app():
    hardware = stdio.Hardware(immediate=False)
    config = {{"eui64": "0200000000000001", "store": sys.argv[1]}}
    return App(load_board("unix", {str(ROOT / "boards")!r}), config, hardware, None, lambda *a: True, log=Log(64))

run._SLICE_MS = 1
"""


def test_a_part_that_raises_costs_its_turn_and_not_the_other_one_s(mpy, tmp_path):
    """The agent fails for a while: the device works on, the traceback is in the log, and then it is as before."""
    out = mpy(_RIG + """
it = app()
steps = []
device_step, agent_step = it.device.step, it.agent.step
it.device.step = lambda now_s: (steps.append(now_s), device_step(now_s))[1]
it.agent.step = lambda now_s: fail() if 5 <= now_s < 9 else agent_step(now_s)
turns = run.Turns(it)
for now_s in range(20):
    wait = turns.step(now_s)
    assert 1 <= wait <= 86400 and (wait == 1 or not 5 <= now_s < 9)
assert steps == list(range(20)) and turns.done == 16, (steps, turns.done)
assert it.log.counts["run.agent"] == 4 and len([r for r in it.log.recent() if r[2] == "run.agent"]) == 1
print(it.log.trace)
""", tmp_path / "store")
    assert "Traceback" in out and "RuntimeError: from a driver" in out


@pytest.mark.parametrize(
    ("part", "said"), [("device.step", "run.device"), ("agent.step", "run.agent"), ("device.poll", "run.poll")]
)
def test_one_that_raises_again_and_again_ends_in_a_fresh_start_in_good_order(mpy, tmp_path, part, said):
    """Restart comes out of the loop after 10 s; counters are kept, the link is closed; the next start waits longer."""
    script = _RIG + """
it = app()
owner, name = "%s".split(".")
setattr(getattr(it, owner), name, fail)
pace, link = Pace(it), Link()
async def for_ever():
    while True:
        await asyncio.sleep_ms(10)
try:
    asyncio.run(run.run(it, link, pace, for_ever()))
    raise SystemExit("ended")
except run.Restart as error:
    assert link.closed == 1 and it.store.get("meter")[-1] == 1, "closed in order"
    print(error, pace.turns.starts, pace.s, it.log.counts["run.restart"])
""" % part
    rows = [mpy(script, tmp_path / "store").split() for _ in range(3)]
    assert [row[0] for row in rows] == [said] * 3
    assert [row[1] for row in rows] == ["0", "1", "2"]
    waits = [int(row[2]) for row in rows]
    assert 10 <= waits[0] <= 16 and 20 <= waits[1] <= 28 and 40 <= waits[2] <= 50, waits
    out = mpy(_RIG + """
it = app()
turns = run.Turns(it)
kept = it.store.get("crash")
assert turns.starts == 3 and it.log.counts["run.started_afresh"] == 1
print(kept[1:].decode())
for now_s in range(0, 3700, 60):
    turns.step(now_s)
assert turns.starts == 0 and it.store.get("crash")[0] == 0, "an hour without a failure: it helped"
assert it.store.get("crash")[1:] == kept[1:], "and what it was can still be read"
""", tmp_path / "store")
    assert "RuntimeError" in out, "what it was is kept over the start"


def test_the_link_s_task_does_not_die_and_a_companion_s_error_is_not_lost(mpy, tmp_path):
    mpy(_RIG + """
run._LINK_REST_MS = 5
it = app()
link = Link()
async def companion():
    while link.runs < 2:
        await asyncio.sleep_ms(5)
    raise ValueError("its own")
it.goodbye = fail
it.device.close = fail
try:
    asyncio.run(run.run(it, link, Pace(it), companion()))
    raise SystemExit("ended")
except ValueError:
    pass
assert it.log.counts["run.link"] == 1 and it.log.counts["run.goodbye"] == it.log.counts["run.close"] == 1
assert it.board.relay is not None and link.closed == 1
""", tmp_path / "store")


@pytest.mark.parametrize("lockstep", [True, False])
def test_the_process_ends_with_its_own_code_and_its_traceback(micropython_path, tmp_path, lockstep):
    """Started by a supervisor, exit code 3 says: start me again. The error stream has the first traceback."""
    place = Place(tmp_path)
    script = tmp_path / "broken.py"
    script.write_text(f"""
import sys
sys.path.insert(0, {str(ROOT / "firmware")!r})
from spot.agent.agent import Agent
def fail(self, now_s):
    raise RuntimeError("a mistake")
Agent.step = fail
from spot import run
run._IN_A_ROW = 1
import main
sys.exit(main.main(sys.argv[1:]))
""")
    env = {**os.environ, "MICROPYPATH": f"{ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"}
    command = [str(micropython_path), "-X", "heapsize=4m", str(script), str(place.write())]
    grants = "".join('{"t": %d, "rx": 0, "in": {}}\n' % t for t in range(0, 1400, 10))
    child = subprocess.Popen(command + ["--lockstep"] * lockstep, env=env, text=True, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        if lockstep:
            _, errors = child.communicate(grants, timeout=30)
        else:
            child.wait(30)  # its stdin stays open
            errors = child.stderr.read()
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 3 and errors.count("RuntimeError: a mistake") == 1
