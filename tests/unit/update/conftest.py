"""What tests of updates ask for: a maker of releases, and a device."""

import sys
from pathlib import Path

import pytest

from spot_host import suit

sys.path.insert(0, str(Path(__file__).parent))
from maker import BOARD, Maker  # noqa: E402 - needs the path above


@pytest.fixture(scope="session")
def maker():
    return Maker()


@pytest.fixture
def life(maker):
    """f(**more) -> a device that runs release 1 and whose EMD has 2 and 3, its link up."""
    from rig import Life

    def make(releases=None, files=None, install=True, **more):
        rows = {sequence: maker.release(sequence) for sequence in (1, 2, 3)}
        rows.update(releases or {})
        board = (suit.VENDOR.bytes, suit.class_id(BOARD).bytes)
        one = Life(rows, more.pop("keys", [maker.key]), board, files, **more)
        if install and files is None:
            one.region.install(0, rows[1][0], rows[1][1])
        one.boot()
        one.up = True
        return one

    return make
