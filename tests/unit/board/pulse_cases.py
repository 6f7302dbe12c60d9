"""The pulse output of a meter: cases that run on CPython and on MicroPython."""

from board_rig import Clockwork, NoTrip, Seeded

from spot.board.board import Board
from spot.board.pulse import make
from spot.codes import ABSENT
from spot_sim.chips.pulse import S0Output


class Source:
    def __init__(self, watts):
        self.watts = watts

    def power_w(self, now_s):
        return self.watts


class Bench(Clockwork):
    def __init__(self, watts, per_kwh=1000, width_ms=30, start_ms=None, **part):
        super().__init__()
        if start_ms is not None:
            self.hardware.advance(start_ms // 1000, start_ms % 1000)
        self.source = Source(watts)
        self.output = S0Output(self.hardware.line(8), self.source, per_kwh, width_ms)
        board = Board(None)
        board.trip = self.trip = NoTrip()
        found = {"pin": 8, "per_kwh": per_kwh}
        found.update(part)
        self.meter = make(found, self.hardware, board, self.hardware.ticks_ms, "meter")
        self.output.start()

    def given(self):
        """What the meter gave, when the last of its pulses is over."""
        watts, self.source.watts = self.source.watts, 0
        self.run(3)
        self.source.watts = watts
        return self.output.pulses

    def turn(self, stepping):
        if self.meter.poll() or stepping:
            self.meter.sample(self.now_s)


def test_power_is_the_energy_of_a_pulse_over_the_time_between_two():
    for watts, per_kwh in (
        (230, 1000), (2000, 1000), (11000, 1000), (3000, 500), (60, 10000), (22000, 2000), (3000, 50)
    ):
        bench = Bench(watts, per_kwh)
        bench.run(120 if per_kwh > 50 else 200)
        assert abs(bench.meter.power_dw - watts * 10) <= watts * 10 // 100 + 1, (watts, per_kwh, bench.meter.power_dw)
        assert abs(bench.meter.power_w - watts) <= watts // 100 + 1
        assert bench.trip.checked[-1] == (ABSENT, bench.meter.power_w, ABSENT)


def test_not_a_pulse_is_lost_nor_a_fraction_of_one():
    for per_kwh in (1000, 800, 333, 10000):
        bench = Bench(3700, per_kwh)
        bench.run(1200)
        pulses = bench.given()
        assert pulses > 100 and bench.meter.energy_wh == pulses * 1000 // per_kwh, per_kwh
        assert bench.meter.errors == 0


def test_without_load_power_falls_as_one_over_time_to_nothing():
    bench = Bench(2000)
    bench.run(60)
    bench.source.watts = 0
    bench.run(4)  # a pulse that was due in the second that ran is still given
    latest = bench.output.pulses
    seen = []
    for _ in range(60):
        bench.run(10)
        seen.append(bench.meter.power_w)
    assert bench.output.pulses == latest
    assert all(later <= earlier for earlier, later in zip(seen, seen[1:]))  # noqa: B905 - MicroPython has no strict
    for i in range(len(seen)):
        assert seen[i] <= 3600 // (10 * (i + 1) - 2) + 1, "not more than the pulse that has not come allows"
    bench.run(7200)
    assert bench.meter.power_w == 0 and not bench.meter.fault


def test_power_rises_with_the_second_of_the_faster_pulses():
    bench = Bench(100)
    bench.run(200)
    bench.source.watts = 3600
    bench.run(41)  # up to one slow interval, then one a second
    assert abs(bench.meter.power_w - 3600) <= 36


def test_contact_bounce_counts_once():
    bench = Bench(7200, width_ms=40)
    bench.output.bounce = (400, 300, 900, 700, 300, 200)
    bench.run(300)
    assert abs(bench.meter.power_w - 7200) <= 72
    assert bench.given() == bench.meter.energy_wh > 500 and bench.meter.errors == 0


def test_noise_counts_nothing():
    rng = Seeded(7)
    bench = Bench(0)
    for _ in range(400):
        bench.run(1)
        bench.output.spike(1 + rng.below(20000))
    assert bench.meter.energy_wh == 0 and bench.meter.power_w == 0
    assert bench.meter.errors >= 380, "and it is counted as such"


def test_noise_between_pulses_does_not_disturb_them():
    rng = Seeded(8)
    bench = Bench(1800)  # one pulse in two seconds
    bench.run(9)
    for _ in range(100):
        bench.run(2)
        if bench.hardware.line(8).level:
            bench.hardware.call_in_us(500000 + rng.below(300000), lambda: bench.output.spike(rng.below(3000) + 10))
    assert abs(bench.meter.power_w - 1800) <= 20
    assert bench.given() == bench.meter.energy_wh


def test_pulses_shorter_than_the_shortest_are_none_and_that_is_a_setting():
    bench = Bench(3600, width_ms=20)
    bench.run(60)
    assert bench.meter.energy_wh == 0 and bench.meter.errors > 50
    bench = Bench(3600, width_ms=20, min_pulse_ms=15)
    bench.run(60)
    assert bench.given() == bench.meter.energy_wh


def test_without_an_interrupt_polls_see_long_pulses():
    bench = Bench(3600, width_ms=120, irq=0)
    bench.run(600)
    assert abs(bench.meter.power_w - 3600) <= 400, "to the poll's 50 ms"
    assert bench.given() == bench.meter.energy_wh > 590


def test_dropped_pulses_are_missing_and_nothing_else():
    bench = Bench(3600)
    bench.run(60)
    bench.output.dropped = 5
    bench.run(60)
    assert bench.given() == bench.meter.energy_wh
    bench.output.dead = True
    bench.run(3600)
    assert bench.meter.power_w <= 1 and not bench.meter.fault, "a dead meter and no load look the same"


def test_a_line_that_stays_active_is_a_fault():
    bench = Bench(3600)
    bench.run(30)
    bench.output.stuck = True
    bench.run(3700)
    assert bench.meter.fault and bench.meter.power_w <= 1
    bench.output.stuck = False
    bench.run(10)
    assert not bench.meter.fault


def test_a_line_that_is_active_at_the_start_is_no_pulse():
    bench = Bench(0)
    bench.hardware.line(8).drive(0)
    bench = Bench(0)
    line = bench.hardware.line(8)
    line.drive(0)
    board = Board(None)
    board.trip = NoTrip()
    meter = make({"pin": 8, "per_kwh": 1000}, bench.hardware, board, bench.hardware.ticks_ms, "meter")
    bench.meter = meter
    bench.run(2)
    line.drive(1)
    bench.run(12)
    assert meter.energy_wh == 0


def test_it_goes_on_over_the_wrap_of_the_ticks_and_after_a_week_without_a_pulse():
    bench = Bench(1800, start_ms=(1 << 30) - 20000)
    bench.run(60)
    assert abs(bench.meter.power_w - 1800) <= 20 and bench.given() == bench.meter.energy_wh >= 30
    bench = Bench(0)
    bench.output.pulse()
    bench.run(1)
    for _ in range(7 * 24):
        bench.jump(3600)
        bench.turn(True)
    assert bench.meter.energy_wh == 1 and bench.meter.power_w == 0
    for _ in range(3):
        bench.output.pulse()
        bench.run(2)
    assert bench.meter.energy_wh == 4, "the first one after the week too"
    assert abs(bench.meter.power_w - 1800) < 30


def test_there_is_nothing_to_calibrate():
    meter = Bench(100).meter
    assert meter.calibration() == () and meter.adjust((1, 2, 3), (1, 2, 3)) is None
    assert (meter.voltage_10mv, meter.current_ma, meter.frequency_mhz, meter.energy_export_wh) == (ABSENT,) * 4
