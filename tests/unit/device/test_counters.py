"""Energy and counts over power cuts: announced or not, at every write, and with a mains that flickers."""

import pytest

from spot.codes import ABSENT, OBJ_ENERGY_EXPORT, OBJ_POWER_PEAK, OBJ_STARTS, OBJ_SWITCHES, R_ENERGY_EXPORT, R_POWER
from spot.device.metering import CHECKPOINT_S, Counters
from spot.log import Log
from spot.store import Store
from spot_sim.flash import MemoryFs, PowerCut
from tests.unit.device.rig import plug


def counters(fs):
    log = Log(8)
    return Counters(Store(fs, "s", log), log)


# --- announced ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("watts", [40, 700, 2300, 3600])
@pytest.mark.parametrize("after_s", [1, 17, 613, 4001])
def test_an_announced_power_cut_costs_at_most_one_watt_hour(watts, after_s):
    bench = plug(watts=watts)
    bench.run(after_s)
    before = bench.store.writes
    bench.device.power_failed(bench.now_s)
    true_wh = bench.load.energy_mj(bench.now_s) / 3_600_000
    assert bench.store.writes - before <= 1, "the hold-up time allows one write"
    bench.reboot(power_cut=True)
    bench.step()
    kept = bench.device.counters
    assert abs(kept.energy_wh - true_wh) <= 1 and not kept.estimated
    assert (kept.starts, kept.switches) == (1, 1)


def test_without_a_word_it_costs_at_most_a_checkpoint_and_says_so():
    bench = plug(watts=2000)
    bench.run(CHECKPOINT_S * 2 + 800)
    shown = bench.device.counters.energy_wh
    bench.reboot(power_cut=True)
    kept = bench.device.counters
    assert kept.estimated and shown - 2000 * CHECKPOINT_S // 3600 <= kept.energy_wh <= shown


def test_a_mains_that_is_back_within_the_hold_up_does_not_leave_a_clean_end_behind():
    bench = plug(watts=3600)
    bench.run(100)
    bench.device.power_failed(bench.now_s)
    bench.run(20)
    bench.reboot()
    assert bench.device.counters.estimated, "what was counted since is lost, and said to be"


def test_a_mains_that_flickers_does_not_wear_the_flash():
    bench = plug(watts=3600)
    before = bench.store.writes
    for _ in range(5000):
        bench.run(2)
        bench.device.power_failed(bench.now_s)
    assert bench.store.writes - before <= 220
    bench.now_s += 86400
    bench.run(1)
    before = bench.store.writes
    bench.device.power_failed(bench.now_s)
    assert bench.store.writes > before, "tomorrow counts anew"


def test_what_is_shown_never_goes_back():
    bench = plug(watts=3300)
    shown = 0
    for n in range(60):
        for _ in range(37 + n):
            bench.run(1)
            assert bench.device.counters.energy_wh >= shown
            shown = bench.device.counters.energy_wh
        bench.device.power_failed(bench.now_s)
        if n % 3 == 0:
            bench.reboot(power_cut=True)
        elif n % 3 == 1:
            bench.device.close()
            bench.reboot()
    assert shown > 3000


# --- at every write -------------------------------------------------------------------------------------------------


def test_a_power_cut_at_every_write_leaves_the_old_counts_or_the_new():
    history = [(900 * n, 100 * n, 3 * n, 7 * n) for n in range(1, 6)]
    cuts = 0
    for cut in range(100):
        for torn in (0, 5):
            fs = MemoryFs()
            it = counters(fs)
            fs.cut_after, fs.torn = cut, torn
            done = (0, 0, 0)
            going = None
            try:
                for now_s, energy_wh, switches, export_wh in history:
                    going = (energy_wh, switches, export_wh)
                    it.update(now_s, energy_wh, switches, export_wh)
                    done = going
                going = (done[0] + 20, done[1] + 1, done[2])
                it.count(now_s, *going)
                it.failing(now_s, 0)
                done = going
            except PowerCut:
                cuts += 1
            fs.cut_after = None
            found = counters(fs)
            assert (found.energy_wh, found.switches, found.export_wh) in (done, going), (cut, torn)
    assert cuts > 20


@pytest.mark.parametrize("raw", [b"", b"\xff" * 5, b"\xff" * 21, b"\xff" * 400])
def test_a_record_of_another_shape_is_none(raw):
    fs = MemoryFs()
    Store(fs, "s").put("meter", raw)
    it = counters(fs)
    assert it.energy_wh == 0 or len(raw) == 21, "never half of it"


# --- export, peak, switches -----------------------------------------------------------------------------------------


class Source:
    def __init__(self):
        self.power_w, self.current_ma, self.voltage_10mv, self.frequency_mhz = 1000, 4348, 23000, 50000
        self.energy_wh = self.energy_export_wh = 0

    def sample(self, now_s):
        return True


def test_exported_energy_has_its_own_counter_and_is_kept():
    bench = plug(changes={"parts": {"meter": {"driver": "direct_meter", "period_s": 1}}})
    assert bench.device.read(OBJ_ENERGY_EXPORT) == ABSENT, "this meter cannot tell"
    bench.hardware.meter = source = Source()
    bench.boot()
    bench.run(2)
    source.energy_export_wh = 30
    source.energy_wh = 10
    bench.run(1)
    assert bench.device.readings[R_ENERGY_EXPORT] == bench.device.read(OBJ_ENERGY_EXPORT) == 30
    bench.device.power_failed(bench.now_s)
    bench.reboot(power_cut=True)
    bench.run(1)
    assert bench.device.read(OBJ_ENERGY_EXPORT) == 30
    source.energy_export_wh = 35
    bench.run(1)
    assert bench.device.read(OBJ_ENERGY_EXPORT) == 35 and bench.device.counters.energy_wh == 10


def test_the_peak_since_it_was_taken_with_its_time_kept_over_a_power_cut():
    bench = plug(watts=500)
    bench.run(5)
    bench.load.draw(bench.now_s, 2000)
    bench.run(3)
    at = bench.now_s
    bench.load.draw(bench.now_s, 300)
    bench.run(5)
    assert bench.device.read(OBJ_POWER_PEAK) == bench.device.peak_w == 2000 and at - 3 <= bench.device.peak_s <= at
    bench.device.power_failed(bench.now_s)
    bench.reboot(power_cut=True)
    assert bench.device.peak_s == ABSENT
    bench.run(2)
    assert bench.device.take_peak(bench.now_s) == 2000
    assert bench.device.peak_w == bench.device.readings[R_POWER] == 300 and bench.device.peak_s == bench.now_s
    bench.load.draw(bench.now_s, 700)
    bench.run(2)
    assert bench.device.peak_w == 700


def test_switches_and_starts_as_objects():
    bench = plug()
    bench.run(3)
    for _ in range(4):
        bench.press()
        bench.run(3)
    assert bench.device.read(OBJ_SWITCHES) == bench.contact.operations == 5
    assert bench.device.read(OBJ_STARTS) == 3
