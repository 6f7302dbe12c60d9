"""The slots of a computer: slot_a.bin and slot_b.bin in a folder, as spot/slots.py wants a region."""

import os

_SIZE = 262144  # as on a Pico


class Files:
    """A region in `folder`, which is made with two erased slots where it is not there yet. size: octets of one slot."""

    def __init__(self, folder, size=_SIZE):
        self.size = size
        self._paths = [folder + "/slot_a.bin", folder + "/slot_b.bin"]
        try:
            os.mkdir(folder)
        except OSError:
            pass  # it is there, or the first file says what is wrong
        for path in self._paths:
            try:
                os.stat(path)
            except OSError:
                with open(path + ".new", "wb") as file:
                    for _ in range(size // 4096):
                        file.write(b"\xff" * 4096)
                os.rename(path + ".new", path)

    def _put(self, at, buf):
        with open(self._paths[at // self.size], "r+b") as file:
            file.seek(at % self.size)
            file.write(buf)

    def erase(self, at):
        self._put(at, b"\xff" * 4096)

    def write(self, at, buf):
        here = bytearray(len(buf))
        self.readinto(at, here)
        for i in range(len(here)):  # as flash: bits go to 0
            here[i] &= buf[i]
        self._put(at, here)

    def readinto(self, at, buf):
        with open(self._paths[at // self.size], "rb") as file:
            file.seek(at % self.size)
            file.readinto(buf)

    def view(self, at, n):
        return None
