"""`spot provision`: identities of devices, one or ten thousand; what goes onto them, and what is printed on them.

Exit code 2: wrong use, or something to mend, one line each. Every command can be given again: nothing is made twice.
"""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spot_host.errors import UserError

app = typer.Typer(
    help="Identities of devices: certificates, pairing secrets, labels, and what goes onto each. docs/provisioning.md",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Argument(help="The home's folder.")]
Device = Annotated[str, typer.Argument(help="EUI-64: 16 hexadecimal digits.")]
Devices = Annotated[list[str] | None, typer.Argument(help="EUI-64s, 16 hexadecimal digits each.")]
PassFile = Annotated[
    Path | None, typer.Option("--passphrase-file", help="Its first line is the passphrase of the authority's key.")
]
WifiFile = Annotated[
    Path | None, typer.Option("--wifi-file", help="Wi-Fi for config.json: JSON, or lines ssid = … and password = ….")
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: JSON.")]


def _home(folder, passphrase_file=None):
    from spot_host.home_folder import HomeFolder
    from spot_host.secret_files import Passphrase

    return HomeFolder(folder, Passphrase(passphrase_file))


def _eui(text):
    from spot_host.emd.config import eui

    return eui(text, "DEVICE")


def _console():
    return Console() if sys.stdout.isatty() else Console(soft_wrap=True, width=200)


@app.command()
def init(
    folder: Folder,
    host: Annotated[str, typer.Option(help="Name or address under which devices reach the broker.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port.")] = 8883,
    utility: Annotated[str, typer.Option(help="First level of the topics after der/.")] = "home",
    coap_port: Annotated[
        int, typer.Option(help="The EMD's port for CoAP on UDP and TCP; TLS is one above. 0: no CoAP.")
    ] = 5683,
    backend: Annotated[str, typer.Option(help="local: our broker and authority. aws: AWS IoT Core.")] = "local",
    region: Annotated[str, typer.Option(help="Of AWS; default: that of your AWS settings.")] = "",
    profile: Annotated[str, typer.Option(help="Of your AWS settings.")] = "",
    server_ca: Annotated[
        Path | None, typer.Option(help="PEM of the authority of AWS's own certificate; default: Amazon Root CA 1.")
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for a passphrase for the authority's key.")
    ] = False,
    passphrase_file: PassFile = None,
):
    """Make a home: authority, certificates of broker and EMD, settings. On a home that is there, nothing is made."""
    from spot_host.home_folder import HomeFolder
    from spot_host.secret_files import Passphrase

    if backend not in ("local", "aws"):
        raise UserError(f"--backend: {backend!r} is none of local, aws")
    words = Passphrase(passphrase_file)
    wanted = passphrase or words.given
    if (folder / "home.json").exists():
        _again(folder, host, utility, backend, words, passphrase or passphrase_file is not None)
        return
    new = words("the authority's new key", fresh=True) if wanted else None
    record = None
    if backend == "aws":
        host, port, coap_port, record = _aws(folder, utility, region, profile, server_ca)
    home = HomeFolder.create(folder, host, port, utility, coap_port, new, words, record)
    print(f"{folder}: authority{' (with a passphrase)' if new else ''}, certificates, emd.toml. Next:\n"
          f"  spot provision device {folder} 0200000000000001 --board pico_w_plug --wifi-file wifi.txt")
    if home.host in ("localhost", "127.0.0.1"):
        print("The broker will be reached from this computer only; --host NAME is for devices elsewhere.")


def _again(folder, host, utility, backend, words, wanted):
    """`init` on a home: it is as it was asked for, or that is an error; its key may get a passphrase."""
    from spot_host.home_folder import HomeFolder

    home = HomeFolder(folder, words)
    for option, asked, default, there in (("--utility", utility, "home", home.utility),
                                          ("--host", host, "127.0.0.1", home.host),
                                          ("--backend", backend, "local", "aws" if home.aws else "local")):
        if asked not in (default, there):
            raise UserError(f"{folder}: a home is there already, with {option} {there}")
    if wanted and not home.pki.encrypted:
        home.pki.encrypt(words("the authority's key", fresh=True))
        print(f"{folder}: the authority's key has a passphrase now")
    elif wanted:
        home.pki.key  # noqa: B018 - a wrong passphrase is told
    print(f"{folder}: a home already; nothing was made")


def _aws(folder, utility, region, profile, server_ca):
    """Host, port, CoAP port and record of a home at AWS, whose EMD is in force there."""
    from spot_host import acl, aws_iot, aws_policy

    topics = acl.emd_topics(utility)
    record = aws_iot.account(region, profile)
    record["emd"] = f"emd-{utility}"
    folder.mkdir(parents=True, exist_ok=True)
    aws_iot.write_root(folder / "aws", server_ca)
    aws_iot.AwsIot.of(folder / "aws", record, utility).ensure_client(record["emd"], topics)
    return record.pop("endpoint"), aws_policy.PORT, 0, record


def _wifi(file, ask):
    """The section `wifi`, or None."""
    from spot_host import device_files, secret_files

    if file is not None:
        return device_files.load_wifi(file)
    if ask:
        found = {"ssid": typer.prompt("Wi-Fi ssid"), "password": secret_files.ask("Wi-Fi password")}
        return device_files.check_wifi(found, "what was typed")
    return None


@app.command()
def device(
    folder: Folder,
    device: Device,
    board: Annotated[str, typer.Option(help="A folder of boards/; it says whether this is a plug or a heat pump.")],
    link: Annotated[str, typer.Option(help="mqtt; coap or coap+tcp (with OSCORE); coaps+tcp (TLS).")] = "mqtt",
    protect: Annotated[
        str, typer.Option(help="On MQTT, end to end past the broker (COSE): none, up, down or both.")
    ] = "none",
    group: Annotated[list[str] | None, typer.Option(help="A group of its own; may be given four times.")] = None,
    note: Annotated[str, typer.Option(help="On its label: a serial number.")] = "",
    days: Annotated[int, typer.Option(help="Days in which the pairing secret must be used first; 0: for ever.")] = 0,
    wifi_file: WifiFile = None,
    wifi: Annotated[bool, typer.Option("--wifi", help="Ask for the Wi-Fi's name and password.")] = False,
    passphrase_file: PassFile = None,
):
    """Give a device its keys and config.json, and let it in. A device that has them keeps them."""
    from spot_host.device_files import Order
    from spot_host.provision import outfit

    if days < 0:
        raise UserError(f"--days: {days}: a whole number, 0 for ever")
    section = _wifi(wifi_file, wifi)
    home = _home(folder, passphrase_file)
    order = Order(_eui(device), board, link, protect, tuple(group or ()), note)
    at, made = home.provision(order, int(time.time()) + days * 86400 if days else None, section)
    faults = outfit.wrong(home, order.eui)
    if faults:
        raise UserError("\n".join(faults))
    if made:
        print(f"{at}: {', '.join(sorted(path.name for path in at.iterdir() if path.is_file()))}")
    else:
        said = "its Wi-Fi is as asked" if section else "nothing was made"
        print(f"{order.eui}: provisioned already, in {at}; {said}")


@app.command()
def bulk(
    folder: Folder,
    devices: Annotated[Path, typer.Argument(help="CSV: eui64, board, and maybe link, protect, groups, days, note.")],
    wifi_file: WifiFile = None,
    check: Annotated[bool, typer.Option("--check", help="Check the list, make nothing.")] = False,
    passphrase_file: PassFile = None,
):
    """Provision all devices of a list. Interrupted and given again, it goes on where it was."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from spot_host.provision import bulk as work
    from spot_host.provision import csv_list

    section = _wifi(wifi_file, False)
    home = _home(folder, passphrase_file)
    rows = csv_list.load(devices, home)
    if check:
        new = sum(row.order.eui not in home.orders for row in rows)
        print(f"{devices}: {len(rows)} devices, {new} of them new; nothing was made")
        return
    log = work.Log(home.folder / "bulk" / f"{devices.stem}.jsonl")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(devices.name, total=len(rows))
        try:
            count = work.run(home, rows, log, section, lambda row, made: bar.advance(task))
        except KeyboardInterrupt:
            bar.stop()
            print(f"interrupted; what is done is in {log.path}. Give the same command again to go on", file=sys.stderr)
            raise
    print(f"{devices}: {count['made']} made, {count['there']} were there already; log: {log.path}")


@app.command(name="list")
def list_(
    folder: Folder,
    expiring: Annotated[
        int | None, typer.Option(help="Only devices whose certificate ends within so many days.")
    ] = None,
    as_json: AsJson = False,
):
    """List the devices, and until when their certificates are good."""
    from spot_host.provision import listing

    home = _home(folder)
    found, servers = listing.rows(home, expiring), listing.servers(home)
    if as_json:
        print(json.dumps({"devices": found, "servers": servers, "revoked": sorted(home.revoked())}))
        return
    console = _console()
    console.print(f"{len(found)} device{'s' * (len(found) != 1)} of {home.utility}")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)  # narrow: 80 columns are enough
    for name in ("device", "board", "link", "certificate\nuntil", "pairing\nsecret"):
        table.add_column(name, no_wrap=True)
    table.add_column("note")
    for one in found:
        secret = "-" if one["generation"] is None else f"gen. {one['generation']}"
        table.add_row(one["eui"], one["board"], one["link"], _until(one), secret, escape(one["note"]))
    console.print(table)
    for one in servers:
        if one["days"] <= listing.SOON_DAYS:
            print(f"{one['name']}: its certificate ends in {one['days']} days", file=sys.stderr)


def _until(one):
    from spot_host.provision.listing import SOON_DAYS

    if one["expires"] in (None, "missing"):
        return "-" if one["expires"] is None else "[red]missing[/]"
    day = one["expires"][:10]
    return f"[red]{day}, {one['days']} days[/]" if one["days"] <= SOON_DAYS else day


@app.command()
def show(folder: Folder, device: Device, as_json: AsJson = False):
    """Show one device and what is wrong with its files; no secret is shown."""
    from spot_host.pairing import Pairings
    from spot_host.provision import listing, outfit

    home, eui = _home(folder), _eui(device)
    found = listing.row(home, eui, Pairings(home.folder / "pairings.json"))
    found["folder"], found["wrong"] = str(home.device_folder(eui)), outfit.wrong(home, eui)
    if as_json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            if value not in (None, "", []) and name != "wrong":
                print(f"{name:12} {' '.join(value) if isinstance(value, list) else value}")
    if found["wrong"]:
        raise UserError("\n".join(found["wrong"]))


@app.command()
def rotate(
    folder: Folder,
    device: Annotated[str, typer.Argument(help="EUI-64; or, with --certificate, broker, emd or coap.")],
    certificate: Annotated[
        bool, typer.Option("--certificate", help="A new certificate and key instead of a new secret; to be flashed.")
    ] = False,
    revoke_old: Annotated[
        bool, typer.Option("--revoke-old", help="With --certificate: the old ones are refused from now on.")
    ] = False,
    passphrase_file: PassFile = None,
):
    """Give a device a new pairing secret, which its EMD hands over; or a new certificate, which goes over the cable."""
    home = _home(folder, passphrase_file)
    if device in home.SERVERS and certificate and not revoke_old:
        print(f"{home.renew_own(device)}: a new certificate and key; restart what uses them")
        return
    eui = _eui(device)
    if revoke_old and not certificate:
        raise UserError("--revoke-old: goes with --certificate")
    if not certificate:
        number = home.rotate(eui)
        print(f"{eui}: generation {number}. The running EMD hands it to the device")
        return
    home.renew(eui, revoke_old)
    old = "refused from now on" if revoke_old else "still good: --revoke-old, or `spot provision revoke`, ends that"
    print(f"{eui}: a new certificate and key in {home.device_folder(eui)}; flash them. The old one is {old}")


@app.command()
def revoke(folder: Folder, device: Device, passphrase_file: PassFile = None):
    """Revoke a device's certificates and forget its secret; a running broker and EMD end its connections."""
    home, eui = _home(folder, passphrase_file), _eui(device)
    if eui not in home.orders and eui in home.revoked():
        print(f"{eui}: revoked already; nothing was changed")
        return
    home.revoke(eui)
    print(f"{eui} is revoked")


@app.command()
def export(
    folder: Folder,
    to: Annotated[Path, typer.Option("--to", help="A folder, or a file .tar or .tar.gz; of --all: a folder of these.")],
    devices: Devices = None,
    every: Annotated[bool, typer.Option("--all", help="All devices, each in a tar of its own.")] = False,
):
    """Write what goes onto devices, checked, ready for `spot flash`. It holds keys: delete it when it is flashed."""
    from spot_host.provision import outfit

    home = _home(folder)
    euis = _chosen(home, devices, every)
    if len(euis) == 1 and not every:
        fresh = outfit.export(home, euis[0], to)
        print(f"{to}: " + ("written" if fresh else "there already; nothing was made"))
        return
    fresh = [outfit.export(home, eui, to / f"{eui}.tar") for eui in euis]
    print(f"{to}: {sum(fresh)} written, {len(fresh) - sum(fresh)} were there already")


def _chosen(home, devices, every):
    if bool(devices) == every:
        raise UserError("give devices, or --all")
    euis = list(home.orders) if every else list(dict.fromkeys(_eui(word) for word in devices))
    for eui in euis:
        home.known(eui)
    return euis


@app.command(name="wifi")
def wifi_(
    folder: Annotated[Path | None, typer.Argument(help="The home's folder.")] = None,
    device: Annotated[str | None, typer.Argument(help="EUI-64: 16 hexadecimal digits.")] = None,
    label: Annotated[
        Path | None, typer.Option("--label", help="Instead of both: a file with its label's text (-: typed).")
    ] = None,
    ssid: Annotated[str | None, typer.Option(help="The new network; its password is asked for.")] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="Its first line is the password (-: standard input).")
    ] = None,
    wifi_file: Annotated[
        Path | None, typer.Option("--wifi-file", help="Instead: JSON, or lines ssid = … and password = ….")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Another name or address of the EMD or broker.")] = None,
    port: Annotated[int | None, typer.Option(help="Its port.")] = None,
    later: Annotated[
        bool, typer.Option("--later", help="Try it when the old network is not there any more, not now.")
    ] = False,
    emd: Annotated[bool, typer.Option("--emd", help="By way of the running EMD, to a device on CoAP.")] = False,
    address: Annotated[str, typer.Option(help="Of the device in its own network.")] = "192.168.4.1",
    as_json: AsJson = False,
):
    """Give a device another Wi-Fi in its provisioning window, or by its EMD; without settings: ask how it is.

    It is on trial for five minutes, and goes back where it does not reach its EMD. Exit code 4: it did not work, or is
    refused; 5: no answer, or none that is the last."""
    import asyncio

    from spot_host.provision import window

    if (label is None) == (folder is None or device is None):
        raise UserError("give FOLDER and DEVICE, or --label FILE")
    eui, pairings = _paired(folder, device, label, needed=not emd)
    found = _settings(ssid, password_file, wifi_file)
    found.update({name: value for name, value in (("host", host), ("port", port)) if value is not None})
    if later and found:
        found["later"] = 1

    def say(state):
        if not as_json and state["state"] == "trying":
            print(f"{eui}: trying{' ' + state['next'] if state['next'] else ''}, {state['left_s']} s left", flush=True)

    if emd:
        if folder is None:
            raise UserError("--emd: needs FOLDER and DEVICE")
        state = window.through_emd(_asker(folder, eui), found, say)
    else:
        name, key = window.access_point(eui, pairings[0])
        print(f"The device's network: {name}, key {key}. This computer must be in it.", file=sys.stderr)
        state = asyncio.run(window.change(eui, pairings, found, address, say))
    print(json.dumps(state) if as_json else f"{eui}: {_state(state)}")
    if found and state["state"] in ("failed", "trying"):
        raise typer.Exit(4 if state["state"] == "failed" else 5)


