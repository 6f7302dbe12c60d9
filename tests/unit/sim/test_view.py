"""What a person sees during a run: nothing is cut at 60 to 108 columns, one time axis, alarms stand out."""

import io

import pytest
from rich.console import Console

from spot_sim import view

DEVICES = [
    ("car-1", "plug", 3680.4, "closed", "set_point", ""),
    ("heating-1", "heat pump", 1573.0, "SG-Ready 1, max 12000 W", "set_point", "20.7 °C"),
]


def moment(**changes):
    values = {
        "done": 0.5, "clock": "12:00", "price": 936.28, "power_w": 4100.2, "limit_w": None, "street_w": 51209.0,
        "devices": DEVICES, "registered": 103, "total": 103, "commands": {"completed": 105}, "alarms": 0,
    }
    return view.Moment(**{**values, **changes})


def live(width, height=24):
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    return view.LiveView("SPOT  2024-12-12", [float(n) for n in range(96)], console), console


def drawn(shown, console):
    with console.capture() as got:
        console.print(shown._panel())
    return got.get().splitlines()


SPARKLINES = [
    ("rising", [0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
    ("flat", [5, 5, 5], 3, "▁▁▁"),
    ("negative prices", [-135, 0], 2, "▁█"),
    ("not known yet", [1, 2, None, None], 4, "▁█  "),
    ("nothing known", [None, None], 2, "  "),
    ("nothing at all", [], 5, ""),
    ("thinned", [0, 9, 7, 9], 2, "▁█"),
    ("stretched", [0, 7], 4, "▁▁██"),
]


@pytest.mark.parametrize("values, width, text", [row[1:] for row in SPARKLINES], ids=[row[0] for row in SPARKLINES])
def test_sparkline(values, width, text):
    assert view.sparkline(values, width) == text


@pytest.mark.parametrize("width", [60, 72, 80, 84, 100, 108, 200])
def test_no_line_is_longer_than_the_terminal_and_no_word_is_cut(width):
    shown, console = live(width)
    shown.update(moment(limit_w=4200))
    shown.event("17:00", "limit of 4200 W for the home")
    lines = drawn(shown, console)
    assert {len(line) for line in lines} == {min(width, 108)}
    text = "\n".join(lines)
    for word in ("heating-1", "SG-Ready 1, max 12000 W", "20.7 °C", "1573", "936.28 EUR/MWh", "4100 of 4200 W",
                 "51209 W", "alarms: 0", "limit of 4200 W for the home"):
        assert word in text, word
    assert ("set point" in text) == (width >= 72)
    assert ("heat pump" in text) == (width >= 84)


def test_bar_and_series_have_one_time_axis():
    shown, console = live(80)
    for n in range(96):
        shown.update(moment(done=n / 96, power_w=n, street_w=n))
    shown.update(moment(done=1.0))
    lines = drawn(shown, console)[1:5]
    axes = {(line.index(first), line.rindex(last)) for line, first, last in zip(lines, "━▁▁▁", "━███", strict=True)}
    assert len(axes) == 1


@pytest.mark.parametrize("height, seen", [(24, 10), (18, 6), (14, 2), (12, 0), (5, 0)])
def test_events_fill_what_the_height_leaves(height, seen):
    shown, console = live(80, height)
    shown.update(moment())
    for n in range(12):
        shown.event("%02d:00" % n, "event %d." % n)
    text = drawn(shown, console)
    assert sum("event " in line for line in text) == seen
    assert not seen or "event 11." in "\n".join(text)
    assert len(text) <= max(height, 12)


def test_stage_is_seen_before_the_day_and_after_it():
    shown, console = live(80)
    shown.stage("devices connect")
    assert "devices connect" in "\n".join(drawn(shown, console))
    shown.update(moment())
    assert "devices connect" not in "\n".join(drawn(shown, console))
    shown.stage("the same day without control")
    assert "the same day without control" in "\n".join(drawn(shown, console))


STYLES = [("car-1: alarm over_current raised", "bold red"), ("limit of 4200 W for the home", "bold"),
          ("the home's limit ends", "bold"), ("car-1: limit started, 3 W", "")]


@pytest.mark.parametrize("text, style", STYLES)
def test_what_must_not_be_missed_stands_out(text, style):
    assert view._style(text) == style


def test_plain_lines_say_the_same_without_a_terminal():
    out = io.StringIO()
    shown = view.PlainView("SPOT", out)
    for done in (0.0, 0.04, 2 / 24, 1.0):
        shown.update(moment(done=done, limit_w=4200 if done == 1 else None, alarms=2))
    shown.event("17:00", "limit of 4200 W for the home")
    lines = out.getvalue().splitlines()
    assert lines[0] == "SPOT"
    assert [line.split("%")[0].split()[-1] for line in lines[1:4]] == ["0", "8", "100"]
    assert "limit 4200 W" in lines[3] and "2 alarms" in lines[3] and "limit" not in lines[1]
    assert lines[4] == "17:00  limit of 4200 W for the home"


@pytest.mark.parametrize("term, terminal, plain, kind", [
    ("xterm-256color", True, False, view.LiveView), ("xterm-256color", True, True, view.PlainView),
    ("dumb", True, False, view.PlainView), ("xterm-256color", False, False, view.PlainView)])
def test_view_fits_where_we_are(monkeypatch, capsys, term, terminal, plain, kind):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR" if terminal else "NOTHING", "1")
    assert type(view.view("SPOT", [1.0], plain)) is kind
