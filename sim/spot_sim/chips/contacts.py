"""Contacts behind pins: the relay of a plug, which may weld, and the two SG-Ready contacts of a heat pump."""


class RelayContact:
    """Follows a relay's pin and switches `load.set_supply(now_s, closed)`; `welded` contacts stay closed."""

    def __init__(self, line, load, active=1):
        self._line = line
        self._load = load
        self._active = active
        self._welded = False
        self.operations = 0
        line.watch(self._moved)
        self.closed = line.level == active
        load.set_supply(line._hardware.now_s, self.closed)

    @property
    def welded(self):
        return self._welded

    @welded.setter
    def welded(self, welded):
        self._welded = welded
        self._moved(self._line._hardware.now_s, self._line.level)

    def _moved(self, now_s, level):
        closed = level == self._active or self._welded
        if closed != self.closed:
            self.closed = closed
            self.operations += 1
            self._load.set_supply(now_s, closed)


class SgReadyContacts:
    """What a heat pump sees at its SG-Ready input: `state` 1 to 4; `seen` is every state it was shown, one after the
    other.

    on_change(now_s, state): called for each, also for those passed through.
    """

    STATES = {(1, 0): 1, (0, 0): 2, (0, 1): 3, (1, 1): 4}

    def __init__(self, first, second, on_change=None, active=1):
        self._lines = (first, second)
        self._active = active
        self._on_change = on_change
        self.state = self._look()
        self.seen = [self.state]
        for line in self._lines:
            line.watch(self._moved)

    def _look(self):
        return self.STATES[tuple(int(line.level == self._active) for line in self._lines)]

    def _moved(self, now_s, level):
        self.state = self._look()
        self.seen.append(self.state)
        if self._on_change is not None:
            self._on_change(now_s, self.state)
