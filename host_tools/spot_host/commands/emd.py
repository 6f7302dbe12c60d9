"""`spot emd`: run the reference EMD, and look at and steer the one that runs.

Exit codes: 2 wrong use or config, 3 the broker or the EMD cannot be reached, 4 the device refused, 5 it did not answer.
"""

import contextlib
import json
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from spot_host.errors import UserError

app = typer.Typer(help="The reference EMD: run it, watch devices, send commands.", no_args_is_help=True)

Database = Annotated[Path, typer.Option("--db", "-d", help="The EMD's database.", envvar="SPOT_EMD_DB")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: JSON instead of a table.")]
Wait = Annotated[float, typer.Option(help="Seconds to wait for the device.")]
_DB = Path("emd.sqlite")
_HINTS = {  # to a reason, what somebody can do, where the profile's own words do not say it
    "not_enabled": "remote closing is off at this plug: hold its button for 3 s, or write remote_close into its "
                   "config.json; docs/plug.md",
    "safe_mode": "the device is in safe mode: docs/years.md",
}


def _console():
    # To a file or a pipe no row is cut to the 80 columns that a terminal might have.
    return Console() if sys.stdout.isatty() else Console(soft_wrap=True, width=200)


def _reader(path):
    from spot_host.emd.service import Reader

    return Reader(path)


def _when(t):
    return datetime.fromtimestamp(t).astimezone().strftime("%m-%d %H:%M:%S") if t else "-"


def _span(seconds):
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes and rest else f"{minutes} min" if minutes else f"{rest} s"


def _result(result: dict, as_json: bool, words) -> None:
    """Print a request's result and exit with its code."""
    if as_json:
        print(json.dumps(result))
    elif "error" in result:
        print(f"spot: {_with_meaning(result['error'])}", file=sys.stderr)
    else:
        _console().print(words(result))
    if "error" in result:
        raise typer.Exit(result.get("code", 4))


def _with_meaning(error: str) -> str:
    """A refusal with what its reason means."""
    reason = error.rpartition("refused: ")[2]
    meaning = next((text for _, name, text in _enum("Reason").rows if name == reason), "")
    return f"{error} ({_HINTS.get(reason, meaning)})" if meaning else error


def _device(reader, name: str) -> str:
    """The EUI-64 that `name` means: all of it, or an end of it that only one device has."""
    known = [r["eui"] for r in reader.devices()]
    word = name.lower().replace(":", "").replace("-", "")
    found = [e for e in known if e == word] or [e for e in known if word and e.endswith(word)]
    if len(found) != 1:
        have = ", ".join(known[:8]) + (" …" if len(known) > 8 else "") if known else "none yet"
        raise UserError(f"{name}: {'more than one device' if found else 'no device'} of this name; known: {have}")
    return found[0]


Folder = Annotated[Path, typer.Argument(help="The home's folder.")]


@app.command()
def init(
    folder: Folder,
    host: Annotated[str, typer.Option(help="Name or address under which devices reach the broker.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port.")] = 8883,
    utility: Annotated[str, typer.Option(help="First level of the topics after der/.")] = "home",
    coap_port: Annotated[
        int, typer.Option(help="The EMD's port for CoAP on UDP and TCP; TLS is one above. 0: no CoAP.")
    ] = 5683,
):
    """Make a home's folder: certificates, a configuration for mosquitto, settings for the EMD."""
    from spot_host.home_folder import HomeFolder

    home = HomeFolder.create(folder, host, port, utility, coap_port)
    print(
        f"{folder}: authority and certificates, broker/mosquitto.conf, emd.toml. Next:\n"
        f"  spot emd broker {folder}\n  spot emd run {folder}/emd.toml\n"
        f"  spot emd enroll {folder} 0200000000000001 --board unix"
    )
    if home.host in ("localhost", "127.0.0.1"):
        print("The broker will be reached from this computer only; --host NAME is for devices elsewhere.")


@app.command()
def enroll(
    folder: Folder,
    device: Annotated[str, typer.Argument(help="EUI-64: 16 hexadecimal digits.")],
    board: Annotated[str, typer.Option(help="A folder of boards/; it says whether this is a plug or a heat pump.")],
    link: Annotated[str, typer.Option(help="mqtt; coap or coap+tcp (with OSCORE); coaps+tcp (TLS).")] = "mqtt",
    protect: Annotated[
        str, typer.Option(help="On MQTT, end to end past the broker (COSE): none, up, down or both.")
    ] = "none",
    days: Annotated[int, typer.Option(help="Days in which the pairing secret must be used first; 0: for ever.")] = 0,
):
    """Give a device its keys and config.json, and let it in at the broker or the EMD."""
    from spot_host.emd.config import eui
    from spot_host.home_folder import HomeFolder
    from spot_host.toolchain import paths, runtimes

    until = int(time.time()) + days * 86400 if days else None
    at = HomeFolder(folder).enroll(eui(device, "DEVICE"), board, link, protect, until)
    files = [name for name in ("ca.der", "cert.der", "key.der", "pairing.json") if (at / name).exists()]
    print(f"{at}: {', '.join(('config.json', *files))}")
    if board.startswith("unix"):
        root = paths.ROOT
        print(
            f"Start it with a load and a meter behind it:\n  spot device {at}/config.json\n"
            f"or by itself:\n  MICROPYPATH={root}/firmware:{runtimes.umqtt_dir()}:.frozen \\\n"
            f"    {root}/.toolchain/bin/micropython {root}/firmware/main.py {at}/config.json"
        )
    else:
        print('Copy them beside main.py on the device, and add its "wifi" to config.json: docs/emd.md.')


@app.command()
def revoke(folder: Folder, device: Annotated[str, typer.Argument(help="EUI-64 of an enrolled device.")]):
    """Revoke a device's certificate and forget its secret; a running broker and EMD end its connections."""
    from spot_host.emd.config import eui
    from spot_host.home_folder import HomeFolder

    word = eui(device, "DEVICE")
    HomeFolder(folder).revoke(word)
    print(f"{word} is revoked")


@app.command()
def rotate(folder: Folder, device: Annotated[str, typer.Argument(help="EUI-64 of an enrolled device.")]):
    """Give a device a new pairing secret; the running EMD hands it over, and takes the old one until then."""
    from spot_host.emd.config import eui
    from spot_host.home_folder import HomeFolder

    word = eui(device, "DEVICE")
    generation = HomeFolder(folder).rotate(word)
    print(
        f"{word}: generation {generation}. The running EMD hands it to the device; `spot emd events` shows key_rotated "
        "when the device uses it."
    )


@app.command()
def broker(folder: Folder):
    """Run the home's broker until Ctrl-C; it follows `enroll` and `revoke`."""
    from spot_host.home_folder import HomeFolder

    stopped = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(True))
    HomeFolder(folder).serve(lambda text: print(text, flush=True), lambda: bool(stopped))


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="Settings (TOML); docs/emd.md has an example.")],
    prices: Annotated[Path | None, typer.Option(help="Day-ahead prices (CSV or JSON), for today or --day.")] = None,
    day: Annotated[str | None, typer.Option(help="The day of the price file, as 2024-12-12.")] = None,
    quiet: Annotated[bool, typer.Option(help="Say nothing but errors.")] = False,
):
    """Run the EMD until Ctrl-C."""
    from spot_host.emd.config import load
    from spot_host.emd.service import EmdService

    settings = load(config)
    if not settings.mqtt.host and not settings.coap.host:
        raise UserError(f"{config}: [mqtt] host: missing; the name or address of the broker, or [coap] host")
    source = prices or settings.prices
    series = _prices(source, day) if source else None
    console = _console()

    def say(at, device, event, detail):
        console.print(f"{_when(at)}  {device or '-':16}  {event}: {detail}", markup=False, highlight=False)

    service = EmdService(settings, say=None if quiet else say)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, service.stop)
    if series is not None:
        service.core.set_prices(service.now(), series)
    if not quiet:
        console.print(
            f"EMD of utility [bold]{settings.utility}[/], epoch {service.core.epoch}, database {settings.database}, "
            f"{_where(settings)}. Ctrl-C ends it."
        )
    service.run()


