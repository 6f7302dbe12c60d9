"""`spot log`: what a board on a cable remembers. Exit codes as of `spot flash`."""

import typer

from spot_host.flash import console, crash, ports
from spot_host.flash.errors import TransferError

from .cable import Baudrate, BoardName, MainsOff, PortOption, open_port, safe_board


def main(port: PortOption = "", board: BoardName = "", mains_off: MainsOff = False, baudrate: Baudrate = 115200):
    """Show a board's log ring and its latest crash record. The device is stopped for that, and starts again.

    Without stopping it: `spot emd log` over the network, `spot console` on the cable.
    """
    name = ports.choose(port)
    safe_board(board, name, mains_off)
    line = console.opened(name, baudrate)
    try:
        text, came = console.farewell(line)
    except OSError:
        raise TransferError(f"{name}: the board is gone") from None
    finally:
        line.close()
    ring = crash.ring(text)
    typer.echo("\n".join(ring) if ring else "no log: the firmware did not run" if came else "no log came")
    with open_port(name, baudrate) as there:
        found = crash.record(there)
        there.reset()
    if found is None:
        typer.echo("no crash record")
    else:
        typer.echo(f"crash record, {found[0]} failing starts in a row:\n{found[1]}")
