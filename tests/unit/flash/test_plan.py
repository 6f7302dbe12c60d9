"""What a board is to get: checked here, before a board is touched. What is wrong: test_bad_input.py."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from spot_host import romfs
from spot_host.boards import Board
from spot_host.commands.flash import eui_of
from spot_host.errors import UserError
from spot_host.flash import base, plan, probe
from spot_host.flash.errors import MisfitError, TransferError

EUI = "020000fffe000001"
PAIRING = {"secret": "00" * 16, "salt": "00" * 8, "id": "01", "emd": "00", "generation": 0}


@pytest.fixture(scope="module")
def pico():
    return Board.load("pico")


def certificate(days=30):
    """(certificate, key) in DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, EUI)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now - timedelta(days=90)).not_valid_after(now + timedelta(days=days))
    kinds = serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER), key.private_bytes(*kinds)


def folder(tmp_path, config=None, **files):
    told = {"board": "pico_w_plug", "eui64": EUI, "store": "store",
            "mqtt": {"host": "emd.local", "ca": "ca.der", "cert": "cert.der", "key": "key.der"}, **(config or {})}
    (tmp_path / "config.json").write_text(json.dumps(told))
    cert, key = certificate()
    for name, data in {"ca": cert, "cert": cert, "key": key, **files}.items():
        (tmp_path / f"{name}.der").write_bytes(data)
    return tmp_path


def test_keys_get_names_after_their_content(tmp_path):
    device = plan.device(folder(tmp_path), Board.load("pico_w_plug"))
    section = device.config["mqtt"]
    assert {section["ca"], section["cert"], section["key"]} == set(device.files)
    assert all(name == plan.key_name(name, data) for name, data in device.files.items())
    assert device.eui == EUI and device.links == [("", "mqtt://emd.local")]
    assert json.loads(device.octets()) == device.config


def test_associations_have_keys_each(tmp_path):
    (tmp_path / "pairing.json").write_text(json.dumps(PAIRING))
    (tmp_path / "other.json").write_text(json.dumps({**PAIRING, "id": "02"}))
    rows = [{"name": name, "coap": {"uri": "coap://emd.local", "pairing": file}}
            for name, file in (("home", "pairing.json"), ("grid", "other.json"))]
    told = {"board": "pico_w_plug", "eui64": EUI, "store": "store", "associations": rows}
    (tmp_path / "config.json").write_text(json.dumps(told))
    device = plan.device(tmp_path, Board.load("pico_w_plug"))
    assert len(device.files) == 2 and plan.named_files(device.config) == set(device.files)


def test_a_store_of_this_computer_is_refused(tmp_path):
    with pytest.raises(UserError, match="folder of this computer"):
        plan.device(folder(tmp_path, {"store": f"{tmp_path}/store"}), Board.load("pico_w_plug"))


def test_boards_bring_the_maps_that_they_name():
    assert set(plan.board_files("sim_modbus")) > {"boards/sim_modbus/board.json"}
    assert any(path.startswith("boards/maps/") for path in plan.board_files("sim_modbus"))
    assert set(plan.board_files("pico")) == {"boards/pico/board.json"}


def test_the_firmware_has_a_folder_by_its_content(monkeypatch, pico):
    monkeypatch.setattr(romfs, "compiled", lambda board, march: {"main.mpy": b"a", "spot/__init__.mpy": bytes(9000)})
    one = plan.firmware(pico)
    monkeypatch.setattr(romfs, "compiled", lambda board, march: {"main.mpy": b"b", "spot/__init__.mpy": bytes(9000)})
    two = plan.firmware(pico)
    assert one.folder != two.folder and one.folder.encode() in one.stub and one.loaded == 9000
    assert set(one.files) == {f"{one.folder}/{path}" for path in (
        "main.mpy", "spot/__init__.mpy", "boards/pico/board.json")}


@pytest.mark.parametrize("uid, eui", [
    ("e661640843000001", "e661640843000001"), ("a0b1c2d3e4f5", "a0b1c2fffed3e4f5"), ("0102", "0200000000000102"),
    ("00" * 4 + "e661640843000001", "e661640843000001")])
def test_a_boards_number_makes_its_eui(uid, eui):
    assert eui_of(uid) == eui


# --- whether a board fits

PICO = {"platform": "rp2", "version": (1, 25, 0), "machine": "Raspberry Pi Pico with RP2040",
        "mpy": 6 | 3 << 8 | 4 << 10}
OWN = {"base": 1, "board": "pico", "sequence": 1}


def found(**more):
    return probe.Found(**{**PICO, **more})


@pytest.mark.parametrize("more, chip", [
    ({}, "rp2040"), ({"machine": "Raspberry Pi Pico 2 W with RP2350"}, "rp2350"),
    ({"platform": "esp32", "machine": "Generic ESP32 module with ESP32"}, "esp32"),
    ({"platform": "esp32", "machine": "Generic ESP32S3 module with ESP32S3"}, "esp32s3"),
    ({"platform": "esp32", "machine": "ESP32C3 module with ESP32C3"}, ""), ({"platform": "pyboard"}, ""),
])
def test_chips_by_what_they_say(more, chip):
    assert found(**more).chip() == chip


def test_a_board_that_fits(pico):
    probe.check(pico, found(), "/dev/ttyACM0")
    probe.check(pico, found(own=OWN), "/dev/ttyACM0")
    assert not found().ours and found(own=OWN).ours


# --- the base image


def test_the_tool_is_called_where_it_is(monkeypatch, tmp_path, pico):
    (tmp_path / "image.uf2").write_bytes(b"x")
    monkeypatch.setattr(base.shutil, "which", lambda word: f"/bin/{word}" if word == "picotool" else None)
    called, said = [], []

    def run(words, timeout):
        called.append(words)
        return type("Done", (), {"returncode": 0})

    base.write(pico, "/dev/ttyACM0", tmp_path / "image.uf2", said.append, run)
    assert called == [["/bin/picotool", "load", "-f", "-v", "-x", str(tmp_path / "image.uf2")]]
    assert said == [" ".join(["picotool", *called[0][1:]])]


@pytest.mark.parametrize("name, tool, error, sentence", [
    ("none.uf2", True, MisfitError, "no such file"), ("image.hex", True, MisfitError, ".uf2 or .bin"),
    ("image.uf2", False, MisfitError, "picotool is not here"), ("image.uf2", True, TransferError, "ended with 1"),
])
def test_a_base_image_that_is_not_written(monkeypatch, tmp_path, pico, name, tool, error, sentence):
    for there in ("image.uf2", "image.hex"):
        (tmp_path / there).write_bytes(b"x")
    monkeypatch.setattr(base.shutil, "which", lambda word: "/bin/x" if tool else None)
    with pytest.raises(error, match=sentence):
        base.write(pico, "/dev/ttyACM0", tmp_path / name, lambda text: None,
                   lambda words, timeout: type("Done", (), {"returncode": 1}))
