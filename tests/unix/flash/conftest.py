"""Fake boards for the tests of flashing, and a small firmware in place of the real one, whose main.py says its version."""

import pytest

from spot_host.boards import Board
from spot_host.flash import plan
from tests.unix.flash import tiny
from tests.unix.flash.fakeboard import FakeBoard


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
def firmware(monkeypatch):
    """firmware(version): what plan.firmware gives from now on."""

    def use(version):
        monkeypatch.setattr(plan, "firmware", lambda board: tiny.firmware(version))

    use("one")
    return use
