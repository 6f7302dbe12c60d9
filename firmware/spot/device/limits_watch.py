"""Alarms for what is not right but no reason to switch: voltage, frequency, current and temperature beyond a limit for
a while. One table, settings.COMMON, for both devices; the limits lie below the trips.
"""

from ..codes import ABSENT
from .settings import COMMON, get


class LimitsWatch:
    """say(now_s, alarm, raised, value, limit) raises and clears (False: not yet); current_ma: the board's rating.

    An alarm comes when a reading has been beyond its limit for `alarm_delay_s`, and goes when it has been back by the
    hysteresis for as long. A reading that is not known changes nothing.
    """

    def __init__(self, say, config, current_ma):
        self._say = say
        self._delay_s = get(config, COMMON, "alarm_delay_s")
        rows = []
        for name in COMMON:
            row = COMMON[name]
            if len(row) > 3:
                limit = get(config, COMMON, name, current_ma // 10 * 9)  # not known: below what any reading says
                if limit > 0:
                    rows.append((limit,) + row[3:])
        self._rows = rows
        self._since_s = [ABSENT] * len(rows)
        self._raised = [False] * len(rows)

    def step(self, now_s, readings):
        """Compares. O(rows), no allocation."""
        since_s = self._since_s
        for i in range(len(since_s)):
            limit, alarm, slot, sign, hysteresis = self._rows[i]
            value = readings[slot]
            if value == ABSENT:
                since_s[i] = ABSENT
                continue
            raised = self._raised[i]
            beyond = value - limit
            if raised:
                beyond += sign * hysteresis
            if (beyond * sign > 0) == raised:
                since_s[i] = ABSENT
            elif since_s[i] == ABSENT:
                since_s[i] = now_s
            elif now_s - since_s[i] >= self._delay_s and self._say(
                now_s, alarm, not raised, value, limit
            ) is not False:
                since_s[i] = ABSENT
                self._raised[i] = not raised

    def forget(self, alarm):
        """A trip of that name was taken back: what still is beyond a limit is said anew."""
        for i in range(len(self._rows)):
            if self._rows[i][1] == alarm:
                self._raised[i] = False