def _where(settings):
    """Over what devices reach this EMD."""
    ways = [f"broker {settings.mqtt.host}:{settings.mqtt.port}"] if settings.mqtt.host else []
    c = settings.coap
    if c.host:
        served = (("UDP", c.udp_port), ("TCP", c.tcp_port), ("TLS", c.tls_port))
        ports = [f"{name} {port}" for name, port in served if port]
        ways.append(f"CoAP on {c.host}: {', '.join(ports)}")
    return ", ".join(ways)


def _prices(path, day):
    from spot_host import prices

    return prices.prices_of(day or datetime.now().astimezone().date(), path)


@app.command()
def devices(db: Database = _DB, as_json: AsJson = False):
    """List the devices and what they do now."""
    reader = _reader(db)
    records = reader.devices()
    if as_json:
        print(json.dumps(records))
        return
    if not records:
        print("No device has registered yet.")
        return
    _console().print(_table(reader))


def _columns(width):
    """What a table of devices shows on a terminal of `width` columns: no name is cut for a figure."""
    if not sys.stdout.isatty() or width >= 150:
        return ("device", "what", "link", "state", "heard", "power", "max", "energy", "cost", "live", "alarms", "bad")
    if width >= 120:
        return ("device", "link", "state", "heard", "power", "energy", "live", "alarms", "bad")
    if width >= 100:
        return ("device", "link", "state", "heard", "power", "alarms")
    return ("device", "state", "power", "energy", "live", "alarms")


