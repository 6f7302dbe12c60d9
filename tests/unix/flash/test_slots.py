"""`spot flash` on our own image: a release into the spare slot, where it differs, tried at the next start."""

import shutil

import pytest

from spot_host.flash.deploy import deploy
from spot_host.flash.errors import TransferError
from spot_host.flash.port import Port
from tests.unix.flash import tiny
from tests.unix.flash.tiny import device, starts


def flash(board, there, config=None, **more):
    with Port.open(there.url) as port:
        return deploy(board, port, config, **more)


def test_the_first_release_of_a_board_counts_at_once(own_board, unix_board, built, micropython_path):
    """There is nothing to go back to but the image's own safe mode."""
    with own_board() as there:
        report = flash(unix_board, there, device(1))
        assert there.held == 1 and there.boots == 3  # held at the REPL, then restarted
    assert report.mode == "slot" and report.version == "one"
    assert starts(micropython_path, there.folder) == ["starts one for good", "config 1 1"]


def test_the_next_one_is_tried(own_board, unix_board, built, micropython_path):
    said = []
    with own_board() as there:
        first = flash(unix_board, there, device(1))
        built("two")
        report = flash(unix_board, there, say=said.append)
        assert report.sent < first.sent and report.eui == device(1).eui
    assert any("on trial" in text for text in said)
    assert starts(micropython_path, there.folder) == ["starts two on trial", "config 1 1"]


def test_without_a_trial_where_somebody_says_so(own_board, unix_board, built, micropython_path):
    with own_board() as there:
        flash(unix_board, there, device(1))
        built("two")
        flash(unix_board, there, trial=False)
    assert starts(micropython_path, there.folder) == ["starts two for good", "config 1 1"]


def test_only_sectors_that_differ_are_written(own_board, unix_board, built):
    """Two slots: the third release finds the first one's sectors."""
    with own_board() as there:
        sent = [flash(unix_board, there, device(1)).sent]
        for version in ("two", "eno"):
            built(version)
            sent.append(flash(unix_board, there, trial=False).sent)
        again = flash(unix_board, there)
    assert sent[2] < sent[1] and again.sent == 0


def test_a_release_file_is_flashed(own_board, unix_board, built, micropython_path):
    with own_board() as there:
        flash(unix_board, there, device(1), release=tiny.release("1.2", 7))
    assert starts(micropython_path, there.folder)[0] == "starts 1.2 for good"


def test_the_power_goes_at_any_moment_and_it_boots_old_or_new(own_board, unix_board, built, micropython_path):
    with own_board("first") as there:
        flash(unix_board, there, device(1))
    built("two")
    shutil.copytree(there.folder, there.folder.parent / "count")
    with own_board("count") as counted:
        flash(unix_board, counted, device(2))
        octets = counted.octets
    old, mixed, new = (["starts one for good", "config 1 1"], ["starts one for good", "config 2 2"],
                       ["starts two on trial", "config 2 2"])
    seen = set()
    for cut in [*range(0, octets, octets // 12), *range(octets - 900, octets, 90)]:
        folder = there.folder.parent / f"cut{cut}"
        shutil.copytree(there.folder, folder)
        with own_board(folder.name, cut_after=cut) as halfway, pytest.raises(TransferError):
            flash(unix_board, halfway, device(2))
            raise TransferError("cut behind the reset")
        said = starts(micropython_path, folder)
        assert said in (old, mixed, new), (cut, said)
        seen.add(tuple(said))
    assert seen >= {tuple(old), tuple(new)}
