"""The load behind the contact of a simulated device: so many watts while it is closed, a source for its meter."""

_NEVER_S = 1 << 40


class BenchLoad:
    """`watts` while supplied. Times in s, energy in mJ."""

    power_factor = 1.0

    def __init__(self, watts: int):
        self.watts, self.rated_w, self.supplied = watts, watts, False
        self._mj, self._since_s = 0, 0

    @property
    def power_mw(self) -> int:
        return self.watts * 1000 if self.supplied else 0

    def power_w(self, now_s) -> float:
        return self.power_mw / 1000

    def energy_mj(self, now_s) -> int:
        if now_s > self._since_s:
            self._mj += round(self.power_mw * (now_s - self._since_s))
            self._since_s = now_s
        return self._mj

    def set_supply(self, now_s, supplied) -> None:
        self.energy_mj(now_s)
        self.supplied = bool(supplied)

    def set_watts(self, now_s, watts) -> None:
        self.energy_mj(now_s)
        self.watts = watts

    def next_change(self) -> int:
        return _NEVER_S
