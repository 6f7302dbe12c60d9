"""The rows of docs/bad-input.md on boards at the cable, with a fake one."""

import pytest

from spot_host import cli
from tests.sim.bad_input import cable_table
from tests.unix.flash.tiny import starts


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return cable_table.Desk.make(tmp_path_factory.mktemp("desk"))


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def spot(words):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    return caught.value.code


@pytest.mark.parametrize("row", cable_table.BOARD, ids=[row.what for row in cable_table.BOARD])
def test_one_line(row, desk, board_of, own_board, firmware, built, micropython_path, tmp_path, monkeypatch, capsys):
    here = desk.copy(tmp_path / "desk")
    if row.spoil:
        row.spoil(here)
    monkeypatch.chdir(here.folder)
    make = board_of if row.own is None else own_board
    more = {} if row.own is None else {"own": row.own}
    if row.flashed:
        with make() as there:
            assert spot(["flash", "--board", "unix", "--port", there.url, "--config", "device", "--wait", "0"]) == 0
        firmware("two")
        built("two")
    capsys.readouterr()
    with make(cut_after=row.cut, **more, **row.pretend) as there:
        before = content(there.folder)
        code = spot(row.command.replace("PORT", there.url).split())
        if row.left == cable_table.BEFORE:
            there.wait_for_start(2)  # it was stopped to be looked at, and goes on
    said = here.short(capsys.readouterr().err, PORT=there.url).splitlines()
    assert (said[0], code) == (row.line, row.code)
    assert all(any(word in line for line in said[1:]) for word in row.more) and bool(said[1:]) == bool(row.more)
    if row.left == cable_table.BEFORE:
        assert content(there.folder) == before
        return
    after = content(there.folder)
    if row.own is None:  # more may lie beside it
        assert {name: after.get(name) for name in before} == before
    else:
        assert starts(micropython_path, there.folder)[0] == "starts one for good"
        assert after["config.json"] == before["config.json"]
