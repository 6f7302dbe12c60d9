"""Releases, signed once for all tests of updates."""

import sys
from pathlib import Path

import pyhsslms
import pytest

from spot_host import suit
from spot_sim.firmware import release

sys.path.insert(0, str(Path(__file__).parent))

BOARD = "sim"


class Maker:
    """A key, and the releases that it signed: each but once, since a key of this height signs 32."""

    def __init__(self):
        kinds = {"lms_type": pyhsslms.lms_sha256_m32_h5, "lmots_type": pyhsslms.lmots_sha256_n32_w4}
        self.private = pyhsslms.LmsPrivateKey(**kinds)
        self.key = self.private.publicKey().serialize()
        self._made = {}

    def sign(self, octets):
        return b"\0\0\0\0" + self.private.sign(octets)

    def release(self, sequence, board=BOARD, **more):
        """(octets, of them the head's, the manifest's digest)."""
        name = (sequence, board, *sorted(more.items()))
        if name not in self._made:
            sign = more.pop("sign", self.sign)
            octets = release(board, sequence, "1.%d.0" % sequence, sign=sign, **more)
            self._made[name] = row(octets)
        return self._made[name]


def row(octets):
    read = suit.read(octets)
    return octets, read.head, read.digest


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
