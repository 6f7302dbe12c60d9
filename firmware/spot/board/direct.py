"""Parts whose values the hardware provider gives as numbers, without a chip between: for boards in a simulator."""

from ..codes import ABSENT
from ..port import const
from .calibration import Meter

_ONE = const(10000)
CALIBRATED = ("per_v", "per_a", "per_w")
NOMINAL = (_ONE, _ONE, _ONE)  # the source's values as they are


class DirectMeter(Meter):
    """A meter over an object of the provider's: `source.sample(now_s)` (False: no answer) and the attributes of a
    meter; `energy_export_wh` and `power_dw` where the source has them.
    """

    def __init__(self, source, trip, period_s):
        self._source = source
        self._source_wh = self._source_out_wh = ABSENT  # the source's own counts at the latest sample
        self._exports = hasattr(source, "energy_export_wh")
        self._fine = hasattr(source, "power_dw")
        if self._exports:
            self.exports = 0
        Meter.__init__(self, trip, period_s, NOMINAL)

    def _scale(self, per_v, per_a, per_w):
        self._plain = self._calibration == NOMINAL

    def poll(self):
        return False

    def sample(self, now_s):
        source = self._source
        if not source.sample(now_s):
            if not self.fault:
                self.fault = True
                self._forget()
            return False
        self.frequency_mhz = source.frequency_mhz
        power_dw = source.power_dw if self._fine else source.power_w * 10
        current_ma = source.current_ma
        voltage_10mv = source.voltage_10mv
        if not self._plain:
            per_v, per_a, per_w = self._calibration
            power_dw = power_dw * _ONE // per_w
            if current_ma != ABSENT:
                current_ma = current_ma * _ONE // per_a
            if voltage_10mv != ABSENT:
                voltage_10mv = voltage_10mv * _ONE // per_v
        self._source_wh = self._since(source.energy_wh, self._source_wh, 0)
        if self._exports:
            self._source_out_wh = self._since(source.energy_export_wh, self._source_out_wh, 1)
        self._measured(power_dw, current_ma, voltage_10mv)
        return True

    def _since(self, wh, before_wh, out):
        """Counts what the source counted since the latest sample; it may have counted before this boot, and one that
        started afresh counts from zero: energy never runs backward."""
        if wh == ABSENT:
            return before_wh
        if before_wh != ABSENT and wh != before_wh:
            self._count((wh - before_wh if wh >= before_wh else max(0, wh)) * _ONE, self._calibration[2], out)
        return wh


class NoMeter(Meter):
    """What stands for the meter on a board without one: it never has a sample and is never faulty."""

    def __init__(self):
        Meter.__init__(self, None, 60, ())

    def _scale(self):
        pass

    def poll(self):
        return False

    def sample(self, now_s):
        return False

    def adjust(self, shown, true):
        return None


METER_FIELDS = {"period_s": (1, 900, False)}


def make_meter(part, hardware, board, ticks_ms, name):
    return DirectMeter(hardware.meter, board.trip, part.get("period_s", 60))


def make_none(part, hardware, board, ticks_ms, name):
    return NoMeter()


def make_machine(part, hardware, board, ticks_ms, name):
    return hardware.machine


def make_sensor(part, hardware, board, ticks_ms, name):
    return hardware.sensor(name)
