"""What is on a board, in rows for a person, with what mends what is wrong: `spot doctor --port`."""

import json

from spot_host.boards import Board
from spot_host.errors import UserError

from . import crash, plan, probe
from .errors import MisfitError, RemoteError


def look(port, board_name=""):
    """([(what, what is to say of it)], whether all is well). board_name: what it should be; else its configuration
    says.

    It changes nothing on the board.
    """
    found = probe.look(port)
    rows = [("board", f"{found.machine}, id {found.uid or '?'}"),
            ("image", f"MicroPython {'.'.join(map(str, found.version[:3]))}, "
                      + (f"SPOT's own, base {found.base}, of {found.own.get('board')}" if found.ours else
                         "a stock image: the firmware lies in the heap, for development")),
            ("runs", f".mpy files for {found.march}"),
            ("flash", f"{found.free:,} of {found.size:,} octets free"),
            ("heap", f"{found.heap_free:,} of {found.heap:,} octets free, beside what was interrupted")]
    good = True

    def wrong(what, text):
        nonlocal good
        good = False
        rows.append((what, f"WRONG: {text}"))

    config = None
    try:
        config = json.loads(port.get("config.json"))
        rows.append(("device", f"{config['eui64']} on {config['board']}"))
    except RemoteError:
        wrong("device", "no config.json: `spot flash --config FOLDER`")
    except (ValueError, KeyError, TypeError):
        wrong("device", "config.json is no configuration: `spot flash --config FOLDER`")
    there = port.tree(skip=())
    for name in sorted(plan.named_files(config or {})):
        if name not in there:
            wrong("keys", f"{name} is named by config.json, and is not there: `spot flash --config FOLDER`")
    board_name = board_name or (config or {}).get("board", "")
    try:
        board = Board.load(board_name) if board_name else None
        if board:
            probe.check(board, found, port.name)
            if not found.ours:
                _firmware(rows, wrong, board, there)
    except MisfitError as error:
        wrong("fit", str(error).replace("; nothing was written", ""))
    except UserError as error:
        wrong("fit", str(error))
    store = config.get("store", "store") if isinstance(config, dict) else "store"
    record = crash.record(port, store.lstrip("/"))
    rows.append(("crash", f"{record[1].splitlines()[0]}: `spot log` has all of it" if record and record[1] else "none"))
    return rows, good


def _firmware(rows, wrong, board, there):
    firmware = plan.firmware(board)
    missing = [path for path, data in firmware.files.items() if there.get(path, (0, ""))[1] != plan.digest(data)]
    installed = sorted({path.split("/")[0] for path in there if path.startswith(plan.PREFIX)})
    starts = there.get("main.py", (0, ""))[1] == plan.digest(firmware.stub)
    if not missing and starts:
        rows.append(("firmware", f"{firmware.folder}, as of this checkout"))
    elif not installed:
        wrong("firmware", f"none: `spot flash --board {board.name}`")
    elif len(missing) < len(firmware.files) and firmware.folder in installed:
        wrong("firmware", f"{firmware.folder} is not whole: `spot flash --board {board.name}` goes on")
    else:
        rows.append(("firmware", f"{', '.join(installed)}; this checkout has {firmware.folder}"))
