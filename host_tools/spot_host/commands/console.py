"""`spot console`: what a board on a cable prints. Exit codes as of `spot flash`."""

import sys
import time
from typing import Annotated

import typer

from spot_host.flash import console, ports

from .cable import Baudrate, BoardName, MainsOff, PortOption, safe_board, say

Seconds = Annotated[float, typer.Option(help="Only so long; 0: until Ctrl-] (Ctrl-C goes to the board).")]


def main(
    port: PortOption = "", board: BoardName = "", mains_off: MainsOff = False, baudrate: Baudrate = 115200,
    seconds: Seconds = 0,
):
    """Show what a board prints, and send it what is typed. The device goes on as it was."""
    name = ports.choose(port)
    safe_board(board, name, mains_off)
    opened = console.opened(name, baudrate)
    end = time.monotonic() + seconds if seconds else float("inf")

    def show(text):
        sys.stdout.write(text)
        sys.stdout.flush()

    try:
        with console.keyboard() as typed:
            say(f"{name}; {'Ctrl-]' if typed else 'Ctrl-C'} ends it\r")
            console.serve(opened, show, typed, lambda: time.monotonic() >= end)
    finally:
        opened.close()
