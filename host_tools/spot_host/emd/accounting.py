"""What it all came to: energy, cost and peak of the site, and each limit event held against its baseline."""

from spot_host.emd.ledger import STATE, STATE_NAMES

_WINDOW_S = 900  # a settlement interval: peaks are also reported as its mean
_USUAL_S = 1800.0  # time constant of a device's usual power


class SiteMeter:
    """Power over time of devices and a base load: peak, mean peak, time above a limit. O(1) a reading."""

    __slots__ = (
        "power_w",
        "at",
        "peak_w",
        "peak_at",
        "mean_peak_w",
        "energy_wh",
        "limit_w",
        "violated_s",
        "worst_w",
        "over_wh",
        "tolerance_w",
        "_window",
        "_window_wh",
    )

    def __init__(self, now: int, limit_w: int | None = None, tolerance_w: int = 0):
        self.power_w, self.at, self.peak_w, self.peak_at, self.mean_peak_w = 0, now, 0, now, 0.0
        self.energy_wh, self.limit_w, self.violated_s, self.worst_w, self.over_wh = 0.0, limit_w, 0, 0, 0.0
        self.tolerance_w, self._window, self._window_wh = tolerance_w, now // _WINDOW_S, 0.0

    def add(self, now: int, change_w: float) -> None:
        """Power changed by `change_w` at `now` (Unix s); what was before lasted until then."""
        if now > self.at:
            self._run(now)
        power_w = self.power_w = self.power_w + change_w
        if power_w > self.peak_w:
            self.peak_w, self.peak_at = power_w, now

    def _run(self, now):
        begin, power_w = self.at, self.power_w
        self.energy_wh += power_w * (now - begin) / 3600
        if self.limit_w is not None and power_w > self.limit_w + self.tolerance_w:
            self.violated_s += now - begin
            self.over_wh += (power_w - self.limit_w) * (now - begin) / 3600
            self.worst_w = max(self.worst_w, power_w - self.limit_w)
        while now // _WINDOW_S != self._window:
            edge = (self._window + 1) * _WINDOW_S
            self._window_wh += power_w * (edge - begin) / 3600
            self.mean_peak_w = max(self.mean_peak_w, self._window_wh * 3600 / _WINDOW_S)
            self._window, self._window_wh, begin = self._window + 1, 0.0, edge
            if power_w == 0:
                self._window = now // _WINDOW_S
                begin = max(begin, self._window * _WINDOW_S)
        self._window_wh += power_w * (now - begin) / 3600
        self.at = now

    def close(self, now: int) -> None:
        """Bring it up to `now`."""
        if now > self.at:
            self._run(now)


def usual_w(row, now: int) -> float:
    """What `row` usually draws, W: its power with a time constant of half an hour, the last reading carried on."""
    gap = max(0, now - row.time)
    return row.usual_w + (row.power_w - row.usual_w) * gap / (gap + _USUAL_S)


class Accounting:
    """Energy and cost of each device by readings, the site's peak, and commands by final state."""

    def __init__(self, tariff, now: int = 0):
        self.tariff, self.site = tariff, SiteMeter(now)
        self.finals = {}  # state code → commands
        self.responses = []  # one dict for each command that ran
        self._begun = False

    def record(self) -> list:
        """What must survive a restart: the peaks and the commands by final state; plain values."""
        site = self.site
        return [site.peak_w, site.peak_at, site.mean_peak_w, sorted(self.finals.items())]

    def restore(self, record) -> None:
        """Go on from what `record` returned before a restart."""
        site = self.site
        site.peak_w, site.peak_at, site.mean_peak_w, finals = record
        self.finals = dict(finals)

    def reading(self, row, t: int, power_w: int, register_wh) -> None:
        """A reading of `row` taken at `t`: power, and the import register or None. `row` still holds the one before."""
        before = row.time
        if register_wh is not None:
            seen = row.energy_seen_at
            if seen is not None and register_wh >= row.energy_wh and t >= seen:
                used = register_wh - row.energy_wh
                if used:
                    row.used_wh += used
                    row.cost_eur += self.tariff.cost(seen, t, used)
            row.energy_seen_at = t
        elif row.energy_seen_at is None and 0 < before < t <= before + 3600:  # a device without a register
            used = row.power_w * (t - before) / 3600
            row.used_wh += used
            row.cost_eur += self.tariff.cost(before, t, used)
        if power_w >= row.recent_w or t - row.recent_at > _WINDOW_S:
            row.recent_w, row.recent_at = power_w, t
        row.usual_w = usual_w(row, t) if before else float(power_w)
        change = power_w - row.power_w
        site = self.site
        if not self._begun:
            self._begun, site.at, site._window = True, t, t // _WINDOW_S
        if change and row.counted:
            site.add(t, change)
            for meter in row.watchers:
                meter.add(t, change)

    def energy_at(self, row, now: int) -> float:
        """Wh used by `row` up to `now`, the last reading carried on."""
        ahead = min(max(0, now - row.time), 3600) if row.time else 0
        return row.used_wh + row.power_w * ahead / 3600

    def command_moved(self, now: int, row, command) -> None:
        """A command's state changed: keep the baseline at its start, and its response at its end."""
        if command.state in (STATE["started"], STATE["partly"]) and command.base_w is None:
            command.base_w, command.energy_at_start = usual_w(row, now), self.energy_at(row, now)

    def command_final(self, now: int, row, command) -> dict | None:
        """Count a command that is over; its measured response where it ran."""
        self.finals[command.state] = self.finals.get(command.state, 0) + 1
        if command.base_w is None and command.energy is None:
            return None
        response = {
            "device": row.eui,
            "id": command.id,
            "kind": command.kind,
            "purpose": command.purpose,
            "state": STATE_NAMES[command.state],
            "start": command.start or command.begin,
            "end": now,
        }
        if command.energy is not None and command.energy_without is not None:
            response["device_says_wh"] = command.energy_without - command.energy
        if command.base_w is not None:
            begin = command.start if command.start is not None else command.begin
            command.energy_at_end = self.energy_at(row, now)
            used = command.energy_at_end - command.energy_at_start
            response["measured_wh"] = round(command.base_w * max(0, min(now, command.end) - begin) / 3600 - used, 1)
        if command.response is not None:
            response["response_s"] = command.response
        self.responses.append(response)
        if len(self.responses) > 10000:
            del self.responses[:5000]
        return response

    def report(self, now: int, rows, events) -> dict:
        """Everything in plain values."""
        self.site.close(now)
        devices = {
            row.eui: {
                "energy_wh": round(row.used_wh, 1),
                "cost_eur": round(row.cost_eur, 5),
                "bytes_in": row.bytes_in,
                "bytes_out": row.bytes_out,
                "messages_in": row.messages_in,
                "messages_out": row.messages_out,
                "hostile": row.hostile,
            }
            for row in rows
        }
        return {
            "devices": devices,
            "energy_wh": round(sum(v["energy_wh"] for v in devices.values()), 1),
            "cost_eur": round(sum(v["cost_eur"] for v in devices.values()), 5),
            "peak_w": self.site.peak_w,
            "peak_at": self.site.peak_at,
            "peak_15min_w": round(self.site.mean_peak_w),
            "events": [event.summary(now) for event in events],
            "commands": {STATE_NAMES[state]: n for state, n in sorted(self.finals.items())},
            "responses": list(self.responses),
            "bytes_in": sum(v["bytes_in"] for v in devices.values()),
            "bytes_out": sum(v["bytes_out"] for v in devices.values()),
        }
