"""The power goes at every write and every erase of every operation of a whole App: old or new, never torn, never
unbootable."""

import json

from spot_host.profile import codec
from tests.conftest import ROOT

HERE = ROOT / "tests" / "unix" / "store"
NOON = 1735689600 + 30000000 // 900 * 900
LIMIT = {"epoch": 5, "revision": 0, "priority": 5, "kind": 3, "issued": NOON, "delay": 0, "duration": 7200,
         "value": 2000}

SERIES = {"start": NOON - 3600, "interval_min": 60, "scale": 0}


def bodies():
    joined = {"reason": 0, "epoch": 5, "time": NOON, "failsafe_limit": 1000}
    made = {
        **{f"registered{n}": ("registered", {**joined, "boot": n, "heartbeat": 60 + n}) for n in (1, 2, 3, 4)},
        "limit1": ("command", LIMIT | {"id": 1}),
        "limit2": ("command", LIMIT | {"id": 2, "issued": NOON + 2000, "value": 1500}),
        "limit3": ("command", LIMIT | {"id": 3, "issued": NOON + 4000}),
        "revoke1": ("command", {**LIMIT, "id": 1, "revision": 1, "kind": 0, "issued": NOON + 2000, "value": None}),
        "configure": ("configure", {"epoch": 5, "id": 900, "issued": NOON + 2000,
                                    "values": [22, 5, 28, 700, 23, 3600]}),
        "price": ("price", SERIES | {"revision": 1, "series": [90] * 24}),
        "price2": ("price", SERIES | {"revision": 2, "series": [70] * 24}),
        "ack": ("ack", {"epoch": 5, "events_upto": 0, "intervals_upto": 0}),
    }
    return {name: codec.encode(kind, values).hex() for name, (kind, values) in made.items()}


def test_old_or_new_and_it_runs_on(mpy, tmp_path):
    path = tmp_path / "bodies.json"
    path.write_text(json.dumps(bodies()))
    out = mpy(HERE / "app_cuts.py", ROOT / "boards", path, heap="8m")
    rows = dict(line.split(": ") for line in out.splitlines())
    assert len(rows) == 21 and sum(int(row.split()[0]) for row in rows.values()) > 600, out
    assert all(int(row.split()[2]) > 1 for row in rows.values()), "each has at least an old state and a new one"
