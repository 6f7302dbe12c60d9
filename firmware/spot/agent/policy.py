"""The cached price series, and the local rule that follows it while no EMD is there."""

from array import array

from spot.agent.times import NEVER
from spot.codes import (
    ABSENT,
    KIND_OFF,
    KIND_SG_READY,
    METHOD_OFF,
    METHOD_SHIFT,
    POLICY_AVOID_DEAREST,
    POLICY_NONE,
    POLICY_THRESHOLD,
    REASON_NONE,
    T_PRICE,
)
from spot.port import const
from spot.wire import profile

_NAME = "price"
_DAY_S = const(86400)
_HOUR_S = const(3600)
_MAX_BODY = const(512)  # octets of a series that is kept: 192 prices

# Fields of `price`
_REVISION = const(0)
_START = const(1)
_INTERVAL = const(2)
_SCALE = const(3)
_SERIES = const(4)
_UNTIL = const(6)

# How a device saves without an EMD: the first that it can do. SG-Ready state 1 is the lock.
_WAYS = ((KIND_OFF, ABSENT, ABSENT), (KIND_SG_READY, 1, ABSENT))


class Policy:
    """plan: the Association (policy, policy_value). due_s: when local() may answer otherwise.

    revision: of the series known, ABSENT without one.
    """

    def __init__(self, store, device, log, plan, description):
        self._store = store
        self._log = log
        self._plan = plan
        self._way = None
        if (description.get("methods") or 0) & (METHOD_OFF | METHOD_SHIFT):
            for way in _WAYS:
                if device.check(way[0], way[1], way[2]) == REASON_NONE:
                    self._way = way
                    break
        self.revision = ABSENT
        self._start = self._until = 0
        self._length_s = _HOUR_S
        self._scale = 0
        self._series = array("h")
        self.due_s = NEVER
        raw = store.get(plan.prefix + _NAME)
        if raw is not None:
            try:
                self._take(profile.decode(T_PRICE, raw, len(raw)))
            except profile.ProfileError as error:
                log.error("price.damaged", error.reason)

    def receive(self, buf, n):
        """Takes a `price` message; True when it was news. Raises ProfileError; StoreError after it has been taken."""
        values = profile.decode(T_PRICE, buf, n)
        if self.revision != ABSENT and values[_REVISION] <= self.revision:
            return False
        self._take(values)
        if n <= _MAX_BODY:
            self._store.put(self._plan.prefix + _NAME, bytes(memoryview(buf)[:n]))
        return True

    def _take(self, values):
        self.revision = values[_REVISION]
        self._start = values[_START]
        self._length_s = values[_INTERVAL] * 60
        self._scale = values[_SCALE]
        self._series = values[_SERIES]
        end = self._start + self._length_s * len(self._series)
        until = values[_UNTIL]
        self._until = end if until is None else min(end, until)

    def ahead_s(self, utc):
        """Seconds of known prices from utc on."""
        if utc == ABSENT or self.revision == ABSENT or utc < self._start:
            return 0
        return max(0, self._until - utc)

    def local(self, now_s, utc):
        """(kind, value, value2) that the rule asks for now, or None."""
        self.due_s = NEVER
        if self._plan.policy == POLICY_NONE or self._way is None or utc == ABSENT or self.revision == ABSENT:
            return None
        if utc < self._start:
            self.due_s = now_s + self._start - utc
            return None
        if utc >= self._until:
            return None
        slot = (utc - self._start) // self._length_s
        self.due_s = now_s + min(self._start + (slot + 1) * self._length_s, self._until) - utc
        if self._plan.policy == POLICY_THRESHOLD:
            save = self._above(self._series[slot], self._plan.policy_value)
        elif self._plan.policy == POLICY_AVOID_DEAREST:
            save = self._dearest(utc, self._plan.policy_value)
        else:
            save = False
        return self._way if save else None

    def _above(self, number, cents_per_kwh):
        """True when number * 10^scale EUR/MWh is more; 1 EUR/MWh is 0.1 cents per kWh."""
        limit = cents_per_kwh * 10
        scale = self._scale
        while scale > 0:
            number *= 10
            scale -= 1
        while scale < 0:
            limit *= 10
            scale += 1
        return number > limit

    def _dearest(self, utc, hours):
        """True when this hour is among the `hours` dearest of its day, counted in days from the series' start."""
        unit = max(_HOUR_S, self._length_s)
        per_unit = max(1, unit // self._length_s)
        first = (utc - self._start) // _DAY_S * _DAY_S // self._length_s
        last = min(first + _DAY_S // self._length_s, len(self._series))
        mine = first + (utc - self._start - first * self._length_s) // unit * per_unit
        own = self._mean(mine, per_unit)
        dearer = 0
        for at in range(first, last, per_unit):
            other = self._mean(at, per_unit)
            if other > own or (other == own and at < mine):
                dearer += 1
        return dearer * (unit // _HOUR_S) < hours

    def _mean(self, at, count):
        """Mean of `count` prices, in 1/12 of their unit: an hour may be cut short by the series' end."""
        total = n = 0
        for i in range(at, min(at + count, len(self._series))):
            total += self._series[i]
            n += 1
        return total * 12 // n if n else 0
