"""The in-memory link: what the core sends, as a list or handed straight to a function. For the simulator and tests."""


class MemoryOut:
    """Collects (device or group, channel, body) in `sent` and `published`, or hands them to the functions given."""

    def __init__(self, deliver=None, broadcast=None):
        self.sent, self.published, self._deliver, self._broadcast = [], [], deliver, broadcast

    def send(self, device: str, channel: str, body: bytes) -> None:
        if self._deliver is not None:
            self._deliver(device, channel, body)
        else:
            self.sent.append((device, channel, body))

    def publish(self, group: str, channel: str, body: bytes) -> None:
        if self._broadcast is not None:
            self._broadcast(group, channel, body)
        else:
            self.published.append((group, channel, body))

    def take(self) -> list:
        """What was sent to devices since the last call."""
        sent, self.sent = self.sent, []
        return sent
