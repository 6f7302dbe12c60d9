"""Options and steps that all commands at a cable share."""

from typing import Annotated

import typer

from spot_host.boards import Board
from spot_host.errors import UserError
from spot_host.flash import ports
from spot_host.flash.port import Port

PortOption = Annotated[str, typer.Option("--port", "-p", help="Serial port; needless where one board is plugged in.")]
MainsOff = Annotated[bool, typer.Option("--mains-off",
                                        help="The board is not isolated, and the mains is off: I looked.")]
Baudrate = Annotated[int, typer.Option(help="Of the serial port.")]
BoardName = Annotated[str, typer.Option("--board", "-b", help="Which board it is: a serial port asks for it.")]


def say(text):
    """To a person, beside what a program might read."""
    typer.echo(text, err=True)


def safe_board(name: str, port: str, mains_off: bool) -> Board | None:
    """The board, when a cable to it is safe. UserError for one on the mains, or, on a serial port, for one that is not
    named: most plugs carry the mains on their serial pins."""
    board = Board.load(name) if name else None
    if mains_off or not ports.is_wired(port):
        return board
    if board is None:
        raise UserError("--board: say which board is on the cable: most plugs carry the mains on their serial pins; "
                        "or --mains-off")
    if not board.isolated:
        raise UserError(f"{name} is not isolated from the mains: a cable to it can kill. Unplug it from the mains, "
                        f"then "
                        "--mains-off")
    return board


def open_port(port, baudrate, say=say) -> Port:
    """The Port with the board at its REPL; for up to a minute, where a person has to press its button first."""
    return Port.open(port, baudrate, wait_s=60, on_wait=say)


def opened(port, board, mains_off, baudrate) -> Port:
    """`open_port` of the port that is meant, when a cable to the board is safe."""
    name = ports.choose(port)
    safe_board(board, name, mains_off)
    return open_port(name, baudrate)
