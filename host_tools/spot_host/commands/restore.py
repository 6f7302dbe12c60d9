"""`spot restore`: a backup onto its board. Exit codes as of `spot flash`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from spot_host.flash import keep

from .cable import Baudrate, BoardName, MainsOff, PortOption, opened, say

OtherBoard = Annotated[bool, typer.Option("--other-board", help="Onto another chip than it is of, which is never used "
                                                                "again: two with one identity disturb each other.")]


def main(
    archive: Annotated[Path, typer.Argument(help="An archive of `spot backup`.")],
    port: PortOption = "", board: BoardName = "", mains_off: MainsOff = False, other_board: OtherBoard = False,
    baudrate: Baudrate = 115200,
):
    """Bring configuration, keys and store back; not the firmware (`spot flash`), and no counts of keys."""
    keep.load(archive)  # what is wrong with it, before a board is stopped
    with opened(port, board, mains_off, baudrate) as there:
        done = keep.restore(there, archive, other_board, lambda name: say(f"  {name}"))
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(done["about"]["at"]))
    typer.echo(f"{len(done['written'])} files of {done['about']['eui64']}, as of {when}, are back; restarted")
