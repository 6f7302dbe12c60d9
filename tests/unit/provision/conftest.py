"""A home to provision devices in, and AWS IoT Core as moto plays it, with certificates that are for the right key."""

import datetime

import pytest

from spot_host import aws_iot
from spot_host.home_folder import HomeFolder
from spot_host.secret_files import PASSPHRASE, PASSPHRASE_FILE

ONE, TWO, THREE = "0200000000000001", "0200000000000002", "0200000000000003"
REGION = "eu-central-1"


@pytest.fixture(autouse=True)
def no_passphrase_of_the_user(monkeypatch):
    for name in (PASSPHRASE, PASSPHRASE_FILE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path):
    return HomeFolder.create(tmp_path / "house", "broker.home", 8883, "city")


@pytest.fixture
def aws(monkeypatch, tmp_path):
    """The service: `aws.iot`, a client beside the one under test; `aws.ca`, who signs there."""
    pytest.importorskip("moto", reason="moto (pip install 'moto[iot]')")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from moto import mock_aws
    from moto.iot.models import IoTBackend

    for name, value in {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
                        "AWS_DEFAULT_REGION": REGION, "AWS_CONFIG_FILE": str(tmp_path / "none"),
                        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}.items():
        monkeypatch.setenv(name, value)
    key = ec.generate_private_key(ec.SECP256R1())
    start = datetime.datetime(2025, 1, 1)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "AWS IoT analog")])
    ca = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
          .serial_number(1).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=9000))
          .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))

    def sign(backend, csr, set_as_active):  # moto's own is for a key that nobody has
        asked = x509.load_pem_x509_csr(csr.encode())
        assert asked.is_signature_valid
        cert = (x509.CertificateBuilder().subject_name(asked.subject).issuer_name(name).public_key(asked.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(start)
                .not_valid_after(start + datetime.timedelta(days=8000))
                .add_extension(x509.BasicConstraints(False, None), True).sign(key, hashes.SHA256()))
        pem = cert.public_bytes(serialization.Encoding.PEM).decode()
        return backend.register_certificate(pem, None, set_as_active == "true", "INACTIVE")  # moto hands text on

    monkeypatch.setattr(IoTBackend, "create_certificate_from_csr", sign)

    class Service:
        def __init__(self):
            self.iot, self.ca, self.ca_key = clients(REGION)[0], ca, key

        def state(self):
            """Everything that is there: {kind: names}; certificates with their status."""
            iot = self.iot
            certificates = {c["certificateId"]: c["status"] for c in iot.list_certificates()["certificates"]}
            return {"policies": sorted(p["policyName"] for p in iot.list_policies()["policies"]),
                    "things": sorted(t["thingName"] for t in iot.list_things()["things"]),
                    "certificates": certificates}

    monkeypatch.setattr(aws_iot, "connect", clients)
    monkeypatch.setattr(aws_iot, "_PAUSE_S", 0)
    with mock_aws():
        yield Service()


_clients = []


def clients(region, profile=None):
    """Those of aws_iot.connect, made once: boto3 reads megabytes for each."""
    if not _clients:
        _clients.extend(_connect(region, profile))
    return tuple(_clients)


_connect = aws_iot.connect
