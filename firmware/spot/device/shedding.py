"""Autonomous under-frequency shedding: below a threshold for a while the load goes off, without any network, and comes
back when the frequency has been right for a while, spread in time. Only where the household has consented (setting
`shed_consent`).

Nothing is shed on one odd sample, nor on none: the frequency must have been low in several samples in a row. What is
shed stays so over a restart. Where the frequency is no longer measured the load comes back: it is not known to be low.
"""

from ..codes import ABSENT, OBJ_SHED_FREQUENCY, REASON_NONE, REASON_OUT_OF_RANGE, REASON_STORE_FULL
from ..port import const, struct
from .settings import PLUG, get

_NAME = "shed"
_FORMAT = "<IHB"  # threshold mHz, delay s, shed now
_SAMPLES = const(3)  # in a row
_APART_MHZ = const(20)  # least distance between threshold and restoring
_HERTZ_60 = const(10000)  # what a threshold of a 60 Hz grid lies above that of a 50 Hz grid
_LOW_MHZ = const(47000)
_HIGH_MHZ = const(49900)


class Shedding:
    """`active`: the load is to be off. `frequency_mhz` (0: never) and `delay_s`: as configured, or as the EMD wrote."""

    def __init__(self, config, store, log):
        self._store = store
        self._log = log
        self.frequency_mhz = get(config, PLUG, "shed_mhz")
        self.delay_s = get(config, PLUG, "shed_delay_s")
        self._restore_mhz = get(config, PLUG, "shed_restore_mhz")
        self._restore_s = get(config, PLUG, "shed_restore_s")
        self._spread_s = get(config, PLUG, "shed_spread_s")
        self.active = False
        self._low = 0  # samples in a row
        self._since_s = ABSENT  # low since; while shed: right since
        self._wait_s = 0
        raw = store.get(_NAME)
        if raw is not None and len(raw) == struct.calcsize(_FORMAT):
            self.frequency_mhz, self.delay_s, self.active = struct.unpack(_FORMAT, raw)

    def read(self, object_id):
        """OBJ_SHED_FREQUENCY or OBJ_SHED_DELAY."""
        return self.frequency_mhz if object_id == OBJ_SHED_FREQUENCY else self.delay_s

    def write(self, object_id, value):
        """The same, as an EMD may set them: a threshold of 0, or 0.1 to 3 Hz below the mains of 50 or 60 Hz."""
        before = self.frequency_mhz, self.delay_s
        if object_id == OBJ_SHED_FREQUENCY:
            if value and not _LOW_MHZ <= value - (_HERTZ_60 if value > 55000 else 0) <= _HIGH_MHZ:
                return REASON_OUT_OF_RANGE
            self.frequency_mhz = value
        else:
            if not 0 <= value <= PLUG["shed_delay_s"][1]:
                return REASON_OUT_OF_RANGE
            self.delay_s = value
        if self._keep():
            return REASON_NONE
        self.frequency_mhz, self.delay_s = before
        return REASON_STORE_FULL

    def _keep(self):
        """False when the flash does not take it."""
        try:
            self._store.put(_NAME, struct.pack(_FORMAT, self.frequency_mhz, self.delay_s, self.active))
        except OSError:
            self._log.error("shed.not_kept")
            return False
        return True

    def step(self, now_s, frequency_mhz, fresh, spread):
        """frequency_mhz: ABSENT where it is not known; fresh: it is of a new sample; spread(window_s) -> s. True when
        `active` changed."""
        threshold = self.frequency_mhz
        low = frequency_mhz != ABSENT and frequency_mhz < threshold
        if not self.active:
            if not fresh:
                return False
            if not low:
                self._low = 0
                return False
            if not self._low:
                self._since_s = now_s
            self._low += 1
            if self._low < _SAMPLES or now_s - self._since_s < self.delay_s:
                return False
        else:
            if low or (
                threshold and frequency_mhz != ABSENT
                and frequency_mhz < max(self._restore_mhz, threshold + _APART_MHZ)
            ):
                self._since_s = ABSENT
                return False
            if self._since_s == ABSENT:
                self._since_s = now_s
                self._wait_s = self._restore_s + spread(self._spread_s)
            if now_s - self._since_s < self._wait_s:
                return False
        self.active = not self.active
        self._low = 0
        self._since_s = ABSENT
        self._keep()
        self._log.warn("shed", 1 if self.active else 0, frequency_mhz)
        return True
