"""`spot slipmux`: a board on a cable as a CoAP server on this computer, its printed log beside it."""

import asyncio
from typing import Annotated

import typer

from spot_host import slipmux
from spot_host.boards import Board
from spot_host.errors import UserError

app = typer.Typer(add_completion=False)


@app.command()
def main(
    port: Annotated[str, typer.Argument(help="A serial port, a pseudo-terminal, or socket://host:port.")],
    board: Annotated[str, typer.Option(help="The board on the cable, of boards/: a serial port asks for it.")] = "",
    listen: Annotated[str, typer.Option(help="host:port for CoAP tools on this computer.")] = "127.0.0.1:5683",
    emd: Annotated[str, typer.Option(help="host:port of the EMD, for the board's own requests.")] = "",
    baudrate: Annotated[int, typer.Option(help="Of a serial port.")] = 115200,
):
    """Carry CoAP between a slipmux cable and a UDP port: coap://127.0.0.1 is then the board. Its text is printed."""
    if board or slipmux.is_wired(port):
        check_isolated(board)
    where = slipmux.endpoint(listen, "--listen")
    to = slipmux.endpoint(emd, "--emd") if emd else None

    def ready(bridge):
        host, number = bridge.transport.get_extra_info("sockname")[:2]
        typer.echo(f"{port} is coap://{host}:{number}; Ctrl-C ends it")

    asyncio.run(slipmux.serve(port, where, typer.echo, to, baudrate, ready))
    raise UserError(f"{port}: the cable was unplugged")


def check_isolated(board):
    """UserError unless `board` is one that may be touched: most plugs carry the mains on their serial pins."""
    if not board:
        raise UserError("--board: say which board is on the cable: most plugs carry the mains on their serial pins")
    if not Board.load(board).isolated:
        raise UserError(f"{board} is not isolated from the mains (boards/{board}/board.json): no cable to it")
