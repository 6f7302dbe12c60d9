"""Relays and the contacts behind them: cases that run on CPython and on MicroPython."""

from board_rig import Clockwork, Seeded

from spot.board import latching_relay, relay, sg_ready, zero_cross
from spot.codes import ABSENT
from spot_sim.chips.contacts import CLOSED, OPEN, RelayContact, SgReadyContacts, ZeroCrossing


class Load:
    """Notes when it gets and loses its supply."""

    def __init__(self):
        self.supply = False
        self.changes = 0

    def set_supply(self, now_s, closed):
        self.changes += closed != self.supply
        self.supply = closed


class Plain:
    relay_hold = warm = False


class Bench(Clockwork):
    """A relay on pin 2 with an auxiliary contact on pin 6, a detector on pin 7."""

    def __init__(self, module=relay, contact=None, start_ms=None, half_us=10000, **part):
        super().__init__()
        if start_ms is not None:
            self.hardware.advance(start_ms // 1000, start_ms % 1000)
        self.load = Load()
        found = {"pin": 2, "sense": 6}
        if module is zero_cross:
            found.update({"zero_cross_pin": 7, "close_delay_ms": 12, "open_delay_ms": 5})
        found.update(part)
        self.mains = ZeroCrossing(self.hardware.line(7), half_us)
        self.contact = RelayContact(self.hardware.line(2), self.load, sense=self.hardware.line(6), **(contact or {}))
        self.relay = module.make(found, self.hardware, Plain, self.hardware.ticks_ms, "relay")

    def written(self):
        """A list into which the microseconds go at which the relay's pin is written."""
        edges = []
        self.hardware.line(2).watch(lambda now_s, level: edges.append(self.hardware.now_us()))
        return edges

    def turn(self, stepping):
        self.relay.poll()


def test_the_contact_follows_after_its_delays_and_settle_ms_is_enough_for_them():
    bench = Bench(contact={"close_ms": 12, "open_ms": 5, "bounce": (300, 500, 200)})
    for closed in (True, False, True):
        bench.relay.set(closed)
        bench.tick(4)
        assert bench.contact.closed != closed and bench.relay.position == (0 if closed else 1)
        bench.tick(bench.relay.settle_ms - 4)
        assert bench.contact.closed == closed == bench.load.supply and bench.relay.position == (1 if closed else 0)
        changes = bench.load.changes
        bench.run(1)
        assert bench.load.changes == changes, "it has come to rest"
    assert bench.contact.operations == bench.relay.switches == 3
    assert bench.load.changes > 3, "and bounced on the way"


def test_a_stuck_contact_shows_where_an_auxiliary_one_is_wired_and_else_nobody_knows():
    bench = Bench()
    bench.relay.set(True)
    bench.contact.welded = True
    bench.relay.set(False)
    bench.run(1)
    assert not bench.relay.closed and bench.relay.position == 1 and bench.load.supply
    bench.contact.welded = False
    assert bench.relay.position == 0
    bench.contact.stuck_open = True
    bench.relay.set(True)
    bench.run(1)
    assert bench.relay.closed and bench.relay.position == 0 and not bench.load.supply
    plain = relay.make({"pin": 12}, bench.hardware, Plain, bench.hardware.ticks_ms, "relay")
    assert plain.position == ABSENT


def test_a_contact_wears_out_the_way_it_does():
    for fails in (OPEN, CLOSED):
        bench = Bench(contact={"life": 10, "fails": fails})
        for i in range(20):
            bench.relay.set(i % 2 == 0)
            bench.run(1)
        assert bench.relay.position == (1 if fails == CLOSED else 0)
        assert bench.relay.switches == 20 and 10 <= bench.contact.operations <= 11


def test_a_relay_that_is_told_otherwise_before_it_moved_does_not_move():
    bench = Bench(contact={"close_ms": 12, "open_ms": 12})
    bench.relay.set(True)
    bench.tick(5)
    bench.relay.set(False)
    bench.run(1)
    assert bench.contact.operations == 0


def test_contacts_move_at_a_zero_crossing_within_ten_milliseconds_of_waiting():
    rng = Seeded(1)
    for half_us in (10000, 8333, 10050):
        bench = Bench(zero_cross, {"close_ms": 12, "open_ms": 5}, half_us=half_us)
        bench.mains.start()
        bench.run(3)
        edges = bench.written()
        for i in range(40):
            bench.tick(1 + rng.below(60))
            asked = bench.hardware.now_us()
            bench.relay.set(i % 2 == 0)
            for _ in range(4):
                bench.tick(7)
            assert len(edges) == i + 1 and edges[-1] - asked <= half_us, "not longer than a half-wave"
            moved = bench.contact.moves[-1][0]
            assert bench.mains.at_us(moved) <= 1100, (half_us, i, bench.mains.at_us(moved))
            assert bench.contact.closed == (i % 2 == 0)


def test_without_crossings_nothing_waits():
    bench = Bench(zero_cross)
    bench.relay.set(True)
    assert bench.hardware.line(2).level == 1, "none has ever come"
    bench.mains.start()
    bench.run(2)
    bench.mains.stop()
    bench.tick(40)
    bench.relay.set(False)
    assert bench.hardware.line(2).level == 0, "the mains is gone"


def test_noise_is_not_taken_for_crossings():
    for seed in range(8):
        bench = Bench(zero_cross)
        rng = Seeded(seed)
        for _ in range(60):
            bench.hardware.line(7).pulse(1 + rng.below(300))
            bench.tick(12 + rng.below(12))
        bench.relay.set(True)
        assert bench.hardware.line(2).level == 1, seed


def test_a_trip_never_waits_and_what_waited_does_not_close_behind_it():
    bench = Bench(zero_cross)
    bench.mains.start()
    bench.run(2)
    for ahead in range(10):
        bench.tick(1)
        bench.relay.set(True)
        bench.relay.trip()
        assert bench.hardware.line(2).level == 0 and not bench.relay.closed
        bench.run(1)
        assert bench.hardware.line(2).level == 0, ahead


def test_a_timer_that_never_fires_is_no_reason_not_to_switch():
    bench = Bench(zero_cross, start_ms=(1 << 30) - 60)
    bench.mains.start()
    bench.tick(50)
    bench.hardware._timers.clear()
    bench.tick(3)
    bench.relay.set(True)
    bench.tick(50)
    assert bench.hardware.line(2).level == 1


def test_a_latching_relay_tells_its_position_and_settles_with_its_pulse():
    bench = Bench()
    part = {"set_pin": 10, "reset_pin": 11, "sense": 6}
    bench.hardware.line(6).drive(1)
    found = latching_relay.make(part, bench.hardware, Plain, bench.hardware.ticks_ms, "relay")
    assert found.position == 1 and found.held and found.closed and found.settle_ms == 60


def test_sg_ready_reads_back_what_the_contacts_show():
    bench = Bench()
    hardware = bench.hardware
    senses = hardware.line(24), hardware.line(25)
    contacts = SgReadyContacts(hardware.line(20), hardware.line(21), senses=senses)
    part = {"pins": (20, 21), "first_sense_pin": 24, "second_sense_pin": 25}
    driver = sg_ready.make(part, hardware, Plain, hardware.ticks_ms, "sg_ready")
    for state in (1, 3, 4, 2, 1, 4, 2, 3):
        driver.set(state)
        assert driver.position == driver.state == contacts.state == state
    driver.set(2)
    contacts.stuck = {0: CLOSED}
    contacts.moved()
    assert driver.state == 2 and driver.position == contacts.state == 1, "its lock is welded"
    plain = sg_ready.make({"pins": (22, 23)}, hardware, Plain, hardware.ticks_ms, "sg_ready")
    assert plain.position == ABSENT
    assert sg_ready.FIELDS[""]({"pins": (1, 2), "first_sense_pin": 3})[0] == "second_sense_pin"
