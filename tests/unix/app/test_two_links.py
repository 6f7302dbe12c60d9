"""The loop with two links on MicroPython: in lock-step and in real time each message finds its association."""

from tests.conftest import ROOT

_RIG = f"""
import sys
sys.path.insert(1, {str(ROOT / "boards" / "unix")!r})
import stdio
from spot import run
from spot.app import App
from spot.codes import CH_CMD, T_REGISTERED
from spot.config import load_board
from spot.port import asyncio
from spot.wire import profile

class Link:
    pending = sent = closed = runs = 0
    is_up = True
    async def run(self):
        self.runs += 1
        while not self.closed:
            await asyncio.sleep_ms(1)
    def close(self):
        self.closed += 1

def carry(at):
    def send(channel, buf, n):
        links[at].sent += 1
        return True
    return send

links = [Link(), Link()]
config = {{"eui64": "0200000000000001", "store": sys.argv[1], "associations": [{{"name": "home"}}, {{"name": "util"}}]}}
hardware = stdio.Hardware(immediate=False)
app = App(load_board("unix", {str(ROOT / "boards")!r}), config, hardware, None, [carry(0), carry(1)])
buf = bytearray(64)

def registered(epoch):
    return memoryview(buf), profile.encode(T_REGISTERED, [0, 1, epoch, 30000000], buf)
"""


def test_lock_step_counts_over_all_links_and_takes_them_in_their_order(mpy, tmp_path):
    out = mpy(_RIG + """
pace = stdio.LockstepPace(app, hardware)
pace.links = links
order = []
receive, up = app.receive, app.link_up
app.receive = lambda now_s, channel, buf, n, at: (order.append(("got", at)), receive(now_s, channel, buf, n, at))
app.link_up = lambda now_s, present, at: (order.append(("up", at)), up(now_s, present, at))
pace.port(1).link_up(False)  # as the wall's clock has it: the second first
pace.port(0).link_up(False)
pace.port(1).deliver(CH_CMD, *registered(6))
pace.port(0).deliver(CH_CMD, *registered(5))
pace.deliver(7, b"x", 1)  # a broadcast of the first is not counted
asyncio.run(pace._grant({"t": 10, "rx": 2, "in": {}}))
assert order == [("up", 0), ("got", 0), ("got", 0), ("up", 1), ("got", 1)], order
assert [seat.plan.epoch for seat in app.agent.seats] == [5, 6]
links[1].is_up = False
asyncio.run(pace._grant({"t": 11, "rx": 2, "in": {}}))
pace.port(1).link_down()
asyncio.run(pace._grant({"t": 12, "rx": 2, "in": {}}))
assert [seat.up for seat in app.agent.seats] == [True, False]
print(links[0].sent + links[1].sent)
""", str(tmp_path / "store"))
    *answers, total = out.splitlines()
    assert [a.startswith(">") for a in answers] == [True] * 3
    first, second, _ = (eval(a[1:]) for a in answers)  # noqa: S307 - JSON without true, false and null
    assert (first["rx"], first["up"], second["up"]) == (2, 1, 0)
    assert first["tx"] > 4 and second["tx"] == int(total)


def test_real_time_runs_and_closes_every_link(mpy, tmp_path):
    assert mpy(_RIG + """
run._SLICE_MS = 1
pace = run.RealPace(app)

async def companion():
    pace.port(1).link_up(False)
    pace.port(1).deliver(CH_CMD, *registered(6))
    pace.link_up(True)
    pace.deliver(CH_CMD, *registered(5))
    while app.agent.seats[1].heartbeat.beat == 0 or app.agent.seats[0].heartbeat.beat == 0:
        await asyncio.sleep_ms(5)
    pace.port(0).link_down()
    assert [seat.up for seat in app.agent.seats] == [False, True]
    links[1].pending = 1  # the last word waits for the second, too
    asyncio.create_task(taken())

async def taken():
    await asyncio.sleep_ms(60)
    assert not links[1].closed
    links[1].pending = 0

asyncio.run(run.run(app, links, pace, companion()))
print([(link.runs, link.closed) for link in links], [seat.plan.epoch for seat in app.agent.seats])
""", str(tmp_path / "store")).strip() == "[(1, 1), (1, 1)] [5, 6]"
