"""Calibration of the meter against a reference load, and the record of it in the store. Loaded when it is needed.

What is kept are the meter's own factors, in the order of its driver, which refuses those that are more than 30 % off
what the board's description says: that is no calibration but a fault.
"""

from ..codes import (
    ABSENT,
    REASON_BUSY,
    REASON_NONE,
    REASON_NOT_SUPPORTED,
    REASON_OUT_OF_RANGE,
    REASON_SENSOR,
    REASON_STORE_FULL,
)
from ..port import const, struct

NAME = "calib"
_LEAST_S = const(3)
_MOST_S = const(300)  # so that the sums stay small integers
_SAMPLES = const(3)


def restore(meter, raw, log):
    """Has the meter use the factors of the record `raw`; a damaged one is logged, and the factory's stay."""
    n = len(raw) // 4
    if not hasattr(meter, "adjust") or len(raw) != 4 * n or not meter.use(struct.unpack("<%di" % n, raw)):
        log.error("calib.not_used", len(raw))


def start(device, now_s, ref, true, seconds):
    """Device.calibrate: see there."""
    meter = device.board.meter
    if device.calibrating is not None:
        return REASON_BUSY
    if not hasattr(meter, "adjust") or not meter.calibration():
        return REASON_NOT_SUPPORTED
    run = Run(now_s, ref, true, seconds)
    if run.reason == REASON_NONE:
        device.calibrating = run
    return run.reason


class Run:
    """One comparison, until `until_s`; true: (10 mV, mA, 0.1 W), ABSENT where not known. `reason`: why it cannot be."""

    def __init__(self, now_s, ref, true, seconds):
        self.ref = ref
        self.until_s = now_s + seconds
        self._true = true
        self._sums = [0, 0, 0]
        self._n = 0
        self._least_dw = self._most_dw = 0
        self.reason = REASON_OUT_OF_RANGE
        for value in true:
            if value != ABSENT:
                self.reason = REASON_NONE
        for value in true:
            if value != ABSENT and value <= 0:
                self.reason = REASON_OUT_OF_RANGE
        if not _LEAST_S <= seconds <= _MOST_S:
            self.reason = REASON_OUT_OF_RANGE

    def add(self, meter):
        """Takes in what the meter shows now."""
        power_dw = meter.power_dw
        if not self._n:
            self._least_dw = self._most_dw = power_dw
        self._least_dw = min(self._least_dw, power_dw)
        self._most_dw = max(self._most_dw, power_dw)
        self._n += 1
        sums = self._sums
        sums[0] += meter.voltage_10mv
        sums[1] += meter.current_ma
        sums[2] += power_dw

    def step(self, now_s, device, store):
        """Ends it when it is time."""
        if now_s >= self.until_s:
            device.calibrating = None
            device.on_calibrated(now_s, self.ref, self._end(device.board.meter, store))

    def _end(self, meter, store):
        """Reckons the new factors, keeps them, and has the meter use them. REASON_…"""
        n = self._n
        if n < _SAMPLES:
            return REASON_SENSOR
        shown = tuple(total // n for total in self._sums)
        if (self._most_dw - self._least_dw) * 20 > abs(shown[2]) + 200:  # a load that is not steady is no reference
            return REASON_OUT_OF_RANGE
        factors = meter.adjust(shown, self._true)
        if factors is None:
            return REASON_OUT_OF_RANGE
        try:
            store.put(NAME, struct.pack("<%di" % len(factors), *factors))
        except OSError:
            return REASON_STORE_FULL
        meter.use(factors)
        return REASON_NONE
