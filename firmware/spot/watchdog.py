"""The hardware's watchdog, fed because every task has got on, and never by a timer.

A task is what counts its own progress: the turns of device, agent and drivers (run.Turns.taken) and those of each link.
Each has a time for which it may stand still. The loop looks at all of them after its own turn: when one is late nothing
is fed any more, and the bite follows. A loop that hangs does not come to look.
"""

from .guard import keep_crash
from .port import ticks_diff, ticks_ms

_TURNS_MS = (75000, 75000, 10000)  # run.Turns.taken: device, agent, drivers


class Watchdog:
    """wdt: machine.WDT, or alike: feed(). pace: run.RealPace with its app; links: those that it has."""

    def __init__(self, wdt, pace, links):
        self._wdt = wdt
        self._pace = pace
        self._links = links
        self._allowed = list(_TURNS_MS) + [link.silence_ms for link in links]
        self._count = [-1] * len(self._allowed)
        self._at = [ticks_ms()] * len(self._allowed)
        self.late = -1  # number of the task that is: turns of device, agent, drivers, then the links

    def look(self, now_ms):
        """Feeds where every task has got on. True when it did."""
        if self.late >= 0:
            return False
        taken = self._pace.turns.taken
        count, at = self._count, self._at
        for i in range(len(count)):
            n = taken[i] if i < 3 else self._links[i - 3].turns
            if n != count[i]:
                count[i] = n
                at[i] = now_ms
            elif ticks_diff(now_ms, at[i]) > self._allowed[i]:
                self.late = i
                app = self._pace.app
                app.log.error("watchdog.late", i, ticks_diff(now_ms, at[i]))
                app.log.trace = ""
                keep_crash(app, app.clock.now_s, "watchdog: task %d" % i, app.starts.failures + 1)
                return False
        self._wdt.feed()
        return True
