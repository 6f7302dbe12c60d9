"""Button and lamp: cases that run on CPython and on MicroPython."""

from board_rig import Clockwork, Seeded

from spot.board.panel import (
    HELD,
    LONG,
    NO_LINK,
    NORMAL,
    PROVISIONING,
    SAFE_MODE,
    SHORT,
    UPDATING,
    Button,
    Led,
)
from spot.codes import SWITCH_CLOSED, SWITCH_OVERRIDE, SWITCH_TRIPPED
from spot_sim.chips.panel import Lamp, PushButton


class Bench(Clockwork):
    def __init__(self, bounce=(), down=False, handler=True):
        super().__init__()
        self.finger = PushButton(self.hardware.line(3), 0, bounce)
        if down:
            self.finger.down()
        ticks_ms = self.hardware.ticks_ms
        self.button = Button(self.hardware, ticks_ms, 3)
        if not handler:
            self.hardware.line(3).handler = None
        self.lamp = Lamp(self.hardware.line(4))
        self.led = Led(self.hardware, ticks_ms, 4, 1, self.button)
        self.events = []

    def turn(self, stepping):
        if self.button.poll() or stepping:
            event = self.button.take()
            if event:
                self.events.append(event)
        self.led.poll()

    def beats(self, seconds=2):
        """What the lamp shows in the next two seconds, which begin with a pattern."""
        start = (self.hardware.now_ms // 2000 + 1) * 2000
        while self.hardware.now_ms < start - 1:
            self.tick(min(20, start - 1 - self.hardware.now_ms))
        for _ in range(seconds * 80 + 3):
            self.tick(25)
        return self.lamp.beats(start, 8 * seconds)


def test_events_by_how_long_it_was_held():
    for held_ms, events in ((15, []), (60, [SHORT]), (80, [SHORT]), (300, [SHORT]), (2990, [SHORT]), (3000, [LONG]),
                            (5980, [LONG]), (6000, []), (9980, []), (10000, [HELD]), (29900, [HELD]), (30100, []),
                            (120000, [])):
        bench = Bench()
        bench.run(1)
        bench.tick(7)
        bench.finger.press(held_ms)
        bench.run(held_ms // 1000 + 2)
        assert bench.events == events, (held_ms, bench.events)


def test_six_to_ten_seconds_open_the_window_and_are_no_event():
    for held_ms, calls in ((5980, 0), (6000, 1), (9980, 1), (10000, 0), (40000, 0)):
        bench, opened = Bench(), []
        bench.button.on_window = lambda opened=opened: opened.append(1)
        bench.finger.press(held_ms)
        bench.run(5)
        assert not opened
        bench.run(held_ms // 1000 + 2)
        assert len(opened) == calls and len(bench.events) == (not calls and held_ms < 30000), held_ms


def test_the_lamp_shows_what_letting_go_would_do():
    for window in (None, lambda: None):
        bench = Bench()
        bench.button.on_window = window
        bench.finger.down()
        assert bench.beats() == "................", "up to the sixth second"
        assert bench.beats() == ("####....####...." if window else "................"), "no window, no light"
        assert bench.beats() == "###.###.###.###."


def test_an_event_comes_once_and_with_the_release():
    bench = Bench()
    bench.finger.press(4000)
    bench.run(3)
    assert bench.events == []
    bench.run(20)
    assert bench.events == [LONG]


def test_bounce_makes_one_event_of_each_press():
    rng = Seeded(2)
    for _ in range(30):
        bounce = tuple([1 + rng.below(3000) for _ in range(rng.below(9))])
        bench = Bench(bounce)
        for _ in range(5):
            bench.finger.press(100 + rng.below(400))
            bench.tick(rng.below(50) + 1)
            bench.run(1)
        bench.run(1)
        assert bench.events == [SHORT] * 5, bounce


def test_interference_presses_nothing():
    rng = Seeded(6)
    bench = Bench()
    for _ in range(300):
        bench.hardware.call_in_us(rng.below(50000), lambda: bench.hardware.line(3).pulse(5 + rng.below(15000), 0))
        bench.run(1)
    assert bench.events == []


def test_interference_does_not_end_a_long_press():
    bench = Bench()
    bench.finger.press(12000)
    for _ in range(11):
        bench.hardware.call_in_us(333333, lambda: bench.hardware.line(3).pulse(3000, 1))
        bench.run(1)
    bench.run(3)
    assert bench.events == [HELD]


def test_a_button_that_is_down_at_power_on_says_nothing():
    bench = Bench(down=True)
    bench.run(12)
    assert not bench.button.armed
    bench.finger.up()
    bench.run(2)
    assert bench.events == []
    bench.finger.press(200)
    bench.run(2)
    assert bench.events == [SHORT]


def test_ten_seconds_arm_and_thirty_are_stuck():
    bench = Bench()
    bench.finger.down()
    bench.run(9)
    assert not bench.button.armed
    bench.run(2)
    assert bench.button.armed and not bench.button.fault
    bench.run(20)
    assert bench.button.fault and not bench.button.armed
    bench.run(600)
    bench.finger.up()
    bench.run(2)
    assert bench.events == [] and not bench.button.fault
    bench.finger.press(10500)
    bench.run(12)
    assert bench.events == [HELD]


def test_a_button_stuck_for_weeks_stays_a_fault():
    bench = Bench()
    bench.finger.down()
    bench.run(40)
    for _ in range(30 * 24):
        bench.jump(3600)
        bench.turn(True)
        assert bench.button.fault
    bench.finger.up()
    bench.run(2)
    assert bench.events == []


def test_without_interrupts_polls_do():
    bench = Bench(handler=False)
    bench.finger.press(300)
    bench.run(2)
    assert bench.events == [SHORT]


def test_over_the_wrap_of_the_ticks():
    bench = Bench()
    bench.jump((1 << 30) // 1000 - 4)
    bench.turn(True)
    bench.finger.press(3500)
    bench.run(6)
    assert bench.events == [LONG]


PATTERNS = (
    (0, NORMAL, "................"),
    (SWITCH_CLOSED, NORMAL, "################"),
    (SWITCH_OVERRIDE | SWITCH_CLOSED, NORMAL, ".#.#############"),
    (SWITCH_OVERRIDE, NORMAL, "#.#............."),
    (SWITCH_TRIPPED, NORMAL, "#.#.#.#.#.#.#.#."),
    (0, NO_LINK, "...............#"),
    (SWITCH_CLOSED, NO_LINK, "###############."),
    (SWITCH_OVERRIDE, NO_LINK, "#.#............."),
    (SWITCH_CLOSED, PROVISIONING, "####....####...."),
    (SWITCH_CLOSED, UPDATING, "########........"),
    (SWITCH_CLOSED, SAFE_MODE, "#.#.#..........."),
    (SWITCH_TRIPPED | SWITCH_CLOSED, SAFE_MODE, "#.#.#.#.#.#.#.#."),
)


def test_each_state_has_a_light_of_its_own():
    for state, mode, beats in PATTERNS:
        bench = Bench()
        bench.led.show(state)
        bench.led.mode(mode)
        assert bench.beats() == beats, (state, mode)
    shown = [beats for _, _, beats in PATTERNS]
    assert len(set(shown)) == len(shown) - 2, "two pairs may look the same: an override, and a trip, come first"


def test_the_armed_reset_shows_above_everything_and_identify_above_a_trip():
    bench = Bench()
    bench.led.show(SWITCH_TRIPPED)
    bench.led.identify(1)
    assert bench.beats() == "##..##..##..##.."
    bench.finger.down()
    bench.run(11)
    assert bench.beats() == "###.###.###.###."
    bench.finger.up()
    bench.run(1)
    assert bench.beats() == "#.#.#.#.#.#.#.#."


def test_identify_ends_after_ten_seconds_or_when_told():
    bench = Bench()
    bench.led.identify(1)
    bench.run(8)
    assert bench.lamp.moves
    bench.run(3)
    assert bench.beats() == "................"
    bench.led.identify(1)
    bench.run(1)
    bench.led.identify(0)
    assert bench.beats() == "................"


def test_a_light_that_does_not_blink_is_switched_once():
    bench = Bench()
    bench.led.show(SWITCH_CLOSED)
    assert bench.lamp.moves[-1][1], "at once, not with the next poll"
    bench.run(60)
    assert len(bench.lamp.moves) == 1
