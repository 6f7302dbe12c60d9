"""A plug through made-up histories of samples, commands, presses, faults and restarts; what is measured on its contact,
on the mains and on the flash must keep the rules of the house, whatever came in whatever order.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from spot.codes import (
    ABSENT,
    DECIDER_DEFAULT,
    DECIDER_FAILSAFE,
    DECIDER_GUARD,
    DECIDER_LIMIT,
    DECIDER_OVERRIDE,
    DECIDER_SET_POINT,
    DECIDER_SHEDDING,
    DECIDER_TRIP,
    KIND_OFF,
    KIND_ON,
    OBJ_RELAY,
    R_DECIDER,
    R_STATE,
    SWITCH_CLOSED,
    SWITCH_OVERRIDE,
    SWITCH_TRIPPED,
)
from tests.unit.device.rig import plug

MIN_ON, MIN_OFF, GRACE, OVERRIDE_S = 15, 25, 10, 120
RATED_MA = 16000


class PlugMachine(RuleBasedStateMachine):
    @initialize(sense=st.booleans(), policy=st.sampled_from(["yes", "no", "not_limits"]), consent=st.booleans(),
                hold=st.booleans(), fails=st.sampled_from([False, False, True]),
                power_on=st.sampled_from(["last", "off", "on"]))
    def start(self, sense, policy, consent, hold, fails, power_on):
        self.hold, self.consent, self.fails = hold, consent, fails
        self.bench = plug(
            {"min_on_s": MIN_ON, "min_off_s": MIN_OFF, "limit_grace_s": GRACE, "override": policy, "power_on": power_on,
             "override_s": OVERRIDE_S, "shed_consent": consent, "shed_delay_s": 3, "shed_restore_s": 20,
             "shed_spread_s": 0, "voltage_recover_s": 30},
            start_s=100, sense=9 if sense else None, temperature=4000, changes={"relay_hold": hold},
        )
        bench = self.bench
        self.kind = self.limit_w = ABSENT
        self.decider = DECIDER_DEFAULT
        self.was = bench.contact.closed
        self.moved_s = bench.now_s
        self.failed = False
        self.shown_wh = 0
        self.over_s = 0
        self.asked = True  # the device knows of the limit: not so after a restart that nobody followed up
        bench.hardware.line(2).watch(self.coil)
        self.coils = []

    def coil(self, now_s, level):
        """Sees every edge at the pin, between steps too."""
        if not level or not hasattr(self, "coils"):
            return
        board = self.bench.board
        assert not board.trip.latch, "closed while tripped"
        assert self.bench.hardware.line(2).level == 1

    # --- what happens -----------------------------------------------------------------------------------------------

    def ask(self, late=False):
        if late:  # a sample comes in with it, and no step before
            self.bench.now_s += 1
        self.bench.ask(self.kind, limit_w=self.limit_w, decider=self.decider)
        self.asked = True
        self.look()

    @rule(seconds=st.sampled_from([1, 2, 3, 5, 8, 12, 20, 27, 40, 70]))
    def passes(self, seconds):
        for _ in range(seconds):
            self.second()

    @rule(kind=st.sampled_from([ABSENT, KIND_OFF, KIND_ON]), late=st.booleans())
    def commands(self, kind, late):
        self.kind = kind
        if kind != ABSENT:
            self.decider = DECIDER_SET_POINT
        elif self.decider == DECIDER_SET_POINT:
            self.decider = DECIDER_LIMIT if self.limit_w != ABSENT else DECIDER_DEFAULT
        self.ask(late)

    @rule(limit_w=st.sampled_from([ABSENT, 0, 500, 1500, 3000]), by=st.sampled_from([DECIDER_LIMIT, DECIDER_FAILSAFE]),
          late=st.booleans())
    def limits(self, limit_w, by, late):
        self.limit_w = limit_w
        self.decider = by if limit_w != ABSENT else DECIDER_DEFAULT
        self.over_s = 0
        self.ask(late)

    @rule(watts=st.sampled_from([0, 3, 400, 1000, 2000, 2000, 3500, 5000]), asks=st.booleans())
    def draws(self, watts, asks):
        self.bench.load.draw(self.bench.now_s, watts)
        if asks and self.limit_w == ABSENT:  # what asks comes with the sample that trips
            absent = self.kind == ABSENT
            self.kind, self.decider = (KIND_OFF, DECIDER_SET_POINT) if absent else (ABSENT, DECIDER_DEFAULT)
            self.ask(late=True)

    @rule(what=st.sampled_from([
        ("volts", 28000), ("volts", 15000), ("mhz", 49700), ("mhz", 49700), ("mhz", 49900), ("mhz", 30000),
        ("c100", 9000), ("c100", ABSENT), ("c100", 20000), ("dead", True), ("weld", True), ("stay", True),
        ("right", 0), ("right", 0), ("right", 0), ("right", 0),
    ]))
    def goes_wrong(self, what):
        """Mains, sensors and, in some histories, the contact itself; and all is well again."""
        bench = self.bench
        name, value = what
        sensor = bench.hardware.sensors["device"]
        if name == "volts":
            bench.mains.volts_10mv = value
        elif name == "mhz":
            bench.mains.mhz = value
        elif name == "c100":
            sensor.value = value
        elif name == "dead":
            bench.chip.dead = True
        elif name == "right":
            bench.mains.volts_10mv, bench.mains.mhz, sensor.value, bench.chip.dead = 23000, 50000, 4000, False
            bench.contact.welded = bench.contact.stuck_open = False
        elif self.fails:
            self.failed = True
            setattr(bench.contact, "welded" if name == "weld" else "stuck_open", True)
        self.look()

    @rule(held_ms=st.sampled_from([200, 200, 200, 3500, 10500]))
    def presses(self, held_ms):
        enabled = self.bench.device.remote_close
        self.over_s = 0
        self.bench.press(held_ms)
        assert (self.bench.device.remote_close != enabled) == (held_ms == 3500), "enabled at the device alone"
        self.look()

    @rule(value=st.integers(0, 1))
    def writes(self, value):
        self.bench.device.write(self.bench.now_s, OBJ_RELAY, value)
        self.look()

    @rule(cut=st.booleans(), announced=st.booleans(), silent=st.booleans())
    def restarts(self, cut, announced, silent):
        bench = self.bench
        latched = bench.device._latched
        if cut and announced:
            bench.device.power_failed(bench.now_s)
        if cut:
            bench.hardware.power_cut()
            bench.hardware.line(3).level = 1
        else:
            bench.hardware.restart()
            if not self.hold:
                bench.hardware.line(2).drive(0)  # the pads fall
        closed = bench.hardware.line(2).level == 1
        if self.was and not closed or not self.hold or cut:
            self.moved_s = bench.now_s  # every reset counts as a switch-off there
        self.was = bench.contact.closed
        bench.boot()
        assert bench.device._latched == latched, "what latches is kept"
        # after a watchdog's reset up to a checkpoint is lost; announced, nothing is
        if cut and announced:
            assert bench.device.counters.energy_wh >= self.shown_wh
        self.shown_wh = bench.device.counters.energy_wh
        self.over_s = 0
        bench.step()
        self.asked = False
        if not silent:
            self.ask()
        self.look()

    # --- what must hold ---------------------------------------------------------------------------------------------

    def second(self):
        bench = self.bench
        bench.run(1)
        self.look()
        device = bench.device
        assert device.counters.energy_wh >= self.shown_wh, "energy went back"
        self.shown_wh = device.counters.energy_wh
        lifted = device._lifts and device._override == 1
        over = (
            bench.contact.closed and not self.failed and self.limit_w != ABSENT and bench.load.watts > self.limit_w
            and not lifted and device._told and self.asked and not bench.chip.dead
        )
        self.over_s = self.over_s + 1 if over else 0
        assert self.over_s <= GRACE + MIN_ON + 3, "above its limit for longer than grace and least time on allow"
        if lifted:
            assert self.decider != DECIDER_FAILSAFE, "failsafe is never lifted"

    def look(self):
        bench = self.bench
        if not hasattr(self, "failed"):
            return
        device, contact, relay = bench.device, bench.contact, bench.board.relay
        readings = device.readings
        closed = contact.closed
        if closed != self.was:
            span = bench.now_s - self.moved_s
            if not self.failed:
                if closed:
                    assert span >= MIN_OFF, "least time off, measured on the contact"
                    if not device.choice:
                        assert device.remote_close and self.kind == KIND_ON or device._override == 1, (
                            "no command closes what the household switched off, where that is not enabled")
                else:
                    assert bench.board.trip.latch or span >= MIN_ON, "least time on, but for a trip"
            self.was, self.moved_s = closed, bench.now_s
        if bench.board.trip.latch:
            assert not relay.closed, "tripped and told to be closed"
            assert closed is False or contact.welded
        if closed and not relay.closed and device._stuck >= 2:
            assert readings[R_STATE] & SWITCH_CLOSED, "a welded relay is never reported off"
        # precedence: who decides is named, and the higher one was not passed over
        decider = readings[R_DECIDER]
        state = readings[R_STATE]
        assert bool(state & SWITCH_OVERRIDE) == (device._override != ABSENT)
        if decider == DECIDER_TRIP:
            assert state & SWITCH_TRIPPED
        if decider in (DECIDER_SHEDDING, DECIDER_OVERRIDE, DECIDER_SET_POINT, DECIDER_LIMIT, DECIDER_DEFAULT):
            assert not device._taken, "a trip is above all"
        if device.shedding is not None and device.shedding.active and relay.closed:
            assert decider in (DECIDER_GUARD, DECIDER_TRIP), "only a guard is above shedding"
        if decider == DECIDER_SHEDDING:
            assert self.consent and not relay.closed
        assert device._override_until_s - bench.now_s <= OVERRIDE_S

    @invariant()
    def physics(self):
        if not hasattr(self, "failed"):
            return
        bench = self.bench
        # over-current acts on the first sample: after two steps none flows through a contact that is whole
        if bench.contact.closed and not bench.contact.welded and not bench.chip.dead:
            if bench.load.watts * 100_000 // max(1, bench.mains.volts_10mv) > RATED_MA * 102 // 100:
                self.second()
                self.second()
                assert not bench.contact.closed, "over-current"
                assert bench.board.trip.latch


PlugMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestPlug = PlugMachine.TestCase