def _state(record, sign):
    """A device's state in a word. sign: the running EMD's, or None: what was known last is all there is."""
    state = record["state"]
    if record.get("revoked"):
        return "[red]revoked[/]"
    if not record["registered"]:
        return "[dim]not registered[/]"
    if state["online"] == 0:
        return "[red]lost[/]"
    if sign is not None and sign["at"] - (state["heard_at"] or 0) > sign.get("silent_s", 150):
        return "[red]silent[/]"
    if state["mode"] is None:  # it says so in its next heartbeat
        return "registered"
    return {"controlled": "[green]controlled[/]"}.get(state["mode"], f"[yellow]{state['mode']}[/]")


def _told(text):
    """What a device calls itself, as a terminal may have it: no markup, no escape sequence."""
    return escape("".join(c if c.isprintable() else "?" for c in text))


def _table(reader):
    from spot_host.emd.registry import Capability

    records, sign = reader.devices(), reader.alive()
    title = f"{len(records)} devices, {sum(r['state']['power_w'] for r in records if r['registered'])} W"
    if sign is None:
        title += "; no EMD runs: this is what the last one knew"
    table = Table(title=title)
    for name in _columns(_console().width):
        table.add_column(
            name, justify="right" if name in ("power", "max", "energy", "cost", "live", "bad") else "left", no_wrap=True
        )
    names = {code: name for code, name, _ in _enum("Alarm").rows}
    for r in records:
        state = r["state"]
        capability = Capability(r["capability"] or {})
        cells = {
            "device": r["eui"],
            "what": _told(capability.model or capability.profile_name),
            "link": r["link"] or "-",
            "state": _state(r, sign),
            "heard": _when(state["heard_at"]),
            "power": f"{state['power_w']} W",
            "max": f"{capability.power_max or 0} W",
            "energy": f"{state['used_wh'] / 1000:.2f} kWh",
            "cost": f"{state['cost_eur']:.3f} €",
            "live": str(state["live"]),
            "alarms": ", ".join(names.get(a, str(a)) for a in state["alarms"]),
            "bad": str(state["hostile"] or ""),
        }
        table.add_row(*(cells[column.header] for column in table.columns))
    return table


