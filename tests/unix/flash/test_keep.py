"""`spot backup`, `restore`, `wipe`, `log`, `console` and `doctor --port` on a fake board."""

import json
import os
import shutil
import stat
import struct
import tarfile
import zlib

import pytest

from spot_host import cli
from spot_host.errors import UserError
from spot_host.flash import console, crash, keep
from spot_host.flash.errors import MisfitError, TransferError
from spot_host.flash.port import Port
from tests.unix.flash.tiny import EUI, device


def value(data):
    """A file as spot/store.py writes it."""
    return struct.pack("<HHI", 0x5350, len(data), zlib.crc32(data)) + data


STORE = {"boot": value(b"\0\0\0\7\0\0\0\0"), "keyshome_0": value(b"numbers"), "keyshome_k": value(b"secret"),
         "calib": value(b"calibration"), "crash": value(b"\2boot 6 utc 0 up 9 heap 0 main\nTraceback")}


@pytest.fixture
def enrolled(board_of):
    """A board with a configuration, a key, a store and a firmware; not yet switched on."""
    there = board_of()
    made = device(1)
    made.config["coap"]["renew"] = True
    for name, data in {**made.files, "config.json": made.octets(), "config.json.good": made.octets(), "main.py": b"",
                       "spot-1/main.py": b"", **{f"store/{name}": data for name, data in STORE.items()}}.items():
        path = there.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return there


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def spot(capsys, *words):
    """(exit code, what was said) of a command."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(word) for word in words])
    said = capsys.readouterr()
    return caught.value.code, said.out + said.err


def test_a_backup_has_what_is_the_devices_own_and_is_its_owners(enrolled, tmp_path, capsys):
    os.umask(0o022)
    with enrolled as there:
        code, said = spot(capsys, "backup", tmp_path / "b.tar.gz", "--port", there.url)
        assert code == 0 and EUI in said and there.boots == 2
    assert stat.S_IMODE((tmp_path / "b.tar.gz").stat().st_mode) == 0o600
    about, files = keep.load(tmp_path / "b.tar.gz")
    assert about["eui64"] == EUI and about["board"] == "unix"
    assert set(files) == {"config.json", "config.json.good", *device(1).files, *(f"store/{name}" for name in STORE)}
    assert not list(tmp_path.glob("*.part"))


def test_a_backup_is_never_written_over(enrolled, tmp_path, capsys):
    (tmp_path / "b.tar.gz").write_text("mine")
    with enrolled as there:
        code, said = spot(capsys, "backup", tmp_path / "b.tar.gz", "--port", there.url)
    assert code == 2 and "is there already" in said and (tmp_path / "b.tar.gz").read_text() == "mine"


def test_restored_after_a_wipe_all_is_as_before(enrolled, tmp_path, capsys):
    before = content(enrolled.folder)
    with enrolled as there:
        assert spot(capsys, "backup", tmp_path / "b.tar.gz", "--port", there.url)[0] == 0
        code, said = spot(capsys, "wipe", "--yes", "--quick", "--port", there.url)
        assert code == 0
        left = content(there.folder)
        assert set(left) == {"main.py", "spot-1/main.py", "store/boot", "store/keyshome_0"}  # firmware, and counts
        code, said = spot(capsys, "restore", tmp_path / "b.tar.gz", "--port", there.url)
        assert code == 0 and EUI in said
    assert content(enrolled.folder) == before


def test_counts_never_go_back(enrolled, tmp_path):
    """A number must not be used twice under one key: the board's own stay, however old the backup is."""
    with enrolled as there:
        with Port.open(there.url) as port:
            keep.backup(port, tmp_path / "b.tar.gz")
        (there.folder / "store/keyshome_0").write_bytes(value(b"later"))
        (there.folder / "store/calib").write_bytes(value(b"spoilt"))
        with Port.open(there.url) as port:
            done = keep.restore(port, tmp_path / "b.tar.gz")
        assert (there.folder / "store/keyshome_0").read_bytes() == value(b"later")
        assert (there.folder / "store/calib").read_bytes() == STORE["calib"]
    assert done["left"] == ["store/boot", "store/keyshome_0"]


def test_keys_that_cannot_begin_anew_are_not_restored_without_counts(enrolled, tmp_path):
    path = enrolled.folder / "config.json"
    config = json.loads(path.read_text())
    del config["coap"]["renew"]
    path.write_text(json.dumps(config))
    with enrolled as there:
        with Port.open(there.url) as port:
            keep.backup(port, tmp_path / "b.tar.gz")
        shutil.rmtree(there.folder / "store")
        before = content(there.folder)
        with Port.open(there.url) as port, pytest.raises(MisfitError, match="enrol it anew"):
            keep.restore(port, tmp_path / "b.tar.gz")
        assert content(there.folder) == before


def test_another_board_is_asked_for(enrolled, tmp_path, board_of):
    with enrolled as there, Port.open(there.url) as port:
        keep.backup(port, tmp_path / "b.tar.gz")
    with board_of("other", uid="0102030405060708") as other:
        with Port.open(other.url) as port, pytest.raises(MisfitError, match="--other-board"):
            keep.restore(port, tmp_path / "b.tar.gz")
        assert content(other.folder) == {}
        with Port.open(other.url) as port:
            keep.restore(port, tmp_path / "b.tar.gz", other_board=True)
        assert set(content(other.folder)) == {"config.json", "config.json.good", *device(1).files}  # no store


