"""The list of a bulk enrolment: a CSV file, checked as a whole before anything is made; errors name line and column.

Columns (in any order; the first line names them): eui64 and board; link, protect, groups (separated by spaces), days
(in which a pairing secret must be used first) and note (on the label) may be absent or empty.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from ..device_files import Order
from ..emd.config import eui as eui_of
from ..errors import UserError

NEEDED = ("eui64", "board")
COLUMNS = (*NEEDED, "link", "protect", "groups", "days", "note")
_MOST_SHOWN = 20
_OPTIONS = {"--link": "link", "--protect": "protect", "--group": "groups", "--note": "note", "--board": "board"}


@dataclass(frozen=True)
class Row:
    """One device of the list. line: in the file, from 1. days: 0 for ever."""

    line: int
    order: Order
    days: int = 0


def load(path, home) -> list[Row]:
    """The rows of the file at `path` for this home. UserError: all that is wrong with it, a line for each."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise UserError(f"{path}: cannot be read: {exc.strerror}") from exc
    except UnicodeError as exc:
        raise UserError(f"{path}: no UTF-8: save it as CSV UTF-8") from exc
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",",
                        strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        _check_names(path, names)
        rows, faults = _rows(reader, names, home)
    except csv.Error as exc:
        raise UserError(f"{path}: line {reader.line_num}: no CSV: {exc}") from exc
    if not rows and not faults:
        raise UserError(f"{path}: no device is in it")
    if faults:
        shown = [f"{path}: line {line}: {what}" for line, what in faults[:_MOST_SHOWN]]
        if len(faults) > _MOST_SHOWN:
            shown.append(f"{path}: {len(faults) - _MOST_SHOWN} more lines with errors")
        raise UserError("\n".join([*shown, f"{path}: nothing was made"]))
    return rows


def _check_names(path, names):
    for name in NEEDED:
        if name not in names:
            raise UserError(f"{path}: line 1: column {name}: missing; the columns are {', '.join(COLUMNS)}")
    for name in names:
        if name not in COLUMNS:
            raise UserError(f"{path}: line 1: column {name!r}: is none of {', '.join(COLUMNS)}")
        if names.count(name) > 1:
            raise UserError(f"{path}: line 1: column {name}: is there twice")


def _rows(reader, names, home):
    rows, faults, seen = [], [], {}
    revoked = home.revoked()
    for cells in reader:
        line = reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            faults.append((line, f"{len(cells)} cells, and there are {len(names)} columns"))
            continue
        cell = dict(zip(names, (cell.strip() for cell in cells), strict=True))
        try:
            row = _row(line, cell)
            if row.order.eui in seen:
                raise UserError(f"eui64: {row.order.eui} is in line {seen[row.order.eui]} already")
            seen[row.order.eui] = line
            if row.order.eui in revoked:
                raise UserError(f"eui64: {row.order.eui} was revoked; `spot provision device` takes it in again")
            home.check(row.order)
        except UserError as exc:
            text = str(exc)
            for option, column in _OPTIONS.items():
                text = text.replace(f"{option}:", f"{column}:")
            faults.append((line, text))
        else:
            rows.append(row)
    return rows, faults


def _row(line, cell):
    eui = eui_of(cell["eui64"], "eui64")
    days = cell.get("days") or "0"
    if not days.isascii() or not days.isdigit() or len(days) > 5:
        raise UserError(f"days: {days!r}: a whole number, at most 99999")
    order = Order(eui, cell["board"], cell.get("link") or "mqtt", cell.get("protect") or "none",
                  tuple(cell.get("groups", "").split()), cell.get("note", ""))
    return Row(line, order, int(days))
