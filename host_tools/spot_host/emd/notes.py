"""Notes of links for people: one row for each cause, however often it happens. Used from any thread."""

import threading
import time

_AGAIN_S = 600.0  # a cause that goes on is told again after so long, with its count
_FACTS = ("key_rotated", "pairing_revoked")  # each happens once, by an operator's hand, and is told each time
_MOST = 1000  # causes; devices are bounded, and a stranger's cause has no name in it


class Notes:
    """`add` from anywhere; `take` gives [(EUI or None, event, detail)] of what is new."""

    def __init__(self, clock=time.monotonic):
        self._clock, self._lock, self._causes, self._new = clock, threading.Lock(), {}, []
        self.counts = {}

    def add(self, event: str, eui: str | None, detail: str) -> None:
        """Something happened. The cause is (event, eui), of a fact also its detail; told is that of the first time."""
        now, cause = self._clock(), (event, eui, detail) if event in _FACTS else (event, eui)
        with self._lock:
            self.counts[event] = self.counts.get(event, 0) + 1
            known = self._causes.get(cause)
            if known is None:
                if len(self._causes) >= _MOST:
                    self._causes.clear()
                self._causes[cause] = [now, 0]
                self._new.append((eui, event, detail[:200]))
            elif now - known[0] >= _AGAIN_S:
                self._new.append((eui, event, f"{detail[:160]} ({known[1] + 1} times since the last note)"))
                known[0], known[1] = now, 0
            else:
                known[1] += 1

    def take(self) -> list:
        if not self._new:
            return []
        with self._lock:
            new, self._new = self._new, []
        return new
