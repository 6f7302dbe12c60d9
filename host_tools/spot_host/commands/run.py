"""`spot run`, the main job: a home of MicroPython devices and its street through one day of real prices, under a grid
limit."""

import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from spot_host.errors import UserError

_SCENARIO = "winter_day"
_HOME = "home"
_LINKS = ("mqtt", "coap")
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, a service manager, a terminal that is closed


def main(
    day: Annotated[
        str, typer.Option(help="2024-12-12 (scarcity), 2024-05-12 (negative prices), or a day of --prices.")
    ] = "2024-12-12",
    prices: Annotated[str | None, typer.Option(help="Price file of your own, CSV or JSON.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another history of the same day.")] = None,
    devices: Annotated[int, typer.Option(help="Simulated devices in the street, 0 to 100.")] = 100,
    link: Annotated[
        str | None, typer.Option(help="How all devices of the home talk: mqtt, coap. Default: the heating over CoAP.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the picture and run.json.")] = Path("out"),
    plain: Annotated[bool, typer.Option(help="--plain: lines instead of the live view.")] = False,
    compare: Annotated[
        bool, typer.Option(help="--no-compare: without the run of the same seed without control.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON only.")] = False,
):
    """Run one day: MicroPython devices over MQTT with TLS and CoAP with OSCORE, an EMD, a hundred simulated neighbours,
    all in one virtual time."""
    from spot_sim import fleet, report, scenario, view

    if link not in (None, *_LINKS):
        raise UserError("--link: one of %s, not %r" % (", ".join(_LINKS), link))
    found = _with_street(scenario.load(_SCENARIO, seed=seed, day=day, prices=prices), devices)
    if link is not None:
        found = scenario.linked(found, link)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("--out: %s cannot be made: %s" % (out, error.strerror)) from error
    for number in _STOPPING:
        signal.signal(number, _interrupt)
    began = time.monotonic()
    world = fleet.World(found)
    title = "SPOT  %s  %d devices, %d of them MicroPython over %s" % (
        found.day,
        len(found.devices),
        len(world.process_devices),
        _ways(world),
    )
    hours = [world.price_at(world.utc + at) for at in range(0, found.seconds, 900)]
    baseline = None
    try:
        with view.PlainView("", open(os.devnull, "w")) if as_json else view.view(title, hours, plain) as shown:
            packets = _run(world, shown)
            if compare:
                shown.stage("the same day without control")
                baseline = fleet.baseline(found).results
    except KeyboardInterrupt:
        print("spot: stopped %s; nothing was written" % _where(world), file=sys.stderr)
        raise
    wall_s = time.monotonic() - began
    zone = ZoneInfo(found.zone)
    picture = out / ("%s.png" % found.day)
    results = world.results
    before = baseline or {}
    report.picture(picture, results[_HOME], before.get(_HOME), "One home on %s under hybrid control" % found.day, zone)
    said = {
        "day": str(found.day),
        "seed": found.seed,
        "wall_s": round(wall_s, 1),
        "packets": packets,
        "sites": {
            site: report.figures(result, before.get(site), _count(found, site)) for site, result in results.items()
        },
    }
    figures = out / "run.json"
    figures.write_text(json.dumps(said, indent=1) + "\n")
    if as_json:
        print(json.dumps(said))
        return
    _print(found, results, before, packets, wall_s, picture, figures, zone)


def _interrupt(_number, _frame):
    # A second Ctrl-C must not cut short the end of broker and devices, which takes seconds at most.
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


_WAYS = {"mqtt": "MQTT with TLS", "coap": "CoAP with OSCORE"}


def _ways(world):
    """Over what the processes talk, in words."""
    links = {world.bodies[eui].spec.link for eui in world.process_devices}
    return " and ".join(words for link, words in _WAYS.items() if link in links)


def _where(world):
    """How far a run that was stopped has come."""
    if world.now_s <= 0:
        return "before the day began"
    if world.now_s >= world.seconds:
        return "at the end of the day"
    from spot_sim.report import clock

    return "at %s of the day" % clock(world.utc, ZoneInfo(world.scenario.zone))


