"""What a person sees while a run goes on: a live panel on a terminal, plain lines elsewhere."""

import sys
import time
from collections import deque

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_BARS = " ▁▂▃▄▅▆▇█"
_FRAME_S = 0.12  # wall
_PLAIN_STEP_S = 7200  # virtual: a line without a terminal
_RECENT = 6


def sparkline(values, width):
    """`values` as `width` characters; None where nothing is known yet."""
    if not values:
        return ""
    picked = [values[i * len(values) // width] for i in range(width)]
    known = [v for v in picked if v is not None]
    low, high = min(known, default=0), max(known, default=1)
    span = (high - low) or 1
    return "".join(" " if v is None else _BARS[1 + int((v - low) / span * 7)] for v in picked)


class Moment:
    """One instant of a run, for a view.

    done: 0 to 1; clock: "17:05"; price EUR/MWh; power_w and limit_w (None: no limit) of the home, street_w of
    everybody;
    devices: rows (name, what it is, W, state in words, who decided, temperature or ""); registered, total: devices;
    commands {state: n}; alarms: n.
    """

    __slots__ = (
        "done",
        "clock",
        "price",
        "power_w",
        "limit_w",
        "street_w",
        "devices",
        "registered",
        "total",
        "commands",
        "alarms",
    )

    def __init__(self, **values):
        for name in self.__slots__:
            setattr(self, name, values[name])


class PlainView:
    """A line for each two hours and each event."""

    def __init__(self, title, out=None):
        self._out = out or sys.stdout
        self._next = 0.0
        print(title, file=self._out, flush=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return None

    def stage(self, text):
        """What is being prepared."""
        print(text, file=self._out, flush=True)

    def event(self, clock, text):
        """Something happened that a person wants to know."""
        print("%s  %s" % (clock, text), file=self._out, flush=True)

    def update(self, moment):
        if moment.done + 1e-9 < self._next:
            return
        self._next += _PLAIN_STEP_S / 86400
        limit = "" if moment.limit_w is None else ", limit %d W" % moment.limit_w
        print(
            "%s  %3d %%  %7.2f EUR/MWh  home %5d W%s, street %7d W, %d of %d registered, %d alarms"
            % (
                moment.clock,
                100 * moment.done,
                moment.price,
                moment.power_w,
                limit,
                moment.street_w,
                moment.registered,
                moment.total,
                moment.alarms,
            ),
            file=self._out,
            flush=True,
        )


class LiveView:
    """A panel that is redrawn about eight times a second."""

    def __init__(self, title, prices, console=None):
        self._title, self._prices = title, prices
        self._console = console or Console()
        self._recent = deque(maxlen=_RECENT)
        self._stage = "starting"
        self._moment = None
        self._drawn = 0.0
        self._started = time.monotonic()
        self._home, self._street = [], []
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self):
        self._live.__enter__()
        return self

    def __exit__(self, *exc):
        return self._live.__exit__(*exc)

    def stage(self, text):
        self._stage = text
        self._draw(True)

    def event(self, clock, text):
        self._recent.append((clock, text))

    def update(self, moment):
        slot = int(moment.done * 96)
        for series, value in ((self._home, moment.power_w), (self._street, moment.street_w)):
            while len(series) <= slot:
                series.append(value)
            series[slot] = value
        self._moment = moment
        self._draw(False)

    def _draw(self, force):
        now = time.monotonic()
        if not force and now - self._drawn < _FRAME_S:
            return
        self._drawn = now
        self._live.update(self._panel(), refresh=True)

    def _panel(self):
        m = self._moment
        if m is None:
            return Panel(Text(self._stage, style="dim"), title=self._title, box=box.ROUNDED, width=self._width())
        width = self._width() - 6
        parts = [self._bar(m, width), self._series(m, width), self._devices(m), self._street_line(m)]
        if self._recent:
            lines = Table.grid(padding=(0, 2))
            for clock, text in self._recent:
                lines.add_row(Text(clock, style="dim"), Text(text, overflow="ellipsis", no_wrap=True))
            parts += [Text(), lines]
        return Panel(Group(*parts), title=self._title, box=box.ROUNDED, width=self._width(), padding=(0, 2))

    def _width(self):
        return min(108, self._console.width)

    def _bar(self, m, width):
        row = Table.grid(padding=(0, 1))
        spent = time.monotonic() - self._started
        left = "" if m.done < 0.02 else "  %2.0f s left" % (spent / m.done * (1 - m.done))
        row.add_row(
            Text(m.clock, style="bold"),
            ProgressBar(total=1.0, completed=m.done, width=width - 30),
            Text("%3d %%%s" % (100 * m.done, left), style="dim"),
        )
        return row

    def _series(self, m, width):
        row = Table.grid(padding=(0, 1))
        wide = max(12, width - 44)
        now = int(m.done * 96)
        limit = (
            Text("  limit %d W" % m.limit_w, style="bold red" if m.power_w > m.limit_w else "bold green")
            if m.limit_w is not None
            else Text()
        )
        home = [*self._home[:96], *[None] * (96 - len(self._home))]
        street = [*self._street[:96], *[None] * (96 - len(self._street))]
        row.add_row("price", Text(sparkline(self._prices, wide), style="yellow"), Text("%9.2f EUR/MWh" % m.price))
        row.add_row(
            "home",
            Text(sparkline(home[: now + 1] + home[now + 1 :], wide), style="cyan"),
            Text("%9d W" % m.power_w) + limit,
        )
        row.add_row("street", Text(sparkline(street, wide), style="blue"), Text("%9d W" % m.street_w))
        return row

    def _devices(self, m):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for name, justify in (
            ("device", "left"),
            ("", "left"),
            ("W", "right"),
            ("does", "left"),
            ("decided by", "left"),
            ("", "right"),
        ):
            table.add_column(name, justify=justify, header_style="dim", no_wrap=True)
        for row in m.devices:
            name, what, watts, state, decider, extra = row
            table.add_row(
                Text(name, style="bold"), Text(what, style="dim"), "%d" % watts, state, decider.replace("_", " "), extra
            )
        return table

    def _street_line(self, m):
        said = ", ".join("%d %s" % (n, s.replace("_", " ")) for s, n in sorted(m.commands.items())) or "none yet"
        return Text(
            "%d of %d devices registered   commands: %s   alarms: %d" % (m.registered, m.total, said, m.alarms),
            style="dim",
        )


def view(title, prices, plain=False):
    """The view that fits where we are: live on a terminal, plain otherwise."""
    console = Console()
    if plain or not console.is_terminal:
        return PlainView(title)
    return LiveView(title, prices, console)
