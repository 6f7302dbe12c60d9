"""`spot flash`: the firmware and a configuration onto a board on a cable, until it has registered with its EMD.

Exit codes: 2 wrong use, configuration or release; 3 the board does not fit; 4 the port; 5 the transfer broke; 6 the
device has not registered in time.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from spot_host import suit
from spot_host.boards import Board
from spot_host.device_files import Order, load_wifi
from spot_host.errors import UserError
from spot_host.flash import base, plan, ports, registration
from spot_host.flash.deploy import deploy
from spot_host.flash.errors import NotRegisteredError
from spot_host.flash.slot import check_board
from spot_host.home_folder import HomeFolder

from .cable import Baudrate, MainsOff, PortOption, open_port, safe_board

app = typer.Typer(add_completion=False)


Config = Annotated[Path | None, typer.Option("--config", "-c", help="Folder with config.json and keys, as "
                                                                    "HOME/devices/EUI; else the board keeps its own.")]
Home = Annotated[Path | None, typer.Option(help="House: enrols the board where it is new, by its chip's number.")]
Base = Annotated[Path | None, typer.Option("--base", help="MicroPython for the chip, put there first with esptool or "
                                                          "picotool.")]


@app.command()
def main(
    board: Annotated[str, typer.Option("--board", "-b", help="A folder of boards/.")],
    port: PortOption = "",
    config: Config = None,
    home: Home = None,
    wifi: Annotated[Path | None, typer.Option(help="File with ssid and password, for --home.")] = None,
    release: Annotated[Path | None, typer.Option(help="A .spotfw, instead of building this checkout.")] = None,
    image: Base = None,
    no_trial: Annotated[bool, typer.Option("--no-trial", help="The release counts at once, unregistered.")] = False,
    mains_off: MainsOff = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the registration; 0: do not.")] = 90,
    baudrate: Baudrate = 115200,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: JSON.")] = False,
):
    """Bring firmware, configuration and keys onto a board, restart it, and wait until it has registered."""
    console = Console(file=sys.stderr if as_json else sys.stdout)  # named: mpremote's prints are caught at sys.stdout

    def say(text):
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    if config and home:
        raise UserError("either --config FOLDER, or --home HOUSE")
    if wifi and not home:
        raise UserError("--wifi goes with --home; a folder of --config has it in its config.json")
    wanted = Board.load(board)
    if not wanted.is_chip and wanted.mcu != "unix":
        raise UserError(f"--board: {board} is the simulator's; nothing can be flashed")
    device = _cabled(plan.device(config, wanted), wanted, say) if config else None  # what is wrong with it, before all
    octets = _read(release, wanted) if release else None
    house = HomeFolder(home) if home else None
    wifi = load_wifi(wifi) if wifi else None
    name = ports.choose(port)
    safe_board(board, name, mains_off)
    if image:
        base.write(wanted, name, image, say)
    with open_port(name, baudrate, say) as opened:
        if home:
            config, device = _enrolled(house, wanted, opened, wifi, say)
        with Progress(TextColumn("{task.description:16.16}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
                      console=console, transient=not console.is_terminal) as bar:
            task = bar.add_task("what is there", total=None)
            report = deploy(wanted, opened, device, lambda done, total, what: bar.update(
                task, completed=done, total=total, description=Path(what).name or board), say, octets,
                not no_trial)
            bar.update(task, description=board)
    since = time.time() - 1
    say(f"{report.found.words()}\n{report.version}: {report.sent:,} octets sent, {report.kept:,} were there; read "
        "back, restarted")
    record = _registered(report, config, home, name, since, wait, say, baudrate, board)
    if as_json:
        found = asdict(report.found)
        print(json.dumps({**asdict(report), "found": found, "port": name, "registered": record}))


def _registered(report, config, home, name, since, wait, say, baudrate, board):
    """The EMD's record of the device, once it has registered; None where nobody is to be asked."""
    if not wait or not report.eui:
        return None
    home = home or (registration.home_of(config) if config else None)
    if home is None:
        say("not waited for its registration: --home HOUSE says whose EMD to ask (`spot emd devices` shows it)")
        return None
    cable = name if any(where.startswith("slipmux:") for _, where in report.links) else None
    say(f"waiting for {report.eui} at the EMD of {home}, up to {wait:.0f} s")
    try:
        record = registration.wait(home, report.eui, since, wait, say, cable, baudrate)
    except NotRegisteredError:
        raise
    except UserError as error:
        raise NotRegisteredError(f"the EMD of {home} cannot be asked: {error}. All was written and read back") from None
    say(registration.words(record))
    if not registration.runs(home):
        say("Next, each in a terminal of its own:\n"
            + "".join(f"  {line}\n" for line in registration.next_commands(home, cable, board)).rstrip("\n"))
    return record


def _read(path, board):
    """Octets of a release for `board`: what is wrong with it is said before a device is stopped."""
    octets, read = suit.load(path)
    check_board(read, board, path)
    return octets


def _cabled(device, board, say):
    """A board without a network has its CoAP on the cable, whatever its house says."""
    if not board.wifi and board.links == ("slipmux",):
        for one in device.config.get("associations", [device.config]):
            if "coap" in one and not one["coap"]["uri"].startswith("slipmux:"):
                say(f"{board.name} has no network: slipmux:stdio instead of {one['coap']['uri']}")
                one["coap"]["uri"] = "slipmux:stdio"
    return device


def eui_of(uid):
    """EUI-64 of a chip by its unique number, in hex: a MAC address is extended (ff fe in its middle), anything else is
    marked as locally administered."""
    octets = bytes.fromhex(uid)
    if len(octets) == 6:
        octets = octets[:3] + b"\xff\xfe" + octets[3:]
    else:
        octets = octets[-8:].rjust(8, b"\0")
        octets = bytes([octets[0] & 0xFC | 2]) + octets[1:]
    return octets.hex()


def _enrolled(house, board, opened, wifi, say):
    """(folder, plan.Device) of the board in the house: enrolled now where it is new."""
    from spot_host.flash import probe

    found = probe.look(opened)
    probe.check(board, found, opened.name)
    if not found.uid:
        raise UserError("--home: this board does not tell its number: enrol it yourself and use --config")
    eui = eui_of(found.uid)
    link = "coap" if "mqtt" not in board.links else "mqtt"
    order = house.orders.get(eui) or Order(eui, board.name, link)
    folder, new = house.provision(order, wifi=wifi)
    say(f"{eui}: {'enrolled' if new else 'is enrolled'} in {house.folder}")
    return folder, _cabled(plan.device(folder, board), board, say)
