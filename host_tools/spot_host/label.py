"""The printed label of a device: what its QR code says, how that is read again, and how it is drawn.

    SPOT:1:<base32>   version 1; base32 of RFC 4648 without padding, in capitals: all of it is in QR's alphanumeric set

The octets are a CBOR array and the first two octets of its SHA-256, which catch what was typed wrongly:
[EUI-64] of a device without a pairing, else [EUI-64, id, emd, salt, secret, generation, until or null].
docs/provisioning.md is normative for readers. Whoever has the label has the secret.
"""

import base64
import hashlib
import io
from pathlib import Path

import cbor2

from .errors import UserError
from .pairing import Pairing
from .secret_files import write

SCHEME, VERSION = "SPOT", 1
_CHECK = 2  # octets
_MOST = 200  # characters that are looked at
KINDS = (".svg", ".pdf", ".png")


class LabelError(UserError):
    """Not a label of SPOT; the text says why."""


def text_of(eui: str, pairing: Pairing | None = None) -> str:
    """What the QR code says."""
    said = [bytes.fromhex(eui)]
    if pairing is not None:
        said += [pairing.id, pairing.emd, pairing.salt, pairing.secret, pairing.generation, pairing.until]
    octets = cbor2.dumps(said, canonical=True)
    octets += hashlib.sha256(octets).digest()[:_CHECK]
    return f"{SCHEME}:{VERSION}:{base64.b32encode(octets).decode().rstrip('=')}"


def parse(text: str) -> tuple[str, Pairing | None]:
    """(EUI-64, pairing or None) of a label's text, as scanned or as typed: small letters, spaces and dashes are fine.

    Raises LabelError, which never shows the secret."""
    if len(text) > _MOST:
        raise LabelError(f"a label has at most {_MOST} characters")
    word = "".join(text.upper().replace("-", "").split())
    scheme, _, rest = word.partition(":")
    version, colon, body = rest.partition(":")
    if scheme != SCHEME or not colon:
        raise LabelError(f"no label of a device: it begins with {SCHEME}:{VERSION}:")
    if version != str(VERSION):
        raise LabelError(f"a label of version {version[:8]}; this program reads version {VERSION}: take a newer one")
    try:
        octets = base64.b32decode(body + "=" * (-len(body) % 8))
        if base64.b32encode(octets).decode().rstrip("=") != body:
            raise ValueError
    except ValueError:
        raise LabelError("a label has letters and the digits 2 to 7 after its version") from None
    said, check = octets[:-_CHECK], octets[-_CHECK:]
    if not said or hashlib.sha256(said).digest()[:_CHECK] != check:
        raise LabelError("the label's check does not fit: a character is wrong or missing")
    try:
        found = cbor2.loads(said)
        if not isinstance(found, list) or cbor2.dumps(found, canonical=True) != said:
            raise ValueError
        eui, *rest = found
        if type(eui) is not bytes or len(eui) != 8 or len(rest) not in (0, 6):
            raise ValueError
        if not rest:
            return eui.hex(), None
        id_, emd, salt, secret, generation, until = rest
        return eui.hex(), Pairing.from_record({
            "secret": secret.hex(), "salt": salt.hex(), "id": id_.hex(), "emd": emd.hex(), "generation": generation,
            "until": until}, "label")
    except UserError as exc:
        raise LabelError(str(exc)) from None
    except (ValueError, AttributeError, TypeError, cbor2.CBORDecodeError):
        raise LabelError("the label holds something else than an EUI-64 and a pairing") from None


def _code(text):
    try:
        import segno
    except ImportError:
        raise UserError("labels need the Python package segno: pip install segno") from None
    return segno.make(text, error="m", micro=False, boost_error=False)


def terminal(text: str) -> str:
    """The QR code in half blocks, for a terminal."""
    out = io.StringIO()
    _code(text).terminal(out, compact=True)
    return out.getvalue()


def svg(text: str, lines=()) -> str:
    """A label of 60 mm by 30: the code, and beside it the lines (EUI-64, board, serial number)."""
    drawn = _code(text)
    side = drawn.symbol_size(border=4)[0]
    out = io.BytesIO()
    drawn.save(out, kind="svg", border=4, xmldecl=False, svgns=False, nl=False, svgclass=None, lineclass=None)
    inner = out.getvalue().decode()
    inner = inner[inner.index(">") + 1 : inner.rindex("</svg>")]
    words = "".join(f'<text x="29.5" y="{7 + 4.2 * at:.1f}">{_escaped(line)}</text>' for at, line in enumerate(lines))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="60mm" height="30mm" viewBox="0 0 60 30">'
            f'<rect width="60" height="30" fill="#fff"/>'
            f'<g transform="translate(1 1) scale({28 / side:.5f})">{inner}</g>'
            f'<g font-family="monospace" font-size="2.7">{words}</g></svg>\n')


def _escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def save(path: Path, text: str, lines=()) -> None:
    """Write a label for its owner alone: .svg with its lines, .pdf or .png with the code alone."""
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise UserError(f"{path}: a label is a file {', '.join(KINDS)}")
    if kind == ".svg":
        data = svg(text, lines).encode()
    else:
        out = io.BytesIO()
        _code(text).save(out, kind=kind[1:], border=4, **({"scale": 8} if kind == ".png" else {"scale": 4}))
        data = out.getvalue()
    try:
        write(path, data, secret=True)
    except OSError as exc:
        raise UserError(f"{path}: cannot be written: {exc.strerror}") from exc
