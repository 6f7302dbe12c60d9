"""A local certificate authority: ECDSA P-256 certificates for devices, EMD and broker, and their revocation list.

Layout of its folder: `ca.pem`, `ca.der`, `ca.key`, `crl.pem`, `index.json`, and `<name>.pem|.der|.key|.key.der` for
each identity. Chips read the DER files (smaller, and some ports read nothing else), mosquitto and paho-mqtt PEM.
Keys are 0600 in a folder of 0700, and what is wider is refused. `ca.key` may have a passphrase: it is asked for when
something is signed, not before.
"""

import contextlib
import datetime
import ipaddress
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .errors import UserError
from .secret_files import Passphrase, check_private
from .secret_files import write as _write

UTC = datetime.UTC
# Backdated: a device whose clock is only its persisted floor must find the broker's certificate valid.
EPOCH = datetime.datetime(2025, 1, 1, tzinfo=UTC)
_CA_LIFE = datetime.timedelta(days=365 * 25)
_LIFE = datetime.timedelta(days=365 * 20)  # of devices: as long as the appliance may live
_SERVER_LIFE = datetime.timedelta(days=365 * 5)


@dataclass(frozen=True)
class Identity:
    """The files of one certificate and its key; `name` is its common name, the user name at the broker."""

    name: str
    cert: Path
    key: Path
    cert_der: Path
    key_der: Path
    serial: int


def _now():
    return datetime.datetime.now(UTC)


