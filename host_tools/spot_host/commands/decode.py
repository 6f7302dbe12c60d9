"""`spot decode`: any SPOT message in words, or what is wrong with it and at which octet."""

import base64
import binascii
import json
import os
import re
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spot_host.errors import UserError
from spot_host.profile.codec import ProfileError
from spot_host.profile.explain import explain

app = typer.Typer(add_completion=False)
_MOST = 64 * 1024  # of a file: far more than any body, so that its length can be told


@app.command()
def main(
    source: Annotated[str, typer.Argument(metavar="HEX|FILE|-", help=(
        "Octets as hex (spaces, colons, 0x allowed) or base64, a file with such text or with the octets, or - for "
        "standard input."))],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for programs.")] = False,
):
    """Explain a SPOT message in words, or say what is wrong with it. Exit code 1 when it is not a valid message."""
    body = octets(source)
    try:
        message, parts = explain(body)
    except ProfileError as error:
        if as_json:
            typer.echo(json.dumps({
                "ok": False, "octets": len(body), "reason": error.reason, "text": str(error), "offset": error.offset,
                "type": error.type, "field": error.field or None, "position": error.position, "ref": error.ref}))
        else:
            _show_fault(Console(), body, error)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps({
            "ok": True, "octets": len(body), "type": message.type, "name": message.name, "version": message.version,
            "unknown": message.unknown,
            "values": {k: v.hex() if isinstance(v, bytes) else v for k, v in message.values.items()},
            "words": {p.name: p.words for p in parts[2:]}}, ensure_ascii=False))
    else:
        _show(Console(), body, message, parts)


def octets(source):
    """The octets that the argument gives, names or pipes in. Raises UserError."""
    if source == "-":
        data = sys.stdin.buffer.read(_MOST + 1)
        where = "standard input"
    else:
        given = from_text(source)
        if given is not None and not os.path.isfile(source):
            return given
        try:
            with open(source, "rb") as file:
                data = file.read(_MOST + 1)
        except (OSError, ValueError):
            raise UserError(f"{source!r} is neither hex, base64 nor a file that can be read") from None
        where = source
    if len(data) > _MOST:
        raise UserError(f"{where} has more than {_MOST} octets: that is no message")
    try:
        given = from_text(data.decode("ascii"))
    except UnicodeDecodeError:
        given = None
    if given is None:
        given = data
    if not given:
        raise UserError(f"{where} is empty")
    return given


def from_text(text):
    """The octets that hex or base64 text stands for; None when it is neither."""
    hexadecimal = re.sub(r"0[xX]|^\s*h'|\\x|[\s:,'\"-]", "", text)
    if hexadecimal and len(hexadecimal) % 2 == 0 and re.fullmatch(r"[0-9a-fA-F]+", hexadecimal):
        return bytes.fromhex(hexadecimal)
    try:
        return base64.b64decode("".join(text.split()), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _show(console, body, message, parts):
    table = Table(title=f"{message.name}, {len(body)} octets", title_justify="left")
    table.add_column("at", justify="right")
    table.add_column("octets")
    table.add_column("field")
    table.add_column("value")
    table.add_column("meaning")
    for part in parts:
        shown = part.octets.hex(" ")
        table.add_row(str(part.offset), Text(shown if len(shown) < 48 else shown[:42] + " …"), Text(part.name),
                      Text(part.words), Text(part.doc))
    console.print(table)
    if message.unknown:
        console.print(f"{message.unknown} unknown fields or extensions were ignored.")


def _show_fault(console, body, error):
    console.print(Text(f"Not a valid message: {error} ({error.reason}).", style="bold red"))
    if error.offset >= 0:
        console.print(f"At octet {error.offset} of {len(body)}:")
        start = max(0, error.offset - 8)
        before, after = body[start:error.offset].hex(" "), body[error.offset:error.offset + 8].hex(" ")
        lead = "… " if start else ""
        tail = " …" if error.offset + 8 < len(body) else ""
        console.print(Text(f"  {lead}{before}{' ' if before else ''}{after}{tail}"))
        console.print(Text("  " + " " * (len(lead) + len(before) + bool(before)) + "^^"))
