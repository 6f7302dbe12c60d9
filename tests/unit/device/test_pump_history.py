"""Random histories of commands, sensor values, faults, defrosts, presses and restarts against a simulated compressor
without any protection of its own: what wears a machine or freezes a house must not come from us.

All is measured on the plant: its compressor, its tank, its registers, the contacts; not on what the firmware says.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from spot.codes import (
    ABSENT,
    DECIDER_LIMIT,
    DECIDER_SET_POINT,
    KIND_BAND,
    KIND_BOOST,
    KIND_OFF,
    KIND_OFFSET,
    KIND_ON,
    KIND_SG_READY,
    KIND_SHUTDOWN,
)
from tests.unit.device.pump_rig import DAY, talking
from tests.unit.device.test_heat_pump import Button

TICK = 60  # s: a step of plant and device
SLACK = 2 * TICK
MIN_RUN, MIN_PAUSE, STARTS, HOUR = 600, 420, 3, 3600
BUDGET, WEEK_S, RUN_S = 12, 2 * DAY, 14400
DEFROST_MAX, DEFROST_AFTER, DEFROST_GAP = 600, 120, 600
CONFIG = {
    "min_run_s": MIN_RUN, "min_pause_s": MIN_PAUSE, "starts_per_hour": STARTS, "sg_hold_s": 0, "running_delay_s": 30,
    "machine_writes_per_day": BUDGET, "machine_interval_s": 0, "legionella_days": 2, "legionella_max_s": RUN_S,
    "defrost_max_s": DEFROST_MAX, "defrost_after_s": DEFROST_AFTER, "defrost_gap_s": DEFROST_GAP,
    "defrost_flow": 0, "hot_water_low": 4000, "override": "yes",
}


class Histories(RuleBasedStateMachine):
    @initialize(speaks=st.booleans(), demand=st.booleans())
    def begin(self, speaks, demand):
        self.bench = bench = talking(CONFIG, watts=0, board="sim_heat_pump", wears=True, utc_s=300 * DAY)
        self.machine, self.speaks, self.demand = bench.machine, speaks, demand
        bench.machine.told.clear()
        self.running = False
        self.changed_s = bench.now_s - 7200  # of the compressor
        self.starts = []  # seconds
        self.locked, self.locked_s = False, 0
        self.tank, self.hot_s, self.clean_s = 4800.0, None, bench.now_s
        self.excused_s = 0  # of the present legionella period: it could not be measured or heated
        self.cold_s = self.frost_s = self.silent_s = 0  # how long they have lasted
        self.water_sensor = True
        self.day, self.day_writes = bench.utc_s // DAY, self.machine.writes - self.machine.writes
        self.writes_before = self.machine.writes
        self.defrost_s, self.undefrost_s = 0, 10**6
        self.ours = True  # the latest release was a decision
        self.boot_s = -10**6
        self._plant(0)
        bench.ask()
        bench.step()

    # --- the plant --------------------------------------------------------------------------------------------------

    def _plant(self, seconds):
        bench, machine = self.bench, self.machine
        now_s, state = bench.now_s, bench.contacts.state
        locked = state == 1
        if locked:
            assert not self.running or self.locked or now_s - self.changed_s >= MIN_RUN - SLACK, "locked in its minimum run"
        released = self.locked and not locked
        if released and self.ours and not self.running:
            assert now_s - self.changed_s >= MIN_PAUSE - SLACK, "released in its minimum pause"
        self.locked_s = self.locked_s + seconds if locked and self.locked else 0
        assert self.locked_s <= 7200 + SLACK, "locked for more than two hours"
        set_c = 4800 if machine.water == ABSENT else machine.water
        wants = self.demand or self.tank < set_c - 100
        running = wants and not locked
        if running and not self.running:
            self.starts = [at for at in self.starts if now_s - at < HOUR] + [now_s]
            if released and self.ours and not self.frost_s:
                assert len(self.starts) <= STARTS or now_s - self.starts[-1 - STARTS] >= HOUR - 2 * SLACK, "too many starts"
        if running != self.running:
            self.running, self.changed_s = running, now_s
        self.locked = locked
        self.ours = True
        self.tank += (seconds * 15 / 36 if running and self.tank < set_c else -seconds / 60) if seconds else 0
        bench.load.draw(now_s, 1800 if running else 20)
        machine.compressor = (1 if running else 0) if self.speaks else ABSENT
        machine.hot_water = round(self.tank) if self.water_sensor else ABSENT

    def _measure(self):
        """What the firmware cannot see is known here: since when the tank was clean."""
        now_s = self.bench.now_s
        if self.tank < 5900:
            self.hot_s = None
        elif self.hot_s is None and self.tank >= 6000:
            self.hot_s = now_s
        if not self.water_sensor or self.machine.silent:
            self.excused_s += TICK
            self.hot_s = None  # held only as measured
        if self.hot_s is not None and now_s - self.hot_s >= 1800 + SLACK:
            self.clean_s, self.excused_s = now_s, 0
        allowed_s = WEEK_S + (self.excused_s + DAY if self.excused_s else 0)
        assert now_s - self.clean_s <= allowed_s + 1800 + SLACK, "legionella"

    def _tick(self):
        bench, machine = self.bench, self.machine
        bench.now_s += TICK
        told, state = len(machine.told), bench.contacts.state
        held = machine.defrost == 1 and 0 < self.defrost_s < DEFROST_MAX - SLACK and state != 1 and not machine.silent
        bench.step()
        if held and bench.now_s - self.boot_s > DEFROST_MAX:
            assert len(machine.told) == told and bench.contacts.state == state, "left alone in a defrost"
        self._plant(TICK)
        self._measure()
        if machine.defrost == 1:
            self.defrost_s += TICK
        room, flow = bench.room.value, bench.flow.value
        self.frost_s = self.frost_s + TICK if room != ABSENT and room < 700 or flow < 500 else 0
        self.cold_s = self.cold_s + TICK if room != ABSENT and room < 1900 else 0
        self.silent_s = self.silent_s + TICK if machine.silent else 0
        if self.frost_s > MIN_PAUSE + SLACK:
            assert bench.contacts.state != 1, "frost"
        if self.cold_s > HOUR + MIN_PAUSE + SLACK:
            assert bench.contacts.state != 1, "comfort floor"
        if max(self.frost_s, self.cold_s) > HOUR + SLACK and not machine.silent and machine.defrost != 1:
            assert machine.limit_w == ABSENT and machine.offset >= 0, "frost and comfort lift limits"
        if self.silent_s > MIN_PAUSE + SLACK:
            assert bench.contacts.state == 2, "a silent machine is in normal operation"
        day = (bench.utc_s + bench.now_s) // DAY
        if day != self.day:
            self.day, self.writes_before = day, machine.writes
        assert machine.writes - self.writes_before <= BUDGET, "budget of writes"

    # --- what happens -----------------------------------------------------------------------------------------------

    @rule(minutes=st.one_of(st.integers(1, 30), st.integers(30, 240)))
    def time_passes(self, minutes):
        for _ in range(minutes * 60 // TICK):
            self._tick()

    def _ask(self, kind, value, value2, limit_w):
        decider = DECIDER_SET_POINT if limit_w == ABSENT else DECIDER_LIMIT
        if kind in (KIND_OFFSET, KIND_BAND) and self.bench.device.check(kind, value, value2):
            return
        self.bench.ask(kind, value, value2, limit_w=limit_w, decider=decider)
        self._plant(0)

    @rule(
        what=st.sampled_from(
            [
                (ABSENT, ABSENT, ABSENT), (KIND_OFF, ABSENT, ABSENT), (KIND_ON, ABSENT, ABSENT),
                (KIND_BOOST, ABSENT, ABSENT), (KIND_SHUTDOWN, ABSENT, ABSENT), (KIND_SG_READY, 1, ABSENT),
                (KIND_SG_READY, 3, ABSENT), (KIND_OFFSET, -200, ABSENT), (KIND_OFFSET, 150, ABSENT),
                (KIND_BAND, 1950, 2150),
            ]
        ),
        limit_w=st.sampled_from([ABSENT, ABSENT, 0, 1500, 3100, 4600, 9000]),
    )
    def command(self, what, limit_w):
        self._ask(*what, limit_w)

    @rule(cycles=st.integers(2, 8), wait=st.integers(1, 12))
    def hasty_emd(self, cycles, wait):
        for cycle in range(cycles):
            self._ask(KIND_OFF if cycle % 2 else ABSENT, ABSENT, ABSENT, ABSENT)
            self.time_passes(wait)

    @rule(room=st.sampled_from([2100, 2100, 2200, 1850, 650, ABSENT, 9900]))
    def room(self, room):
        self.bench.room.value = room

    @rule(flow=st.sampled_from([3500, 3500, 2000, 400]))
    def flow(self, flow):
        self.bench.flow.value = flow

    @rule(demand=st.booleans())
    def thermostat(self, demand):
        self.demand = demand
        self._plant(0)

    @rule(there=st.booleans())
    def tank_sensor(self, there):
        self.water_sensor = there

    @rule(silent=st.booleans())
    def bus(self, silent):
        self.machine.silent = silent

    @rule(defrost=st.sampled_from([0, 1]))
    def defrost(self, defrost):
        self.machine.defrost = defrost
        self.defrost_s = -(10**9) if defrost and self.machine.defrost else 0
        if defrost:
            self.time_passes(1)
            quiet = self.bench.now_s - self.undefrost_s > DEFROST_AFTER + DEFROST_GAP + DEFROST_MAX + SLACK
            self.defrost_s = 60 if quiet else -(10**9)
        else:
            self.undefrost_s = self.bench.now_s

    @rule()
    def press(self):
        self.bench.board.button = Button()
        self.bench.board.button.event = 1

    @rule(cut=st.booleans(), off=st.sampled_from([0, 0, 60, 7200]))
    def restart(self, cut, off):
        self.bench.now_s += off
        self.excused_s += off + 1
        self.hot_s = None
        bench = self.bench
        what, more = bench.asked
        self.ours = False
        bench.hardware.advance(bench.now_s)
        if cut:
            bench.hardware.power_cut()
        else:
            bench.hardware.restart()
        bench.boot()
        self._plant(0)
        bench.step()
        bench.ask(*what, **more)
        self.boot_s = bench.now_s
        self.undefrost_s = bench.now_s
        self.defrost_s = -(10**9)
        self._plant(0)

    @invariant()
    def sane(self):
        if hasattr(self, "bench"):
            assert self.bench.contacts.state in (1, 2, 3, 4)
            assert self.bench.store.writes < 2000


Histories.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestHistories = Histories.TestCase
