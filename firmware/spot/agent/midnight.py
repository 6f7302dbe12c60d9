"""The registers at local midnight, as an event: one for each day, whatever becomes of clock and power.

What is to be said is kept first, with the number that it will have; a life that ended between the two says it at its
next boot. Days that went by without power or time are not made up: the next midnight says that there is a gap.
"""

from spot.agent.times import NEVER
from spot.codes import (
    ABSENT,
    QUALITY_CLOCK,
    QUALITY_ESTIMATED,
    QUALITY_GAP,
    QUALITY_POWER_CUT,
    R_ENERGY_EXPORT,
    R_ENERGY_IMPORT,
    T_REGISTERS,
)
from spot.port import const, struct

_NAME = "day"
_VALUES = const(9)  # the day, then what follows the number in `registers`
_DAY_S = const(86400)
_BLIND_S = const(60)  # the meter had not failed for so long before
_LATE_S = const(60)  # said so long after midnight the registers are no longer those of midnight


class Midnight:
    """due_s: when step() has something to do. The zone is that of the first association that gets intervals."""

    def __init__(self, agent, store):
        self._agent = agent
        self._device = agent.device
        self._clock = agent.clock
        self._store = store
        self._day = ABSENT  # the local day whose midnight has been told
        self._import0 = self._export0 = ABSENT  # registers at boot
        self._quality = 0
        self.due_s = NEVER

    def begin(self, now_s):
        """First step after boot."""
        readings = self._device.readings
        self._import0, self._export0 = readings[R_ENERGY_IMPORT], readings[R_ENERGY_EXPORT]
        if self._agent.identity.boot > 1:
            self._quality = QUALITY_POWER_CUT
        raw = self._store.get(_NAME)
        seats = self._agent.seats
        if raw is None or len(raw) != 4 * (_VALUES + len(seats)):
            return
        values = struct.unpack("<%di" % (_VALUES + len(seats)), raw)
        self._day = values[0]
        for seat in seats:
            if seat.stream.end == values[_VALUES + seat.at]:  # its record did not come after this one
                self._post(now_s, seat, values)

    def _zone_s(self, utc):
        for seat in self._agent.seats:
            if seat.counts:
                return seat.plan.zone_s(utc)
        return 0

    def _begins(self, day, utc):
        """UTC at which local `day` begins; utc: about then."""
        start = day * _DAY_S
        return start - self._zone_s(start - self._zone_s(utc))

    def time_set(self, now_s, first, jumped):
        """UTC was set or corrected, or the zone is another one."""
        utc = self._clock.utc(now_s)
        if utc == ABSENT:
            return
        day = (utc + self._zone_s(utc)) // _DAY_S
        if jumped and not first:
            self._quality |= QUALITY_CLOCK
        if self._day == ABSENT or self._day > day + 1:  # the first day, or the clock was wrong by days
            self._keep(now_s, [day] + [ABSENT] * (_VALUES - 1), False)
        self._plan(now_s, utc)

    def _plan(self, now_s, utc):
        self.due_s = max(now_s, now_s + self._begins(self._day + 1, utc) - utc)

    def step(self, now_s):
        """Tells the registers of the midnight that has passed."""
        utc = self._clock.utc(now_s)
        if utc == ABSENT or self._day == ABSENT:
            self.due_s = NEVER
            return
        day = (utc + self._zone_s(utc)) // _DAY_S
        if day > self._day:
            self._tell(now_s, utc, day)
        self._plan(now_s, utc)

    def _tell(self, now_s, utc, day):
        device = self._device
        counters, readings = device.counters, device.readings
        imported, exported = readings[R_ENERGY_IMPORT], readings[R_ENERGY_EXPORT]
        quality = self._quality
        midnight = self._begins(day, utc)
        if self._import0 != ABSENT and utc - now_s >= midnight:  # nothing was counted between midnight and the boot
            imported, exported = self._import0, self._export0
        elif utc - midnight > _LATE_S:
            quality |= QUALITY_ESTIMATED
        if counters.estimated or counters.blind_s > now_s - _BLIND_S:
            quality |= QUALITY_ESTIMATED
        if day > self._day + 1:
            quality |= QUALITY_GAP
        at_s = device.peak_s
        peak_utc = ABSENT if at_s == ABSENT else min(utc - (now_s - at_s), midnight)
        self._keep(now_s, [
            day, midnight, max(0, imported), quality, exported, device.take_peak(now_s), peak_utc, counters.switches,
            counters.starts,
        ], True)
        self._quality = 0

    def _keep(self, now_s, values, tell):
        self._day = values[0]
        seats = self._agent.seats
        numbers = [seat.stream.end if tell else ABSENT for seat in seats]
        try:
            self._store.put(_NAME, struct.pack("<%di" % (_VALUES + len(seats)), *(values + numbers)))
        except OSError:  # StoreError: it is told all the same
            self._agent.flash_failed(now_s)
        if tell:
            for seat in seats:
                self._post(now_s, seat, values)

    def _post(self, now_s, seat, values):
        if seat.counts:
            seat.events.post_values(now_s, T_REGISTERS, [0] + [v if v != ABSENT else None for v in values[1:_VALUES]])
