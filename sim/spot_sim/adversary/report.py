"""`spot sim soak` and `make soak`: the runs with their progress, and what a person wants to know afterwards."""

import json
import sys

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from spot_host.errors import UserError
from spot_host.profile import definition as d
from spot_sim.adversary import draw, history, soak
from spot_sim.adversary import shrink as shrinking
from spot_sim.adversary.invariants import Violation

_HEADS = (
    ("event", "events"), ("tear", "torn writes"), ("strange", "strange messages"), ("mode", "steps in a mode"),
    ("decider", "steps by who decides"), ("state", "states of commands"), ("reason", "reasons"),
    ("edge", "edges of relays"), ("sg", "SG-Ready states"), ("trip", "trips"), ("alarm", "alarms"),
    ("interval", "qualities"), ("gap record", "gap records"), ("silence", "steps without the EMD"),
    ("nonces", "encryptions"), ("emd", "notes of the EMD"),
)

_NAMES = {  # of the heads whose keys are codes
    head: {code: name for code, name, _ in d.enum(enum).rows}
    for head, enum in (("decider", "Decider"), ("reason", "Reason"), ("alarm", "Alarm"))
}


def seeds_of(text):
    """[numbers] of "7", "1-100", "3,5,9-12". Raises UserError."""
    found = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or dash and not last.isdigit():
            raise UserError(f"--seeds: numbers such as 7, 1-100 or 3,9-12, not {text!r}")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def main(seeds, years, jobs, replay, until, save, shrink, as_json):
    """The command; exit code 1 when an invariant failed."""
    one = None
    if replay is not None:
        try:
            one = history.load(replay)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"--replay: {replay}: {error}") from None
    else:
        numbers = seeds_of(seeds)
        if len(numbers) == 1 and not years:
            one = draw.draw(numbers[0])
        elif until is not None or save or shrink:
            raise UserError("--until, --save and --shrink are for one seed or a file")
    if one is not None:
        _one(one, until, save, shrink, as_json, replay)
        return
    summary = _many(numbers, years, jobs, as_json)
    if as_json:
        print(json.dumps(_plain(summary)))
    else:
        _say(summary)
    if summary.failures:
        raise typer.Exit(1)


def _one(one, until, save, shrink, as_json, replay):
    if save:
        one.save(save)
    outcome = soak.run(one, until)
    if as_json:
        print(json.dumps({"seed": one.seed, "events": len(one.events), "violation": outcome.violation}))
    else:
        kinds = ", ".join(row["kind"] for row in one.devices)
        Console().print(
            f"seed {one.seed}: {one.shape}, {one.days} days from {one.day}, {kinds}; {len(one.events)} events, "
            f"{outcome.steps:,} steps in {outcome.cpu_s:.1f} s"
        )
        if outcome.violation is None:
            Console().print("every invariant held")
        else:
            _failure(outcome, replay)
    if outcome.violation is None:
        return
    if shrink:
        name, at_ms, device, text, _ = outcome.violation
        with _bar("shrinking", as_json) as bar:
            task = bar.add_task("events left", total=len(one.events), completed=0)
            small, _ = shrinking.shrink(
                one, Violation(name, at_ms, device, text),
                progress=lambda left, _tries: bar.update(task, completed=len(one.events) - left),
            )
        small.save(shrink)
        if not as_json:
            Console().print(f"{len(small.events)} of {len(one.events)} events: spot sim soak --replay {shrink}")
    raise typer.Exit(1)


def _bar(text, as_json):
    return Progress(
        TextColumn(text), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True, disable=as_json or not sys.stderr.isatty(),
    )


def _many(numbers, years, jobs, as_json):
    with _bar("histories", as_json) as bar:
        task = bar.add_task("", total=len(numbers))

        def seen(summary):
            done = len(summary.outcomes)
            text = f"{summary.device_years:.2f} device-years, {len(summary.failures)} failed"
            bar.update(task, completed=done, total=max(done, len(numbers)), description=text)

        return soak.soak(numbers, years, jobs, seen)


def _failure(outcome, replay=None):
    name, at_ms, device, text, event = outcome.violation
    console = Console(highlight=False)
    console.print(
        f"[bold red]seed {outcome.seed}[/] ({outcome.shape}): [bold]{name}[/] {device} at {at_ms / 1000:.3f} s"
    )
    console.print(f"  {text}", markup=False)
    console.print(f"  latest event: {event}", markup=False)
    how = f"spot sim soak --replay {replay}" if replay else soak.command_of(outcome)
    console.print(f"  replay: {how} --until {-(-at_ms // 1000)}", markup=False)
    console.print(f"  shrink: {how} --shrink small.json", markup=False)


def _say(summary):
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    cover = summary.cover
    for what, head in _HEADS:
        names = _NAMES.get(what, {})
        rows = sorted(
            ((names.get(key[1], str(key[1])), n) for key, n in cover.items() if key[0] == what), key=lambda r: -r[1]
        )
        if rows:
            table.add_row(head, ", ".join(f"{name} {count:,}" for name, count in rows))
    console.print(table)
    for outcome in summary.failures:
        _failure(outcome)
    steps = sum(one.steps for one in summary.outcomes)
    rate = summary.device_years / max(summary.wall_s, 1e-9) * 3600
    console.print(
        f"\n{len(summary.outcomes)} histories, [bold]{summary.device_years:.2f} device-years[/], {steps:,} steps in "
        f"{summary.wall_s:.0f} s: {rate:.0f} device-years an hour; {len(summary.failures)} failed"
    )


def _plain(summary):
    return {
        "histories": len(summary.outcomes), "device_years": round(summary.device_years, 3),
        "wall_s": round(summary.wall_s, 1), "failures": [[one.seed, *one.violation] for one in summary.failures],
        "cover": {f"{what}: {which}": count for (what, which), count in sorted(summary.cover.items(), key=str)},
    }
