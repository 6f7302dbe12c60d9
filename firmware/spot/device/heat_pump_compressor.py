"""The compressor as it is seen: by the machine's own word or its power; its starts, its hours, its defrosts.

A start or a stop that shows in the power must last for running_delay_s, as far as samples can tell, before it counts;
the guards take it as true from its first sample, whichever is the safer side, and from there it is counted. Where
nothing shows the compressor, release and lock stand for start and stop.

Starts of the latest hour, running time and the count of starts are kept at each start (starts_per_hour bounds that: 72
writes a day at the default, a dozen in practice) and every four hours of running. After a restart the starts of the
latest hour are as old as they were when they were kept, so that the hour is rather too long than too short.
"""

from ..codes import ABSENT
from ..port import const, struct
from .heat_pump_rows import DEFROST, PAUSE, RUN, STARTS
from .heat_pump_settings import HEAT_PUMP
from .settings import get

_NAME = "comp"
_HEAD = "<II"  # running s, starts; then the ages of the latest starts in s
_HOUR_S = const(3600)
_KEPT_S = const(14400)  # of running
_BLIND_S = const(1800)  # without a word and without a sample: not known any more
_WINDOW_S = const(300)  # in which the flow falls when a machine defrosts
_FALL = const(500)  # 0.01 K by which it falls
_RISE = const(300)  # 0.01 K above its lowest: the machine heats again
_COLD = const(700)  # 0.01 °C outside, above which nothing freezes on


