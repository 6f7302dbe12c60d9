"""What is wrong with certificates, keys and pairing is found on the host: one line each, with file and field."""

import json
import subprocess
import sys

import pytest

from spot_host import cli
from spot_host.device_files import Order
from spot_host.errors import UserError
from spot_host.pki import Pki
from spot_host.provision import certificates, outfit
from tests.conftest import ROOT
from tests.sim.bad_input.identity_table import ROWS, another_key
from tests.unit.provision.conftest import ONE, TWO


@pytest.fixture
def device(home):
    return home.provision(Order(ONE, "pico_w_plug", protect="both"))[0]


def spot(*words):
    return subprocess.run([sys.executable, "-m", "spot_host.cli", *map(str, words)], capture_output=True, text=True,
                          cwd=ROOT)


@pytest.mark.parametrize("row", ROWS, ids=[row.what for row in ROWS])
def test_each_fault_is_a_line(home, device, row, capsys):
    """The same one of `spot provision`, of `spot check`, and of `spot flash` before it looks at the port."""
    row.spoil(home, device)
    found = outfit.wrong(home, ONE)
    assert len(found) == len(row.says), found
    for line, words in zip(found, row.says, strict=True):
        assert line.endswith(words.format("the home's CA")) and line.startswith(str(device)) and "\n" not in line
    with pytest.raises(UserError):
        outfit.export(home, ONE, home.folder / "out")
    assert not (home.folder / "out").exists()
    for command, code in ((["check", device / "config.json"], 2),
                          (["flash", "--board", "pico_w_plug", "--port", "socket://127.0.0.1:1", "--config", device],
                           4 if row.anybodys else 2)):
        with pytest.raises(SystemExit) as caught:
            cli.main([str(word) for word in command])
        out, err = capsys.readouterr()
        assert (caught.value.code, out) == (code, "")
        if code == 2:
            assert len(err.splitlines()) == len(row.says)
            for line, words in zip(err.splitlines(), row.says, strict=True):
                assert line.removeprefix("spot: ").startswith(str(device)) and line.endswith(words.format("ca.der"))


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
