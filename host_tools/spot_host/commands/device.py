"""`spot device`: an enrolled device on this computer, with a load and a meter behind its pins."""

import os
from pathlib import Path
from typing import Annotated

import typer

from spot_host.errors import UserError


def main(
    config: Annotated[Path, typer.Argument(help="Its config.json, as `spot emd enroll` wrote it; board unix….")],
    load: Annotated[float, typer.Option(help="What the load draws in W while the contact is closed.")] = 2000.0,
):
    """Run an enrolled device on this computer, with a load, a meter and a button behind its pins.

    The firmware runs on MicroPython in real time. Lines that are typed are what happens to it: help lists them. Ends
    with `quit`, or Ctrl-C.
    """
    import json

    from spot_host.toolchain import paths, runtimes
    from spot_sim.desk import HELP, Desk

    try:
        given = json.loads(config.read_text(encoding="utf-8"))
        board = given.get("board", "unix")
        text = (Path(given.get("boards", paths.ROOT / "boards")) / board / "board.json").read_text(encoding="utf-8")
        description = json.loads(text)
    except (OSError, ValueError, AttributeError, TypeError) as exc:
        raise UserError(f"{config}: a device's config.json, as `spot emd enroll` writes it: {exc}") from exc
    if not str(board).startswith("unix"):
        raise UserError(f"{config}: board: unix or unix_heat_pump runs on a computer, not {board!r}")
    environment = {**os.environ, "MICROPYPATH": f"{paths.ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"}
    command = [str(runtimes.installed("micropython")), str(paths.ROOT / "firmware" / "main.py"), str(config)]
    print(HELP)
    desk = Desk(command, environment, description, load)
    try:
        code = desk.run()
    except KeyboardInterrupt:
        code = desk.end()
    raise typer.Exit(code)
