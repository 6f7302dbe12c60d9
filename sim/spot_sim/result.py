"""What a run was: series, sums and counts, filled while it runs and read by the report. Plain data, no printing."""

from collections import Counter

STEP_S = 300  # resolution of the series


class LimitKept:
    """How one site limit was kept: `start`, `end` (UTC), `limit_w`, `over_s` seconds above it, `worst_w` highest power,
    `settled_s` from the start until the power first was under it (None: never). The first `grace_s` are not counted
    as violation.
    devices: EUIs of those it is about, fed by whoever sums their power; None: the whole site, fed by its Result.
    `name` is the event's."""

    def __init__(self, start, end, limit_w, grace_s=60, devices=None, name=""):
        self.start, self.end, self.limit_w, self.grace_s = start, end, limit_w, grace_s
        self.devices, self.name = devices, name
        self.over_s = 0
        self.worst_w = 0
        self.settled_s = None

    @property
    def kept(self):
        """True when the power never was above the limit once the grace was over."""
        return self.over_s == 0

    def feed(self, utc, seconds, power_w):
        """The site drew `power_w` from `utc` on for `seconds`."""
        first, last = max(utc, self.start), min(utc + seconds, self.end)
        if last <= first:
            return
        if power_w <= self.limit_w:
            if self.settled_s is None:
                self.settled_s = first - self.start
            return
        first = max(first, self.start + self.grace_s)
        if last > first:
            self.over_s += last - first
            self.worst_w = max(self.worst_w, power_w)


class Result:
    """One run.

    start: UTC of its first second; seconds: its length; price_at(utc) -> EUR/MWh; limits: [LimitKept]; bands:
    {device: (low, high)} in 0.01 °C.
    Series have one number each `STEP_S`: `energy_j` of the whole site, `base_j` of the household's base load in it,
    `rooms` {device: [0.01 °C]}.
    """

    def __init__(self, start, seconds, price_at, limits=(), bands=None):
        self.start, self.seconds, self.price_at = start, seconds, price_at
        self.limits = list(limits)
        self.bands = dict(bands or {})
        n = -(-seconds // STEP_S)
        self.energy_j = [0.0] * n
        self.base_j = [0.0] * n
        self.rooms = {device: [None] * n for device in self.bands}
        self.peak_w = 0
        self.cold_kmin = Counter()  # kelvin-minutes below the band, by device
        self.warm_kmin = Counter()
        self.commands = Counter()  # by final state
        self.alarms = Counter()
        self.intervals = Counter()  # by device: interval readings in the EMD's store
        self.interval_min = Counter()  # and the minutes that they cover
        self.up_bytes, self.down_bytes, self.messages = Counter(), Counter(), Counter()  # by device; MQTT payloads
        self.switches = Counter()  # by device
        self.digest = ""  # of the whole history
        self.wall_s = 0.0

    def feed_power(self, utc, seconds, power_w, base_w=0):
        """The site drew `power_w`, of which `base_w` is base load, for `seconds` from `utc` on."""
        if power_w > self.peak_w:
            self.peak_w = power_w
        for limit in self.limits:
            if limit.devices is None:
                limit.feed(utc, seconds, power_w)
        at = utc - self.start
        while seconds > 0:
            i = at // STEP_S
            part = min(seconds, (i + 1) * STEP_S - at)
            if 0 <= i < len(self.energy_j):
                self.energy_j[i] += power_w * part
                self.base_j[i] += base_w * part
            at += part
            seconds -= part

    def add_room(self, device, band):
        """A room joins: `band` is (low, high) in 0.01 °C."""
        self.bands[device] = band
        self.rooms[device] = [None] * len(self.energy_j)

    def feed_room(self, device, utc, seconds, centi):
        """The room of `device` had `centi` (0.01 °C) for `seconds` from `utc` on."""
        low, high = self.bands[device]
        if centi < low:
            self.cold_kmin[device] += (low - centi) / 100 * seconds / 60
        elif centi > high:
            self.warm_kmin[device] += (centi - high) / 100 * seconds / 60
        i = (utc - self.start) // STEP_S
        if 0 <= i < len(self.energy_j):
            self.rooms[device][i] = centi

    @property
    def power_w(self):
        """Mean power of each step, W."""
        return [j / STEP_S for j in self.energy_j]

    @property
    def energy_kwh(self):
        """Energy of the whole site."""
        return sum(self.energy_j) / 3.6e6

    @property
    def cost_eur(self):
        """What the energy cost at the series' prices; the household's taxes and fees left out."""
        return sum(j / 3.6e9 * self.price_at(self.start + i * STEP_S) for i, j in enumerate(self.energy_j))

    @property
    def prices(self):
        """EUR/MWh in each step."""
        return [self.price_at(self.start + i * STEP_S) for i in range(len(self.energy_j))]

    @property
    def comfort_kept(self):
        """No room was below or above its band by more than 10 kelvin-minutes in the whole run."""
        return not any(k > 10 for c in (self.cold_kmin, self.warm_kmin) for k in c.values())


def moved_kwh(controlled, baseline):
    """Energy that was used at another time than it would have been: half of the sum of differences, less what was
    saved or added."""
    differences = [a - b for a, b in zip(controlled.energy_j, baseline.energy_j, strict=True)]
    up = sum(d for d in differences if d > 0)
    down = -sum(d for d in differences if d < 0)
    return min(up, down) / 3.6e6
