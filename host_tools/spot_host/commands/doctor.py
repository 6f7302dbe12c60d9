"""`spot doctor`: what is installed, where, and what would mend what is missing; with --port: what is on a board."""

import typer

from spot_host.toolchain import doctor

from .cable import Baudrate, BoardName, MainsOff, PortOption


def main(port: PortOption = "", board: BoardName = "", mains_off: MainsOff = False, baudrate: Baudrate = 115200):
    """Show each tool with its version, its place, and the line that mends what is missing; with --port, a board."""
    if not port:
        raise typer.Exit(doctor.main())
    from spot_host.flash import look

    from .cable import opened

    with opened(port, board, mains_off, baudrate) as there:
        rows, good = look.look(there, board)
        there.reset()
    for name, text in rows:
        typer.echo(f"{name:10} {text}")
    raise typer.Exit(0 if good else 3)
