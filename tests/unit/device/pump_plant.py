"""A heat pump, its tank and its machine without any protection of their own, and the promises that a controller has to
keep towards them: what wears a machine or freezes a house must not come from us.

All is measured on the plant: its compressor, its tank, its registers, the contacts; not on what the firmware says. What
may keep a command from being carried out is told from the plant, too, so that a guard that acts for no reason shows.
"""

from collections import Counter

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
HOUR = 3600
LOCK, NORMAL = 1, 2
MIN_RUN, MIN_PAUSE, STARTS, LONGEST = 600, 420, 3, 7200
DEADLINE, RUN_S = DAY, 14400  # of the legionella run, and how long one may take
DEFROST_MAX, DEFROST_AFTER, DEFROST_GAP = 600, 120, 600
OVERRIDE, GRACE = 1800, 300
LEAST_W, MOST_W, STEPS = 1500, 6000, (1500, 3000, 4500)
CONFIG = {
    "min_run_s": MIN_RUN, "min_pause_s": MIN_PAUSE, "starts_per_hour": STARTS, "running_delay_s": 30,
    "legionella_days": 1, "legionella_max_s": RUN_S, "hot_water_low": 4000,
    "defrost_max_s": DEFROST_MAX, "defrost_after_s": DEFROST_AFTER, "defrost_gap_s": DEFROST_GAP,
    "override": "yes", "override_s": OVERRIDE, "sensor_grace_s": GRACE,
}
NOTHING = (ABSENT, ABSENT, ABSENT)
HEAT = TICK * 15 / 36  # 0.01 K a tick: 25 K an hour


