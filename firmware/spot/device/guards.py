"""The guards: one table-driven mechanism that has the last word on whether a load may be on.

A device states its rows in order of precedence: (name, effect, reason). A row is armed for a span of time; when it is
over, the row is idle again. The effects:

| effect | while armed |
|---|---|
| FORCE_OFF | it is off |
| FORCE_ON | it is on (released, for a heat pump) |
| FORBID_ON | what is off stays off |
| FORBID_OFF | what is on stays on |

A row that forbids bars the forces of the rows below it, too: comfort does not start a compressor in its minimum pause.
"""

from ..codes import REASON_NONE
from ..port import const

FORCE_OFF = const(0)
FORCE_ON = const(1)
FORBID_ON = const(2)
FORBID_OFF = const(3)

FOREVER_S = const(0x3FFFFFFE)
_IDLE = const(0)


class Guards:
    """`rows`: tuple of (name, effect, reason). After `decide`: `row` (the index that decided, -1 none), `reason`,
    `until_s`.
    """

    def __init__(self, rows):
        self.rows = rows
        n = len(rows)
        self._effect = [row[1] for row in rows]
        self._from = [0] * n
        self._until = [_IDLE] * n
        self._n = n
        self.row = -1
        self.reason = REASON_NONE
        self.until_s = 0

    def arm(self, row, from_s, until_s=FOREVER_S):
        """Row number `row` acts from `from_s` until before `until_s`; a span that is empty disarms it."""
        self._from[row] = from_s
        self._until[row] = until_s if until_s > from_s else _IDLE

    def clear(self, row):
        self._until[row] = _IDLE

    def armed(self, row, now_s):
        """Whether row number `row` acts now."""
        return self._from[row] <= now_s < self._until[row]

    def remaining(self, row, now_s):
        """Seconds for which row number `row` still acts, 0 when it does not."""
        return self._until[row] - now_s if self._from[row] <= now_s < self._until[row] else 0

    def decide(self, now_s, on, wanted):
        """What a load that is `on` may be when `wanted` is asked (both bool). O(rows), no allocation."""
        self.row = -1
        self.reason = REASON_NONE
        barred_on = barred_off = -1
        until = self._until
        for i in range(self._n):
            until_s = until[i]
            if until_s == _IDLE:
                continue
            if until_s <= now_s:
                until[i] = _IDLE
                continue
            if self._from[i] > now_s:
                continue
            effect = self._effect[i]
            if effect == FORBID_ON:
                if on or barred_on >= 0:
                    continue
                if wanted:
                    return self._by(i, False)
                barred_on = i
            elif effect == FORBID_OFF:
                if not on or barred_off >= 0:
                    continue
                if not wanted:
                    return self._by(i, True)
                barred_off = i
            elif effect == FORCE_OFF:
                if barred_off >= 0:
                    return self._by(barred_off, True)
                return self._by(i, False)
            else:
                if barred_on >= 0:
                    return self._by(barred_on, False)
                return self._by(i, True)
        return wanted

    def _by(self, row, on):
        self.row = row
        self.reason = self.rows[row][2]
        self.until_s = self._until[row]
        return on

    def wait(self, now_s, longest):
        """Seconds until some row begins or ceases to act, at most `longest`."""
        for i in range(self._n):
            until_s = self._until[i]
            if until_s > now_s:
                at = self._from[i]
                if at <= now_s:
                    at = until_s
                at -= now_s
                if at < longest:
                    longest = at
        return longest
