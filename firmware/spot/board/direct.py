"""Parts whose values the hardware provider gives as numbers, without a chip between: for boards in a simulator."""

from ..codes import ABSENT


class DirectMeter:
    """A meter over an object of the provider's: `source.sample(now_s)` (False: no answer) and the attributes of a
    meter.
    """

    def __init__(self, source, trip, period_s):
        self._source = source
        self._trip = trip
        self.period_s = period_s
        self.fault = False
        self.power_w = 0
        self.voltage_10mv = ABSENT
        self.current_ma = ABSENT
        self.frequency_mhz = ABSENT
        self.energy_wh = 0
        self._source_wh = ABSENT  # the source's own count at the latest sample

    def poll(self):
        return False

    def sample(self, now_s):
        source = self._source
        if not source.sample(now_s):
            if not self.fault:
                self.fault = True
                self.voltage_10mv = self.current_ma = self.frequency_mhz = ABSENT
            return False
        self.fault = False
        self.power_w = power_w = source.power_w
        self.current_ma = current_ma = source.current_ma
        self.voltage_10mv = voltage_10mv = source.voltage_10mv
        self.frequency_mhz = source.frequency_mhz
        source_wh = source.energy_wh
        before_wh = self._source_wh
        if before_wh != ABSENT and source_wh != ABSENT:  # it may have counted before this boot
            # a source that started afresh counts from zero: energy never runs backward
            self.energy_wh += source_wh - before_wh if source_wh >= before_wh else max(0, source_wh)
        if source_wh != ABSENT:
            self._source_wh = source_wh
        self._trip.check(current_ma, power_w, voltage_10mv)
        return True


class NoMeter:
    """What stands for the meter on a board without one: it never has a sample and is never faulty."""

    period_s = 60
    fault = False
    power_w = 0
    voltage_10mv = ABSENT
    current_ma = ABSENT
    frequency_mhz = ABSENT
    energy_wh = 0

    def poll(self):
        return False

    def sample(self, now_s):
        return False


METER_FIELDS = {"period_s": (1, 900, False)}


def make_meter(part, hardware, board, ticks_ms, name):
    return DirectMeter(hardware.meter, board.trip, part.get("period_s", 60))


def make_none(part, hardware, board, ticks_ms, name):
    return NoMeter()


def make_machine(part, hardware, board, ticks_ms, name):
    return hardware.machine


def make_sensor(part, hardware, board, ticks_ms, name):
    return hardware.sensor(name)
