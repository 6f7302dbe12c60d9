"""`spot boards`: which boards there are, what they have, and the next command to type."""

import json
import shutil
import sys
import textwrap
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, no_args_is_help=False, invoke_without_command=True)
_JSON = typer.Option("--json", help="As JSON, one object or a list of them.")


@app.callback()
def main(context: typer.Context):
    """Boards that this checkout knows: a list, or one in words."""
    if context.invoked_subcommand is None:
        show_all(False)


@app.command("list")
def show_all(as_json: Annotated[bool, _JSON] = False):
    """All boards, a line each."""
    from spot_host import boards

    found = boards.all_boards()
    if as_json:
        typer.echo(json.dumps([facts(board) for board in found], indent=1, ensure_ascii=False))
        return
    rows = [_cells(board) for board in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo("One in words: spot boards show NAME")


@app.command("show")
def show_one(
    name: Annotated[str, typer.Argument(help="A board of boards/.")],
    as_json: Annotated[bool, _JSON] = False,
):
    """What a board is, what it cannot do, and the next command to type."""
    from spot_host import board_pages, boards

    board = boards.Board.load(name)
    if as_json:
        typer.echo(json.dumps(facts(board), indent=1, ensure_ascii=False))
        return
    _say(f"{board.name}: ", board.notes)
    if not board.isolated:
        typer.secho("NOT ISOLATED: what is on it is at mains voltage while it is plugged in; no cable then.", bold=True)
    rows = [("device", board.device), ("meter", board_pages.meter(board))]
    if board.is_chip:
        rows += board_pages.limit_rows(board)
    else:
        rows += [("runs", "on this computer"), ("links", ", ".join(board.links))]
    width = max(len(title) for title, _ in rows)
    for title, words in rows:
        _say(f"  {title:{width}}  ", words.replace("`", ""))
    for line in board_pages.limit_words(board) if board.is_chip else ():
        _say("  - ", line)
    typer.echo(f"Its page, with wiring and pins: {boards.shown(board.folder)}/README.md")
    typer.echo("Next:")
    for line in next_commands(board):
        typer.echo(f"  {line}")


def _say(begin, words):
    """A line; on a terminal folded at its width, below where the words began."""
    width = shutil.get_terminal_size().columns
    if sys.stdout.isatty() and width > len(begin) + 20:
        words = textwrap.fill(words, width, initial_indent=begin, subsequent_indent=" " * min(len(begin), 25),
                              break_on_hyphens=False)
        begin = ""
    typer.echo(begin + words)


def _cells(board):
    chip = board.chip.title if board.chip else board.mcu
    isolated = "isolated" if board.isolated else "NOT isolated"
    return board.name, board.device.replace("_", " "), chip, isolated, ", ".join(board.links)


def facts(board) -> dict:
    """A board for --json: what `Board` has but its folder and description."""
    from dataclasses import asdict

    found = asdict(board)
    del found["folder"], found["description"]
    found["image"]["slot_bytes"] = board.image.slot_bytes
    return found


def next_commands(board) -> list[str]:
    """What somebody with this board types next."""
    eui = "0200000000000001"
    if board.mcu == "sim":
        return ["spot sim --help"]
    enroll = f"spot emd enroll house {eui} --board {board.name}"
    if board.mcu == "unix":
        return ["spot emd init house", enroll, f"spot device house/devices/{eui}/config.json"]
    if "mqtt" not in board.links:
        return ["spot provision init home", f"make flash BOARD={board.name} PORT=… HOUSE=home",
                f"spot slipmux PORT --board {board.name} --emd 127.0.0.1:5683"]
    unplugged = "" if board.isolated else " ARGS=--mains-off   # unplugged from the mains"
    config = f" CONFIG=house/devices/{eui}"
    return ["spot emd init house", enroll, f"make flash BOARD={board.name} PORT=…{config}{unplugged}"]
