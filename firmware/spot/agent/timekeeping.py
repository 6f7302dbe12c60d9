"""Whose time is believed: only what cannot have waited in a queue sets the clock."""

from array import array

from spot.agent.times import NEVER
from spot.codes import ABSENT, CH_REGISTER, CLOCK_EMD, CLOCK_HOLDOVER, T_TIME
from spot.port import const
from spot.wire import profile
from spot.wire.fields import TIM_COUNT, TIM_NONCE

ROUND_TRIP_S = const(10)  # an answer that took longer tells no time
_NEAR_S = const(10)  # a fresh heartbeat corrects so much; beyond it the device asks
_SMALL_S = const(2)  # not worth a correction
_CONFIRM_S = const(3600)  # a clock that agrees is confirmed so often, and one that does not is logged


class Timekeeping:
    """Sets the clock and asks for the time.

    changed(now_s, first, jumped) hears of it; first: since boot; jumped: by more than two seconds. junior(now_s) ->
    True while the clock is another association's. given: this one's EMD has set the clock since boot.
    """

    def __init__(self, clock, eui64, boot_key, out, tx, changed, junior, log):
        self._clock = clock
        self._eui64 = eui64
        self._boot_key = boot_key
        self._out = out
        self._tx = tx
        self._changed = changed
        self._junior = junior
        self._log = log
        self._said_s = -NEVER
        self.given = False
        self._slots = array("i", [ABSENT] * TIM_COUNT)
        self._confirmed_s = -NEVER
        self._asked_s = NEVER
        self._nonce = 0

    def set(self, now_s, utc, quality):
        """Takes UTC; False when the clock refuses it, or another EMD's time goes before and is not the same."""
        before = self._clock.utc(now_s)
        if before != ABSENT and quality == CLOCK_EMD and self._junior(now_s):
            if -_SMALL_S <= utc - before <= _SMALL_S:
                return True
            if now_s - self._said_s >= _CONFIRM_S:
                self._said_s = now_s
                self._log.warn("time.disagrees", utc - before)
            return False
        if self._clock.set_utc(now_s, utc, quality) is False:
            return False
        self._confirmed_s = now_s
        self.given = quality == CLOCK_EMD
        if before != utc:
            first = before == ABSENT
            self._changed(now_s, first, first or not -_SMALL_S <= utc - before <= _SMALL_S)
        return True

    def trusted(self, now_s):
        """Our UTC, when it is good enough to judge another's; else ABSENT."""
        if self._clock.quality(now_s) < CLOCK_HOLDOVER:
            return ABSENT
        return self._clock.utc(now_s)

    def compare(self, now_s, time):
        """The EMD's time from a fresh heartbeat: corrects a little forward, or makes the device ask: one that says less
        may only have been under way for so long."""
        utc = self.trusted(now_s)
        junior = self._junior(now_s)
        if not junior and (utc == ABSENT or not -_SMALL_S <= time - utc <= _NEAR_S):
            self.ask(now_s)
        elif junior or not -_SMALL_S <= time - utc <= _SMALL_S or now_s - self._confirmed_s >= _CONFIRM_S:
            self.set(now_s, time, CLOCK_EMD)

    def ask(self, now_s):
        """Asks the EMD, unless a question is under way."""
        if 0 <= now_s - self._asked_s < ROUND_TRIP_S:
            return
        number = bytes((now_s >> 24 & 0xFF, now_s >> 16 & 0xFF, now_s >> 8 & 0xFF, now_s & 0xFF))
        self._nonce = profile.jitter(self._eui64, self._boot_key + number + b"t", 0x3FFFFFFD)
        slots = self._slots
        slots[TIM_NONCE] = self._nonce
        self._asked_s = now_s
        self._out.send(CH_REGISTER, self._tx, profile.encode_hot(T_TIME, slots, self._tx), False)

    def answered(self, now_s, nonce, time):
        """Takes the answer to our question; False for any other."""
        if time == ABSENT or nonce != self._nonce or not 0 <= now_s - self._asked_s <= ROUND_TRIP_S:
            return False
        self._asked_s = NEVER
        self.set(now_s, time, CLOCK_EMD)
        return True
