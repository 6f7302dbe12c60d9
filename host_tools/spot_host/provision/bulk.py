"""Many devices from a list, with a log: interrupted at any moment and run again, nothing is made twice.

The log (one JSON object a line: at, line, eui, what, serial, id) is written behind the home's own files, so that what
it says is so; what was made and not yet written down is found where it lies, and taken (HomeFolder.provision).
"""

import contextlib
import datetime
import json
import os
import time

from cryptography import x509

from ..errors import UserError

_CHUNK = 250  # devices between two looks at what is about all of them


class Log:
    """The file `path`, of lines that are appended; `done`: {eui: entry} of what it had. A torn last line is cut off."""

    def __init__(self, path):
        self.path, self.done = path, {}
        path.parent.mkdir(exist_ok=True, mode=0o700)
        whole = 0
        with contextlib.suppress(FileNotFoundError):
            for line in path.read_bytes().splitlines(keepends=True):
                try:
                    entry = json.loads(line)
                    self.done[entry["eui"]] = entry
                except (ValueError, KeyError, TypeError):
                    break
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
            os.truncate(path, whole)

    def add(self, entries) -> None:
        """On disk when it returns."""
        if entries:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write("".join(json.dumps(entry) + "\n" for entry in entries).encode())
                file.flush()
                os.fsync(file.fileno())
            self.done.update((entry["eui"], entry) for entry in entries)


def run(home, rows, log: Log, wifi=None, tell=lambda row, made: None, clock=time.time) -> dict:
    """Provision `rows` (csv_list.Row); {"made", "there"} counts. tell: called for each row that is done.

    What ends it on its way (Ctrl-C, an error of one device, which is raised as UserError with its line) leaves what was
    done until then; the next run goes on.
    """
    count = {"made": 0, "there": 0}
    left = []
    for row in rows:
        if wifi is None and row.order.eui in log.done and home.orders.get(row.order.eui) == row.order:
            count["there"] += 1
            tell(row, False)
        else:
            left.append(row)
    for at in range(0, len(left), _CHUNK):
        entries = []
        try:
            with home.batch():
                for row in left[at : at + _CHUNK]:
                    made = _one(home, row, wifi, clock)
                    entries.append(_entry(home, row, made, clock))
                    count["made" if made else "there"] += 1
                    tell(row, made)
        finally:
            log.add([entry for entry in entries if entry["eui"] in home.orders and (
                entry["what"] == "made" or entry["eui"] not in log.done)])
    return count


def _one(home, row, wifi, clock):
    until = int(clock()) + row.days * 86400 if row.days else None
    try:
        return home.provision(row.order, until, wifi)[1]
    except UserError as exc:
        raise UserError(f"line {row.line}: {row.order.eui}: {exc}. What is before it is done; run it again to go on"
                        ) from exc


def _entry(home, row, made, clock):
    at = datetime.datetime.fromtimestamp(clock(), datetime.UTC)
    entry = {"at": at.isoformat(timespec="seconds"), "line": row.line, "eui": row.order.eui,
             "what": "made" if made else "there", "board": row.order.board, "note": row.order.note}
    folder = home.device_folder(row.order.eui)
    if row.order.certified:
        cert = x509.load_der_x509_certificate((folder / "cert.der").read_bytes())
        entry["serial"] = f"{cert.serial_number:x}"
    if row.order.paired:
        entry["id"] = json.loads((folder / "pairing.json").read_text())["id"]
    return entry
