"""Which port is worked with, and what is said of one that cannot be: exit code 4, and nothing is touched."""

import fcntl
import os
from types import SimpleNamespace

import pytest
from serial.tools import list_ports

from spot_host import cli
from spot_host.errors import UserError
from spot_host.flash import ports
from spot_host.flash.errors import PortError


def usb(device, vid=0x2E8A, serial="E661640843"):
    return SimpleNamespace(device=device, vid=vid, serial_number=serial, product="Board in FS mode", description="x")


@pytest.fixture
def plugged(monkeypatch):
    return lambda *found: monkeypatch.setattr(list_ports, "comports", lambda: sorted(found, key=lambda one: one.device))


@pytest.fixture
def pty():
    master, slave = os.openpty()
    yield os.ttyname(slave), slave
    os.close(master)
    os.close(slave)


def test_the_named_one_is_taken(plugged):
    plugged(usb("/dev/ttyACM0"), usb("/dev/ttyACM1"))
    assert ports.choose("/dev/ttyACM1") == "/dev/ttyACM1"


def test_the_only_board_is_taken(plugged):
    plugged(usb("/dev/ttyACM0"), usb("/dev/ttyUSB0", vid=0x1234), usb("/dev/ttyS0", vid=None))
    assert ports.choose() == "/dev/ttyACM0"


def test_a_busy_port(pty):
    """pyserial's lock, which mpremote and everything of ours takes."""
    ports.check(pty[0])
    fcntl.flock(pty[1], fcntl.LOCK_EX)
    with pytest.raises(PortError, match="busy"):
        ports.check(pty[0])
    fcntl.flock(pty[1], fcntl.LOCK_UN)
    ports.check(pty[0])


@pytest.mark.parametrize("command", ["flash --board pico", "console", "log", "backup x.tar.gz", "wipe --yes",
                                     "restore ARCHIVE"])
def test_all_commands_end_with_4_where_two_are_plugged_in(plugged, capsys, command, tmp_path, archive):
    plugged(usb("/dev/ttyACM0"), usb("/dev/ttyACM1"))
    with pytest.raises(SystemExit) as caught:
        cli.main(command.replace("ARCHIVE", str(archive)).split())
    assert caught.value.code == 4 and "name one with --port" in capsys.readouterr().err


@pytest.fixture
def archive(tmp_path):
    import hashlib
    import io
    import json
    import tarfile

    data = b"{}"
    about = {"uid": "00", "eui64": "", "at": 0, "files": {"config.json": hashlib.sha256(data).hexdigest()}}
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as out:
        for name, octets in (("spot-backup.json", json.dumps(about).encode()), ("config.json", data)):
            info = tarfile.TarInfo(name)
            info.size = len(octets)
            out.addfile(info, io.BytesIO(octets))
    return tmp_path / "a.tar.gz"


class TestMains:
    """A cable to a board on the mains can kill: nobody gets one open by accident."""

    @pytest.fixture(autouse=True)
    def wired(self, monkeypatch):
        monkeypatch.setattr(ports, "is_wired", lambda name: name.startswith("/dev/tty"))

    @pytest.mark.parametrize("name, sentence", [("pico_w_plug", "can kill"), ("", "say which board")])
    def test_refused(self, name, sentence):
        from spot_host.commands.cable import safe_board

        with pytest.raises(UserError, match=sentence) as caught:
            safe_board(name, "/dev/ttyACM0", False)
        assert caught.value.exit_code == 2

    @pytest.mark.parametrize("name, port, mains_off", [
        ("pico", "/dev/ttyACM0", False), ("pico_w_plug", "/dev/ttyACM0", True), ("pico_w_plug", "socket://x:1", False),
        ("", "/dev/ttyACM0", True)])
    def test_allowed(self, name, port, mains_off):
        from spot_host.commands.cable import safe_board

        board = safe_board(name, port, mains_off)
        assert (board.name if board else "") == name


@pytest.mark.parametrize("name, wired", [
    ("socket://127.0.0.1:9", False), ("rfc2217://there:9", True), ("loop://", False)])
def test_what_a_cable_is(name, wired):
    assert ports.is_wired(name) == wired


def test_a_pseudo_terminal_is_no_cable(pty):
    assert not ports.is_wired(pty[0])
