"""The HLW8012 and BL0937 driver against a chip simulated from the data sheets, pulse by pulse."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.board.board import build
from spot.board.hlw8012 import HLW8012, NOMINAL, Edges, worth
from spot.board.trip import Trip
from spot.codes import ABSENT, ALARM_OVER_POWER, ALARM_OVER_VOLTAGE
from spot_sim.chips.hlw8012 import PulseChip
from spot_sim.hardware import Hardware
from tests.unit.board.meters import Appliance, Mains, NoTrip

CF, CF1, SEL = 4, 5, 6


def rig(watts=1000, model="hlw8012", start_s=0, **options):
    hardware, load, mains, trip = Hardware(start_s), Appliance(watts), Mains(), NoTrip()
    chip = PulseChip(hardware, load, mains, CF, CF1, SEL, model, random.Random(1))
    pin = hardware.Pin
    options = {"calibration": NOMINAL[model], "sel_current": int(model == "hlw8012"), **options}
    meter = HLW8012(pin(CF), pin(CF1), pin(SEL), pin.IRQ_RISING, hardware.ticks_us, trip, **options)
    return hardware, load, mains, chip, meter, trip


def run(hardware, meter, seconds, poll_ms=50, after=None):
    """Polls as the loop does, samples each second; how many samples were new."""
    fresh = 0
    start_s = hardware.now_s
    for s in range(start_s, start_s + seconds):
        for ms in range(poll_ms, 1000, poll_ms):
            hardware.advance(s, ms)
            meter.poll()
        hardware.advance(s + 1)
        fresh += meter.sample(s + 1)
        if after:
            after()
    return fresh


@pytest.mark.parametrize("model", ["hlw8012", "bl0937"])
@pytest.mark.parametrize(("watts", "volts"), [(5, 23000), (60, 23000), (999, 25300), (2300, 19800), (3680, 23000)])
def test_the_values_of_the_simulated_chip_come_back(model, watts, volts):
    hardware, _, mains, chip, meter, _ = rig(watts, model)
    mains.volts_10mv = volts
    assert run(hardware, meter, 14) == 14
    assert meter.power_dw == pytest.approx(watts * 10, rel=2e-3, abs=1)
    assert meter.voltage_10mv == pytest.approx(volts, rel=1e-3)
    assert meter.current_ma == pytest.approx(watts * 100000 / volts, rel=2e-3, abs=1)
    assert meter.frequency_mhz == ABSENT and meter.energy_export_wh == ABSENT
    assert not meter.fault and meter.errors == 0


@pytest.mark.parametrize("model", ["hlw8012", "bl0937"])
def test_sel_is_turned_and_what_is_seen_while_cf1_settles_is_not_believed(model):
    hardware, _, _, chip, meter, _ = rig(1000, model)
    levels = []
    hardware.line(SEL).watch(lambda now_s, level: levels.append((now_s, level)))
    seen = []
    run(hardware, meter, 60, after=lambda: seen.append((meter.voltage_10mv, meter.current_ma)))
    assert 18 <= len(levels) <= 22, "5.5 s for a turn of both"
    known = [row for row in seen if ABSENT not in row]
    assert len(known) >= 50
    for volts, current in known:
        assert volts == pytest.approx(23000, rel=1e-3) and current == pytest.approx(4348, rel=2e-3)


@pytest.mark.parametrize(("model", "limit_dw"), [("hlw8012", 104), ("bl0937", 21)])
def test_power_that_ends_falls_with_the_time_since_the_latest_pulse_and_is_zero_after_20_s(model, limit_dw):
    hardware, load, _, _, meter, _ = rig(2000, model)
    run(hardware, meter, 10)
    assert meter.power_w == 2000
    load.draw(hardware.now_s, 0)
    shown = []
    run(hardware, meter, 22, after=lambda: shown.append(meter.power_dw))
    assert shown == sorted(shown, reverse=True)
    for second, power_dw in enumerate(shown, 1):
        assert power_dw <= limit_dw // second + 1
    assert shown[20] == 0 and meter.current_ma == 0 and not meter.fault


def test_small_power_is_seen_and_neither_flickers_nor_stays():
    hardware, load, _, _, meter, _ = rig(3)  # a pulse every 3.4 s
    shown = []
    run(hardware, meter, 30)
    run(hardware, meter, 30, after=lambda: shown.append(meter.power_dw))
    assert all(29 <= power <= 31 for power in shown)
    load.draw(hardware.now_s, 1)  # a pulse every 10 s
    run(hardware, meter, 40)
    assert meter.power_dw == pytest.approx(10, abs=1)


def test_a_load_that_comes_is_there_at_the_next_sample():
    hardware, load, _, _, meter, _ = rig(2)
    run(hardware, meter, 20)
    load.draw(hardware.now_s, 2000)
    run(hardware, meter, 1)
    assert meter.power_w == pytest.approx(2000, rel=2e-3)


def test_the_first_pulse_says_nothing_about_power():
    hardware, load, _, chip, meter, _ = rig(0)
    run(hardware, meter, 30)
    chip.glitch(True, 1)
    run(hardware, meter, 1)
    assert meter.power_dw == 0
    chip.glitch(True, 1)
    run(hardware, meter, 1)
    assert 50 < meter.power_dw <= 104, "two in a second: 10 J in that second"


@pytest.mark.parametrize("model", ["hlw8012", "bl0937"])
def test_energy_is_the_pulses_and_does_not_drift(model):
    hardware, load, _, chip, meter, _ = rig(0, model)
    for watts in (7, 0, 800, 3):
        load.draw(hardware.now_s, watts)
        run(hardware, meter, 90, 500)
    wh = (7 + 800 + 3) * 90 / 3600
    assert meter.energy_wh == int(chip.pulses[0] * 1000 / NOMINAL[model][2])
    assert meter.energy_wh == pytest.approx(wh, abs=1)


def test_over_the_wrap_of_the_microseconds_nothing_happens():
    hardware, _, _, _, meter, _ = rig(1000, start_s=(1 << 30) // 1000000 - 5)
    shown = []
    run(hardware, meter, 4)
    run(hardware, meter, 12, after=lambda: shown.append(meter.power_w))
    assert set(shown) <= {999, 1000, 1001}
    assert meter.voltage_10mv == pytest.approx(23000, rel=1e-3)


def test_a_sample_a_minute_gets_there_too():
    hardware, load, _, _, meter, _ = rig(300, period_s=60)
    for minute in range(1, 9):
        hardware.advance(minute * 60)
        assert meter.sample(minute * 60)
    assert meter.power_w == 300 and meter.voltage_10mv == pytest.approx(23000, rel=1e-3)
    assert meter.current_ma == pytest.approx(1304, rel=2e-3) and meter.energy_wh == pytest.approx(40, abs=1)


def test_an_over_current_reaches_the_trip_within_200_ms_whatever_cf1_is():
    for wait_s in range(6):
        hardware, load, _, _, meter, trip = rig(1000)
        run(hardware, meter, 12 + wait_s)
        load.draw(hardware.now_s, 4000)
        trip.seen.clear()
        start_s = hardware.now_s
        for ms in range(50, 251, 50):
            hardware.advance(start_s, ms)
            meter.poll()
        assert max(row[0] for row in trip.seen) > 16000, "%d s: %r" % (wait_s, trip.seen)


def test_a_voltage_is_said_to_the_trip_once_and_a_bad_one_is_looked_at_again_at_once():
    """A third of an odd second opens nothing, whatever the power's samples repeat; what lasts opens within 8 s."""
    hardware, _, mains, _, meter, _ = rig(1000)
    meter._trip = trip = Trip(None)
    trip.arm(16000, 3680, 26500, 18000)
    run(hardware, meter, 12)
    checks = []
    meter._trip = type("Both", (), {"check": lambda self, *row: (trip.check(*row), checks.append(trip._voltage_count)),
                                    "outside": lambda self, voltage_10mv: trip.outside(voltage_10mv)})()
    for third in range(18):  # whatever the turn is at
        for ms in range(50, 1050, 50):
            mains.volts_10mv = 43000 if third % 3 * 330 < ms <= third % 3 * 330 + 330 else 23000
            hardware.advance(hardware.now_s + ms // 1000, ms % 1000)
            meter.poll()
        run(hardware, meter, 12 + third // 3)
        assert not trip.latch and not trip._voltage_count
    assert max(checks) == 1, "none of these seconds was seen"
    mains.volts_10mv = 40000
    began_s = hardware.now_s
    while not trip.latch and hardware.now_s < began_s + 20:
        run(hardware, meter, 1)
    assert trip.latch == ALARM_OVER_VOLTAGE and hardware.now_s - began_s <= 8
    run(hardware, meter, 12)
    assert meter.current_ma == pytest.approx(2500, rel=0.02), "the current gets its turn all the same"


def test_a_power_that_was_not_measured_anew_does_not_count_twice():
    trip = Trip(None)
    trip.arm(16000, 3680, 26500, 18000)
    trip.check(1000, 4000, 23000)
    trip.check(1000, ABSENT, ABSENT)
    assert not trip.latch
    trip.check(1000, -4000, ABSENT)
    assert trip.latch == ALARM_OVER_POWER, "power either way is too much"


def test_late_interrupts_do_not_trip():
    hardware, load, _, chip, meter, trip = rig(2000)
    chip.jitter_us = 1000  # the loop runs Python; an interrupt waits
    run(hardware, meter, 60)
    watts = [row[1] for row in trip.seen if row[1] != ABSENT]
    assert min(watts[10:]) > 1850 and max(watts) < 2150
    assert meter.power_w == pytest.approx(2000, rel=1e-2)


def test_a_chip_without_pulses_is_a_fault_once_the_voltage_was_missed_twice():
    hardware, _, _, chip, meter, trip = rig(1000)
    run(hardware, meter, 12)
    chip.dead = True
    trip.seen.clear()
    run(hardware, meter, 14)
    assert meter.fault and meter.voltage_10mv == ABSENT and meter.current_ma == ABSENT
    assert all(row[2] != 0 for row in trip.seen), "a chip that is dead is no under-voltage"
    chip.dead = False
    run(hardware, meter, 8)
    assert not meter.fault and meter.power_w == 1000
    run(hardware, meter, 6)
    assert meter.voltage_10mv == pytest.approx(23000, rel=1e-3)


def test_a_dip_of_the_supply_costs_its_pulses_only():
    hardware, _, _, chip, meter, _ = rig(2000)
    run(hardware, meter, 100)
    chip.restart()
    run(hardware, meter, 100)
    assert meter.energy_wh == pytest.approx(111, abs=1) and not meter.fault and meter.power_w == 2000


def test_lost_pulses_are_lost_energy_and_nothing_else():
    hardware, _, _, chip, meter, _ = rig(2000)
    run(hardware, meter, 10)
    chip.lose = 40  # interrupts off while flash is erased
    shown = []
    run(hardware, meter, 10, after=lambda: shown.append(meter.power_w))
    assert min(shown) > 1400 and shown[-1] == 2000


def test_noise_on_the_line_is_no_power_and_no_energy():
    hardware, load, _, chip, meter, trip = rig(1000)
    run(hardware, meter, 12)
    before_wh, power = meter.energy_wh, meter.power_w
    for ms in range(900):  # 40 kHz on CF: 400 kW
        hardware.advance(12, ms)
        chip.glitch(True, 40)
    hardware.advance(13)
    meter.sample(13)
    assert meter.errors >= 1 and meter.power_w == power and meter.energy_wh == before_wh
    assert max(row[1] for row in trip.seen) < 1100


@given(st.lists(st.tuples(st.integers(0, 2_000_000), st.integers(0, 200), st.booleans(), st.booleans()), max_size=30))
@settings(max_examples=150, deadline=None)
def test_whatever_pulses_come_nothing_breaks_and_energy_never_runs_backward(events):
    hardware, _, _, chip, meter, trip = rig(0)
    at_us, before = 0, 0
    for wait_us, pulses, cf, sample in events:
        at_us += wait_us
        hardware.advance(at_us // 1000000, at_us // 1000 % 1000, at_us % 1000)
        chip.glitch(cf, pulses)
        if sample:
            meter.sample(hardware.now_s)
        else:
            meter.poll()
        assert meter.energy_wh >= before and 0 <= meter.power_dw <= 180000
        assert meter.current_ma == ABSENT or 0 <= meter.current_ma <= 80000
        before = meter.energy_wh


def test_an_edge_between_looking_and_marking_is_counted_and_does_no_harm():
    class Racing(Edges):
        """An interrupt comes just before the window is marked."""

        racing = False
        _m = 0

        @property
        def _mark(self):
            return self._m

        @_mark.setter
        def _mark(self, value):
            if self.racing:
                self.racing = False
                now[0] += 1000
                self.edge(None)
            self._m = value

    now = [0]
    edges = Racing(lambda: now[0], 1 << 29)
    edges.worth = worth(1000000)
    total = 0
    for i in range(1, 400):
        now[0] += 1000
        edges.edge(None)
        if i % 10 == 0:
            edges.racing = i % 20 == 0
            edges.take(now[0])
            total += edges.count
            assert i == 10 or edges.value == 1000, "one edge a ms"
    edges.take(now[0])
    assert total + edges.count == edges.n, "energy is each of them"


def test_a_reference_load_corrects_the_calibration():
    hardware, _, _, _, meter, _ = rig(1000)
    run(hardware, meter, 12)
    found = meter.adjust((meter.voltage_10mv, meter.current_ma, meter.power_dw), (23230, 4391, 10300))
    assert meter.use(found)
    run(hardware, meter, 12)
    assert meter.power_w == 1030 and meter.voltage_10mv == pytest.approx(23230, rel=1e-3)
    assert meter.current_ma == pytest.approx(4391, rel=2e-3)


class _Log:
    def info(self, *arguments):
        pass


@pytest.mark.parametrize("chip", ["hlw8012", "bl0937"])
def test_a_board_is_built_with_it(chip):
    hardware = Hardware()
    PulseChip(hardware, Appliance(1500), Mains(), CF, CF1, SEL, chip)
    part = {"driver": "hlw8012", "cf_pin": CF, "cf1_pin": CF1, "sel_pin": SEL, "chip": chip}
    board = build({"name": "x", "parts": {"meter": part}}, {}, hardware, _Log())
    run(hardware, board.meter, 12)
    assert board.meter.power_w == pytest.approx(1500, abs=2)
    assert board.meter.voltage_10mv == pytest.approx(23000, rel=1e-3)
