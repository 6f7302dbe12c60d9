"""`spot wipe`: erases what is a device's own from a board. Exit codes as of `spot flash`."""

import sys
from typing import Annotated

import typer

from spot_host.errors import UserError
from spot_host.flash import keep, ports

from .cable import Baudrate, BoardName, MainsOff, PortOption, opened, say

All = Annotated[bool, typer.Option("--all", help="The firmware's files and the counts of keys, too: enrol it anew.")]
Quick = Annotated[bool, typer.Option("--quick", help="Free flash is not filled: keys could be read from the chip.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def main(
    port: PortOption = "", board: BoardName = "", mains_off: MainsOff = False, everything: All = False,
    quick: Quick = False, yes: Yes = False, baudrate: Baudrate = 115200,
):
    """Erase configuration, keys and store of a board, before it goes to somebody else."""
    name = ports.choose(port)
    what = "everything" if everything else "configuration, keys and store"
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Erase {what} of the board on {name}?")):
        raise UserError("nothing was erased; --yes does it without asking")
    with opened(name, board, mains_off, baudrate) as there:
        gone = keep.wipe(there, everything, not quick, lambda name: say(f"  {name}"))
    typer.echo(f"{len(gone)} files are gone. At its EMD: spot emd revoke HOME EUI")
