"""A signed update on the emulated chip: fetched over the cable block by block, its power cut on the way, installed,
confirmed; and releases that do not come up, which go back by themselves.
"""

import base64
import random

import pytest

from spot_host import romfs
from spot_host.boards import Board as Description
from tests.rp2040 import board as boards
from tests.rp2040 import cable as cables
from tests.rp2040 import product as products

PACE = {"canaries": 0, "soak_s": 0, "at_once": 1}
_FETCH_S = 100
_MORE = 8_000  # octets, for three sectors
# All of it has been flashed once, for `product`. Over the cable an emulated chip would take minutes for its 160 kB, so
# these releases bring what a release is told by, and run the copy that every image has.
_MAIN = b"""\
import sys
sys.path[0] = "/own"
del sys.modules["main"]
__import__("main")
"""


@pytest.fixture
def wired(rp2040_rig, product, tmp_path):
    """A board that has been flashed, and its EMD."""
    with boards.Board(rp2040_rig, tmp_path, flash=product, held=True) as board:
        board.wire(*cables.wiring())
        yield cables.Cable(board)


def release(product, version, image_of=None):
    """The next release of the product, signed with its key."""
    return products.sign(product.parent, version, image_of)


def thin(main, more=b""):
    """What `release` makes an image of: this main.py, the board's description, and `more` octets."""
    def image(board, version, sequence, keys):
        files = romfs.files(romfs.build(board, version, sequence, keys))
        kept = {path: octets for path, octets in files.items() if path == "release.json" or path.startswith("boards/")}
        return romfs.pack({**kept, "main.py": main, "more": more})

    return image


def offer(cable, octets):
    """The EMD's campaign for this one device."""
    file = {"octets": base64.b64encode(octets).decode(), "model": None}
    return cable.core.updates.start(cable.now, [file], PACE, [cables.EUI])


def state(campaign):
    """Of its only device: (state, reason)."""
    (member,) = campaign.members.values()
    return member.state, member.reason


def test_spot_flash_left_what_runs(wired, product):
    """The first release: in slot A, confirmed, and the device says so."""
    wired.join()
    assert wired.told("register")[-1]["sequence"] == products.SEQUENCE
    assert f"{products.VERSION}: " in (product.parent / "flash.txt").read_text()


def test_an_update_is_installed_and_confirmed(wired, product):
    """The power goes in mid-write while it is fetched; it goes on where it was. The new release runs on trial,
    registers, holds its loop for a minute, and is the one that a power cut finds."""
    wired.join()
    old = wired.told("register")[-1]
    campaign = offer(wired, release(product, "2.0", thin(_MAIN, random.Random(7).randbytes(_MORE))))
    wired.board.cut(48, 7)
    assert not wired.run(_FETCH_S, lambda: state(campaign)[0] == "trial") and wired.cuts == 1, wired.story()
    wired.board.power_on()
    assert wired.run(_FETCH_S, lambda: state(campaign)[0] in ("trial", "failed")), wired.story()
    assert wired.run(60, lambda: wired.told("register")[-1]["sequence"] > old["sequence"]), wired.story()
    assert wired.run(120, lambda: state(campaign)[0] in ("done", "failed")), wired.story()
    assert state(campaign)[0] == "done"
    wired.power_cycle()
    wired.join()
    assert wired.told("register")[-1]["sequence"] == old["sequence"] + 1


def test_with_no_slot_that_is_right_the_image_s_own_release_takes_an_update(rp2040_rig, product, tmp_path):
    """An octet of the only release is another: the image's own one runs in safe mode, without drivers. It reaches its
    EMD, says that it runs none of its releases, takes one, and is a plug again."""
    chip = Description.load(cables.BOARD)
    slot_a = chip.flash_bytes - chip.image.storage_bytes - chip.image.romfs_bytes + chip.image.slot_bytes
    octets = bytearray(product.read_bytes())
    octets[slot_a + 4096 + 10_000] ^= 1
    (tmp_path / "damaged.bin").write_bytes(octets)
    with boards.Board(rp2040_rig, tmp_path, flash=tmp_path / "damaged.bin", held=True) as board:
        board.wire(*cables.wiring())
        cable = cables.Cable(board)
        cable.join(120)
        assert cable.told("register")[-1]["sequence"] == 0
        assert cable.run(60, lambda: any(row["code"] == 15 for row in cable.told("alarm"))), cable.story()
        campaign = offer(cable, release(product, "2.2", thin(_MAIN)))
        assert cable.run(_FETCH_S, lambda: state(campaign)[0] in ("trial", "failed")), cable.story()
        assert cable.run(180, lambda: state(campaign)[0] in ("done", "failed")), cable.story()
        assert state(campaign)[0] == "done"
        assert cable.told("register")[-1]["sequence"] > 0


@pytest.mark.parametrize("why", ["import", "silent"])
def test_a_release_that_does_not_come_up_goes_back(rp2040_rig, product, tmp_path, why):
    """`spot flash` brings one whose main raises, or hangs until the watchdog bites. It has three starts, then the one
    before it runs again, registers, and says which one failed."""
    bad = {"import": b"raise ValueError('bad')\n", "silent": b"while True:\n    pass\n"}[why]
    file = tmp_path / "bad.spotfw"
    file.write_bytes(release(product, "2.1", thin(bad)))
    with boards.Board(rp2040_rig, tmp_path, flash=product) as board:
        products.flash(board, "--release", file)
        board.wait_for_reset()
        board.stop()
    with boards.Board(rp2040_rig, tmp_path, held=True) as board:
        board.wire(*cables.wiring())
        cable = cables.Cable(board)
        cable.join(120)
        assert cable.resets >= 2, cable.story()
        assert cable.run(60, lambda: any(row["code"] == 23 for row in cable.told("alarm"))), cable.story()
        assert cable.told("register")[-1]["sequence"] == products.SEQUENCE
