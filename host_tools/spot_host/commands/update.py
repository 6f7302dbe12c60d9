"""`spot update`: a fleet's firmware, through the EMD that runs: canaries first, then at a pace, halted by failures.

Exit codes: 2 wrong use, or a release that is no good; 3 the EMD cannot be reached.
"""

import base64
import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spot_host.errors import UserError

app = typer.Typer(help="A fleet's firmware, through the EMD: canaries, pace, halt.", no_args_is_help=True)

Database = Annotated[Path, typer.Option("--db", "-d", help="The EMD's database.", envvar="SPOT_EMD_DB")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: JSON instead of a table.")]
Number = Annotated[int | None, typer.Argument(metavar="[CAMPAIGN]", help="Its number; the latest if absent.")]
_DB = Path("emd.sqlite")
_STATES = ("waiting", "offered", "fetching", "trial", "done", "failed", "silent", "declined")


@app.command()
def start(
    files: Annotated[
        list[Path], typer.Argument(metavar="RELEASE…", help="What `spot release build` made.", readable=False)
    ],
    device: Annotated[
        list[str] | None, typer.Option(help="Only this device: EUI-64, or its last digits; repeatable.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="BOARD=TEXT: what devices of a board register as, where it is not its board.json's."),
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option("--key", "-k", help="Look first whether this key signed it: hex, file, folder.")
    ] = None,
    canaries: Annotated[int, typer.Option(min=0, help="Devices of each board that get it first.")] = 1,
    soak: Annotated[float, typer.Option(min=0, help="Minutes that they run it before the others get it.")] = 60,
    at_once: Annotated[int, typer.Option(min=1, help="Devices that are under way at a time.")] = 10,
    per_hour: Annotated[int, typer.Option(min=1, help="Devices that are begun in an hour.")] = 60,
    most_failed: Annotated[int, typer.Option(min=0, help="Failures behind the canaries that do not halt it yet.")] = 0,
    silent: Annotated[float, typer.Option(min=5, help="Minutes without a word after which one has failed.")] = 120,
    db: Database = _DB,
    as_json: AsJson = False,
):
    """Bring releases to the devices that they are for, also to those that come later, until it is ended."""
    from spot_host import release, suit
    from spot_host.signing_key import public_key

    models = dict(text.partition("=")[::2] for text in model or ())
    sent = []
    for file in files:
        octets, made = suit.load(file)
        refused = release.refusals(made, [public_key(text, hss=True) for text in key] if key else None)
        if refused:
            raise UserError(f"{file}: " + "; ".join(f"{reason}: {words}" for reason, words in refused))
        board = made.manifest.board
        sent.append({"octets": base64.b64encode(octets).decode(), "model": models.get(board) or _model(board)})
    reader = _reader(db)
    devices = None
    if device:
        from spot_host.commands.emd import _device

        devices = [_device(reader, name) for name in device]
    pace = {"canaries": canaries, "soak_s": round(soak * 60), "at_once": at_once, "per_hour": per_hour,
            "most_failed": most_failed, "silent_s": round(silent * 60)}
    _say(reader.request({"do": "update_start", "files": sent, "pace": pace, "devices": devices}), as_json,
         lambda r: f"campaign {r['id']} has begun; {r['devices']} devices are known to it: spot update status")


@app.command()
def halt(
    campaign: Number = None,
    why: Annotated[str, typer.Option(help="For who looks at it later.")] = "by hand",
    end: Annotated[bool, typer.Option("--end", help="For good: it cannot be resumed.")] = False,
    db: Database = _DB,
    as_json: AsJson = False,
):
    """Stop: nobody is offered anything, and nothing is served. Who has the new firmware keeps it."""
    _say(_reader(db).request({"do": "update_end" if end else "update_halt", "id": campaign, "why": why}), as_json,
         lambda r: f"campaign {r['id']} is {r['state']}")


@app.command()
def resume(
    campaign: Number = None,
    retry: Annotated[bool, typer.Option("--retry", help="Ask those who failed once more.")] = False,
    db: Database = _DB,
    as_json: AsJson = False,
):
    """Go on in spite of the failures so far. While canaries run, others take the place of those that failed."""
    _say(_reader(db).request({"do": "update_resume", "id": campaign, "retry": retry}), as_json,
         lambda r: f"campaign {r['id']} goes on: {r['state']}")


@app.command()
def status(
    campaign: Number = None,
    devices: Annotated[bool, typer.Option("--devices", help="Every device, not only those that need a look.")] = False,
    watch: Annotated[float, typer.Option(help="Look again after so many seconds, until it is over or halted.")] = 0,
    db: Database = _DB,
    as_json: AsJson = False,
):
    """How far a campaign is, who is under way, and who failed why. Reads the database: no EMD has to run."""
    reader = _reader(db)
    while True:
        record, members = _one(reader, campaign)
        if as_json:
            print(json.dumps({**record, "counts": _counts(members), "members": members}), flush=True)
        else:
            _show(record, members, devices)
        if not watch or record["state"] not in ("canaries", "soaking", "rolling"):
            return
        time.sleep(watch)


@app.command("list")
def list_(db: Database = _DB, as_json: AsJson = False):
    """All campaigns, the latest first."""
    rows = [(record, _counts(members)) for record, members in reversed(_all(_reader(db)))]
    if as_json:
        print(json.dumps([{**record, "counts": counts} for record, counts in rows]))
        return
    table = _table("", "begun", "state", "devices", "releases")
    for record, counts in rows:
        table.add_row(str(record["id"]), _when(record["begun_at"]), _colour(record["state"]), _in_words(counts),
                      escape(_releases(record)))
    _console().print(table)


def _show(record, members, every):
    console = _console()
    console.print(f"campaign {record['id']}, begun {_when(record['begun_at'])}: {_releases(record)}", markup=False)
    soak = f" until {_when(record['soaked_at'])}" if record["state"] == "soaking" else ""
    console.print(f"{_colour(record['state'])}{soak} since {_when(record['at'])}", end=": " if record["why"] else "")
    console.print(record["why"], markup=False)
    counts = _counts(members)
    console.print(f"{len(members)} device{'s' * (len(members) != 1)}: {_in_words(counts)}")
    shown = [m for m in members if every or m["state"] not in ("waiting", "done")]
    if not shown:
        return
    table = _table("device", "board", "state", "since", "offer", "tries", "reason")
    for m in shown:
        table.add_row(
            m["eui"] + ("\n  canary" if m["canary"] else ""), record["releases"][m["release"]]["board"],
            _colour(m["state"]), _when(m["at"]), str(m["offer"] or ""), str(m["tries"] or ""),
            m["reason"] + (" (forgiven)" if m["forgiven"] and m["state"] in ("failed", "silent") else ""))
    console.print(table)
    if record["state"] == "halted":
        console.print("Find out why first; then `spot update resume` goes on without those that failed, "
                      "`--retry` asks them again, `spot update halt --end` gives it up.", markup=False)


def _releases(record):
    return ", ".join(f"{r['board']} {r['version']} (sequence {r['sequence']})" for r in record["releases"])


def _table(*names):
    """Narrow enough for 80 columns; the last column is folded."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=name != names[-1], overflow="fold")
    return table


def _in_words(counts):
    return ", ".join(f"{counts[state]} {state}" for state in _STATES if state in counts) or "-"


def _counts(members):
    counts = {}
    for member in members:
        counts[member["state"]] = counts.get(member["state"], 0) + 1
    return counts


def _all(reader):
    if not reader.rows("SELECT 1 FROM sqlite_master WHERE name = 'campaign'"):  # an EMD from before there were any
        return []
    members = {}
    for row in reader.rows("SELECT campaign, record FROM campaign_member ORDER BY eui"):
        members.setdefault(row["campaign"], []).append(json.loads(row["record"]))
    return [(json.loads(row["record"]), members.get(row["id"], []))
            for row in reader.rows("SELECT id, record FROM campaign ORDER BY id")]


def _one(reader, id_):
    found = _all(reader)
    for record, members in reversed(found):
        if id_ in (None, record["id"]):
            return record, members
    raise UserError(f"no campaign {id_}" if id_ is not None else "there is no campaign: spot update start RELEASE")


def _model(board):
    """What devices of a board register as by its description; None where it is not known here."""
    from spot_host.release import BoardFacts

    try:
        return BoardFacts(board).model
    except UserError:
        return None


def _colour(state):
    colour = {"halted": "red", "failed": "red", "silent": "red", "over": "green", "done": "green"}.get(state)
    return f"[{colour}]{state}[/]" if colour else state


def _when(t):
    return datetime.fromtimestamp(t).astimezone().strftime("%m-%d %H:%M:%S") if t else "-"


def _console():
    return Console() if sys.stdout.isatty() else Console(soft_wrap=True, width=200)


def _reader(path):
    from spot_host.emd.service import Reader

    return Reader(path)


def _say(result, as_json, words):
    if as_json:
        print(json.dumps(result))
    elif "error" in result:
        print(f"spot: {result['error']}", file=sys.stderr)
    else:
        _console().print(words(result), markup=False)
    if "error" in result:
        raise typer.Exit(result.get("code", 4))
