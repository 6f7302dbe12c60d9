"""Contacts behind pins: the relay of a plug, which takes its time, bounces, wears, welds or stays open, and the two
SG-Ready contacts of a heat pump.
"""

OPEN, CLOSED = 0, 1


class RelayContact:
    """Follows a relay's pin and switches `load.set_supply(now_s, closed)`; `closed` is the contact itself.

    close_ms, open_ms: how long after its coil the contact moves (0: at once); bounce: microseconds from edge to edge
    that it bounces for afterwards, from the first touch on. Times pass in `Hardware.advance`.
    sense: the Line of an auxiliary contact, which shows 1 while the contact is closed.
    life: operations until it fails for good, the way `fails` says: CLOSED (welded) or OPEN (None: never).

    Faults: `welded` contacts stay closed (a contact that is open welds when it closes next is not modelled: it closes);
    `stuck_open` ones do not close (a broken coil: the contact opens at once and stays so). `operations` counts
    movements, bounces not among them; `moves`: the latest 100 of them as (microseconds, closed).
    """

    def __init__(self, line, load, active=1, close_ms=0, open_ms=0, bounce=(), sense=None, life=None, fails=CLOSED):
        self._line = line
        self._hardware = line._hardware
        self._load = load
        self._active = active
        self._delays_us = (open_ms * 1000, close_ms * 1000)
        self._bounce = tuple(bounce)
        self._sense = sense
        self._life, self._fails = life, fails
        self._welded = self._stuck_open = False
        self._turn = 0  # a movement that another one overtook does not happen
        self.operations = 0
        self.moves = []
        line.watch(self._coil)
        self.closed = self._target()
        self._supply(self.closed)

    def _target(self):
        return (self._line.level == self._active or self._welded) and not self._stuck_open

    @property
    def welded(self):
        return self._welded

    @welded.setter
    def welded(self, welded):
        self._welded = welded
        self._settle()

    @property
    def stuck_open(self):
        return self._stuck_open

    @stuck_open.setter
    def stuck_open(self, stuck):
        self._stuck_open = stuck
        self._settle()

    def _supply(self, closed):
        self._load.set_supply(self._hardware.now_s, closed)
        if self._sense is not None:
            self._sense.drive(1 if closed else 0)

    def _coil(self, _now_s, level):
        delay_us = self._delays_us[level == self._active]
        self._turn += 1
        if not delay_us:
            self._settle()
            return
        turn = self._turn
        self._hardware.call_in_us(delay_us, lambda: self._settle() if turn == self._turn else None)

    def _settle(self):
        closed = self._target()
        if closed == self.closed:
            return
        self.closed = closed
        self.operations += 1
        self.moves.append((self._hardware.now_us(), closed))
        if len(self.moves) > 100:
            self.moves.pop(0)
        self._supply(closed)
        if self._bounce:
            self._turn += 1
            self._bounces(closed, self._turn)
        if self._life is not None and self.operations >= self._life:
            self._life = None
            if self._fails == CLOSED:
                self.welded = True
            else:
                self.stuck_open = True

    def _bounces(self, closed, turn):
        at_us, level = 0, closed
        for width_us in self._bounce:
            at_us += width_us
            level = not level
            self._hardware.call_in_us(at_us, lambda now=level: self._supply(now) if turn == self._turn else None)
        if level != closed:
            self._hardware.call_in_us(at_us + 100, lambda: self._supply(self.closed))


class ZeroCrossing:
    """A detector at the mains: an edge of `line` at each zero crossing, from `start` until `stop`.

    half_us: a half-wave. `late_us`: how long after the crossing its edge comes. `at_us(us)` → how far from the nearest
    crossing an instant is.
    """

    def __init__(self, line, half_us=10000, first_us=0, late_us=0):
        self._line, self._hardware = line, line._hardware
        self.half_us, self.late_us = half_us, late_us
        self._first_us = first_us
        self.running = False

    def start(self):
        self.running = True
        now_us = self._hardware.now_us()
        self._hardware.call_in_us(self.half_us - (now_us - self._first_us) % self.half_us + self.late_us, self._cross)

    def stop(self):
        self.running = False

    def _cross(self):
        if self.running:
            self._line.drive(1 - self._line.level)
            self._hardware.call_in_us(self.half_us, self._cross)

    def at_us(self, us):
        phase = (us - self._first_us) % self.half_us
        return min(phase, self.half_us - phase)


class SgReadyContacts:
    """What a heat pump sees at its SG-Ready input: `state` 1 to 4; `seen` is every state it was shown, one after the
    other.

    on_change(now_s, state): called for each, also for those passed through. senses: Lines of two auxiliary contacts.
    `stuck`: {contact 0 or 1: CLOSED or OPEN}, contacts that do not follow any more; say `moved()` after changing it.
    """

    STATES = {(1, 0): 1, (0, 0): 2, (0, 1): 3, (1, 1): 4}

    def __init__(self, first, second, on_change=None, active=1, senses=None):
        self._lines = (first, second)
        self._active = active
        self._on_change = on_change
        self._senses = senses
        self.stuck = {}
        self.state = self._look()
        self.seen = [self.state]
        for line in self._lines:
            line.watch(self._moved)

    def _look(self):
        contacts = [int(line.level == self._active) for line in self._lines]
        if self.stuck:
            contacts = [self.stuck.get(i, contact) for i, contact in enumerate(contacts)]
        if self._senses:
            for i in (0, 1):
                self._senses[i].drive(contacts[i])
        return self.STATES[tuple(contacts)]

    def moved(self):
        self._moved(self._lines[0]._hardware.now_s, None)

    def _moved(self, now_s, _level):
        self.state = self._look()
        self.seen.append(self.state)
        if self._on_change is not None:
            self._on_change(now_s, self.state)