def _enum(name):
    from spot_host.profile import definition

    return definition.enum(name)


@app.command()
def watch(
    db: Database = _DB,
    as_json: AsJson = False,
    period: Annotated[float, typer.Option(help="Seconds between two looks.")] = 1.0,
    count: Annotated[int, typer.Option(help="Looks; 0: until Ctrl-C.")] = 0,
):
    """Watch the devices: a live table, or a line of JSON for each look."""
    reader = _reader(db)
    looks = 0
    live = None if as_json or not sys.stdout.isatty() else Live(console=_console(), auto_refresh=False)
    with live or contextlib.nullcontext():
        while True:
            records = reader.devices()
            if as_json:
                print(json.dumps({"at": int(time.time()), "devices": records}), flush=True)
            elif live is not None:
                live.update(_table(reader), refresh=True)
            else:
                power = sum(r["state"]["power_w"] for r in records if r["registered"])
                print(f"{_when(time.time())}  {sum(r['registered'] for r in records)} devices  {power} W", flush=True)
            looks += 1
            if count and looks >= count:
                return
            time.sleep(period)


@app.command(context_settings={"ignore_unknown_options": True})  # so that -100 is a value
def command(
    device: Annotated[str, typer.Argument(help="EUI-64, or its last digits.")],
    kind: Annotated[
        str, typer.Argument(help="off, on, limit, limit_percent, unlimited, band, offset, sg_ready, …, revoke")
    ],
    value: Annotated[
        int | None, typer.Argument(help="W, percent, 0.01 °C or state, by kind; the id for revoke.")
    ] = None,
    value2: Annotated[int | None, typer.Argument(help="Upper end of a band; direction of a limit.")] = None,
    minutes: Annotated[float, typer.Option("--minutes", "-m", help="How long it holds: every command ends.")] = 0,
    delay: Annotated[int, typer.Option(help="Seconds until it starts.")] = 0,
    priority: Annotated[int | None, typer.Option(min=0, max=15)] = None,
    jitter: Annotated[int | None, typer.Option(min=0, max=3600, help="Seconds to spread start and end over.")] = None,
    wait: Wait = 30.0,
    db: Database = _DB,
    as_json: AsJson = False,
):
    """Send one command, and show what the device will really do."""
    reader = _reader(db)
    eui = _device(reader, device)
    if kind == "revoke":
        if value is None:
            raise UserError("revoke needs the id of the command: spot emd command DEVICE revoke ID")
        _result(
            reader.request({"do": "revoke", "device": eui, "id": value}, wait),
            as_json,
            lambda r: f"{value} is withdrawn",
        )
        return
    if minutes <= 0:
        raise UserError("--minutes: how long it holds is mandatory, for example --minutes 30")
    request = {
        "do": "command",
        "device": eui,
        "kind": kind,
        "value": value,
        "value2": value2,
        "duration": round(minutes * 60),
        "delay": delay,
        "priority": priority,
        "jitter": jitter,
    }

    def words(r):
        text = f"{eui}: {r['kind']} {r['state']}, command {r['id']}"
        if r["start"]:
            text += f", from {_when(r['start'])}"
        if r["power_w"] is not None:
            text += f", {r['power_w']} W"
        if r["duration_s"] is not None:
            text += f", for {_span(r['duration_s'])}"
        return text + (f" ({r['reason']})" if r["reason"] != "none" else "")

    _result(reader.request(request, wait), as_json, words)


