"""Machine-shaped hardware for the firmware's drivers, in place of MicroPython's `machine`: pins with interrupts, UARTs,
I2C, analog inputs, 1-Wire, timers and a watchdog on virtual time.

One Hardware is what stays when a device restarts: give the same one to the next App. Whoever drives the simulation sets
`now_s` (and, for buttons and lamps, `now_ms`) before it calls into the App; a pin that moves calls whoever watches it
with that time. What happens between two such instants (pulses, edges, timers, the watchdog) happens in `advance`, in
its order.

Runs on MicroPython as well, as the chips do that stand for sensors, pulses and contacts: the drivers' tests are the
same there.
"""

from heapq import heappop, heappush

from spot.codes import ABSENT
from spot.port import TICKS_PERIOD

_TICKS = TICKS_PERIOD - 1


class Line:
    """What is at the other end of a pin: `level` (0 or 1), and who watches it: `watch(function(now_s, level))`.

    An edge also calls the firmware's interrupt handler, where it has asked for that kind of edge.
    """

    def __init__(self, hardware, level=0, number=-1):
        self._hardware = hardware
        self._watchers = []
        self.number = number
        self.level = level
        self.edges = 0
        self.floating = True  # nobody has driven it since the power came
        self.handler = None  # the firmware's, as the pin's irq() set it
        self.trigger = 0
        self.pin = None

    def watch(self, function):
        self._watchers.append(function)

    def drive(self, level):
        """Sets the level, from either end."""
        self.floating = False
        if level != self.level:
            self.level = level
            self.edges += 1
            for function in self._watchers:
                function(self._hardware.now_s, level)
            if self.handler is not None and self.trigger & (_Pins.IRQ_RISING if level else _Pins.IRQ_FALLING):
                self.handler(self.pin)

    def pulse(self, width_us, level=1):
        """Drives to `level` now and back after `width_us` (in `advance`)."""
        self.drive(level)
        self._hardware.call_in_us(width_us, lambda: self.drive(1 - level))


class _Pin:
    """`machine.Pin`: value([v]), on(), off(), irq(handler, trigger)."""

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

    def init(self, mode=-1, pull=None, value=None):
        if value is not None:
            self.value(value)

    def irq(self, handler=None, trigger=3, hard=False):
        """As on a chip: one handler a pin, called with the pin; None takes it away."""
        line = self._line
        line.handler, line.trigger, line.pin = handler, trigger, self


class _Pins:
    """Stands for the class `machine.Pin`: callable, with its constants."""

    IN, OUT, OPEN_DRAIN, PULL_UP, PULL_DOWN = 0, 1, 2, 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2

    def __init__(self, hardware):
        self._hardware = hardware

    def __call__(self, number, mode=-1, pull=None, value=None):
        line = self._hardware.line(number)
        if mode == self.IN and pull == self.PULL_UP and line.floating:
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

    def _fire(self):
        self._due_ms = self._due_ms + self._period_ms if self._mode == self.PERIODIC else None
        self._callback(self)


class _Watchdog:
    """`machine.WDT`: once started it cannot be stopped; not fed in time, it resets the chip."""

    def __init__(self, hardware, timeout_ms):
        self._hardware = hardware
        self._timeout_ms = timeout_ms
        self.due_ms = hardware.now_ms + timeout_ms

    def feed(self):
        hardware = self._hardware
        if hardware.watchdog is not self:
            return  # of a start that is over
        if hardware.now_ms >= self.due_ms:
            hardware._bite()  # time went on without `advance`: too late is too late
        else:
            self.due_ms = hardware.now_ms + self._timeout_ms


class _Adc:
    """`machine.ADC`: read_u16() of what is fitted at that pin."""

    def __init__(self, hardware, number):
        self._hardware, self._number = hardware, number

    def read_u16(self):
        source = self._hardware.adcs.get(self._number)
        return 0 if source is None else source.read_u16()


