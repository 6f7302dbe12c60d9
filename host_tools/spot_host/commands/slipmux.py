"""`spot slipmux`: a board on a cable as a CoAP server on this computer, its printed log beside it."""

import asyncio
import contextlib
from typing import Annotated

import typer

from spot_host import slipmux
from spot_host.boards import Board
from spot_host.errors import UserError

app = typer.Typer(add_completion=False)

_LOOK_S = 0.2


@app.command()
def main(
    port: Annotated[str, typer.Argument(help="A serial port, a pseudo-terminal, or socket://host:port.")],
    board: Annotated[str, typer.Option(help="The board on the cable, of boards/: a serial port asks for it.")] = "",
    listen: Annotated[
        str, typer.Option(help="host:port for CoAP tools here; 127.0.0.1:5683, with --emd any free port.")
    ] = "",
    emd: Annotated[str, typer.Option(help="host:port of the EMD, for the board's own requests.")] = "",
    baudrate: Annotated[int, typer.Option(help="Of a serial port.")] = 115200,
):
    """Carry CoAP between a slipmux cable and a UDP port: coap://127.0.0.1 is then the board. Its text is printed.

    A board that restarts takes its port with it, and is waited for.
    """
    if board or slipmux.is_wired(port):
        check_isolated(board)
    where = slipmux.endpoint(listen or ("127.0.0.1:0" if emd else "127.0.0.1:5683"), "--listen")
    to = slipmux.endpoint(emd, "--emd") if emd else None
    asyncio.run(_serve(port, where, to, baudrate))


async def _serve(port, where, to, baudrate):
    """Bridge, again each time that the port is back; UserError when it cannot be had the first time."""
    here = None

    def ready(bridge):
        nonlocal here
        again, here = here, bridge.transport.get_extra_info("sockname")[:2]
        typer.echo(f"{port} is back" if again else f"{port} is coap://{here[0]}:{here[1]}; Ctrl-C ends it")

    await slipmux.serve(port, where, typer.echo, to, baudrate, ready)
    while True:
        typer.echo(f"{port} is gone: waiting until it is back")
        while True:
            await asyncio.sleep(_LOOK_S)
            with contextlib.suppress(UserError):
                await slipmux.serve(port, here, typer.echo, to, baudrate, ready)
                break


def check_isolated(board):
    """UserError unless `board` is one that may be touched: most plugs carry the mains on their serial pins."""
    if not board:
        raise UserError("--board: say which board is on the cable: most plugs carry the mains on their serial pins")
    if not Board.load(board).isolated:
        raise UserError(f"{board} is not isolated from the mains (boards/{board}/board.json): no cable to it")
