"""The rows of docs/bad-input.md on ports and files at the cable, as they are typed."""

import fcntl
import os
from types import SimpleNamespace

import pytest
from serial.tools import list_ports

from spot_host import cli
from spot_host.flash import base, ports
from tests.sim.bad_input import cable_table


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return cable_table.Desk.make(tmp_path_factory.mktemp("desk"))


@pytest.fixture
def pty():
    master, slave = os.openpty()
    yield os.ttyname(slave), slave
    os.close(master)
    os.close(slave)


def content(folder):
    return {path: path.stat().st_size if path.is_file() else -1 for path in folder.rglob("*")}


@pytest.mark.parametrize("row", cable_table.HERE, ids=[row.what for row in cable_table.HERE])
def test_one_line(row, desk, pty, tmp_path, monkeypatch, capsys):
    here = desk.copy(tmp_path)
    if row.spoil:
        row.spoil(here)
    before = content(tmp_path)
    monkeypatch.chdir(tmp_path)
    usb = [SimpleNamespace(device=f"/dev/ttyACM{n}", vid=0x2E8A, serial_number=f"E66164084{n}", product="Board")
           for n in range(row.ports)]
    monkeypatch.setattr(list_ports, "comports", lambda: usb)
    monkeypatch.setattr(base.shutil, "which", lambda word: None)
    if row.wired:
        monkeypatch.setattr(ports, "is_wired", lambda name: True)
    if "another program" in row.what:
        fcntl.flock(pty[1], fcntl.LOCK_EX)
    if "no permission" in row.what:
        real = os.open

        def refused(path, *more):
            if path == pty[0]:
                raise PermissionError(13, "Permission denied", path)
            return real(path, *more)

        monkeypatch.setattr(os, "open", refused)
    with pytest.raises(SystemExit) as caught:
        cli.main(row.command.replace("PTY", pty[0]).split())
    out, err = capsys.readouterr()
    said = here.short(err, PTY=pty[0]).splitlines()
    assert (said[0], caught.value.code) == (row.line, row.code)
    assert all(any(word in line for line in said[1:]) for word in row.more) and bool(said[1:]) == bool(row.more)
    assert out == "" and content(tmp_path) == before
