"""What is wrong with the certificates, keys and pairing that a device's config.json names, found before it is flashed.

A device could only say "tls: refused": here each is one line with file and field.
"""

import datetime
import re
import time
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from spot.config import ConfigError, associations, load_json
from spot.config_check import load_pairing
from spot_host.errors import UserError

_KINDS = ("mqtt", "coap")
_MOST = 1 << 20  # octets of a description or a configuration


def wrong_files(config: dict, file, folder=None, authority=None, now=None, another_ca=False) -> list[ConfigError]:
    """Everything that is wrong with the files that a checked `config` (read from `file`) names; [] when nothing is.

    folder: where its names are, when they are no whole paths; default: beside `file`. authority: certificate of the
    home's CA, which must have signed the device's; without it that of `ca`, unless `another_ca`. Where none of the
    files is there, nothing is looked at: such a configuration is checked before it is given any.
    """
    folder = Path(file).resolve().parent if folder is None else Path(folder)
    now = datetime.datetime.now(datetime.UTC) if now is None else now
    found = []
    for at, one in enumerate(associations(config)):
        for kind in _KINDS:
            if kind in one:
                where = f"associations.{at}.{kind}." if "associations" in config else f"{kind}."
                found += _Section(one[kind], str(file), where, folder, now).wrong(config, authority, another_ca)
    return found


def load_small(file) -> dict:
    """The JSON object in `file`, whatever lies there instead. UserError."""
    try:
        with open(file, "rb") as there:
            if len(there.read(_MOST + 1)) > _MOST:
                raise UserError(f"{file}: is no configuration: it has over {_MOST} octets")
        return load_json(str(file))
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except ConfigError as error:
        raise UserError(str(error)) from None


class _Section:
    """One link of a configuration and the files it names."""

    def __init__(self, section, file, where, folder, now):
        self.section, self.file, self.where, self.now = section, file, where, now
        self.paths = {name: folder / section[name] for name in ("ca", "cert", "key", "pairing") if name in section}

    def _error(self, name, want):
        return ConfigError(self.file, self.where + name, want)

    def wrong(self, config, authority, another_ca):
        if not any(path.exists() for path in self.paths.values()):
            return []
        errors, read = [], {}
        readers = {"ca": _certificate, "cert": _certificate, "key": _key, "pairing": None}
        for name, path in self.paths.items():
            if not path.exists():
                errors.append(self._error(name, f"a file that is there: {path.name} is not"))
            elif readers[name] is not None:
                try:
                    read[name] = readers[name](path.read_bytes())
                except (OSError, ValueError, TypeError):
                    what = "an ECDSA P-256 key without a passphrase" if name == "key" else "a certificate"
                    errors.append(self._error(name, f"{what} in DER or PEM: {path.name} is none"))
        if "pairing" in self.paths and self.paths["pairing"].exists():
            errors += self._pairing()
        return errors + self._dates(read) + self._fit(read, config, authority, another_ca)

    def _dates(self, read):
        errors = []
        for name in ("ca", "cert"):
            if name in read:
                first, last = read[name].not_valid_before_utc, read[name].not_valid_after_utc
                if not first <= self.now <= last:
                    said = f"ended on {last:%Y-%m-%d}" if self.now > last else f"begins on {first:%Y-%m-%d}"
                    errors.append(self._error(name, f"good today: {self.paths[name].name} {said}"))
        return errors

    def _fit(self, read, config, authority, another_ca):
        errors = []
        ca, cert, key = read.get("ca"), read.get("cert"), read.get("key")
        if ca is not None and not _is_authority(ca):
            errors.append(self._error("ca", f"the certificate of an authority: {self.paths['ca'].name} is that of "
                                            f"{_common(ca)!r}"))
            ca = None
        if cert is None:
            return errors
        if key is not None and key.public_key() != cert.public_key():
            names = self.paths["cert"].name, self.paths["key"].name
            errors.append(self._error("key", "the key of {}: {} does not match it".format(*names)))
        signer = authority if authority is not None else None if another_ca else ca
        if signer is not None and not _signed_by(cert, signer):
            whose = "the home's CA" if authority is not None else self.paths["ca"].name
            said = f"{self.paths['cert'].name} is by {_issuer(cert)!r}"
            errors.append(self._error("cert", f"signed by {whose}, {_common(signer)!r}: {said}"))
        name, eui = _common(cert), config.get("eui64", "").lower()
        if re.fullmatch("[0-9A-Fa-f]{16}", name) and name.lower() != eui:
            errors.append(self._error("cert", f"that of eui64, {eui}: {self.paths['cert'].name} is that of {name}"))
        return errors

    def _pairing(self):
        path = self.paths["pairing"]
        try:
            pairing = load_pairing(str(path))
        except ConfigError as error:
            return [error]
        until = pairing.get("until")
        if until is not None and until < self.now.timestamp() and not pairing.get("generation"):
            day = time.strftime("%Y-%m-%d", time.gmtime(until))
            return [self._error("pairing", f"good today: the secret of {path.name} had to be used by {day}")]
        return []


def _certificate(data):
    if data.lstrip().startswith(b"-----"):
        return x509.load_pem_x509_certificate(data)
    return x509.load_der_x509_certificate(data)


def _key(data):
    load = serialization.load_pem_private_key if data.lstrip().startswith(b"-----") else (
        serialization.load_der_private_key)
    key = load(data, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError
    return key


def _is_authority(cert):
    try:
        return cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return cert.issuer == cert.subject  # of version 1
    except ValueError:
        return False


def _signed_by(cert, authority):
    try:
        cert.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _common(cert):
    return _first(cert.subject)


def _issuer(cert):
    return _first(cert.issuer)


def _first(name):
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME) or list(name)
    return str(found[0].value) if found else ""