@pytest.mark.parametrize("spoil", ["cut", "file", "more", "none"])
def test_an_archive_that_is_damaged(enrolled, tmp_path, capsys, spoil):
    with enrolled as there, Port.open(there.url) as port:
        keep.backup(port, tmp_path / "b.tar.gz")
    path = tmp_path / "b.tar.gz"
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif spoil == "none":
        path.write_bytes(b"")
    else:
        with tarfile.open(path) as archive:
            archive.extractall(tmp_path / "all")  # `filter` is younger than Python 3.11.2
        name = "config.json" if spoil == "file" else "boot.py"
        (tmp_path / "all" / name).write_text("{}")
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "all", arcname=".")
    assert spot(capsys, "restore", path, "--port", "socket://127.0.0.1:1")[0] == 2


def test_wipe_all_leaves_nothing(enrolled, capsys):
    with enrolled as there:
        code, _ = spot(capsys, "wipe", "--yes", "--all", "--quick", "--port", there.url)
        assert code == 0 and list(there.folder.iterdir()) == []


def test_wipe_asks_first(enrolled, capsys):
    before = content(enrolled.folder)
    with enrolled as there:
        code, said = spot(capsys, "wipe", "--port", there.url)
    assert code == 2 and "--yes" in said and content(enrolled.folder) == before


def test_a_wipe_that_is_cut_leaves_no_device_that_starts_without_its_keys(enrolled, micropython_path, board_of):
    """The configuration goes before the keys: what is half wiped waits at the cable."""
    start = content(enrolled.folder)
    for cut in range(1500, 9000, 500):
        there = board_of(f"cut{cut}", cut_after=cut)
        for name, data in start.items():
            (there.folder / name).parent.mkdir(exist_ok=True)
            (there.folder / name).write_bytes(data)
        with there, pytest.raises(TransferError):
            with Port.open(there.url) as port:
                keep.wipe(port, overwrite=False)
            raise TransferError("done before")
        left = content(there.folder)
        for name in ("config.json", "config.json.good"):
            if name in left:
                assert json.loads(left[name])["coap"]["pairing"] in left


def test_free_flash_is_filled(board_of):
    with board_of(full_after=3) as there, Port.open(there.url) as port:
        port.fill()
        assert port.eval("_count") == 16 * 3 + 1  # the write that failed was the last
        assert "fill" not in port.tree()


def test_the_log_over_the_cable(enrolled, capsys):
    (enrolled.folder / "main.py").write_text(
        "import time\ntry:\n    print('it runs')\n    time.sleep(60)\nexcept KeyboardInterrupt:\n"
        "    print('0 i link.up 1 0\\n9 e relay.stuck 0 -3')\n")
    with enrolled as there:
        there.wait_for(b"it runs")
        code, said = spot(capsys, "log", "--port", there.url)
        assert there.boots == 2
    assert code == 0
    assert "0 i link.up 1 0\n9 e relay.stuck 0 -3\ncrash record, 2 failing starts in a row:\nboot 6" in said


def test_no_log_and_no_crash(board_of, capsys):
    with board_of() as there:
        code, said = spot(capsys, "log", "--port", there.url)
    assert code == 0 and "no log: the firmware did not run" in said and "no crash record" in said


def test_the_console_shows_what_is_printed(enrolled, capsys):
    (enrolled.folder / "main.py").write_text(
        "import sys, time\nwhile True:\n    sys.stdout.buffer.write(b'\\xc0\\x0atext in a frame\\xc0plain\\x1b[2J')\n"
        "    time.sleep(0.05)\n")
    with enrolled as there:
        code, said = spot(capsys, "console", "--port", there.url, "--seconds", "0.6")
        assert there.boots == 1  # it went on
    assert code == 0 and "text in a frame\n" in said and "plain?[2J" in said


def test_doctor_looks_at_a_board(enrolled, capsys, firmware):
    (enrolled.folder / next(iter(device(1).files))).unlink()
    with enrolled as there:
        code, said = spot(capsys, "doctor", "--port", there.url)
    assert code == 3
    for words in ("a stock image", f"{EUI} on unix", "WRONG: pairing-", "boot 6", "`spot log`"):
        assert words in said, said


def test_no_micropython_answers(board_of, monkeypatch):
    from spot_host.flash import port

    monkeypatch.setattr(port, "_ENTER_S", 0.2)
    waits = []
    with board_of(no_repl=True) as there, pytest.raises(TransferError, match="no MicroPython answers"):
        Port.open(there.url, wait_s=2, on_wait=waits.append)
    assert len(waits) == 1 and "reset button" in waits[0]


def test_frames_and_text_in_any_pieces():
    from spot.link.slipmux import write_message, write_text

    out = bytearray(64)
    octets = b"plain\n" + bytes(out[: write_text(b"framed", out)])
    octets += bytes(out[: write_message(b"\x40\x01\0\1", 4, out)]) + b"\x01\x02"
    for size in (1, 3, len(octets)):
        reader = console.Reader()
        said = "".join(reader.feed(octets[i : i + size]) for i in range(0, len(octets), size))
        assert said == "plain\nframed\n??" and reader.messages == 1


def test_damaged_values_are_none():
    assert crash.value(STORE["crash"])[:1] == b"\2"
    assert crash.value(STORE["crash"][:-1]) is None and crash.value(b"") is None
    assert crash.ring("x\n5 i a.b 0 1\n5 i a.b 0\n>>> 5 q a 0 1\n") == ["5 i a.b 0 1"]


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="no backup"):
        keep.load(tmp_path / "none.tar.gz")
