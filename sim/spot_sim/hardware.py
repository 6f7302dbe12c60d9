"""Machine-shaped hardware for the firmware's drivers, in place of MicroPython's `machine`: pins, UARTs, timers on
virtual time.

One Hardware is what stays when a device restarts: give the same one to the next App. Whoever drives the simulation sets
`now_s` (and, for buttons and lamps, `now_ms`) before it calls into the App; a pin that moves calls whoever watches it
with that time.
"""

from spot.codes import ABSENT


class Line:
    """What is at the other end of a pin: `level` (0 or 1), and who watches it: `watch(function(now_s, level))`."""

    def __init__(self, hardware, level=0):
        self._hardware = hardware
        self._watchers = []
        self.level = level
        self.edges = 0

    def watch(self, function):
        self._watchers.append(function)

    def drive(self, level):
        """Sets the level, from either end."""
        if level != self.level:
            self.level = level
            self.edges += 1
            for function in self._watchers:
                function(self._hardware.now_s, level)


class _Pin:
    """`machine.Pin`: value([v]), on(), off()."""

    __slots__ = ("_line",)

    def __init__(self, line):
        self._line = line

    def value(self, level=None):
        if level is None:
            return self._line.level
        self._line.drive(1 if level else 0)
        return None

    def on(self):
        self._line.drive(1)

    def off(self):
        self._line.drive(0)


class _Pins:
    """Stands for the class `machine.Pin`: callable, with its constants."""

    IN, OUT, PULL_UP, PULL_DOWN = 0, 1, 1, 2

    def __init__(self, hardware):
        self._hardware = hardware

    def __call__(self, number, mode=-1, pull=None, value=None):
        line = self._hardware.line(number)
        if mode == self.IN and pull == self.PULL_UP and not line.edges:
            line.level = 1
        if value is not None:
            line.drive(1 if value else 0)
        return _Pin(line)


class _Timer:
    """`machine.Timer`: fires in `Hardware.advance`."""

    ONE_SHOT, PERIODIC = 0, 1

    def __init__(self, hardware):
        self._hardware = hardware
        self._period_ms = 0
        self._due_ms = None
        self._callback = None
        self._mode = self.PERIODIC

    def init(self, period=-1, mode=1, callback=None):
        self._period_ms, self._mode, self._callback = period, mode, callback
        self._due_ms = self._hardware.now_ms + period

    def deinit(self):
        self._due_ms = None

    def _run(self, now_ms):
        while self._due_ms is not None and self._due_ms <= now_ms:
            self._due_ms = self._due_ms + self._period_ms if self._mode == self.PERIODIC else None
            self._callback(self)


class Hardware:
    """The provider. Fit it before the App is built:

    `line(number)`: the Line at a pin; `uarts[number]` = a UART-shaped chip (spot_sim.chips.bl0942); for the direct
    drivers `meter` = a source (see LoadMeter), `machine` = an object with set_power_limit(w) and set_offset(c100),
    `sensors[name]` = an object with `.value` in 0.01 °C.
    """

    def __init__(self, now_s=0):
        self.now_s = now_s
        self.now_ms = now_s * 1000
        self._lines = {}
        self._timers = []
        self.uarts = {}
        self.sensors = {}
        self.meter = None
        self.machine = None
        self.Pin = _Pins(self)
        self._cause = self.PWRON_RESET

    def advance(self, now_s, ms=0):
        """Moves on to `now_s` seconds and `ms` milliseconds; timers that are due fire. The UARTs' chips follow."""
        self.now_s = now_s
        self.now_ms = now_s * 1000 + ms
        for timer in self._timers:
            timer._run(self.now_ms)

    def ticks_ms(self):
        """Virtual milliseconds, wrapped as on a chip."""
        return self.now_ms & 0x3FFFFFFF

    def line(self, number):
        if number not in self._lines:
            self._lines[number] = Line(self)
        return self._lines[number]

    PWRON_RESET, WDT_RESET, SOFT_RESET = 1, 3, 5

    def reset_cause(self):
        return self._cause

    def power_cut(self):
        """The mains went: every pin falls, without telling who drove it; watchers see it. Timers are gone."""
        self._timers.clear()
        self._cause = self.PWRON_RESET
        for line in self._lines.values():
            line.drive(0)

    def restart(self):
        """A warm reset: pins that hold keep their levels; timers are gone."""
        self._timers.clear()
        self._cause = self.WDT_RESET

    # --- what the firmware calls ------------------------------------------------------------------------------------

    def UART(self, number, **options):  # noqa: N802 - the name of machine's class
        return self.uarts[number]

    def Timer(self, number=-1):  # noqa: N802
        timer = _Timer(self)
        self._timers.append(timer)
        return timer

    Timer.PERIODIC = _Timer.PERIODIC

    def sensor(self, name):
        if name not in self.sensors:
            self.sensors[name] = Sensor()
        return self.sensors[name]


class Sensor:
    """A temperature as the board's sensors give it: `value` in 0.01 °C, ABSENT when it does not answer."""

    def __init__(self, value=ABSENT):
        self.value = value


class LoadMeter:
    """Source of a direct meter: what a load (spot_sim.physics.load.Load, or alike) draws, at a voltage and a frequency.

    load: power_w(now_s), energy_mj(now_s), power_factor. mains: `voltage_10mv(now_s)` and `frequency_mhz(now_s)`, or
    None for 230 V and 50 Hz. `silent` makes it stop answering.
    """

    def __init__(self, load, mains=None):
        self.load = load
        self.mains = mains
        self.silent = False
        self.power_w = 0
        self.voltage_10mv = 23000
        self.current_ma = 0
        self.frequency_mhz = 50000
        self.energy_wh = 0

    def sample(self, now_s):
        if self.silent:
            return False
        load = self.load
        power_w = load.power_w(now_s)
        self.power_w = int(power_w + 0.5)
        self.energy_wh = load.energy_mj(now_s) // 3_600_000
        mains = self.mains
        if mains is not None:
            self.voltage_10mv = mains.voltage_10mv(now_s)
            self.frequency_mhz = mains.frequency_mhz(now_s)
        if self.power_w:
            volts = max(1, self.voltage_10mv) / 100
            self.current_ma = int(power_w * 1000 / (volts * load.power_factor))
        else:
            self.current_ma = 0
        return True
