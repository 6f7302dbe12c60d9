"""A heat pump with a controller of its own that speaks, on a bench with a clock: for the tests of its parts."""

from spot.codes import ABSENT
from spot.device.heat_pump import HeatPump
from spot_sim.chips.bl0942 import BL0942Chip
from spot_sim.chips.contacts import SgReadyContacts
from spot_sim.hardware import Hardware, LoadMeter, Sensor
from tests.unit.device.rig import Appliance, Bench

FREE = {"min_run_s": 0, "min_pause_s": 0, "sg_hold_s": 0}  # guards that are not what a test is about
DAY = 86400


class Talker:
    """A machine's own controller: `told` is what it was told, in order; `silent` makes it deaf and dumb."""

    def __init__(self, wears=False):
        self.wears = wears
        self.silent = False
        self.told = []
        self.limit_w, self.offset, self.water = ABSENT, 0, ABSENT
        self.compressor = self.defrost = self.hot_water_active = self.power_w = ABSENT
        self.flow = self.hot_water = self.outdoor = ABSENT
        self.error = 0
        self.writes = 0

    def sample(self, now_s):
        return not self.silent

    def _tell(self, name, value):
        self.told.append((name, value))
        if not self.silent:
            setattr(self, name, value)
            self.writes += 1

    def set_power_limit(self, w):
        self._tell("limit_w", w)

    def set_offset(self, c100):
        self._tell("offset", c100)

    def set_hot_water(self, c100):
        self._tell("water", c100)

    def release(self):
        self.told.append("release")
        if not self.silent:
            self.writes += sum((self.limit_w != ABSENT, self.offset != 0, self.water != ABSENT))
            self.limit_w, self.offset, self.water = ABSENT, 0, ABSENT

    @property
    def normal(self):
        return self.limit_w == ABSENT and self.offset == 0 and self.water == ABSENT


class PumpBench(Bench):
    """`utc_s`: UTC at second 0 of the bench, ABSENT while it is not known."""

    utc_s = ABSENT
    zone_s = 0

    def boot(self):
        super().boot()
        self.device.utc = lambda now_s: ABSENT if self.utc_s == ABSENT else self.utc_s + now_s
        self.device.zone_s = lambda utc: self.zone_s

    def ask(self, *what, **more):
        super().ask(*what, **more)
        self.asked = (what, more)

    def minutes(self, count):
        """Steps once a minute."""
        for _ in range(count):
            self.now_s += 60
            self.step()


def talking(config=None, watts=2000, board="unix_heat_pump", wears=False, start_s=0, utc_s=ABSENT, sg=True):
    hardware = Hardware(start_s)
    load = Appliance(watts)
    hardware.uarts[0] = BL0942Chip(hardware, load)
    hardware.meter = LoadMeter(load)
    hardware.machine = Talker(wears)
    hardware.sensors = {"room": Sensor(2100), "outdoor": Sensor(200), "flow": Sensor(3500)}
    settings = {"power_max_w": 6000, "steps": [1500, 3000, 4500], "legionella_days": 0}
    settings.update(config or {})
    PumpBench.utc_s = utc_s
    bench = PumpBench(HeatPump, board, settings, hardware)
    bench.utc_s = utc_s
    bench.load, bench.machine = load, hardware.machine
    for name, sensor in hardware.sensors.items():
        setattr(bench, name, sensor)
    bench.contacts = SgReadyContacts(hardware.line(2), hardware.line(3))
    bench.step()
    bench.machine.told.clear()
    return bench
