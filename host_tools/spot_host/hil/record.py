"""What was said while tests ran: packets of both ways, what the EMD noted, the board's console; of a test its own part.

Bounded: a board that prints without end costs no more than the latest lines.
"""

from collections import deque
from dataclasses import dataclass
from itertools import islice

from spot_host.profile import codec

_MOST = 20_000  # lines of each kind


@dataclass(frozen=True, slots=True)
class Packet:
    """One body: `at` (Unix s of the target), `way` ("up", "down", "group"), `channel`, `body`, and what it says: `name`
    and `values` of the message, or name "" where it is none."""

    at: int
    way: str
    channel: str
    body: bytes
    name: str
    values: dict

    def __str__(self):
        words = " ".join(f"{k}={v.hex() if isinstance(v, bytes) else v}" for k, v in self.values.items())
        return f"{self.at} {self.way:<5} {self.channel:<9} {self.name or 'not a message'} {words} [{self.body.hex()}]"


class Record:
    """`packets`, `console` (lines) and `events` (lines) of one target; `mark()` begins a test."""

    def __init__(self):
        self.packets, self.console, self.events = deque(maxlen=_MOST), deque(maxlen=_MOST), deque(maxlen=_MOST)
        self._counts = {"packets": 0, "console": 0, "events": 0}
        self._marks = dict(self._counts)

    def packet(self, at, way, channel, body) -> Packet:
        """Notes a body on its way."""
        try:
            message = codec.decode(bytes(body))
            name, values = message.name, dict(message.values)
        except codec.ProfileError:
            name, values = "", {}
        packet = Packet(at, way, channel, bytes(body), name, values)
        self._add("packets", packet)
        return packet

    def say(self, line: str) -> None:
        """A line of the board's console."""
        self._add("console", line)

    def event(self, at, what: str) -> None:
        """Something that the EMD or a test did or noted."""
        self._add("events", f"{at} {what}")

    def _add(self, kind, one):
        getattr(self, kind).append(one)
        self._counts[kind] += 1

    def mark(self) -> None:
        """What comes from now on belongs to the next test."""
        self._marks = dict(self._counts)

    def since_mark(self, kind: str) -> list:
        """The packets, console or events since `mark()`, as far as they are kept."""
        rows = getattr(self, kind)
        new = self._counts[kind] - self._marks[kind]
        return list(rows)[max(0, len(rows) - new):]

    @property
    def position(self) -> int:
        """How many packets there were: for `messages(since=…)`."""
        return self._counts["packets"]

    def messages(self, name: str, way: str = "up", since: int = 0) -> list:
        """Packets of that message, oldest first; since: a `position`."""
        new = min(len(self.packets), self._counts["packets"] - since)
        latest = islice(reversed(self.packets), max(0, new))
        return [p for p in latest if p.name == name and p.way == way][::-1]

    def sections(self) -> list:
        """[(title, text)] of the test at hand, for its report."""
        kinds = ("console", "events", "packets")
        return [(kind, "\n".join(str(row) for row in self.since_mark(kind))) for kind in kinds]
