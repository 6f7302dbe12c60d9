"""The local authority: what its certificates say, its revocation list, its files."""

import datetime
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from spot_host.errors import UserError
from spot_host.pki import EPOCH, Pki

DEVICE = "02005e10000000a1"


def certificate(identity):
    return x509.load_pem_x509_certificate(identity.cert.read_bytes())


def test_device_and_broker_certificates(tmp_path):
    pki = Pki(tmp_path)
    device, broker = certificate(pki.device(DEVICE)), certificate(pki.broker(("home.example", "192.0.2.1")))
    authority = x509.load_pem_x509_certificate(pki.ca.read_bytes())
    for cert, usage in ((device, ExtendedKeyUsageOID.CLIENT_AUTH), (broker, ExtendedKeyUsageOID.SERVER_AUTH)):
        cert.verify_directly_issued_by(authority)
        assert isinstance(cert.public_key().curve, ec.SECP256R1)
        assert list(cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [usage]
        assert not cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert device.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == DEVICE
    names = broker.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["home.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1"]
    assert broker.not_valid_before_utc == EPOCH  # a clock that is only a floor finds it valid
    assert broker.not_valid_after_utc > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1000)


def test_der_and_pem_are_the_same(tmp_path):
    identity = Pki(tmp_path).device(DEVICE)
    assert x509.load_der_x509_certificate(identity.cert_der.read_bytes()) == certificate(identity)
    assert certificate(identity).serial_number == identity.serial


def test_keys_are_for_their_owner_alone(tmp_path):
    pki = Pki(tmp_path / "pki")
    identity = pki.device(DEVICE)
    for path in (identity.key, identity.key_der, tmp_path / "pki" / "ca.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700


def test_it_is_found_again(tmp_path):
    first = Pki(tmp_path)
    identity = first.device(DEVICE)
    first.revoke(DEVICE)
    again = Pki(tmp_path)
    assert again.identity(DEVICE) == identity and again.is_revoked(DEVICE)
    certificate(again.emd()).verify_directly_issued_by(x509.load_pem_x509_certificate(first.ca.read_bytes()))


def test_revocation(tmp_path):
    """All certificates of a name are on the list, others are not; one that is issued afterwards is good."""
    pki = Pki(tmp_path)
    first, second, other = pki.device(DEVICE), pki.device(DEVICE), pki.emd()
    pki.revoke(DEVICE)
    crl = x509.load_pem_x509_crl(pki.crl.read_bytes())
    assert {entry.serial_number for entry in crl} == {first.serial, second.serial}
    assert crl.is_signature_valid(x509.load_pem_x509_certificate(pki.ca.read_bytes()).public_key())
    assert crl.next_update_utc > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3650)
    assert pki.is_revoked(DEVICE) and not pki.is_revoked("emd")
    third = pki.device(DEVICE)
    assert not pki.is_revoked(DEVICE) and crl.get_revoked_certificate_by_serial_number(third.serial) is None
    assert crl.get_revoked_certificate_by_serial_number(other.serial) is None


@pytest.mark.parametrize("name", ["", "../x", "a b", "a/b", "ca", "a\n"])
def test_bad_names(tmp_path, name):
    with pytest.raises(UserError):
        Pki(tmp_path).issue(name)


@pytest.mark.parametrize("eui64", ["", "02005E10000000A1", "02005e10000000a", "zz005e10000000a1"])
def test_bad_eui64(tmp_path, eui64):
    with pytest.raises(UserError, match="16 hexadecimal"):
        Pki(tmp_path).device(eui64)


def test_half_an_authority(tmp_path):
    Pki(tmp_path)
    (tmp_path / "ca.key").unlink()
    with pytest.raises(UserError, match="one of them is missing"):
        Pki(tmp_path)


def test_nobody_of_that_name(tmp_path):
    with pytest.raises(UserError, match="no certificate"):
        Pki(tmp_path).revoke(DEVICE)
