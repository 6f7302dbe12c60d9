"""No growth: what the heap holds after a collection is the same after a hundred thousand turns, with the link flapping
all the time, and a small heap carries a whole day."""

import pytest

from tests.conftest import ROOT
from tests.unix.app.rig import EUI, Rig

HERE = ROOT / "tests" / "unix" / "app"
HEAP = 700  # kB, on a 64-bit machine that compiles from source
_SWING = 1200  # octets: ids become longer, more or less waits, names of events come first
_DRIFT = 256


def flat(out):
    """Checks the lines of years_on_device.py; what it has seen."""
    lines = out.splitlines()
    used = [int(line.split()[1]) for line in lines if line.startswith("used")]
    assert len(used) == 20, out
    used = used[2:]  # what comes up once has come
    assert max(used) - min(used) <= _SWING, used
    assert sum(used[-6:]) - sum(used[:6]) <= 6 * _DRIFT, used
    assert max(used) <= 0.65 * HEAP * 1024, used
    return [int(n) for n in lines[-1].split()[1:]]


@pytest.mark.parametrize(("link", "cycles"), [("mqtt", 100_000), ("coap", 40_000)])
def test_nothing_grows_while_the_link_flaps(mpy, tmp_path, link, cycles):
    """App, store, agent, device, drivers and the link's session: commands, intervals, alarms, the button, reads, bodies
    that are broken, packets that are cut. More: make soak-heap."""
    out = mpy(HERE / "years_on_device.py", ROOT / "boards", tmp_path / "store", link, cycles, 500, heap=f"{HEAP}k")
    heartbeats, statuses, intervals, alarms, flaps = flat(out)
    assert heartbeats > cycles // 70 and statuses > cycles // 100 and intervals >= cycles // 900
    assert alarms > cycles // 7200 and flaps == cycles // 500


def test_ten_hours_in_a_small_heap(micropython_path, mosquitto_path, tmp_path):
    """The whole process, TLS session included, with a heap of 800 kB (on a 64-bit machine, compiling from source)."""
    with Rig(tmp_path, heap="800k") as rig:
        rig.join()
        for _ in range(10):
            rig.command("limit", value=2500, duration=1800)
            rig.run(1800)
            rig.command("off", duration=900)
            rig.run(1800)
        assert not [line for line in rig.process.text if "emory" in line]
        assert len([w for _, w in rig.world.edges if w == "opens"]) == 10
        assert len(rig.complete()) >= 39 and rig.core.devices[EUI].boot == 1
