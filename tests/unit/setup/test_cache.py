"""Directories that are there whole or not at all, and one line for what goes wrong."""

import errno
import os
import subprocess
import sys

import pytest

from spot_host.errors import SetupError
from spot_host.toolchain import cache, packages, run


def _names(folder):
    return sorted(os.listdir(folder))


def test_publish_makes_the_whole_directory(tmp_path):
    cache.publish(tmp_path / "a" / "tree", lambda work: (work / "file").write_text("x"))
    assert (tmp_path / "a" / "tree" / "file").read_text() == "x"
    assert _names(tmp_path / "a") == ["tree"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SetupError("bad"), ValueError("bug")])
def test_a_build_that_breaks_off_leaves_nothing(tmp_path, error):
    def build(work):
        (work / "half").write_text("x")
        raise error

    with pytest.raises(type(error)):
        cache.publish(tmp_path / "tree", build)
    assert _names(tmp_path) == []


def test_a_build_that_breaks_off_keeps_the_old_tree(tmp_path):
    cache.publish(tmp_path / "tree", lambda work: (work / "file").write_text("old"))

    def build(work):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.publish(tmp_path / "tree", build)
    assert (tmp_path / "tree" / "file").read_text() == "old"


def test_an_existing_tree_is_replaced_whole(tmp_path):
    cache.publish(tmp_path / "tree", lambda work: (work / "old").write_text("x"))
    cache.publish(tmp_path / "tree", lambda work: (work / "new").write_text("x"))
    assert _names(tmp_path / "tree") == ["new"] and _names(tmp_path) == ["tree"]


def test_what_a_killed_run_left_is_swept(tmp_path):
    code = (
        "import os, pathlib, signal\nfrom spot_host.toolchain import cache\n"
        f"cache.publish(pathlib.Path({str(tmp_path / 'tree')!r}), lambda work: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code])
    assert killed.returncode == -9 and len(_names(tmp_path)) == 1
    cache.publish(tmp_path / "tree", lambda work: None)
    assert _names(tmp_path) == ["tree"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "disk is full"), (errno.EACCES, "SPOT_CACHE"),
     (errno.EROFS, "SPOT_CACHE")],
)
def test_a_file_system_error_is_one_line_with_a_way_out(tmp_path, number, words):
    def build(work):
        raise OSError(number, os.strerror(number), str(work))

    with pytest.raises(SetupError, match=words) as caught:
        cache.publish(tmp_path / "tree", build)
    assert "\n" not in str(caught.value) and _names(tmp_path) == []


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("W: x\nE: Failed to fetch http://m/x  Temporary failure resolving 'm'", "no network"),
        ("ERROR: Could not install: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "checksum"),
        ("line\nE: Unable to locate package nothing\nmore", "E: Unable to locate package nothing"),
        ("", "no message"),
    ],
)
def test_what_a_failed_program_said_becomes_one_line(output, words):
    line = run.why(output, "fetching")
    assert words in line and line.startswith("fetching: ") and "\n" not in line


def test_a_failing_program_and_a_missing_one_are_setup_errors():
    with pytest.raises(SetupError, match="step: no good"):
        run.check([sys.executable, "-c", "print('no good'); raise SystemExit(3)"], "step")
    with pytest.raises(SetupError, match="cannot start"):
        run.check(["/nowhere/at/all"], "step")


def test_an_archive_with_another_checksum_is_refused(tmp_path):
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(b"something else")
    with pytest.raises(SetupError, match="checksum"):
        packages._verify(archive, "sha256", "0" * 64)


def test_an_archive_cannot_write_outside_its_folder(tmp_path):
    import io
    import tarfile

    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as handle:
        for name in ("top/good.py", "top/../../evil.py", "/abs/evil2.py"):
            member = tarfile.TarInfo(name)
            member.size = 1
            handle.addfile(member, io.BytesIO(b"x"))
    packages.unpack(archive, tmp_path / "out")
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.py"))
    assert written == ["out/evil2.py", "out/good.py"]  # an absolute name lands inside, ".." nowhere
    assert not list(tmp_path.parent.glob("evil*"))