@app.command()
def read(
    device: Annotated[str, typer.Argument(help="EUI-64, or its last digits.")],
    objects: Annotated[list[str], typer.Argument(help="Names or numbers of objects, for example power relay.")],
    write: Annotated[
        bool, typer.Option("--write", help="Write: give NAME=VALUE, a whole number in W, s, 0.01 °C, 10 mV …")
    ] = False,
    wait: Wait = 30.0,
    db: Database = _DB,
    as_json: AsJson = False,
):
    """Read objects of a device now, or write them with --write NAME=VALUE."""
    from spot_host.profile import definition
    from spot_host.profile.explain import quantity

    reader = _reader(db)
    eui = _device(reader, device)
    ids = {name: id_ for id_, _, name, *_ in definition.OBJECTS}
    units = {id_: (name, unit) for id_, _, name, unit, *_ in definition.OBJECTS}

    def number(word):
        if word in ids or (word.isdecimal() and int(word) in units):
            return ids.get(word) or int(word)
        raise UserError(f"{word}: no such object; there are {', '.join(ids)}")

    if write:
        values = []
        for word in objects:
            name, _, text = word.partition("=")
            try:
                values += [number(name), int(text)]
            except ValueError as exc:
                raise UserError(f"{word}: write NAME=VALUE with a whole number") from exc
        request = {"do": "configure", "device": eui, "values": values}
        _result(reader.request(request, wait), as_json, lambda r: f"{eui}: written")
        return

    wanted = [number(word) for word in objects]

    def words(r):
        lines = []
        for i, value in r["values"].items():
            name, unit = units.get(int(i), (i, ""))
            lines.append(f"{name:24}{quantity(value, unit):>14}")
        lines += [f"{units[i][0]:24}{'no value':>14}" for i in wanted if str(i) not in r["values"]]
        clock = next((name for code, name, _ in _enum("Clock").rows if code == r["clock"]), "")
        return "\n".join([*lines, f"delivered as event {r['event']}, read {_when(r['time'])} (clock: {clock})"])

    _result(reader.request({"do": "read", "device": eui, "objects": wanted}, wait), as_json, words)


@app.command()
def events(
    db: Database = _DB,
    as_json: AsJson = False,
    add: Annotated[Path | None, typer.Option(help="Add limit events from a JSON or TOML file.")] = None,
    limit: Annotated[int | None, typer.Option(help="Add one: W for the site, with --start and --minutes.")] = None,
    start: Annotated[str | None, typer.Option(help="ISO 8601 with offset; now if absent.")] = None,
    minutes: Annotated[float, typer.Option(help="How long it holds.")] = 0,
    withdraw: Annotated[str | None, typer.Option(help="Withdraw the event of this id.")] = None,
    last: Annotated[int, typer.Option(help="How many alarms and notes to show.")] = 20,
):
    """Show limit events with what came of them, commands, alarms and notes; add or withdraw limit events."""
    from spot_host.emd import config as settings

    reader = _reader(db)
    new = []
    if add is not None:
        new = settings.events_from_file(add)
    if limit is not None:
        if minutes <= 0:
            raise UserError("--limit needs --minutes, how long it holds")
        begin = settings.unix(start, "--start") if start else int(time.time())
        new.append(settings.LimitEvent(f"limit-{begin}-{limit}", begin, begin + round(minutes * 60), limit))
    for event in new:
        body = {
            "id": event.id,
            "start": event.start,
            "end": event.end,
            "limit_w": event.limit_w,
            "include_base": event.include_base,
        }
        if event.devices is not None:
            body["devices"] = list(event.devices)
        _result(reader.request({"do": "event", "event": body}), as_json, lambda r: f"event {r['id']} is known")
    if withdraw is not None:
        _result(reader.request({"do": "withdraw", "id": withdraw}), as_json, lambda r: f"event {withdraw} is withdrawn")
    if new or withdraw is not None:
        return
    _show_events(reader, as_json, last)


