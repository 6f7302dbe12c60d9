"""`spot provision` as it is typed: what it says, its exit code, and that a second time makes nothing."""

import json

import pytest

from spot_host import secret_files
from spot_host.cli import main
from spot_host.home_folder import HomeFolder
from tests.unit.provision.conftest import ONE, THREE, TWO
from tests.unit.provision.test_home import everything


@pytest.fixture
def spot(capsys, tmp_path, monkeypatch):
    """spot(*words, code=0): what it says; on stderr where code is not 0."""
    monkeypatch.chdir(tmp_path)

    def run(*words, code=0):
        with pytest.raises(SystemExit) as ended:
            main(["provision", *map(str, words)])
        said = capsys.readouterr()
        assert ended.value.code == code, said
        return said.out if code == 0 else said.err

    return run


@pytest.fixture
def house(spot, tmp_path):
    spot("init", "house", "--host", "broker.home")
    (tmp_path / "wifi.txt").write_text("ssid = net\npassword = hush hush\n")
    rows = f"{TWO},pico_w_plug,,SN 2\n{THREE},esp32_plug,coap,SN 3\n"
    (tmp_path / "list.csv").write_text(f"eui64,board,link,note\n{rows}")
    return tmp_path / "house"


def test_from_an_empty_folder_to_devices_that_can_be_flashed(spot, house, tmp_path):
    said = spot("device", "house", ONE, "--board", "pico_w_plug", "--protect", "both", "--wifi-file", "wifi.txt")
    assert said.strip().endswith("ca.der, cert.der, config.json, key.der, pairing.json")
    assert "2 devices, 2 of them new" in spot("bulk", "house", "list.csv", "--check")
    assert "2 made, 0 were there" in spot("bulk", "house", "list.csv", "--wifi-file", "wifi.txt")
    spot("export", "house", "--all", "--to", "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{eui}.tar" for eui in (ONE, TWO, THREE)]
    config = json.loads((house / "devices" / TWO / "config.json").read_text())
    assert config["wifi"] == {"ssid": "net", "password": "hush hush"}


def test_a_second_time_makes_nothing_and_says_so(spot, house):
    words = [("init", "house", "--host", "broker.home"),
             ("device", "house", ONE, "--board", "pico_w_plug", "--wifi-file", "wifi.txt"),
             ("bulk", "house", "list.csv"), ("export", "house", ONE, "--to", "house/out"), ("revoke", "house", THREE)]
    for line in words:
        spot(*line)
    before = everything(house)
    said = [spot(*line) for line in words[:2]] + [spot(*words[3]), spot(*words[4])]
    assert all(word in line for line, word in zip(said, (
        "nothing was made", "as asked", "nothing was made", "nothing was changed"), strict=True)), said
    assert everything(house) == before


def test_list_and_show_tell_no_secret(spot, house):
    spot("bulk", "house", "list.csv")
    secrets = json.loads((house / "devices" / THREE / "pairing.json").read_text())
    shown = spot("list", "house"), spot("list", "house", "--json"), spot("show", "house", THREE), spot(
        "show", "house", THREE, "--json"), spot("show", "house", TWO)
    for text in shown:
        assert secrets["secret"] not in text and secrets["salt"] not in text
    found = json.loads(shown[1])
    assert [(one["eui"], one["note"], one["generation"]) for one in found["devices"]] == [
        (TWO, "SN 2", None), (THREE, "SN 3", 0)]
    assert {one["name"] for one in found["servers"]} == {"authority", "broker", "emd", "coap"}
    assert json.loads(spot("list", "house", "--json", "--expiring", "30"))["devices"] == []
    assert len(json.loads(spot("list", "house", "--json", "--expiring", "9000"))["devices"]) == 1


def test_show_tells_what_is_wrong(spot, house):
    spot("bulk", "house", "list.csv")
    (house / "devices" / TWO / "key.der").unlink()
    assert "mqtt.key: must be a file that is there" in spot("show", "house", TWO, code=2)
    assert "mqtt.key: must be a file that is there" in spot("device", "house", TWO, "--board", "pico_w_plug",
                                                            "--note", "SN 2", code=2)


def test_rotate(spot, house):
    spot("bulk", "house", "list.csv")
    assert "generation 1" in spot("rotate", "house", THREE)
    assert "still good" in spot("rotate", "house", TWO, "--certificate")
    assert "refused from now on" in spot("rotate", "house", TWO, "--certificate", "--revoke-old")
    assert spot("show", "house", TWO)
    assert "broker.pem: a new certificate and key" in spot("rotate", "house", "broker", "--certificate")


