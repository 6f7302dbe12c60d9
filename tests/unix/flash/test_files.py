"""`spot flash` on a stock image: files, only those that changed, read back, and old or new at every moment."""

import json
import shutil

import pytest

from spot_host.flash import plan
from spot_host.flash.deploy import deploy
from spot_host.flash.errors import TransferError
from spot_host.flash.port import Port
from tests.unix.flash.tiny import EUI, device, runs


def flash(board, there, config=None, **more):
    with Port.open(there.url) as port:
        return deploy(board, port, config, **more)


def test_a_new_board_gets_all_and_starts_it(board_of, unix_board, firmware, micropython_path):
    said, steps = [], []
    with board_of() as there:
        report = flash(unix_board, there, device(1), on_progress=lambda *step: steps.append(step), say=said.append)
        assert there.boots == 2  # it was restarted
    assert report.mode == "files" and report.kept == 0 and report.eui == EUI
    assert runs(micropython_path, there.folder) == "runs one config 1 1"
    assert "heap" in said[0] and "development" in said[0]
    assert steps[-1][0] == steps[-1][1] == report.sent
    assert not list(there.folder.rglob("*.new"))


def test_the_same_again_sends_nothing(board_of, unix_board, firmware):
    with board_of() as there:
        first = flash(unix_board, there, device(1))
        again = flash(unix_board, there, device(1))
        without = flash(unix_board, there)
    assert again.sent == without.sent == 0 and again.kept == first.sent
    assert without.eui == EUI


def test_only_what_changed_is_sent(board_of, unix_board, firmware, micropython_path):
    with board_of() as there:
        flash(unix_board, there, device(1))
        firmware("two")
        report = flash(unix_board, there, device(1))
        changed = [data for path, data in plan.firmware(None).files.items() if path.endswith("spot/__init__.py")]
        told = json.loads((there.folder / "config.json").read_text())
        stub = len((there.folder / "main.py").read_bytes())
        assert report.sent == len(changed[0]) + len((there.folder / "config.json").read_bytes()) + stub
    assert runs(micropython_path, there.folder) == "runs two config 1 1"
    assert [path.name for path in there.folder.glob("spot-*")] == [told["boards"].split("/")[0]]  # the old one is gone


def test_new_keys_have_names_of_their_own_and_old_ones_go(board_of, unix_board, firmware, micropython_path):
    with board_of() as there:
        flash(unix_board, there, device(1))
        flash(unix_board, there, device(2))
    assert runs(micropython_path, there.folder) == "runs one config 2 2"
    assert [path.name for path in there.folder.glob("pairing*")] == list(device(2).files)


def test_what_the_last_good_configuration_names_stays(board_of, unix_board, firmware):
    """A device falls back on config.json.good: its keys must still be there."""
    with board_of() as there:
        flash(unix_board, there, device(1))
        shutil.copy(there.folder / "config.json", there.folder / "config.json.good")
        flash(unix_board, there, device(2))
    assert {path.name for path in there.folder.glob("pairing*")} == {*device(1).files, *device(2).files}


def test_somebodys_own_main_is_kept(board_of, unix_board, firmware):
    with board_of() as there:
        (there.folder / "main.py").write_text("print('mine')\n")
        flash(unix_board, there, device(1))
    assert (there.folder / "main.py.old").read_text() == "print('mine')\n"


def test_a_damaged_file_is_sent_again(board_of, unix_board, firmware, micropython_path):
    """Whatever an earlier transfer left: the hash decides, which the board computes."""
    with board_of() as there:
        flash(unix_board, there, device(1))
        (path,) = there.folder.glob("spot-*/spot/__init__.py")
        path.write_bytes(path.read_bytes()[:-3])
        report = flash(unix_board, there, device(1))
        assert report.sent == len(path.read_bytes())
    assert runs(micropython_path, there.folder) == "runs one config 1 1"


def test_without_a_configuration_it_says_so(board_of, unix_board, firmware):
    said = []
    with board_of() as there:
        report = flash(unix_board, there, say=said.append)
        assert not (there.folder / "config.json").exists()
    assert report.eui == "" and any("--config" in text for text in said)


def test_full_flash_in_the_middle(board_of, unix_board, firmware, micropython_path):
    """statvfs said that there was room, and there is not: what was there goes on."""
    with board_of() as there:
        flash(unix_board, there, device(1))
    firmware("two")
    with board_of(full_at="__init__.py") as there:
        with pytest.raises(TransferError, match="28.*starts as before"):
            flash(unix_board, there, device(1))
    assert runs(micropython_path, there.folder) == "runs one config 1 1"


def test_the_power_goes_at_any_moment_and_it_boots_old_or_new(board_of, unix_board, firmware, micropython_path):
    """Cut after so many octets from the host, over the whole of a transfer that changes firmware, key and
    configuration; then the transfer is begun anew and gets through."""
    with board_of("first") as there:
        flash(unix_board, there, device(1))
    firmware("two")
    shutil.copytree(there.folder, there.folder.parent / "count")
    with board_of("count") as counted:
        flash(unix_board, counted, device(2))
        octets = counted.octets
    seen = {}
    cuts = [*range(0, octets, octets // 25), *range(octets - 1200, octets, 80)]
    for cut in cuts:
        folder = there.folder.parent / f"cut{cut}"
        shutil.copytree(there.folder, folder)
        with board_of(folder.name, cut_after=cut) as halfway, pytest.raises(TransferError):
            flash(unix_board, halfway, device(2))
            raise TransferError("it got through: the octets behind the reset")  # cut when all was done
        said = runs(micropython_path, folder)
        assert said in ("runs one config 1 1", "runs one config 2 2", "runs two config 2 2"), (cut, said)
        seen[said] = seen.get(said, 0) + 1
        if cut % 5 == 0:
            with board_of(folder.name) as again:
                flash(unix_board, again, device(2))
            assert runs(micropython_path, folder) == "runs two config 2 2"
    assert seen.keys() >= {"runs one config 1 1", "runs two config 2 2"}, seen


def test_what_the_board_starts_is_said(board_of, unix_board, firmware):
    with board_of(cut_after=4000) as there, pytest.raises(TransferError, match="starts as before") as caught:
        flash(unix_board, there, device(1))
    assert caught.value.exit_code == 5
