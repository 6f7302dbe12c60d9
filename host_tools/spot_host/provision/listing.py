"""Who is provisioned, with what, and until when: rows for a table or for JSON. No secret is in them."""

import datetime
import hashlib

from cryptography import x509

from ..errors import UserError
from ..pairing import Pairings

SOON_DAYS = 60


def row(home, eui, pairings, now=None) -> dict:
    """One device: eui, board, link, protect, groups, note, serial, expires, days, fingerprint, generation, id."""
    order = home.known(eui)
    now = now or datetime.datetime.now(datetime.UTC)
    found = {"eui": eui, "board": order.board, "link": order.link, "protect": order.protect,
             "groups": list(order.groups or (home.GROUP,)), "note": order.note,
             "backend": "aws" if home.aws and order.link == "mqtt" else "local", "serial": None, "expires": None,
             "days": None, "fingerprint": None, "generation": None, "id": None}
    if order.certified:
        try:
            data = (home.device_folder(eui) / "cert.der").read_bytes()
            cert = x509.load_der_x509_certificate(data)
            ends = cert.not_valid_after_utc
            found.update(serial=f"{cert.serial_number:x}", expires=ends.isoformat(), days=(ends - now).days,
                         fingerprint=hashlib.sha256(data).hexdigest())
        except (OSError, ValueError):
            found["expires"] = "missing"
    if order.paired and eui in pairings:
        newest = pairings.generations(eui)[-1]
        found.update(generation=newest.generation, id=newest.id.hex())
    return found


def rows(home, expiring=None, now=None) -> list[dict]:
    """All devices in the order of their making; expiring: only those whose certificate ends within so many days."""
    pairings = Pairings(home.folder / "pairings.json")
    found = [row(home, eui, pairings, now) for eui in home.orders]
    if expiring is None:
        return found
    return [one for one in found if one["expires"] == "missing" or one["days"] is not None and one["days"] <= expiring]


def servers(home, now=None) -> list[dict]:
    """The home's own certificates: authority, broker, EMD, CoAP."""
    now = now or datetime.datetime.now(datetime.UTC)
    found = []
    folder = home.folder / "aws" if home.aws else home.pki.folder
    files = [("authority", home.pki.ca)]
    files += [(home.aws["emd"], folder / f"{home.aws['emd']}.pem")] if home.aws else [
        (name, folder / f"{name}.pem") for name in ("broker", "emd", "coap")]
    for name, path in files:
        if path.exists():
            try:
                cert = x509.load_pem_x509_certificate(path.read_bytes())
            except ValueError as exc:
                raise UserError(f"{path}: no certificate") from exc
            ends = cert.not_valid_after_utc
            found.append({"name": name, "expires": ends.isoformat(), "days": (ends - now).days})
    return found
