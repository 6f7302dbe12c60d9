"""The rows of docs/bad-input.md on releases and keys, as they are typed."""

import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from spot_host import cli
from tests.sim.bad_input import release_table


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        yield release_table.Place.make(folder)


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "spot_host.romfs", SimpleNamespace(build=release_table.image_of))
    return made.copy(tmp_path)


def content(folder):
    """What is there, but for locks and what SQLite lays beside a database that is read."""
    return {path: path.read_bytes() if path.is_file() and path.stat().st_size < 1 << 24 else b""
            for path in folder.rglob("*") if "lock" not in path.name and not path.name.endswith(("-shm", "-wal"))}


def spot(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words.split())
    out, err = capsys.readouterr()
    assert out == ""
    return err, caught.value.code


def plain(words):
    """As somebody who has no more than the permissions of the files: root would have all."""
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if drop and not shutil.which("setpriv"):
        pytest.skip("setpriv is not here, and root may write everywhere")
    words = [*drop, sys.executable, "-m", "spot_host.cli", *words.split()]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout == ""
    return done.stderr, done.returncode


@pytest.mark.parametrize("command", release_table.COMMANDS)
@pytest.mark.parametrize("row", release_table.FILES, ids=[row.what for row in release_table.FILES])
def test_no_release(place, capsys, row, command):
    if row.spoil:
        row.spoil(place)
    before = content(place.folder)
    assert spot(command.format(row.name), capsys) == (f"spot: {row.name}: {row.line}\n", 2)
    assert content(place.folder) == before


@pytest.mark.parametrize("row", release_table.TYPED, ids=[row.what for row in release_table.TYPED])
def test_one_line(place, capsys, row):
    if row.spoil:
        row.spoil(place)
    before = content(place.folder)
    err, code = plain(row.command) if row.plain else spot(row.command, capsys)
    said = re.sub("[0-9a-f]{16}", "KEY", err).replace(f"{place.folder}/", "").removeprefix("spot: ").splitlines()
    assert (said[0], code) == (row.line, row.code)
    assert len(said) == 1 and content(place.folder) == before
