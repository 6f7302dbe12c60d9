"""What every metering chip's driver has in common: the values, energy in whole Wh each way, and a calibration that a
reference load corrects.

A calibration is three integers, what one volt, one ampere and one kilowatt count in the chip's own units: the larger it
is, the less is shown. They are fields of the board's description, in the order voltage, current, power.
"""

from ..codes import ABSENT
from ..port import const

_LEAST = (5000, 200, 200)  # 10 mV, mA, 0.1 W: below that a reference load says too little
_MISSES = const(5)  # samples in a row without a value, then the meter is faulty


class Meter:
    """`power_w` (signed: negative is out of the house), `power_dw` in 0.1 W, `voltage_10mv`, `current_ma`,
    `frequency_mhz` (ABSENT: not known), `energy_wh` imported and `energy_export_wh` exported since boot (ABSENT: this
    chip cannot tell), `fault`, and `errors`, how often the chip's word was refused.

    calibration: of the board's description. A driver has `_scale(*calibration)`, which makes its factors from one.
    """

    exports = ABSENT  # energy_export_wh at the start: 0 where the chip tells both ways apart

    def __init__(self, trip, period_s, calibration):
        self._trip = trip
        self.period_s = period_s
        self._nominal = calibration
        self._rest = [0, 0]  # of energy below 1 Wh: imported, exported
        self._misses = 0
        self.errors = 0
        self.fault = False
        self.power_w = self.power_dw = 0
        self.energy_wh = 0
        self.energy_export_wh = self.exports
        self._forget()
        self.use(calibration)

    def _forget(self):
        self.voltage_10mv = self.current_ma = self.frequency_mhz = ABSENT

    def _missed(self):
        """A sample was due and did not come."""
        self._misses += 1
        if self._misses >= _MISSES and not self.fault:
            self.fault = True
            self._forget()

    def _measured(self, power_dw, current_ma, voltage_10mv):
        """Takes values that are believed: the trip first."""
        power_w = (power_dw + 5) // 10
        self._trip.check(current_ma, power_w, voltage_10mv)
        self.power_dw = power_dw
        self.power_w = power_w
        self.current_ma = current_ma
        self.voltage_10mv = voltage_10mv
        self._misses = 0
        self.fault = False

    def _count(self, amount, wh, out=0):
        """Adds energy, in a unit of which `wh` make 1 Wh; out: 1 for exported. The rest is kept: nothing drifts."""
        rest = self._rest[out] + amount
        self._rest[out] = rest % wh
        if out:
            self.energy_export_wh += rest // wh
        else:
            self.energy_wh += rest // wh

    def calibration(self):
        """The calibration in force."""
        return self._calibration

    def use(self, calibration):
        """Puts a calibration (a tuple) in force; False, and nothing changes, for one that is none or more than 30 % off
        that of the board."""
        good = self._near(calibration)
        if good:
            self._calibration = calibration
            self._scale(*calibration)
        return good

    def _near(self, calibration):
        for value, board in zip(calibration, self._nominal):
            if abs(value - board) * 10 > board * 3:
                return False
        return len(calibration) == len(self._nominal)

    def adjust(self, shown, true):
        """The calibration under which `shown` would have been `true`, each (voltage in 10 mV, current in mA, power in
        0.1 W), ABSENT in `true`: leave. None when the load is too small or the result more than 30 % off the board's.
        """
        found = []
        for value, was, want, least in zip(self._calibration, shown, true, _LEAST):
            if want != ABSENT:
                if want < least or was < least:
                    return None
                value = (value * was + want // 2) // want
            found.append(value)
        return tuple(found) if self._near(found) else None
