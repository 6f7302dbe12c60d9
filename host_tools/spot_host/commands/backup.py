"""`spot backup`: what a board keeps of its own, saved. Exit codes as of `spot flash`."""

from pathlib import Path
from typing import Annotated

import typer

from spot_host.flash import keep

from .cable import Baudrate, BoardName, MainsOff, PortOption, opened, say


def main(
    archive: Annotated[Path, typer.Argument(help="The archive that is made, .tar.gz.")],
    port: PortOption = "", board: BoardName = "", mains_off: MainsOff = False, baudrate: Baudrate = 115200,
):
    """Save configuration, keys and store of a board. The archive holds secrets: only its owner may read it.

    The device is stopped for that, and starts again at the end.
    """
    keep.check_new(archive)  # before a board is stopped
    with opened(port, board, mains_off, baudrate) as there:
        about = keep.backup(there, archive, lambda name: say(f"  {name}"))
        there.reset()
    typer.echo(f"{archive}: {len(about['files'])} files of {about['eui64'] or 'a board without a configuration'}")