class I2CBus:
    """A bus with `chips` by address, each with write(octets) and read(n) -> octets; OSError(5) where nothing answers.

    A chip refuses (NACK) by raising OSError. A memory read is a write of the register's address, a repeated start and
    a read.
    """

    def __init__(self):
        self.chips = {}

    def _chip(self, address):
        chip = self.chips.get(address)
        if chip is None:
            raise OSError(5, "EIO")
        return chip

    def scan(self):
        return sorted(self.chips)

    def writeto(self, address, buf, stop=True):
        self._chip(address).write(bytes(buf))
        return len(buf)

    def readfrom_into(self, address, buf, stop=True):
        buf[:] = self._chip(address).read(len(buf))

    def writeto_mem(self, address, memory, buf, addrsize=8):
        self._chip(address).write(memory.to_bytes(addrsize // 8, "big") + bytes(buf))

    def readfrom_mem_into(self, address, memory, buf, addrsize=8):
        chip = self._chip(address)
        chip.write(memory.to_bytes(addrsize // 8, "big"))
        buf[:] = chip.read(len(buf))


class _I2CBuses(dict):
    """By number; a bus comes into being when it is asked for (on MicroPython by Hardware.i2c)."""

    def __missing__(self, number):
        bus = self[number] = I2CBus()
        return bus


class _Timers:
    """Stands for the class `machine.Timer`: callable, with its constants."""

    ONE_SHOT, PERIODIC = _Timer.ONE_SHOT, _Timer.PERIODIC

    def __init__(self, hardware):
        self._hardware = hardware

    def __call__(self, number=-1):
        timer = _Timer(self._hardware)
        self._hardware._timers.append(timer)
        return timer


class _OneWire:
    """Shaped as MicroPython's C module `_onewire`: functions of a pin, at which `onewires[number]` hangs.

    What hangs there has reset() -> bool (presence), readbit() -> 0 or 1, writebit(bit); see spot_sim.chips.onewire.
    """

    def __init__(self, hardware):
        self._onewires = hardware.onewires

    def reset(self, pin):
        bus = self._onewires.get(pin._line.number)
        return bus is not None and bus.reset()

    def readbit(self, pin):
        bus = self._onewires.get(pin._line.number)
        return 1 if bus is None else bus.readbit()

    def writebit(self, pin, bit):
        bus = self._onewires.get(pin._line.number)
        if bus is not None:
            bus.writebit(bit & 1)

    def readbyte(self, pin):
        value = 0
        for i in range(8):
            value |= self.readbit(pin) << i
        return value

    def writebyte(self, pin, value):
        for i in range(8):
            self.writebit(pin, value >> i & 1)

    @staticmethod
    def crc8(data):
        crc = 0
        for octet in data:
            crc ^= octet
            for _ in range(8):
                crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
        return crc


class Hardware:
    """The provider. Fit it before the App is built:

    `line(number)`: the Line at a pin; `uarts[number]` = a UART-shaped chip (spot_sim.chips.bl0942); `i2cs[number]` = an
    I2CBus, or an object with its methods (`i2cs[0].chips[0x38] = chip`); `adcs[pin]` = an object with read_u16();
    `onewires[pin]` = a spot_sim.chips.onewire.Bus; for the direct drivers `meter` = a source (see LoadMeter), `machine`
    = an object with set_power_limit(w) and set_offset(c100), `sensors[name]` = an object with `.value` in 0.01 °C.

    `watchdog_bites` counts the watchdog's resets; `on_reset()`, where set, is called at each, after pins' interrupts,
    timers and the watchdog are gone: whoever runs the device builds its App again. `call_in_us(us, function)` lets
    something happen within `advance`.
    """

    WDT_MAX_MS = 8388  # RP2

    def __init__(self, now_s=0):
        self.now_s = now_s
        self.now_ms = now_s * 1000
        self._lines = {}
        self._timers = []
        self._events = []  # (due in us, order, function)
        self._order = 0
        self._sub_us = 0
        self.uarts = {}
        self.i2cs = _I2CBuses()
        self.adcs = {}
        self.onewires = {}
        self.onewire = _OneWire(self)
        self.sensors = {}
        self.watchdog = None
        self.watchdog_bites = 0
        self.on_reset = None
        self.meter = None
        self.machine = None
        self.Pin = _Pins(self)
        self.Timer = _Timers(self)
        self._cause = self.PWRON_RESET

    def advance(self, now_s, ms=0, us=0):
        """Moves on to `now_s` seconds, `ms` milliseconds and `us` microseconds; what is due till then happens in its
        order: events, timers, the watchdog. The UARTs' chips follow.
        """
        if self._timers or self._events or self.watchdog is not None:
            self._run((now_s * 1000 + ms) * 1000 + us)
        self.now_s = now_s
        self.now_ms = now_s * 1000 + ms
        self._sub_us = us

    def _at(self, at_us):
        self.now_ms, self._sub_us = divmod(at_us, 1000)
        self.now_s = self.now_ms // 1000

    def _run(self, until_us):
        while True:
            due_us, fire, event = until_us, None, None
            for timer in self._timers:
                if timer._due_ms is not None and timer._due_ms * 1000 <= due_us:
                    due_us, fire = timer._due_ms * 1000, timer._fire
            if self.watchdog is not None and self.watchdog.due_ms * 1000 <= due_us:
                due_us, fire = self.watchdog.due_ms * 1000, self._bite
            if self._events and self._events[0][0] <= due_us:
                event = self._events[0]
            if event is not None:
                heappop(self._events)
                due_us, fire = event[0], event[2]
            if fire is None:
                return
            if due_us > self.now_us():
                self._at(due_us)
            fire()

    def call_in_us(self, us, function):
        """Calls `function()` so many microseconds from now, in `advance`."""
        self._order += 1  # events of one instant happen in the order in which they were asked for
        heappush(self._events, (self.now_us() + us, self._order, function))

    def now_us(self):
        """Microseconds since the simulation's start."""
        return self.now_ms * 1000 + self._sub_us

    def ticks_ms(self):
        """Virtual milliseconds, wrapped as the runtime's (on CPython as on a chip)."""
        return self.now_ms & _TICKS

    def ticks_us(self):
        """Virtual microseconds, wrapped in the same way."""
        return (self.now_ms * 1000 + self._sub_us) & _TICKS

    def line(self, number):
        if number not in self._lines:
            self._lines[number] = Line(self, 0, number)
        return self._lines[number]

    PWRON_RESET, WDT_RESET, SOFT_RESET = 1, 3, 5

    def reset_cause(self):
        return self._cause

    def power_cut(self):
        """The mains went: every pin falls, without telling who drove it; watchers see it. What the chip had set up is
        gone.
        """
        self._forget(self.PWRON_RESET)
        for line in self._lines.values():
            line.drive(0)
            line.floating = True

    def restart(self, cause=WDT_RESET):
        """A warm reset: pins that hold keep their levels; timers, interrupts and the watchdog are gone."""
        self._forget(cause)

    def _forget(self, cause):
        self._timers.clear()
        self.watchdog = None
        self._cause = cause
        for line in self._lines.values():
            line.handler = line.pin = None

    def _bite(self):
        self.watchdog_bites += 1
        self.restart()
        if self.on_reset is not None:
            self.on_reset()

    # --- what the firmware calls ------------------------------------------------------------------------------------

    def UART(self, number, **options):  # noqa: N802 - the name of machine's class
        return self.uarts[number]

    def ADC(self, pin):  # noqa: N802
        return _Adc(self, pin._line.number if isinstance(pin, _Pin) else pin)

    def i2c(self, number):
        """The bus of that number."""
        if number not in self.i2cs:
            self.i2cs[number] = I2CBus()
        return self.i2cs[number]

    def I2C(self, number, **options):  # noqa: N802
        return self.i2c(number)

    def WDT(self, id=0, timeout=5000):  # noqa: N802
        if not 1 <= timeout <= self.WDT_MAX_MS:
            raise ValueError("timeout exceeds " + str(self.WDT_MAX_MS))
        self.watchdog = _Watchdog(self, timeout)
        return self.watchdog

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
