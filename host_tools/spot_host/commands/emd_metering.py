"""`spot emd alarms`, `log` and `intervals`: what a utility asks of a meter, from the EMD's database and over it."""

import json
import time
from typing import Annotated

import typer

from spot_host.commands.emd import _DB, AsJson, Database, Wait, _console, _device, _enum, _reader, _result, _when, app
from spot_host.errors import UserError

_NO_TIME = 1735689600 + 86400  # a device that has no time yet counts from 2025 on


@app.command()
def alarms(
    device: Annotated[str | None, typer.Argument(help="EUI-64, or its last digits; all devices if absent.")] = None,
    db: Database = _DB,
    as_json: AsJson = False,
    raised: Annotated[bool, typer.Option("--raised", help="Only what is raised now.")] = False,
    last: Annotated[int, typer.Option(help="How many to show.")] = 30,
):
    """Show alarms: what is raised now, and what came and went."""
    from spot_host.emd.alarms import in_words

    reader = _reader(db)
    eui = _device(reader, device) if device else None
    names = {code: name for code, name, _ in _enum("Alarm").rows}
    now = [
        {"device": r["eui"], "alarm": names.get(code, str(code))}
        for r in reader.devices()
        for code in r["state"]["alarms"]
        if eui in (None, r["eui"])
    ]
    rows = [] if raised else reader.rows(
        "SELECT d.eui AS device, a.at, a.seq, a.fields FROM alarm a JOIN device d ON d.key = a.device "
        "WHERE ? IN ('', d.eui) ORDER BY a.at DESC, a.seq DESC LIMIT ?", eui or "", last
    )
    for row in rows:
        row.update(json.loads(row.pop("fields")))
        row["words"] = in_words(row)
        row["alarm"] = names.get(row.pop("code"))
    if as_json:
        print(json.dumps({"raised": now, "alarms": rows}))
        return
    console = _console()
    console.print("raised now: " + (", ".join(f"{r['device']} {r['alarm']}" for r in now) or "none"))
    for row in reversed(rows):
        late = f", heard {_when(row['at'])}" if row["at"] - row["time"] > 60 else ""
        when = _when(row["time"]) if row["time"] > _NO_TIME else f"{'no time':14}"
        console.print(f"{when}  {row['device']}  {row['words']}{late}", markup=False, highlight=False)


@app.command()
def log(
    device: Annotated[str, typer.Argument(help="EUI-64, or its last digits.")],
    crash: Annotated[bool, typer.Option("--crash", help="The record of the latest failure instead.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    first: Annotated[int, typer.Option(help="Number of the first line wanted.")] = 0,
    period: Annotated[float, typer.Option(help="Seconds between two looks with --follow.")] = 5.0,
    wait: Wait = 30.0,
    db: Database = _DB,
    as_json: AsJson = False,
):
    """Read a device's log, over whatever link it is on: seconds since boot, level (d, i, w, e), event, two numbers."""
    from spot_host.emd.log_words import with_words

    reader = _reader(db)
    eui = _device(reader, device)
    boot = None
    while True:
        result = reader.request({"do": "log", "device": eui, "record": int(crash), "first": first}, wait)
        if crash and not as_json and result.get("error") == "refused: unknown_id":
            print(f"{eui}: no crash record: nothing has failed, or an EMD has read it")
            return
        if as_json or "error" in result:
            _result(result, as_json, str)
        else:
            if boot not in (None, result["boot"]):  # it started afresh: its log begins anew
                print(f"-- boot {result['boot']}")
                boot, first = None, 0
                continue
            if result["lost"]:
                print(f"-- {result['lost']} lines are no longer there")
            for line in result["lines"]:
                print(line if crash else with_words(line))
        if not follow or crash:
            return
        boot, first = result["boot"], result["next"]
        time.sleep(period)


@app.command()
def intervals(
    device: Annotated[str, typer.Argument(help="EUI-64, or its last digits.")],
    day: Annotated[str | None, typer.Option(help="The last day, as 2026-03-29; today if absent.")] = None,
    days: Annotated[int, typer.Option(help="How many days.", min=1, max=400)] = 1,
    rows: Annotated[bool, typer.Option("--rows", help="Each interval, too.")] = False,
    zone: Annotated[str | None, typer.Option(help="Time zone; the running EMD's if absent.")] = None,
    db: Database = _DB,
    as_json: AsJson = False,
):
    """Show interval readings by local day: how many there should be, what is missing, what is flagged; and the
    registers of its midnight."""
    from datetime import UTC, date, datetime, timedelta

    from spot_host.emd.days import day_summary, flags
    from spot_host.emd.local_time import day_bounds, day_of, zone_of

    reader = _reader(db)
    eui = _device(reader, device)
    try:
        where = zone_of(zone if zone is not None else (reader.setting("time_zone") or ""))
        end = date.fromisoformat(day) if day else day_of(where, int(time.time()))
    except ValueError as exc:
        raise UserError(str(exc)) from exc
    found = []
    for back in range(days - 1, -1, -1):
        one = end - timedelta(days=back)
        begin, stop = day_bounds(where, one)
        readings = reader.rows(
            "SELECT i.start, i.minutes, i.import_wh, i.export_wh, i.quality FROM interval i JOIN device d "
            "ON d.key = i.device WHERE d.eui = ? AND i.start >= ? AND i.start < ? ORDER BY i.start, i.seq",
            eui, begin, stop,
        )
        summary = day_summary(where, one, [tuple(r.values()) for r in readings])
        at = reader.rows(
            "SELECT r.fields FROM registers r JOIN device d ON d.key = r.device WHERE d.eui = ?", eui
        )
        summary["midnight"] = [f for f in (json.loads(r["fields"]) for r in at) if begin - 60 <= f["time"] < stop - 60]
        if rows:
            summary["rows"] = readings
        found.append(summary)
    if as_json:
        print(json.dumps(found))
        return
    def when(at):
        return datetime.fromtimestamp(at, where or UTC).strftime("%m-%d %H:%M:%S")

    for s in found:
        flagged = "".join(f", {n} {name}" for name, n in s["flagged"].items())
        print(f"{s['day']}  {s['intervals']} of {s['expected']} intervals of {s['minutes']} min, "
              f"{s['import_wh']:,.0f} Wh{flagged}")
        for fields in s["midnight"]:
            peak = f", peak {fields['peak']} W" if "peak" in fields else ""
            print(f"  {when(fields['time'])}  register {fields['energy_import']:,} Wh{peak} "
                  f"({flags(fields.get('quality', 0))})")
        for begin, stop in s["missing"]:
            print(f"  missing {when(begin)} to {when(stop)}")
        for r in s.get("rows", ()):
            print(f"  {when(r['start'])}  {r['minutes']:2} min {r['import_wh']:8,.0f} Wh  {flags(r['quality'])}")