def _paired(folder, device, label, needed):
    """(EUI-64, its Pairings, the newest first)."""
    from spot_host.pairing import Pairings

    if label is not None:
        from spot_host import label as draw
        from spot_host import secret_files

        eui, pairing = draw.parse(secret_files.first_line(label, "a label's text"))
        found = [pairing] if pairing else []
    else:
        home, eui = _home(folder), _eui(device)
        home.known(eui)
        pairings = Pairings(home.folder / "pairings.json")
        found = pairings.generations(eui)[::-1] if eui in pairings else []
    if needed and not found:
        raise UserError(f"{eui}: has no pairing secret, and so no window; its Wi-Fi is changed over the cable: "
                        "`spot provision device` and `spot flash --config`")
    return eui, found


def _settings(ssid, password_file, wifi_file):
    """{"ssid", "key"} as they are asked for, or {}."""
    from spot_host import device_files, secret_files

    if wifi_file is not None:
        if ssid is not None or password_file is not None:
            raise UserError("--wifi-file: has both; leave --ssid and --password-file out")
        section = device_files.load_wifi(wifi_file)
    elif ssid is None:
        if password_file is not None:
            raise UserError("--password-file: give --ssid, too")
        return {}
    else:
        what = f"password of {ssid}"
        password = secret_files.first_line(password_file, what) if password_file else secret_files.ask(what)
        section = device_files.check_wifi({"ssid": ssid, "password": password}, "--ssid")
    return {"ssid": section["ssid"], "key": section["password"]}


