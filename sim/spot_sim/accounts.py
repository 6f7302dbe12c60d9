"""The world's accounts: power of every body over time, summed by site and by limit, fed into Results."""

from spot_sim.result import STEP_S, LimitKept, Result

ALL = "all"  # the site that everything belongs to


class _Sum:
    """Power of some bodies together, from change to change. What it feeds: a Result, or one LimitKept."""

    __slots__ = ("result", "limit", "power_mw", "base_mw", "since_s")

    def __init__(self, result=None, limit=None):
        self.result, self.limit = result, limit
        self.power_mw = self.base_mw = self.since_s = 0

    def settle(self, now_s, start_utc):
        seconds = now_s - self.since_s
        if seconds:
            at, self.since_s = start_utc + self.since_s, now_s
            if self.result is not None:
                self.result.feed_power(at, seconds, self.power_mw / 1000, self.base_mw / 1000)
            else:
                self.limit.feed(at, seconds, self.power_mw / 1000)


class Accounts:
    """`results`: {site: Result}, `ALL` among them.

    bodies and base loads: what has `site`, `eui`, `counted_mw`, `accounts`; limits: of LimitSpec.
    """

    def __init__(self, scenario, calendar, price_at, grace_s):
        self._start_utc, self._seconds = calendar.start_utc, scenario.seconds
        self._price_at, self._scenario = price_at, scenario
        self._sums = []
        self._limits = []
        for spec in scenario.limits:
            devices = None if spec.devices is None else frozenset(spec.devices)
            start, end = calendar.utc(spec.start), calendar.utc(spec.end)
            kept = LimitKept(start, end, spec.limit_w, grace_s, devices=devices or frozenset((ALL,)), name=spec.id)
            total = _Sum(limit=kept)
            self._sums.append(total)
            self._limits.append((spec, devices, kept, total))
        self.results = {}
        self._site(ALL)
        for one in (*scenario.devices, *scenario.base_loads):
            self._site(one.site)

    def _site(self, site):
        if site in self.results:
            return
        about = [(kept, self._sites(spec, devices)) for spec, devices, kept, _ in self._limits]
        limits = [kept for kept, sites in about if site == ALL or sites == {site}]
        result = self.results[site] = Result(self._start_utc, self._seconds, self._price_at, limits, {})
        self._sums.append(_Sum(result=result))

    def _sites(self, spec, devices):
        """The sites that a limit is about."""
        scenario = self._scenario
        sites = {one.site for one in scenario.devices if devices is None or one.eui in devices}
        if spec.base and spec.site is None:
            sites |= {one.site for one in scenario.base_loads}
        return sites or {spec.site}

    def _sum_of(self, site):
        return next(s for s in self._sums if s.result is self.results[site])

    def enter(self, body, base=False, band=None):
        """A body joins: the sums that it counts in. band: (low, high) in 0.01 °C of its room."""
        self._site(body.site)
        sums = [self._sum_of(ALL), self._sum_of(body.site)] if body.site != ALL else [self._sum_of(ALL)]
        for spec, devices, _, total in self._limits:
            if base:
                inside = spec.base and spec.site in (None, body.site)
            else:
                inside = devices is None or body.eui in devices
            if inside:
                sums.append(total)
        body.accounts = tuple((one, base) for one in sums)
        if band is not None:
            for one in sums:
                if one.result is not None:
                    one.result.add_room(body.name, band)

    def power(self, body, now_s, power_mw):
        """The body draws `power_mw` from now on."""
        change = power_mw - body.counted_mw
        if not change:
            return
        body.counted_mw = power_mw
        start_utc = self._start_utc
        for one, base in body.accounts:
            if one.since_s != now_s:
                one.settle(now_s, start_utc)
            one.power_mw += change
            if base:
                one.base_mw += change

    def room(self, body, now_s, centi):
        """The room of a body has `centi` (0.01 °C) for the next STEP_S."""
        seconds = min(STEP_S, self._seconds - now_s)
        if seconds > 0:
            for one, _ in body.accounts:
                if one.result is not None:
                    one.result.feed_room(body.name, self._start_utc + now_s, seconds, centi)

    def close(self, now_s):
        """Bring all sums up to now."""
        for one in self._sums:
            one.settle(now_s, self._start_utc)
