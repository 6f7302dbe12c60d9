"""`spot release`: make the key that signs firmware, build a release, look at one, and verify it.

Exit codes: 2 wrong use, or a release that is refused.
"""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from spot_host import release, suit
from spot_host.errors import UserError
from spot_host.home_folder import HomeFolder
from spot_host.signing_key import public_key, replace

app = typer.Typer(help="Firmware releases: keys, building, signing (HSS/LMS), looking.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="KEY", help="The key's folder.")]
File = Annotated[Path, typer.Argument(help="A release: NAME.spotfw.", readable=False)]
Keys = Annotated[
    list[str] | None, typer.Option("--key", "-k", help="Public key in hex, as a file, or the key's folder; repeatable.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: JSON.")]


@app.command()
def keygen(
    folder: Folder,
    height: Annotated[
        int, typer.Option(help="2^HEIGHT signatures; a week uses up one at least: 5, 10 (19 years) or 15.")
    ] = 10,
    home: Annotated[
        Path | None, typer.Option(help="A home: devices that are provisioned there from now on trust the key.")
    ] = None,
):
    """Make a key for releases in a new folder, and show what devices need of it.

    Keep the folder on one machine; a copy of it does not sign. When it is lost, devices need the next key over a cable.
    """
    house = HomeFolder(home) if home else None
    key = release.generate(folder, height)
    if house:
        house.trust(key.hss)
        typer.echo(f"{folder}: a key for {key.all:,} releases. Devices of {home} trust it from their next "
                   "`spot provision device` or `spot flash --home` on.")
        return
    typer.echo(f"{folder}: a key for {key.all:,} releases. Into each device's config.json (or --home HOUSE):")
    typer.echo(_config(key))


@app.command()
def build(
    board: Annotated[str, typer.Argument(help="A folder of boards/.")],
    version: Annotated[str, typer.Option("--version", help="What people call it: 1 to 16 characters.")],
    key: Annotated[Path | None, typer.Option("--key", "-k", help="The folder of the key that signs it.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File; BOARD-VERSION.spotfw if absent.")] = None,
    sequence: Annotated[
        int | None, typer.Option(min=1, help="Sequence number; the key's latest plus one if absent.")
    ] = None,
    next_key: Annotated[
        list[str] | None, typer.Option(help="A public key that devices are to trust as well from this release on.")
    ] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Without a signature: for a cable only.")] = False,
):
    """Compile the firmware for a board, make the image of it, and sign it. Uses up one signature and one number."""
    if (key is None) != unsigned:
        raise UserError("either --key FOLDER, or --unsigned")
    out = out or Path(f"{board}-{version}.spotfw")
    if out.exists():
        raise UserError(f"{out} is there already: a release is never written over")
    if not out.parent.is_dir():
        raise UserError(f"{out.parent}: no such folder")
    if not os.access(out.parent, os.W_OK):
        raise UserError(f"{out.parent}: no permission to write there")
    octets = release.build(board, version, key, sequence, [public_key(text, hss=True) for text in next_key or ()])
    replace(out, octets, 0o644)
    made = suit.read(octets)
    typer.echo(f"{out}: sequence {made.manifest.sequence}, {len(octets)} octets, {made.head} of them the head")
    if key is not None:
        left = release.ReleaseKey(key).left()
        if left <= release.SOON:
            typer.echo(f"Only {left} signatures are left: make the next key, and bring it with --next-key.", err=True)


@app.command()
def show(
    file: File,
    key: Keys = None,
    running: Annotated[int | None, typer.Option(help="Judge as a device that runs this sequence number.")] = None,
    board: Annotated[str, typer.Option(help="Judge as a device of this board; the release's own if absent.")] = "",
    as_json: AsJson = False,
):
    """Every field in words, and what would refuse it. --key says which keys the device trusts."""
    octets, found = suit.load(file)
    m = found.manifest
    keys = [public_key(text, hss=True) for text in key] if key else None
    try:
        facts = release.BoardFacts(board or m.board)
    except UserError:
        if board:
            raise
        facts = None
    refused = release.refusals(found, keys, running, facts)
    rows = {
        "file": (str(file), f"{len(octets)} octets: a head of {found.head}, then the image"),
        "sequence": (m.sequence, "a device takes higher numbers than the one that it runs only"),
        "version": (m.version, "what people call it"),
        "board": (m.board, "boards/ says what that is"),
        "march": (m.march, "what its code is compiled for"),
        "base": (m.base, "least base image that must be on the board"),
        "vendor": (m.vendor.hex(), "spot-grid" if m.vendor == suit.VENDOR.bytes else "another vendor"),
        "class": (m.class_id.hex(), "of the board" if m.class_id == suit.class_id(m.board).bytes else "of another one"),
        "size": (m.size, "octets of the image"),
        "image": (m.digest.hex(), "SHA-256, and the image fits it"),
        "digest": (found.digest.hex(), "SHA-256 of the manifest: what is signed, and what an offer names"),
        "signature": (len(found.signature), _signed(found, keys)),
    }
    if as_json:
        print(json.dumps({**{name: value for name, (value, _) in rows.items()},
                          "head": found.head, "refused": [list(row) for row in refused]}))
        return
    for name, (value, words) in rows.items():
        typer.echo(f"{name:10} {value}  ({words})")
    if refused:
        for reason, words in refused:
            typer.echo(f"A device would refuse it: {reason}: {words}")
    else:
        judged = [name for name, given in (("the key", keys), ("the running sequence", running is not None),
                                           ("the board", facts)) if given]
        typer.echo(f"Nothing of {', '.join(judged) or 'its own fields'} would refuse it.")
    if keys is None and found.signature:
        typer.echo("The signature was not verified: give the trusted key with --key.")


@app.command()
def verify(file: File, key: Keys = None):
    """Exit code 0 when this key signed this release and everything in it fits, else 2 and a sentence."""
    if not key:
        raise UserError("--key: whose signature it should be")
    _, found = suit.load(file)
    refused = release.refusals(found, [public_key(text, hss=True) for text in key])
    if refused:
        raise UserError(f"{file}: " + "; ".join(f"{reason}: {words}" for reason, words in refused))
    m = found.manifest
    typer.echo(f"{file}: {m.board} {m.version}, sequence {m.sequence}: the signature fits")


@app.command()
def keys(
    folder: Folder,
    adopt: Annotated[bool, typer.Option("--adopt", help="Sign here from now on: the folder was moved.")] = False,
    skip: Annotated[
        int | None,
        typer.Option(help="With --adopt: pass over so many signatures, as many as the other place may have made."),
    ] = None,
    as_json: AsJson = False,
):
    """A key's state: latest sequence, signatures left, the public key for devices. A folder that was put back from a
    copy does not sign; --adopt is for one that was moved, when the other place signs no more."""
    if adopt:
        if skip is None:
            raise UserError("--skip: how many signatures the other place may have made since this copy; 0 for none")
        release.ReleaseKey(folder, moved=True).adopt(skip)
    key = release.ReleaseKey(folder)
    if as_json:
        print(json.dumps({"key": suit.key_id(key.hss), "public": key.hss.hex(), "height": key.height,
                          "sequence": key.number, "left": key.left()}))
        return
    typer.echo(f"key {suit.key_id(key.hss)}, height {key.height}, latest sequence {key.number}, "
               f"{key.left()} signatures left")
    typer.echo(_config(key))


def _config(key):
    return f'"update": {{"keys": ["{key.hss.hex()}"]}}'


def _signed(found, keys):
    if not found.signature:
        return "none: only a cable brings it"
    leaf = int.from_bytes(found.signature[4:8], "big")
    words = f"octets, HSS/LMS, leaf {leaf}"
    if keys is None:
        return f"{words}; not verified"
    for key in keys:
        try:
            suit.verify(found, key)
            return f"{words}; by the key {suit.key_id(key)}"
        except suit.SuitError:
            pass
    return f"{words}; by none of these keys"
