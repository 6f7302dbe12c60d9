"""Domestic hot water: its floor, its set-point, and the run against legionella.

The run: every legionella_days the tank is held at legionella_c or more for legionella_hold_s, as measured, whoever
heated it. It is due a day before its deadline, and begins then when the configured hour comes or a boost is on, and
gives way to a lock or a limit; from legionella_max_s before the deadline on it begins at once and gives way to nothing.
A run that has not got there after legionella_max_s ends, raises the alarm, and comes again after half a day.

When it was last done outlives restarts: its age is kept every eight hours, with the time of day once that is known.
"""

from ..codes import ABSENT
from ..port import const, struct
from .heat_pump_settings import HEAT_PUMP
from .settings import get

_NAME = "water"
_FORMAT = "<iIh"  # UTC when it was kept, age of the latest run in s, set-point
_KEPT_S = const(28800)
_DAY_S = const(86400)
_AGAIN_S = const(43200)  # after a run that failed
_MOVED_S = const(3600)  # after one that gave way
_ABOVE = const(300)  # 0.01 K: what the machine is told beyond what must be measured
_SLACK = const(100)  # 0.01 K that it may fall while it is held
_HOT_MAX = const(7500)
_REHEAT = const(200)  # 0.01 K above the floor where it is left again
_GAP_S = const(300)  # an unwatched time that is longer holds nothing


class Water:
    """`cold`: below its floor. `target`: set-point for the machine, 0.01 °C (ABSENT: its own). `running`: a legionella
    run is on; `must`: and gives way to nothing. `late`: the alarm.

    able: there are a sensor of the tank and a machine that takes a set-point.
    """

    def __init__(self, config, store, log, able):
        self._store = store
        self._log = log
        self._able = able
        self.floor = get(config, HEAT_PUMP, "hot_water_low")
        self.setpoint = get(config, HEAT_PUMP, "hot_water_set", ABSENT)
        self._deadline_s = get(config, HEAT_PUMP, "legionella_days", 7 if able else 0) * _DAY_S
        self._measured = config.get("legionella_days") is not None  # else nobody asks where no tank was ever measured
        self._hot = get(config, HEAT_PUMP, "legionella_c")
        self._hold_s = get(config, HEAT_PUMP, "legionella_hold_s")
        self._hour = get(config, HEAT_PUMP, "legionella_hour")
        self._window_h = get(config, HEAT_PUMP, "legionella_window_h")
        self._max_s = get(config, HEAT_PUMP, "legionella_max_s")
        self.cold = self.running = self.must = self.late = False
        self.target = self.setpoint
        self._hot_since_s = self._seen_s = ABSENT
        self._begun_s = 0
        self._wait_s = 0  # no run before
        # a tank of which nothing is known is due within the day
        self._due_s = max(self._deadline_s - self._max_s - _DAY_S, min(_AGAIN_S, self._deadline_s // 2))
        self._age = self._due_s
        self._age_at_s = 0  # when it had that age
        self._kept_utc = ABSENT  # what time it was when that age was kept, until it has served
        self._now_utc = ABSENT
        self._dated = False  # what is in flash is as good as the clock
        self._kept_at_s = 0
        raw = store.get(_NAME)
        if raw is not None and len(raw) == struct.calcsize(_FORMAT):
            self._kept_utc, self._age, self.setpoint = struct.unpack(_FORMAT, raw)
            self._measured = True
            self._dated = self._kept_utc != ABSENT
            if self.setpoint < 0:
                self.setpoint = get(config, HEAT_PUMP, "hot_water_set", ABSENT)

    def begin(self, now_s):
        """The first step since boot."""
        self._age_at_s = self._kept_at_s = now_s

    def age(self, now_s):
        """Seconds since the latest run that got there, at least."""
        return self._age + now_s - self._age_at_s

    def watched(self):
        """Whether there is a legionella run at all."""
        return self._deadline_s > 0 and self._measured

    def set(self, now_s, setpoint):
        """Takes a set-point; OSError when it cannot be kept."""
        before, self.setpoint = self.setpoint, setpoint
        try:
            self._write(now_s)
        except OSError:
            self.setpoint = before
            raise

    def step(self, now_s, utc, zone_s, value, held, boosted):
        """value: of the tank in 0.01 °C or ABSENT; held: something asks for less than normal operation; boosted: for
        more."""
        if value == ABSENT:
            self.cold = False
        else:
            self._measured = True
            self.cold = value < self.floor + (_REHEAT if self.cold else 0) if self.floor else False
        if self.watched():
            self._legionella(now_s, utc, zone_s, value, held, boosted)
        self.target = self.setpoint
        if self.running:
            self.target = max(self.target, min(self._hot + _ABOVE, _HOT_MAX))  # ABSENT is less than any

    def _legionella(self, now_s, utc, zone_s, value, held, boosted):
        self._now_utc = utc
        if utc != ABSENT and self._kept_utc != ABSENT:
            off_s = utc - self._kept_utc - (now_s - self._age_at_s)  # while the device was off
            if off_s > 0:
                self._age += off_s
            self._kept_utc = ABSENT
        age_s = self._age + now_s - self._age_at_s
        self._hold(now_s, value, age_s)
        age_s = self._age + now_s - self._age_at_s
        overdue = age_s >= self._deadline_s - self._max_s
        if self.running:
            if now_s - self._begun_s >= self._max_s:
                self._log.warn("pump.legionella_failed", value)
                self.running = False
                self.late = True
                self._wait_s = now_s + _AGAIN_S
            elif held and not overdue:
                self.running = False
                self._wait_s = now_s + _MOVED_S
        elif self._able and value != ABSENT and now_s >= self._wait_s:
            if overdue or (
                age_s >= self._due_s
                and not held
                and (boosted or utc != ABSENT and self._in_window(utc + zone_s(utc)))
            ):
                self.running = True
                self._begun_s = now_s
                self._log.info("pump.legionella", age_s)
        self.must = self.running and overdue
        if age_s >= self._deadline_s:
            self.late = True
        if now_s - self._kept_at_s >= _KEPT_S or utc != ABSENT and not self._dated:
            self._dated = utc != ABSENT
            self._kept_at_s = now_s
            try:
                self._write(now_s)
            except OSError:
                self._log.error("pump.not_kept")

    def _in_window(self, local):
        return (local % _DAY_S // 3600 - self._hour) % 24 < self._window_h

    def _hold(self, now_s, value, age_s):
        since_s = self._hot_since_s
        if since_s != ABSENT and (value < self._hot - _SLACK or now_s - self._seen_s > _GAP_S):
            since_s = ABSENT
        self._seen_s = now_s
        if since_s == ABSENT and value >= self._hot:
            since_s = now_s
        self._hot_since_s = since_s
        if since_s != ABSENT and now_s - since_s >= self._hold_s:
            self._age = 0
            self._age_at_s = now_s
            self._kept_utc = ABSENT
            self._hot_since_s = now_s if value >= self._hot else ABSENT
            if self.running or self.late or age_s > _AGAIN_S:
                self.running = self.late = False
                self._log.info("pump.legionella_done", value)
                self._kept_at_s = now_s - _KEPT_S  # at once

    def _write(self, now_s):
        age_s = now_s - self._age_at_s
        utc = self._now_utc
        if self._kept_utc != ABSENT:  # the time is not known yet: as if the device had never been off
            utc = self._kept_utc + age_s
        self._store.put(_NAME, struct.pack(_FORMAT, utc, min(self._age + age_s, 0x3FFFFFFF), max(self.setpoint, -1)))
