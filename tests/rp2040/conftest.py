"""The emulated board for the tests: one for the session with the wire modules on it, and fresh ones on demand."""

from pathlib import Path

import pytest

from tests.rp2040 import board as boards
from tests.rp2040 import build, trips
from tests.rp2040 import product as products

LIFE = Path(__file__).with_name("life_on_device.py")
SCRIPTS = Path(__file__).resolve().parents[1] / "unix" / "wire"


@pytest.fixture(scope="session")
def rp2040_rig():
    """The image and the emulator; skipped, and counted, where they have not been built."""
    rig = build.rig()
    if rig is None:
        pytest.skip("RP2040 image and emulator (make test-rp2040)")
    return rig


@pytest.fixture(scope="session")
def product(rp2040_rig):
    """The flash image of a board with the product's firmware and a configuration for a cable: others begin with it."""
    return products.shared(rp2040_rig)


@pytest.fixture
def fresh_board(rp2040_rig, tmp_path):
    """A board of the test's own, with empty flash."""
    with boards.Board(rp2040_rig, tmp_path) as board:
        yield board


@pytest.fixture(scope="session")
def plug_board(rp2040_rig, tmp_path_factory):
    """A board with the parts of a whole plug, for the scripts of test_trip.py and test_life.py. It is handed on as it
    was left."""
    with boards.Board(rp2040_rig, tmp_path_factory.mktemp("plug")) as board:
        board.load(trips.image(LIFE))
        yield board


@pytest.fixture(scope="session")
def rp2040(rp2040_rig, tmp_path_factory):
    """The session's board with `spot.port`, `spot.codes` and `spot.wire` on it, compiled for the chip."""
    folder = tmp_path_factory.mktemp("rp2040")
    with boards.Board(rp2040_rig, folder) as board:
        board.load(boards.wire(*(SCRIPTS / f"{name}_on_device.py" for name in ("golden", "heap", "rfc8949"))))
        yield board
