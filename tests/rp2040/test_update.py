"""A signed update on the emulated chip: fetched over the cable block by block, its power cut on the way, installed,
confirmed; and releases that do not come up, which go back by themselves.
"""

import base64

import pytest

from spot_host import release as releases
from spot_host import romfs
from tests.rp2040 import board as boards
from tests.rp2040 import cable as cables
from tests.rp2040 import product as products

PACE = {"canaries": 0, "soak_s": 0, "at_once": 1}
_FETCH_S = 400


@pytest.fixture
def wired(rp2040_rig, product, tmp_path):
    """A board that has been flashed, and its EMD."""
    with boards.Board(rp2040_rig, tmp_path, flash=product, held=True) as board:
        board.wire(*cables.wiring())
        yield cables.Cable(board)


def release(product, version, image_of=None):
    """The next release of the product, signed with its key."""
    return releases.build(cables.BOARD, version, product.parent / "key", image_of=image_of)


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
    assert wired.told("register")[-1]["sequence"] == 1
    assert f"{products.VERSION}: " in (product.parent / "flash.txt").read_text()


def test_an_update_is_installed_and_confirmed(wired, product):
    """The power goes in mid-write while it is fetched; it goes on where it was. The new release runs on trial,
    registers, holds its loop for a minute, and is the one that a power cut finds."""
    wired.join()
    old = wired.told("register")[-1]
    campaign = offer(wired, release(product, "2.0"))
    wired.board.cut(60, 7)
    assert not wired.run(_FETCH_S, lambda: state(campaign)[0] == "trial") and wired.cuts == 1, wired.story()
    wired.board.power_on()
    assert wired.run(_FETCH_S, lambda: state(campaign)[0] in ("trial", "failed")), wired.story()
    assert wired.run(60, lambda: wired.told("register")[-1]["sequence"] > old["sequence"]), wired.story()
    assert wired.run(120, lambda: state(campaign)[0] in ("done", "failed")), wired.story()
    assert state(campaign)[0] == "done"
    wired.power_cycle()
    wired.join()
    assert wired.told("register")[-1]["sequence"] == old["sequence"] + 1


@pytest.mark.parametrize("why", ["import", "silent"])
def test_a_release_that_does_not_come_up_goes_back(rp2040_rig, product, tmp_path, why):
    """`spot flash` brings one whose main raises, or hangs until the watchdog bites. It has three starts, then the one
    before it runs again, registers, and says which one failed."""
    bad = {"import": b"raise ValueError('bad')\n", "silent": b"while True:\n    pass\n"}[why]

    def image(board, version, sequence, keys):
        files = romfs.files(romfs.build(board, version, sequence, keys))
        del files["main.mpy"]
        return romfs.pack({**files, "main.py": bad})

    octets = release(product, "2.1", image)
    file = tmp_path / "bad.spotfw"
    file.write_bytes(octets)
    with boards.Board(rp2040_rig, tmp_path, flash=product) as board:
        products.flash(board, "--release", file)
        board.wait_for_reset()
        board.stop()
    with boards.Board(rp2040_rig, tmp_path, held=True) as board:
        board.wire(*cables.wiring())
        cable = cables.Cable(board)
        cable.join(120)
        assert cable.resets >= 2, cable.story()
        assert cable.run(60, lambda: any(row["alarm"] == 23 for row in cable.told("alarm"))), cable.story()
        assert cable.told("register")[-1]["sequence"] == 1
