"""A Modbus line on virtual milliseconds, for CPython and MicroPython: a clock, a pin, a timer, slaves with plain
registers, and a master that is polled."""

from spot.board.modbus import Modbus
from spot.port import TICKS_PERIOD
from spot_sim.chips.modbus_slave import ADDRESS, Line, Refuse, Slave


class Pin:
    """A pin that somebody may watch, as spot_sim.hardware.Line."""

    def __init__(self, clock):
        self._clock = clock
        self.level = 0
        self._watchers = []

    def watch(self, function):
        self._watchers.append(function)

    def value(self, level=None):
        if level is None:
            return self.level
        if level != self.level:
            self.level = level
            for function in self._watchers:
                function(self._clock.ms // 1000, level)


class Timer:
    def __init__(self, clock):
        clock.timers.append(self)
        self._clock = clock
        self.due_ms = None
        self.fired = 0

    def init(self, period=-1, mode=1, callback=None):
        assert mode == 0
        self.due_ms, self._callback = self._clock.ms + period, callback

    def deinit(self):
        self.due_ms = None

    def run(self):
        if self.due_ms is not None and self._clock.ms >= self.due_ms:
            self.due_ms = None
            self.fired += 1
            self._callback(self)


class Clock:
    """Milliseconds; `start_ms` near the end of the ticks' period shows that nothing minds the wrap."""

    def __init__(self, start_ms=0):
        self.ms = start_ms
        self.timers = []

    @property
    def now_s(self):
        return self.ms // 1000

    def now_us(self):
        return self.ms * 1000

    def ticks_ms(self):
        return self.ms & (TICKS_PERIOD - 1)


class Registers(Slave):
    """A slave with registers and bits in dicts: `words[function]` and `bits`."""

    def __init__(self, address, words=None):
        super().__init__(address)
        self.words = words or {}
        self.bits = {}
        self.log = []

    def read(self, function, register, count):
        table = self.bits if function < 3 else self.words
        found = []
        for at in range(register, register + count):
            if at not in table:
                raise Refuse(ADDRESS)
            found.append(table[at])
        return found

    def write(self, function, register, values):
        self.log.append((function, register, list(values)))
        table = self.bits if function == 5 else self.words
        for i in range(len(values)):
            if register + i not in table:
                raise Refuse(ADDRESS)
            table[register + i] = values[i]


class Rig:
    """`line`, `bus`; run(ms) goes on, polling every `step_ms`. `ended` is every request that ended: (request, error,
    data)."""

    def __init__(self, step_ms=50, start_ms=0, echo=False, de=False, baudrate=9600, **options):
        self.clock = Clock(start_ms)
        self.step_ms = step_ms
        self.line = Line(self.clock, baudrate, 10, echo)
        self.de = self.timer = None
        if de:
            self.de = Pin(self.clock)
            self.line.direction(self.de)
            self.timer = Timer(self.clock) if de == "timer" else None
        self.bus = Modbus(self.line, self.clock.ticks_ms, self.line.char_us, self.de, 1, self.timer, **options)
        self.ended = []
        self.end = self._end

    def _end(self, request):
        self.ended.append((request, request.error, bytes(request.data)))

    def slave(self, address, words=None):
        return self.line.add(Registers(address, words))

    def run(self, ms, poll=None):
        poll = poll or self.bus.poll
        left = self.step_ms
        for _ in range(ms):
            self.clock.ms += 1
            for timer in self.clock.timers:
                timer.run()
            left -= 1
            if not left:
                left = self.step_ms
                poll()

    def quiet(self, most_ms=20000):
        """Runs until no request waits."""
        spent = 0
        while self.bus.busy:
            self.run(self.step_ms)
            spent += self.step_ms
            assert spent < most_ms, "a request never ends"
        return spent
