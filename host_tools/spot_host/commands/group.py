"""`spot group`: broadcasts signed offline. Make a key, sign a price or grid body, look at what is in a file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from spot_host import signing
from spot_host.commands.decode import octets
from spot_host.errors import UserError
from spot_host.profile.codec import ProfileError, encode
from spot_host.profile.explain import explain

app = typer.Typer(help="Broadcasts signed offline (LMS): keys, signing, looking.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="KEY", help="The key's folder.")]


@app.command()
def keygen(
    folder: Folder,
    height: Annotated[int, typer.Option(help="2^HEIGHT signatures, at least one a day: 5, 10 (2.8 years) or 15.")] = 10,
):
    """Make a signer's key in a new folder, and show what devices need of it.

    Keep the folder on one machine that is not on the network; never copy it, and never put it back from a backup:
    a leaf that signs twice gives forgeries away. When it is lost, make a new key.
    """
    signer = signing.generate(folder, height)
    typer.echo(f"{1 << height} signatures, at least one a day. Into each device's config, under \"agent\":")
    typer.echo(f'"signed_key": "{signer.public.hex()}"')


@app.command()
def sign(
    folder: Folder,
    source: Annotated[str, typer.Argument(metavar="HEX|FILE|-", help=(
        "The body of a price, carbon, weather or grid_state: octets as `spot decode` takes them, or a JSON file with "
        "\"type\" and the fields."))],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the parts, which an EMD publishes.")],
):
    """Sign a broadcast. Uses up one signature, also when it fails afterwards."""
    signer = signing.Signer(folder)
    revision, bodies = signer.sign(_body(source))
    signing.save(out, bodies)
    typer.echo(f"{out}: revision {revision}, {len(bodies)} parts, {sum(map(len, bodies))} octets")
    left = signer.left()
    if left <= signing.SOON:
        typer.echo(f"Only {left} signatures are left: make the next key and bring its public key to the devices.",
                   err=True)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="What `spot group sign` wrote, or a key's folder.")],
    key: Annotated[str, typer.Option("--key", "-k", help="Public key in hex, as a file, or the key's folder.")] = "",
):
    """What a file of parts holds, and with --key whether the signature fits (else exit code 2); or a key's state."""
    if file.is_dir():
        signer = signing.Signer(file)
        typer.echo(f"key {signer.public[8:16].hex()}, height {signer.height}, latest revision {signer.revision}, "
                   f"{signer.left()} signatures left")
        typer.echo(f'"signed_key": "{signer.public.hex()}"')
        return
    bodies = signing.load(file)
    identifier, revision, whole = signing.join(bodies)
    typer.echo(f"key {identifier.hex()}, revision {revision}, {len(bodies)} parts, {len(whole)} octets")
    if not key:
        typer.echo("Not verified: give the public key with --key.")
        return
    _, body = signing.verify(signing.public_key(key), bodies)
    message, parts = explain(body)
    typer.echo(f"The signature fits. {message.name}, {len(body)} octets:")
    for part in parts[2:]:
        typer.echo(f"  {part.name}: {part.words}")


def _body(source):
    """The octets of a body, from octets or from JSON. Raises UserError."""
    path = Path(source)
    try:
        text = path.read_text() if path.is_file() else ""
    except (OSError, ValueError):
        text = ""
    if not text.lstrip().startswith("{"):
        return octets(source)
    try:
        values = json.loads(text)
        return encode(values.pop("type"), values)
    except (ValueError, KeyError, TypeError, ProfileError) as error:
        raise UserError(f"{source}: {error}") from error
