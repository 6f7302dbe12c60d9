"""One seed, many independent random streams: what one part draws never shifts what another one draws."""

import hashlib
import random


class Seeds:
    """Named random generators from one seed.

    The same seed and name give the same stream on every machine and Python version that SPOT supports, whatever else
    was drawn before.
    """

    __slots__ = ("seed", "_path")

    def __init__(self, seed, _path=()):
        self.seed = seed
        self._path = _path

    def number(self, *names):
        """A 256-bit number for a name such as ("net", device_id)."""
        text = "\x1f".join(str(part) for part in (self.seed, *self._path, *names))
        return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")

    def stream(self, *names):
        """An independent `random.Random` for a name."""
        return random.Random(self.number(*names))

    def child(self, *names):
        """The seeds of a part: `child("a").stream("b")` is `stream("a", "b")`."""
        return Seeds(self.seed, self._path + names)
