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
_MOST_RECENT = 10
_FRAME_LINES = 9  # borders, time, three series, the devices' head, the count of devices and commands, a blank line
_WIDEST = {"W": 5, "does": 23, "decided by": 10, "room": 7}
_LABEL, _VALUE = 7, 17  # columns beside the time axis


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
    everybody; devices: rows (name, what it is, W, state in words, who decided, temperature or ""); registered and
    total: devices; commands {state: n}, by final state; alarms: n.
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


def columns(width):
    """Which columns the table of devices has in a panel of `width`, so that none of them is cut."""
    if width >= 84:
        return ("device", "", "W", "does", "decided by", "room")
    if width >= 72:
        return ("device", "W", "does", "decided by", "room")
    return ("device", "W", "does", "room")


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
    """A panel that is redrawn about eight times a second. The bar and all series have one time axis: the day."""

    def __init__(self, title, prices, console=None):
        self._title, self._prices = title, prices
        self._console = console or Console()
        self._recent = deque(maxlen=_MOST_RECENT)
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
        self._moment, self._stage = moment, None
        self._draw(False)

    def _draw(self, force):
        now = time.monotonic()
        if not force and now - self._drawn < _FRAME_S:
            return
        self._drawn = now
        self._live.update(self._panel(), refresh=True)

    def _panel(self):
        m, width = self._moment, self._width()
        if m is None:
            return Panel(Text(self._stage, style="dim"), title=self._title, box=box.ROUNDED, width=width)
        parts = [self._series(m, max(10, width - 8 - _LABEL - _VALUE)), self._devices(m, width), self._counts(m)]
        room = self._console.height - _FRAME_LINES - len(m.devices) - 1
        recent = list(self._recent)[-room:] if room > 0 else []
        if recent:
            lines = Table.grid(padding=(0, 2))
            for clock, text in recent:
                lines.add_row(Text(clock, style="dim"), Text(text, _style(text), overflow="ellipsis", no_wrap=True))
            parts += [Text(), lines]
        return Panel(
            Group(*parts), title=self._title, subtitle=self._stage, box=box.ROUNDED, width=width, padding=(0, 2)
        )

    def _width(self):
        return min(108, self._console.width)

    def _series(self, m, wide):
        spent = time.monotonic() - self._started
        left = "" if m.done < 0.02 else "%4.0f s left" % (spent / m.done * (1 - m.done))
        home = Text("%d W" % m.power_w)
        if m.limit_w is not None:
            home = Text("%d of %d W" % (m.power_w, m.limit_w), "bold red" if m.power_w > m.limit_w else "bold green")
        axis = Table.grid(padding=(0, 1))
        axis.add_column(width=_LABEL - 1, no_wrap=True)
        axis.add_column(width=wide)
        axis.add_column(width=_VALUE - 1, justify="right", no_wrap=True)
        axis.add_row(
            Text(m.clock, style="bold"),
            ProgressBar(total=1.0, completed=m.done, width=wide),
            Text("%d %%%s" % (100 * m.done, left), style="dim"),
        )
        axis.add_row("price", Text(sparkline(self._prices, wide), style="yellow"), "%.2f EUR/MWh" % m.price)
        axis.add_row("home", Text(sparkline(_day(self._home), wide), style="cyan"), home)
        axis.add_row("street", Text(sparkline(_day(self._street), wide), style="blue"), "%d W" % m.street_w)
        return axis

    def _devices(self, m, width):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        shown = columns(width)
        for name in shown:
            table.add_column(
                name,
                justify="right" if name in ("W", "room") else "left",
                header_style="dim",
                no_wrap=True,
                min_width=_WIDEST.get(name),  # so that the columns stay where they are from one frame to the next
            )
        for name, what, watts, state, decider, room in m.devices:
            cells = {
                "device": Text(name, style="bold"),
                "": Text(what, style="dim"),
                "W": "%d" % watts,
                "does": state,
                "decided by": decider.replace("_", " "),
                "room": room,
            }
            table.add_row(*(cells[name] for name in shown))
        return table

    def _counts(self, m):
        said = ", ".join("%d %s" % (n, s.replace("_", " ")) for s, n in sorted(m.commands.items())) or "none yet"
        line = Text("%d of %d registered   " % (m.registered, m.total), "dim", no_wrap=True, overflow="ellipsis")
        line.append("alarms: %d" % m.alarms, "bold red" if m.alarms else "")
        return line.append("   commands done: " + said)


def _day(series):
    """The quarter-hours known so far, and None for the rest of the day."""
    return [*series[:96], *[None] * (96 - len(series))]


def _style(text):
    """Alarms and limits are what a person must not miss."""
    if " alarm " in text:
        return "bold red"
    return "bold" if text.startswith(("limit of", "the home's limit")) else ""


def table_of(rows, title, *heads):
    """A report's rows as a table, for `heads` (with control, without control)."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("", *heads):
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    return table


def view(title, prices, plain=False):
    """The view that fits where we are: live on a terminal, plain otherwise."""
    console = Console()
    if plain or not console.is_terminal or console.is_dumb_terminal:
        return PlainView(title)
    return LiveView(title, prices, console)
