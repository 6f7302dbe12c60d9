"""A maker of releases for tests of updates, here and in tests/unix/update."""

import pyhsslms

from spot_host import suit
from spot_sim.firmware import release

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