def _name(common):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SPOT"),
                      x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Pki:
    """The authority in `folder`, made there when there is none. UserError for a folder that holds half of one, or whose
    keys others can read.

    passphrase: called when the key of the authority is encrypted (secret_files.Passphrase); `new_passphrase` encrypts
    the one that is made.
    """

    def __init__(self, folder, name="SPOT local CA", passphrase=None, new_passphrase: bytes | None = None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ca = self.folder / "ca.pem"
        self.ca_der = self.folder / "ca.der"
        self.crl = self.folder / "crl.pem"
        self._key_file = self.folder / "ca.key"
        self._index_file = self.folder / "index.json"
        self._passphrase = passphrase or Passphrase()
        self._key = None
        self._batch = 0
        if self._key_file.exists() != self.ca.exists():
            raise UserError(f"{self.folder}: ca.pem and ca.key belong together, and one of them is missing. "
                            "Restore it, or delete the folder and issue all certificates again.")
        if self.ca.exists():
            keys = sorted(entry.path for entry in os.scandir(self.folder) if entry.name.endswith((".key", ".key.der")))
            check_private(self.folder, *keys)
            try:
                self._cert = x509.load_pem_x509_certificate(self.ca.read_bytes())
                self._index = json.loads(self._index_file.read_text()) if self._index_file.exists() else {}
            except (OSError, ValueError) as exc:
                raise UserError(f"{self.folder}: ca.pem or index.json is damaged, put back your copy: {exc}") from exc
        else:
            check_private(self.folder)
            self._create(name, new_passphrase)
        if not self.crl.exists():
            self._write_crl()

    @property
    def encrypted(self) -> bool:
        """Whether the authority's key has a passphrase."""
        return b"ENCRYPTED" in self._key_file.read_bytes()[:60]

    @property
    def key(self):
        """The authority's key. UserError: a wrong passphrase, a damaged file, or that of another authority."""
        if self._key is None:
            text = self._key_file.read_bytes()
            said = self._passphrase(str(self._key_file)) if self.encrypted else None
            try:
                key = serialization.load_pem_private_key(text, said)
            except (ValueError, TypeError) as exc:
                why = "the passphrase is wrong" if said else "damaged; put back your copy"
                raise UserError(f"{self._key_file}: {why}") from exc
            if key.public_key() != self._cert.public_key():
                raise UserError(f"{self._key_file}: not the key of {self.ca.name}; put back your copy")
            self._key = key
        return self._key

    def encrypt(self, passphrase: bytes) -> None:
        """Write the authority's key again, under this passphrase."""
        _write(self._key_file, _pem(self.key, passphrase), secret=True, durable=True)

    @property
    def certificate(self) -> x509.Certificate:
        """The authority's own."""
        return self._cert

    @contextlib.contextmanager
    def batch(self):
        """Many certificates: the index is written once, at the end, whatever ends it."""
        self._batch += 1
        try:
            yield self
        finally:
            self._batch -= 1
            self._write_index()

    def _create(self, name, passphrase):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._index = {}
        usage = x509.KeyUsage(digital_signature=False, content_commitment=False, key_encipherment=False,
                              data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
                              encipher_only=False, decipher_only=False)
        public = self._key.public_key()
        self._cert = (
            x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(name)).public_key(public)
            .serial_number(x509.random_serial_number()).not_valid_before(EPOCH).not_valid_after(EPOCH + _CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        _write(self._key_file, _pem(self._key, passphrase), secret=True, durable=True)
        _write(self.ca_der, self._cert.public_bytes(serialization.Encoding.DER))
        _write(self.ca, self._cert.public_bytes(serialization.Encoding.PEM), durable=True)

    def device(self, eui64: str, **options) -> Identity:
        """Certificate of a device; its common name is the EUI-64 in 16 hexadecimal digits, lower case."""
        if len(eui64) != 16 or set(eui64) - set("0123456789abcdef"):
            raise UserError(f"{eui64!r}: an EUI-64 is 16 hexadecimal digits, lower case")
        return self.issue(eui64, **options)

    def emd(self, name="emd", **options) -> Identity:
        """Certificate of an energy management device, or of another client that the access rules know by `name`."""
        return self.issue(name, **options)

    def broker(self, hosts=("localhost", "127.0.0.1"), name="broker", **options) -> Identity:
        """Certificate of a broker that is reached under `hosts` (names or addresses), backdated to 2025-01-01."""
        return self.issue(name, hosts=tuple(hosts), **options)

    def issue(self, name, hosts=(), not_before=None, not_after=None) -> Identity:
        """Issue a certificate; for a server when `hosts` are given, else for a client. Replaces an earlier one.

        `not_before` and `not_after` are for tests and short-lived certificates; without them: from 2025-01-01, 20 years
        (clients) or 5 years from now (servers).
        """
        serial = x509.random_serial_number()
        identity = self._paths(name, serial)
        self.key  # noqa: B018 - refused before anything is replaced
        key = ec.generate_private_key(ec.SECP256R1())
        start = not_before or EPOCH
        end = not_after or min(_now() + (_SERVER_LIFE if hosts else _LIFE), EPOCH + _CA_LIFE)
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            x509.CertificateBuilder().subject_name(_name(hosts[0] if hosts else name)).issuer_name(self._cert.subject)
            .public_key(key.public_key()).serial_number(serial).not_valid_before(start).not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), False)
        cert = builder.sign(self.key, hashes.SHA256())
        _write(identity.key, _pem(key), secret=True)
        _write(identity.key_der, key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()),
            secret=True)
        _write(identity.cert, cert.public_bytes(serialization.Encoding.PEM))
        _write(identity.cert_der, cert.public_bytes(serialization.Encoding.DER))
        record = self._index.setdefault(name, {"serials": [], "revoked": {}})
        record["serials"].append(f"{serial:x}")
        self._write_index()
        return identity

    def reissue(self, name) -> Identity:
        """A new certificate under the names that the one of `name` has; UserError when there is none."""
        cert = x509.load_pem_x509_certificate(self.identity(name).cert.read_bytes())
        try:
            names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return self.issue(name)
        return self.issue(name, tuple(str(one.value) for one in names))

    def ensure(self, name, hosts=(), days=0) -> tuple[Identity, bool]:
        """(identity, whether it was made now): the latest certificate of `name` where it is whole, not revoked and good
        for `days` more, else a new one.

        One that an interrupted run left beside the index, signed by this authority, is taken into it.
        """
        found = self._found(name, hosts, days)
        return (found, False) if found else (self.issue(name, hosts), True)

    def _found(self, name, hosts, days):
        identity = self._paths(name, 0)
        if not identity.cert.exists():
            return None
        try:
            cert = x509.load_pem_x509_certificate(identity.cert.read_bytes())
            key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
            whole = (
                cert.public_key() == key.public_key()
                and identity.cert_der.read_bytes() == cert.public_bytes(serialization.Encoding.DER)
                and serialization.load_der_private_key(identity.key_der.read_bytes(), None).public_key()
                == key.public_key()
            )
            cert.verify_directly_issued_by(self._cert)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return None
        serial = f"{cert.serial_number:x}"
        record = self._index.get(name, {"serials": [], "revoked": {}})
        ends = cert.not_valid_after_utc - datetime.timedelta(days=days)
        if cert.subject != _name(hosts[0] if hosts else name):
            return None
        if not whole or serial in record["revoked"] or ends < _now():
            return None
        if serial not in record["serials"]:
            record["serials"].append(serial)
            self._index[name] = record
            self._write_index()
        return self._paths(name, cert.serial_number)

    def identity(self, name) -> Identity:
        """The latest certificate of `name`; UserError when there is none."""
        record = self._index.get(name)
        if not record:
            raise UserError(f"{name}: no certificate in {self.folder}")
        return self._paths(name, int(record["serials"][-1], 16))

    def has(self, name) -> bool:
        """Whether a certificate was ever issued to `name`."""
        return name in self._index

    def is_revoked(self, name) -> bool:
        """Whether the latest certificate of `name` is revoked."""
        record = self._index.get(name)
        return bool(record) and record["serials"][-1] in record["revoked"]

    def is_revoked_serial(self, name, serial: int) -> bool:
        """Whether this certificate of `name` is revoked."""
        return f"{serial:x}" in self._index.get(name, {"revoked": ()})["revoked"]

    def revoke(self, name, but_latest=False) -> int:
        """Revoke every certificate of `name` (but the latest), and write the list, which the broker must then reload
        (Broker.revoke). How many were good until now."""
        self.identity(name)
        self.key  # noqa: B018 - refused before anything changes
        record = self._index[name]
        before = len(record["revoked"])
        for serial in record["serials"][:-1] if but_latest else record["serials"]:
            record["revoked"].setdefault(serial, _now().isoformat(timespec="seconds"))
        self._write_index()
        self._write_crl()
        return len(record["revoked"]) - before

    def _paths(self, name, serial):
        if not re.fullmatch("[A-Za-z0-9_-]+", name) or name == "ca":
            raise UserError(f"{name!r}: letters, digits, - and _ name a certificate")
        at = self.folder / name
        return Identity(name, at.with_suffix(".pem"), at.with_suffix(".key"), at.with_suffix(".der"),
                        at.with_suffix(".key.der"), serial)

    def _write_index(self):
        if not self._batch:
            _write(self._index_file, json.dumps(self._index, indent=1).encode(), durable=True)

    def _write_crl(self):
        # Valid as long as the CA: a list that lapses would lock every device out.
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self._cert.subject)
                   .last_update(_now() - datetime.timedelta(minutes=5)).next_update(self._cert.not_valid_after_utc))
        for record in self._index.values():
            for serial, when in record["revoked"].items():
                builder = builder.add_revoked_certificate(
                    x509.RevokedCertificateBuilder().serial_number(int(serial, 16))
                    .revocation_date(datetime.datetime.fromisoformat(when)).build())
        crl = builder.sign(self.key, hashes.SHA256())
        _write(self.crl, crl.public_bytes(serialization.Encoding.PEM))


def _pem(key, passphrase=None):
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def _general_name(host):
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
