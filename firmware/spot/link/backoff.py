"""How long to wait before the next attempt: doubling to a bound, with jitter, so that no fleet returns at once."""


class Backoff:
    """Delays in ms: `next(draw)`, `draw` random 16 bits, lies in the upper half of first, 2 first, 4 first … most."""

    def __init__(self, first_ms, most_ms):
        self._first_ms = first_ms
        self._most_ms = most_ms
        self._ms = first_ms

    def next(self, draw):
        longest = self._ms
        self._ms = min(2 * longest, self._most_ms)
        shortest = longest // 2
        return shortest + draw * (longest - shortest) // 65535

    @property
    def is_fresh(self):
        return self._ms == self._first_ms

    def reset(self):
        """The connection proved stable: the next failure starts afresh."""
        self._ms = self._first_ms
