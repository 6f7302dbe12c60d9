"""Signed objects on their way to groups: their parts one after the other, and the round again at intervals.

A channel of a group shows one body at a time: retained parts would overwrite one another on MQTT, and an observed CoAP
resource may skip what changes quickly. So the parts take turns, slowly, on the one channel `signed`, the same on every
link; who missed one gets it in the next round, and after a registration a round comes soon.
"""

GAP_S = 15  # between two parts: time enough for a block-wise transfer with repetitions
REPEAT_S = 3600  # between two rounds
SOON_S = 60  # after a registration


class Carousel:
    """at(due, what): a timer that comes back as `turn(now, what)`. out: publish(group, channel, body)."""

    def __init__(self, storage, out, at):
        self._storage, self._out, self._at = storage, out, at
        self._groups = {}  # group: [bodies, next part, due, number of the timer that counts]

    def load(self, now: int) -> None:
        """Take up what a restart interrupted."""
        for group, bodies in self._storage.get("signed", {}).items():
            self._begin(now, group, [bytes.fromhex(body) for body in bodies])

    def publish(self, now: int, group: str, bodies: list) -> None:
        """Publish an object (spot_host.signing.load) to a group until another takes its place."""
        self._begin(now, group, list(bodies))
        self._storage.put("signed", {
            name: [body.hex() for body in entry[0]] for name, entry in self._groups.items()})

    def turn(self, now: int, what) -> None:
        """The next part of a group."""
        group, number = what
        entry = self._groups[group]
        if number != entry[3]:
            return
        bodies, part, _, _ = entry
        self._out.publish(group, "signed", bodies[part])
        entry[1] = (part + 1) % len(bodies)
        self._wait(now + (GAP_S if entry[1] else REPEAT_S), group)

    def joined(self, now: int) -> None:
        """A device has registered: no round is further away than SOON_S."""
        for group, entry in self._groups.items():
            if entry[2] > now + SOON_S:
                self._wait(now + SOON_S, group)

    def moved(self, by: int) -> None:
        """The host's clock was set back by so many seconds, and the timers with it."""
        for entry in self._groups.values():
            entry[2] -= by

    def _begin(self, now, group, bodies):
        number = self._groups[group][3] if group in self._groups else 0
        self._groups[group] = [bodies, 0, now, number]
        self._wait(now, group)

    def _wait(self, due, group):
        entry = self._groups[group]
        entry[2] = due
        entry[3] += 1
        self._at(due, (group, entry[3]))
