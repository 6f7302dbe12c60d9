"""Texts from a device that is not to be trusted: its log, read message by message, and its name, on a terminal."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from spot_host.commands.emd import _table
from spot_host.emd.service import EmdService


class Liar:
    """A core whose device answers what `answers(first, n)` gives, at once."""

    def __init__(self, answers):
        self.answers, self.asked = answers, 0

    def read_log(self, now, device, record, first, patience_s):
        self.asked += 1
        return SimpleNamespace(result={"reason": 0, "boot": 4, **self.answers(first, self.asked)})


def read(answers, most=5000):
    core = Liar(answers)
    ready = EmdService._read_log(SimpleNamespace(core=core, now=lambda: 0), 0, {"device": "x"}, 30)
    for _ in range(most):
        result = ready()
        if result is not None:
            return result, core.asked
    raise AssertionError("it never ends")


@pytest.mark.parametrize("what, answers", [
    ("never any text", lambda first, n: {"first": first, "next": first + 1, "text": ""}),
    ("back and forth", lambda first, n: {"first": first, "next": 5 if n % 2 else 3, "text": "a\n"}),
    ("standing still", lambda first, n: {"first": first, "next": first, "text": "a\n"}),
    ("always the first again", lambda first, n: {"first": 0, "next": 1, "text": "a\n"}),
    ("without end", lambda first, n: {"first": first, "next": first + 1, "text": "a\n"}),
    ("many lines in one message", lambda first, n: {"first": first, "next": first + 180, "text": "\n" * 180}),
])
def test_it_ends(what, answers):
    result, asked = read(answers)
    assert result["ok"] and asked <= 2001 and len(result["lines"]) <= 2200


def test_no_escape_sequence_reaches_a_terminal():
    result, _ = read(lambda first, n: {
        "first": first, "next": first + 1, "text": "1 w \x1b[2Jalarm\x07 3\r1\n\u202e\n" if n == 1 else ""})
    assert result["lines"] == ["1 w ?[2Jalarm? 3?1", "?"]


@pytest.mark.parametrize("model, shown", [
    ("[/red]", "[/red]"), ("[link=http://x]plug[/link]", "[link=http://x]plug[/link]"), ("\x1b[2Jplug", "?[2Jplug"),
])
def test_a_devices_name_is_only_a_name(model, shown):
    """A closing tag of nothing would end `spot emd devices` for all devices."""
    state = {"online": 1, "heard_at": None, "mode": "controlled", "power_w": 5, "used_wh": 0, "cost_eur": 0.0,
             "live": 0, "alarms": [], "hostile": 0}
    record = {"eui": "0200000000000001", "registered": True, "link": "mqtt", "capability": {"model": model},
              "state": state}
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=True, color_system=None).print(
        _table(SimpleNamespace(devices=lambda: [record], alive=lambda: None)))
    assert shown in out.getvalue() and "\x1b[2J" not in out.getvalue()
