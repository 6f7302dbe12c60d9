"""The flash of two slots in memory. It needs spot_sim.flash and the firmware alone: it runs on MicroPython, too."""

from spot.slots import IMAGE, SECTOR

from .flash import PowerCut


class Region:
    """The flash of two slots, as spot.slots wants it, in a MemoryFs: a power cut that is set there comes at erases and
    writes here as well, and tears them. erases: how many there were."""

    def __init__(self, fs, size=64 * SECTOR):
        self.size = size
        self.erases = 0
        self._fs = fs
        if "rom" not in fs.files:
            fs.files["rom"] = bytearray(b"\xff" * (2 * size))

    def erase(self, at):
        assert at % SECTOR == 0
        self.erases += 1
        self._put(at, b"\xff" * SECTOR, SECTOR // 2)

    def write(self, at, buf):
        assert at % 256 == 0
        old = self._fs.files["rom"][at : at + len(buf)]
        self._put(at, bytes([old[i] & buf[i] for i in range(len(old))]), len(buf) // 2)

    def _put(self, at, octets, torn):
        cut = self._fs._operate()
        if cut:
            octets = octets[:torn]
        self._fs.files["rom"][at : at + len(octets)] = octets
        if cut:
            raise PowerCut

    def readinto(self, at, buf):
        buf[:] = self._fs.files["rom"][at : at + len(buf)]

    def view(self, at, n):
        return None

    def install(self, slot, octets, head):
        """Put a release there, whose head has so many octets, as a cable does it."""
        at = slot * self.size
        self._fs.files["rom"][at : at + self.size] = b"\xff" * self.size
        self._fs.files["rom"][at : at + head] = octets[:head]
        self._fs.files["rom"][at + IMAGE : at + IMAGE + len(octets) - head] = octets[head:]
