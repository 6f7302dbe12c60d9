"""A plug whose power goes at every single write of a history: what was kept is the old or the new, and it starts."""

import pytest

from spot.codes import (
    OBJ_AUTO_OFF,
    OBJ_SHED_DELAY,
    R_STATE,
    REASON_NONE,
    SWITCH_TRIPPED,
)
from spot_sim.flash import PowerCut
from tests.unit.device.rig import plug


def kept(bench):
    device = bench.device
    return (device.choice, device.remote_close, device.read(OBJ_AUTO_OFF), device.read(OBJ_SHED_DELAY),
            bench.board.meter.calibration(), device._latched)


def history(bench):
    """Yields after each thing that is to be kept."""
    bench.press()
    yield
    bench.press()
    yield
    bench.press(held_ms=3500)
    yield
    assert bench.device.write(bench.now_s, OBJ_AUTO_OFF, 5000) == REASON_NONE
    yield
    assert bench.device.write(bench.now_s, OBJ_SHED_DELAY, 30) == REASON_NONE
    yield
    bench.run(3)
    assert bench.device.calibrate(bench.now_s, 1, 23100, 4400, 10100, 5) == REASON_NONE
    bench.run(8)
    assert bench.calibrated == [(1, REASON_NONE)]
    yield
    bench.run(900)
    yield
    bench.load.draw(bench.now_s, 5000)
    bench.run(2)
    yield
    bench.device.power_failed(bench.now_s)
    yield


def fresh():
    bench = plug({"shed_consent": True, "power_on": "on"})
    bench.run(3)
    return bench


@pytest.mark.parametrize("torn", [0, 7])
def test_old_or_new_and_it_starts(torn):
    bench = fresh()
    states = [kept(bench)] + [kept(bench) for _ in history(bench)]
    cut = 0
    done = -1
    while done < len(states) - 1:
        bench = fresh()
        bench.fs.cut_after, bench.fs.torn = cut, torn
        done = 0
        try:
            for _ in history(bench):
                done += 1
        except PowerCut:
            pass
        tripped = bool(bench.board.trip.latch)
        bench.fs.cut_after = None
        bench.load.draw(bench.now_s, 1000)
        bench.reboot(power_cut=True)
        found = kept(bench)
        for old, new, is_ in zip(states[done], states[min(done + 1, len(states) - 1)], found, strict=True):
            assert is_ in (old, new), (cut, done, found)
        bench.run(10)
        if found[5]:
            assert tripped and not bench.contact.closed and bench.device.readings[R_STATE] & SWITCH_TRIPPED
        else:
            assert bench.contact.closed, "power_on: on"
        cut += 1
    assert cut > 25 and found[5] and found[2:4] == (5000, 30)