class Plant:
    """`tick(seconds)`, `ask(what, limit_w)`, `restart(cut, off_s)`, `press()`; to be changed at will: `demand` (the
    house wants heat), `disobeys` (the machine runs in a lock), `ices` (it defrosts now and then), `word` (what it says
    of that: None the truth), `cools` (0.01 K that the tank loses a tick), `sensor` of the tank, `room`, `flow`,
    `machine.silent`.

    speaks: the machine says whether its compressor runs, and defrosts. wears: its registers are in flash.
    """

    def __init__(self, speaks=True, wears=True, clock=True, hold_s=0, block_s=LONGEST, pause_s=MIN_PAUSE, budget=12):
        self.min_pause_s, self.hold_s, self.block_s, self.budget = pause_s, hold_s, block_s, budget
        self.rest_s = 1200
        self.clock = clock
        config = {**CONFIG, "min_pause_s": pause_s, "sg_hold_s": hold_s, "max_block_s": block_s,
                  "block_pause_s": self.rest_s, "machine_writes_per_day": budget, "machine_interval_s": 0,
                  "defrost_flow": 0 if speaks else 2500}
        self.bench = bench = talking(config, watts=0, board="sim_heat_pump", wears=wears,
                                     utc_s=300 * DAY if clock else ABSENT)
        self.machine, self.speaks = bench.machine, speaks
        self.contacts = bench.contacts
        self.asked, self.limit_w = NOTHING, ABSENT
        self.room, self.flow = 2100, 3500
        self.demand = self.disobeys = self.ices = False
        self.word, self.sensor = None, True
        # the compressor
        self.running = self.heats_water = False
        self.changed_s = bench.now_s - HOUR
        self.starts = []
        # contacts and locks
        self.state, self.moved_s = NORMAL, -DAY
        self.locked_s = self.freed_s = None
        # since when the locks count, without a rest: at the latest, and at the soonest
        self.chain_s = self.long_s = -DAY
        self.lost_s = 0  # of that, at most, by restarts
        # defrosts
        self.ice_s, self.defrosting_s = 0, None  # since when
        self.believed_s, self.until_s, self.quiet_s, self.trusted = None, -DAY, 0, True
        self.honest = False  # the bit is one that must be believed
        # tank
        self.tank, self.cools, self.hot_s = 4800.0, 1, None
        self.clean_s = bench.now_s
        # as the controller may see it at worst; a tank of which it knows nothing is due soon
        self.proved_s, self.proves_s = self.clean_s - DEADLINE // 2, None
        self.odd_s = None  # the latest second at which a run could not be measured or heated
        # how long it has lasted that ...
        self.span = Counter()
        self.press_s, self.boot_s = -DAY, bench.now_s
        self.boots = 0  # of the day
        self.day, self.writes_before = 0, self.machine.writes
        self.met = Counter()  # what was reached: guards' rows, reasons, situations
        self._sense()
        self.machine.told.clear()
        self._look()

    @property
    def now_s(self):
        return self.bench.now_s

    # --- what the controller sees -----------------------------------------------------------------------------------

    def _sense(self):
        bench, machine = self.bench, self.machine
        bench.room.value = self.room
        bench.flow.value = 1500 if self.defrosting_s is not None and self.flow > 1500 else self.flow
        defrosts = self.defrosting_s is not None if self.word is None else self.word
        machine.compressor = (1 if self.running else 0) if self.speaks else ABSENT
        machine.defrost = (1 if defrosts else 0) if self.speaks else ABSENT
        machine.hot_water = round(self.tank) if self.sensor else ABSENT
        bench.load.draw(bench.now_s, 1800 if self.running else 20)

    # --- the machine ------------------------------------------------------------------------------------------------

    def _look(self):
        """Contacts and compressor after something may have moved them."""
        now_s, state = self.now_s, self.contacts.state
        before = self.state
        if state != before:
            self._switched(before, state)
        locked = state == LOCK
        set_c = 4800 if self.machine.water == ABSENT else self.machine.water
        self.heats_water = self.tank < (set_c if self.heats_water else set_c - 300)
        running = self.disobeys if locked else self.demand or self.heats_water
        if state == before and now_s == self.changed_s:
            running = self.running  # it takes a while to change its mind
        if running and not self.running:
            self.starts = [at for at in self.starts if now_s - at < HOUR] + [now_s]
            if before == LOCK and not locked and self.boot_s != now_s and not self._excused_start():
                assert len(self.starts) <= STARTS, "too many starts"
        if running != self.running:
            self.running, self.changed_s = running, now_s
            if not running and self.defrosting_s is not None:
                self._defrost_ends()
        self._sense()

    def _excused_start(self):
        return self.span["frost"] or self.span["silent"] or self.locked_s is not None and self.locked_s >= LONGEST

    def _switched(self, before, state):
        now_s, since_s = self.now_s, self.moved_s
        self.state, self.moved_s = state, now_s
        boot = self.boot_s == now_s  # not a decision: the contacts fall
        stands_s = now_s - self.changed_s
        self.met["to %d" % state] += 1
        lifts = before == LOCK and (self.span["lifted"] or now_s - self.chain_s >= self.block_s - SLACK)
        if not boot and not lifts and not self.machine.silent:
            assert now_s - since_s >= self.hold_s, "a state that was not held"
        if state == LOCK:
            assert not self.running or stands_s >= MIN_RUN - SLACK, "locked in its minimum run"
            if self.freed_s is None or now_s - self.freed_s >= self.rest_s - SLACK:
                self.chain_s, self.lost_s = now_s, 0
            if self.freed_s is None or now_s - max(self.freed_s, self.boot_s) >= self.rest_s + SLACK:
                self.long_s = now_s
            assert now_s - self.chain_s < self.block_s + self.lost_s + SLACK, "locked anew before a rest"
            self.locked_s = 0
            self.met["restart in a rest"] += self.chain_s < self.boot_s
        elif before == LOCK:
            longest = self.locked_s >= LONGEST - SLACK
            if not boot and not self.running:
                assert stands_s >= self.min_pause_s - SLACK or longest, "released in its minimum pause"
                self.met["released by the longest lock alone"] += stands_s < self.min_pause_s - SLACK
            self.freed_s = now_s

    def _freeze(self, seconds):
        if self.defrosting_s is None:
            if self.running and self.ices:
                self.ice_s += seconds
                if self.ice_s >= 3000:
                    self.defrosting_s = self.now_s
        elif self.now_s - self.defrosting_s >= 420:
            self._defrost_ends()

    def _defrost_ends(self):
        self.defrosting_s, self.ice_s = None, 0

    def _believe(self):
        """Which defrosts the controller is to believe, after it saw what there is: for defrost_max_s, and none for a
        while after one. Only those of the machine's word: what the flow shows is another matter."""
        now_s = self.now_s
        on = self.machine.defrost == 1 and not self.machine.silent
        if not on:
            self.trusted = True
            if self.believed_s is not None:
                self._doubt()
        elif self.believed_s is not None:
            if now_s - self.believed_s >= DEFROST_MAX:
                self.trusted = False
                self._doubt()
        elif self.trusted and now_s >= self.quiet_s:
            self.believed_s, self.until_s = now_s, now_s + DEFROST_MAX + DEFROST_AFTER
            self.honest = self.state != LOCK and not self.bench.device.port.fault
            self.met["defrost begins in a lock"] += self.state == LOCK

    def _doubt(self):
        self.believed_s = None
        self.until_s = self.now_s + DEFROST_AFTER
        self.quiet_s = self.until_s + DEFROST_GAP

    def run(self, seconds):
        """Time passes; steps when the controller asks for them, too."""
        end_s = self.now_s + seconds
        wait_s = TICK
        while self.now_s < end_s:
            wait_s = self.tick(min(TICK, max(wait_s, 1), end_s - self.now_s))

    # --- time -------------------------------------------------------------------------------------------------------

    def tick(self, seconds=TICK):
        bench, machine = self.bench, self.machine
        bench.now_s += seconds
        if self.running and self.tank < (4800 if machine.water == ABSENT else machine.water):
            self.tank += HEAT * seconds / TICK
        elif self.tank > 2000:
            self.tank -= self.cools * seconds / TICK
        self._freeze(seconds)
        if self.locked_s is not None and self.state == LOCK:
            self.locked_s += seconds
        self._sense()
        left_alone = self._left_alone()
        self._day()
        self._spans(seconds)
        wait_s = bench.step()
        self._note()
        if left_alone:
            assert left_alone == (self.contacts.state, len(machine.told)), "moved in a defrost"
        self._believe()
        self._look()
        self._promises(seconds)
        return wait_s

    def _left_alone(self):
        """(contacts, words to the machine) that must stay, or None."""
        if not self.honest or self.state == LOCK or self.machine.silent or self.now_s >= self.until_s - TICK:
            return None
        if self.believed_s is not None and self.now_s - self.believed_s >= DEFROST_MAX - SLACK:
            return None
        self.met["left alone"] += 1
        return self.contacts.state, len(self.machine.told)

    def _note(self):
        device = self.bench.device
        if device.guards.row >= 0:
            self.met[device.guards.rows[device.guards.row][0]] += 1
        self.met["reason %d" % device.reason] += 1

    def ask(self, what=NOTHING, limit_w=ABSENT):
        kind = what[0]
        if kind in (KIND_OFFSET, KIND_BAND) and self.bench.device.check(*what):
            self.met["refused"] += 1
            return
        self.asked, self.limit_w = what, limit_w
        left_alone = self._left_alone()
        self.bench.ask(*what, limit_w=limit_w, decider=DECIDER_SET_POINT if limit_w == ABSENT else DECIDER_LIMIT)
        self._note()
        if left_alone:
            assert left_alone == (self.contacts.state, len(self.machine.told)), "moved in a defrost"
        self._believe()
        self._look()
        self.span["duty"] = 0

    def press(self):
        self.bench.board.button = Button()
        self.bench.board.button.event = 1
        self.press_s = self.now_s
        self.span["duty"] = 0

    def restart(self, cut=False, off_s=0):
        """The controller starts anew, `off_s` later."""
        bench = self.bench
        self.met["restart in a lock" if self.state == LOCK else "restart in a run"] += 1
        if not cut:
            off_s = 0
        bench.hardware.advance(bench.now_s)
        self.boot_s = cut_s = bench.now_s
        (bench.hardware.power_cut if cut else bench.hardware.restart)()
        self._look()
        while off_s > 0:  # without a controller; nothing is measured
            step_s = min(off_s, TICK)
            bench.now_s += step_s
            off_s -= step_s
            self.locked_s = None
            self.tank = max(2000, self.tank - self.cools)
            self.boot_s = bench.now_s
            self._look()
        self.odd_s = bench.now_s
        if not self.clock:
            # kept every eight hours, and not what it was without power
            self.clean_s = min(bench.now_s, self.clean_s + DAY // 3 + bench.now_s - cut_s)
        self.hot_s = self.proves_s = None
        self.proved_s -= DAY // 2  # what is kept may be as old
        self.boots += 1
        self.lost_s += 900 + bench.now_s - cut_s  # how long a lock has lasted is kept every quarter of an hour
        bench.hardware.advance(bench.now_s)
        bench.boot()
        self._day()
        bench.step()
        self.believed_s, self.until_s, self.quiet_s, self.honest, self.trusted = None, -DAY, 0, False, True
        self._believe()
        self.span["duty"] = 0
        self._look()
        self.ask(self.asked, self.limit_w)
        self.honest = False

    # --- the promises -----------------------------------------------------------------------------------------------

    def _day(self):
        day = self.now_s // DAY
        if day != self.day:
            self.day, self.writes_before, self.boots = day, self.machine.writes, 0

    def _spans(self, seconds):
        """How long what goes before a command has lasted, as the controller sees it by now."""
        flow, room, span = self.bench.flow.value, self.room if self.room < 5000 else ABSENT, self.span
        self._span("frost", room != ABSENT and room < 700 or flow < 500, seconds)
        self._span("cold", room != ABSENT and room < 1900, seconds)
        self._span("thirst", self.sensor and not self.machine.silent and self.tank < 4000, seconds)
        self._span("silent", self.machine.silent, seconds)
        self._span("blind", room == ABSENT, seconds)
        # with a hysteresis: not gone before it is gone for good
        lifted = (
            room != ABSENT and room < 1930 or flow < 530 or self.sensor and self.tank < 4200 or room == ABSENT
            or self.now_s - min(self.clean_s, self.proved_s) >= DEADLINE - RUN_S - 2 * HOUR or self.machine.silent
            or self.now_s - self.press_s < OVERRIDE + TICK
        )
        span["lifted"] = seconds if lifted else 0
        if not self.speaks and flow < 3000:
            self.until_s = self.now_s + DEFROST_MAX + DEFROST_AFTER  # it may look like a defrost

    def _span(self, name, on, seconds):
        self.span[name] = self.span[name] + seconds if on else 0

    def _promises(self, seconds):
        now_s, machine, span, state = self.now_s, self.machine, self.span, self.contacts.state
        stands_s = now_s - self.changed_s
        barred = (
            not self.running and stands_s < self.min_pause_s + SLACK
            or len([at for at in self.starts if now_s - at < HOUR + SLACK]) >= STARTS
            or now_s - self.boot_s < self.min_pause_s + SLACK  # until it was seen
            or now_s - self.boot_s < HOUR + SLACK and self.starts  # as old as they were when they were kept
        )
        self._span("free", not barred, seconds)
        if state == LOCK:
            pauses = not self.running and min(stands_s, now_s - self.boot_s) < self.min_pause_s + SLACK
            assert self.locked_s <= LONGEST + SLACK, "locked for more than two hours"
            over_s = now_s - self.chain_s - self.block_s - self.lost_s
            assert over_s <= SLACK or span["free"] <= SLACK, "locked beyond its longest block"
            assert span["frost"] <= SLACK or pauses, "locked in frost"
            assert span["silent"] <= SLACK or pauses, "a silent machine is in normal operation"
            if span["free"] > SLACK:
                assert span["cold"] <= SLACK, "comfort floor"
                assert span["thirst"] <= SLACK, "floor of the hot water"
                assert span["blind"] <= GRACE + SLACK, "nobody watches the comfort floor"
            self.met["barred"] += bool(barred and (span["cold"] or span["thirst"]))
            self.met["starts used up in a lock"] += len([at for at in self.starts if now_s - at < HOUR]) >= STARTS
            self.met["silent in a lock"] += bool(span["silent"])
        elif span["silent"] > SLACK:
            assert state == NORMAL, "a silent machine is in normal operation"
        if (max(span["frost"], span["cold"], span["thirst"]) > SLACK and state != LOCK and not span["silent"]
                and now_s >= self.until_s + SLACK):
            assert machine.limit_w == ABSENT and machine.offset >= 0, "what is cold is not limited"
        used = machine.writes - self.writes_before
        # without a clock a day is one of running time
        twice = not self.clock or self.boot_s > self.day * DAY - DAY // 2  # or the day begins half a day after a start
        assert used <= self.budget * (2 if twice else 1) or not machine.wears, "budget of writes"
        if machine.wears and self.clock and now_s - self.boot_s > DAY:
            assert self.bench.device.port.left() >= self.budget - used, "what is left of the budget"
        self._duty(seconds, state, barred, stands_s)
        self._legionella()

    def _poor(self, least):
        """Less than so many writes are left: what that may be is checked above."""
        return self.machine.wears and self.bench.device.port.left() < least

    def _duty(self, seconds, state, barred, stands_s):
        """What is asked is done once nothing goes before it."""
        now_s, machine, span = self.now_s, self.machine, self.span
        kind, value, _ = self.asked
        limited = self.limit_w != ABSENT and self.limit_w < MOST_W
        if kind == KIND_BAND:
            return
        wanted = NORMAL
        if kind in (KIND_OFF, KIND_SHUTDOWN) or limited and self.limit_w < LEAST_W:
            wanted = LOCK
        elif kind == KIND_BOOST:
            wanted = 4
        elif kind == KIND_SG_READY:
            wanted = value
        poor = self._poor(6)
        excused = (
            span["lifted"] or now_s < self.until_s + TICK
            or now_s - self.boot_s < MIN_RUN + SLACK
        )
        if wanted == LOCK or poor and limited:
            excused = (
                excused or self.running and stands_s < MIN_RUN + SLACK
                or now_s - self.long_s >= self.block_s - SLACK
                and (state == LOCK or now_s - max(self.freed_s or 0, self.boot_s) < self.rest_s + SLACK)
            )
        if state == LOCK and wanted != LOCK:
            excused = excused or barred
        span["duty"] = 0 if excused else span["duty"] + seconds
        if span["duty"] <= 2 * SLACK + self.hold_s:
            return
        self.met["duty"] += 1
        if not (limited and poor and state == LOCK):
            assert state == wanted, "state %d is asked for, and nothing is in its way" % wanted
        if state == LOCK:
            self.met["limit below the minimum"] += limited and kind == ABSENT
            return
        if limited:
            assert machine.limit_w in STEPS and machine.limit_w <= self.limit_w, "the limit holds"
        else:
            assert machine.limit_w == ABSENT, "a limit that is over"
        if kind != KIND_OFFSET:
            assert machine.offset == 0, "an offset that is over"
        elif not poor:
            assert machine.offset == value, "the offset"
        self.met["poor"] += bool(poor)

    def _legionella(self):
        """What the firmware cannot see is known here: since when the tank was clean."""
        now_s = self.now_s
        measured = self.sensor and not self.machine.silent
        if self.tank < 5900 or not measured:
            self.hot_s = None
        elif self.hot_s is None and self.tank >= 6000:
            self.hot_s = now_s
        if self.hot_s is not None and now_s - self.hot_s >= 1800 + TICK:
            self.clean_s = now_s
        if not measured or self._poor(2):
            self.odd_s = now_s
        if self.hot_s is None:
            self.proves_s = None
        elif self.proves_s is None:
            self.proves_s = now_s if self.tank >= 6000 else None
        elif now_s - self.proves_s >= 1800 + TICK:
            self.proved_s, self.proves_s = self.proves_s + 1800, now_s if self.tank >= 6000 else None
        age_s = now_s - self.clean_s
        self.met["legionella under a lock"] += age_s > DEADLINE - RUN_S and self.asked[0] == KIND_OFF
        if age_s > DEADLINE + TICK:
            # only because it could not be measured when it was due; then it comes half a day after a run that failed
            due_s = min(self.clean_s, self.proved_s) + DEADLINE - RUN_S
            assert self.odd_s is not None and self.odd_s >= due_s, "legionella: later than it must"
            assert now_s - self.odd_s <= RUN_S + DAY // 2 + RUN_S, "legionella: not at all"


ASKED = (
    NOTHING, (KIND_OFF, ABSENT, ABSENT), (KIND_ON, ABSENT, ABSENT), (KIND_BOOST, ABSENT, ABSENT),
    (KIND_SHUTDOWN, ABSENT, ABSENT), (KIND_SG_READY, 1, ABSENT), (KIND_SG_READY, 3, ABSENT),
    (KIND_OFFSET, -200, ABSENT), (KIND_OFFSET, 150, ABSENT), (KIND_BAND, 1950, 2150),
)
OFF = ASKED[1]
