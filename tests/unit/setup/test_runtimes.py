"""What is on PATH counts only when it is good enough; doctor's table; the bounds of the benchmarks."""

import sys

import pytest

from spot_host.errors import SetupError
from spot_host.toolchain import doctor, paths, python_env, runtimes
from tests.bench.bounds import Bound


@pytest.fixture
def toolchain(tmp_path, monkeypatch):
    """An empty `.toolchain` and a PATH with nothing but a folder of the test's own."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("SPOT_TOOLCHAIN", str(tmp_path / "toolchain"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("SPOT_IGNORE_PATH", raising=False)
    monkeypatch.setattr(runtimes, "_EXTRA_DIRS", ())
    monkeypatch.setattr(runtimes.debian, "available", lambda: "no apt-get here")

    def program(name, says):
        (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (folder / name).chmod(0o755)
        return str(folder / name)

    return program


@pytest.mark.parametrize(
    ("name", "says", "version", "wrong"),
    [
        ("micropython", "ok 1 25 0", "1.25.0", None),
        ("micropython", "ok 1 24 1", "1.24.1", "older than 1.25"),
        ("micropython", "lacks 1 26 0 no module named tls", "1.26.0", "has no tls or asyncio"),
        ("micropython", "Segmentation fault", None, "does not start"),
        ("mosquitto", "mosquitto version 2.0.11", "2.0.11", None),
        ("mosquitto", "mosquitto version 1.6.12", "1.6.12", "older than 2.0"),
        ("mosquitto", "", None, "does not start"),
    ],
)
def test_a_program_is_probed_by_what_it_says(toolchain, name, says, version, wrong):
    assert runtimes.PROBES[name](toolchain(name, says)) == (version, wrong)


def test_a_good_program_on_path_is_taken(toolchain):
    found = toolchain("mosquitto", "mosquitto version 2.0.18")
    runtimes.set_up_program("mosquitto")
    assert found in runtimes.installed("mosquitto").read_text()
    assert runtimes.probe_mosquitto(runtimes.installed("mosquitto")) == ("2.0.18", None)


def test_an_old_program_without_apt_is_one_line_that_says_what_to_install(toolchain):
    toolchain("micropython", "ok 1 22 0")
    with pytest.raises(SetupError, match=r"install MicroPython 1\.25 or later") as caught:
        runtimes.set_up_program("micropython")
    assert "\n" not in str(caught.value) and not runtimes.installed("micropython").exists()


def test_path_can_be_ignored(toolchain, monkeypatch):
    toolchain("mosquitto", "mosquitto version 2.0.18")
    monkeypatch.setenv("SPOT_IGNORE_PATH", "1")
    assert runtimes.on_path("mosquitto") is None


def test_an_unsupported_platform_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SetupError, match="win32 is not supported"):
        runtimes.set_up()


def test_doctor_names_what_is_missing_and_the_line_that_mends_it(toolchain, monkeypatch, capsys):
    monkeypatch.setattr(python_env, "current", lambda: False)
    assert doctor.main() == 1
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if line.startswith("micropython")]
    assert "missing" in row and "install MicroPython 1.25 or later" in row
    assert "make setup" in out.splitlines()[-1]


def test_doctor_is_content_with_what_is_here(toolchain, monkeypatch, capsys):
    monkeypatch.setattr(python_env, "current", lambda: True)
    for name, says in (("micropython", "ok 1 25 0"), ("mosquitto", "mosquitto version 2.0.18")):
        toolchain(name, says)
        runtimes.set_up_program(name)
    (runtimes.umqtt_dir() / "umqtt").mkdir(parents=True)
    (runtimes.umqtt_dir() / "umqtt" / "simple.py").write_text("")
    assert doctor.main() == 0, capsys.readouterr().out


def test_every_pinned_package_has_hashes_and_no_index():
    text = paths.LOCK.read_text()
    blocks = text.replace("\\\n", " ").splitlines()
    pins = [line for line in blocks if line and not line.startswith("#")]
    assert len(pins) > 40
    for line in pins:
        assert "==" in line and "--hash=sha256:" in line, line
    assert "index-url" not in text and "https://" not in text


@pytest.mark.parametrize(
    ("bound", "value", "peers", "kept"),
    [
        (Bound("", high=90), 90, {}, True),
        (Bound("", high=90), 91, {}, False),
        (Bound("", low=300_000), 299_999, {}, False),
        (Bound("", peer="json", peer_high=0.1), 0.36, {"json": 3.6}, True),
        (Bound("", peer="json", peer_high=0.1), 0.37, {"json": 3.6}, False),
        (Bound("", peer="paho", peer_low=0.5), 4_999, {"paho": 10_000}, False),
        (Bound("", peer="json", peer_high=1), 1, {}, False),
    ],
)
def test_a_bound_is_kept_or_missed(bound, value, peers, kept):
    assert (bound.missed(value, peers) == "") is kept
