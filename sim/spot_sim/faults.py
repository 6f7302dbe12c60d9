"""What may go wrong on a simulated link: rates that are drawn from the seed, and windows that are written down."""

from dataclasses import dataclass

NEVER_S = 1 << 40

EVERYBODY = None  # Window.device: the broker itself
EMD = "emd"  # Window.device: only the EMD


@dataclass(frozen=True)
class Window:
    """A stretch of time without a connection.

    device: a device's name, `EVERYBODY` (the broker is down), or `EMD`. forget: the broker comes back without its
    sessions and its retained messages (EVERYBODY only), or without this device's session.
    """

    start_s: int
    duration_s: int
    device: str | None = EVERYBODY
    forget: bool = False


@dataclass(frozen=True)
class LinkFaults:
    """Rates and bounds. Probabilities are per message; bounds are (least, most), drawn evenly. The default is a perfect
    link.

    loss: a QoS 0 message is gone, a QoS 1 message comes `retry_s` later (and may be lost again). loss_for_good: any
    message is gone although the sender has its acknowledgement: a broker that forgets. duplication: the message comes a
    second time, `retry_s` later: a lost PUBACK. reordering: the message is held back for `reorder_ms`, and others
    overtake it. delay_ms: applies to all, and keeps their order. disconnects_per_day: abrupt ones for each device, of
    `disconnect_s`. reconnect_s: how long a device takes to come back once it can. will_s: when the broker notices that
    a device is gone. from_s, until_s: when the rates apply; before and after, the link is perfect. Windows apply
    always.
    """

    loss: float = 0.0
    loss_for_good: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    delay_ms: tuple = (0, 0)
    reorder_ms: tuple = (1_000, 30_000)
    retry_s: int = 10
    disconnects_per_day: float = 0.0
    disconnect_s: tuple = (5, 600)
    reconnect_s: tuple = (0, 0)
    will_s: int = 90
    from_s: int = 0
    until_s: int = NEVER_S
    windows: tuple = ()

    def __post_init__(self):
        for name in ("loss", "loss_for_good", "duplication", "reordering"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must be a probability of at least 0 and below 1, not {getattr(self, name)}")
        for name in ("delay_ms", "reorder_ms", "disconnect_s", "reconnect_s"):
            least, most = getattr(self, name)
            if not 0 <= least <= most:
                raise ValueError(f"{name} must be (least, most) with 0 <= least <= most, not {getattr(self, name)}")
        if self.disconnects_per_day < 0 or self.retry_s < 1 or self.will_s < 1:
            raise ValueError("disconnects_per_day must not be negative; retry_s and will_s are at least 1")

    @property
    def per_message(self):
        """Whether anything has to be drawn for each message."""
        return bool(self.loss or self.loss_for_good or self.duplication or self.reordering or self.delay_ms[1])


PERFECT = LinkFaults()
