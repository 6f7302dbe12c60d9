"""Prices on the EMD: one published series, and the tariff that all published series make up together."""

from dataclasses import dataclass

from spot_host.profile import definition as d

_SLOT_S = 900  # the finest market interval


@dataclass(frozen=True)
class PriceSeries:
    """Day-ahead prices. start: Unix s; interval_s: a multiple of 60 s; values: EUR/MWh, one an interval."""

    start: int
    interval_s: int
    values: tuple
    revision: int = 0

    @property
    def end(self) -> int:
        return self.start + self.interval_s * len(self.values)

    def message(self, now: int = 0) -> dict:
        """The values of a `price` message: the finest scale that holds every price, at least 1 EUR/MWh.

        A series that is longer than a message may be begins with the interval of `now`. Raises ValueError.
        """
        start, values = self.start, self.values
        if len(values) > d.MAX_SERIES:
            past = max(0, min((now - start) // self.interval_s, len(values) - 1))
            start, values = start + past * self.interval_s, values[past : past + d.MAX_SERIES]
        largest = max(abs(v) for v in values)
        scale = -2 if largest <= 327 else -1 if largest <= 3276 else 0
        if largest > 32767:
            raise ValueError(f"a price of {largest} EUR/MWh cannot be published")
        return {
            "revision": self.revision,
            "start": start,
            "interval_min": self.interval_s // 60,
            "scale": scale,
            "series": [round(v * 10**-scale) for v in values],
        }

    @classmethod
    def from_message(cls, values: dict) -> "PriceSeries":
        """The series of a received `price` message (a broadcast)."""
        factor = 10 ** values["scale"]
        return cls(
            values["start"],
            values["interval_min"] * 60,
            tuple(v * factor for v in values["series"]),
            values["revision"],
        )


class Tariff:
    """Price at any known time. Later series replace earlier ones where they overlap."""

    def __init__(self):
        self._slots, self.first, self.last, self.step_s = {}, None, None, 3600

    def add(self, series: PriceSeries) -> None:
        for i, value in enumerate(series.values):
            t = series.start + i * series.interval_s
            for slot in range(t // _SLOT_S, (t + series.interval_s - 1) // _SLOT_S + 1):
                self._slots[slot] = value
        self.step_s = min(self.step_s, max(_SLOT_S, series.interval_s))
        self.first = series.start if self.first is None else min(self.first, series.start)
        self.last = series.end if self.last is None else max(self.last, series.end)

    def price(self, t: int) -> float | None:
        """EUR/MWh at Unix time `t`, None when it is not known."""
        return self._slots.get(int(t) // _SLOT_S)

    def cost(self, begin: int, end: int, energy_wh: float) -> float:
        """EUR for `energy_wh` used evenly between `begin` and `end` (Unix s); unknown prices cost nothing."""
        slots = self._slots
        a, b = int(begin) // _SLOT_S, int(end) // _SLOT_S
        if a == b or end <= begin:
            return energy_wh * slots.get(b, 0.0) * 1e-6
        total = 0.0
        for slot in range(a, b + 1):
            part = min(end, (slot + 1) * _SLOT_S) - max(begin, slot * _SLOT_S)
            total += slots.get(slot, 0.0) * part
        return energy_wh * total / (end - begin) * 1e-6

    def window(self, begin: int, end: int) -> PriceSeries | None:
        """What is known from `begin` to `end` without a hole, in the finest interval published, or None."""
        step = self.step_s
        first, values = int(begin) // step * step, []
        while first + len(values) * step < end:
            value = self._slots.get((first + len(values) * step) // _SLOT_S)
            if value is None:
                break
            values.append(value)
        return PriceSeries(first, step, tuple(values)) if values else None

    def forget(self, before: int) -> None:
        """Drop what is older than Unix time `before`."""
        for slot in [s for s in self._slots if s < before // _SLOT_S]:
            del self._slots[slot]