def _asker(folder, eui):
    """window.through_emd's `ask`."""
    from spot_host.emd.service import Reader
    from spot_host.provision.window import NoAnswer

    reader = Reader(folder / "emd.sqlite")

    def ask(method, body):
        words = {"do": "coap", "device": eui, "method": method, "path": "/network", "payload": body.hex()}
        result = reader.request({**words, "format": 60} if body else words, 20)
        if "error" in result:
            raise (NoAnswer if result.get("code") == 5 else UserError)(f"{eui}: {result['error']}")
        return result

    return ask


def _state(state):
    why = {"password": "the password is wrong", "no such network": "there is no such network",
           "count": "it started afresh again and again", "no network": "it could not join",
           "EMD": "it joined, and did not reach its EMD"}.get(state["why"])
    return {
        "good": f"is in {state['ssid']}",
        "trying": f"was trying {state['next']} when it was last heard; ask again",
        "waiting": f"is in {state['ssid']}, and goes to {state['next']} when that is gone",
        "failed": f"is back in {state['ssid']}: {why}" + (f"; it tries again when {state['ssid']} is gone"
                                                            if state["next"] else ""),
    }.get(state["state"], state["state"])


@app.command()
def label(
    folder: Annotated[Path | None, typer.Argument(help="The home's folder.")] = None,
    devices: Devices = None,
    every: Annotated[bool, typer.Option("--all", help="All devices.")] = False,
    to: Annotated[
        Path | None, typer.Option("--to", help="File .svg, .pdf or .png; .csv for label printers; or a folder of .svg.")
    ] = None,
    read: Annotated[
        Path | None, typer.Option("--read", help="Instead: what a label's text in this file (-: typed) says.")
    ] = None,
):
    """Print a device's label: a QR code with its EUI-64 and pairing secret. Whoever has the label has the secret."""
    if read is not None:
        _read_label(read)
        return
    if folder is None:
        raise UserError("FOLDER: missing; or --read FILE")
    from spot_host import label as draw
    from spot_host import secret_files
    from spot_host.pairing import Pairings

    home = _home(folder)
    euis = _chosen(home, devices, every)
    pairings = Pairings(home.folder / "pairings.json")
    texts = {eui: draw.text_of(eui, pairings.generations(eui)[-1] if home.orders[eui].paired else None) for eui in euis}
    if to is None:
        for eui in euis:
            network = " ".join(_network(home, pairings, eui))
            print(draw.terminal(texts[eui]) + f"{eui}  {home.orders[eui].note}\n{texts[eui]}"
                  + (f"\nWi-Fi of its window: {network}" if network else ""))
    elif to.suffix == ".csv":
        import csv
        import io

        out = io.StringIO()
        lines = csv.writer(out)
        lines.writerow(("eui64", "board", "note", "label", "network", "key"))
        lines.writerows((eui, home.orders[eui].board, home.orders[eui].note, texts[eui],
                         *(_network(home, pairings, eui) or ("", ""))) for eui in euis)
        secret_files.write(to, out.getvalue().encode(), secret=True)
    elif to.suffix in draw.KINDS:
        if len(euis) != 1:
            raise UserError(f"--to: {to} is for one device; for {len(euis)} give a folder, or a .csv")
        draw.save(to, texts[euis[0]], _lines(home, pairings, euis[0]))
    else:
        to.mkdir(parents=True, exist_ok=True, mode=0o700)
        for eui in euis:
            draw.save(to / f"{eui}.svg", texts[eui], _lines(home, pairings, eui))
    if to is not None:
        print(f"{to}: {len(euis)} label{'s' * (len(euis) != 1)}; they hold secrets: delete what is printed")


def _network(home, pairings, eui):
    """(name, key) of the access point of a device's window; () where it has none."""
    from spot_host.home_folder import board
    from spot_host.provision.window import access_point

    order = home.orders[eui]
    return access_point(eui, pairings.generations(eui)[-1]) if order.paired and board(order.board).get("wifi") else ()


def _lines(home, pairings, eui):
    from spot_host.home_folder import board

    order = home.orders[eui]
    words = board(order.board)
    lines = [f"{eui[:8]} {eui[8:]}", words.get("model", order.board)[:18], order.note[:18]]
    network = _network(home, pairings, eui)
    if network:
        lines += [f"Wi-Fi {network[0]}", f"key {network[1][:10]}", f"    {network[1][10:]}"]
    return [line for line in lines if line]


def _read_label(file):
    from spot_host import label as draw
    from spot_host import secret_files

    eui, pairing = draw.parse(secret_files.first_line(file, "a label's text"))
    said = {"eui64": eui, "pairing": pairing.record() if pairing else None}
    if pairing:
        from spot_host.provision.window import access_point

        said["network"], said["key"] = access_point(eui, pairing)
    print(json.dumps(said))
