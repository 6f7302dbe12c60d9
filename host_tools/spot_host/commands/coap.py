"""`spot coap`: read, observe, write and discover CoAP resources, with SPOT's messages in words.

A target is a URI (asked directly, without OSCORE) or EUI-64/path (asked by the running EMD, which alone has the keys:
a second process with them would repeat its sequence numbers). Exit codes: 2 wrong use, 3 the EMD cannot be reached, 4
an error response, 5 no answer.
"""

import asyncio
import contextlib
import json
import re
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from spot_host.errors import UserError

app = typer.Typer(help="Read, observe, write and discover CoAP resources.", no_args_is_help=True)

Target = Annotated[str, typer.Argument(help="coap://host/path, coap+tcp://…, or EUI-64/path of a device of the EMD.")]
House = Annotated[Path | None, typer.Option(help="The home's folder; its EMD asks the device.")]
Database = Annotated[Path, typer.Option("--db", "-d", help="The EMD's database.", envvar="SPOT_EMD_DB")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: JSON.")]
Wait = Annotated[float, typer.Option(help="Seconds to wait.")]
Raw = Annotated[bool, typer.Option("--raw", help="The payload's octets in hex, nothing explained.")]
_DB = Path("emd.sqlite")
_LINKS, _CBOR = 40, 60
_DIGITS = re.compile("[0-9A-Fa-f]{1,16}")  # of an EUI-64; a host's name of these letters alone takes coap://
_SCHEMES = ("coap", "coap+tcp", "coaps+tcp")


class NoAnswer(UserError):
    """Nothing came back."""

    exit_code = 5


def _reader(house, db):
    from spot_host.emd.service import Reader

    return Reader(house / "emd.sqlite" if house is not None else db)


def _split(reader, target):
    """(EUI-64, path) of a target that is no URI."""
    from spot_host.commands.emd import _device

    name, _, path = target.partition("/")
    if not path:
        raise UserError(f"{target}: a path is missing, as in {name or 'EUI-64'}/status; `spot coap discover {name}`")
    return _device(reader, name), "/" + path


def _request(reader, body, wait):
    result = reader.request(body, wait)
    if "error" in result:
        kind = NoAnswer if result.get("code") == 5 else UserError
        raise kind(result["error"])
    return result


def _show(result, as_json, raw):
    """Print one response; the exit code is the caller's: False for an error response."""
    payload = bytes.fromhex(result["payload"])
    if as_json:
        print(json.dumps(result), flush=True)
    elif raw:
        print(payload.hex(), flush=True)
    else:
        print(words(result["name"], result["format"], payload, result["success"]), flush=True)
    return result["success"]


def words(code: str, content_format: int | None, payload: bytes, success: bool = True) -> str:
    """A response for a person: its code, and what is in it."""
    from spot_host.profile.codec import ProfileError
    from spot_host.profile.explain import explain

    if not payload:
        return code
    if content_format == _LINKS or content_format == 0 or not success:
        text = payload.decode("utf-8", "replace")
        if content_format == _LINKS:
            text = text.replace(",<", "\n<")
        return f"{code}\n{text}"
    try:
        message, parts = explain(payload)
    except ProfileError as exc:
        return f"{code}\n{payload.hex()}\nno SPOT message: {exc}"
    lines = [f"{code}  {message.name}, {len(payload)} octets"]
    lines += [f"  {part.name:24}{part.words}" for part in parts[2:]]
    return "\n".join(lines)


async def _direct(method, uri, payload, content_format, wait, observe=None, multicast=False):
    """Ask `uri` as a client of its own; observe(result) for each notification."""
    import aiocoap
    from aiocoap.numbers import codes

    from spot_host.emd.coap import _plain

    context = await aiocoap.Context.create_client_context(transports=["tcpclient", "tlsclient", "udp6"])
    try:
        message = aiocoap.Message(
            code=getattr(codes, method.upper()), uri=uri, payload=payload, content_format=content_format,
            observe=0 if observe is not None else None,
        )  # fmt: skip
        request = context.request(message)
        async with asyncio.timeout(wait):
            response = await request.response
        if observe is None:
            return _plain(response)
        observe(_plain(response))
        if response.opt.observe is not None:
            async for notification in request.observation:
                observe(_plain(notification))
        return None
    finally:
        await context.shutdown()


def _client(*arguments, **more):
    """`_direct` to its end, with errors in words."""
    import aiocoap.error

    from spot_host.emd.coap import why

    uri = arguments[1]
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise UserError(f"{uri}: {exc}") from exc
    if parts.scheme not in _SCHEMES or not host:
        raise UserError(f"{uri}: write {', '.join(s + '://' for s in _SCHEMES)} and a host; or EUI-64/path")
    try:
        return asyncio.run(_direct(*arguments, **more))
    except TimeoutError:
        raise NoAnswer(f"{uri}: no answer in {arguments[4]:.0f} s") from None
    except (aiocoap.error.Error, OSError) as exc:
        hint = "; this command has no certificate to show" if parts.scheme == "coaps+tcp" else ""
        raise NoAnswer(f"{uri}: {why(exc)}{hint}") from exc
    except ValueError as exc:
        raise UserError(f"{uri}: {exc}") from exc


def _body(text, cbor, hexadecimal, file):
    """(octets, content format) of what is to be sent."""
    given = [x for x in (text, cbor, hexadecimal, file) if x is not None]
    if len(given) > 1:
        raise UserError("give one of TEXT, --cbor, --hex, --file")
    if cbor is not None:
        import cbor2

        try:
            return cbor2.dumps(json.loads(cbor), canonical=True), _CBOR
        except ValueError as exc:
            raise UserError(f"--cbor: write JSON, for example [2, 5, 60]: {exc}") from exc
    if hexadecimal is not None:
        try:
            return bytes.fromhex(hexadecimal), None
        except ValueError as exc:
            raise UserError(f"--hex: {exc}") from exc
    if file is not None:
        try:
            return file.read_bytes(), None
        except OSError as exc:
            raise UserError(f"--file: {file}: {exc.strerror}") from exc
    return (text or "").encode(), 0 if text else None


def _once(method, target, house, db, wait, as_json, raw, payload=b"", content_format=None):
    if "://" in target:
        result = _client(method, target, payload, content_format, wait)
    else:
        reader = _reader(house, db)
        eui, path = _split(reader, target)
        path, _, query = path.partition("?")
        body = {"do": "coap", "device": eui, "method": method, "path": path, "payload": payload.hex(),
                "query": query.split("&") if query else [], "format": content_format}  # fmt: skip
        result = _request(reader, body, wait)
    if not _show(result, as_json, raw):
        raise typer.Exit(4)


@app.command()
def get(
    target: Target, house: House = None, db: Database = _DB, wait: Wait = 30.0, as_json: AsJson = False,
    raw: Raw = False,
):  # fmt: skip
    """Read a resource."""
    _once("get", target, house, db, wait, as_json, raw)


Text = Annotated[str | None, typer.Argument(help="The payload as text.")]
Cbor = Annotated[str | None, typer.Option("--cbor", help="The payload as JSON, sent as CBOR.")]
Hex = Annotated[str | None, typer.Option("--hex", help="The payload in hexadecimal.")]
File = Annotated[Path | None, typer.Option("--file", help="The payload from a file.")]


@app.command()
def put(
    target: Target, text: Text = None, cbor: Cbor = None, hexadecimal: Hex = None, file: File = None,
    house: House = None, db: Database = _DB, wait: Wait = 30.0, as_json: AsJson = False, raw: Raw = False,
):  # fmt: skip
    """Write a resource."""
    _once("put", target, house, db, wait, as_json, raw, *_body(text, cbor, hexadecimal, file))


@app.command()
def post(
    target: Target, text: Text = None, cbor: Cbor = None, hexadecimal: Hex = None, file: File = None,
    house: House = None, db: Database = _DB, wait: Wait = 30.0, as_json: AsJson = False, raw: Raw = False,
):  # fmt: skip
    """Post to a resource, for example a command to EUI-64/cmd."""
    _once("post", target, house, db, wait, as_json, raw, *_body(text, cbor, hexadecimal, file))


@app.command()
def observe(
    target: Target, house: House = None, db: Database = _DB, wait: Wait = 30.0, as_json: AsJson = False,
    raw: Raw = False, count: Annotated[int, typer.Option(help="Notifications; 0: until Ctrl-C.")] = 0,
):  # fmt: skip
    """Show a resource now and whenever it changes."""
    seen = [0]

    class Enough(Exception):
        pass

    def show(result):
        if not _show(result, as_json, raw):
            raise typer.Exit(4)
        seen[0] += 1
        if count and seen[0] >= count:
            raise Enough

    with contextlib.suppress(Enough):
        if "://" in target:
            _client("get", target, b"", None, wait, observe=show)
            print("spot: the resource is not observable", file=sys.stderr)
            return
        reader = _reader(house, db)
        eui, path = _split(reader, target)
        result = _request(reader, {"do": "coap_watch", "device": eui, "path": path}, wait)
        number = result["watch"]
        try:
            while True:
                show(result)
                while True:  # quiet is no failure: ask again
                    result = reader.request({"do": "coap_next", "watch": number}, 60.0)
                    if result.get("error") != "the device did not answer":
                        break
                if "error" in result:
                    raise NoAnswer(result["error"])
                if result.get("over"):
                    print("spot: the device ended it", file=sys.stderr)
                    return
        finally:
            with contextlib.suppress(UserError):
                reader.request({"do": "coap_end", "watch": number}, 5.0)


@app.command()
def discover(
    host: Annotated[
        str | None, typer.Argument(help="Name, address or coap:// URI; or EUI-64, or last digits, of a device.")
    ] = None,
    house: House = None, db: Database = _DB, wait: Wait = 10.0, as_json: AsJson = False,
):  # fmt: skip
    """List what a host or device offers, or, without one, the devices in the EMD's resource directory."""
    if host is not None and _DIGITS.fullmatch(host):
        _once("get", f"{host}/.well-known/core", house, db, wait, as_json, False)
        return
    if host is not None:
        base = host if "://" in host else f"coap://{host}"
        result = _client("get", base.rstrip("/") + "/.well-known/core", b"", None, wait)
        if not _show(result, as_json, False):
            raise typer.Exit(4)
        return
    endpoints = _request(_reader(house, db), {"do": "coap_directory"}, wait)["endpoints"]
    if as_json:
        print(json.dumps(endpoints))
        return
    if not endpoints:
        print(
            "No device is registered with the directory. Entries of devices on UDP are kept over a restart of the EMD; "
            "others come back when they connect. `spot emd devices` has them all."
        )
    for endpoint in endpoints:
        print(f"{endpoint['ep']}  {endpoint['base']}  for {endpoint['lt']} s")
        for link in endpoint["links"].replace(",<", "\n<").splitlines():
            print(f"  {link}")
