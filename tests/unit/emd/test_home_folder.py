"""A home's folder: what `spot emd init`, `enroll` and `revoke` leave there is what broker, EMD and device accept."""

import json
import stat

import pytest
from cryptography import x509

from spot.config_check import check_device_config, check_files
from spot_host.emd.config import load
from spot_host.errors import UserError
from spot_host.home_folder import HomeFolder
from spot_host.pairing import Pairings
from spot_host.pki import Pki

PLUG, PUMP = "0200000000000001", "0200000000000002"


@pytest.fixture
def home(tmp_path):
    return HomeFolder.create(tmp_path / "house", "broker.home", 8884, "city")


def test_the_emd_takes_its_settings(home):
    settings = load(home.folder / "emd.toml")
    assert (settings.utility, settings.group, settings.mqtt.port) == ("city", "1", 8884)
    for path in (settings.mqtt.ca, settings.mqtt.cert, settings.mqtt.key):
        assert open(path, "rb").read(1)


@pytest.mark.parametrize("host, listens", [("broker.home", "0.0.0.0"), ("192.168.1.2", "0.0.0.0"),
                                           ("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1")])
def test_the_broker_listens_and_is_certified_for_its_host(tmp_path, host, listens):
    home = HomeFolder.create(tmp_path, host, 8883, "home")
    assert f"listener 8883 {listens}\n" in (tmp_path / "broker" / "mosquitto.conf").read_text()
    certificate = x509.load_pem_x509_certificate(home.pki.identity("broker").cert.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    assert sorted({host, "localhost", "127.0.0.1"}) == sorted(known)


@pytest.mark.parametrize("board, device_class, here", [("unix", "plug", True), ("unix_heat_pump", "heat_pump", True),
                                                       ("pico_w_plug", "plug", False)])
def test_a_device_takes_its_configuration(home, board, device_class, here, monkeypatch):
    at = home.enroll(PLUG, board)
    config = json.loads((at / "config.json").read_text())
    check_device_config(config)
    if not here:
        monkeypatch.chdir(at)  # a chip finds them beside its main.py
    check_files(config)
    assert config["mqtt"]["host"] == "broker.home"
    assert stat.S_IMODE((at / "key.der").stat().st_mode) == 0o600
    certificate = x509.load_der_x509_certificate((at / "cert.der").read_bytes())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(home.pki.ca.read_bytes()))
    rules = (home.folder / "broker" / "acl").read_text()
    assert f"user {PLUG}\ntopic write der/city/{device_class}/{PLUG}/" in rules
    assert "topic read der/city/group/1/" in rules


def test_revocation_takes_rights_and_certificate_and_allows_a_new_one(home):
    home.enroll(PLUG, "unix")
    home.enroll(PUMP, "unix_heat_pump")
    home.revoke(PLUG)
    rules = (home.folder / "broker" / "acl").read_text()
    assert PLUG not in rules and PUMP in rules
    assert Pki(home.folder / "pki").is_revoked(PLUG)
    again = HomeFolder(home.folder)
    assert list(again.boards) == [PUMP]
    assert Pairings(home.folder / "pairings.json").revoked == {PLUG}  # what a running EMD reads, also without a secret
    again.enroll(PLUG, "unix")
    assert Pairings(home.folder / "pairings.json").revoked == set()
    assert not Pki(home.folder / "pki").is_revoked(PLUG)
    assert PLUG in (home.folder / "broker" / "acl").read_text()


WRONG = [
    ("a second home in one folder", lambda h: HomeFolder.create(h.folder, "a", 8883, "home"), "a home already"),
    ("no home", lambda h: HomeFolder(h.folder / "pki"), "spot emd init"),
    ("a port that is none", lambda h: HomeFolder.create(h.folder / "b", "a", 70000, "home"), "--port: 70000"),
    ("a utility of two levels", lambda h: HomeFolder.create(h.folder / "c", "a", 8883, "a/b"), "level of a topic"),
    ("a host that is none", lambda h: HomeFolder.create(h.folder / "c", "a b", 8883, "home"), "no name or address"),
    ("a board that is none", lambda h: h.enroll(PLUG, "esp99"), "is none of .*pico, "),
    ("the simulator's board", lambda h: h.enroll(PLUG, "sim"), "is none of (?!.*sim).*pico, .*unix, unix_heat_pump"),
    ("a device twice", lambda h: (h.enroll(PLUG, "unix"), h.enroll(PLUG, "unix")), "enrolled already"),
    ("a stranger revoked", lambda h: h.revoke(PUMP), "not enrolled; there are none"),
    ("a torn file", lambda h: ((h.folder / "home.json").write_text('{"ho'), HomeFolder(h.folder)), "cannot be used"),
]


@pytest.mark.parametrize("act, says", [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_said_in_one_line(home, act, says):
    with pytest.raises(UserError, match=says):
        act(home)


def test_a_home_that_could_not_be_made_leaves_no_half_of_it(home):
    with pytest.raises(UserError):
        HomeFolder.create(home.folder / "half", "a", 8883, "a/b")
    assert not (home.folder / "half" / "home.json").exists()
