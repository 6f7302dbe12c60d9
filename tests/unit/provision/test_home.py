"""Provisioning of devices one by one: nothing twice, whenever it was interrupted; keys for their owner alone."""

import json
import os
import shutil
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from spot.config_check import check_device_config
from spot_host import device_files, pki, secret_files
from spot_host.device_files import Order
from spot_host.errors import UserError
from spot_host.home_folder import HomeFolder
from spot_host.pairing import Pairings
from spot_host.pki import Pki
from spot_host.secret_files import Passphrase
from tests.unit.provision.conftest import ONE, TWO

ORDERS = [Order(ONE, "unix"), Order(ONE, "unix", protect="both"), Order(ONE, "unix", "coap"),
          Order(ONE, "unix", "coaps+tcp", groups=("a", "b"), note="SN 7")]


def everything(folder):
    """{path: octets} below a folder, but for the lock and what a broker would keep."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: f"{order.link} {order.protect}")
def test_a_second_time_makes_nothing(home, order):
    at, made = home.provision(order)
    before = everything(home.folder)
    assert made and home.provision(order) == (at, False)
    assert HomeFolder(home.folder).provision(order) == (at, False)
    assert everything(home.folder) == before
    assert HomeFolder(home.folder).orders == {ONE: order}


def test_a_folder_that_got_lost_is_made_again_with_what_the_device_has(home):
    order = Order(ONE, "unix", protect="both")
    at, _ = home.provision(order)
    home.rotate(ONE)
    before = {path.name: path.read_bytes() for path in at.iterdir()}
    shutil.rmtree(at)
    assert HomeFolder(home.folder).provision(order) == (at, True)
    assert {path.name: path.read_bytes() for path in at.iterdir()} == before


def test_a_device_that_is_there_differently_is_refused(home):
    home.provision(Order(ONE, "unix", note="SN 1"))
    with pytest.raises(UserError, match="differently: board unix, note SN 1"):
        home.provision(Order(ONE, "unix", "coap"))


class Cut(Exception):
    """The power went."""


def cut_at(monkeypatch, number):
    """From the `number`th write on nothing is written any more; counts[0]: writes so far."""
    counts = [0]
    real = secret_files.write

    def write(*arguments, **more):
        counts[0] += 1
        if counts[0] > number:
            raise Cut
        real(*arguments, **more)

    for module in (secret_files, pki, device_files):
        name = "_write" if module is pki else "write"
        if hasattr(module, name):
            monkeypatch.setattr(module, name, write)
    real_secret = device_files.secret_files.write
    monkeypatch.setattr("spot_host.pairing.write_secret", lambda path, content: real_secret(
        path, (json.dumps(content, indent=1) + "\n").encode(), secret=True))
    return counts


@pytest.mark.parametrize("order", ORDERS[:3], ids=lambda order: f"{order.link} {order.protect}")
def test_cut_at_every_write_and_done_again_nothing_is_twice(tmp_path, monkeypatch, order):
    """Whatever was written of a certificate and a secret is what the device has in the end."""
    with monkeypatch.context() as patched:
        home = HomeFolder.create(tmp_path / "whole", "broker.home", 8883, "city")
        counts = cut_at(patched, 1000)
        home.provision(order)
    assert counts[0] >= 4
    for number in range(counts[0] + 1):
        folder = tmp_path / str(number)
        home = HomeFolder.create(folder, "broker.home", 8883, "city")
        with monkeypatch.context() as patched:
            cut_at(patched, number)
            try:
                home.provision(order)
            except Cut:
                pass
        pem, secret = folder / "pki" / f"{ONE}.pem", folder / "devices" / ONE / "pairing.json"
        had = [path.read_bytes() if path.exists() else None for path in (pem, secret)]
        der = folder / "pki" / f"{ONE}.der"
        whole = der.exists() and had[0]
        HomeFolder(folder).provision(order)
        if whole:
            assert pem.read_bytes() == had[0], number
            assert len(json.loads((folder / "pki" / "index.json").read_text())[ONE]["serials"]) == 1
        if had[1]:
            assert secret.read_bytes() == had[1], number
        again = HomeFolder(folder)
        assert again.orders == {ONE: order} and (ONE in Pairings(folder / "pairings.json")) == order.paired
        if order.paired:
            assert [p.record() for p in Pairings(folder / "pairings.json").generations(ONE)] == [
                json.loads(secret.read_text())]


def test_a_revoked_device_gets_nothing_of_what_it_had(home):
    order = Order(ONE, "unix", protect="both")
    at, _ = home.provision(order)
    before = {name: (at / name).read_bytes() for name in ("cert.der", "key.der", "pairing.json")}
    home.revoke(ONE)
    assert not (at / "key.der").exists() and not (at / "pairing.json").exists()
    for name, data in before.items():  # somebody puts his copies back
        (at / name).write_bytes(data)
    home.provision(order)
    assert all((at / name).read_bytes() != data for name, data in before.items())


def test_the_certificate_of_another_is_not_taken_for_ones_own(home):
    home.provision(Order(ONE, "unix"))
    folder = home.pki.folder
    for ending in ("pem", "der", "key", "key.der"):
        (folder / f"{TWO}.{ending}").write_bytes((folder / f"{ONE}.{ending}").read_bytes())
        os.chmod(folder / f"{TWO}.{ending}", 0o600)
    at, _ = home.provision(Order(TWO, "unix"))
    cert = x509.load_der_x509_certificate((at / "cert.der").read_bytes())
    assert cert.subject.rfc4514_string().startswith(f"CN={TWO}")


def test_a_new_certificate_beside_the_old_one(home):
    at, _ = home.provision(Order(ONE, "unix"))
    serial = lambda: x509.load_der_x509_certificate((at / "cert.der").read_bytes()).serial_number  # noqa: E731
    first = serial()
    home.renew(ONE)
    second = serial()
    assert first != second and not home.pki.is_revoked_serial(ONE, first)
    key = serialization.load_der_private_key((at / "key.der").read_bytes(), None)
    cert = x509.load_der_x509_certificate((at / "cert.der").read_bytes())
    assert key.public_key() == cert.public_key()
    home.renew(ONE, revoke_old=True)
    crl = x509.load_pem_x509_crl(home.pki.crl.read_bytes())
    assert {entry.serial_number for entry in crl} == {first, second} and not home.pki.is_revoked(ONE)
    with pytest.raises(UserError, match="no certificate"):
        home.provision(Order(TWO, "unix", "coap"))
        home.renew(TWO)


@pytest.mark.parametrize("name", HomeFolder.SERVERS)
def test_the_homes_own_certificates_are_renewed_under_the_same_names(home, name):
    path = home.pki.folder / f"{name}.pem"
    first = x509.load_pem_x509_certificate(path.read_bytes())
    assert home.renew_own(name) == path
    second = x509.load_pem_x509_certificate(path.read_bytes())
    assert first.serial_number != second.serial_number and first.subject == second.subject
    assert list(first.extensions) == list(second.extensions)
    assert not home.pki.is_revoked_serial(name, first.serial_number)
    key = serialization.load_pem_private_key((home.pki.folder / f"{name}.key").read_bytes(), None)
    assert key.public_key() == second.public_key()


# --- who may read

@pytest.mark.parametrize("name, mode, line", [
    ("pki", 0o750, "chmod 700 {}/pki"), ("pki/ca.key", 0o640, "chmod 600 {}/pki/ca.key"),
    (f"pki/{ONE}.key.der", 0o604, f"chmod 600 {{}}/pki/{ONE}.key.der"),
    ("pairings.json", 0o644, "chmod 600 {}/pairings.json"),
    (f"devices/{ONE}", 0o711, f"chmod 700 {{}}/devices/{ONE}"),
])  # fmt: skip
def test_what_others_can_read_is_refused_with_the_line_that_mends_it(home, name, mode, line):
    home.provision(Order(ONE, "unix", protect="both"))
    os.chmod(home.folder / name, mode)
    with pytest.raises(UserError) as refused:
        HomeFolder(home.folder)
    assert str(refused.value).endswith(line.format(home.folder)) and "\n" not in str(refused.value)
    mend = str(refused.value).rpartition("chmod ")[2].split()
    os.chmod(mend[1], int(mend[0], 8))
    HomeFolder(home.folder)


def test_a_folder_that_was_copied_without_its_modes_is_mended_with_one_line(home):
    home.provision(Order(ONE, "unix"))
    for path in home.pki.folder.glob("*.key"):
        os.chmod(path, 0o644)
    with pytest.raises(UserError, match=r"\(4 more like it: chmod -R go= .*/pki\)$"):
        HomeFolder(home.folder)


def test_all_that_is_given_to_a_device_is_its_owners_alone(home):
    wifi = {"ssid": "net", "password": "hush hush"}
    old = os.umask(0)
    try:
        at, _ = home.provision(Order(ONE, "unix", protect="both"), wifi=wifi)
    finally:
        os.umask(old)
    assert {stat.S_IMODE(path.stat().st_mode) for path in at.iterdir()} == {0o600}
    assert stat.S_IMODE(at.stat().st_mode) == 0o700


# --- passphrase

def test_a_passphrase_is_asked_for_when_something_is_signed(tmp_path, monkeypatch):
    file = tmp_path / "words"
    file.write_text("correct horse\n")
    home = HomeFolder.create(tmp_path / "h", "a", 8883, "city", new_passphrase=b"correct horse",
                             passphrase=Passphrase(file))
    text = (home.folder / "pki" / "ca.key").read_text()
    assert "ENCRYPTED" in text
    home.provision(Order(ONE, "unix"))
    closed = HomeFolder(home.folder)  # listing, the broker: nobody is asked
    assert closed.pki.encrypted and closed.provision(Order(ONE, "unix"))[1] is False
    with pytest.raises(UserError, match="ca.key: has a passphrase: --passphrase-file"):
        closed.provision(Order(TWO, "unix"))
    assert not list((home.folder / "pki").glob(f"{TWO}.*"))
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong horse\n")
    with pytest.raises(UserError, match=r"ca.key: the passphrase is wrong$"):
        HomeFolder(home.folder, Passphrase(wrong)).provision(Order(TWO, "unix"))
    with pytest.raises(UserError, match="the passphrase is wrong"):
        HomeFolder(home.folder, Passphrase(wrong)).revoke(ONE)
    assert ONE in HomeFolder(home.folder).orders
    monkeypatch.setenv(secret_files.PASSPHRASE, "correct horse")
    HomeFolder(home.folder).provision(Order(TWO, "unix"))
    monkeypatch.delenv(secret_files.PASSPHRASE)
    monkeypatch.setenv(secret_files.PASSPHRASE_FILE, str(file))
    HomeFolder(home.folder).revoke(TWO)


def test_a_home_that_was_begun_without_a_passphrase_gets_the_one_that_is_wanted(tmp_path):
    Pki(tmp_path / "h" / "pki")  # an interrupted `init`
    words = tmp_path / "words"
    words.write_text("correct horse")
    home = HomeFolder.create(tmp_path / "h", "a", 8883, "city", new_passphrase=b"correct horse",
                             passphrase=Passphrase(words))
    assert home.pki.encrypted


def test_a_key_may_get_a_passphrase_later(tmp_path):
    first = Pki(tmp_path)
    first.encrypt(b"correct horse")
    assert Pki(tmp_path).encrypted
    words = tmp_path / "words"
    words.write_text("correct horse")
    Pki(tmp_path, passphrase=Passphrase(words)).device(ONE)


@pytest.mark.parametrize("text, says", [
    ("", "first line is empty"), ("short\n", "at least 8"), (None, "cannot be read"),
])  # fmt: skip
def test_a_passphrase_that_is_none(tmp_path, text, says):
    if text is not None:
        (tmp_path / "f").write_text(text)
    with pytest.raises(UserError, match=says):
        Passphrase(tmp_path / "f")("the key", fresh=True)


def test_the_key_of_another_authority(tmp_path):
    Pki(tmp_path / "a")
    Pki(tmp_path / "b")
    (tmp_path / "a" / "ca.key").write_bytes((tmp_path / "b" / "ca.key").read_bytes())
    with pytest.raises(UserError, match="not the key of ca.pem"):
        Pki(tmp_path / "a").device(ONE)


# --- Wi-Fi

@pytest.mark.parametrize("text", ['{"ssid": "net", "password": "hush hush"}',
                                  "# mine\nssid = net\n\npassword = hush hush\n", "password=hush hush\nssid=net"])
def test_wifi_from_a_file(tmp_path, text):
    (tmp_path / "w").write_text(text)
    assert device_files.load_wifi(tmp_path / "w") == {"ssid": "net", "password": "hush hush"}


@pytest.mark.parametrize("text, says", [
    ("ssid", "neither"), ("{", "neither"), ("ssid = net", "wifi.password: must be given"),
    ("ssid = net\npassword = " + "x" * 64, "wifi.password: must be at most 63 characters"),
    ("ssid = net\npassword = hush\nfoo = 1", "wifi.foo: must be left out"),
    ('{"ssid": 5, "password": "hush"}', "wifi.ssid: must be a text"),
])  # fmt: skip
def test_wifi_that_is_wrong_is_told_without_the_password(tmp_path, text, says):
    (tmp_path / "w").write_text(text)
    with pytest.raises(UserError, match=says) as refused:
        device_files.load_wifi(tmp_path / "w")
    assert "hush" not in str(refused.value) and "xxx" not in str(refused.value)


def test_wifi_of_a_device_that_is_there_is_replaced(home):
    order = Order(ONE, "unix")
    at, _ = home.provision(order, wifi={"ssid": "a", "password": "b"})
    key = (at / "key.der").read_bytes()
    home.provision(order, wifi={"ssid": "new", "password": "c"})
    config = json.loads((at / "config.json").read_text())
    check_device_config(config)
    assert config["wifi"]["ssid"] == "new" and (at / "key.der").read_bytes() == key


# --- the house's release key

def test_devices_get_the_houses_release_key(home):
    (home.folder / "release").mkdir()
    order = Order(ONE, "unix")
    home.provision(order)  # before there was a key
    public = b"\0\0\0\1\0\0\0\6\0\0\0\3" + bytes(range(48))
    (home.folder / "release" / "public.hex").write_text(public.hex() + "\n")
    for one in (order, Order(TWO, "unix", "coap")):
        at, _ = home.provision(one)
        config = json.loads((at / "config.json").read_text())
        assert config["update"] == {"keys": [public.hex()]}
    (home.folder / "release" / "public.hex").write_text("00" * 5)
    with pytest.raises(UserError, match="HSS public keys of one level have 60 octets"):
        home.provision(order)
    check_device_config(config)
