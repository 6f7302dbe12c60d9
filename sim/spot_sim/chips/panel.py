"""Somebody's finger on a button, and an eye on the lamp."""


class PushButton:
    """A button between a line and ground (active 0), which bounces for the microseconds of `bounce` at each edge."""

    def __init__(self, line, active=0, bounce=()):
        self._line, self._hardware = line, line._hardware
        self._active = active
        self.bounce = bounce
        line.drive(1 - active)

    def press(self, held_ms):
        """Down now, up after `held_ms`."""
        self.down()
        self._hardware.call_in_us(held_ms * 1000, self.up)

    def down(self):
        self._edge(self._active)

    def up(self):
        self._edge(1 - self._active)

    def _edge(self, level):
        self._line.drive(level)
        at_us = 0
        now = level
        for width_us in self.bounce:
            at_us += width_us
            now = 1 - now
            self._hardware.call_in_us(at_us, lambda to=now: self._line.drive(to))
        if now != level:
            self._hardware.call_in_us(at_us + 50, lambda: self._line.drive(level))


class Lamp:
    """Writes down when a lamp's line moved: `moves`, (milliseconds, lit)."""

    def __init__(self, line, active=1):
        self._hardware = line._hardware
        self._active = active
        self.moves = []
        line.watch(self._moved)

    def _moved(self, _now_s, level):
        self.moves.append((self._hardware.now_ms, level == self._active))

    def beats(self, start_ms, n=16, beat_ms=125):
        """What was seen from `start_ms` on: a text of so many beats, # lit and . dark, looked at in their middles."""
        seen = ""
        for i in range(n):
            at = start_ms + i * beat_ms + beat_ms // 2
            lit = [lit for ms, lit in self.moves if ms <= at]
            seen += "#" if lit and lit[-1] else "."
        return seen
