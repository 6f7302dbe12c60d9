"""No growth: what is free after a collection is the same after thousands of wakes, and a small heap carries a
whole day."""

from tests.conftest import ROOT
from tests.unix.app.rig import EUI, Rig

HERE = ROOT / "tests" / "unix" / "app"


def test_nothing_grows_over_thousands_of_wakes(mpy, tmp_path):
    """App, store, agent, device and drivers, with heartbeats, commands, acknowledgements and broken input all the
    time."""
    lines = mpy(HERE / "memory_on_device.py", ROOT / "boards", "6000", tmp_path / "store", heap="600k").splitlines()
    free = [int(line.split()[1]) for line in lines if line.startswith("free")]
    heartbeats, statuses, intervals = (int(n) for n in lines[-1].split()[1:])
    assert len(free) == 11 and heartbeats > 1000 and statuses > 3 * heartbeats and intervals > 60
    assert max(free[2:]) - min(free[2:]) <= 256, free  # ids and counts become longer, nothing else
    assert free[-1] >= 0.5 * 600 * 1024


def test_ten_hours_in_a_small_heap(micropython_path, mosquitto_path, tmp_path):
    """The whole process, TLS session included, with a heap of 700 kB (on a 64-bit machine, compiling from source)."""
    with Rig(tmp_path, heap="700k") as rig:
        rig.join()
        for _ in range(10):
            rig.command("limit", value=2500, duration=1800)
            rig.run(1800)
            rig.command("off", duration=900)
            rig.run(1800)
        assert not [line for line in rig.process.text if "emory" in line]
        assert len([w for _, w in rig.world.edges if w == "opens"]) == 10
        assert len(rig.complete()) >= 39 and rig.core.devices[EUI].boot == 1