class Compressor:
    """`running`, `known` (it is seen), `run_s` (since the first boot), `defrost` (1, 0 or ABSENT)."""

    def __init__(self, config, store, log, counters, guards):
        self._store = store
        self._log = log
        self._counters = counters
        self._guards = guards
        self._min_run_s = get(config, HEAT_PUMP, "min_run_s")
        self._min_pause_s = get(config, HEAT_PUMP, "min_pause_s")
        self._running_w = get(config, HEAT_PUMP, "running_w")
        self._stopped_w = get(config, HEAT_PUMP, "stopped_w", self._running_w * 2 // 3)
        self._delay_s = get(config, HEAT_PUMP, "running_delay_s")
        self._defrost_max_s = get(config, HEAT_PUMP, "defrost_max_s")
        self._defrost_after_s = get(config, HEAT_PUMP, "defrost_after_s")
        self._defrost_gap_s = get(config, HEAT_PUMP, "defrost_gap_s")
        self._defrost_flow = get(config, HEAT_PUMP, "defrost_flow")
        n = get(config, HEAT_PUMP, "starts_per_hour")
        self._times = [-_HOUR_S] * n  # ring of measured starts
        self._at = 0
        self.running = False
        self.known = False
        self._seen = False  # as the latest sample shows it
        self._since_s = 0  # since when it shows so
        self._before_s = 0  # the sample before that
        self._freed = False  # the restart released it: if it runs, that was a start
        self._looked_s = ABSENT
        self.run_s = 0
        self._kept_s = 0
        self._sampled_s = 0
        self.defrost = ABSENT
        self._defrosting = False
        self._trusted = True  # a word that lasted too long is not believed until it was taken back
        self._begun_s = 0
        self._quiet_s = 0  # no new defrost is believed before
        self._high = self._higher = self._low = ABSENT  # flow of the present and of the last window
        self._window_s = 0
        raw = store.get(_NAME)
        form = _HEAD + "%dH" % n
        if raw is not None and len(raw) == struct.calcsize(form):
            values = struct.unpack(form, raw)
            self.run_s = self._kept_s = values[0]
            counters.starts = max(counters.starts, values[1])
            self._times = sorted(-age for age in values[2:])

    def begin(self, now_s, freed):
        """What went before the reset is not known: until it is measured it is taken to have just started. freed: it was
        locked before."""
        self._freed = freed
        self._guards.arm(RUN, now_s, now_s + self._min_run_s)
        for i in range(len(self._times)):
            self._times[i] += now_s
        self._guards.arm(STARTS, now_s, self._times[0] + _HOUR_S)
        self._sampled_s = now_s

    def look(self, now_s, word, power_w):
        """Takes what shows now: the machine's word (1, 0 or ABSENT), else the power (ABSENT: no sample)."""
        delay_s = 0
        if word != ABSENT:
            on = word != 0
        elif power_w != ABSENT:
            on = power_w >= (self._stopped_w if self._seen else self._running_w)
            delay_s = self._delay_s
        else:
            if self.known and now_s - self._looked_s > _BLIND_S:
                self.known = False
                self._log.warn("pump.blind")
            return
        guards = self._guards
        before_s = self._looked_s
        self._looked_s = now_s
        if self.running:
            span_s = now_s - self._sampled_s
            self.run_s += span_s if span_s < _BLIND_S else 0
            if self.run_s - self._kept_s >= _KEPT_S:
                self.keep(now_s)
        self._sampled_s = now_s
        if not self.known:
            self.known = True
            self.running = self._seen = on
            if on:
                guards.arm(RUN, now_s, now_s + self._min_run_s)
                guards.clear(PAUSE)
                if self._freed:
                    self._since_s = now_s
                    self._turn(now_s)
            else:
                guards.clear(RUN)
                guards.arm(PAUSE, now_s, now_s + self._min_pause_s)
            return
        if on == self.running != self._seen and now_s - self._before_s > delay_s:
            self._turn(now_s)  # between the samples it may have lasted: rather a start too many than one too few
        if on != self._seen:
            self._seen = on
            self._since_s = now_s
            self._before_s = before_s
            if on == self.running:  # it did not last: neither a start nor a stop
                guards.clear(PAUSE if on else RUN)
            elif on:
                guards.arm(RUN, now_s, now_s + self._min_run_s)
            else:
                guards.arm(PAUSE, now_s, now_s + self._min_pause_s)
        if on != self.running and now_s - self._since_s >= delay_s:
            self._turn(now_s)

    def _turn(self, now_s):
        """What shows has lasted: a start, or a stop."""
        self.running = self._seen
        if self._seen:
            self._guards.clear(PAUSE)
            self._counters.starts += 1
            self._note(now_s, self._since_s)
        else:
            self._guards.clear(RUN)

    def wait(self, now_s, longest):
        """Seconds until what shows may count, at most `longest`."""
        if self._seen != self.running:
            left_s = self._since_s + self._delay_s - now_s
            if 0 < left_s < longest:
                return left_s
        return longest

    def switched(self, now_s, released):
        """The pump was released or locked: where nothing shows the compressor, that starts and stops it."""
        if self.known:
            return
        if released:
            self._guards.clear(PAUSE)
            self._guards.arm(RUN, now_s, now_s + self._min_run_s)
            self._note(now_s, now_s)
        else:
            self._guards.clear(RUN)
            self._guards.arm(PAUSE, now_s, now_s + self._min_pause_s)

    def _note(self, now_s, start_s):
        times = self._times
        times[self._at] = start_s
        self._at = (self._at + 1) % len(times)
        self._guards.arm(STARTS, now_s, times[self._at] + _HOUR_S)  # the oldest, next to be overwritten
        self.keep(now_s)

    def keep(self, now_s):
        """Writes what has to outlive a restart."""
        self._kept_s = self.run_s
        raw = struct.pack(_HEAD, self.run_s, self._counters.starts)
        for start_s in self._times:
            raw += struct.pack("<H", min(now_s - start_s, _HOUR_S))
        try:
            self._store.put(_NAME, raw)
        except OSError:
            self._log.error("pump.not_kept")

    # --- defrost ----------------------------------------------------------------------------------------------------

    def watch_defrost(self, now_s, word, flow, outdoor):
        """Recognises a defrost by the machine's word, else by the flow: it runs in the cold, and the flow falls by 5 K
        within five to ten minutes to below `defrost_flow`. Arms the guard, for defrost_max_s at most."""
        on = self.running and self._falls(now_s, flow, outdoor) if word == ABSENT else word != 0
        self.defrost = word if word != ABSENT else (1 if on else 0) if flow != ABSENT else ABSENT
        if not on:
            self._trusted = True
            if self._defrosting:
                self._end_defrost(now_s)
        elif self._defrosting:
            if now_s - self._begun_s >= self._defrost_max_s:
                self._log.warn("pump.defrost_long", now_s - self._begun_s)
                self._trusted = False
                self._end_defrost(now_s)
        elif self._trusted and now_s >= self._quiet_s:
            self._defrosting = True
            self._begun_s = now_s
            until_s = now_s + self._defrost_max_s + self._defrost_after_s
            self._guards.arm(DEFROST, now_s, until_s)

    def _end_defrost(self, now_s):
        self._defrosting = False
        self._quiet_s = now_s + self._defrost_after_s + self._defrost_gap_s
        self._guards.arm(DEFROST, now_s, now_s + self._defrost_after_s)
        self._high = self._higher = ABSENT

    def _falls(self, now_s, flow, outdoor):
        if flow == ABSENT or outdoor == ABSENT or outdoor > _COLD:
            self._high = self._higher = ABSENT
            return False
        if self._defrosting:
            if flow < self._low:
                self._low = flow
            return flow < self._low + _RISE
        if now_s - self._window_s >= _WINDOW_S:
            self._window_s = now_s
            self._higher = self._high
            self._high = flow
        elif flow > self._high:  # ABSENT is less than any
            self._high = flow
        self._low = flow
        highest = self._high if self._high > self._higher else self._higher
        return flow < self._defrost_flow and flow <= highest - _FALL