def test_labels(spot, house, tmp_path):
    spot("bulk", "house", "list.csv")
    assert "SPOT:1:" in spot("label", "house", THREE)
    spot("label", "house", "--all", "--to", "labels.csv")
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert lines[0] == "eui64,board,note,label,network,key"
    assert lines[2].startswith(f"{THREE},esp32_plug,SN 3,SPOT:1:") and lines[1].endswith(",,"), "no pairing, no window"
    network, key = lines[2].split(",")[4:]
    assert network == "SPOT-0003" and f"{network} {key}" in spot("label", "house", THREE)
    (tmp_path / "text").write_text(lines[2].split(",")[3])
    read = json.loads(spot("label", "--read", "text"))
    assert read == {"eui64": THREE, "pairing": json.loads((house / "devices" / THREE / "pairing.json").read_text()),
                    "network": network, "key": key}
    spot("label", "house", "--all", "--to", "labels")
    assert sorted(path.name for path in (tmp_path / "labels").iterdir()) == [f"{TWO}.svg", f"{THREE}.svg"]
    drawn = (tmp_path / "labels" / f"{THREE}.svg").read_text()
    assert "SN 3" in drawn and "Wi-Fi SPOT-0003" in drawn and key[:10] in drawn and key[10:] in drawn
    assert "Wi-Fi" not in (tmp_path / "labels" / f"{TWO}.svg").read_text()


def test_wifi_is_asked_for_where_nobody_sees_it(spot, house, monkeypatch):
    monkeypatch.setattr(secret_files, "ask", lambda prompt: "typed")
    monkeypatch.setattr("typer.prompt", lambda prompt: "net")
    spot("device", "house", ONE, "--board", "pico_w_plug", "--wifi")
    assert json.loads((house / "devices" / ONE / "config.json").read_text())["wifi"]["password"] == "typed"


def test_a_passphrase(spot, house, tmp_path, monkeypatch):
    (tmp_path / "words").write_text("correct horse\n")
    assert "has a passphrase now" in spot("init", "house", "--passphrase-file", "words")
    assert "a home already" in spot("init", "house", "--passphrase-file", "words")
    assert "ca.key: has a passphrase" in spot("device", "house", ONE, "--board", "unix", code=2)
    spot("device", "house", ONE, "--board", "unix", "--passphrase-file", "words")
    spot("init", "second", "--passphrase-file", "words")
    assert HomeFolder("second").pki.encrypted
    (tmp_path / "words").write_text("wrong horse\n")
    assert "the passphrase is wrong" in spot("revoke", "house", ONE, "--passphrase-file", "words", code=2)


WRONG = [
    (("device", "nowhere", ONE, "--board", "unix"), "no home here; `spot provision init nowhere` makes one"),
    (("device", "house", "02", "--board", "unix"), "DEVICE: '02' is not an EUI-64"),
    (("device", "house", ONE, "--board", "toaster"), "--board: 'toaster' is none of"),
    (("device", "house", ONE, "--board", "unix", "--days", "-1"), "--days: -1"),
    (("device", "house", ONE, "--board", "unix", "--group", "a/b"), "--group: 'a/b'"),
    (("device", "house", ONE, "--board", "unix", "--wifi-file", "none"), "none: cannot be read"),
    (("device", "house", ONE, "--board", "unix", "--wifi"), "there is no terminal"),
    (("init", "house", "--utility", "city"), "a home is there already, with --utility home"),
    (("init", "house", "--host", "other"), "a home is there already, with --host broker.home"),
    (("init", "new", "--backend", "azure"), "--backend: 'azure' is none of local, aws"),
    (("init", "new", "--port", "0"), "--port: 0"),
    (("show", "house", ONE), "not enrolled; there are none"), (("revoke", "house", ONE), "not enrolled"),
    (("rotate", "house", ONE, "--revoke-old"), "goes with --certificate"),
    (("export", "house", "--to", "out"), "give devices, or --all"),
    (("export", "house", ONE, "--all", "--to", "out"), "give devices, or --all"),
    (("label", "--read", "none"), "none: a label's text: cannot be read"), (("label",), "FOLDER: missing"),
    (("bulk", "house", "none.csv"), "none.csv: cannot be read"),
]


@pytest.mark.parametrize("words, says", WRONG, ids=[" ".join(row[0])[:60] for row in WRONG])
def test_what_is_wrong_is_one_line_and_changes_nothing(spot, house, tmp_path, monkeypatch, words, says):
    monkeypatch.setattr("typer.prompt", lambda prompt: "net")
    before = everything(tmp_path)
    said = spot(*words, code=2)
    assert says in said and said.count("\n") == 1
    assert everything(tmp_path) == before
