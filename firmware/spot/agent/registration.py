"""Registration: whether the EMD knows this device, and when to say it again. Without messages, see `hello`."""

from spot.agent.times import NEVER
from spot.port import const

# States
OFFLINE = const(0)  # no link, not registered since boot
ASKING = const(1)  # registering until the EMD answers
JOINED = const(2)  # associated; a reconnect changes nothing
UPDATING = const(3)  # associated, a change is being told until it is answered
REFUSED = const(4)  # the EMD said no; asked again much later
LEFT = const(5)  # took its leave

# Events; state | event is a row of the table
EV_UP = const(0x00)
EV_DOWN = const(0x10)
EV_TIMER = const(0x20)
EV_ACCEPTED = const(0x30)
EV_REFUSED = const(0x40)
EV_LAPSED = const(0x50)  # lease lapsed, or the EMD says that it does not know us
EV_CHANGED = const(0x60)  # what was registered is no longer so
EV_LEAVE = const(0x70)

# What to do
NOTHING = const(0)
REGISTER = const(0x10)
UPDATE = const(0x20)
UNREGISTER = const(0x30)

# state | event: action | next state. What is not here is ignored.
TABLE = {
    OFFLINE | EV_UP: REGISTER | ASKING,
    OFFLINE | EV_ACCEPTED: NOTHING | JOINED,
    ASKING | EV_UP: REGISTER | ASKING,
    ASKING | EV_TIMER: REGISTER | ASKING,
    ASKING | EV_DOWN: NOTHING | OFFLINE,
    ASKING | EV_ACCEPTED: NOTHING | JOINED,
    ASKING | EV_REFUSED: NOTHING | REFUSED,
    ASKING | EV_LEAVE: UNREGISTER | LEFT,
    JOINED | EV_ACCEPTED: NOTHING | JOINED,
    JOINED | EV_REFUSED: NOTHING | REFUSED,
    JOINED | EV_LAPSED: REGISTER | ASKING,
    JOINED | EV_CHANGED: UPDATE | UPDATING,
    JOINED | EV_LEAVE: UNREGISTER | LEFT,
    UPDATING | EV_UP: UPDATE | UPDATING,
    UPDATING | EV_TIMER: UPDATE | UPDATING,
    UPDATING | EV_CHANGED: UPDATE | UPDATING,
    UPDATING | EV_ACCEPTED: NOTHING | JOINED,
    UPDATING | EV_REFUSED: NOTHING | REFUSED,
    UPDATING | EV_LAPSED: REGISTER | ASKING,
    UPDATING | EV_LEAVE: UNREGISTER | LEFT,
    REFUSED | EV_TIMER: REGISTER | ASKING,
    REFUSED | EV_UP: REGISTER | ASKING,
    REFUSED | EV_ACCEPTED: NOTHING | JOINED,
    REFUSED | EV_LEAVE: UNREGISTER | LEFT,
    LEFT | EV_UP: UNREGISTER | LEFT,
}

FIRST_S = const(5)  # back-off after the first try; doubled with each
LONGEST_S = const(300)
REFUSED_S = const(900)


class Registration:
    """The state machine. `spread(window_s)` -> 0..window_s, this device's own.

    event() returns what to do; due_s: when EV_TIMER is due.
    """

    def __init__(self, spread):
        self._spread = spread
        self.state = OFFLINE
        self.tries = 0
        self.asked_s = -NEVER  # the latest question
        self.due_s = NEVER

    @property
    def joined(self):
        return self.state == JOINED or self.state == UPDATING

    def event(self, now_s, event):
        """Takes EV_…; returns NOTHING, REGISTER, UPDATE or UNREGISTER."""
        row = TABLE.get(self.state | event)
        if row is None:
            if event == EV_TIMER:
                self.due_s = NEVER
            return NOTHING
        action, following = row & 0xF0, row & 0x0F
        if following != self.state or event == EV_UP:
            self.tries = 0
        self.state = following
        if action == REGISTER or action == UPDATE:
            wait = min(FIRST_S << min(self.tries, 8), LONGEST_S)
            self.tries += 1
            self.asked_s = now_s
            self.due_s = now_s + wait + self._spread(wait // 4)
        elif following == REFUSED:
            self.due_s = now_s + REFUSED_S
        else:
            self.due_s = NEVER
        return action