@app.command("signed")
def publish_signed(
    file: Annotated[Path, typer.Argument(help="What `spot group sign` wrote.")],
    db: Database = _DB,
    as_json: AsJson = False,
    group: Annotated[str | None, typer.Option(help="Another group than the EMD's own.")] = None,
):
    """Publish a signed broadcast to a group, its parts in turns, until the next one."""
    from spot_host import signing

    bodies = signing.load(file)
    _, revision, _ = signing.join(bodies)
    _result(
        _reader(db).request({"do": "signed", "group": group, "bodies": [body.hex() for body in bodies]}),
        as_json,
        lambda r: f"revision {revision} goes out in {len(bodies)} parts",
    )


def _show_events(reader, as_json, last):
    from spot_host.emd.ledger import KIND_NAMES, REASON_NAMES, STATE_NAMES

    report = (reader.setting("alive") or {}).get("report")
    limits = [json.loads(r["record"]) for r in reader.rows("SELECT record FROM event ORDER BY id")]
    commands = reader.rows(
        "SELECT d.eui, c.id, c.revision, c.kind, c.begin, c.end, c.state, c.reason, c.purpose FROM command c "
        "JOIN device d ON d.key = c.device ORDER BY c.begin DESC, d.key LIMIT ?",
        last,
    )
    for row in commands:
        row.update(
            kind=KIND_NAMES[row["kind"]],
            state=STATE_NAMES[row["state"]],
            reason=REASON_NAMES.get(row["reason"], row["reason"]),
        )
    alarms = reader.rows(
        "SELECT d.eui, a.at, a.fields FROM alarm a JOIN device d ON d.key = a.device ORDER BY a.at DESC LIMIT ?", last
    )
    names = {code: name for code, name, _ in _enum("Alarm").rows}
    for row in alarms:
        row.update(json.loads(row.pop("fields")))
        row["alarm"] = names.get(row.pop("code"))
    notes = reader.rows(
        "SELECT l.at, d.eui, l.event, l.detail FROM log l LEFT JOIN device d ON d.key = l.device "
        "ORDER BY l.id DESC LIMIT ?",
        last,
    )
    if as_json:
        print(json.dumps({"report": report, "limits": limits, "commands": commands, "alarms": alarms, "notes": notes}))
        return
    console = _console()
    if report:
        console.print(
            f"since the EMD started: {report['energy_wh'] / 1000:.2f} kWh, {report['cost_eur']:.2f} €, "
            f"peak {report['peak_w']} W ({report['peak_15min_w']} W in 15 minutes), "
            f"commands {report['commands'] or 'none'}, refused {report['hostile']}"
        )
    table = Table(title="limit events")
    for name in ("id", "from", "to", "limit", "state", "kept", "above", "worst", "peak", "response"):
        table.add_column(name)
    for e in limits:
        table.add_row(
            e["id"],
            _when(e["start"]),
            _when(e["end"]),
            f"{e['limit_w']} W",
            e["state"],
            {True: "yes", False: "[red]no[/]", None: "-"}[e.get("kept")],
            f"{e.get('violated_s', 0)} s",
            f"{e.get('worst_excess_w', 0)} W",
            f"{e.get('peak_w', 0)} W",
            f"{e.get('response_wh', 0) / 1000:.2f} kWh",
        )
    console.print(table)
    table = Table(title="commands")
    for name in ("device", "id", "kind", "from", "to", "state", "reason", "for"):
        table.add_column(name)
    for c in commands:
        table.add_row(
            c["eui"],
            f"{c['id']}.{c['revision']}",
            c["kind"],
            _when(c["begin"]),
            _when(c["end"]),
            c["state"],
            "" if c["reason"] == "none" else str(c["reason"]),
            c["purpose"] or "",
        )
    console.print(table)
    for row in alarms:
        console.print(
            f"{_when(row['at'])}  {row['eui']}  alarm {row['alarm']} {'raised' if row['raised'] else 'cleared'}"
        )
    for row in notes:
        console.print(f"{_when(row['at'])}  {row['eui'] or '-'}  {row['event']}: {row['detail']}", markup=False)


from spot_host.commands import emd_metering  # noqa: E402, F401 - more commands of `app`