def _with_street(found, count):
    """The scenario with `count` of its simulated devices, evenly taken from all kinds."""
    street = [d for d in found.devices if d.runs == "sim"]
    if not 0 <= count <= len(street):
        raise UserError("--devices: from 0 to %d, not %d" % (len(street), count))
    kept = {street[i * len(street) // count].eui for i in range(count)}
    return replace(found, devices=tuple(d for d in found.devices if d.runs != "sim" or d.eui in kept))


def _count(found, site):
    return max(1, sum(site in ("all", d.site) for d in found.devices))


def _run(world, shown):
    """Runs the day; returns how many messages went over the sockets and how many of them were lost."""
    from spot_sim.mixed import MixedRun

    watcher = _Watcher(world, shown)
    with tempfile.TemporaryDirectory(prefix="spot-run-") as folder:
        links = {world.bodies[eui].spec.link for eui in world.process_devices}
        parts = {"mqtt": "certificates, broker", "coap": "pairing secrets, CoAP server"}
        shown.stage(", ".join(words for link, words in parts.items() if link in links))
        with MixedRun(world, folder) as run:
            run.connect(lambda up, total: shown.stage("devices connect: %d of %d" % (up, total)))
            run.run_until(world.seconds, watcher.look)
            members = run.lockstep.members.values()
            packets = {
                "up": sum(m.last.sent for m in members),
                "down": sum(m.last.received for m in members),
                "lost": sum(m.lost_up + m.lost_down for m in members),
                "grants": sum(m.process.grants for m in members),
                "ways": _ways(world),
            }
    world.finish()
    return packets


class _Watcher:
    """Turns what happens in the world into moments and events for a view."""

    def __init__(self, world, shown):
        from spot_host.profile import definition as d
        from spot_sim.report import clock

        self._world, self._shown = world, shown
        self._zone = ZoneInfo(world.scenario.zone)
        self._clock = clock
        self._names = {
            name: {code: word for code, word, _ in d.enum(name).rows}
            for name in ("Kind", "State", "Reason", "Decider", "Alarm")
        }
        self._home = [b for b in world.bodies.values() if b.site == _HOME]
        self._limit = None
        self._said = {}  # EUI: the latest event of a device, so that a limit that is only extended is said once
        self._next_s = -1
        world.watchers.append(self._happened)

    def _now(self):
        return self._clock(self._world.utc, self._zone)

    def _happened(self, _t_s, what, eui, detail):
        if what != "up" or detail[0] not in ("status", "alarm"):
            return
        from spot_host.profile import codec

        body = self._world.bodies.get(eui)
        if body is None or body.site != _HOME:
            return
        message = codec.decode(detail[1])
        if message.name == "status":
            self._status(body, message.values)
        elif message.name == "alarm":
            raised = "raised" if message["raised"] else "cleared"
            self._shown.event(
                self._now(), "%s: alarm %s %s" % (body.name, self._names["Alarm"][message["code"]], raised)
            )

    def _status(self, body, values):
        row = self._world.core.devices.get(body.eui)
        command = row.ledger.commands.get(values["id"]) if row is not None else None
        state = self._names["State"][values["state"]]
        if command is None or state in ("received", "scheduled", "superseded") or command.purpose == "unlimited":
            return
        text = "%s: %s %s" % (body.name, self._names["Kind"][command.kind].replace("_", " "), state.replace("_", " "))
        if state in ("started", "partly") and values.get("power") is not None:
            text += ", %d W" % values["power"]
        if values["reason"]:
            text += " (%s)" % self._names["Reason"][values["reason"]].replace("_", " ")
        if self._said.get(body.eui) == text:
            return
        self._said[body.eui] = text
        self._shown.event(self._now(), text)

    def look(self):
        """Called after each instant: at most one moment for each virtual minute."""
        world = self._world
        if world.now_s < self._next_s:
            return
        self._next_s = world.now_s + 60
        from spot_sim.view import Moment

        limit = next((s for s in world.scenario.limits if s.site == _HOME and s.start <= world.now_s < s.end), None)
        if limit is not self._limit:
            self._limit = limit
            self._shown.event(
                self._now(), "the home's limit ends" if limit is None else "limit of %d W for the home" % limit.limit_w
            )
        rows = world.core.devices.values()
        everything = world.core.report(world.utc)
        self._shown.update(
            Moment(
                done=min(1.0, world.now_s / world.seconds),
                clock=self._now(),
                price=world.price_at(world.utc),
                power_w=sum(b.counted_mw for b in self._home) / 1000 + world.base_w(),
                limit_w=None if limit is None else limit.limit_w,
                street_w=sum(b.counted_mw for b in world.bodies.values()) / 1000 + world.base_w(),
                devices=[self._row(b) for b in self._home],
                registered=sum(r.registered for r in rows),
                total=len(world.bodies),
                commands=everything["commands"],
                alarms=len(getattr(world.storage, "alarms", ())),
            )
        )

    def _row(self, body):
        row = self._world.core.devices.get(body.eui)
        decider = "" if row is None or row.decider is None else self._names["Decider"][row.decider]
        if body.house is None:
            state = "closed" if body.relay else "open"
            room = ""
        else:
            state = "SG-Ready %d" % body.sg_state
            if body.power_limit_w is not None:
                state += ", max %d W" % body.power_limit_w
            room = "%.1f °C" % body.room_c(self._world.now_s)
        return (body.name, "heat pump" if body.house else "plug", body.counted_mw / 1000, state, decider, room)


def _print(found, results, before, packets, wall_s, picture, figures, zone):
    from spot_sim import report, view

    console = Console()
    home = results[_HOME]
    table = view.table_of(
        report.rows(home, before.get(_HOME), _count(found, _HOME), zone),
        "The home on %s" % found.day,
        "with control",
        "without" if before else "",
    )
    console.print()
    console.print(table)
    console.print()
    console.print(report.words(home, before.get(_HOME), _count(found, _HOME)))
    street = report.figures(results["all"], before.get("all"), _count(found, "all"))
    if before and len(found.devices) > 3:
        console.print(
            "All %d devices together: %.2f EUR instead of %.2f, %.0f kWh moved, comfort %s."
            % (
                len(found.devices),
                street["cost_eur"],
                street["uncontrolled_cost_eur"],
                street["moved_kwh"],
                "kept in every home" if street["comfort_kept"] else "not kept everywhere",
            )
        )
    console.print(
        "%d messages up and %d down over %s, %d lost. Seed %d, %.0f s."
        % (packets["up"], packets["down"], packets["ways"], packets["lost"], found.seed, wall_s),
        highlight=False,
    )
    console.print("Picture: %s   Figures: %s" % (picture, figures), highlight=False)
