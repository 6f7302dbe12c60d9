"""ROMFS images and what is joined from them, on the host: written, read back, refused."""

import json
from dataclasses import replace

import pytest

from spot_host import image, romfs, suit
from spot_host.boards import Board
from spot_host.errors import UserError

FILES = {"main.mpy": b"M" * 300, "spot/__init__.mpy": bytes(range(256)) * 20, "spot/link/coap.mpy": b"",
         "boards/pico/board.json": b"{}"}


def test_an_image_is_read_back_as_it_was_written():
    octets = romfs.pack(FILES)
    assert romfs.files(octets) == FILES
    assert octets == romfs.pack(dict(reversed(FILES.items())))  # the same release is the same octets


def test_what_is_no_image_or_cut_off_is_said():
    octets = romfs.pack(FILES)
    for n in (0, 3, 4, 100, len(octets) - 1):
        with pytest.raises(ValueError, match="ROMFS"):
            romfs.files(octets[:n])
    with pytest.raises(ValueError, match="not a ROMFS"):
        romfs.files(b"\xff" * 100)


def test_a_slot_begins_with_the_head_and_has_the_image_in_its_second_sector():
    content = romfs.pack(FILES)
    manifest = suit.Manifest.of(content, sequence=3, version="1", board="pico", march="armv6m", base=1)
    octets = suit.write(manifest, content)
    slot = romfs.in_slot(octets)
    assert slot[4096:] == content and octets.startswith(slot[:4096].rstrip(b"\xff"))


def test_a_release_holds_its_board_and_says_what_it_is():
    found = romfs.files(romfs.build("pico", "1.2", 7, keys=["00"]))
    said = json.loads(found["release.json"])
    assert len(bytes.fromhex(said.pop("content"))) == 16
    assert said == {
        "sequence": 7, "version": "1.2", "board": "pico", "class": suit.class_id("pico").hex, "vendor": suit.VENDOR.hex,
        "base": 1, "keys": ["00"]}
    assert json.loads(found["boards/pico/board.json"])["name"] == "pico"
    assert {"main.mpy", "spot/__init__.mpy"} <= set(found) and "boot/loader.mpy" not in found


def test_two_of_one_number_are_told_apart_by_their_content(monkeypatch):
    """A configuration is checked once in each: config.seal."""
    def content(text):
        monkeypatch.setattr(romfs, "compiled", lambda board, march: {"main.mpy": text})
        return json.loads(romfs.content("pico", "1.2", 7)["release.json"])["content"]

    assert content(b"a") == content(b"a") != content(b"b")


def test_the_maps_that_a_board_names_are_in_its_release():
    description, others = romfs._described("sim_modbus")
    assert set(others) == {"boards/sim_modbus/board.json", "boards/maps/sdm120.json", "boards/maps/spot_sg.json"}


def test_no_such_board():
    with pytest.raises(UserError, match="no board 'nothing'"):
        romfs.build("nothing", "1", 1)
    with pytest.raises(UserError, match="no image that is built here"):
        image.build("unix")


def test_the_image_is_base_then_its_own_release_where_slot_a_does_not_begin_yet():
    board = Board.load("pico")
    start = board.flash_bytes - board.image.storage_bytes - board.image.romfs_bytes
    whole = image.joined(board, b"base")
    assert whole[:4] == b"base" and set(whole[4:start + 4096]) == {0xFF}
    own = romfs.files(whole[start + 4096:])
    assert json.loads(own["release.json"])["sequence"] == 0
    assert {"boot/loader.mpy", "boot/spot/boot.mpy", "boot/spot/slots.mpy", "boot/spot/store.mpy"} <= set(own)
    assert len(whole) - start <= board.image.slot_bytes


def test_what_does_not_fit_is_refused():
    board = Board.load("pico")
    start = board.flash_bytes - board.image.storage_bytes - board.image.romfs_bytes
    with pytest.raises(UserError, match="has room for"):
        image.joined(board, bytes(start + 1))
    small = replace(board, image=replace(board.image, romfs_bytes=3 * 65536))
    with pytest.raises(UserError, match="a slot 65,536"):
        image.joined(small, b"base")


def test_the_names_in_the_base_are_those_of_the_firmware():
    """They age with the firmware: a base that knows less than 8 in 10 of the names wants to be made anew
    (`python -m spot_host.image --names`)."""
    known = set(image._NAMES.read_text().splitlines())
    used = set().union(*map(image._texts, romfs.compiled("pico", "armv6m").values()))
    assert len(used & known) > 0.8 * len(used)
