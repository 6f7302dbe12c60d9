"""Certificates, keys and pairing secrets that are wrong, once, and the line that says so: `file: line`.

tests/unit/provision/test_wrong_files.py runs each with `spot provision show`, `spot check` and `spot flash --config`.
"""

import datetime
import json
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from spot_host.pki import Pki

ONE = "0200000000000001"
TWO = "0200000000000002"
PAST = datetime.datetime(2025, 6, 1, tzinfo=datetime.UTC)


def _aws(**values):
    def spoil(home, at):
        config = json.loads((at / "config.json").read_text())
        config["mqtt"].update(values)
        (at / "config.json").write_text(json.dumps(config))
    return spoil


def expired(home, at):
    (at / "cert.der").write_bytes(home.pki.issue(ONE, not_after=PAST).cert_der.read_bytes())
    (at / "key.der").write_bytes((home.pki.folder / f"{ONE}.key.der").read_bytes())


def future(home, at):
    start = datetime.datetime(2045, 1, 1, tzinfo=datetime.UTC)
    identity = home.pki.issue(ONE, not_before=start)
    (at / "cert.der").write_bytes(identity.cert_der.read_bytes())
    (at / "key.der").write_bytes(identity.key_der.read_bytes())


def another_key(home, at):
    (at / "key.der").write_bytes(home.pki.device(TWO).key_der.read_bytes())


def another_device(home, at):
    identity = home.pki.device(TWO)
    (at / "cert.der").write_bytes(identity.cert_der.read_bytes())
    (at / "key.der").write_bytes(identity.key_der.read_bytes())


def another_authority(home, at):
    identity = Pki(home.folder / "other", "Other CA").device(ONE)
    (at / "cert.der").write_bytes(identity.cert_der.read_bytes())
    (at / "key.der").write_bytes(identity.key_der.read_bytes())


def no_authority(home, at):
    (at / "ca.der").write_bytes((home.pki.folder / "broker.der").read_bytes())


def torn(name):
    return lambda home, at: (at / name).write_bytes((at / name).read_bytes()[:60])


def rsa_key(home, at):
    key = rsa.generate_private_key(65537, 2048)
    (at / "key.der").write_bytes(key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def late(home, at):
    pairing = json.loads((at / "pairing.json").read_text())
    (at / "pairing.json").write_text(json.dumps({**pairing, "until": 1_750_000_000}))


@dataclass
class Identity:
    """what: the sentence; spoil(home, folder of device ONE); says: the lines behind the name of config.json, {} for the
    authority. anybodys: `spot flash` takes it, since a broker may have another authority than the device."""

    what: str
    spoil: object
    says: tuple
    anybodys: bool = False


ROWS = (
    Identity("a certificate that has expired", expired, ("mqtt.cert: must be good today: cert.der ended on "
             "2025-06-01",)),
    Identity("one that begins in 2045", future, ("mqtt.cert: must be good today: cert.der begins on 2045-01-01",)),
    Identity("a key that is another's", another_key, ("mqtt.key: must be the key of cert.der: key.der does not match "
             "it",)),
    Identity("certificate and key of another device", another_device,
             (f"mqtt.cert: must be that of eui64, {ONE}: cert.der is that of {TWO}",)),
    Identity("a certificate of another authority", another_authority,
             ("mqtt.cert: must be signed by {}, 'SPOT local CA': cert.der is by 'Other CA'",), anybodys=True),
    Identity("a server's certificate for the authority's", no_authority,
             ("mqtt.ca: must be the certificate of an authority: ca.der is that of 'broker.home'",)),
    Identity("a certificate that was torn", torn("cert.der"),
             ("mqtt.cert: must be a certificate in DER or PEM: cert.der is none",)),
    Identity("an authority's that was torn", torn("ca.der"),
             ("mqtt.ca: must be a certificate in DER or PEM: ca.der is none",)),
    Identity("a key that was torn", torn("key.der"),
             ("mqtt.key: must be an ECDSA P-256 key without a passphrase in DER or PEM: key.der is none",)),
    Identity("an RSA key", rsa_key,
             ("mqtt.key: must be an ECDSA P-256 key without a passphrase in DER or PEM: key.der is none",)),
    Identity("a key that is not there", lambda home, at: (at / "key.der").unlink(),
             ("mqtt.key: must be a file that is there: key.der is not",)),
    Identity("a pairing secret past its day", late,
             ("mqtt.pairing: must be good today: the secret of pairing.json had to be used by 2025-06-15",)),
    Identity("a pairing secret that was torn", torn("pairing.json"), ("is not JSON: torn or mistyped",)),
    Identity("a port and a keep-alive that AWS IoT Core does not take", _aws(
             host="x-ats.iot.eu-central-1.amazonaws.com", keepalive=20, port=443),
             ("mqtt.port: must be 8883 with AWS IoT Core: its port 443 wants ALPN, which MicroPython 1.25 has not",
              "mqtt.keepalive: must be 30 to 1200 s with AWS IoT Core, not 20"), anybodys=True),
    Identity("an endpoint of the old kind there", _aws(host="x.iot.eu-central-1.amazonaws.com"),
             ("mqtt.host: must be the endpoint with -ats in its name: the other's certificate is by a retired "
              "authority",), anybodys=True),
    Identity("two faults at once", lambda home, at: (expired(home, at), late(home, at)),
             ("mqtt.pairing: must be good today: the secret of pairing.json had to be used by 2025-06-15",
              "mqtt.cert: must be good today: cert.der ended on 2025-06-01")),
)
