"""What is wrong with certificates, keys and pairing is found on the host: one line each, with file and field."""

import datetime
import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from spot_host.device_files import Order
from spot_host.errors import UserError
from spot_host.pki import Pki
from spot_host.provision import certificates, outfit
from tests.conftest import ROOT
from tests.unit.provision.conftest import ONE, TWO

PAST = datetime.datetime(2025, 6, 1, tzinfo=datetime.UTC)


def change(at, name, value):
    config = json.loads((at / "config.json").read_text())
    config["mqtt"][name] = value
    (at / "config.json").write_text(json.dumps(config))


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


WRONG = [
    (expired, ["mqtt.cert: must be good today: cert.der ended on 2025-06-01"]),
    (future, ["mqtt.cert: must be good today: cert.der begins on 2045-01-01"]),
    (another_key, ["mqtt.key: must be the key of cert.der: key.der does not match it"]),
    (another_device, [f"mqtt.cert: must be that of eui64, {ONE}: cert.der is that of {TWO}"]),
    (another_authority, ["mqtt.cert: must be signed by {}, 'SPOT local CA': cert.der is by 'Other CA'"]),
    (no_authority, ["mqtt.ca: must be the certificate of an authority: ca.der is that of 'broker.home'"]),
    (torn("cert.der"), ["mqtt.cert: must be a certificate in DER or PEM: cert.der is none"]),
    (torn("ca.der"), ["mqtt.ca: must be a certificate in DER or PEM: ca.der is none"]),
    (torn("key.der"), ["mqtt.key: must be an ECDSA P-256 key without a passphrase in DER or PEM: key.der is none"]),
    (rsa_key, ["mqtt.key: must be an ECDSA P-256 key without a passphrase in DER or PEM: key.der is none"]),
    (lambda home, at: (at / "key.der").unlink(), ["mqtt.key: must be a file that is there: key.der is not"]),
    (late, ["mqtt.pairing: must be good today: the secret of pairing.json had to be used by 2025-06-15"]),
    (torn("pairing.json"), ["is not JSON: torn or mistyped"]),
    (lambda home, at: change(at, "host", "x-ats.iot.eu-central-1.amazonaws.com") or change(at, "keepalive", 20)
     or change(at, "port", 443),
     ["mqtt.port: must be 8883 with AWS IoT Core: its port 443 wants ALPN, which MicroPython 1.25 has not",
      "mqtt.keepalive: must be 30 to 1200 s with AWS IoT Core, not 20"]),
    (lambda home, at: change(at, "host", "x.iot.eu-central-1.amazonaws.com"),
     ["mqtt.host: must be the endpoint with -ats"]),
    (lambda home, at: (expired(home, at), another_authority(home, at), late(home, at)),
     ["mqtt.pairing: must be good today", "mqtt.cert: must be signed by {}"]),
]


@pytest.fixture
def device(home):
    return home.provision(Order(ONE, "pico_w_plug", protect="both"))[0]


def spot(*words):
    return subprocess.run([sys.executable, "-m", "spot_host.cli", *map(str, words)], capture_output=True, text=True,
                          cwd=ROOT)


@pytest.mark.parametrize("spoil, says", WRONG, ids=[" + ".join(row[1])[:60] for row in WRONG])
def test_each_fault_is_a_line_of_provision(home, device, spoil, says):
    spoil(home, device)
    found = outfit.wrong(home, ONE)
    assert len(found) == len(says), found
    for line, words in zip(found, says, strict=True):
        assert words.format("the home's CA") in line and line.startswith(str(device)) and "\n" not in line
    with pytest.raises(UserError):
        outfit.export(home, ONE, home.folder / "out")
    assert not (home.folder / "out").exists()


@pytest.mark.parametrize("spoil, says", [WRONG[0], WRONG[2], WRONG[3], WRONG[4], WRONG[13]],
                         ids=["expired", "key", "eui", "authority", "service"])
def test_each_fault_is_a_line_of_check(home, device, spoil, says):
    spoil(home, device)
    done = spot("check", device / "config.json")
    assert done.returncode == 2 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == len(says)
    for line, words in zip(lines, says, strict=True):
        assert words.format("ca.der") in line and str(device / "config.json") in line


def test_what_is_right_has_no_line(home, device):
    assert outfit.wrong(home, ONE) == []
    assert spot("check", device / "config.json").returncode == 0


def test_a_broker_of_another_authority_is_said(home, device):
    (device / "ca.der").write_bytes(Pki(home.folder / "other", "Other CA").ca_der.read_bytes())
    assert "signed by ca.der, 'Other CA'" in spot("check", device / "config.json").stderr
    assert spot("check", "--another-ca", device / "config.json").returncode == 0


def test_a_revoked_certificate(home, device):
    home.pki.revoke(ONE)
    assert outfit.wrong(home, ONE) == [f"{device / 'config.json'}: mqtt.cert: must be one that is not revoked; "
                                       "`spot provision rotate --certificate` makes another"]
    home.renew(ONE)
    assert outfit.wrong(home, ONE) == []


def test_an_eui_that_is_not_its_folders(home, device):
    config = json.loads((device / "config.json").read_text())
    (device / "config.json").write_text(json.dumps({**config, "eui64": TWO}))
    found = outfit.wrong(home, ONE)
    assert f"mqtt.cert: must be that of eui64, {TWO}" in found[0] and f"eui64: must be {ONE}" in found[1]


def test_a_configuration_without_its_files_is_checked_for_itself(home, device, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes((device / "config.json").read_bytes())
    assert certificates.wrong_files(json.loads(path.read_text()), path) == []
    (tmp_path / "ca.der").write_bytes((device / "ca.der").read_bytes())
    assert len(certificates.wrong_files(json.loads(path.read_text()), path)) == 3


def test_associations_are_looked_at_each(home, device):
    config = json.loads((device / "config.json").read_text())
    another_key(home, device)
    both = {**{name: config[name] for name in ("board", "eui64", "store")},
            "associations": [{"name": "home", "mqtt": config["mqtt"]}, {"name": "city", "mqtt": config["mqtt"]}]}
    found = certificates.wrong_files(both, device / "config.json")
    assert [error.field for error in found] == ["associations.0.mqtt.key", "associations.1.mqtt.key"]


# --- what goes out

@pytest.mark.parametrize("name", ["out", "out.tar", "out.tar.gz", "out.tgz"])
def test_an_export_is_whole_plain_and_made_once(home, name):
    import tarfile

    at, _ = home.provision(Order(ONE, "unix", protect="both"))
    to = home.folder / name
    assert outfit.export(home, ONE, to) is True and outfit.export(home, ONE, to) is False
    if name == "out":
        got = {path.name: path.read_bytes() for path in to.iterdir()}
        assert {path.stat().st_mode & 0o777 for path in to.iterdir()} == {0o600}
    else:
        assert to.stat().st_mode & 0o777 == 0o600
        with tarfile.open(to) as tar:
            assert {entry.mode for entry in tar} == {0o600}
            got = {entry.name: tar.extractfile(entry).read() for entry in tar}
    assert set(got) == {"config.json", "ca.der", "cert.der", "key.der", "pairing.json"}
    config = json.loads(got["config.json"])
    assert config["store"] == "store" and config["mqtt"]["key"] == "key.der" and "boards" not in config
    assert str(home.folder) not in got["config.json"].decode()
    assert all(got[part] == (at / part).read_bytes() for part in got if part != "config.json")
    home.renew(ONE)
    with pytest.raises(UserError, match="something else"):
        outfit.export(home, ONE, to)
