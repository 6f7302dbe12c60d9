"""What the tests of the metering chips stand on: a load, the mains, a clock, a trip that watches, a bare UART."""


class Clock:
    now_s = 0


class NoTrip:
    """Sees what the comparator would: (current_ma, power_w, voltage_10mv)."""

    def __init__(self):
        self.seen = []

    def check(self, *sample):
        self.seen.append(sample)

    def outside(self, voltage_10mv):
        return False


class Mains:
    def __init__(self):
        self.volts_10mv = 23000
        self.mhz = 50000

    def voltage_10mv(self, now_s):
        return self.volts_10mv

    def frequency_mhz(self, now_s):
        return self.mhz


class Appliance:
    """A load of `watts`; negative: it gives."""

    power_factor = 1.0

    def __init__(self, watts):
        self.watts = watts
        self._mj = 0.0
        self._at_s = 0

    def power_w(self, now_s):
        return float(self.watts)

    def energy_mj(self, now_s):
        self._mj += self.watts * 1000 * (now_s - self._at_s)
        self._at_s = now_s
        return int(self._mj)

    def draw(self, now_s, watts):
        self.energy_mj(now_s)
        self.watts = watts


class Wire:
    """A UART that gives what it is fed."""

    def __init__(self):
        self.sent = b""
        self.waiting = b""

    def write(self, data):
        self.sent += data

    def any(self):
        return len(self.waiting)

    def readinto(self, buf, n):
        got, self.waiting = self.waiting[:n], self.waiting[n:]
        buf[: len(got)] = got
        return len(got) or None


def run(clock, meter, seconds, step=1):
    """Samples every `step` seconds; how many of them were new."""
    fresh = 0
    for _ in range(seconds // step):
        clock.now_s += step
        fresh += bool(meter.sample(clock.now_s))
    return fresh
