"""Fake boards for the tests of flashing, and a small firmware in place of the real one, whose main.py says its
version."""

import pytest
from serial.urlhandler import protocol_socket

from spot_host.boards import Board
from spot_host.flash import plan, slot
from spot_host.toolchain.paths import ROOT
from tests.unix.flash import tiny
from tests.unix.flash.fakeboard import FakeBoard


@pytest.fixture(autouse=True)
def prompt_sockets(monkeypatch):
    """pyserial waits 0.3 s after it has closed a socket, for servers that are slow to notice; this one is not."""
    monkeypatch.setattr(protocol_socket, "time", type("Time", (), {"sleep": lambda seconds: None}))


@pytest.fixture(scope="session")
def unix_board():
    return Board.load("unix")


@pytest.fixture
def board_of(micropython_path, tmp_path):
    """board_of(**pretend) → a FakeBoard that is to be entered; `folder` names its file system, to start it anew."""

    def make(folder="chip", cut_after=None, **pretend):
        return FakeBoard(micropython_path, tmp_path / folder, pretend, cut_after)

    return make


@pytest.fixture
def own_board(board_of):
    """As board_of, but with SPOT's own image: two slots of 64 kB."""
    return lambda folder="chip", cut_after=None, own=None, **pretend: board_of(
        folder, cut_after, own={"base": 1, "board": "unix", "sequence": 1, **(own or {})},
        firmware=str(ROOT / "firmware"), **pretend)


@pytest.fixture
def built(monkeypatch):
    """built(version): the release that the checkout gives from now on."""

    def use(version):
        monkeypatch.setattr(slot, "dev_version", lambda board: version)
        monkeypatch.setattr(slot, "build", lambda board, version, running: tiny.release(version, (running or [1])[0]))

    use("one")
    return use


@pytest.fixture
def firmware(monkeypatch):
    """firmware(version): what plan.firmware gives from now on."""

    def use(version):
        monkeypatch.setattr(plan, "firmware", lambda board: tiny.firmware(version))

    use("one")
    return use
