"""The power-fail input: cases that run on CPython and on MicroPython."""

from board_rig import Clockwork, Seeded

from spot.board.power_fail import make


class Bench(Clockwork):
    def __init__(self, level=1, start_ms=None):
        super().__init__()
        if start_ms is not None:
            self.hardware.advance(start_ms // 1000, start_ms % 1000)
        self.line = self.hardware.line(5)
        self.line.drive(level)
        self.input = make({"pin": 5}, self.hardware, None, self.hardware.ticks_ms, "power_fail")

    def turn(self, stepping):
        self.input.poll()


def test_the_edge_latches_and_its_time_is_that_of_the_edge_not_of_the_poll():
    bench = Bench()
    bench.run(10)
    assert not bench.input.failed
    bench.hardware.call_in_us(13000, lambda: bench.line.drive(0))
    edge_ms = bench.hardware.now_ms + 13
    bench.tick(50)
    assert bench.input.failed and bench.input.since_ms == edge_ms


def test_a_poll_three_milliseconds_after_the_edge_is_enough_and_one_at_once_is_not():
    bench = Bench()
    bench.run(1)
    bench.line.drive(0)
    bench.input.poll()
    assert not bench.input.failed
    bench.tick(3)
    assert bench.input.failed


def test_single_spikes_are_none_however_many():
    bench = Bench()
    rng = Seeded(4)
    for _ in range(500):
        bench.run(1)
        bench.line.pulse(10 + rng.below(1900), 0)
        bench.hardware.call_in_us(rng.below(40000) + 3000, lambda: bench.line.pulse(10 + rng.below(1900), 0))
        bench.tick(rng.below(2) + 1)
        assert not bench.input.failed
    bench.line.drive(0)
    bench.tick(3)
    assert bench.input.failed


def test_the_mains_is_back_after_half_a_second_without_a_gap():
    bench = Bench()
    bench.line.drive(0)
    bench.tick(50)
    assert bench.input.failed
    bench.line.drive(1)
    bench.tick(400)
    assert bench.input.failed
    bench.line.pulse(100, 0)
    bench.tick(400)
    assert bench.input.failed, "it chatters: not back yet"
    bench.run(1)
    assert not bench.input.failed
    bench.line.drive(0)
    bench.tick(50)
    assert bench.input.failed, "and it can fail again"


def test_a_start_without_mains_is_a_failure():
    bench = Bench(level=0)
    bench.run(1)
    assert bench.input.failed


def test_over_the_wrap_of_the_ticks():
    bench = Bench(start_ms=(1 << 30) - 2)
    bench.line.drive(0)
    bench.tick(3)
    assert bench.input.failed
    bench.line.drive(1)
    bench.run(1)
    assert not bench.input.failed


def test_without_an_interrupt_two_polls_do():
    bench = Bench()
    bench.line.handler = None
    bench.line.drive(0)
    bench.tick(50)
    assert not bench.input.failed
    bench.tick(50)
    assert bench.input.failed
