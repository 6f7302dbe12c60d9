"""The report: rows that fit 80 columns, words that say what happened, figures for programs, a picture."""

import io
import json
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from spot_sim import report, view
from spot_sim.result import STEP_S, LimitKept, Result

ZONE = ZoneInfo("Europe/Berlin")
START = 1733958000  # 2024-12-12 00:00 in Berlin


def result(watts, limit_w=4200, over=()):
    """A day at `watts`, 100 EUR/MWh, with a limit from 17:00 to 19:00 and powers `over` fed to it, an hour each."""
    limits = [LimitKept(START + 17 * 3600, START + 19 * 3600, limit_w)] if limit_w else []
    made = Result(START, 86400, lambda _utc: 100.0, limits, {"house": (1900, 2300)})
    made.energy_j = [watts * STEP_S] * (86400 // STEP_S)
    made.rooms["house"] = [2050] * (86400 // STEP_S)
    made.peak_w = watts
    for n, power in enumerate(over):
        limits[0].feed(START + (17 + n) * 3600, 3600, power)
    made.commands["completed"] = 2105
    made.commands["superseded"] = 12
    return made


def cell(name, controlled, baseline=None):
    return next(row[1:] for row in report.rows(controlled, baseline, 3, ZONE) if row[0].startswith(name))


ROWS = [
    ("kept", (4000, 4200), (4000, 4200), "limit", ("kept", "kept")),
    ("broken once: the first minute is grace", (4000,), (5612,), "limit", ("kept", "3540 s over, max 5612 W")),
    ("broken in the second hour", (4000, 9999), (4000,), "limit", ("3600 s over, max 9999 W", "kept")),
]


@pytest.mark.parametrize("over, before, name, cells", [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_rows(over, before, name, cells):
    assert cell(name, result(1000, over=over), result(1000, over=before)) == cells


def test_rows_name_money_energy_and_the_limits_local_time():
    rows = {row[0]: row[1:] for row in report.rows(result(1000), result(2000), 3, ZONE)}
    assert rows["cost of the energy"] == ("2.40 EUR", "4.80 EUR")
    assert rows["energy"] == ("24.0 kWh", "48.0 kWh")
    assert rows["mean price paid"] == ("100 EUR/MWh", "100 EUR/MWh")
    assert "limit 4200 W, 17:00–19:00" in rows
    assert rows["commands by final state"] == ("2105 completed, 12 superseded", "")
    assert rows["alarms"] == ("none", "")


@pytest.mark.parametrize("minutes, words", [(15, "288, none missing"), (14, "288, 288 min missing")])
def test_rows_count_interval_readings_and_the_minutes_that_none_covers(minutes, words):
    one = result(1000)
    for device in ("a", "b", "c"):
        one.intervals[device], one.interval_min[device] = 96, 96 * minutes
    assert cell("interval readings", one) == (words, "")


def test_rows_leave_the_other_column_empty_without_a_baseline():
    assert {row[2] for row in report.rows(result(1000), None, 3, ZONE)} == {""}


@pytest.mark.parametrize("over", [(4000, 4000), (45000, 45000)])
def test_no_row_wraps_on_80_columns(over):
    controlled, before = result(1000, over=over), result(1000, over=over)
    controlled.commands.clear()
    controlled.cold_kmin["house"] = before.cold_kmin["house"] = 1234.0
    controlled.warm_kmin["house"] = before.warm_kmin["house"] = 123.0
    rows = report.rows(controlled, before, 3, ZONE)
    console = Console(file=io.StringIO(), width=80)
    console.print(view.table_of(rows, "The home", "with control", "without"))
    assert len(console.file.getvalue().splitlines()) == len(rows) + 2


WORDS = [
    ("cheaper", result(1000), result(2000), "Control made the day 2.40 EUR cheaper (50 %)"),
    ("dearer", result(2000), result(1000), "Control made the day 2.40 EUR dearer (100 %)"),
    ("less used", result(1000), result(2000), "By midnight 24.0 kWh less was used"),
    ("kept at once", result(1, over=(4000,)), None, "kept; the house was under it from its first second."),
    ("kept after a moment", result(1, over=(4201,)), None, "3540 s above it, 4201 W at worst"),
    ("comfort", result(1), None, "Every room stayed in its comfort band."),
]


@pytest.mark.parametrize("controlled, before, says", [row[1:] for row in WORDS], ids=[row[0] for row in WORDS])
def test_words(controlled, before, says):
    assert says in report.words(controlled, before, 3)


def test_comfort_that_suffered_is_said():
    cold = result(1000)
    cold.cold_kmin["house"] = 90.0
    assert "Comfort suffered: 90 kelvin-minutes too cold, 0 too warm" in report.words(cold, None, 3)
    assert cell("comfort", cold)[0] == "90 K min cold, 0 warm"


def test_figures_are_json_and_compare():
    said = json.loads(json.dumps(report.figures(result(1000), result(2000), 3)))
    assert (said["saved_eur"], said["left_kwh"]) == (2.4, 24.0)
    assert said["limits"][0]["kept"] is True
    assert "saved_eur" not in report.figures(result(1000), None, 3)


@pytest.mark.parametrize("name, head", [("day.png", b"\x89PNG"), ("day.svg", b"<?xml")])
def test_picture(tmp_path, name, head):
    report.picture(tmp_path / name, result(1000), result(2000), "One home", ZONE)
    assert (tmp_path / name).read_bytes().startswith(head)
