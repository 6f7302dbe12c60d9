"""`spot sim`: run scenario files in the simulator and say what came of it."""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from spot_host.errors import UserError

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command("list")
def list_scenarios(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False):
    """List the scenarios that SPOT ships."""
    from spot_sim import scenario

    found = [scenario.load(name) for name in scenario.names()]
    if as_json:
        print(json.dumps([_said(one) for one in found]))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("scenario", "day", "days", "devices", "what"):
        table.add_column(column)
    for one in found:
        table.add_row(one.name, str(one.day), str(one.days), str(len(one.devices)), one.title)
    Console().print(table)


def _said(one):
    return {
        "name": one.name, "title": one.title, "day": str(one.day), "days": one.days, "seed": one.seed,
        "devices": len(one.devices),
    }


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A scenario of `spot sim list`, or a TOML file.")],
    seed: Annotated[int | None, typer.Option(help="Another history of the same scenario.")] = None,
    day: Annotated[str | None, typer.Option(help="First day, such as 2024-12-12.")] = None,
    days: Annotated[int | None, typer.Option(help="Length of the run.")] = None,
    prices: Annotated[str | None, typer.Option(help="Price file (CSV or JSON) instead of the scenario's.")] = None,
    link: Annotated[
        str | None, typer.Option(help="mqtt or coap, for every device, instead of what the scenario says.")
    ] = None,
    site: Annotated[str | None, typer.Option(help="Report this site only; the home by default, `all` for all.")] = None,
    control: Annotated[bool, typer.Option(help="--no-control: an EMD without prices and limits.")] = True,
    compare: Annotated[bool, typer.Option(help="--no-compare: without the same seed uncontrolled beside it.")] = True,
    picture: Annotated[str | None, typer.Option(help="Write a picture to this PNG or SVG file.")] = None,
    processes: Annotated[
        bool, typer.Option("--processes", help='Devices with runs = "micropython" as processes, in lock-step.')
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
):
    """Run a scenario in virtual time and report cost, limits, comfort, commands and traffic."""
    from spot_sim import fleet, report, scenario, view

    if picture and not picture.endswith((".png", ".svg")):
        raise UserError(f"--picture: a file that ends in .png or .svg, not {picture}")
    if picture and not os.access(Path(picture).absolute().parent, os.W_OK):  # before the run, not after it
        raise UserError(f"--picture: no folder that can be written: {Path(picture).absolute().parent}")
    found = scenario.load(name, seed=seed, day=day, days=days, prices=prices)
    if link is not None:
        if link not in scenario.LINKS:
            raise UserError(f"--link: one of {', '.join(scenario.LINKS)}, not {link!r}")
        found = scenario.linked(found, link, every=True)
    sites = sorted({d.site for d in found.devices} | {b.site for b in found.base_loads})
    if site is None:
        site = "home" if "home" in sites else "all"
    elif site not in (*sites, "all"):
        raise UserError(f"--site: no site {site!r} in {found.name}; there are {', '.join(sites)} and all")
    world = fleet.World(found, control=control, all_simulated=not processes)
    if processes and not world.process_devices:
        raise UserError(f'--processes: no device of {found.name} has runs = "micropython"')
    begun = time.perf_counter()
    show = not as_json and sys.stderr.isatty()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=Console(stderr=True),
        transient=True, disable=not show,
    )
    with bar:
        task = bar.add_task(f"{found.name}, {found.days} day(s), {len(found.devices)} devices", total=found.seconds)
        if processes:
            _run_with_processes(world, lambda: bar.update(task, completed=world.now_s))
        else:
            world.run(lambda now_s: bar.update(task, completed=now_s))
    wall_s = time.perf_counter() - begun
    before = fleet.baseline(found).results if compare else {}
    here, there = world.results[site], before.get(site)
    count = len(found.devices) if site == "all" else sum(d.site == site for d in found.devices)
    if picture:
        report.picture(picture, here, there, found.title, world.calendar.zone)
    if as_json:
        out = report.figures(here, there, max(1, count))
        out.update(
            scenario=found.name, seed=found.seed, day=str(found.day), days=found.days, site=site, devices=count,
            wall_s=round(wall_s, 2), device_seconds_per_s=round(found.seconds * len(found.devices) / wall_s),
        )
        print(json.dumps(out))
        return
    console = Console()
    console.print(f"[bold]{found.title}[/bold]")
    console.print(f"{found.day}, {found.days} day(s), seed {found.seed}; site {site}, {count} devices\n")
    console.print(report.words(here, there, max(1, count)))
    heads = ("with control" if control else "EMD without control", "without" if there else "")
    table = view.table_of(report.rows(here, there, max(1, count), world.calendar.zone), None, *heads)
    console.print()
    console.print(table)
    device_s = found.seconds * len(found.devices)
    speed = f"{device_s / wall_s:,.0f} device-seconds a second"
    console.print(f"\n{wall_s:.1f} s for {device_s / 86400:.0f} device-days: {speed}")
    console.print(f"digest of the history: {world.result.digest[:16]}")


def _run_with_processes(world, seen):
    from spot_sim.mixed import MixedRun

    with tempfile.TemporaryDirectory(prefix="spot-sim-") as folder, MixedRun(world, folder) as run:
        run.connect()
        run.run_until(world.seconds, seen)
    world.finish()


@app.command()
def soak(
    seeds: Annotated[str, typer.Option(metavar="N|N-M", help="Seeds of the histories.")] = "1-100",
    years: Annotated[float, typer.Option(help="Go on with further seeds until so many device-years were run.")] = 0.0,
    jobs: Annotated[int | None, typer.Option(help="Processes side by side; one a core by default.")] = None,
    replay: Annotated[str | None, typer.Option(metavar="FILE", help="Play a history from a file.")] = None,
    until: Annotated[int | None, typer.Option(help="Stop at this simulated second (one seed or a file).")] = None,
    save: Annotated[str | None, typer.Option(metavar="FILE", help="Write the history of one seed.")] = None,
    shrink: Annotated[str | None, typer.Option(metavar="FILE", help="Make a failing one small, and write it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
):
    """Play histories of faults, users and power cuts, and hold every step against docs/invariants.md."""
    from spot_sim.adversary import report

    report.main(seeds, years, jobs, replay, until, save, shrink, as_json)
