"""A history: the devices, the EMD's settings, and every event with its time, drawn up front from a seed.

It is plain data, so that it can be kept in a file, replayed to the octet, and shrunk by leaving events out.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import date

from spot_host.prices import PriceSeries
from spot_sim import scenario
from spot_sim.local_time import LocalCalendar

_FORMAT = 1
_KNOWN_DAY = "2024-12-12"  # a day whose prices are built in: the reader wants one
_DAY_S = 86400
YEAR_S = 31_557_600


@dataclass(frozen=True)
class History:
    """seed; shape: its name; day: ISO date of the first day; days; devices: tables as in a scenario file, with `board`
    (fields over the board's parts); emd: settings; storage: "crash" (what is not committed is lost by a kill) or
    "plain" (nothing is); calm_s: the end of the run, which no event reaches; events: [at_ms, kind, device
    number or -1, {…}], ascending.
    """

    seed: int
    shape: str
    day: str
    days: int
    devices: list
    emd: dict
    storage: str
    calm_s: int
    events: list = field(default_factory=list)

    def scenario(self):
        """What the world needs."""
        rows = [{k: v for k, v in row.items() if k != "board"} for row in self.devices]
        made = scenario.from_dict(
            {"day": _KNOWN_DAY, "days": 1, "seed": self.seed, "devices": rows, "emd": self.emd}, f"seed {self.seed}"
        )
        return replace(made, day=date.fromisoformat(self.day), days=self.days, prices=(_dull(self.day),))

    @property
    def seconds(self):
        return self.scenario().seconds

    @property
    def device_years(self):
        return len(self.devices) * self.days * _DAY_S / YEAR_S

    def without(self, events):
        """The same with other events."""
        return replace(self, events=events)

    def save(self, path):
        """One event a line, so that a person can read it and take some out."""
        head = {k: getattr(self, k) for k in ("seed", "shape", "day", "days", "devices", "emd", "storage", "calm_s")}
        lines = ",\n".join("  " + json.dumps(event) for event in self.events)
        with open(path, "w") as file:
            file.write('{"format": %d,\n"head": %s,\n"events": [\n%s\n]}\n' % (_FORMAT, json.dumps(head), lines))


def load(path):
    """A History from a file that `save` wrote. Raises ValueError for any other."""
    with open(path) as file:
        raw = json.load(file)
    if raw.get("format") != _FORMAT:
        raise ValueError(f"{path}: not a history of format {_FORMAT}")
    return History(**raw["head"], events=raw["events"])


def _dull(day):
    """Prices that nobody plans with, until events bring others."""
    return PriceSeries(LocalCalendar(day).start_utc, 3600, tuple(50 + i % 7 for i in range(24)))
